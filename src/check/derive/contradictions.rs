//! What is claimed and was seen otherwise. No cause by itself: it tells whose word not to trust.
//!
//! Both sides must be known. What is missing contradicts nobody.

use super::activity::LEAST_SAMPLES;
use super::claims::{self, Claim, Kind};
use super::server::{is_gpu, is_of_context, onnxruntime_without_cuda, other_gpu_runtime_seen};
use super::{Basis, served};
use crate::snapshot::{Fact, Facts, GpuWindow, Phases, Saying, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// What does not fit together.
    pub struct Contradictions {
        /// Claims that something seen contradicts; empty if there is none.
        pub contradictions: Vec<Contradiction>,
    }
}

/// A claim, and what was seen instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contradiction {
    /// What is claimed, in words.
    pub claim: String,
    /// By whom.
    pub claimed_by: String,
    /// What was seen.
    pub measured: String,
    /// By what.
    pub measured_by: String,
}

/// Contradictions told, at most.
const TOLD_MAX: usize = 12;
/// Utilization by the server's processes that a whole card at 0 % contradicts, percent.
const SHARE_PERCENT: f64 = 10.0;

impl Contradictions {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let mut found = Vec::new();
        found.extend(of_claims(basis));
        found.extend(of_provider(basis));
        found.extend(of_ollama(basis));
        found.extend(of_counts(basis.facts));
        found.extend(of_times(basis.facts));
        found.extend(of_counters(basis.facts));
        found.truncate(TOLD_MAX);
        Self { contradictions: Fact::Known(found) }
    }
}

fn told(claim: &Claim, measured: String, measured_by: String) -> Contradiction {
    Contradiction { claim: claim.says.clone(), claimed_by: claim.by.clone(), measured, measured_by }
}

/// What the server says of its device, against its processes, the GPU and its onnxruntime.
fn of_claims(basis: &Basis) -> Vec<Contradiction> {
    if basis.gpu_seen_working {
        return Vec::new();
    }
    let facts = basis.facts;
    let idle = match &basis.activity {
        Ok((verdict @ ("idle" | "loaded_not_computing"), words)) => Some((*verdict, words)),
        _ => None,
    };
    let seen = |claim: Claim| match (claim.kind, idle) {
        (Kind::OnGpu, Some(("idle", _))) if let Some((measured, by)) = holds_nothing(facts) => {
            Some(told(&claim, measured, by))
        }
        (Kind::OnGpu, Some((_, words))) => {
            let measured = "no GPU did any work while its requests were accepted".to_owned();
            Some(told(&claim, measured, words.clone()))
        }
        _ => without_provider(facts).map(|(measured, by)| told(&claim, measured, by)),
    };
    claims::of(facts).into_iter().filter_map(seen).collect()
}

/// That the server's processes hold neither a GPU's node nor its memory, if that was seen before the first request and after
/// the last one, with the places.
fn holds_nothing(facts: &Facts) -> Option<(String, String)> {
    let before = facts.process.device_nodes_open.known()?;
    let after = facts.execution.device_nodes_open_after.known()?;
    // The GPU of a Tegra has other nodes.
    if before.iter().chain(after).any(|node| is_of_context(node)) || facts.host.tegra.known() == Some(&true) {
        return None;
    }
    let processes = facts.process.processes.known().filter(|all| !all.is_empty())?;
    let pids: Vec<String> = processes.iter().take(4).map(|process| process.pid.to_string()).collect();
    let windows = facts.execution.gpus.known().into_iter().flatten();
    if windows.into_iter().any(|window| window.server_memory_bytes.known() > Some(&0)) {
        return None;
    }
    let measured = "its processes hold no GPU memory and do not have /dev/nvidia-uvm open".to_owned();
    Some((measured, format!("open files of PID {}, before the first request and after the last", pids.join(", "))))
}

/// That the onnxruntime which the server has loaded cannot use CUDA, where it is what computes.
fn without_provider(facts: &Facts) -> Option<(String, String)> {
    let (before, after) = (facts.process.gpu_libraries.known()?, &facts.execution.gpu_libraries_after);
    let has = |name: &str| before.contains_key(name) || after.known().is_some_and(|after| after.contains_key(name));
    let opened = |nodes: &Fact<Vec<String>>| nodes.known().is_none_or(|nodes| nodes.iter().any(|node| is_gpu(node)));
    let nowhere_else = !other_gpu_runtime_seen(facts) && !opened(&facts.process.device_nodes_open);
    let loaded = before.keys().chain(after.known().into_iter().flat_map(|after| after.keys()));
    let loaded = { loaded }.any(|name| name.starts_with("onnxruntime"));
    if !nowhere_else || !loaded || has("onnxruntime_cuda_provider") {
        return None;
    }
    (onnxruntime_without_cuda(facts).known() == Some(&true)).then(|| {
        let by = facts.ort.library.known().cloned().unwrap_or_else(|| "the installed packages".to_owned());
        ("the onnxruntime that it has loaded is built without CUDA".to_owned(), by)
    })
}

