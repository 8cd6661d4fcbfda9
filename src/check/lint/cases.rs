//! The keys of a file of cases, and what each may hold.

use super::Found;
use super::shape::{one_of, unknown_key};
use crate::check::yaml::{Document, Kind, Node};

/// The keys of the file.
const CASES: [&str; 4] = ["holds", "clear", "unknown", "more"];
/// The keys of a case.
const CASE: [&str; 5] = ["base", "facts", "target", "verdict", "severity"];
/// What a check can say.
const VERDICTS: [&str; 4] = ["holds", "clear", "unknown", "not_applicable"];

/// What is wrong with a file of cases by itself; what its facts are is seen when the cases are tried.
pub fn all(document: &Document, found: &mut Vec<Found>) {
    let root = &document.root;
    let entries = match &root.kind {
        Kind::Map(entries) => entries,
        Kind::Scalar(text, _) if text.trim().is_empty() => return,
        _ => {
            let help = "a file of cases begins with `holds: {base: healthy-server}`";
            found.push(Found::at(root.place, "these are no cases: expected keys and values", help));
            return;
        }
    };
    for (key, value) in entries {
        match key.text() {
            Some("more") => match &value.kind {
                Kind::Map(more) => more.iter().for_each(|(name, case)| one(name, case, found)),
                _ => found.push(Found::at(
                    value.place,
                    "\"more\" has a name for each case",
                    "more: {a twin: {base: a1, ...}}",
                )),
            },
            Some("holds" | "clear" | "unknown") => one(key, value, found),
            _ => unknown_key(key, CASES.into_iter(), found),
        }
    }
}

fn one(name: &Node, case: &Node, found: &mut Vec<Found>) {
    let Kind::Map(entries) = &case.kind else {
        let help = "a case is a mapping, as in {base: healthy-server}";
        found.push(Found::at(case.place, format!("\"{}\" is no case", name.text().unwrap_or("?")), help));
        return;
    };
    for (key, value) in entries {
        match (key.text(), &value.kind) {
            (Some("verdict"), Kind::Scalar(text, _)) => one_of("verdict", text, &VERDICTS, value.place, found),
            (Some("severity"), Kind::Scalar(text, _)) => {
                one_of("severity", text, &["warn", "fail"], value.place, found)
            }
            (Some("facts" | "target"), Kind::Map(_)) | (Some("base"), Kind::Scalar(..)) | (Some("<<"), _) => {}
            (Some(known @ ("facts" | "target")), _) => {
                let help = format!("{known}: {{path: value}}");
                found.push(Found::at(value.place, format!("\"{known}\" has keys and values, and this has none"), help));
            }
            (Some(known @ ("verdict" | "severity" | "base")), _) => {
                found.push(Found::at(value.place, format!("\"{known}\" is a word, and this is none"), ""));
            }
            _ => unknown_key(key, CASE.into_iter(), found),
        }
    }
    if case.entry("base").is_none() && case.entry("<<").is_none() {
        let problem = format!("the case \"{}\" has no base", name.text().unwrap_or("?"));
        found.push(Found::at(name.place, problem, "base: the recorded snapshot that it starts from"));
    }
}
