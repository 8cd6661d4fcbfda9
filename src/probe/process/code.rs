//! Whether the server still runs the code that is on disk.

use super::evidence::Evidence;
use super::{imports, libraries, own_code};
use crate::snapshot::{NewerFile, Unknown, Why};
use std::path::Path;
use std::time::Instant;

/// A change counts only this long after the start, seconds: boot time has a granularity of one second.
const MARGIN_SECONDS: f64 = 2.0;
/// Most files told.
const FILES_MAX: usize = 50;

/// Source files changed after the process that runs them was started, newest first.
///
/// Empty where a reloader watches. Unknown if a process refused to say where it runs, or if the files are too many to
/// say that none of them is newer.
pub fn newer_than_start(all: &[Evidence], deadline: Instant) -> Result<Vec<NewerFile>, Unknown> {
    let mut newer = Vec::new();
    let mut cut_short = None;
    for server in own_code::servers(all) {
        if all.iter().any(|one| one.process.reloads.known() == Some(&true) && own_code::descends(one, server, all)) {
            continue;
        }
        let runner = runner(server, all);
        let running_since = runner.running_since.clone()?;
        let tree = own_code::tree(server);
        let mut files = own_code::files(server, &tree, deadline)?;
        // A program that runs cannot be written to, only replaced; then the kernel marks it.
        if !server.is_python
            && let Ok(executable) = &server.executable
        {
            let path = executable.display().to_string();
            let replaced = libraries::without_mark(&path);
            if replaced != path {
                files.add_file(&tree, Path::new(replaced));
            }
        }
        let pid = runner.member.pid.unsigned_abs().into();
        for (path, changed) in &files.changed {
            let newer_by_seconds = ((changed - running_since) * 10.0).round() / 10.0;
            // A script that merely lies beside the server is not its code.
            if newer_by_seconds > MARGIN_SECONDS
                && (!server.is_python || imports::may_be_loaded(&tree, path, &files, deadline))
            {
                newer.push(NewerFile { path: path.display().to_string(), pid, newer_by_seconds });
            }
        }
        cut_short = cut_short.or(files.cut_short);
    }
    if let (true, Some(detail)) = (newer.is_empty(), cut_short) {
        return Err(Unknown::new(Why::Unsupported, format!("{detail}; none of them is newer than the server")));
    }
    newer.sort_by(|a, b| b.newer_by_seconds.total_cmp(&a.newer_by_seconds).then_with(|| a.path.cmp(&b.path)));
    newer.truncate(FILES_MAX);
    Ok(newer)
}

/// The process that imported the code last: the newest worker, or the server itself if it has none.
fn runner<'a>(server: &'a Evidence, all: &'a [Evidence]) -> &'a Evidence {
    // With --preload the parent imports the code, and a new worker is a copy of it.
    if server.arguments.iter().any(|argument| argument == "--preload") {
        return server;
    }
    let workers = all.iter().filter(|one| is_worker(one, server) && own_code::descends(one, server, all));
    workers.max_by_key(|one| one.member.start_ticks).unwrap_or(server)
}

/// Whether a descendant serves as the parent does, rather than being a program that it called.
fn is_worker(one: &Evidence, server: &Evidence) -> bool {
    let has = |word: &str| one.arguments.iter().any(|argument| argument.contains(word));
    let same_program = matches!((&one.executable, &server.executable), (Ok(a), Ok(b)) if a == b);
    let spawned = has("multiprocessing") && !has("resource_tracker");
    same_program && (one.member.owner || one.arguments == server.arguments || spawned)
}
