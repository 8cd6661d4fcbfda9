//! Writes an exchange down for the snapshot, without secrets.

use super::conversation::complaint::{Complaint, markup};
use super::message::{Content, Encoding, Field, Message, Place};
use super::secrets::Secrets;
use super::synthesis::samples::BUILTIN;
use super::transport::{Failure, Reply};
use super::{command, grpc, websocket};
use crate::secret::{MASK, PLAIN_HEADERS, TELLING_HEADERS, is_in_field};
use crate::snapshot::{Exchange, Fact, SentField, WebSocketClose, Why};
use crate::words::unprintable;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// Characters kept of an answer, and of one sent value.
const ANSWER_CAP: usize = 600;
const VALUE_CAP: usize = 120;

fn known<T>(value: Option<T>, lack: &str) -> Fact<T> {
    value.map_or_else(|| Fact::unknown(Why::NotAsked, lack), Fact::Known)
}

/// Writes exchanges down.
#[derive(Debug)]
pub struct Recorder {
    server: Url,
    secrets: Secrets,
}

impl Recorder {
    /// A recorder for a server, that knows the secrets of the headers sent everywhere.
    pub fn new(server: &Url, everywhere: &[(String, String)]) -> Self {
        let mut secrets = Secrets::default();
        everywhere.iter().for_each(|(name, value)| secrets.learn_header(name, value));
        Self { server: server.clone(), secrets }
    }

    /// Learns the secrets of a message.
    pub fn learn(&mut self, message: &Message) {
        self.secrets.learn(message);
    }

    /// Text without secrets and control characters, at most `cap` characters.
    pub fn clean(&self, text: &str, cap: usize) -> String {
        self.secrets.masked(text).chars().take(cap).map(|c| if unprintable(c) { ' ' } else { c }).collect()
    }

    /// The same as a function of its own, for texts that come later.
    pub fn cleaner(&self, cap: usize) -> Box<dyn Fn(&str) -> String> {
        let secrets = self.secrets.clone();
        Box::new(move |text| {
            secrets.masked(text).chars().take(cap).map(|c| if unprintable(c) { ' ' } else { c }).collect()
        })
    }

    /// The start of an answer's body.
    pub fn answer(&self, reply: &Reply) -> String {
        if reply.body.is_empty() {
            return String::new();
        }
        if let Some(packed) = reply.packed() {
            let packed = self.clean(packed, 40);
            return format!("({} bytes, packed with {packed} although nothing asked for that)", reply.body.len());
        }
        let binary = reply.body.iter().take(64).any(|byte| *byte == 0);
        if binary {
            return format!("({} bytes of {})", reply.body.len(), self.clean(&reply.content_type, 100));
        }
        let body = String::from_utf8_lossy(&reply.body);
        let page = Some(&*body).filter(|body| markup::is_page(body)).map(markup::line).filter(|page| !page.is_empty());
        self.clean(&page.map_or_else(|| body.into_owned(), |page| format!("an HTML page: {page}")), ANSWER_CAP)
    }

    /// One request and what came of it.
    pub fn exchange(
        &self,
        message: &Message,
        result: &Result<Reply, Failure>,
        accepted: bool,
        duration: Duration,
        complaint: &Complaint,
    ) -> Exchange {
        let head = match result {
            Ok(reply) => Some(reply),
            Err(failure) => failure.partial.as_deref(),
        };
        let status = match (head, result) {
            (Some(reply), _) => Fact::Known(u64::from(reply.status)),
            (None, Err(failure)) => Fact::unknown(failure.why, self.clean(&failure.text, ANSWER_CAP)),
            (None, Ok(_)) => unreachable!("an answer has a head"),
        };
        let grpc = head.is_some_and(|reply| reply.grpc_status.is_some());
        Exchange {
            author: message.author.into(),
            method: if grpc { grpc::METHOD.into() } else { message.method.clone() },
            path: self.clean(&self.masked(message).target(), 2000),
            content_type: message.content_type.clone(),
            fields: message.fields.iter().map(|field| self.sent(field)).collect(),
            sent_bytes: Fact::Known(message.sent_bytes()),
            status,
            accepted,
            duration_ms: (duration.as_secs_f64() * 1e6).round() / 1e3,
            answer: head.map(|reply| self.answer(reply)).unwrap_or_default(),
            names_missing: complaint.missing.iter().map(|(name, _)| self.clean(name, 100)).collect(),
            headers: head.map(|reply| self.headers(reply)).unwrap_or_default(),
            phases: known(head.and_then(|reply| reply.phases.clone()), "the phases were not measured"),
            stream: known(head.and_then(|reply| reply.stream.clone()), "the answer came in one piece"),
            grpc_status: known(head.and_then(|reply| reply.grpc_status.clone()), "it was no gRPC call"),
            closed: known(
                head.and_then(|reply| reply.session.as_ref()?.close.as_ref().map(|close| self.close(close))),
                "no WebSocket was closed by the server",
            ),
            curl: self.clean(&if grpc { self.grpcurl(message) } else { self.curl(message) }, 4000),
        }
    }

