//! Puts the evidence of all files together and fills the rooms.

mod gpus;
mod instants;
mod pages;
mod requests;

use super::evidence::{Evidence, Found, GpuSamples, Requests};
use super::locust;
use crate::probe::server_log::said_in_text;
use crate::snapshot::{Fact, Facts, RecordedError, RecordedFile, RecordedRequests, Saying, Target, Unknown, Why};
use crate::words::grouped;

/// Takes samples that fit.
pub const TAKE_SAMPLES: &str = "nvidia-smi --query-gpu=timestamp,index,uuid,name,utilization.gpu,memory.used,power.draw,\
    clocks.sm --format=csv -lms 500 > gpu_samples.csv";

/// Fills `recorded`, and of the other rooms what the files tell.
pub fn fill(facts: &mut Facts, found: Vec<Found>, utc_offset_minutes: Option<i32>) -> Target {
    fill_beside(facts, found, utc_offset_minutes, &[])
}

/// The same, where these rooms are filled already and stay as they are.
pub fn fill_beside(
    facts: &mut Facts,
    found: Vec<Found>,
    utc_offset_minutes: Option<i32>,
    filled: &[&'static str],
) -> Target {
    let (mut files, mut requests, mut samples) = (Vec::<RecordedFile>::new(), Vec::new(), Vec::new());
    let mut taken: Vec<&'static str> = filled.to_vec();
    let (mut pages, mut targets, mut doubts) = (Vec::new(), Vec::<(String, Target)>::new(), Vec::new());
    for Found { file, evidence } in found {
        files.push(file);
        for one in evidence {
            match one {
                Evidence::Requests(one) => requests.push(*one),
                Evidence::Gpu(one) => samples.push(*one),
                Evidence::Metrics { file, page } => pages.push((file, *page)),
                Evidence::Target { file, target } => targets.push((file, *target)),
                Evidence::Rooms { rooms, facts: of_file } => take_rooms(facts, &rooms, &of_file, &mut taken),
            }
        }
    }
    not_lacking(&mut files);
    if !pages.is_empty() && !taken.contains(&"counters") {
        facts.counters = pages::counters(pages, &mut files, &mut doubts);
    }
    if taken.contains(&"execution") && !requests.is_empty() {
        doubts.push("the window that the snapshot holds counts, not the requests of the other files".into());
    }
    join(facts, requests, samples, utc_offset_minutes.map(i64::from), &mut doubts, &taken);
    facts.recorded.files = Fact::Known(files);
    let mut targets = targets.into_iter();
    let (first, target) = targets.next().unwrap_or_default();
    for (other, _) in targets {
        doubts.push(format!("{first} and {other} are both snapshots; what the first one knows counts"));
    }
    facts.recorded.doubts = Fact::Known(doubts);
    target
}

/// What one of Locust's files lacks and another one that was given has is not missing.
fn not_lacking(files: &mut [RecordedFile]) {
    for (kind, lack) in [("locust_failures", locust::NO_ANSWERS), ("locust_history", locust::NO_TIMES)] {
        if files.iter().any(|file| file.kind == kind) {
            files.iter_mut().for_each(|file| file.lacks.retain(|lacking| lacking != lack));
        }
    }
}

/// Takes whole rooms of a file; of a room that an earlier file filled, only the log's lines and the
/// objects of Kubernetes are added.
fn take_rooms(facts: &mut Facts, rooms: &[&'static str], of_file: &Facts, taken: &mut Vec<&'static str>) {
    for room in rooms {
        if !taken.contains(room) {
            facts.take_room(room, of_file);
            taken.push(room);
            continue;
        }
        if *room == "kubernetes" {
            let (own, other) = (&mut facts.kubernetes, &of_file.kubernetes);
            append(&mut own.files, &other.files);
            append(&mut own.pods, &other.pods);
            append(&mut own.nodes, &other.nodes);
            append(&mut own.events, &other.events);
        }
        if *room == "server_log" {
            let (own, other) = (&mut facts.server_log, &of_file.server_log);
            append(&mut own.files, &other.files);
            append(&mut own.sayings, &other.sayings);
        }
    }
}

/// Adds what another file tells to a list; where only one of them tells it, its word counts.
fn append<T: Clone>(own: &mut Fact<Vec<T>>, other: &Fact<Vec<T>>) {
    match (&mut *own, other) {
        (Fact::Known(own), Fact::Known(other)) => own.extend(other.iter().cloned()),
        (Fact::Unknown(_), Fact::Known(_)) => *own = other.clone(),
        _ => {}
    }
}

/// What the answers to failed requests say that a log would say as well.
fn said_in_answers(requests: &RecordedRequests) -> Vec<Saying> {
    let said = |error: &RecordedError| {
        said_in_text(&error.text, &format!("answer to {} of the recorded requests", grouped(error.count)))
    };
    requests.errors.iter().flat_map(said).collect()
}

fn join(
    facts: &mut Facts,
    mut requests: Vec<Requests>,
    mut samples: Vec<GpuSamples>,
    utc_offset_minutes: Option<i64>,
    doubts: &mut Vec<String>,
    taken: &[&'static str],
) {
    if let Some(minutes) = utc_offset_minutes {
        instants::put_into_zone(&mut requests, &mut samples, minutes);
    }
    let told = requests::together(requests, doubts);
    let window = told.as_ref().and_then(requests::Told::window);
    if let Some(told) = &told {
        let recorded = told.recorded(window.as_ref());
        facts.server_log.said_in_answers = Fact::Known(said_in_answers(&recorded));
        facts.recorded.requests = Fact::Known(recorded);
        if !taken.contains(&"execution") {
            told.fill(&mut facts.execution, window.as_ref());
        }
    }
    if samples.is_empty() {
        let none = "no file with GPU samples was given";
        let how = format!("{none}; take them while the requests run: {TAKE_SAMPLES}");
        facts.recorded.sampled_percent = Fact::unknown(Why::NotAsked, how);
        if !taken.contains(&"execution") {
            facts.execution.gpus = Fact::unknown(Why::NotAsked, none);
        }
        return;
    }
    if !taken.contains(&"nvml") {
        gpus::name(&mut facts.nvml, &samples);
    }
    let Some(window) = told.is_some().then_some(window).flatten() else {
        let missing = match told {
            Some(_) => {
                Unknown::new(Why::Absent, "the requests have no times, so GPU samples cannot be held against them")
            }
            None => Unknown::new(Why::NotAsked, "no file that was given tells of requests"),
        };
        facts.recorded.sampled_percent = Fact::Unknown(missing.clone());
        if !taken.contains(&"execution") {
            // Without times, only a card that was idle or busy in every sample says anything at all.
            facts.execution.gpus = Fact::Unknown(missing);
        }
        return;
    };
    let placed = gpus::place(samples, &window, doubts);
    facts.recorded.sampled_percent = placed.sampled_percent();
    if !taken.contains(&"execution") {
        if let Some(before_ms) = placed.before_ms() {
            facts.execution.baseline_ms = Fact::Known(before_ms);
        }
        facts.execution.gpus = placed.windows();
    }
}
