//! The facts that prove a cause, one line each.

use crate::check::Evidence;
use crate::diagnosis::Diagnosis;
use crate::report::page::Page;
use crate::report::{Report, activity, proof};
use crate::words::{clip, columns, count};
use colored::Colorize;
use serde_json::Value;
use std::io::{Result, Write};

/// Facts that are shown without `-v`.
const SHOWN: usize = 3;
/// Letters from which on a value that the cause's own sentence holds is not told again.
const REPEATED: usize = 4;
/// Lines' indent.
const INDENT: &str = "     ";

/// Writes them. Without `-v` each is cut to one line, and those that the sentence above holds already are left out.
pub fn write(diagnosis: &Diagnosis, report: &Report, page: &mut Page) -> Result<()> {
    let facts: Vec<(&str, String)> = diagnosis
        .evidence
        .iter()
        .filter_map(|one| Some((one.path.as_str(), said(one, report, page.verbose())?)))
        .collect();
    if page.verbose() {
        for (path, said) in &facts {
            let head = page.safe(&format!("{INDENT}{path} = "));
            // Far out a value would have no room.
            match head.chars().count() < page.width() / 2 {
                true => page.hanging(&head, head.chars().count(), said)?,
                false => page.paragraph(INDENT, &format!("{path} = {said}"))?,
            }
        }
        return Ok(());
    }
    let because = plain(&diagnosis.because);
    let room = page.width() - INDENT.len();
    let (mut lines, mut more) = (Vec::new(), 0);
    for (path, said) in facts.iter().filter(|(_, said)| !is_told(said, &because)) {
        let line = page.safe(&format!("{path} = {said}"));
        // Of a list or a table that does not fit, the beginning tells nothing.
        let structured = diagnosis.evidence.iter().any(|one| one.path == *path && is_structured(one));
        match structured && columns(&line) > room {
            true => more += 1,
            false => lines.push(clip(&line, room)),
        }
    }
    if lines.len() > SHOWN + 1 {
        more += lines.len() - SHOWN;
        lines.truncate(SHOWN);
    }
    for line in &lines {
        writeln!(page, "{INDENT}{line}")?;
    }
    let more = match (more, lines.is_empty()) {
        (0, _) => return Ok(()),
        (more, true) => format!("{} (-v)", count(more, "fact")),
        (1, false) => "and 1 more fact (-v)".to_owned(),
        (more, false) => format!("and {more} more facts (-v)"),
    };
    writeln!(page, "{INDENT}{}", more.dimmed())
}

/// Whether a fact is made of several members; a request with its answer is told in a sentence.
fn is_structured(evidence: &Evidence) -> bool {
    match &evidence.value {
        Some(Value::Object(members)) => !members.contains_key("status"),
        Some(Value::Array(items)) => items.iter().any(Value::is_object),
        _ => false,
    }
}

/// Letters and digits alone, by which a fact is found in a sentence.
fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn is_told(said: &str, because: &str) -> bool {
    let said = plain(said);
    let said = said.trim_end_matches('.');
    said.len() >= REPEATED && because.contains(said)
}

/// A fact's value in words; the GPUs' have a place of their own.
fn said(evidence: &Evidence, report: &Report, verbose: bool) -> Option<String> {
    match evidence.path == activity::FACT && !report.activity.is_empty() {
        true => Some("told below, GPU by GPU".into()),
        false => proof::said(evidence, verbose),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_sentence_holds_is_not_told_again() {
        let because = plain("onnxruntime 1.23.2 answers: \"CUDA is not enabled\".");
        assert!(is_told("CUDA is not enabled.", &because) && is_told("1.23.2", &because));
        assert!(!is_told("no", &because) && !is_told("1.23.3", &because));
    }
}
