//! The measuring window: known-good requests, one after the other, with the GPUs' counters in step.

pub(super) mod counters;
mod doubts;
mod energy;
mod lengths;
mod listed;
pub(super) mod metrics_pages;
mod outbound;
pub mod phases;
mod pulse;
pub(super) mod reported;
#[cfg(test)]
mod tests;
mod timeline;
mod trace;
mod usage;
mod watch;

use crate::probe::Context;
use crate::probe::nvml::sampler;
use crate::probe::service::conversation::{Answered, Conversation, accepts};
use crate::probe::service::transport::Outgoing;
use crate::probe::service::transport::beside::Light;
use crate::snapshot::{ExecutionFacts, Fact, Facts, RequestTime, Room, Unknown, Why};
use outbound::Outbound;
use phases::summarise;
use pulse::Pulse;
use reported::Reported;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use url::Url;
use usage::Usage;
pub use watch::{Watch, watch};

/// Quiet before the baseline: utilization is a mean over up to a second (nvml.h, nvmlUtilization_t), so the requests of
/// the conversation must have left it.
pub(super) const QUIET: Duration = Duration::from_millis(1100);
/// Idle time before the window and after it, when the GPUs are sampled.
pub(super) const BASELINE: Duration = Duration::from_millis(1200);
pub(super) const AFTER: Duration = Duration::from_millis(500);
/// Samples of the baseline, at least.
const BASELINE_SAMPLES: u32 = 4;
/// Shortest distance of the requests' starts where GPUs are sampled: a server that answers at once would use up the
/// requests before the counters, which change a few times a second, could be read often enough.
const DISTANCE: Duration = Duration::from_millis(5);
/// Requests of a window without GPU counters.
const UNSAMPLED_REQUESTS: u32 = 3;
/// Room for a last request before the conversation's time ends.
const LEAST_TIME: Duration = Duration::from_millis(700);
/// Requests whose times are told, at most.
const TIMES_MAX: usize = 256;
/// Longest wait for an answer of the window.
const PATIENCE: Duration = Duration::from_secs(30);

/// Repeats the good request and reads counters before, during and after. `light` is an endpoint that costs the server
/// next to nothing.
pub fn measure(
    talk: &Conversation,
    good: &Answered,
    light: &Url,
    context: &Context,
    facts: &Facts,
    watch: &mut Watch,
) -> ExecutionFacts {
    let http = talk.http;
    let expected = good.exchange.duration_ms;
    let Some(outgoing) = good.message.outgoing(talk.server, talk.everywhere) else {
        let unsent = Unknown::new(Why::Malformed, "the good request could not be formed again");
        return ExecutionFacts::all_unknown(&unsent);
    };
    let local = is_local(context, facts);
    let pids = pids(local, facts);
    let sampler = usable_nvml(local, facts).and_then(|()| {
        std::thread::sleep(QUIET.min(http.time_left() / 4));
        sampler::start(pids.as_deref().unwrap_or_default(), context.ask.sample_rate_hz)
    });
    let sampled = sampler.is_ok();
    let mut light = Light::new(light.clone(), talk.everywhere);
    let expected = Duration::from_secs_f64((expected / 1e3).clamp(0.0, 3600.0));
    light.measure_idle(http, expected);
    let started = sampler::monotonic_ms();
    if sampled {
        // Slow sampling needs longer for as many readings.
        let baseline = BASELINE.max(BASELINE_SAMPLES * (Duration::from_secs(1) / context.ask.sample_rate_hz.max(1)));
        std::thread::sleep(baseline.min(http.time_left() / 4));
    }
    let asked = context.ask.requests.max(1);
    let plan = Plan {
        outgoing: &outgoing,
        limit: good.message.limit.unwrap_or(PATIENCE),
        most: if sampled { asked } else { asked.min(UNSAMPLED_REQUESTS) },
        distance: if sampled { DISTANCE } else { Duration::ZERO },
        length: context.ask.window,
    };
    // Pages of counters are read outside of what is counted of the window: they cost the server CPU time, and time.
    watch.begin();
    let mut usage = Usage::begin(pids.as_deref().map_err(Unknown::clone));
    let pulse = pids.as_deref().map_err(Unknown::clone).and_then(Pulse::start);
    let outbound = pids.as_deref().map_err(Unknown::clone).and_then(|pids| Outbound::start(pids, talk.server));
    let opened = sampler::monotonic_ms();
    let mut sent = repeat(talk, &plan, expected, &mut light, &mut usage);
    let closed = sampler::monotonic_ms();
    let window_ms = round(closed - opened);
    let server_cpu_trace = pulse.and_then(|pulse| pulse.finish(opened, closed));
    let outbound_connections = outbound.and_then(Outbound::finish);
    let usage = usage.end(window_ms, sent.count > 0);
    watch.end();
    let gpus = sampler.and_then(|sampler| {
        std::thread::sleep(AFTER.min(http.time_left() / 2));
        Ok(summarise(&sampler.finish()?, opened, closed, &sent.ends))
    });
    let (during, left) = light.during_and_left_ms();
    let request_times = sent.times(opened);
    let reported = std::mem::take(&mut sent.reported).finish();
    let median_ms = median(&mut sent.durations_ms);
    // After the samples, which must not see these requests.
    let other_lengths = lengths::measure(talk, good, median_ms, asked, &usage, facts);
    ExecutionFacts {
        request_times: if sent.count > 0 { Ok(request_times) } else { Err(none_sent()) }.into(),
        other_lengths: other_lengths.into(),
        server_cpu_trace: server_cpu_trace.into(),
        outbound_connections: outbound_connections.into(),
        requests_sent: Fact::Known(sent.count),
        requests_ok: Fact::Known(sent.ok),
        baseline_ms: Fact::Known(round(opened - started)),
        window_ms: if sent.count > 0 { Ok(window_ms) } else { Err(none_sent()) }.into(),
        request_ms_median: median_ms.map(round).ok_or_else(none_sent).into(),
        answers_by_status: Fact::Known(sent.answers),
        light_request_url: light.url(),
        light_request_idle_ms: light.idle_ms(),
        light_request_during_ms: during,
        light_request_left_ms: left,
        server_reported_ms: reported.ms,
        server_reported_in: reported.place,
        server_reported_of: reported.of,
        server_reported_over_ms: reported.over_ms,
        server_reported_over_in: reported.over_place,
        request_body_bytes: Fact::Known(outgoing.payload.bytes()),
        gpus: gpus.into(),
        ..usage
    }
}

