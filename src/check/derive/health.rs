//! What is wrong with single GPUs: heat, power, the PCIe link, memory, a reset that is due, a license.
//!
//! A reading that a card does not have says nothing; one that failed leaves the question open. Thresholds are
//! uncalibrated: they come from documentation and reports, not yet from traces of real cards.

use super::Basis;
use super::trouble::{GpuTrouble, Gpus, Said, answer, tells};
use crate::snapshot::{Fact, Facts, Gpu, GpuWindow, Phases, Unknown, Why, room};

room! {
    /// What is wrong with single GPUs.
    pub struct Health {
        /// GPUs whose clocks are lowered because they are too hot.
        pub hot_gpus: Vec<GpuTrouble>,
        /// GPUs that are held back by a lowered power limit or by the external power brake.
        pub power_limited_gpus: Vec<GpuTrouble>,
        /// GPUs whose PCIe link is narrower or slower than it could be, or unsound.
        pub poor_link_gpus: Vec<GpuTrouble>,
        /// GPUs whose memory has uncorrected errors, or waits for a repair.
        pub memory_error_gpus: Vec<GpuTrouble>,
        /// GPUs that must be reset before they work again.
        pub reset_due_gpus: Vec<GpuTrouble>,
        /// Virtual GPUs without a license.
        pub unlicensed_gpus: Vec<GpuTrouble>,
    }
}

impl Health {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self {
            hot_gpus: hot(facts),
            power_limited_gpus: short_of_power(facts),
            poor_link_gpus: poor_link(facts),
            memory_error_gpus: memory_errors(facts),
            reset_due_gpus: reset_due(facts),
            unlicensed_gpus: unlicensed(facts),
        }
    }
}

/// Share of the window's samples from which on a reason for lower clocks counts, percent.
const THROTTLED_SHARE_PERCENT: f64 = 10.0;
/// Share of the window's samples from which on the power limit is what holds the clocks, percent.
const CAPPED_SHARE_PERCENT: f64 = 50.0;
/// A power limit below this share of the default one is a cap that someone set.
const LOWERED_LIMIT_SHARE: f64 = 0.8;
/// Degrees below the slowdown temperature from which on a slowdown is one of heat.
const NEAR_SLOWDOWN_CELSIUS: u64 = 3;
/// Utilization from which on the PCIe link must have left its idle generation, percent.
const LINK_AWAKE_UTILIZATION_PERCENT: f64 = 20.0;
/// Readings below which a phase says nothing.
const LEAST_SAMPLES: u64 = 3;
/// Packets sent again within one window from which on the link is unsound.
const REPLAYS_RISE: f64 = 10.0;
/// Xid errors of the memory (NVIDIA, "Xid Errors"): double-bit error, row remap failure, contained, uncontained.
const MEMORY_XIDS: &[u64] = &[48, 64, 94, 95];
/// A contained error ends the process that met it; the GPU goes on.
const CONTAINED: u64 = 94;

/// GPUs whose clocks are lowered because they are too hot.
fn hot(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each(|gpu, window| {
        let heat = |name: &str| name == "hw_thermal_slowdown" || name == "sw_thermal_slowdown";
        let share = window.and_then(|window| shares(window, heat));
        let now = tells(&gpu.throttle_reasons)?;
        let unnamed = |reasons: &[String]| has(reasons, "hw_slowdown") && !has(reasons, "hw_power_brake_slowdown");
        let hot_now = now.is_some_and(|now| now.iter().any(|name| heat(name)) || (unnamed(now) && near_slowdown(gpu)));
        let (seen, how) = match (share, now) {
            // The samples under load outweigh the one before it.
            (Some(share), _) => {
                (share >= THROTTLED_SHARE_PERCENT, format!("in {share:.0} % of the samples under load"))
            }
            (None, Some(_)) => (hot_now, "at the reading".to_string()),
            (None, None) => return Err(untold(&gpu.throttle_reasons)),
        };
        Ok(seen.then(|| Said::mild(format!("thermal slowdown {how}{}", words_of_heat(gpu, window)))))
    })
}

