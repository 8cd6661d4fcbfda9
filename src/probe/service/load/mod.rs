//! Load on the server with its good request: what `stress` and `bench` add to the measuring window.
//!
//! The engine ([`crate::probe::load`]) sends; here stands what it sends, over which way, what counts as accepted, and what
//! is watched beside each step.

mod beside;
mod digest;
mod gpus;
mod heat;
mod memory;
mod payloads;
mod reading;
mod warm_up;
mod way;

use super::conversation::{Answered, Conversation};
use super::message::Message;
use super::recognize::Discovered;
use super::spoken::Spoken;
use super::transport::Route;
use super::transport::connect::Connector;
use super::transport::outgoing::{Form, alike};
use super::websocket;
use super::window::reported::place::Place;
use super::window::{is_local, pids, round, usable_nvml};
use crate::probe::load::{Bodies, Fault, Limits, Measured, Prepared, Step, Stop, carry_out};
use crate::probe::{Context, LoadPlan};
use crate::snapshot::{Fact, Facts, LoadFacts, LoadStep, Room, Unknown, Why};
use beside::{Beside, Seen};
use hyper::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use memory::Memory;
use reading::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use way::Way;

/// Longest wait for one answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The load ends where more than this share of so many requests in a row failed.
const FAILED_SHARE: f64 = 0.5;
const JUDGED: u64 = 100;
/// Kept of the time for the way home.
const SPARE: Duration = Duration::from_secs(2);

/// The conversation that found the good request.
pub struct Found<'a> {
    pub talk: &'a Conversation<'a>,
    pub good: &'a Answered,
    pub found: &'a Discovered,
    pub route: &'a Route,
    pub spoken: Spoken,
}

/// Why no load is made, where no request was accepted.
pub fn none(context: &Context) -> LoadFacts {
    let not_asked = |detail: &str| Unknown::new(Why::NotAsked, detail);
    match &context.ask.load {
        None => LoadFacts::all_unknown(&not_asked("no load was asked for: gpu-doctor stress makes it")),
        Some(plan) => unmade(plan, &not_asked("no request was accepted, so there was nothing to repeat")),
    }
}

/// A load that was asked for and not made.
fn unmade(plan: &LoadPlan, unknown: &Unknown) -> LoadFacts {
    LoadFacts { command: Fact::Known(plan.command.into()), ..LoadFacts::all_unknown(unknown) }
}

/// Makes the load that was asked for. `facts` hold what the window found.
pub fn measure(of: &Found, context: &Context, facts: &Facts) -> LoadFacts {
    let Some(plan) = &context.ask.load else { return none(context) };
    plan.progress.begun.store(true, Ordering::Relaxed);
    let made = unsuited(of, context).map_or(Ok(()), Err).and_then(|()| carry(of, plan, context, facts));
    made.unwrap_or_else(|unknown| unmade(plan, &unknown))
}

/// Why no load can be made on such a server.
fn unsuited(of: &Found, context: &Context) -> Option<Unknown> {
    let detail = match of.spoken {
        Spoken::Grpc => "load is made over HTTP/1.1; this server speaks gRPC",
        Spoken::WebSocket => "load is made over HTTP/1.1; this server is asked through a WebSocket",
        Spoken::Http if of.good.message.method == websocket::METHOD => {
            "load is made over HTTP/1.1; this server is asked through a WebSocket"
        }
        Spoken::Http if context.ask.connection.http2 => "load is made over HTTP/1.1; --http2 asks for HTTP/2",
        Spoken::Http if of.found.kind == Some("gradio") => {
            "load is made with one request at a time; Gradio answers in two steps"
        }
        Spoken::Http => return None,
    };
    Some(Unknown::new(Why::NotAsked, detail))
}

