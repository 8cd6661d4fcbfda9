//! Refusals at a limit of the server, and requests that something in between gave up: by the words that each program has
//! for them, in the conversation and in files.

use super::Basis;
use crate::snapshot::{Exchange, Fact, Facts, Unknown, Why, room};

room! {
    /// Limits that were met.
    pub struct Limits {
        /// The refusal of a request because as many as the server takes were there already, in words; empty if there is
        /// none.
        pub limit_refusal: String,
        /// The setting that makes the server refuse, where its words tell the program; else empty.
        pub limit_setting: String,
        /// Whether requests were accepted too, so that the limit is met at times only.
        pub limit_spares_some: bool,
        /// The refusal of a WebSocket because all places are taken, in words; empty if there is none.
        pub websocket_full: String,
        /// That a proxy, or the server in its place, gave up a request after a fixed time, in words; empty if none did.
        pub given_up_by_proxy: String,
        /// That ollama computes one request at a time by its environment; empty if not.
        pub ollama_one_at_a_time: String,
    }
}

impl Limits {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let refused = refused(facts);
        Self {
            limit_refusal: refused.clone().map(|(said, _)| said).into(),
            limit_setting: refused.map(|(_, setting)| setting.to_owned()).into(),
            limit_spares_some: Fact::Known(spares_some(facts)),
            websocket_full: websocket_full(facts).into(),
            given_up_by_proxy: given_up(facts).into(),
            ollama_one_at_a_time: one_at_a_time(facts).into(),
        }
    }
}

/// What programs answer at their limit: status, words in lower case, the setting.
const REFUSALS: &[(u64, &str, &str)] = &[
    (429, "model is overloaded", "--max-concurrent-requests (text-generation-inference, text-embeddings-inference)"),
    (
        429,
        "\"error_type\":\"overloaded\"",
        "--max-concurrent-requests (text-generation-inference, text-embeddings-inference)",
    ),
    (429, "\"type\":\"overloaded\"", "--max-concurrent-requests (text-embeddings-inference)"),
    (429, "{\"error\":\"too many requests\"}", "traffic.max_concurrency of the service (BentoML)"),
    (503, "maximum pending requests exceeded", "OLLAMA_MAX_QUEUE (ollama)"),
    (503, "exceeds maximum queue size", "max_queue_size of the model's queue policy (Triton)"),
    (
        503,
        "request dropped due to backpressure",
        "max_queued_requests and max_ongoing_requests of the deployment (Ray Serve)",
    ),
    (503, "the request queue is full", "--max-queued-requests (SGLang)"),
];
/// Words by which servers of WebSockets refuse one more session. Lower case.
const FULL: &[&str] = &[
    "no gpu available",
    "capacity",
    "server full",
    "server is full",
    "too many",
    "busy",
    "limit reached",
    "connection limit",
    "max connections",
    "max_connections",
    "maximum number of",
    // WhisperLive's message, with the minutes to wait.
    "\"status\": \"wait\"",
    "\"status\":\"wait\"",
];
/// Words by which proxies say that they waited in vain. Lower case.
const GAVE_UP: &[&str] =
    &["504 gateway time-out", "gateway timeout", "upstream request timeout", "not able to process the request in"];
/// Shortest time that is a wait, milliseconds.
const WAIT_MS: f64 = 1000.0;
/// Waits that are usual settings, seconds, and how near to one a time must be.
const WALLS_S: &[f64] = &[5.0, 10.0, 15.0, 20.0, 29.0, 30.0, 60.0, 100.0, 120.0, 180.0, 300.0, 600.0];
const NEAR: f64 = 0.03;
/// Refusals that the server counted from which on they are more than chance, as a share of all.
const REFUSED_SHARE: f64 = 0.05;

/// The requests of the conversation; an error where none is known.
fn exchanges(facts: &Facts) -> Result<Vec<&Exchange>, Unknown> {
    let request = &facts.request;
    let single = [&request.client, &request.rejected].into_iter().filter_map(Fact::known);
    let attempts = request.attempts.known();
    let all: Vec<&Exchange> = single.chain(attempts.into_iter().flatten()).chain(request.good.known()).collect();
    match (all.is_empty(), request.attempts.read()) {
        (true, Err(unknown)) => Err(unknown),
        _ => Ok(all),
    }
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn in_words(exchange: &Exchange, status: u64) -> String {
    let answer: String = exchange.answer.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect();
    format!("{} {} was answered {status} ({answer})", exchange.method, exchange.path)
}

fn setting_of(status: Option<u64>, text: &str) -> Option<&'static str> {
    let text = squeezed(text);
    let plain = text.replace("\": ", "\":");
    let fits = |(own, words, _): &&(u64, &str, &str)| {
        status.is_none_or(|status| status == *own) && (text.contains(words) || plain.contains(words))
    };
    REFUSALS.iter().find(fits).map(|(.., setting)| *setting)
}

