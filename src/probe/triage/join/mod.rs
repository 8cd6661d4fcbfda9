//! Puts the evidence of all files together and fills the rooms.

mod gpus;
mod instants;
mod requests;

use super::evidence::{Evidence, Found, GpuSamples, Requests};
use crate::snapshot::{Fact, Facts, RecordedFile, Unknown, Why};

/// How to take samples that fit.
const TAKE_SAMPLES: &str = "take them while the requests run: nvidia-smi --query-gpu=timestamp,index,uuid,name,\
    utilization.gpu,memory.used,power.draw,clocks.sm --format=csv -lms 500 > gpu_samples.csv";

/// Fills `recorded`, and of the other rooms what the files tell.
pub fn fill(facts: &mut Facts, found: Vec<Found>, utc_offset_minutes: Option<i32>) {
    let (mut files, mut requests, mut samples) = (Vec::<RecordedFile>::new(), Vec::new(), Vec::new());
    let mut taken: Vec<&'static str> = Vec::new();
    for Found { file, evidence } in found {
        files.push(file);
        for one in evidence {
            match one {
                Evidence::Requests(one) => requests.push(*one),
                Evidence::Gpu(one) => samples.push(*one),
                Evidence::Rooms { rooms, facts: of_file } => take_rooms(facts, &rooms, &of_file, &mut taken),
            }
        }
    }
    let mut doubts = Vec::new();
    join(facts, requests, samples, utc_offset_minutes.map(i64::from), &mut doubts, &taken);
    facts.recorded.files = Fact::Known(files);
    facts.recorded.doubts = Fact::Known(doubts);
}

/// Takes whole rooms of a file; of a room that an earlier file filled, only the log's lines are added.
fn take_rooms(facts: &mut Facts, rooms: &[&'static str], of_file: &Facts, taken: &mut Vec<&'static str>) {
    for room in rooms {
        if !taken.contains(room) {
            facts.take_room(room, of_file);
            taken.push(room);
            continue;
        }
        if *room == "server_log" {
            let (own, other) = (&mut facts.server_log, &of_file.server_log);
            if let (Fact::Known(own), Fact::Known(other)) = (&mut own.files, &other.files) {
                own.extend(other.iter().cloned());
            }
            if let (Fact::Known(own), Fact::Known(other)) = (&mut own.sayings, &other.sayings) {
                own.extend(other.iter().cloned());
            }
        }
    }
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
        facts.recorded.requests = Fact::Known(told.recorded(window.as_ref()));
        if !taken.contains(&"execution") {
            told.fill(&mut facts.execution, window.as_ref());
        }
    }
    if samples.is_empty() {
        let unknown = Unknown::new(Why::NotAsked, format!("no file with GPU samples was given; {TAKE_SAMPLES}"));
        facts.recorded.sampled_percent = Fact::Unknown(unknown.clone());
        if !taken.contains(&"execution") {
            facts.execution.gpus = Fact::Unknown(unknown);
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
