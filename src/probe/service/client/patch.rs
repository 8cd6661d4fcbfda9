//! The mending in the client's own language: which line of its Python, and how it reads then.

use super::python::Library;
use crate::probe::service::message::{Content, Field, Place};
use crate::probe::source::syntax::{Call, Source, WRITTEN_MAX};
use crate::secret::{MASK, is_in_field};
use crate::snapshot::CodeChange;
use std::ops::Range;

/// A dictionary of the call.
#[derive(Debug, Clone)]
struct Site {
    place: Place,
    line: usize,
    /// What stands before it: `data=`, `payload = `.
    before: String,
    /// The dictionary, in one line.
    text: String,
    /// Whether it is only the argument's name that is known to be free.
    missing: bool,
}

/// Where the fields of a request stand in Python code.
#[derive(Debug, Clone)]
pub struct Code {
    sites: Vec<Site>,
    /// The last `form.add_field(...)`: the form's name, the line and the statement.
    form: Option<(String, usize, String)>,
}

impl Code {
    /// The places of a call.
    pub fn of(source: &Source, call: &Call, library: Library, calls: &[Call]) -> Self {
        let mut sites = Vec::new();
        let argument = |name: &str| call.arguments.iter().find(|one| one.name.as_deref() == Some(name));
        let mut form = None;
        for (place, name) in
            [(Place::Form, "data"), (Place::Json, "json"), (Place::Query, "params"), (Place::Header, "headers")]
        {
            let Some(one) = argument(name) else {
                let free =
                    Site { place, line: call.line, before: format!("{name}="), text: String::new(), missing: true };
                sites.push(free);
                continue;
            };
            let written = source.written(one.value.clone());
            let added = format!("{written}.add_field");
            let last = calls.iter().rfind(|other| other.callee == added && other.tokens.start < call.tokens.start);
            if let Some(last) = last.filter(|_| library == Library::Aiohttp) {
                form = Some((written, last.line, source.written(last.tokens.clone())));
                continue;
            }
            let (place, value) = match encoded(source, one.value.clone(), calls) {
                Some(inner) => (Place::Json, inner),
                None => (place, one.value.clone()),
            };
            sites.retain(|site| site.place != place || !site.missing);
            sites.extend(site(source, place, name, value));
        }
        Self { sites, form }
    }

    /// The changes that add fields, each place once.
    pub fn with(&self, file: &str, fields: &[Field]) -> Vec<CodeChange> {
        let mut changes: Vec<CodeChange> = Vec::new();
        for place in [Place::Form, Place::Json, Place::Query, Place::Header] {
            let added: Vec<(&str, String)> = fields
                .iter()
                .filter(|field| field.place == place)
                .filter_map(|field| Some((field.name.as_str(), literal(&field.content, place)?)))
                .collect();
            if added.is_empty() {
                continue;
            }
            if let (Place::Form, Some((form, line, last))) = (place, &self.form) {
                let more = added.iter().map(|(name, value)| format!("{form}.add_field({}, {value})", quoted(name)));
                let new = std::iter::once(last.clone()).chain(more).collect::<Vec<_>>().join("; ");
                changes.push(CodeChange { at: format!("{file}:{line}"), old: last.clone(), new });
                continue;
            }
            let members: Vec<String> = added.iter().map(|(name, value)| format!("{}: {value}", quoted(name))).collect();
            let Some(site) = self.sites.iter().find(|site| site.place == place) else { continue };
            let at = format!("{file}:{}", site.line);
            let Site { before, text, .. } = site;
            let (old, new) = match text.strip_suffix('}') {
                _ if site.missing => (String::new(), format!("{before}{{{}}}", members.join(", "))),
                Some(open) => {
                    let open = open.trim_end().trim_end_matches(',');
                    let comma = if open.ends_with('{') { "" } else { ", " };
                    (format!("{before}{text}"), format!("{before}{open}{comma}{}}}", members.join(", ")))
                }
                None => continue,
            };
            changes.push(CodeChange { at, old, new });
        }
        changes
    }
}

/// The dictionary inside `json.dumps(...)`.
fn encoded(source: &Source, range: Range<usize>, calls: &[Call]) -> Option<Range<usize>> {
    let range = source.value(range);
    let call = calls.iter().find(|call| call.tokens == range && call.callee.ends_with(".dumps"))?;
    call.arguments.first().map(|one| one.value.clone())
}

/// The dictionary that is an argument's value, where it is written out.
fn site(source: &Source, place: Place, argument: &str, range: Range<usize>) -> Option<Site> {
    let value = source.value(range.clone());
    let text = dictionary(source, value.clone())?;
    let line = source.tokens.get(value.start)?.line;
    let whole = text.len() < WRITTEN_MAX;
    let before = if value == range { format!("{argument}=") } else { format!("{} = ", source.written(range)) };
    whole.then_some(Site { place, line, before, text, missing: false })
}

/// A dictionary as it is written, in one line and without its secrets.
fn dictionary(source: &Source, range: Range<usize>) -> Option<String> {
    let last = range.end.checked_sub(1)?;
    if source.word(range.start) != "{" || source.partner(range.start) != Some(last) {
        return None;
    }
    let member = |part: Range<usize>| {
        let key = source.word(part.start);
        match is_in_field(key.trim_matches(['"', '\''])) {
            true => format!("{key}: \"{MASK}\""),
            false => source.written(part),
        }
    };
    let members: Vec<String> = source.parts(range.start + 1..last).into_iter().map(member).collect();
    Some(format!("{{{}}}", members.join(", ")))
}

/// A value as Python writes it; nothing for a file.
fn literal(content: &Content, place: Place) -> Option<String> {
    match content {
        Content::Json(value) if place == Place::Json => Some(python(value, 6)),
        Content::Text(_) | Content::Json(_) => Some(quoted(&content.as_text())),
        Content::File(_) | Content::Base64(_) => None,
    }
}

fn python(value: &serde_json::Value, depth: usize) -> String {
    use serde_json::Value as V;
    match value {
        _ if depth == 0 => "...".into(),
        V::Null => "None".into(),
        V::Bool(true) => "True".into(),
        V::Bool(false) => "False".into(),
        V::Number(number) => number.to_string(),
        V::String(text) => quoted(text),
        V::Array(list) => format!("[{}]", list.iter().map(|one| python(one, depth - 1)).collect::<Vec<_>>().join(", ")),
        V::Object(members) => {
            let members = members.iter().map(|(name, one)| format!("{}: {}", quoted(name), python(one, depth - 1)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}

/// JSON's texts are Python's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