fn refused(facts: &Facts) -> Result<(String, &'static str), Unknown> {
    let all = exchanges(facts);
    for exchange in all.iter().flatten().filter(|exchange| !exchange.accepted) {
        let Some(status) = exchange.status.known() else { continue };
        if let Some(setting) = setting_of(Some(*status), &exchange.answer) {
            return Ok((in_words(exchange, *status), setting));
        }
        let uvicorn = exchange.headers.get("server").is_some_and(|server| server == "uvicorn");
        if *status == 503 && uvicorn && exchange.answer.trim() == "Service Unavailable" {
            return Ok((in_words(exchange, *status), "--limit-concurrency (uvicorn)"));
        }
    }
    let recorded = facts.recorded.requests.known();
    for error in recorded.into_iter().flat_map(|recorded| &recorded.errors) {
        if let Some(setting) = setting_of(None, &error.text) {
            return Ok((format!("{} requests failed with: {}", error.count, error.text), setting));
        }
    }
    let counted = facts.counters.models.known();
    for row in counted.into_iter().flatten() {
        let gained = row.requests_refused.known().filter(|refused| **refused >= 1.0);
        let totals = row.totals.known().and_then(|totals| {
            let (refused, ok) = totals.requests_refused.known().zip(totals.requests_ok.known())?;
            (*refused >= 1.0 && *refused >= REFUSED_SHARE * (ok + refused)).then_some(refused)
        });
        let of_model = if row.model.is_empty() { String::new() } else { format!(" to {}", row.model) };
        if let Some(refused) = gained {
            return Ok((format!("The server counted {refused:.0} requests{of_model} that it refused meanwhile"), ""));
        }
        if let Some(refused) = totals {
            return Ok((
                format!("The server counted {refused:.0} requests{of_model} that it refused since it started"),
                "",
            ));
        }
    }
    match all {
        Err(_) if recorded.is_some() || counted.is_some() => Ok((String::new(), "")),
        Err(unknown) => Err(unknown),
        Ok(_) => Ok((String::new(), "")),
    }
}

fn spares_some(facts: &Facts) -> bool {
    // Where files tell of many refusals the limit is what the clients meet, not the exception.
    let recorded = facts.recorded.requests.known().is_some_and(|recorded| {
        recorded.ok.known().is_some_and(|ok| *ok as f64 > (1.0 - super::failures::MANY_SHARE) * recorded.count as f64)
    });
    let counted = facts.counters.models.known().is_some_and(|rows| !rows.is_empty());
    facts.request.good.known().is_some() || recorded || counted
}

fn websocket_full(facts: &Facts) -> Result<String, Unknown> {
    let all = exchanges(facts)?;
    let full = |exchange: &&&Exchange| {
        let reason = exchange.closed.known().map(|closed| closed.reason.as_str()).unwrap_or_default();
        let said = squeezed(&format!("{} {reason}", exchange.answer));
        // 1013, "try again later", is what RFC 6455 has for it.
        let code = exchange.closed.known().is_some_and(|closed| closed.code == 1013);
        exchange.method == "WEBSOCKET" && !exchange.accepted && (code || FULL.iter().any(|words| said.contains(words)))
    };
    Ok(all.iter().find(full).map_or_else(String::new, |exchange| {
        let path = exchange.path.split('?').next().unwrap_or_default();
        format!("The session at {path} was refused: {}", exchange.answer)
    }))
}

fn given_up(facts: &Facts) -> Result<String, Unknown> {
    let all = exchanges(facts);
    let waited: Vec<(&Exchange, u64)> = all
        .iter()
        .flatten()
        .filter(|exchange| !exchange.accepted && exchange.duration_ms >= WAIT_MS)
        .filter_map(|exchange| Some((*exchange, *exchange.status.known()?)))
        .filter(|(_, status)| matches!(status, 502 | 504))
        .collect();
    let by_words = waited.iter().find(|(exchange, status)| {
        let said = squeezed(&exchange.answer);
        *status == 504 && GAVE_UP.iter().any(|words| said.contains(words))
    });
    let after = |exchange: &Exchange, status: u64| {
        format!("{} after {:.1} s", in_words(exchange, status), exchange.duration_ms / 1e3)
    };
    if let Some((exchange, status)) = by_words {
        return Ok(after(exchange, *status));
    }
    // The same request stands in several places of the room: other requests took the same time.
    let alike = |a: &Exchange, b: &Exchange| {
        a.duration_ms != b.duration_ms && (a.duration_ms - b.duration_ms).abs() <= NEAR * a.duration_ms
    };
    let repeated = waited.iter().find(|(one, status)| {
        one.duration_ms >= 4.0 * WAIT_MS && waited.iter().any(|(other, also)| also == status && alike(one, other))
    });
    if let Some((exchange, status)) = repeated {
        return Ok(format!("{}, and another one after the same time", after(exchange, *status)));
    }
    let recorded = facts.recorded.requests.known();
    let told = recorded.and_then(|recorded| {
        let count = |status: &str| recorded.by_status.get(status).copied().unwrap_or(0);
        let (count, status) = if count("504") > 0 { (count("504"), "504") } else { (count("502"), "502") };
        let p99 = recorded.p99_ms.known()? / 1e3;
        let wall = WALLS_S.iter().find(|wall| (p99 - **wall).abs() <= NEAR * **wall)?;
        (count >= 3)
            .then(|| format!("{count} requests were answered {status}, and the longest ones ended after {wall} s"))
    });
    match (told, all) {
        (Some(told), _) => Ok(told),
        (None, Err(_)) if recorded.is_some() => Ok(String::new()),
        (None, Err(unknown)) => Err(unknown),
        (None, Ok(_)) => Ok(String::new()),
    }
}

fn one_at_a_time(facts: &Facts) -> Result<String, Unknown> {
    let environment = facts.process.environment.read();
    // Another user's environment is for root alone, and nothing hangs on it.
    let environment = environment.map_err(|unknown| Unknown::new(Why::NotAsked, unknown.detail))?;
    match environment.get("OLLAMA_NUM_PARALLEL").map(|value| value.trim()) {
        Some("1") => Ok("OLLAMA_NUM_PARALLEL=1 stands in the environment of its process".into()),
        _ => Ok(String::new()),
    }
}
