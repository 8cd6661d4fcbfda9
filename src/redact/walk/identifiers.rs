//! First pass: the names and addresses that a text shows.

use super::{ROUNDS, Walk};
use crate::redact::known::token;
use crate::redact::patterns::{self, Found};
use crate::redact::public::is_public;
use crate::redact::token::Kind;
use crate::redact::{addresses, places, said, users};
use crate::secret::is_stand_in;

impl Walk {
    pub(super) fn identifiers_of(&mut self, text: &mut String, way: &[&str]) {
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
        self.each(text, way);
    }

    /// Puts tokens in the place of what the text shows. What stands beside a token may be seen only then.
    pub(super) fn each(&mut self, text: &mut String, way: &[&str]) {
        for _ in 0..ROUNDS {
            let found = patterns::each(text, places::about(way));
            if found.is_empty() {
                break;
            }
            self.replace(text, found);
        }
    }

    /// Puts tokens in the place of what was found, and learns it.
    pub(super) fn replace(&mut self, text: &mut String, found: Vec<Found>) {
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

    /// A text that is an identifier as a whole, such as a node's name; none if it is looked into like any other.
    pub(super) fn whole(&mut self, kind: Kind, text: &str, in_environment: bool) -> Option<String> {
        if is_stand_in(text) || text.is_empty() {
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
            if is_stand_in(digits) {
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
}
