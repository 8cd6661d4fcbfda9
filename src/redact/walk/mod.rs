//! Every text of a document, the names of its members included, in two passes: what shows itself, then what is known by
//! then.

mod again;
mod identifiers;
mod list;

use super::known::Known;
use super::places::{self, Way};
use super::public::{is_public, is_telling};
use super::token::{Kind, Salt};
use super::{Identifiers, Own};
use crate::secret::{self, MASK, Pem, is_in_field, is_in_flag, is_stand_in};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// How often a text that changes is looked at: what stands beside a mask may be seen only then.
const ROUNDS: usize = 4;

/// What was learnt of a document, and what is to become of it.
#[derive(Debug)]
pub struct Walk {
    mask_identifiers: bool,
    salt: Salt,
    secrets: secret::Known,
    identifiers: Known,
    found: bool,
}

impl Walk {
    /// A walk that knows no more than what this machine is called.
    pub fn new(identifiers: Identifiers, own: &Own, salt: Salt) -> Self {
        let mut known = Known::default();
        let learn = |known: &mut Known, kind, name: Option<&str>| {
            if let Some(name) = name.filter(|name| !is_public(name) && is_telling(name)) {
                known.learn(kind, name);
            }
        };
        learn(&mut known, Kind::Host, own.host.as_deref());
        learn(&mut known, Kind::Machine, own.machine_id.as_deref());
        let home = own.home.as_deref().and_then(|home| home.trim_end_matches('/').rsplit_once('/'));
        for name in [own.user.as_deref(), home.map(|(_, last)| last)].into_iter().flatten() {
            if name != "root" && !is_stand_in(name) && !is_public(name) {
                known.learn(Kind::User, name);
            }
        }
        let mask_identifiers = identifiers == Identifiers::Masked;
        Self { mask_identifiers, salt, secrets: secret::Known::default(), identifiers: known, found: false }
    }

    /// Whether tokens stand for identifiers in what was walked.
    pub fn found_identifiers(&self) -> bool {
        self.found
    }

    /// Redacts the document.
    pub fn redact(&mut self, document: &mut Value) {
        self.redact_all(std::slice::from_mut(document));
    }

    /// Redacts documents that are told together: what one of them gives away goes from all.
    pub fn redact_all(&mut self, documents: &mut [Value]) {
        for document in &mut *documents {
            self.shown(document, &mut Vec::new(), &mut Pem::default());
        }
        self.secrets.learnt();
        self.identifiers.learnt(&self.salt);
        for document in documents {
            self.known(document, &mut Vec::new());
        }
    }

    /// First pass: what its form or its place gives away.
    fn shown(&mut self, value: &mut Value, way: &mut Way<'_>, pem: &mut Pem) {
        match value {
            Value::String(text) => self.shown_text(text, way, pem),
            Value::Array(items) => self.shown_list(items, way, pem),
            Value::Object(members) => self.shown_members(members, way, pem),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn shown_members(&mut self, members: &mut Map<String, Value>, way: &mut Way<'_>, pem: &mut Pem) {
        let named = ["name", "field", "key", "Key"].iter().filter_map(|name| members.get(*name)?.as_str());
        let of_secret = named.filter(|name| places::is_secret_field(name)).map(str::to_owned).next();
        for (name, value) in members.iter_mut() {
            if places::is_own(way, name) {
                continue;
            }
            let transparent = matches!(name.as_str(), "known" | "unknown");
            let beside = places::OF_NAMED.contains(&name.as_str()) || name == "known";
            let told = of_secret.as_deref().filter(|_| beside);
            if !transparent && places::is_secret(way, name) || told.is_some() {
                self.mask(value, told.unwrap_or(name));
                continue;
            }
            let mut inner: Way<'_> = way.clone();
            if name != "known" {
                inner.push(name);
            }
            self.shown(value, &mut inner, pem);
        }
        self.names(members, |walk, name| {
            let mut name = name.to_owned();
            walk.shown_text(&mut name, &[], &mut Pem::default());
            name
        });
    }

    /// Masks every text in a value that stands under a secret's name. Facts keep their shape, numbers and switches stay.
    pub(super) fn mask(&mut self, value: &mut Value, name: &str) {
        match value {
            Value::String(text) if !text.is_empty() => *text = self.without(name, text).into(),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask(item, name)),
            // Why it is not known is told.
            Value::Object(members) => {
                members.iter_mut().filter(|(inner, _)| *inner != "unknown").for_each(|(_, item)| self.mask(item, name));
            }
            _ => {}
        }
    }

    /// What stands for a secret value: it is learnt where its name, or it itself, says that it is one.
    pub(super) fn without(&mut self, name: &str, value: &str) -> &'static str {
        let telling = (is_in_flag(name) || is_in_field(name)) && secret::is_learnt(name, value);
        if telling || secret::is_random(value) {
            self.secrets.learn(value);
        }
        MASK
    }

    fn shown_text(&mut self, text: &mut String, way: &[&str], pem: &mut Pem) {
        if text.is_empty() {
            return;
        }
        if pem.is_open() || text.contains("-----BEGIN") {
            *text = pem.masked(text).into_owned();
        }
        for _ in 0..ROUNDS {
            let secrets = &mut self.secrets;
            let masked = secret::masked_learning(text, &mut |secret| secrets.learn(secret));
            match masked {
                Cow::Owned(changed) if changed != *text => *text = changed,
                _ => break,
            }
        }
        // A snapshot that was masked when it was saved.
        self.found |= secret::has_stand_in(text);
        let rounds = if self.mask_identifiers { ROUNDS } else { 0 };
        for _ in 0..rounds {
            let before = text.clone();
            self.identifiers_of(text, way);
            if *text == before {
                break;
            }
            // A token may look like a secret where what it stands for did not.
            match secret::masked(text) {
                Cow::Owned(changed) if changed != *text => *text = changed,
                _ => break,
            }
        }
    }
}
