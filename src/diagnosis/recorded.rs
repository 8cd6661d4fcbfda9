//! The sentence over files that people already have: it claims no more than they tell.

use super::Link;
use crate::check::View;
use crate::snapshot::{GpuWindow, Outcome, RecordedFile, Snapshot};

/// Whether files tell of requests; a snapshot or a log alone is judged as what was found on a machine.
pub fn tells_of_requests(snapshot: &Snapshot) -> bool {
    snapshot.facts.recorded.requests.known().is_some()
}

/// What the cause is the cause of.
pub fn opening(snapshot: &Snapshot, worked: bool, view: &View) -> &'static str {
    let idle = view.value("derived.activity").and_then(serde_json::Value::as_str) == Some("idle");
    let flat = |gpu: &GpuWindow| {
        gpu.utilization_percent.known().is_some_and(|p| p.during.samples > 0 && p.during.max <= IDLE_PERCENT)
    };
    match snapshot.facts.execution.gpus.known() {
        _ if worked => "The GPU works, yet",
        _ if idle => "GPU is idle because",
        Some(gpus) if !gpus.is_empty() && gpus.iter().all(flat) => "GPU is idle because",
        _ => "The model gets no work because",
    }
}

/// Utilization up to which a GPU is called idle, percent.
const IDLE_PERCENT: f64 = 5.0;

/// Where no fault was found, and what was not looked at.
pub fn scope(snapshot: &Snapshot, files: &[RecordedFile], view: &View) -> String {
    let said = |path: &str| view.value(path).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let told: Vec<&str> = ["derived.recorded_outcome", "derived.recorded_gpus"].into_iter().filter_map(said).collect();
    let told = if told.is_empty() { String::new() } else { format!(": {}", told.join(", ")) };
    if is_watch(snapshot) {
        let on_machine = if snapshot.facts.nvml.gpus.known().is_some() { "on this machine and " } else { "" };
        return format!("{on_machine}in what was watched{told}; {}", watched(snapshot));
    }
    // A watch is recorded on the machine itself, which is examined besides; nothing is sent to the server.
    if snapshot.probes.iter().any(|probe| probe.id == "nvml" && probe.outcome != Outcome::Skipped) {
        return format!(
            "on this machine and in what was recorded{told}; no request was sent (gpu-doctor run sends some)"
        );
    }
    format!("in {}{told}; server, model and machine were not examined (gpu-doctor run)", named(files))
}

fn is_watch(snapshot: &Snapshot) -> bool {
    snapshot.probes.iter().any(|probe| probe.id == "watch")
}

/// What a watch lets one say of the server: of one to which no request was seen to come nothing at all.
fn watched(snapshot: &Snapshot) -> &'static str {
    match (&snapshot.target.server, snapshot.facts.counters.models.known()) {
        (None, _) => "no server was named, so that nothing can be said of how it serves (--server)",
        (Some(_), _) if tells_of_requests(snapshot) => {
            "only what the server counted was judged, no answer was read (gpu-doctor run reads some)"
        }
        (Some(_), None) => {
            "the server's requests were not counted, so that nothing can be said of how it serves (gpu-doctor run sends some)"
        }
        (Some(_), Some(_)) => {
            "no request came meanwhile, so that nothing can be said of how it serves: watch it while clients send theirs, or let \
             gpu-doctor run send some"
        }
    }
}

/// What keeps the files from giving an answer.
pub fn undecided(snapshot: &Snapshot, open: Option<&Link>) -> String {
    let files = snapshot.facts.recorded.files.known().map(Vec::as_slice).unwrap_or_default();
    if files.iter().all(|file| file.kind == "unrecognized") {
        return format!("Undecided: nothing could be read from {}", named(files));
    }
    let only = |kind: &str| {
        files.iter().all(|file| matches!(file.kind.as_str(), "unrecognized" | "archive") || file.kind == kind)
    };
    let requests = snapshot.facts.recorded.requests.known();
    match open {
        _ if only("report") => format!(
            "Undecided: {} tells what was judged, not what was seen; give the snapshot (gpu-doctor run --save FILE)",
            named(files)
        ),
        _ if requests.is_none() && only("metrics_page") => format!(
            "Undecided: the server's counters alone (in {}) do not tell whether a GPU worked; add GPU samples and the load test's \
             own results",
            named(files)
        ),
        Some(link) => format!("Undecided: {}", link.seen),
        None if is_watch(snapshot) => format!("Undecided: {}", watched(snapshot)),
        None if requests.is_none() => {
            format!("Undecided: no requests are told of in {}; add the load test's own results", named(files))
        }
        None => format!("Undecided: {} do not tell enough", named(files)),
    }
}

/// The files' names, those behind the third counted.
fn named(files: &[RecordedFile]) -> String {
    let names: Vec<&str> = files.iter().take(3).map(|file| file.name.rsplit('/').next().unwrap_or_default()).collect();
    match files.len().saturating_sub(3) {
        0 => names.join(" and "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
