//! Finds values for the fields of a request: the user's, the schema's, a guess by name, at last one by type.

mod body;
mod given;
mod maker;
mod media;
pub mod names;
mod objects;
pub mod plan;
pub mod samples;
mod scalars;
#[cfg(test)]
mod tests;
mod written;

use crate::probe::service::message::{Content, Field, Place};
use crate::probe::service::schema::{Described, Document};
use maker::Maker;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub use names::looks_like_file;

/// Where a value comes from, the most reliable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The user gave it.
    Given,
    /// The schema allows no other.
    Const,
    /// One of those that the schema lists.
    Enum,
    /// An example in the schema.
    Example,
    /// The schema's default.
    Default,
    /// A recording, a picture or a document of the doctor's own.
    Sample,
    /// The server's answer said that it supports it.
    Server,
    /// What a field of that name usually holds.
    Name,
    /// Made up by type, format, pattern and bounds.
    Type,
}

impl Source {
    /// In words, for people.
    pub fn words(self) -> &'static str {
        match self {
            Source::Given => "yours",
            Source::Const => "the only value that the schema allows",
            Source::Enum => "one of those that the schema lists",
            Source::Example => "the schema's example",
            Source::Default => "the schema's default",
            Source::Sample => "a sample of the doctor's own",
            Source::Server => "the server's answer named it",
            Source::Name => "guessed by its name",
            Source::Type => "made up by its type",
        }
    }

    /// Whether the value is the doctor's guess rather than the user's or the schema's word.
    pub fn is_guess(self) -> bool {
        self > Source::Default
    }
}

/// Makes up fields.
pub struct Synthesis<'a> {
    /// Values that the user gave, by field name: they win over everything.
    pub given: &'a BTreeMap<String, String>,
    /// Values that the server's answers said it supports, by field name.
    pub supported: BTreeMap<String, Vec<String>>,
    /// For references inside schemas.
    pub document: Option<&'a Document>,
}

static NOTHING: Value = Value::Null;

impl Synthesis<'_> {
    fn root(&self) -> &Value {
        self.document.map_or(&NOTHING, Document::root)
    }

    /// A field as the schema describes it.
    pub fn described(&self, field: &Described) -> Field {
        self.with_source(field).0
    }

    /// A field as the schema describes it, and where its value comes from.
    pub fn with_source(&self, field: &Described) -> (Field, Source) {
        let make = |content, source: Source| {
            let guess = source.is_guess();
            (Field { name: field.name.clone(), place: field.place, content, guess }, source)
        };
        let given = self.given.get(&field.name);
        if let Some(tensor) = field.schema.get("tensor").filter(|_| field.place == Place::Tensor) {
            let tensor = given.map_or_else(|| tensor.clone(), |text| given::tensor(tensor, text));
            return make(Content::Json(tensor), if given.is_none() { Source::Type } else { Source::Given });
        }
        if let Some(text) = given {
            // What cannot be read is told by the plan; here the text itself is what is left.
            let content = given::content(text, field.kind, field.place);
            return make(content.unwrap_or_else(|_| Content::Text(text.clone())), Source::Given);
        }
        let mut maker = Maker::new(self.root(), &self.supported, "", field.place == Place::Form);
        maker.outer.push(String::new());
        let made = maker.best(&field.name, &[&field.schema], "");
        let content = made.content.or(made.files.into_iter().next());
        // Known as a file by more than its schema: the server's source, or its answer.
        let (is_file, is_base64) = match &content {
            Some(Content::File(_)) => (true, false),
            Some(Content::Base64(_)) => (false, true),
            _ => (false, false),
        };
        match field.place {
            Place::Form if field.kind == "file" && !is_file => {
                return make(maker::file(self.root(), &field.name, &field.schema), Source::Sample);
            }
            Place::Json if field.kind == "file" && !is_base64 => {
                if let Content::File(file) = maker::file(self.root(), &field.name, &field.schema) {
                    return make(Content::Base64(file), Source::Sample);
                }
            }
            _ => {}
        }
        make(content.unwrap_or(Content::Json(made.value)), made.source)
    }

    /// A field of which only name and place are known.
    pub fn unnamed(&self, name: &str, place: Place) -> Field {
        // The chat protocol's list; everything else is a text until the server says otherwise.
        let chat = name == "messages" && place == Place::Json;
        let schema = json!({ "type": if chat { "array" } else { "string" } });
        if place == Place::Form && looks_like_file(name) && !self.given.contains_key(name) {
            return Field { name: name.into(), place, content: maker::file(&NOTHING, name, &NOTHING), guess: true };
        }
        let kind = if chat { "array" } else { "string" };
        self.described(&Described { name: name.into(), place, required: true, kind, schema })
    }
}
