//! A client's request under construction, whatever it was written in.

use super::body::{self, Body};
use super::patch::Code;
use crate::probe::service::message::{Field, Message, Place, base64};
use crate::probe::service::secrets::shown_url;
use crate::probe::service::synthesis::samples;
use crate::probe::service::transport::Trust;
use crate::snapshot::ClientReading;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// A client's request, and how it wants to be connected.
#[derive(Debug, Clone)]
pub struct ClientRequest {
    pub message: Message,
    /// The URL as written, without credentials; nothing where only its path is.
    pub url: Option<Url>,
    pub trust: Trust,
    /// How it was read.
    pub reading: ClientReading,
    /// Files as the client names them, by field; that of a whole body under the empty name.
    pub paths: BTreeMap<String, String>,
    /// Where the request's fields stand in the client's own code.
    pub code: Option<Code>,
}

/// What a request is read with.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// The file that it came from, as it is told.
    pub origin: &'a str,
    /// Where files are looked for.
    pub folder: &'a Path,
    /// Values that the user gave for fields.
    pub given: &'a BTreeMap<String, String>,
}

impl Setting<'_> {
    /// The file's name alone.
    pub fn file(&self) -> &str {
        self.origin.rsplit('/').next().unwrap_or(self.origin)
    }

    /// The file that the user gave for a field (`@FILE`), as a path that does not depend on the client's folder.
    pub fn given_file(&self, field: &str) -> Option<String> {
        let file = self.given.get(field)?.strip_prefix('@')?;
        Some(absolute(file))
    }

    /// The user's value for a field that the text does not tell, or a request to give it.
    pub fn asked(&self, field: &str, line: usize, what: &str) -> Result<&str, String> {
        let place = format!("{}:{line}", self.file());
        self.given.get(field).map(String::as_str).ok_or_else(|| {
            format!("{place}: the value of {field:?} is {what}, which the file does not tell; give it: --field {field}=VALUE")
        })
    }
}

/// A file that the user names, from where the doctor runs; a built-in sample as it is.
pub fn absolute(file: &str) -> String {
    match std::path::absolute(file) {
        Ok(path) if !file.starts_with(samples::BUILTIN) => path.display().to_string(),
        _ => file.to_owned(),
    }
}

/// A request under construction.
#[derive(Default)]
pub struct Draft {
    pub method: Option<String>,
    url: Option<Url>,
    path: Option<String>,
    pub headers: Vec<(String, String)>,
    /// The header `content-type`, if the client wrote it.
    pub content_type: Option<String>,
    pub follow: bool,
    pub limit: Option<Duration>,
    pub trust: Trust,
    pub notes: Vec<String>,
    pub paths: BTreeMap<String, String>,
    pub code: Option<Code>,
}

/// Headers that the HTTP client writes itself; a compressed answer could not be read.
const WRITTEN_BY_ITSELF: &[&str] =
    &["content-length", "transfer-encoding", "connection", "expect", "accept-encoding", "keep-alive", "upgrade"];
/// Most notes, and longest one, characters.
const NOTES: usize = 20;
const NOTE_CAP: usize = 300;

impl Draft {
    /// Nothing yet, of a client that follows redirects or does not.
    pub fn following(follow: bool) -> Self {
        Self { follow, ..Self::default() }
    }

    /// Says something that the reader of the report should know.
    pub fn note(&mut self, note: impl Into<String>) {
        let note: String = note.into().chars().take(NOTE_CAP).collect();
        if self.notes.len() < NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Takes one header.
    pub fn header(&mut self, name: &str, value: &str) -> Result<(), String> {
        let (name, value) = (name.trim(), value.trim());
        let valid =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b));
        if !valid || value.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
            return Err(format!("{name:?} is not a valid header"));
        }
        match name.to_ascii_lowercase().as_str() {
            "content-type" => self.content_type = Some(value.to_owned()),
            lower if WRITTEN_BY_ITSELF.contains(&lower) => {}
            _ if value.is_empty() => {}
            _ => self.headers.push((name.to_owned(), value.to_owned())),
        }
        Ok(())
    }

    /// Takes user and password.
    pub fn basic(&mut self, user: &str) {
        self.headers.push(("authorization".into(), format!("Basic {}", base64(user.as_bytes()))));
    }

    /// Takes the URL. One that begins with a slash names no server.
    pub fn url(&mut self, text: &str) -> Result<(), String> {
        let shown = shown_url(text);
        if self.url.is_some() || self.path.is_some() {
            return Err(format!("a second URL, {shown:?}; give one request"));
        }
        if text.starts_with('/') {
            // Only its path and query are taken.
            let parsed = Url::parse("http://localhost")
                .and_then(|base| base.join(&format!("/{}", text.trim_start_matches('/'))));
            let parsed = parsed.map_err(|error| format!("{shown:?}: {error}"))?;
            self.path = Some(parsed[url::Position::BeforePath..url::Position::AfterQuery].to_owned());
            return Ok(());
        }
        let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let mut url = Url::parse(&full).map_err(|error| format!("{shown:?}: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(format!("{shown:?} is not an http or https URL"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            self.basic(&format!("{}:{}", url.username(), url.password().unwrap_or_default()));
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        url.set_fragment(None);
        self.url = Some(url);
        Ok(())
    }

    /// The finished request, of that kind and found at that place. `query` are fields beside those of the URL.
    pub fn finish(self, kind: &str, place: String, query: Vec<Field>, body: Body) -> Result<ClientRequest, String> {
        let placeless = match (&self.url, &self.path) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => Url::parse("http://localhost")
                .and_then(|base| base.join(path))
                .map_err(|error| format!("{:?}: {error}", shown_url(path)))?,
            (None, None) => return Err(format!("the request ({kind}) names no URL")),
        };
        let method = self.method.unwrap_or_else(|| "GET".into()).to_uppercase();
        if method.is_empty() || !method.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(format!("{method:?} is not a method"));
        }
        let mut fields: Vec<_> = placeless.query_pairs().map(|(k, v)| body::text(&k, &v, Place::Query)).collect();
        fields.extend(query);
        fields.extend(body.fields);
        let message = Message {
            author: "client",
            method,
            // A brace in a path that is no template must not be taken for one.
            path: placeless.path().replace('{', "%7B").replace('}', "%7D"),
            fields,
            headers: self.headers,
            encoding: body.encoding,
            content_type: body.content_type,
            verbatim: body.verbatim,
            limit: self.limit,
            follow: self.follow,
        };
        let reading = ClientReading { kind: kind.into(), place, notes: self.notes };
        Ok(ClientRequest { message, url: self.url, trust: self.trust, reading, paths: self.paths, code: self.code })
    }
}
