//! The YAML of one check.

use crate::snapshot::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One check: a possible cause or symptom, how it is told, and what to do about it.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Unique id, in the words of the field; also the file's name.
    pub id: String,
    /// The stage of a request's life that is broken when the check holds; also the file's folder.
    pub stage: Stage,
    /// A few words for lists.
    pub title: String,
    /// How bad it is when it holds.
    pub severity: Severity,
    /// How sure it is when it holds.
    #[serde(default)]
    pub confidence: Confidence,
    /// Whether it is a symptom: something that other checks explain and that is no cause by itself.
    #[serde(default)]
    pub symptom: bool,
    /// Whether, while it holds, no work reaches the model, so that nothing after it can show.
    #[serde(default)]
    pub starves: bool,
    /// Whether its facts come from files that the user gives, so that it is judged for a server on another machine too.
    #[serde(default)]
    pub anywhere: bool,
    /// CEL: true when it holds, false when it is ruled out, undetermined when facts are missing.
    pub when: String,
    /// CEL: true when it holds but only deserves a warning.
    pub warn_if: Option<String>,
    /// CEL: true when the facts at hand prove what is otherwise only as sure as `confidence` says.
    pub proven_if: Option<String>,
    /// Ids of checks that need no explanation of their own while this one holds.
    #[serde(default)]
    pub explains: Vec<String>,
    /// A clause for the headline, in which a cause follows "because". Template.
    pub brief: String,
    /// One or two sentences with the proof. Template.
    pub because: String,
    /// The things that it is about: a library, a process, an operation. Templates; empty ones are left out.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Paths of the facts that prove it.
    pub evidence: Vec<String>,
    /// What to do, in order.
    pub fix: Vec<Step>,
    /// Commands that show that the fix worked. Templates.
    pub verify: Vec<String>,
    /// What it means, for `explain`.
    pub means: String,
    /// How it is told from its neighbours, for `explain`.
    pub told_apart: String,
    /// Where to read more.
    #[serde(default)]
    pub docs: Vec<String>,
}

/// One step of a fix: words, a command, or both. Templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What to do, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub say: String,
    /// A command to copy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
}

/// How bad a check is when it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; does not keep the GPU from working.
    Warn,
    /// Keeps the GPU from working, or the server from serving.
    Fail,
}

/// How sure a check is when it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The facts fit, and so would others.
    Possible,
    /// The facts fit, and little else would.
    #[default]
    Likely,
    /// Shown by an experiment or by the word of the part that failed.
    Proven,
}

impl Severity {
    /// The severity's name.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        }
    }
}

impl Confidence {
    /// The confidence's name.
    pub fn name(self) -> &'static str {
        match self {
            Confidence::Possible => "possible",
            Confidence::Likely => "likely",
            Confidence::Proven => "proven",
        }
    }
}
