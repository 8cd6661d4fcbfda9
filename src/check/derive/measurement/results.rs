//! A model's result that is computed while it is taken, and that nothing takes.

use super::not_asked;
use crate::check::derive::Basis;
use crate::snapshot::{Facts, LazyResult, Unknown};

/// Seconds of speech in a second from which on nothing was computed.
const SPEED: f64 = 100.0;
/// Bytes of a second of speech in the doctor's WAV samples: 16 kHz, 16 bit.
const WAV_BYTES_PER_SECOND: f64 = 32_000.0;

/// The call and what shows that its result was not computed; empty if it is taken somewhere, or if work was seen.
pub fn untaken(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    if facts.execution.requests_ok.known().is_none_or(|count| *count == 0) || super::of_files(facts) {
        return Err(not_asked("no accepted requests are known"));
    }
    if basis.gpu_seen_working {
        return Ok(String::new());
    }
    let Some(sign) = sign(basis) else { return Ok(String::new()) };
    let calls = facts.source.lazy_results.read()?;
    // Where one is taken, another may be a warm-up.
    let Some(first) = calls.first().filter(|_| calls.iter().all(|call| !call.taken)) else { return Ok(String::new()) };
    Ok(format!("{}, and {sign}", in_words(first)))
}

fn in_words(call: &LazyResult) -> String {
    let LazyResult { at, text, .. } = call;
    format!("{at} calls a model whose result is computed only while it is taken, and takes none of it (\"{text}\")")
}

/// What shows that nothing was computed.
fn sign(basis: &Basis) -> Option<String> {
    let facts = basis.facts;
    if let Ok(("idle" | "loaded_not_computing", words)) = &basis.activity {
        return Some(words.clone());
    }
    let silent = facts.request.soft_failures.known().into_iter().flatten();
    if let Some(failure) = silent.into_iter().find(|one| one.kind == "empty_transcript" || one.kind == "no_result") {
        return Some(failure.detail.clone());
    }
    let speed = speed(facts).filter(|speed| *speed >= SPEED)?;
    Some(format!("{speed:.0} s of speech were answered within a second"))
}

/// Seconds of speech answered in a second, where the sample's length is known.
fn speed(facts: &Facts) -> Option<f64> {
    let sends_wav = |value: &str| value.contains("audio/wav") || value.contains("audio/x-wav");
    let good = facts.request.good.known()?;
    let bytes = *facts.execution.request_body_bytes.known()? as f64;
    let each_ms = facts.execution.request_ms_median.known().filter(|ms| **ms > 0.0)?;
    good.fields.iter().any(|field| sends_wav(&field.value)).then(|| bytes / WAV_BYTES_PER_SECOND / (each_ms / 1e3))
}
