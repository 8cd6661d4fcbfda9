//! Where the time of a request goes: network, framework, queue, preparation, inference.
//!
//! What is measured is taken as it is, from the inside out; what is left belongs to the next one out. The parts are means
//! and add up to the mean of a request.

use super::step::mean_ms;
use super::thresholds::figures;
use super::{config, counted};
use crate::snapshot::{Facts, LoadStep, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of a request's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimePart {
    /// `inference`, `queue`, `preparation` (work of the server's processors beside the model), `network_and_framework`
    /// (what a request without any work takes), `network` (the answer on its way), or `waiting` (for what is not told: a
    /// worker, a lock, another service).
    pub part: String,
    /// Its mean, milliseconds.
    pub ms: f64,
    /// Its share of a request, percent.
    pub percent: f64,
    /// Who tells it.
    pub told_by: String,
}

/// How the time of a step's requests divides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeSplit {
    /// The load: `50 users`.
    pub load: String,
    /// Mean time of a request, milliseconds.
    pub request_ms: f64,
    /// Its parts, the largest first.
    pub parts: Vec<TimePart>,
    /// The part that dominates; empty where none does.
    pub dominates: String,
    /// What a change would pay, in numbers.
    pub pays: Vec<String>,
}

/// What is left to be given away, and to whom it was given.
struct Rest {
    total: f64,
    left: f64,
    parts: Vec<TimePart>,
}

impl Rest {
    /// Gives a part what it was measured to have, as far as that is left.
    fn give(&mut self, part: &str, ms: f64, told_by: impl Into<String>) {
        let ms = if ms.is_finite() { ms.clamp(0.0, self.left) } else { 0.0 };
        self.left -= ms;
        let percent = (1000.0 * ms / self.total).round() / 10.0;
        self.parts.push(TimePart { part: part.into(), ms, percent, told_by: told_by.into() });
    }
}

/// How the time of the step's requests divides.
///
/// # Errors
/// What of it nothing tells.
pub fn of(facts: &Facts, step: &LoadStep, load: String) -> Result<TimeSplit, Unknown> {
    let total = mean_ms(step)?;
    let inference = counted::inference_ms(facts, step).map_err(|unknown| {
        let why = if unknown.why == Why::Absent { Why::NotAsked } else { unknown.why };
        Unknown::new(why, format!("the server does not tell its model's time ({})", unknown.detail))
    })?;
    let mut rest = Rest { total, left: total, parts: Vec::new() };
    rest.give("inference", inference, counted::told_by(facts, step));
    if let Ok(queue) = counted::queue_ms(facts, step) {
        rest.give("queue", queue, counted::told_by(facts, step));
    }
    // The server's own time of a request leaves nothing to be guessed.
    let handled = handled_ms(facts, step);
    if let Some(handled) = handled {
        let taken: f64 = rest.parts.iter().map(|part| part.ms).sum();
        let told_by = format!("a request's time by {}, without queue and inference", counted::told_by(facts, step));
        rest.give("preparation", handled - taken, told_by);
    }
    if let Some(first_byte) = step.first_byte_ms.known() {
        rest.give("network", total - first_byte.mean, "the time from an answer's first byte to its last");
    }
    if let Some(light) = facts.execution.light_request_idle_ms.known().filter(|_| handled.is_none()) {
        rest.give("network_and_framework", *light, "a light request to the same server");
    }
    if let Some(cpu) = cpu_ms(step).filter(|_| handled.is_none()) {
        rest.give("preparation", cpu, "processor time of the server for a request");
    }
    let left = rest.left;
    let known = |part: &str| rest.parts.iter().any(|one| one.part == part);
    match (known("network_and_framework"), known("preparation")) {
        (true, true) => rest.give("waiting", left, "what is left"),
        (true, false) => rest.give("preparation", left, "what is left; the server's processor time is not known"),
        (false, _) if handled.is_some() => {
            rest.give("network_and_framework", left, "what the server's own time of a request leaves");
        }
        (false, _) => {
            // What is there without load stays; what more users add is time in which nothing is done for them.
            let unloaded = unloaded_rest_ms(facts, step).filter(|unloaded| *unloaded < left);
            let told_by = match unloaded {
                Some(_) => "what is left of a request at the lightest load",
                None => "what is left; no light request was sent",
            };
            rest.give("network_and_framework", unloaded.unwrap_or(left), told_by);
            let left = rest.left;
            rest.give("waiting", left, "what more users add");
        }
    }
    let mut parts = rest.parts;
    parts.retain(|part| part.ms > 0.0);
    parts.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let dominant = parts.first().filter(|part| part.ms >= figures::dominant_share() * total);
    let dominates = dominant.map(|part| part.part.clone()).unwrap_or_default();
    let pays = dominant.map(|part| told(facts, step, part, total)).into_iter().collect();
    Ok(TimeSplit { load, request_ms: total, parts, dominates, pays })
}

