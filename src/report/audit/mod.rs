//! The audit of a model: what is in its file, where it would run, where it does.

mod agreement;
mod cost;
mod table;
mod text;

pub use agreement::Agreement;

use super::Style;
use super::page::Page;
use crate::cli::Format;
use crate::snapshot::{Facts, Snapshot};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;

/// Name and major version of the audit's format.
pub const SCHEMA: &str = "gpu-doctor/model/v1";

/// What is told of one model.
#[derive(Debug, Clone)]
pub struct Audit {
    facts: Facts,
    agreement: Option<Agreement>,
}

/// A fact that could not be had.
#[derive(Debug, Clone, Serialize)]
struct Missing {
    /// Path in the audit: `placement.real.nodes`.
    path: String,
    /// The kind of reason.
    why: Value,
    /// The reason.
    detail: Value,
}

impl Audit {
    /// The audit of a snapshot.
    pub fn of(snapshot: &Snapshot) -> Audit {
        let facts = snapshot.facts.clone();
        let agreement = agreement::of(&facts.prediction, &facts.placement);
        Audit { facts, agreement }
    }

    /// Writes the audit in the form asked for; a verbose one lists every node on the CPU.
    pub fn write(&self, format: Format, style: &Style, out: &mut dyn Write) -> std::io::Result<()> {
        match format {
            Format::Text => text::write(self, &mut Page::new(style, out)),
            Format::Json => {
                serde_json::to_writer_pretty(&mut *out, &self.document()?)?;
                out.write_all(b"\n")
            }
        }
    }

    /// The audit for programs: plain values, null where a fact is unknown, and the reasons of those in `unknown`.
    fn document(&self) -> serde_json::Result<Value> {
        let mut missing = Vec::new();
        let facts = &self.facts;
        let mut model = plain("model", serde_json::to_value(&facts.model)?, &mut missing);
        let opset = model.get("opsets").and_then(|opsets| opsets.get("ai.onnx")).cloned().unwrap_or_default();
        model.insert("opset".into(), opset);
        let mut onnxruntime = plain("onnxruntime", serde_json::to_value(&facts.ort)?, &mut missing);
        for (name, value) in &mut onnxruntime {
            unwrap(value, &format!("onnxruntime.{name}"), &mut missing);
        }
        let predicted = plain("placement.predicted", serde_json::to_value(&facts.prediction)?, &mut missing);
        let real = plain("placement.real", serde_json::to_value(&facts.placement)?, &mut missing);
        Ok(json!({
            "schema": SCHEMA,
            "tool": crate::TOOL,
            "model": model,
            "onnxruntime": onnxruntime,
            "placement": {
                "predicted": by_device(predicted),
                "real": by_device(real),
                "agreement": self.agreement,
            },
            "unknown": missing,
        }))
    }
}

/// A room's facts as plain values.
fn plain(room: &str, facts: Value, missing: &mut Vec<Missing>) -> Map<String, Value> {
    let Value::Object(facts) = facts else { return Map::new() };
    let mut values = Map::new();
    for (name, mut fact) in facts {
        let value = match fact.get_mut("unknown").map(Value::take) {
            None => fact.get_mut("known").map(Value::take).unwrap_or_default(),
            Some(unknown) => {
                let name = if room.starts_with("placement") { name_in_audit(&name) } else { &name };
                let path = format!("{room}.{name}");
                missing.push(Missing { path, why: unknown["why"].clone(), detail: unknown["detail"].clone() });
                Value::Null
            }
        };
        values.insert(name, value);
    }
    values
}

/// The facts within a fact as plain values too: the failure of CUDA has some.
fn unwrap(value: &mut Value, path: &str, missing: &mut Vec<Missing>) {
    match value {
        Value::Array(items) => {
            items.iter_mut().enumerate().for_each(|(at, item)| unwrap(item, &format!("{path}[{at}]"), missing));
        }
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("known") => {
            *value = fields.shift_remove("known").unwrap_or_default();
        }
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("unknown") => {
            let unknown = fields.shift_remove("unknown").unwrap_or_default();
            let (why, detail) = (unknown["why"].clone(), unknown["detail"].clone());
            missing.push(Missing { path: path.to_string(), why, detail });
            *value = Value::Null;
        }
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, field)| unwrap(field, &format!("{path}.{name}"), missing));
        }
        _ => {}
    }
}

