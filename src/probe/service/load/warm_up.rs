//! The requests before the first step: until the server is as it is in use, its medians agreeing from one batch to the next.

use super::{ANSWER, way::Way};
use crate::probe::LoadPlan;
use crate::probe::load::{Limits, Prepared, Step, Stop, carry_out};
use crate::snapshot::{Unknown, Why};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Requests of a batch, of all of them, and their time, at most.
const BATCH: u64 = 10;
const REQUESTS_MAX: u64 = 200;
const LONGEST: Duration = Duration::from_secs(10);
/// Medians that differ by no more than this share, or by so many milliseconds, agree.
const APART: f64 = 0.1;
const APART_MS: f64 = 0.2;

/// What was sent before the first step.
#[derive(Debug, Default)]
pub struct WarmUp {
    /// Requests.
    pub requests: u64,
    /// Median of each batch, milliseconds.
    pub medians_ms: Vec<f64>,
}

/// Sends batches of requests, one request after the other, `most` of them where there is a limit, or as many as the user
/// names. Where the server does
/// not take each of the bodies, only the first is kept, which is the good request's own.
///
/// # Errors
/// Not one of them was accepted.
pub fn warm_up(
    prepared: &mut Prepared,
    way: &Way,
    plan: &LoadPlan,
    most: Option<u64>,
    deadline: Instant,
) -> Result<WarmUp, Unknown> {
    let named = plan.sequential.as_ref().and_then(|asked| asked.warm_up);
    let mut warmed = WarmUp::default();
    if named == Some(0) {
        // That the server takes bodies which differ is not known then.
        prepared.bodies.keep_first();
        return Ok(warmed);
    }
    // A small load is not used up by it.
    let cap = most.unwrap_or(u64::MAX);
    let most = named.unwrap_or_else(|| REQUESTS_MAX.min(cap / 4 + 1)).min(cap);
    let longest = if named.is_some() { LoadPlan::WARM_UP_NAMED } else { LONGEST };
    let end = (Instant::now() + longest).min(deadline);
    loop {
        let step = Step {
            users: 1,
            rate_rps: None,
            length: end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)),
            limit: plan.sequential.as_ref().map_or(ANSWER, |asked| asked.answer),
            patience: plan.patience(),
            think_time: Duration::ZERO,
        };
        let requests = BATCH.min(most.saturating_sub(warmed.requests));
        let limits = Limits { requests, failed_share: 1.0, judged: u64::MAX, deadline };
        let stop = Stop::new(limits, plan.interrupted.clone(), Arc::default());
        let measured = carry_out(prepared, way, &step, &stop);
        let tally = measured.map_err(|error| Unknown::from_io(&error, "the runtime that sends requests"))?.tally;
        warmed.requests += tally.requests;
        if tally.failed > 0 && prepared.bodies.count() > 1 && warmed.requests < most {
            prepared.bodies.keep_first();
            continue;
        }
        warmed.medians_ms.extend(tally.latency.spread("requests").known().map(|times| times.median));
        let interrupted = stop.reason().is_some_and(|reason| reason != "requests");
        let over = interrupted || warmed.requests >= most || Instant::now() >= end;
        let over = over || named.is_none() && agree(&warmed.medians_ms);
        match (warmed.medians_ms.is_empty(), over) {
            (false, false) if tally.ok > 0 => {}
            (false, _) => return Ok(warmed),
            (true, _) if interrupted && tally.requests == 0 => return Ok(warmed),
            (true, _) => {
                let statuses = tally.by_status.iter().map(|(status, count)| format!("{count} answered {status}"));
                let faults = { tally.by_fault.iter() }
                    .map(|(fault, count)| format!("{count} {}", fault.name().replace('_', " ")));
                let late = (tally.unfinished > 0).then(|| format!("{} not answered in time", tally.unfinished));
                let told: Vec<String> = statuses.chain(faults).chain(late).collect();
                let sent = warmed.requests;
                let detail = format!("of {sent} requests before the first step none was accepted: {}", told.join(", "));
                return Err(Unknown::new(Why::Unsupported, detail));
            }
        }
    }
}

/// Whether the last two medians are about the same.
pub fn agree(medians_ms: &[f64]) -> bool {
    match medians_ms {
        [.., before, last] => (before - last).abs() <= (APART * before.min(*last)).max(APART_MS),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_that_still_fall_do_not_agree() {
        assert!(!agree(&[]) && !agree(&[8.0]));
        assert!(!agree(&[12.0, 8.0]) && agree(&[12.0, 8.0, 8.5]));
        assert!(agree(&[0.2, 0.35]), "less than a timer tells apart");
        assert!(!agree(&[8.0, f64::NAN]));
    }
}
