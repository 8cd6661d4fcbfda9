//! What the server says of itself: that it computes on a GPU, or that it has one.

use super::engine;
use crate::snapshot::{Facts, Saying, StateAnswer};
use serde_json::Value;

/// What is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// That the model is on a GPU.
    OnGpu,
    /// That a GPU is there to be used.
    GpuThere,
}

/// One claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    pub kind: Kind,
    /// What is said: `the server says device "cuda:0"`.
    pub says: String,
    /// Where: `GET /health`.
    pub by: String,
}

/// Members of answers that name the device, and those that tell whether there is a GPU.
const DEVICE: &[&str] =
    &["device", "torch_device", "compute_device", "model_device", "inference_device", "runtime_device", "accelerator"];
const THERE: &[&str] =
    &["gpu", "cuda", "has_gpu", "gpu_available", "cuda_available", "is_cuda_available", "gpu_enabled", "using_gpu"];
/// Headers that name the device.
const HEADERS: &[&str] = &["x-device", "x-compute-device", "x-inference-device", "x-model-device"];
/// How deep an answer is walked, and how many of its members are looked at.
const DEPTH_MAX: usize = 3;
const MEMBERS_MAX: usize = 128;
/// Claims of one kind of place, at most.
const CLAIMS_MAX: usize = 4;

/// Every claim, in the order of what weighs most: answers to the client, the server's state, its engine, its log.
pub fn of(facts: &Facts) -> Vec<Claim> {
    let mut claims = Vec::new();
    if let Some(good) = facts.request.good.known() {
        let by = format!("the answer to {} {}", good.method, good.path);
        for name in HEADERS {
            if let Some(value) = good.headers.get(*name).filter(|value| is_gpu(value)) {
                let says = format!("the server says {name}: {value}");
                claims.push(Claim { kind: Kind::OnGpu, says, by: by.clone() });
            }
        }
        // A transcript may speak of a GPU; only members of JSON count.
        claims.extend(in_json(&good.answer, &by));
    }
    let states = facts.request.state_answers.known().into_iter().flatten();
    let accepted = |one: &&StateAnswer| one.status.known().is_some_and(|status| (200..300).contains(status));
    for one in states.filter(accepted).take(CLAIMS_MAX) {
        claims.extend(in_json(&one.answer, &format!("GET {}", one.path)));
    }
    claims.extend(of_engine(facts));
    claims.extend(of_log(facts));
    claims
}

/// Whether the word names an NVIDIA GPU as programs do: `cuda`, `cuda:0`, `gpu`.
pub fn is_gpu(word: &str) -> bool {
    let word = word.trim().to_ascii_lowercase();
    let number = |rest: &str| rest.is_empty() || rest.strip_prefix(':').is_some_and(|n| n.parse::<u8>().is_ok());
    ["cuda", "gpu"].iter().any(|name| word.strip_prefix(name).is_some_and(number))
}

fn in_json(answer: &str, by: &str) -> Vec<Claim> {
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_str::<Value>(answer) {
        walk(&value, DEPTH_MAX, &mut MEMBERS_MAX.clone(), by, &mut found);
    }
    found
}

fn walk(value: &Value, depth: usize, left: &mut usize, by: &str, found: &mut Vec<Claim>) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        if *left == 0 || found.len() >= CLAIMS_MAX {
            return;
        }
        *left -= 1;
        let key = name.to_ascii_lowercase();
        let kind = match member {
            Value::String(text) if DEVICE.contains(&key.as_str()) && is_gpu(text) => Some(Kind::OnGpu),
            Value::Bool(true) if THERE.contains(&key.as_str()) => Some(Kind::GpuThere),
            Value::Object(_) if depth > 0 => {
                walk(member, depth - 1, left, by, found);
                None
            }
            _ => None,
        };
        found.extend(kind.map(|kind| Claim { kind, says: format!("the server says {name}: {member}"), by: by.into() }));
    }
}

