//! What the sampler reads: names, the calls behind them, and which answers are none.

use crate::snapshot::{Unknown, Why};

/// A reading of the sampler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Share of time with a kernel running, percent: the highest of the driver's samples since the last reading, or where
    /// the driver keeps none, its current value.
    Utilization,
    /// Power draw, milliwatts. The driver averages over up to a second.
    Power,
    /// Energy since the driver was loaded, millijoules.
    Energy,
    /// Clock of the streaming multiprocessors, MHz.
    SmClock,
    /// Memory in use, bytes.
    MemoryUsed,
    /// Memory that the server's processes hold, bytes.
    ServerMemory,
    /// Why the clocks are not higher, as a bit set (nvml.h, nvmlClocksEventReasons).
    ThrottleReasons,
    /// Share of the multiprocessors that a server process uses, percent; the highest if there are several.
    ProcessUtilization,
    /// Share of the multiprocessors in use (GPM), percent; of MIG instances the busiest.
    SmActivity,
    /// Clock of the memory, MHz.
    MemoryClock,
    /// Performance state, 0 to 15.
    PState,
    /// Core temperature, degrees Celsius.
    Temperature,
    /// Generation of the PCIe link.
    PcieGeneration,
    /// Lanes of the PCIe link.
    PcieWidth,
    /// PCIe packets that had to be sent again since the GPU was last reset.
    PcieReplays,
    /// Received over PCIe, bytes a second.
    PcieReceived,
    /// Sent over PCIe, bytes a second.
    PcieSent,
}

/// Number of counters.
pub const COUNTERS: usize = 17;

/// How often a counter is worth reading, milliseconds from one reading to the next.
const EACH_TIME: f64 = 0.0;
const OFTEN_MS: f64 = 45.0;
/// GPM compares two samples that lie more than 100 ms apart; the driver tells processes' utilization less often than that.
const TENTHS_MS: f64 = 101.0;
const SLOWLY_MS: f64 = 240.0;

/// What is fixed about a counter: its name in samples, the call, the highest value that can be meant, its pace.
struct About(Counter, &'static str, &'static str, f64, f64);

/// All of them, in the order of [`Counter`]. NVML answers with all bits set where it does not know; some calls hand out
/// other junk. No card of the next years comes near these limits.
const ABOUT: [About; COUNTERS] = {
    use Counter as C;
    [
        About(C::Utilization, "utilization_percent", "nvmlDeviceGetSamples", 100.0, EACH_TIME),
        About(C::Power, "power_milliwatts", "nvmlDeviceGetPowerUsage", 1e7, EACH_TIME),
        About(C::Energy, "energy_millijoules", "nvmlDeviceGetTotalEnergyConsumption", 9e15, EACH_TIME),
        About(C::SmClock, "sm_clock_mhz", "nvmlDeviceGetClockInfo", 2e4, EACH_TIME),
        About(C::MemoryUsed, "memory_used_bytes", "nvmlDeviceGetMemoryInfo", 1e15, EACH_TIME),
        About(C::ServerMemory, "server_memory_bytes", "nvmlDeviceGetComputeRunningProcesses", 1e15, OFTEN_MS),
        About(
            C::ThrottleReasons,
            "throttle_reasons_bits",
            "nvmlDeviceGetCurrentClocksThrottleReasons",
            4_294_967_294.0,
            OFTEN_MS,
        ),
        About(
            C::ProcessUtilization,
            "process_utilization_percent",
            "nvmlDeviceGetProcessUtilization",
            100.0,
            TENTHS_MS,
        ),
        About(C::SmActivity, "sm_activity_percent", "nvmlGpmMetricsGet", 100.0, TENTHS_MS),
        About(C::MemoryClock, "memory_clock_mhz", "nvmlDeviceGetClockInfo", 4e4, SLOWLY_MS),
        About(C::PState, "p_state", "nvmlDeviceGetPerformanceState", 15.0, SLOWLY_MS),
        About(C::Temperature, "temperature_celsius", "nvmlDeviceGetTemperature", 250.0, SLOWLY_MS),
        About(C::PcieGeneration, "pcie_link_generation", "nvmlDeviceGetCurrPcieLinkGeneration", 16.0, SLOWLY_MS),
        About(C::PcieWidth, "pcie_link_width", "nvmlDeviceGetCurrPcieLinkWidth", 64.0, SLOWLY_MS),
        About(C::PcieReplays, "pcie_replays", "nvmlDeviceGetPcieReplayCounter", 4_294_967_294.0, SLOWLY_MS),
        About(C::PcieReceived, "pcie_received_bytes_per_second", "nvmlDeviceGetPcieThroughput", 4e12, EACH_TIME),
        About(C::PcieSent, "pcie_sent_bytes_per_second", "nvmlDeviceGetPcieThroughput", 4e12, EACH_TIME),
    ]
};