/// Where the audit has a fact of a placement.
fn name_in_audit(fact: &str) -> &str {
    match fact {
        "nodes" => "node_count",
        "listed_nodes" => "nodes",
        "gpu_parameters" => "parameter_tensors_by_device.gpu",
        "cpu_parameters" => "parameter_tensors_by_device.cpu",
        "gpu_parameter_bytes" => "parameter_bytes_by_device.gpu",
        "cpu_parameter_bytes" => "parameter_bytes_by_device.cpu",
        "unplaced_parameter_bytes" => "parameter_bytes_by_device.unplaced",
        other => other,
    }
}

/// A placement with its nodes under `nodes`, and what is counted by device in one place.
fn by_device(mut placement: Map<String, Value>) -> Map<String, Value> {
    let mut take = |name: &str| placement.shift_remove(name).unwrap_or_default();
    let count = take("nodes");
    let listed = take("listed_nodes");
    let tensors = json!({ "gpu": take("gpu_parameters"), "cpu": take("cpu_parameters") });
    let bytes = json!({
        "gpu": take("gpu_parameter_bytes"),
        "cpu": take("cpu_parameter_bytes"),
        "unplaced": take("unplaced_parameter_bytes"),
    });
    placement.insert("node_count".into(), count);
    placement.insert("parameter_tensors_by_device".into(), tensors);
    placement.insert("parameter_bytes_by_device".into(), bytes);
    placement.insert("nodes".into(), listed);
    placement
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{CudaFailure, Fact, PlacedNode, SCHEMA as SNAPSHOT, Target, Unknown, Why};

    fn snapshot() -> Snapshot {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not asked"));
        facts.model.path = Fact::Known("m.onnx".into());
        facts.model.parameters = Fact::Known(7);
        facts.model.opsets = Fact::Known([("ai.onnx".to_string(), 17)].into());
        let node = |provider: &str| PlacedNode {
            name: "a".into(),
            op: "Det".into(),
            provider: provider.into(),
            why: String::new(),
        };
        facts.prediction.listed_nodes = Fact::Known(vec![node("CPUExecutionProvider")]);
        facts.prediction.nodes = Fact::Known(1);
        facts.ort.cuda_failure = Fact::Known(CudaFailure {
            kind: "cpu_build".into(),
            code: Fact::unknown(Why::Absent, "no code"),
            library: String::new(),
            call: String::new(),
            says: String::new(),
            fix: String::new(),
        });
        facts.prediction.gpu_parameter_bytes = Fact::Known(28);
        Snapshot {
            schema: SNAPSHOT.into(),
            schema_minor: 0,
            tool: crate::TOOL.into(),
            taken_at: String::new(),
            target: Target::default(),
            probes: Vec::new(),
            facts,
        }
    }

    #[test]
    fn programs_get_plain_values_and_the_reasons_of_what_is_null() {
        let document = Audit::of(&snapshot()).document().unwrap();
        assert_eq!(document["model"]["opset"], 17);
        assert_eq!(document["model"]["parameters"], 7);
        assert_eq!(document["placement"]["predicted"]["nodes"][0]["op"], "Det");
        assert_eq!(document["placement"]["predicted"]["node_count"], 1);
        assert_eq!(document["placement"]["predicted"]["parameter_bytes_by_device"]["gpu"], 28);
        assert_eq!(document["placement"]["real"]["parameter_bytes_by_device"]["gpu"], Value::Null);
        let unknown = document["unknown"].as_array().unwrap();
        let of = |path: &str| unknown.iter().find(|missing| missing["path"] == path);
        assert_eq!(of("placement.real.parameter_bytes_by_device.gpu").unwrap()["detail"], "not asked");
        assert_eq!(of("placement.real.nodes").unwrap()["why"], "not_asked");
        assert_eq!(document["onnxruntime"]["cuda_failure"]["kind"], "cpu_build");
        assert_eq!(document["onnxruntime"]["cuda_failure"]["code"], Value::Null);
        assert_eq!(of("onnxruntime.cuda_failure.code").unwrap()["detail"], "no code");
        assert!(of("model.parameters").is_none());
        assert_eq!(document["placement"]["agreement"], Value::Null);
    }
}
