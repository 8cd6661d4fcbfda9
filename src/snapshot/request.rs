//! What the server answers, and to what.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The conversation with the server.
    pub struct RequestFacts {
        /// Whether the server answered HTTP at all.
        pub reachable: bool,
        /// Why it did not: refused, timed out, TLS, another protocol.
        pub reach_error: String,
        /// What the server was recognized as: `fastapi`, `openapi`, `kserve-v2`, `triton`, `mlserver`, `openai`, `vllm`,
        /// `sglang`, `tgi`, `tei`, `llama.cpp`, `ollama`, `litserve`, `bentoml`, `ray-serve`, `torchserve`, `tf-serving`,
        /// `gradio`, `whisper-websocket`, ... or `unrecognized`.
        pub server_kind: String,
        /// The version that the server tells of itself.
        pub server_version: String,
        /// By what it was recognized: the endpoint or header, and what it said.
        pub recognized_by: String,
        /// Names of the models that the server says it serves.
        pub served_models: Vec<String>,
        /// Operations that the server's schema lists or its family of servers is known to have: `POST /asr`.
        pub listed_operations: Vec<String>,
        /// Which of the states on the way to serving the server has reached.
        pub readiness: Readiness,
        /// How the server is reached.
        pub transport: Transport,
        /// Where the server describes itself: the URL of its schema.
        pub schema_url: String,
        /// Why there is no usable schema.
        pub schema_error: String,
        /// What the server's endpoints for its own state answered before any request was tried.
        pub state_answers: Vec<StateAnswer>,
        /// The operation that was tried.
        pub operation: Operation,
        /// What of the doctor's own request is not as the schema wants it, or could not be validated; empty if all is.
        pub schema_problems: Vec<String>,
        /// Credentials that the schema says the operation wants and that were not given, each way to satisfy it in words;
        /// empty if it wants none, or has what it wants.
        pub credentials_lacking: Vec<String>,
        /// Whether the user gave the client's own request.
        pub client_given: bool,
        /// How the client's own request was read from what the user gave.
        pub client_reading: ClientReading,
        /// The client's own request, as it is, and its answer.
        pub client: Exchange,
        /// Every request of the doctor's own, in order, those that narrowed a missing field down included.
        pub attempts: Vec<Exchange>,
        /// The known-good request: the first one that the server accepted.
        pub good: Exchange,
        /// The rejected request that the good one is held against: the client's own, or the doctor's first that follows the schema.
        pub rejected: Exchange,
        /// Fields that the good request has and the rejected one lacks: with them the server accepts, without them it rejects.
        pub missing_fields: Vec<MissingField>,
        /// Where the client's own request differs from the good one.
        pub differences: Vec<Difference>,
        /// The client's own request with what it lacks, as a curl command line, secrets left out: accepted by the server.
        pub mended_curl: String,
        /// The same mending in the client's own code, where that was given.
        pub mended_code: Vec<CodeChange>,
        /// What is wrong with answers that count as accepted.
        pub soft_failures: Vec<SoftFailure>,
        /// What the rejection is, by status and answer: `missing_field`, `wrong_value`, `content_type`, `malformed_body`,
        /// `unnamed` (the request's fault by its status, and no more is said), `credentials`, `path`, `model`, `method`,
        /// `conflict`, `length`, `too_large`, `rate`, `dependency`, `time_out`, `gateway`, `unavailable`, `server_error`,
        /// `error_inside` (2xx with an error in the body), `redirect`, `no_answer`.
        pub rejection_kind: String,
        /// The failure that the server tells of the rejected request: the last line of a traceback in its answer, else in
        /// its log.
        pub rejection_failure: String,
        /// Where the content type, not a field, made the server reject.
        pub content_type_faults: Vec<ContentTypeFault>,
        /// Values that the server refuses where it takes others.
        pub wrong_values: Vec<WrongValue>,
        /// What the server's log gained while its answer named no field: the last line of each failure.
        pub log_complaints: Vec<String>,
        /// With `--contract`: what the server answers to requests that break its contract in one place.
        pub contract: Vec<ContractCase>,
    }
}

/// How the client's own request was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientReading {
    /// `curl`, `har`, `postman`, `python`, `fetch` or `config`.
    pub kind: String,
    /// Where the request stands: `client.py:14`, `entry 5 of 12`; empty where there is only one.
    pub place: String,
    /// What was passed over, left out or taken from elsewhere, and which other requests there were.
    pub notes: Vec<String>,
}

/// A change of one place in the client's own code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeChange {
    /// File and line: `client.py:14`.
    pub at: String,
    /// What stands there, in one line; empty where something is added.
    pub old: String,
    /// What should stand there.
    pub new: String,
}

