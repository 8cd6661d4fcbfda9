//! Runs the probes one after the other, each within its budget, and assembles the snapshot.

use super::{Ask, Context, PROBES, Probe, Ran};
use crate::snapshot::{Facts, Outcome, ProbeRecord, SCHEMA, Snapshot, Target, Unknown, Why};
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Hears of the probes as they start and end.
pub trait Observer {
    /// A probe starts.
    fn starts(&mut self, probe: &Probe);
    /// A probe has ended.
    fn ended(&mut self, probe: &Probe, record: &ProbeRecord);
}

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {
    fn starts(&mut self, _: &Probe) {}
    fn ended(&mut self, _: &Probe, _: &ProbeRecord) {}
}

/// Runs every probe that fills a room in `wanted` (or that such a probe needs) and returns the snapshot.
///
/// The whole takes at most `ask.timeout` plus the short grace of the last child.
pub fn collect(ask: &Ask, wanted: &BTreeSet<&str>, observer: &mut dyn Observer) -> Snapshot {
    let mut target = ask.target();
    let end = Instant::now() + ask.timeout;
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "no probe for it ran"));
    let taken_at = now();
    let rooms = with_needs(wanted);
    let mut probes = Vec::new();
    for probe in PROBES {
        observer.starts(probe);
        let started_at = now();
        let started = Instant::now();
        let ran = match refusal(probe, &rooms, &target, end) {
            Some((unknown, ran)) => {
                probe.rooms.iter().for_each(|room| facts.forget_room(room, &unknown));
                ran
            }
            None => run_one(probe, ask, end, &mut facts),
        };
        // A tunnel's near end is on this machine, the server is not.
        if facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty()) {
            target.server_is_local = Some(false);
        }
        let duration_ms = millis(started.elapsed());
        let record =
            ProbeRecord { id: probe.id.into(), outcome: ran.outcome, detail: ran.detail, started_at, duration_ms };
        observer.ended(probe, &record);
        probes.push(record);
    }
    Snapshot { schema: SCHEMA.into(), tool: crate::TOOL.into(), taken_at, target, probes, facts }
}

/// Why a probe is not run at all, if so.
fn refusal(probe: &Probe, rooms: &BTreeSet<&str>, target: &Target, end: Instant) -> Option<(Unknown, Ran)> {
    if !probe.rooms.iter().any(|room| rooms.contains(room)) {
        let detail = "no selected check needs it";
        return Some((Unknown::new(Why::NotAsked, detail), Ran::skipped(detail)));
    }
    if probe.this_machine && target.server_is_local == Some(false) {
        let detail = "the server is on another machine";
        return Some((Unknown::new(Why::NotAsked, detail), Ran::skipped(detail)));
    }
    if Instant::now() >= end {
        let detail = "the run's time was used up before this probe could start (see --timeout)";
        return Some((Unknown::new(Why::TimedOut, detail), Ran { outcome: Outcome::TimedOut, detail: detail.into() }));
    }
    None
}

/// Runs one probe on a thread of its own, so that even a read that never returns costs no more than the budget.
fn run_one(probe: &'static Probe, ask: &Ask, end: Instant, facts: &mut Facts) -> Ran {
    let load = if probe.rooms.contains(&"load") { ask.load_time() } else { Duration::ZERO };
    let held = if probe.rooms.contains(&"connections") { ask.balance_time() } else { Duration::ZERO };
    let budget = probe.budget.saturating_add(load).saturating_add(held);
    let deadline = end.min(Instant::now() + budget);
    let context = Context { ask: ask.clone(), deadline };
    let mut taken = facts.clone();
    let (sender, receiver) = mpsc::channel();
    let work = move || {
        let ran = (probe.run)(&context, &mut taken);
        let _ = sender.send((taken, ran));
    };
    if let Err(error) = std::thread::Builder::new().name(probe.id.into()).spawn(work) {
        return Ran::failed(format!("no thread for the probe: {error}"));
    }
    // The probe watches its own deadline; the grace lets it bring home what it has.
    let grace = Duration::from_millis(1500);
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()) + grace) {
        Ok((taken, ran)) => {
            probe.rooms.iter().for_each(|room| facts.take_room(room, &taken));
            ran
        }
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let detail = format!("probe {} gave no answer within {:.1} s", probe.id, budget.as_secs_f64());
            let unknown = Unknown::new(Why::TimedOut, detail.clone());
            probe.rooms.iter().for_each(|room| facts.forget_room(room, &unknown));
            Ran { outcome: Outcome::TimedOut, detail }
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let detail = format!("probe {} panicked; this is a bug of gpu-doctor", probe.id);
            let unknown = Unknown::new(Why::Crashed, detail.clone());
            probe.rooms.iter().for_each(|room| facts.forget_room(room, &unknown));
            Ran { outcome: Outcome::Crashed, detail }
        }
    }
}

/// The wanted rooms and, transitively, the rooms that their probes read.
fn with_needs<'a>(wanted: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let mut rooms = wanted.clone();
    // A probe's needs are filled by earlier probes, so one walk from the back reaches all.
    for probe in PROBES.iter().rev() {
        if probe.rooms.iter().any(|room| rooms.contains(room)) {
            rooms.extend(probe.needs.iter().copied());
        }
    }
    rooms
}

fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_room_has_exactly_one_probe_and_needs_come_from_earlier_ones() {
        let mut filled: Vec<&str> = Vec::new();
        for probe in PROBES {
            for need in probe.needs {
                assert!(filled.contains(need), "{} needs {need} before it is filled", probe.id);
            }
            for room in probe.rooms {
                assert!(!filled.contains(room), "{room} is filled twice");
                filled.push(room);
            }
        }
        // Filled from files, by `triage`.
        filled.push("recorded");
        filled.sort_unstable();
        let mut rooms = Facts::ROOMS.to_vec();
        rooms.sort_unstable();
        assert_eq!(filled, rooms);
    }

    #[test]
    fn needs_are_followed_to_the_first_probe() {
        let rooms = with_needs(&BTreeSet::from(["placement"]));
        assert!(rooms.contains("ort") && rooms.contains("process") && !rooms.contains("request"), "{rooms:?}");
    }
}
