//! Job "nvml-samples": the child that reads the counters again and again.

use super::pcie;
use super::sampler::{GpuSample, Sample, monotonic_ms};
use super::utilization::{ProcessRing, Ring};
use super::{LIBRARY, MOST_GPUS, error, health, read};
use crate::probe::isolation::{self, Reporter, library};
use crate::snapshot::{Fact, GpuProcess, Unknown, Why};
use nvml_wrapper::enum_wrappers::device::Clock;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde_json::Value;
use std::mem::ManuallyDrop;
use std::time::{Duration, Instant};

/// The child ends after this long even if nobody stops it.
const LONGEST: Duration = Duration::from_secs(120);

/// Reports a [`Sample`] every `period_ms` until standard input closes.
pub fn job(argument: &Value, reporter: &mut Reporter) -> Value {
    let unreported = sample_until_stopped(argument, reporter).err();
    isolation::account(unreported.as_ref())
}

fn sample_until_stopped(argument: &Value, reporter: &mut Reporter) -> Result<(), Unknown> {
    let server_pids: Vec<u64> = serde_json::from_value(argument["server_pids"].clone()).unwrap_or_default();
    let period = Duration::from_millis(argument["period_ms"].as_u64().unwrap_or(50).clamp(10, 1000));
    let nvml = open(reporter)?;
    reporter.stage("nvmlDeviceGetCount_v2");
    let count = nvml.device_count().map_err(|error| error::unknown(error, "nvmlDeviceGetCount_v2"))?;
    if count == 0 {
        return Err(Unknown::new(Why::Absent, "NVML lists no GPU"));
    }
    let mut gpus: Vec<Watched> =
        (0..u64::from(count).min(MOST_GPUS)).map(|index| Watched::new(&nvml, index, reporter)).collect();
    let end = Instant::now() + LONGEST;
    let mut next = Instant::now();
    let mut turns = pcie::Turns::default();
    while next < end {
        let at_ms = monotonic_ms();
        let mut samples: Vec<GpuSample> =
            gpus.iter_mut().map(|gpu| gpu.sample(&nvml, &server_pids, reporter)).collect();
        // Last, for it takes 20 ms.
        turns.read(&mut samples, |index| gpus.get(index).and_then(Watched::device), reporter);
        let gpus = samples;
        reporter.part(serde_json::to_value(Sample { at_ms, gpus }).unwrap_or_default());
        next = (next + period).max(Instant::now());
        if input_closes_before(next) {
            break;
        }
    }
    Ok(())
}

/// Loads and initializes NVML. Never dropped: `nvmlShutdown` can hang, and the process ends anyway.
fn open(reporter: &mut Reporter) -> Result<ManuallyDrop<Nvml>, Unknown> {
    reporter.stage(&format!("loading {LIBRARY}"));
    let (loaded, _) = library::load(LIBRARY, "nvmlInit_v2").map_err(|failure| failure.unknown(LIBRARY))?;
    std::mem::forget(loaded);
    reporter.stage("nvmlInit_v2");
    Nvml::init().map(ManuallyDrop::new).map_err(|error| error::unknown(error, "nvmlInit_v2"))
}

/// Waits until `moment`; true if the parent closed standard input before.
fn input_closes_before(moment: Instant) -> bool {
    let wait_ms = moment.saturating_duration_since(Instant::now()).as_millis() as i32;
    let mut input = libc::pollfd { fd: 0, events: libc::POLLIN, revents: 0 };
    // SAFETY: polls one live descriptor entry.
    unsafe { libc::poll(&mut input, 1, wait_ms) == 1 }
}

/// A GPU, and what its rings told last.
struct Watched<'a> {
    index: u64,
    uuid: Fact<String>,
    /// What is asked, or why the GPU cannot be asked at all.
    counters: Result<(Device<'a>, Ring, ProcessRing), Unknown>,
}

impl<'a> Watched<'a> {
    fn new(nvml: &'a Nvml, index: u64, reporter: &mut Reporter) -> Self {
        let mut stage = |call: &str| {
            let place = format!("{call} of GPU {index}");
            reporter.stage(&place);
            place
        };
        let place = stage("nvmlDeviceGetHandleByIndex_v2");
        let device = match nvml.device_by_index(index as u32) {
            Ok(device) => device,
            Err(error) => {
                let unknown = error::unknown(error, &place);
                return Self { index, uuid: Fact::Unknown(unknown.clone()), counters: Err(unknown) };
            }
        };
        let place = stage("nvmlDeviceGetUUID");
        let uuid = device.uuid().map_err(|error| error::unknown(error, &place)).into();
        stage("nvmlDeviceGetSamples");
        let ring = Ring::begin(&device);
        stage("nvmlDeviceGetProcessUtilization");
        let processes = ProcessRing::begin(&device);
        Self { index, uuid, counters: Ok((device, ring, processes)) }
    }

