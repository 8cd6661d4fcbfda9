//! Second pass: what is known by now, wherever it stands.

use super::{ROUNDS, Walk};
use crate::redact::closed::is_closed;
use crate::redact::known::token;
use crate::redact::places::{self, Way};
use crate::redact::token::Kind;
use crate::redact::{addresses, patterns};
use crate::secret;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

impl Walk {
    /// Second pass: what is known by now.
    pub(super) fn known(&mut self, value: &mut Value, way: &mut Way<'_>) {
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
            let mut masked = self.known_identifiers(&changed, way);
            for _ in 1..ROUNDS {
                if masked == *changed || places::is_version(way) {
                    break;
                }
                let mut more = masked.clone();
                self.each(&mut more, way);
                more = self.known_identifiers(&more, way);
                if more == masked {
                    break;
                }
                masked = more;
            }
            if masked != *changed {
                if let Cow::Owned(without) = secret::masked(&masked) {
                    masked = without;
                }
                (changed, self.found) = (masked.into(), true);
            }
        }
        (changed != text && !is_closed(text)).then(|| changed.into_owned())
    }

    /// The text with tokens for what is known.
    fn known_identifiers(&mut self, text: &str, way: &[&str]) -> String {
        let mut masked = self.identifiers.masked(text, way).into_owned();
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
        if done == 0 {
            return masked;
        }
        out.push_str(&masked[done..]);
        out
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
    pub(super) fn names(
        &mut self,
        members: &mut Map<String, Value>,
        mut rename: impl FnMut(&mut Self, &str) -> String,
    ) {
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
