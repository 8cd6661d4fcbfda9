//! The measuring window: known-good requests, one after the other, with the GPUs' counters in step.

use super::beside::Light;
use super::conversation::{Answered, Conversation, accepts};
use super::{counters, trace};
use crate::probe::Context;
use crate::probe::container::{self, Throttling};
use crate::probe::nvml::sampler::{self, GpuSample, Sample};
use crate::probe::nvml::throttle_reason_names;
use crate::probe::process::{later, threads};
use crate::snapshot::{ExecutionFacts, Fact, Facts, GpuWindow, Phases, Room, Series, Unknown, Why};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use url::Url;

/// Quiet before the baseline: utilization is a mean over up to a second (nvml.h, nvmlUtilization_t), so the requests of
/// the conversation must have left it.
const QUIET: Duration = Duration::from_millis(1100);
/// Idle time before the window and after it, when the GPUs are sampled.
const BASELINE: Duration = Duration::from_millis(1200);
const AFTER: Duration = Duration::from_millis(500);
/// Shortest distance of the requests' starts where GPUs are sampled: a server that answers at once would use up the
/// requests before the counters, which change a few times a second, could be read often enough.
const DISTANCE: Duration = Duration::from_millis(5);
/// Requests of a window without GPU counters.
const UNSAMPLED_REQUESTS: u32 = 3;

