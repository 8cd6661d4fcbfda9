//! One step: so many users, or such a rate, for a time.

use super::Prepared;
use super::line::{Dial, Frame};
use super::pace::Pace;
use super::stop::Stop;
use super::tally::Tally;
use super::user::{self, Shared};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::cell::RefCell;
use std::time::{Duration, Instant};

/// What a step is.
#[derive(Debug, Clone)]
pub struct Step {
    /// Connections.
    pub users: u32,
    /// Requests a second; none where each user waits for its answers.
    pub rate_rps: Option<f64>,
    /// How long requests are started.
    pub length: Duration,
    /// Longest wait for one answer.
    pub limit: Duration,
    /// Wait for open answers after the end.
    pub patience: Duration,
    /// Wait between an answer and the next request, where there is no rate.
    pub think_time: Duration,
}

/// What was measured.
pub struct Measured {
    /// The requests.
    pub tally: Tally,
    /// How long requests were started; less than the step's length where it was stopped.
    pub window: Duration,
    /// Processor time of the thread that sent them; `None` where the system does not tell.
    pub own_cpu: Option<Duration>,
}

/// Carries a step out on this thread, and waits for its open answers.
///
/// # Errors
/// The runtime's or the timer's, where this process may not have one.
pub fn carry_out(prepared: &Prepared, dial: &dyn Dial, step: &Step, stop: &Stop) -> std::io::Result<Measured> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let cpu = own_cpu();
    let begin = Instant::now();
    let end = begin + step.length;
    let frame = Frame::new(prepared, dial);
    let pace = {
        let _inside = runtime.enter();
        step.rate_rps.map(|rate_rps| Pace::new(begin, rate_rps)).transpose()?
    };
    let shared = Shared {
        prepared,
        frame: &frame,
        stop,
        tally: RefCell::new(Tally::new(begin, end)),
        end,
        latest: (end + step.patience).min(stop.latest()),
        limit: step.limit,
        think_time: step.think_time,
    };
    let user = |_| async {
        match &pace {
            Some(pace) => user::open(&shared, pace).await,
            None => user::closed(&shared).await,
        }
    };
    let mut users: FuturesUnordered<_> = (0..step.users).map(user).collect();
    // All users are one task, which nothing else waits for: tokio's budget for a task would only interrupt it.
    runtime.block_on(tokio::task::unconstrained(async { while users.next().await.is_some() {} }));
    drop(users);
    let window = begin.elapsed().min(step.length);
    let own_cpu = cpu.zip(own_cpu()).map(|(before, after)| after.saturating_sub(before));
    let mut tally = shared.tally.into_inner();
    if let Some(rate) = step.rate_rps {
        // What was never handed out, because every connection was taken until the end. One that was due at the end itself is
        // none, however its time was rounded.
        let planned = match stop.ended().filter(|at| *at < end) {
            Some(at) => (at.saturating_duration_since(begin).as_secs_f64() * rate).floor() as u64,
            None => (step.length.as_secs_f64() * rate - 1e-6).ceil() as u64,
        };
        tally.dropped = planned.saturating_sub(tally.requests);
    }
    Ok(Measured { tally, window, own_cpu })
}

/// Processor time of this thread (getrusage(2), RUSAGE_THREAD).
fn own_cpu() -> Option<Duration> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: getrusage writes one rusage to the place that it is given.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let time = |value: libc::timeval| {
        Some(Duration::new(u64::try_from(value.tv_sec).ok()?, u32::try_from(value.tv_usec).ok()? * 1000))
    };
    Some(time(usage.ru_utime)? + time(usage.ru_stime)?)
}
