//! TorchServe: its management port lists the models and their workers.
//!
//! Calls: <https://pytorch.org/serve/management_api.html>. From 0.11.1 on they may want a key of their own, which is not
//! asked for.

use super::answers::{ENTRIES_MAX, list, text, truth};
use super::asker::Asker;
use super::ports::Ports;
use super::{ASKED_MAX, MODELS_MAX};
use crate::snapshot::{EngineModel, EngineWorker, Unknown, Why};
use serde_json::Value;

/// Whether this is what TorchServe answers at `/ping`.
pub fn is_health(answer: &str) -> bool {
    let status = serde_json::from_str::<Value>(answer).ok();
    let status = status.as_ref().and_then(|answer| answer.get("status")?.as_str());
    status.is_some_and(|status| matches!(status, "Healthy" | "Partial Healthy" | "Unhealthy"))
}

/// The models with their workers.
pub fn models(asker: &mut Asker, ports: &Ports) -> Result<Vec<EngineModel>, Unknown> {
    let port = ports.torchserve_management;
    let known = asker.json_beside(port, "/models")?;
    let names: Vec<String> = list(&known, "models")?
        .take(MODELS_MAX)
        .filter_map(|one| Some(text(one, "modelName").ok()?.to_owned()))
        .collect();
    let mut models = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let described = match (super::triton::is_name(name), index < ASKED_MAX) {
            (true, true) => asker.json_beside(port, &format!("/models/{name}")),
            (true, false) => Err(Unknown::new(Why::NotAsked, format!("only {ASKED_MAX} models are asked about"))),
            (false, _) => Err(Unknown::new(Why::Malformed, "it is not a model's name")),
        };
        models.push(match described {
            Ok(described) => model(asker, name, &described),
            Err(unknown) => EngineModel::all_unknown(asker.clean(name), &unknown),
        });
    }
    Ok(models)
}

/// One model; the answer lists its default version.
pub fn model(asker: &Asker, name: &str, described: &Value) -> EngineModel {
    let untold = Unknown::new(Why::NotAsked, "TorchServe does not tell it");
    let mut model = EngineModel::all_unknown(asker.clean(name), &untold);
    let Some(version) = described.as_array().and_then(|versions| versions.first()) else {
        let wrong = super::answers::wrong("the description of the model", "a list");
        return EngineModel::all_unknown(model.name, &wrong);
    };
    model.version = asker.text_of(version, "modelVersion");
    let workers: Result<Vec<EngineWorker>, Unknown> =
        list(version, "workers").map(|workers| workers.take(ENTRIES_MAX).map(|one| worker(asker, one)).collect());
    model.device = workers.clone().and_then(|workers| device(&workers)).into();
    model.workers = workers.into();
    model
}

fn worker(asker: &Asker, one: &Value) -> EngineWorker {
    EngineWorker {
        id: text(one, "id").map(|id| asker.clean(id)).unwrap_or_default(),
        status: asker.text_of(one, "status"),
        gpu: truth(one, "gpu").into(),
        gpu_usage: asker.text_of(one, "gpuUsage"),
    }
}

fn device(workers: &[EngineWorker]) -> Result<String, Unknown> {
    let on_gpu = workers.iter().map(|worker| worker.gpu.read().copied()).collect::<Result<Vec<_>, _>>()?;
    Ok(match (on_gpu.contains(&true), on_gpu.contains(&false)) {
        (true, true) => "both",
        (true, false) => "gpu",
        (false, true) => "cpu",
        (false, false) => return Err(Unknown::new(Why::NotAsked, "the model has no worker")),
    }
    .into())
}
