//! What the GPUs and the server did while known-good requests ran.

use super::fact::{Fact, Unknown, room};
use super::process::ModelFile;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Counters before, during and after a bounded window of requests.
    pub struct ExecutionFacts {
        /// Requests sent in the window, one after the other.
        pub requests_sent: u64,
        /// Those that were accepted.
        pub requests_ok: u64,
        /// Answers by HTTP status; `none` for requests without an answer.
        pub answers_by_status: BTreeMap<String, u64>,
        /// Length of the idle baseline before the window, milliseconds.
        pub baseline_ms: f64,
        /// Length of the window, milliseconds.
        pub window_ms: f64,
        /// Median time of a request in the window, milliseconds.
        pub request_ms_median: f64,
        /// Median time that the server itself says its work took, milliseconds; read from its accepted answers.
        pub server_reported_ms: f64,
        /// Where it says so: `the answer's field inference_time_ms`, `the header x-inference-time`.
        pub server_reported_in: String,
        /// What that time is of by its name: `inference`, or `request` for all that the server did.
        pub server_reported_of: String,
        /// Median time of the model that the accepted answers name although their requests took less, milliseconds.
        pub server_reported_over_ms: f64,
        /// Where they say so.
        pub server_reported_over_in: String,
        /// The window's requests in order, each with its time, at most 256.
        pub request_times: Vec<RequestTime>,
        /// Requests whose input had another length than the window's, each sent twice: what a new shape costs.
        pub other_lengths: Vec<OtherLength>,
        /// CPU time of the server's processes in the window, and of programs that they started and waited for meanwhile,
        /// milliseconds.
        pub server_cpu_ms: f64,
        /// How many cores the server's processes kept busy through the window, in readings of about 50 ms, at most 256.
        pub server_cpu_trace: Vec<CpuReading>,
        /// Resident memory of the server's largest process after the window, bytes.
        pub resident_bytes_after: u64,
        /// Periods of the server's CPU limit in which it had work in the window (`nr_periods` of its control group).
        pub cpu_periods: u64,
        /// Those of them in which the server was stopped at its limit (`nr_throttled`).
        pub cpu_throttled_periods: u64,
        /// Address of a light endpoint that was asked beside the window's requests.
        pub light_request_url: String,
        /// Time of a request to the light endpoint while nothing else ran, milliseconds; the longer of two.
        pub light_request_idle_ms: f64,
        /// Time of a request to it while a request of the window ran, milliseconds; the shortest of at most three.
        pub light_request_during_ms: f64,
        /// What was left of the window's request when that light one was sent, milliseconds.
        pub light_request_left_ms: f64,
        /// The server's threads that used most CPU time in the window, the busiest first, at most 5. Only threads that
        /// lived through the window count.
        pub busiest_threads: Vec<BusyThread>,
        /// CPU time of all threads of the server in the window, in cores: 1 is one core all the time.
        pub cores_busy: f64,
        /// Bytes that the server's processes read by `read` and the like (`rchar` in proc_pid_io(5)) in the request of
        /// the window in which they read least.
        pub read_bytes_least: u64,
        /// Size of the body of the window's request, bytes.
        pub request_body_bytes: u64,
        /// Libraries of GPU runtimes that the server's processes have mapped after the window; some servers load theirs
        /// with the first request.
        pub gpu_libraries_after: BTreeMap<String, String>,
        /// Files of models' weights that they have mapped or open after the window.
        pub model_files_after: Vec<ModelFile>,
        /// Connections that the server's processes held to others while requests ran, those to its own port aside.
        pub outbound_connections: Vec<OutboundConnection>,
        /// Device nodes that they hold open after the window.
        pub device_nodes_open_after: Vec<String>,
        /// Each GPU's counters in step with the window, in NVML's order.
        pub gpus: Vec<GpuWindow>,
    }
}

