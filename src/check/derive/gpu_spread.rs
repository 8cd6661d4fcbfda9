//! How the server's processes are spread over the GPUs of the machine.

use super::Basis;
use super::activity::LEAST_SAMPLES;
use super::activity::idle_utilization_percent;
use super::sharing::{counted_alike, server_pids};
use super::trouble::listed;
use crate::snapshot::{Facts, Gpu, GpuWindow, KubernetesNode, Unknown, Why, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

room! {
    /// GPUs without work beside one that has it all.
    pub struct GpuSpread {
        /// The one GPU on which all of the server's processes sit while others have nothing; none if it is not so.
        pub server_on_one_gpu: Vec<OneGpu>,
        /// The same for all processes of the machine where a GPU is divided between replicas (Ray's shares, Kubernetes'
        /// time slices).
        pub shares_on_one_gpu: Vec<OneGpu>,
    }
}

/// A GPU that has all the processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OneGpu {
    /// Index in NVML's order.
    pub gpu: u64,
    /// GPUs of the machine.
    pub all: u64,
    /// Those without any process and without work, by index.
    pub unused: Vec<u64>,
    /// Processes on the one, by id.
    pub pids: Vec<u64>,
    /// Its mean utilization while requests ran, percent; negative if that is not known.
    pub busy_percent: f64,
    /// What restricts the server to one GPU: `CUDA_VISIBLE_DEVICES=0`; empty if nothing was seen to.
    pub restricted_by: String,
    /// Whether it could be seen that nothing does.
    pub seen_free: bool,
    /// What divides the GPU, in words; empty if nothing does.
    pub divided_by: String,
}

impl GpuSpread {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { server_on_one_gpu: of_server(facts).into(), shares_on_one_gpu: of_shares(facts).into() }
    }
}

/// Mean utilization from which on one GPU is the bottleneck beside others that do nothing, percent.
const SATURATED_PERCENT: f64 = 90.0;

type Ones = Result<Vec<OneGpu>, Unknown>;

/// A GPU and the processes on it.
struct Seat<'a> {
    gpu: &'a Gpu,
    window: Option<&'a GpuWindow>,
    pids: BTreeSet<u64>,
}

impl Seat<'_> {
    fn busy_percent(&self) -> Option<f64> {
        let phases = self.window?.utilization_percent.known()?;
        (phases.during.samples >= LEAST_SAMPLES).then_some(phases.during.mean)
    }

    fn does_nothing(&self) -> bool {
        let most = self.window.and_then(|window| window.utilization_percent.known()).map(|phases| phases.during.max);
        self.pids.is_empty() && most.is_none_or(|most| most <= idle_utilization_percent())
    }
}

/// The GPUs with their processes; none where there is but one GPU.
fn seats(facts: &Facts) -> Result<Vec<Seat<'_>>, Unknown> {
    let gpus = listed(facts)?;
    if gpus.len() < 2 {
        return Ok(Vec::new());
    }
    let not_asked = |detail: String| Unknown::new(Why::NotAsked, detail);
    if gpus.iter().any(|gpu| gpu.mig_enabled.known() == Some(&true)) {
        return Err(not_asked("instances of MIG are no GPUs of their own in NVML's list of processes".into()));
    }
    let windows = facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let seat = |gpu| {
        let window = windows.iter().find(|window| is_of(window, gpu));
        let listed = gpu.processes.read().map_err(|unknown| not_asked(unknown.detail))?;
        let later = window.and_then(|window| window.processes.known()).into_iter().flatten();
        let pids = listed.iter().map(|process| process.pid).chain(later.map(|process| process.pid)).collect();
        Ok(Seat { gpu, window, pids })
    };
    gpus.iter().map(seat).collect()
}

fn is_of(window: &GpuWindow, gpu: &Gpu) -> bool {
    match (window.uuid.known(), gpu.uuid.known()) {
        (Some(window), Some(gpu)) => window == gpu,
        _ => window.index == gpu.index,
    }
}

