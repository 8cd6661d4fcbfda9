//! Floor 3: tells the diagnosis. One document, one file per form of it.

mod activity;
mod audit;
mod bounded;
mod cause;
mod connections;
mod difference;
mod exchanges;
mod explain;
mod files;
mod github;
mod html;
mod json;
mod junit;
mod list;
mod load;
mod markdown;
mod missing;
mod npd;
mod openmetrics;
mod outcome;
mod page;
mod problems;
mod proof;
mod requests;
mod schemas;
mod short;
mod sureness;
mod text;
mod trials;
mod watch;

pub use activity::{Activity, Counter};
pub use audit::Audit;
pub use connections::ConnectionsJudged;
pub use difference::DifferenceReport;
pub use exchanges::Exchanges;
pub use explain::{Near, Page, StagePage, did_you_mean, index, nearest_ids};
pub use json::write_json;
pub use list::{coverage_json, coverage_text, list_json, list_text};
pub use load::{
    Against, Baseline, Bench, Figure, Load, Measure, Percentile, Step, StepGpu, Times, csv_header, csv_row,
    of as load_of, so_far as steps_so_far,
};
pub use outcome::RunOutcome;
pub use problems::{problems_github, problems_json, problems_text};
pub use requests::requests;
pub use schemas::{difference_json_schema, json_schema, strict_schema};
pub use trials::{is_passed, trials_json, trials_text};
pub use watch::{WatchLines, WatchView};

use crate::check::Severity;
use crate::cli::{FailOn, ReportFormat};
use crate::diagnosis::{
    CheckVerdict, Diagnosed, Diagnosis, Link, Missing, Standing, Verdict, WaiverStanding, WaiverTold,
};
use crate::snapshot::{ConnectionsFacts, Outcome, RecordedFacts, Snapshot, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Name and major version of the report's format.
pub const SCHEMA: &str = crate::document::REPORT.name;

/// What is said where identifiers were replaced.
const MASKED: &str =
    "Tokens such as host-3f2a9c stand for names and addresses here; a run with --include-identifiers shows them.";

/// What is told of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Minor version of the schema, which adds members and values and changes none; 0 if it is left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub schema_minor: u32,
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
    /// What it comes to without the causes that are waived: the exit code follows it. Absent without waivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict_apart_from_waived: Option<Verdict>,
    /// What became of the user's waivers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<WaiverTold>,
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

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How one probe went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
            schema_minor: crate::document::REPORT.minor,
            tool: crate::TOOL.into(),
            taken_at: snapshot.taken_at.clone(),
            target: snapshot.target.clone(),
            verdict: diagnosed.verdict,
            verdict_apart_from_waived: (!diagnosed.waivers.is_empty()).then(|| diagnosed.counted()),
            waivers: diagnosed.waivers,
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

    /// The first stage that failed: what comes after it need not be looked at before that is mended. What is waived
    /// breaks nothing.
    pub fn first_break(&self) -> Option<&Link> {
        self.stages.iter().find(|link| link.standing == Standing::Fail && !self.is_waived(link))
    }

    /// Whether a stage fails by nothing but what is waived: by causes of its own, and by what they explain there.
    pub fn is_waived(&self, link: &Link) -> bool {
        let mut waived = false;
        let holding = self.findings.iter().filter(|one| one.stage == link.stage && one.verdict == "holds");
        for finding in holding.filter(|_| link.standing == Standing::Fail) {
            let is_own = |one: &&Diagnosis| one.cause == finding.check;
            let causes: Vec<&Diagnosis> = match self.diagnoses.iter().find(is_own) {
                Some(own) if own.severity == Severity::Warn => continue,
                Some(own) => vec![own],
                None => self.diagnoses.iter().filter(|one| one.explains.contains(&finding.check)).collect(),
            };
            if causes.iter().any(|cause| cause.waived.is_none()) {
                return false;
            }
            waived |= !causes.is_empty();
        }
        waived
    }

    /// What a run comes to that ends with this report, if that is the least thing that counts as failure. The exit code
    /// and the word and colour of every form follow it.
    pub fn outcome(&self, fail_on: FailOn) -> RunOutcome {
        let warned = self.diagnoses.iter().any(|one| one.waived.is_none());
        match self.counted() {
            Verdict::Unhealthy => RunOutcome::Fails,
            _ if fail_on >= FailOn::Warn && warned => RunOutcome::FailsBy(fail_on),
            Verdict::Undecided if fail_on == FailOn::Unknown => RunOutcome::FailsBy(fail_on),
            Verdict::Undecided => RunOutcome::Undecided,
            Verdict::Healthy if fail_on == FailOn::Unknown && !self.unknown.is_empty() => RunOutcome::FailsBy(fail_on),
            Verdict::Healthy if warned => RunOutcome::Warns,
            Verdict::Healthy => RunOutcome::Healthy,
        }
    }

    /// The exit code of a run that ends with this report, if that is the least thing that counts as failure.
    pub fn exit_code(&self, fail_on: FailOn) -> u8 {
        self.outcome(fail_on).exit_code()
    }

    /// Waivers that are not told at their causes: those that do not hold and those that are not used.
    pub fn waivers_aside(&self) -> impl Iterator<Item = &WaiverTold> {
        self.waivers.iter().filter(|one| one.standing != WaiverStanding::Applied)
    }

    /// Waivers that do not hold although their cause is there: each fails by itself.
    pub fn waivers_failing(&self) -> impl Iterator<Item = &WaiverTold> {
        self.waivers.iter().filter(|one| one.standing.fails())
    }

    /// The verdict by which a reader is to act: without what is waived.
    pub fn counted(&self) -> Verdict {
        self.verdict_apart_from_waived.unwrap_or(self.verdict)
    }

    /// Writes the report in the form asked for. `snapshot` is the one that it tells of: some forms show its facts.
    ///
    /// Every form but JSON shows of a very long text its beginning only.
    pub fn write(
        &self,
        snapshot: &Snapshot,
        format: ReportFormat,
        style: &Style,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let bounded = if format == ReportFormat::Json { None } else { bounded::of(self)? };
        let report = bounded.as_ref().unwrap_or(self);
        match format {
            ReportFormat::Text => text::write(report, style, out),
            ReportFormat::Short => short::write(report, style, out),
            ReportFormat::Json => json::write(report, out),
            ReportFormat::Markdown => markdown::write(report, style, out),
            ReportFormat::Junit => junit::write(report, style.fail_on, out),
            ReportFormat::Html => html::write(report, snapshot, style, out),
            ReportFormat::Github => github::write(report, style.fail_on, out),
            ReportFormat::Openmetrics => openmetrics::write(report, style.fail_on, out),
            ReportFormat::Npd => npd::write(report, style.fail_on, out),
        }
    }
}

/// How a report is told. Files and the other forms take the default layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// No characters beyond ASCII.
    pub ascii: bool,
    /// Every check and every obstacle.
    pub verbose: bool,
    /// The headline and the causes' names only.
    pub quiet: bool,
    /// Tokens stand for identifiers, which is to be said.
    pub masked: bool,
    /// Colours, where `colored`'s global switch allows them too.
    pub colour: bool,
    /// What counts as a failure.
    pub fail_on: FailOn,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            width: 100,
            ascii: false,
            verbose: false,
            quiet: false,
            masked: false,
            colour: false,
            fail_on: FailOn::Fail,
        }
    }
}
