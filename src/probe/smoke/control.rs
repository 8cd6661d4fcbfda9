//! The GPUs' counters while the kernel is repeated. A counter that stays at 0 while requests run says something only if it
//! rises for a kernel that is known to run.

use super::{deadline, read};
use crate::probe::Context;
use crate::probe::isolation::{Child, Report};
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Recording};
use crate::probe::nvml::sampler::{self, Sampler, monotonic_ms};
use crate::probe::service::window::phases::summarise;
use crate::snapshot::{CudaDevice, Fact, Facts, GpuWindow, SmokeRun, Unknown, Why};
use std::time::Duration;

/// Devices whose GPUs are watched, at most.
pub const MOST_DEVICES: u64 = 16;
/// How long the GPUs are watched at rest, how long the kernel is repeated, and how long they are watched after the last
/// one. Utilization is a mean over up to a second (nvml.h, nvmlUtilization_t).
const BASELINE: Duration = Duration::from_millis(1200);
const BUSY: Duration = Duration::from_millis(1500);
const AFTER: Duration = Duration::from_millis(300);
/// With less time than this left the kernel is not repeated: the other devices' results come first.
const LEAST_TIME: Duration = Duration::from_secs(8);
/// Utilization above which a GPU has work already, percent. It is left alone.
const AT_WORK_PERCENT: f64 = 5.0;

/// The sampler, and when each device had its turn.
pub struct Control {
    sampler: Result<Sampler, Unknown>,
    /// The GPUs at rest.
    rest: Recording,
    turns: Vec<Turn>,
}

/// One device's turn.
struct Turn {
    ordinal: u64,
    /// Index of its GPU in NVML's order, and its identifier.
    gpu: Result<(u64, String), Unknown>,
    opened: f64,
    /// When the kernel was repeated last; `None` if it was not.
    closed: Option<f64>,
}

impl Control {
    /// Starts to sample and watches the GPUs at rest. `pids` are the children that will compute.
    pub fn begin(context: &Context, facts: &Facts, pids: Vec<u64>) -> Self {
        let sampler = match facts.nvml.status.read() {
            Ok(status) if status == "ok" && !pids.is_empty() => sampler::start(&pids, context.ask.sample_rate_hz),
            Ok(status) => Err(Unknown::new(Why::Absent, format!("NVML is not usable ({})", status.replace('_', " ")))),
            Err(unknown) => Err(unknown),
        };
        if sampler.is_ok() {
            std::thread::sleep(BASELINE.min(context.time_left() / 8));
        }
        let rest = sampler.as_ref().map(Sampler::so_far).unwrap_or_default();
        Self { sampler, rest, turns: Vec::new() }
    }

    /// Gives a device its turn.
    pub fn watched(
        &mut self,
        ordinal: u64,
        child: Result<Child, Box<Report>>,
        context: &Context,
        facts: &Facts,
    ) -> SmokeRun {
        let mut child = match child {
            Ok(child) => child,
            Err(report) => return read(ordinal, &report),
        };
        let gpu = gpu_of(facts, ordinal);
        let may = gpu.as_ref().map_err(Unknown::clone).and_then(|(index, _)| self.may_repeat(*index, context, facts));
        let busy_ms = if may.is_ok() { BUSY.as_millis() } else { 0 };
        let opened = monotonic_ms();
        child.tell(&busy_ms.to_string());
        let report = child.finish(deadline(context));
        let closed = report.parts.iter().rev().find_map(|part| part.get("busy_until_ms")?.as_f64());
        let mut run = read(ordinal, &report);
        run.uuid = match &gpu {
            Ok((_, uuid)) => Fact::Known(uuid.clone()),
            Err(_) => device(facts, ordinal).map_or_else(Fact::Unknown, |device| device.uuid.clone()),
        };
        if let Err(unknown) = may {
            run.busy_ms = Fact::Unknown(unknown.clone());
            run.counters = Fact::Unknown(unknown);
        }
        self.turns.push(Turn { ordinal, gpu, opened, closed });
        run
    }