/// The one GPU with these processes, if all of them sit there and at least one other GPU has nothing at all.
fn one(seats: &[Seat], fits: impl Fn(u64) -> bool) -> Option<OneGpu> {
    let own = |seat: &Seat| seat.pids.iter().copied().filter(|pid| fits(*pid)).collect::<Vec<u64>>();
    let mut taken = seats.iter().filter(|seat| !own(seat).is_empty());
    let (seat, None) = (taken.next()?, taken.next()) else { return None };
    let unused: Vec<u64> = seats.iter().filter(|seat| seat.does_nothing()).map(|seat| seat.gpu.index).collect();
    (!unused.is_empty()).then(|| OneGpu {
        gpu: seat.gpu.index,
        all: seats.len() as u64,
        unused,
        pids: own(seat),
        busy_percent: seat.busy_percent().map_or(-1.0, |percent| percent.round()),
        restricted_by: String::new(),
        seen_free: false,
        divided_by: String::new(),
    })
}

/// Several workers of the server on one GPU; or one that was given several, or that has no time left, on one of them.
fn of_server(facts: &Facts) -> Ones {
    let seats = seats(facts)?;
    if seats.is_empty() {
        return Ok(Vec::new());
    }
    if !counted_alike(facts) {
        let detail = "NVML tells the host's process ids, and the doctor runs in a container where they differ";
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let Some(pids) = server_pids(facts) else {
        return Err(Unknown::new(Why::NotAsked, "no process of the server is known"));
    };
    let Some(mut found) = one(&seats, |pid| pids.contains(&pid)) else { return Ok(Vec::new()) };
    let given = given(facts);
    let several = matches!(&given, Given::Several);
    match given {
        Given::One(words) => found.restricted_by = words,
        Given::Several | Given::All => found.seen_free = true,
        Given::Unknown => {}
    }
    let saturated = found.busy_percent >= SATURATED_PERCENT && found.seen_free;
    let meant_for_more = found.pids.len() > 1 || several || saturated;
    Ok(if meant_for_more { vec![found] } else { Vec::new() })
}

/// GPUs that the server's environment names.
enum Given {
    One(String),
    Several,
    All,
    Unknown,
}

fn given(facts: &Facts) -> Given {
    let Some(variables) = facts.process.environment.known() else { return Given::Unknown };
    let mut several = false;
    for name in ["CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"] {
        let Some(value) = variables.get(name) else { continue };
        match value.split(',').filter(|entry| !entry.trim().is_empty()).count() {
            _ if matches!(value.trim(), "all" | "void") => {}
            1 => return Given::One(format!("{name}={value}")),
            number => several |= number > 1,
        }
    }
    // Whatever the reason: CUDA shows it no more than one.
    if facts.cuda.device_count.known() == Some(&1) {
        return Given::One("CUDA, which shows the server one device".into());
    }
    if several { Given::Several } else { Given::All }
}

/// Replicas with shares of a GPU that all landed on the same one.
fn of_shares(facts: &Facts) -> Ones {
    let divided = [ray_shares(facts), kubernetes_shares(facts)].into_iter().flatten().next();
    let Some(divided_by) = divided else { return Ok(Vec::new()) };
    let found = one(&seats(facts)?, |_| true).filter(|found| found.pids.len() > 1);
    Ok(found.map(|found| OneGpu { divided_by, ..found }).into_iter().collect())
}

fn ray_shares(facts: &Facts) -> Option<String> {
    let models = facts.engine.models.known()?;
    models.iter().find_map(|model| {
        let (share, replicas) = (*model.gpus_per_replica.known()?, *model.replicas.known()?);
        let is_share = share > 0.0 && share < 1.0 && replicas > 1;
        is_share.then(|| format!("Ray Serve gives each of {replicas} replicas of {} {share} GPU", model.name))
    })
}

fn kubernetes_shares(facts: &Facts) -> Option<String> {
    let nodes: &Vec<KubernetesNode> = facts.kubernetes.nodes.known()?;
    let node = nodes.iter().find(|node| node.pods_per_gpu > 1)?;
    Some(format!("node {} divides each GPU between {} pods", node.name, node.pods_per_gpu))
}
