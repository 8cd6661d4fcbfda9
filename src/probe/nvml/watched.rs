//! One GPU as the sampler's child reads it. Each counter has its own state of support: what is refused for good is asked
//! once, anything else again after a while, and the reason is reported when it changes.

use super::counter::{COUNTERS, Counter};
use super::gpm::Gpm;
use super::pcie::Candidate;
use super::round::Round;
use super::running::{Running, no_server};
use super::shares::{Said, Shares};
use super::utilization::Ring;
use super::{error, health, read};
use crate::snapshot::{Unknown, Why};
use nvml_wrapper::enum_wrappers::device::{Clock, PcieUtilCounter};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};
use serde_json::json;

/// A counter that failed is asked again after this long, milliseconds.
const AGAIN_MS: f64 = 1000.0;
/// NVML answers in KB/s (nvml.h, nvmlDeviceGetPcieThroughput).
const KILOBYTE: f64 = 1000.0;

/// A GPU that NVML hands out.
pub struct Watched<'n> {
    nvml: &'n Nvml,
    index: u64,
    device: Device<'n>,
    ring: Ring,
    running: Running,
    shares: Shares,
    gpm: Option<Gpm<'n>>,
    /// When each counter is read next, milliseconds of the monotonic clock; infinite where it is refused for good.
    due_ms: [f64; COUNTERS],
    /// Why each is not known, if it was told.
    told: [Option<Why>; COUNTERS],
    holds_memory: bool,
    /// Whether the list of processes was read.
    listed: bool,
    lost: bool,
}

impl<'n> Watched<'n> {
    /// Passes over what the driver's rings hold from before.
    pub fn new(nvml: &'n Nvml, index: u64, device: Device<'n>, longer_entries: bool, round: &mut Round) -> Self {
        round.mark(index, Counter::Utilization as usize);
        let ring = Ring::begin(nvml, &device, round);
        round.mark(index, Counter::ProcessUtilization as usize);
        let shares = Shares::begin(nvml, &device, round);
        round.mark(index, Counter::SmActivity as usize);
        let gpm = Gpm::begin(nvml, &device);
        let mut watched = Self {
            nvml,
            index,
            device,
            ring,
            running: Running::new(nvml, longer_entries),
            shares,
            gpm: None,
            due_ms: [f64::NEG_INFINITY; COUNTERS],
            told: [None; COUNTERS],
            holds_memory: false,
            listed: false,
            lost: false,
        };
        match gpm {
            Ok(gpm) => watched.gpm = Some(gpm),
            Err(error) => watched.refused(Counter::SmActivity, error, round),
        }
        if round.server_pids.is_empty() {
            for counter in [Counter::ServerMemory, Counter::ProcessUtilization] {
                watched.unread(counter, &no_server(), round);
            }
        }
        watched
    }

    /// The wall clock has moved, by which the driver stamps its samples.
    pub fn pass_over(&mut self, round: &mut Round) {
        if self.lost {
            return;
        }
        round.mark(self.index, Counter::Utilization as usize);
        self.ring.pass_over(self.nvml, &self.device, round);
        round.mark(self.index, Counter::ProcessUtilization as usize);
        self.shares.pass_over(self.nvml, &self.device, round);
    }

    /// Reads what is due.
    pub fn sample(&mut self, round: &mut Round) {
        if self.lost {
            return;
        }
        round.gpu(self.index);
        self.every_time(round);
        self.processes(round);
        self.slowly(round);
        round.end_gpu();
    }

    fn every_time(&mut self, round: &mut Round) {
        if self.due(Counter::Utilization, round) {
            let answer = self.ring.read(self.nvml, &self.device, self.index, round);
            self.settle(Counter::Utilization, answer, round);
        }
        self.read(Counter::Power, round, |_, device| device.power_usage().map(f64::from));
        self.read(Counter::Energy, round, |_, device| device.total_energy_consumption().map(|energy| energy as f64));
        self.read(Counter::SmClock, round, |_, device| device.clock_info(Clock::SM).map(f64::from));
        self.read(Counter::MemoryUsed, round, |nvml, device| {
            read::memory(nvml, device).map(|memory| memory.used_bytes as f64)
        });
        self.read(Counter::ThrottleReasons, round, |nvml, device| {
            health::throttle_reasons(nvml, device).map(|bits| bits as f64)
        });
    }

    fn processes(&mut self, round: &mut Round) {
        let mut is_read = false;
        if self.due(Counter::ServerMemory, round) {
            is_read = true;
            match self.running.read(self.nvml, &self.device, round) {
                Ok(()) => {
                    self.listed = true;
                    let bytes = self.running.server_bytes(self.index, &round.server_pids);
                    self.holds_memory = bytes.as_ref().is_ok_and(|bytes| *bytes > 0);
                    match bytes {
                        Ok(bytes) => self.settle(Counter::ServerMemory, Ok(bytes as f64), round),
                        Err(unknown) => self.unread(Counter::ServerMemory, &unknown, round),
                    }
                }
                Err(error) => self.refused(Counter::ServerMemory, error, round),
            }
        }
        if self.due(Counter::ProcessUtilization, round) {
            is_read = true;
            let listed = self.running.lists_one_of(&round.server_pids);
            match self.shares.read(self.nvml, &self.device, self.index, round, listed) {
                Err(error) => self.refused(Counter::ProcessUtilization, error, round),
                // Read for the list of processes only.
                Ok(_) if round.server_pids.is_empty() => {}
                Ok(Said::Share(percent)) => self.settle(Counter::ProcessUtilization, Ok(percent as f64), round),
                Ok(Said::Idle) => self.settle(Counter::ProcessUtilization, Ok(0.0), round),
                Ok(Said::Nothing) => {
                    let place = Counter::ProcessUtilization.call();
                    let detail = format!("{place} of GPU {}: no sample of a process of the server", self.index);
                    self.unread(Counter::ProcessUtilization, &Unknown::new(Why::Absent, detail), round);
                }
            }
        }
        if !is_read || !self.listed && self.shares.percents.is_empty() {
            return;
        }
        if let Some(news) = self.running.news(self.index, round.at_ms, &round.server_pids, &self.shares.percents) {
            round.notes.push(news);
        }
    }

