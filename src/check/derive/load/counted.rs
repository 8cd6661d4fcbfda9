//! What the server's counters, or its answers, tell of a step's requests.

use crate::check::derive::engine::tried;
use crate::snapshot::{Facts, LoadStep, ModelCounters, Unknown, Why};

/// The row of the model that the requests are for: the one that was tried, or the only one that counted anything.
///
/// # Errors
/// That none is, or which are to choose from.
pub fn row<'a>(facts: &Facts, step: &'a LoadStep) -> Result<&'a ModelCounters, Unknown> {
    let rows = step.models.read()?;
    if let Some(row) = tried(facts).and_then(|name| rows.iter().find(|row| row.model == name)) {
        return Ok(row);
    }
    let moved = |row: &&ModelCounters| {
        [&row.requests_ok, &row.inferences, &row.executions].iter().any(|count| count.known().is_some_and(|n| *n > 0.0))
    };
    let named: Vec<&ModelCounters> = rows.iter().filter(moved).collect();
    match named.as_slice() {
        [one] => Ok(one),
        [] if rows.len() == 1 => rows.first().ok_or_else(|| Unknown::new(Why::Absent, "no model is counted")),
        [] => Err(Unknown::new(Why::Absent, "the server's counters tell of no model that worked")),
        several => {
            let names: Vec<&str> = several.iter().map(|row| row.model.as_str()).collect();
            let detail =
                format!("several models worked ({}), and which of them was asked is not told", names.join(", "));
            Err(Unknown::new(Why::Unsupported, detail))
        }
    }
}

/// Mean time of a request in the queue, milliseconds.
///
/// # Errors
/// Why it is not told.
pub fn queue_ms(facts: &Facts, step: &LoadStep) -> Result<f64, Unknown> {
    positive(*row(facts, step)?.queue_ms.read()?)
}

/// Mean size of the batches that the model computed.
///
/// # Errors
/// Why it is not told.
pub fn batch_size(facts: &Facts, step: &LoadStep) -> Result<f64, Unknown> {
    let row = row(facts, step)?;
    let (inferences, executions) = (*row.inferences.read()?, *row.executions.read()?);
    match executions > 0.0 && (inferences / executions).is_finite() {
        true => Ok(inferences / executions),
        false => Err(Unknown::new(Why::Absent, "the model was not executed in this step")),
    }
}

/// Mean time of a request in the model, milliseconds: by the counters, else by the answers where they tell that of the model.
///
/// # Errors
/// Why it is not told.
pub fn inference_ms(facts: &Facts, step: &LoadStep) -> Result<f64, Unknown> {
    let by_counters = row(facts, step).and_then(|row| Ok(*row.compute_ms.read()?));
    let by_answers = || {
        let of_model = facts
            .load
            .server_time_of
            .known()
            .or(facts.execution.server_reported_of.known())
            .is_some_and(|of| of == "inference");
        step.server_ms.known().filter(|_| of_model).map(|spread| spread.mean)
    };
    match (by_counters, by_answers()) {
        (Ok(ms), _) | (Err(_), Some(ms)) => positive(ms),
        (Err(unknown), None) => Err(unknown),
    }
}

/// Who tells the model's time.
pub fn told_by(facts: &Facts, step: &LoadStep) -> String {
    match row(facts, step) {
        Ok(row) if row.compute_ms.known().is_some() => format!("the counters of {}", row.page),
        _ => facts.execution.server_reported_in.known().cloned().unwrap_or_else(|| "the server's answers".into()),
    }
}

/// A time that is one.
fn positive(ms: f64) -> Result<f64, Unknown> {
    match ms.is_finite() && ms >= 0.0 {
        true => Ok(ms),
        false => Err(Unknown::new(Why::Malformed, format!("{ms} ms is no time"))),
    }
}
