//! Lines of Triton's `config.pbtxt` that would pay, with what they would pay.
//!
//! With N requests under way and k instances, Triton joins about N / (k + 1) to a batch where it waits for none: while k
//! batches are computed, one comes together. A wait helps where that is less than one, and it must be longer than the time
//! between two executions, else the next requests are always late by a little. Both were measured on Triton 2.51.

use super::counted;
use super::step::{mean_ms, utilization};
use crate::snapshot::{EngineModel, Facts, InstanceGroup, LoadStep};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A change of a model's configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigChange {
    /// The model.
    pub model: String,
    /// Its configuration: `/models/fiqa/config.pbtxt` where the server's command tells the folder, else
    /// `config.pbtxt of fiqa`.
    #[serde(default)]
    pub file: String,
    /// The lines as they should be, each in place of those that begin with the same word.
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
/// The wait for a batch, in times between two executions; and the longest and shortest that is proposed, microseconds.
const WAIT_EXECUTIONS: f64 = 1.5;
const WAIT_US: std::ops::RangeInclusive<f64> = 500.0..=100_000.0;
/// Batch for a model that has none so far.
const BATCH: f64 = 16.0;
/// Batches so much larger tell whether batching pays, if throughput rises at least so much with them.
const LARGER: f64 = 1.5;
const GAIN: f64 = 1.2;
/// Batch up to which requests are computed alone.
const ALONE: f64 = 1.2;

/// What the step speaks for; empty where the model is no model of Triton, or nothing does.
pub fn changes(facts: &Facts, step: &LoadStep) -> Vec<ConfigChange> {
    let Ok(row) = counted::row(facts, step) else { return Vec::new() };
    let models = facts.engine.models.known().into_iter().flatten();
    let Some(model) = models.into_iter().find(|model| model.name == row.model) else { return Vec::new() };
    if facts.engine.kind.known().is_none_or(|kind| kind != "triton") {
        return Vec::new();
    }
    let found = batching(facts, step, model).or_else(|| instances(facts, step, model));
    let change =
        |(lines, pays)| ConfigChange { model: model.name.clone(), file: file(facts, &model.name), lines, pays };
    found.map(change).into_iter().collect()
}

/// Where the model's configuration lies, by the command line of the server.
fn file(facts: &Facts, model: &str) -> String {
    let commands = facts.process.processes.known().into_iter().flatten().filter_map(|one| one.command.known());
    let folder = commands.into_iter().find_map(|command| {
        ["--model-repository", "--model-store"].into_iter().find_map(|option| {
            let (_, rest) = command.split_once(option)?;
            let folder = rest.strip_prefix(['=', ' '])?.split_whitespace().next()?;
            // The command is told as a shell would take it.
            Some(folder.trim_matches(['\'', '"']))
        })
    });
    // Repositories in a cloud have no folder to edit.
    match folder.filter(|folder| folder.starts_with('/')) {
        Some(folder) => format!("{}/{model}/config.pbtxt", folder.trim_end_matches('/')),
        None => format!("config.pbtxt of {model}"),
    }
}

/// Requests under way in the whole server: as many can meet.
fn under_way(step: &LoadStep) -> f64 {
    if step.in_flight_mean.is_finite() { step.in_flight_mean.max(0.0) } else { 0.0 }
}

fn batch(facts: &Facts, step: &LoadStep) -> Option<f64> {
    let row = counted::row(facts, step).ok()?;
    let executions = *row.executions.known().filter(|executions| **executions > 0.0)?;
    Some(row.inferences.known()? / executions).filter(|batch| batch.is_finite())
}

/// How long the model computes where no other request is, milliseconds.
pub fn alone_ms(facts: &Facts) -> Option<f64> {
    let steps = facts.load.steps.known()?.iter().filter(|step| step.ok > 0);
    let lightest = steps.min_by(|a, b| a.in_flight_mean.total_cmp(&b.in_flight_mean))?;
    counted::inference_ms(facts, lightest).ok().filter(|ms| *ms > 0.0)
}