/// One GPU's counters around the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuWindow {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// Utilization in the three phases, percent.
    pub utilization_percent: Fact<Phases>,
    /// Utilization by the server's own processes in the three phases, percent; unsupported on MIG.
    pub process_utilization_percent: Fact<Phases>,
    /// Power in the three phases, milliwatts.
    pub power_milliwatts: Fact<Phases>,
    /// Streaming multiprocessor clock in the three phases, megahertz.
    pub sm_clock_mhz: Fact<Phases>,
    /// Memory in use in the three phases, bytes.
    pub memory_used_bytes: Fact<Phases>,
    /// Memory held by the server's processes at the end of the window, bytes; unknown where NVML lists none
    /// of them, since a container sees the host's process ids.
    pub server_memory_bytes: Fact<u64>,
    /// Core temperature in the three phases, degrees Celsius.
    #[serde(default)]
    pub temperature_celsius: Fact<Phases>,
    /// Why the clocks were not higher while requests ran: share of the samples in which each reason stood, percent, by
    /// the names of `nvml.gpus[].throttle_reasons`. Empty if no reason ever stood.
    #[serde(default)]
    pub throttle_reasons_percent: Fact<BTreeMap<String, f64>>,
    /// Generation of the PCIe link in the three phases.
    #[serde(default)]
    pub pcie_link_generation: Fact<Phases>,
    /// Lanes of the PCIe link in the three phases.
    #[serde(default)]
    pub pcie_link_width: Fact<Phases>,
    /// PCIe packets that had to be sent again since the GPU was last reset, in the three phases.
    #[serde(default)]
    pub pcie_replays: Fact<Phases>,
    /// Memory through the window, one reading for each request that had ended or for each sample, whichever are fewer.
    #[serde(default)]
    pub memory_trace: Fact<MemoryTrace>,
    /// Utilization through the window, at most 256 readings, oldest first. The driver's counter is a mean over up to a
    /// second (nvml.h, nvmlUtilization_t), so that shorter bursts and shorter gaps are blurred.
    #[serde(default)]
    pub utilization_trace: Fact<Vec<UtilizationReading>>,
    /// What the GPU received over PCIe in the three phases, by everybody, bytes a second. NVML counts 20 ms at a time; a
    /// few readings a second are taken.
    #[serde(default)]
    pub pcie_received_bytes_per_second: Fact<Phases>,
    /// What the GPU sent over PCIe in the three phases, bytes a second.
    #[serde(default)]
    pub pcie_sent_bytes_per_second: Fact<Phases>,
    /// The GPU from the idle baseline to the cool-down, for drawing it beside the requests.
    #[serde(default)]
    pub timeline: Fact<GpuTimeline>,
    /// Mean draw by the energy counter, over each phase as a whole; nothing between two readings escapes it.
    #[serde(default)]
    pub energy_milliwatts: Fact<EnergyRates>,
    /// Share of the streaming multiprocessors that were in use (GPM, Hopper and later), percent; also on MIG.
    #[serde(default)]
    pub sm_activity_percent: Fact<Phases>,
    /// Memory clock in the three phases, megahertz.
    #[serde(default)]
    pub memory_clock_mhz: Fact<Phases>,
    /// Performance state in the three phases, read a few times a second: 0 is the highest, 15 the lowest.
    #[serde(default)]
    pub p_state: Fact<Phases>,
    /// When the GPU stopped to answer (NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED), milliseconds from the window's
    /// opening; not asked as long as it answers.
    #[serde(default)]
    pub lost_at_ms: Fact<f64>,
    /// What makes these counters doubtful, one sentence each, at most 12: a counter that ran backwards or was refused from
    /// some moment on, a gap between samples, a clock that was set, a sampler that died.
    #[serde(default)]
    pub doubts: Fact<Vec<String>>,
    /// Processes that NVML listed on it in the window, with the most memory that each held, at most 64.
    #[serde(default)]
    pub processes: Fact<Vec<WatchedProcess>>,
}

impl GpuWindow {
    /// Whether it is of this GPU: by identifier, or by index where one of them has none.
    pub fn is_of(&self, gpu: &super::nvml::Gpu) -> bool {
        match (self.uuid.known(), gpu.uuid.known()) {
            (Some(own), Some(other)) => own == other,
            _ => self.index == gpu.index,
        }
    }

    /// The GPU at `index` with every counter unknown for one reason.
    pub fn all_unknown(index: u64, unknown: &Unknown) -> Self {
        Self {
            index,
            uuid: Fact::Unknown(unknown.clone()),
            utilization_percent: Fact::Unknown(unknown.clone()),
            process_utilization_percent: Fact::Unknown(unknown.clone()),
            power_milliwatts: Fact::Unknown(unknown.clone()),
            sm_clock_mhz: Fact::Unknown(unknown.clone()),
            memory_used_bytes: Fact::Unknown(unknown.clone()),
            server_memory_bytes: Fact::Unknown(unknown.clone()),
            temperature_celsius: Fact::Unknown(unknown.clone()),
            throttle_reasons_percent: Fact::Unknown(unknown.clone()),
            pcie_link_generation: Fact::Unknown(unknown.clone()),
            pcie_link_width: Fact::Unknown(unknown.clone()),
            pcie_replays: Fact::Unknown(unknown.clone()),
            memory_trace: Fact::Unknown(unknown.clone()),
            utilization_trace: Fact::Unknown(unknown.clone()),
            pcie_received_bytes_per_second: Fact::Unknown(unknown.clone()),
            pcie_sent_bytes_per_second: Fact::Unknown(unknown.clone()),
            energy_milliwatts: Fact::Unknown(unknown.clone()),
            sm_activity_percent: Fact::Unknown(unknown.clone()),
            memory_clock_mhz: Fact::Unknown(unknown.clone()),
            p_state: Fact::Unknown(unknown.clone()),
            lost_at_ms: Fact::Unknown(unknown.clone()),
            doubts: Fact::Unknown(unknown.clone()),
            processes: Fact::Unknown(unknown.clone()),
            timeline: Fact::Unknown(unknown.clone()),
        }
    }
}