/// Repeats the good request and reads counters before, during and after. `light` is an endpoint that costs the server
/// next to nothing.
pub fn measure(talk: &Conversation, good: &Answered, light: &Url, context: &Context, facts: &Facts) -> ExecutionFacts {
    let http = talk.http;
    let (good, expected) = (&good.message, good.exchange.duration_ms);
    let unsent = Unknown::new(Why::Malformed, "the good request could not be formed again");
    let Some(outgoing) = good.outgoing(talk.server, talk.everywhere) else {
        return ExecutionFacts::all_unknown(&unsent);
    };
    let forwarded = facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty());
    let local = context.ask.target().server_is_local == Some(true) && !forwarded;
    let pids: Result<Vec<u64>, Unknown> = match local {
        true => facts.process.processes.read().map(|all| all.iter().map(|process| process.pid).collect()),
        false => Err(Unknown::new(Why::NotAsked, "the server is on another machine, or its name does not resolve")),
    };
    let sampler = usable_nvml(local, facts).and_then(|()| {
        std::thread::sleep(QUIET.min(http.time_left() / 4));
        sampler::start(pids.as_deref().unwrap_or_default())
    });
    let mut light = Light::new(light.clone(), talk.everywhere);
    let mut expected = Duration::from_secs_f64((expected / 1e3).clamp(0.0, 3600.0));
    light.measure_idle(http, expected);
    let started = sampler::monotonic_ms();
    if sampler.is_ok() {
        std::thread::sleep(BASELINE.min(http.time_left() / 4));
    }
    // Caches and lazy loading make the first request another one; the conversation was the warm-up.
    let most =
        if sampler.is_ok() { context.ask.requests.max(1) } else { context.ask.requests.clamp(1, UNSAMPLED_REQUESTS) };
    let of_server = pids.as_deref().map_err(Unknown::clone);
    let throttling = || of_server.clone().and_then(throttling);
    let throttled_before = throttling();
    let cpu_before = of_server.clone().and_then(counters::cpu_ms);
    let threads_before = of_server.clone().and_then(threads::cpu_time);
    let mut read_so_far = of_server.clone().and_then(counters::read_bytes);
    let mut read_least: Option<u64> = None;
    let opened = sampler::monotonic_ms();
    let end = Instant::now() + context.ask.window;
    let mut answers = BTreeMap::new();
    let (mut durations, mut ends) = (Vec::new(), Vec::new());
    let (mut sent, mut ok) = (0_u64, 0_u64);
    let mut begun: Option<Instant> = None;
    while sent < u64::from(most) && (sent == 0 || Instant::now() < end) && http.time_left() > Duration::from_millis(700)
    {
        if let (true, Some(last)) = (sampler.is_ok(), begun) {
            std::thread::sleep(DISTANCE.saturating_sub(last.elapsed()));
        }
        let before = Instant::now();
        begun = Some(before);
        // Past the window's end the last request may finish, within the conversation's own bounds.
        let result = light.send(http, &outgoing, good.limit.unwrap_or(Duration::from_secs(30)), expected);
        expected = before.elapsed();
        durations.push(expected.as_secs_f64() * 1e3);
        ends.push(sampler::monotonic_ms());
        let read_now = read_so_far.is_ok().then(|| of_server.clone().and_then(counters::read_bytes));
        if let (Some(now), Ok(before)) = (read_now, &mut read_so_far) {
            match now {
                Ok(now) => {
                    let read = now.saturating_sub(*before);
                    read_least = Some(read_least.map_or(read, |least| least.min(read)));
                    *before = now;
                }
                Err(unknown) => read_so_far = Err(unknown),
            }
        }
        sent += 1;
        ok += u64::from(result.as_ref().is_ok_and(accepts));
        let status =
            result.map_or_else(|failure| failure.partial.map(|reply| reply.status), |reply| Some(reply.status));
        *answers.entry(status.map_or("none".to_owned(), |status| status.to_string())).or_insert(0) += 1;
    }
    let closed = sampler::monotonic_ms();
    let throttled = throttling().and_then(|after| Ok((throttled_before?, after)));
    let risen = |count: &dyn Fn(&Throttling) -> u64| {
        throttled.as_ref().map(|(before, after)| count(after).saturating_sub(count(before))).map_err(Unknown::clone)
    };
    let cpu_after = of_server.clone().and_then(counters::cpu_ms);
    let threads_after = of_server.clone().and_then(threads::cpu_time);
    let libraries_after = of_server.clone().and_then(later::gpu_libraries);
    let nodes_after = of_server.and_then(later::device_nodes);
    let gpus = sampler.and_then(|sampler| {
        std::thread::sleep(AFTER.min(http.time_left() / 2));
        Ok(summarise(&sampler.finish()?, opened, closed, &ends))
    });
    let none_sent =
        || Unknown::new(Why::TimedOut, "the probe's time was used up before a request of the window could be sent");
    let if_sent = |value: f64| if sent > 0 { Ok(value) } else { Err(none_sent()) };
    let window_ms = round(closed - opened);
    let server_cpu_ms = cpu_before.and_then(|before| Ok(round((cpu_after? - before).max(0.0))));
    let (during, left) = light.during_and_left_ms();
    ExecutionFacts {
        requests_sent: Fact::Known(sent),
        requests_ok: Fact::Known(ok),
        answers_by_status: Fact::Known(answers),
        baseline_ms: Fact::Known(round(opened - started)),
        window_ms: if_sent(window_ms).into(),
        request_ms_median: median(&mut durations).map(round).ok_or_else(none_sent).into(),
        cpu_periods: risen(&|throttling| throttling.periods).into(),
        cpu_throttled_periods: risen(&|throttling| throttling.throttled_periods).into(),
        cores_busy: server_cpu_ms.clone().and_then(|cpu| if_sent(round(cpu / window_ms.max(1.0)))).into(),
        server_cpu_ms: server_cpu_ms.into(),
        light_request_url: light.url(),
        light_request_idle_ms: light.idle_ms(),
        light_request_during_ms: during,
        light_request_left_ms: left,
        busiest_threads: threads_before
            .and_then(|before| counters::busiest(&before, &threads_after?, window_ms))
            .into(),
        read_bytes_least: read_so_far.and_then(|_| read_least.ok_or_else(none_sent)).into(),
        request_body_bytes: Fact::Known(outgoing.payload.bytes()),
        gpu_libraries_after: libraries_after.into(),
        device_nodes_open_after: nodes_after.into(),
        gpus: gpus.into(),
    }
}

/// How often the server has met its CPU limit. Its processes share a control group; the first stands for all.
fn throttling(pids: &[u64]) -> Result<Throttling, Unknown> {
    let first = pids.first().ok_or_else(|| Unknown::new(Why::Absent, "no process of the server is known"))?;
    container::throttling(*first)
}

/// Whether NVML can be sampled at all; if not, why.
fn usable_nvml(local: bool, facts: &Facts) -> Result<(), Unknown> {
    if !local {
        return Err(Unknown::new(Why::NotAsked, "the GPUs of another machine are not sampled"));
    }
    match facts.nvml.status.read()?.as_str() {
        "ok" => Ok(()),
        status => {
            let detail = format!("NVML is not usable ({})", status.replace('_', " "));
            Err(Unknown::new(Why::Absent, detail))
        }
    }
}

