//! What the server's own source and log tell of a request, beside its answers.

use super::complaint::{Complaint, failure};
use super::encodings::media_type;
use crate::probe::Ask;
use crate::probe::server_log::watch::Watch;
use crate::probe::service::message::{Encoding, Place};
use crate::probe::service::schema::{Candidate, Described, forbidden, same_path};
use crate::snapshot::{Fact, Facts, SourceField, Unknown};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the log is waited for after a rejection that names nothing: the first ones, and those after them.
const PATIENCE: Duration = Duration::from_millis(150);
const LATER: Duration = Duration::from_millis(40);
const PATIENT: usize = 3;
/// Operations of the source that are tried, at most.
const OPERATIONS: usize = 4;
/// Failures kept of the whole conversation.
const FAILURES_MAX: usize = 20;

/// The server's source and log.
pub struct Evidence {
    fields: Vec<SourceField>,
    watch: Result<Watch, Unknown>,
    /// Failures that the log told while requests were rejected, in order.
    failures: Vec<String>,
    looked: usize,
}

impl Evidence {
    /// What there is of both.
    pub fn of(ask: &Ask, facts: &Facts) -> Self {
        let fields = facts.source.request_fields.known().cloned().unwrap_or_default();
        Self { fields, watch: Watch::begin(&ask.logs, facts), failures: Vec::new(), looked: 0 }
    }

    /// The request starts: what the log gained before is another's.
    pub fn begin(&mut self) {
        if let Ok(watch) = &mut self.watch {
            watch.mark();
        }
    }

    /// The failures that the log gained since.
    pub fn gained(&mut self) -> Vec<String> {
        let Ok(watch) = &mut self.watch else { return Vec::new() };
        self.looked += 1;
        let lines = watch.gained(if self.looked > PATIENT { LATER } else { PATIENCE });
        let found = failure::of_log(&lines);
        let new = found.iter().filter(|one| !self.failures.contains(one)).cloned().collect::<Vec<_>>();
        self.failures.extend(new);
        self.failures.truncate(FAILURES_MAX);
        found
    }

    /// What failures of the log name as missing.
    pub fn named(failures: &[String], known: &[&str]) -> Complaint {
        failure::complaint(failures, known)
    }

    /// The failures as a fact.
    pub fn record(&self) -> Fact<Vec<String>> {
        match &self.watch {
            Ok(_) => Fact::Known(self.failures.clone()),
            Err(unknown) => Fact::Unknown(unknown.clone()),
        }
    }

    /// The fields that the handler of a path reads; where no handler of it is known, those of handlers without a path.
    pub fn read_by(&self, path: &str) -> Vec<&SourceField> {
        let path = path.split('?').next().unwrap_or_default();
        let own = |field: &&SourceField| !field.route.is_empty() && mounted(&field.route, path);
        let of_path: Vec<&SourceField> = self.fields.iter().filter(own).collect();
        if !of_path.is_empty() {
            return of_path;
        }
        let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let named: Vec<&SourceField> =
            self.fields.iter().filter(|one| !last.is_empty() && one.function == last).collect();
        if !named.is_empty() {
            return named;
        }
        self.fields.iter().filter(|field| field.route.is_empty()).collect()
    }

    /// The operations that the source shows where no schema does, the likeliest first.
    pub fn operations(&self, named: Option<&str>) -> Vec<Candidate> {
        let mut routes: Vec<&str> = Vec::new();
        for field in self.fields.iter().filter(|field| !field.route.is_empty()) {
            let usable = !forbidden(&field.route) && !field.route.contains(['<', '{', ':', '*']);
            if usable && !routes.contains(&field.route.as_str()) {
                routes.push(&field.route);
            }
        }
        let in_body = |route: &&str| {
            self.fields.iter().any(|field| field.route == **route && field.place != "query" && field.place != "header")
        };
        let has_file = |route: &&str| self.fields.iter().any(|field| field.route == **route && field.place == "file");
        match named {
            Some(named) => routes.retain(|route| same_path(route, named)),
            None => {
                routes.retain(in_body);
                routes.sort_by_key(|route| !has_file(route));
            }
        }
        routes.truncate(OPERATIONS);
        routes.into_iter().map(|route| self.operation(route)).collect()
    }

    fn operation(&self, route: &str) -> Candidate {
        let fields: Vec<Described> = self.fields.iter().filter(|field| field.route == route).map(described).collect();
        let encoding = encoding_of(&fields);
        let method = if encoding == Encoding::None { "GET" } else { "POST" };
        Candidate {
            method: method.into(),
            path: route.into(),
            encoding,
            content_type: media_type(encoding).into(),
            fields,
            known: Vec::new(),
        }
    }
}

/// Whether a handler's path is the request's, or its end: applications are mounted below other paths.
fn mounted(route: &str, path: &str) -> bool {
    let plain = route.replace('<', "{").replace('>', "}");
    if same_path(&plain, path) {
        return true;
    }
    let own = plain.trim_matches('/').split('/').count();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let end = parts.len().checked_sub(own).and_then(|from| parts.get(from..)).unwrap_or_default();
    !plain.trim_matches('/').is_empty() && !end.is_empty() && same_path(&plain, &format!("/{}", end.join("/")))
}

/// A field of the source as a schema would describe it.
pub fn described(field: &SourceField) -> Described {
    let place = match field.place.as_str() {
        "json" => Place::Json,
        "query" => Place::Query,
        "header" => Place::Header,
        "tensor" => Place::Tensor,
        _ => Place::Form,
    };
    let file =
        field.place == "file" || place == Place::Form && crate::probe::service::synthesis::looks_like_file(&field.name);
    Described {
        name: field.name.clone(),
        place,
        required: field.demanded,
        kind: if file { "file" } else { "string" },
        schema: match place {
            Place::Tensor => tensor(&field.name),
            _ if file => of_kind("file"),
            _ => json!({}),
        },
    }
}

/// The schema of a field of which only the kind is known.
pub fn of_kind(kind: &str) -> Value {
    if kind == "file" { json!({ "type": "string", "format": "binary" }) } else { json!({ "type": kind }) }
}

/// A tensor of which only the name is known, as a schema would describe it: one text, which code reads as it likes.
pub fn tensor(name: &str) -> Value {
    json!({ "tensor": { "name": name, "shape": [1], "datatype": "BYTES", "data": ["en"] } })
}

/// How a body is written that holds these fields.
pub fn encoding_of(fields: &[Described]) -> Encoding {
    let any = |place: Place| fields.iter().any(|field| field.place == place);
    if any(Place::Form) {
        Encoding::Multipart
    } else if any(Place::Json) || any(Place::Tensor) {
        Encoding::Json
    } else {
        Encoding::None
    }
}
