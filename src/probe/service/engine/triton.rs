//! Triton: the repository's index, each model's configuration, and the metrics port.
//!
//! Calls: <https://github.com/triton-inference-server/server/tree/main/docs/protocol>.

use super::answers::{ENTRIES_MAX, list, number, text};
use super::asker::Asker;
use super::ports::Ports;
use super::{ASKED_MAX, MODELS_MAX};
use crate::snapshot::{EngineModel, Fact, InstanceGroup, Unknown, Why};
use serde_json::Value;

/// What PyTriton puts into the parameters of its models.
const PYTRITON: &[&str] = &["workspace-path", "shared-memory-socket"];

/// The models of the index, the one that was tried first among those whose configuration is asked for.
pub fn models(asker: &mut Asker, tried: Option<&str>) -> Result<Vec<EngineModel>, Unknown> {
    let tried = tried.filter(|name| is_name(name));
    // A reading call, though a POST.
    let mut models = match asker.posted("/v2/repository/index") {
        Ok(index) => listed(asker, &index)?,
        Err(unknown) => match tried {
            Some(name) => vec![EngineModel::all_unknown(name, &unknown)],
            None => return Err(unknown),
        },
    };
    let is_tried = |model: &&mut EngineModel| Some(model.name.as_str()) == tried;
    let (first, rest): (Vec<_>, Vec<_>) = models.iter_mut().partition(is_tried);
    let mut asked = 0;
    for model in first.into_iter().chain(rest) {
        if model.state.known().is_some_and(|state| state != "READY") {
            continue;
        }
        let config = match (is_name(&model.name), asked < ASKED_MAX) {
            (true, true) => asker.json(&format!("/v2/models/{}/config", model.name)),
            (true, false) => Err(Unknown::new(Why::NotAsked, format!("only {ASKED_MAX} models are asked about"))),
            (false, _) => Err(Unknown::new(Why::Malformed, "it is not a model's name")),
        };
        asked += 1;
        match config {
            Ok(config) => configured(asker, model, &config),
            Err(unknown) => {
                model.device = Fact::Unknown(unknown.clone());
                model.instance_groups = Fact::Unknown(unknown);
            }
        }
    }
    Ok(models)
}

/// The models of the index.
pub fn listed(asker: &Asker, index: &Value) -> Result<Vec<EngineModel>, Unknown> {
    let index = index.as_array().ok_or_else(|| super::answers::wrong("the repository index", "a list"))?;
    let untold = Unknown::new(Why::NotAsked, "Triton does not tell it of a model that is not loaded");
    let mut models: Vec<EngineModel> = Vec::new();
    for one in index.iter().take(ENTRIES_MAX) {
        let Ok(name) = text(one, "name") else { continue };
        let mut model = EngineModel::all_unknown(asker.clean(name), &untold);
        model.version = asker.text_of(one, "version");
        // A model that was never loaded has no state.
        model.state = Fact::Known(text(one, "state").map(|state| asker.clean(state)).unwrap_or_default());
        model.reason = asker.text_of(one, "reason");
        // Versions of one model share its configuration.
        let twin = |other: &EngineModel| other.name == model.name && other.state == model.state;
        if models.len() < MODELS_MAX && !models.iter().any(twin) {
            models.push(model);
        }
    }
    Ok(models)
}

