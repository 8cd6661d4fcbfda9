//! Limits of control groups, versions 1 and 2 (Documentation/admin-guide/cgroup-v1, cgroup-v2.rst).

use super::mounts::Mount;
use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use std::path::{Path, PathBuf};

/// Most bytes read of one file of a control group.
const FILE_BYTES: usize = 64 * 1024;
/// Most groups looked at from one up to the root.
const DEPTH_MAX: usize = 64;
/// From here on a limit of version 1 means none: the kernel writes the largest multiple of a page.
const UNLIMITED_BYTES: u64 = 1 << 62;

/// The control groups of one process, in the hierarchy that a tree shows.
pub struct ControlGroups<'a> {
    /// Where the hierarchy is mounted.
    pub tree: &'a Tree,
    /// The mounts of that tree.
    pub mounts: &'a [Mount],
    /// The process's `/proc/PID/cgroup`: `4:memory:/docker/0123` for version 1, `0::/docker/0123` for version 2.
    pub memberships: &'a str,
}

/// A group and those around it, innermost first.
struct Lineage {
    version: u8,
    folders: Vec<PathBuf>,
}

/// The CPU limit that a group meets first, and how often it did.
#[derive(Debug, Clone, PartialEq)]
pub struct CpuLimit {
    /// Processors.
    pub cores: f64,
    /// Periods in which the group had work.
    pub periods: Result<u64, Unknown>,
    /// Those in which it was stopped.
    pub throttled_periods: Result<u64, Unknown>,
    /// Time for which it was stopped, milliseconds.
    pub throttled_ms: Result<f64, Unknown>,
}

/// The lowest memory limit around a group.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// In use by the group that has the limit, bytes.
    pub used_bytes: Result<u64, Unknown>,
}

impl ControlGroups<'_> {
    /// The lowest CPU limit, `None` if there is none.
    pub fn cpu(&self) -> Result<Option<CpuLimit>, Unknown> {
        let lineage = self.lineage("cpu")?;
        let mut lowest: Option<(f64, &Path)> = None;
        for folder in &lineage.folders {
            let Some(cores) = self.cores(folder, lineage.version)? else { continue };
            if lowest.is_none_or(|(least, _)| cores < least) {
                lowest = Some((cores, folder));
            }
        }
        let Some((cores, folder)) = lowest else { return Ok(None) };
        let stat = self.tree.read(folder.join("cpu.stat"), FILE_BYTES);
        let count = |name: &str| match &stat {
            Ok(text) => counter(text, name)
                .ok_or_else(|| Unknown::new(Why::Absent, format!("{}/cpu.stat tells no {name}", folder.display()))),
            Err(unknown) => Err(unknown.clone()),
        };
        // Version 1 counts nanoseconds, version 2 microseconds.
        let (name, per_ms) = if lineage.version == 1 { ("throttled_time", 1e6) } else { ("throttled_usec", 1e3) };
        Ok(Some(CpuLimit {
            cores,
            periods: count("nr_periods"),
            throttled_periods: count("nr_throttled"),
            throttled_ms: count(name).map(|time| time as f64 / per_ms),
        }))
    }

    fn cores(&self, folder: &Path, version: u8) -> Result<Option<f64>, Unknown> {
        if version == 2 {
            let Some(text) = self.file(folder, "cpu.max")? else { return Ok(None) };
            return quota_v2(&text).ok_or_else(|| malformed(folder, "cpu.max", &text));
        }
        let Some(quota) = self.file(folder, "cpu.cfs_quota_us")? else { return Ok(None) };
        let Some(period) = self.file(folder, "cpu.cfs_period_us")? else { return Ok(None) };
        quota_v1(&quota, &period).ok_or_else(|| malformed(folder, "cpu.cfs_quota_us", &quota))
    }

    /// The lowest memory limit, `None` if there is none.
    pub fn memory(&self) -> Result<Option<MemoryLimit>, Unknown> {
        let lineage = self.lineage("memory")?;
        let (limit, used) = match lineage.version {
            1 => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
            _ => ("memory.max", "memory.current"),
        };
        let mut lowest: Option<(u64, &Path)> = None;
        for folder in &lineage.folders {
            let Some(text) = self.file(folder, limit)? else { continue };
            let Some(bytes) = bytes(&text).ok_or_else(|| malformed(folder, limit, &text))? else { continue };
            if lowest.is_none_or(|(least, _)| bytes < least) {
                lowest = Some((bytes, folder));
            }
        }
        let Some((bytes, folder)) = lowest else { return Ok(None) };
        let used_bytes = self
            .tree
            .read(folder.join(used), FILE_BYTES)
            .and_then(|text| text.trim().parse().map_err(|_| malformed(folder, used, &text)));
        Ok(Some(MemoryLimit { bytes, used_bytes }))
    }

    /// Processes of the group that were killed for want of memory.
    pub fn oom_kills(&self) -> Result<u64, Unknown> {
        let lineage = self.lineage("memory")?;
        let name = if lineage.version == 1 { "memory.oom_control" } else { "memory.events" };
        let folder = lineage.folders.first().ok_or_else(|| Unknown::new(Why::Absent, "no control group"))?;
        let text = self.tree.read(folder.join(name), FILE_BYTES)?;
        counter(&text, "oom_kill")
            .ok_or_else(|| Unknown::new(Why::Absent, format!("{}/{name} tells no oom_kill", folder.display())))
    }

    /// The device rules of version 1.
    pub fn device_rules(&self) -> Result<Vec<String>, Unknown> {
        let lineage = self.lineage("devices")?;
        if lineage.version != 1 {
            let detail = "control groups of version 2 keep their device rules in a program of the kernel";
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        let folder = lineage.folders.first().ok_or_else(|| Unknown::new(Why::Absent, "no control group"))?;
        let text = self.tree.read(folder.join("devices.list"), FILE_BYTES)?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// The group that a controller belongs to, and those around it up to the mount.
    fn lineage(&self, controller: &str) -> Result<Lineage, Unknown> {
        let member = |wanted: &dyn Fn(&str) -> bool| {
            self.memberships.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let controllers = fields.next()?;
                fields.next().filter(|path| path.starts_with('/') && wanted(controllers))
            })
        };
        let first = member(&|controllers| controllers.split(',').any(|name| name == controller));
        let (version, path) = match first {
            Some(path) => (1, path),
            None => (
                2,
                member(&str::is_empty).ok_or_else(|| {
                    let detail = format!("the process's list of control groups names none for {controller}");
                    Unknown::new(Why::Absent, detail)
                })?,
            ),
        };
        let shows = |mount: &&Mount| match version {
            1 => mount.kind == "cgroup" && mount.options.split(',').any(|option| option == controller),
            _ => mount.kind == "cgroup2",
        };
        let mut shown = self.mounts.iter().filter(shows).peekable();
        let first = shown.peek().copied().ok_or_else(|| {
            Unknown::new(Why::Absent, format!("no control groups of version {version} are mounted for {controller}"))
        })?;
        // `/..` leads out of the doctor's control group namespace.
        let escapes = path.split('/').any(|part| part == "..");
        let mut inside = shown.filter_map(|mount| Some((mount, Path::new(path).strip_prefix(&mount.root).ok()?)));
        let (mount, inside) = inside.next().filter(|_| !escapes).ok_or_else(|| {
            let detail = format!("control group {path} lies outside of what is mounted at {}", first.point.display());
            Unknown::new(Why::Unsupported, detail)
        })?;
        let folder = mount.point.join(inside);
        self.tree.resolve(&folder)?;
        let folders = folder.ancestors().take_while(|above| above.starts_with(&mount.point));
        Ok(Lineage { version, folders: folders.take(DEPTH_MAX).map(Path::to_path_buf).collect() })
    }

    /// A file that a group need not have: the root has none, nor has one for which the controller is not switched on.
    fn file(&self, folder: &Path, name: &str) -> Result<Option<String>, Unknown> {
        match self.tree.read(folder.join(name), FILE_BYTES) {
            Ok(text) => Ok(Some(text)),
            Err(unknown) if unknown.why == Why::Absent => Ok(None),
            Err(unknown) => Err(unknown),
        }
    }
}

