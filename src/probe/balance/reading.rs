//! One look at all GPUs: by the server's own word, and by NVML.

use super::status::{self, Told};
use crate::probe::StatusFields;
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::GpuRecording;
use crate::probe::nvml::sampler::{self, Sampler};
use crate::probe::service::held::Holder;
use crate::snapshot::{Fact, Facts, MeasuredGpu, SpreadReading, Unknown, Why};
use std::time::{Duration, Instant};

/// Longest wait for the server's document.
const PATIENCE: Duration = Duration::from_secs(2);
/// Samples of NVML a second.
const RATE_HZ: u32 = 20;
/// Memory counts as settled when it has not moved so far for so long.
const STEADY: Duration = Duration::from_millis(250);
const STEADY_BYTES: u64 = 1 << 20;
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(60);

/// The two sources.
pub struct Sources<'a> {
    holder: &'a Holder,
    /// Path of the document, where one was found.
    status: Result<String, Unknown>,
    fields: &'a StatusFields,
    sampler: Result<Sampler, Unknown>,
    /// Whether the ids of processes are NVML's.
    counted_alike: bool,
    facts: &'a Facts,
}

impl<'a> Sources<'a> {
    /// Looks for the document and starts sampling the GPUs, if the server is on this machine.
    pub async fn open(
        holder: &'a Holder,
        named: Option<&str>,
        fields: &'a StatusFields,
        facts: &'a Facts,
        is_local: bool,
    ) -> Self {
        let status = find(holder, named, fields).await;
        let pids: Vec<u64> = facts.process.processes.known().into_iter().flatten().map(|process| process.pid).collect();
        let sampler = usable_nvml(facts, is_local).and_then(|()| sampler::start(&pids, RATE_HZ));
        let counted_alike = facts.nvml.host_pid_namespace.known() == Some(&true);
        Self { holder, status, fields, sampler, counted_alike, facts }
    }

    /// Path of the document.
    pub fn status_path(&self) -> Fact<String> {
        self.status.clone().into()
    }

    /// What the document tells.
    pub async fn told(&self) -> Result<Told, Unknown> {
        let path = self.status.as_ref().map_err(Clone::clone)?;
        ask(self.holder, path, self.fields).await
    }

    /// Both, as they are now.
    pub async fn read(&self, open_connections: u64) -> SpreadReading {
        let told = self.told().await.map(|told| told.gpus);
        SpreadReading { open_connections, told: told.into(), measured: self.measured().into() }
    }

    /// Waits until no GPU's memory moves any more, at most so long.
    pub async fn settle(&self, longest: Duration) {
        let until = Instant::now() + longest;
        let (mut last, mut since) = (self.memory(), Instant::now());
        // One sample at least is newer than what was done.
        tokio::time::sleep(PAUSE.min(longest)).await;
        while Instant::now() < until && since.elapsed() < STEADY {
            tokio::time::sleep(PAUSE).await;
            let now = self.memory();
            let moved = now.len() != last.len() || now.iter().zip(&last).any(|(a, b)| a.abs_diff(*b) > STEADY_BYTES);
            if moved {
                (last, since) = (now, Instant::now());
            }
        }
    }

    fn memory(&self) -> Vec<u64> {
        let Ok(sampler) = &self.sampler else { return Vec::new() };
        let gpus = sampler.so_far().gpus;
        gpus.iter().map(|gpu| last(gpu, Counter::MemoryUsed).map_or(0, |bytes| bytes as u64)).collect()
    }

    fn measured(&self) -> Result<Vec<MeasuredGpu>, Unknown> {
        let sampler = self.sampler.as_ref().map_err(Clone::clone)?;
        let recording = sampler.so_far();
        Ok(recording.gpus.iter().map(|gpu| self.gpu(gpu, &recording.server_pids)).collect())
    }

