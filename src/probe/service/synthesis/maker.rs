//! Makes one value for the schemas that hold for it, by the order of weight: const, enum, media, example, default, what a
//! field of the name usually holds, the type.

use super::media::{self, Around};
use super::{Source, names, samples};
use crate::probe::service::message::Content;
use crate::probe::service::schema::validate::{Validator, equal};
use crate::probe::service::schema::view::View;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Depth of values within values, and values in all, that are made up for one request at most.
pub const DEPTH: usize = 24;
const VALUES: usize = 4000;
/// Alternatives tried of one list, and values of one `enum` and examples looked at, at most.
const ALTERNATIVES: usize = 12;
const OPTIONS: usize = 200;

/// What may be used for values; less of it is tried where the schema rejects what was made of it.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub examples: bool,
    pub guesses: bool,
    /// Optional properties too.
    pub optional: bool,
}

/// The manners in the order in which they are tried.
pub const MANNERS: [Manner; 4] = [
    Manner { examples: true, guesses: true, optional: false },
    Manner { examples: false, guesses: true, optional: false },
    Manner { examples: false, guesses: false, optional: false },
    Manner { examples: true, guesses: true, optional: true },
];

/// A value, and how it came about.
#[derive(Debug, Clone)]
pub struct Made {
    pub value: Value,
    pub source: Source,
    /// Where it is not the plain value that is sent: a file, or base64 of one.
    pub content: Option<Content>,
    /// Of an object its members.
    pub members: Vec<Member>,
    /// Of a list of files the files.
    pub files: Vec<Content>,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Member {
    pub name: String,
    pub required: bool,
    pub made: Made,
}

impl Made {
    pub fn plain(value: Value, source: Source) -> Self {
        Made { value, source, content: None, members: Vec::new(), files: Vec::new() }
    }

    pub fn of(content: Content) -> Self {
        let value = match &content {
            Content::Json(value) => value.clone(),
            Content::File(file) => {
                Value::String(format!("{} ({}, {} bytes)", file.name, file.media_type, file.bytes.len()))
            }
            other => Value::String(other.as_text()),
        };
        Made { content: Some(content), ..Made::plain(value, Source::Sample) }
    }

    pub fn object(members: Vec<Member>) -> Self {
        let object: Map<String, Value> =
            members.iter().map(|member| (member.name.clone(), member.made.value.clone())).collect();
        let weakest = members.iter().map(|member| member.made.source).max().unwrap_or(Source::Type);
        Made { members, ..Made::plain(Value::Object(object), weakest) }
    }
}

/// Makes values for one request.
pub struct Maker<'m> {
    pub root: &'m Value,
    pub validator: Validator<'m>,
    /// Values that the server's answers said it supports, by field name.
    pub supported: &'m BTreeMap<String, Vec<String>>,
    /// The operation's path.
    pub path: &'m str,
    pub manner: Manner,
    /// Whether files travel as parts of a form, rather than as base64.
    pub form: bool,
    /// References that are being followed: a schema within itself.
    stack: Vec<&'m str>,
    /// Names of the objects around the value.
    pub outer: Vec<String>,
    left: usize,
}

impl<'m> Maker<'m> {
    pub fn new(root: &'m Value, supported: &'m BTreeMap<String, Vec<String>>, path: &'m str, form: bool) -> Self {
        Self {
            root,
            validator: Validator::new(root),
            supported,
            path,
            manner: MANNERS[0],
            form,
            stack: Vec::new(),
            outer: Vec::new(),
            left: VALUES,
        }
    }

