//! What a new input shape costs: onnxruntime's CUDA provider searches for the fastest convolution for each.

use super::Basis;
use crate::snapshot::{Fact, Facts, OtherLength, room};

room! {
    /// What a new input shape costs.
    pub struct Shapes {
        /// The figures that show that each new shape costs time that its repetition does not; empty if none does, or if that
        /// was not seen.
        pub new_shape_cost: String,
    }
}

impl Shapes {
    /// Derives it.
    pub fn of(basis: &Basis) -> Self {
        Self { new_shape_cost: Fact::Known(cost(basis.facts).unwrap_or_default()) }
    }
}

/// A first time counts as slow if it takes so much longer than its repetition, milliseconds, and so many times as long.
const SLOWER_BY_MS: f64 = 300.0;
const SLOWER_TIMES: f64 = 3.0;
/// The same for the very first request, which may have loaded the model too.
const FIRST_SLOWER_BY_MS: f64 = 1000.0;
const FIRST_SLOWER_TIMES: f64 = 10.0;

/// The proof in words, if there is one.
fn cost(facts: &Facts) -> Option<String> {
    let convolutions =
        |operators: &std::collections::BTreeMap<String, u64>| operators.keys().any(|name| name.contains("Conv"));
    if facts.model.operators.known().is_some_and(|operators| !convolutions(operators)) {
        return None;
    }
    let searches = searches_said(facts);
    if !searches.is_empty() && !searches.contains(&"EXHAUSTIVE") {
        return None;
    }
    match facts.execution.other_lengths.known() {
        Some(lengths) => by_lengths(lengths),
        None if searches.contains(&"EXHAUSTIVE") => by_first_request(facts),
        None => None,
    }
}

/// Ways of searching that the server's log tells of.
fn searches_said(facts: &Facts) -> Vec<&str> {
    let sayings = facts.server_log.sayings.known().into_iter().flatten();
    let searches = sayings.filter(|saying| saying.id == "ort-conv-search");
    searches.filter_map(|saying| saying.values.get("search").map(String::as_str)).collect()
}

/// Every length that the server had not seen took longer the first time.
fn by_lengths(lengths: &[OtherLength]) -> Option<String> {
    let slow =
        |one: &OtherLength| one.first_ms - one.again_ms >= SLOWER_BY_MS && one.first_ms >= SLOWER_TIMES * one.again_ms;
    if lengths.len() < 2 || !lengths.iter().all(slow) {
        return None;
    }
    let each: Vec<String> = lengths
        .iter()
        .map(|one| format!("{:.0} ms and then {:.0} ms ({} bytes)", one.first_ms, one.again_ms, one.body_bytes))
        .collect();
    Some(format!("the same request with audio of another length took {}", each.join(", ")))
}

/// Nothing was tried, but the first request was slow and its repetitions were not.
fn by_first_request(facts: &Facts) -> Option<String> {
    let first = facts.request.good.known()?.duration_ms;
    let again = *facts.execution.request_ms_median.known()?;
    (first - again >= FIRST_SLOWER_BY_MS && first >= FIRST_SLOWER_TIMES * again).then(|| {
        format!(
            "the first request of its shape took {first:.0} ms and its repetitions {again:.0} ms, and the log tells of an \
             exhaustive search"
        )
    })
}
