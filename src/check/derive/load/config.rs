//! Lines of Triton's `config.pbtxt` that would pay, with what they would pay.

use super::counted;
use super::step::{mean_ms, utilization};
use crate::snapshot::{EngineModel, Facts, InstanceGroup, LoadStep};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change of a model's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// The model, whose `config.pbtxt` it is.
    pub model: String,
    /// The lines as they should be.
    pub lines: Vec<String>,
    /// What they cost and pay, in numbers.
    pub pays: String,
}

/// Queue from which on more instances are worth a trial, milliseconds: the guide's upper end of "good".
const QUEUE_MS: f64 = 50.0;
/// Utilization up to which another instance finds room on the GPU, percent.
const ROOM_PERCENT: f64 = 80.0;
/// Batch, as a share of what is possible, below which joining more is worth a trial.
const HALF: f64 = 0.5;
/// Longest and shortest wait for a batch that is proposed, microseconds.
const WAIT_US: std::ops::RangeInclusive<f64> = 500.0..=100_000.0;

/// What the step speaks for; empty where the model is no model of Triton, or nothing does.
pub fn changes(facts: &Facts, step: &LoadStep) -> Vec<ConfigChange> {
    let Ok(row) = counted::row(facts, step) else { return Vec::new() };
    let models = facts.engine.models.known().into_iter().flatten();
    let Some(model) = models.into_iter().find(|model| model.name == row.model) else { return Vec::new() };
    if facts.engine.kind.known().is_none_or(|kind| kind != "triton") {
        return Vec::new();
    }
    let change = |(lines, pays): (Vec<String>, String)| ConfigChange { model: model.name.clone(), lines, pays };
    batching(facts, step, model).into_iter().chain(instances(facts, step, model)).map(change).collect()
}

/// Requests in the model or in its queue at once, by Little's law.
fn at_once(facts: &Facts, step: &LoadStep) -> Option<f64> {
    let ms = counted::inference_ms(facts, step).ok()? + counted::queue_ms(facts, step).ok()?;
    Some((step.throughput_rps * ms / 1e3).min(step.users as f64))
}

fn batch(facts: &Facts, step: &LoadStep) -> Option<f64> {
    let row = counted::row(facts, step).ok()?;
    let executions = *row.executions.known().filter(|executions| **executions > 0.0)?;
    Some(row.inferences.known()? / executions)
}

/// A batch that is smaller than the requests at once would allow.
fn batching(facts: &Facts, step: &LoadStep, model: &EngineModel) -> Option<(Vec<String>, String)> {
    let batch = batch(facts, step)?;
    let size = *model.max_batch_size.known()?;
    // With a longer wait as many can meet as are under way in the whole server.
    let under_way = step.in_flight_mean.max(at_once(facts, step).unwrap_or(0.0));
    if under_way < 2.0 {
        return None;
    }
    if size == 0 {
        let lines = vec!["max_batch_size: 16".into(), "dynamic_batching { }".into()];
        let most = under_way.min(16.0);
        let pays = format!(
            "max_batch_size is 0, so that each of {under_way:.0} requests at once is computed alone; joined, throughput \
             may rise up to {most:.0}x, if the model was exported with a batch dimension of any size (-1)"
        );
        return Some((lines, pays));
    }
    let possible = under_way.min(size as f64);
    if batch >= HALF * possible || possible < 2.0 {
        return None;
    }
    let times = possible / batch.max(1.0);
    if model.dynamic_batching.known() == Some(&false) {
        let lines = vec!["dynamic_batching { }".into()];
        let pays = format!(
            "batches hold {batch:.1} of {size} although {under_way:.0} requests are under way, and dynamic_batching is off; \
             throughput may rise up to {times:.1}x"
        );
        return Some((lines, pays));
    }
    let old_us = model.batch_delay_ms.known()? * 1e3;
    // So long as the requests of a full batch take to come, in steps of half a millisecond.
    let meet_us = (possible - 1.0) / step.throughput_rps.max(0.001) * 1e6;
    let new_us = ((meet_us / 500.0).ceil() * 500.0).clamp(*WAIT_US.start(), *WAIT_US.end());
    if new_us <= old_us {
        return None;
    }
    let lines = vec![format!("dynamic_batching {{ max_queue_delay_microseconds: {new_us:.0} }}")];
    let pays = format!(
        "batch window {} -> {}: queue at most {} more, throughput up to {times:.1}x by batches of {batch:.1} of {size}",
        wait(old_us),
        wait(new_us),
        wait(new_us - old_us)
    );
    Some((lines, pays))
}

