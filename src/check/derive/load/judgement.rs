//! What a load comes to, for a report: what the checks judge it by.

use super::capacity::{self, Capacity, Holds};
use super::knee::{self, Knee};
use super::memory::{self, JudgedMemory};
use super::step::{self, JudgedStep};
use super::{ConfigChange, TimeSplit};
use crate::snapshot::{Facts, Unknown, WantedUsers};

/// A load, judged.
#[derive(Debug, Clone)]
pub struct Judgement {
    /// Each step with its verdict.
    pub steps: Vec<JudgedStep>,
    /// From how many users on more of them only wait, or why that is not known.
    pub knee: Result<Knee, String>,
    /// From which load on the server is overloaded, in words; empty where no step was.
    pub breaking_point: String,
    /// The step with the highest throughput that is healthy.
    pub capacity_from: Option<JudgedStep>,
    /// Users that this holds, by the time from one request of a user to its next.
    pub capacity: Vec<Capacity>,
    /// Whether each wanted load is held.
    pub holds: Vec<(WantedUsers, Holds)>,
    /// Where the time of requests goes, with the fewest users and with the most, or why that is not known.
    pub time: Result<Vec<TimeSplit>, Unknown>,
    /// Lines of Triton's `config.pbtxt` that would pay.
    pub config_changes: Vec<ConfigChange>,
    /// How memory went.
    pub memory: Vec<JudgedMemory>,
}

impl Judgement {
    /// Judges the load of these facts; nothing where none was made.
    pub fn of(facts: &Facts) -> Option<Self> {
        let judged = step::judge(facts);
        let (time, config_changes) = (super::times(facts, &judged), super::changes(facts, &judged));
        let steps = judged.ok()?;
        let healthy = capacity::healthy(&steps).cloned();
        let wanted = facts.load.wanted.known().map(Vec::as_slice).unwrap_or_default();
        let holds = |one: &WantedUsers| (one.clone(), capacity::holds(&steps, one.users, one.interval_s));
        Some(Self {
            knee: knee(facts, &steps),
            breaking_point: knee::breaking_in_words(&steps),
            capacity: healthy.as_ref().map(capacity::table).unwrap_or_default(),
            capacity_from: healthy,
            holds: wanted.iter().map(holds).collect(),
            time,
            config_changes: config_changes.unwrap_or_default(),
            memory: memory::judge(facts).unwrap_or_default(),
            steps,
        })
    }
}

/// The knee of these steps, or why there is none.
pub fn knee(facts: &Facts, steps: &[JudgedStep]) -> Result<Knee, String> {
    let made = facts.load.steps.known().map(Vec::as_slice).unwrap_or_default();
    let think_time = facts.load.think_time_ms.known().copied().unwrap_or(0.0);
    knee::find(steps, step::unloaded_ms(facts, made), think_time)
}
