//! From how many users on more of them only wait, and where the server breaks.
//!
//! By N* = R0 x Xmax, the users that an unloaded server answers at its highest throughput, and by what further users add.
//! The universal scalability law is not fitted: on servers of known capacity it was off by several times.

use super::step::JudgedStep;
use super::thresholds::figures;

/// The knee.
#[derive(Debug, Clone, PartialEq)]
pub struct Knee {
    /// Users from which on throughput hardly grows: N*.
    pub users: f64,
    /// The step from which on a further user added less than a fifth of its share.
    pub flat_from_users: u64,
    /// Highest throughput of any step, requests a second.
    pub best_rps: f64,
    /// Both in words.
    pub because: String,
}

/// Steps of the closed model whose figures count, by their users, one for each number of them.
fn climbing(steps: &[JudgedStep]) -> Vec<&JudgedStep> {
    let mut climbing: Vec<&JudgedStep> =
        steps.iter().filter(|step| step.counts() && step.is_closed() && step.throughput_rps > 0.0).collect();
    climbing.sort_by_key(|step| step.users);
    climbing.dedup_by_key(|step| step.users);
    climbing
}

/// The knee, with a request that takes so long without load and users that wait so long between two; or why there is
/// none, in words.
pub fn find(steps: &[JudgedStep], unloaded_ms: Option<f64>, think_time_ms: f64) -> Result<Knee, String> {
    let climbing = climbing(steps);
    let (Some(lightest), Some(heaviest)) = (climbing.first(), climbing.last()) else {
        return Err("no step is to be reckoned with".into());
    };
    if climbing.len() < 3 {
        return Err(format!("{} steps are too few to see where throughput bends: three are needed", climbing.len()));
    }
    let best = climbing.iter().map(|step| step.throughput_rps).fold(0.0, f64::max);
    // One disturbed step is no bend: with all that follow more users must have added little.
    let flat = climbing.iter().enumerate().find_map(|(at, before)| {
        let later = climbing.get(at + 1..).filter(|later| !later.is_empty())?;
        let little = |after: &&JudgedStep| gain(before, after).is_some_and(|gain| gain < figures::marginal_gain());
        later.iter().all(little).then_some(*before)
    });
    let Some(flat) = flat else {
        return Err(format!(
            "throughput still rose at {}, with {:.0} requests a second",
            heaviest.load(),
            heaviest.throughput_rps
        ));
    };
    let unloaded = unloaded_ms.or(lightest.mean_ms.known().copied()).ok_or("no request's time is known")?;
    let users = (unloaded + think_time_ms.max(0.0)) / 1e3 * best;
    let because = format!(
        "a request takes {unloaded:.1} ms without load, and at most {best:.1} a second were answered, so that {users:.1} \
         users keep the server busy; from {} on more users added less than {:.0} % of their share",
        flat.load(),
        100.0 * figures::marginal_gain()
    );
    Ok(Knee { users, flat_from_users: flat.users, best_rps: best, because })
}

/// Growth of throughput as a share of the growth of users.
fn gain(before: &JudgedStep, after: &JudgedStep) -> Option<f64> {
    let users = after.users as f64 / before.users as f64 - 1.0;
    let throughput = after.throughput_rps / before.throughput_rps - 1.0;
    (users > 0.0 && throughput.is_finite()).then(|| throughput / users)
}

/// The lightest step that is overloaded by what its clients see, with the heaviest below it that is not.
pub fn breaking<'a>(steps: &'a [JudgedStep]) -> Option<(Option<&'a JudgedStep>, &'a JudgedStep)> {
    let load = |step: &&JudgedStep| (step.rate_rps.known().copied().unwrap_or(0.0), step.users);
    let order =
        |a: &&'a JudgedStep, b: &&'a JudgedStep| load(a).partial_cmp(&load(b)).unwrap_or(std::cmp::Ordering::Equal);
    let broken = steps.iter().filter(|step| step.verdict == "overloaded").min_by(order)?;
    let below = |step: &&JudgedStep| step.counts() && step.verdict != "overloaded" && load(step) < load(&broken);
    Some((steps.iter().filter(below).max_by(order), broken))
}

/// The breaking point in words; empty where no step was overloaded.
pub fn breaking_in_words(steps: &[JudgedStep]) -> String {
    let Some((below, broken)) = breaking(steps) else { return String::new() };
    let why = broken.because.join(", ");
    match below {
        Some(below) => format!("the server keeps up with {}, and not with {}: {why}", below.load(), broken.load()),
        None => format!("the server does not keep up even with {}: {why}", broken.load()),
    }
}
