//! By which names the server reaches its GPUs: CUDA's numbers are not NVML's, and of MIG's instances it takes one.

use super::Basis;
use super::sharing::{counted_alike, server_pids};
use super::trouble::listed;
use crate::snapshot::{Facts, Gpu, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

room! {
    /// Names of GPUs.
    pub struct DeviceOrder {
        /// GPUs on which the server sits and which CUDA gives it by another number than nvidia-smi's, on a machine with
        /// GPUs of several kinds.
        pub renumbered_gpus: Vec<Renumbered>,
        /// Instances of MIG that the server's environment names, if they are several.
        pub mig_instances_named: Vec<String>,
        /// The variable that names them; empty if there are no several.
        pub mig_instances_named_in: String,
    }
}

/// A GPU with two numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Renumbered {
    /// Number by which the server asks for it.
    pub asked: u64,
    /// Index in NVML's order, which is nvidia-smi's.
    pub nvml: u64,
    /// Its product name.
    pub name: String,
}

impl DeviceOrder {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let named = mig_named(facts);
        Self {
            renumbered_gpus: renumbered(facts).into(),
            mig_instances_named_in: named.clone().map(|(variable, _)| variable).into(),
            mig_instances_named: named.map(|(_, names)| names).into(),
        }
    }
}

fn not_asked(detail: &str) -> Unknown {
    Unknown::new(Why::NotAsked, detail)
}

fn renumbered(facts: &Facts) -> Result<Vec<Renumbered>, Unknown> {
    let gpus = listed(facts)?;
    let mut names = gpus.iter().map(|gpu| gpu.name.known());
    let first = names.next().flatten();
    if gpus.len() < 2 || names.all(|name| name == first) {
        return Ok(Vec::new());
    }
    let Some(pids) = server_pids(facts).filter(|_| counted_alike(facts)) else {
        return Err(not_asked("which GPUs the server's processes sit on is not known"));
    };
    let sits = |index: usize| {
        let processes = gpus.get(index).and_then(|gpu| gpu.processes.known());
        processes.is_some_and(|all| all.iter().any(|process| pids.contains(&process.pid)))
    };
    // On all of them their numbers do not matter.
    if (0..gpus.len()).all(sits) {
        return Ok(Vec::new());
    }
    let entries: Option<Vec<u64>> = match facts.cuda.visible_devices.known() {
        None => None,
        Some(list) => match list.split(',').map(|entry| entry.trim().parse().ok()).collect::<Option<Vec<u64>>>() {
            Some(entries) => Some(entries),
            // Named by identifier, so that no number is asked for.
            None => return Ok(Vec::new()),
        },
    };
    let devices = facts.cuda.devices.read().map_err(|unknown| not_asked(&unknown.detail))?;
    let mut found = Vec::new();
    for device in devices {
        let place = gpus.iter().position(|gpu| gpu.uuid.known().is_some() && gpu.uuid.known() == device.uuid.known());
        let asked = match &entries {
            Some(entries) => usize::try_from(device.ordinal).ok().and_then(|place| entries.get(place)).copied(),
            None => Some(device.ordinal),
        };
        let (Some(place), Some(asked)) = (place, asked) else { continue };
        let Some(gpu) = gpus.get(place).filter(|gpu| gpu.index != asked && sits(place)) else { continue };
        let name = gpu.name.known().cloned().unwrap_or_else(|| "name unknown".into());
        found.push(Renumbered { asked, nvml: gpu.index, name });
    }
    Ok(found)
}

fn mig_named(facts: &Facts) -> Result<(String, Vec<String>), Unknown> {
    let none = Ok((String::new(), Vec::new()));
    let on = |gpu: &Gpu| gpu.mig_enabled.known() == Some(&true);
    if !listed(facts)?.iter().any(on) {
        return none;
    }
    // One program for all who want to know: several processes may each have been given one.
    let variables = facts.process.environment.read()?;
    for name in ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"] {
        let Some(value) = variables.get(name) else { continue };
        let entries: Vec<String> =
            value.split(',').map(|entry| entry.trim().to_owned()).filter(|entry| !entry.is_empty()).collect();
        // What CUDA itself is told decides over what the container is.
        return match entries.len() > 1 && entries.iter().all(|entry| entry.starts_with("MIG-")) {
            true => Ok((name.into(), entries)),
            false => none,
        };
    }
    none
}