/// Sorts the samples into phases and sums each counter up.
pub fn summarise(samples: &[Sample], opened: f64, closed: f64, ends: &[f64]) -> Vec<GpuWindow> {
    let mut by_gpu: BTreeMap<u64, Vec<(f64, &GpuSample)>> = BTreeMap::new();
    for sample in samples {
        for gpu in &sample.gpus {
            by_gpu.entry(gpu.index).or_default().push((sample.at_ms, gpu));
        }
    }
    let window = |(index, readings): (u64, Vec<(f64, &GpuSample)>)| {
        let phases = |read: &dyn Fn(&GpuSample) -> Fact<f64>| phases(&readings, opened, closed, read);
        let whole = |fact: &Fact<u64>| fact.clone().map(|value| value as f64);
        let last = readings.iter().rev().find(|(at, _)| *at <= closed).or(readings.last());
        let nothing = || Fact::unknown(Why::Absent, "no sample was taken");
        GpuWindow {
            index,
            uuid: readings.first().map_or_else(nothing, |(_, gpu)| gpu.uuid.clone()),
            utilization_percent: phases(&|gpu| whole(&gpu.utilization_percent)),
            process_utilization_percent: phases(&|gpu| whole(&gpu.process_utilization_percent)),
            power_milliwatts: phases(&|gpu| whole(&gpu.power_milliwatts)),
            sm_clock_mhz: phases(&|gpu| whole(&gpu.sm_clock_mhz)),
            memory_used_bytes: phases(&|gpu| whole(&gpu.memory_used_bytes)),
            server_memory_bytes: last.map_or_else(
                || Fact::unknown(Why::Absent, "no sample was taken"),
                |(_, gpu)| gpu.server_memory_bytes.clone(),
            ),
            temperature_celsius: phases(&|gpu| whole(&gpu.temperature_celsius)),
            throttle_reasons_percent: throttled(&readings, opened, closed),
            pcie_link_generation: phases(&|gpu| whole(&gpu.pcie_link_generation)),
            pcie_link_width: phases(&|gpu| whole(&gpu.pcie_link_width)),
            pcie_replays: phases(&|gpu| whole(&gpu.pcie_replays)),
            memory_trace: trace::memory(&readings, opened, closed, ends),
        }
    };
    by_gpu.into_iter().map(window).collect()
}

/// One counter in the three phases; unknown if no sample could read it.
fn phases(
    readings: &[(f64, &GpuSample)],
    opened: f64,
    closed: f64,
    read: &dyn Fn(&GpuSample) -> Fact<f64>,
) -> Fact<Phases> {
    let (mut before, mut during, mut after) = (Vec::new(), Vec::new(), Vec::new());
    let mut reason = Unknown::new(Why::Absent, "no sample was taken");
    for (at, gpu) in readings {
        match read(gpu) {
            Fact::Known(value) if *at < opened => before.push(value),
            Fact::Known(value) if *at <= closed => during.push(value),
            Fact::Known(value) => after.push(value),
            Fact::Unknown(unknown) => reason = unknown,
        }
    }
    if before.is_empty() && during.is_empty() && after.is_empty() {
        return Fact::Unknown(reason);
    }
    Fact::Known(Phases { before: series(&before), during: series(&during), after: series(&after) })
}

/// In what share of the window's samples each reason for lower clocks stood, percent.
fn throttled(readings: &[(f64, &GpuSample)], opened: f64, closed: f64) -> Fact<BTreeMap<String, f64>> {
    let inside = readings.iter().filter(|(at, _)| (opened..=closed).contains(at));
    let (mut counts, mut read) = (BTreeMap::<String, u64>::new(), 0_u64);
    let mut reason = Unknown::new(Why::Absent, "no sample was taken in the window");
    for (_, gpu) in inside {
        match &gpu.throttle_reasons_bits {
            Fact::Known(bits) => {
                read += 1;
                throttle_reason_names(*bits).into_iter().for_each(|name| *counts.entry(name).or_default() += 1);
            }
            Fact::Unknown(unknown) => reason = unknown.clone(),
        }
    }
    if read == 0 {
        return Fact::Unknown(reason);
    }
    Fact::Known(counts.into_iter().map(|(name, count)| (name, round(100.0 * count as f64 / read as f64))).collect())
}

fn series(values: &[f64]) -> Series {
    if values.is_empty() {
        return Series { samples: 0, min: 0.0, mean: 0.0, max: 0.0 };
    }
    Series {
        samples: values.len() as u64,
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        mean: round(values.iter().sum::<f64>() / values.len() as f64),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
