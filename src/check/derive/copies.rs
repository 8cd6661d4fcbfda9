//! Copies between the machine's memory and the GPU's: those that onnxruntime put into the graph, and what PCIe carried.

use super::activity::LEAST_SAMPLES;
use super::trouble::{GpuTrouble, Gpus, Said, answer, tells};
use super::{Basis, memory};
use crate::snapshot::{Fact, Facts, GpuWindow, Phases, Unknown, Why, room};
use crate::words::bytes;

room! {
    /// What is copied between the machine and the GPU.
    pub struct Copies {
        /// Copies that onnxruntime had to put into the graph because neighbouring nodes run on different devices; the most
        /// that one graph has.
        pub memcpy_nodes: u64,
        /// Who says so, in words.
        pub memcpy_nodes_because: String,
        /// Whether a GPU was seen to be busy nearly all the time while requests ran, so that copies cost little.
        pub gpu_seen_saturated: bool,
        /// What PCIe carried for the GPU that it carried most for, both ways, while requests ran and beyond what it carried
        /// before them, bytes a second.
        pub pcie_bytes_per_second: f64,
        /// The same for each request, bytes.
        pub pcie_bytes_per_request: f64,
        /// How many times the request's body that is.
        pub pcie_times_body: f64,
        /// GPUs whose PCIe link was nearly full while requests ran and whose multiprocessors had little to do.
        pub link_bound_gpus: Vec<GpuTrouble>,
    }
}

impl Copies {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        let nodes = nodes(facts);
        let rate = if basis.gpu_visible == Fact::Known(false) {
            Err(Unknown::new(Why::NotAsked, "this machine has no NVIDIA GPU to watch"))
        } else {
            pcie_rate(facts)
        };
        let each = rate.clone().and_then(|rate| per_request(facts, rate));
        let body = facts.execution.request_body_bytes.known().copied().unwrap_or(0).max(1);
        Self {
            memcpy_nodes: nodes.clone().map(|(number, _)| number).into(),
            memcpy_nodes_because: nodes.map(|(_, because)| because).into(),
            gpu_seen_saturated: Fact::Known(
                memory::busy_percent(facts, &basis.gpu_visible).is_ok_and(|busy| busy >= SATURATED_PERCENT),
            ),
            link_bound_gpus: link_bound(facts),
            pcie_times_body: each.clone().map(|each| each / body as f64).into(),
            pcie_bytes_per_second: rate.into(),
            pcie_bytes_per_request: each.into(),
        }
    }
}

/// Mean utilization from which on a GPU has no time left, percent.
const SATURATED_PERCENT: f64 = 80.0;

/// The most copies that one graph has, and who says so: the server's own log, else the doctor's placement of the model.
fn nodes(facts: &Facts) -> Result<(u64, String), Unknown> {
    let sayings = facts.server_log.sayings.known().into_iter().flatten();
    let said = sayings.filter(|saying| saying.id == "ort-graph-split-cpu").filter_map(|saying| {
        let number: u64 = saying.values.get("count")?.parse().ok()?;
        let graph = saying.values.get("graph").map_or(String::new(), |graph| format!(" in the graph {graph}"));
        Some((number, format!("{}, line {}, tells of {number} Memcpy nodes{graph}", saying.file, saying.line_number)))
    });
    if let Some(most) = said.max_by_key(|(number, _)| *number) {
        return Ok(most);
    }
    let (placed, predicted) = (&facts.placement, &facts.prediction);
    let tellers = [
        ("onnxruntime put", &placed.memcpy_nodes, &placed.nodes_by_provider),
        ("onnxruntime is predicted to put", &predicted.memcpy_nodes, &predicted.nodes_by_provider),
    ];
    for (who, nodes, by_provider) in tellers {
        let Some(number) = nodes.known() else { continue };
        let shares: Vec<String> = by_provider
            .known()
            .into_iter()
            .flatten()
            .map(|(provider, nodes)| format!("{nodes} nodes on {}", provider.replace("ExecutionProvider", "")))
            .collect();
        let shares = if shares.is_empty() { String::new() } else { format!(", with {}", shares.join(" and ")) };
        return Ok((*number, format!("{who} {number} Memcpy nodes into the named model{shares}")));
    }
    // Neither a log nor a model that was placed: nobody asked.
    let unknown = placed.memcpy_nodes.reason().cloned();
    Err(unknown.unwrap_or_else(|| Unknown::new(Why::NotAsked, "no model was placed and no log tells of copies")))
}