fn carry(of: &Found, plan: &LoadPlan, context: &Context, facts: &Facts) -> Result<LoadFacts, Unknown> {
    let connector = Connector::new(of.talk.server, of.route);
    let connector = connector.map_err(|failure| Unknown::new(failure.why, failure.text))?;
    let way = Way { connector: &connector, server: of.talk.server };
    let measuring = Arc::new(AtomicBool::new(false));
    let mut reading = Reading::of(&facts.execution, plan.progress.clone());
    if let Some(asked) = &plan.sequential {
        reading = reading.at(asked.server_time.as_ref().and_then(Place::named));
        reading = reading.telling(asked.told.clone(), measuring.clone());
    }
    let mut prepared = prepared(of, &connector, reading)?;
    let local = is_local(context, facts);
    let pids = pids(local, facts);
    let nvml = usable_nvml(local, facts);
    let halted = Arc::new(AtomicBool::new(false));
    let beside = Beside::new(of, context, facts, &pids, nvml, (&plan.interrupted, halted.clone()));
    let deadline = context.deadline.checked_sub(LoadPlan::PATIENCE + SPARE).unwrap_or(context.deadline);
    let strange = (!local && !plan.owned).then_some(LoadPlan::STRANGE_REQUESTS_MAX);
    let most = [plan.requests_max, strange].into_iter().flatten().min();
    let warmed = warm_up::warm_up(&mut prepared, &way, plan, most, deadline)?;
    let left = most.map_or(u64::MAX, |most| most.saturating_sub(warmed.requests));
    measuring.store(true, Ordering::Relaxed);
    // Requests that are the plan itself are no end before it.
    let count = plan.sequential.as_ref().and_then(|asked| asked.count).filter(|count| *count <= left);
    let left = count.unwrap_or(left);
    let limits = Limits { requests: left, failed_share: FAILED_SHARE, judged: JUDGED, deadline };
    let stop = Stop::new(limits, plan.interrupted.clone(), halted);
    let named = plan.sequential.as_ref().and_then(|asked| asked.server_time.as_ref());
    let (mut steps, mut gone, mut cpu, mut answered) = (Vec::new(), false, Some(Duration::ZERO), 0);
    plan.progress.answered.store(0, Ordering::Relaxed);
    let counted = plan.progress.clone();
    let memory = Memory::start(&pids, beside.teller(), move || counted.answered.load(Ordering::Relaxed));
    for users in &plan.users {
        if stop.is_over() {
            break;
        }
        let step = Step {
            users: *users,
            rate_rps: plan.rate_rps,
            length: plan.duration,
            limit: plan.sequential.as_ref().map_or(ANSWER, |asked| asked.answer),
            patience: plan.patience(),
            think_time: plan.think_time,
        };
        let watched = beside.begin();
        plan.progress.step.fetch_add(1, Ordering::Relaxed);
        let measured = carry_out(&prepared, &way, &step, &stop);
        let seen = beside.end(watched);
        let measured = measured.map_err(|error| Unknown::from_io(&error, "the runtime that sends requests"))?;
        // Requests without an answer count too, as they do in the step.
        answered += measured.tally.ok + measured.tally.failed;
        plan.progress.answered.store(answered, Ordering::Relaxed);
        gone = is_gone(&measured);
        cpu = cpu.zip(measured.own_cpu).map(|(sum, one)| sum + one);
        let mut step = recorded(&step, &measured, seen);
        if let (Some(named), Fact::Unknown(unknown)) = (named, &mut step.server_ms) {
            *unknown = Unknown::new(Why::Absent, format!("no accepted answer tells a time in {}", named.place));
        }
        steps.push(step);
        (plan.told.0)(facts, &steps);
    }
    let heat = beside.heat();
    let (stopped_by, stopped_because) = match stop.reason() {
        Some("requests") if count.is_some() => ("", String::new()),
        _ => ended(&stop, gone, left, strange.is_some(), steps.len()),
    };
    let stopped_because = heat.filter(|_| stopped_by == "temperature").unwrap_or(stopped_because);
    let requests: u64 = steps.iter().map(|step: &LoadStep| step.requests).sum();
    let cpu_us = cpu.filter(|_| requests > 0).map(|cpu| round(cpu.as_secs_f64() * 1e6 / requests as f64));
    Ok(LoadFacts {
        command: Fact::Known(plan.command.into()),
        steps: Fact::Known(steps),
        stopped_by: Fact::Known(stopped_by.into()),
        stopped_because: Fact::Known(stopped_because),
        distinct_payloads: Fact::Known(prepared.bodies.count() as u64),
        body_bytes: Fact::Known(round(prepared.bodies.bytes() as f64 / prepared.bodies.count() as f64)),
        think_time_ms: Fact::Known(round(plan.think_time.as_secs_f64() * 1e3)),
        first_request_ms: Fact::Known(of.good.exchange.duration_ms),
        warm_up_requests: Fact::Known(warmed.requests),
        warm_up_medians_ms: Fact::Known(warmed.medians_ms),
        wanted: Fact::Known(plan.wanted.clone()),
        server_time_in: named
            .map_or_else(|| facts.execution.server_reported_in.clone(), |named| Fact::Known(named.place.clone())),
        server_time_of: named
            .map_or_else(|| facts.execution.server_reported_of.clone(), |named| Fact::Known(named.of.into())),
        request_digest: Fact::Known(digest::of(&prepared)),
        own_cpu_us_per_request: cpu_us
            .ok_or_else(|| Unknown::new(Why::Absent, "no request was sent, or the system tells no CPU time"))
            .into(),
        memory: memory.and_then(Memory::finish).into(),
    })
}

