//! What the serving software itself says of its models, in a few words.

use crate::snapshot::{EngineModel, Facts};

/// Models that are told by name.
const MODELS_MAX: usize = 4;

/// `Triton 2.51.0 says: asr KIND_CPU x1`; nothing if no software that tells of devices was recognized.
pub fn says(facts: &Facts) -> Option<String> {
    let engine = &facts.engine;
    let name = match engine.kind.known()?.as_str() {
        "triton" => "Triton",
        "tgi" => "TGI",
        "ollama" => "ollama",
        "torchserve" => "TorchServe",
        "ray-serve" => "Ray Serve",
        _ => return None,
    };
    let version = engine.version.known().map(|version| format!(" {version}")).unwrap_or_default();
    let models = match engine.models.read() {
        Ok(models) if models.is_empty() => "no model is loaded".into(),
        Ok(models) => {
            let told: Vec<String> = models.iter().take(MODELS_MAX).map(one).collect();
            match models.len().saturating_sub(MODELS_MAX) {
                0 => told.join(", "),
                more => format!("{} and {more} more", told.join(", ")),
            }
        }
        Err(unknown) => format!("nothing of its devices ({unknown})"),
    };
    let gpu_metrics = match engine.gpu_metrics_present.known() {
        Some(false) => "; its metrics show no GPU",
        _ => "",
    };
    Some(format!("{name}{version} says: {models}{gpu_metrics}"))
}

fn one(model: &EngineModel) -> String {
    let state = model.state.known().filter(|state| !matches!(state.as_str(), "READY" | "HEALTHY" | ""));
    if let Some(state) = state {
        return format!("{} {state}", model.name);
    }
    let words = if let Some(groups) = model.instance_groups.known().filter(|groups| !groups.is_empty()) {
        groups.iter().map(|group| format!("{} x{}", group.kind, group.count)).collect::<Vec<_>>().join(" + ")
    } else if let (Some(size), Some(vram)) = (model.size_bytes.known(), model.size_vram_bytes.known()) {
        format!("{:.1} of {:.1} GB in GPU memory", *vram as f64 / 1e9, *size as f64 / 1e9)
    } else if let Some(workers) = model.workers.known() {
        let with = workers.iter().filter(|worker| worker.gpu.known() == Some(&true)).count();
        format!("{with} of {} workers with a GPU", workers.len())
    } else if let Some(gpus) = model.gpus_per_replica.known() {
        format!("num_gpus {gpus}")
    } else {
        model.device.known().map_or("device not told".into(), |device| format!("on {device}"))
    };
    format!("{} {words}", model.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{EngineFacts, Fact, InstanceGroup, Room, Unknown, Why};

    fn facts(kind: &str) -> Facts {
        let unknown = Unknown::new(Why::NotAsked, "not part of this test");
        let mut facts = Facts::all_unknown(&unknown);
        facts.engine = EngineFacts { kind: Fact::Known(kind.into()), ..EngineFacts::all_unknown(&unknown) };
        facts
    }

    #[test]
    fn each_kind_is_told_in_its_own_words() {
        let unknown = Unknown::new(Why::NotAsked, "untold");
        let mut triton = facts("triton");
        let mut model = EngineModel::all_unknown("asr", &unknown);
        let group = InstanceGroup { name: "asr_0".into(), kind: "KIND_CPU".into(), count: 1, gpus: Vec::new() };
        model.instance_groups = Fact::Known(vec![group]);
        let failed =
            EngineModel { state: Fact::Known("UNAVAILABLE".into()), ..EngineModel::all_unknown("b", &unknown) };
        triton.engine.version = Fact::Known("2.51.0".into());
        triton.engine.models = Fact::Known(vec![model, failed]);
        triton.engine.gpu_metrics_present = Fact::Known(false);
        let told = "Triton 2.51.0 says: asr KIND_CPU x1, b UNAVAILABLE; its metrics show no GPU";
        assert_eq!(says(&triton).unwrap(), told);

        let mut ollama = facts("ollama");
        let mut model = EngineModel::all_unknown("llama3.2", &unknown);
        (model.size_bytes, model.size_vram_bytes) = (Fact::Known(4_000_000_000), Fact::Known(1_000_000_000));
        ollama.engine.models = Fact::Known(vec![model]);
        assert_eq!(says(&ollama).unwrap(), "ollama says: llama3.2 1.0 of 4.0 GB in GPU memory");
        ollama.engine.models = Fact::Known(Vec::new());
        assert_eq!(says(&ollama).unwrap(), "ollama says: no model is loaded");
        assert_eq!(says(&facts("unrecognized")), None);
    }
}