    /// Whether the device's GPU may be kept busy for a moment; if not, why.
    fn may_repeat(&self, index: u64, context: &Context, facts: &Facts) -> Result<(), Unknown> {
        self.sampler.as_ref().map_err(Unknown::clone)?;
        if context.time_left() < LEAST_TIME {
            let detail = "there was no time left to repeat the kernel beside the counters (see --timeout)";
            return Err(Unknown::new(Why::TimedOut, detail));
        }
        let gpu = self.rest.gpus.iter().find(|gpu| gpu.index == index);
        let gpu = gpu.ok_or_else(|| Unknown::new(Why::Absent, format!("NVML told nothing of GPU {index} at rest")))?;
        match at_work(gpu, &self.rest.server_pids, facts) {
            Some(words) => {
                let detail = format!("GPU {index} has work already ({words}), which the doctor's kernel would slow");
                Err(Unknown::new(Why::NotAsked, detail))
            }
            None => Ok(()),
        }
    }

    /// Ends sampling and puts the counters into the runs.
    pub fn end(self, runs: &mut [SmokeRun]) {
        let repeated = self.turns.iter().any(|turn| turn.closed.is_some());
        let recording = self.sampler.and_then(|sampler| {
            if repeated {
                std::thread::sleep(AFTER);
            }
            sampler.finish()
        });
        for turn in self.turns {
            let Some(closed) = turn.closed else { continue };
            if let Some(run) = runs.iter_mut().find(|run| run.ordinal == turn.ordinal) {
                let counters = recording.as_ref().map_err(Unknown::clone);
                run.counters = counters.and_then(|recording| window(recording, turn, closed)).into();
            }
        }
    }
}

/// One device's GPU in its turn.
fn window(recording: &Recording, turn: Turn, closed: f64) -> Result<GpuWindow, Unknown> {
    let (index, _) = turn.gpu?;
    let of_gpu: Vec<GpuRecording> = recording.gpus.iter().filter(|gpu| gpu.index == index).cloned().collect();
    let alone = Recording { gpus: of_gpu, ..recording.clone() };
    let window = summarise(&alone, turn.opened, closed, &[]).pop();
    let window = window.ok_or_else(|| Unknown::new(Why::Absent, format!("NVML told nothing of GPU {index}")))?;
    let left_out = || Unknown::new(Why::NotAsked, "not kept of the control");
    Ok(GpuWindow {
        memory_trace: Fact::Unknown(left_out()),
        timeline: Fact::Unknown(left_out()),
        utilization_trace: Fact::Unknown(left_out()),
        ..window
    })
}

/// The GPU of a CUDA device: its index in NVML's order, and the identifier of the GPU or of the MIG device.
fn gpu_of(facts: &Facts, ordinal: u64) -> Result<(u64, String), Unknown> {
    let uuid = device(facts, ordinal)?.uuid.read()?.clone();
    // CUDA tells a MIG device's number without saying what it is of.
    let number = |uuid: &str| uuid.split_once('-').map(|(_, number)| number.to_ascii_lowercase());
    let is_it = |other: &Fact<String>| other.known().is_some_and(|other| number(other) == number(&uuid));
    for gpu in facts.nvml.gpus.read()? {
        if is_it(&gpu.uuid) {
            return Ok((gpu.index, uuid));
        }
        let parts = gpu.mig_devices.known().into_iter().flatten();
        if let Some(Fact::Known(part)) = parts.map(|part| &part.uuid).find(|part| is_it(part)) {
            return Ok((gpu.index, part.clone()));
        }
    }
    Err(Unknown::new(Why::Absent, format!("NVML lists no GPU {uuid}, which CUDA shows as device {ordinal}")))
}

fn device(facts: &Facts, ordinal: u64) -> Result<&CudaDevice, Unknown> {
    let device = facts.cuda.devices.read()?.iter().find(|device| device.ordinal == ordinal);
    device.ok_or_else(|| Unknown::new(Why::Absent, format!("CUDA told nothing of device {ordinal}")))
}

