//! What is right in one check by itself.

use super::Found;
use super::shape::Value;
use crate::check::expr::Expression;
use crate::check::paths::Paths;
use crate::check::template;
use crate::check::yaml::{Document, Place};
use crate::snapshot::Stage;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

/// Deepest nesting of list macros: three nested ones over 300 items took 55 s (measured with cel 0.15).
const DEEPEST: usize = 2;
/// Longest path that is quoted in full.
const LONGEST_SHOWN: usize = 120;

/// Every rule.
pub fn all(file: &str, document: &Document, values: &[Value], paths: &Paths, found: &mut Vec<Found>) {
    for value in values {
        match value.key {
            "id" | "stage" => name(file, value, found),
            "when" | "warn_if" | "proven_if" => condition(document, value, paths, found),
            "evidence" => {
                if let Some(stray) = stray(document, value, value.text, paths) {
                    found.push(stray);
                }
            }
            "brief" | "because" | "subjects" | "say" | "run" | "verify" => text(document, value, paths, found),
            "docs" => link(value, found),
            _ => {}
        }
    }
    let Some((key, list)) = document.root.entry("evidence") else { return };
    if matches!(&list.kind, crate::check::yaml::Kind::List(items) if items.is_empty()) {
        found.push(Found::at(key.place, "evidence: at least one path; a finding without proof is an opinion", ""));
    }
    if let Some((key, list)) = document.root.entry("fix")
        && matches!(&list.kind, crate::check::yaml::Kind::List(items) if items.is_empty())
    {
        found.push(Found::at(key.place, "fix: at least one step", "- say: what to do"));
    }
    let symptom = document.root.entry("symptom").is_some_and(|(_, flag)| flag.text() == Some("true"));
    if symptom && let Some(first) = values.iter().find(|value| value.key == "explains") {
        found.push(Found::at(first.node.place, "explains: a symptom explains nothing", "leave one of the two out"));
    }
}

fn name(file: &str, value: &Value, found: &mut Vec<Found>) {
    let (path, text, place) = (Path::new(file), value.text, value.node.place);
    if value.key == "stage" {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        // What is no stage at all is told of by itself.
        if folder != text && Stage::from_name(text).is_some() {
            let help = format!("move the file into a folder \"{text}\", or write the stage that is meant");
            found.push(Found::at(place, format!("stage: \"{text}\" is not the folder's name, \"{folder}\""), help));
        }
        return;
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let is_id = |id: &str| id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_id(text) {
        let help = if is_id(&name) { format!("write id: {name}, the file's name") } else { String::new() };
        found.push(Found::at(place, "id: only lower-case letters, digits and hyphens", help));
    } else if name != text {
        let help = format!("rename the file to {text}.yaml, or write id: {name}");
        found.push(Found::at(place, format!("id: \"{text}\" is not the file's name, \"{name}\""), help));
    }
}

fn condition(document: &Document, value: &Value, paths: &Paths, found: &mut Vec<Found>) {
    let key = value.key;
    if let Some((at, problem)) = Expression::fault(value.text) {
        let place = document.inside(value.node, at, 1);
        found.push(Found::at(place, format!("{key}: this is no CEL expression: {problem}"), ""));
        return;
    }
    let Ok(expression) = Expression::compile(value.text) else { return };
    if let Some((name, near)) = expression.undeclared() {
        let start = part_named(value.text, &name, &name).unwrap_or_default();
        let help = near.map_or(String::new(), |near| format!("did you mean {near}?"));
        let place = part(document, value, start, &name);
        found.push(Found::at(place, format!("{key}: there is no function \"{name}\""), help));
    }
    found.extend(expression.paths().iter().filter_map(|path| stray(document, value, path, paths)));
    let depth = expression.depth();
    if depth > DEEPEST {
        let help = "a derived fact may say it; CEL would take minutes over long lists";
        let problem = format!("{key}: list macros are nested {depth} deep; at most {DEEPEST}");
        found.push(Found::at(value.node.place, problem, help));
    }
    // `[].all(..)` is true, so an empty list would make such a check hold.
    static ALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"([\w.]+)\.all\(").expect("a fixed pattern"));
    for list in ALL.captures_iter(value.text).filter_map(|capture| capture.get(1)) {
        let name = list.as_str();
        if !value.text.contains(&format!("size({name})")) {
            let place = part(document, value, list.start(), name);
            let problem = format!("{key}: {name}.all(..) is true of an empty list");
            found.push(Found::at(place, problem, format!("add size({name}) > 0 &&")));
        }
    }
}

fn text(document: &Document, value: &Value, paths: &Paths, found: &mut Vec<Found>) {
    if let Some((at, problem)) = template::fault(value.text) {
        let place = document.inside(value.node, at.start, at.len());
        found.push(Found::at(place, format!("{}: this is no template: {problem}", value.key), ""));
        return;
    }
    // Names of loop variables and filters' arguments are declared; what is left must be a fact.
    // An element by its number is a part of any: `list[0].name` is read as `list.element_0.name`, which is a path.
    static ELEMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\[(\d+)\]\.").expect("a fixed pattern"));
    static AS_FIELD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\.element_\d+\b").expect("a fixed pattern"));
    let read = template::paths(&ELEMENT.replace_all(value.text, ".element_$1.")).unwrap_or_default();
    let read: BTreeSet<String> = read.iter().map(|path| AS_FIELD.replace_all(path, "[]").into_owned()).collect();
    let facts = read.iter().filter(|path| !path.starts_with("loop"));
    found.extend(facts.filter_map(|path| stray(document, value, path, paths)));
}

fn link(value: &Value, found: &mut Vec<Found>) {
    let fits = url::Url::parse(value.text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.host_str().is_some_and(|host| !host.is_empty())
    });
    if !fits || value.text.contains(char::is_whitespace) {
        found.push(Found::at(value.node.place, "docs: this is no link", "https://..."));
    }
}

/// What is wrong with a path that a text reads, at its place in the text.
fn stray(document: &Document, value: &Value, path: &str, paths: &Paths) -> Option<Found> {
    let stray = paths.stray(path)?;
    let help = stray.near.map_or(String::new(), |near| format!("did you mean {near}?"));
    let shown: String = path.chars().take(LONGEST_SHOWN).collect();
    let places = part_named(value.text, &stray.part, path);
    let place = places.map_or(value.node.place, |start| part(document, value, start, &stray.part));
    Some(Found::at(place, format!("{}: no fact is called \"{shown}\"", value.key), help))
}

/// Where a name stands in a text: behind the path before it, else behind a dot, else as a word.
fn part_named(text: &str, name: &str, path: &str) -> Option<usize> {
    let before = path.split_once(name).map(|(before, _)| before).filter(|before| !before.contains('['));
    let name = regex::escape(name);
    let patterns = [before.map(|before| format!(r"(?:^|[^\w.]){}({name})\b", regex::escape(before)))];
    let patterns = patterns.into_iter().flatten().chain([format!(r"\.({name})\b"), format!(r"\b({name})\b")]);
    patterns
        .filter_map(|pattern| Regex::new(&pattern).ok())
        .find_map(|pattern| Some(pattern.captures(text)?.get(1)?.start()))
}

/// The place of a part of a text that begins at this byte.
fn part(document: &Document, value: &Value, start: usize, part: &str) -> Place {
    let before = value.text.get(..start).map_or(0, |before| before.chars().count());
    document.inside(value.node, before, part.chars().count())
}
