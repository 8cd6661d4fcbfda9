//! Every text of a document, the names of its members included, in two passes: what shows itself, then what is known by
//! then.

use super::closed::is_closed;
use super::known::{Known, token};
use super::patterns::Found;
use super::places::{self, Way};
use super::public::{is_public, is_telling};
use super::token::{Kind, Salt, is_token};
use super::{Identifiers, Own, addresses, patterns, said, users};
use crate::secret::{self, MASK, Pem, header_is_plain, is_in_field, is_in_flag};
use serde_json::{Map, Value};
use std::collections::HashMap;

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
            if name != "root" && !is_token(name) && !is_public(name) {
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

    fn shown_list(&mut self, items: &mut [Value], way: &mut Way<'_>, pem: &mut Pem) {
        // A command line: `--api-key`, and its values as the next words. The key of a log ends with the log.
        let (mut flag, mut values) = (String::new(), 0_usize);
        let mut own = Pem::default();
        let pem = if pem.is_open() { pem } else { &mut own };
        if let [Value::String(name), value @ Value::String(_)] = items
            && places::is_secret_field(name)
            && value.as_str().is_some_and(|value| secret::is_made(value, 8))
        {
            let name = name.clone();
            self.mask(value, &name);
        }
        for item in items {
            if let Value::String(text) = item {
                let of_flag = flag.starts_with('-') && !flag.contains(['=', ' ']) && is_in_flag(&flag);
                if of_flag && (values == 0 && !text.starts_with("--") || values > 0 && secret::another(text)) {
                    values += 1;
                    self.mask(item, &flag.clone());
                    continue;
                }
                if matches!(flag.as_str(), "-H" | "--header") {
                    self.header(text, 0);
                } else if text.starts_with("--header=") {
                    self.header(text, "--header=".len());
                } else if let Some((name, value)) = text.split_once('=')
                    && is_variable_name(name)
                    && is_in_flag(name)
                    && !(value.is_empty() || secret::is_variable(value))
                {
                    *text = format!("{name}={}", self.without(name, value));
                    continue;
                }
                let original = text.clone();
                self.behind_flag(&flag, text);
                (flag, values) = (original, 0);
            }
            self.shown(item, way, pem);
        }
    }

    /// What stands for a secret value: it is learnt where its name, or it itself, says that it is one.
    fn without(&mut self, name: &str, value: &str) -> &'static str {
        let telling = (is_in_flag(name) || is_in_field(name)) && secret::is_learnt(name, value);
        if telling || secret::is_random(value) {
            self.secrets.learn(value);
        }
        MASK
    }

    /// `Name: value`: the value goes, unless the name is on the list.
    fn header(&mut self, text: &mut String, from: usize) {
        if let Some((name, value)) = text[from..].split_once(':')
            && !header_is_plain(name.trim())
            && !value.contains(MASK)
        {
            *text = format!("{}{name}: {}", &text[..from], self.without(name, value.trim()));
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
    fn mask(&mut self, value: &mut Value, name: &str) {
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
                std::borrow::Cow::Owned(changed) if changed != *text => *text = changed,
                _ => break,
            }
        }
        if self.mask_identifiers {
            self.identifiers_of(text, way);
        }
    }

    fn identifiers_of(&mut self, text: &mut String, way: &[&str]) {
        if places::is_version(way) && addresses::v4(text).is_some() {
            self.identifiers.versions.insert(text.clone());
            return;
        }
        if places::names_software(way) {
            let name = text.to_ascii_lowercase();
            // A machine may be called like its GPU, and a container like its model.
            let words = name.split(|c: char| c.is_whitespace() || c == '/').map(str::to_owned);
            self.identifiers.software.extend(words);
            self.identifiers.software.insert(name);
        }
        if let Some(kind) = places::whole(way)
            && let Some(masked) = self.whole(kind, text, way.contains(&"environment"))
        {
            *text = masked;
            return;
        }
        self.uuids(text);
        let found = patterns::each(text, places::about(way));
        self.replace(text, found);
    }

    /// Puts tokens in the place of what was found, and learns it.
    fn replace(&mut self, text: &mut String, found: Vec<Found>) {
        if found.is_empty() {
            return;
        }
        self.found = true;
        let (mut out, mut done) = (String::with_capacity(text.len()), 0);
        for one in found {
            let value = &text[one.range.clone()];
            if one.folder {
                self.identifiers.learn_folder(value);
            } else {
                self.identifiers.learn(one.kind, value);
            }
            out.push_str(&text[done..one.range.start]);
            out.push_str(&token(&self.salt, one.kind, value));
            done = one.range.end;
        }
        out.push_str(&text[done..]);
        *text = out;
    }

    /// The word behind a flag, such as `--host`: what it is stands in the word before.
    fn behind_flag(&mut self, flag: &str, text: &mut String) {
        let names = ["host", "node", "addr", "user"].iter().any(|name| flag.contains(name));
        if !self.mask_identifiers || !flag.starts_with("--") || flag.contains('=') || !names || text.starts_with('-') {
            return;
        }
        let flagged = format!("{flag}={text}");
        let offset = flag.len() + 1;
        let mut found = patterns::each(&flagged, patterns::About::default());
        found.retain(|one| one.range.start >= offset);
        for one in &mut found {
            one.range = one.range.start - offset..one.range.end - offset;
        }
        self.replace(text, found);
    }

    /// A text that is an identifier as a whole, such as a node's name; none if it is looked into like any other.
    fn whole(&mut self, kind: Kind, text: &str, in_environment: bool) -> Option<String> {
        if is_token(text) || text.is_empty() {
            return None;
        }
        let value = match kind {
            Kind::Ip => {
                let (host, port) = match text.rsplit_once(':') {
                    Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !host.ends_with(':') => {
                        (host, port)
                    }
                    _ => (text, ""),
                };
                let bare = host.trim_start_matches('[').trim_end_matches(']');
                let stays = match (addresses::v4(bare), bare.parse()) {
                    (Some(address), _) => addresses::is_public_v4(address),
                    (None, Ok(address)) => addresses::is_public_v6(address),
                    // A variable may hold the name instead.
                    (None, Err(_)) if in_environment && text.starts_with(bare) && said::is_name(bare) => {
                        self.identifiers.learn(Kind::Host, bare);
                        self.found = true;
                        return Some(format!("{}{}", token(&self.salt, Kind::Host, bare), &text[bare.len()..]));
                    }
                    (None, Err(_)) => return None,
                };
                if stays {
                    return None;
                }
                self.identifiers.learn(kind, bare);
                let colon = if port.is_empty() { "" } else { ":" };
                format!("{}{colon}{port}", token(&self.salt, kind, bare))
            }
            Kind::User if users::is_nobody(text) => return None,
            _ if text.contains(char::is_whitespace) || is_public(text) => return None,
            _ if in_environment && text.contains('/') => return None,
            _ => {
                self.identifiers.learn(kind, text);
                token(&self.salt, kind, text)
            }
        };
        self.found = true;
        Some(value)
    }

    /// Whole UUIDs of GPUs become tokens, and are learnt.
    fn uuids(&mut self, text: &mut String) {
        let (mut out, mut done) = (String::new(), 0);
        for (range, prefix, digits) in patterns::uuids(text) {
            if digits.len() != 36 {
                continue;
            }
            if is_token(digits) {
                self.identifiers.learn_token(&text[range]);
                continue;
            }
            out.push_str(&text[done..range.start]);
            out.push_str(&self.identifiers.learn_uuid(prefix, digits, &self.salt));
            done = range.end;
        }
        if done > 0 {
            out.push_str(&text[done..]);
            (*text, self.found) = (out, true);
        }
    }

    /// Second pass: what is known by now.
    fn known(&mut self, value: &mut Value, way: &mut Way<'_>) {
        match value {
            Value::String(text) => {
                if let Some(changed) = self.known_text(text, way) {
                    *text = changed;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.known(item, way)),
            Value::Object(members) => {
                for (name, item) in members.iter_mut().filter(|(name, _)| !places::is_own(way, name)) {
                    let mut inner: Way<'_> = way.clone();
                    if name != "known" {
                        inner.push(name);
                    }
                    self.known(item, &mut inner);
                }
                self.names(members, |walk, name| walk.known_text(name, way).unwrap_or_else(|| name.to_owned()));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn known_text(&mut self, text: &str, way: &[&str]) -> Option<String> {
        let mut changed = self.secrets.masked(text);
        if self.mask_identifiers {
            let mut masked = self.identifiers.masked(&changed, way).into_owned();
            self.likely(&mut masked, way);
            let (mut out, mut done) = (String::new(), 0);
            for (range, prefix, digits) in patterns::uuids(&masked) {
                if digits.len() == 36 {
                    continue;
                }
                if let Some(token) = self.identifiers.beginning(prefix, digits, &self.salt) {
                    out.push_str(&masked[done..range.start]);
                    out.push_str(&token);
                    done = range.end;
                }
            }
            if done > 0 {
                out.push_str(&masked[done..]);
                masked = out;
            }
            if masked != *changed {
                (changed, self.found) = (masked.into(), true);
            }
        }
        (changed != text && !is_closed(text)).then(|| changed.into_owned())
    }

    /// Addresses that versions may look like, now that the document's versions are known.
    fn likely(&mut self, text: &mut String, way: &[&str]) {
        if places::is_version(way) || places::names_software(way) || !text.contains("10.") {
            return;
        }
        let (mut out, mut done) = (String::new(), 0);
        for range in addresses::likely(text) {
            let address = &text[range.clone()];
            if !self.identifiers.versions.contains(address) {
                out.push_str(&text[done..range.start]);
                out.push_str(&token(&self.salt, Kind::Ip, address));
                done = range.end;
            }
        }
        if done > 0 {
            out.push_str(&text[done..]);
            *text = out;
        }
    }

    /// Renames members. Two that come to the same name stay two, and all keep their order.
    fn names(&mut self, members: &mut Map<String, Value>, mut rename: impl FnMut(&mut Self, &str) -> String) {
        // Fields of the snapshot's own are small letters and `_`.
        let own = |name: &str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if members.keys().all(|name| own(name)) {
            return;
        }
        let mut renamed = Map::with_capacity(members.len());
        let mut next: HashMap<String, usize> = HashMap::new();
        for (name, value) in std::mem::take(members) {
            let wanted = if own(&name) { name } else { rename(self, &name) };
            let mut unique = wanted.clone();
            if renamed.contains_key(&unique) {
                let number = next.entry(wanted.clone()).or_insert(2_usize);
                while renamed.contains_key(&unique) {
                    unique = format!("{wanted} ({number})");
                    *number += 1;
                }
            }
            renamed.insert(unique, value);
        }
        *members = renamed;
    }
}

/// Whether variables are called like that.
fn is_variable_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}
