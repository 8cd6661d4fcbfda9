//! One operation as the document writes it: parameters, bodies, credentials. Swagger 2.0 is read as OpenAPI 3 would say it.

use super::view::{View, target};
use super::{Candidate, Described, Document, FIELDS, preferred};
use crate::probe::service::message::{Encoding, Place};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// References from one parameter or body to another, followed at most.
const HOPS: usize = 16;

/// A parameter outside of the body.
#[derive(Debug, Clone)]
pub struct Parameter<'a> {
    pub name: &'a str,
    pub place: Place,
    pub required: bool,
    pub schema: &'a Value,
    /// The object that describes it, for `style`, `explode` and examples.
    pub object: &'a Map<String, Value>,
    /// It is written as JSON text.
    pub json: bool,
}

/// A body in one media type.
#[derive(Debug, Clone)]
pub struct Body<'a> {
    pub media_type: String,
    pub encoding: Encoding,
    pub required: bool,
    pub schema: Cow<'a, Value>,
    /// Examples of the whole body.
    pub examples: Vec<&'a Value>,
    /// Content types of parts, by name.
    pub parts: Option<&'a Map<String, Value>>,
}

/// What an operation wants to know of its caller: one of several lists of credentials.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    pub place: Place,
    /// Header, parameter or cookie.
    pub name: String,
    /// What to write about it: `a bearer token`.
    pub what: String,
}

/// An operation.
#[derive(Debug, Clone)]
pub struct Operation<'a> {
    root: &'a Value,
    pub method: &'a str,
    pub path: &'a str,
    item: &'a Value,
    object: &'a Value,
}

static ANY: Value = Value::Null;

impl<'a> Operation<'a> {
    pub fn new(root: &'a Value, path: &'a str, method: &'a str, item: &'a Value, object: &'a Value) -> Self {
        Self { root, method, path, item, object }
    }

    fn follow(&self, mut value: &'a Value) -> &'a Value {
        for _ in 0..HOPS {
            match value.get("$ref").and_then(Value::as_str).map(|reference| target(self.root, reference)) {
                Some(Ok(found)) => value = found,
                _ => break,
            }
        }
        value
    }

    /// Every parameter object, those of the operation over those of its path.
    fn described(&self) -> Vec<&'a Map<String, Value>> {
        let mut found: Vec<&Map<String, Value>> = Vec::new();
        for holder in [self.item, self.object] {
            for parameter in holder.get("parameters").and_then(Value::as_array).into_iter().flatten().take(FIELDS) {
                let Some(object) = self.follow(parameter).as_object() else { continue };
                let same = |old: &&Map<String, Value>| {
                    old.get("name") == object.get("name") && old.get("in") == object.get("in")
                };
                found.retain(|old| !same(old));
                found.push(object);
            }
        }
        found
    }