/// One GPU's readings for a drawing, at most 256 points, fewer where there are many GPUs. Each series is a text of numbers
/// with spaces between them, a number for each point, `-` where it was not read: as lists they would make up most of a
/// snapshot. Where one point stands for several readings, the highest counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpuTimeline {
    /// When each point begins, milliseconds from the window's opening; negative before it.
    pub at_ms: String,
    /// Share of the time with a kernel running, percent.
    pub utilization_percent: String,
    /// Power, milliwatts.
    pub power_milliwatts: String,
    /// Streaming multiprocessor clock, megahertz.
    pub sm_clock_mhz: String,
    /// Memory in use by everybody, MiB.
    pub memory_used_mib: String,
}

/// A process on a GPU in the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WatchedProcess {
    /// Process id, as NVML counts: in the first namespace of the machine.
    pub pid: u64,
    /// The most memory that it held, bytes.
    pub memory_bytes: Fact<u64>,
    /// Its highest share of the multiprocessors, percent.
    pub utilization_percent: Fact<u64>,
    /// Whether it is one of the server's; `false` says nothing where the doctor counts processes otherwise
    /// (`nvml.host_pid_namespace`).
    pub of_server: bool,
}

/// Mean draw by the energy counter, milliwatts, between the first and the last change of the counter that was seen in the
/// phase. A phase with fewer than two changes is unknown, and one in which the counter ran backwards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnergyRates {
    /// In the idle baseline.
    pub before: Fact<f64>,
    /// While requests ran.
    pub during: Fact<f64>,
    /// After the last answer.
    pub after: Fact<f64>,
}

/// When a request of the window ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestTime {
    /// When it was sent, milliseconds from the window's opening.
    pub begun_ms: f64,
    /// How long it took, milliseconds.
    pub duration_ms: f64,
    /// Whether it was accepted.
    pub accepted: bool,
}

/// A request whose input had another length than the window's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherLength {
    /// Size of its body, bytes.
    pub body_bytes: u64,
    /// How long it took when the server saw that length for the first time, milliseconds.
    pub first_ms: f64,
    /// How long the same request took when it was sent again, milliseconds.
    pub again_ms: f64,
}

/// CPU use of the server since the reading before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuReading {
    /// When it was taken, milliseconds from the window's opening.
    pub at_ms: f64,
    /// Cores that the server's processes kept busy since the reading before: 1 is one core all the time.
    pub cores: f64,
}

/// Utilization of a GPU at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UtilizationReading {
    /// When it was taken, milliseconds from the window's opening.
    pub at_ms: f64,
    /// Share of the time with a kernel running, percent.
    pub percent: u64,
}

/// Memory of a GPU in step with the requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryTrace {
    /// Whose memory: `server` for the server's processes, `gpu` for all that is in use on the GPU, where NVML does not
    /// tell the server's.
    pub of: String,
    /// The readings, oldest first, at most 256.
    pub readings: Vec<MemoryReading>,
}

/// One reading of memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryReading {
    /// Requests of the window that had ended by then.
    pub requests: u64,
    /// Memory in use, bytes.
    pub bytes: u64,
}

/// A thread and its share of a CPU core.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BusyThread {
    /// Process id.
    pub pid: u64,
    /// Thread id.
    pub tid: u64,
    /// The thread's name as the kernel keeps it, at most 15 characters.
    pub name: String,
    /// Share of one core over the window, percent.
    pub cpu_percent: f64,
}

/// One counter before, during and after the window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phases {
    /// Idle baseline.
    pub before: Series,
    /// While requests ran.
    pub during: Series,
    /// After the last answer.
    pub after: Series,
}

/// Summary of one counter over one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// Readings.
    pub samples: u64,
    /// Smallest reading; absent from judgement if `samples` is 0.
    pub min: f64,
    /// Mean of the readings.
    pub mean: f64,
    /// Largest reading.
    pub max: f64,
}

/// A peer to which the server held connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutboundConnection {
    /// Address and port: `192.0.2.7:443`.
    pub peer: String,
    /// Share of the readings in the window in which a connection to it stood, percent.
    pub present_percent: f64,
    /// Whether such a connection was opened in the window: one that stood before is a pool's.
    pub opened_in_window: bool,
}
