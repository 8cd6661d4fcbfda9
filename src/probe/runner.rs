//! Runs the probes one after the other, each within its budget, and assembles the snapshot.

use super::{Ask, Context, LoadPlan, PROBES, Probe, Ran};
use crate::snapshot::{Facts, Outcome, ProbeRecord, SCHEMA, SCHEMA_MINOR, Snapshot, Target, Unknown, Why};
use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Why what was left is not known, when the user wanted an end.
const GIVEN_UP: &str = "the run was interrupted before this was known";
/// Wait for the probe that runs then, and time between two looks at the user's wish.
const PATIENCE_GIVEN_UP: Duration = Duration::from_millis(500);
const LOOK: Duration = Duration::from_millis(100);

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
        let ran = match refusal(probe, &rooms, &target, end, given_up(ask)) {
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
    Snapshot {
        schema: SCHEMA.into(),
        schema_minor: SCHEMA_MINOR,
        tool: crate::TOOL.into(),
        taken_at,
        target,
        probes,
        facts,
    }
}

/// Why a probe is not run at all, if so.
fn refusal(
    probe: &Probe,
    rooms: &BTreeSet<&str>,
    target: &Target,
    end: Instant,
    given_up: bool,
) -> Option<(Unknown, Ran)> {
    if !probe.rooms.iter().any(|room| rooms.contains(room)) {
        let detail = "no selected check needs it";
        return Some((Unknown::new(Why::NotAsked, detail), Ran::skipped(detail)));
    }
    if probe.this_machine && target.server_is_local == Some(false) {
        let detail = "the server is on another machine";
        return Some((Unknown::new(Why::NotAsked, detail), Ran::skipped(detail)));
    }
    if given_up {
        let unknown = Unknown::new(Why::TimedOut, GIVEN_UP);
        return Some((unknown, Ran { outcome: Outcome::TimedOut, detail: GIVEN_UP.into() }));
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
    match received(&receiver, deadline + grace, ask) {
        Err(_) if given_up(ask) => {
            let unknown = Unknown::new(Why::TimedOut, GIVEN_UP);
            probe.rooms.iter().for_each(|room| facts.forget_room(room, &unknown));
            Ran { outcome: Outcome::TimedOut, detail: GIVEN_UP.into() }
        }
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

/// Whether the user wanted an end before the load began, for which all this is done. The load itself ends in order.
fn given_up(ask: &Ask) -> bool {
    ask.load.as_ref().is_some_and(LoadPlan::was_given_up)
}

/// What the probe brings home by then; a run that is given up waits for it a little only.
fn received<T>(receiver: &mpsc::Receiver<T>, end: Instant, ask: &Ask) -> Result<T, mpsc::RecvTimeoutError> {
    let mut since = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(LOOK)) {
            Err(mpsc::RecvTimeoutError::Timeout) if !left.is_zero() => {}
            done => return done,
        }
        if given_up(ask) && since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE_GIVEN_UP {
            return Err(mpsc::RecvTimeoutError::Timeout);
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
