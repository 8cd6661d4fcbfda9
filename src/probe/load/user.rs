//! What one user does in a step.

use super::Prepared;
use super::fault::Fault;
use super::line::{Frame, Line};
use super::pace::Pace;
use super::stop::Stop;
use super::tally::{Request, Tally};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep, sleep_until};

/// Wait after a connection that did not come about: a server that is gone is not to be hammered.
const AFTER_NO_CONNECTION: Duration = Duration::from_millis(50);
/// How long Ctrl-C may go unnoticed between two requests.
const NOTICE: Duration = Duration::from_millis(100);

/// What all users of a step share.
pub struct Shared<'a> {
    pub prepared: &'a Prepared,
    pub frame: &'a Frame<'a>,
    pub stop: &'a Stop,
    pub tally: RefCell<Tally>,
    /// No request starts after it.
    pub end: Instant,
    /// No answer is waited for longer.
    pub latest: Instant,
    /// Longest wait for one answer.
    pub limit: Duration,
    /// Wait between an answer and the next request.
    pub think_time: Duration,
}

/// Sends a request, and the next when it is answered.
pub async fn closed(shared: &Shared<'_>) {
    let mut user = User::new(shared);
    loop {
        let now = Instant::now();
        if now >= shared.end {
            return;
        }
        let Some(number) = shared.stop.next(now) else { return };
        user.one(now, now, number).await;
        if !shared.think_time.is_zero() {
            shared.think().await;
        }
    }
}

/// Sends requests at a rate, in turn with the other connections. Where all of them are taken, a request waits, and its time
/// counts from when it was to start; otherwise a server that stalls would be asked less, and look fast.
pub async fn open(shared: &Shared<'_>, pace: &Pace) {
    let mut user = User::new(shared);
    while let Some(turn) = pace.take_turn() {
        let (intended, came) = (turn.intended, Instant::now());
        if intended >= shared.end || shared.stop.is_over_at(came) {
            return;
        }
        let waited_for_a_connection = came > intended;
        pace.wait(turn, shared.stop).await;
        let now = if waited_for_a_connection { came } else { Instant::now() };
        if now >= shared.end {
            shared.tally.borrow_mut().dropped += 1;
            continue;
        }
        let Some(number) = shared.stop.next(now) else { return };
        // The timer's own lateness is not the server's.
        user.one(if waited_for_a_connection { intended } else { now }, now, number).await;
    }
}

/// A user with a connection.
struct User<'a> {
    shared: &'a Shared<'a>,
    line: Line<'a>,
    patience: Patience,
}

impl<'a> User<'a> {
    fn new(shared: &'a Shared<'a>) -> Self {
        let patience = Patience(Box::pin(sleep_until(shared.latest.into())));
        Self { shared, line: Line::new(shared.frame), patience }
    }

    async fn one(&mut self, intended: Instant, now: Instant, number: u64) {
        let Self { shared, line, patience } = self;
        let prepared = shared.prepared;
        shared.tally.borrow_mut().requests += 1;
        let limit = (now + shared.limit).min(shared.latest);
        let result = {
            let mut sending = pin!(line.send(prepared.bodies.turn(number)));
            patience.begin(limit, now);
            poll_fn(|context| match sending.as_mut().poll(context) {
                Poll::Ready(result) => Poll::Ready(Some(result)),
                Poll::Pending => patience.poll(limit, shared.stop, context).map(|()| None),
            })
            .await
        };
        let ended = Instant::now();
        let Some(result) = result else {
            line.drop_connection();
            return shared.late(intended, ended, limit);
        };
        let request = match result {
            Ok(first_byte) => {
                let answer = line.answer();
                let status = answer.status().unwrap_or_default();
                let judged = prepared.judge.read(status, answer.headers(), answer.body());
                let (accepted, server_ms) = (judged.accepted, judged.server_ms);
                Request { intended, first_byte: Some(first_byte), ended, outcome: Ok(status), accepted, server_ms }
            }
            Err(fault) => {
                line.drop_connection();
                Request { intended, first_byte: None, ended, outcome: Err(fault), accepted: false, server_ms: None }
            }
        };
        shared.tally.borrow_mut().note(&request);
        prepared.judge.ended(&request);
        shared.stop.note(!request.accepted);
        if request.outcome.err().is_some_and(Fault::is_of_connecting) {
            sleep(AFTER_NO_CONNECTION.min(shared.end.saturating_duration_since(Instant::now()))).await;
        }
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

    /// An answer that did not come in time: a failure inside the window; left open where it was no longer waited for.
    fn late(&self, intended: Instant, ended: Instant, limit: Instant) {
        let mut tally = self.tally.borrow_mut();
        if ended >= self.latest || ended < limit {
            return tally.leave(intended, ended);
        }
        let outcome = Err(Fault::TimedOut);
        let request = Request { intended, first_byte: None, ended, outcome, accepted: false, server_ms: None };
        tally.note(&request);
        self.prepared.judge.ended(&request);
        self.stop.note(true);
    }
}

/// A timer that is set anew only when it went off: nearly every answer comes in time. It goes off now and then before the
/// limit, to hear whether the user wants an end.
struct Patience(Pin<Box<Sleep>>);

impl Patience {
    /// Sees to it that it goes off by the limit.
    fn begin(&mut self, limit: Instant, now: Instant) {
        let limit = limit.min(now + NOTICE);
        if self.0.deadline() > limit.into() {
            self.0.as_mut().reset(limit.into());
        }
    }

    /// Ready once the limit is over, or the user's end of it.
    fn poll(&mut self, limit: Instant, stop: &Stop, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.0.as_mut().poll(context));
            let now = Instant::now();
            let limit = if stop.is_over_at(now) { limit.min(stop.latest()) } else { limit };
            if now >= limit {
                return Poll::Ready(());
            }
            self.0.as_mut().reset(limit.min(now + NOTICE).into());
        }
    }
}
