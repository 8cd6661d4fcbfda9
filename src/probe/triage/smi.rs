//! What `nvidia-smi` prints: `-q -x` with everything, the plain table with little.

use super::evidence::Evidence;
use super::form::{Head, Recognized};
use super::reader::Whole;
use crate::probe::nvml;
use crate::snapshot::{Fact, Facts, NvmlFacts, RecordedFile, Room, Unknown, Why};
use regex::Regex;
use std::sync::LazyLock;

/// How to get what the table lacks.
const GET_XML: &str =
    "identifiers, clocks, reasons for throttling, processes and faults of the GPUs: nvidia-smi -q -x > smi.xml";

/// The output of `nvidia-smi -q -x`.
pub fn recognize_xml(head: &Head) -> Option<Recognized> {
    let text = String::from_utf8_lossy(head.bytes);
    let by = "its outermost element <nvidia_smi_log>".to_owned();
    let name = head.given.clone();
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_text(&String::from_utf8_lossy(bytes), &name, file);
    (text.trim_start().starts_with('<') && text.contains("<nvidia_smi_log")).then(|| Recognized {
        by,
        certain: true,
        reader: Box::new(Whole::new(read)),
    })
}

/// The table that `nvidia-smi` prints by itself, or the words with which it fails.
pub fn recognize_table(head: &Head) -> Option<Recognized> {
    let text = String::from_utf8_lossy(head.bytes).into_owned();
    let first = text.trim_start();
    let name = head.given.clone();
    if head.whole && head.bytes.len() < 4096 && nvml::is_failure_of_smi(first) {
        let read = move |bytes: &[u8], file: &mut RecordedFile| of_text(&String::from_utf8_lossy(bytes), &name, file);
        let by = "the words with which nvidia-smi fails".into();
        return Some(Recognized { by, certain: true, reader: Box::new(Whole::new(read)) });
    }
    // A log of a container may begin with the table: then the rest counts.
    let ends = text.lines().rev().find(|line| !line.trim().is_empty()).is_some_and(|line| line.trim().starts_with('+'));
    (head.whole && ends && table(&text).is_some()).then(|| {
        let read = move |bytes: &[u8], file: &mut RecordedFile| of_table(&String::from_utf8_lossy(bytes), &name, file);
        let by = "the head of nvidia-smi's table".into();
        Recognized { by, certain: true, reader: Box::new(Whole::new(read)) }
    })
}

/// The driver's version and the newest CUDA that it runs, from the head of the table.
fn table(text: &str) -> Option<(&str, &str)> {
    static HEAD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"NVIDIA-SMI [\d.]+\s+Driver Version: ([\d.]+)\s+CUDA Version: (N/A|[\d.]+)")
            .expect("a valid pattern")
    });
    let found = HEAD.captures(text)?;
    Some((found.get(1)?.as_str(), found.get(2)?.as_str()))
}

fn of_text(text: &str, name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    match nvml::of_smi_text(text, name) {
        Ok(room) => {
            tell(&room, file);
            rooms(room)
        }
        Err(unknown) => {
            file.faults.push(unknown.detail);
            Vec::new()
        }
    }
}

fn tell(room: &NvmlFacts, file: &mut RecordedFile) {
    if let Some(error) = room.init_error.known() {
        file.shows.push(format!("nvidia-smi itself failed: {error}"));
    }
    if let Some(driver) = room.driver_version.known() {
        file.shows.push(format!("driver {driver}"));
    }
    for gpu in room.gpus.known().into_iter().flatten() {
        file.records += 1;
        let name = gpu.name.known().map_or("of unknown name", String::as_str);
        let processes = gpu.processes.known().map_or(String::new(), |all| format!(", {} processes on it", all.len()));
        file.shows.push(format!("GPU {}: {name}{processes}", gpu.index));
    }
    file.lacks.push("what the GPUs did while requests ran: it is of one moment. Sample: nvidia-smi --query-gpu=timestamp,index,utilization.gpu,memory.used,power.draw --format=csv -lms 500".into());
}

fn of_table(text: &str, name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    let Some((driver, cuda)) = table(text) else { return Vec::new() };
    file.records = 1;
    file.shows.push(format!("driver {driver}, which runs CUDA up to {cuda}"));
    file.lacks.push(GET_XML.into());
    let little = Unknown::new(Why::NotAsked, format!("{name} is nvidia-smi's plain table; {GET_XML}"));
    let mut room = NvmlFacts { source: Fact::Known(name.into()), ..NvmlFacts::all_unknown(&little) };
    room.status = Fact::Known("ok".into());
    room.driver_version = Fact::Known(driver.into());
    if cuda != "N/A" {
        room.cuda_version = Fact::Known(cuda.into());
    }
    rooms(room)
}

fn rooms(room: NvmlFacts) -> Vec<Evidence> {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, super::NOT_IN_FILES));
    facts.nvml = room;
    vec![Evidence::Rooms { rooms: vec!["nvml"], facts: Box::new(facts) }]
}
