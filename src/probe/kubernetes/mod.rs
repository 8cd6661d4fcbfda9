//! Pods, nodes and events as Kubernetes knows them. No API server is asked.

mod node;
mod pod;
#[cfg(test)]
mod tests;

use super::json_record::{self, Record};
use super::{Context, Probe, Ran};
use crate::snapshot::{
    Fact, Facts, KubernetesEvent, KubernetesFacts, KubernetesNode, KubernetesPod, Room, Stage, Unknown, Why,
};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Largest file that is read; about 1000 pods.
const LIMIT_BYTES: u64 = 16 << 20;
/// Most objects read, all files together.
const OBJECTS_MAX: usize = 20_000;
/// Most events kept.
const EVENTS_MAX: usize = 200;
/// Longest message of an event kept, characters.
const MESSAGE_MAX: usize = 1000;

/// Reads outputs of `kubectl get ... -o json`.
pub const PROBE: Probe = Probe {
    id: "kubernetes",
    stage: Stage::Container,
    rooms: &["kubernetes"],
    needs: &[],
    // What the files tell is so wherever the server is, behind `kubectl port-forward` for instance.
    this_machine: false,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let paths = &context.ask.kubectl;
    if paths.is_empty() {
        let unknown = Unknown::new(Why::NotAsked, "--kubectl was not given");
        facts.kubernetes = KubernetesFacts::all_unknown(&unknown);
        return Ran::skipped(unknown.detail);
    }
    match read(paths) {
        Ok(kubernetes) => {
            facts.kubernetes = kubernetes;
            Ran::ok()
        }
        Err(unknown) => {
            facts.kubernetes = KubernetesFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

/// The objects of all files. One that cannot be read makes all unknown: what it holds may belong to the others.
fn read(paths: &[PathBuf]) -> Result<KubernetesFacts, Unknown> {
    let place = |path: &PathBuf| path.display().to_string();
    let values = paths.iter().map(|path| Ok((place(path), json_record::read(path, LIMIT_BYTES)?)));
    together(&values.collect::<Result<Vec<_>, Unknown>>()?)
}

/// The objects in the text of one output of `kubectl get ... -o json`.
pub(super) fn of_record(bytes: &[u8], place: &str) -> Result<KubernetesFacts, Unknown> {
    let malformed = |error| Unknown::new(Why::Malformed, format!("{place}: {error}"));
    together(&[(place.to_owned(), json_record::parse(bytes).map_err(malformed)?)])
}

fn together(values: &[(String, Value)]) -> Result<KubernetesFacts, Unknown> {
    let (mut pods, mut nodes, mut events) = (Vec::new(), Vec::new(), Vec::new());
    let mut objects = 0;
    for (place, value) in values {
        let mut others = Vec::new();
        for (kind, record) in listed(value, place)? {
            objects += 1;
            if objects > OBJECTS_MAX {
                let detail =
                    format!("{place}: more than {OBJECTS_MAX} objects; select fewer, with -n or --field-selector");
                return Err(Unknown::new(Why::Malformed, detail));
            }
            match kind.as_str() {
                "Pod" => pods.push(pod::read(&record)?),
                "Node" => nodes.push(node::read(&record)?),
                "Event" => events.extend(event(&record)?),
                _ => others.push(kind),
            }
        }
        if !others.is_empty() && pods.is_empty() && nodes.is_empty() && events.is_empty() {
            others.dedup();
            let detail = format!("{place}: it holds no pod, node or event, but {}", others.join(", "));
            return Err(Unknown::new(Why::Malformed, detail));
        }
    }
    for pod in &mut pods {
        pod.node_gpus = node_gpus(pod, &nodes);
    }
    let kept = events.len().saturating_sub(EVENTS_MAX);
    events.drain(..kept);
    let given = |what: &str| Unknown::new(Why::NotAsked, format!("no {what} is in the files of --kubectl"));
    Ok(KubernetesFacts {
        files: Fact::Known(values.iter().map(|(place, _)| place.clone()).collect()),
        pods: if pods.is_empty() { Fact::Unknown(given("pod")) } else { Fact::Known(pods) },
        nodes: if nodes.is_empty() { Fact::Unknown(given("node")) } else { Fact::Known(nodes) },
        events: if events.is_empty() { Fact::Unknown(given("warning among the events")) } else { Fact::Known(events) },
    })
}

/// The objects of a file with their kinds: a list's items, or the one object.
fn listed<'a>(value: &'a Value, place: &str) -> Result<Vec<(String, Record<'a>)>, Unknown> {
    let record = Record::new(value, place)?;
    if !record.has("kind") {
        let detail = format!("{place}: it has no kind; expected the output of `kubectl get pod,node,event -o json`");
        return Err(Unknown::new(Why::Malformed, detail));
    }
    let kind = record.text("kind")?;
    // kubectl's own list names the kind of every item; those of the API (PodList) name it once.
    match kind.strip_suffix("List") {
        None => Ok(vec![(kind, record)]),
        Some(of_all) => record
            .records("items")?
            .into_iter()
            .map(|item| {
                let own = item.text_or_none("kind")?;
                Ok((if own.is_empty() { of_all.to_owned() } else { own }, item))
            })
            .collect(),
    }
}

/// GPUs that the pod's node offers, from the node's own record. Those that are divided count once.
fn node_gpus(pod: &KubernetesPod, nodes: &[KubernetesNode]) -> Fact<u64> {
    if pod.node.is_empty() {
        return Fact::unknown(Why::NotAsked, format!("pod {} has no node yet", pod.name));
    }
    match nodes.iter().find(|node| node.name == pod.node) {
        Some(node) => Fact::Known(node.gpus_offered.div_ceil(node.pods_per_gpu.max(1))),
        None => {
            let detail = format!("node {} is not in the files; add `kubectl get node {0} -o json`", pod.node);
            Fact::unknown(Why::NotAsked, detail)
        }
    }
}

/// A warning; `None` for other events. Both versions of events are read (v1 and events.k8s.io/v1).
fn event(record: &Record) -> Result<Option<KubernetesEvent>, Unknown> {
    if record.text_or_none("type")? == "Normal" {
        return Ok(None);
    }
    let (about, message) = if record.has("regarding") { ("regarding", "note") } else { ("involvedObject", "message") };
    let cut = |text: String| text.chars().take(MESSAGE_MAX).collect();
    Ok(Some(KubernetesEvent {
        about_kind: record.text_or_none(&format!("{about}.kind"))?,
        about: record.text_or_none(&format!("{about}.name"))?,
        namespace: record.text_or_none(&format!("{about}.namespace"))?,
        reason: record.text_or_none("reason")?,
        message: cut(record.text_or_none(message)?),
    }))
}
