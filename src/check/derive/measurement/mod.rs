//! Where a zero is no zero: what was watched does not show what the GPU did, or what a program tells is not what was
//! measured.

mod bursts;
mod claims;
mod client;
mod pages;
mod processes;
mod results;
mod start;
mod timer;
mod unreported;

pub use pages::unsampled;
pub use unreported::UnreportedGpu;

use super::Basis;
use super::activity::signals::Kind;
use crate::snapshot::{Facts, GpuWindow, Unknown, Why, room};

room! {
    /// What keeps a measurement from showing what happened. Texts are empty where nothing does.
    pub struct Measurement {
        /// GPUs whose utilization the driver does not tell, where nothing else shows what they did either.
        pub unreported_gpus: Vec<UnreportedGpu>,
        /// That the driver's list of processes leaves out those that hold the GPU's memory.
        pub hidden_processes: String,
        /// That the GPU worked in bursts which the driver's utilization does not show.
        pub missed_bursts: String,
        /// Whether a counter of kernels shows the bursts, not the draw alone.
        pub missed_bursts_counted: bool,
        /// That the GPU worked before or with the first requests, and not with those that followed.
        pub start_only_work: String,
        /// That the server's own time of an inference ends before the GPU has computed it.
        pub early_timer: String,
        /// That the GPU which is watched is not the one that works.
        pub watched_elsewhere: String,
        /// That the server calls a model whose result nothing in its code takes.
        pub untaken_result: String,
        /// That the server says GPU by a header or in its log, and has none in use.
        pub false_claim: String,
        /// GPUs whose counters of kernels stayed flat while the doctor's own kernel ran there, in words.
        pub unseen_control: Vec<String>,
        /// That requests lose their time in the load generator or on the way, before the server.
        pub client_limit: String,
    }
}

impl Measurement {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let bursts = bursts::missed(basis);
        Self {
            unreported_gpus: unreported::of(basis).into(),
            hidden_processes: processes::hidden(basis).into(),
            missed_bursts_counted: bursts.clone().map(|(counted, _)| counted).into(),
            missed_bursts: bursts.map(|(_, words)| words).into(),
            start_only_work: start::only(basis).into(),
            early_timer: timer::early(basis).into(),
            watched_elsewhere: pages::elsewhere(basis).into(),
            untaken_result: results::untaken(basis).into(),
            false_claim: claims::lying(basis).into(),
            unseen_control: unseen_control(basis).into(),
            client_limit: client::limit(basis.facts).into(),
        }
    }
}

/// What the doctor's own kernel did not move, of the counters that count kernels: clock and draw may rest for other reasons,
/// and the share of the server's processes is none of the doctor's.
fn unseen_control(basis: &Basis) -> Result<Vec<String>, Unknown> {
    basis.facts.smoke.runs.read()?;
    let counts = |words: &&String| {
        let names = words.split_once(": ").map_or("", |(_, names)| names);
        names.split(", ").any(|name| name == Kind::Utilization.name() || name == Kind::SmActivity.name())
    };
    Ok(basis.watched.blind.iter().filter(counts).cloned().collect())
}

/// Samples while requests ran that rest takes.
const SAMPLES: u64 = 10;

fn not_asked(detail: &str) -> Unknown {
    Unknown::new(Why::NotAsked, detail)
}

/// Accepted requests of the window, or of the files; an error of kind "not asked" where there were none.
fn accepted(facts: &Facts) -> Result<u64, Unknown> {
    let told = match facts.recorded.requests.known() {
        Some(requests) => &requests.ok,
        None => &facts.execution.requests_ok,
    };
    match told.known() {
        Some(0) => Err(not_asked("no request was accepted, so that there was no work to see")),
        Some(count) => Ok(*count),
        None => Err(not_asked("no accepted requests are known")),
    }
}

/// Whether the facts come from files that somebody recorded.
fn of_files(facts: &Facts) -> bool {
    facts.recorded.requests.known().is_some()
}

/// The watched GPUs, each unless the server is known not to be on it.
fn of_server<'a>(basis: &Basis<'a>) -> Result<Vec<&'a GpuWindow>, Unknown> {
    let windows = basis.facts.execution.gpus.read().map_err(nothing_to_watch)?;
    let judged = basis.watched.gpus.as_ref().map(Vec::as_slice).unwrap_or_default();
    let elsewhere =
        |window: &GpuWindow| judged.iter().any(|one| one.index == window.index && one.server == "not_on_it");
    Ok(windows.iter().filter(|window| !elsewhere(window)).collect())
}

/// Where there is no driver at all, nothing was measured that could be measured wrong.
fn nothing_to_watch(unknown: Unknown) -> Unknown {
    let why = if unknown.why == Why::Absent { Why::NotAsked } else { unknown.why };
    Unknown { why, ..unknown }
}

/// The length of the requests' time, milliseconds.
fn span_ms(facts: &Facts) -> Option<f64> {
    let span = match facts.recorded.requests.known() {
        Some(requests) => &requests.span_ms,
        None => &facts.execution.window_ms,
    };
    span.known().copied().filter(|ms| *ms > 0.0)
}
