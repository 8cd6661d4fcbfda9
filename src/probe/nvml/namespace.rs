//! Whose process ids are NVML's: it counts in the first namespace of the machine, the doctor in its own.

use crate::snapshot::{Fact, Unknown, Why};
use std::io::Read;
use std::path::Path;

/// Inode of the namespace that the kernel starts with (linux/proc_ns.h, PROC_PID_INIT_INO).
const FIRST: &str = "pid:[4026531836]";
/// Longest name of a program that is read, bytes; the kernel keeps 15.
const NAME_LIMIT_BYTES: u64 = 64;

/// Whether the namespace that the link names (`/proc/self/ns/pid`) is the first one.
pub fn is_first(link: &str) -> Fact<bool> {
    match std::fs::read_link(link) {
        Ok(target) => Fact::Known(target == Path::new(FIRST)),
        Err(error) => Fact::Unknown(Unknown::from_io(&error, link)),
    }
}

/// Name of a process's program, as the kernel keeps it in `comm`: 15 characters, no arguments.
///
/// Only in the first namespace, for elsewhere the number is another process's.
pub fn program(proc: &str, pid: u32) -> Fact<String> {
    match is_first(&format!("{proc}/self/ns/pid")) {
        Fact::Known(true) => {}
        Fact::Known(false) => {
            return Fact::unknown(Why::Unsupported, format!("process {pid} is of another namespace"));
        }
        Fact::Unknown(unknown) => return Fact::Unknown(unknown),
    }
    let place = format!("{proc}/{pid}/comm");
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&place).and_then(|file| file.take(NAME_LIMIT_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => Fact::Known(String::from_utf8_lossy(&bytes).trim_end().to_string()),
        Err(error) => Fact::Unknown(Unknown::from_io(&error, place)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_process_is_named_in_the_first_namespace_only() {
        let folder = tempfile::tempdir().unwrap();
        let proc = folder.path().to_str().unwrap();
        std::fs::create_dir_all(folder.path().join("self/ns")).unwrap();
        std::fs::create_dir(folder.path().join("41")).unwrap();
        std::fs::write(folder.path().join("41/comm"), "python3\n").unwrap();
        let link = folder.path().join("self/ns/pid");
        assert_eq!(program(proc, 41).reason().unwrap().why, Why::Absent);
        symlink(FIRST, &link).unwrap();
        assert_eq!(program(proc, 41), Fact::Known("python3".into()));
        let gone = program(proc, 42);
        assert!(gone.reason().unwrap().detail.contains("42/comm"), "{gone:?}");
        std::fs::remove_file(&link).unwrap();
        symlink("pid:[4026532199]", &link).unwrap();
        assert_eq!(is_first(link.to_str().unwrap()), Fact::Known(false));
        assert_eq!(program(proc, 41).reason().unwrap().why, Why::Unsupported);
    }
}
