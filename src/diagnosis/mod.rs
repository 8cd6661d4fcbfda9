//! Floor 2: from findings to causes. Which explain which, which comes first, and what it comes to. Pure.

mod chain;
mod command;
pub mod difference;
mod graph;
mod grounds;
mod headline;
mod recorded;
mod ruled_out;
mod unasked;
mod verify;
mod waited;
mod waived;
mod ways;

pub use chain::{Link, Standing};
pub use headline::in_words;
pub use verify::reachable;
pub use waived::{Waived, WaiverStanding, WaiverTold, waive};

use crate::check::{Checks, Confidence, Evidence, Finding, Reasons, Severity, Step, Verdict as Judged, View, judge};
use crate::snapshot::{Outcome, Snapshot, Stage};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Serialize};

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing failed, and what was asked about could be known.
    Healthy,
    /// A failure was diagnosed.
    Unhealthy,
    /// Nothing failed as far as could be known, but facts are missing that could change the answer.
    Undecided,
}

/// The judgement of one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct Diagnosed {
    /// What it comes to.
    pub verdict: Verdict,
    /// The one sentence.
    pub headline: String,
    /// The causes, the one to mend first in front.
    pub diagnoses: Vec<Diagnosis>,
    /// Every check's verdict, in order.
    pub findings: Vec<CheckVerdict>,
    /// What could not be known and could change the answer.
    pub unknown: Vec<Missing>,
    /// The stages of a request's life with their standing.
    pub chain: Vec<Link>,
    /// What the model needs of GPU memory, what the server holds and what is free; where a model and a GPU are known.
    pub device_budget: Option<String>,
    /// What was claimed and measured otherwise, one sentence each.
    pub contradictions: Vec<String>,
    /// What each watched GPU did while requests ran, as it was derived (`derived.gpu_activity`).
    pub gpu_activity: Vec<serde_json::Value>,
    /// What it would come to if no failure held: the verdict where every one is waived.
    pub apart_from_failures: Verdict,
    /// What became of the user's waivers; empty until [`waive`] has been asked.
    pub waivers: Vec<WaiverTold>,
}

/// One cause, or a symptom that nothing explains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The check's id.
    pub cause: String,
    /// The broken stage.
    pub stage: Stage,
    /// Whether it is a symptom for which no cause was found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub symptom: bool,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// What makes it that sure: who bears witness, and whether something else would show the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub grounds: String,
    /// A clause for the headline.
    pub brief: String,
    /// The proof in words.
    pub because: String,
    /// What it is about.
    pub subjects: Vec<String>,
    /// The facts that prove it.
    pub evidence: Vec<Evidence>,
    /// Ids of the checks that hold because of it.
    pub explains: Vec<String>,
    /// What else may be behind what it explains, less sure than this one; of a symptom, what may be behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub could_be: Vec<Possibility>,
    /// What to do, in order.
    pub fix: Vec<Step>,
    /// How to see that the fix worked.
    pub verify: Vec<String>,
    /// Other causes that could show alike and are ruled out, the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ruled_out: Vec<RuledOut>,
    /// By whose word it is accepted for now: it is told, and does not count for the exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
}

/// A finding for which nothing asks beside a surer one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Possibility {
    /// The check's id.
    pub cause: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// It in a clause.
    pub brief: String,
}

/// A cause that it is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuledOut {
    /// The check's id.
    pub cause: String,
    /// What rules it out, in words.
    pub by: String,
}

/// What one check says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckVerdict {
    /// The check's id.
    pub check: String,
    /// Its stage.
    pub stage: Stage,
    /// `holds`, `clear`, `unknown` or `not_applicable`.
    #[schemars(extend("enum" = VERDICTS))]
    #[serde(deserialize_with = "verdict_word")]
    pub verdict: String,
    /// Why it is unknown or not applicable, or the proof if it holds; empty if it is clear.
    pub why: String,
}

/// What a check can say, as reports write it.
const VERDICTS: [&str; 4] = ["holds", "clear", "unknown", "not_applicable"];

/// Another word in a report would be taken for none of them by whoever asks for one.
fn verdict_word<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let word = String::deserialize(deserializer)?;
    if VERDICTS.contains(&word.as_str()) { Ok(word) } else { Err(D::Error::unknown_variant(&word, &VERDICTS)) }
}

