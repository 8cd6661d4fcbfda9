//! GPUs whose utilization the driver does not tell: by MIG, in a guest, under WSL, on a Jetson.

use super::{accepted, of_files, of_server};
use crate::check::derive::Basis;
use crate::check::derive::activity::ownership::gpu_of;
use crate::snapshot::{Facts, GpuWindow, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A GPU that does not tell how busy it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnreportedGpu {
    /// `GPU 0`, with its product name.
    pub gpu: String,
    /// Why: `mig`, `wsl`, `tegra`, `vgpu`, or `driver` where nothing else is known.
    pub kind: String,
    /// What the driver answered, and what was left to tell.
    pub says: String,
}

/// The GPUs of the server that tell no utilization, if what they did is not known otherwise, or if a metrics page makes a
/// zero of it.
pub fn of(basis: &Basis) -> Result<Vec<UnreportedGpu>, Unknown> {
    let facts = basis.facts;
    accepted(facts)?;
    let open = basis.activity.as_ref().err();
    let windows = match of_server(basis) {
        Ok(windows) => windows,
        // The board's GPU is none of NVML's.
        Err(unknown) if facts.host.tegra.known() == Some(&true) && !of_files(facts) => {
            let says = format!("{}. NVML, which tells it elsewhere, is not complete on such boards", unknown.detail);
            return Ok(vec![UnreportedGpu { gpu: "the board's GPU".into(), kind: "tegra".into(), says }]);
        }
        Err(unknown) => return Err(unknown),
    };
    let mut found = Vec::new();
    for window in windows {
        let Some(answer) = refused(window) else { continue };
        let kind = kind(facts, window);
        // A file without such a column is no fault of the driver's.
        if of_files(facts) && kind != "mig" {
            continue;
        }
        let zero = page_with_zero(facts, window).filter(|_| basis.gpu_seen_working);
        let rest = match (open, zero) {
            (_, Some(page)) => format!("{page} makes 0 % of that, and other counters show that the GPU works"),
            (Some(unknown), None) => format!("Nothing else tells what it did either: {}", unknown.detail),
            (None, None) => continue,
        };
        let name = gpu_of(facts, window).and_then(|gpu| gpu.name.known());
        let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
        let says = format!("{answer}. {rest}");
        found.push(UnreportedGpu { gpu: format!("GPU {}{name}", window.index), kind: kind.into(), says });
    }
    Ok(found)
}

/// What the driver answers if it does not tell utilization at all.
fn refused(window: &GpuWindow) -> Option<&str> {
    let reason = window.utilization_percent.reason().filter(|unknown| unknown.why == Why::Unsupported);
    reason.map(|unknown| unknown.detail.as_str())
}

fn kind(facts: &Facts, window: &GpuWindow) -> &'static str {
    let gpu = gpu_of(facts, window);
    let is_mig = gpu.is_some_and(|gpu| gpu.mig_enabled.known() == Some(&true));
    let is_guest = gpu.and_then(|gpu| gpu.virtualization.known()).is_some_and(|kind| kind == "vgpu");
    match () {
        () if is_mig => "mig",
        () if facts.host.wsl.known() == Some(&true) => "wsl",
        () if facts.host.tegra.known() == Some(&true) => "tegra",
        () if is_guest => "vgpu",
        () => "driver",
    }
}

/// The metrics page that shows this GPU at 0 %.
fn page_with_zero<'a>(facts: &'a Facts, window: &GpuWindow) -> Option<&'a str> {
    let rows = facts.counters.gpus.known()?;
    let is_same = |name: &str| {
        window.uuid.known().is_some_and(|uuid| uuid == name) || name.parse::<u64>().is_ok_and(|n| n == window.index)
    };
    let row = rows.iter().find(|row| is_same(&row.gpu) && row.utilization_percent.known() == Some(&0.0))?;
    Some(&row.page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_counts() {
        let window = |why| GpuWindow::all_unknown(0, &Unknown::new(why, "nvmlDeviceGetUtilizationRates"));
        assert_eq!(refused(&window(Why::Unsupported)), Some("nvmlDeviceGetUtilizationRates"));
        for why in [Why::Crashed, Why::Denied, Why::NotAsked, Why::TimedOut] {
            assert_eq!(refused(&window(why)), None, "{why}");
        }
    }
}
