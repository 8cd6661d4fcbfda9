//! The driver's device nodes. They are looked at and never opened: opening one can wake a GPU, or block.

use crate::probe::tree::Tree;
use crate::snapshot::{DeviceNode, Unknown, Why};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// Most nodes; a machine of 16 GPUs, all of them divided, has some hundred.
const NODES_MAX: usize = 4096;

/// Nodes `/dev/nvidia*`, and those in the folders of that name (`/dev/nvidia-caps`).
pub fn nvidia_nodes(tree: &Tree) -> Result<Vec<DeviceNode>, Unknown> {
    let mut nodes = Vec::new();
    for name in tree.list("dev")?.iter().filter(|name| name.starts_with("nvidia")) {
        let path = format!("/dev/{name}");
        let inner = match tree.stat(&path) {
            Ok(metadata) if metadata.is_dir() => tree.list(&path).unwrap_or_default(),
            _ => Vec::new(),
        };
        add(tree, path.clone(), &mut nodes)?;
        for name in inner {
            add(tree, format!("{path}/{name}"), &mut nodes)?;
        }
    }
    Ok(nodes)
}

fn add(tree: &Tree, path: String, nodes: &mut Vec<DeviceNode>) -> Result<(), Unknown> {
    if nodes.len() >= NODES_MAX {
        return Err(Unknown::new(Why::Malformed, format!("/dev: more than {NODES_MAX} nodes of the driver")));
    }
    let metadata = match tree.stat(&path) {
        Ok(metadata) => metadata,
        // A link to nothing is no node.
        Err(unknown) if unknown.why == Why::Absent => return Ok(()),
        Err(unknown) => return Err(unknown),
    };
    // A fixture or an archive cannot hold device nodes: there a plain file stands for one.
    if metadata.file_type().is_char_device() || (!tree.is_whole() && metadata.is_file()) {
        let mode = format!("{:04o}", metadata.mode() & 0o7777);
        nodes.push(DeviceNode { path, mode, uid: metadata.uid().into(), gid: metadata.gid().into() });
    }
    Ok(())
}