    fn close(&self, (code, reason): &(u16, String)) -> WebSocketClose {
        WebSocketClose { code: u64::from(*code), reason: self.clean(reason, VALUE_CAP) }
    }

    /// The headers that tell something of the server.
    fn headers(&self, reply: &Reply) -> BTreeMap<String, String> {
        let telling = reply.headers.iter().filter(|(name, _)| TELLING_HEADERS.contains(&name.as_str()));
        telling.map(|(name, value)| (name.clone(), self.clean(value, VALUE_CAP))).collect()
    }

    fn sent(&self, field: &Field) -> SentField {
        let value = match &field.content {
            _ if masks(field) => MASK.into(),
            content => self.clean(&shown(content), VALUE_CAP),
        };
        SentField { name: self.clean(&field.name, VALUE_CAP), value, guess: field.guess }
    }

    /// A field's value as it is shown.
    pub fn shown(&self, field: &Field) -> String {
        self.sent(field).value
    }

    /// The message with secret fields masked.
    fn masked(&self, message: &Message) -> Message {
        let mut message = message.clone();
        for field in message.fields.iter_mut().filter(|field| masks(field)) {
            field.content = Content::Text(MASK.into());
        }
        message
    }

    /// The request as a curl command line, with files by the names that the client has for them, by field; that of a whole
    /// body under the empty name.
    pub fn curl_with_files(&self, message: &Message, paths: &BTreeMap<String, String>) -> String {
        let mut named = message.clone();
        for field in &mut named.fields {
            // A sample of the doctor's own has no place on disk.
            let path = paths.get(&field.name).filter(|path| !path.starts_with(BUILTIN));
            if let (Content::File(file), Some(path)) = (&mut field.content, path) {
                let same = path.rsplit(['/', ':']).next() == Some(&file.name);
                file.name = if same { path.clone() } else { format!("{path};filename={}", file.name) };
            }
        }
        let written = self.curl(&named);
        let body = message.verbatim.as_deref().unwrap_or_default();
        let written = match paths.get("") {
            Some(path) => written.replace(&format!("'@FILE of {} bytes'", body.len()), &format!("'@{path}'")),
            None => written,
        };
        self.clean(&written, 4000)
    }

    fn grpcurl(&self, message: &Message) -> String {
        let message = self.masked(message);
        command::grpcurl(&self.server, &message, json_shown(&message))
    }

