//! What it comes to, in one sentence.

use super::causes::{Cause, Moved};
use super::{Outcome, Unseen};
use crate::check::Severity;
use crate::diagnosis::Verdict;
use crate::words::count;

/// Causes that the sentence names of each sort.
const NAMED_MAX: usize = 3;

/// The sentence.
pub fn headline(outcome: Outcome, before: Verdict, after: Verdict, causes: &[Cause], unseen: Unseen) -> String {
    let these = |moved: Moved| causes.iter().filter(|cause| cause.moved == moved).collect::<Vec<_>>();
    let (new, gone, still) = (these(Moved::New), these(Moved::Gone), these(Moved::Still));
    let (now_known, no_longer) = (these(Moved::NowKnown), these(Moved::NoLongerKnown));
    let mut parts = Vec::new();
    let mut say =
        |causes: &[&Cause], says: &str| parts.extend((!causes.is_empty()).then(|| format!("{} {says}", named(causes))));
    let is = |causes: &[&Cause]| if causes.len() == 1 { "is" } else { "are" };
    say(&new, &format!("{} new", is(&new)));
    say(&gone, &format!("{} gone", is(&gone)));
    say(&no_longer, &format!("{} no longer known to be there or not", is(&no_longer)));
    say(&now_known, &format!("{} seen now and could not be seen before", is(&now_known)));
    let failure =
        |became: bool| still.iter().filter(|cause| cause.became_failure() == Some(became)).copied().collect::<Vec<_>>();
    let (worse, milder) = (failure(true), failure(false));
    let number = |causes: &[&Cause], one: &str, many: &str| {
        format!("{} {}", is(causes), if causes.len() == 1 { one } else { many })
    };
    say(&worse, &number(&worse, "a failure now, no longer a warning", "failures now, no longer warnings"));
    say(&milder, &number(&milder, "only a warning now", "only warnings now"));
    let same: Vec<&Cause> = still.into_iter().filter(|cause| cause.became_failure().is_none()).collect();
    let (waived, same): (Vec<_>, Vec<_>) = same.into_iter().partition(|cause| cause.became_waived() == Some(true));
    let (unwaived, same): (Vec<_>, Vec<_>) = same.into_iter().partition(|cause| cause.became_waived() == Some(false));
    say(&waived, &format!("{} still there, and waived now", is(&waived)));
    say(&unwaived, &format!("{} still there, and no longer waived", is(&unwaived)));
    say(&same, &format!("{} still there", is(&same)));
    let unweighed: Vec<&Cause> =
        causes.iter().filter(|cause| cause.weight_unknown && cause.moved != Moved::Gone).collect();
    let whose = if unweighed.len() == 1 { "its" } else { "their" };
    say(&unweighed, &format!("{} told in one of the reports without {whose} severity", is(&unweighed)));
    let sees_less = unseen.unknown > 0 || unseen.inapplicable > 0;
    if !gone.is_empty() && new.is_empty() && now_known.is_empty() {
        let known = sees_less || !no_longer.is_empty() || after == Verdict::Undecided;
        parts.push(if known { "nothing new among what is known" } else { "nothing new" }.into());
    }
    if parts.is_empty() {
        parts.push(match (before, after) {
            (Verdict::Healthy, Verdict::Healthy) if sees_less => "nothing is known to be wrong in either".into(),
            (Verdict::Healthy, Verdict::Healthy) => "nothing is wrong in either".into(),
            (Verdict::Undecided, Verdict::Undecided) => {
                "neither could be decided, and no cause was found in either".into()
            }
            (_, Verdict::Undecided) => "what was healthy can no longer be told".into(),
            (Verdict::Undecided, Verdict::Healthy) => "what could not be decided is healthy".into(),
            _ if sees_less => "no cause is known to have come or gone".into(),
            _ => "no cause came or went".into(),
        });
    }
    if outcome != Outcome::Worse {
        let checks = |number: usize, one: &str, many: &str| {
            (number > 0).then(|| format!("{} {}", count(number, "check"), if number == 1 { one } else { many }))
        };
        parts.extend(checks(unseen.unknown, "is no longer known", "are no longer known"));
        parts.extend(checks(unseen.inapplicable, "no longer applies", "no longer apply"));
    }
    let word = match outcome {
        Outcome::Better => "better",
        Outcome::Same => "the same",
        Outcome::Changed => "neither better nor worse",
        Outcome::Worse => "worse",
        Outcome::Undecided => "it cannot be told",
    };
    format!("{word}: {}", parts.join("; "))
}

/// `the cause a`, `the causes a, b and 2 more`.
fn named(causes: &[&Cause]) -> String {
    let warns = |cause: &&Cause| {
        let mut weights = [cause.before, cause.after].into_iter().flatten();
        !cause.weight_unknown && weights.all(|weight| weight.severity == Severity::Warn)
    };
    let all_warn = causes.iter().all(warns);
    let noun = if all_warn { "warning" } else { "cause" };
    let ids: Vec<&str> = causes.iter().take(NAMED_MAX).map(|cause| cause.cause.as_str()).collect();
    let more = causes.len().saturating_sub(NAMED_MAX);
    let listed = match (ids.split_last(), more) {
        (Some((last, [])), _) => (*last).to_owned(),
        (Some((last, others)), 0) => format!("{} and {last}", others.join(", ")),
        _ => format!("{} and {more} more", ids.join(", ")),
    };
    format!("the {noun}{} {listed}", if causes.len() == 1 { "" } else { "s" })
}
