//! Docker's daemons: which run, and how they are configured.

use super::super::process::command::masked;
use crate::probe::json_record::{Record, parse};
use crate::probe::tree::Tree;
use crate::snapshot::{DaemonConfig, DockerDaemon, Fact, Unknown, Why};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// Largest `daemon.json` read, bytes.
const LIMIT_BYTES: usize = 1 << 20;

/// Installations whose folders lie in the tree, besides the system's. Fails if such a folder cannot be looked for.
pub fn other_installations(tree: &Tree) -> Result<Vec<String>, Unknown> {
    let mut found = Vec::new();
    for (folder, name) in [("/var/snap/docker", "snap"), ("/opt/docker-desktop", "desktop")] {
        if tree.exists(folder)? {
            found.push(name.to_owned());
        }
    }
    Ok(found)
}

/// The daemons that run, from the tree's `/proc`.
pub fn running(tree: &Tree, deadline: Instant) -> Result<Vec<DockerDaemon>, Unknown> {
    let pids: Vec<u64> = tree.list("/proc")?.iter().filter_map(|name| name.parse().ok()).collect();
    if pids.is_empty() {
        return Err(Unknown::new(
            Why::Absent,
            format!("{}: no processes in it", tree.outside(Path::new("/proc")).display()),
        ));
    }
    let mut daemons = Vec::new();
    for pid in pids {
        if Instant::now() >= deadline {
            return Err(Unknown::new(Why::TimedOut, "there was no time to look at every process"));
        }
        let Ok(name) = tree.head(format!("/proc/{pid}/comm"), 64) else { continue };
        let name = name.trim();
        // The kernel keeps 15 characters of `com.docker.backend`.
        if name != "dockerd" && !name.starts_with("com.docker.back") {
            continue;
        }
        let line = tree.head(format!("/proc/{pid}/cmdline"), 64 * 1024).unwrap_or_default();
        let words: Vec<String> = line.split_terminator('\0').map(str::to_owned).collect();
        let installation = match name {
            "dockerd" if line.contains("/snap") => "snap",
            "dockerd" if uid(tree, pid).is_some_and(|uid| uid != 0) => "rootless",
            "dockerd" => "system",
            _ => "desktop",
        };
        daemons.push(DockerDaemon {
            installation: installation.into(),
            pid,
            command: masked(&words),
            started_at: started(tree, pid).map(|at| format!("{at:.0}")).into(),
        });
    }
    Ok(daemons)
}

fn uid(tree: &Tree, pid: u64) -> Option<u64> {
    let status = tree.head(format!("/proc/{pid}/status"), 64 * 1024).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// When a process started: its ticks since boot and the boot's time (proc_pid_stat(5), field 22).
fn started(tree: &Tree, pid: u64) -> Result<jiff::Timestamp, Unknown> {
    let malformed =
        |what: &str| Unknown::new(Why::Malformed, format!("/proc/{pid}/stat or /proc/stat: no {what} in it"));
    let stat = tree.head(format!("/proc/{pid}/stat"), 4096)?;
    let fields = stat.rsplit_once(')').ok_or_else(|| malformed("program's name"))?.1;
    let ticks: Option<i64> = fields.split_whitespace().nth(19).and_then(|field| field.parse().ok());
    let ticks = ticks.ok_or_else(|| malformed("start time"))?;
    let system = tree.head("/proc/stat", 1 << 20)?;
    let boot: Option<i64> =
        system.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|text| text.trim().parse().ok());
    // SAFETY: sysconf only reads a constant of the system.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1);
    let second = boot.and_then(|boot| boot.checked_add(ticks / ticks_per_second));
    let at = second.and_then(|second| jiff::Timestamp::from_second(second).ok());
    at.ok_or_else(|| malformed("boot time"))
}

/// The configuration files that exist, those of the user included.
pub fn configs(tree: &Tree, home: Option<&Path>, daemons: &Fact<Vec<DockerDaemon>>) -> Vec<DaemonConfig> {
    let mut places = vec![
        ("system", PathBuf::from("/etc/docker/daemon.json")),
        ("snap", PathBuf::from("/var/snap/docker/current/config/daemon.json")),
    ];
    places.extend(home.map(|home| ("rootless", home.join(".config/docker/daemon.json"))));
    let exists = |path: &PathBuf| !matches!(tree.stat(path), Err(Unknown { why: Why::Absent, .. }));
    places
        .into_iter()
        .filter(|(_, path)| exists(path))
        .map(|(whose, path)| config(tree, whose, &path, daemons))
        .collect()
}

