//! How a request's time divides into the model's own and all the rest: decoding, resizing, tokenizing, copying, waiting.

use super::Basis;
use super::engine::tried;
use crate::snapshot::{Fact, Facts, ModelCounters, Unknown, Why, room};

room! {
    /// The model's share of a request.
    pub struct RequestSplit {
        /// Time of a request in the model, by the server's own word, milliseconds.
        pub model_ms: f64,
        /// Who says so, in words that follow a colon: `the answer's field inference_time_ms`.
        pub model_ms_told_by: String,
        /// What is left of a request's time, milliseconds.
        pub outside_model_ms: f64,
        /// The model's share of a request's time, percent.
        pub model_time_percent: f64,
        /// Whether the server was seen to say that its model takes only a small part of a request. Such work may be too
        /// short for the GPU's counters.
        pub model_time_seen_small: bool,
        /// What of the server's imports prepares inputs or outputs on the CPU, each with what it does.
        pub preparing_imports: Vec<String>,
    }
}

/// Share of a request up to which the model's time is a small part, percent.
const SMALL_PERCENT: f64 = 20.0;

impl RequestSplit {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let told = split(facts);
        let percent = told.as_ref().map(|split| split.percent()).map_err(Unknown::clone);
        Self {
            model_ms: told.as_ref().map(|split| split.model_ms).map_err(Unknown::clone).into(),
            model_ms_told_by: told.as_ref().map(|split| split.by.clone()).map_err(Unknown::clone).into(),
            outside_model_ms: told
                .as_ref()
                .map(|split| split.request_ms - split.model_ms)
                .map_err(Unknown::clone)
                .into(),
            model_time_seen_small: Fact::Known(percent.as_ref().is_ok_and(|percent| *percent <= SMALL_PERCENT)),
            model_time_percent: percent.into(),
            preparing_imports: preparing(facts),
        }
    }
}

struct Split {
    request_ms: f64,
    model_ms: f64,
    by: String,
}

impl Split {
    fn percent(&self) -> f64 {
        (1000.0 * self.model_ms / self.request_ms).round() / 10.0
    }
}

fn split(facts: &Facts) -> Result<Split, Unknown> {
    let request_ms = *facts.execution.request_ms_median.read()?;
    let told = counted(facts).or_else(|| reported(facts));
    let (model_ms, by) =
        told.ok_or_else(|| Unknown::new(Why::NotAsked, "the server does not tell its model's time"))?;
    if !(request_ms > 0.0 && model_ms.is_finite() && model_ms >= 0.0) {
        return Err(Unknown::new(Why::Malformed, format!("a request of {request_ms} ms and a model of {model_ms} ms")));
    }
    // With batches and several instances the server's mean may exceed what the doctor waited.
    Ok(Split { request_ms, model_ms: model_ms.min(request_ms), by })
}

/// By the server's own counters: of the model that was tried, or the only one.
fn counted(facts: &Facts) -> Option<(f64, String)> {
    let models = facts.counters.models.known()?;
    let told: Vec<(&ModelCounters, f64)> =
        models.iter().filter_map(|model| Some((model, *model.compute_ms.known()?))).collect();
    let tried = tried(facts);
    let named = told.iter().find(|(model, _)| Some(model.model.as_str()) == tried);
    let (model, ms) = named.or(if told.len() == 1 { told.first() } else { None })?;
    Some((*ms, format!("the counters of {}", model.page)))
}

/// By the answers, where what they tell is of the model and not of the request.
fn reported(facts: &Facts) -> Option<(f64, String)> {
    let execution = &facts.execution;
    execution.server_reported_of.known().filter(|of| *of == "inference")?;
    Some((*execution.server_reported_ms.known()?, execution.server_reported_in.known()?.clone()))
}

/// Modules that prepare inputs or outputs on the CPU, by their first name.
const PREPARING: &[(&str, &str)] = &[
    ("PIL", "decodes and resizes pictures"),
    ("cv2", "decodes and resizes pictures"),
    ("skimage", "decodes and resizes pictures"),
    ("imageio", "decodes pictures"),
    ("torchvision", "resizes pictures, on the CPU unless it is given tensors on the GPU"),
    ("albumentations", "changes pictures"),
    ("decord", "decodes video"),
    ("av", "decodes sound and video"),
    ("moviepy", "decodes video"),
    ("librosa", "resamples sound and computes spectrograms"),
    ("soundfile", "decodes sound"),
    ("torchaudio", "decodes and resamples sound"),
    ("pydub", "decodes sound with ffmpeg"),
    ("ffmpeg", "starts ffmpeg"),
    ("tokenizers", "tokenizes text"),
    ("sentencepiece", "tokenizes text"),
    ("tiktoken", "tokenizes text"),
    ("base64", "unpacks base64"),
];

fn preparing(facts: &Facts) -> Fact<Vec<String>> {
    facts.source.imports.as_ref().map(|imports| {
        let known = |name: &String| PREPARING.iter().find(|(module, _)| module == name);
        imports.iter().filter_map(known).map(|(module, does)| format!("{module} ({does})")).collect()
    })
}