fn words_of_heat(gpu: &Gpu, window: Option<&GpuWindow>) -> String {
    let under_load = window.and_then(|window| window.temperature_celsius.known()).filter(|t| t.during.samples > 0);
    let celsius = under_load.map(|phases| phases.during.max as u64).or(gpu.temperature_celsius.known().copied());
    let mut words = celsius.map(|celsius| format!(", {celsius} degrees Celsius")).unwrap_or_default();
    if let Some(limit) = gpu.temperature_slowdown_celsius.known() {
        words.push_str(&format!(" (slowdown from {limit})"));
    }
    words + &words_of_clock(gpu, window)
}

fn words_of_clock(gpu: &Gpu, window: Option<&GpuWindow>) -> String {
    let under_load = window.and_then(|window| window.sm_clock_mhz.known()).filter(|clock| clock.during.samples > 0);
    let clock = under_load.map(|phases| phases.during.mean as u64).or(gpu.sm_clock_mhz.known().copied());
    match (clock, gpu.sm_clock_max_mhz.known()) {
        (Some(clock), Some(most)) => format!(", SM clock {clock} of {most} MHz"),
        _ => String::new(),
    }
}

/// GPUs that are held back by a lowered power limit or by the external power brake.
fn short_of_power(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each(|gpu, window| {
        let now = tells(&gpu.throttle_reasons)?.ok_or_else(|| untold(&gpu.throttle_reasons));
        let share = |name: &str| window.and_then(|window| shares(window, |reason| reason == name));
        if share("hw_power_brake_slowdown").is_none() && now.is_err() {
            return Err(untold(&gpu.throttle_reasons));
        }
        let now = now.map(Vec::as_slice).unwrap_or_default();
        let brake = share("hw_power_brake_slowdown");
        if brake.map_or(has(now, "hw_power_brake_slowdown"), |share| share >= THROTTLED_SHARE_PERCENT) {
            let how =
                brake.map_or("at the reading".into(), |share| format!("in {share:.0} % of the samples under load"));
            let clock = words_of_clock(gpu, window);
            return Ok(Some(Said::mild(format!("the external power brake is on {how}{clock}"))));
        }
        // At its default limit a card under load always reports the cap: that is how it is meant to work.
        let working = gpu.utilization_percent.known().is_some_and(|percent| *percent > 50);
        let cap = share("sw_power_cap");
        let capped = cap.map_or(working && has(now, "sw_power_cap"), |share| share >= CAPPED_SHARE_PERCENT);
        if !capped {
            return Ok(None);
        }
        let (Some(limit), Some(usual)) =
            (tells(&gpu.power_limit_milliwatts)?, tells(&gpu.power_limit_default_milliwatts)?)
        else {
            return Ok(None);
        };
        Ok((*limit as f64 <= LOWERED_LIMIT_SHARE * *usual as f64).then(|| {
            let (limit, usual) = (limit / 1000, usual / 1000);
            let clock = words_of_clock(gpu, window);
            Said::mild(format!("the power limit is set to {limit} W of {usual} W and holds the clocks down{clock}"))
        }))
    })
}

