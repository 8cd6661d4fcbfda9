//! What files tell that people already have (`triage`): did requests get through, and did a GPU work meanwhile?
//!
//! Such files rarely hold an idle baseline or a second counter; in their stead stands the length of what they cover.

use super::Basis;
use super::activity::idle_utilization_percent;
use crate::snapshot::{Fact, Facts, GpuWindow, Phases, RecordedError, RecordedRequests, Saying, Unknown, Why, room};
use crate::words::grouped;

room! {
    /// What the files say together.
    pub struct Recorded {
        /// How the requests of the files ended: `602 of 602 requests were answered 400`.
        pub recorded_outcome: String,
        /// What the GPU samples of the files show while requests ran: `GPU 0 at 0 % in all of 121 samples`.
        pub recorded_gpus: String,
        /// The field that the files name as missing, in an answer or a log, where no request of them succeeded; empty where
        /// none does.
        pub recorded_missing_field: String,
        /// The answer or the line of the log that names it, with its place.
        pub recorded_missing_field_said: String,
    }
}

impl Recorded {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let (field, said) = missing_field(facts).unwrap_or_default();
        Self {
            recorded_missing_field: Fact::Known(field),
            recorded_missing_field_said: Fact::Known(said),
            recorded_outcome: facts.recorded.requests.as_ref().map(outcome),
            recorded_gpus: match facts.recorded.files.known() {
                Some(_) => facts.execution.gpus.as_ref().map(|gpus| shown(gpus)),
                None => facts.recorded.files.as_ref().map(|_| String::new()),
            },
        }
    }
}

/// Rise of utilization over what it was before the requests that counts as work, percentage points.
const RISE_PERCENT: f64 = 3.0;
/// Part of the requests' time that samples must cover for idleness, percent.
const COVERED_PERCENT: f64 = 80.0;
/// Part of the requests' time, as a share, in which work that never comes back is a warm-up.
const START_SHARE: f64 = 0.3;
/// Samples while requests ran that idleness takes.
const SAMPLES: u64 = 10;
/// Requests that ran at once on average, below which a GPU may have worked too little to be seen.
const CONCURRENCY: f64 = 0.1;
/// Rise of power over what it was before the requests that speaks against idleness, as a share.
const POWER_RISE_SHARE: f64 = 0.25;

/// Whether no request of the files succeeded; unknown where no file tells of requests.
pub fn all_rejected(facts: &Facts) -> Fact<bool> {
    match &facts.recorded.requests {
        Fact::Known(requests) => requests.ok.as_ref().map(|ok| requests.count > 0 && *ok == 0),
        Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
    }
}

/// How many requests the files tell of, if all were answered with the same status that is none of success; what most of
/// the answers say, and the status.
pub fn answered_alike(facts: &Facts) -> Option<(u64, &str, u64)> {
    (all_rejected(facts) == Fact::Known(true)).then_some(())?;
    let requests = facts.recorded.requests.known()?;
    let (status, count) = requests.by_status.iter().next()?;
    let answer = requests.errors.first().map(|error| error.text.as_str()).unwrap_or_default();
    (*count == requests.count).then_some((requests.count, answer, status.parse().ok()?))
}

/// The field that an answer, else the newest one that a log names as missing, and where; none unless every request was
/// rejected.
pub fn missing_field(facts: &Facts) -> Option<(String, String)> {
    (all_rejected(facts) == Fact::Known(true)).then_some(())?;
    let requests = facts.recorded.requests.known()?;
    let answered = |error: &RecordedError| {
        let field = error.names_missing.first()?.clone();
        // What only a few were told is another fault.
        let most = 2 * error.count > requests.count;
        most.then(|| (field, format!("the answer to {} of them: {}", grouped(error.count), error.text)))
    };
    if let Some(found) = requests.errors.iter().find_map(answered) {
        return Some(found);
    }
    let sayings = facts.server_log.sayings.known()?.iter().rev();
    let named = |saying: &Saying| {
        let is_one = saying.id == "required-field-missing" || saying.id == "field-name-lost-in-error";
        let field = saying.values.get("field").or(saying.values.get("inputs")).filter(|_| is_one)?;
        let field = field.trim_matches(['\'', '"']).to_owned();
        Some((field, format!("{} line {}: {}", saying.file, saying.line_number, saying.line)))
    };
    { sayings }.find_map(named)
}

/// What the GPUs did by the files' word; none where no file was given, so that a run's own counters judge.
pub fn activity(facts: &Facts) -> Option<Result<(&'static str, String), Unknown>> {
    let requests = facts.recorded.requests.known()?;
    Some(judge(facts, requests))
}

fn judge(facts: &Facts, requests: &RecordedRequests) -> Result<(&'static str, String), Unknown> {
    if *requests.ok.read()? == 0 {
        return Ok(("no_work", format!("{}, so no work reached the model", outcome(requests))));
    }
    let gpus = facts.execution.gpus.read()?;
    let covered = *facts.recorded.sampled_percent.read()?;
    let mut flat = Vec::new();
    let mut open = Vec::new();
    for gpu in gpus {
        match said(gpu) {
            Said::Moved(words) => return Ok(("active", words)),
            Said::Flat(words) => flat.push(words),
            Said::Open(words) => open.push(words),
        }
    }
    let undecided = |detail: String| Err(Unknown::new(Why::Unsupported, detail));
    if let Some(words) = open.first() {
        return undecided(words.clone());
    }
    if let Some(words) = super::measurement::unsampled(facts) {
        return undecided(words);
    }
    if flat.is_empty() {
        return undecided("the files hold no utilization of a GPU".into());
    }
    let seen = flat.join("; ");
    if covered < COVERED_PERCENT {
        return undecided(format!(
            "{seen}, but the samples cover only {covered:.0} % of the time in which requests ran"
        ));
    }
    // A light load is below what utilization, a whole number of percent, can show.
    match requests.concurrency.known() {
        Some(concurrency) if *concurrency < CONCURRENCY => undecided(format!(
            "{seen}, but requests ran in only {:.0} % of the time: too little to be seen for sure",
            100.0 * concurrency
        )),
        _ => Ok(("idle", format!("{seen}, while {}", outcome(requests)))),
    }
}

