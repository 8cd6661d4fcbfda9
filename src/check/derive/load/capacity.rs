//! How many users a server holds that each send a request every so many seconds.

use super::step::JudgedStep;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Intervals for which the users are told, seconds.
const INTERVALS_S: [f64; 6] = [1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// Users that a server holds at one request of each in an interval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// Time from one request of a user to its next, seconds.
    pub interval_s: f64,
    /// Users.
    pub users: u64,
}

/// Whether a server holds a wanted load.
#[derive(Debug, Clone, PartialEq)]
pub struct Holds {
    /// Requests a second that are needed.
    pub needed_rps: f64,
    /// `yes`, `degraded`, `no`, or `not_measured` where no step came so far and the server had more to give.
    pub verdict: &'static str,
    /// The figures in words.
    pub because: String,
}

/// The highest throughput of steps with such a verdict.
fn most<'a>(steps: &'a [JudgedStep], verdicts: &[&str]) -> Option<&'a JudgedStep> {
    let counted = steps.iter().filter(|step| verdicts.contains(&step.verdict.as_str()) && step.throughput_rps > 0.0);
    counted.max_by(|a, b| a.throughput_rps.total_cmp(&b.throughput_rps))
}

/// The step with the highest throughput that is healthy: what may be counted on.
pub fn healthy(steps: &[JudgedStep]) -> Option<&JudgedStep> {
    most(steps, &["healthy"])
}

/// The users that a step's throughput holds, by interval; an interval shorter than its requests take holds nobody.
pub fn table(step: &JudgedStep) -> Vec<Capacity> {
    let mean = step.mean_ms.known().copied().unwrap_or(f64::INFINITY);
    let row =
        |interval_s: f64| Capacity { interval_s, users: (step.throughput_rps * interval_s).floor().max(0.0) as u64 };
    INTERVALS_S.into_iter().filter(|interval| *interval * 1e3 >= mean).map(row).filter(|row| row.users > 0).collect()
}

/// Whether so many users, each with a request every `interval_s` seconds, are held.
pub fn holds(steps: &[JudgedStep], users: u64, interval_s: f64) -> Holds {
    let needed_rps = users as f64 / interval_s;
    let wanted = format!("{users} users with a request every {interval_s} s need {needed_rps:.1} requests a second");
    let told = |verdict, words: String| Holds { needed_rps, verdict, because: format!("{wanted}; {words}") };
    let at = |step: &JudgedStep| format!("{:.1} were answered with {}", step.throughput_rps, step.load());
    if !(needed_rps.is_finite() && needed_rps > 0.0) {
        return Holds { needed_rps, verdict: "not_measured", because: "that is no load".into() };
    }
    let fits = |step: &JudgedStep| {
        step.throughput_rps >= needed_rps && step.mean_ms.known().is_none_or(|mean| *mean <= interval_s * 1e3)
    };
    let fitting: Vec<JudgedStep> = steps.iter().filter(|step| fits(step)).cloned().collect();
    if let Some(step) = healthy(&fitting) {
        return told("yes", format!("{}, which is healthy", at(step)));
    }
    if let Some(step) = most(&fitting, &["degraded"]) {
        return told("degraded", format!("{}, degraded: {}", at(step), step.because.join(", ")));
    }
    let Some(best) = most(steps, &["healthy", "degraded", "overloaded"]) else {
        return told("not_measured", "no step is to be reckoned with".into());
    };
    match steps.iter().any(|step| matches!(step.verdict.as_str(), "degraded" | "overloaded")) {
        true => told("no", format!("at most {}", at(best))),
        false => told("not_measured", format!("at most {}, and the server was not at its end", at(best))),
    }
}
