//! KServe v2 over gRPC: a call is an HTTP/2 POST whose message is written from JSON and told as JSON, in the words that
//! the protocol has over HTTP, so that all above it need not know which of the two was spoken.

mod frame;
mod messages;
pub mod server;
pub mod status;
mod tensor;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod triton_tests;

use super::transport::{Outgoing, Payload, Reply};
use messages as m;
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;
use url::Url;

/// Media type of requests and, with endings such as `+proto`, of answers.
pub const MEDIA_TYPE: &str = "application/grpc";
/// Path of the inference service's calls.
const SERVICE: &str = "/inference.GRPCInferenceService/";
/// Path of the inference call.
pub const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
/// Path of the health check that gRPC servers of every kind may have.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// The message of a call, in its frame. `request` holds what the protocol writes in JSON: `model_name` and `inputs` of an
/// inference, `name` of a question about a model.
///
/// # Errors
/// The value that does not fit its tensor, in words.
pub fn encoded(path: &str, request: &Value) -> Result<Vec<u8>, String> {
    let text = |key: &str| request.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let message = match path.strip_prefix(SERVICE) {
        Some("ModelInfer") => {
            let tensors = request.get("inputs").and_then(Value::as_array).into_iter().flatten();
            let (inputs, raw_input_contents) =
                tensors.map(tensor::raw).collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
            let (model_name, model_version) = (text("model_name"), text("model_version"));
            m::InferRequest { model_name, model_version, inputs, raw_input_contents }.encode_to_vec()
        }
        Some("ModelReady" | "ModelMetadata" | "ModelConfig") => {
            m::ModelName { name: text("name"), version: text("version") }.encode_to_vec()
        }
        _ => m::Nothing {}.encode_to_vec(),
    };
    Ok(frame::framed(&message))
}

/// A call ready for the wire. `server` is written with http or https.
///
/// # Errors
/// As of [`encoded`].
pub fn call(server: &Url, path: &str, request: &Value, headers: &[(String, String)]) -> Result<Outgoing, String> {
    let bytes = Arc::from(encoded(path, request)?);
    let payload = Payload::Bytes { bytes, content_type: MEDIA_TYPE.into() };
    let url = super::recognize::at(server, path);
    Ok(Outgoing { method: "POST".into(), url, headers: headers.to_vec(), payload, follow: false })
}

/// Whether a request is a gRPC call, by its body's media type.
pub fn is_call(outgoing: &Outgoing) -> bool {
    matches!(&outgoing.payload, Payload::Bytes { content_type, .. } if content_type == MEDIA_TYPE)
}

/// Turns the answer to a call into what HTTP would have said: the status by gRPC's, the message as JSON, a refusal's
/// words as text. An answer that is not gRPC, as of a proxy, stays as it is.
pub fn translate(path: &str, trailers: &[(String, String)], reply: &mut Reply) {
    if !reply.content_type.starts_with(MEDIA_TYPE) {
        return;
    }
    // Without a message the status may stand among the headers.
    let Some(status) = status::told(trailers).or_else(|| status::told(&reply.headers)) else {
        // A body at its cap was not read to the trailers.
        if !reply.cut {
            reply.status = 502;
            reply.body = b"the gRPC answer ended without a status".to_vec();
        }
        return;
    };
    reply.status = status.http;
    let ok = status.name == "OK";
    reply.grpc_status = Some(status.name);
    reply.body = match ok {
        false => status.message.into_bytes(),
        true => match frame::unframed(&reply.body).and_then(|message| told(path, message)) {
            Ok(value) => value.to_string().into_bytes(),
            Err(error) => {
                reply.status = 502;
                format!("the gRPC answer cannot be read: {error}").into_bytes()
            }
        },
    };
}

/// The message of an answer in JSON.
fn told(path: &str, bytes: &[u8]) -> Result<Value, String> {
    fn read<M: Message + Default>(bytes: &[u8]) -> Result<M, String> {
        M::decode(bytes).map_err(|error| error.to_string())
    }
    let head =
        |tensor: &m::TensorHead| json!({ "name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape });
    if path == HEALTH {
        let name = match read::<m::Health>(bytes)?.status {
            1 => "SERVING",
            2 => "NOT_SERVING",
            3 => "SERVICE_UNKNOWN",
            _ => "UNKNOWN",
        };
        return Ok(json!({ "status": name }));
    }
    Ok(match path.strip_prefix(SERVICE) {
        Some("ServerLive") => json!({ "live": read::<m::State>(bytes)?.holds }),
        Some("ServerReady" | "ModelReady") => json!({ "ready": read::<m::State>(bytes)?.holds }),
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
        Some("RepositoryIndex") => {
            let model = |model: m::IndexedModel| {
                let m::IndexedModel { name, version, state, reason } = model;
                let mut told = json!({ "name": name, "version": version, "reason": reason });
                // An empty one is none: an index that does not tell states.
                if !state.is_empty() {
                    told["state"] = json!(state);
                }
                told
            };
            read::<m::RepositoryIndex>(bytes)?.models.into_iter().map(model).collect()
        }
        Some("ModelInfer") => {
            let answer: m::InferResponse = read(bytes)?;
            let raw = |index: usize| answer.raw_output_contents.get(index).map(Vec::as_slice);
            let outputs = answer.outputs.iter().enumerate().map(|(index, head)| tensor::told(head, raw(index)));
            let outputs: Vec<Value> = outputs.collect();
            json!({ "model_name": answer.model_name, "model_version": answer.model_version, "outputs": outputs })
        }
        _ => return Err(format!("{} bytes of {path}", bytes.len())),
    })
}