enum Said {
    Moved(String),
    Flat(String),
    /// It says neither, and why.
    Open(String),
}

fn said(gpu: &GpuWindow) -> Said {
    let name = format!("GPU {}", gpu.index);
    if let Some(at) = gpu.lost_at_ms.known() {
        return Said::Open(format!("{name} stopped to answer {:.0} s after the first request", at / 1000.0));
    }
    if let Some(doubt) = gpu.doubts.known().and_then(|doubts| doubts.first()) {
        return Said::Open(format!("{name} cannot be judged: {doubt}"));
    }
    let Some(phases) = gpu.utilization_percent.known() else {
        return Said::Open(format!("the samples of {name} hold no utilization"));
    };
    let (before, during) = (&phases.before, &phases.during);
    let words = match during.max {
        0.0 => format!("{name} at 0 % in all of {} samples", during.samples),
        max => format!("{name} at most {max:.0} % in {} samples", during.samples),
    };
    if let Some(words) = warm_up_only(gpu, &name) {
        return Said::Flat(words);
    }
    if during.max > idle_utilization_percent() {
        // Who made it busy is told only where it was idle before.
        return match before.samples > 0 && during.max < before.max + RISE_PERCENT {
            true => Said::Open(format!("{words}, and as busy before the first request (at most {:.0} %)", before.max)),
            false => Said::Moved(format!("{name} at most {:.0} % while requests ran", during.max)),
        };
    }
    if during.samples < SAMPLES {
        return Said::Open(format!("{words}: fewer than {SAMPLES} samples were taken while requests ran"));
    }
    match power_rose(gpu) {
        Some(power) => Said::Open(format!("{words}, yet {power}")),
        None => Said::Flat(words),
    }
}

/// A GPU that worked when the first requests came and never again, though they went on.
fn warm_up_only(gpu: &GpuWindow, name: &str) -> Option<String> {
    let trace = gpu.utilization_trace.known()?;
    let (first, last) = (trace.first()?.at_ms, trace.last()?.at_ms);
    let worked = trace.iter().rfind(|reading| reading.percent as f64 > idle_utilization_percent())?;
    let rested = trace.iter().filter(|reading| reading.at_ms > worked.at_ms).count() as u64;
    let begun_in = worked.at_ms - first;
    (rested >= 2 * SAMPLES && begun_in <= START_SHARE * (last - first)).then(|| {
        format!(
            "{name} worked in the first {:.1} s alone and at most {:.0} % in the {rested} samples of the \
             {:.0} s after, while requests went on",
            begun_in / 1e3,
            idle_utilization_percent(),
            (last - worked.at_ms) / 1e3
        )
    })
}

/// A rise of power speaks against an idle GPU.
pub fn power_rose(gpu: &GpuWindow) -> Option<String> {
    let Phases { before, during, .. } = gpu.power_milliwatts.known()?;
    let rose = before.samples > 0 && during.samples > 0 && during.mean > before.mean * (1.0 + POWER_RISE_SHARE);
    let (before, during) = (before.mean / 1000.0, during.mean / 1000.0);
    rose.then(|| format!("its power rose from {before:.0} W before the requests to {during:.0} W"))
}

fn outcome(requests: &RecordedRequests) -> String {
    let count = grouped(requests.count);
    let Some(ok) = requests.ok.known() else {
        return format!("of {count} requests it is not told whether they succeeded");
    };
    if *ok > 0 {
        let succeeded = format!("{} of {count} requests succeeded", grouped(*ok));
        let failed = requests.by_status.iter().filter(|(status, _)| !status.starts_with('2') && *status != "unknown");
        let told = |(status, number): (&String, &u64)| match status.as_str() {
            "none" => format!("{} got no answer", grouped(*number)),
            status => format!("{} were answered {status}", grouped(*number)),
        };
        return std::iter::once(succeeded).chain(failed.map(told)).collect::<Vec<_>>().join(", ");
    }
    let mut failures: Vec<(&String, &u64)> = requests.by_status.iter().collect();
    failures.sort_by(|a, b| b.1.cmp(a.1));
    let told = |(status, number): (&String, &u64)| match status.as_str() {
        "none" => format!("{} of {count} requests got no answer", grouped(*number)),
        "unknown" => format!("{} of {count} requests failed", grouped(*number)),
        status => format!("{} of {count} requests were answered {status}", grouped(*number)),
    };
    match failures.is_empty() {
        true => format!("all of {count} requests failed"),
        false => failures.into_iter().map(told).collect::<Vec<_>>().join(", "),
    }
}

fn shown(gpus: &[GpuWindow]) -> String {
    let shown = |gpu: &GpuWindow| match gpu.utilization_percent.known() {
        Some(phases) if phases.during.samples > 0 && phases.during.max == 0.0 => {
            format!("GPU {} at 0 % in all of {} samples", gpu.index, phases.during.samples)
        }
        Some(phases) if phases.during.samples > 0 => {
            format!("GPU {} at most {:.0} % in {} samples", gpu.index, phases.during.max, phases.during.samples)
        }
        _ => format!("GPU {} not sampled while requests ran", gpu.index),
    };
    gpus.iter().map(shown).collect::<Vec<_>>().join("; ")
}
