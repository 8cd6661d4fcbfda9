//! `watch`: a line an interval and GPU, files beside it, and at the end a summary and the diagnosis.

use super::{Failure, interrupt, output, progress, target};
use crate::cli::{Format, Watch, server_url};
use crate::probe::watch::{self, Plan, Session, Summary, table};
use crate::probe::{self, Ask};
use crate::report::WatchLines;
use crate::snapshot::{Facts, Outcome, ProbeRecord, Snapshot};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// Rooms that are filled by asking the server to work, or by the deployment's own code: not by watching.
const NOT_WATCHED: [&str; 8] =
    ["request", "execution", "counters", "engine", "load", "connections", "loaded", "recorded"];
/// How long Ctrl-C may go unnoticed.
const NOTICE: Duration = Duration::from_millis(20);
/// The name of what was recorded, where no file has one.
const UNNAMED: &str = "gpu-doctor watch";

/// Watches, and tells what it came to.
pub fn run(mut options: Watch) -> Result<u8, Failure> {
    output::verify_save(&options.output)?;
    let pages = options.metrics.iter().map(|text| page(text)).collect::<Result<Vec<Url>, Failure>>()?;
    let ask = target::resolve(options.target, &mut options.selection, Some(&mut options.output))?;
    if !pages.is_empty() && ask.server.is_none() {
        return Err(Failure::Usage(anyhow!("--metrics needs --server, the server whose page it is")));
    }
    let checks = output::checks(&options.selection)?;
    let mut files = Files::open(&options.csv, &options.jsonl)?;
    let interrupted = interrupt::listen();
    let begun = (format!("{:.3}", jiff::Timestamp::now()), Instant::now());
    let before = probe::collect(&ask, &BTreeSet::from(watch::NEEDS), &mut probe::Silent);
    let name = options.csv.as_ref().map_or(UNNAMED.to_owned(), |path| path.display().to_string());
    let plan = Plan { interval: options.interval, pages, name };
    let (mut session, notes) =
        watch::begin(&ask, &before.facts, &plan).map_err(|problem| Failure::Bug(anyhow!(problem)))?;
    // JSON goes to standard output alone.
    let aside = options.output.format == Some(Format::Json);
    let mut screen = Screen { lines: WatchLines::new(ask.server.is_some()), aside, gone: false };
    screen.show(|lines, out| lines.begin(&notes, out));
    if session.is_of_use() {
        watch_on(&mut session, &options.interval, options.count, &interrupted, &mut screen, &mut files);
    }
    // Before the machine is examined, which takes seconds.
    let written = files.end();
    screen.show(|lines, out| lines.end(session.summary(), &written, out));
    let watched = record(begun, session.summary());
    let mut snapshot = collect_machine(&ask, &output::rooms(&options.selection, &checks), &before.facts);
    session.end(&mut snapshot.facts);
    snapshot.probes.push(watched);
    output::tell(&snapshot, &checks, &options.output)
}

/// Turns until the count is full, the user interrupts, or nobody reads any more.
fn watch_on(
    session: &mut Session,
    interval: &Duration,
    count: Option<u64>,
    interrupted: &AtomicBool,
    screen: &mut Screen,
    files: &mut Files,
) {
    let mut next = Instant::now() + *interval;
    let mut turns = 0;
    while count.is_none_or(|count| turns < count) {
        while Instant::now() < next {
            if interrupted.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(NOTICE.min(next.saturating_duration_since(Instant::now())));
        }
        let turn = session.turn();
        turns += 1;
        files.write(&turn);
        screen.show(|lines, out| lines.turn(&turn, out));
        if screen.gone {
            return;
        }
        // A turn that took long is not made up for by a burst of short ones.
        next = (next + *interval).max(Instant::now());
    }
}

/// The facts of the machine as it is now, without any work for the server.
fn collect_machine(ask: &Ask, rooms: &BTreeSet<&'static str>, before: &Facts) -> Snapshot {
    let rooms: BTreeSet<&str> = rooms.iter().copied().filter(|room| !NOT_WATCHED.contains(room)).collect();
    let mut snapshot = probe::collect(ask, &rooms, progress::observer().as_mut());
    // A GPU that fell off the bus meanwhile may be out of the list; how many there were is a fact as well.
    if snapshot.facts.nvml.gpus.known().is_none() && rooms.contains("nvml") {
        snapshot.facts.nvml.gpus = before.nvml.gpus.clone();
    }
    snapshot
}

