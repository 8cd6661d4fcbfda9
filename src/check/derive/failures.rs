//! Requests that fail beside others that succeed, and what files tell of failures without an answer.

use super::activity::idle_utilization_percent;
use super::{Basis, recorded};
use crate::snapshot::{Fact, Facts, GpuWindow, RecordedRequests, Unknown, Why, room};
use crate::words::grouped;

room! {
    /// Failures among the requests.
    pub struct Failures {
        /// Of requests of which some succeed, those that fail, in words: `200 of 400 requests failed (200 answered 400)`;
        /// empty where they are too few to speak of.
        pub requests_failing: String,
        /// Whether they are so many that the server does not do what it is for.
        pub many_requests_fail: bool,
        /// Why no connection to the server came about, by the word of files in which no request succeeded; empty if one did.
        pub recorded_unreachable: String,
        /// What most failures of the files were answered, if that is more than the status; empty otherwise.
        pub recorded_answer: String,
        /// GPUs that did nothing in the whole recording beside one that worked, in words; empty if there are none.
        pub recorded_idle_gpus: String,
    }
}

impl Failures {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let failing = failing(facts);
        Self {
            many_requests_fail: failing
                .as_ref()
                .map(|one| one.as_ref().is_some_and(|one| one.share >= MANY_SHARE))
                .map_err(Unknown::clone)
                .into(),
            requests_failing: failing.map(|one| one.map(|one| one.says).unwrap_or_default()).into(),
            recorded_unreachable: Fact::Known(unreachable(facts).unwrap_or_default()),
            recorded_answer: Fact::Known(told(facts).unwrap_or_default()),
            recorded_idle_gpus: Fact::Known(idle_gpus(facts).unwrap_or_default()),
        }
    }
}

/// Failures from which on they are worth a word, and how many there must be at least: load tests call 99 % of successes
/// healthy and less than 95 % overloaded.
const SOME_SHARE: f64 = 0.05;
const SOME: u64 = 3;
/// Failures from which on it is no longer the exception.
pub const MANY_SHARE: f64 = 0.2;
/// Utilization from which on a GPU worked, percent.
const WORKED_PERCENT: f64 = 20.0;
/// Samples that it takes to say so.
const SAMPLES: u64 = 10;
/// Words of clients for a connection that nobody took. Lower case.
const NO_CONNECTION: &[&str] = &[
    "connection refused",
    "connect call failed",
    "cannot connect to host",
    "failed to establish a new connection",
    "all connection attempts failed",
    "connectionrefusederror",
    "econnrefused",
    "no route to host",
    "name or service not known",
    "getaddrinfo",
    "could not resolve host",
];

struct Failing {
    share: f64,
    says: String,
}

/// The failures of the files, else of the run's own window, where some requests succeeded.
fn failing(facts: &Facts) -> Result<Option<Failing>, Unknown> {
    let not_asked = |unknown: Unknown| Unknown::new(Why::NotAsked, unknown.detail);
    let (count, ok, answers) = match facts.recorded.requests.known() {
        Some(requests) => (requests.count, *requests.ok.read().map_err(not_asked)?, Some(&requests.by_status)),
        None => {
            let execution = &facts.execution;
            (*execution.requests_sent.read()?, *execution.requests_ok.read()?, execution.answers_by_status.known())
        }
    };
    let failed = count.saturating_sub(ok);
    let share = failed as f64 / count.max(1) as f64;
    if ok == 0 || failed < SOME || share < SOME_SHARE {
        return Ok(None);
    }
    let told = |(status, number): (&String, &u64)| match status.as_str() {
        "none" => Some(format!("{} without an answer", grouped(*number))),
        status if status.starts_with('2') || status == "unknown" => None,
        status => Some(format!("{} answered {status}", grouped(*number))),
    };
    let how: Vec<String> = answers.into_iter().flatten().filter_map(told).collect();
    let how = if how.is_empty() { String::new() } else { format!(" ({})", how.join(", ")) };
    Ok(Some(Failing { share, says: format!("{} of {} requests failed{how}", grouped(failed), grouped(count)) }))
}

/// Nobody took the connection: no request has a status, and the failures' words say so.
fn unreachable(facts: &Facts) -> Option<String> {
    let requests: &RecordedRequests = facts.recorded.requests.known()?;
    let answered = requests.by_status.keys().any(|status| status != "none" && status != "unknown");
    if answered || recorded::all_rejected(facts) != Fact::Known(true) {
        return None;
    }
    let says = |text: &str| {
        let text = text.to_lowercase();
        NO_CONNECTION.iter().any(|words| text.contains(words))
    };
    let error = requests.errors.first().filter(|error| says(&error.text))?;
    Some(format!("{} of {} requests: {}", grouped(error.count), grouped(requests.count), error.text))
}

/// Words by which clients name a status. Lower case.
const OF_STATUS: &[&str] = &[
    "http",
    "httperror",
    "status",
    "code",
    "error",
    "client",
    "server",
    "bad",
    "request",
    "unauthorized",
    "forbidden",
    "not",
    "found",
    "unprocessable",
    "entity",
    "content",
    "internal",
    "service",
    "unavailable",
    "too",
    "many",
    "requests",
    "gateway",
    "timeout",
    "time",
    "out",
    "failed",
    "exception",
    "for",
    "url",
    "response",
    "message",
    "method",
    "allowed",
    "none",
    "other",
    "texts",
];

/// The most frequent failure's text, unless it only names the status: `400 Client Error: Bad Request for url: http://...`.
fn told(facts: &Facts) -> Option<String> {
    let text = &facts.recorded.requests.known()?.errors.first()?.text;
    let parts = text.split_whitespace().filter(|part| !part.contains("://"));
    let mut words = parts.flat_map(|part| part.split(|c: char| !c.is_alphanumeric()));
    let telling =
        |word: &str| word.chars().any(char::is_alphabetic) && !OF_STATUS.contains(&word.to_lowercase().as_str());
    words.any(telling).then(|| text.chars().take(160).collect())
}

/// In files nothing tells which GPUs the server was meant to have, so that idle ones are told beside one that works.
fn idle_gpus(facts: &Facts) -> Option<String> {
    facts.recorded.requests.known()?;
    let gpus = facts.execution.gpus.known()?;
    let most = |gpu: &GpuWindow| {
        let during = &gpu.utilization_percent.known()?.during;
        (during.samples >= SAMPLES).then_some(during.max)
    };
    // One that others kept busy before the first request is none that works for the server.
    let rested = |gpu: &GpuWindow| {
        gpu.utilization_percent.known().is_some_and(|phases| {
            phases.before.samples == 0 || phases.before.mean + WORKED_PERCENT <= phases.during.mean
        })
    };
    let works = |gpu: &&GpuWindow| most(gpu).is_some_and(|most| most >= WORKED_PERCENT);
    let worked: Vec<u64> = gpus.iter().filter(works).map(|gpu| gpu.index).collect();
    if !gpus.iter().filter(works).all(rested) {
        return None;
    }
    let idle: Vec<String> = gpus
        .iter()
        .filter(|gpu| most(gpu).is_some_and(|most| most <= idle_utilization_percent()))
        .map(|gpu| gpu.index.to_string())
        .collect();
    let [worked] = worked[..] else { return None };
    (!idle.is_empty()).then(|| {
        format!(
            "{} of {} GPUs never worked while requests ran: GPU {} alone did, and GPU {} did nothing in any sample",
            idle.len(),
            gpus.len(),
            worked,
            idle.join(", ")
        )
    })
}
