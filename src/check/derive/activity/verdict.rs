//! The verdict, GPU by GPU and for the server.

use super::alignment;
use super::control::{self, Control};
use super::ownership::{self, Owned, Place};
use super::proportion;
use super::signals::{self, Around, Kind, Signal, Standing};
use super::thresholds;
use crate::check::derive::{served, traffic};
use crate::snapshot::{Fact, Facts, GpuWindow, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one GPU did while requests ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuActivity {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// `active`, `idle`, `loaded_not_computing`, `no_work` or `unknown`.
    pub verdict: String,
    /// Counters that rose with the requests.
    pub moved: Vec<String>,
    /// Counters that stayed at the idle baseline.
    pub flat: Vec<String>,
    /// Counters that say nothing of the server, with the reason.
    pub open: Vec<String>,
    /// Counters that are not told.
    pub unsupported: Vec<String>,
    /// Whether the server is on it: `on_it`, `may_use_it`, `not_on_it` or `unknown`.
    pub server: String,
    /// By what that is known.
    pub server_because: String,
}

/// All that the counters say.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The verdict on the server's GPUs and the counters that say so, or what keeps it from being known.
    pub overall: Result<(&'static str, String), Unknown>,
    /// Each GPU, or why none was watched.
    pub gpus: Result<Vec<GpuActivity>, Unknown>,
    /// Whether the doctor's kernel moved the counters that stayed flat.
    pub proven: bool,
    /// Work on another GPU than the server's, in words; empty if there was none.
    pub elsewhere: String,
    /// Counters that the doctor's kernel did not move, GPU by GPU.
    pub blind: Vec<String>,
}

/// One GPU with all that is known of it.
struct Read {
    name: String,
    signals: Vec<Signal>,
    owned: Owned,
    control: Option<Control>,
    /// Whether the energy counter rose further than anything but work explains.
    drew_far_more: bool,
    /// Whether the multiprocessors' activity was 0.0 in every reading.
    is_without_a_cycle: bool,
}

impl Read {
    fn words(&self, wanted: Standing) -> Vec<String> {
        self.signals.iter().filter(|one| one.standing == wanted).map(|one| one.words.clone()).collect()
    }

    fn named(&self, wanted: Standing) -> Vec<String> {
        self.words(wanted).into_iter().map(|words| format!("{} {words}", self.name)).collect()
    }

    fn stands(&self, kind: Kind, standing: Standing) -> bool {
        self.signals.iter().any(|one| one.kind == kind && one.standing == standing)
    }

    /// Any counter of kernels, or draw and clock together: either alone moves for other reasons.
    fn is_active(&self) -> bool {
        self.signals.iter().any(|one| one.kind.counts_work() && one.standing == Standing::Moved)
            || self.stands(Kind::Energy, Standing::Moved)
                && (self.stands(Kind::Clock, Standing::Moved) || self.is_burst())
    }

    /// Work that fell between the readings of every other counter: energy is an integral, which misses none. Only where
    /// the server is alone, for another's bursts would be missed just as well.
    fn is_burst(&self) -> bool {
        let alone = self.owned.others.as_ref().is_some_and(Vec::is_empty);
        self.drew_far_more && self.owned.place == Place::On && alone
    }

    fn flat(&self) -> Vec<Kind> {
        self.signals.iter().filter(|one| one.standing == Standing::Flat).map(|one| one.kind).collect()
    }

    /// Counters that stayed flat and that the doctor's kernel moved.
    fn shown(&self) -> usize {
        let moved = self.control.as_ref().map(|control| control.moved.as_slice()).unwrap_or_default();
        self.flat().iter().filter(|kind| moved.contains(kind)).count()
    }

    /// Two counters at rest, one of which counts kernels unless the control showed that both tell; and no more was drawn.
    fn is_flat(&self) -> bool {
        let flat = self.flat();
        let drew = self.stands(Kind::Energy, Standing::Moved);
        !drew && flat.len() >= 2 && (flat.iter().any(|kind| kind.counts_work()) || self.shown() >= 2)
    }
}

/// Judges the window.
pub fn judge(facts: &Facts, gpu_visible: &Fact<bool>) -> Judged {
    let nothing = |unknown: Unknown| Judged {
        overall: Err(unknown.clone()),
        gpus: Err(unknown),
        proven: false,
        elsewhere: String::new(),
        blind: Vec::new(),
    };
    if gpu_visible == &Fact::Known(false) {
        return nothing(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"));
    }
    let execution = &facts.execution;
    let counts = execution.requests_sent.read().and_then(|sent| Ok((*sent, *execution.requests_ok.read()?)));
    let (sent, accepted) = match counts {
        Ok(counts) => counts,
        Err(unknown) => return nothing(unknown),
    };
    let no_work = || Ok(("no_work", format!("none of {sent} requests was accepted, so no work reached the model")));
    let windows = match execution.gpus.read() {
        Ok(windows) if !windows.is_empty() => windows,
        Ok(_) if accepted > 0 => return nothing(Unknown::new(Why::Absent, "no GPU was watched")),
        Err(unknown) if accepted > 0 => return nothing(unknown),
        _ => return Judged { overall: no_work(), ..nothing(Unknown::new(Why::Absent, "no GPU was watched")) },
    };
    let owned = ownership::of(facts, windows);
    let all: Vec<Read> = windows.iter().zip(owned).map(|(window, owned)| read(facts, window, owned)).collect();
    let on = all.iter().any(|one| one.owned.place == Place::On);
    let decides = |one: &&Read| match on {
        true => one.owned.place == Place::On,
        false => one.owned.place != Place::Not,
    };
    let deciders: Vec<&Read> = all.iter().filter(decides).collect();
    // The work of others that NVML lists is theirs.
    let foreign = |one: &&Read| one.owned.others.as_ref().is_some_and(|others| !others.is_empty());
    let stray = all.iter().find(|one| !decides(one) && one.is_active() && !foreign(one));
    let works = deciders.iter().any(|one| one.is_active());
    let elsewhere = match stray.filter(|_| accepted > 0 && !works) {
        Some(one) => format!("{}, though {}", one.named(Standing::Moved).join("; "), one.owned.because),
        None => String::new(),
    };
    let overall = match (accepted, elsewhere.is_empty()) {
        (0, _) => no_work(),
        (_, false) => Ok(("active", elsewhere.clone())),
        _ => match (of_server(facts, &deciders), untouched(facts)) {
            (Ok(("active", words)), _) => Ok(("active", words)),
            (_, Some(words)) => Ok(("no_work", words)),
            (judged, None) => judged,
        },
    };
    let reached = !matches!(overall, Ok(("no_work", _)));
    let rests = matches!(overall, Ok(("idle" | "loaded_not_computing", _)));
    Judged {
        proven: rests && deciders.iter().all(|one| one.shown() >= 2),
        gpus: Ok(windows.iter().zip(&all).map(|(window, one)| told(window, one, reached)).collect()),
        blind: all.iter().filter_map(blind).collect(),
        elsewhere,
        overall,
    }
}

fn read(facts: &Facts, window: &GpuWindow, owned: Owned) -> Read {
    let rest = signals::usable(&window.utilization_percent).map(|phases| phases.before.max);
    let alignment = match (window.utilization_trace.known(), facts.execution.request_times.known(), rest) {
        (Some(trace), Some(times), Some(rest)) => Some(alignment::judge(trace, times, rest)),
        _ => None,
    };
    let clock_max = ownership::gpu_of(facts, window).and_then(|gpu| gpu.sm_clock_max_mhz.known());
    let around =
        Around { alignment, others: owned.others_at_work.clone(), clock_max_mhz: clock_max.map(|max| *max as f64) };
    let mut signals = signals::read(window, &around);
    let control = control::of(facts, window);
    for signal in signals.iter_mut().filter(|one| one.standing == Standing::Flat) {
        if control.as_ref().is_some_and(|control| control.blind.contains(&signal.kind)) {
            signal.standing = Standing::Open;
            signal.words.push_str(", but the doctor's own kernel did not move it either");
        }
    }
    let is_without_a_cycle = signals::usable(&window.sm_activity_percent)
        .is_some_and(|phases| phases.during.max < thresholds::sm_activity_none_percent())
        && signals.iter().any(|one| one.kind == Kind::SmActivity && one.standing == Standing::Flat);
    Read {
        name: format!("GPU {}", window.index),
        is_without_a_cycle,
        signals,
        owned,
        control,
        drew_far_more: signals::drew_far_more(window),
    }
}

/// Why the accepted requests never came to the model, in words; `None` where nothing says so.
///
/// A model that counted nothing beside a server that computes is another one: the server's own work counts there.
fn untouched(facts: &Facts) -> Option<String> {
    let cached = traffic::cached(facts).unwrap_or_default();
    let none_reached = "so no work reached the model";
    match served::computed(facts) {
        Ok((true, _)) => None,
        _ if served::some_computed(facts) => None,
        Ok((false, _)) | Err(_) if !cached.is_empty() => Some(format!("{cached}, {none_reached}")),
        _ => {
            let words = served::none_computed(facts).filter(|_| !ownership::computes_itself(facts))?;
            Some(format!("{words}, {none_reached}: a cache, a proxy or another server answers"))
        }
    }
}

/// The verdict on the GPUs that may be the server's.
fn of_server(facts: &Facts, deciders: &[&Read]) -> Result<(&'static str, String), Unknown> {
    let unsupported = |detail: String| Err(Unknown::new(Why::Unsupported, detail));
    let moved: Vec<String> =
        deciders.iter().filter(|one| one.is_active()).flat_map(|one| one.named(Standing::Moved)).collect();
    if !moved.is_empty() {
        return Ok(("active", moved.join("; ")));
    }
    if deciders.is_empty() {
        // One that hands its work on would be connected to another, and hold no device file either.
        let on_its_own = facts.execution.outbound_connections.known().is_some_and(Vec::is_empty);
        let without_gpu = facts.execution.device_nodes_open_after.known().is_some_and(Vec::is_empty);
        return match on_its_own && without_gpu && ownership::computes_itself(facts) {
            true => Ok((
                "idle",
                "the server computes on the CPU, holds no GPU device file open and is connected to no other \
                server; the GPUs' work is that of others"
                    .into(),
            )),
            false => unsupported("every watched GPU is used by others, and the server is on none of them".into()),
        };
    }
    // Every one must be known to be flat.
    if let Some(one) = deciders.iter().find(|one| !one.is_flat()) {
        if one.stands(Kind::Energy, Standing::Moved) {
            return unsupported(format!(
                "{} drew more while requests ran and no other counter tells of work, which may have fallen between two \
                 readings: {}",
                one.name,
                [one.words(Standing::Moved), one.words(Standing::Flat)].concat().join("; ")
            ));
        }
        let seen =
            [one.words(Standing::Flat), one.words(Standing::Moved), one.words(Standing::Open)].concat().join("; ");
        let seen = if seen.is_empty() { "none was read often enough".into() } else { seen };
        return unsupported(format!("{} shows too few counters to tell idle from work: {seen}", one.name));
    }
    let flat: Vec<String> = deciders.iter().flat_map(|one| one.named(Standing::Flat)).collect();
    let flat = flat.join("; ");
    let owned: Vec<Owned> = deciders.iter().map(|one| one.owned.clone()).collect();
    let context = ownership::holds_context(facts, &owned);
    if context == Some(false) {
        return Ok(("idle", flat));
    }
    // A server with a context on the GPU may work there too little to be seen: a kernel of 1 ms in a request of 100 ms is
    // below what the counters show. Only its own word or a busy CPU tells where the work went.
    let verdict = if context == Some(true) { "loaded_not_computing" } else { "idle" };
    let expected = proportion::expected(facts);
    if let Some(expected) = expected.as_ref().filter(|expected| expected.is_little()) {
        return unsupported(format!(
            "{}: too little GPU work to be seen. Raise the load, with a load generator beside the doctor or a longer input: \
             {flat}",
            expected.words
        ));
    }
    let is_under_way = expected.as_ref().is_some_and(|expected| expected.share >= thresholds::in_flight_share());
    if let Some(expected) = expected.filter(|expected| expected.told) {
        return Ok((verdict, format!("{flat}; {}", expected.words)));
    }
    // Activity of the multiprocessors is counted by cycles: 0.0 leaves room for nothing.
    if is_under_way && deciders.iter().all(|one| one.is_without_a_cycle) {
        return Ok((verdict, format!("{flat}; requests were under way for most of the window")));
    }
    let execution = &facts.execution;
    let cpu_ms = execution.server_cpu_ms.read().map_err(|unknown| {
        let detail =
            format!("the counters stayed at rest; what the server did instead is not known: {}", unknown.detail);
        Unknown::new(unknown.why, detail)
    })?;
    let window_ms = *execution.window_ms.read()?;
    if !ownership::computes_itself(facts) {
        let holds =
            if context == Some(true) { "the server holds GPU memory" } else { "the server may hold GPU memory" };
        return unsupported(format!("{holds} and little was to be done in the window, too little to be seen: {flat}"));
    }
    let cpu_percent = 100.0 * *cpu_ms / window_ms.max(1.0);
    Ok((verdict, format!("{flat}; the server's processes used {cpu_percent:.0} % of a CPU")))
}

fn told(window: &GpuWindow, one: &Read, reached: bool) -> GpuActivity {
    let verdict = match (reached, one.is_active(), one.is_flat(), one.owned.place) {
        (false, ..) => "no_work",
        (_, true, ..) => "active",
        (_, _, true, Place::On) => "loaded_not_computing",
        (_, _, true, _) => "idle",
        _ => "unknown",
    };
    GpuActivity {
        index: window.index,
        uuid: window.uuid.clone(),
        verdict: verdict.into(),
        moved: one.words(Standing::Moved),
        flat: one.words(Standing::Flat),
        open: one.words(Standing::Open),
        unsupported: one.words(Standing::Unsupported),
        server: one.owned.place.word().into(),
        server_because: one.owned.because.clone(),
    }
}

/// Counters that the doctor's kernel did not move, in words.
fn blind(one: &Read) -> Option<String> {
    let control = one.control.as_ref().filter(|control| !control.blind.is_empty())?;
    let names: Vec<&str> = control.blind.iter().map(|kind| kind.name()).collect();
    Some(format!("{}: {}", one.name, names.join(", ")))
}