/// Whether larger batches were seen to answer no more requests: each of them is as much work as it would be alone.
fn gains_nothing(facts: &Facts) -> bool {
    let steps: Vec<(f64, f64)> = facts
        .load
        .steps
        .known()
        .into_iter()
        .flatten()
        .filter_map(|step| Some((batch(facts, step)?, step.throughput_rps)))
        .collect();
    let best =
        |of: &dyn Fn(f64) -> bool| steps.iter().filter(|(batch, _)| of(*batch)).map(|one| one.1).reduce(f64::max);
    let one_by_one = alone_ms(facts).map(|ms| 1e3 / ms);
    let alone = best(&|batch| batch < ALONE).into_iter().chain(one_by_one).reduce(f64::max);
    let joined = best(&|batch| batch >= LARGER);
    matches!((alone, joined), (Some(alone), Some(joined)) if joined < GAIN * alone)
}

/// Times the throughput that so many requests under way allow at most, where each waits so long for its batch.
fn by_littles_law(facts: &Facts, step: &LoadStep, wait_ms: f64) -> f64 {
    let least = || {
        let rest =
            mean_ms(step).ok()? - counted::queue_ms(facts, step).ok()? - counted::inference_ms(facts, step).ok()?;
        Some(alone_ms(facts)? + rest.max(0.0) + wait_ms)
    };
    least().map_or(f64::INFINITY, |ms| 1e3 * under_way(step) / ms / step.throughput_rps.max(0.001))
}

type Change = (Vec<String>, String);

