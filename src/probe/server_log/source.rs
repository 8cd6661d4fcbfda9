//! Which files hold the server's log.

use crate::regular_file;
use crate::snapshot::{Facts, Unknown, Why};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most processes whose outputs are followed.
const PROCESSES_MAX: usize = 64;
/// Most log files of one server.
const FILES_MAX: usize = 16;

/// A log to be read.
#[derive(Debug, PartialEq)]
pub struct Log {
    /// As it is told to the user.
    pub name: String,
    /// Where the doctor opens it.
    pub path: PathBuf,
}

/// The files that the user names.
pub fn named(paths: &[PathBuf]) -> Vec<Log> {
    paths.iter().map(|path| Log { name: path.display().to_string(), path: path.clone() }).collect()
}

/// The regular files that the outputs of the server's processes go to.
pub fn of_processes(facts: &Facts) -> Result<Vec<Log>, Unknown> {
    let not_asked = |detail: String| Unknown::new(Why::NotAsked, detail);
    let processes = facts.process.processes.read().map_err(|unknown| match unknown.why {
        Why::NotAsked => not_asked("no log was named (--log FILE)".into()),
        _ => not_asked(format!("the server's process could not be read ({}); give --log FILE", unknown.detail)),
    })?;
    let mut logs: Vec<Log> = Vec::new();
    let mut elsewhere = Vec::new();
    for process in processes.iter().take(PROCESSES_MAX) {
        for (fd, output) in [(1, "output"), (2, "error output")] {
            let link = PathBuf::from(format!("/proc/{}/fd/{fd}", process.pid));
            let whose = format!("the {output} of process {}", process.pid);
            match target(&link) {
                Ok(name) if logs.iter().any(|log| log.name == name) => {}
                Ok(name) if logs.len() < FILES_MAX => logs.push(Log { name, path: link }),
                Ok(_) => {}
                Err(place) => elsewhere.push(format!("{whose} {place}")),
            }
        }
    }
    if !logs.is_empty() {
        return Ok(logs);
    }
    // The two of the first process are enough to tell.
    elsewhere.truncate(2);
    Err(not_asked(match elsewhere.is_empty() {
        true => "the server has no process to ask for its log; give --log FILE".into(),
        false => format!("{}; give --log FILE", elsewhere.join(", ")),
    }))
}

/// Name of the regular file that a descriptor stands for, or where it goes instead.
///
/// The descriptor itself is opened later: it is the file that the process writes to, wherever its name leads by now.
fn target(link: &Path) -> Result<String, String> {
    let target = link.read_link().map_err(|error| format!("cannot be followed ({}: {error})", link.display()))?;
    let name = target.display().to_string();
    match name.as_str() {
        "/dev/null" => Err("goes to /dev/null".into()),
        pipe if pipe.starts_with("pipe:") => Err("goes to a pipe".into()),
        socket if socket.starts_with("socket:") => Err("goes to a socket, as of the journal".into()),
        terminal if terminal.starts_with("/dev/") => Err(format!("goes to {terminal}")),
        _ => match regular_file::open(link).and_then(|file| file.metadata()) {
            // What the doctor writes about a server must not be read as the server's own word.
            Ok(file) if is_own_output(&file) => Err(format!("goes to {name}, as the doctor's own does")),
            Ok(_) => Ok(name),
            Err(error) => Err(format!("goes to {name}, which cannot be read ({error})")),
        },
    }
}

/// Whether the doctor itself writes to this file.
fn is_own_output(file: &Metadata) -> bool {
    ["/proc/self/fd/1", "/proc/self/fd/2"].iter().any(|own| {
        std::fs::metadata(own).is_ok_and(|own| own.is_file() && (own.dev(), own.ino()) == (file.dev(), file.ino()))
    })
}