    /// The GPU's handle, if it can be asked.
    fn device(&self) -> Option<&Device<'a>> {
        self.counters.as_ref().ok().map(|(device, ..)| device)
    }

    fn sample(&mut self, nvml: &Nvml, server_pids: &[u64], reporter: &mut Reporter) -> GpuSample {
        let index = self.index;
        // One stage a GPU, not one a call: at 20 Hz the report would be mostly stages.
        reporter.stage(&format!("a sample of GPU {index}"));
        let (device, ring, processes) = match &mut self.counters {
            Ok(counters) => counters,
            Err(unknown) => return GpuSample::all_unknown(index, unknown),
        };
        fn fact<T>(index: u64, call: &str, answer: Result<T, NvmlError>) -> Result<T, Unknown> {
            answer.map_err(|error| error::unknown(error, &format!("{call} of GPU {index}")))
        }
        let listed = fact(index, "nvmlDeviceGetComputeRunningProcesses", read::processes(nvml, device))
            .and_then(|list| of_servers(list, server_pids, index));
        let memory = fact(index, "nvmlDeviceGetMemoryInfo", read::memory(nvml, device));
        let power = fact(index, "nvmlDeviceGetPowerUsage", device.power_usage());
        let clock = fact(index, "nvmlDeviceGetClockInfo", device.clock_info(Clock::SM));
        let temperature = fact(index, "nvmlDeviceGetTemperature", read::temperature(device));
        let reasons = "nvmlDeviceGetCurrentClocksThrottleReasons";
        let generation = fact(index, "nvmlDeviceGetCurrPcieLinkGeneration", device.current_pcie_link_gen());
        let width = fact(index, "nvmlDeviceGetCurrPcieLinkWidth", device.current_pcie_link_width());
        let replays = fact(index, "nvmlDeviceGetPcieReplayCounter", device.pcie_replay_counter());
        GpuSample {
            index,
            uuid: self.uuid.clone(),
            utilization_percent: fact(index, "nvmlDeviceGetUtilizationRates", ring.read(device)).into(),
            process_utilization_percent: match server_pids {
                [] => Fact::Unknown(no_server()),
                pids => processes.read(device, index, pids, listed.is_ok()).into(),
            },
            power_milliwatts: power.map(u64::from).into(),
            energy_millijoules: fact(index, "nvmlDeviceGetTotalEnergyConsumption", device.total_energy_consumption())
                .into(),
            sm_clock_mhz: clock.map(u64::from).into(),
            memory_used_bytes: memory.map(|memory| memory.used_bytes).into(),
            server_memory_bytes: listed.and_then(|list| sum_of_memory(&list)).into(),
            temperature_celsius: temperature.map(u64::from).into(),
            throttle_reasons_bits: fact(index, reasons, health::throttle_reasons(nvml, device)).into(),
            pcie_link_generation: generation.map(u64::from).into(),
            pcie_link_width: width.map(u64::from).into(),
            pcie_replays: replays.map(u64::from).into(),
            pcie_received_bytes_per_second: None,
            pcie_sent_bytes_per_second: None,
        }
    }
}

fn no_server() -> Unknown {
    Unknown::new(Why::NotAsked, "no process of the server is known")
}

/// The entries of server processes; none at all is no proof of absence, since a container sees the host's ids.
fn of_servers(list: Vec<GpuProcess>, server_pids: &[u64], index: u64) -> Result<Vec<GpuProcess>, Unknown> {
    if server_pids.is_empty() {
        return Err(no_server());
    }
    let servers: Vec<GpuProcess> = list.into_iter().filter(|process| server_pids.contains(&process.pid)).collect();
    match servers.is_empty() {
        false => Ok(servers),
        true => Err(Unknown::new(
            Why::Absent,
            format!("NVML lists no process of the server on GPU {index} (in a container it lists the host's ids)"),
        )),
    }
}

fn sum_of_memory(servers: &[GpuProcess]) -> Result<u64, Unknown> {
    servers.iter().try_fold(0u64, |sum, process| Ok(sum.saturating_add(*process.used_bytes.read()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u64, used_bytes: Fact<u64>) -> GpuProcess {
        GpuProcess { pid, name: Fact::Known("python3".into()), used_bytes }
    }

    #[test]
    fn memory_is_summed_over_the_servers_processes_only() {
        let list = vec![process(1, Fact::Known(5)), process(2, Fact::Known(7)), process(3, Fact::Known(100))];
        assert_eq!(of_servers(list, &[1, 2], 0).and_then(|list| sum_of_memory(&list)), Ok(12));
    }

    #[test]
    fn an_unlisted_server_is_unknown_rather_than_zero() {
        let list = || vec![process(1, Fact::Known(5))];
        assert_eq!(of_servers(list(), &[9], 0).unwrap_err().why, Why::Absent);
        assert_eq!(of_servers(list(), &[], 0).unwrap_err().why, Why::NotAsked);
        let silent = [process(1, Fact::unknown(Why::Unsupported, "not told"))];
        assert_eq!(sum_of_memory(&silent).unwrap_err().why, Why::Unsupported);
    }
}
