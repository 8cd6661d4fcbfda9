//! What a load came to, step by step.

mod bench;
mod bench_text;
mod columns;
mod csv;
mod judged;
mod table;

pub use bench::{Against, Baseline, Bench, Figure, Measure, Percentile};
pub use csv::{header as csv_header, row as csv_row};
pub use judged::{Judged, Memory};
pub use table::{failures, write};

use crate::check::{JudgedStep, LoadJudgement, judged_steps};
use crate::snapshot::{Fact, Facts, GpuWindow, LoadFacts, LoadStep, ModelCounters, Phases, Snapshot, Spread};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Load that the doctor made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// `stress` or `bench`.
    pub command: String,
    /// Why none was made, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmade: Option<String>,
    /// Why it ended before its plan did, as the snapshot names it; empty where it did not.
    pub stopped_by: String,
    /// The same in words.
    pub stopped_because: String,
    /// Bodies that differ, of those that were sent in turn.
    pub distinct_payloads: Option<u64>,
    /// Mean size of a request's body, bytes.
    pub body_bytes: Option<f64>,
    /// Wait of each user between an answer and its next request, milliseconds.
    pub think_time_ms: Option<f64>,
    /// The first request of all, milliseconds.
    pub first_request_ms: Option<f64>,
    /// Requests before the first step.
    pub warm_up_requests: Option<u64>,
    /// Medians of the batches of requests before the first step, milliseconds.
    #[serde(default)]
    pub warm_up_medians_ms: Vec<f64>,
    /// Processor time of the doctor for a request, microseconds.
    pub own_cpu_us_per_request: Option<f64>,
    /// The steps, in the order in which they ran.
    pub steps: Vec<Step>,
    /// What they come to.
    #[serde(flatten)]
    pub judged: Judged,
    /// What `bench` tells of its only step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Users at once; with a rate, connections.
    pub users: u64,
    /// Requests a second that were to start; null where users wait for their answers.
    pub rate: Option<f64>,
    /// `healthy`, `degraded` or `overloaded`; `refused` where its figures contradict one another, `client_limited` where the
    /// doctor could not send more, `undecided` where too little is known.
    #[serde(default)]
    pub verdict: String,
    /// Why, worst first.
    #[serde(default)]
    pub because: Vec<String>,
    /// How long requests were started.
    pub seconds: f64,
    /// Requests that were started.
    pub requests: u64,
    /// Those that were accepted.
    pub ok: u64,
    /// Those that were answered otherwise, or not at all.
    pub failed: u64,
    /// Requests of the rate that no connection was free for.
    pub dropped: u64,
    /// Requests that were still open at the end.
    pub unfinished: u64,
    /// Answers by HTTP status.
    pub by_status: BTreeMap<String, u64>,
    /// Requests without an answer, by what happened.
    pub by_error: BTreeMap<String, u64>,
    /// Accepted of all requests that were to be sent, percent.
    #[serde(default)]
    pub success_percent: Option<f64>,
    /// Accepted answers a second.
    pub throughput_rps: f64,
    /// Accepted requests, from when they were to start to the end of their answer.
    pub latency_ms: Option<Times>,
    /// The same to the first byte of the answer.
    pub first_byte_ms: Option<Times>,
    /// Time by the server's own word.
    pub server_ms: Option<Times>,
    /// Mean time of a request in the serving software's queue, by its counters.
    #[serde(default)]
    pub queue_ms: Option<f64>,
    /// Mean size of the batches that it computed.
    #[serde(default)]
    pub batch_size: Option<f64>,
    /// Mean time of a request in the model, by its counters or its answers.
    #[serde(default)]
    pub inference_ms: Option<f64>,
    /// Requests under way on average.
    pub in_flight_mean: f64,
    /// Cores that the server's processes kept busy.
    pub server_cores: Option<f64>,
    /// Cores that the doctor itself kept busy.
    pub own_cores: Option<f64>,
    /// What the GPUs did meanwhile.
    pub gpus: Vec<StepGpu>,
    /// What the server's own counters gained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelCounters>,
}

/// A distribution of times, milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// The smallest.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// Half of them are not above it.
    pub median: f64,
    /// Their standard deviation; null for a single one.
    pub std_dev: Option<f64>,
    /// 90 % are not above it.
    pub p90: f64,
    /// 95 % are not above it.
    pub p95: f64,
    /// 99 % are not above it.
    pub p99: f64,
    /// 99.9 % are not above it.
    pub p999: f64,
    /// The largest.
    pub max: f64,
    /// Between these the mean lies with 95 % confidence.
    pub mean_95_percent: Option<(f64, f64)>,
    /// Between these the 99th percentile lies with 95 % confidence.
    pub p99_95_percent: Option<(f64, f64)>,
}

/// A GPU in a step. What it does not tell is null, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepGpu {
    /// Index in NVML's order.
    pub index: u64,
    /// Mean utilization, percent.
    pub utilization_percent: Option<f64>,
    /// Highest utilization, percent.
    pub utilization_percent_max: Option<f64>,
    /// Most memory in use, bytes.
    pub memory_used_bytes: Option<f64>,
    /// Mean power, watts.
    pub power_watts: Option<f64>,
    /// Highest temperature, degrees Celsius.
    pub temperature_celsius: Option<f64>,
}

