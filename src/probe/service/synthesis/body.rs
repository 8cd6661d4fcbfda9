//! The body of a request: its members, and of optional ones the payload.

use super::maker::{DEPTH, Made, Maker, Member};
use super::objects::read_only;
use super::{Source, given, media, names};
use crate::probe::service::message::{Content, Encoding, Place};
use crate::probe::service::schema::operation::Body;
use crate::probe::service::schema::view::View;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Optional properties that are looked at as a payload, at most.
const OPTIONAL: usize = 100;

/// The body's value: by an example of the whole, or else by its schema; with the user's values in it.
pub fn made<'m>(
    maker: &mut Maker<'m>,
    body: &'m Body<'m>,
    given: &BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> Made {
    let schemas: [&'m Value; 1] = [&body.schema];
    let view = View::of(maker.root, &schemas);
    let example = body.examples.iter().copied().find(|example| maker.validator.accepts(&schemas, example));
    let mut made = match example {
        Some(Value::Object(example)) => by_example(maker, &view, &schemas, example),
        Some(example) => Made::plain(example.clone(), Source::Example),
        None => maker.best("", &schemas, ""),
    };
    if made.members.is_empty()
        && let Value::Object(object) = &made.value
    {
        // An example of the schema itself, taken apart.
        let source = made.source;
        let member = |(name, value): (&String, &Value)| Member {
            name: name.clone(),
            required: false,
            made: Made::plain(value.clone(), source),
        };
        made.members = object.iter().map(member).collect();
    }
    if !made.value.is_object() {
        return made;
    }
    let mut members = made.members;
    let required = view.required();
    let properties = view.properties();
    members.iter_mut().for_each(|member| member.required |= required.contains(&member.name.as_str()));
    if example.is_none() {
        payload(maker, &schemas, &properties, &mut members);
    }
    parts(maker, body, &properties, &mut members);
    let place = if body.encoding == Encoding::Json { Place::Json } else { Place::Form };
    for (name, text) in given {
        let schemas = properties.iter().find(|(own, _)| own == name).map(|(_, schemas)| schemas.as_slice());
        let there = members.iter().position(|member| member.name == *name);
        if schemas.is_none() && there.is_none() {
            // options.top_k is a field within a field.
            if let Some((first, rest)) = name.split_once('.')
                && let Some(member) = members.iter_mut().find(|member| member.name == first)
            {
                given::within(&mut member.made.value, rest, text);
                (member.made.source, member.made.content) = (Source::Given, None);
            }
            continue;
        }
        let kind = schemas.map_or("", |schemas| kind_within(maker.root, schemas));
        match given::content(text, kind, place) {
            Ok(content) => {
                let made = Made { source: Source::Given, ..Made::of(content) };
                match there.and_then(|at| members.get_mut(at)) {
                    Some(member) => member.made = made,
                    None => members.push(Member { name: name.clone(), required: false, made }),
                }
            }
            Err(problem) => problems.push(format!("--field {name}: {problem}")),
        }
    }
    Made::object(members)
}

/// The kind of a value, or of its first alternative that is not null.
fn kind_within(root: &Value, schemas: &[&Value]) -> &'static str {
    let view = View::of(root, schemas);
    let alternatives = view.groups.iter().flat_map(|(list, _)| list.iter());
    let mut kinds = std::iter::once(view.kind()).chain(alternatives.map(|schema| View::of(root, &[schema]).kind()));
    kinds.find(|kind| !matches!(*kind, "" | "null")).unwrap_or("")
}

/// An example of the whole body, in which samples stand where it has placeholders for media.
fn by_example<'m>(maker: &mut Maker<'m>, view: &View<'m>, schemas: &[&'m Value], example: &Map<String, Value>) -> Made {
    let properties = view.properties();
    let mut members = Vec::new();
    for (name, value) in example {
        let schemas = properties.iter().find(|(own, _)| own == name).map(|(_, schemas)| schemas);
        let sample = schemas.map(|schemas| maker.make(name, schemas, DEPTH - 1, ""));
        let made = sample.filter(|made| made.content.is_some() || !made.files.is_empty());
        let made = made.unwrap_or_else(|| Made::plain(value.clone(), Source::Example));
        members.push(Member { name: name.clone(), required: false, made });
    }
    let made = Made::object(members);
    if maker.validator.accepts(schemas, &made.value) {
        return made;
    }
    Made::plain(Value::Object(example.clone()), Source::Example)
}