/// A fact that could not be known and on which a check depends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// The fact's path.
    pub path: String,
    /// The kind of obstacle.
    pub why: String,
    /// The obstacle in words.
    pub detail: String,
    /// Checks that stay undecided without it.
    pub checks: Vec<String>,
    /// How to get it, with the commands between backticks; empty if no way is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub get: String,
}

/// Judges a snapshot. The error is a bug in a check's text.
pub fn diagnose(checks: &Checks, snapshot: &Snapshot) -> Result<Diagnosed, String> {
    let view = View::of(snapshot);
    let findings = judge(checks, snapshot, &view)?;
    let mut diagnoses = graph::causes(&findings);
    // Files of a load test tell statuses, and seldom words: what they do not tell rules nothing out.
    let tells = snapshot.facts.recorded.requests.known().is_none();
    reason(&mut diagnoses, &findings, &view, tells);
    verify::complete(&mut diagnoses, snapshot);
    waited::tell(&mut diagnoses, &snapshot.target);
    let worked = view.value("derived.gpu_seen_working").and_then(serde_json::Value::as_bool) == Some(true);
    let (mut unknown, decisive) = missing(&findings, snapshot, worked);
    for missing in &mut unknown {
        missing.get = ways::way(&missing.path, &missing.why, &missing.detail, snapshot);
    }
    let symptoms: Vec<&str> = diagnoses.iter().filter(|one| one.symptom).map(|one| one.cause.as_str()).collect();
    unknown.extend(unasked::of(&symptoms, &findings, snapshot, &view));
    let mut chain = chain::links(snapshot, &findings);
    chain::blame(&mut chain, &diagnoses);
    let missing = decisive > 0 || was_not_asked(snapshot, &chain);
    let apart_from_failures = verdict(&findings, &[], missing, &chain, worked);
    let verdict = verdict(&findings, &diagnoses, missing, &chain, worked);
    // The GPUs of this machine say nothing about a server on another one.
    let budget = view.value("derived.device_budget").filter(|_| snapshot.target.server_is_local != Some(false));
    Ok(Diagnosed {
        device_budget: budget.and_then(serde_json::Value::as_str).map(str::to_owned),
        headline: headline::write(snapshot, &view, verdict, &diagnoses, &unknown[..decisive], &chain, &findings),
        chain,
        findings: findings.iter().map(check_verdict).collect(),
        verdict,
        diagnoses,
        unknown,
        contradictions: contradictions(&view),
        gpu_activity: view.value("derived.gpu_activity").and_then(|one| one.as_array()).cloned().unwrap_or_default(),
        apart_from_failures,
        waivers: Vec::new(),
    })
}

/// Adds to each cause what makes it that sure, and what it was told apart from.
fn reason(diagnoses: &mut [Diagnosis], findings: &[Finding], view: &View, tells: bool) {
    if diagnoses.is_empty() {
        return;
    }
    let reasons = Reasons::of(view);
    for diagnosis in diagnoses {
        let Some(cause) = findings.iter().find(|finding| finding.check.spec.id == diagnosis.cause) else { continue };
        diagnosis.grounds = grounds::of(cause, &reasons);
        if tells {
            diagnosis.ruled_out = ruled_out::of(cause, findings, &reasons, view);
        }
    }
}

/// What was claimed and measured otherwise, each in one sentence.
fn contradictions(view: &View) -> Vec<String> {
    let listed = view.value("derived.contradictions").and_then(serde_json::Value::as_array);
    let text = |of: &serde_json::Value, name: &str| of.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    let sentence = |one: &serde_json::Value| {
        let claim = format!("{} ({})", text(one, "claim")?, text(one, "claimed_by")?);
        Some(format!("{claim}, yet {} ({})", text(one, "measured")?, text(one, "measured_by")?))
    };
    listed.into_iter().flatten().filter_map(sentence).collect()
}

/// Whether a server was named and its stage is judged, but no request of any kind was accepted: a warning says why, and
/// nothing is known of how it serves.
fn was_not_asked(snapshot: &Snapshot, chain: &[Link]) -> bool {
    let is_open = |link: &Link| link.stage == Stage::Request && link.standing == Standing::Warn;
    let request = &snapshot.facts.request;
    let accepted = request.good.known().is_some() || request.client.known().is_some_and(|client| client.accepted);
    snapshot.target.server.is_some() && !accepted && chain.iter().any(is_open) && !recorded::tells_of_requests(snapshot)
}

