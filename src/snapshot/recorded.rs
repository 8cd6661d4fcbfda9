//! What the files say that were given to `triage`.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Files that people have already: what each is, and what they say together.
    pub struct RecordedFacts {
        /// The files, in the order in which they were given; members of an archive one by one.
        pub files: Vec<RecordedFile>,
        /// The requests that the files tell of, all together.
        pub requests: RecordedRequests,
        /// Part of the requests' time in which GPUs were sampled, percent.
        pub sampled_percent: f64,
        /// What does not fit between files, one sentence each: samples of another day, clocks that jump.
        pub doubts: Vec<String>,
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedFile {
    /// The name that was given, or `archive.tar.gz/member`.
    pub name: String,
    /// What it is: `requests_csv`, `gpu_samples_csv`, `locust_stats`, `locust_history`, `locust_failures`, `oha_json`,
    /// `k6_json`, `wrk_summary`, `ab_summary`, `hey_summary`, `oha_summary`, `k6_summary`, `nvidia_smi_csv`,
    /// `nvidia_smi_dmon`, `nvidia_smi_xml`, `metrics_page`, `server_log`, `snapshot`, `report`, `watch`, `archive`,
    /// `unrecognized` and others.
    pub kind: String,
    /// By what it was recognized.
    pub recognized_by: String,
    /// Its size, bytes; of a member of an archive, unpacked.
    pub size_bytes: u64,
    /// Rows or lines that hold a record, or summaries.
    pub records: u64,
    /// What it shows, one sentence each.
    pub shows: Vec<String>,
    /// What it lacks for a diagnosis, one sentence each, with how to get it.
    pub lacks: Vec<String>,
    /// What is wrong in it, one sentence each, with the line: a column that is missing, values that are none.
    pub faults: Vec<String>,
}

/// Requests by the word of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedRequests {
    /// Requests.
    pub count: u64,
    /// Those that succeeded; unknown where a file tells neither status nor success.
    pub ok: Fact<u64>,
    /// Answers by HTTP status; `none` for requests without one, `unknown` where the file tells no status.
    pub by_status: BTreeMap<String, u64>,
    /// Failures by their text, the most frequent first, at most 10.
    pub errors: Vec<RecordedError>,
    /// When the first began, RFC 3339; without a zone where the file names none.
    pub first_at: Fact<String>,
    /// When the last ended, likewise.
    pub last_at: Fact<String>,
    /// From the first to the last, milliseconds.
    pub span_ms: Fact<f64>,
    /// Median time of a request, milliseconds.
    pub median_ms: Fact<f64>,
    /// 99th percentile of the time of a request, milliseconds.
    pub p99_ms: Fact<f64>,
    /// Requests that ran at once on average, by Little's law: the sum of their times by the time in which
    /// requests ran, pauses of more than 10 s left out.
    pub concurrency: Fact<f64>,
    /// Median time that the server itself reported, milliseconds.
    pub server_ms: Fact<f64>,
}

/// A failure and how often it stands in the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedError {
    /// The text, without secrets, at most 300 characters.
    pub text: String,
    /// How often.
    pub count: u64,
    /// Fields that the text names as missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names_missing: Vec<String>,
}
