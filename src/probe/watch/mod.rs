//! Watches GPUs and a server without sending it any work: what the GPUs' counters show and what the server's own counters
//! gained, interval by interval, for as long as the user wants. What was seen is kept in bounded memory, and goes the way
//! of files that are given to `triage`.

mod gpus;
mod server;
mod summary;
pub mod table;
#[cfg(test)]
mod tests;
mod turn;

pub use summary::{Event, GpuSummary, Range, ServerSummary, Summary};
pub use turn::{Figure, GpuTurn, ServerTurn, Turn};

use super::Ask;
use super::nvml::sampler::{monotonic_ms, wall_ms};
use super::service::pages;
use super::triage::Live;
use crate::snapshot::{Fact, Facts, Unknown, Why};
use gpus::Gpus;
use server::Server;
use std::time::Duration;
use url::Url;

/// Rooms that must be filled before a watch begins: the server's processes, and the GPUs' names and sizes.
pub const NEEDS: [&str; 2] = ["process", "nvml"];
/// The name of what was watched, where no file has one.
pub const UNNAMED: &str = "gpu-doctor watch";
/// A wall clock that moves so far against the monotonic one was set, or the machine slept, milliseconds.
const CLOCK_MOVE_MS: f64 = 500.0;

/// What is to be watched.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Time between two lines.
    pub interval: Duration,
    /// URLs of metrics pages; without them they are found.
    pub pages: Vec<Url>,
    /// The name under which what was recorded stands in the report.
    pub name: String,
}

/// A watch under way. It belongs to the thread that began it: the sampler ends with that thread.
pub struct Session {
    gpus: Gpus,
    server: Option<Server>,
    live: Live,
    summary: Summary,
    clean: Box<dyn Fn(&str) -> String>,
    apart_ms: f64,
}

/// Begins to watch, and reads each page once. `facts` are the rooms of [`NEEDS`]. With it come what is not watched and why,
/// one sentence each.
///
/// # Errors
/// A fault of this program.
pub fn begin(ask: &Ask, facts: &Facts, plan: &Plan) -> Result<(Session, Vec<String>), String> {
    let mut notes = Vec::new();
    let found = match pages::find(ask, facts, &plan.pages) {
        Ok(found) => Some(found),
        Err(unknown) => {
            notes.push(match ask.server {
                Some(_) => format!("no metrics: {}", unknown.detail),
                None => "no server was named (--server URL): its requests are not counted".into(),
            });
            None
        }
    };
    let mut clean: Box<dyn Fn(&str) -> String> = Box::new(crate::words::plain);
    let server = found.and_then(|found| {
        let unread: Vec<String> = found.unread.iter().map(|unknown| unknown.detail.clone()).collect();
        if found.pages.is_empty() {
            notes.push(format!("no metrics: {}", unread.join("; ")));
            return None;
        }
        clean = found.clean;
        Some(Server::begin(found.pages))
    });
    let gpus = match usable(ask, facts) {
        Ok(pids) => Gpus::begin(pids, &facts.nvml, plan.interval, &mut notes),
        Err(unknown) => {
            notes.push(format!("no GPU is watched: {}", unknown.detail));
            Gpus::none()
        }
    };
    let live = Live::begin(&plan.name, &table::header())?;
    let summary = Summary::new(server.is_some(), wall_ms());
    let mut session = Session { gpus, server, live, summary, clean, apart_ms: wall_ms() - monotonic_ms() };
    if let Some(server) = &mut session.server {
        notes.extend(server.first());
    }
    let notes = notes.iter().map(|note| (session.clean)(note)).collect();
    Ok((session, notes))
}

/// The server's processes, where the GPUs of this machine are its GPUs and NVML can be sampled.
fn usable(ask: &Ask, facts: &Facts) -> Result<Vec<u64>, Unknown> {
    let forwarded = facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty());
    if forwarded || ask.target().server_is_local == Some(false) {
        return Err(Unknown::new(Why::NotAsked, "the server is on another machine, whose GPUs are not sampled"));
    }
    match facts.nvml.status.read()?.as_str() {
        "ok" => {}
        status => {
            let mut detail = format!("NVML is not usable ({})", status.replace('_', " "));
            if status == "library_missing" {
                detail.push_str(": the driver's libnvidia-ml.so.1 is not found; start a container with --gpus all");
            }
            return Err(Unknown::new(Why::Absent, detail));
        }
    }
    let processes = facts.process.processes.known().map(Vec::as_slice).unwrap_or_default();
    Ok(processes.iter().map(|process| process.pid).collect())
}

impl Session {
    /// Whether there is anything to watch.
    pub fn is_of_use(&self) -> bool {
        self.server.is_some() || self.gpus.is_of_use()
    }

    /// What was seen since the last turn.
    pub fn turn(&mut self) -> Turn {
        let at_ms = wall_ms();
        let mut notes = Vec::new();
        let apart_ms = at_ms - monotonic_ms();
        let moved = apart_ms - std::mem::replace(&mut self.apart_ms, apart_ms);
        if moved.abs() > CLOCK_MOVE_MS {
            notes.push(format!("the clock moved by {:+.1} s: it was set, or the machine slept", moved / 1e3));
        }
        let server = self.server.as_mut().map(|server| server.turn(&mut notes));
        let gpus = self.gpus.turn(&mut notes);
        let notes = notes.iter().map(|note| (self.clean)(note)).collect();
        let turn = Turn { at_ms, time: turn::time_of_day(at_ms), gpus, server, notes };
        self.summary.take(&turn);
        table::rows(&turn).iter().for_each(|row| self.live.feed(&table::csv(row)));
        turn
    }

    /// What it came to so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Ends the watch and fills the rooms `recorded`, `execution` and `counters` beside those of the machine.
    pub fn end(self, facts: &mut Facts) {
        let Self { gpus, server, live, summary, clean, .. } = self;
        gpus.end();
        if let Some(server) = server {
            let mut counters = server.end();
            let renamed = |mut models: Vec<crate::snapshot::ModelCounters>| {
                models.iter_mut().for_each(|one| one.model = clean(&one.model));
                models
            };
            counters.models = counters.models.map(renamed);
            counters.doubts = counters.doubts.map(|doubts: Vec<String>| doubts.iter().map(|one| clean(one)).collect());
            facts.counters = counters;
        }
        // Where nothing was watched, nothing was recorded.
        if summary.turns == 0 {
            return;
        }
        live.end(facts);
        if let (Fact::Known(doubts), false) = (&mut facts.recorded.doubts, summary.events.is_empty()) {
            doubts.extend(summary.events.iter().map(|one| format!("{}: {}", table::instant(one.at_ms), one.said)));
        }
    }
}
