//! What the serving software's counters show of many requests at once: how they wait, are batched, and fill its memory.
//!
//! The doctor sends its requests one after the other, which no queue and no batch can come from. So only traffic of
//! others is judged: what was counted beyond the doctor's own requests, or before them; or the load that it made with
//! many users at once. Software that does not count leaves nothing open.

use super::load;
use super::memory;
use super::served;
use super::{Basis, EngineSaying};
use crate::snapshot::{EngineModel, Fact, Facts, ModelCounters, Unknown, Why, room};
use crate::words::grouped;

room! {
    /// What the counters show of load.
    pub struct Traffic {
        /// That too few requests come at once to keep the GPU busy, with the figures; empty if not.
        pub low_load: String,
        /// Models of Triton whose requests wait and are each computed alone, for want of `dynamic_batching`.
        pub unbatched_models: Vec<EngineSaying>,
        /// Models of Triton that have `dynamic_batching` and wait too shortly for a second request.
        pub narrow_batch_windows: Vec<EngineSaying>,
        /// Models of Triton whose requests wait far longer than they are computed.
        pub saturated_queues: Vec<EngineSaying>,
        /// Ensembles of Triton whose step on the CPU holds up the one on the GPU.
        pub upstream_bottlenecks: Vec<EngineSaying>,
        /// Models whose requests wait because the key-value cache is full.
        pub kv_cache_full: Vec<EngineSaying>,
        /// Models whose requests wait although the key-value cache is nearly empty.
        pub waiting_while_free: Vec<EngineSaying>,
        /// That a cache answered in the model's place, with the figures; empty if none did.
        pub cached_answers: String,
    }
}

/// Requests of others in the window from which on it is judged, and requests since the start.
const OTHERS_MIN: f64 = 10.0;
const TOTAL_MIN: f64 = 100.0;
/// Inferences by execution up to which nothing is batched, and up to which hardly anything is.
const ALONE: f64 = 1.05;
const HARDLY: f64 = 1.2;
/// Time in the queue that is worth speaking of, and that of a saturated queue, milliseconds; and how much longer than
/// the computation it must be there.
const QUEUE_MS: f64 = 5.0;
const SATURATED_MS: f64 = 50.0;
const SATURATED_TIMES: f64 = 2.0;
/// The same under the doctor's load: the guide's "overloaded".
const LOADED_MS: f64 = 100.0;
/// Time in the queue of the step that holds up an ensemble, milliseconds, and the share of it that the GPU's step has.
const HELD_UP_MS: f64 = 20.0;
const HELD_UP_SHARE: f64 = 0.1;
/// Key-value cache that counts as full, and as nearly empty, percent.
const FULL_PERCENT: f64 = 98.0;
const FREE_PERCENT: f64 = 20.0;
/// Requests at once up to which a load is low.
const LOW: f64 = 1.2;
/// Mean utilization between which low load is what keeps a GPU from more, percent.
const WORKS_PERCENT: f64 = 1.0;
const BUSY_PERCENT: f64 = 50.0;
/// Share of the answers from which on a cache is what answers.
const CACHED_SHARE: f64 = 0.5;

type Sayings = Result<Vec<EngineSaying>, Unknown>;

impl Traffic {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let of_each = |judge: fn(&Facts, &Observed) -> Option<String>| -> Sayings {
            let saying = |one: &Observed| Some(EngineSaying { model: one.name(), says: judge(facts, one)? });
            Ok(observed(facts)?.iter().filter_map(saying).collect())
        };
        Self {
            low_load: low_load(basis).into(),
            unbatched_models: of_each(unbatched).into(),
            narrow_batch_windows: of_each(narrow_window).map(|found| with_proposed(facts, found)).into(),
            saturated_queues: of_each(saturated).into(),
            upstream_bottlenecks: upstream(facts).into(),
            kv_cache_full: of_gauges(facts, kv_full).into(),
            waiting_while_free: of_gauges(facts, waiting_while_free).into(),
            cached_answers: cached(facts).into(),
        }
    }
}

