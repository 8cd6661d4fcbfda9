//! What was seen of connections that were opened and held.

use super::seen::{Sight, broken};
use crate::snapshot::{Facts, Unknown, Why};
use crate::words::count;

/// The words for them; `None` where nobody asked for any.
pub fn words(facts: &Facts) -> Option<Result<Sight, Unknown>> {
    let attempts = match facts.connections.attempts.read() {
        Ok(attempts) => attempts,
        Err(unknown) if unknown.why == Why::NotAsked => return None,
        Err(unknown) => return Some(Err(unknown)),
    };
    let lost = attempts.iter().filter(|attempt| attempt.ended_while_held).count();
    let held = attempts.iter().filter(|attempt| attempt.accepted).count();
    let refused = attempts.iter().find(|attempt| !attempt.accepted && !attempt.ended_while_held);
    let words = match refused {
        None => format!("{} held at once, none refused", count(held, "connection")),
        Some(one) => format!("{} held at once, number {} refused", count(held, "connection"), one.number),
    };
    if lost > 0 {
        return Some(Ok(broken(format!("{} held, {lost} of them lost meanwhile", count(held + lost, "connection")))));
    }
    Some(Ok(if held > 0 { words.into() } else { broken(format!("no connection was accepted of {}", attempts.len())) }))
}
