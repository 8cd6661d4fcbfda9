//! NVML's last word on each GPU, for as long as connections are held.

use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Listed};
use crate::probe::nvml::sampler::{self, Sampler};
use crate::snapshot::{Fact, Facts, MeasuredGpu, Unknown, Why};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Samples of NVML a second.
const RATE_HZ: u32 = 20;
/// Silence after which what was read last is no word of now.
const STALE: Duration = Duration::from_secs(3);

/// The GPUs under watch.
pub struct Gpus {
    sampler: Sampler,
    server_pids: Vec<u64>,
    last: RefCell<Last>,
}

struct Last {
    gpus: BTreeMap<u64, Word>,
    at: Instant,
}

/// What was said of one GPU last.
struct Word {
    uuid: Fact<String>,
    used_bytes: Fact<u64>,
    utilization_percent: Fact<u64>,
    processes: Result<Vec<Listed>, Unknown>,
}

impl Gpus {
    /// Starts sampling, for so long at most.
    ///
    /// # Errors
    /// The server is on another machine, or NVML cannot be used.
    pub fn watch(facts: &Facts, is_local: bool, life: Duration) -> Result<Self, Unknown> {
        if !is_local {
            return Err(Unknown::new(Why::NotAsked, "the GPUs of another machine are not sampled"));
        }
        match facts.nvml.status.read()?.as_str() {
            "ok" => {}
            status => {
                return Err(Unknown::new(Why::Absent, format!("NVML is not usable ({})", status.replace('_', " "))));
            }
        }
        let server_pids: Vec<u64> =
            facts.process.processes.known().into_iter().flatten().map(|process| process.pid).collect();
        let sampler = sampler::stream(&server_pids, RATE_HZ, life)?;
        let last = Last { gpus: BTreeMap::new(), at: Instant::now() };
        Ok(Self { sampler, server_pids, last: RefCell::new(last) })
    }

    /// Memory in use on each GPU as it was read last, bytes, where it was.
    pub fn memory(&self) -> Vec<Option<u64>> {
        self.take();
        self.last.borrow().gpus.values().map(|word| word.used_bytes.known().copied()).collect()
    }

    /// Everything as it was read last.
    ///
    /// # Errors
    /// NVML fell silent.
    pub fn measured(&self, facts: &Facts) -> Result<Vec<MeasuredGpu>, Unknown> {
        self.take();
        let last = self.last.borrow();
        if last.at.elapsed() > STALE {
            let detail = format!("NVML has told nothing for {:.0} s", last.at.elapsed().as_secs_f64());
            return Err(Unknown::new(Why::TimedOut, detail));
        }
        Ok(last.gpus.iter().map(|(index, word)| self.measured_gpu(*index, word, facts)).collect())
    }

    fn measured_gpu(&self, index: u64, word: &Word, facts: &Facts) -> MeasuredGpu {
        let listed = facts.nvml.gpus.known().into_iter().flatten().find(|one| one.index == index);
        let total = listed.map(|one| one.memory_total_bytes.clone());
        let own = self.of_server(word, facts);
        MeasuredGpu {
            index,
            uuid: word.uuid.clone(),
            total_bytes: total.unwrap_or_else(|| Fact::unknown(Why::Absent, "NVML did not list it before")),
            used_bytes: word.used_bytes.clone(),
            server_bytes: own.clone().and_then(|own| bytes_of(&own)).into(),
            server_processes: own.clone().map(|own| own.len() as u64).into(),
            server_pids: own.map(|own| own.iter().map(|one| one.pid).collect()).into(),
            utilization_percent: word.utilization_percent.clone(),
        }
    }

    /// The server's processes on a GPU. That none is listed is none only where NVML's ids are the doctor's.
    fn of_server(&self, word: &Word, facts: &Facts) -> Result<Vec<Listed>, Unknown> {
        let list = word.processes.as_ref().map_err(Clone::clone)?;
        if self.server_pids.is_empty() {
            return Err(Unknown::new(Why::NotAsked, "no process of the server is known"));
        }
        let own: Vec<Listed> = list.iter().filter(|one| self.server_pids.contains(&one.pid)).cloned().collect();
        if own.is_empty() && facts.nvml.host_pid_namespace.known() != Some(&true) {
            let detail =
                "NVML tells the process ids of the host, and the doctor runs in a namespace with ids of its own";
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        Ok(own)
    }

    /// Takes in what was read since the last look.
    fn take(&self) {
        let news = self.sampler.news();
        let mut last = self.last.borrow_mut();
        if !news.times.is_empty() {
            last.at = Instant::now();
        }
        for gpu in &news.gpus {
            last.gpus.entry(gpu.index).or_insert_with(|| Word::none(gpu)).go_on(gpu);
        }
    }
}

/// Their memory.
fn bytes_of(own: &[Listed]) -> Result<u64, Unknown> {
    own.iter().try_fold(0u64, |sum, one| {
        let untold = || Unknown::new(Why::Unsupported, format!("NVML does not tell the memory of process {}", one.pid));
        Ok(sum.saturating_add(one.bytes.ok_or_else(untold)?))
    })
}

impl Word {
    fn none(gpu: &GpuRecording) -> Self {
        Self {
            uuid: gpu.uuid.clone(),
            used_bytes: Fact::Unknown(gpu.reason(Counter::MemoryUsed)),
            utilization_percent: Fact::Unknown(gpu.reason(Counter::Utilization)),
            processes: Err(gpu.reason(Counter::ServerMemory)),
        }
    }

    /// Each thing is kept until it is told anew; of a GPU that stopped to answer nothing is.
    fn go_on(&mut self, gpu: &GpuRecording) {
        if gpu.uuid.known().is_some() {
            self.uuid = gpu.uuid.clone();
        }
        for (kept, counter) in
            [(&mut self.used_bytes, Counter::MemoryUsed), (&mut self.utilization_percent, Counter::Utilization)]
        {
            match gpu.readings(counter).last() {
                Some((_, value)) => *kept = Fact::Known(*value as u64),
                None if gpu.lost.is_some() || kept.known().is_none() => *kept = Fact::Unknown(gpu.reason(counter)),
                None => {}
            }
        }
        match gpu.processes.last() {
            Some((_, list)) => self.processes = Ok(list.clone()),
            None if gpu.lost.is_some() || self.processes.is_err() => {
                self.processes = Err(gpu.reason(Counter::ServerMemory));
            }
            None => {}
        }
    }
}