/// GPUs whose PCIe link is narrower or slower than card and slot allow, or has to repeat itself.
fn poor_link(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each(|gpu, window| {
        if gpu.virtualization.known().is_some_and(|mode| mode == "passthrough") {
            // Cloud machines pass cards through with fewer lanes on purpose; a guest sees no more of it.
            return Err(Unknown::new(Why::NotAsked, "the PCIe link of a GPU that is passed through is the host's"));
        }
        let during = |phases: fn(&GpuWindow) -> &Fact<Phases>| {
            window.and_then(|window| phases(window).known()).filter(|phases| phases.during.samples >= LEAST_SAMPLES)
        };
        let width = during(|window| &window.pcie_link_width).map(|phases| phases.during.max as u64);
        let width = match width {
            Some(width) => Some(width),
            None => tells(&gpu.pcie_link_width)?.copied(),
        };
        let most = tells(&gpu.pcie_link_width_max)?;
        let mut said = Vec::new();
        if let (Some(width), Some(most)) = (width, most)
            && width < *most
        {
            said.push(format!("{width} of {most} PCIe lanes are in use"));
        }
        // An idle GPU lowers the generation to save power; only work tells.
        let awake = during(|window| &window.utilization_percent)
            .is_some_and(|phases| phases.during.max >= LINK_AWAKE_UTILIZATION_PERCENT);
        let generation = during(|window| &window.pcie_link_generation).filter(|_| awake);
        if let (Some(generation), Some(most)) = (generation, tells(&gpu.pcie_link_generation_max)?)
            && generation.during.max < *most as f64
        {
            said.push(format!("PCIe generation {:.0} of {most} under load", generation.during.max));
        }
        if let Some(replays) = during(|window| &window.pcie_replays) {
            let rise = replays.during.max - replays.during.min;
            if rise >= REPLAYS_RISE {
                said.push(format!("{rise:.0} PCIe packets were sent again while requests ran"));
            }
        }
        match (said.is_empty(), width, most) {
            (false, ..) => Ok(Some(Said::mild(said.join("; ")))),
            (true, Some(_), Some(_)) => Ok(None),
            (true, None, _) => Err(untold(&gpu.pcie_link_width)),
            (true, _, None) => Err(untold(&gpu.pcie_link_width_max)),
        }
    })
}

/// GPUs whose memory has uncorrected errors, or rows and pages that wait to be replaced.
fn memory_errors(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    let xids = facts.kernel_log.xids.known().map(Vec::as_slice).unwrap_or_default();
    Gpus::of(facts).each(|gpu, _| {
        let (rows, errors) = (tells(&gpu.remapped_rows)?, tells(&gpu.ecc_uncorrected_volatile)?);
        let pages = tells(&gpu.retired_pages_pending)?;
        let mut said = Vec::new();
        let mut severe = false;
        if rows.is_some_and(|rows| rows.failure) {
            severe = true;
            said.push("a memory row could not be replaced, because no spare row is left".to_string());
        }
        if let Some(count) = errors.filter(|count| **count > 0) {
            said.push(format!("uncorrected memory errors since the driver was loaded: {count}"));
        }
        if rows.is_some_and(|rows| rows.pending) {
            said.push("memory rows wait for a reset of the GPU to be replaced".into());
        }
        if pages == Some(&true) {
            said.push("memory pages wait for a reboot to be retired".into());
        }
        let of_gpu = xids.iter().filter(|xid| MEMORY_XIDS.contains(&xid.code) && same_device(gpu, &xid.pci_address));
        let mut codes: Vec<u64> = of_gpu.map(|xid| xid.code).collect();
        codes.sort_unstable();
        codes.dedup();
        let counted = rows.is_some() || errors.is_some() || pages.is_some();
        // The log keeps what a reset has mended since; counters, where there are any, know better.
        if !codes.is_empty() && (!counted || !said.is_empty()) {
            severe |= codes.iter().any(|code| *code != CONTAINED);
            let codes: Vec<String> = codes.iter().map(u64::to_string).collect();
            said.push(format!("the kernel logged Xid {}", codes.join(", ")));
        }
        match (said.is_empty(), counted) {
            (false, _) => Ok(Some(Said { severe, words: said.join("; ") })),
            (true, true) => Ok(None),
            (true, false) => Err(untold(&gpu.ecc_uncorrected_volatile)),
        }
    })
}

/// GPUs that must be reset, drained or restarted before they work again, by the driver's word.
fn reset_due(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each_even_unreachable(|gpu| {
        if gpu.handle_code.known() == Some(&16) {
            return Ok(Some(Said::severe("NVML answers 16: the GPU requires a reset")));
        }
        if gpu.handle_code.known().is_some_and(|code| *code != 0) {
            return Ok(None);
        }
        match tells(&gpu.recovery_action)?.map(String::as_str) {
            Some("none") => Ok(None),
            Some("drain_p2p") => Ok(Some(Said::mild("the driver asks to drain its NVLink peers"))),
            Some(action) => {
                Ok(Some(Said::severe(format!("the driver asks for this recovery: {}", action.replace('_', " ")))))
            }
            // Older drivers have no such reading, but they did hand the GPU out.
            None if gpu.handle_code.known() == Some(&0) => Ok(None),
            None => Err(untold(&gpu.recovery_action)),
        }
    })
}