/// Processor time of the server for an accepted request, milliseconds.
pub fn cpu_ms(step: &LoadStep) -> Option<f64> {
    let cpu = *step.server_cpu_ms.known()?;
    (step.ok > 0 && cpu.is_finite() && cpu >= 0.0).then(|| cpu / step.ok as f64)
}

/// Time of a request by the counters of the very server that is asked, milliseconds. A page of the model's server behind an
/// application tells nothing of that application.
fn handled_ms(facts: &Facts, step: &LoadStep) -> Option<f64> {
    facts.engine.kind.known().filter(|kind| *kind != "unrecognized")?;
    let ms = *counted::row(facts, step).ok()?.request_ms.known()?;
    (ms.is_finite() && ms > 0.0).then_some(ms)
}

/// What queue, inference and processor time leave of a request at the lightest load, milliseconds; `None` for that load
/// itself, and where one of the two loads tells a part that the other does not: their rests are not of the same things.
fn unloaded_rest_ms(facts: &Facts, step: &LoadStep) -> Option<f64> {
    let steps = facts.load.steps.known()?.iter().filter(|one| one.ok > 0);
    let lightest = steps.min_by(|a, b| a.in_flight_mean.total_cmp(&b.in_flight_mean))?;
    if lightest.in_flight_mean >= step.in_flight_mean {
        return None;
    }
    let both = |then: Option<f64>, now: Option<f64>| match (then, now) {
        (Some(ms), Some(_)) => Some(ms),
        (None, None) => Some(0.0),
        _ => None,
    };
    let queue = |step| counted::queue_ms(facts, step).ok();
    let told = counted::inference_ms(facts, lightest).ok()?
        + both(queue(lightest), queue(step))?
        + both(cpu_ms(lightest), cpu_ms(step))?;
    Some((mean_ms(lightest).ok()? - told).max(0.0))
}

/// Times its time alone from which on a model is slowed down by its neighbours.
const SLOWED: f64 = 2.0;

/// What the part that dominates comes to, and what a change would pay. Lines for a configuration tell more than these.
fn told(facts: &Facts, step: &LoadStep, part: &TimePart, total: f64) -> String {
    let share = format!("{:.1} of {total:.1} ms ({:.0} %)", part.ms, part.percent);
    match part.part.as_str() {
        "queue" if !config::changes(facts, step).is_empty() => {
            format!("waiting in the queue takes {share}; without it a request would take {:.1} ms", total - part.ms)
        }
        "inference" => match config::alone_ms(facts).filter(|alone| SLOWED * alone <= part.ms) {
            Some(alone) => format!(
                "the model takes {share}, and {alone:.1} ms where no other request is: its instances wait for one another, or \
                 larger batches take it longer"
            ),
            None => pays(part, total),
        },
        _ => pays(part, total),
    }
}

