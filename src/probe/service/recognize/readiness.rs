//! Which of the states on the way to serving the server has reached. Health endpoints mean different things: that of a
//! program of the user's own says nothing of its model, a proxy's nothing of its replicas, TorchServe is healthy without
//! a worker, and ollama lives without a model in memory.

use super::Discovered;
use crate::snapshot::{Exchange, ExecutionFacts, Fact, Readiness, StateAnswer, Why};

/// A first request is a cold one if it takes so many times as long as the later ones, and at least so long, milliseconds.
const COLD_TIMES: f64 = 10.0;
const COLD_LEAST_MS: f64 = 200.0;

/// Software whose `/health` answers 200 only with its model loaded.
const HEALTH_IS_READY: &[&str] = &["vllm", "sglang", "tgi", "tei", "llama.cpp", "litserve"];

/// The states, by what the endpoints and the good request answered.
pub fn of(found: &Discovered, answers: &[StateAnswer], good: Option<&Exchange>) -> Readiness {
    let accepted = good.is_some_and(|good| good.accepted);
    let untold = |what: &str| Fact::unknown(Why::NotAsked, what);
    let kind = found.kind.unwrap_or_default();
    let ready = answers.iter().find_map(|one| ready(kind, one));
    let loaded = answers.iter().find_map(|one| loaded(kind, one));
    let known = |seen: Option<bool>, lack: &str| match (accepted, seen) {
        // It did what it says that it cannot.
        (true, _) => Fact::Known(true),
        (false, Some(seen)) => Fact::Known(seen),
        (false, None) => untold(lack),
    };
    Readiness {
        live: Fact::Known(true),
        ready: known(ready, "no endpoint of this server tells it, and no request was accepted"),
        model_loaded: known(loaded, "no endpoint of this server tells it, and no request was accepted"),
        warmed_up: if accepted { Fact::Known(true) } else { untold("no request was accepted") },
        cold_first_request: untold("no request was accepted, so there are no later ones"),
    }
}

/// Whether the first accepted request took much longer than those after it.
pub fn cold(good: &Exchange, execution: &ExecutionFacts) -> Fact<bool> {
    let later = &execution.request_ms_median;
    later.as_ref().map(|later| good.duration_ms >= COLD_LEAST_MS && good.duration_ms >= COLD_TIMES * later)
}

/// What an answer says of being ready; `None` if it says nothing of it.
fn ready(kind: &str, one: &StateAnswer) -> Option<bool> {
    let status = *one.status.known()?;
    let last = one.path.rsplit('/').next().unwrap_or_default();
    // A server without such a path has not said that it is not ready.
    let told = match status {
        200 => Some(true),
        404 | 405 => None,
        400..=599 => Some(false),
        _ => None,
    };
    match last {
        _ if one.path.starts_with("/v2/models/") => None,
        "ready" | "readyz" => told,
        "health" if HEALTH_IS_READY.contains(&kind) => told,
        "ping" if kind == "torchserve" => told.map(|ready| ready && one.answer.contains("\"Healthy\"")),
        _ => None,
    }
}

/// What an answer says of the model.
fn loaded(kind: &str, one: &StateAnswer) -> Option<bool> {
    let status = *one.status.known()?;
    let answer: String = one.answer.split_whitespace().collect();
    if one.path.starts_with("/v2/models/") {
        return match status {
            200 => Some(true),
            400..=599 => Some(false),
            _ => None,
        };
    }
    if one.path.starts_with("/v1/models/") {
        let told = |word: &str| answer.contains(word);
        return match status {
            200 if told("\"AVAILABLE\"") || told("\"ready\":true") || told("\"ready\":\"True\"") => Some(true),
            200 if told("model_version_status") || told("\"ready\":false") => Some(false),
            404 | 503 => Some(false),
            _ => None,
        };
    }
    if one.path.ends_with("/is_sleeping") && answer.contains("\"is_sleeping\":true") {
        return Some(false);
    }
    match (kind, one.path.rsplit('/').next().unwrap_or_default(), status) {
        ("ollama", "ps", 200) => Some(answer != "{\"models\":[]}"),
        (kind, "health", 200) if HEALTH_IS_READY.contains(&kind) && kind != "litserve" => Some(true),
        ("llama.cpp", "health", 503) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &str, status: u64, body: &str) -> StateAnswer {
        StateAnswer { path: path.into(), status: Fact::Known(status), answer: body.into() }
    }

    fn states(kind: &'static str, answers: &[StateAnswer]) -> [Option<bool>; 3] {
        let found = Discovered { kind: Some(kind), ..Discovered::default() };
        let readiness = of(&found, answers, None);
        [readiness.ready, readiness.model_loaded, readiness.warmed_up].map(|fact| fact.known().copied())
    }

    #[test]
    fn live_ready_and_loaded_are_three_things() {
        let live = answer("/v2/health/live", 200, "");
        let triton = [live.clone(), answer("/v2/health/ready", 400, ""), answer("/v2/models/m/ready", 400, "")];
        assert_eq!(states("triton", &triton), [Some(false), Some(false), None]);
        let strict = [live, answer("/v2/health/ready", 200, ""), answer("/v2/models/m/ready", 400, "")];
        assert_eq!(states("triton", &strict), [Some(true), Some(false), None], "ready without its model");
        assert_eq!(states("vllm", &[answer("/health", 200, "")]), [Some(true), Some(true), None]);
        let asleep = [answer("/is_sleeping", 200, r#"{"is_sleeping": true}"#), answer("/health", 200, "")];
        assert_eq!(states("vllm", &asleep), [Some(true), Some(false), None], "200 during sleep");
        assert_eq!(states("llama.cpp", &[answer("/health", 503, "Loading model")]), [Some(false), Some(false), None]);
        assert_eq!(states("ollama", &[answer("/api/ps", 200, r#"{"models": []}"#)]), [None, Some(false), None]);
        assert_eq!(states("torchserve", &[answer("/ping", 200, r#"{"status": "Healthy"}"#)]), [Some(true), None, None]);
        let available = r#"{"model_version_status": [{"state": "AVAILABLE"}]}"#;
        assert_eq!(states("tf-serving", &[answer("/v1/models/m", 200, available)]), [None, Some(true), None]);
    }

    #[test]
    fn the_traps_say_nothing() {
        assert_eq!(
            states("fastapi", &[answer("/health", 200, "{}")]),
            [None, None, None],
            "a program of the user's own"
        );
        assert_eq!(states("ray-serve", &[answer("/-/healthz", 200, "success")]), [None, None, None], "only the proxy");
        assert_eq!(states("bentoml", &[answer("/readyz", 404, "")]), [None, None, None]);
        assert_eq!(states("litserve", &[answer("/health", 503, "not ready")]), [Some(false), None, None]);
    }
}