    /// A value for the schemas; in the first manner in which they accept it, or else the first one.
    pub fn best(&mut self, name: &str, schemas: &[&'m Value], part: &str) -> Made {
        let mut first = None;
        for manner in MANNERS {
            self.manner = manner;
            self.left = VALUES;
            let made = self.make(name, schemas, DEPTH, part);
            if self.validator.accepts(schemas, &made.value) {
                return made;
            }
            first.get_or_insert(made);
            // What grows beyond all bounds does so in every manner.
            if self.left == 0 {
                break;
            }
        }
        first.unwrap_or(Made::plain(Value::Null, Source::Type))
    }

    /// A value for the schemas.
    pub fn make(&mut self, name: &str, schemas: &[&'m Value], depth: usize, part: &str) -> Made {
        if depth == 0 || self.left == 0 {
            return Made::plain(Value::Null, Source::Type);
        }
        self.left -= 1;
        let view = View::of(self.root, schemas);
        self.viewed(name, &view, schemas, depth, part)
    }

    fn viewed(&mut self, name: &str, view: &View<'m>, schemas: &[&'m Value], depth: usize, part: &str) -> Made {
        let known = self.stack.len();
        self.stack.extend(view.followed.iter().filter(|reference| !self.stack.contains(reference)).collect::<Vec<_>>());
        let made = self.weighed(name, view, schemas, depth, part);
        self.stack.truncate(known);
        made
    }

    fn weighed(&mut self, name: &str, view: &View<'m>, schemas: &[&'m Value], depth: usize, part: &str) -> Made {
        if let Some(value) = view.first("const") {
            return Made::plain(value.clone(), Source::Const);
        }
        let kind = view.kind();
        let guess = self.guess(name, kind);
        let accepted = |maker: &Self, value: &Value| maker.validator.accepts(schemas, value);
        if let Some(options) = view.first("enum").and_then(Value::as_array).filter(|options| !options.is_empty()) {
            let written = [view.first("example"), view.first("default")].into_iter().flatten();
            let preferred = guess.iter().map(|(value, _)| value).chain(written).filter(|value| !value.is_null());
            let listed = preferred.filter(|value| options.iter().any(|option| equal(option, value)));
            let all =
                listed.chain(options.iter().filter(|option| !option.is_null()).take(OPTIONS)).chain(options.first());
            let all: Vec<&Value> = all.collect();
            let chosen = all.iter().find(|value| accepted(self, value)).or(all.first());
            return Made::plain(chosen.map_or(Value::Null, |value| (*value).clone()), Source::Enum);
        }
        if let Some(content) = self.media(name, view, kind, part) {
            let made = Made::of(content);
            if kind == "file" || accepted(self, &made.value) {
                // A schema may demand any number of them.
                self.left = self.left.saturating_sub(made.value.as_str().map_or(0, str::len) / 512);
                return made;
            }
        }
        if let Some((value, source)) = self.written(view, guess.is_some()).find(|(value, _)| accepted(self, value)) {
            return Made::plain(without_read_only(value, view), source);
        }
        if let Some((value, source)) = guess.filter(|(value, _)| accepted(self, value)) {
            return Made::plain(value, source);
        }
        if let Some(made) = self.alternative(name, view, schemas, depth, part) {
            return made;
        }
        match kind {
            "object" => self.object(name, view, depth),
            "array" => self.array(name, view, schemas, depth, part),
            // Without any word about it, an object is what most bodies are.
            "" if name.is_empty() && self.outer.is_empty() && says_nothing(view) => {
                Made::plain(Value::Object(Map::new()), Source::Type)
            }
            _ => {
                let value = self.scalar(name, view, schemas, kind);
                // Long texts count for more, so that the whole stays small.
                self.left = self.left.saturating_sub(value.as_str().map_or(0, str::len) / 128);
                Made::plain(value, Source::Type)
            }
        }
    }

    fn guess(&self, name: &str, kind: &str) -> Option<(Value, Source)> {
        if let Some(values) = self.supported.get(name) {
            let english =
                values.iter().find(|v| v.eq_ignore_ascii_case("en") || v.starts_with("en-") || *v == "english");
            return english.or(values.first()).map(|value| (Value::from(value.as_str()), Source::Server));
        }
        if !self.manner.guesses {
            return None;
        }
        names::usual(name, kind).map(|value| (value, Source::Name))
    }