/// Traffic of one model that others caused: in the window, or since the server started.
struct Observed<'a> {
    row: &'a ModelCounters,
    in_window: bool,
    inferences: Option<f64>,
    executions: Option<f64>,
    queue_ms: Option<f64>,
    compute_ms: Option<f64>,
    requests: f64,
    interval_ms: Option<f64>,
    /// The doctor's load, in words, if it is that.
    load: Option<String>,
}

impl<'a> Observed<'a> {
    /// What the counters gained in an interval.
    fn gained(row: &'a ModelCounters, requests: f64, interval_ms: Option<f64>) -> Self {
        Self {
            row,
            in_window: true,
            inferences: row.inferences.known().copied(),
            executions: row.executions.known().copied(),
            queue_ms: row.queue_ms.known().copied(),
            compute_ms: row.compute_ms.known().copied(),
            requests,
            interval_ms,
            load: None,
        }
    }

    fn name(&self) -> String {
        self.row.model.clone()
    }

    /// Inferences by execution, which only Triton counts.
    fn batch(&self) -> Option<f64> {
        let executions = self.executions.filter(|executions| *executions > 0.0)?;
        Some(self.inferences? / executions)
    }

    /// Requests at once on average, by Little's law.
    fn concurrency(&self) -> Option<f64> {
        let interval = self.interval_ms.filter(|_| self.in_window)?;
        Some(self.requests * self.row.request_ms.known()? / interval)
    }

    fn when(&self) -> String {
        if let Some(load) = &self.load {
            return format!("with {load}");
        }
        match self.interval_ms.filter(|_| self.in_window) {
            Some(interval) => format!("within {:.1} s", interval / 1e3),
            None if self.in_window => "between the two readings".into(),
            None => "since the server started".into(),
        }
    }
}

fn not_asked(detail: &str) -> Unknown {
    Unknown::new(Why::NotAsked, detail)
}

fn rows(facts: &Facts) -> Result<&[ModelCounters], Unknown> {
    Ok(facts.counters.models.read()?)
}

/// Requests of the doctor's own between the readings; none where it was not to send any.
fn own(facts: &Facts) -> Result<f64, Unknown> {
    match &facts.execution.requests_sent {
        Fact::Known(sent) => Ok(*sent as f64),
        Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => Ok(0.0),
        Fact::Unknown(_) => Err(not_asked("how many of the counted requests are the doctor's own is not known")),
    }
}

/// Models under the load that the doctor made, or else with enough traffic of others.
fn observed(facts: &Facts) -> Result<Vec<Observed<'_>>, Unknown> {
    match under_load(facts) {
        Some(observed) => Ok(observed),
        None => of_others(facts),
    }
}

/// Models in the load's step that tells most, if the server counted in it.
fn under_load(facts: &Facts) -> Option<Vec<Observed<'_>>> {
    let (step, load) = load::told(facts)?;
    let one = |row| {
        let requests = requests(row).filter(|requests| *requests >= OTHERS_MIN)?;
        Some(Observed { load: Some(load.clone()), ..Observed::gained(row, requests, Some(step.window_ms)) })
    };
    Some(step.models.known()?.iter().filter_map(one).collect())
}

/// Models with enough traffic of others.
fn of_others(facts: &Facts) -> Result<Vec<Observed<'_>>, Unknown> {
    let interval_ms = facts.counters.interval_ms.known().copied();
    let rows = rows(facts)?;
    let own = own(facts)?;
    let one = |row| {
        let requests = requests(row).unwrap_or(0.0);
        if requests - own >= OTHERS_MIN {
            return Some(Observed::gained(row, requests, interval_ms));
        }
        let totals = row.totals.known()?;
        let requests = *totals.requests_ok.known().filter(|requests| **requests >= TOTAL_MIN)?;
        Some(Observed {
            row,
            in_window: false,
            inferences: totals.inferences.known().copied(),
            executions: totals.executions.known().copied(),
            queue_ms: totals.queue_ms.known().copied(),
            compute_ms: totals.compute_ms.known().copied(),
            requests,
            interval_ms: None,
            load: None,
        })
    };
    Ok(rows.iter().filter_map(one).collect())
}

