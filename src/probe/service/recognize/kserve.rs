//! Servers of the KServe v2 protocol: Triton, MLServer, OpenVINO Model Server, KServe's own. Which model, which tensors.
//!
//! Protocol: <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol>.

use super::family::{Recognized, Signs, Suspicion, likely_or, names};
use super::questions::{Questions, text};
use super::tensor::{self, Tensor};
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::schema::{Candidate, Described, Wish};
use serde_json::{Value, json};

/// Inputs of a model that are looked at, at most.
const INPUTS: usize = 200;
/// Sizes that are tried for dimensions of any size.
const LADDER: &[u64] = &[16, 128, 512, 4096];
/// Values of a request of the ladder, at most.
const LADDER_VALUES: usize = 1 << 16;

/// Suspected by paths; possible of a server without a schema, or with one that has nothing to try.
pub fn suspected(signs: &Signs) -> Suspicion {
    let listed = ["/v2", "/v2/health/ready", "/v2/models/{model_name}/infer"].iter().any(|path| signs.lists(path));
    // Triton's words for a path that it does not have.
    let triton = signs.undescribed() && signs.header("server").is_empty() && signs.says("{\"error\":\"Not Found\"}");
    let idle = signs.document.is_some_and(|document| document.choose(&Wish::default()).is_err());
    likely_or(listed || triton || signs.path_begins("/v2/"), signs.undescribed() || idle)
}

/// Asks for the server's metadata, and for the model's.
pub fn recognize(signs: &Signs, questions: &mut Questions) -> Option<Recognized> {
    let server = questions.json("/v2")?;
    let name = server.get("name").and_then(Value::as_str)?;
    let extensions = server.get("extensions").and_then(Value::as_array);
    let version = server.get("version").and_then(Value::as_str);
    if extensions.is_none() && version.is_none() {
        return None;
    }
    let kind = match name.to_ascii_lowercase().as_str() {
        "triton" => "triton",
        "mlserver" => "mlserver",
        "kserve" => "kserve",
        other if other.contains("openvino") => "openvino",
        _ => "kserve-v2",
    };
    let mut found = Recognized {
        kind,
        version: version.map(str::to_owned),
        by: format!("GET /v2: name {name:?}, version {:?}", version.unwrap_or("unknown")),
        ..Recognized::default()
    };
    let index = Index::ask(questions, kind);
    found.models = index.as_ref().map(|index| index.served.clone());
    let named = signs.path.and_then(model_in_path).or(signs.model.as_deref());
    let model = match (named, &index) {
        // A name that the server does not list is the client's mistake; a good request goes to one that it has.
        (Some(named), Some(index)) if !index.all.iter().any(|name| name == named) && !index.served.is_empty() => {
            index.first()
        }
        (Some(named), _) => Ok(named.to_owned()),
        (None, Some(index)) => index.first(),
        (None, None) => Err("the server does not list its models: name one, --operation /v2/models/NAME/infer".into()),
    };
    found.states = ["/v2/health/live", "/v2/health/ready"].map(String::from).into();
    let asked_for = named.filter(|name| is_name(name) && model.as_ref().is_ok_and(|model| model != name));
    found.states.extend(asked_for.map(|name| format!("/v2/models/{name}/ready")));
    let model = match model {
        Ok(model) if is_name(&model) => model,
        Ok(other) => {
            found.lack = Some(format!("{other:?} is not a model's name"));
            return Some(found);
        }
        Err(lack) => {
            found.lack = Some(lack);
            return Some(found);
        }
    };
    found.states.push(format!("/v2/models/{model}/ready"));
    let binary = kind == "triton" || extensions.into_iter().flatten().any(|one| one == "binary_tensor_data");
    match operations(&model, binary, kind, questions) {
        Ok(operations) => {
            found.operations = operations;
            found.described_at = Some(format!("/v2/models/{model}"));
        }
        Err(lack) => found.lack = Some(lack),
    }
    Some(found)
}

/// The models that the server lists.
struct Index {
    all: Vec<String>,
    /// Those that are ready, or of which nothing is said, in the order of the list.
    candidates: Vec<String>,
    served: Vec<String>,
}

impl Index {
    fn ask(questions: &mut Questions, kind: &str) -> Option<Self> {
        // A reading call, though a POST. KServe's own servers have a list instead.
        let listed = match kind {
            "kserve" => None,
            _ => questions.read_by("POST", "/v2/repository/index"),
        };
        if let Some(models) = listed.as_ref().and_then(Value::as_array) {
            let state = |model: &Value| model.get("state").and_then(Value::as_str).map(str::to_owned);
            let of = |keep: &dyn Fn(Option<String>) -> bool| -> Vec<String> {
                let kept = models.iter().filter(|model| keep(state(model)));
                let mut names = names(Some(&kept.cloned().collect()), "name");
                names.dedup();
                names
            };
            return Some(Self {
                all: of(&|_| true),
                candidates: of(&|state| state.is_none_or(|state| state == "READY")),
                served: of(&|state| state.is_some_and(|state| state == "READY")),
            });
        }
        let listed = questions.json("/v2/models")?;
        let models = listed.get("models").and_then(Value::as_array)?.iter();
        let name = |one: &Value| one.as_str().or(one.get("name")?.as_str()).map(str::to_owned);
        let models: Vec<String> = models.filter_map(name).take(256).collect();
        Some(Self { all: models.clone(), candidates: models.clone(), served: models })
    }

