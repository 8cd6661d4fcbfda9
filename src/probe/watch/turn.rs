//! What is seen in one interval.

use crate::snapshot::Unknown;

/// A figure, or why there is none. [`crate::snapshot::Why::NotAsked`] stands for a mean of nothing.
pub type Figure = Result<f64, Unknown>;

/// One interval.
#[derive(Debug, Clone)]
pub struct Turn {
    /// Its end, milliseconds since 1970.
    pub at_ms: f64,
    /// The same as a time of day on this machine's clock: `14:32:10`.
    pub time: String,
    /// The GPUs, in NVML's order.
    pub gpus: Vec<GpuTurn>,
    /// The server, if one is watched.
    pub server: Option<ServerTurn>,
    /// What happened besides, one sentence each: a page that is gone, a GPU that is lost.
    pub notes: Vec<String>,
}

impl Turn {
    /// Whether nothing at all was read: there is no figure of a GPU, none of the server, and no GPU was lost just now.
    pub fn is_blank(&self) -> bool {
        let of_gpu = |gpu: &GpuTurn| {
            gpu.lost.is_some()
                || [&gpu.utilization_percent, &gpu.memory_used_bytes, &gpu.power_milliwatts, &gpu.temperature_celsius]
                    .into_iter()
                    .any(Result::is_ok)
        };
        let of_server = |server: &ServerTurn| {
            [&server.gained, &server.queue_ms, &server.running, &server.waiting].into_iter().any(Result::is_ok)
        };
        !self.gpus.iter().any(of_gpu) && !self.server.as_ref().is_some_and(of_server)
    }
}

/// A GPU in one interval.
#[derive(Debug, Clone)]
pub struct GpuTurn {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Option<String>,
    /// Product name.
    pub name: Option<String>,
    /// Memory of the card, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Share of time with a kernel running, percent, on average of the samples.
    pub utilization_percent: Figure,
    /// The same, the highest sample.
    pub utilization_max_percent: Figure,
    /// Memory in use at the end, bytes.
    pub memory_used_bytes: Figure,
    /// Mean power draw, milliwatts.
    pub power_milliwatts: Figure,
    /// Core temperature at the end, degrees Celsius.
    pub temperature_celsius: Figure,
    /// Mean clock of the multiprocessors, MHz.
    pub sm_clock_mhz: Figure,
    /// Share of the multiprocessors in use (GPM), percent, on average.
    pub sm_activity_percent: Figure,
    /// Why the clocks are not higher, as nvidia-smi names it.
    pub throttle_reasons: Result<Vec<String>, Unknown>,
    /// Why it does not answer any more.
    pub lost: Option<Unknown>,
}

impl GpuTurn {
    /// Whether no sample shows a kernel; nothing where utilization was not read.
    pub fn is_idle(&self) -> Option<bool> {
        self.utilization_max_percent.as_ref().ok().map(|percent| *percent < 1.0)
    }

    /// Share of the memory in use, percent.
    pub fn memory_percent(&self) -> Figure {
        let untold = || Unknown::new(crate::snapshot::Why::Unsupported, "the size of its memory is not known");
        let total = self.memory_total_bytes.filter(|total| *total > 0).ok_or_else(untold)?;
        Ok(100.0 * self.memory_used_bytes.clone()? / total as f64)
    }
}

/// The server's counters in one interval, of all its models together.
#[derive(Debug, Clone)]
pub struct ServerTurn {
    /// Requests that were counted.
    pub gained: Figure,
    /// Those of them that succeeded by the server's own count.
    pub succeeded: Figure,
    /// Those that failed or were refused by the server's own count.
    pub failed: Figure,
    /// Mean time in the queue, milliseconds.
    pub queue_ms: Figure,
    /// Mean time in the model, milliseconds.
    pub infer_ms: Figure,
    /// Mean time from a request's arrival to its answer, milliseconds.
    pub request_ms: Figure,
    /// Requests that were being worked on at the last reading.
    pub running: Figure,
    /// Requests that waited at the last reading.
    pub waiting: Figure,
}

impl ServerTurn {
    /// One of which nothing is known.
    pub fn unknown(unknown: &Unknown) -> Self {
        let none = || Err(unknown.clone());
        Self {
            gained: none(),
            succeeded: none(),
            failed: none(),
            queue_ms: none(),
            infer_ms: none(),
            request_ms: none(),
            running: none(),
            waiting: none(),
        }
    }
}

/// A time of day on this machine's clock.
pub fn time_of_day(at_ms: f64) -> String {
    let seconds = (at_ms / 1e3).floor() as libc::time_t;
    // SAFETY: plain data, zeroed; localtime_r writes to it alone.
    let local = unsafe {
        let mut local: libc::tm = std::mem::zeroed();
        (!libc::localtime_r(&seconds, &mut local).is_null()).then_some(local)
    };
    local.map_or_else(String::new, |at| format!("{:02}:{:02}:{:02}", at.tm_hour, at.tm_min, at.tm_sec))
}
