//! A request before it is sent: named fields, each in its place, and how the body is written.

use super::tensor_bytes;
use super::transport::{Outgoing, Part, Payload};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use url::form_urlencoded::Serializer;

/// Where a field stands in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Form,
    Json,
    Query,
    Path,
    Header,
    Cookie,
    Tensor,
    /// The whole body, where it is no object.
    Body,
}

impl Place {
    /// The word for it in the snapshot.
    pub fn name(self) -> &'static str {
        match self {
            Place::Form => "form",
            Place::Json => "json",
            Place::Query => "query",
            Place::Path => "path",
            Place::Header => "header",
            Place::Cookie => "cookie",
            Place::Tensor => "tensor",
            Place::Body => "body",
        }
    }

    /// Whether it stands in the body.
    pub fn in_body(self) -> bool {
        matches!(self, Place::Form | Place::Json | Place::Tensor | Place::Body)
    }
}

/// A file part.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub name: String,
    pub media_type: String,
    pub bytes: Arc<[u8]>,
}

/// A field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// As typed by a user: text, sent as a string.
    Text(String),
    /// A JSON value; in a form its plain text is sent.
    Json(Value),
    /// A file.
    File(File),
    /// A file that travels as base64 text.
    Base64(File),
}

impl Content {
    /// The value as a form or a query carries it.
    pub fn as_text(&self) -> String {
        match self {
            Content::Text(text) | Content::Json(Value::String(text)) => text.clone(),
            Content::Json(value) => value.to_string(),
            Content::File(file) => String::from_utf8_lossy(&file.bytes).into_owned(),
            Content::Base64(file) => base64(&file.bytes),
        }
    }

    /// The texts of a query or a form, which repeat a field's name for each item of a list.
    pub fn repeated(&self) -> Vec<String> {
        match self {
            Content::Json(Value::Array(items)) => {
                items.iter().map(|item| Content::Json(item.clone()).as_text()).collect()
            }
            other => vec![other.as_text()],
        }
    }

    fn as_json(&self) -> Value {
        match self {
            Content::Json(value) => value.clone(),
            other => Value::String(other.as_text()),
        }
    }
}

/// Standard base64 with padding.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// One field of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub place: Place,
    pub content: Content,
    /// The doctor's guess, rather than the user's or the schema's word.
    pub guess: bool,
}

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    None,
    Multipart,
    Urlencoded,
    Json,
    /// Bytes without named fields.
    Raw,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Message {
    /// `client` or `doctor`.
    pub author: &'static str,
    pub method: String,
    /// Path, with `{name}` where a path field goes.
    pub path: String,
    pub fields: Vec<Field>,
    /// Headers that the author wrote, without content type.
    pub headers: Vec<(String, String)>,
    pub encoding: Encoding,
    /// The body's media type; empty without a body. A multipart boundary is added when it is sent.
    pub content_type: String,
    /// The body as its author wrote it, as long as no field of it was changed.
    pub verbatim: Option<Arc<[u8]>>,
    /// Longest time that the author wants to wait.
    pub limit: Option<Duration>,
    /// Whether redirects on the same host are followed.
    pub follow: bool,
}

impl Message {
    /// The field of that name, wherever it stands.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Where a field goes of which only the name is known.
    pub fn usual_place(&self) -> Place {
        match self.encoding {
            Encoding::Multipart | Encoding::Urlencoded => Place::Form,
            Encoding::Json if self.fields.iter().any(|field| field.place == Place::Tensor) => Place::Tensor,
            Encoding::Json => Place::Json,
            Encoding::None | Encoding::Raw => Place::Query,
        }
    }

    /// Whether the body can carry a field in that place.
    pub fn can_carry(&self, place: Place) -> bool {
        match place {
            Place::Form => matches!(self.encoding, Encoding::Multipart | Encoding::Urlencoded),
            Place::Json | Place::Tensor | Place::Body => self.encoding == Encoding::Json,
            Place::Path => self.path.contains('{'),
            Place::Query | Place::Header | Place::Cookie => true,
        }
    }

    /// The same request with a field set to a value.
    pub fn with(&self, field: Field) -> Self {
        let mut message = self.clone();
        if field.place.in_body() {
            message.verbatim = None;
        }
        match message.fields.iter_mut().find(|old| old.name == field.name && old.place == field.place) {
            Some(old) => *old = field,
            None => message.fields.push(field),
        }
        message
    }

    /// The same request without a field.
    pub fn without(&self, name: &str, place: Place) -> Self {
        let mut message = self.clone();
        if place.in_body() {
            message.verbatim = None;
        }
        message.fields.retain(|field| !(field.name == name && field.place == place));
        message
    }

    /// Path with its fields filled in, and query.
    pub fn target(&self) -> String {
        let mut path = self.path.clone();
        for field in self.fields.iter().filter(|field| field.place == Place::Path) {
            let encoded: String = Serializer::new(String::new()).append_key_only(&field.content.as_text()).finish();
            path = path.replace(&format!("{{{}}}", field.name), &encoded.replace('+', "%20"));
        }
        let mut query = Serializer::new(String::new());
        let mut any = false;
        for field in self.fields.iter().filter(|field| field.place == Place::Query) {
            for text in field.content.repeated() {
                query.append_pair(&field.name, &text);
                any = true;
            }
        }
        if any { format!("{path}?{}", query.finish()) } else { path }
    }

