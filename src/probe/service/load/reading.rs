//! What an answer comes to under load: accepted as in the conversation, with the time that the window found in it.

use crate::probe::load::{Judge, Judged, Request};
use crate::probe::service::conversation::accepts_http;
use crate::probe::service::window::reported::place::Place;
use crate::probe::{LoadRequest, RequestTold};
use crate::snapshot::ExecutionFacts;
use hyper::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

/// Reads answers.
pub struct Reading {
    place: Option<Place>,
    answered: Arc<AtomicU64>,
    told: Option<Told>,
}

/// Who hears of single requests, from when on.
struct Told {
    told: RequestTold,
    measuring: Arc<AtomicBool>,
}

impl Reading {
    /// With the place of the server's own time, if its answers have one. Every answer is counted in `answered`.
    pub fn of(execution: &ExecutionFacts, answered: Arc<AtomicU64>) -> Self {
        Self { place: Place::of(execution), answered, told: None }
    }

    /// The same with the place that the user names.
    pub fn at(self, place: Option<Place>) -> Self {
        Self { place: place.or(self.place), ..self }
    }

    /// The same, of which each request is told once `measuring` is set.
    pub fn telling(self, told: RequestTold, measuring: Arc<AtomicBool>) -> Self {
        Self { told: Some(Told { told, measuring }), ..self }
    }
}

impl Judge for Reading {
    fn read(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Judged {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let accepted = accepts_http(status, body);
        let server_ms = self.place.as_ref().filter(|_| accepted).and_then(|place| place.ms(headers, body));
        Judged { accepted, server_ms }
    }

    fn ended(&self, request: &Request) {
        let Some(Told { told, .. }) = self.told.as_ref().filter(|one| one.measuring.load(Ordering::Relaxed)) else {
            return;
        };
        let took = request.ended.saturating_duration_since(request.intended);
        let now = SystemTime::now();
        (told.0)(&LoadRequest {
            begun: now.checked_sub(request.intended.elapsed()).unwrap_or(now),
            took,
            status: request.outcome.ok(),
            error: request.outcome.err().map(|fault| fault.name()),
            accepted: request.accepted,
            server_ms: request.server_ms,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Fact, Room, Unknown, Why};

    #[test]
    fn an_error_inside_a_good_status_is_no_success_and_has_no_time() {
        let mut execution = ExecutionFacts::all_unknown(&Unknown::new(Why::Absent, "not measured"));
        execution.server_reported_in = Fact::Known("the answer's field inference_time_ms".into());
        execution.server_reported_ms = Fact::Known(20.0);
        let reading = Reading::of(&execution, Arc::default());
        let read = |status, body: &str| reading.read(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(
            read(200, r#"{"text": "a", "inference_time_ms": 21.5}"#),
            Judged { accepted: true, server_ms: Some(21.5) }
        );
        assert_eq!(read(200, r#"{"error": "no model"}"#), Judged { accepted: false, server_ms: None });
        assert_eq!(read(503, r#"{"inference_time_ms": 21.5}"#), Judged { accepted: false, server_ms: None });
    }
}