    fn slowly(&mut self, round: &mut Round) {
        if self.gpm.is_some() && self.due(Counter::SmActivity, round) {
            let answer = self.gpm.as_mut().map(|gpm| gpm.read(self.nvml, &self.device, self.index, round));
            match answer {
                Some(Ok(Some(percent))) => self.settle(Counter::SmActivity, Ok(percent), round),
                Some(Err(error)) => self.refused(Counter::SmActivity, error, round),
                _ => {}
            }
        }
        self.read(Counter::MemoryClock, round, |_, device| device.clock_info(Clock::Memory).map(f64::from));
        self.read(Counter::PState, round, |_, device| read::p_state(device).map(f64::from));
        self.read(Counter::Temperature, round, |_, device| read::temperature(device).map(f64::from));
        self.read(Counter::PcieGeneration, round, |_, device| device.current_pcie_link_gen().map(f64::from));
        self.read(Counter::PcieWidth, round, |_, device| device.current_pcie_link_width().map(f64::from));
        self.read(Counter::PcieReplays, round, |_, device| device.pcie_replay_counter().map(f64::from));
    }

    /// The GPU as far as its turn at the PCIe counters depends on it.
    pub fn candidate(&self, position: usize) -> Candidate {
        let asked = |counter: Counter| !self.lost && self.due_ms[counter as usize] < f64::INFINITY;
        Candidate { position, held: self.holds_memory, asked: [asked(Counter::PcieReceived), asked(Counter::PcieSent)] }
    }

    /// Asks for one direction of PCIe, which takes 20 ms; the answer becomes a note.
    pub fn throughput(&mut self, counter: Counter, at_ms: f64, round: &mut Round) {
        round.mark(self.index, counter as usize);
        let direction = if counter == Counter::PcieReceived { PcieUtilCounter::Receive } else { PcieUtilCounter::Send };
        match self.device.pcie_throughput(direction) {
            Ok(kilobytes) => {
                let bytes = f64::from(kilobytes) * KILOBYTE;
                round.notes.push(json!({ "gpu": self.index, "at_ms": at_ms, "read": { counter.name(): bytes } }));
            }
            Err(error) => self.refused(counter, error, round),
        }
    }

    /// Whether a counter is to be read now; if so, it is marked as the call that comes next.
    fn due(&mut self, counter: Counter, round: &Round) -> bool {
        let due_ms = &mut self.due_ms[counter as usize];
        if self.lost || round.at_ms < *due_ms {
            return false;
        }
        *due_ms = round.at_ms + counter.pace_ms();
        round.mark(self.index, counter as usize);
        true
    }

    fn read(
        &mut self,
        counter: Counter,
        round: &mut Round,
        call: impl FnOnce(&Nvml, &Device<'n>) -> Result<f64, NvmlError>,
    ) {
        if self.due(counter, round) {
            let answer = call(self.nvml, &self.device);
            self.settle(counter, answer, round);
        }
    }

    /// Takes an answer down: a value, or a reason.
    fn settle(&mut self, counter: Counter, answer: Result<f64, NvmlError>, round: &mut Round) {
        match answer.map(|value| counter.sound(value)) {
            Ok(Ok(value)) => {
                self.told[counter as usize] = None;
                round.value(counter.name(), value);
            }
            Ok(Err(junk)) => self.unread(counter, &junk, round),
            Err(error) => self.refused(counter, error, round),
        }
    }

    fn refused(&mut self, counter: Counter, error: NvmlError, round: &mut Round) {
        use NvmlError as E;
        let place = format!("{} of GPU {}", counter.call(), self.index);
        if error::of_the_whole_gpu(&error).is_some() {
            self.lost = true;
            let unknown = error::unknown(error, &place);
            round.notes.push(json!({ "gpu": self.index, "at_ms": round.at_ms, "lost": unknown }));
            return;
        }
        let for_good =
            matches!(error, E::NotSupported | E::FunctionNotFound | E::FailedToLoadSymbol(_) | E::NoPermission);
        self.due_ms[counter as usize] = if for_good { f64::INFINITY } else { round.at_ms + AGAIN_MS };
        self.unread(counter, &error::unknown(error, &place), round);
    }

    /// Reports why a counter is not known, unless that was the last thing said of it.
    fn unread(&mut self, counter: Counter, unknown: &Unknown, round: &mut Round) {
        let told = &mut self.told[counter as usize];
        if *told != Some(unknown.why) {
            *told = Some(unknown.why);
            round.unread(self.index, counter, unknown);
        }
    }
}
