//! When a load ends before its plan does.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What ends a load by itself.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests in all.
    pub requests: u64,
    /// Share of failed requests, of the last [`Limits::judged`].
    pub failed_share: f64,
    /// Requests of which the share is taken.
    pub judged: u64,
    /// The end of everything.
    pub deadline: Instant,
}

/// Wait for open answers beyond the deadline.
const BEYOND: Duration = crate::probe::LoadPlan::PATIENCE;
/// Wait for open answers once the user wants an end.
const AFTER_INTERRUPT: Duration = Duration::from_secs(2);

/// Whether it goes on.
pub struct Stop {
    limits: Limits,
    /// Set from outside: Ctrl-C.
    interrupted: Arc<AtomicBool>,
    /// Set from outside: what was watched beside says that it must end, in words.
    halted: Arc<AtomicBool>,
    started: Cell<u64>,
    recent: Cell<(u64, u64)>,
    reason: Cell<Option<&'static str>>,
    ended: Cell<Option<Instant>>,
}

impl Stop {
    /// Nothing was sent yet. `interrupted` is set when the user wants an end, `halted` when a GPU is too hot.
    pub fn new(limits: Limits, interrupted: Arc<AtomicBool>, halted: Arc<AtomicBool>) -> Self {
        Self {
            limits,
            interrupted,
            halted,
            started: Cell::new(0),
            recent: Cell::new((0, 0)),
            reason: Cell::new(None),
            ended: Cell::new(None),
        }
    }

    /// When it ended, if it did.
    pub fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// No answer is waited for beyond this, whatever it is of.
    pub fn latest(&self) -> Instant {
        let by_deadline = self.limits.deadline + BEYOND;
        let interrupted = self.ended().filter(|_| self.reason() == Some("interrupted"));
        interrupted.map_or(by_deadline, |at| by_deadline.min(at + AFTER_INTERRUPT))
    }

    /// Why it ended, as a snapshot names it; nothing while it goes on.
    pub fn reason(&self) -> Option<&'static str> {
        self.reason.get()
    }

    /// Takes a number for the next request, the first being 0; nothing where none may follow.
    pub fn next(&self, now: Instant) -> Option<u64> {
        if self.is_over_at(now) {
            return None;
        }
        let number = self.started.get();
        if number >= self.limits.requests {
            self.end("requests");
            return None;
        }
        self.started.set(number + 1);
        Some(number)
    }

    /// Counts an outcome.
    pub fn note(&self, failed: bool) {
        let (mut of, mut all) = self.recent.get();
        (of, all) = (of + u64::from(failed), all + 1);
        if all >= self.limits.judged {
            if of as f64 > self.limits.failed_share * all as f64 {
                self.end("errors");
            }
            (of, all) = (0, 0);
        }
        self.recent.set((of, all));
    }

    /// Whether no further request may be sent.
    pub fn is_over(&self) -> bool {
        self.is_over_at(Instant::now())
    }

    /// The same, where it is known how late it is.
    pub fn is_over_at(&self, now: Instant) -> bool {
        if self.reason.get().is_some() {
            return true;
        }
        if self.interrupted.load(Ordering::Relaxed) {
            self.end("interrupted");
        } else if self.halted.load(Ordering::Relaxed) {
            self.end("temperature");
        } else if now >= self.limits.deadline {
            self.end("time");
        }
        self.reason.get().is_some()
    }

    fn end(&self, reason: &'static str) {
        if self.reason.get().is_none() {
            self.reason.set(Some(reason));
            self.ended.set(Some(Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stop(requests: u64) -> Stop {
        let deadline = Instant::now() + Duration::from_secs(60);
        let limits = Limits { requests, failed_share: 0.5, judged: 10, deadline };
        Stop::new(limits, Arc::default(), Arc::default())
    }

    #[test]
    fn it_ends_at_its_count() {
        let stop = stop(2);
        let now = Instant::now();
        assert_eq!((stop.next(now), stop.next(now), stop.next(now)), (Some(0), Some(1), None));
        assert_eq!(stop.reason(), Some("requests"));
    }

    #[test]
    fn it_ends_where_most_of_the_last_requests_failed() {
        let stop = stop(1000);
        (0..10).for_each(|n| stop.note(n % 2 == 0));
        assert!(!stop.is_over(), "half of them is not most of them");
        (0..9).for_each(|_| stop.note(true));
        assert!(!stop.is_over());
        stop.note(false);
        assert_eq!(stop.reason(), Some("errors"));
    }

    #[test]
    fn it_ends_when_it_is_told_to_and_tells_the_first_reason() {
        let (interrupted, halted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let deadline = Instant::now();
        let limits = Limits { requests: 5, failed_share: 0.5, judged: 10, deadline };
        let stop = Stop::new(limits, interrupted.clone(), halted);
        interrupted.store(true, Ordering::Relaxed);
        assert_eq!(stop.next(Instant::now()), None);
        assert_eq!(stop.reason(), Some("interrupted"));
        let stop = Stop::new(Limits { deadline, ..stop.limits.clone() }, Arc::default(), Arc::default());
        assert_eq!((stop.next(Instant::now()), stop.reason()), (None, Some("time")));
    }
}