/// Virtual GPUs without a license.
fn unlicensed(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each(|gpu, _| {
        let virtualization = tells(&gpu.virtualization)?.map(String::as_str);
        if virtualization.is_some_and(|mode| mode != "vgpu") {
            return Ok(None);
        }
        // A guest that does not tell is known by its name: NVIDIA A10-24C, GRID T4-16Q.
        let by_name = gpu.name.known().is_some_and(|name| is_virtual(name));
        if virtualization.is_none() && !by_name {
            return if gpu.name.known().is_some() { Ok(None) } else { Err(untold(&gpu.virtualization)) };
        }
        match tells(&gpu.license)?.map(String::as_str) {
            None => Err(untold(&gpu.license)),
            Some("licensed" | "not_needed") => Ok(None),
            Some("unlicensed_unrestricted") => {
                Ok(Some(Said::mild("it is not licensed; its grace period is not over yet")))
            }
            Some(state) => Ok(Some(Said::severe(format!("license state: {}", state.replace('_', " "))))),
        }
    })
}

/// Whether a product name is one of a virtual GPU: it ends with the size of its memory and a series (A, B, C, Q).
fn is_virtual(name: &str) -> bool {
    let Some((_, profile)) = name.rsplit_once('-') else { return false };
    let digits = profile.trim_end_matches(['A', 'B', 'C', 'Q']);
    digits.len() + 1 == profile.len() && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn has(reasons: &[String], name: &str) -> bool {
    reasons.iter().any(|reason| reason == name)
}

/// The highest share among the reasons that `wanted` picks, 0 if none of them ever stood.
fn shares(window: &GpuWindow, wanted: impl Fn(&str) -> bool) -> Option<f64> {
    let shares = window.throttle_reasons_percent.known()?;
    Some(shares.iter().filter(|(name, _)| wanted(name)).map(|(_, share)| *share).fold(0.0, f64::max))
}

fn near_slowdown(gpu: &Gpu) -> bool {
    match (gpu.temperature_celsius.known(), gpu.temperature_slowdown_celsius.known()) {
        (Some(now), Some(limit)) => now + NEAR_SLOWDOWN_CELSIUS >= *limit,
        _ => false,
    }
}

/// Whether a kernel's address (`0000:3b:00`) is that of NVML (`00000000:3B:00.0`).
fn same_device(gpu: &Gpu, kernel: &str) -> bool {
    let parts = |address: &str| {
        let address = address.split('.').next().unwrap_or_default().to_ascii_lowercase();
        let mut parts: Vec<String> = address.split(':').map(|part| part.trim_start_matches('0').to_string()).collect();
        parts.reverse();
        parts.truncate(3);
        parts
    };
    gpu.pci_address.known().is_some_and(|address| parts(address) == parts(kernel))
}

fn untold<T>(fact: &Fact<T>) -> Unknown {
    answer(fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_virtual_gpus_are_known() {
        for name in ["NVIDIA A10-24C", "GRID T4-16Q", "GRID V100D-8Q", "NVIDIA L40S-48Q"] {
            assert!(is_virtual(name), "{name}");
        }
        for name in
            ["Tesla T4", "NVIDIA A100-SXM4-40GB", "NVIDIA H100 80GB HBM3", "Tesla V100-SXM2-32GB", "A10-", "-Q", ""]
        {
            assert!(!is_virtual(name), "{name}");
        }
    }

    #[test]
    fn addresses_of_kernel_and_nvml_are_compared_part_by_part() {
        let mut gpu = Gpu::all_unknown(0, &Unknown::new(crate::snapshot::Why::Absent, ""));
        gpu.pci_address = Fact::Known("00000000:3B:00.0".into());
        assert!(same_device(&gpu, "0000:3b:00"));
        assert!(same_device(&gpu, "0000:3b:00.0"));
        assert!(!same_device(&gpu, "0000:3c:00"));
        assert!(!same_device(&gpu, "0001:3b:00"));
        assert!(!same_device(&gpu, ""));
    }
}
