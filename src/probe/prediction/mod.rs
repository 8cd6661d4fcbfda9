//! Where onnxruntime's CUDA provider would put the model's nodes, from tables and the model's file alone: neither a
//! runtime nor a GPU is needed.

use super::model::NOT_NAMED;
use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, PredictionFacts, Room, Stage, Unknown, Why};
use std::time::Duration;

/// Predicts the placement of the model that the user named.
pub const PROBE: Probe = Probe {
    id: "prediction",
    stage: Stage::Model,
    rooms: &["prediction"],
    needs: &["model", "ort", "packages"],
    this_machine: false,
    budget: Duration::from_secs(10),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let unknown = match &context.ask.model {
        None => Unknown::new(Why::NotAsked, NOT_NAMED),
        Some(_) => Unknown::new(Why::NotAsked, "placements are not predicted yet"),
    };
    facts.prediction = PredictionFacts::all_unknown(&unknown);
    Ran::from(&unknown)
}