fn verdict(findings: &[Finding], diagnoses: &[Diagnosis], missing: bool, chain: &[Link], worked: bool) -> Verdict {
    if diagnoses.iter().any(|diagnosis| diagnosis.severity == Severity::Fail) {
        return Verdict::Unhealthy;
    }
    // Where no check applied, or nothing was seen at any stage, nothing was examined; that is not health.
    let judged = findings.iter().any(|finding| matches!(finding.verdict, Judged::Clear | Judged::Holds));
    let seen = chain.iter().any(|link| matches!(link.standing, Standing::Pass | Standing::Warn | Standing::Fail));
    let examined = judged && seen;
    // A stage that was seen not to work, for a reason that no check names, is not health either.
    // Where the GPU computed what was requested, every stage works, also one into which this user may not look.
    let open = !worked && chain.iter().any(|link| link.standing == Standing::Unknown);
    if !missing && examined && !open { Verdict::Healthy } else { Verdict::Undecided }
}

fn check_verdict(finding: &Finding) -> CheckVerdict {
    let (verdict, why) = match &finding.verdict {
        Judged::Holds => ("holds", finding.because.clone()),
        Judged::Clear => ("clear", String::new()),
        Judged::NotApplicable(why) => ("not_applicable", why.clone()),
        Judged::Unknown(missing) => {
            let reasons: Vec<String> = missing.iter().map(|(path, unknown)| format!("{path} {unknown}")).collect();
            ("unknown", reasons.join("; "))
        }
    };
    CheckVerdict { check: finding.check.spec.id.clone(), stage: finding.check.spec.stage, verdict: verdict.into(), why }
}

/// The missing facts on which a check depends, each once, and the probes that could not do their work; and how many of
/// them, in front, could make the answer a failure. A fact that only a warning waits for could not.
fn missing(findings: &[Finding], snapshot: &Snapshot, worked: bool) -> (Vec<Missing>, usize) {
    let mut list = Vec::new();
    waited_for(findings, Severity::Fail, &mut list);
    // A server whose GPU was seen to work need not be looked into: another user's may not be.
    let failed = |id: &str| snapshot.probes.iter().find(|probe| probe.id == id && probe.outcome == Outcome::Failed);
    let hidden = failed("process").filter(|_| worked).map(|probe| probe.detail.as_str());
    // What the user named and could not be examined is missing even where no check waits for it.
    for probe in &snapshot.probes {
        let (Outcome::Failed | Outcome::TimedOut | Outcome::Crashed) = probe.outcome else { continue };
        if hidden.is_some_and(|detail| probe.detail.ends_with(detail)) {
            continue;
        }
        // Nor is what a cause says already.
        let told = findings.iter().any(|finding| finding.because.contains(&probe.detail));
        if !told && !list.iter().any(|missing| missing.detail == probe.detail) {
            let why = probe.outcome.words().to_string();
            let missing = Missing {
                path: probe.id.clone(),
                why,
                detail: probe.detail.clone(),
                checks: Vec::new(),
                get: String::new(),
            };
            // A crash or a hang says more than what this user may not read.
            let place = if probe.outcome == Outcome::Failed { list.len() } else { 0 };
            list.insert(place, missing);
        }
    }
    let decisive = list.len();
    waited_for(findings, Severity::Warn, &mut list);
    (list, decisive)
}

/// Adds the facts that undecided checks of this severity wait for.
fn waited_for(findings: &[Finding], severity: Severity, list: &mut Vec<Missing>) {
    for finding in findings.iter().filter(|finding| finding.severity == severity) {
        let Judged::Unknown(reasons) = &finding.verdict else { continue };
        for (path, unknown) in reasons {
            let check = finding.check.spec.id.clone();
            match list.iter_mut().find(|missing| missing.path == *path) {
                Some(missing) => missing.checks.push(check),
                None => list.push(Missing {
                    path: path.clone(),
                    why: unknown.why.to_string(),
                    detail: unknown.detail.clone(),
                    checks: vec![check],
                    get: String::new(),
                }),
            }
        }
    }
}
