//! Ray Serve: the dashboard tells what each deployment asks for.
//!
//! `GET /api/serve/applications/`, in Ray's `ServeInstanceDetails`; a deployment that asks for no GPU is given none
//! (<https://docs.ray.io/en/latest/serve/resource-allocation.html>).

use super::MODELS_MAX;
use super::answers::{ENTRIES_MAX, field, list, wrong};
use super::asker::Asker;
use super::ports::Ports;
use crate::snapshot::{EngineModel, Unknown, Why};
use serde_json::Value;

/// Whether this is what Ray Serve answers at `/-/routes`: route prefixes and the applications behind them.
pub fn are_routes(routes: &Value) -> bool {
    let routes = routes.as_object().filter(|routes| !routes.is_empty());
    routes.is_some_and(|routes| routes.iter().all(|(prefix, app)| prefix.starts_with('/') && app.is_string()))
}

/// The deployments of all applications.
pub fn models(asker: &mut Asker, ports: &Ports) -> Result<Vec<EngineModel>, Unknown> {
    asker.json_beside(ports.ray_dashboard, "/api/serve/applications/").and_then(|told| listed(asker, &told))
}

/// The deployments in the answer.
pub fn listed(asker: &Asker, told: &Value) -> Result<Vec<EngineModel>, Unknown> {
    let mut models = Vec::new();
    let applications = field(told, "applications")?.as_object().ok_or_else(|| wrong("applications", "an object"))?;
    for (application, details) in applications.iter().take(ENTRIES_MAX) {
        let deployments = details.get("deployments").and_then(Value::as_object);
        for (name, deployment) in deployments.into_iter().flatten().take(ENTRIES_MAX) {
            if models.len() < MODELS_MAX {
                models.push(model(asker, &format!("{application}/{name}"), deployment));
            }
        }
    }
    Ok(models)
}

fn model(asker: &Asker, name: &str, deployment: &Value) -> EngineModel {
    let untold = Unknown::new(Why::NotAsked, "Ray Serve does not tell it");
    let mut model = EngineModel::all_unknown(asker.clean(name), &untold);
    model.state = asker.text_of(deployment, "status");
    model.reason = asker.text_of(deployment, "message");
    model.gpus_per_replica = field(deployment, "deployment_config").and_then(gpus).into();
    model.device = model.gpus_per_replica.as_ref().map(|gpus| if *gpus > 0.0 { "gpu" } else { "cpu" }.into());
    model.replicas = list(deployment, "replicas").map(|replicas| replicas.count() as u64).into();
    model
}

/// GPUs of one replica: of its actor, and of the placement group in which engines like vLLM start theirs.
fn gpus(config: &Value) -> Result<f64, Unknown> {
    let amount = |value: Option<&Value>, name: &str| match value.filter(|value| !value.is_null()) {
        None => Ok(0.0),
        Some(value) => value.as_f64().filter(|gpus| (0.0..1e6).contains(gpus)).ok_or_else(|| wrong(name, "a number")),
    };
    let options = config.get("ray_actor_options").filter(|options| !options.is_null());
    let mut sum = amount(options.and_then(|options| options.get("num_gpus")), "num_gpus")?;
    let bundles = config.get("placement_group_bundles").and_then(Value::as_array);
    for bundle in bundles.into_iter().flatten().take(ENTRIES_MAX) {
        sum += amount(bundle.get("GPU"), "GPU of a placement group")?;
    }
    Ok(sum)
}