    fn first(&self) -> Result<String, String> {
        let none = || format!("none of the {} models in the repository index is ready", self.all.len());
        // One that is known to be ready goes before one of which nothing is said.
        self.served.first().or(self.candidates.first()).cloned().ok_or_else(none)
    }
}

/// The infer operation of a model, and the same with other sizes where any may be right.
fn operations(model: &str, binary: bool, kind: &str, questions: &mut Questions) -> Result<Vec<Candidate>, String> {
    let path = format!("/v2/models/{model}");
    let reply = questions.get(&path).map_err(|failure| failure.text)?;
    if reply.status != 200 {
        let said: String = text(&reply).chars().take(200).collect();
        return Err(format!("{path}: expected the metadata of model {model}, got HTTP {} {said}", reply.status));
    }
    let metadata = super::questions::json(&reply).ok_or(format!("{path}: expected JSON"))?;
    // Which inputs are optional, and whether the first dimension is the batch.
    let config = match kind {
        "triton" => questions.json(&format!("{path}/config")).unwrap_or_default(),
        _ => Value::Null,
    };
    let inputs = metadata.get("inputs").and_then(Value::as_array);
    let inputs = inputs.ok_or_else(|| format!("the metadata of model {model} has no list `inputs`"))?;
    let tensors: Result<Vec<Tensor>, String> = inputs
        .iter()
        .take(INPUTS)
        .map(|input| {
            Tensor::read(input, &config).ok_or(format!("an input of model {model} is not as KServe v2 says: {input}"))
        })
        .collect();
    let tensors = tensors?;
    // Half precision cannot be written in JSON by the server either.
    let outputs = metadata.get("outputs").and_then(Value::as_array).into_iter().flatten();
    let half = outputs.filter_map(|output| output.get("datatype")?.as_str()).any(tensor::is_half);
    let make = |size: u64| -> Result<Candidate, String> {
        let mut fields = Vec::new();
        for one in &tensors {
            let tensor = one.concrete(size, binary, &tensors)?;
            let schema = json!({"tensor": tensor, "dynamic": one.is_open().then_some(size)});
            fields.push(described(one, Place::Tensor, schema));
        }
        if half && binary {
            let schema = json!({"const": {"binary_data_output": true}});
            fields.push(Described {
                name: "parameters".into(),
                place: Place::Json,
                required: true,
                kind: "object",
                schema,
            });
        }
        Ok(Candidate {
            method: "POST".into(),
            path: format!("{path}/infer"),
            encoding: Encoding::Json,
            content_type: "application/json".into(),
            fields,
            known: Vec::new(),
        })
    };
    let mut all = vec![make(1)?];
    if tensors.iter().any(Tensor::is_open) {
        let small = |size: &u64| tensors.iter().all(|one| one.count(*size).is_some_and(|count| count <= LADDER_VALUES));
        all.extend(LADDER.iter().copied().filter(small).filter_map(|size| make(size).ok()));
    }
    Ok(all)
}

fn described(tensor: &Tensor, place: Place, schema: Value) -> Described {
    Described { name: tensor.name.clone(), place, required: !tensor.optional, kind: "array", schema }
}

/// The model's name in `/v2/models/NAME/...`.
pub fn model_in_path(path: &str) -> Option<&str> {
    path.strip_prefix("/v2/models/")?.split('/').next().filter(|name| !name.is_empty())
}

/// Whether it may stand in a path.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !name.starts_with('.')
}

/// Whether an operation is a step of the ladder that an answer makes worth trying: it speaks of sizes, and names none
/// that is larger.
pub fn worth_trying(candidate: &Candidate, answer: &str) -> bool {
    let steps = candidate.fields.iter().filter(|field| field.place == Place::Tensor);
    let Some(step) = steps.filter_map(|field| field.schema.get("dynamic")?.as_u64()).max() else { return true };
    let answer = answer.to_ascii_lowercase();
    const WORDS: &[&str] =
        &["short", "size", "shape", "dimension", "length", "at least", "minimum", "too small", "samples", "broadcast"];
    let numbers = answer.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<u64>().ok());
    // Years, codes and addresses are larger than any step.
    let wanted = numbers.filter(|number| (2..=4096).contains(number)).max().unwrap_or(0);
    WORDS.iter().any(|word| answer.contains(word)) && step >= wanted
}
