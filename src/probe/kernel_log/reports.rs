//! From the kernel's lines to what they tell about GPUs.

use super::line::{self, Line};
use super::xids;
use crate::snapshot::{Fact, Why, Xid};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Most lines kept, and most Xids.
const KEPT_MAX: usize = 200;
/// Number of "GPU has fallen off the bus".
const FALLEN: u64 = 79;
/// In place of an address that a report does not name.
const NOT_NAMED: &str = "not named";

/// What a log tells.
#[derive(Debug, Default)]
pub struct Reports {
    /// Whether the kernel's start is in the log.
    pub reaches_start: bool,
    pub lines: Vec<String>,
    pub xids: Vec<Xid>,
}

/// Reads a log. Only the lines since the kernel's last start count, where that can be told.
pub fn read(text: &str) -> Reports {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().rposition(|line| starts_kernel(line));
    let mut reading =
        Reading { reports: Reports { reaches_start: start.is_some(), ..Reports::default() }, ..Reading::default() };
    for line in lines.iter().skip(start.unwrap_or(0)) {
        if let Some(line) = line::read(line) {
            reading.take(line);
        }
    }
    reading.reports
}

/// The kernel's first line, or journalctl's mark between two boots.
fn starts_kernel(line: &str) -> bool {
    // Cheap first: a log has many lines.
    line.starts_with("-- Boot ")
        || (line.contains("Linux version ")
            && line::read(line).is_some_and(|line| line.message.starts_with("Linux version ")))
}

#[derive(Default)]
struct Reading {
    reports: Reports,
    /// Lines kept so far, without what differs from one to the next.
    shapes: BTreeSet<String>,
    /// Time of the line before: the lines after the first of a report have none.
    last_at: Option<String>,
    /// Address in "The NVIDIA GPU 0000:9b:00.0", whose fate stands in the lines after it.
    spoken_of: Option<String>,
}

impl Reading {
    fn take(&mut self, line: Line) {
        static XID: LazyLock<Regex> =
            LazyLock::new(|| regex(r"^NVRM: Xid \((?:PCI:)?([0-9A-Fa-f:.]{1,20})[^)]{0,60}\): {0,3}(\d{1,6})\b"));
        static SPOKEN_OF: LazyLock<Regex> = LazyLock::new(|| regex(r"^NVRM: The NVIDIA GPU ([0-9A-Fa-f:.]{4,20})"));
        static ADDRESS: LazyLock<Regex> =
            LazyLock::new(|| regex(r"\b(?:[0-9A-Fa-f]{4,8}:)?[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}(?:\.[0-7])?\b"));
        if line.at.is_some() {
            self.last_at.clone_from(&line.at);
        }
        let message = line.message;
        if !tells(&message) {
            return;
        }
        if let Some(found) = XID.captures(&message) {
            if let Ok(code) = found[2].parse() {
                self.xid(code, &found[1], &message, true);
            }
        } else if let Some(found) = SPOKEN_OF.captures(&message) {
            self.spoken_of = Some(found[1].to_string());
        } else if message.starts_with("NVRM:") && message.contains("fallen off the bus") {
            let named = ADDRESS.find(&message).map(|found| found.as_str().to_string());
            let address = named.or_else(|| self.spoken_of.take());
            self.xid(FALLEN, address.as_deref().unwrap_or(NOT_NAMED), &message, false);
        }
        let shape = shape(&message);
        if self.reports.lines.len() < KEPT_MAX && self.shapes.insert(shape) {
            self.reports.lines.push(message);
        }
    }

    /// Notes a report. One without a number is no second report beside one with its number.
    fn xid(&mut self, code: u64, address: &str, line: &str, numbered: bool) {
        let pci_address = without_function(address);
        let at = match &self.last_at {
            Some(at) => Fact::Known(at.clone()),
            None => Fact::unknown(Why::Absent, "the line has no time"),
        };
        let known = self.reports.xids.iter_mut().find(|xid| xid.code == code && xid.pci_address == pci_address);
        if let Some(xid) = known {
            xid.repeats += u64::from(numbered);
            xid.last_at = at;
            if numbered {
                xid.line = line.to_string();
                explain(xid);
            }
        } else if self.reports.xids.len() < KEPT_MAX {
            let mut xid = Xid {
                code,
                pci_address,
                last_at: at.clone(),
                at,
                repeats: 0,
                kind: Fact::default(),
                meaning: Fact::default(),
                action: Fact::default(),
                remedy: Fact::default(),
                line: line.to_string(),
            };
            explain(&mut xid);
            self.reports.xids.push(xid);
        }
    }
}

/// Writes in what the table says of the newest line.
fn explain(xid: &mut Xid) {
    let entry = xids::entry(xid.code, &xid.line);
    xid.kind = Fact::Known(entry.kind);
    xid.meaning = Fact::Known(entry.meaning);
    xid.action = Fact::Known(entry.action);
    xid.remedy = Fact::Known(entry.remedy);
}

/// Whether a message tells about the driver, its GPUs, or a process killed for want of memory.
fn tells(message: &str) -> bool {
    static TELLING: LazyLock<Regex> = LazyLock::new(|| {
        regex(
            r"(?i)nvrm|nvidia|nouveau|key was rejected by service|module verification failed|loading of (?:unsigned )?module|out of memory: killed process|oom-kill:|invoked oom-killer",
        )
    });
    TELLING.is_match(message)
}

/// The message without long numbers: process ids, times and registers differ from one report to the next.
fn shape(message: &str) -> String {
    static NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(r"0x[0-9A-Fa-f]+|pid=\d+|\d{3,}"));
    NUMBER.replace_all(message, "#").into_owned()
}

/// `0000:3B:00.0` as `0000:3b:00`.
fn without_function(address: &str) -> String {
    let address = address.to_ascii_lowercase();
    let device = address.split_once('.').map_or(address.as_str(), |(device, _)| device).trim_matches(':');
    if device.is_empty() { NOT_NAMED.into() } else { device.to_string() }
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}
