//! What one user does in a step.

use super::line::{Dial, Fault, Line};
use super::stop::Stop;
use super::tally::{Request, Tally};
use super::{Judged, Prepared};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};
use tokio::time::{sleep, sleep_until, timeout_at};

/// Wait after a connection that did not come about: a server that is gone is not to be hammered.
const AFTER_NO_CONNECTION: Duration = Duration::from_millis(50);
/// How long Ctrl-C may go unnoticed between two requests.
const NOTICE: Duration = Duration::from_millis(100);

/// What all users of a step share.
pub struct Shared<'a> {
    pub prepared: &'a Prepared,
    pub dial: &'a dyn Dial,
    pub stop: &'a Stop,
    pub tally: RefCell<Tally>,
    pub begin: Instant,
    /// No request starts after it.
    pub end: Instant,
    /// No answer is waited for longer.
    pub latest: Instant,
    /// Longest wait for one answer.
    pub limit: Duration,
    /// Wait between an answer and the next request.
    pub think_time: Duration,
    /// Requests of the rate that were handed out.
    pub handed_out: Cell<u64>,
}

/// Sends a request, and the next when it is answered.
pub async fn closed(shared: &Shared<'_>) {
    let mut line = Line::new(shared.dial);
    while Instant::now() < shared.end {
        let Some(number) = shared.stop.next() else { return };
        shared.one(&mut line, Instant::now(), number).await;
        if !shared.think_time.is_zero() {
            shared.think().await;
        }
    }
}

/// Sends requests at a rate, in turn with the other connections. Where all of them are taken, a request waits, and its time
/// counts from when it was to start; otherwise a server that stalls would be asked less, and look fast.
pub async fn open(shared: &Shared<'_>, rate_rps: f64) {
    let mut line = Line::new(shared.dial);
    loop {
        let turn = shared.handed_out.get();
        shared.handed_out.set(turn + 1);
        let intended = shared.begin + Duration::from_secs_f64(turn as f64 / rate_rps);
        if intended >= shared.end || shared.stop.is_over() {
            return;
        }
        let waits_for_a_connection = Instant::now() > intended;
        sleep_until(intended.into()).await;
        let now = Instant::now();
        if now >= shared.end {
            shared.tally.borrow_mut().dropped += 1;
            continue;
        }
        let Some(number) = shared.stop.next() else { return };
        // The timer's own lateness, up to a millisecond, is not the server's.
        shared.one(&mut line, if waits_for_a_connection { intended } else { now }, number).await;
    }
}

impl Shared<'_> {
    /// Waits between two requests, unless the load is over.
    async fn think(&self) {
        let until = (Instant::now() + self.think_time).min(self.end);
        while Instant::now() < until && !self.stop.is_over() {
            sleep(NOTICE.min(until.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn one(&self, line: &mut Line<'_>, intended: Instant, number: u64) {
        let bodies = &self.prepared.bodies;
        let turn = usize::try_from(number).unwrap_or_default() % bodies.len().max(1);
        let body = bodies.get(turn).cloned().unwrap_or_default();
        self.tally.borrow_mut().requests += 1;
        let limit = (Instant::now() + self.limit).min(self.latest);
        let Ok(result) = timeout_at(limit.into(), line.send(self.prepared, &body)).await else {
            line.drop_connection();
            return self.late(intended);
        };
        let ended = Instant::now();
        let judged = |judged: Judged| (judged.accepted, judged.server_ms);
        let request = match result {
            Ok(answer) => {
                let (accepted, server_ms) =
                    judged(self.prepared.judge.read(answer.status, &answer.headers, &answer.body));
                let (first_byte, outcome) = (Some(answer.first_byte), Ok(answer.status));
                Request { intended, first_byte, ended, outcome, accepted, server_ms }
            }
            Err(fault) => {
                line.drop_connection();
                Request { intended, first_byte: None, ended, outcome: Err(fault), accepted: false, server_ms: None }
            }
        };
        self.tally.borrow_mut().note(&request);
        self.prepared.judge.ended(&request);
        self.stop.note(!request.accepted);
        if request.outcome.err().is_some_and(Fault::is_of_connecting) {
            sleep(AFTER_NO_CONNECTION.min(self.end.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// An answer that did not come in time: a failure inside the window, and else left open.
    fn late(&self, intended: Instant) {
        let ended = Instant::now();
        let mut tally = self.tally.borrow_mut();
        if ended >= self.latest {
            return tally.leave(intended);
        }
        let outcome = Err(Fault::TimedOut);
        let request = Request { intended, first_byte: None, ended, outcome, accepted: false, server_ms: None };
        tally.note(&request);
        self.prepared.judge.ended(&request);
        self.stop.note(true);
    }
}
