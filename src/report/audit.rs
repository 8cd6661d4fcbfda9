//! The audit of a model: what is in its file, where it would run, where it does.

use crate::cli::Format;
use crate::snapshot::{Facts, ModelFacts, OrtFacts, PlacementFacts, PredictionFacts, Snapshot};
use serde::Serialize;
use std::io::Write;

/// Name and major version of the audit's format.
pub const SCHEMA: &str = "gpu-doctor/model/v1";

/// What is told of one model.
#[derive(Debug, Clone, Serialize)]
pub struct Audit {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// Program and version that looked.
    pub tool: &'static str,
    /// What is in the file.
    pub model: ModelFacts,
    /// The onnxruntime that placed it, if any.
    pub ort: OrtFacts,
    /// Where it runs.
    pub placement: Placements,
}

/// Both placements side by side.
#[derive(Debug, Clone, Serialize)]
pub struct Placements {
    /// From tables and the file alone.
    pub predicted: PredictionFacts,
    /// As onnxruntime said.
    pub real: PlacementFacts,
}

impl Audit {
    /// The audit of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Audit {
        let Facts { model, ort, placement, prediction, .. } = snapshot.facts.clone();
        let placement = Placements { predicted: prediction, real: placement };
        Audit { schema: SCHEMA, tool: crate::TOOL, model, ort, placement }
    }

    /// Writes the audit in the form asked for.
    pub fn write(&self, _: Format, _: bool, out: &mut dyn Write) -> std::io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        out.write_all(b"\n")
    }
}