/// The load of a snapshot, if one was asked for.
pub fn of(snapshot: &Snapshot) -> Option<Load> {
    let facts = &snapshot.facts.load;
    let LoadFacts { command, steps, .. } = facts;
    let text = |fact: &Fact<String>| fact.known().cloned().unwrap_or_default();
    let judgement = LoadJudgement::of(&snapshot.facts);
    let judged = judgement.as_ref().map(|one| one.steps.as_slice()).unwrap_or_default();
    Some(Load {
        command: command.known()?.clone(),
        unmade: steps.reason().map(|unknown| unknown.detail.clone()),
        stopped_by: text(&facts.stopped_by),
        stopped_because: text(&facts.stopped_because),
        distinct_payloads: facts.distinct_payloads.known().copied(),
        body_bytes: facts.body_bytes.known().copied(),
        think_time_ms: facts.think_time_ms.known().copied(),
        first_request_ms: facts.first_request_ms.known().copied(),
        warm_up_requests: facts.warm_up_requests.known().copied(),
        warm_up_medians_ms: facts.warm_up_medians_ms.known().cloned().unwrap_or_default(),
        own_cpu_us_per_request: facts.own_cpu_us_per_request.known().copied(),
        steps: joined(steps.known().map(Vec::as_slice).unwrap_or_default(), judged),
        judged: judgement.as_ref().map(Judged::of).unwrap_or_default(),
        bench: bench::of(snapshot),
    })
}

/// Steps that were made so far, judged with what is known besides.
pub fn so_far(facts: &Facts, steps: &[LoadStep]) -> Vec<Step> {
    joined(steps, &judged_steps(facts, steps, false))
}

fn joined(steps: &[LoadStep], judged: &[JudgedStep]) -> Vec<Step> {
    steps.iter().enumerate().map(|(at, one)| step(one, judged.get(at))).collect()
}

fn step(step: &LoadStep, judged: Option<&JudgedStep>) -> Step {
    let cores = |cpu_ms: &Fact<f64>| {
        let cores = cpu_ms.known().map(|cpu_ms| cpu_ms / step.window_ms)?;
        cores.is_finite().then(|| thousandths(cores))
    };
    let gpus = step.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let figure = |of: fn(&JudgedStep) -> &Fact<f64>| judged.and_then(|one| of(one).known().copied()).map(thousandths);
    Step {
        users: step.users,
        rate: step.rate_rps.known().copied(),
        verdict: judged.map_or("undecided".into(), |one| one.verdict.clone()),
        because: judged.map(|one| one.because.clone()).unwrap_or_default(),
        seconds: step.window_ms / 1e3,
        requests: step.requests,
        ok: step.ok,
        failed: step.failed,
        dropped: step.dropped,
        unfinished: step.unfinished,
        by_status: step.by_status.clone(),
        by_error: step.by_error.clone(),
        success_percent: figure(|one| &one.success_percent),
        throughput_rps: step.throughput_rps,
        latency_ms: step.latency_ms.known().map(times),
        first_byte_ms: step.first_byte_ms.known().map(times),
        server_ms: step.server_ms.known().map(times),
        queue_ms: figure(|one| &one.queue_ms),
        batch_size: figure(|one| &one.batch_size),
        inference_ms: figure(|one| &one.inference_ms),
        in_flight_mean: step.in_flight_mean,
        server_cores: cores(&step.server_cpu_ms),
        own_cores: cores(&step.own_cpu_ms),
        gpus: gpus.iter().map(gpu).collect(),
        models: step.models.known().cloned().unwrap_or_default(),
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

impl Step {
    /// The GPU that was busiest; of equals the one with most memory in use.
    pub fn busiest_gpu(&self) -> Option<&StepGpu> {
        let order = |gpu: &&StepGpu| {
            (
                gpu.utilization_percent.unwrap_or(-1.0),
                gpu.memory_used_bytes.unwrap_or(-1.0),
                std::cmp::Reverse(gpu.index),
            )
        };
        self.gpus.iter().max_by(|a, b| order(a).partial_cmp(&order(b)).unwrap_or(std::cmp::Ordering::Equal))
    }

    /// The load in words: `50 users`, `120 requests a second`.
    pub fn load(&self) -> String {
        match self.rate {
            Some(rate) => format!("{rate:.0} requests a second"),
            None if self.users == 1 => "1 user".into(),
            None => format!("{} users", self.users),
        }
    }
}

fn times(spread: &Spread) -> Times {
    Times {
        min: spread.min,
        mean: spread.mean,
        median: spread.median,
        std_dev: spread.std_dev.known().copied(),
        p90: spread.p90,
        p95: spread.p95,
        p99: spread.p99,
        p999: spread.p999,
        max: spread.max,
        mean_95_percent: spread.mean_95_percent.known().copied(),
        p99_95_percent: spread.p99_95_percent.known().copied(),
    }
}

fn gpu(window: &GpuWindow) -> StepGpu {
    let during =
        |phases: &Fact<Phases>| phases.known().map(|phases| phases.during.clone()).filter(|one| one.samples > 0);
    let rounded = |value: f64| (value * 10.0).round() / 10.0;
    let utilization = during(&window.utilization_percent);
    StepGpu {
        index: window.index,
        utilization_percent: utilization.as_ref().map(|one| rounded(one.mean)),
        utilization_percent_max: utilization.map(|one| one.max),
        memory_used_bytes: during(&window.memory_used_bytes).map(|one| one.max),
        power_watts: during(&window.power_milliwatts).map(|one| rounded(one.mean / 1e3)),
        temperature_celsius: during(&window.temperature_celsius).map(|one| one.max),
    }
}
