//! Which of the installed runtimes may be what runs the model, and what they can do on this machine's GPUs.

use super::Basis;
use crate::snapshot::{Fact, Facts, Gpu, RuntimeBuild, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// What the packages come to.
    pub struct Packages {
        /// The installed runtimes, each with what it was built for and whether it may be what runs the model.
        pub runtimes: Vec<Runtime>,
        /// Names of the installed runtimes that are known to be built with CUDA.
        pub cuda_runtimes_seen: Vec<String>,
        /// Names of the installed runtimes that are known to be built without CUDA and may be what runs the model.
        pub cpu_runtimes_in_question: Vec<String>,
        /// Whether a runtime that was built with CUDA may be what runs the model.
        pub cuda_runtime_in_question: bool,
        /// Ids of what the server was seen to say in its log.
        pub said_in_log: Vec<String>,
        /// Whether the GPU was seen to work for the server, or NVML to list it, so that facts about it that are missing are no
        /// reason for doubt.
        pub server_seen_on_gpu: bool,
        /// Whether the package `onnxruntime` was seen to lack its `__init__.py`.
        pub onnxruntime_seen_gutted: bool,
        /// Whether the package `onnxruntime` was seen with its `__init__.py`.
        pub onnxruntime_seen_whole: bool,
        /// Whether the CPU package of onnxruntime was installed after the server was started.
        pub cpu_onnxruntime_installed_while_serving: bool,
        /// GPUs for which torch holds no code, where torch may be what runs the model.
        pub gpus_without_torch_code: Vec<String>,
        /// Whether torch was seen to hold code for one of the GPUs.
        pub torch_has_code_for_a_gpu: bool,
    }
}

impl Packages {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            runtimes: runtimes(facts),
            cuda_runtimes_seen: Fact::Known(cuda_runtimes_seen(facts)),
            cpu_runtimes_in_question: Fact::Known(cpu_runtimes_in_question(facts)),
            cuda_runtime_in_question: Fact::Known(cuda_runtime_in_question(facts)),
            said_in_log: Fact::Known(said_in_log(facts)),
            server_seen_on_gpu: Fact::Known(basis.gpu_seen_working || server_holds_gpu_context(facts)),
            onnxruntime_seen_gutted: Fact::Known(onnxruntime_seen_gutted(facts)),
            onnxruntime_seen_whole: Fact::Known(onnxruntime_seen_whole(facts)),
            cpu_onnxruntime_installed_while_serving: cpu_onnxruntime_installed_while_serving(facts),
            gpus_without_torch_code: gpus_without_torch_code(facts),
            torch_has_code_for_a_gpu: Fact::Known(torch_has_code_for_a_gpu(facts)),
        }
    }
}

/// Least time between a process's start and an installation that counts as later: start times have a grain of 10 ms, clocks
/// of file systems and kernels differ by less than this, seconds.
const LATER_SECONDS: f64 = 2.0;

/// An installed runtime and its part in the deployment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Runtime {
    /// The distribution: `torch`.
    pub distribution: String,
    /// Its version.
    pub version: String,
    /// Whether it was built to compute on NVIDIA GPUs.
    pub cuda: Fact<bool>,
    /// What says so.
    pub because: String,
    /// Whether it may be what runs the model: the server has it mapped, or no server was named and it is installed in the
    /// environment that was. What merely lies beside the server is out of question.
    pub in_question: Fact<bool>,
}

/// The installed runtimes.
fn runtimes(facts: &Facts) -> Fact<Vec<Runtime>> {
    let runtime = |build: &RuntimeBuild| Runtime {
        distribution: build.distribution.clone(),
        version: build.version.clone(),
        cuda: build.cuda.clone(),
        because: build.because.clone(),
        in_question: in_question(facts, build),
    };
    facts.packages.builds.as_ref().map(|builds| builds.iter().map(runtime).collect())
}

fn in_question(facts: &Facts, build: &RuntimeBuild) -> Fact<bool> {
    match &facts.process.gpu_libraries {
        Fact::Known(mapped) => {
            // sherpa-onnx brings an onnxruntime of its own, which is not the package of that name.
            let own = |path: &String| build.distribution == "sherpa-onnx" || !path.contains("/sherpa_onnx/");
            Fact::Known(build.library_kinds.iter().any(|kind| mapped.get(kind).is_some_and(own)))
        }
        Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => Fact::Known(true),
        Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
    }
}

