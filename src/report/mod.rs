//! Floor 3: tells the diagnosis. One document, one file per form of it.

mod activity;
mod audit;
mod connections;
mod exchanges;
mod explain;
mod files;
mod json;
mod list;
mod load;
mod missing;
mod requests;
mod sureness;
mod text;
mod watch;

pub use activity::{Activity, Counter};
pub use audit::Audit;
pub use connections::ConnectionsJudged;
pub use exchanges::Exchanges;
pub use explain::explain;
pub use list::{coverage_json, coverage_text, list_json, list_text};
pub use load::{
    Against, Baseline, Bench, Figure, Load, Measure, Percentile, Step, StepGpu, Times, csv_header, csv_row,
    of as load_of, so_far as steps_so_far,
};
pub use requests::requests;
pub use watch::{WatchLines, WatchView};

use crate::cli::Format;
use crate::diagnosis::{CheckVerdict, Diagnosed, Diagnosis, Link, Missing, Verdict};
use crate::snapshot::{ConnectionsFacts, Outcome, RecordedFacts, Snapshot, Target};
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Name and major version of the report's format.
pub const SCHEMA: &str = "gpu-doctor/report/v1";

/// What is told of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Program and version that judged.
    pub tool: String,
    /// When the facts were taken, RFC 3339.
    pub taken_at: String,
    /// What was asked about.
    pub target: Target,
    /// What it comes to.
    pub verdict: Verdict,
    /// The one sentence.
    pub headline: String,
    /// The causes, the one to mend first in front.
    pub diagnoses: Vec<Diagnosis>,
    /// The stages of a request's life.
    pub stages: Vec<Link>,
    /// What the model needs of GPU memory, what the server holds and what is free; where a model and a GPU are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_budget: Option<String>,
    /// What was claimed and measured otherwise, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
    /// What each GPU did before, while and after requests ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activity: Vec<Activity>,
    /// The client's own request held against the good one, and what the server answers to broken ones; where there is
    /// something to tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanges: Option<Exchanges>,
    /// What the files say that were given to `triage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedFacts>,
    /// What a load came to, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Connections that were opened and held, by `balance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<ConnectionsFacts>,
    /// What those connections come to: the checklist, memory for each, whose numbers are whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections_judged: Option<ConnectionsJudged>,
    /// Every check's verdict.
    pub findings: Vec<CheckVerdict>,
    /// What could not be known and could change the answer.
    pub unknown: Vec<Missing>,
    /// How each probe went.
    pub probes: Vec<ProbeLine>,
}

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeLine {
    /// The probe's id.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What happened, unless all went well.
    pub detail: String,
    /// How long it took, milliseconds.
    pub duration_ms: f64,
}

impl Report {
    /// The report of a judged snapshot.
    pub fn new(snapshot: &Snapshot, diagnosed: Diagnosed) -> Report {
        Report {
            schema: SCHEMA.into(),
            tool: crate::TOOL.into(),
            taken_at: snapshot.taken_at.clone(),
            target: snapshot.target.clone(),
            verdict: diagnosed.verdict,
            headline: diagnosed.headline,
            diagnoses: diagnosed.diagnoses,
            stages: diagnosed.chain,
            device_budget: diagnosed.device_budget,
            contradictions: diagnosed.contradictions,
            activity: activity::of(snapshot, &diagnosed.gpu_activity),
            exchanges: Exchanges::of(&snapshot.facts.request).map(|exchanges| exchanges.shown(&snapshot.target)),
            recorded: snapshot.facts.recorded.files.known().map(|_| snapshot.facts.recorded.clone()),
            load: load::of(snapshot),
            connections: snapshot.facts.connections.attempts.known().map(|_| snapshot.facts.connections.clone()),
            connections_judged: ConnectionsJudged::of(snapshot),
            findings: diagnosed.findings,
            unknown: diagnosed.unknown,
            probes: snapshot
                .probes
                .iter()
                .map(|probe| ProbeLine {
                    id: probe.id.clone(),
                    outcome: probe.outcome,
                    detail: probe.detail.clone(),
                    duration_ms: probe.duration_ms,
                })
                .collect(),
        }
    }

    /// Writes the report in the form asked for.
    pub fn write(&self, format: Format, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
        match format {
            Format::Text => text::write(self, verbose, out),
            Format::Json => json::write(self, out),
        }
    }
}