/// Engines whose own processes compute, by the device that they tell of a model. A model of Triton's Python backend chooses
/// by itself, and Ray's replicas are not the processes behind the port.
fn of_engine(facts: &Facts) -> Vec<Claim> {
    let Some(kind @ ("triton" | "tgi")) = facts.engine.kind.known().map(String::as_str) else { return Vec::new() };
    let models = facts.engine.models.known().into_iter().flatten();
    let tried = engine::tried(facts);
    let claims = models
        .filter(|model| tried.is_none_or(|name| name == model.name))
        .filter(|model| model.device.known().is_some_and(|device| device == "gpu"))
        .filter(|model| model.backend.known().is_none_or(|backend| backend != "python"))
        .filter(|model| model.proxied.known() != Some(&true));
    let claim = |model: &crate::snapshot::EngineModel| Claim {
        kind: Kind::OnGpu,
        says: format!("{kind} says that {} is on a GPU", model.name),
        by: engine::placed(model),
    };
    claims.take(CLAIMS_MAX).map(claim).collect()
}

/// The newest line of each log that names the device of the model.
fn of_log(facts: &Facts) -> Vec<Claim> {
    let names_device = |one: &&Saying| matches!(one.id.as_str(), "using-device" | "inference-device");
    let lines: Vec<&Saying> = facts.server_log.sayings.known().into_iter().flatten().filter(names_device).collect();
    let place = |one: &Saying| (one.skipped_bytes, one.line_number);
    let newest = |one: &&&Saying| !lines.iter().any(|other| other.file == one.file && place(other) > place(one));
    let on_gpu = |one: &&&Saying| one.values.get("device").is_some_and(|device| is_gpu(device));
    let claim = |one: &&Saying| Claim {
        kind: Kind::OnGpu,
        says: format!("the server logs \"{}\"", one.line.trim()),
        by: format!("{}, line {}", one.file, one.line_number),
    };
    lines.iter().filter(newest).filter(on_gpu).take(CLAIMS_MAX).map(claim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Fact, Unknown, Why};
    use proptest::prelude::*;

    fn kinds(answer: &str) -> Vec<(Kind, String)> {
        in_json(answer, "GET /health").into_iter().map(|claim| (claim.kind, claim.says)).collect()
    }

    #[test]
    fn only_members_that_are_meant_so_are_claims() {
        assert_eq!(
            kinds(r#"{"status": "ok", "model": {"device": "cuda:0"}}"#),
            [(Kind::OnGpu, r#"the server says device: "cuda:0""#.into())]
        );
        assert_eq!(kinds(r#"{"gpu": true}"#), [(Kind::GpuThere, "the server says gpu: true".into())]);
        for none in [
            r#"{"device": "cpu"}"#,
            r#"{"device": "cuda-less"}"#,
            r#"{"gpu": false, "cuda": null}"#,
            r#"{"text": "the GPU is busy", "gpu_id": 0}"#,
            r#"{"device": 0}"#,
            r#"[{"device": "cuda"}]"#,
            r#"{"device": "cuda"#,
            "cuda",
        ] {
            assert_eq!(kinds(none), [], "{none}");
        }
    }

    #[test]
    fn the_newest_line_of_a_log_counts() {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
        let line = |number: u64, device: &str| {
            let line = format!("Using device: {device}");
            serde_json::from_value::<Saying>(
                serde_json::json!({"id": "using-device", "file": "a.log", "line_number": number,
                "line": line, "values": {"device": device}}),
            )
            .unwrap()
        };
        facts.server_log.sayings = Fact::Known(vec![line(3, "cuda"), line(9, "cpu")]);
        assert_eq!(of(&facts), []);
        facts.server_log.sayings = Fact::Known(vec![line(3, "cpu"), line(9, "cuda:0")]);
        assert_eq!(of(&facts)[0].by, "a.log, line 9");
    }

    proptest! {
        #[test]
        fn any_answer_is_read(answer in r#"\{?("?(device|gpu|cuda|model)"?:? ?("cuda"|true|\{|\}|\[|1),? ?){0,12}.{0,20}"#) {
            prop_assert!(kinds(&answer).len() <= CLAIMS_MAX * 2);
        }
    }
}