fn requests(row: &ModelCounters) -> Option<f64> {
    row.requests_ok.known().or(row.requests_taken.known()).copied()
}

fn configured<'a>(facts: &'a Facts, name: &str) -> Option<&'a EngineModel> {
    facts.engine.models.known()?.iter().find(|model| model.name == name)
}

fn whole(number: f64) -> String {
    grouped(number.max(0.0).round() as u64)
}

/// Requests wait for the model, and it takes one at a time.
fn unbatched(facts: &Facts, one: &Observed) -> Option<String> {
    let (batch, queue, compute) = (one.batch()?, one.queue_ms?, one.compute_ms?);
    if batch > ALONE || queue < QUEUE_MS || queue < compute / 2.0 {
        return None;
    }
    let model = configured(facts, &one.row.model);
    let size = model.and_then(|model| model.max_batch_size.known().copied());
    let batches = model.and_then(|model| model.dynamic_batching.known().copied());
    let is_ensemble = model.and_then(|model| model.steps.known()).is_some_and(|steps| !steps.is_empty());
    let because = match (size, batches) {
        _ if is_ensemble => return None,
        (Some(0), _) => "its configuration has max_batch_size 0",
        (Some(1), _) => "its configuration has max_batch_size 1",
        (_, Some(false)) => "its configuration has no dynamic_batching",
        (_, Some(true)) => return None,
        (_, None) => "its configuration was not seen",
    };
    Some(format!(
        "{} inferences in {} executions {}, each after {queue:.1} ms in the queue for {compute:.1} ms of computation; {because}",
        whole(one.inferences?),
        whole(one.executions?),
        one.when(),
    ))
}

/// Several requests at once, a batching that is on, and batches of one.
fn narrow_window(facts: &Facts, one: &Observed) -> Option<String> {
    let model = configured(facts, &one.row.model)?;
    let batches = model.dynamic_batching.known() == Some(&true) && model.max_batch_size.known() > Some(&1);
    let (batch, delay, concurrency) = (one.batch()?, *model.batch_delay_ms.known()?, one.concurrency()?);
    let apart = one.interval_ms? / one.requests;
    if !batches || batch >= HARDLY || concurrency < 2.0 || delay >= apart / 2.0 {
        return None;
    }
    Some(format!(
        "{concurrency:.1} requests at once, {apart:.1} ms apart, and batches of {batch:.2} on average; \
         max_queue_delay_microseconds is {:.0}",
        delay * 1e3
    ))
}

/// With the models whose window the load's figures speak against, batches of more than one included.
fn with_proposed(facts: &Facts, mut found: Vec<EngineSaying>) -> Vec<EngineSaying> {
    let Some((step, load)) = load::told(facts) else { return found };
    for change in load::config_changes(facts, step) {
        let has_window =
            configured(facts, &change.model).is_some_and(|model| model.dynamic_batching.known() == Some(&true));
        let is_window = change.lines.iter().any(|line| line.contains("max_queue_delay_microseconds"));
        if has_window && is_window && !found.iter().any(|one| one.model == change.model) {
            found.push(EngineSaying { says: format!("with {load}, {}", change.pays), model: change.model });
        }
    }
    found
}

fn saturated(facts: &Facts, one: &Observed) -> Option<String> {
    one.batch()?;
    let (queue, compute) = (one.queue_ms.filter(|_| one.in_window)?, one.compute_ms?);
    // What the configuration makes them wait for others is no saturation.
    let meant = configured(facts, &one.row.model).and_then(|model| model.batch_delay_ms.known().copied());
    let waited = queue - meant.unwrap_or(0.0);
    // A load that is to find the end of a server waits by design.
    let least = if one.load.is_some() { LOADED_MS } else { SATURATED_MS };
    if waited < least || waited < SATURATED_TIMES * compute {
        return None;
    }
    let waiting = one.row.waiting_most.known().filter(|waiting| **waiting > 0.0);
    let waiting = waiting.map(|waiting| format!(", up to {waiting:.0} at once")).unwrap_or_default();
    Some(format!(
        "{} requests {} waited {queue:.0} ms on average for {compute:.1} ms of computation{waiting}",
        whole(one.requests),
        one.when()
    ))
}

