//! `watch`: a line an interval and GPU, files beside it, and at the end a summary and the diagnosis.

mod files;
mod screen;
mod terminal;

use super::{Failure, given, interrupt, output, progress, target};
use crate::cli::{ReportFormat, Watch, server_url};
use crate::probe::watch::{self, Plan, Session, Summary, UNNAMED};
use crate::probe::{self, Ask};
use crate::redact::without_secrets;
use crate::report::{WatchLines, WatchView};
use crate::snapshot::{Facts, Outcome, ProbeRecord, Snapshot, Unknown, Why};
use anyhow::anyhow;
use files::Files;
use screen::Screen;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use url::Url;

/// Rooms that are filled by asking the server to work, or by the deployment's own code: not by watching.
const NOT_WATCHED: [&str; 8] =
    ["request", "execution", "counters", "engine", "load", "connections", "loaded", "recorded"];
/// Watches, and tells what it came to.
pub fn run(mut options: Watch) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    let pages = options.metrics.iter().map(|text| page(text)).collect::<Result<Vec<Url>, Failure>>()?;
    let command = given::watch(&options, &pages);
    let mut ask = target::resolve(options.target, &mut options.selection, Some(&mut options.output))?;
    ask.command = command;
    if !pages.is_empty() && ask.server.is_none() {
        return Err(Failure::Usage(anyhow!("--metrics needs --server, the server whose page it is")));
    }
    let checks = output::checks(&options.selection)?;
    let tables = [("--csv", options.csv.as_deref()), ("--jsonl", options.jsonl.as_deref())];
    for (flag, table) in tables {
        table.map_or(Ok(()), |table| output::verify_other(flag, table, &options.output))?;
    }
    let mut files = Files::open(options.csv.as_deref(), options.jsonl.as_deref())?;
    let interrupted = interrupt::listen();
    let begun = (format!("{:.3}", jiff::Timestamp::now()), Instant::now());
    let before = probe::collect(&ask, &BTreeSet::from(watch::NEEDS), &mut probe::Silent);
    let name = options.csv.as_ref().map_or(UNNAMED.to_owned(), |path| path.display().to_string());
    let plan = Plan { interval: options.interval, pages, name };
    let (mut session, notes) =
        watch::begin(&ask, &before.facts, &plan).map_err(|problem| Failure::Bug(anyhow!(problem)))?;
    // The forms for programs go to standard output alone.
    let aside = options.output.format.unwrap_or_default() != ReportFormat::Text;
    let lines = WatchLines::new(ask.server.is_some(), options.output.verbose);
    let mut screen = Screen::new(lines, aside, interrupted);
    let notes: Vec<String> = notes.iter().map(|note| without_secrets(note).into_owned()).collect();
    screen.begin(&notes);
    if session.is_of_use() {
        if options.tui {
            let what = ask.target().server.unwrap_or_else(|| "this machine's GPUs".into());
            let mut view = WatchView::new(&what, ask.server.is_some(), options.interval.as_secs_f64());
            notes.iter().for_each(|note| view.note("", note));
            screen.fill(view);
        }
        watch_on(&mut session, options.interval, options.count, &mut screen, &mut files);
    }
    // Before the machine is examined, which takes seconds.
    let written = files.end();
    screen.end(session.summary(), &written, &output::style(&options.output));
    let watched = record(begun, session.summary());
    let mut snapshot = collect_machine(&ask, &output::rooms(&options.selection, &checks), &before.facts);
    session.end(&mut snapshot.facts);
    snapshot.probes.push(watched);
    output::tell(&snapshot, &checks, &options.output)
}

/// Turns until the count is full, the user ends it, or nobody reads any more.
fn watch_on(session: &mut Session, interval: Duration, count: Option<u64>, screen: &mut Screen, files: &mut Files) {
    let mut next = Instant::now() + interval;
    let mut turns = 0;
    while count.is_none_or(|count| turns < count) && screen.wait(next) {
        let turn = session.turn();
        turns += 1;
        let said = files.write(&turn);
        screen.turn(&turn, &said);
        // A turn that took long is not made up for by a burst of short ones.
        next = (next + interval).max(Instant::now());
    }
}

/// The facts of the machine as it is now, without any work for the server.
fn collect_machine(ask: &Ask, rooms: &BTreeSet<&'static str>, before: &Facts) -> Snapshot {
    let (left_out, rooms): (BTreeSet<&str>, BTreeSet<&str>) = rooms.iter().partition(|room| NOT_WATCHED.contains(room));
    let mut snapshot = probe::collect(ask, &rooms, progress::observer().as_mut());
    let unasked = Unknown::new(Why::NotAsked, "gpu-doctor watch sends no request (gpu-doctor run does)");
    left_out.iter().for_each(|room| snapshot.facts.forget_room(room, &unasked));
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
