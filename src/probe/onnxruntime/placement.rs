//! Probe `placement`: a session of the user's model, created to hear where onnxruntime puts its nodes.

use super::attribution;
use super::placement_log::PlacementLog;
use super::providers::{CUDA, obstacle};
use crate::probe::model::{onnx_file, structure};
use crate::probe::{Context, Ran, environment, isolation};
use crate::snapshot::{Fact, Facts, PlacementFacts, Room, Unknown, Why};
use serde_json::json;
use std::path::Path;

/// A session holds the parameters about twice while it is created: as read and as laid out for its kernels.
const COPIES: u64 = 2;
/// What onnxruntime needs besides, bytes.
const OWN_BYTES: u64 = 512 << 20;

/// Fills the room `placement`.
pub fn run(context: &Context, facts: &mut Facts) -> Ran {
    match place(context, facts) {
        Ok(placement) => {
            facts.placement = placement;
            Ran::ok()
        }
        Err(unknown) => {
            facts.placement = PlacementFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn place(context: &Context, facts: &Facts) -> Result<PlacementFacts, Unknown> {
    let model = &onnx_file(context, facts)?;
    let not_text = || Unknown::new(Why::Unsupported, format!("the path {} is not UTF-8", model.display()));
    let model_text = model.to_str().ok_or_else(not_text)?;
    // Without a version the library did not even load.
    let library = facts.ort.library.read()?;
    facts.ort.compiled_providers.read()?;
    let bytes = facts.model.parameter_bytes.read()?;
    let enough = bytes.saturating_mul(COPIES).saturating_add(OWN_BYTES);
    if let Some((free, place)) = free_memory()
        && free < enough
    {
        let detail = format!(
            "no session of {} is created: its {bytes} bytes of parameters would need about {enough} bytes of memory, \
             and {place} leaves {free}",
            model.display()
        );
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let cuda = facts.ort.cuda_registers.known() == Some(&true);
    let argument = json!({ "library": library, "model": model_text, "cuda": cuda });
    let report = isolation::run("placement", &argument, &environment::of_server(facts), context.deadline);
    if let Some(unknown) = obstacle(&report) {
        return Err(unknown);
    }
    let result = report.result()?;
    let error = result.get("error").and_then(|error| error.as_str()).map(str::trim);
    let log: PlacementLog = result
        .get("placement")
        .and_then(|log| serde_json::from_value(log.clone()).ok())
        .ok_or_else(|| Unknown::new(Why::Crashed, "the child's answer makes no sense"))?;
    if !log.seen {
        return Err(match error {
            Some(error) => Unknown::new(Why::Unsupported, format!("onnxruntime created no session: {error}")),
            None => Unknown::new(Why::Unsupported, "this onnxruntime's log tells no node placement"),
        });
    }
    // The copy of parameters to the GPU is meant to fail, after the placement was told; on the CPU nothing should.
    if let (false, Some(error)) = (cuda, error) {
        return Err(Unknown::new(Why::Unsupported, format!("onnxruntime created no session: {error}")));
    }
    let session_ms = match result.get("session_ms").and_then(|value| value.as_f64()) {
        Some(session_ms) => Fact::Known((session_ms * 1e3).round() / 1e3),
        None => Fact::unknown(Why::Unsupported, "no parameters were copied to the GPU, so no whole session was made"),
    };
    Ok(filled(model, log, cuda, session_ms))
}

fn filled(model: &Path, log: PlacementLog, cuda: bool, session_ms: Fact<f64>) -> PlacementFacts {
    let bytes = match log.nodes_left_out {
        true => Err(Unknown::new(Why::Unsupported, "the model has more nodes than are followed one by one")),
        false => structure(model).map(|structure| attribution::attribute(&structure, &log)),
    };
    let providers = if cuda { vec![CUDA, attribution::CPU] } else { vec![attribution::CPU] };
    PlacementFacts {
        session_providers: Fact::Known(providers.into_iter().map(str::to_string).collect()),
        method: Fact::Known("verbose log".into()),
        nodes: Fact::Known(log.nodes_by_provider.values().fold(0, |sum: u64, count| sum.saturating_add(*count))),
        nodes_by_provider: Fact::Known(log.nodes_by_provider),
        memcpy_nodes: Fact::Known(log.memcpy_nodes),
        gpu_parameter_bytes: bytes.clone().map(|bytes| bytes.gpu).into(),
        cpu_parameter_bytes: bytes.clone().map(|bytes| bytes.cpu).into(),
        unplaced_parameter_bytes: bytes.map(|bytes| bytes.unplaced).into(),
        cpu_reasons: Fact::Known(log.reasons),
        session_ms,
        ..PlacementFacts::default()
    }
}

/// Memory that may still be taken, bytes, and who says so: the least of the kernel's and the control group's word.
/// `None` if neither can be read.
fn free_memory() -> Option<(u64, &'static str)> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let available = read("/proc/meminfo").and_then(|text| meminfo_available(&text)).map(|free| (free, "/proc/meminfo"));
    let group = |name: &str| read(&format!("/sys/fs/cgroup/{name}")).unwrap_or_default();
    let group = cgroup_free(&group("memory.max"), &group("memory.current"), &group("memory.stat"))
        .map(|free| (free, "the container's memory.max"));
    available.into_iter().chain(group).min_by_key(|(free, _)| *free)
}

/// `MemAvailable` of /proc/meminfo, bytes.
fn meminfo_available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// What a limit of cgroup v2 leaves, file cache that can be dropped included; `None` without a limit.
fn cgroup_free(max: &str, current: &str, stat: &str) -> Option<u64> {
    let max: u64 = max.trim().parse().ok()?;
    let current: u64 = current.trim().parse().ok()?;
    let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")).and_then(|text| text.parse().ok());
    Some(max.saturating_sub(current.saturating_sub(cache.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_the_least_that_anyone_grants() {
        assert_eq!(meminfo_available("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(meminfo_available("MemTotal: 9 kB\n"), None);
        assert_eq!(cgroup_free("1000\n", "400\n", "anon 300\ninactive_file 100\n"), Some(700));
        assert_eq!(cgroup_free("max\n", "400\n", ""), None);
        assert!(free_memory().is_some_and(|(free, _)| free > 0));
    }
}