    /// What the schema itself says a value may be: examples, then the default.
    fn written<'v>(
        &self,
        view: &'v View<'m>,
        guessed: bool,
    ) -> impl Iterator<Item = (&'m Value, Source)> + use<'v, 'm> {
        let listed = view.all("examples").filter_map(Value::as_array).flatten();
        let examples = view.all("example").chain(view.all("x-example")).chain(listed).take(OPTIONS);
        let examples = examples.map(|value| (value, Source::Example));
        let defaults = view.all("default").map(|value| (value, Source::Default));
        let (show, guessed) = (self.manner.examples, guessed);
        // An empty text, and the word with which documentation fills texts in, mean less than a name.
        let means = move |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !(guessed && matches!(text.as_str(), "" | "string")),
            _ => true,
        };
        examples.chain(defaults).filter(move |(value, _)| show && means(value))
    }

    fn media(&self, name: &str, view: &View<'m>, kind: &str, part: &str) -> Option<Content> {
        let outer = self.outer.last().map(String::as_str).unwrap_or_default();
        let around = Around { name, outer, path: self.path, part };
        match kind {
            "file" if self.form => Some(Content::File(media::file(view, &around))),
            "file" => Some(Content::Base64(media::file(view, &around))),
            "string" | "" => {
                let embedded = media::embedded(view, &around);
                embedded.or_else(|| media::data_url(view, &around).map(Content::Json))
            }
            _ => None,
        }
    }

    /// A value by one of the alternatives of the view's first list of them: the first that the schemas accept.
    fn alternative(
        &mut self,
        name: &str,
        view: &View<'m>,
        schemas: &[&'m Value],
        depth: usize,
        part: &str,
    ) -> Option<Made> {
        let (list, holder) = view.groups.first()?;
        let mut order: Vec<(u8, &'m Value)> =
            list.iter().take(ALTERNATIVES * 4).map(|schema| (self.reluctance(schema), schema)).collect();
        order.sort_by_key(|(reluctance, _)| *reluctance);
        let mut first = None;
        for (_, schema) in order.into_iter().take(ALTERNATIVES) {
            if self.left == 0 {
                break;
            }
            // No alternative may use up what the others need.
            let kept = self.left / 2;
            self.left -= kept;
            let mut made = self.viewed(name, &view.settled(self.root, schema), schemas, depth, part);
            self.left += kept;
            named_kind(&mut made, holder, schema);
            if self.validator.accepts(schemas, &made.value) {
                return Some(made);
            }
            first.get_or_insert(made);
        }
        first
    }

    /// How late an alternative is tried: null, a schema within itself, and what the server would fetch come last.
    fn reluctance(&self, schema: &'m Value) -> u8 {
        let view = View::of(self.root, &[schema]);
        let within = view.followed.iter().any(|reference| self.stack.contains(reference));
        let remote = view.required().iter().any(|name| names::is_remote(name));
        match () {
            () if view.never => 4,
            () if view.kind() == "null" => 3,
            () if within => 2,
            () if remote => 1,
            () => 0,
        }
    }

    /// Whether a schema leads back to one that is being followed.
    pub fn leads_back(&self, schemas: &[&'m Value]) -> bool {
        let view = View::of(self.root, schemas);
        view.followed.iter().any(|reference| self.stack.contains(reference))
    }

    /// Whether more values may be made.
    pub fn may_go_on(&self) -> bool {
        self.left > 0
    }
}

/// Sets the property by which the alternatives are told apart, where the alternative itself does not.
fn named_kind(made: &mut Made, holder: &Map<String, Value>, schema: &Value) {
    let Some(discriminator) = holder.get("discriminator") else { return };
    // In Swagger 2.0 it is the name alone.
    let property = discriminator.get("propertyName").or(Some(discriminator)).and_then(Value::as_str);
    let (Some(property), Some(reference)) = (property, schema.get("$ref").and_then(Value::as_str)) else { return };
    let last = reference.rsplit('/').next().unwrap_or(reference);
    let mapping = discriminator.get("mapping").and_then(Value::as_object).into_iter().flatten();
    let mapped = mapping.filter_map(|(key, to)| to.as_str().map(|to| (key, to)));
    let key = mapped.into_iter().find(|(_, to)| *to == reference || *to == last).map(|(key, _)| key.as_str());
    let value = Value::from(key.unwrap_or(last));
    let told = |member: &Member| {
        member.name == property && matches!(member.made.source, Source::Const | Source::Enum | Source::Given)
    };
    if made.members.iter().any(told) || made.members.is_empty() {
        return;
    }
    match made.members.iter_mut().find(|member| member.name == property) {
        Some(member) => member.made = Made::plain(value, Source::Const),
        None => made.members.push(Member {
            name: property.to_owned(),
            required: true,
            made: Made::plain(value, Source::Const),
        }),
    }
    *made = Made::object(std::mem::take(&mut made.members));
}

/// Whether the schemas have no word about the value.
fn says_nothing(view: &View) -> bool {
    let silent = |key: &String| matches!(key.as_str(), "$ref" | "title" | "description");
    view.groups.is_empty() && view.parts.iter().all(|part| part.keys().all(silent))
}

/// An example without the properties that only answers have.
fn without_read_only(value: &Value, view: &View) -> Value {
    let mut value = value.clone();
    if let Value::Object(object) = &mut value {
        for (name, schema) in view.all("properties").filter_map(Value::as_object).flatten() {
            if schema.get("readOnly") == Some(&Value::Bool(true)) {
                object.shift_remove(name);
            }
        }
    }
    value
}

/// The sample for a field that holds a file, by its name and what the schema says beside that.
pub fn file(root: &Value, name: &str, schema: &Value) -> Content {
    let file = match name.is_empty() {
        true => samples::speech(),
        false => media::file(&View::of(root, &[schema]), &Around { name, ..Around::default() }),
    };
    Content::File(file)
}
