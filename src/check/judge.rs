//! Puts every check to the facts.

use super::expr::{Expression, Open, Truth, Values};
use super::load::{Check, Checks};
use super::spec::{Confidence, Severity, Step};
use super::template::{self, render, render_command};
use super::view::View;
use crate::snapshot::{Snapshot, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::cell::LazyCell;

/// What a check says of the facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is so.
    Holds,
    /// It is ruled out.
    Clear,
    /// It depends on facts that could not be known: path and reason of each.
    Unknown(Vec<(String, Unknown)>),
    /// It was not asked about.
    NotApplicable(String),
}

impl Verdict {
    /// The verdict's name, as cases write it.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Holds => "holds",
            Verdict::Clear => "clear",
            Verdict::Unknown(_) => "unknown",
            Verdict::NotApplicable(_) => "not_applicable",
        }
    }
}

/// One check, judged.
pub struct Finding<'a> {
    /// The check.
    pub check: &'a Check,
    /// What it says.
    pub verdict: Verdict,
    /// How bad it is, or would be, given the facts.
    pub severity: Severity,
    /// How sure it is when it holds, given the facts.
    pub confidence: Confidence,
    /// The clause for the headline; empty unless it holds.
    pub brief: String,
    /// The proof in words; empty unless it holds.
    pub because: String,
    /// What it is about.
    pub subjects: Vec<String>,
    /// The facts that prove it.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub fix: Vec<Step>,
    /// How to see that the fix worked.
    pub verify: Vec<String>,
}

impl<'a> Finding<'a> {
    /// A finding without any text.
    pub fn bare(check: &'a Check, verdict: Verdict, severity: Severity) -> Self {
        Self {
            check,
            verdict,
            severity,
            confidence: check.spec.confidence,
            brief: String::new(),
            because: String::new(),
            subjects: Vec::new(),
            evidence: Vec::new(),
            fix: Vec::new(),
            verify: Vec::new(),
        }
    }
}

/// A fact that a finding rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// Its path.
    pub path: String,
    /// Its value, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Why it is not known, otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// Judges the snapshot by every check, in order.
pub fn judge<'a>(checks: &'a Checks, snapshot: &Snapshot, view: &View) -> Result<Vec<Finding<'a>>, String> {
    let values = Values::new(view.values());
    let told = LazyCell::new(|| template::Values::new(view.values()));
    checks.iter().map(|check| judge_one(check, snapshot, view, &values, || &told)).collect()
}

/// Judges the snapshot by one check alone.
pub fn judge_by<'a>(check: &'a Check, snapshot: &Snapshot, view: &View) -> Result<Finding<'a>, String> {
    let told = LazyCell::new(|| template::Values::new(view.values()));
    judge_one(check, snapshot, view, &Values::new(view.values()), || &told)
}

