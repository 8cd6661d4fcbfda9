//! The nested mappings of the config file.

use crate::probe::StatusFields;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the doctor's own request should hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with path, method, content_type, fields and count")]
pub struct RequestConfig {
    /// Path of the operation to try: `/asr`.
    pub path: Option<String>,
    /// Its method, where the server's schema does not tell it: `POST` unless there is nothing to send.
    pub method: Option<String>,
    /// The media type of its body, where the schema does not tell it. A form if a field is a file, else JSON. With any
    /// other type the field `body` is the whole body.
    pub content_type: Option<String>,
    /// Values of fields, by name: texts, numbers, lists, objects; `@FILE` stands for the file's content.
    pub fields: BTreeMap<String, FieldValue>,
    /// Requests of the measuring window, at most.
    pub count: Option<u32>,
}

/// A field's value: what is no text is kept as JSON.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(from = "serde_json::Value")]
pub struct FieldValue(pub String);

impl From<serde_json::Value> for FieldValue {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

/// The connections of `balance`, and where the server tells of them.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with connections, over_http, status, fields and log")]
pub struct BalanceConfig {
    /// Connections that the server is to hold.
    pub connections: Option<u32>,
    /// Hold answers of HTTP that do not end, in place of WebSockets.
    pub over_http: bool,
    /// How the server's log names the GPU of a new connection: a pattern with a group `gpu`.
    pub log: Option<String>,
    /// Path of the document: `/gpu-status`.
    pub status: Option<String>,
    /// Names in it.
    pub fields: StatusFields,
}

/// The load to make.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a mapping with users, duration, rate, think_time, max_requests and holds"
)]
pub struct LoadConfig {
    /// Users of each step: `[10, 25, 50]`.
    pub users: Vec<u32>,
    /// How long each step lasts: `30s`.
    pub duration: Option<String>,
    /// Requests that start a second.
    pub rate: Option<f64>,
    /// Wait of each user between an answer and its next request: `1s`.
    pub think_time: Option<String>,
    /// Requests of all steps together, at most.
    pub max_requests: Option<u64>,
    /// Loads of which is to be said whether the server holds them: `[100/2s]`.
    pub holds: Vec<String>,
}

/// How the server is reached.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with cacert, cert, key, unix_socket, proxy and http2")]
pub struct ConnectionConfig {
    /// Certificates that are trusted besides the system's, PEM.
    pub cacert: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The Unix socket at which the server listens.
    pub unix_socket: Option<PathBuf>,
    /// The proxy: a URL, or `env`.
    pub proxy: Option<String>,
    /// Speak HTTP/2 without TLS.
    pub http2: bool,
}

/// The client's own request, written in the config file.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with method, path, headers, query, fields, files or json")]
pub struct InlineClient {
    /// Method [default: POST with a body, else GET].
    pub method: Option<String>,
    /// Path, or whole URL.
    pub path: Option<String>,
    /// Headers without secrets.
    pub headers: BTreeMap<String, String>,
    /// Fields of the query.
    pub query: BTreeMap<String, serde_json::Value>,
    /// Form fields.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Files of the form, by field.
    pub files: BTreeMap<String, String>,
    /// The whole body, as JSON.
    pub json: Option<serde_json::Value>,
}

impl ConnectionConfig {
    /// The files that it names.
    pub(super) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.cacert, &mut self.cert, &mut self.key, &mut self.unix_socket].into_iter().flatten()
    }
}