    fn gpu(&self, gpu: &GpuRecording, server_pids: &[u64]) -> MeasuredGpu {
        let of = |counter: Counter| {
            last(gpu, counter).map_or_else(|| Fact::Unknown(gpu.reason(counter)), |value| Fact::Known(value as u64))
        };
        let listed = self.facts.nvml.gpus.known().into_iter().flatten().find(|one| one.index == gpu.index);
        let total = listed.map(|one| one.memory_total_bytes.clone());
        let (server_bytes, server_processes) = self.of_server(gpu, server_pids);
        MeasuredGpu {
            index: gpu.index,
            uuid: gpu.uuid.clone(),
            total_bytes: total.unwrap_or_else(|| Fact::unknown(Why::Absent, "NVML did not list it before")),
            used_bytes: of(Counter::MemoryUsed),
            server_bytes: server_bytes.into(),
            server_processes: server_processes.into(),
            utilization_percent: of(Counter::Utilization),
        }
    }

    /// Memory and number of the server's processes on a GPU. That none is listed is none only where NVML's ids are ours.
    fn of_server(&self, gpu: &GpuRecording, pids: &[u64]) -> (Result<u64, Unknown>, Result<u64, Unknown>) {
        let Some((_, list)) = gpu.processes.last() else {
            let unread = gpu.reason(Counter::ServerMemory);
            return (Err(unread.clone()), Err(unread));
        };
        if pids.is_empty() {
            let unknown = Unknown::new(Why::NotAsked, "no process of the server is known");
            return (Err(unknown.clone()), Err(unknown));
        }
        let own: Vec<_> = list.iter().filter(|one| pids.contains(&one.pid)).collect();
        if own.is_empty() && !self.counted_alike {
            let detail = "NVML tells the host's process ids, and the doctor may count otherwise";
            let unknown = Unknown::new(Why::Unsupported, detail);
            return (Err(unknown.clone()), Err(unknown));
        }
        let bytes = own.iter().try_fold(0u64, |sum, one| {
            let untold = || Unknown::new(Why::Unsupported, format!("NVML does not tell the memory of {}", one.pid));
            Ok(sum.saturating_add(one.bytes.ok_or_else(untold)?))
        });
        (bytes, Ok(own.len() as u64))
    }
}

fn last(gpu: &GpuRecording, counter: Counter) -> Option<f64> {
    gpu.readings(counter).last().map(|(_, value)| *value)
}

/// Whether NVML can be sampled at all; if not, why.
fn usable_nvml(facts: &Facts, is_local: bool) -> Result<(), Unknown> {
    if !is_local {
        return Err(Unknown::new(Why::NotAsked, "the GPUs of another machine are not sampled"));
    }
    match facts.nvml.status.read()?.as_str() {
        "ok" => Ok(()),
        status => Err(Unknown::new(Why::Absent, format!("NVML is not usable ({})", status.replace('_', " ")))),
    }
}

/// The path at which the server tells of its GPUs.
async fn find(holder: &Holder, named: Option<&str>, fields: &StatusFields) -> Result<String, Unknown> {
    if let Some(path) = named {
        return ask(holder, path, fields).await.map(|_| path.to_owned());
    }
    for path in status::PATHS {
        match ask(holder, path, fields).await {
            Ok(_) => return Ok((*path).to_owned()),
            // A server that does not answer is not asked again and again.
            Err(unknown) if unknown.why == Why::TimedOut => return Err(unknown),
            Err(_) => {}
        }
    }
    // That a server does not tell is no fault of anything.
    let detail = format!("the server tells of its GPUs at none of {}", status::PATHS.join(", "));
    Err(Unknown::new(Why::NotAsked, detail))
}

async fn ask(holder: &Holder, path: &str, fields: &StatusFields) -> Result<Told, Unknown> {
    let (status, body) = holder.get(path, PATIENCE).await.map_err(|failure| Unknown::new(failure.why, failure.text))?;
    if status != 200 {
        return Err(Unknown::new(Why::Absent, format!("{path} was answered {status}")));
    }
    status::read(&body, fields).map_err(|unknown| Unknown::new(unknown.why, format!("{path}: {}", unknown.detail)))
}
