//! Free text: the table `words.yaml`, and how a text is held against it.

use super::Complaint;
use crate::probe::service::message::Encoding;
use regex::Regex;
use serde::Deserialize;
use std::sync::LazyLock;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    missing: Vec<Missing>,
    content_type: Vec<ContentType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests' part of the table"))]
struct Missing {
    source: String,
    #[serde(default)]
    list: bool,
    pattern: String,
    finds: Vec<(String, String)>,
    near: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "the tests' part of the table"))]
struct ContentType {
    source: String,
    wants: String,
    #[serde(default)]
    unreadable: bool,
    pattern: String,
    finds: Vec<String>,
    near: Vec<String>,
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("words.yaml")).expect("words.yaml is a table of words"));
static MISSING: LazyLock<Vec<(bool, Regex)>> =
    LazyLock::new(|| TABLE.missing.iter().map(|entry| (entry.list, pattern(&entry.pattern))).collect());
static CONTENT_TYPE: LazyLock<Vec<(Wrong, Regex)>> = LazyLock::new(|| {
    let wrong = |entry: &ContentType| Wrong {
        wants: match entry.wants.as_str() {
            "json" => Some(Encoding::Json),
            "multipart" => Some(Encoding::Multipart),
            "urlencoded" => Some(Encoding::Urlencoded),
            _ => None,
        },
        unreadable: entry.unreadable,
        says: String::new(),
    };
    TABLE.content_type.iter().map(|entry| (wrong(entry), pattern(&entry.pattern))).collect()
});

/// Words that stand where a name could, but are none unless the schema has such a field.
const FILLERS: &[&str] = &[
    "a",
    "access",
    "all",
    "an",
    "and",
    "argument",
    "are",
    "at",
    "authentication",
    "authorization",
    "be",
    "body",
    "both",
    "content",
    "credentials",
    "data",
    "either",
    "error",
    "field",
    "fields",
    "following",
    "for",
    "form",
    "form-data",
    "from",
    "header",
    "headers",
    "in",
    "input",
    "inputs",
    "is",
    "it",
    "json",
    "key",
    "login",
    "missing",
    "name",
    "names",
    "no",
    "not",
    "of",
    "one",
    "or",
    "param",
    "parameter",
    "parameters",
    "params",
    "payload",
    "positional",
    "query",
    "request",
    "required",
    "some",
    "that",
    "the",
    "this",
    "to",
    "token",
    "valid",
    "value",
    "values",
    "which",
    "with",
    "your",
];

/// What an answer says of the content type.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// What the body should be, where the answer says so.
    pub wants: Option<Encoding>,
    /// The body could not be read as what it was taken for: its content may be broken instead.
    pub unreadable: bool,
    /// The words.
    pub says: String,
}

/// The fields that a text names as missing. `known` are the names of fields that the schema or the request has.
pub fn missing(text: &str, known: &[&str], complaint: &mut Complaint) {
    for (list, pattern) in MISSING.iter() {
        for found in pattern.captures_iter(text).take(50) {
            let Some(group) = found.get(1) else { continue };
            if *list {
                let names = group.as_str().split(',').map(|name| name.trim().trim_matches(['\'', '"', '`']));
                names.for_each(|name| complaint.missing(name, None));
                continue;
            }
            let word = group.as_str().trim_matches(['.', '-']);
            let quoted = text.get(..group.start()).is_some_and(|before| before.ends_with(['\'', '"', '`']));
            match resembling(word, known) {
                Some(name) => complaint.missing(name, None),
                None if !quoted && FILLERS.contains(&word.to_ascii_lowercase().as_str()) => {}
                None if word.bytes().all(|b| b.is_ascii_digit()) => {}
                None => complaint.missing(word, None),
            }
        }
        if !complaint.missing.is_empty() {
            return;
        }
    }
}

/// What a text says of the content type, if anything.
pub fn content_type(text: &str) -> Option<Wrong> {
    let (wrong, found) = CONTENT_TYPE.iter().find_map(|(wrong, pattern)| Some((wrong, pattern.find(text)?)))?;
    let says = text.get(found.start()..).unwrap_or_default().lines().next().unwrap_or_default();
    Some(Wrong { says: says.chars().take(120).collect(), ..wrong.clone() })
}

/// The known field that a word of an answer means: itself, or one that abbreviates it (`language`: `lang`).
pub fn resembling<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let same = known.iter().find(|name| name.eq_ignore_ascii_case(&word));
    same.or_else(|| {
        known.iter().find(|name| {
            let name = name.to_ascii_lowercase();
            name.len() >= 3 && word.len() >= 3 && (word.starts_with(&name) || name.starts_with(&word))
        })
    })
    .copied()
}

/// A pattern that stands in the code or the table.
pub fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("a pattern of this room: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_finds_its_texts_and_not_the_near_ones() {
        let mut faults = Vec::new();
        for entry in &TABLE.missing {
            assert!(!entry.source.is_empty() && !entry.finds.is_empty() && !entry.near.is_empty(), "{}", entry.pattern);
            let own = pattern(&entry.pattern);
            for (text, name) in &entry.finds {
                let found = own.captures(text).and_then(|found| found.get(1));
                if found.is_none_or(|found| found.as_str().trim_matches('\'') != name) {
                    faults.push(format!("{} finds {found:?} in: {text}", entry.pattern));
                }
                let mut complaint = Complaint::default();
                missing(text, &[], &mut complaint);
                if complaint.missing.iter().all(|(found, _)| found != name) {
                    faults.push(format!("the table finds {:?} in: {text}", complaint.missing));
                }
            }
            let near = entry.near.iter().filter(|text| own.is_match(text));
            faults.extend(near.map(|text| format!("{} is found in: {text}", entry.pattern)));
        }
        for entry in &TABLE.content_type {
            assert!(!entry.source.is_empty() && !entry.finds.is_empty() && !entry.near.is_empty(), "{}", entry.pattern);
            let own = pattern(&entry.pattern);
            let lost = entry.finds.iter().filter(|text| !own.is_match(text));
            faults.extend(lost.map(|text| format!("{} is not found in: {text}", entry.pattern)));
            let near = entry.near.iter().filter(|text| content_type(text).is_some());
            faults.extend(near.map(|text| format!("a content type is found in: {text}")));
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
