//! JSON documents: our own snapshots and reports, and the records of Docker and Kubernetes.

use super::evidence::Evidence;
use super::form::{Head, Recognized};
use super::reader::Whole;
use crate::document;
use crate::probe::{docker, kubernetes};
use crate::snapshot::{Facts, Outcome, RecordedFile, Snapshot, Unknown, Why, json_schema};
use crate::words::plain;
use serde_json::Value;

/// How reports of ours begin the name of their format.
const REPORT: &str = "gpu-doctor/report/v";
/// How snapshots of ours begin the name of their format.
const SNAPSHOT: &str = "gpu-doctor/snapshot/v";
/// Causes of a report that are told.
const CAUSES_TOLD: usize = 10;

/// A snapshot, the output of `gpu-doctor collect`.
pub fn recognize_snapshot(head: &Head) -> Option<Recognized> {
    let by = format!("its schema {}", schema(head).filter(|name| name.starts_with(SNAPSHOT))?);
    let name = head.given.clone();
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_snapshot(bytes, &name, file);
    Some(Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

/// A report, the output of `gpu-doctor run --format json`.
pub fn recognize_report(head: &Head) -> Option<Recognized> {
    let by = format!("its schema {}", schema(head).filter(|name| name.starts_with(REPORT))?);
    let read = |bytes: &[u8], file: &mut RecordedFile| {
        of_report(bytes, file);
        Vec::new()
    };
    Some(Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

/// The output of `docker inspect` or `podman inspect`.
pub fn recognize_docker(head: &Head) -> Option<Recognized> {
    let name = head.given.clone();
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_docker(bytes, &name, file);
    let is_one = is_json(head)
        && has(head, &["\"Id\"", "\"Created\""])
        && (has(head, &["\"HostConfig\""]) || has(head, &["\"RepoTags\""]));
    let by = "its members Id, Created and HostConfig, as of docker inspect".to_owned();
    is_one.then(|| Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

/// The output of `kubectl get ... -o json`.
pub fn recognize_kubernetes(head: &Head) -> Option<Recognized> {
    let name = head.given.clone();
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_kubernetes(bytes, &name, file);
    let by = "its members apiVersion and kind, as of kubectl get -o json".to_owned();
    (is_json(head) && has(head, &["\"apiVersion\"", "\"kind\""])).then(|| Recognized {
        by,
        certain: true,
        reader: Box::new(Whole::new(read)),
    })
}

fn is_json(head: &Head) -> bool {
    matches!(head.first(), Some(b'{' | b'['))
}

fn has(head: &Head, members: &[&str]) -> bool {
    members.iter().all(|member| memchr::memmem::find(head.bytes, member.as_bytes()).is_some())
}

/// The name of the format, if it stands near the beginning, where ours have it.
fn schema(head: &Head) -> Option<String> {
    let text = String::from_utf8_lossy(head.bytes.get(..400).unwrap_or(head.bytes)).into_owned();
    let rest = text.trim_start().strip_prefix('{')?.split_once("\"schema\"")?.1;
    let name = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?.split('"').next()?;
    Some(plain(name).to_string())
}

fn nothing() -> Box<Facts> {
    Box::new(Facts::all_unknown(&Unknown::new(Why::NotAsked, super::NOT_IN_FILES)))
}

fn of_snapshot(bytes: &[u8], name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    let snapshot = match document::read::<Snapshot>(bytes, &document::SNAPSHOT, json_schema) {
        Ok(read) => {
            left_aside(read.aside, file);
            read.content
        }
        Err(fault) => {
            file.faults.push(plain(&fault.to_string()));
            return Vec::new();
        }
    };
    let facts = serde_json::to_value(&snapshot.facts).unwrap_or_default();
    // A room of which nothing is known leaves its place to other files.
    let rooms: Vec<&'static str> =
        Facts::ROOMS.iter().copied().filter(|room| *room != "recorded" && told(&facts, room)).collect();
    file.records = rooms.len() as u64;
    file.shows.push(format!(
        "what {} found at {}; it counts as it is, before what other files say of the same",
        plain(&snapshot.tool),
        plain(&snapshot.taken_at)
    ));
    if let Some(server) = &snapshot.target.server {
        file.shows.push(format!("the server examined was {}", plain(server)));
    }
    let failed: Vec<String> = snapshot
        .probes
        .iter()
        .filter(|probe| !probe.detail.is_empty() && !matches!(probe.outcome, Outcome::Ok | Outcome::Skipped))
        .take(CAUSES_TOLD)
        .map(|probe| format!("{}: {}", plain(&probe.id), plain(&probe.detail)))
        .collect();
    if !failed.is_empty() {
        file.lacks.push(format!("what could not be read then: {}", failed.join("; ")));
    }
    let target = Evidence::Target { file: name.into(), target: Box::new(snapshot.target) };
    vec![Evidence::Rooms { rooms, facts: Box::new(snapshot.facts) }, target]
}

/// Says what a newer version wrote and this one does not know.
fn left_aside(aside: Vec<String>, file: &mut RecordedFile) {
    if !aside.is_empty() {
        let aside = plain(&aside.join("; "));
        file.lacks.push(format!("what a newer version wrote and this one does not know was left aside: {aside}"));
    }
}

/// Whether anything of a room is known.
fn told(facts: &Value, room: &str) -> bool {
    let facts = facts.get(room).and_then(Value::as_object);
    facts.is_some_and(|facts| facts.values().any(|fact| fact.get("known").is_some()))
}

fn of_report(bytes: &[u8], file: &mut RecordedFile) {
    // What it concluded is quoted, whatever else is in it: only its version must be one that is read.
    let accepted = document::header(bytes).and_then(|header| document::REPORT.accepts(&header));
    if let Err(fault) = accepted {
        return file.faults.push(plain(&fault.to_string()));
    }
    let report: Value = match serde_json::from_slice(bytes) {
        Ok(report) => report,
        Err(error) => return file.faults.push(format!("it is not JSON: {error}")),
    };
    let text = |value: &Value, member: &str| {
        let text = value.get(member).and_then(Value::as_str).unwrap_or("?");
        plain(&text.chars().take(400).collect::<String>()).to_string()
    };
    let (taken_at, tool) = (text(&report, "taken_at"), text(&report, "tool"));
    file.shows.push(format!(
        "{tool} judged what was found at {taken_at}: {}. {}",
        text(&report, "verdict"),
        text(&report, "headline")
    ));
    let diagnoses = report.get("diagnoses").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    file.records = diagnoses.len() as u64;
    for one in diagnoses.iter().take(CAUSES_TOLD) {
        let (cause, because) = (text(one, "cause"), text(one, "because"));
        file.shows.push(format!("it said {cause} ({}, {}): {because}", text(one, "severity"), text(one, "confidence")));
    }
    file.lacks.push(
        "the facts that it was judged from, so that it cannot be judged anew: keep the snapshot too \
         (gpu-doctor run --save FILE, or gpu-doctor collect)"
            .into(),
    );
}

fn of_docker(bytes: &[u8], name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    let mut facts = nothing();
    match docker::of_record(bytes, name) {
        Ok(room) => {
            file.records = 1;
            let engine = room.engine.known().map_or("an engine", String::as_str);
            let state = room.state.known().map_or(String::new(), |state| format!(", {}", plain(state)));
            let record = room.record.known().map_or("record", String::as_str);
            file.shows.push(format!("the record of {engine} about a {record}{state}"));
            facts.docker = room;
            vec![Evidence::Rooms { rooms: vec!["docker"], facts }]
        }
        Err(unknown) => {
            file.faults.push(unknown.detail);
            Vec::new()
        }
    }
}

fn of_kubernetes(bytes: &[u8], name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    let mut facts = nothing();
    match kubernetes::of_record(bytes, name) {
        Ok(room) => {
            let count = |known: Option<usize>, what: &str| known.map(|count| (count, format!("{count} {what}")));
            let counts = [
                count(room.pods.known().map(Vec::len), "pods"),
                count(room.nodes.known().map(Vec::len), "nodes"),
                count(room.events.known().map(Vec::len), "warnings"),
            ];
            let told: Vec<(usize, String)> = counts.into_iter().flatten().collect();
            file.records = told.iter().map(|(count, _)| *count as u64).sum();
            file.shows.push(told.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(", "));
            for (known, what) in [(room.pods.known().is_some(), "pod"), (room.nodes.known().is_some(), "node")] {
                if !known {
                    file.lacks.push(format!("the {what}: kubectl get {what} NAME -o json"));
                }
            }
            facts.kubernetes = room;
            vec![Evidence::Rooms { rooms: vec!["kubernetes"], facts }]
        }
        Err(unknown) => {
            file.faults.push(unknown.detail);
            Vec::new()
        }
    }
}
