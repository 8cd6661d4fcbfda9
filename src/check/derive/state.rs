//! What the server's answers tell of its own state: is the model loaded, is the engine awake?

use super::{Basis, recorded, told};
use crate::snapshot::{Exchange, Fact, Facts, StateAnswer, Unknown, room};
use crate::words::grouped;

room! {
    /// What the server says of its state.
    pub struct ServerState {
        /// The server's own word that its model is not loaded; empty if it did not say so or accepts requests.
        pub model_not_loaded: String,
        /// Whether the engine holds its model: `asleep`, `unloaded` or `awake`.
        pub engine_state: String,
        /// The server's own word for it; empty if it is awake.
        pub engine_state_because: String,
    }
}

impl ServerState {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let (engine_state, engine_state_because) = told(engine(facts));
        Self { model_not_loaded: model_not_loaded(facts), engine_state, engine_state_because }
    }
}

/// What servers answer to a request for a model that is not loaded: Triton, TorchServe, llama.cpp, MLServer, TensorFlow
/// Serving. Lower case.
const NOT_LOADED: &[&str] = &[
    "request for unknown model",
    "has no available versions",
    "has no worker to serve inference request",
    "modelnotfoundexception",
    "loading model",
    "model is not ready",
    "servable not found for request",
];
/// What a health endpoint says of a server that is not ready. Lower case, without white space.
const NOT_READY: &[&str] = &["loadingmodel", "notready", "\"ready\":false", "\"model_loaded\":false", "\"loading\""];
/// Characters of an answer that are told.
const TOLD: usize = 200;

/// The proof that the model is not loaded, in words; empty if nothing says so, or if a request was accepted.
fn model_not_loaded(facts: &Facts) -> Fact<String> {
    let request = &facts.request;
    let accepted = |exchange: &Fact<Exchange>| exchange.known().is_some_and(|exchange| exchange.accepted);
    if request.reachable.known() == Some(&false) || accepted(&request.client) || accepted(&request.good) {
        return Fact::Known(String::new());
    }
    let attempts = request.attempts.known().into_iter().flatten();
    let exchanges = request.rejected.known().into_iter().chain(request.client.known()).chain(attempts);
    if let Some(told) = exchanges.filter_map(refused).next().or_else(|| refused_by_record(facts)) {
        return Fact::Known(told);
    }
    request.state_answers.as_ref().map(|answers| {
        let live = answers.iter().any(|one| one.path == "/v2/health/live" && one.status.known() == Some(&200));
        let index = request.schema_error.known().filter(|error| error.contains("in the repository index is ready"));
        match (index, answers.iter().find(|one| not_ready(one, live))) {
            (Some(error), _) if live => {
                format!("the server is alive, and {}", excerpt(error.rsplit("; ").next().unwrap_or(error)))
            }
            (_, Some(one)) => in_words(one),
            _ => String::new(),
        }
    })
}

/// What a rejection says, if it is that the model is not there.
fn refused(exchange: &Exchange) -> Option<String> {
    let status = exchange.status.known().filter(|status| (400..600).contains(*status))?;
    says_not_loaded(*status, &exchange.answer)
        .then(|| format!("{} {} answers {status}: {}", exchange.method, exchange.path, message(&exchange.answer)))
}

/// Whether the words are those for a model that is not loaded.
pub fn says_not_loaded(status: u64, answer: &str) -> bool {
    let answer = answer.to_lowercase();
    // MLServer's "Model NAME not found" and TorchServe's "Model not found: NAME", both with 404.
    let unknown_model = status == 404 && answer.contains("\"model ") && answer.contains("not found");
    unknown_model || NOT_LOADED.iter().any(|words| answer.contains(words))
}

/// The same of files in which every request was answered alike.
fn refused_by_record(facts: &Facts) -> Option<String> {
    let (count, answer, status) = recorded::answered_alike(facts)?;
    let all = grouped(count);
    says_not_loaded(status, answer)
        .then(|| format!("{all} of {all} recorded requests were answered {status}: {}", message(answer)))
}

/// Whether the answer says that the server or its model is not ready. `live` is whether a KServe server says it is alive.
fn not_ready(one: &StateAnswer, live: bool) -> bool {
    let Some(status) = one.status.known() else { return false };
    let answer: String = one.answer.to_lowercase().split_whitespace().collect();
    let says_so = NOT_READY.iter().any(|words| answer.contains(words));
    if one.path.starts_with("/v2/") {
        return live && one.path.ends_with("/ready") && *status >= 400;
    }
    if one.path.starts_with("/v1/models/") {
        let tensorflow = answer.contains("model_version_status") && !answer.contains("\"available\"");
        return *status == 503 || (*status == 200 && (says_so || tensorflow));
    }
    let readiness = one.path.ends_with("ready") || one.path.ends_with("readyz");
    match status {
        503 => readiness || says_so,
        200 => says_so && (readiness || one.path.contains("health")),
        _ => false,
    }
}

