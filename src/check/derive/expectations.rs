//! Is the machine what the config expects.

use super::Basis;
use crate::snapshot::{Expectations, Fact, Facts, Unknown, VersionBound, Why, room};
use crate::words::count;

room! {
    /// Whether the machine is what was expected.
    pub struct Expected {
        /// What the machine lacks of what the config expects of it, a sentence each; empty if it has it all.
        pub expectations_unmet: Vec<String>,
    }
}

impl Expected {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { expectations_unmet: unmet(facts, basis.expect) }
    }
}

/// What the machine lacks, a sentence each. One that is known to be lacking is enough; that nothing lacks needs every
/// expected fact.
fn unmet(facts: &Facts, expect: &Expectations) -> Fact<Vec<String>> {
    if expect.is_empty() {
        return Fact::unknown(Why::NotAsked, "the config expects nothing of the machine (expect:)");
    }
    let mut lacking = Vec::new();
    let mut obstacle = None;
    for judged in [gpus(facts, expect), driver(facts, expect), names(facts, expect), memory(facts, expect)] {
        match judged {
            Ok(mut sentences) => lacking.append(&mut sentences),
            Err(unknown) => obstacle = obstacle.or(Some(unknown)),
        }
    }
    match obstacle {
        Some(unknown) if lacking.is_empty() => Fact::Unknown(unknown),
        _ => Fact::Known(lacking),
    }
}

type Judged = Result<Vec<String>, Unknown>;

fn gpus(facts: &Facts, expect: &Expectations) -> Judged {
    let Some(expected) = expect.gpus else { return Ok(Vec::new()) };
    let (found, by) = match (&facts.nvml.gpus, &facts.host.nvidia_pci_devices) {
        (Fact::Known(gpus), _) => (gpus.len(), "NVML lists"),
        // Without a driver the bus still tells how many there are.
        (Fact::Unknown(_), Fact::Known(devices)) => (devices.len(), "the PCI bus shows"),
        (Fact::Unknown(unknown), _) => return Err(unknown.clone()),
    };
    let met = found as u64 == expected;
    Ok(sentence(
        met,
        format!("{} expected, {by} {found}", count(usize::try_from(expected).unwrap_or(usize::MAX), "GPU")),
    ))
}

fn driver(facts: &Facts, expect: &Expectations) -> Judged {
    let Some(expected) = &expect.driver else { return Ok(Vec::new()) };
    let wrong = |problem| Unknown::new(Why::Malformed, format!("expect.driver: {problem}"));
    let bound = VersionBound::parse(expected).map_err(wrong)?;
    let version = facts.nvml.driver_version.read().or_else(|_| facts.host.driver_version.read())?;
    let met = bound.fits(version).ok_or_else(|| wrong(format!("the driver's version \"{version}\" is not one")))?;
    Ok(sentence(met, format!("driver {expected} expected, {version} found")))
}

fn names(facts: &Facts, expect: &Expectations) -> Judged {
    let Some(expected) = &expect.gpu_name else { return Ok(Vec::new()) };
    each_gpu(facts, |gpu| {
        let name = gpu.name.read()?;
        let met = name.to_lowercase().contains(&expected.to_lowercase());
        Ok((met, format!("GPU {}: {expected} expected, {name} found", gpu.index)))
    })
}

fn memory(facts: &Facts, expect: &Expectations) -> Judged {
    let Some(expected) = expect.gpu_memory_gib else { return Ok(Vec::new()) };
    each_gpu(facts, |gpu| {
        let gib = *gpu.memory_total_bytes.read()? as f64 / f64::from(1 << 30);
        Ok((gib >= expected, format!("GPU {}: {expected} GiB expected, {gib:.1} GiB found", gpu.index)))
    })
}

fn each_gpu(facts: &Facts, judge: impl Fn(&crate::snapshot::Gpu) -> Result<(bool, String), Unknown>) -> Judged {
    let mut lacking = Vec::new();
    for gpu in facts.nvml.gpus.read()? {
        let (met, words) = judge(gpu)?;
        lacking.extend(sentence(met, words));
    }
    Ok(lacking)
}

fn sentence(met: bool, words: String) -> Vec<String> {
    if met { Vec::new() } else { vec![words] }
}