impl Counter {
    /// Every counter.
    pub fn all() -> impl Iterator<Item = Self> {
        ABOUT.iter().map(|about| about.0)
    }

    /// The counter of that name.
    pub fn named(name: &str) -> Option<Self> {
        ABOUT.iter().find(|about| about.1 == name).map(|about| about.0)
    }

    /// Its name in a sample, which ends in its unit.
    pub fn name(self) -> &'static str {
        ABOUT[self as usize].1
    }

    /// The NVML call that tells it.
    pub fn call(self) -> &'static str {
        ABOUT[self as usize].2
    }

    /// Time between two readings, milliseconds.
    pub fn pace_ms(self) -> f64 {
        ABOUT[self as usize].4
    }

    /// The value, unless it can be none of this counter.
    pub fn sound(self, value: f64) -> Result<f64, Unknown> {
        if value >= 0.0 && value <= ABOUT[self as usize].3 {
            return Ok(value);
        }
        let detail = format!("{} answered {value}, which is not a value of {}", self.call(), self.name());
        Err(Unknown::new(Why::Malformed, detail))
    }
}

/// Calls that a mark can name besides those of the counters.
pub const OTHER_CALLS: [&str; 3] =
    ["nvmlDeviceGetUtilizationRates", "nvmlDeviceGetProcessesUtilizationInfo", "nvmlGpmSampleGet"];
/// Numbers of a GPU's calls.
const CALLS_A_GPU: u32 = 32;

/// The number that stands for a call of a GPU: never 0.
pub fn place(gpu: u64, call: usize) -> u32 {
    u32::try_from(gpu).unwrap_or(0).saturating_mul(CALLS_A_GPU).saturating_add(call as u32 + 1)
}

/// The call and GPU that such a number stands for, in words.
pub fn place_in_words(place: u32) -> Option<String> {
    let (gpu, call) = (place.checked_sub(1)? / CALLS_A_GPU, (place - 1) % CALLS_A_GPU);
    let call = call as usize;
    let name = ABOUT.get(call).map(|about| about.2).or_else(|| OTHER_CALLS.get(call.checked_sub(COUNTERS)?).copied());
    Some(format!("{} of GPU {gpu}", name?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_stands_in_the_order_of_the_counters() {
        for (position, counter) in Counter::all().enumerate() {
            assert_eq!(counter as usize, position, "{}", counter.name());
            assert_eq!(Counter::named(counter.name()), Some(counter));
            assert!(counter.sound(0.0).is_ok() && counter.sound(-1.0).is_err() && counter.sound(f64::NAN).is_err());
            assert!(counter.sound(u64::MAX as f64).is_err(), "{}: all bits set is no value", counter.name());
        }
        for counter in [Counter::Power, Counter::SmClock, Counter::PcieReplays, Counter::PState, Counter::Temperature] {
            assert!(counter.sound(f64::from(u32::MAX)).is_err(), "{}", counter.name());
        }
        assert_eq!(Counter::ProcessUtilization.sound(2_147_483_632.0).unwrap_err().why, Why::Malformed);
    }

    #[test]
    fn a_place_tells_call_and_gpu() {
        let told = |gpu, call| place_in_words(place(gpu, call));
        assert_eq!(told(7, Counter::Power as usize).as_deref(), Some("nvmlDeviceGetPowerUsage of GPU 7"));
        assert_eq!(told(0, COUNTERS).as_deref(), Some("nvmlDeviceGetUtilizationRates of GPU 0"));
        assert_eq!(place_in_words(0), None);
        assert_eq!(place_in_words(32), None, "no such call");
        assert!(COUNTERS + OTHER_CALLS.len() <= CALLS_A_GPU as usize);
    }
}
