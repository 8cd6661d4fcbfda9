//! Which of the records in the file is the deployment's.

use crate::probe::json_record::Record;
use crate::probe::tree::Tree;
use crate::snapshot::{Facts, Unknown, Why};
use serde_json::Value;

/// Most processes of the server whose control groups are read.
const PROCESSES_MAX: usize = 64;

/// The record of the deployment's container: the only one, or the one that holds the server's process, or that publishes
/// its port, or the only one that could not be started.
pub fn of_deployment<'a>(value: &'a Value, place: &str, facts: &Facts) -> Result<Record<'a>, Unknown> {
    let malformed = |detail: String| Unknown::new(Why::Malformed, format!("{place}: {detail}"));
    let values: &[Value] = match value {
        Value::Array(values) => values,
        one => std::slice::from_ref(one),
    };
    if values.is_empty() {
        return Err(malformed(
            "it holds no record; docker inspect prints [] where it does not know the container's name".into(),
        ));
    }
    let mut records = Vec::new();
    for (index, value) in values.iter().take(1000).enumerate() {
        let record = Record::new(value, format!("{place}: [{index}]"))?;
        if !record.has("Config") || !(record.has("State") || record.has("RepoTags") || record.has("RootFS")) {
            return Err(malformed(format!(
                "[{index}] is no record of a container or an image: it lacks Config, or State; expected the output of \
                 `docker inspect CONTAINER`"
            )));
        }
        records.push(record);
    }
    if let [only] = records.as_slice() {
        return Ok(only.clone());
    }
    let groups = control_groups(facts);
    let pids: Vec<u64> = facts.process.processes.known().into_iter().flatten().map(|process| process.pid).collect();
    let port = facts.process.port.known().copied();
    let holds_server = |record: &Record| {
        let id = record.text("Id").unwrap_or_default();
        let by_group = id.len() >= 12 && groups.contains(&id);
        by_group || record.count("State.Pid").is_ok_and(|pid| pid > 0 && pids.contains(&pid))
    };
    let publishes = |record: &Record| port.is_some_and(|port| published_ports(record).contains(&port));
    let failed = |record: &Record| record.text("State.Error").is_ok_and(|error| !error.is_empty());
    let signs: [&dyn Fn(&Record) -> bool; 3] = [&holds_server, &publishes, &failed];
    for sign in signs {
        if let [only] = records.iter().filter(|record| sign(record)).collect::<Vec<_>>().as_slice() {
            return Ok((*only).clone());
        }
    }
    let names: Vec<String> = records.iter().take(8).map(|r| r.text("Name").unwrap_or("?".into())).collect();
    Err(malformed(format!(
        "it holds {} records ({}), and none of them could be told to be the server's; give that of its container alone",
        records.len(),
        names.iter().map(|name| name.trim_start_matches('/')).collect::<Vec<_>>().join(", ")
    )))
}

/// The ports of the host that lead into the container (`HostConfig.PortBindings`, `NetworkSettings.Ports`).
fn published_ports(record: &Record) -> Vec<u64> {
    let mut ports = Vec::new();
    for path in ["HostConfig.PortBindings", "NetworkSettings.Ports"] {
        let Ok(bindings) = record.record(path) else { continue };
        for name in bindings.names().take(1000) {
            let bound = bindings.records(name).unwrap_or_default();
            ports.extend(bound.iter().filter_map(|one| one.text("HostPort").ok()?.parse::<u64>().ok()));
        }
    }
    ports
}

/// The control groups of the server's processes, in which engines write the container's id.
fn control_groups(facts: &Facts) -> String {
    let pids = facts.process.processes.known().into_iter().flatten().take(PROCESSES_MAX);
    let tree = Tree::new("/");
    pids.filter_map(|process| tree.read(format!("/proc/{}/cgroup", process.pid), 64 * 1024).ok()).collect()
}