fn wait(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} us") } else { format!("{:.1} ms", us / 1e3) }
}

/// A queue beside a GPU that has room.
fn instances(facts: &Facts, step: &LoadStep, model: &EngineModel) -> Option<(Vec<String>, String)> {
    let queue = counted::queue_ms(facts, step).ok()? - model.batch_delay_ms.known().copied().unwrap_or(0.0);
    let busy = utilization(step)?;
    if queue < QUEUE_MS || busy >= ROOM_PERCENT {
        return None;
    }
    let groups = model.instance_groups.known()?;
    let [InstanceGroup { kind, count, gpus, .. }] = groups.as_slice() else { return None };
    let (count, twice) = (*count, count.saturating_mul(2));
    let of_gpus = if gpus.is_empty() {
        String::new()
    } else {
        format!(" gpus: [ {} ]", gpus.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    };
    let line = format!("instance_group [ {{ count: {twice} kind: {kind}{of_gpus} }} ]");
    let (request, room) = (mean_ms(step).ok()?, (100.0 / busy.max(1.0)).min(2.0));
    let pays = format!(
        "requests wait {queue:.0} of {request:.0} ms in the queue while the GPU is {busy:.0} % busy; {twice} instances in \
         place of {count} may answer up to {room:.1}x as many, if the GPU's memory holds them"
    );
    Some((vec![line], pays))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derive::load::constructed::{facts, gpu, step};
    use crate::snapshot::Fact;

    /// 32 users, 16 at most in a batch; queue and model so long each.
    fn loaded(queue_ms: f64, executions: u64, busy: f64) -> (Facts, LoadStep) {
        let mut one = step(32, 40.0);
        let row = format!(
            r#"[{{"model": "fiqa", "page": "p", "requests_ok": {{"known": 1600}}, "inferences": {{"known": 1600}},
            "executions": {{"known": {executions}}}, "queue_ms": {{"known": {queue_ms}}}, "compute_ms": {{"known": 20.0}}}}]"#
        );
        one.models = Fact::Known(serde_json::from_str(&row).unwrap());
        one.gpus = Fact::Known(vec![gpu(busy)]);
        let mut facts = facts(vec![]);
        facts.engine.kind = Fact::Known("triton".into());
        let model = r#"[{"name": "fiqa", "max_batch_size": {"known": 16}, "dynamic_batching": {"known": true},
            "batch_delay_ms": {"known": 0.1},
            "instance_groups": {"known": [{"name": "fiqa", "kind": "KIND_GPU", "count": 2, "gpus": [0]}]}}]"#;
        facts.engine.models = Fact::Known(serde_json::from_str(model).unwrap());
        (facts, one)
    }

    #[test]
    fn a_short_window_is_made_as_long_as_a_batch_takes_to_come() {
        let (facts, step) = loaded(1.0, 1600, 95.0);
        let all = changes(&facts, &step);
        let lines: Vec<&str> = all.iter().flat_map(|one| one.lines.iter().map(String::as_str)).collect();
        // 800 requests a second: 15 more come in 18.75 ms.
        assert_eq!(lines, ["dynamic_batching { max_queue_delay_microseconds: 19000 }"]);
        assert!(
            all[0].pays.contains("100 us -> 19.0 ms") && all[0].pays.contains("16.0x by batches of 1.0 of 16"),
            "{all:?}"
        );
    }

    #[test]
    fn full_batches_and_a_busy_gpu_need_no_change() {
        let (facts, step) = loaded(120.0, 110, 95.0);
        assert_eq!(changes(&facts, &step), []);
    }

    #[test]
    fn a_queue_beside_a_gpu_with_room_wants_instances() {
        let (facts, step) = loaded(120.0, 110, 45.0);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["instance_group [ { count: 4 kind: KIND_GPU gpus: [ 0 ] } ]"]);
        assert!(all[0].pays.contains("4 instances in place of 2 may answer up to 2.0x as many"), "{all:?}");
    }

    #[test]
    fn a_model_that_takes_no_batches_is_told() {
        let (mut facts, step) = loaded(1.0, 1600, 95.0);
        if let Fact::Known(models) = &mut facts.engine.models {
            models[0].max_batch_size = Fact::Known(0);
        }
        assert_eq!(changes(&facts, &step)[0].lines, ["max_batch_size: 16", "dynamic_batching { }"]);
        facts.engine.kind = Fact::Known("unrecognized".into());
        assert_eq!(changes(&facts, &step), [], "only Triton has such a file");
    }
}