/// What a lane carries one way, bytes a second, by generation from 1 on (PCI-SIG: 2.5, 5, 8, 16, 32 and 64 GT/s, less the
/// line code).
const LANE_BYTES_PER_SECOND: [f64; 6] = [0.25e9, 0.5e9, 0.985e9, 1.969e9, 3.938e9, 7.563e9];
/// Share of the link from which on it is full: packets have heads, and what arrives is counted without them.
const LINK_FULL_SHARE: f64 = 0.6;
/// Multiprocessors that are in use, and else the time with a kernel, up to which the GPU has little to do, percent.
const LITTLE_SM_PERCENT: f64 = 30.0;
const LITTLE_BUSY_PERCENT: f64 = 60.0;

/// GPUs that wait for PCIe. The link's state is that under load: an idle one lowers its generation.
fn link_bound(facts: &Facts) -> Fact<Vec<GpuTrouble>> {
    Gpus::of(facts).each(|_, window| {
        let Some(window) = window else { return Err(Unknown::new(Why::NotAsked, "nothing under load was measured")) };
        let during = |counter: &Fact<Phases>| match tells(counter)? {
            Some(phases) if phases.during.samples >= LEAST_SAMPLES => Ok(phases.clone()),
            Some(_) => Err(Unknown::new(Why::NotAsked, "PCIe was read too seldom in the window")),
            None => Err(answer(counter)),
        };
        let ways = [("received", &window.pcie_received_bytes_per_second), ("sent", &window.pcie_sent_bytes_per_second)];
        let (mut way, mut rate) = ("", 0.0);
        for (name, counter) in ways {
            let phases = during(counter)?;
            let risen = phases.during.mean - if phases.before.samples > 0 { phases.before.mean } else { 0.0 };
            if risen > rate {
                (way, rate) = (name, risen);
            }
        }
        let (generation, width) =
            (during(&window.pcie_link_generation)?.during.max, during(&window.pcie_link_width)?.during.max);
        let lane = LANE_BYTES_PER_SECOND.get((generation as usize).wrapping_sub(1));
        let Some(link) = lane.map(|lane| lane * width).filter(|link| *link > 0.0) else { return Ok(None) };
        if rate < LINK_FULL_SHARE * link {
            return Ok(None);
        }
        let sm = window.sm_activity_percent.known().filter(|sm| sm.during.samples >= LEAST_SAMPLES);
        let (idle, seen) = match sm {
            Some(sm) => (sm.during.mean <= LITTLE_SM_PERCENT, format!("{:.0} % of its multiprocessors in use", sm.during.mean)),
            None => {
                let busy = during(&window.utilization_percent)?.during.mean;
                (busy <= LITTLE_BUSY_PERCENT, format!("a kernel running {busy:.0} % of the time"))
            }
        };
        let words = || {
            format!(
                "{way} {} a second over PCIe, {:.0} % of what its link of generation {generation:.0} with {width:.0} lanes \
                 carries, with {seen}",
                bytes(rate),
                100.0 * rate / link
            )
        };
        Ok(idle.then(|| Said::mild(words())))
    })
}

/// What PCIe carried more while requests ran than before, bytes a second, for the GPU with most.
fn pcie_rate(facts: &Facts) -> Result<f64, Unknown> {
    let mut most = None;
    let mut silent = Unknown::new(Why::Absent, "no GPU was watched");
    for window in facts.execution.gpus.read()? {
        match risen(window)? {
            Ok(rate) => most = most.into_iter().chain([rate]).reduce(f64::max),
            // vGPU, MIG, drivers without the counter: there is nothing to be judged.
            Err(unknown) => silent = Unknown::new(Why::NotAsked, unknown.detail),
        }
    }
    most.ok_or(silent)
}

/// Both directions of one GPU; the inner error is a counter that this card, driver or snapshot does not have.
fn risen(window: &GpuWindow) -> Result<Result<f64, Unknown>, Unknown> {
    let mut sum = 0.0;
    for counter in [&window.pcie_received_bytes_per_second, &window.pcie_sent_bytes_per_second] {
        let Some(phases) = tells(counter)? else { return Ok(Err(answer(counter))) };
        let Phases { before, during, .. } = phases;
        if during.samples < LEAST_SAMPLES {
            let detail = format!("GPU {}: PCIe was read {} times in the window", window.index, during.samples);
            return Ok(Err(Unknown::new(Why::NotAsked, detail)));
        }
        let idle = if before.samples > 0 { before.mean } else { 0.0 };
        sum += (during.mean - idle).max(0.0);
    }
    Ok(Ok(sum))
}

fn per_request(facts: &Facts, rate: f64) -> Result<f64, Unknown> {
    let (window_ms, sent) = (*facts.execution.window_ms.read()?, *facts.execution.requests_sent.read()?);
    if sent == 0 {
        return Err(Unknown::new(Why::NotAsked, "no request was sent in the window"));
    }
    Ok(rate * window_ms / 1e3 / sent as f64)
}
