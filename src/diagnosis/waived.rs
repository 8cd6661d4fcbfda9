//! Causes that the user knows and accepts for a time. The diagnosis is made without them; then they are laid over it, so
//! that a waived cause is told like any other, with whose word it is and until when.

use super::{Diagnosed, Verdict};
use crate::check::{Severity, Waiver};
use crate::words::count;
use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a cause does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waived {
    /// The user's reason.
    pub reason: String,
    /// The last day on which it does not count: `2027-01-31`.
    pub until: String,
}

/// What became of a waiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaiverTold {
    /// The check's id.
    pub id: String,
    /// The user's reason.
    pub reason: String,
    /// The last day on which it holds: `2027-01-31`.
    pub until: String,
    /// What became of it.
    pub standing: WaiverStanding,
    /// The same in a sentence.
    pub said: String,
}

/// What became of a waiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaiverStanding {
    /// Its cause was found, and does not count.
    Applied,
    /// Its day is past and its cause was found: that fails.
    Expired,
    /// Its day could not be compared with that of the facts, and its cause was found: that fails.
    Undated,
    /// Its cause was not found, or could not be decided.
    Unused,
}

impl WaiverStanding {
    /// Whether it does not hold although its cause is there.
    pub fn fails(self) -> bool {
        matches!(self, Self::Expired | Self::Undated)
    }
}

impl Waived {
    /// It in words: `waived until 2027-01-31: REASON`.
    pub fn in_words(&self) -> String {
        format!("waived until {}: {}", self.until, self.reason)
    }
}

impl Diagnosed {
    /// What it comes to for the exit code: without what is waived.
    pub fn counted(&self) -> Verdict {
        let fails = |one: &super::Diagnosis| one.severity == Severity::Fail && one.waived.is_none();
        match self.verdict {
            _ if self.waivers.iter().any(|waiver| waiver.standing.fails()) => Verdict::Unhealthy,
            Verdict::Unhealthy if !self.diagnoses.iter().any(fails) => self.apart_from_failures,
            verdict => verdict,
        }
    }
}

/// Marks the causes that are waived, and tells of each waiver what became of it. The day is that on which the facts were
/// taken, so that a snapshot is judged alike at any time.
pub fn waive(diagnosed: &mut Diagnosed, waivers: &[Waiver], taken_at: &str) {
    if waivers.is_empty() {
        return;
    }
    let day = taken_at.parse::<Timestamp>().ok().map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date());
    diagnosed.waivers = waivers.iter().map(|waiver| lay(diagnosed, waiver, day)).collect();
    diagnosed.headline = headline(diagnosed);
}

fn lay(diagnosed: &mut Diagnosed, waiver: &Waiver, day: Option<Date>) -> WaiverTold {
    let Waiver { id, reason, until, .. } = waiver;
    let told = |standing, said| WaiverTold {
        id: id.clone(),
        reason: reason.clone(),
        until: until.to_string(),
        standing,
        said,
    };
    let behind = diagnosed.diagnoses.iter().find(|one| one.explains.contains(id)).map(|one| one.cause.clone());
    let Some(cause) = diagnosed.diagnoses.iter_mut().find(|one| one.cause == *id) else {
        let past = if day.is_some_and(|day| day > *until) { format!("; it expired on {until}") } else { String::new() };
        let why = match behind {
            Some(cause) => format!("{id} shows, but {cause} is behind it, which is not waived"),
            None if is_unknown(diagnosed, id) => format!("whether {id} holds could not be decided"),
            None => format!("{id} was not found"),
        };
        return told(WaiverStanding::Unused, format!("the waiver of {id} is not used: {why}{past}"));
    };
    match day {
        Some(day) if day <= *until => {
            cause.waived = Some(Waived { reason: reason.clone(), until: until.to_string() });
            told(WaiverStanding::Applied, format!("{id} is waived until {until}: {reason}"))
        }
        Some(_) => {
            told(WaiverStanding::Expired, format!("the waiver of {id} expired on {until}, so that it counts again"))
        }
        None => told(
            WaiverStanding::Undated,
            format!(
                "the waiver of {id} does not count: its day, {until}, could not be compared, for the facts do not tell when \
                 they were taken"
            ),
        ),
    }
}

/// Whether the check could not be decided.
fn is_unknown(diagnosed: &Diagnosed, id: &str) -> bool {
    diagnosed.findings.iter().any(|finding| finding.check == id && finding.verdict == "unknown")
}

/// The sentence, with what of it is waived or is so no longer.
fn headline(diagnosed: &Diagnosed) -> String {
    let line = &diagnosed.headline;
    let with = |standing: WaiverStanding| -> Vec<&WaiverTold> {
        diagnosed.waivers.iter().filter(|waiver| waiver.standing == standing).collect()
    };
    let (applied, expired) = (with(WaiverStanding::Applied), with(WaiverStanding::Expired));
    let first = applied.iter().map(|waiver| waiver.until.as_str()).min().unwrap_or_default();
    let until = if applied.len() > 1 { format!("the first until {first}") } else { format!("until {first}") };
    let dated = |all: &[&WaiverTold]| -> String {
        all.iter().map(|one| format!("{} ({})", one.id, one.until)).collect::<Vec<_>>().join(", ")
    };
    if !expired.is_empty() {
        return format!("{line}; waiver expired: {}", dated(&expired));
    }
    let undated = with(WaiverStanding::Undated);
    if !undated.is_empty() {
        return format!("{line}; waiver whose day could not be compared: {}", dated(&undated));
    }
    let counts = |severity| diagnosed.diagnoses.iter().any(|one| one.severity == severity && one.waived.is_none());
    if applied.is_empty() {
        return line.clone();
    }
    if diagnosed.verdict == Verdict::Unhealthy && !counts(Severity::Fail) {
        let lead = match diagnosed.apart_from_failures {
            Verdict::Undecided => "Undecided apart from what is waived",
            _ if counts(Severity::Warn) => "No failure apart from what is waived",
            _ => "Nothing wrong apart from what is waived",
        };
        return format!("{lead} ({}, {until}): {line}", count(applied.len(), "cause"));
    }
    let ids: Vec<&str> = applied.iter().map(|one| one.id.as_str()).collect();
    format!("{line}; waived {until}: {}", ids.join(", "))
}

#[cfg(test)]
#[path = "waived_tests.rs"]
mod tests;