fn malformed(folder: &Path, name: &str, text: &str) -> Unknown {
    let seen: String = text.trim().chars().take(80).collect();
    Unknown::new(Why::Malformed, format!("{}/{name}: no limit in \"{seen}\"", folder.display()))
}

/// `max 100000` or `200000 100000`: microseconds of CPU in each period of so many. `None` if it is neither.
fn quota_v2(text: &str) -> Option<Option<f64>> {
    let (quota, period) = text.trim().split_once(' ')?;
    if quota == "max" {
        return Some(None);
    }
    share(quota, period).map(Some)
}

/// The quota is -1 without a limit.
fn quota_v1(quota: &str, period: &str) -> Option<Option<f64>> {
    if quota.trim().starts_with('-') {
        return quota.trim().parse::<i64>().ok().map(|_| None);
    }
    share(quota.trim(), period.trim()).map(Some)
}

fn share(quota: &str, period: &str) -> Option<f64> {
    let (quota, period) = (quota.parse::<u64>().ok()?, period.parse::<u64>().ok()?);
    (quota > 0 && period > 0).then(|| quota as f64 / period as f64)
}

/// `max`, or a number of bytes.
fn bytes(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "max" => Some(None),
        number => number.parse::<u64>().ok().map(|bytes| Some(bytes).filter(|bytes| *bytes < UNLIMITED_BYTES)),
    }
}

