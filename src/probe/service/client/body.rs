//! Bodies: of a curl command line (`-d`, `--json`, `-F`, `-T` and their kin), and bytes with a content type.

use super::files::Files;
use super::{multipart, request};
use crate::probe::service::message::{Content, Encoding, Field, Place};
use serde_json::Value;
use std::sync::Arc;
use url::form_urlencoded;

const URLENCODED: &str = "application/x-www-form-urlencoded";

/// What may stand behind a form field's value.
const PART_OPTIONS: &[&str] = &["type", "filename", "headers", "encoder"];

/// What the options said so far.
#[derive(Default)]
pub struct Draft {
    data: Option<Vec<u8>>,
    form: Vec<Field>,
    json: bool,
    upload: bool,
}

/// A finished body.
pub struct Body {
    pub encoding: Encoding,
    pub content_type: String,
    pub fields: Vec<Field>,
    pub verbatim: Option<Arc<[u8]>>,
    /// `-T` was given, so the method is PUT unless named.
    pub put: bool,
}

/// A field with a text that the client wrote.
pub fn text(name: &str, value: &str, place: Place) -> Field {
    Field { name: name.to_owned(), place, content: Content::Text(value.to_owned()), guess: false }
}

impl Draft {
    /// Takes one option about the body; any other is an error.
    pub fn take(&mut self, option: &str, value: &str, files: &Files, draft: &mut request::Draft) -> Result<(), String> {
        match option {
            "-d" | "--data" | "--data-ascii" | "--data-binary" => {
                let bytes = match value.strip_prefix('@') {
                    Some(name) if option == "--data-binary" => {
                        draft.paths.insert(String::new(), name.to_owned());
                        files.read(name)?
                    }
                    // curl drops line ends and zeros here.
                    Some(name) => files.read(name)?.into_iter().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect(),
                    None => value.as_bytes().to_vec(),
                };
                self.append(&bytes, b"&");
            }
            "--data-raw" => self.append(value.as_bytes(), b"&"),
            "--data-urlencode" => {
                let encoded = urlencode(value, files)?;
                self.append(encoded.as_bytes(), b"&");
            }
            "--json" => {
                self.json = true;
                let bytes = match value.strip_prefix('@') {
                    Some(name) => files.read(name)?,
                    None => value.as_bytes().to_vec(),
                };
                self.append(&bytes, b"");
            }
            "-T" | "--upload-file" => {
                self.upload = true;
                draft.paths.insert(String::new(), value.to_owned());
                self.data = Some(files.read(value)?);
            }
            "-F" | "--form" => self.form.push(form_field(value, files, draft)?),
            "--form-string" => {
                let (name, value) = value.split_once('=').ok_or(format!("{value:?} is not NAME=VALUE"))?;
                self.form.push(text(name, value, Place::Form));
            }
            _ => return Err("not supported".into()),
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], between: &[u8]) {
        match &mut self.data {
            Some(data) => {
                data.extend_from_slice(between);
                data.extend_from_slice(bytes);
            }
            None => self.data = Some(bytes.to_vec()),
        }
    }

    /// Whether `--json` was given.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The data as query fields, if `-G` was given.
    pub fn query(&self, get: bool) -> Vec<Field> {
        match &self.data {
            Some(data) if get => form_urlencoded::parse(data).map(|(k, v)| text(&k, &v, Place::Query)).collect(),
            _ => Vec::new(),
        }
    }

    /// The body that the options add up to. `content_type` is the header, if the client set it.
    pub fn finish(self, get: bool, content_type: Option<String>) -> Result<Body, String> {
        if !self.form.is_empty() {
            if self.data.is_some() {
                return Err("the curl command has both -F and -d (or -T); curl sends only one of them".into());
            }
            return Ok(Body::multipart(self.form));
        }
        let Some(data) = self.data.filter(|_| !get) else { return Ok(Body::none()) };
        let usual = match (self.json, self.upload) {
            (true, _) => "application/json",
            (_, true) => "",
            _ => URLENCODED,
        };
        let body = Body::of_bytes(data, content_type.unwrap_or_else(|| usual.to_owned()));
        Ok(Body { put: self.upload, ..body })
    }
}

impl Body {
    /// No body.
    pub fn none() -> Self {
        let (content_type, fields) = (String::new(), Vec::new());
        Self { encoding: Encoding::None, content_type, fields, verbatim: None, put: false }
    }

    /// Form fields and files.
    pub fn multipart(fields: Vec<Field>) -> Self {
        Self { encoding: Encoding::Multipart, content_type: "multipart/form-data".into(), fields, ..Self::none() }
    }

    /// Form fields in one line.
    pub fn urlencoded(fields: Vec<Field>) -> Self {
        Self { encoding: Encoding::Urlencoded, content_type: URLENCODED.into(), fields, ..Self::none() }
    }

