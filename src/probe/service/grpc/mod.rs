//! KServe v2 over gRPC. The protocol is the same as over HTTP, with calls in place of paths and messages in place of JSON.
//! So requests and answers are told in the words of HTTP, and what passes here on its way is a call: the URL's path says
//! which one, the JSON becomes its message, and the answer's message becomes JSON again.
//!
//! Both forms: <https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol>.

mod frame;
mod messages;
pub mod port;
pub mod status;
mod tensor;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod triton_tests;

use super::transport::{Failure, Outgoing, Payload, Reply, failure};
use crate::snapshot::Why;
use messages as m;
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;

/// Media type of requests and, with endings such as `+proto`, of answers.
const MEDIA_TYPE: &str = "application/grpc";
/// The method by which a call is told from a request over HTTP.
pub const METHOD: &str = "GRPC";
/// Path of the inference service's calls.
const SERVICE: &str = "/inference.GRPCInferenceService/";
/// Path of the health check that gRPC servers of every kind may have.
pub const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The header that tells where the JSON ends before binary tensors.
const BINARY_FROM: &str = "inference-header-content-length";

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Question<'a> {
    /// `ModelInfer`.
    call: &'static str,
    /// The model's name and version; the empty version is the server's choice.
    model: &'a str,
    version: &'a str,
}

/// The call that does what a path of KServe v2 does over HTTP; `None` if there is none.
fn question(path: &str) -> Option<Question<'_>> {
    let plain = |call| Some(Question { call, model: "", version: "" });
    let rest = match path.trim_end_matches('/') {
        "/v2" => return plain("ServerMetadata"),
        "/v2/health/live" => return plain("ServerLive"),
        "/v2/health/ready" => return plain("ServerReady"),
        "/v2/repository/index" => return plain("RepositoryIndex"),
        other => other.strip_prefix("/v2/models/")?,
    };
    let (model, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let (version, rest) = match rest.strip_prefix("versions/") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => ("", rest),
    };
    let call = match rest {
        "" => "ModelMetadata",
        "config" => "ModelConfig",
        "ready" => "ModelReady",
        "infer" => "ModelInfer",
        _ => return None,
    };
    (!model.is_empty()).then_some(Question { call, model, version })
}

/// The call's own path. What gRPC has no call for is asked as the server's health, so that a server that is not there is
/// not taken for one that lacks a path.
pub fn call_path(path: &str) -> String {
    question(path).map_or_else(|| HEALTH.to_owned(), |question| format!("{SERVICE}{}", question.call))
}

/// The request as a call.
///
/// # Errors
/// The value that its tensor cannot hold.
pub fn call(outgoing: &Outgoing) -> Result<Outgoing, Failure> {
    let own = |text| Failure { own: true, ..failure(Why::Malformed, format!("no call could be formed: {text}")) };
    let message = match question(outgoing.url.path()) {
        Some(Question { call: "ModelInfer", model, version }) => {
            infer(outgoing, model, version).map_err(own)?.encode_to_vec()
        }
        Some(Question { model, version, .. }) if !model.is_empty() => {
            m::ModelName { name: model.into(), version: version.into() }.encode_to_vec()
        }
        _ => Vec::new(),
    };
    let mut url = outgoing.url.clone();
    url.set_path(&call_path(outgoing.url.path()));
    url.set_query(None);
    let carried = |name: &str| {
        !["content-type", "content-length", "accept", BINARY_FROM].iter().any(|own| name.eq_ignore_ascii_case(own))
    };
    let mut headers: Vec<(String, String)> =
        outgoing.headers.iter().filter(|(name, _)| carried(name)).cloned().collect();
    headers.push(("te".into(), "trailers".into()));
    let payload = Payload::Bytes { bytes: Arc::from(frame::framed(&message)), content_type: MEDIA_TYPE.into() };
    Ok(Outgoing { method: "POST".into(), url, headers, payload, follow: false })
}

/// The message of an inference whose body is KServe's JSON, with or without binary tensors behind it.
fn infer(outgoing: &Outgoing, model: &str, version: &str) -> Result<m::InferRequest, String> {
    let body = match &outgoing.payload {
        Payload::Bytes { bytes, .. } => bytes.as_ref(),
        _ => &[],
    };
    let head = outgoing.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(BINARY_FROM));
    let head = head.and_then(|(_, length)| length.parse().ok()).unwrap_or(body.len());
    let (head, mut binary) = body.split_at_checked(head).unwrap_or((body, &[]));
    let body: Value = serde_json::from_slice(head).map_err(|error| format!("the body is not JSON: {error}"))?;
    let mut request =
        m::InferRequest { model_name: model.into(), model_version: version.into(), ..m::InferRequest::default() };
    for tensor in body.get("inputs").and_then(Value::as_array).into_iter().flatten() {
        let (head, mut raw) = tensor::raw(tensor)?;
        if let Some(size) = tensor.pointer("/parameters/binary_data_size").and_then(Value::as_u64) {
            let cut = usize::try_from(size).ok().and_then(|size| binary.split_at_checked(size));
            let (own, rest) = cut.ok_or(format!("{}: {size} bytes are announced, fewer are there", head.name))?;
            (raw, binary) = (own.to_vec(), rest);
        }
        request.inputs.push(head);
        request.raw_input_contents.push(raw);
    }
    Ok(request)
}