/// The good request, ready to be sent again and again.
fn prepared(of: &Found, connector: &Connector, judge: Reading) -> Result<Prepared, Unknown> {
    let unformed = || Unknown::new(Why::Malformed, "the good request could not be formed again");
    let outgoing = |message: &Message| message.outgoing(of.talk.server, of.talk.everywhere).ok_or_else(unformed);
    let first = outgoing(&of.good.message)?;
    let proxy = connector.forwarding();
    let form = if proxy.is_some() { Form::Absolute } else { Form::Origin };
    let authorization = proxy.and_then(|proxy| proxy.authorization.as_deref());
    let formed = alike(&first, form, authorization);
    let formed = formed.map_err(|failure| Unknown::new(failure.why, failure.text))?;
    let mut bodies = Bodies::new(formed.body(&first));
    // One after the other: together they would take more memory than all else.
    for message in payloads::varied(&of.good.message).skip(1) {
        bodies.push(&formed.body(&outgoing(&message)?));
    }
    let (head, _) = formed.head.into_parts();
    let mut headers = head.headers;
    // What frames the body is written with each.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    Ok(Prepared { method: head.method, uri: head.uri, headers, bodies, judge: Box::new(judge) })
}

/// Whether nothing answers at the server's port any more.
fn is_gone(measured: &Measured) -> bool {
    let tally = &measured.tally;
    let refused = tally.by_fault.get(&Fault::ConnectRefused).copied().unwrap_or_default();
    refused * 2 > tally.failed
}

/// Why it ended before its plan did: the reason's name, and the same in words.
fn ended(stop: &Stop, gone: bool, requests: u64, strange: bool, steps: usize) -> (&'static str, String) {
    let reason = match stop.reason() {
        Some("errors") if gone => "server_gone",
        reason => reason.unwrap_or_default(),
    };
    let at = format!("in step {steps}");
    let because = match reason {
        "server_gone" => format!("{at} the server's port refused connections: nothing listens there any more"),
        "errors" => format!("{at} more than half of {JUDGED} requests in a row failed"),
        "requests" if strange => format!(
            "{requests} requests were sent; a server on another machine is sent more only with --i-own-this-server"
        ),
        "requests" => format!("{requests} requests were sent (--max-requests)"),
        "time" => "the run's time was used up (--timeout)".into(),
        "interrupted" => "it was interrupted".into(),
        _ => String::new(),
    };
    (reason, because)
}

fn recorded(step: &Step, measured: &Measured, seen: Seen) -> LoadStep {
    let Measured { tally, window, own_cpu } = measured;
    let seconds = window.as_secs_f64().max(1e-6);
    let not_told = || Unknown::new(Why::NotAsked, "the server's answers tell no time of its own");
    let server_ms = match tally.server.spread("answers") {
        Fact::Unknown(_) => Fact::Unknown(not_told()),
        known => known,
    };
    let no_rate = || Unknown::new(Why::NotAsked, "each user waits for its answer");
    LoadStep {
        users: step.users.into(),
        rate_rps: step.rate_rps.ok_or_else(no_rate).into(),
        window_ms: round(window.as_secs_f64() * 1e3),
        requests: tally.requests,
        ok: tally.ok,
        failed: tally.failed,
        dropped: tally.dropped,
        unfinished: tally.unfinished,
        by_status: tally.by_status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
        by_error: tally
            .by_fault
            .iter()
            .map(|(fault, count)| (fault.name().to_owned(), *count))
            .collect::<BTreeMap<_, _>>(),
        throughput_rps: round(tally.in_window as f64 / seconds),
        latency_ms: tally.latency.spread("accepted requests"),
        first_byte_ms: tally.first_byte.spread("accepted requests"),
        server_ms,
        in_flight_mean: round(tally.under_way.as_secs_f64() / seconds),
        gpus: seen.gpus.into(),
        models: seen.models,
        server_cpu_ms: seen.server_cpu_ms.into(),
        own_cpu_ms: own_cpu
            .map(|cpu| round(cpu.as_secs_f64() * 1e3))
            .ok_or_else(|| Unknown::new(Why::Unsupported, "the system does not tell a thread's CPU time"))
            .into(),
    }
}

/// Waits, unless the user wants an end.
fn pause(time: Duration, interrupted: &AtomicBool) {
    let end = Instant::now() + time;
    while Instant::now() < end && !interrupted.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50).min(end.saturating_duration_since(Instant::now())));
    }
}
