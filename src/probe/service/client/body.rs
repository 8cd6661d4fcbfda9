//! The body of a curl command line: `-d`, `--json`, `-F`, `-T` and their kin.

use super::files;
use crate::probe::service::message::{Content, Encoding, Field, Place};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use url::form_urlencoded;

const URLENCODED: &str = "application/x-www-form-urlencoded";

/// What the options said so far.
#[derive(Default)]
pub struct Draft {
    /// The header `content-type`, if the client set it.
    pub content_type: Option<String>,
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
    pub fn take(&mut self, option: &str, value: &str, folder: &Path) -> Result<(), String> {
        match option {
            "-d" | "--data" | "--data-ascii" | "--data-binary" => {
                let bytes = match value.strip_prefix('@') {
                    Some(name) if option == "--data-binary" => files::read(folder, name)?,
                    // curl drops line ends and zeros here.
                    Some(name) => {
                        files::read(folder, name)?.into_iter().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect()
                    }
                    None => value.as_bytes().to_vec(),
                };
                self.append(&bytes, b"&");
            }
            "--data-raw" => self.append(value.as_bytes(), b"&"),
            "--data-urlencode" => {
                let encoded = urlencode(value, folder)?;
                self.append(encoded.as_bytes(), b"&");
            }
            "--json" => {
                self.json = true;
                let bytes = match value.strip_prefix('@') {
                    Some(name) => files::read(folder, name)?,
                    None => value.as_bytes().to_vec(),
                };
                self.append(&bytes, b"");
            }
            "-T" | "--upload-file" => {
                self.upload = true;
                self.data = Some(files::read(folder, value)?);
            }
            "-F" | "--form" => self.form.push(form_field(value, folder)?),
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

    /// The data as query fields, if `-G` was given.
    pub fn query(&self, get: bool) -> Vec<Field> {
        match &self.data {
            Some(data) if get => form_urlencoded::parse(data).map(|(k, v)| text(&k, &v, Place::Query)).collect(),
            _ => Vec::new(),
        }
    }

    /// The body that the options add up to.
    pub fn finish(self, get: bool) -> Result<Body, String> {
        let mut body = Body {
            encoding: Encoding::None,
            content_type: String::new(),
            fields: Vec::new(),
            verbatim: None,
            put: self.upload,
        };
        if !self.form.is_empty() {
            if self.data.is_some() {
                return Err("the curl command has both -F and -d (or -T); curl sends only one of them".into());
            }
            body.encoding = Encoding::Multipart;
            body.content_type = "multipart/form-data".into();
            body.fields = self.form;
            return Ok(body);
        }
        let Some(data) = self.data.filter(|_| !get) else { return Ok(body) };
        let usual = match (self.json, self.upload) {
            (true, _) => "application/json",
            (_, true) => "",
            _ => URLENCODED,
        };
        body.content_type = self.content_type.unwrap_or_else(|| usual.to_owned());
        let essence = body.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        body.encoding = Encoding::Raw;
        if essence == "application/json" || essence.ends_with("+json") {
            if let Ok(Value::Object(object)) = serde_json::from_slice(&data) {
                body.encoding = Encoding::Json;
                body.fields = json_fields(object);
            }
        } else if essence == URLENCODED && !data.trim_ascii_start().starts_with(b"{") {
            body.encoding = Encoding::Urlencoded;
            body.fields = form_urlencoded::parse(&data).map(|(k, v)| text(&k, &v, Place::Form)).collect();
        }
        body.verbatim = Some(Arc::from(data));
        Ok(body)
    }
}

/// A JSON object's members; the tensors of a KServe v2 request each by name.
fn json_fields(object: serde_json::Map<String, Value>) -> Vec<Field> {
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
fn form_field(argument: &str, folder: &Path) -> Result<Field, String> {
    let (name, value) = argument.split_once('=').ok_or(format!("{argument:?} is not NAME=VALUE"))?;
    let (value, options) = split_options(value);
    let content = if let Some(path) = value.strip_prefix('@') {
        let mut file = files::part(folder, path.trim_matches('"'))?;
        for (key, option) in options {
            match key {
                "type" => file.media_type = option.to_owned(),
                _ => file.name = option.trim_matches('"').to_owned(),
            }
        }
        Content::File(file)
    } else if let Some(path) = value.strip_prefix('<') {
        let bytes = files::read(folder, path)?;
        Content::Text(String::from_utf8(bytes).map_err(|_| format!("file {path} is not UTF-8 text"))?)
    } else {
        Content::Text(value.to_owned())
    };
    Ok(Field { name: name.to_owned(), place: Place::Form, content, guess: false })
}

/// Cuts `;type=` and `;filename=` off a value; any other `;` belongs to it.
fn split_options(value: &str) -> (&str, Vec<(&str, &str)>) {
    let mut options = Vec::new();
    let mut value = value;
    while let Some((rest, last)) = value.rsplit_once(';') {
        let Some(option) = last.trim().split_once('=').filter(|(key, _)| matches!(*key, "type" | "filename")) else {
            break;
        };
        options.push(option);
        value = rest;
    }
    (value, options)
}

/// `content`, `=content`, `name=content`, `@file`, `name@file`.
fn urlencode(value: &str, folder: &Path) -> Result<String, String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let file = |path: &str| {
        let bytes = files::read(folder, path)?;
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