    /// The URL on a server, whose own path is not used.
    pub fn url(&self, server: &Url) -> Option<Url> {
        let mut root = server.clone();
        root.set_path("/");
        root.set_query(None);
        let target = self.target();
        // Two slashes in front would name another host.
        let url = root.join(&format!("/{}", target.trim_start_matches('/'))).ok()?;
        (url.origin() == root.origin()).then_some(url)
    }

    /// The body as JSON text's value.
    pub fn json_body(&self) -> Value {
        let mut object = Map::new();
        let mut tensors = Vec::new();
        for field in &self.fields {
            match field.place {
                Place::Json => drop(object.insert(field.name.clone(), field.content.as_json())),
                Place::Tensor => tensors.push(field.content.as_json()),
                Place::Body => return field.content.as_json(),
                _ => {}
            }
        }
        if !tensors.is_empty() {
            object.insert("inputs".into(), Value::Array(tensors));
        }
        Value::Object(object)
    }

    fn form_text(&self) -> String {
        let mut form = Serializer::new(String::new());
        for field in self.fields.iter().filter(|field| field.place == Place::Form) {
            for text in field.content.repeated() {
                form.append_pair(&field.name, &text);
            }
        }
        form.finish()
    }

    /// Size of the body, bytes, without the frame of a multipart one.
    pub fn sent_bytes(&self) -> u64 {
        self.payload().0.bytes()
    }

    /// The body, and where it is tensors behind JSON, the length of that.
    fn payload(&self) -> (Payload, Option<usize>) {
        if let (None, Encoding::Json) = (&self.verbatim, self.encoding)
            && let Some((bytes, head)) = tensor_bytes::written(self.json_body())
        {
            let content_type = "application/octet-stream".into();
            return (Payload::Bytes { bytes: Arc::from(bytes), content_type }, Some(head));
        }
        (self.plain_payload(), None)
    }

    fn plain_payload(&self) -> Payload {
        if let Some(bytes) = &self.verbatim {
            return Payload::Bytes { bytes: bytes.clone(), content_type: self.content_type.clone() };
        }
        let bytes = match self.encoding {
            Encoding::None | Encoding::Raw => return Payload::Empty,
            Encoding::Multipart => {
                let fields = self.fields.iter().filter(|field| field.place == Place::Form);
                return written(fields.flat_map(parts).collect());
            }
            Encoding::Urlencoded => self.form_text().into_bytes(),
            Encoding::Json => self.json_body().to_string().into_bytes(),
        };
        Payload::Bytes { bytes: Arc::from(bytes), content_type: self.content_type.clone() }
    }

    /// What goes over the wire, with the headers that every request gets unless the author set them.
    pub fn outgoing(&self, server: &Url, everywhere: &[(String, String)]) -> Option<Outgoing> {
        let mut headers = self.headers.clone();
        let fields = self.fields.iter().filter(|field| field.place == Place::Header);
        headers.extend(fields.map(|field| (field.name.clone(), field.content.as_text())));
        let cookies = self.fields.iter().filter(|field| field.place == Place::Cookie);
        let cookies: Vec<String> = cookies.map(|field| format!("{}={}", field.name, field.content.as_text())).collect();
        if !cookies.is_empty() {
            headers.push(("cookie".into(), cookies.join("; ")));
        }
        for (name, value) in everywhere {
            if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                headers.push((name.clone(), value.clone()));
            }
        }
        let url = self.url(server)?;
        let (payload, head) = self.payload();
        headers.extend(head.map(|length| (tensor_bytes::HEADER.to_owned(), length.to_string())));
        Some(Outgoing { method: self.method.clone(), url, headers, payload, follow: self.follow })
    }
}

fn parts(field: &Field) -> Vec<Part> {
    match &field.content {
        Content::File(file) => vec![Part {
            name: field.name.clone(),
            file: Some((file.name.clone(), file.media_type.clone())),
            bytes: file.bytes.clone(),
        }],
        other => {
            let texts = other.repeated().into_iter();
            texts
                .map(|text| Part { name: field.name.clone(), file: None, bytes: Arc::from(text.into_bytes()) })
                .collect()
        }
    }
}

/// Parts as they are; those with a file of no media type, as some clients send it, as bytes: no library writes that.
fn written(parts: Vec<Part>) -> Payload {
    if !parts.iter().any(|part| part.file.as_ref().is_some_and(|(_, media_type)| media_type.is_empty())) {
        return Payload::Multipart(parts);
    }
    let boundary = "gpu-doctor-5d1b6c1f0e3a4c7f9b2d8e6a";
    let plain = |text: &str| text.replace(['\r', '\n'], " ").replace('"', "%22");
    let mut bytes = Vec::new();
    for part in &parts {
        let mut head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{}\"", plain(&part.name));
        if let Some((name, media_type)) = &part.file {
            head += &format!("; filename=\"{}\"", plain(name));
            if !media_type.is_empty() {
                head += &format!("\r\ncontent-type: {}", plain(media_type));
            }
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&part.bytes);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Payload::Bytes { bytes: bytes.into(), content_type: format!("multipart/form-data; boundary={boundary}") }
}