/// What is sent in the window.
struct Plan<'a> {
    outgoing: &'a Outgoing,
    /// Longest wait for one answer.
    limit: Duration,
    /// Requests at most.
    most: u32,
    /// Shortest distance of their starts.
    distance: Duration,
    length: Duration,
}

/// What was sent in the window.
#[derive(Default)]
struct Sent {
    count: u64,
    ok: u64,
    /// Number of answers by status, `none` without one.
    answers: BTreeMap<String, u64>,
    durations_ms: Vec<f64>,
    /// When each ended, on the sampler's clock, milliseconds.
    ends: Vec<f64>,
    /// Whether each was accepted.
    accepted: Vec<bool>,
    /// How long the server says that its work took.
    reported: Reported,
}

impl Sent {
    /// When the first of them ran, from the window's opening on.
    fn times(&self, opened: f64) -> Vec<RequestTime> {
        let all = self.ends.iter().zip(&self.durations_ms).zip(&self.accepted);
        let time = |((end, duration), accepted): ((&f64, &f64), &bool)| RequestTime {
            begun_ms: round((end - duration - opened).max(0.0)),
            duration_ms: round(*duration),
            accepted: *accepted,
        };
        all.take(TIMES_MAX).map(time).collect()
    }
}

/// Sends the window's requests. Caches and lazy loading make the first request another one; the conversation was the
/// warm-up, and `expected` is how long its request took.
fn repeat(talk: &Conversation, plan: &Plan, mut expected: Duration, light: &mut Light, usage: &mut Usage) -> Sent {
    let end = Instant::now() + plan.length;
    let mut sent = Sent::default();
    let mut begun: Option<Instant> = None;
    let time_left = || talk.http.time_left() > LEAST_TIME;
    while sent.count < u64::from(plan.most) && (sent.count == 0 || Instant::now() < end) && time_left() {
        if let Some(last) = begun {
            std::thread::sleep(plan.distance.saturating_sub(last.elapsed()));
        }
        let before = Instant::now();
        begun = Some(before);
        // Past the window's end the last request may finish, within the conversation's own bounds.
        let result = light.send(talk.http, plan.outgoing, plan.limit, expected);
        expected = before.elapsed();
        sent.durations_ms.push(expected.as_secs_f64() * 1e3);
        sent.ends.push(sampler::monotonic_ms());
        usage.after_request();
        sent.count += 1;
        let accepted = result.as_ref().is_ok_and(accepts);
        sent.accepted.push(accepted);
        if let (true, Ok(reply)) = (accepted, &result) {
            sent.reported.note(reply, expected.as_secs_f64() * 1e3);
        }
        sent.ok += u64::from(accepted);
        let status =
            result.map_or_else(|failure| failure.partial.map(|reply| reply.status), |reply| Some(reply.status));
        *sent.answers.entry(status.map_or("none".to_owned(), |status| status.to_string())).or_insert(0) += 1;
    }
    sent
}

/// Whether the server's work is done on this machine.
pub fn is_local(context: &Context, facts: &Facts) -> bool {
    let forwarded = facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty());
    context.ask.target().server_is_local == Some(true) && !forwarded
}

/// The server's processes, where they are this machine's.
pub fn pids(local: bool, facts: &Facts) -> Result<Vec<u64>, Unknown> {
    if !local {
        return Err(Unknown::new(Why::NotAsked, "the server is on another machine, or its name does not resolve"));
    }
    facts.process.processes.read().map(|all| all.iter().map(|process| process.pid).collect())
}

/// Whether NVML can be sampled at all; if not, why.
pub fn usable_nvml(local: bool, facts: &Facts) -> Result<(), Unknown> {
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

/// Why a figure of the window's requests is missing where none was sent.
pub fn none_sent() -> Unknown {
    Unknown::new(Why::TimedOut, "the probe's time was used up before a request of the window could be sent")
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A figure to three decimals.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
