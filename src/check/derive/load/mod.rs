//! What load did to the server: the verdict on each step, the knee, the breaking point, how many users it holds, where the
//! time goes, and whether memory grows.

pub mod against;
pub mod baseline;
pub mod capacity;
mod config;
#[cfg(test)]
pub(crate) mod constructed;
mod counted;
mod judgement;
mod knee;
mod memory;
mod refusals;
mod split;
pub mod statistics;
mod step;
#[cfg(test)]
mod tests;
pub mod thresholds;

pub use capacity::Capacity;
pub use config::{ConfigChange, changes as config_changes};
pub use judgement::Judgement;
pub use memory::{JudgedMemory, gpu_leak, judge as memory};
pub use refusals::{cached, own_limit};
pub use split::{TimePart, TimeSplit};
pub use step::{JudgedStep, judge as steps, of as judged};

use super::Basis;
use crate::snapshot::{Fact, Facts, LoadStep, Unknown, Why, room};

room! {
    /// What follows from load. Texts are empty where there is nothing to tell.
    pub struct UnderLoad {
        /// Each step with its verdict.
        pub load_steps: Vec<JudgedStep>,
        /// Users from which on more of them only wait: R0 x Xmax, the unloaded time of a request times the highest
        /// throughput.
        pub load_knee_users: f64,
        /// The step from which on more users added less than a fifth of their share to the throughput.
        pub load_flat_from_users: u64,
        /// Both in words, or why there is no knee.
        pub load_knee_because: String,
        /// Highest throughput of a step that is healthy, requests a second.
        pub load_capacity_rps: f64,
        /// Users that this holds, by the time from one request of a user to its next.
        pub load_capacity: Vec<Capacity>,
        /// From which load on the server is overloaded, and by what.
        pub load_breaking_point: String,
        /// Whether the lightest step already was.
        pub load_breaks_at_once: bool,
        /// That the server refuses requests under load which it takes with less.
        pub load_refusals: String,
        /// Where the time of requests goes, at the lightest load and at the heaviest.
        pub load_time: Vec<TimeSplit>,
        /// Lines of Triton's `config.pbtxt` that would pay.
        pub load_config_changes: Vec<ConfigChange>,
        /// How memory went: per GPU, per process on it, and beside it.
        pub load_memory: Vec<JudgedMemory>,
        /// That the server's memory beside the GPU leaks.
        pub load_resident_leak: String,
        /// How the run compares with what such a model usually takes on such a GPU.
        pub load_baseline: String,
    }
}

impl UnderLoad {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let judged = step::judge(facts);
        let knee = judged
            .as_deref()
            .map_err(Unknown::clone)
            .and_then(|judged| judgement::knee(facts, judged).map_err(|words| Unknown::new(Why::NotAsked, words)));
        let healthy = judged.as_deref().map_err(Unknown::clone).and_then(|judged| {
            let none = || Unknown::new(Why::NotAsked, "no step was healthy");
            capacity::healthy(judged).ok_or_else(none)
        });
        let breaking = judged.as_deref().map_err(Unknown::clone).and_then(broken);
        let memory = memory::judge(facts);
        Self {
            load_knee_users: knee.clone().map(|knee| knee.users).into(),
            load_flat_from_users: knee.clone().map(|knee| knee.flat_from_users).into(),
            load_knee_because: knee.map(|knee| knee.because).into(),
            load_capacity_rps: healthy.clone().map(|step| step.throughput_rps).into(),
            load_capacity: healthy.map(capacity::table).into(),
            load_breaks_at_once: breaking.clone().map(|(_, at_once)| at_once).into(),
            load_breaking_point: breaking.map(|(words, _)| words).into(),
            load_refusals: judged
                .as_deref()
                .map_err(Unknown::clone)
                .and_then(|one| refusals::refused(facts, one))
                .into(),
            load_time: times(facts, &judged).into(),
            load_config_changes: changes(facts, &judged).into(),
            load_resident_leak: memory.as_deref().map(memory::resident_leak).map_err(Unknown::clone).into(),
            load_memory: memory.into(),
            load_baseline: Fact::from(baseline::compare(facts, &baseline::built_in(), None, None))
                .map(|one| one.because),
            load_steps: judged.into(),
        }
    }
}

/// The breaking point in words, and whether the lightest load is beyond it; unknown where nothing was judged.
fn broken(judged: &[JudgedStep]) -> Result<(String, bool), Unknown> {
    if !judged.iter().any(JudgedStep::counts) {
        let detail = judged.iter().flat_map(|step| &step.because).next().cloned();
        let detail = detail.unwrap_or_else(|| "no step came to its end".into());
        return Err(Unknown::new(Why::Unsupported, format!("no step is to be reckoned with: {detail}")));
    }
    let at_once = knee::breaking(judged).is_some_and(|(below, _)| below.is_none());
    Ok((knee::breaking_in_words(judged), at_once))
}

type Counted<'f, 'j> = Vec<(&'f LoadStep, &'j JudgedStep)>;

fn none_counts() -> Unknown {
    Unknown::new(Why::NotAsked, "no step is to be reckoned with")
}

/// Steps whose figures count, with their verdicts.
fn counted_steps<'f, 'j>(
    facts: &'f Facts,
    judged: &'j Result<Vec<JudgedStep>, Unknown>,
) -> Result<Counted<'f, 'j>, Unknown> {
    let judged = judged.as_ref().map_err(Unknown::clone)?;
    Ok(facts.load.steps.read()?.iter().zip(judged).filter(|(_, judged)| judged.counts()).collect())
}

/// The step in which the server had most to do and still did it: the most users of those that come near the highest
/// throughput. With more of them it may fail for another reason.
fn fullest<'f, 'j>(counted: &Counted<'f, 'j>) -> Option<(&'f LoadStep, &'j JudgedStep)> {
    const NEAR: f64 = 0.9;
    let best = counted.iter().map(|(step, _)| step.throughput_rps).fold(0.0, f64::max);
    counted.iter().filter(|(step, _)| step.throughput_rps >= NEAR * best).max_by_key(|(step, _)| step.users).copied()
}

/// What the server's counters told of the fullest step, for those who judge traffic: the step, and its load in words.
pub fn told(facts: &Facts) -> Option<(&LoadStep, String)> {
    let judged = step::judge(facts);
    let (step, judged) = fullest(&counted_steps(facts, &judged).ok()?)?;
    step.models.known()?;
    Some((step, judged.load()))
}

/// Lines of Triton's configuration that would pay where the server had most to do.
fn changes(facts: &Facts, judged: &Result<Vec<JudgedStep>, Unknown>) -> Result<Vec<ConfigChange>, Unknown> {
    let counted = counted_steps(facts, judged)?;
    let (step, _) = fullest(&counted).ok_or_else(none_counts)?;
    Ok(config::changes(facts, step))
}

/// Where the time goes with the fewest users and with the most.
fn times(facts: &Facts, judged: &Result<Vec<JudgedStep>, Unknown>) -> Result<Vec<TimeSplit>, Unknown> {
    let counted = counted_steps(facts, judged)?;
    let ends = [
        counted.iter().min_by_key(|(step, _)| step.users),
        counted.iter().max_by_key(|(step, _)| step.users).filter(|_| counted.len() > 1),
    ];
    ends.into_iter().flatten().map(|(step, judged)| split::of(facts, step, judged.load())).collect()
}
