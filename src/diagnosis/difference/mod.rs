//! Two runs compared: before and after a fix, or two machines. Which causes are gone, new and still there, and which facts
//! changed that matter. Pure.

mod asked;
mod causes;
mod changes;
mod leaves;
mod words;
mod worth;

pub use asked::Asked;
pub use causes::{Cause, CheckLost, Moved};
pub use changes::{Change, Changes};
pub use worth::Kind;

use super::{CheckVerdict, Diagnosis, Verdict, WaiverTold};
use crate::snapshot::{Snapshot, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One of the two runs, judged.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// Where it comes from: the file's name.
    pub name: &'a str,
    /// The program that took the facts, or judged them.
    pub tool: &'a str,
    /// When the facts were taken, RFC 3339.
    pub taken_at: &'a str,
    /// What was asked about.
    pub target: &'a Target,
    /// What it comes to, without what is waived: as the run's exit code.
    pub verdict: Verdict,
    /// The one sentence.
    pub headline: &'a str,
    /// The user's waivers.
    pub waivers: &'a [WaiverTold],
    /// Its causes.
    pub diagnoses: &'a [Diagnosis],
    /// Every check's verdict.
    pub findings: &'a [CheckVerdict],
    /// Checks of which a finding is a warning at most; any other may be a failure.
    pub only_warn: &'a BTreeSet<String>,
    /// The facts; none where it is a report, which holds the evidence of its causes only.
    pub snapshot: Option<&'a Snapshot>,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A failure is gone, or the verdict is better, and no failure is new.
    Better,
    /// No cause came or went.
    Same,
    /// Warnings came; no failure came or went.
    Changed,
    /// A failure is new, or the verdict is worse.
    Worse,
    /// Something that decides is not known in one of the runs.
    Undecided,
}

/// One run in a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// The file.
    pub name: String,
    /// `snapshot` or `report`.
    pub form: String,
    /// The program that wrote it.
    pub tool: String,
    /// When the facts were taken, RFC 3339.
    pub taken_at: String,
    /// What it comes to, without what is waived.
    pub verdict: Verdict,
    /// The one sentence.
    pub headline: String,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Difference {
    /// What it comes to.
    pub outcome: Outcome,
    /// The one sentence.
    pub headline: String,
    /// The first run.
    pub before: Side,
    /// The second run.
    pub after: Side,
    /// What was asked of one and not of the other, so that a cause may be gone or new for no other reason.
    pub asked: Vec<Asked>,
    /// Causes, each with what became of it; those that came and went in front.
    pub causes: Vec<Cause>,
    /// Checks that were decided and no longer are, beside those of the causes.
    pub no_longer_known: Vec<CheckLost>,
    /// Checks that are decided now and were not.
    pub now_known: Vec<CheckLost>,
    /// The facts that changed.
    #[serde(flatten)]
    pub changes: Changes,
}

/// Compares two runs, the earlier one first.
pub fn compare(before: &Run, after: &Run) -> Difference {
    let causes = causes::of(before, after);
    let asked = asked::of(before, after);
    let lost = |from: &Run, to: &Run| causes::lost(from, to, &causes);
    let (no_longer_known, now_known) = (lost(before, after), lost(after, before));
    let unseen = Unseen::of(before, after, &asked, &causes, &no_longer_known);
    let outcome = outcome(before.verdict, after.verdict, &causes, unseen);
    let changes = changes::of(before, after, &causes);
    Difference {
        headline: words::headline(outcome, before.verdict, after.verdict, &causes, unseen),
        outcome,
        before: side(before),
        after: side(after),
        asked,
        no_longer_known,
        now_known,
        changes,
        causes,
    }
}

impl Difference {
    /// Whether the first run's facts are younger than the second's.
    pub fn is_reversed(&self) -> bool {
        let taken = |side: &Side| side.taken_at.parse::<jiff::Timestamp>();
        matches!((taken(&self.before), taken(&self.after)), (Ok(before), Ok(after)) if before > after)
    }
}

fn side(run: &Run) -> Side {
    Side {
        name: run.name.into(),
        form: if run.snapshot.is_some() { "snapshot" } else { "report" }.into(),
        tool: run.tool.into(),
        taken_at: run.taken_at.into(),
        verdict: run.verdict,
        headline: run.headline.into(),
    }
}

/// Checks, beside those of the causes, of which the first run knew what is so, and the second does not.
#[derive(Debug, Clone, Copy, Default)]
struct Unseen {
    /// As many could not be judged any more.
    unknown: usize,
    /// Those of them that may be failures.
    failures: usize,
    /// As many do not apply any more, where less was asked.
    inapplicable: usize,
}

impl Unseen {
    fn of(before: &Run, after: &Run, asked: &[Asked], causes: &[Cause], no_longer_known: &[CheckLost]) -> Self {
        // Where as much was asked, a check ceases to apply because of what was seen.
        let inapplicable = if asked::is_less(after, asked) { causes::inapplicable(before, after, causes) } else { 0 };
        let failures = no_longer_known.iter().filter(|lost| !after.only_warn.contains(&lost.check)).count();
        Self { unknown: no_longer_known.len(), failures, inapplicable }
    }
}

/// Only failures decide, and of them those that were ruled out before. One of which nothing was known before may have been
/// there, and one of which nothing is known any more may be there still: neither is better or worse. Nor is one that is
/// waived or is so no longer, by itself; a run that fails for that reason is worse all the same.
fn outcome(before: Verdict, after: Verdict, causes: &[Cause], unseen: Unseen) -> Outcome {
    let any = |moved: Moved| causes.iter().any(|cause| cause.moved == moved && cause.is_failure());
    let became = |failure: bool| causes.iter().any(|cause| cause.became_failure() == Some(failure));
    let was_well = before == Verdict::Healthy;
    if any(Moved::New) || became(true) || (was_well && after == Verdict::Unhealthy) {
        return Outcome::Worse;
    }
    // Where all is well the doctor needed none of what it could not see.
    let lost_failures = unseen.failures > 0 && after != Verdict::Healthy;
    let open = lost_failures || causes.iter().any(|cause| cause.weight_unknown && cause.moved != Moved::Gone);
    if open || any(Moved::NoLongerKnown) || any(Moved::NowKnown) || (was_well && after == Verdict::Undecided) {
        return Outcome::Undecided;
    }
    let warned = |moved: Moved| causes.iter().any(|cause| cause.moved == moved);
    let newly_waived = causes.iter().any(|cause| cause.became_waived() == Some(true));
    let is_well = before != Verdict::Healthy && after == Verdict::Healthy && !newly_waived;
    match () {
        () if any(Moved::Gone) || became(false) || is_well => Outcome::Better,
        () if warned(Moved::New) || warned(Moved::NowKnown) => Outcome::Changed,
        () if warned(Moved::Gone) => Outcome::Better,
        () if warned(Moved::NoLongerKnown) || newly_waived => Outcome::Changed,
        () => Outcome::Same,
    }
}

#[cfg(test)]
mod tests;
