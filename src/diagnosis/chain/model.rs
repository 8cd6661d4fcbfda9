//! The model's stage in words: what it holds, where it runs, where its parameters live.

use super::seen::{Sight, Words};
use crate::snapshot::{Fact, Facts, PlacementFacts, PredictionFacts, Unknown, Why};
use crate::words::bytes;
use std::collections::BTreeMap;

/// What was seen of the model, and what the serving software says of it.
pub fn words(facts: &Facts) -> Words {
    match (of_file(facts), super::engine::says(facts)) {
        (Ok(file), Some(says)) => Ok(Sight { words: format!("{}; {says}", file.words), ..file }),
        // No file was named, and the software tells all the same.
        (Err(Unknown { why: Why::NotAsked, .. }), Some(says)) => Ok(says.into()),
        (file, _) => file,
    }
}

fn of_file(facts: &Facts) -> Words {
    let model = &facts.model;
    // A format that is only told apart is not examined, which is no sign that the model does not work.
    if let (Fact::Unknown(unknown), Some(Why::NotAsked)) =
        (&model.parameters, model.external_files.reason().map(|unknown| unknown.why))
    {
        return Err(Unknown::new(Why::NotAsked, unknown.detail.clone()));
    }
    let parts = match model.format.known().map(String::as_str) {
        Some(format @ ("safetensors" | "gguf")) => format!("{format}: {} tensors", model.tensors.read()?),
        _ => format!("{} nodes", model.nodes.read()?.saturating_add(*model.subgraph_nodes.read()?)),
    };
    let (parameters, size) = (*model.parameters.read()? as f64 / 1e6, bytes(*model.parameter_bytes.read()? as f64));
    let mut words = format!("{parts}, {parameters:.2} M parameters, {size}");
    words.push_str(&placement(&facts.placement, &facts.prediction));
    Ok(words.into())
}

fn placement(real: &PlacementFacts, predicted: &PredictionFacts) -> String {
    match (&real.nodes_by_provider, &real.nodes) {
        (Fact::Known(by_provider), Fact::Known(all)) => {
            format!("; placed: {}{}", shares(by_provider, *all), parameters(real))
        }
        (Fact::Unknown(unknown), _) | (_, Fact::Unknown(unknown)) => {
            let told = match unknown {
                Unknown { why: Why::NotAsked, .. } => String::new(),
                unknown => format!("; placement unknown ({unknown})"),
            };
            format!("{told}{}", forecast(predicted))
        }
    }
}

/// What is predicted, where nothing was observed.
fn forecast(predicted: &PredictionFacts) -> String {
    match (&predicted.nodes_by_provider, &predicted.nodes, &predicted.for_version) {
        (Fact::Known(by_provider), Fact::Known(all), Fact::Known(version)) => {
            format!("; predicted for onnxruntime {version}: {}", shares(by_provider, *all))
        }
        _ => String::new(),
    }
}

fn shares(by_provider: &BTreeMap<String, u64>, all: u64) -> String {
    let share = |(provider, number): (&String, &u64)| {
        format!("{number} of {all} on {}", provider.replace("ExecutionProvider", ""))
    };
    by_provider.iter().map(share).collect::<Vec<_>>().join(", ")
}

/// The parameters by device: "parameters: 603 on the GPU (2.3 GB), 4 on the CPU (12.0 kB)".
fn parameters(real: &PlacementFacts) -> String {
    let (Some(gpu), Some(cpu)) = (real.gpu_parameter_bytes.known(), real.cpu_parameter_bytes.known()) else {
        return String::new();
    };
    let side = |tensors: &Fact<u64>, size: u64, device: &str| match tensors {
        Fact::Known(tensors) => format!("{tensors} on the {device} ({})", bytes(size as f64)),
        Fact::Unknown(_) => format!("{} on the {device}", bytes(size as f64)),
    };
    match (*gpu, *cpu) {
        (0, cpu) => format!("; all parameters on the CPU ({})", bytes(cpu as f64)),
        (gpu, cpu) => format!(
            "; parameters: {}, {}",
            side(&real.gpu_parameters, gpu, "GPU"),
            side(&real.cpu_parameters, cpu, "CPU")
        ),
    }
}
