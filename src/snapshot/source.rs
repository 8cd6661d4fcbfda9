//! What the server's own Python sources say about providers and devices, read as text and never run.

use super::fact::room;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The Python files that make up the server. What stands in one of them need not be what runs: another branch may.
    pub struct SourceFacts {
        /// The files that were read, as the process sees them.
        pub files: Vec<String>,
        /// Files that belong to the server and could not be read, each with the reason.
        pub not_read: Vec<String>,
        /// Why more files of the server may exist than were read; empty if all were found.
        pub cut_short: String,
        /// Modules that the server's own code or its model's remote code imports, by their first name.
        pub imports: Vec<String>,
        /// Those of them that are installed packages which run onnxruntime or CTranslate2 inside.
        pub wrappers: Vec<String>,
        /// Files of a model's own code (`transformers_modules`) that import onnxruntime.
        pub remote_onnxruntime_files: Vec<String>,
        /// Calls that make an onnxruntime session.
        pub session_calls: Vec<SourceCall>,
        /// Calls that load another model or choose a device for it.
        pub model_calls: Vec<SourceCall>,
        /// Calls that forbid onnxruntime to fall back to the CPU (`session.disable_cpu_ep_fallback`).
        pub cpu_fallback_disabled: Vec<SourceCall>,
        /// What the command line, the environment and the code name as a device.
        pub device_words: Vec<DeviceWord>,
        /// Fields that the server's own code reads from a request.
        pub request_fields: Vec<SourceField>,
        /// Calls inside a request's handler that fetch from another server: `requests.get(url)`.
        pub fetch_calls: Vec<FetchCall>,
        /// Calls whose result is computed only while it is iterated over: `transcribe` of faster-whisper.
        pub lazy_results: Vec<LazyResult>,
        /// Whether the server's own code mentions CUDA at all, comments aside.
        pub mentions_cuda: bool,
    }
}

/// A call in a source file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCall {
    /// The file, as the process sees it.
    pub file: String,
    /// The line on which the call begins, from 1.
    pub line: u64,
    /// The source lines of the call in one, with secrets left out, at most 300 characters.
    pub text: String,
    /// The call alone, without comments, with secrets left out; empty where it is longer than 300 characters.
    pub call: String,
    /// What is called, with the names of imports resolved: `onnxruntime.InferenceSession`.
    pub callee: String,
    /// `onnx_session`, `session_option`, `face_analysis`, `whisper_model`, `ctranslate2_model`, `whisper_load`, `pipeline`,
    /// `from_pretrained`, `llama`, `torch_load`, `torch_device`, `to`, `cuda` or `onnx_wrapper`.
    pub kind: String,
    /// What it asks for: `gpu`, `cpu`, `auto`, `default` where nothing is named, or `computed` where the text does not tell.
    pub device: String,
    /// Arguments that decide about devices, by name, as they are written.
    pub arguments: BTreeMap<String, String>,
    /// Whose code it is: `server`, `remote_code` (a model's own code from the hub) or `package`.
    pub origin: String,
}

/// A word that stands for a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceWord {
    /// `argument`, `environment` or `code`.
    pub origin: String,
    /// Name of the option, the variable or the parameter: `--device`, `WHISPER_DEVICE`, `device`.
    pub name: String,
    /// The word, as it is written.
    pub value: String,
    /// Where it stands: a process, or a file and line.
    pub place: String,
    /// Whether the server's code looks at this very word elsewhere (`if device == "gpu"`), so that it knows what to do with it.
    pub known_to_code: bool,
}

/// A field that the server's code reads from a request. That no such line is there proves nothing: names may be computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceField {
    /// Name.
    pub name: String,
    /// `form`, `file`, `json`, `query`, `header` or `tensor`.
    pub place: String,
    /// Whether reading it fails where it is not sent: `request.form["lang"]`, but not `request.form.get("lang")`.
    pub demanded: bool,
    /// File and line: `/app/server.py:41`.
    pub at: String,
    /// The function that reads it.
    pub function: String,
    /// Path of the operation that the function handles: `/asr`; empty where the text does not tell.
    pub route: String,
}

/// A call that fetches from another server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchCall {
    /// What is called: `requests.get`.
    pub callee: String,
    /// File and line.
    pub at: String,
    /// The function in which it stands.
    pub function: String,
}

/// A call whose result is computed only while it is taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LazyResult {
    /// The statement, in one line, with secrets left out, at most 300 characters.
    pub text: String,
    /// File and line.
    pub at: String,
    /// The function in which it stands; empty at the top of a file.
    pub function: String,
    /// Whether the text behind it names the result at all. One that is handed on may still go untaken.
    pub taken: bool,
}
