//! A light request beside a heavy one: does the server answer anything else while it works?

use super::{Failure, Http, Outgoing, Payload, Reply};
use crate::snapshot::{Fact, Unknown, Why};
use std::time::{Duration, Instant};
use url::Url;

/// Requests shorter than this tell nothing: a stall of their length would not be noticed.
const WORTH_IT: Duration = Duration::from_millis(250);
/// The window's request gets this start, so that the server is at work on it.
const START: Duration = Duration::from_millis(30);
/// Light requests beside those of the window, at most.
const MOST: usize = 3;
/// Longest wait for the light answer when nothing else runs.
const IDLE_PATIENCE: Duration = Duration::from_secs(2);

/// One light request beside another one.
#[derive(Debug, Clone, Copy)]
pub struct Aside {
    /// From sending to the whole answer.
    pub took: Duration,
    /// From sending to the end of the other request.
    pub left: Duration,
}

/// The light requests of one window.
pub struct Light {
    outgoing: Outgoing,
    idle: Option<Result<Duration, Unknown>>,
    asides: Vec<Aside>,
    /// The light answer that did not come.
    failed: Option<Unknown>,
}

impl Light {
    /// Light requests to this address.
    pub fn new(url: Url, headers: &[(String, String)]) -> Self {
        let headers = headers.to_vec();
        let outgoing = Outgoing { method: "GET".into(), url, headers, payload: Payload::Empty, follow: false };
        Self { outgoing, idle: None, asides: Vec::new(), failed: None }
    }

    /// Measures the light request alone, if requests of this length are worth it.
    pub fn measure_idle(&mut self, http: &Http, expected: Duration) {
        if expected < WORTH_IT || self.idle.is_some() {
            return;
        }
        // The first one may have to open a connection.
        let once = || {
            let started = Instant::now();
            let limit = IDLE_PATIENCE.min(http.time_left() / 8);
            http.send(&self.outgoing, limit).map(|_| started.elapsed())
        };
        let both = once().and_then(|first| once().map(|second| first.max(second)));
        self.idle = Some(both.map_err(|failure| Unknown::new(failure.why, failure.text)));
    }

    /// Sends a request of the window, with a light one beside it if the last one took long enough to tell.
    pub fn send(
        &mut self,
        http: &Http,
        outgoing: &Outgoing,
        limit: Duration,
        expected: Duration,
    ) -> Result<Reply, Failure> {
        let usable = matches!(self.idle, Some(Ok(_))) && self.failed.is_none() && self.asides.len() < MOST;
        if !usable || expected < WORTH_IT {
            return http.send(outgoing, limit);
        }
        let (result, aside) = http.send_with(outgoing, limit, &self.outgoing, START);
        match aside {
            Ok(Some(aside)) => self.asides.push(aside),
            Ok(None) => {}
            Err(failure) => self.failed = Some(Unknown::new(failure.why, failure.text)),
        }
        result
    }

    /// The light endpoint.
    pub fn url(&self) -> Fact<String> {
        Fact::Known(self.outgoing.url.to_string())
    }

    /// Time when nothing else ran, milliseconds.
    pub fn idle_ms(&self) -> Fact<f64> {
        match &self.idle {
            Some(measured) => measured.clone().map(milliseconds).into(),
            None => Fact::Unknown(not_worth_it()),
        }
    }

    /// The shortest of the light requests beside others, and what was left of the other one then, milliseconds.
    pub fn during_and_left_ms(&self) -> (Fact<f64>, Fact<f64>) {
        let shortest = self.asides.iter().min_by_key(|aside| aside.took);
        let missing = || match (&self.failed, &self.idle) {
            (Some(unknown), _) | (None, Some(Err(unknown))) => unknown.clone(),
            (None, Some(Ok(_))) => {
                Unknown::new(Why::NotAsked, "the window's requests ended before a light one was sent")
            }
            (None, None) => not_worth_it(),
        };
        let of =
            |part: fn(&Aside) -> Duration| shortest.map(|aside| milliseconds(part(aside))).ok_or_else(missing).into();
        (of(|aside| aside.took), of(|aside| aside.left))
    }
}

fn not_worth_it() -> Unknown {
    let least = WORTH_IT.as_millis();
    Unknown::new(Why::NotAsked, format!("requests take less than {least} ms, too short to see a light one stall"))
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
