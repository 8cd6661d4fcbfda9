//! What an answer comes to under load: accepted as in the conversation, with the time that the window found in it.

use crate::probe::load::{Judge, Judged};
use crate::probe::service::conversation::accepts_http;
use crate::probe::service::window::reported::place::Place;
use crate::snapshot::ExecutionFacts;
use hyper::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads answers.
pub struct Reading {
    place: Option<Place>,
    answered: Arc<AtomicU64>,
}

impl Reading {
    /// With the place of the server's own time, if its answers have one. Every answer is counted in `answered`.
    pub fn of(execution: &ExecutionFacts, answered: Arc<AtomicU64>) -> Self {
        Self { place: Place::of(execution), answered }
    }
}

impl Judge for Reading {
    fn wants_headers(&self) -> bool {
        self.place.is_some()
    }

    fn read(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Judged {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let accepted = accepts_http(status, body);
        let server_ms = self.place.as_ref().filter(|_| accepted).and_then(|place| place.ms(headers, body));
        Judged { accepted, server_ms }
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
