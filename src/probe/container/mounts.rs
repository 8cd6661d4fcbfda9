//! The mounts of a process (proc_pid_mountinfo(5)).

use crate::snapshot::{Unknown, Why};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Most bytes read of a mountinfo file; a node with many containers has some hundred kilobytes.
pub const MOUNTINFO_BYTES: usize = 4 * 1024 * 1024;
/// Most mounts looked at.
const MOUNTS_MAX: usize = 20_000;

/// One mount.
#[derive(Debug, Clone, PartialEq)]
pub struct Mount {
    /// What of its file system is mounted: `/`, or `/var/lib/docker/containers/0123/hostname`.
    pub root: PathBuf,
    /// Where, from the process's root.
    pub point: PathBuf,
    /// Type of its file system: `cgroup2`, `tmpfs`.
    pub kind: String,
    /// Options of its file system: `rw,cpu,cpuacct`.
    pub options: String,
}

/// The mounts in a mountinfo file. Lines of another form are left out; without any it is no such file.
pub fn parse(text: &str) -> Result<Vec<Mount>, Unknown> {
    let mounts: Vec<Mount> = text.lines().filter_map(mount).take(MOUNTS_MAX).collect();
    if mounts.is_empty() {
        let seen: String = text.chars().take(80).collect();
        return Err(Unknown::new(Why::Malformed, format!("mountinfo: no mount in \"{seen}\"")));
    }
    Ok(mounts)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`: any number of optional fields stand
/// before the hyphen.
fn mount(line: &str) -> Option<Mount> {
    let (place, system) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (unescaped(place.next()?), unescaped(place.next()?));
    let mut system = system.split(' ');
    let kind = system.next()?.to_owned();
    let options = system.nth(1).unwrap_or_default().to_owned();
    (root.is_absolute() && point.is_absolute()).then_some(Mount { root, point, kind, options })
}

/// Space, tab, newline and backslash stand there as `\040` and the like.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Whether a file lies on another mount than the one of the root folder: then the container's engine put it there.
pub fn on_a_mount_of_its_own(mounts: &[Mount], path: &Path) -> bool {
    mounts.iter().any(|mount| mount.point != Path::new("/") && path.starts_with(&mount.point))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
2021 1900 0:321 / / rw,relatime master:900 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A
2033 2021 254:1 /usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01 /usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01 ro,nosuid - ext4 /dev/vda1 rw
2040 2021 254:1 /srv/my\\040models /models ro shared:1 master:2 - ext4 /dev/vda1 rw
2050 2021 0:32 / /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate
";

    #[test]
    fn a_containers_mounts_are_read() {
        let mounts = parse(TEXT).unwrap();
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[2].root, Path::new("/srv/my models"));
        assert_eq!((mounts[3].kind.as_str(), mounts[3].options.as_str()), ("cgroup2", "rw,nsdelegate"));
        let own = |path: &str| on_a_mount_of_its_own(&mounts, Path::new(path));
        assert!(own("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01"));
        assert!(!own("/usr/lib/x86_64-linux-gnu/libcuda.so.550.163.01x"), "a name is not the beginning of another");
        assert!(own("/models/a.onnx"), "a mounted folder");
        assert!(!own("/usr/lib/x86_64-linux-gnu/libcuda.so.565.57"));
        assert_eq!(parse("").unwrap_err().why, Why::Malformed);
        assert_eq!(parse("nothing - of the kind").unwrap_err().why, Why::Malformed);
    }

    proptest! {
        #[test]
        fn any_text_gives_mounts_or_a_reason(text in "([0-9 :/a-z\\\\\\-]{0,60}( - [a-z ]{0,20})?\n){0,6}|(.|\n){0,200}") {
            for mount in parse(&text).unwrap_or_default() {
                prop_assert!(mount.point.is_absolute() && mount.root.is_absolute());
            }
        }

        #[test]
        fn what_the_kernel_escapes_comes_back(name in "[a-z \t\n\\\\]{1,20}") {
            let escaped: String = name.bytes().map(|byte| match byte {
                b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}"),
                plain => char::from(plain).to_string(),
            }).collect();
            prop_assert_eq!(unescaped(&format!("/{escaped}")), PathBuf::from(format!("/{name}")));
        }
    }
}
