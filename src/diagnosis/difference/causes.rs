//! What became of each cause.

use super::Run;
use crate::check::{Confidence, Severity};
use crate::diagnosis::{CheckVerdict, Diagnosis, Waived};
use crate::snapshot::Stage;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Why nothing is known of a check that a run does not list.
const NOT_JUDGED: &str = "no such check was judged";

/// What became of a cause, from the first run to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Moved {
    /// It was ruled out, and is there.
    New,
    /// It is there, and before nothing was known of it.
    NowKnown,
    /// It was there, and nothing is known of it any more.
    NoLongerKnown,
    /// It was there, and is ruled out.
    Gone,
    /// It is there as before.
    Still,
}

/// A cause of one of the runs, or of both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cause {
    /// The check's id.
    pub cause: String,
    /// Its stage.
    pub stage: Stage,
    /// What became of it.
    pub moved: Moved,
    /// It in a clause, as the later run that has it says.
    pub brief: String,
    /// Its severity and confidence before; nothing if it was no cause then.
    pub before: Option<Weight>,
    /// The same after.
    pub after: Option<Weight>,
    /// Where one of the runs does not tell it as a cause: why it is not known there, or what explains it there.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Whether a run says that it holds and not how bad it is: a newer version's report, of which its cause was left aside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weight_unknown: bool,
    /// By whose word it is accepted, as the later run that has it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
    /// What it is about, where that changed: before and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<(Vec<String>, Vec<String>)>,
}

/// How bad and how sure a cause is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Weight {
    /// How bad.
    pub severity: Severity,
    /// How sure.
    pub confidence: Confidence,
    /// Whether it is waived, so that it does not count.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waived: bool,
}

/// A check of which something was known in one run only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckLost {
    /// Its id.
    pub check: String,
    /// Why it is not known in the other run.
    pub why: String,
}

impl Cause {
    /// Whether it is a failure that counts, where it is a cause.
    pub fn is_failure(&self) -> bool {
        self.after.or(self.before).is_some_and(|weight| weight.severity == Severity::Fail && !weight.waived)
    }

    /// Of one that is still there: whether it became a failure that counts or ceased to be one, of itself; nothing if
    /// neither.
    pub fn became_failure(&self) -> Option<bool> {
        let (before, after) = (self.before?, self.after?);
        let failure = if after.severity == Severity::Fail { after } else { before };
        (before.severity != after.severity && !failure.waived).then_some(after.severity == Severity::Fail)
    }

    /// Of one that is still there: whether it is waived now or is so no longer; nothing if neither.
    pub fn became_waived(&self) -> Option<bool> {
        let (before, after) = (self.before?, self.after?);
        (before.waived != after.waived).then_some(after.waived)
    }
}

fn weight(diagnosis: &Diagnosis) -> Weight {
    let waived = diagnosis.waived.is_some();
    Weight { severity: diagnosis.severity, confidence: diagnosis.confidence, waived }
}

/// What a run says of a check.
enum Said<'r> {
    /// It is a cause.
    Cause(&'r Diagnosis),
    /// It holds, and a cause explains it.
    With(String),
    /// It holds, and nothing tells how bad it is.
    Bare(&'r CheckVerdict),
    Clear,
    Unknown(String),
}

impl<'r> Said<'r> {
    fn of(run: &Run<'r>, id: &str) -> Self {
        if let Some(cause) = run.diagnoses.iter().find(|one| one.cause == id) {
            return Said::Cause(cause);
        }
        let by = run.diagnoses.iter().find(|one| {
            one.explains.iter().any(|explained| explained == id) || one.could_be.iter().any(|other| other.cause == id)
        });
        match (by, run.findings.iter().find(|finding| finding.check == id)) {
            (Some(by), _) => Said::With(format!("it is told with {}", by.cause)),
            (None, Some(finding)) if finding.verdict == "clear" => Said::Clear,
            (None, Some(finding)) if finding.verdict == "holds" => Said::Bare(finding),
            (None, Some(finding)) => Said::Unknown(finding.why.clone()),
            (None, None) => Said::Unknown(NOT_JUDGED.into()),
        }
    }

    fn cause(&self) -> Option<&'r Diagnosis> {
        if let Said::Cause(cause) = self { Some(cause) } else { None }
    }

    /// The stage, and what is so in a clause.
    fn told(&self) -> Option<(Stage, String)> {
        match self {
            Said::Cause(cause) => Some((cause.stage, cause.brief.clone())),
            Said::Bare(finding) => Some((finding.stage, finding.why.trim_end_matches('.').to_owned())),
            _ => None,
        }
    }

    /// Why a run that has it does not tell it as a cause.
    fn aside(&self, when: &str) -> Option<String> {
        match self {
            Said::With(why) => Some(format!("{when}, {why}")),
            Said::Bare(_) => Some(format!("{when}, it holds, and the report does not say how bad it is")),
            _ => None,
        }
    }
}