/// How the watch itself went.
fn record(begun: (String, Instant), summary: &Summary) -> ProbeRecord {
    let (started_at, since) = begun;
    let (outcome, detail) = match summary.turns {
        0 => (Outcome::Failed, "nothing was watched".to_owned()),
        _ => (Outcome::Ok, String::new()),
    };
    let duration_ms = (since.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    ProbeRecord { id: "watch".into(), outcome, detail, started_at, duration_ms }
}

fn page(text: &str) -> Result<Url, Failure> {
    match server_url(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(url) => Err(Failure::Usage(anyhow!("--metrics: \"{}\" is not http or https", url.scheme()))),
        Err(problem) => Err(Failure::Usage(anyhow!("--metrics: {problem}"))),
    }
}

/// What people see.
struct Screen {
    lines: WatchLines,
    /// On standard error, because something else goes to standard output.
    aside: bool,
    /// Nobody reads it any more.
    gone: bool,
}

impl Screen {
    fn show(&mut self, write: impl FnOnce(&mut WatchLines, &mut dyn Write) -> std::io::Result<()>) {
        if self.gone {
            return;
        }
        let mut text = Vec::new();
        // Memory takes whatever is written.
        let _ = write(&mut self.lines, &mut text);
        let written = match self.aside {
            true if !std::io::stderr().is_terminal() => Ok(()),
            true => std::io::stderr().write_all(&text),
            false => std::io::stdout().write_all(&text).and_then(|()| std::io::stdout().flush()),
        };
        self.gone = written.is_err();
    }
}

/// A file that is written line by line.
struct Written {
    flag: &'static str,
    path: PathBuf,
    file: File,
    rows: u64,
    /// Why not everything was written.
    failed: Option<String>,
}

/// The files beside the lines.
struct Files {
    csv: Option<Written>,
    jsonl: Option<Written>,
}

impl Files {
    /// Opens them, so that what cannot be written is known before any time is spent.
    fn open(csv: &Option<PathBuf>, jsonl: &Option<PathBuf>) -> Result<Self, Failure> {
        if csv.is_some() && csv == jsonl {
            return Err(Failure::Usage(anyhow!("--csv and --jsonl name the same file")));
        }
        let open = |flag, path: &Option<PathBuf>| path.as_ref().map(|path| Written::open(flag, path)).transpose();
        let mut files = Self { csv: open("--csv", csv)?, jsonl: open("--jsonl", jsonl)? };
        if let Some(csv) = &mut files.csv {
            csv.line(&table::header());
            csv.rows = 0;
        }
        Ok(files)
    }

    fn write(&mut self, turn: &watch::Turn) {
        for row in table::rows(turn) {
            self.csv.iter_mut().for_each(|csv| csv.line(&table::csv(&row)));
            self.jsonl.iter_mut().for_each(|jsonl| jsonl.line(&table::json(&row)));
        }
    }

    /// What was written, one sentence each.
    fn end(self) -> Vec<String> {
        let said = |written: Written| {
            let Written { path, rows, failed, .. } = written;
            let failed = failed.map_or(String::new(), |failed| format!("; then {failed}"));
            format!("{}: {}{failed}", path.display(), crate::words::count(rows as usize, "row"))
        };
        self.csv.into_iter().chain(self.jsonl).map(said).collect()
    }
}

impl Written {
    fn open(flag: &'static str, path: &Path) -> Result<Self, Failure> {
        let refuse = |problem: String| Failure::Usage(anyhow!("{flag} {}: {problem}", path.display()));
        // What is no file would block, or take the lines and lose them.
        match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => return Err(refuse("this is a folder; name a file in it".into())),
            Ok(there) if !there.is_file() => return Err(refuse("there is something that is no regular file".into())),
            _ => {}
        }
        let file = File::create(path).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { flag, path: path.to_owned(), file, rows: 0, failed: None })
    }

    /// Writes a line. What fails is said once, and the watch goes on.
    fn line(&mut self, line: &str) {
        if self.failed.is_some() {
            return;
        }
        match self.file.write_all(line.as_bytes()) {
            Ok(()) => self.rows += 1,
            Err(error) => {
                eprintln!("gpu-doctor: {} {}: {error}; no more is written to it", self.flag, self.path.display());
                self.failed = Some(error.to_string());
            }
        }
    }
}
