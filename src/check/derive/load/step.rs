//! The verdict on each step, by the thresholds.

use super::counted;
use super::thresholds::{Band, Bands, Grade, Limits, bands, figures, grades};
use crate::snapshot::{Fact, Facts, GpuWindow, LoadStep, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgedStep {
    /// Connections that sent at once.
    pub users: u64,
    /// Requests a second that were to start; not asked for where users wait for answers.
    pub rate_rps: Fact<f64>,
    /// `healthy`, `degraded`, `overloaded`; `refused` where its figures contradict one another, `client_limited` where
    /// the doctor could not send more, `undecided` where too little is known.
    pub verdict: String,
    /// Why, worst first, one clause each.
    pub because: Vec<String>,
    /// Accepted of all requests that were started or could not be started in time, percent.
    pub success_percent: Fact<f64>,
    /// By how much throughput x latency differs from the requests under way, percent.
    pub littles_law_percent: Fact<f64>,
    /// Mean time in the queue of the serving software, milliseconds.
    pub queue_ms: Fact<f64>,
    /// Band of that time: `excellent`, `good`, `acceptable`, `overloaded`.
    pub queue_band: Fact<String>,
    /// What that says of the server.
    pub queue_says: Fact<String>,
    /// Mean size of the batches that the model computed.
    pub batch_size: Fact<f64>,
    /// Mean time of a request in the model, milliseconds.
    pub inference_ms: Fact<f64>,
    /// Band of that time: `excellent`, `good`, `acceptable`, `slow`.
    pub inference_band: Fact<String>,
    /// What that says of the server.
    pub inference_says: Fact<String>,
    /// Accepted answers a second.
    pub throughput_rps: f64,
    /// Mean time of an accepted request, milliseconds.
    pub mean_ms: Fact<f64>,
}

impl JudgedStep {
    /// Whether its figures may be reckoned with.
    pub fn counts(&self) -> bool {
        matches!(self.verdict.as_str(), "healthy" | "degraded" | "overloaded")
    }

    /// Whether users wait for answers, so that their number is the load.
    pub fn is_closed(&self) -> bool {
        self.rate_rps.known().is_none()
    }

    /// The load in words: `50 users`, `120 requests a second`.
    pub fn load(&self) -> String {
        match self.rate_rps.known() {
            Some(rate) => format!("{rate:.0} requests a second"),
            None if self.users == 1 => "1 user".into(),
            None => format!("{} users", self.users),
        }
    }
}

/// One figure of a step with its grade.
struct Graded {
    grade: Grade,
    alone: bool,
    words: String,
}

/// What the lightest load showed, against which slow models and busy GPUs are held.
struct Lightest {
    end_to_end_ms: f64,
    inference_ms: f64,
    utilization_percent: f64,
}

/// Every step of the room, judged.
///
/// # Errors
/// Why no steps are known.
pub fn judge(facts: &Facts) -> Result<Vec<JudgedStep>, Unknown> {
    let interrupted = facts.load.stopped_by.known().is_some_and(|by| by == "interrupted");
    Ok(of(facts, facts.load.steps.read()?, interrupted))
}

/// These steps, judged with what is known besides; the last of them may have been `interrupted`.
pub fn of(facts: &Facts, steps: &[LoadStep], interrupted: bool) -> Vec<JudgedStep> {
    let lightest = lightest(facts, steps);
    let last = steps.len().saturating_sub(1);
    let judged = |(at, step)| one(facts, step, &lightest, interrupted && at == last, steps.len() > 1);
    steps.iter().enumerate().map(judged).collect()
}

/// Mean of accepted requests, milliseconds.
pub fn mean_ms(step: &LoadStep) -> Result<f64, Unknown> {
    let mean = step.latency_ms.read()?.mean;
    match mean.is_finite() && mean > 0.0 {
        true => Ok(mean),
        false => Err(Unknown::new(Why::Malformed, format!("a mean of {mean} ms is none"))),
    }
}

/// How long a request takes where no other runs, milliseconds: the mean with a single user; else the least of the lightest
/// step's mean and the window's median, whose requests were sent one by one.
pub fn unloaded_ms(facts: &Facts, steps: &[LoadStep]) -> Option<f64> {
    let lightest = steps.iter().filter(|step| step.ok > 0).min_by_key(|step| step.users);
    let stepped = lightest.and_then(|step| mean_ms(step).ok());
    let alone = facts.execution.request_ms_median.known().copied().filter(|ms| ms.is_finite() && *ms > 0.0);
    let alone = alone.filter(|_| lightest.is_none_or(|step| step.users > 1 || step.rate_rps.known().is_some()));
    stepped.into_iter().chain(alone).reduce(f64::min)
}

fn lightest(facts: &Facts, steps: &[LoadStep]) -> Lightest {
    let step = steps.iter().filter(|step| step.ok > 0).min_by_key(|step| step.users);
    Lightest {
        end_to_end_ms: unloaded_ms(facts, steps).unwrap_or(0.0),
        inference_ms: step.and_then(|step| counted::inference_ms(facts, step).ok()).unwrap_or(0.0),
        utilization_percent: step.and_then(utilization).unwrap_or(0.0),
    }
}

/// Mean utilization of the busiest GPU, percent.
pub fn utilization(step: &LoadStep) -> Option<f64> {
    let of = |gpu: &GpuWindow| {
        gpu.utilization_percent.known().filter(|one| one.during.samples > 0).map(|one| one.during.mean)
    };
    step.gpus.known()?.iter().filter_map(of).reduce(f64::max)
}

fn one(facts: &Facts, step: &LoadStep, lightest: &Lightest, cut: bool, several: bool) -> JudgedStep {
    let success = success_percent(step, cut);
    let little = littles_law(step);
    let queue = counted::queue_ms(facts, step);
    let inference = counted::inference_ms(facts, step);
    let (verdict, because) = match doubt(step, &little) {
        Some((verdict, words)) => (verdict, vec![words]),
        None => verdict(graded(facts, step, lightest, several, &success, &inference)),
    };
    let (queue_band, queue_says) = banded(&queue, bands::queue_ms());
    let (inference_band, inference_says) = banded(&inference, bands::inference_ms());
    JudgedStep {
        users: step.users,
        rate_rps: step.rate_rps.clone(),
        verdict: verdict.into(),
        because,
        success_percent: success.into(),
        littles_law_percent: little.into(),
        queue_band,
        queue_says,
        queue_ms: queue.into(),
        batch_size: counted::batch_size(facts, step).into(),
        inference_band,
        inference_says,
        inference_ms: inference.into(),
        throughput_rps: step.throughput_rps,
        mean_ms: mean_ms(step).into(),
    }
}

/// The name of a figure's band, and what it says.
fn banded(value: &Result<f64, Unknown>, bands: &Bands) -> (Fact<String>, Fact<String>) {
    let of = |tell: fn(&Band) -> &String| {
        let text = |value: f64| bands.of(value).map(|band| tell(band).clone()).unwrap_or_default();
        Fact::from(value.clone().map(text))
    };
    (of(|band| &band.name), of(|band| &band.says))
}

/// Accepted of what was meant to be sent; where the run was cut short, of what came to an end.
fn success_percent(step: &LoadStep, cut: bool) -> Result<f64, Unknown> {
    let ended = step.ok.saturating_add(step.failed);
    let meant = if cut { ended } else { step.requests.saturating_add(step.dropped).max(ended) };
    match meant {
        0 => Err(Unknown::new(Why::Absent, "no request was started")),
        meant => Ok(100.0 * step.ok as f64 / meant as f64),
    }
}

/// By how much the step's own figures contradict one another, percent. Requests that end after the window belong to their
/// latency and not to its throughput: what they can make up is left out.
fn littles_law(step: &LoadStep) -> Result<f64, Unknown> {
    const FEW_FAILED: f64 = 0.01;
    let not_asked = |detail: String| Unknown::new(Why::NotAsked, detail);
    let mean = mean_ms(step)?;
    let lost = step.failed.saturating_add(step.unfinished);
    if lost as f64 > FEW_FAILED * step.requests as f64 {
        return Err(not_asked(format!("{lost} requests were not accepted, whose times are not known")));
    }
    if !(step.throughput_rps > 0.0 && step.in_flight_mean > 0.0 && step.ok > 0) {
        return Err(not_asked("no request was accepted inside the window".into()));
    }
    let ends = step.in_flight_mean / step.ok as f64;
    let differs = (step.throughput_rps * mean / 1e3 / step.in_flight_mean - 1.0).abs() - ends;
    Ok(100.0 * differs.max(0.0))
}

/// Why a step's figures are not to be reckoned with.
fn doubt(step: &LoadStep, little: &Result<f64, Unknown>) -> Option<(&'static str, String)> {
    if let Some(share) = own_cpu_share(step).filter(|share| *share >= figures::own_cpu_share()) {
        let busy = 100.0 * share;
        return Some((
            "client_limited",
            format!("the doctor's own thread was busy {busy:.0} % of the time and could not send more"),
        ));
    }
    match little {
        Ok(percent) if *percent > figures::littles_law_percent() => Some((
            "refused",
            format!(
                "{:.1} requests a second of {:.1} ms each would be {:.1} under way, and {:.1} were: the figures differ by {percent:.0} %",
                step.throughput_rps,
                mean_ms(step).unwrap_or_default(),
                step.throughput_rps * mean_ms(step).unwrap_or_default() / 1e3,
                step.in_flight_mean,
            ),
        )),
        _ => None,
    }
}

/// Share of the window in which the doctor's own thread was busy.
pub fn own_cpu_share(step: &LoadStep) -> Option<f64> {
    let cpu = *step.own_cpu_ms.known()?;
    (step.window_ms > 0.0 && cpu.is_finite()).then(|| cpu / step.window_ms)
}

fn graded(
    facts: &Facts,
    step: &LoadStep,
    lightest: &Lightest,
    several: bool,
    success: &Result<f64, Unknown>,
    inference: &Result<f64, Unknown>,
) -> Vec<Graded> {
    let mut all = Vec::new();
    let mut put = |limits: Option<Limits>, value: Option<f64>, words: &dyn Fn(f64, &Limits) -> String| {
        if let (Some(limits), Some(value)) = (limits, value.filter(|value| value.is_finite())) {
            let grade = limits.grade(value);
            all.push(Graded { grade, alone: limits.alone, words: words(value, &limits) });
        }
    };
    let from = |limits: &Limits, unit: &str| {
        format!("degraded from {:.0}{unit}, overloaded above {:.0}", limits.degraded, limits.overloaded)
    };
    // One or two of few are an incident and no load.
    let lost = step.requests.saturating_add(step.dropped).saturating_sub(step.ok);
    let by_success = grades::success_percent().clone().alone_if(lost >= 3 || step.ok == 0);
    put(Some(by_success), success.as_ref().ok().copied(), &|value, limits| {
        let dropped =
            if step.dropped > 0 { format!(", {} could not be started in time", step.dropped) } else { String::new() };
        format!("{value:.1} % of the requests were accepted{dropped} (overloaded below {:.0} %)", limits.overloaded)
    });
    // So is one that took long: a tenth of them must have.
    let p90 = step.latency_ms.known().map_or(f64::INFINITY, |spread| spread.p90);
    let by_time = grades::end_to_end_ms().beside(lightest.end_to_end_ms);
    let by_time = by_time.map(|limits| {
        let many = p90 >= limits.degraded;
        limits.alone_if(many)
    });
    put(by_time, mean_ms(step).ok(), &|value, limits| {
        format!("a request takes {value:.0} ms ({})", from(limits, " ms"))
    });
    put(grades::inference_ms().beside(lightest.inference_ms), inference.as_ref().ok().copied(), &|value, limits| {
        format!("the model takes {value:.1} ms of it ({})", from(limits, " ms"))
    });
    // A single step has no lighter one: what it shows may be there without any load.
    let utilization = utilization(step).filter(|_| several);
    put(grades::utilization_percent().beside(lightest.utilization_percent), utilization, &|value, limits| {
        format!("a GPU is {value:.0} % busy ({})", from(limits, " %"))
    });
    for gpu in step.gpus.known().into_iter().flatten() {
        let name = format!("GPU {}", gpu.index);
        if let Some((before, most)) = memory_percent(facts, gpu) {
            put(grades::memory_percent().beside(before), Some(most), &|value, limits| {
                format!("{name} has {value:.0} % of its memory in use ({})", from(limits, " %"))
            });
        }
        let hottest = gpu.temperature_celsius.known().filter(|one| one.during.samples > 0).map(|one| one.during.max);
        put(Some(grades::temperature_celsius().clone()), hottest, &|value, limits| {
            format!("{name} is {value:.0} C hot ({})", from(limits, " C"))
        });
    }
    all
}

/// Highest use of the GPU's memory before the load and in the step, percent.
fn memory_percent(facts: &Facts, gpu: &GpuWindow) -> Option<(f64, f64)> {
    let used = gpu.memory_used_bytes.known().filter(|used| used.during.samples > 0)?;
    let all = facts.nvml.gpus.known()?.iter().find(|one| one.index == gpu.index)?;
    let total = all.memory_total_bytes.known().filter(|total| **total > 0)?;
    let percent = |bytes: f64| 100.0 * bytes / *total as f64;
    let before = if used.before.samples > 0 { used.before.max } else { 0.0 };
    Some((percent(before), percent(used.during.max)))
}

/// The worst grade; a figure of the card alone makes no step overloaded whose requests are served well.
fn verdict(mut all: Vec<Graded>) -> (&'static str, Vec<String>) {
    if all.is_empty() {
        return ("undecided", vec!["no request came to an end".into()]);
    }
    let counted = |one: &Graded| if one.alone { one.grade } else { one.grade.min(Grade::Degraded) };
    let grade = all.iter().map(counted).max().unwrap_or(Grade::Healthy);
    all.sort_by_key(|one| std::cmp::Reverse(counted(one)));
    let because = all.into_iter().filter(|one| one.grade > Grade::Healthy).map(|one| one.words).collect();
    (grade.name(), because)
}