    /// The parameters outside of the body.
    pub fn parameters(&self) -> Vec<Parameter<'a>> {
        let read = |object: &'a Map<String, Value>| {
            let place = match object.get("in")?.as_str()? {
                "query" => Place::Query,
                "path" => Place::Path,
                "header" => Place::Header,
                "cookie" => Place::Cookie,
                _ => return None,
            };
            let name = object.get("name")?.as_str()?;
            // These come with the body and the credentials.
            let own = ["accept", "content-type", "authorization"].iter().any(|own| name.eq_ignore_ascii_case(own));
            if place == Place::Header && own {
                return None;
            }
            let content = object.get("content").and_then(Value::as_object).and_then(|content| content.iter().next());
            // In Swagger 2.0 the parameter is its own schema.
            let bare = object.get("type").map(|_| self.itself(object));
            let schema = object.get("schema").or(content.and_then(|(_, media)| media.get("schema"))).or(bare.flatten());
            let required = object.get("required") == Some(&Value::Bool(true)) || place == Place::Path;
            let json = content.is_some_and(|(media, _)| media.contains("json"));
            Some(Parameter { name, place, required, schema: schema.unwrap_or(&ANY), object, json })
        };
        self.described().into_iter().filter_map(read).collect()
    }

    /// The value that holds an object of a parameter.
    fn itself(&self, object: &Map<String, Value>) -> Option<&'a Value> {
        let lists = [self.item, self.object].into_iter().filter_map(|holder| holder.get("parameters")?.as_array());
        let mut all = lists.flatten().map(|parameter| self.follow(parameter));
        all.find(|value| value.as_object().is_some_and(|found| std::ptr::eq(found, object)))
    }

    /// Every body that the operation takes.
    pub fn bodies(&self) -> Vec<Body<'a>> {
        let Some(body) = self.object.get("requestBody").map(|body| self.follow(body)) else { return self.old_bodies() };
        let required = body.get("required") == Some(&Value::Bool(true));
        let content = body.get("content").and_then(Value::as_object).into_iter().flatten();
        let read = |(media_type, media): (&'a String, &'a Value)| {
            let schema = media.get("schema").unwrap_or(&ANY);
            let mut body = Body {
                encoding: super::encoding(media_type),
                media_type: media_type.clone(),
                required,
                schema: Cow::Borrowed(schema),
                examples: media.as_object().map(|media| self.examples(media)).unwrap_or_default(),
                parts: media.get("encoding").and_then(Value::as_object),
            };
            // Any type will do: JSON where the schema is one of JSON.
            let kind = View::of(self.root, &[schema]).kind();
            if media_type.starts_with("*/*") && !matches!(kind, "file" | "string") {
                (body.encoding, body.media_type) = (Encoding::Json, "application/json".into());
            }
            body
        };
        content.take(FIELDS).map(read).collect()
    }

    /// Examples of an object that may have `example` and `examples`, which may be references.
    pub fn examples(&self, holder: &'a Map<String, Value>) -> Vec<&'a Value> {
        let one = [holder.get("example"), holder.get("x-example")].into_iter().flatten();
        let named = holder.get("examples").and_then(Value::as_object).into_iter().flatten();
        let named = named.take(20).filter_map(|(_, example)| self.follow(example).get("value"));
        one.chain(named).filter(|example| !example.is_null()).collect()
    }

    /// The body as Swagger 2.0 describes it, among the parameters.
    fn old_bodies(&self) -> Vec<Body<'a>> {
        let consumes = self.object.get("consumes").or(self.root.get("consumes")).and_then(Value::as_array);
        let takes = |part: &str| {
            consumes
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .find(|media| media.contains(part))
                .map(str::to_owned)
        };
        let described = self.described();
        let place = |object: &&&Map<String, Value>, name: &str| object.get("in").and_then(Value::as_str) == Some(name);
        let body = |media_type: String, required, schema, examples| Body {
            encoding: super::encoding(&media_type),
            media_type,
            required,
            schema,
            examples,
            parts: None,
        };
        if let Some(object) = described.iter().find(|object| place(object, "body")) {
            let media_type = takes("json").or(takes("/")).unwrap_or("application/json".into());
            let schema = object.get("schema").unwrap_or(&ANY);
            let required = object.get("required") == Some(&Value::Bool(true));
            let examples = object.get("x-example").into_iter().collect();
            return vec![body(media_type, required, Cow::Borrowed(schema), examples)];
        }
        let (mut properties, mut required, mut files) = (Map::new(), Vec::new(), false);
        for object in described.iter().filter(|object| place(object, "formData")) {
            let Some(name) = object.get("name").and_then(Value::as_str) else { continue };
            let mut schema: Map<String, Value> = (*object).clone();
            files |= schema.get("type").and_then(Value::as_str) == Some("file");
            if schema.shift_remove("required") == Some(Value::Bool(true)) {
                required.push(Value::from(name));
            }
            properties.insert(name.to_owned(), Value::Object(schema));
        }
        if properties.is_empty() {
            return Vec::new();
        }
        let form = takes("form").filter(|media| !files || media.contains("multipart"));
        let usual = if files { "multipart/form-data" } else { "application/x-www-form-urlencoded" };
        let wanted = !required.is_empty();
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        vec![body(form.unwrap_or(usual.into()), wanted, Cow::Owned(schema), Vec::new())]
    }

    /// The lists of credentials, of which one suffices; an empty list among them: none is needed.
    pub fn credentials(&self) -> Vec<Vec<Credential>> {
        let wanted = self.object.get("security").or(self.root.get("security")).and_then(Value::as_array);
        let schemes = self.root.pointer("/components/securitySchemes").or(self.root.get("securityDefinitions"));
        let read = |name: &String| -> Option<Credential> {
            let scheme = self.follow(schemes?.get(name)?);
            let text = |key: &str| scheme.get(key).and_then(Value::as_str).unwrap_or_default();
            let bearer = |what: &str| (Place::Header, "authorization".to_owned(), what.to_owned());
            let (place, name, what) = match (text("type"), text("in")) {
                ("apiKey", "query") => (Place::Query, text("name").to_owned(), "an API key".into()),
                ("apiKey", "cookie") => (Place::Cookie, text("name").to_owned(), "an API key".into()),
                ("apiKey", _) => (Place::Header, text("name").to_ascii_lowercase(), "an API key".into()),
                ("http", _) if text("scheme").eq_ignore_ascii_case("basic") => bearer("user and password (basic)"),
                ("basic", _) => bearer("user and password (basic)"),
                ("oauth2" | "openIdConnect", _) => bearer("a bearer token (OAuth 2)"),
                _ => bearer("a bearer token"),
            };
            Some(Credential { place, name, what })
        };
        let list = |one: &Value| one.as_object().into_iter().flatten().filter_map(|(name, _)| read(name)).collect();
        wanted.into_iter().flatten().take(20).map(list).collect()
    }

    /// The operation as something to try.
    pub fn candidate(&self, document: &Document, wanted: Option<Encoding>) -> Candidate {
        let mut candidate = Candidate {
            method: self.method.to_uppercase(),
            path: self.path.to_owned(),
            encoding: Encoding::None,
            content_type: String::new(),
            fields: Vec::new(),
            known: Vec::new(),
        };
        for parameter in self.parameters() {
            let mut schema = document.resolve(parameter.schema);
            if let (Some(example), Some(object)) = (parameter.object.get("example"), schema.as_object_mut()) {
                object.insert("example".into(), example.clone());
            }
            let kind = super::kind(&schema);
            let (name, place, required) = (parameter.name.to_owned(), parameter.place, parameter.required);
            candidate.fields.push(Described { name, place, required, kind, schema });
        }
        let bodies = self.bodies();
        if let Some(body) = preferred(&bodies, wanted) {
            candidate.content_type = body.media_type.clone();
            candidate.encoding = body.encoding;
            let place = if body.encoding == Encoding::Json { Place::Json } else { Place::Form };
            if body.encoding != Encoding::Raw {
                candidate.fields.extend(document.properties(&document.resolve(&body.schema), place));
            }
        }
        candidate
    }
}