/// What it would pay to change the part that dominates (Amdahl's law: the rest stays as it is).
fn pays(part: &TimePart, total: f64) -> String {
    let rest = total - part.ms;
    let times = |divisor: f64| {
        let after = rest + part.ms / divisor;
        format!("{after:.1} ms in place of {total:.1}, {:.1}x as fast", total / after)
    };
    let share = format!("{:.1} of {total:.1} ms ({:.0} %)", part.ms, part.percent);
    match part.part.as_str() {
        "preparation" => format!(
            "decoding and preparing on the server's processors take {share}; ten times as fast, on the GPU or in a faster \
             library, a request would take {}",
            times(10.0)
        ),
        "queue" => format!(
            "waiting in the queue takes {share}; with twice the instances or half the load about {}",
            times(2.0)
        ),
        "inference" => format!(
            "the model takes {share}; twice as fast, in half precision or on a faster GPU, a request would take {}",
            times(2.0)
        ),
        "waiting" => format!(
            "requests wait {share} for something that the server does not count: a worker, a lock, another service; with \
             twice the workers about {}",
            times(2.0)
        ),
        _ => format!(
            "network and framework take {share}; with kept connections, a binary form in place of JSON and base64, or gRPC, \
             at best {}",
            times(4.0 / 3.0)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derive::load::constructed::{facts, spread, step};
    use crate::snapshot::{Fact, ModelCounters};
    use proptest::prelude::*;

    fn row(queue_ms: f64, compute_ms: f64) -> Fact<Vec<ModelCounters>> {
        let text = format!(
            r#"[{{"model": "fiqa", "page": "http://127.0.0.1:8002/metrics", "requests_ok": {{"known": 100}},
            "queue_ms": {{"known": {queue_ms}}}, "compute_ms": {{"known": {compute_ms}}}}}]"#
        );
        Fact::Known(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn most_of_a_request_is_preparation() {
        let mut one = step(1, 140.0);
        one.models = row(0.2, 3.8);
        one.server_cpu_ms = Fact::Known(63.0 * one.ok as f64);
        let mut facts = facts(vec![]);
        facts.execution.light_request_idle_ms = Fact::Known(12.0);
        let split = of(&facts, &one, "1 user".into()).unwrap();
        let told: Vec<(&str, i64)> =
            split.parts.iter().map(|part| (part.part.as_str(), part.ms.round() as i64)).collect();
        let (five, queue) = told.split_at(5);
        let known =
            [("preparation", 63), ("waiting", 60), ("network_and_framework", 12), ("inference", 4), ("network", 1)];
        assert_eq!((five, queue), (&known[..], &[("queue", 0)][..]));
        assert_eq!(split.dominates, "preparation");
        assert!(split.pays[0].contains("63.0 of 140.0 ms (45 %)") && split.pays[0].contains("83.3 ms"), "{split:?}");
    }

    #[test]
    fn without_the_models_time_nothing_is_divided() {
        let unknown = of(&facts(vec![]), &step(1, 140.0), "1 user".into()).unwrap_err();
        assert_eq!(unknown.why, Why::NotAsked);
    }

    #[test]
    fn the_servers_own_time_of_a_request_tells_what_the_model_does_not_take() {
        let mut one = step(1, 140.0);
        one.models = row(20.0, 40.0);
        if let Fact::Known(rows) = &mut one.models {
            rows[0].request_ms = Fact::Known(100.0);
        }
        one.server_cpu_ms = Fact::Known(63.0 * one.ok as f64);
        let mut facts = facts(vec![]);
        let parts = |facts: &Facts| -> Vec<(String, i64)> {
            let split = of(facts, &one, String::new()).unwrap();
            split.parts.iter().map(|part| (part.part.clone(), part.ms.round() as i64)).collect()
        };
        let known = |all: &[(&str, i64)]| all.iter().map(|(name, ms)| ((*name).to_owned(), *ms)).collect::<Vec<_>>();
        // The page is of a server behind the one that is asked.
        let behind =
            [("preparation", 63), ("inference", 40), ("queue", 20), ("network_and_framework", 16), ("network", 1)];
        assert_eq!(parts(&facts), known(&behind));
        facts.engine.kind = Fact::Known("triton".into());
        let own =
            [("inference", 40), ("preparation", 40), ("network_and_framework", 39), ("queue", 20), ("network", 1)];
        assert_eq!(parts(&facts), known(&own));
    }

    #[test]
    fn what_more_users_add_is_waiting() {
        let (mut alone, mut many) = (step(1, 28.0), step(60, 1200.0));
        (alone.models, many.models) = (row(0.0, 25.0), row(0.0, 25.0));
        let facts = facts(vec![alone.clone(), many.clone()]);
        let split = of(&facts, &many, "60 users".into()).unwrap();
        assert_eq!(split.dominates, "waiting", "{split:?}");
        let named = |name: &str| split.parts.iter().find(|part| part.part == name).map(|part| part.ms.round() as i64);
        assert_eq!(
            (named("waiting"), named("network_and_framework"), named("inference")),
            (Some(1160), Some(3), Some(25))
        );
        let split = of(&facts, &alone, "1 user".into()).unwrap();
        assert!(split.parts.iter().all(|part| part.part != "waiting"), "{split:?}");
        // A queue that is told under load only cannot be taken off the light one.
        let mut silent = alone.models.known().cloned().unwrap();
        silent[0].queue_ms = Fact::default();
        alone.models = Fact::Known(silent);
        let facts = self::facts(vec![alone, many.clone()]);
        let split = of(&facts, &many, "60 users".into()).unwrap();
        assert!(split.parts.iter().all(|part| part.part != "waiting"), "{split:?}");
    }

    proptest! {
        #[test]
        fn parts_add_up(
            total in 0.1f64..1e5, queue in any::<f64>(), compute in 0.0f64..1e6, cpu in any::<f64>(), light in any::<f64>(),
            first_byte in any::<f64>(),
        ) {
            let mut one = step(4, total);
            let queue = if queue.is_finite() { queue } else { -1.0 };
            one.models = row(queue, compute);
            one.server_cpu_ms = Fact::Known(cpu);
            one.first_byte_ms = Fact::Known(spread(10, first_byte, 1.0));
            let mut facts = facts(vec![]);
            facts.execution.light_request_idle_ms = Fact::Known(light);
            let split = of(&facts, &one, String::new()).unwrap();
            let sum: f64 = split.parts.iter().map(|part| part.ms).sum();
            prop_assert!((sum / total - 1.0).abs() < 1e-6, "{split:?}");
            prop_assert!(split.parts.iter().all(|part| part.ms > 0.0));
        }
    }
}