    /// The members of a JSON object, or another JSON value as it is.
    pub fn json(value: Value) -> Self {
        let (encoding, content_type) = (Encoding::Json, "application/json".to_owned());
        match value {
            Value::Object(object) => Self { encoding, content_type, fields: json_fields(object), ..Self::none() },
            other => Self::of_bytes(other.to_string().into_bytes(), content_type),
        }
    }

    /// The body as it was written; its fields by its content type.
    pub fn of_bytes(data: Vec<u8>, content_type: String) -> Self {
        let mut body = Self { encoding: Encoding::Raw, content_type, ..Self::none() };
        let essence = essence(&body.content_type);
        if essence == "application/json" || essence.ends_with("+json") {
            if let Ok(Value::Object(object)) = serde_json::from_slice(&data) {
                body.encoding = Encoding::Json;
                body.fields = json_fields(object);
            }
        } else if essence == URLENCODED && !data.trim_ascii_start().starts_with(b"{") {
            body.encoding = Encoding::Urlencoded;
            body.fields = form_urlencoded::parse(&data).map(|(k, v)| text(&k, &v, Place::Form)).collect();
        } else if let Some(fields) = multipart::fields(&data, &body.content_type) {
            body.encoding = Encoding::Multipart;
            body.fields = fields;
        }
        body.verbatim = Some(Arc::from(data));
        body
    }
}

/// A content type without its parameters, in lower case.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A JSON object's members; the tensors of a KServe v2 request each by name.
pub fn json_fields(object: serde_json::Map<String, Value>) -> Vec<Field> {
    let mut fields = Vec::new();
    for (name, value) in object {
        let tensors = value.as_array().filter(|list| name == "inputs" && !list.is_empty());
        let named = tensors.and_then(|list| list.iter().map(tensor_name).collect::<Option<Vec<_>>>());
        match (named, &value) {
            (Some(names), Value::Array(list)) => {
                fields.extend(names.into_iter().zip(list).map(|(name, tensor)| Field {
                    name,
                    place: Place::Tensor,
                    content: Content::Json(tensor.clone()),
                    guess: false,
                }));
            }
            _ => fields.push(Field { name, place: Place::Json, content: Content::Json(value), guess: false }),
        }
    }
    fields
}

fn tensor_name(value: &Value) -> Option<String> {
    value.get("shape")?;
    value.get("datatype")?;
    Some(value.get("name")?.as_str()?.to_owned())
}

/// `NAME=VALUE`, `NAME=@FILE;type=TYPE;filename=NAME`, `NAME=<FILE`.
fn form_field(argument: &str, files: &Files, draft: &mut request::Draft) -> Result<Field, String> {
    let (name, value) = argument.split_once('=').ok_or(format!("{argument:?} is not NAME=VALUE"))?;
    let (value, options) = split_options(value);
    let content = if let Some(path) = value.strip_prefix('@') {
        let path = path.trim_matches('"');
        let mut file = files.part(path)?;
        for (key, option) in options {
            match key {
                "type" => file.media_type = option.to_owned(),
                "filename" => file.name = option.trim_matches('"').to_owned(),
                _ => draft.note(format!("the {key} of the form field {name} are passed over")),
            }
        }
        draft.paths.insert(name.to_owned(), path.to_owned());
        Content::File(file)
    } else if let Some(path) = value.strip_prefix('<') {
        let bytes = files.read(path)?;
        Content::Text(String::from_utf8(bytes).map_err(|_| format!("file {path} is not UTF-8 text"))?)
    } else {
        if options.iter().any(|(key, _)| *key == "type") {
            draft.note(format!("the form field {name} was sent without its part's own type"));
        }
        Content::Text(value.to_owned())
    };
    Ok(Field { name: name.to_owned(), place: Place::Form, content, guess: false })
}

/// Cuts `;type=` and `;filename=` off a value; any other `;` belongs to it.
fn split_options(value: &str) -> (&str, Vec<(&str, &str)>) {
    let mut options = Vec::new();
    let mut value = value;
    while let Some((rest, last)) = value.rsplit_once(';') {
        let Some(option) = last.trim().split_once('=').filter(|(key, _)| PART_OPTIONS.contains(key)) else {
            break;
        };
        options.push(option);
        value = rest;
    }
    (value, options)
}

/// `content`, `=content`, `name=content`, `@file`, `name@file`.
pub fn urlencode(value: &str, files: &Files) -> Result<String, String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let file = |path: &str| {
        let bytes = files.read(path)?;
        String::from_utf8(bytes).map_err(|_| format!("file {path} is not UTF-8 text"))
    };
    let at = value.find(['=', '@']);
    Ok(match at.and_then(|at| Some((value.get(..at)?, value.get(at..at + 1)?, value.get(at + 1..)?))) {
        Some(("", "=", content)) => encode(content),
        Some((name, "=", content)) => format!("{name}={}", encode(content)),
        Some(("", _, path)) => encode(&file(path)?),
        Some((name, _, path)) => format!("{name}={}", encode(&file(path)?)),
        None => encode(value),
    })
}
