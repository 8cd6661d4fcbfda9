//! What an answer comes to under load: accepted as in the conversation, with the time that the window found in it. A body
//! is parsed once at most, and only where something in it is wanted or an error may stand in it.

use crate::probe::load::{Judge, Judged, Request};
use crate::probe::service::conversation::soft;
use crate::probe::service::window::reported::place::Place;
use crate::probe::{LoadProgress, LoadRequest, RequestTold};
use crate::snapshot::ExecutionFacts;
use hyper::HeaderMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// Reads answers.
pub struct Reading {
    place: Option<Place>,
    progress: Arc<LoadProgress>,
    told: Option<Told>,
}

/// Who hears of single requests, from when on.
struct Told {
    told: RequestTold,
    measuring: Arc<AtomicBool>,
}

impl Reading {
    /// With the place of the server's own time, if its answers have one. Every answer is counted in `progress`.
    pub fn of(execution: &ExecutionFacts, progress: Arc<LoadProgress>) -> Self {
        Self { place: Place::of(execution), progress, told: None }
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
    fn wants_headers(&self) -> bool {
        self.place.is_some()
    }

    fn read(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Judged {
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
        if !(200..300).contains(&status) {
            return Judged { accepted: false, server_ms: None };
        }
        let place = self.place.as_ref();
        let (accepted, server_ms) = match soft::may_hold_error(body).then(|| soft::parsed(body)) {
            None => (true, place.and_then(|place| place.ms(headers, body))),
            Some(Ok(answer)) => {
                (soft::error_of(&answer).is_none(), place.and_then(|place| place.ms_of(headers, &answer)))
            }
            // No JSON holds no field.
            Some(Err(error)) => (error.is_none(), place.and_then(|place| place.ms(headers, &[]))),
        };
        Judged { accepted, server_ms: server_ms.filter(|_| accepted) }
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
    use crate::probe::service::conversation::accepts_http;
    use crate::snapshot::{Fact, Room, Unknown, Why};
    use proptest::prelude::*;

    fn reading() -> Reading {
        let mut execution = ExecutionFacts::all_unknown(&Unknown::new(Why::Absent, "not measured"));
        execution.server_reported_in = Fact::Known("the answer's field inference_time_ms".into());
        execution.server_reported_ms = Fact::Known(20.0);
        Reading::of(&execution, Arc::default())
    }

    fn read(status: u16, body: &str) -> Judged {
        reading().read(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn an_error_inside_a_good_status_is_no_success_and_has_no_time() {
        let good = Judged { accepted: true, server_ms: Some(21.5) };
        assert_eq!(read(200, r#"{"text": "a", "inference_time_ms": 21.5}"#), good);
        assert_eq!(read(200, r#"{"status": "ok", "inference_time_ms": 21.5}"#), good, "parsed as a whole");
        let bad = Judged { accepted: false, server_ms: None };
        assert_eq!(read(200, r#"{"error": "no model", "inference_time_ms": 21.5}"#), bad);
        assert_eq!(read(200, "{\"\\u0065rror\": \"no model\"}"), bad, "a name in escapes");
        assert_eq!(read(503, r#"{"inference_time_ms": 21.5}"#), bad);
        assert_eq!(read(200, "Traceback (most recent call last)\n  x\nValueError: no"), bad);
    }

    proptest! {
        /// The look at the bytes never takes for good what the whole reading would refuse.
        #[test]
        fn it_accepts_what_the_conversation_accepts(
            body in "[ \n]{0,2}[{\\[]{1,2}(\"(error|errors|exception|code|status|status_code|statusCode|errorCode|err_code|errno|retcode|success|ok|text|data|result|message)\" ?: ?(\"[a-z]{0,5}\"|false|true|500|1|0|null|\\{\"error\": \"x\"\\}),?){0,4}[}\\]]{0,2}",
        ) {
            let body = body.replace(",}", "}");
            prop_assert_eq!(read(200, &body).accepted, accepts_http(200, body.as_bytes()), "{}", body);
        }

        #[test]
        fn a_time_is_the_same_however_it_is_read(eighths in 4u32..400_000, before in "[a-z]{1,5}") {
            let ms = f64::from(eighths) / 8.0;
            let plain = format!("{{\"{before}\": [1, {{\"x\": 2}}], \"inference_time_ms\": {ms}}}");
            let other = format!("{{\"status\": \"ok\", \"{before}\": [1], \"inference_time_ms\": \"{ms}\"}}");
            prop_assert_eq!(read(200, &plain).server_ms, Some(ms));
            prop_assert_eq!(read(200, &other).server_ms, Some(ms));
        }
    }
}