/// Names of the installed runtimes that are known to be built with CUDA, whether they are used or not.
fn cuda_runtimes_seen(facts: &Facts) -> Vec<String> {
    let builds = facts.packages.builds.known().into_iter().flatten();
    builds.filter(|build| build.cuda.known() == Some(&true)).map(|build| build.distribution.clone()).collect()
}

/// Names of the runtimes that are known to be built without CUDA and to be in question.
fn cpu_runtimes_in_question(facts: &Facts) -> Vec<String> {
    let runtimes = runtimes(facts);
    let runtimes = runtimes.known().into_iter().flatten();
    let on_cpu = |one: &&Runtime| one.cuda.known() == Some(&false) && one.in_question.known() == Some(&true);
    runtimes.filter(on_cpu).map(|one| one.distribution.clone()).collect()
}

/// Whether a runtime that was built with CUDA was seen to be in question. Not seen is no proof of absence.
fn cuda_runtime_in_question(facts: &Facts) -> bool {
    let runtimes = runtimes(facts);
    let mut runtimes = runtimes.known().into_iter().flatten();
    runtimes.any(|one| one.cuda.known() == Some(&true) && one.in_question.known() == Some(&true))
}

/// Whether NVML was seen to list one of the server's processes: it has a context on a GPU, whichever runtime made it.
fn server_holds_gpu_context(facts: &Facts) -> bool {
    let (Some(gpus), Some(processes)) = (facts.nvml.gpus.known(), facts.process.processes.known()) else {
        return false;
    };
    // NVML tells the host's process ids, which mean other processes in a namespace of its own.
    if facts.nvml.host_pid_namespace.known() == Some(&false) {
        return false;
    }
    let listed = gpus.iter().filter_map(|gpu| gpu.processes.known()).flatten();
    listed.into_iter().any(|one| processes.iter().any(|process| process.pid == one.pid))
}

