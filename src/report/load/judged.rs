//! What the steps of a load come to.

use crate::check::{ConfigChange, JudgedMemory, LoadJudgement, TimePart, TimeSplit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the steps come to. What is not known is null, and why is said in words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Users from which on more of them only wait.
    #[serde(default)]
    pub knee_users: Option<f64>,
    /// How that is known, or why it is not.
    #[serde(default)]
    pub knee_because: String,
    /// From which load on the server is overloaded; empty where no step was.
    #[serde(default)]
    pub breaking_point: String,
    /// Highest throughput of a healthy step, requests a second.
    #[serde(default)]
    pub capacity_rps: Option<f64>,
    /// The load of that step, in words.
    #[serde(default)]
    pub capacity_from: String,
    /// Users that this holds, by the time from one request of a user to its next.
    #[serde(default)]
    pub capacity: Vec<Users>,
    /// Whether the wanted loads are held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<Holds>,
    /// Where the time of requests goes, with the fewest users and with the most.
    #[serde(default)]
    pub time: Vec<TimeSplit>,
    /// Why that is not known; empty where it is.
    #[serde(default)]
    pub time_unknown: String,
    /// Lines of Triton's `config.pbtxt` that would pay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_changes: Vec<ConfigChange>,
    /// How memory went over the whole load.
    #[serde(default)]
    pub memory: Vec<Memory>,
}

/// Users that are held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Users {
    /// Time from one request of a user to its next, seconds.
    pub interval_s: f64,
    /// Users.
    pub users: u64,
}

/// Whether a wanted load is held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holds {
    /// Users.
    pub users: u64,
    /// Time from one request of a user to its next, seconds.
    pub interval_s: f64,
    /// Requests a second that they need.
    pub needed_rps: f64,
    /// `yes`, `degraded`, `no`, or `not_measured` where no step came so far and the server had more to give.
    pub verdict: String,
    /// The figures in words.
    pub because: String,
}

/// How one series of memory went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// `gpu` for a GPU as a whole, `gpu_process` for a process of the server on it, `resident` for one beside it.
    pub of: String,
    /// The GPU; empty for `resident`.
    pub uuid: String,
    /// The process; null for `gpu`.
    pub pid: Option<u64>,
    /// `plateau`, `leak` or `undecided`.
    pub verdict: String,
    /// The figures in words.
    pub because: String,
    /// Growth with each request, bytes.
    pub bytes_per_request: Option<f64>,
}

impl Judged {
    /// What a judged load comes to.
    pub fn of(judgement: &LoadJudgement) -> Self {
        let knee = judgement.knee.as_ref();
        let memory = |one: &JudgedMemory| Memory {
            of: one.of.clone(),
            uuid: one.uuid.clone(),
            pid: one.pid.known().copied(),
            verdict: one.verdict.clone(),
            because: one.because.clone(),
            bytes_per_request: one.bytes_per_request.known().map(|bytes| bytes.round()),
        };
        Self {
            knee_users: knee.ok().map(|knee| (knee.users * 10.0).round() / 10.0),
            knee_because: knee.map_or_else(String::clone, |knee| knee.because.clone()),
            breaking_point: judgement.breaking_point.clone(),
            capacity_rps: judgement.capacity_from.as_ref().map(|step| step.throughput_rps),
            capacity_from: judgement.capacity_from.as_ref().map(|step| step.load()).unwrap_or_default(),
            capacity: { judgement.capacity.iter() }
                .map(|one| Users { interval_s: one.interval_s, users: one.users })
                .collect(),
            holds: { judgement.holds.iter() }
                .map(|(wanted, holds)| Holds {
                    users: wanted.users,
                    interval_s: wanted.interval_s,
                    needed_rps: holds.needed_rps,
                    verdict: holds.verdict.into(),
                    because: holds.because.clone(),
                })
                .collect(),
            time: judgement.time.clone().unwrap_or_default(),
            time_unknown: judgement.time.as_ref().err().map(|unknown| unknown.detail.clone()).unwrap_or_default(),
            config_changes: judgement.config_changes.clone(),
            memory: judgement.memory.iter().map(memory).collect(),
        }
    }
}

impl Memory {
    /// Whose it is, in words.
    pub fn whose(&self) -> String {
        match (self.of.as_str(), self.pid) {
            ("gpu", _) => format!("GPU {}", self.uuid),
            ("gpu_process", Some(pid)) => format!("process {pid} on GPU {}", self.uuid),
            (_, Some(pid)) => format!("process {pid}, beside the GPU"),
            _ => "the server".into(),
        }
    }
}

impl TimeSplit {
    /// Where the time of a request goes, in words.
    pub fn sentence(&self) -> String {
        let part =
            |part: &TimePart| format!("{} {:.1} ms ({:.0} %)", part.part.replace('_', " "), part.ms, part.percent);
        let parts = self.parts.iter().map(part).collect::<Vec<_>>().join(", ");
        format!("Where {:.1} ms go with {}: {parts}.", self.request_ms, self.load)
    }
}