/// Parts of a form whose content type is told.
fn parts<'m>(
    maker: &mut Maker<'m>,
    body: &'m Body<'m>,
    properties: &[(&'m str, Vec<&'m Value>)],
    members: &mut [Member],
) {
    let Some(told) = body.parts.filter(|_| body.encoding == Encoding::Multipart) else { return };
    for member in members {
        let media_type = told.get(&member.name).and_then(|part| part.get("contentType")).and_then(Value::as_str);
        let Some(media_type) = media_type.map(|list| list.split(',').next().unwrap_or(list).trim()) else { continue };
        let schemas = properties.iter().find(|(name, _)| *name == member.name).map(|(_, schemas)| schemas);
        match (&member.made.content, schemas) {
            (Some(Content::File(_)), Some(schemas)) => {
                member.made = maker.make(&member.name, schemas, DEPTH - 1, media_type);
            }
            (None, _)
                if media_type.contains("json") && (member.made.value.is_object() || member.made.value.is_array()) =>
            {
                let file = crate::probe::service::message::File {
                    name: format!("{}.json", member.name),
                    media_type: media_type.to_owned(),
                    bytes: member.made.value.to_string().into_bytes().into(),
                };
                member.made.content = Some(Content::File(file));
            }
            _ => {}
        }
    }
}

/// Adds what the server is to work on where it is optional: a file, else the same as base64, else as a `data:` URL; of two
/// fields for the same kind of thing only the first, for many servers want exactly one of them.
fn payload<'m>(
    maker: &mut Maker<'m>,
    schemas: &[&'m Value],
    properties: &[(&'m str, Vec<&'m Value>)],
    members: &mut Vec<Member>,
) {
    let kind_of = |made: &Made| {
        let content = made.content.as_ref().or(made.files.first())?;
        Some(match content {
            Content::File(file) => (0, file.media_type.split('/').next().unwrap_or_default().to_owned()),
            Content::Base64(file) => (1, file.media_type.split('/').next().unwrap_or_default().to_owned()),
            Content::Json(value) => {
                let text = value.as_str().unwrap_or_default();
                (2, text.strip_prefix("data:")?.split('/').next().unwrap_or_default().to_owned())
            }
            Content::Text(_) => return None,
        })
    };
    let mut chosen: BTreeMap<String, (u8, Option<Member>)> = BTreeMap::new();
    for member in members.iter() {
        if let Some((_, media)) = kind_of(&member.made) {
            chosen.insert(media, (0, None));
        }
    }
    let there = |members: &[Member], name: &str| members.iter().any(|member| member.name == name);
    let optional: Vec<_> =
        properties.iter().filter(|(name, own)| !there(members, name) && !read_only(own)).take(OPTIONAL).collect();
    for (name, own) in &optional {
        if !matches!(kind_within(maker.root, own), "file" | "string" | "array" | "") {
            continue;
        }
        let made = maker.make(name, own, DEPTH - 1, "");
        let Some((rank, media)) = kind_of(&made) else { continue };
        let aside = names::words(name).iter().any(|word| {
            matches!(word.as_str(), "reference" | "ref" | "prompt" | "mask" | "style" | "negative" | "background")
        });
        let rank = rank + if aside { 10 } else { 0 };
        if chosen.get(&media).is_none_or(|(old, _)| rank < *old) {
            chosen.insert(media, (rank, Some(Member { name: (*name).to_owned(), required: false, made })));
        }
    }
    let mut with = members.clone();
    with.extend(chosen.into_values().filter_map(|(_, member)| member));
    if with.is_empty()
        && let Some((name, own)) = optional.iter().find(|(name, _)| names::is_main_input(name))
    {
        let made = maker.make(name, own, DEPTH - 1, "");
        with.push(Member { name: (*name).to_owned(), required: false, made });
    }
    let grown = Made::object(with);
    let before = Made::object(members.clone());
    // Alternatives may forbid it.
    if maker.validator.accepts(schemas, &grown.value) || !maker.validator.accepts(schemas, &before.value) {
        *members = grown.members;
    }
}

/// The bytes of a body that has no named fields.
pub fn raw<'m>(maker: &mut Maker<'m>, body: &'m Body<'m>) -> (Vec<u8>, Value, Source) {
    let schemas: [&'m Value; 1] = [&body.schema];
    let view = View::of(maker.root, &schemas);
    let bare = body.media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
    let structured = matches!(view.kind(), "object" | "array" | "integer" | "number" | "boolean");
    let lines = ["yaml", "ndjson", "jsonl", "json"].iter().any(|word| bare.contains(word));
    let text = bare.starts_with("text/") || bare.contains("xml");
    if structured || lines || text && view.kind() == "string" {
        let example = body.examples.iter().copied().find(|example| maker.validator.accepts(&schemas, example));
        let made = match example {
            Some(example) => Made::plain(example.clone(), Source::Example),
            None if text && view.parts.iter().all(|part| part.len() <= 2) => {
                let file = media::whole(&bare, &media::Around { path: maker.path, ..Default::default() });
                Made::plain(Value::from(String::from_utf8_lossy(&file.bytes).into_owned()), Source::Sample)
            }
            None => maker.best("", &schemas, ""),
        };
        let written = match &made.value {
            Value::String(text) => text.clone(),
            other => format!("{other}\n"),
        };
        return (written.into_bytes(), made.value, made.source);
    }
    let file = media::whole(&bare, &media::Around { path: maker.path, ..Default::default() });
    let shown = format!("{} ({}, {} bytes)", file.name, file.media_type, file.bytes.len());
    (file.bytes.to_vec(), Value::String(shown), Source::Sample)
}