    /// The request as a curl command line; files by their names.
    pub fn curl(&self, message: &Message) -> String {
        let message = self.masked(message);
        if message.method == websocket::METHOD {
            return command::websocat(&self.server, &message);
        }
        let mut words = vec!["curl".to_owned()];
        let mut push = |option: &str, value: String| {
            words.push(option.to_owned());
            words.push(shlex::try_quote(&value.replace('\0', " ")).map(|v| v.into_owned()).unwrap_or_default());
        };
        push("-X", message.method.clone());
        let url = message.url(&self.server).map_or_else(|| message.target(), |url| url.to_string());
        push("--url", url.replace("%2A%2A%2A", MASK));
        for (name, value) in &message.headers {
            let plain = PLAIN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            push("-H", format!("{name}: {}", if plain { value } else { MASK }));
        }
        for field in message.fields.iter().filter(|field| field.place == Place::Header) {
            push("-H", format!("{}: {}", field.name, field.content.as_text()));
        }
        for field in message.fields.iter().filter(|field| field.place == Place::Cookie) {
            push("-b", format!("{}={}", field.name, field.content.as_text()));
        }
        match message.encoding {
            Encoding::None => {}
            Encoding::Multipart => {
                for field in message.fields.iter().filter(|field| field.place == Place::Form) {
                    match &field.content {
                        Content::File(file) if file.media_type.is_empty() => {
                            push("-F", format!("{}=@{}", field.name, file.name));
                        }
                        Content::File(file) => {
                            push("-F", format!("{}=@{};type={}", field.name, file.name, file.media_type));
                        }
                        content => texts(content).for_each(|text| push("-F", format!("{}={text}", field.name))),
                    }
                }
            }
            Encoding::Urlencoded => {
                for field in message.fields.iter().filter(|field| field.place == Place::Form) {
                    texts(&field.content).for_each(|text| push("--data-urlencode", format!("{}={text}", field.name)));
                }
            }
            Encoding::Json => {
                push("-H", format!("content-type: {}", message.content_type));
                push("-d", json_shown(&message));
            }
            Encoding::Raw => {
                push("-H", format!("content-type: {}", message.content_type));
                let body = message.verbatim.as_deref().unwrap_or_default();
                let json = serde_json::from_slice(body).map(|value| shortened(&value, 6).to_string());
                push("--data-binary", json.unwrap_or_else(|_| format!("@FILE of {} bytes", body.len())));
            }
        }
        words.join(" ")
    }
}

fn masks(field: &Field) -> bool {
    let header = field.place == Place::Header && !PLAIN_HEADERS.contains(&field.name.to_ascii_lowercase().as_str());
    (header || field.place == Place::Cookie) && !field.guess || is_in_field(&field.name)
}

/// What a form holds for a field, which it repeats for each item of a list.
fn texts(content: &Content) -> impl Iterator<Item = String> {
    match content {
        Content::Json(Value::Array(_)) => content.repeated(),
        other => vec![shown(other)],
    }
    .into_iter()
}

fn shown(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Json(Value::String(text)) => text.clone(),
        Content::Json(value) => shortened(value, 4).to_string(),
        Content::File(file) if file.media_type.is_empty() => format!("{} ({} bytes)", file.name, file.bytes.len()),
        Content::File(file) => format!("{} ({}, {} bytes)", file.name, file.media_type, file.bytes.len()),
        Content::Base64(file) => format!("{} as base64 ({} bytes)", file.name, file.bytes.len()),
    }
}

fn json_shown(message: &Message) -> String {
    let mut message = message.clone();
    for field in &mut message.fields {
        field.content = match &field.content {
            Content::Base64(file) => Content::Text(format!("<base64 of {}>", file.name)),
            Content::Json(value) => Content::Json(shortened(value, 6)),
            other => Content::Text(shown(other).chars().take(1000).collect()),
        };
    }
    message.json_body().to_string()
}

/// The value with long lists and texts cut, and secrets masked.
fn shortened(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) if text.chars().count() > 200 => {
            let start: String = text.chars().take(60).collect();
            Value::String(format!("{start}... ({} characters)", text.chars().count()))
        }
        _ if depth == 0 => Value::String("...".into()),
        Value::Array(list) if list.len() > 16 => {
            let mut short: Vec<Value> = list.iter().take(4).map(|item| shortened(item, depth - 1)).collect();
            short.push(Value::String(format!("... ({} values)", list.len())));
            Value::Array(short)
        }
        Value::Array(list) => Value::Array(list.iter().map(|item| shortened(item, depth - 1)).collect()),
        Value::Object(object) => Value::Object(
            object
                .iter()
                .map(|(name, item)| {
                    let item = if is_in_field(name) { Value::String(MASK.into()) } else { shortened(item, depth - 1) };
                    (name.clone(), item)
                })
                .collect::<Map<_, _>>(),
        ),
        other => other.clone(),
    }
}