/// Ensembles whose step on the CPU has the longest queue while the one on the GPU has hardly any.
fn upstream(facts: &Facts) -> Sayings {
    let observed = observed(facts)?;
    let device = |name: &str| configured(facts, name).and_then(|model| model.device.known()).map(String::as_str);
    let mut found = Vec::new();
    for ensemble in facts.engine.models.known().into_iter().flatten() {
        let steps: Vec<(&Observed, f64)> = ensemble
            .steps
            .known()
            .into_iter()
            .flatten()
            .filter_map(|step| observed.iter().find(|one| &one.row.model == step && one.in_window))
            .filter_map(|one| Some((one, one.queue_ms?)))
            .collect();
        let Some((slowest, queue)) = steps.iter().max_by(|(_, a), (_, b)| a.total_cmp(b)) else { continue };
        let starved = steps.iter().find(|(one, _)| matches!(device(&one.row.model), Some("gpu" | "both")));
        let Some((starved, little)) = starved else { continue };
        if device(&slowest.row.model) == Some("cpu") && *queue >= HELD_UP_MS && *little <= HELD_UP_SHARE * queue {
            let says = format!(
                "{} on the CPU, where requests wait {queue:.0} ms, holds up {} on the GPU, where they wait {little:.1} ms",
                slowest.row.model, starved.row.model
            );
            found.push(EngineSaying { model: ensemble.name.clone(), says });
        }
    }
    Ok(found)
}

fn of_gauges(facts: &Facts, judge: fn(&ModelCounters) -> Option<String>) -> Sayings {
    let saying = |row: &ModelCounters| Some(EngineSaying { model: row.model.clone(), says: judge(row)? });
    Ok(rows(facts)?.iter().filter_map(saying).collect())
}

fn kv_full(row: &ModelCounters) -> Option<String> {
    let (kv, waiting) = (*row.kv_cache_percent.known()?, *row.waiting_most.known()?);
    if kv < FULL_PERCENT || waiting < 1.0 {
        return None;
    }
    let preempted = row.preemptions.known().filter(|count| **count > 0.0);
    let preempted = preempted.map(|count| format!(", and {count:.0} were put back")).unwrap_or_default();
    Some(format!("{kv:.0} % of the key-value cache in use while {waiting:.0} requests waited{preempted}"))
}

fn waiting_while_free(row: &ModelCounters) -> Option<String> {
    let (kv, waiting) = (*row.kv_cache_percent.known()?, *row.waiting_most.known()?);
    // A request that was caught on its way from the queue has not waited.
    let waited = row.queue_ms.known().is_none_or(|queue| *queue >= SATURATED_MS);
    if kv >= FREE_PERCENT || waiting < 2.0 || !waited {
        return None;
    }
    let running = row.running_most.known().map(|running| format!(", and at most {running:.0} ran")).unwrap_or_default();
    Some(format!("{waiting:.0} requests waited while at most {kv:.0} % of the key-value cache was in use{running}"))
}

/// Few requests at once, of others or by the word of files, on a GPU that works.
fn low_load(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    let said = match recorded_load(facts) {
        Some(said) => said,
        None => counted_load(facts)?,
    };
    // A GPU that does nothing for requests is not short of them.
    if said.is_empty() || matches!(basis.activity, Ok(("idle" | "loaded_not_computing", _))) {
        return Ok(String::new());
    }
    let busy = memory::busy_percent(facts, &basis.gpu_visible).ok().or_else(|| told_busy(facts));
    match busy.ok_or_else(|| not_asked("how busy the GPUs were meanwhile is not known"))? {
        busy if (WORKS_PERCENT..=BUSY_PERCENT).contains(&busy) => {
            Ok(format!("{said}, and the GPU was {busy:.0} % busy"))
        }
        _ => Ok(String::new()),
    }
}