/// `told` gives the values for texts, which only a finding that holds has.
fn judge_one<'a, 'v>(
    check: &'a Check,
    snapshot: &Snapshot,
    view: &View,
    values: &Values,
    told: impl FnOnce() -> &'v template::Values,
) -> Result<Finding<'a>, String> {
    let spec = &check.spec;
    let verdict = verdict(&check.when, spec.stage.is_of_this_machine() && !spec.anywhere, snapshot, view, values);
    let mut finding = Finding::bare(check, verdict, spec.severity);
    // Also where it is unknown: what could be a warning at most must not keep a working deployment undecided.
    if check.warn_if.as_ref().is_some_and(|condition| condition.evaluate(values) == Truth::True) {
        finding.severity = Severity::Warn;
    }
    if finding.verdict != Verdict::Holds {
        return Ok(finding);
    }
    if check.proven_if.as_ref().is_some_and(|condition| condition.evaluate(values) == Truth::True) {
        finding.confidence = Confidence::Proven;
    }
    let told = told();
    // A text that cannot be written without what is missing is left out; any other that cannot be is a fault of the check.
    let or = |instead: &str, source: &String, rendered: Result<String, String>| match rendered {
        Err(_) if reads_unknown(source, view)? => Ok(instead.to_owned()),
        rendered => rendered.map_err(|error| format!("{}: {error}", check.file)),
    };
    let text_or = |instead: &str, source: &String| or(instead, source, render(source, told));
    let text = |source: &String| text_or("", source);
    let command = |source: &String| or("", source, render_command(source, told));
    finding.brief = text_or(&spec.title, &spec.brief)?;
    finding.because = text_or(&spec.title, &spec.because)?;
    finding.subjects = spec.subjects.iter().map(text).collect::<Result<_, _>>()?;
    finding.subjects.retain(|subject| !subject.is_empty() && subject != "unknown");
    finding.verify = spec.verify.iter().map(command).collect::<Result<_, _>>()?;
    finding.verify.retain(|command| !command.is_empty());
    for step in &spec.fix {
        let step = Step { say: text(&step.say)?, run: command(&step.run)? };
        if !(step.say.is_empty() && step.run.is_empty()) {
            finding.fix.push(step);
        }
    }
    finding.evidence = spec.evidence.iter().map(|path| evidence(path, view)).collect();
    Ok(finding)
}

/// Whether a text reads a fact of which something is not known.
fn reads_unknown(source: &str, view: &View) -> Result<bool, String> {
    Ok(template::paths(source)?.iter().any(|path| view.unknown_at(path).next().is_some()))
}

fn verdict(when: &Expression, of_this_machine: bool, snapshot: &Snapshot, view: &View, values: &Values) -> Verdict {
    if of_this_machine && snapshot.target.server_is_local == Some(false) {
        return Verdict::NotApplicable("the server is on another machine".into());
    }
    let said = match when.evaluate(values) {
        Truth::True => return Verdict::Holds,
        Truth::False => return Verdict::Clear,
        Truth::Undetermined(said) => said,
    };
    let missing = missing(&when.open(values), view);
    if missing.is_empty() {
        let unknown = Unknown::new(Why::Unsupported, format!("the condition could not be evaluated: {said}"));
        return Verdict::Unknown(vec![(when.paths().into_iter().collect::<Vec<_>>().join(", "), unknown)]);
    }
    let asked: Vec<_> = missing.iter().filter(|(_, unknown)| unknown.why != Why::NotAsked).cloned().collect();
    match asked.is_empty() {
        true => Verdict::NotApplicable(missing[0].1.detail.clone()),
        false => Verdict::Unknown(asked),
    }
}

/// The missing facts that keep a condition from being true or false, each with its reason.
fn missing(open: &Open, view: &View) -> Vec<(String, Unknown)> {
    let mut missing: Vec<(String, Unknown)> = match open {
        // A path into a list or record that is itself unknown has its reason above it.
        Open::Paths(paths) => paths.iter().flat_map(|path| view.unknown_at(path)).cloned().collect(),
        Open::All(parts) => {
            let parts: Vec<_> = parts.iter().map(|part| self::missing(part, view)).collect();
            // What must be true for the check to hold was not asked about: the other missing facts cannot make it hold.
            let unasked = |part: &&Vec<(String, Unknown)>| {
                !part.is_empty() && part.iter().all(|(_, unknown)| unknown.why == Why::NotAsked)
            };
            match parts.iter().find(unasked) {
                Some(part) => part.clone(),
                None => parts.concat(),
            }
        }
        Open::Any(parts) => parts.iter().flat_map(|part| self::missing(part, view)).collect(),
    };
    missing.sort_by(|a, b| a.0.cmp(&b.0));
    missing.dedup();
    missing
}

fn evidence(path: &str, view: &View) -> Evidence {
    let value = view.value(path).cloned();
    let unknown = match value {
        Some(_) => None,
        None => Some(view.reason(path).map_or("not recorded".to_string(), Unknown::to_string)),
    };
    Evidence { path: path.into(), value, unknown }
}
