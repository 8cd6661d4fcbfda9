//! Ollama: `GET /api/ps` lists the models in memory, with the part of each that is in GPU memory.
//!
//! Fields: <https://github.com/ollama/ollama/blob/main/docs/api.md>, "List Running Models".

use super::answers::{list, number, text};
use super::asker::Asker;
use super::{MODELS_MAX, Told};
use crate::snapshot::{EngineModel, Fact, Unknown, Why};
use serde_json::Value;

/// What it says.
pub fn told(asker: &mut Asker) -> Told {
    let version = asker.json("/api/version").map(|answer| asker.text_of(&answer, "version"));
    let models = asker.json("/api/ps").and_then(|answer| listed(asker, &answer));
    Told { version: version.unwrap_or_else(Fact::Unknown), ..Told::models(models) }
}

/// The models in the answer.
pub fn listed(asker: &Asker, answer: &Value) -> Result<Vec<EngineModel>, Unknown> {
    Ok(list(answer, "models")?.take(MODELS_MAX).filter_map(|one| model(asker, one)).collect())
}

fn model(asker: &Asker, one: &Value) -> Option<EngineModel> {
    let name = text(one, "name").or_else(|_| text(one, "model")).ok()?;
    let untold = Unknown::new(Why::NotAsked, "ollama does not tell it");
    let mut model = EngineModel::all_unknown(asker.clean(name), &untold);
    let (size, vram) = (number(one, "size"), number(one, "size_vram"));
    model.device = match (&size, &vram) {
        (Ok(size), Ok(vram)) => Fact::Known(device(*size, *vram).into()),
        (Err(unknown), _) | (_, Err(unknown)) => Fact::Unknown(unknown.clone()),
    };
    (model.size_bytes, model.size_vram_bytes) = (size.into(), vram.into());
    Some(model)
}

/// As `ollama ps` rounds it: what is below half a percent on the CPU is not shown there.
fn device(size: u64, vram: u64) -> &'static str {
    match size.saturating_sub(vram) {
        _ if vram == 0 && size > 0 => "cpu",
        rest if u128::from(rest) * 200 < u128::from(size).max(1) => "gpu",
        _ => "both",
    }
}
