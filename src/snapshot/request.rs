//! What the server answers, and to what.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// The conversation with the server.
    pub struct RequestFacts {
        /// Whether the server answered HTTP at all.
        pub reachable: bool,
        /// Why it did not: refused, timed out, TLS, another protocol.
        pub reach_error: String,
        /// `fastapi`, `openapi`, `kserve-v2` or `unrecognized`.
        pub server_kind: String,
        /// Where the server describes itself: the URL of its schema.
        pub schema_url: String,
        /// Why there is no usable schema.
        pub schema_error: String,
        /// What the server's endpoints for its own state answered before any request was tried.
        pub state_answers: Vec<StateAnswer>,
        /// The operation that was tried.
        pub operation: Operation,
        /// Whether the user gave the client's own request.
        pub client_given: bool,
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
    }
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
    /// Method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Content type of the request; empty if it has no body.
    pub content_type: String,
    /// What was sent.
    pub fields: Vec<SentField>,
    /// HTTP status.
    pub status: Fact<u64>,
    /// Whether the answer counts as accepted: 2xx without an error inside.
    pub accepted: bool,
    /// Time to the whole answer, milliseconds.
    pub duration_ms: f64,
    /// Start of the answer's body, at most 600 characters, control characters replaced.
    pub answer: String,
    /// Fields that the answer names as missing.
    pub names_missing: Vec<String>,
    /// The request as a curl command line, secrets left out.
    pub curl: String,
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
