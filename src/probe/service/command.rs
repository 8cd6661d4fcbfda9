//! Requests that curl does not speak, as command lines of tools that do. The messages come with their secrets masked.

use super::message::{Field, Message, Place};
use crate::secret::{MASK, PLAIN_HEADERS};
use url::Url;

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    shlex::try_quote(&word.replace('\0', " ")).map(|word| word.into_owned()).unwrap_or_default()
}

/// A gRPC call: `grpcurl`, with the definition that KServe publishes, since few servers tell theirs. `json` is the message
/// as KServe writes it over HTTP; grpcurl's has the values in `contents`.
pub fn grpcurl(server: &Url, message: &Message, json: String) -> String {
    let plain = if server.scheme() == "https" { "" } else { "-plaintext " };
    let headers: String = headers(message).map(|header| format!("-H {} ", quoted(&header))).collect();
    let model = super::recognize::kserve::model_in_path(&message.path).unwrap_or_default();
    let data = quoted(&contents(&json, model));
    let place = format!("{}:{}", server.host_str().unwrap_or("?"), server.port_or_known_default().unwrap_or(0));
    let path = message.target();
    let call = super::grpc::call_path(&path);
    let call = call.trim_start_matches('/');
    format!("grpcurl {plain}-import-path . -proto open_inference_grpc.proto {headers}-d {data} {place} {call}")
}

/// The message with each tensor's `data` under the name that its type has in `InferTensorContents`.
fn contents(json: &str, model: &str) -> String {
    let Ok(mut tensors) = serde_json::from_str::<serde_json::Value>(json) else { return json.to_owned() };
    for tensor in tensors.get_mut("inputs").and_then(|inputs| inputs.as_array_mut()).into_iter().flatten() {
        let Some(tensor) = tensor.as_object_mut() else { continue };
        let key = match tensor.get("datatype").and_then(|datatype| datatype.as_str()).unwrap_or_default() {
            "BOOL" => "bool_contents",
            "INT8" | "INT16" | "INT32" => "int_contents",
            "INT64" => "int64_contents",
            "UINT8" | "UINT16" | "UINT32" => "uint_contents",
            "UINT64" => "uint64_contents",
            "FP32" => "fp32_contents",
            "FP64" => "fp64_contents",
            "BYTES" => "bytes_contents",
            // These travel raw only.
            _ => continue,
        };
        let Some(mut data) = tensor.remove("data") else { continue };
        if key == "bytes_contents" {
            // JSON has bytes in base64.
            for text in data.as_array_mut().into_iter().flatten() {
                *text = super::message::base64(text.as_str().unwrap_or_default().as_bytes()).into();
            }
        }
        tensor.insert("contents".into(), serde_json::json!({ key: data }));
    }
    serde_json::json!({ "model_name": model, "inputs": tensors.get("inputs") }).to_string()
}

/// A session over a WebSocket: `websocat`, which sends the sample's PCM data.
pub fn websocat(server: &Url, message: &Message) -> String {
    let scheme = if server.scheme() == "https" { "wss" } else { "ws" };
    let place = &server[url::Position::BeforeHost..url::Position::AfterPort];
    let headers: String = headers(message).map(|header| format!("-H {} ", quoted(&header))).collect();
    let url = format!("{scheme}://{place}{}", message.target().replace("%2A%2A%2A", MASK));
    format!("tail -c +45 speech.wav | websocat --binary --no-close {headers}{}", quoted(&url))
}

fn headers(message: &Message) -> impl Iterator<Item = String> + '_ {
    let own = message.headers.iter().map(|(name, value)| {
        let plain = PLAIN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
        format!("{name}: {}", if plain { value } else { MASK })
    });
    let field = |field: &&Field| field.place == Place::Header;
    own.chain(message.fields.iter().filter(field).map(|field| format!("{}: {}", field.name, field.content.as_text())))
}