/// `asleep` (vLLM's sleep mode), `unloaded` (ollama holds no model) or `awake`, and the answer that says so.
fn engine(facts: &Facts) -> Result<(&'static str, String), Unknown> {
    if facts.request.reachable.known() == Some(&false) {
        return Ok(("awake", String::new()));
    }
    for one in facts.request.state_answers.read()?.iter().filter(|one| one.status.known() == Some(&200)) {
        let answer: String = one.answer.split_whitespace().collect();
        let asleep = one.path.ends_with("/is_sleeping") && answer.contains("\"is_sleeping\":true")
            || one.path.ends_with("/metrics") && one.answer.split("; ").any(says_asleep);
        if asleep {
            return Ok(("asleep", in_words(one)));
        }
        if one.path.ends_with("/api/ps") && answer == "{\"models\":[]}" {
            return Ok(("unloaded", in_words(one)));
        }
    }
    Ok(("awake", String::new()))
}

/// Whether a line of vLLM's metrics says that an engine is not awake.
fn says_asleep(line: &str) -> bool {
    line.starts_with("vllm:engine_sleep_state{")
        && line.contains("sleep_state=\"awake\"")
        && line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()) == Some(0.0)
}

fn in_words(one: &StateAnswer) -> String {
    let status = one.status.known().map_or("no answer".into(), |status| status.to_string());
    match one.answer.trim() {
        "" => format!("GET {} answers {status}", one.path),
        answer => format!("GET {} answers {status}: {}", one.path, message(answer)),
    }
}

/// The words of an answer in JSON, or else its start.
fn message(answer: &str) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(answer).ok();
    let places = ["/message", "/error/message", "/error", "/detail"];
    let words = json.as_ref().and_then(|json| places.iter().find_map(|place| json.pointer(place)?.as_str()));
    excerpt(words.unwrap_or(answer))
}

fn excerpt(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TOLD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str, status: u64, answer: &str) -> StateAnswer {
        StateAnswer { path: path.into(), status: Fact::Known(status), answer: answer.into() }
    }

    #[test]
    fn readiness_is_told_from_health() {
        assert!(not_ready(&answer("/v2/models/m/ready", 400, ""), true));
        assert!(!not_ready(&answer("/v2/models/m/ready", 404, ""), false), "no KServe server at all");
        assert!(!not_ready(&answer("/v2/models/m/ready", 200, ""), true));
        let loading = r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#;
        assert!(not_ready(&answer("/health", 503, loading), false));
        assert!(!not_ready(&answer("/health", 503, "database down"), false));
        assert!(not_ready(&answer("/health", 503, "not ready"), false));
        assert!(not_ready(&answer("/readyz", 503, ""), false));
        assert!(not_ready(&answer("/health", 200, r#"{"status": "ok", "model_loaded": false}"#), false));
        assert!(!not_ready(&answer("/ping", 404, "not ready"), false));
        assert!(not_ready(&answer("/v1/models/m", 503, ""), false));
        assert!(not_ready(&answer("/v1/models/m", 200, r#"{"name":"m","ready":false}"#), false));
        let tensorflow =
            |state: &str| format!(r#"{{"model_version_status": [{{"version": "1", "state": "{state}"}}]}}"#);
        assert!(not_ready(&answer("/v1/models/m", 200, &tensorflow("LOADING")), false));
        assert!(!not_ready(&answer("/v1/models/m", 200, &tensorflow("AVAILABLE")), false));
    }

    proptest::proptest! {
        #[test]
        fn any_answer_is_read(path in "(/v2|/v1/models|/health|/metrics)?.{0,20}", status in 0_u64..700, text in ".{0,300}") {
            let one = answer(&path, status, &text);
            let _ = (not_ready(&one, true), not_ready(&one, false), says_asleep(&text));
            proptest::prop_assert!(message(&text).chars().count() <= TOLD);
        }
    }

    #[test]
    fn only_the_awake_line_tells_of_sleep() {
        let line = |state: &str, value: &str| {
            format!("vllm:engine_sleep_state{{engine=\"0\",model_name=\"a b\",sleep_state=\"{state}\"}} {value}")
        };
        assert!(says_asleep(&line("awake", "0.0")));
        assert!(!says_asleep(&line("awake", "1.0")));
        assert!(!says_asleep(&line("discard_all", "0.0")), "that is what an engine that is awake says");
        assert!(!says_asleep("") && !says_asleep(&line("awake", "NaN")));
    }
}