/// The causes of both runs, those that came and went in front, each kind in the runs' own order. What holds and is told
/// nowhere is one too: a newer version's report may have causes that this version had to leave aside.
pub fn of(before: &Run, after: &Run) -> Vec<Cause> {
    let told = |run: &Run| run.diagnoses.iter().map(|one| one.cause.clone()).collect::<Vec<_>>();
    let bare = |run: &Run| {
        let holding = run.findings.iter().filter(|finding| finding.verdict == "holds");
        let bare = holding.filter(|finding| matches!(Said::of(run, &finding.check), Said::Bare(_)));
        bare.map(|finding| finding.check.clone()).collect::<Vec<_>>()
    };
    let mut seen = BTreeSet::new();
    let all = [told(before), told(after), bare(before), bare(after)].into_iter().flatten();
    let ids: Vec<String> = all.filter(|id| seen.insert(id.clone())).collect();
    let mut causes: Vec<Cause> = ids.into_iter().filter_map(|id| cause(id, before, after)).collect();
    causes.sort_by_key(|cause| (cause.moved, !cause.is_failure()));
    causes
}

/// What became of one, of which at least one run says that it holds.
fn cause(id: String, before: &Run, after: &Run) -> Option<Cause> {
    let (old, new) = (Said::of(before, &id), Said::of(after, &id));
    let (stage, brief) = new.told().or(old.told())?;
    let (moved, why) = match (&old, &new) {
        (Said::Clear, _) => (Moved::New, new.aside("after").unwrap_or_default()),
        (_, Said::Clear) => (Moved::Gone, old.aside("before").unwrap_or_default()),
        (Said::Unknown(why), _) => (Moved::NowKnown, why.clone()),
        (_, Said::Unknown(why)) => (Moved::NoLongerKnown, why.clone()),
        _ => {
            let asides = [old.aside("before"), new.aside("after")];
            (Moved::Still, asides.into_iter().flatten().collect::<Vec<_>>().join("; "))
        }
    };
    let weight_unknown = [&old, &new].iter().any(|said| matches!(said, Said::Bare(_)));
    let (old, new) = (old.cause(), new.cause());
    Some(Cause {
        stage,
        moved,
        brief,
        before: old.map(weight),
        after: new.map(weight),
        why,
        weight_unknown,
        waived: new.or(old).and_then(|one| one.waived.clone()),
        subjects: match (old, new) {
            (Some(old), Some(new)) if old.subjects != new.subjects => {
                Some((old.subjects.clone(), new.subjects.clone()))
            }
            _ => None,
        },
        cause: id,
    })
}

fn is_decided(finding: &CheckVerdict) -> bool {
    matches!(finding.verdict.as_str(), "clear" | "holds")
}

/// How many checks, beside those of the causes, `before` decided and do not apply in `after`.
pub fn inapplicable(before: &Run, after: &Run, causes: &[Cause]) -> usize {
    let told = |id: &str| causes.iter().any(|cause| cause.cause == id);
    let applies = |id: &str| {
        after.findings.iter().find(|other| other.check == id).is_none_or(|other| other.verdict != "not_applicable")
    };
    let decided = before.findings.iter().filter(|finding| is_decided(finding) && !told(&finding.check));
    decided.filter(|finding| !applies(&finding.check)).count()
}

/// Checks of which `from` says what is so, and `to` does not know it.
pub fn lost(from: &Run, to: &Run, causes: &[Cause]) -> Vec<CheckLost> {
    let told = |id: &str| causes.iter().any(|cause| cause.cause == id);
    let decided = from.findings.iter().filter(|finding| is_decided(finding) && !told(&finding.check));
    let unknown = decided.filter_map(|finding| {
        let check = finding.check.clone();
        match to.findings.iter().find(|other| other.check == finding.check) {
            Some(other) if other.verdict == "unknown" => Some(CheckLost { check, why: other.why.clone() }),
            Some(_) => None,
            None => Some(CheckLost { check, why: NOT_JUDGED.into() }),
        }
    });
    unknown.collect()
}
