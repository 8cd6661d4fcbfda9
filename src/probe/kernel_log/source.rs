//! Where the kernel's log is read.

use crate::probe::tree::Tree;
use crate::regular_file::{self, Ends};
use crate::snapshot::{Unknown, Why};
use std::path::Path;

/// Most bytes read of a log, from its end.
const TAIL_BYTES: u64 = 8 << 20;
/// Largest ring buffer that is asked for, bytes.
const RING_MAX: usize = 32 << 20;
/// Where syslog daemons keep the kernel's lines.
const FILES: &[&str] = &["/var/log/kern.log", "/var/log/messages"];
/// How to have it read.
const REMEDY: &str = "run as root or give --kernel-log FILE";

/// The text of a log and where it was read.
pub struct Source {
    pub name: String,
    pub text: String,
}

/// The file that the user names.
pub fn named(path: &Path) -> Result<Source, Unknown> {
    let place = format!("--kernel-log {}", path.display());
    let ends = regular_file::open(path).and_then(|file| regular_file::ends(file, 0, TAIL_BYTES));
    let ends = ends.map_err(|error| Unknown::from_io(&error, &place))?;
    Ok(Source { name: path.display().to_string(), text: text(ends, &place)? })
}

/// The first log file below a root that is there.
pub fn in_tree(tree: &Tree) -> Result<Source, Unknown> {
    for path in FILES {
        let shown = tree.outside(Path::new(path)).display().to_string();
        match tree.open(Path::new(path)) {
            Ok(file) => {
                let ends = regular_file::ends(file, 0, TAIL_BYTES).map_err(|error| Unknown::from_io(&error, &shown))?;
                return Ok(Source { text: text(ends, &shown)?, name: shown });
            }
            Err(unknown) if unknown.why == Why::Absent => {}
            Err(unknown) if unknown.why == Why::Denied => {
                return Err(Unknown::new(Why::Denied, format!("{}; {REMEDY}", unknown.detail)));
            }
            Err(unknown) => return Err(unknown),
        }
    }
    let places = FILES.join(" nor ");
    Err(Unknown::new(Why::Absent, format!("neither {places} is there; give --kernel-log FILE")))
}

/// The ring buffer of this machine's kernel (syslog(2)).
pub fn ring_buffer() -> Result<Source, Unknown> {
    const SYSLOG_ACTION_READ_ALL: libc::c_int = 3;
    const SYSLOG_ACTION_SIZE_BUFFER: libc::c_int = 10;
    // SAFETY: this action takes no buffer.
    let size = unsafe { libc::klogctl(SYSLOG_ACTION_SIZE_BUFFER, std::ptr::null_mut(), 0) };
    let size = usize::try_from(size).map_err(|_| refused())?;
    // As text, with the time in front of each line, the lines are longer than the kernel keeps them.
    let mut bytes = vec![0u8; size.saturating_mul(2).clamp(1 << 16, RING_MAX)];
    let length = libc::c_int::try_from(bytes.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the buffer is as long as the kernel is told; this action neither waits nor clears anything.
    let read = unsafe { libc::klogctl(SYSLOG_ACTION_READ_ALL, bytes.as_mut_ptr().cast(), length) };
    let read = usize::try_from(read).map_err(|_| refused())?;
    bytes.truncate(read);
    Ok(Source { name: "the kernel's ring buffer".into(), text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Why the system call failed.
fn refused() -> Unknown {
    let error = std::io::Error::last_os_error();
    let unknown = Unknown::from_io(&error, "the kernel's ring buffer");
    Unknown::new(unknown.why, format!("{}; {REMEDY}", unknown.detail))
}

/// The text at the end of a file, from the first whole line on.
fn text(ends: Ends, place: &str) -> Result<String, Unknown> {
    let bytes = if ends.tail.is_empty() { &ends.head } else { &ends.tail };
    for (mark, packing) in [(&b"\x1f\x8b"[..], "gzip"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")] {
        if ends.tail.is_empty() && bytes.starts_with(mark) {
            return Err(Unknown::new(Why::Malformed, format!("{place}: packed with {packing}; unpack it first")));
        }
    }
    let text = String::from_utf8_lossy(bytes).into_owned();
    match text.split_once('\n') {
        Some((_, rest)) if !ends.tail.is_empty() => Ok(rest.to_string()),
        _ => Ok(text),
    }
}