/// By what a GPU is seen to have work, in words. Where its counters do not tell, another program that holds it counts, and a list that cannot be read.
fn at_work(gpu: &GpuRecording, own: &[u64], facts: &Facts) -> Option<String> {
    let most = |counter| gpu.readings(counter).iter().map(|(_, value)| *value).reduce(f64::max);
    let told = [(Counter::Utilization, "utilization"), (Counter::SmActivity, "SM activity")];
    let told: Vec<(&str, f64)> = told.into_iter().filter_map(|(counter, name)| Some((name, most(counter)?))).collect();
    if !told.is_empty() {
        let (name, percent) = told.into_iter().find(|(_, percent)| *percent > AT_WORK_PERCENT)?;
        return Some(format!("{name} {percent:.0} %"));
    }
    let servers = facts.process.processes.known().into_iter().flatten();
    let servers: Vec<u64> = servers.map(|process| process.pid).collect();
    let Some((_, last)) = gpu.processes.last() else {
        return Some("neither its counters nor its processes could be read".to_owned());
    };
    let other = last.iter().find(|one| !own.contains(&one.pid) && !servers.contains(&one.pid))?;
    Some(format!("process {} holds it, and its counters do not tell whether it works", other.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::nvml::recording::Listed;
    use crate::snapshot::{Gpu, MigDevice};

    fn nothing() -> Unknown {
        Unknown::new(Why::NotAsked, "not part of this test")
    }

    #[test]
    fn a_gpu_with_work_is_left_alone() {
        let facts = Facts::all_unknown(&nothing());
        let mut gpu = GpuRecording::new(0);
        assert!(at_work(&gpu, &[], &facts).unwrap().contains("could be read"), "nothing is known of it");
        gpu.processes = vec![(0.0, Vec::new())];
        assert_eq!(at_work(&gpu, &[], &facts), None, "nobody is there");
        let listed = |pid| Listed { pid, bytes: Some(1), percent: None };
        gpu.processes = vec![(0.0, vec![listed(5), listed(7)])];
        assert!(at_work(&gpu, &[5], &facts).unwrap().contains("process 7"));
        assert_eq!(at_work(&gpu, &[5, 7], &facts), None);
        gpu.push(Counter::Utilization, 0.0, 3.0);
        assert_eq!(at_work(&gpu, &[5], &facts), None, "a holder that rests");
        gpu.push(Counter::Utilization, 50.0, 88.0);
        gpu.push(Counter::Utilization, 100.0, 0.0);
        assert_eq!(at_work(&gpu, &[5], &facts).unwrap(), "utilization 88 %");
    }

    #[test]
    fn a_device_is_found_by_its_number_also_if_it_is_a_part() {
        let mut facts = Facts::all_unknown(&nothing());
        let mut devices: Vec<CudaDevice> = (0..3).map(|ordinal| CudaDevice::all_unknown(ordinal, &nothing())).collect();
        devices[0].uuid = Fact::Known("GPU-0b9d7c66".into());
        devices[1].uuid = Fact::Known("GPU-3D1E2C44".into());
        facts.cuda.devices = Fact::Known(devices);
        let mut gpus: Vec<Gpu> = (0..2).map(|index| Gpu::all_unknown(index, &nothing())).collect();
        gpus[0].uuid = Fact::Known("GPU-aaaa".into());
        let part: MigDevice = serde_json::from_value(serde_json::json!({
            "index": 0, "uuid": {"known": "MIG-3d1e2c44"}
        }))
        .unwrap();
        gpus[0].mig_devices = Fact::Known(vec![part]);
        gpus[1].uuid = Fact::Known("GPU-0b9d7c66".into());
        facts.nvml.gpus = Fact::Known(gpus);
        assert_eq!(gpu_of(&facts, 0).unwrap(), (1, "GPU-0b9d7c66".into()));
        assert_eq!(gpu_of(&facts, 1).unwrap(), (0, "MIG-3d1e2c44".into()));
        assert_eq!(gpu_of(&facts, 2).unwrap_err().why, Why::NotAsked);
        assert!(gpu_of(&facts, 3).is_err());
    }
}