/// The answer of an endpoint at which a server tells its own state: health, readiness, residence of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StateAnswer {
    /// Path: `/v2/models/asr/ready`.
    pub path: String,
    /// HTTP status.
    pub status: Fact<u64>,
    /// Start of the answer's body, at most 300 characters, control characters replaced; of metrics the lines that tell
    /// the state.
    pub answer: String,
}

/// One operation of the server's schema.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// `POST`.
    pub method: String,
    /// Path: `/asr`.
    pub path: String,
    /// `multipart/form-data`, `application/json`, ...
    pub content_type: String,
    /// Fields that the schema names.
    pub fields: Vec<SchemaField>,
}

/// A field of an operation, as the schema describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaField {
    /// Name.
    pub name: String,
    /// `form`, `json`, `query`, `path`, `header` or `tensor`.
    pub place: String,
    /// Whether the schema says that it is required.
    pub required: bool,
    /// `file`, `string`, `integer`, `number`, `boolean`, `object`, `array`.
    pub kind: String,
}

/// One request and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Who wrote the request: `client` or `doctor`.
    pub author: String,
    /// Method; `WEBSOCKET` for a session over one, `GRPC` for a call, whose path is then the one that the same call has over
    /// HTTP.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Content type of the request; empty if it has no body.
    pub content_type: String,
    /// What was sent.
    pub fields: Vec<SentField>,
    /// Size of the body that was sent, bytes, without the frame of a multipart body.
    #[serde(default)]
    pub sent_bytes: Fact<u64>,
    /// HTTP status. Of a gRPC call the status that `grpc_status` stands for, by the table of google.rpc.Code (a message
    /// too large for the server is 413); of a WebSocket 101, or the status by which the upgrade was refused.
    pub status: Fact<u64>,
    /// Whether the answer counts as accepted: 2xx without an error inside; of a WebSocket, the server answered and did not
    /// end the session early.
    pub accepted: bool,
    /// Time to the whole answer, milliseconds.
    pub duration_ms: f64,
    /// Start of the answer's body, at most 600 characters, control characters replaced; of an HTML page what it says.
    /// Of a gRPC call its message as JSON, or the words of its status; of a WebSocket the message that tells most, or why the server closed it.
    pub answer: String,
    /// Fields that the answer names as missing.
    pub names_missing: Vec<String>,
    /// Headers of the answer that tell something of the server: `server`, `allow`, `www-authenticate`, `retry-after`,
    /// `location`, `content-type`, `via`, `x-cache`, `cf-cache-status`, `x-compute-type`, `x-device` and the like, in lower
    /// case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the time went into.
    #[serde(default)]
    pub phases: Fact<PhaseTimes>,
    /// Of an answer that came piece by piece (server-sent events, chunks, messages): the pieces.
    #[serde(default)]
    pub stream: Fact<Stream>,
    /// Of a gRPC call the name of its status: `OK`, `INVALID_ARGUMENT`, ...
    #[serde(default)]
    pub grpc_status: Fact<String>,
    /// Of a WebSocket that the server closed: with what.
    #[serde(default)]
    pub closed: Fact<WebSocketClose>,
    /// The request as a curl command line, secrets left out; for gRPC one of grpcurl, for a WebSocket one of websocat.
    pub curl: String,
}

/// How a server closed a WebSocket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebSocketClose {
    /// Code of the close message (RFC 6455, 7.4.1): 1008 is a policy, 1011 an internal error, 1013 "try again later"; 1006 if
    /// the connection ended without one.
    pub code: u64,
    /// The server's words; may be empty.
    pub reason: String,
}

/// A field as it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SentField {
    /// Name.
    pub name: String,
    /// Value, or what it is: `speech.wav (audio/wav, 146124 bytes)`.
    pub value: String,
    /// Whether the value is the doctor's guess rather than the user's or the schema's word.
    pub guess: bool,
}

/// A field without which the server rejects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MissingField {
    /// Name.
    pub name: String,
    /// `form`, `json`, `query`, `path`, `header` or `tensor`.
    pub place: String,
    /// The value with which the server accepted.
    pub value: String,
    /// What the schema says: `required`, `optional` or `unnamed`.
    pub schema_says: String,
    /// How it was found: `the answer names it`, `trying the schema's optional fields`, ...
    pub found_by: String,
}

/// States on the way to serving. Each is known only where the server has an endpoint for it or an answer shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// The process answers.
    pub live: Fact<bool>,
    /// It says that it takes requests.
    pub ready: Fact<bool>,
    /// The model that is asked for is loaded.
    pub model_loaded: Fact<bool>,
    /// A request was answered before the measuring window, so that what is done once only has been done.
    pub warmed_up: Fact<bool>,
    /// The first accepted request took ten times as long as those of the window, or longer: something was done once
    /// only. It is not judged.
    #[serde(default)]
    pub cold_first_request: Fact<bool>,
}