/// A batch that is smaller than the requests under way would allow.
fn batching(facts: &Facts, step: &LoadStep, model: &EngineModel) -> Option<Change> {
    let batch = batch(facts, step)?.max(1.0);
    let size = *model.max_batch_size.known()?;
    let number = under_way(step);
    if number < 2.0 || gains_nothing(facts) {
        return None;
    }
    let count = |groups: &Vec<InstanceGroup>| groups.iter().fold(0_u64, |sum, group| sum.saturating_add(group.count));
    let instances = model.instance_groups.known().map(count);
    let unwaited = |size: f64| Some((number / (instances? as f64 + 1.0)).clamp(1.0, size));
    if size <= 1 {
        let times = unwaited(BATCH).unwrap_or(number.min(BATCH)).max(1.0);
        let lines = vec![format!("max_batch_size: {BATCH:.0}"), "dynamic_batching { }".into()];
        let dims = match size {
            0 => ", which `dims` of its inputs and outputs then leave out",
            _ => "",
        };
        let pays = format!(
            "max_batch_size is {size}, so that each of {number:.0} requests under way is computed alone; joined, throughput \
             may rise up to {times:.1}x, if the first of the model's dimensions is one of any size (-1){dims}"
        );
        return (times >= GAIN).then_some((lines, pays));
    }
    let size = size as f64;
    let possible = number.min(size);
    let is_off = model.dynamic_batching.known() == Some(&false);
    // Where requests wait anyway, the next batch comes together without a wait of its own.
    if let Some(joined) = unwaited(size).filter(|joined| is_off && *joined >= 2.0 * batch) {
        let times = (joined / batch).min(by_littles_law(facts, step, 0.0));
        let pays = format!(
            "batches hold {batch:.1} of {size:.0} although {number:.0} requests are under way, because dynamic_batching is off; \
             about {joined:.0} would meet, and throughput rise up to {times:.1}x"
        );
        return (times >= GAIN).then(|| (vec!["dynamic_batching { }".into()], pays));
    }
    if batch >= HALF * possible {
        return None;
    }
    let old_us = if is_off { 0.0 } else { model.batch_delay_ms.known()? * 1e3 };
    let executions = *counted::row(facts, step).ok()?.executions.known()?;
    let apart_us = 1e3 * step.window_ms / executions;
    let new_us = ((WAIT_EXECUTIONS * apart_us / 500.0).ceil() * 500.0).clamp(*WAIT_US.start(), *WAIT_US.end());
    // A full batch waits for nobody.
    let waited_us = if number >= size { 0.0 } else { new_us };
    let times = (possible / batch).min(by_littles_law(facts, step, waited_us / 1e3));
    if !(new_us.is_finite() && old_us.is_finite()) || new_us <= old_us || times < GAIN {
        return None;
    }
    // Triton completes a window by the largest batch as the preferred one.
    let is_own = |sizes: &&Vec<u64>| !sizes.is_empty() && !matches!(sizes.as_slice(), [one] if *one as f64 == size);
    let preferred = model.preferred_batch_sizes.known().filter(is_own);
    let preferred = preferred.map(|sizes| {
        format!("preferred_batch_size: [ {} ] ", sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    });
    let line =
        format!("dynamic_batching {{ {}max_queue_delay_microseconds: {new_us:.0} }}", preferred.unwrap_or_default());
    let pays = format!(
        "batch window {} -> {}: queue at most {} more, throughput up to {times:.1}x by batches of {batch:.1} of {size:.0}",
        wait(old_us),
        wait(new_us),
        wait(new_us - old_us)
    );
    Some((vec![line], pays))
}

fn wait(us: f64) -> String {
    if us < 1000.0 { format!("{us:.0} us") } else { format!("{:.1} ms", us / 1e3) }
}

/// A queue before instances that have room beside them: on the GPU, or on the machine's processors.
fn instances(facts: &Facts, step: &LoadStep, model: &EngineModel) -> Option<Change> {
    let meant = model.batch_delay_ms.known().copied().filter(|ms| ms.is_finite()).unwrap_or(0.0);
    let queue = counted::queue_ms(facts, step).ok()? - meant;
    if queue < QUEUE_MS {
        return None;
    }
    let groups = model.instance_groups.known()?;
    let [InstanceGroup { kind, count, gpus, .. }] = groups.as_slice() else { return None };
    let (busy, whose, room) = match kind.as_str() {
        "KIND_GPU" => (utilization(step)?, "the GPU is", "the GPU's memory holds them"),
        "KIND_CPU" => (processors_percent(facts, step)?, "the machine's processors are", "its memory holds them"),
        _ => return None,
    };
    if !busy.is_finite() || busy >= ROOM_PERCENT {
        return None;
    }
    let (count, twice) = (*count, count.saturating_mul(2));
    let of_gpus = if gpus.is_empty() {
        String::new()
    } else {
        format!(" gpus: [ {} ]", gpus.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
    };
    let line = format!("instance_group [ {{ count: {twice} kind: {kind}{of_gpus} }} ]");
    let (request, times) = (mean_ms(step).ok()?, (100.0 / busy.max(1.0)).min(2.0));
    let pays = format!(
        "requests wait {queue:.0} of {request:.0} ms in the queue while {whose} {busy:.0} % busy; {twice} instances in place \
         of {count} may answer up to {times:.1}x as many, if {room}"
    );
    Some((vec![line], pays))
}

/// How busy the machine's processors are by the server's processes alone, percent.
fn processors_percent(facts: &Facts, step: &LoadStep) -> Option<f64> {
    let (cpu, cores) = (*step.server_cpu_ms.known()?, *facts.host.cpu_count.known()? as f64);
    let percent = 100.0 * cpu / step.window_ms / cores;
    percent.is_finite().then_some(percent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::derive::load::constructed::{facts, gpu, step};
    use crate::snapshot::Fact;
    use proptest::prelude::*;

    /// So many users of a model that holds 16 in a batch, has two instances, and computes 20 ms alone.
    fn loaded(users: u64, ms: f64, queue_ms: f64, executions: u64, busy: f64) -> (Facts, LoadStep) {
        let told = |one: &mut LoadStep, queue_ms: f64, compute_ms: f64, executions: u64| {
            let row = format!(
                r#"[{{"model": "fiqa", "page": "p", "requests_ok": {{"known": {0}}}, "inferences": {{"known": {0}}},
                "executions": {{"known": {executions}}}, "queue_ms": {{"known": {queue_ms}}},
                "compute_ms": {{"known": {compute_ms}}}}}]"#,
                one.ok
            );
            one.models = Fact::Known(serde_json::from_str(&row).unwrap());
            one.gpus = Fact::Known(vec![gpu(busy)]);
        };
        let (mut lightest, mut one) = (step(1, 22.0), step(users, ms));
        let alone = lightest.ok;
        told(&mut lightest, 0.1, 20.0, alone);
        told(&mut one, queue_ms, ms - queue_ms - 2.0, executions);
        let mut facts = facts(vec![lightest, one.clone()]);
        facts.engine.kind = Fact::Known("triton".into());
        let model = r#"[{"name": "fiqa", "max_batch_size": {"known": 16}, "dynamic_batching": {"known": true},
            "batch_delay_ms": {"known": 0.1}, "preferred_batch_sizes": {"known": []},
            "instance_groups": {"known": [{"name": "fiqa", "kind": "KIND_GPU", "count": 2, "gpus": [0]}]}}]"#;
        facts.engine.models = Fact::Known(serde_json::from_str(model).unwrap());
        (facts, one)
    }

    fn model(facts: &mut Facts) -> &mut EngineModel {
        let Fact::Known(models) = &mut facts.engine.models else { panic!("no models") };
        &mut models[0]
    }

    #[test]
    fn a_short_window_becomes_longer_than_the_time_between_executions() {
        // 8 users in 10 s: 500 requests, each computed alone, 20 ms apart.
        let (mut facts, step) = loaded(8, 160.0, 1.0, 500, 95.0);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["dynamic_batching { max_queue_delay_microseconds: 30000 }"]);
        // 8 requests in 20 + 2 + 30 ms would be 154 a second in place of 50.
        assert_eq!(
            all[0].pays,
            "batch window 100 us -> 30.0 ms: queue at most 29.9 ms more, throughput up to 3.1x by batches of 1.0 of 16"
        );
        assert_eq!(all[0].file, "config.pbtxt of fiqa");
        model(&mut facts).preferred_batch_sizes = Fact::Known(vec![4, 8]);
        assert!(changes(&facts, &step)[0].lines[0].contains("{ preferred_batch_size: [ 4, 8 ] max_queue"), "kept");
        model(&mut facts).preferred_batch_sizes = Fact::Known(vec![16]);
        assert!(changes(&facts, &step)[0].lines[0].starts_with("dynamic_batching { max_queue"), "Triton's own");
        model(&mut facts).batch_delay_ms = Fact::Known(50.0);
        assert_eq!(changes(&facts, &step), [], "it is longer already");
    }

    #[test]
    fn requests_that_wait_anyway_need_no_window() {
        let (mut facts, step) = loaded(30, 600.0, 578.0, 500, 95.0);
        model(&mut facts).dynamic_batching = Fact::Known(false);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["dynamic_batching { }"]);
        assert!(all[0].pays.contains("about 10 would meet, and throughput rise up to 10.0x"), "{all:?}");
    }

    #[test]
    fn where_a_batch_takes_as_long_as_its_requests_alone_none_is_proposed() {
        // 20 ms for each request, joined to twos or not.
        let (mut facts, step) = loaded(25, 500.0, 300.0, 250, 45.0);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["instance_group [ { count: 4 kind: KIND_GPU gpus: [ 0 ] } ]"]);
        let Fact::Known(groups) = &mut model(&mut facts).instance_groups else { panic!() };
        (groups[0].kind, groups[0].gpus) = ("KIND_CPU".into(), vec![]);
        assert_eq!(changes(&facts, &step), [], "how busy the processors are is not known");
        facts.host.cpu_count = Fact::Known(8);
        let mut step = step;
        step.server_cpu_ms = Fact::Known(20_000.0);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["instance_group [ { count: 4 kind: KIND_CPU } ]"]);
        assert!(all[0].pays.contains("the machine's processors are 25 % busy; 4 instances in place of 2"), "{all:?}");
        step.server_cpu_ms = Fact::Known(75_000.0);
        assert_eq!(changes(&facts, &step), [], "they have no room");
    }

    #[test]
    fn full_batches_and_a_busy_gpu_need_no_change() {
        let (facts, step) = loaded(32, 60.0, 20.0, 360, 95.0);
        assert_eq!(changes(&facts, &step), []);
    }

    #[test]
    fn a_queue_beside_a_gpu_with_room_wants_instances() {
        let (facts, step) = loaded(64, 150.0, 120.0, 280, 45.0);
        let all = changes(&facts, &step);
        assert_eq!(all[0].lines, ["instance_group [ { count: 4 kind: KIND_GPU gpus: [ 0 ] } ]"]);
        assert!(all[0].pays.contains("4 instances in place of 2 may answer up to 2.0x as many"), "{all:?}");
    }

    #[test]
    fn a_model_that_takes_no_batches_is_told() {
        let (mut facts, step) = loaded(30, 600.0, 578.0, 500, 95.0);
        model(&mut facts).max_batch_size = Fact::Known(0);
        assert_eq!(changes(&facts, &step)[0].lines, ["max_batch_size: 16", "dynamic_batching { }"]);
        facts.engine.kind = Fact::Known("unrecognized".into());
        assert_eq!(changes(&facts, &step), [], "only Triton has such a file");
    }

    #[test]
    fn the_command_tells_where_the_file_lies() {
        let (mut facts, _) = loaded(8, 160.0, 1.0, 500, 95.0);
        let mut of = |command: &str| {
            let mut process = crate::snapshot::ServerProcess::all_unknown(
                7,
                &crate::snapshot::Unknown::new(crate::snapshot::Why::NotAsked, "the test does not tell"),
            );
            process.command = Fact::Known(command.into());
            facts.process.processes = Fact::Known(vec![process]);
            file(&facts, "fiqa")
        };
        assert_eq!(of("tritonserver --model-repository=/models/ --http-port=8"), "/models/fiqa/config.pbtxt");
        assert_eq!(of("tritonserver '--model-repository=/m' x"), "/m/fiqa/config.pbtxt");
        assert_eq!(of("tritonserver --model-store /srv/m"), "/srv/m/fiqa/config.pbtxt");
        assert_eq!(of("tritonserver --model-repository=s3://bucket/m"), "config.pbtxt of fiqa");
    }

    proptest! {
        #[test]
        fn any_figures_make_lines_without_nonsense(
            users in 1u64..300, ms in any::<f64>(), queue in any::<f64>(), executions in any::<u64>(), busy in any::<f64>(),
            size in any::<u64>(), delay in any::<f64>(), count in any::<u64>(), on: bool,
        ) {
            let (mut facts, mut step) = loaded(users, 100.0, 60.0, 10, 10.0);
            step.in_flight_mean = ms;
            step.gpus = Fact::Known(vec![gpu(busy)]);
            if let Fact::Known(rows) = &mut step.models {
                (rows[0].queue_ms, rows[0].executions) = (Fact::Known(queue), Fact::Known(executions as f64));
            }
            let one = model(&mut facts);
            (one.max_batch_size, one.batch_delay_ms) = (Fact::Known(size), Fact::Known(delay));
            one.dynamic_batching = Fact::Known(on);
            if let Fact::Known(groups) = &mut one.instance_groups {
                groups[0].count = count;
            }
            for change in changes(&facts, &step) {
                let all = change.lines.join(" ") + &change.pays;
                prop_assert!(!all.contains("NaN") && !all.contains("inf "), "{all}");
            }
        }
    }
}