fn config(tree: &Tree, installation: &str, path: &Path, daemons: &Fact<Vec<DockerDaemon>>) -> DaemonConfig {
    let mut config = DaemonConfig {
        installation: installation.into(),
        path: path.display().to_string(),
        error: Fact::unknown(Why::NotAsked, "not read"),
        runtimes: Fact::unknown(Why::NotAsked, "not read"),
        default_runtime: Fact::unknown(Why::NotAsked, "not read"),
        newer_than_daemon_by_seconds: newer_by(tree, installation, path, daemons).into(),
    };
    let read = match tree.read(path, LIMIT_BYTES) {
        Ok(text) => contents(&text),
        Err(unknown) => {
            config.error = Fact::Unknown(unknown.clone());
            config.runtimes = Fact::Unknown(unknown.clone());
            config.default_runtime = Fact::Unknown(unknown);
            return config;
        }
    };
    match read {
        Ok((runtimes, default_runtime)) => {
            config.error = Fact::Known(String::new());
            config.runtimes = Fact::Known(runtimes);
            config.default_runtime = Fact::Known(default_runtime);
        }
        Err(error) => {
            let unknown = Unknown::new(Why::Malformed, format!("{}: {error}", path.display()));
            config.error = Fact::Known(error);
            config.runtimes = Fact::Unknown(unknown.clone());
            config.default_runtime = Fact::Unknown(unknown);
        }
    }
    config
}

/// The runtimes that a `daemon.json` registers, and the default one. Docker takes an empty file as an empty object.
fn contents(text: &str) -> Result<(Vec<String>, String), String> {
    if text.trim().is_empty() {
        return Ok((Vec::new(), "runc".into()));
    }
    let value = parse(text.as_bytes())?;
    let record = Record::new(&value, "daemon.json").map_err(|unknown| unknown.detail)?;
    let runtimes = match record.has("runtimes") {
        true => record.record("runtimes").map_err(|unknown| unknown.detail)?.names().cloned().collect(),
        false => Vec::new(),
    };
    let default = record.text_or_none("default-runtime").map_err(|unknown| unknown.detail)?;
    Ok((runtimes, if default.is_empty() { "runc".into() } else { default }))
}

fn newer_by(tree: &Tree, installation: &str, path: &Path, daemons: &Fact<Vec<DockerDaemon>>) -> Result<f64, Unknown> {
    let daemon = daemons.read()?.iter().find(|daemon| daemon.installation == installation);
    let daemon = daemon.ok_or_else(|| Unknown::new(Why::Absent, format!("no {installation} daemon runs")))?;
    let started = daemon.started_at.read()?;
    let started: jiff::Timestamp =
        started.parse().map_err(|_| Unknown::new(Why::Malformed, format!("{started} is no time")))?;
    let changed = tree.stat(path)?.modified().map_err(|error| Unknown::from_io(&error, path.display()))?;
    let changed = changed.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    Ok((changed - started.as_second() as f64).round())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runtimes_and_mistakes_are_told() {
        let sound = r#"{"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}, "default-runtime": "nvidia"}"#;
        assert_eq!(contents(sound).unwrap(), (vec!["nvidia".into()], "nvidia".into()));
        assert_eq!(contents("").unwrap(), (vec![], "runc".into()));
        assert_eq!(contents("{}\n").unwrap().1, "runc");
        let twice = "{\n  \"log-driver\": \"json-file\"\n}\n{\n  \"runtimes\": {}\n}\n";
        assert!(contents(twice).unwrap_err().contains("trailing characters at line 4"), "{:?}", contents(twice));
        assert!(contents("{\"runtimes\": {},}").unwrap_err().contains("line 1"));
        assert_eq!(contents("[]").unwrap_err(), "daemon.json is a list; expected an object");
        assert!(contents("{\"runtimes\": []}").unwrap_err().contains("daemon.json.runtimes is a list"));
    }

    #[test]
    fn a_real_process_of_that_name_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("dockerd");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let before = jiff::Timestamp::now().as_second();
        let mut child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        let deadline = Instant::now() + std::time::Duration::from_secs(20);
        let find = || {
            let daemons = running(&Tree::new("/"), deadline).unwrap();
            daemons.into_iter().find(|one| one.pid == u64::from(child.id()))
        };
        // A program that has just been started has neither its name nor its arguments at once.
        let mut found = find();
        while found.as_ref().is_none_or(|one| one.command.is_empty()) && Instant::now() < deadline {
            found = find();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let daemon = found.unwrap();
        assert!(daemon.command.ends_with("dockerd 60"), "{daemon:?}");
        let started: jiff::Timestamp = daemon.started_at.known().unwrap().parse().unwrap();
        assert!((started.as_second() - before).abs() <= 5, "{daemon:?}, begun at {before}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(.|\n){0,200}") {
            let _ = contents(&text);
        }
    }
}
