//! Whether the server's answer says that the content of the client's request does not fit the model: the shape or type of
//! a tensor, or more tokens than it has room for.

use super::Basis;
use super::target_of_request::rejected;
use crate::snapshot::{Exchange, room};

room! {
    /// What the model cannot take.
    pub struct ContentOfRequest {
        /// What the server says of a tensor that does not fit the model's declaration; empty if it says nothing of that.
        pub tensor_mismatch: String,
        /// What the server says of an input with too many tokens; empty if it says nothing of that.
        pub context_exceeded: String,
    }
}

impl ContentOfRequest {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let said = |about: fn(&Exchange) -> bool| {
            rejected(basis.facts).map(|client| client.filter(|client| about(client)).map_or(String::new(), words))
        };
        Self { tensor_mismatch: said(is_mismatch).into(), context_exceeded: said(is_too_long).into() }
    }
}

/// Words of Triton (core's infer_request.cc, the HTTP front end), MLServer, OpenVINO, KServe and TensorFlow Serving about
/// tensors. Lower case.
const TENSORS: &[&str] = &[
    "unexpected shape for input",
    "data-type is '",
    "unexpected datatype",
    "unexpected inference input",
    "batch-size must be <=",
    "batch size does not match",
    "shape does not match true shape",
    "got unexpected numpy array shape",
    "must have a batch dimension",
    "invalid input precision",
    "invalid number of shape dimensions",
    "invalid input shape",
    "invalid input batch size",
    "does not have named input",
];

/// Words of vLLM, SGLang, TGI, TEI, llama.cpp and OpenAI's API about tokens. Lower case.
const TOKENS: &[&str] = &[
    "maximum context length",
    "max_model_len",
    "maximum model length",
    "`inputs` must have less than",
    "inputs must have less than",
    "`inputs` tokens + `max_new_tokens` must be",
    "exceeds the available context size",
    "exceed_context_size",
    "context_length_exceeded",
    "longer than the model's context length",
    "maximum allowed length",
    "input is too long",
    "prompt is too long",
];

fn is_mismatch(client: &Exchange) -> bool {
    let answer = client.answer.to_lowercase();
    // Inputs that are missing are told by name, and have a cause of their own.
    let missing = answer.contains("missing required input") && !client.names_missing.is_empty();
    let status = client.status.known().is_some_and(|status| matches!(status, 400 | 422 | 500));
    let names = TENSORS.iter().any(|words| answer.contains(words));
    let unasked = answer.contains("expected") && answer.contains("inputs but got");
    status && !missing && (names || unasked)
}

fn is_too_long(client: &Exchange) -> bool {
    let answer = client.answer.to_lowercase();
    let status = client.status.known().is_some_and(|status| matches!(status, 400 | 413 | 422 | 500));
    status && TOKENS.iter().any(|words| answer.contains(words))
}

/// The server's own sentence.
fn words(client: &Exchange) -> String {
    let json: Option<serde_json::Value> = serde_json::from_str(&client.answer).ok();
    let places = ["/error/message", "/message", "/error", "/detail"];
    let told = json.as_ref().and_then(|json| places.iter().find_map(|place| json.pointer(place)?.as_str()));
    let told = told.unwrap_or(&client.answer).trim_start_matches("[request id: <id_unknown>] ");
    let told = told.split(" NOTE: ").next().unwrap_or(told);
    told.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}