/// Takes over what a model's configuration says.
pub fn configured(asker: &Asker, model: &mut EngineModel, config: &Value) {
    model.backend = asker.text_of(config, "backend");
    model.platform = asker.text_of(config, "platform");
    let parameters = config.get("parameters").and_then(Value::as_object);
    let has = |name: &&str| parameters.is_some_and(|parameters| parameters.contains_key(*name));
    model.proxied = Fact::Known(PYTRITON.iter().any(has));
    model.max_batch_size = number(config, "max_batch_size").into();
    let batching = config.get("dynamic_batching").filter(|batching| batching.is_object());
    // Requests of a sequence are batched in their own way.
    let sequences = config.get("sequence_batching").is_some_and(Value::is_object);
    model.dynamic_batching = Fact::Known(batching.is_some() || sequences);
    model.batch_delay_ms = match batching {
        Some(batching) => number(batching, "max_queue_delay_microseconds").map(|delay| delay as f64 / 1e3).into(),
        None => Fact::unknown(Why::NotAsked, "Triton does not join requests of this model"),
    };
    model.preferred_batch_sizes = match batching {
        Some(batching) => {
            let sizes = batching.get("preferred_batch_size").and_then(Value::as_array).into_iter().flatten();
            Fact::Known(sizes.filter_map(Value::as_u64).take(ENTRIES_MAX).collect())
        }
        None => Fact::unknown(Why::NotAsked, "Triton does not join requests of this model"),
    };
    let steps = config.get("ensemble_scheduling").map_or_else(
        || Ok(Vec::new()),
        |ensemble| {
            let steps = list(ensemble, "step")?;
            Ok(steps.filter_map(|step| text(step, "model_name").ok()).map(|name| asker.clean(name)).collect())
        },
    );
    model.steps = steps.into();
    let groups: Result<Vec<InstanceGroup>, Unknown> =
        list(config, "instance_group").map(|groups| groups.map(|one| group(asker, one)).collect());
    model.device = groups.clone().and_then(|groups| device(model, &groups)).into();
    model.instance_groups = groups.into();
}

fn group(asker: &Asker, one: &Value) -> InstanceGroup {
    let word = |name: &str| text(one, name).map(|text| asker.clean(text)).unwrap_or_default();
    let gpus = list(one, "gpus").map(|gpus| gpus.filter_map(Value::as_u64).collect());
    InstanceGroup {
        name: word("name"),
        kind: word("kind"),
        count: number(one, "count").unwrap_or(0),
        gpus: gpus.unwrap_or_default(),
    }
}

fn device(model: &EngineModel, groups: &[InstanceGroup]) -> Result<String, Unknown> {
    if model.platform.known().is_some_and(|platform| platform == "ensemble") {
        return Err(Unknown::new(Why::NotAsked, "an ensemble runs where its steps run"));
    }
    let has = |kind: &str| groups.iter().any(|group| group.kind == kind);
    if let Some(other) = groups.iter().find(|group| !matches!(group.kind.as_str(), "KIND_GPU" | "KIND_CPU")) {
        return Err(Unknown::new(Why::NotAsked, format!("{} leaves the device to the backend", other.kind)));
    }
    Ok(match (has("KIND_GPU"), has("KIND_CPU")) {
        (true, true) => "both",
        (true, false) => "gpu",
        (false, true) => "cpu",
        (false, false) => return Err(Unknown::new(Why::Absent, "the configuration has no instance group")),
    }
    .into())
}

/// Whether the metrics have series of GPUs. They must be this server's: another Triton may have the default port.
pub fn gpu_metrics(asker: &mut Asker, ports: &Ports, models: &[&str]) -> Result<bool, Unknown> {
    let port = ports.triton_metrics.clone()?;
    let reply = asker.beside(port, "/metrics", about_gpus)?;
    let text = String::from_utf8_lossy(&reply.body);
    let not = |what: &str| Unknown::new(Why::Malformed, format!("port {port} of the server's host: {what}"));
    if !text.lines().any(|line| line.starts_with("nv_")) {
        return Err(not("the answer is not Triton's metrics"));
    }
    let of_this = |line: &str| models.iter().any(|name| line.contains(&format!("model=\"{name}\"")));
    if text.contains("nv_inference_count{") && !models.is_empty() && !text.lines().any(of_this) {
        return Err(not("these metrics are of another Triton, they have none of its models"));
    }
    match text.lines().any(|line| line.starts_with("nv_gpu_")) {
        false if reply.cut => Err(not("the metrics are too long to be read to their end")),
        present => Ok(present),
    }
}

fn about_gpus(text: &str) -> String {
    text.lines().filter(|line| line.starts_with("nv_gpu_")).take(4).collect::<Vec<_>>().join("; ")
}

/// Whether it may stand in a path.
pub fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain)
}