/// A log that names CUDA among a session's providers, and a process that has not loaded it.
fn of_provider(basis: &Basis) -> Option<Contradiction> {
    let facts = basis.facts;
    if basis.gpu_seen_working {
        return None;
    }
    let named = |one: &&Saying| {
        let providers = one.values.get("providers");
        one.id == "ort-applied-providers" && providers.is_some_and(|all| all.contains("CUDAExecutionProvider"))
    };
    let said = facts.server_log.sayings.known()?.iter().rev().find(named)?;
    let (before, after) = (facts.process.gpu_libraries.known()?, facts.execution.gpu_libraries_after.known()?);
    let mut loaded = before.keys().chain(after.keys());
    let there = loaded.clone().any(|name| name.starts_with("onnxruntime"));
    if !there || loaded.any(|name| name == "onnxruntime_cuda_provider") {
        return None;
    }
    Some(Contradiction {
        claim: format!("the server logs \"{}\"", said.line.trim()),
        claimed_by: format!("{}, line {}", said.file, said.line_number),
        measured: "none of its processes has onnxruntime's CUDA provider mapped".to_owned(),
        measured_by: "/proc/PID/maps, before the first request and after the last".to_owned(),
    })
}

/// Ollama's word, which is weighed elsewhere.
fn of_ollama(basis: &Basis) -> Option<Contradiction> {
    let unseen = super::engine::claim_unseen(basis.facts, basis.gpu_seen_working).ok()?;
    let (claim, measured) = unseen.split_once(", but ")?;
    Some(Contradiction {
        claim: format!("ollama says that its model is on the GPU: {claim}"),
        claimed_by: "/api/ps".to_owned(),
        measured: measured.to_owned(),
        measured_by: "NVML and /proc/PID/fd".to_owned(),
    })
}

/// Accepted answers that the model's own counters know nothing of.
fn of_counts(facts: &Facts) -> Option<Contradiction> {
    let accepted = *facts.execution.requests_ok.known()?;
    let pages = facts.counters.pages.known()?;
    let counted = served::none_computed(facts)?;
    Some(Contradiction {
        claim: format!("{accepted} requests were accepted"),
        claimed_by: "the answers".to_owned(),
        measured: counted,
        measured_by: pages.join(", "),
    })
}

/// A time of the model that is longer than the request that it is a part of: of another request (a cache), or in another
/// unit.
fn of_times(facts: &Facts) -> Option<Contradiction> {
    let execution = &facts.execution;
    let (ms, place) = (execution.server_reported_over_ms.known()?, execution.server_reported_over_in.known()?);
    let took = execution.request_ms_median.known()?;
    Some(Contradiction {
        claim: format!("the server says that its model took {ms:.1} ms"),
        claimed_by: place.clone(),
        measured: format!("the whole request took {took:.1} ms"),
        measured_by: "the doctor's clock; an answer from a cache tells the time of the request that filled it"
            .to_owned(),
    })
}

/// A card that reads 0 % while another of its counters tells of the server's work.
fn of_counters(facts: &Facts) -> Vec<Contradiction> {
    let windows = facts.execution.gpus.known().into_iter().flatten();
    windows.filter_map(of_one_gpu).collect()
}

fn of_one_gpu(window: &GpuWindow) -> Option<Contradiction> {
    fn enough(phases: &Fact<Phases>) -> Option<&Phases> {
        phases.known().filter(|phases| phases.during.samples >= LEAST_SAMPLES)
    }
    let rests = enough(&window.utilization_percent).filter(|phases| phases.during.max == 0.0)?;
    let own = enough(&window.process_utilization_percent).map(|phases| phases.during.mean);
    let (measured, measured_by) = match (own, enough(&window.sm_activity_percent).map(|phases| phases.during.mean)) {
        (Some(own), _) if own >= SHARE_PERCENT => {
            (format!("the server's processes used {own:.0} % of it"), "nvmlDeviceGetProcessUtilization")
        }
        (_, Some(active)) if active >= SHARE_PERCENT => {
            (format!("{active:.0} % of its multiprocessors were active"), "NVML's GPM")
        }
        _ => {
            let (before, during) = super::activity::signals::energy_rates(window)?;
            if !super::activity::drew_far_more(window) {
                return None;
            }
            let words = format!("it drew {:.0} W instead of {:.0} W", during / 1e3, before / 1e3);
            (words, "its energy counter, which no burst escapes")
        }
    };
    Some(Contradiction {
        claim: format!("GPU {} was at 0 % in all of {} samples", window.index, rests.during.samples),
        claimed_by: "utilization, as nvidia-smi shows it".to_owned(),
        measured,
        measured_by: measured_by.to_owned(),
    })
}