/// How the server is reached.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Transport {
    /// `HTTP/1.1`, `HTTP/2`, `gRPC`, `WebSocket`.
    pub protocol: Fact<String>,
    /// The proxy in between, without credentials; empty if there is none.
    pub proxy: Fact<String>,
    /// Where the proxy was named: `--proxy`, `HTTPS_PROXY`, ...; empty if there is none.
    pub proxy_from: Fact<String>,
    /// A proxy of the environment that would concern the server and that the doctor does not use, as
    /// `HTTPS_PROXY=http://proxy:3128`; empty if there is none. The client may use it.
    pub proxy_unused: Fact<String>,
    /// The Unix socket; empty for TCP.
    pub unix_socket: Fact<String>,
    /// TLS's version: `TLSv1.3`; empty without TLS.
    pub tls_version: Fact<String>,
    /// What is wrong with TLS between client and server: `self_signed`, `unknown_issuer`, `expired`, `not_yet_valid`,
    /// `other_name`, `plain_port` (https to a port that speaks plain HTTP), `tls_port` (the reverse),
    /// `client_certificate_wanted`, `other`; empty if nothing is.
    pub tls_fault: Fact<String>,
    /// The same in words; empty if nothing is.
    pub tls_fault_because: Fact<String>,
    /// Subject, issuer and end of the server's certificate, as far as it was shown.
    pub certificate: Fact<String>,
    /// Time of a first exchange on a new connection.
    pub first_exchange: Fact<PhaseTimes>,
    /// Headers with credentials that go with every request of the doctor, by name; empty if there are none.
    pub credentials: Fact<String>,
    /// The address that the client's own request names, where it is not the server's, to which it was sent all the same;
    /// empty if it is.
    pub client_names: Fact<String>,
}

/// What the time of an exchange went into, milliseconds; a phase that did not take place is unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PhaseTimes {
    /// The name became an address.
    pub resolve_ms: Fact<f64>,
    /// The connection was made.
    pub connect_ms: Fact<f64>,
    /// TLS was agreed on.
    pub tls_ms: Fact<f64>,
    /// From the request's first byte to the answer's head.
    pub first_byte_ms: Fact<f64>,
    /// To the end of the answer.
    pub total_ms: Fact<f64>,
}

/// An answer that came in pieces.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// `server-sent events`, `chunks`, `JSON lines`, `WebSocket messages`.
    pub kind: String,
    /// Pieces that came.
    pub pieces: u64,
    /// From the request to the first piece that holds content (the first token), milliseconds.
    pub first_piece_ms: Fact<f64>,
    /// Whether the stream's own end came (`[DONE]`, `ready_to_stop`, the last chunk).
    pub ended: bool,
}

/// One difference between the client's request and the good one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What differs: `method`, `path`, `content type`, `header`, `field`.
    pub what: String,
    /// Name of the field or header; empty for the others.
    pub name: String,
    /// What the client sent; empty if it lacks it.
    pub client: String,
    /// What the good request has; empty if it lacks it.
    pub good: String,
    /// Whether this difference alone was shown to decide: without it the server rejects.
    pub decides: Fact<bool>,
}

/// Something wrong with an answer that counts as accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SoftFailure {
    /// `error_inside`, `no_result`, `same_answer` (another input is answered exactly alike), `empty_transcript`,
    /// `input_dropped` (by the answer's own words a filter left nothing of the input).
    pub kind: String,
    /// What was seen, with figures.
    pub detail: String,
}

/// A content type that the server does not take for what was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContentTypeFault {
    /// The field whose part is meant; empty for the whole body.
    pub field: String,
    /// How it was sent: `application/json`, `a text part`.
    pub sent: String,
    /// How the same fields were sent then: `multipart/form-data`, `a file part`.
    pub wanted: String,
    /// Whether the server accepted that, or then asked for something else than before.
    pub helped: bool,
    /// Whether the conversation ended with a request accepted in that form.
    pub accepted: bool,
    /// By what it was recognized: words of the answer, or what it misses.
    pub because: String,
}

/// A value that the server refuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WrongValue {
    /// Name of the field.
    pub name: String,
    /// `form`, `json`, `query`, `path`, `header` or `tensor`.
    pub place: String,
    /// The value that was sent.
    pub sent: String,
    /// The value with which the server accepted.
    pub accepted: String,
}

/// One request that breaks the contract in one place, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractCase {
    /// `left_out`, `wrong_type`, `unknown_value`.
    pub kind: String,
    /// The field.
    pub field: String,
    /// What was sent instead; empty where it was left out.
    pub sent: String,
    /// HTTP status.
    pub status: Fact<u64>,
    /// Whether the answer counts as accepted: 2xx without an error inside.
    #[serde(default)]
    pub accepted: bool,
    /// Whether an answer that rejects names the field.
    pub names_field: bool,
    /// Whether the good request is still accepted after it.
    pub survives: Fact<bool>,
    /// Start of the answer, at most 300 characters.
    pub answer: String,
}