/// The number after a name in a file of `name number` lines.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.split_once(' ').filter(|(key, _)| *key == name)?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::mounts;
    use super::*;
    use proptest::prelude::*;

    const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
    const V1: &str = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:33 /docker/ab /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";

    fn scene(files: &[(&str, &str)]) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("sys/fs/cgroup").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let tree = Tree::new(folder.path());
        (folder, tree)
    }

    fn with<T>(tree: &Tree, mountinfo: &str, memberships: &str, look: impl FnOnce(&ControlGroups) -> T) -> T {
        let mounts = mounts::parse(mountinfo).unwrap();
        look(&ControlGroups { tree, mounts: &mounts, memberships })
    }

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_counts() {
        let (_folder, tree) = scene(&[
            ("pod/cpu.max", "150000 100000\n"),
            ("pod/cpu.stat", "usage_usec 9\nnr_periods 200\nnr_throttled 90\nthrottled_usec 4500000\nnr_bursts 0\n"),
            ("pod/memory.max", "max\n"),
            ("pod/box/cpu.max", "max 100000\n"),
            ("pod/box/cpu.stat", "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n"),
            ("pod/box/memory.max", "2147483648\n"),
            ("pod/box/memory.current", "1073741824\n"),
            ("pod/box/memory.events", "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n"),
        ]);
        with(&tree, V2, "0::/pod/box\n", |groups| {
            let cpu = groups.cpu().unwrap().unwrap();
            assert_eq!((cpu.cores, cpu.periods, cpu.throttled_periods), (1.5, Ok(200), Ok(90)));
            assert_eq!(cpu.throttled_ms, Ok(4500.0));
            let memory = groups.memory().unwrap().unwrap();
            assert_eq!((memory.bytes, memory.used_bytes), (1 << 31, Ok(1 << 30)));
            assert_eq!(groups.oom_kills(), Ok(1));
            assert_eq!(groups.device_rules().unwrap_err().why, Why::Unsupported);
        });
    }

    #[test]
    fn no_limit_is_known_and_is_not_unknown() {
        let (_folder, tree) = scene(&[("a.slice/cpu.max", "max 100000\n"), ("a.slice/memory.max", "max\n")]);
        with(&tree, V2, "0::/a.slice\n", |groups| {
            assert_eq!(groups.cpu(), Ok(None));
            assert_eq!(groups.memory(), Ok(None));
        });
        with(&tree, V2, "0::/b.slice\n", |groups| assert_eq!(groups.cpu().unwrap_err().why, Why::Absent));
        with(&tree, V2, "0::/../../x.scope\n", |groups| assert_eq!(groups.cpu().unwrap_err().why, Why::Unsupported));
        with(&tree, V1, "0::/a.slice\n", |groups| {
            assert!(groups.cpu().unwrap_err().detail.contains("version 2"), "none is mounted");
        });
        let (_folder, tree) = scene(&[("a.slice/cpu.max", "junk\n"), ("a.slice/memory.max", "-5\n")]);
        with(&tree, V2, "0::/a.slice\n", |groups| {
            assert_eq!(groups.cpu().unwrap_err().why, Why::Malformed);
            assert_eq!(groups.memory().unwrap_err().why, Why::Malformed);
        });
    }

    #[test]
    fn version_one_has_a_hierarchy_for_each_controller() {
        let (_folder, tree) = scene(&[
            ("cpu/docker/ab/cpu.cfs_quota_us", "50000\n"),
            ("cpu/docker/ab/cpu.cfs_period_us", "100000\n"),
            ("cpu/docker/ab/cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 120000000\n"),
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/docker/ab/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/docker/ab/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
            // A container without a namespace of its own sees its group at the mount.
            ("devices/devices.list", "c 1:3 rwm\nc 195:* rw\n"),
        ]);
        let memberships = "9:cpu,cpuacct:/docker/ab\n4:memory:/docker/ab\n5:devices:/docker/ab\n0::/docker/ab\n";
        with(&tree, V1, memberships, |groups| {
            let cpu = groups.cpu().unwrap().unwrap();
            assert_eq!((cpu.cores, cpu.throttled_periods, cpu.throttled_ms), (0.5, Ok(4), Ok(120.0)));
            assert_eq!(groups.memory(), Ok(None));
            assert_eq!(groups.oom_kills(), Ok(2));
            assert_eq!(groups.device_rules().unwrap(), ["c 1:3 rwm", "c 195:* rw"]);
        });
    }

    proptest! {
        #[test]
        fn any_file_gives_a_limit_or_none(text in "(.|\n){0,60}|[0-9-]{0,25} [0-9-]{0,25}|max [0-9]{0,9}") {
            for cores in [quota_v2(&text), quota_v1(&text, "100000"), quota_v1("1000", &text)].into_iter().flatten().flatten() {
                prop_assert!(cores.is_finite() && cores > 0.0);
            }
            prop_assert!(bytes(&text).flatten().is_none_or(|bytes| bytes < UNLIMITED_BYTES));
            prop_assert!(counter(&text, "nr_periods").is_none() || text.contains("nr_periods"));
        }

        #[test]
        fn any_membership_stays_below_its_mount(memberships in "([0-9]?:[a-z,]{0,9}:?/?[a-z./]{0,20}\n){0,5}|(.|\n){0,80}") {
            let (_folder, tree) = scene(&[("x/cpu.max", "1 1")]);
            with(&tree, V2, &memberships, |groups| {
                if let Ok(lineage) = groups.lineage("cpu") {
                    assert!(lineage.folders.iter().all(|folder| folder.starts_with("/sys/fs/cgroup")));
                }
            });
        }
    }
}