/// Turns the answer to a call into what HTTP would have said to `path`: the status by gRPC's, the message as JSON, a
/// refusal's words as text. An answer that is not gRPC, as of a proxy, stays as it is.
pub fn translate(path: &str, reply: &mut Reply) {
    if !reply.content_type.starts_with(MEDIA_TYPE) {
        return;
    }
    // Without a message the status may stand among the headers.
    let Some(status) = status::told(&reply.trailers).or_else(|| status::told(&reply.headers)) else {
        // A body at its cap was not read to the trailers.
        if !reply.cut {
            (reply.status, reply.body) = (502, b"the gRPC answer ended without a status".to_vec());
        }
        return;
    };
    let ok = status.name == "OK";
    (reply.status, reply.grpc_status) = (status.http, Some(status.name));
    let question = question(path).map(|question| question.call);
    if question.is_none() && path != HEALTH {
        // The server's health was asked in its place.
        (reply.status, reply.body) = (404, NO_SUCH_CALL.into());
        return;
    }
    reply.body = match ok {
        false => status.message.into_bytes(),
        true => match frame::unframed(&reply.body).and_then(|message| told(question, message)) {
            Ok((holds, value)) => {
                // As Triton answers over HTTP.
                reply.status = if holds { 200 } else { 400 };
                value.to_string().into_bytes()
            }
            Err(error) => {
                reply.status = 502;
                format!("the gRPC answer cannot be read: {error}").into_bytes()
            }
        },
    };
}

/// The answer to a path for which there is no call; in the words of KServe servers for paths that they lack.
const NO_SUCH_CALL: &str = r#"{"error":"Not Found"}"#;

/// The message of an answer in JSON, and whether what was asked holds. Without a call it is that of the health check.
fn told(call: Option<&str>, bytes: &[u8]) -> Result<(bool, Value), String> {
    fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
        M::decode(bytes).map_err(|error| error.to_string())
    }
    let head =
        |tensor: &m::TensorHead| json!({ "name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape });
    let value = match call {
        None => {
            let status = read::<m::Health>(bytes)?.status;
            let names = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
            let name = usize::try_from(status).ok().and_then(|status| names.get(status)).unwrap_or(&"UNKNOWN");
            return Ok((status == 1, json!({ "status": name })));
        }
        Some("ServerLive") => {
            let live = read::<m::State>(bytes)?.holds;
            return Ok((live, json!({ "live": live })));
        }
        Some("ServerReady" | "ModelReady") => {
            let ready = read::<m::State>(bytes)?.holds;
            return Ok((ready, json!({ "ready": ready })));
        }
        Some("ServerMetadata") => {
            let m::ServerMetadata { name, version, extensions } = read(bytes)?;
            json!({ "name": name, "version": version, "extensions": extensions })
        }
        Some("ModelMetadata") => {
            let m::ModelMetadata { name, platform, inputs, outputs } = read(bytes)?;
            let heads = |list: &[m::TensorHead]| list.iter().map(head).collect::<Vec<_>>();
            json!({ "name": name, "platform": platform, "inputs": heads(&inputs), "outputs": heads(&outputs) })
        }
        Some("ModelConfig") => {
            let config = read::<m::ModelConfigAnswer>(bytes)?.config.unwrap_or_default();
            let input = |input: &m::ModelInput| json!({ "name": input.name, "optional": input.optional });
            let inputs: Vec<Value> = config.input.iter().map(input).collect();
            json!({ "max_batch_size": config.max_batch_size, "input": inputs })
        }
        Some("RepositoryIndex") => read::<m::RepositoryIndex>(bytes)?.models.into_iter().map(indexed).collect(),
        Some("ModelInfer") => {
            let answer: m::InferResponse = read(bytes)?;
            let raw = |index: usize| answer.raw_output_contents.get(index).map(Vec::as_slice);
            let outputs = answer.outputs.iter().enumerate().map(|(index, head)| tensor::told(head, raw(index)));
            let outputs: Vec<Value> = outputs.collect();
            json!({ "model_name": answer.model_name, "model_version": answer.model_version, "outputs": outputs })
        }
        Some(other) => return Err(format!("{} bytes of {other}", bytes.len())),
    };
    Ok((true, value))
}

fn indexed(model: m::IndexedModel) -> Value {
    let m::IndexedModel { name, version, state, reason } = model;
    let mut told = serde_json::Map::new();
    // An empty one is none: an index that does not tell states.
    let texts = [("name", name), ("version", version), ("state", state), ("reason", reason)];
    told.extend(
        texts.into_iter().filter(|(_, text)| !text.is_empty()).map(|(key, text)| (key.to_owned(), json!(text))),
    );
    Value::Object(told)
}
