//! When the requests of a rate are to start.
//!
//! The runtime's timers go off at whole milliseconds: at 10 000 requests a second ten would start at once, and wait for one
//! another in a server that has time for each. One timer of the system goes off when the next request is to start.

use super::stop::Stop;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Shortest wait. At very high rates a few requests start together, for each wait costs as much as a request.
const GRAIN: Duration = Duration::from_micros(50);
/// How long an end of the load may go unnoticed.
const NOTICE: Duration = Duration::from_millis(100);

/// Hands turns out: the `n`th request is to start `n / rate` seconds after the beginning.
pub struct Pace {
    begin: Instant,
    rate_rps: f64,
    handed_out: Cell<u64>,
    /// Who waits, the first turn first; only the first one looks at the timer.
    waiting: RefCell<VecDeque<(u64, Waker)>>,
    timer: AsyncFd<OwnedFd>,
}

/// A request that is to start.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    number: u64,
    /// When it is to start.
    pub intended: Instant,
}

impl Pace {
    /// A rate from then on. Needs the runtime.
    ///
    /// # Errors
    /// The system has no timer for it.
    pub fn new(begin: Instant, rate_rps: f64) -> Result<Self> {
        // SAFETY: it takes no pointers; what it gives back is checked.
        let raw = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_NONBLOCK | libc::TFD_CLOEXEC) };
        if raw < 0 {
            return Err(Error::last_os_error());
        }
        // SAFETY: the descriptor was made here, and nothing else owns it. It stays the same one until it is dropped.
        let timer = unsafe { AsyncFd::register_with_interest(OwnedFd::from_raw_fd(raw), Interest::READABLE) };
        let timer = timer.map_err(Error::from)?;
        Ok(Self { begin, rate_rps, handed_out: Cell::new(0), waiting: RefCell::default(), timer })
    }

    /// The next request; nothing beyond what clocks can tell. Who takes a turn waits for it at once.
    pub fn take_turn(&self) -> Option<Turn> {
        let number = self.handed_out.get();
        self.handed_out.set(number + 1);
        let offset = Duration::try_from_secs_f64(number as f64 / self.rate_rps).ok()?;
        Some(Turn { number, intended: self.begin.checked_add(offset)? })
    }

    /// Waits until the request is to start, or the load is over.
    pub async fn wait(&self, turn: Turn, stop: &Stop) {
        poll_fn(|context| self.poll(turn, stop, context)).await;
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|(number, _)| *number != turn.number);
        if let Some((_, next)) = waiting.front() {
            next.wake_by_ref();
        }
    }

    fn poll(&self, turn: Turn, stop: &Stop, context: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if now >= turn.intended || stop.is_over_at(now) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.borrow_mut();
        match waiting.iter_mut().find(|(number, _)| *number == turn.number) {
            Some((_, waker)) => waker.clone_from(context.waker()),
            None => waiting.push_back((turn.number, context.waker().clone())),
        }
        if waiting.front().is_some_and(|(number, _)| *number == turn.number) {
            let wait = turn.intended.saturating_duration_since(now).clamp(GRAIN, NOTICE);
            if self.arm(wait, context).is_err() {
                // Without the timer it looks again and again.
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }

    /// Sets the timer, which wakes whoever waits for it here.
    fn arm(&self, wait: Duration, context: &mut Context<'_>) -> Result<()> {
        while let Poll::Ready(ready) = self.timer.poll_read_ready(context) {
            ready?.clear_ready();
        }
        let mut setting = libc::itimerspec {
            it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        };
        setting.it_value.tv_sec = wait.as_secs().try_into().unwrap_or_default();
        setting.it_value.tv_nsec = wait.subsec_nanos().into();
        // SAFETY: reads a live structure; the descriptor is this one's own.
        let set = unsafe { libc::timerfd_settime(self.timer.as_raw_fd(), 0, &setting, std::ptr::null_mut()) };
        if set == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::stop::Limits;
    use super::*;
    use futures_util::future::join_all;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn stop(interrupted: Arc<AtomicBool>) -> Stop {
        let deadline = Instant::now() + Duration::from_secs(60);
        Stop::new(Limits { requests: 1, failed_share: 1.0, judged: 1, deadline }, interrupted, Arc::default())
    }

    fn run<T>(all: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(all)
    }

    #[test]
    fn turns_come_one_by_one_and_not_at_whole_milliseconds() {
        let stop = stop(Arc::default());
        let late: Vec<(u64, Duration)> = run(async {
            let pace = Pace::new(Instant::now(), 5000.0).unwrap();
            let users = (0..3).map(|_| async {
                let mut late = Vec::new();
                while let Some(turn) = pace.take_turn().filter(|turn| turn.number < 1000) {
                    pace.wait(turn, &stop).await;
                    late.push((turn.number, turn.intended.elapsed()));
                }
                late
            });
            join_all(users).await.concat()
        });
        assert_eq!(late.len(), 1000);
        let mut times: Vec<Duration> = late.iter().map(|(_, late)| *late).collect();
        times.sort_unstable();
        // A timer of whole milliseconds is half a one late in the middle; a machine that does other work, at the end.
        assert!(times[500] < Duration::from_micros(300), "{:?}", times[500]);
    }

    #[test]
    fn who_waits_long_hears_of_the_end() {
        let interrupted = Arc::new(AtomicBool::new(false));
        let (stop, begin) = (stop(interrupted.clone()), Instant::now());
        run(async {
            let pace = Pace::new(begin, 0.01).unwrap();
            let users = (0..5).map(|_| async {
                let turn = pace.take_turn().unwrap();
                pace.wait(turn, &stop).await;
                interrupted.store(true, Ordering::Relaxed);
            });
            join_all(users).await;
        });
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}
