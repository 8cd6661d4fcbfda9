//! Where the client's request differs from the good one.

use super::body::{essence, json_fields};
use crate::probe::service::message::{Content, Encoding, Field, Message, Place};
use crate::probe::service::record::Recorder;
use crate::probe::service::schema::same_path;
use crate::secret::MASK;
use crate::secret::PLAIN_HEADERS;
use crate::snapshot::{Difference, Fact, Why};

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Method,
    Path,
    ContentType,
    Header,
    Field,
}

impl What {
    /// The word for it in the snapshot.
    fn name(self) -> &'static str {
        match self {
            What::Method => "method",
            What::Path => "path",
            What::ContentType => "content type",
            What::Header => "header",
            What::Field => "field",
        }
    }
}

/// One difference, before it is known whether it decides.
#[derive(Debug, Clone)]
pub struct Row {
    pub what: What,
    pub name: String,
    /// What the client has; nothing if it lacks it.
    pub client: Option<Part>,
    /// What the good request has.
    pub good: Option<Part>,
    pub decides: Fact<bool>,
}

/// A side of a difference.
#[derive(Debug, Clone)]
pub struct Part {
    pub shown: String,
    pub field: Option<Field>,
}

impl Row {
    /// Whether the client lacks it, or goes another way altogether.
    pub fn lacking(&self) -> bool {
        self.client.is_none() || matches!(self.what, What::Method | What::Path | What::ContentType)
    }

    /// The row as the snapshot records it.
    pub fn record(&self) -> Difference {
        let shown = |part: &Option<Part>| part.as_ref().map(|part| part.shown.clone()).unwrap_or_default();
        Difference {
            what: self.what.name().into(),
            name: self.name.clone(),
            client: shown(&self.client),
            good: shown(&self.good),
            decides: self.decides.clone(),
        }
    }
}

/// Headers that browsers and libraries write and that decide nothing about an inference.
const BESIDE: &[&str] = &[
    "accept",
    "accept-language",
    "cache-control",
    "dnt",
    "host",
    "if-modified-since",
    "if-none-match",
    "origin",
    "pragma",
    "priority",
    "referer",
    "te",
    "upgrade-insecure-requests",
    "user-agent",
    "x-requested-with",
];

fn beside(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    BESIDE.contains(&name.as_str()) || name.starts_with("sec-")
}

/// A body that holds JSON and is not declared so, taken for what it holds.
pub fn as_meant(client: &Message, good: &Message) -> Message {
    let mut meant = client.clone();
    if client.encoding == Encoding::Raw && good.encoding == Encoding::Json {
        let body = client.verbatim.as_deref().unwrap_or_default();
        if let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) {
            meant.fields.extend(json_fields(object));
        }
    }
    meant
}

/// The differences, in the order of a request. `everywhere` are headers that both get.
pub fn rows(client: &Message, good: &Message, everywhere: &[(String, String)], recorder: &Recorder) -> Vec<Row> {
    let untold = || Fact::unknown(Why::NotAsked, "this difference was not tried alone");
    let mut rows = Vec::new();
    let mut push = |what: What, name: &str, client: Option<Part>, good: Option<Part>| {
        rows.push(Row { what, name: name.to_owned(), client, good, decides: untold() });
    };
    let plain = |text: &str| Some(Part { shown: recorder.clean(text, 200), field: None });
    if client.method != good.method {
        push(What::Method, "", plain(&client.method), plain(&good.method));
    }
    let other_path = !same_path(&good.path, &client.path);
    if other_path {
        let path = |message: &Message| message.target().split('?').next().unwrap_or_default().to_owned();
        push(What::Path, "", plain(&path(client)), plain(&path(good)));
    }
    let (own, wanted) = (essence(&client.content_type), essence(&good.content_type));
    let other_encoding = client.encoding != good.encoding;
    if own != wanted || other_encoding {
        push(
            What::ContentType,
            "",
            plain(&own).filter(|_| !own.is_empty()),
            plain(&wanted).filter(|_| !wanted.is_empty()),
        );
    }
    for (name, mine, theirs) in headers(client, good, everywhere) {
        let shown = |value: Option<&String>| {
            let secret = !PLAIN_HEADERS.contains(&name.to_ascii_lowercase().as_str());
            value
                .map(|value| Part { shown: if secret { MASK.into() } else { recorder.clean(value, 200) }, field: None })
        };
        push(What::Header, &name, shown(mine.as_ref()), shown(theirs.as_ref()));
    }
    let side = |field: &Field, place: bool| {
        let shown = recorder.shown(field);
        let shown = if place { format!("{shown} ({})", field.place.name()) } else { shown };
        Part { shown, field: Some(field.clone()) }
    };
    let mut matched = Vec::new();
    for field in &good.fields {
        if matches!(field.place, Place::Path | Place::Header) {
            continue;
        }
        let same = |own: &&Field| own.name == field.name;
        let own = client.fields.iter().find(|own| same(own) && own.place == field.place);
        let own = own.or_else(|| client.fields.iter().find(same));
        match own {
            Some(own) => {
                matched.push((own.name.clone(), own.place));
                // Under another content type its fields stand elsewhere as a matter of course.
                let moved =
                    own.place != field.place && !(other_encoding && own.place.in_body() && field.place.in_body());
                if moved || !alike(&own.content, &field.content) {
                    push(What::Field, &field.name, Some(side(own, moved)), Some(side(field, moved)));
                }
            }
            None => push(What::Field, &field.name, None, Some(side(field, false))),
        }
    }
    for own in client.fields.iter().filter(|own| !matched.contains(&(own.name.clone(), own.place))) {
        push(What::Field, &own.name, Some(side(own, false)), None);
    }
    rows
}

/// Whether two values are the same on the wire, or the same file in another writing.
fn alike(one: &Content, other: &Content) -> bool {
    match (one, other) {
        (Content::File(a) | Content::Base64(a), Content::File(b) | Content::Base64(b)) => a.bytes == b.bytes,
        (Content::File(_) | Content::Base64(_), _) | (_, Content::File(_) | Content::Base64(_)) => {
            one.as_text() == other.as_text()
        }
        (one, other) => one == other || one.as_text() == other.as_text(),
    }
}

type HeaderRow = (String, Option<String>, Option<String>);

/// Headers that differ and may matter: their names, and each side's value.
fn headers(client: &Message, good: &Message, everywhere: &[(String, String)]) -> Vec<HeaderRow> {
    let of = |message: &Message| {
        let mut all: Vec<(String, String)> = message.headers.clone();
        let fields = message.fields.iter().filter(|field| field.place == Place::Header);
        all.extend(fields.map(|field| (field.name.clone(), field.content.as_text())));
        for (name, value) in everywhere {
            if !all.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                all.push((name.clone(), value.clone()));
            }
        }
        all
    };
    let (client, good) = (of(client), of(good));
    let find = |list: &[(String, String)], name: &str| {
        list.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let mut rows: Vec<HeaderRow> = Vec::new();
    for (name, _) in client.iter().chain(&good) {
        let (mine, theirs) = (find(&client, name), find(&good, name));
        // Header fields are told as fields where both have them.
        let known = rows.iter().any(|(own, ..)| own.eq_ignore_ascii_case(name));
        if mine != theirs && !known && !beside(name) {
            rows.push((name.clone(), mine, theirs));
        }
    }
    rows
}