fn told_busy(facts: &Facts) -> Option<f64> {
    let gpus = facts.counters.gpus.known()?.iter().filter_map(|gpu| gpu.utilization_percent.known().copied());
    gpus.reduce(f64::max)
}

/// Of requests in files; none where they are no load to speak of.
fn recorded_load(facts: &Facts) -> Option<String> {
    let recorded = facts.recorded.requests.known()?;
    let concurrency = *recorded.concurrency.known()?;
    let enough =
        recorded.count >= 20 && recorded.ok.known().is_some_and(|ok| *ok as f64 >= 0.9 * recorded.count as f64);
    let said = format!("The {} recorded requests ran {concurrency:.1} at once on average", recorded.count);
    enough.then(|| if concurrency <= LOW { said } else { String::new() })
}

/// Of what the server counted beyond the doctor's requests.
fn counted_load(facts: &Facts) -> Result<String, Unknown> {
    let observed = of_others(facts)?;
    let busiest =
        observed.iter().filter_map(|one| Some((one, one.concurrency()?))).max_by(|(_, a), (_, b)| a.total_cmp(b));
    let (one, concurrency) = busiest.ok_or_else(|| not_asked("no load but the doctor's was counted"))?;
    let mine: f64 = facts.execution.request_times.known().into_iter().flatten().map(|time| time.duration_ms).sum();
    let others = (concurrency - mine / one.interval_ms.unwrap_or(f64::INFINITY)).max(0.0);
    let waits = one.row.waiting_most.known().is_some_and(|waiting| *waiting > 1.0);
    if others > LOW || waits {
        return Ok(String::new());
    }
    let requests = whole(one.requests - own(facts)?);
    Ok(format!("{requests} requests of others ran {others:.1} at once on average {}", one.when()))
}

/// Answers that no model computed, in words; empty if none is known.
///
/// # Errors
/// That nothing tells it.
pub fn cached(facts: &Facts) -> Result<String, Unknown> {
    let exchanges = [&facts.request.client, &facts.request.good].into_iter().filter_map(Fact::known);
    for exchange in exchanges.filter(|exchange| exchange.accepted) {
        let hit = ["x-cache", "cf-cache-status"].into_iter().find_map(|name| {
            let value = exchange.headers.get(name)?;
            value.to_ascii_uppercase().starts_with("HIT").then(|| format!("{name}: {value}"))
        });
        if let Some(hit) = hit {
            return Ok(format!("{} {} was answered by a cache ({hit})", exchange.method, exchange.path));
        }
    }
    if let Some(said) = load::cached(facts).filter(|said| !said.is_empty()) {
        return Ok(said);
    }
    let rows = match served::of_requests(facts) {
        Ok(rows) => rows,
        Err(_) if facts.request.good.known().is_some() => return Ok(String::new()),
        Err(unknown) => return Err(rows(facts).err().unwrap_or(unknown)),
    };
    for row in rows {
        let share = |hits: f64, requests: f64, least: f64| requests >= least && hits >= CACHED_SHARE * requests;
        let gained = row.cache_hits.known().zip(row.requests_ok.known());
        let totals = row.totals.known().and_then(|totals| totals.cache_hits.known().zip(totals.requests_ok.known()));
        let said = |hits: f64, requests: f64, when: &str| {
            format!(
                "{} of {} requests to {}{when} were answered from its response cache",
                whole(hits),
                whole(requests),
                row.model
            )
        };
        match (gained, totals) {
            (Some((hits, requests)), _) if share(*hits, *requests, 1.0) => return Ok(said(*hits, *requests, "")),
            (_, Some((hits, requests))) if share(*hits, *requests, TOTAL_MIN) => {
                return Ok(said(*hits, *requests, " since the server started"));
            }
            _ => {}
        }
    }
    Ok(String::new())
}
