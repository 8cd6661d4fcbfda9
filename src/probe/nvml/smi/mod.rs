//! The output of `nvidia-smi -q -x`, which stands for asking NVML where the doctor cannot.

mod gpu;
mod value;

use super::MOST_GPUS;
use crate::probe::Ran;
use crate::regular_file;
use crate::snapshot::{Fact, NvmlFacts, Room, Unknown, Why};
use roxmltree::{Document, Node, ParsingOptions};
use std::path::Path;
use value::{element, text_of};

/// Largest file that is read, bytes. Sixteen GPUs come to 300 kB.
const LIMIT_BYTES: u64 = 16 << 20;
/// Most elements and texts of the document.
const NODES_MAX: u32 = 500_000;

/// What nvidia-smi prints instead of a document, and the NVML code that it stands for.
const FAILURES: &[(&str, i64)] = &[
    ("Driver/library version mismatch", 18),
    ("couldn't communicate with the NVIDIA driver", 9),
    ("Driver Not Loaded", 9),
    ("Insufficient Permissions", 4),
    ("GPU access blocked by the operating system", 17),
    ("Failed to initialize NVML: Unknown Error", 999),
];

/// The room as the file tells it, and how reading went.
pub fn read(file: &Path) -> (NvmlFacts, Ran) {
    let place = file.display().to_string();
    let bytes = match regular_file::read(file, LIMIT_BYTES) {
        Ok(bytes) => bytes,
        Err(error) => return nothing(&place, Unknown::from_io(&error, &place)),
    };
    // Names of processes can hold anything.
    match parse(&String::from_utf8_lossy(&bytes), &place) {
        Ok(room) => (room, Ran::ok()),
        Err(unknown) => nothing(&place, unknown),
    }
}

fn nothing(place: &str, unknown: Unknown) -> (NvmlFacts, Ran) {
    let room = NvmlFacts { source: Fact::Known(place.into()), ..NvmlFacts::all_unknown(&unknown) };
    (room, Ran::from(&unknown))
}

/// Whether the text begins with the words of a failure of nvidia-smi.
pub fn is_failure(text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    let own = ["NVIDIA-SMI has failed", "Failed to initialize NVML", "GPU access blocked"];
    own.iter().any(|words| first.starts_with(words)) && FAILURES.iter().any(|(words, _)| first.contains(words))
}

/// The room in the text; `Err` if it is no output of nvidia-smi.
pub fn parse(text: &str, place: &str) -> Result<NvmlFacts, Unknown> {
    let unasked = Unknown::new(Why::NotAsked, format!("NVML was not asked: {place} stands for it"));
    let mut room = NvmlFacts { source: Fact::Known(place.into()), ..NvmlFacts::all_unknown(&unasked) };
    let document = text.trim_start();
    let failure = FAILURES.iter().find(|(words, _)| !document.starts_with('<') && text.contains(words));
    if let Some((words, code)) = failure {
        room.status = Fact::Known("init_failed".into());
        room.init_code = Fact::Known(*code);
        room.init_error = Fact::Known((*words).into());
        let detail = format!("{place}: nvidia-smi itself failed: {words}");
        let failed = Unknown::new(super::error::why(*code), detail);
        room.driver_version = Fact::Unknown(failed.clone());
        room.cuda_version = Fact::Unknown(failed.clone());
        room.gpus = Fact::Unknown(failed);
        return Ok(room);
    }
    let options = ParsingOptions { allow_dtd: true, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(document, options).map_err(|error| {
        let detail = format!("{place}: this is not XML as nvidia-smi -q -x prints it: {error}");
        Unknown::new(Why::Malformed, detail)
    })?;
    let root = document.root_element();
    if root.tag_name().name() != "nvidia_smi_log" {
        let detail = format!("{place}: the outermost element is <{}>, not <nvidia_smi_log>", root.tag_name().name());
        return Err(Unknown::new(Why::Malformed, detail));
    }
    room.status = Fact::Known("ok".into());
    room.init_code = Fact::Known(0);
    room.init_error = Fact::Known(String::new());
    room.driver_version = text_of(root, "driver_version", place).into();
    room.cuda_version = text_of(root, "cuda_version", place).into();
    room.gpus = gpus(root, place);
    Ok(room)
}

fn gpus(root: Node<'_, '_>, place: &str) -> Fact<Vec<crate::snapshot::Gpu>> {
    let elements = root.children().filter(|node| node.has_tag_name("gpu")).take(MOST_GPUS as usize);
    let gpus: Vec<_> = elements.enumerate().map(|(index, element)| gpu::read(element, index as u64, place)).collect();
    let attached = element(root, "attached_gpus").and_then(|node| node.text()?.trim().parse::<u64>().ok());
    match attached {
        // Cut short, or of a single GPU (nvidia-smi -i): an empty list would be no knowledge of an empty machine.
        None if gpus.is_empty() => Fact::unknown(Why::Malformed, format!("{place}: there is no <gpu> in it")),
        Some(1..) if gpus.is_empty() => {
            Fact::unknown(Why::Malformed, format!("{place}: it counts attached GPUs and describes none"))
        }
        _ => Fact::Known(gpus),
    }
}

#[cfg(test)]
mod tests;