/// Ids of what the server was seen to say in its log.
fn said_in_log(facts: &Facts) -> Vec<String> {
    let mut ids: Vec<String> =
        facts.server_log.sayings.known().into_iter().flatten().map(|saying| saying.id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether the package `onnxruntime` was seen with its `__init__.py`, so that it can be imported.
fn onnxruntime_seen_whole(facts: &Facts) -> bool {
    let mut files = facts.packages.onnxruntime_files.known().into_iter().flatten();
    files.any(|file| file.path == "onnxruntime/__init__.py" && file.present.known() == Some(&true))
}

/// Whether the package `onnxruntime` was seen to be listed and to lack its `__init__.py`.
fn onnxruntime_seen_gutted(facts: &Facts) -> bool {
    let mut files = facts.packages.onnxruntime_files.known().into_iter().flatten();
    files.any(|file| file.path == "onnxruntime/__init__.py" && file.present.known() == Some(&false))
}

/// Whether the CPU package of onnxruntime was installed after the oldest of the server's processes was started.
fn cpu_onnxruntime_installed_while_serving(facts: &Facts) -> Fact<bool> {
    installed_while_serving(facts).into()
}

fn installed_while_serving(facts: &Facts) -> Result<bool, Unknown> {
    let distributions = facts.packages.distributions.read()?;
    let Some(cpu) = distributions.iter().find(|one| one.name == "onnxruntime") else { return Ok(false) };
    let installed = seconds(cpu.installed_at.read()?)?;
    let mut oldest: Option<f64> = None;
    for process in facts.process.processes.read()? {
        let started = seconds(process.started_at.read()?)?;
        oldest = Some(oldest.map_or(started, |oldest| oldest.min(started)));
    }
    let none = || Unknown::new(Why::NotAsked, "the server has no process");
    Ok(installed - oldest.ok_or_else(none)? >= LATER_SECONDS)
}

/// A time, RFC 3339, as seconds since 1970.
fn seconds(time: &str) -> Result<f64, Unknown> {
    let parsed = time.parse::<jiff::Timestamp>();
    let malformed = |error| Unknown::new(Why::Malformed, format!("the time {time}: {error}"));
    parsed.map(|time| time.as_millisecond() as f64 / 1000.0).map_err(malformed)
}

/// The GPUs for which torch, if it is in question, holds no code: name and compute capability. torch's own test is the
/// model (torch/cuda/__init__.py, `_check_cubins`), with code that the driver compiles counted in.
fn gpus_without_torch_code(facts: &Facts) -> Fact<Vec<String>> {
    torch_code(facts).map(|(without, _)| without).into()
}

/// Whether torch was seen to hold code for one of the GPUs.
fn torch_has_code_for_a_gpu(facts: &Facts) -> bool {
    torch_code(facts).is_ok_and(|(_, with)| with > 0)
}

/// The GPUs without torch's code, and the number of those with it.
fn torch_code(facts: &Facts) -> Result<(Vec<String>, usize), Unknown> {
    let nothing = Ok((Vec::new(), 0));
    let builds = facts.packages.builds.read()?;
    let Some(torch) = builds.iter().find(|build| build.distribution == "torch") else { return nothing };
    if !*in_question(facts, torch).read()? || !*torch.cuda.read()? {
        return nothing;
    }
    let architectures = torch.cuda_architectures.read()?;
    let (mut without, mut with, mut open) = (Vec::new(), 0, None);
    for gpu in facts.nvml.gpus.read()? {
        let capability = gpu.compute_capability.read();
        let parsed = capability.and_then(|text| {
            let malformed = || Unknown::new(Why::Malformed, format!("GPU {}: compute capability {text}", gpu.index));
            numbers(text).ok_or_else(malformed)
        });
        match parsed {
            Ok(capability) if runs(architectures, capability) => with += 1,
            Ok(capability) => without.push(named(gpu, capability)),
            Err(unknown) => open = Some(unknown),
        }
    }
    match open {
        Some(unknown) if without.is_empty() => Err(unknown),
        _ => Ok((without, with)),
    }
}

fn named(gpu: &Gpu, (major, minor): (u32, u32)) -> String {
    let name = gpu.name.known().map_or("GPU", String::as_str);
    format!("{name} (index {}, compute capability {major}.{minor})", gpu.index)
}

/// `9.0` as 9 and 0.
fn numbers(capability: &str) -> Option<(u32, u32)> {
    let (major, minor) = capability.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether code for one of the architectures runs on a GPU (CUDA C++ Programming Guide, binary and PTX compatibility): machine
/// code of the same major version and no higher minor one, or text that the driver compiles for this GPU or an older one.
/// Names that end in a letter are for exactly one architecture.
fn runs(architectures: &[String], (major, minor): (u32, u32)) -> bool {
    architectures.iter().any(|architecture| {
        let (text, digits) = match (architecture.strip_prefix("sm_"), architecture.strip_prefix("compute_")) {
            (Some(digits), _) => (false, digits),
            (None, Some(digits)) => (true, digits),
            (None, None) => return false,
        };
        let exact = digits.ends_with(|c: char| c.is_ascii_lowercase());
        let Ok(number) = digits.trim_end_matches(|c: char| c.is_ascii_lowercase()).parse::<u32>() else { return false };
        let built = (number / 10, number % 10);
        match (exact, text) {
            (true, _) => built == (major, minor),
            (false, true) => built <= (major, minor),
            (false, false) => built.0 == major && built.1 <= minor,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_runs_within_its_generation_or_through_the_driver() {
        let cu124: Vec<String> =
            ["sm_50", "sm_60", "sm_70", "sm_75", "sm_80", "sm_86", "sm_90"].map(str::to_owned).into();
        for capability in [(5, 2), (6, 1), (7, 5), (8, 0), (8, 7), (8, 9), (9, 0)] {
            assert!(runs(&cu124, capability), "{capability:?}");
        }
        for capability in [(3, 7), (10, 0), (12, 0)] {
            assert!(!runs(&cu124, capability), "{capability:?}");
        }
        let newer: Vec<String> = ["sm_75", "sm_80", "sm_90a", "compute_90"].map(str::to_owned).into();
        assert!(runs(&newer, (12, 0)) && runs(&newer, (10, 3)), "the driver compiles it");
        assert!(!runs(&newer, (7, 0)) && !runs(&newer, (6, 1)));
        let exact: Vec<String> = ["sm_90a", "compute_100f", "gfx90a", "sm_", "sm_x"].map(str::to_owned).into();
        assert!(runs(&exact, (9, 0)) && !runs(&exact, (10, 3)) && runs(&exact, (10, 0)));
    }

    #[test]
    fn times_are_compared_as_times() {
        assert_eq!(seconds("2026-11-23T01:00:00.5+01:00").unwrap() - seconds("2026-11-22T23:59:58Z").unwrap(), 2.5);
        assert_eq!(seconds("yesterday").unwrap_err().why, Why::Malformed);
        assert_eq!(numbers("12.0"), Some((12, 0)));
        assert_eq!(numbers("12"), None);
    }
}
