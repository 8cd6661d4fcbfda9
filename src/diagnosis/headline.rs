//! The one sentence.

use super::{Diagnosis, Missing, Verdict};
use crate::check::Severity;
use crate::snapshot::Snapshot;

/// Writes the headline: the first cause, every other independent one in a few words, or what is missing for an answer.
pub fn write(snapshot: &Snapshot, verdict: Verdict, diagnoses: &[Diagnosis], unknown: &[Missing]) -> String {
    let failures: Vec<&Diagnosis> = diagnoses.iter().filter(|d| d.severity == Severity::Fail).collect();
    let warnings: Vec<&Diagnosis> = diagnoses.iter().filter(|d| d.severity == Severity::Warn).collect();
    match (failures.as_slice(), verdict) {
        ([first, others @ ..], _) => {
            let mut line = format!("{} because {}", opening(snapshot), first.brief);
            let others: Vec<&str> = others.iter().chain(&warnings).map(|diagnosis| diagnosis.brief.as_str()).collect();
            if !others.is_empty() {
                line.push_str(&format!("; besides, {}", others.join("; and ")));
            }
            line
        }
        ([], Verdict::Undecided) if unknown.is_empty() => {
            "Undecided: nothing was examined, because no selected check applies to what was named".to_string()
        }
        ([], Verdict::Undecided) => {
            let mut line = format!("Undecided: {}", count(unknown.len(), "fact"));
            line.push_str(" that could change the answer could not be read");
            if let Some(first) = unknown.first() {
                line.push_str(&format!(", first {} ({}: {})", first.path, first.why, first.detail));
            }
            with_warnings(line, &warnings)
        }
        ([], _) => with_warnings(format!("No fault found {}", scope(snapshot)), &warnings),
    }
}

fn opening(snapshot: &Snapshot) -> &'static str {
    match snapshot.target.server {
        Some(_) => "GPU is idle",
        None => "The GPU cannot be used",
    }
}

fn scope(snapshot: &Snapshot) -> String {
    match (&snapshot.target.server, snapshot.target.server_is_local) {
        (Some(server), Some(false)) => format!("in the requests to {server} (another machine, itself not examined)"),
        (Some(server), _) => format!("on this machine and in the requests to {server}"),
        (None, _) => "on this machine; name a server to have its requests examined (--server)".into(),
    }
}

fn with_warnings(mut line: String, warnings: &[&Diagnosis]) -> String {
    if !warnings.is_empty() {
        let briefs: Vec<&str> = warnings.iter().map(|diagnosis| diagnosis.brief.as_str()).collect();
        line.push_str(&format!("; worth a look: {}", briefs.join("; and ")));
    }
    line
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}
