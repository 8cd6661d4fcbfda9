//! What a server says of itself by habit: a header that is fixed in its code, a line that it prints before it knows.

use super::accepted;
use crate::check::derive::Basis;
use crate::check::derive::activity::ownership::computes_itself;
use crate::check::derive::claims::is_gpu;
use crate::check::derive::server::is_of_context;
use crate::snapshot::{Fact, Facts, Unknown};

/// The header of text-embeddings-inference. Its value is fixed in the source, whatever it computes on.
const HEADER: &str = "x-compute-type";
/// Sayings in which a server names its device.
const SAYINGS: &[&str] = &["using-device", "inference-device"];

/// The claim and what was seen; empty if there is no claim, or if a GPU is in use.
pub fn lying(basis: &Basis) -> Result<String, Unknown> {
    let facts = basis.facts;
    accepted(facts)?;
    // A gateway hands the header of the server behind it through, and computes nothing itself.
    let alone = facts.execution.outbound_connections.known().is_some_and(Vec::is_empty);
    // The GPU of a Tegra has other nodes.
    if facts.host.tegra.known() == Some(&true) {
        return Ok(String::new());
    }
    if basis.gpu_seen_working || !alone && !computes_itself(facts) {
        return Ok(String::new());
    }
    let Some(claim) = header(facts).or_else(|| said(facts)) else { return Ok(String::new()) };
    let nodes = [&facts.process.device_nodes_open, &facts.execution.device_nodes_open_after];
    for nodes in nodes {
        // CUDA opens a GPU's own node as soon as a context is made, and keeps it.
        if nodes.read()?.iter().any(|node| is_of_context(node)) {
            return Ok(String::new());
        }
    }
    let listed = facts.execution.gpus.known().into_iter().flatten();
    if listed.into_iter().any(|window| window.server_memory_bytes.known() > Some(&0)) {
        return Ok(String::new());
    }
    Ok(format!("{claim}, and none of its processes has opened a GPU"))
}

/// The claim in the header of an accepted answer.
fn header(facts: &Facts) -> Option<String> {
    let exchanges = [&facts.request.good, &facts.request.client].into_iter().filter_map(Fact::known);
    let value = { exchanges }.find_map(|exchange| exchange.headers.get(HEADER))?;
    value.to_ascii_lowercase().contains("gpu").then(|| format!("its answers carry the header \"{HEADER}: {value}\""))
}

/// The last line in which it names its device, if that is a GPU.
fn said(facts: &Facts) -> Option<String> {
    let sayings = facts.server_log.sayings.known()?;
    let named =
        |one: &&crate::snapshot::Saying| SAYINGS.contains(&one.id.as_str()) && one.values.contains_key("device");
    let last = sayings.iter().rfind(named)?;
    is_gpu(last.values.get("device")?)
        .then(|| format!("its log says \"{}\" ({} line {})", last.line, last.file, last.line_number))
}
