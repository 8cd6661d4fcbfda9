//! Time that is lost before the server: in the load generator, or on the way.

use super::not_asked;
use crate::check::derive::{load, served};
use crate::snapshot::{Facts, ModelCounters, Saying, Unknown};

/// Saying of a load generator that has no CPU time left.
const SAID: &str = "client-bottleneck";
/// Requests at once from which on a load generator has something to do.
const CONCURRENCY: f64 = 4.0;
/// How many times longer than the server's a request's time must be, and how much longer, milliseconds.
const TIMES: f64 = 3.0;
const LONGER_MS: f64 = 50.0;
/// Part of the files' requests that the server must have counted: the page is of another time otherwise.
const COUNTED: std::ops::RangeInclusive<f64> = 0.5..=2.0;

/// The proof; empty if the server is where the time goes.
pub fn limit(facts: &Facts) -> Result<String, Unknown> {
    let sayings = facts.server_log.sayings.known().into_iter().flatten();
    if let Some(Saying { file, line_number, line, .. }) = sayings.into_iter().find(|saying| saying.id == SAID) {
        // What follows is where to read more.
        let said = line.split(" See http").next().unwrap_or(line);
        return Ok(format!("the load generator itself says \"{said}\" ({file} line {line_number})"));
    }
    if let Some(own) = load::own_limit(facts) {
        return own;
    }
    let requests = facts.recorded.requests.read()?;
    let untold = |unknown: Unknown| not_asked(&unknown.detail);
    let concurrency = *requests.concurrency.read().map_err(untold)?;
    let median_ms = *requests.median_ms.read().map_err(untold)?;
    let rows = served::of_requests(facts)?;
    let Some((row, server_ms)) = rows.iter().find_map(|row| Some((*row, *row.request_ms.known()?))) else {
        return Err(not_asked("the server's counters do not tell how long its requests took"));
    };
    let fits = row.requests_ok.known().is_some_and(|count| COUNTED.contains(&(count / requests.count.max(1) as f64)));
    let lost = median_ms >= TIMES * server_ms && median_ms - server_ms >= LONGER_MS;
    Ok(match concurrency >= CONCURRENCY && fits && lost && !waits(row, concurrency) {
        true => format!(
            "with {concurrency:.0} requests at once the client saw {median_ms:.0} ms a request, and the server {server_ms:.0} ms \
             from arrival to answer ({})",
            row.page
        ),
        false => String::new(),
    })
}

/// Whether requests queue in the server.
fn waits(row: &ModelCounters, concurrency: f64) -> bool {
    row.waiting_most.known().is_some_and(|most| *most >= concurrency / 2.0)
}
