//! What this process itself has mapped.

use std::path::PathBuf;

/// The first mapped file whose name begins so.
pub fn mapped(name: &str) -> Option<PathBuf> {
    find(&std::fs::read_to_string("/proc/self/maps").ok()?, name)
}

/// The first file in lines of proc_pid_maps(5) whose name begins so.
fn find(maps: &str, name: &str) -> Option<PathBuf> {
    maps.lines().find_map(|line| {
        let path = line.get(line.find('/')?..)?;
        path.rsplit('/').next()?.starts_with(name).then(|| PathBuf::from(path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_told_by_its_name_and_not_by_its_folder() {
        let maps = "7f0-7f1 r--p 0 08:01 1   /libcudart.so/lib c.so\n7f1-7f2 rw-p 0 0:0 0 \n\
                    7f2-7f3 r-xp 0 08:01 2   /opt/a b/libcudart.so.12\n";
        assert_eq!(find(maps, "libcudart.so"), Some("/opt/a b/libcudart.so.12".into()));
        assert_eq!(find(maps, "libcublas"), None);
        assert!(mapped("libc").is_some());
    }
}
