//! Job "device-nodes": real files, gaps and refusals under a tree, opened as the order says.

use crate::jobs::{Heard, hear, start};
use crate::setup;
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const NOBODY: u32 = 65534;

fn open(root: &Path, paths: &[&str], become_user: Value) -> Heard {
    let nodes: Vec<_> = paths.iter().enumerate().collect();
    let order = json!({ "root": root, "nodes": nodes, "become_user": become_user }).to_string();
    hear(start("device-nodes", &order, setup::fake_driver(), &setup::scenario("healthy-idle")), Duration::from_secs(30))
}

fn results(heard: &Heard, count: usize) -> Vec<&str> {
    (0..count).map(|at| heard.known(&format!("/opens/known/{at}/result")).as_str().unwrap_or("unknown")).collect()
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

/// A tree with a file, a file that nobody may open, a FIFO and a folder for nodes.
fn scene() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let dev = dir.path().join("dev");
    std::fs::create_dir(&dev).unwrap();
    for name in ["nvidiactl", "nvidia0"] {
        std::fs::write(dev.join(name), "").unwrap();
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(dev.join("nvidiactl"), std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::set_permissions(dev.join("nvidia0"), std::fs::Permissions::from_mode(0o000)).unwrap();
    let fifo = std::ffi::CString::new(dev.join("nvidia1").as_os_str().as_bytes()).unwrap();
    // SAFETY: a valid C string; mkfifo makes a file and nothing else.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o666) }, 0);
    std::fs::set_permissions(dev.join("nvidia1"), std::fs::Permissions::from_mode(0o666)).unwrap();
    std::fs::create_dir(dev.join("nvidia2")).unwrap();
    dir
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

#[test]
fn a_user_without_the_right_is_refused_and_nothing_is_made() {
    let dir = scene();
    let paths = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia2"];
    let expected = ["not_a_device", "ENOENT", "EACCES", "not_a_device", "EISDIR"];
    let before = names(&dir.path().join("dev"));
    // Root is refused nothing, so it opens as somebody else; an ordinary user opens as who it is.
    let user = if is_root() { json!({"uid": NOBODY, "gid": NOBODY, "groups": [NOBODY]}) } else { Value::Null };
    let heard = open(dir.path(), &paths, user);
    assert_eq!(results(&heard, paths.len()), expected);
    assert_eq!(heard.last_stage(), "opening /dev/nvidia2");
    assert_eq!(heard.unreported(), &Value::Null);
    assert_eq!(names(&dir.path().join("dev")), before);
    if is_root() {
        let heard = open(dir.path(), &paths[2..3], Value::Null);
        assert_eq!(results(&heard, 1), ["not_a_device"], "root's own right is another answer");
    }
}

#[test]
fn the_group_of_the_server_counts() {
    // Only root can take on groups; that an ordinary user cannot is tested below.
    if !is_root() {
        return;
    }
    let dir = scene();
    let node = dir.path().join("dev/nvidia0");
    std::os::unix::fs::chown(&node, Some(0), Some(4711)).unwrap();
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o660)).unwrap();
    for (groups, expected) in [(json!([4711]), "not_a_device"), (json!([4712]), "EACCES")] {
        let user = json!({"uid": NOBODY, "gid": NOBODY, "groups": groups});
        assert_eq!(results(&open(dir.path(), &["/dev/nvidia0"], user), 1), [expected]);
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let heard = open(Path::new("/nowhere"), &["/dev/nvidiactl"], Value::Null);
    assert_eq!(heard.unreported()["why"], "absent");
    assert!(heard.unreported()["detail"].as_str().unwrap().contains("/nowhere"), "{}", heard.unreported());
    let heard = hear(
        start("device-nodes", "{}", setup::fake_driver(), &setup::scenario("healthy-idle")),
        Duration::from_secs(30),
    );
    assert_eq!(heard.unreported()["why"], "malformed");
    if !is_root() {
        let user = json!({"uid": NOBODY, "gid": NOBODY, "groups": []});
        let heard = open(Path::new("/"), &["/dev/null"], user);
        assert_eq!(heard.unreported()["why"], "denied", "an ordinary user cannot become another one");
    }
}
