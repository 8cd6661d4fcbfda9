//! How much memory a child of the doctor may take.

/// Memory that may still be taken, bytes, and who says so: the least of the kernel's and the control group's word.
/// `None` if neither can be read.
pub fn free_memory() -> Option<(u64, &'static str)> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let available = read("/proc/meminfo").and_then(|text| meminfo_available(&text)).map(|free| (free, "/proc/meminfo"));
    let group = |name: &str| read(&format!("/sys/fs/cgroup/{name}")).unwrap_or_default();
    let group = cgroup_free(&group("memory.max"), &group("memory.current"), &group("memory.stat"))
        .map(|free| (free, "the container's memory.max"));
    available.into_iter().chain(group).min_by_key(|(free, _)| *free)
}

/// `MemAvailable` of /proc/meminfo (proc_meminfo(5), which counts in KiB), bytes.
fn meminfo_available(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What a limit of cgroup v2 leaves, file cache that can be dropped included; `None` without a limit.
fn cgroup_free(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(|text| text.parse().ok());
    Some(max.saturating_sub(current.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn free_memory_is_the_least_that_anyone_grants() {
        assert_eq!(meminfo_available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(meminfo_available("MemTotal: 9 kB\n"), None);
        assert_eq!(meminfo_available("MemAvailable: 18446744073709551615 kB"), None);
        assert_eq!(cgroup_free("1000\n", "400\n", "anon 300\ninactive_file 100\n"), Some(700));
        assert_eq!(cgroup_free("max\n", "400\n", ""), None);
        assert!(free_memory().is_some_and(|(free, _)| free > 0));
    }

    proptest! {
        #[test]
        fn any_text_is_read(
            meminfo in "(MemAvailable:|.{0,6}| [0-9]{1,22} ?(kB)?|\n){0,8}",
            group in "([0-9]{1,22}|max|inactive_file |.{0,6}|\n){0,6}",
        ) {
            let _ = (meminfo_available(&meminfo), cgroup_free(&group, &group, &group));
        }
    }
}
