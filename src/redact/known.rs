//! Identifiers that were found in one place, replaced in every other.

use super::closed::is_closed;
use super::places;
use super::public::{is_device, is_telling};
use super::token::{Kind, Salt};
use crate::secret::NO_MORE;
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most identifiers that are kept.
const MOST: usize = 50_000;

/// What a place must look like for an identifier to be replaced there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Nothing: it is no word.
    Anywhere,
    /// A port behind it: `db:5432`.
    BeforePort,
    /// It is a folder, or stands before `@`.
    Folder,
    /// A word of a text that is about containers.
    OfContainers,
}

/// What stands for an identifier: its token, where, and its kind.
type Replacement = (String, Where, Kind);

/// What was learnt.
#[derive(Debug, Default)]
pub struct Known {
    values: BTreeMap<String, (Kind, Where)>,
    /// Names that are software's: a host may be called like a package.
    pub software: BTreeSet<String>,
    /// Four numbers that a field of a version has.
    pub versions: BTreeSet<String>,
    /// UUIDs of GPUs, and their tokens.
    uuids: BTreeMap<String, String>,
    /// Tokens of UUIDs that were there already.
    tokens: BTreeSet<String>,
    finder: Option<(AhoCorasick, Vec<Replacement>)>,
}

impl Known {
    /// Learns an identifier.
    pub fn learn(&mut self, kind: Kind, value: &str) {
        let value = value.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let marked = value.bytes().any(|b| b.is_ascii_digit() || b == b'-' || b == b'.');
        let place = match kind {
            Kind::Ip | Kind::Mac => Where::Anywhere,
            Kind::Serial | Kind::Machine if value.len() >= 6 => Where::Anywhere,
            Kind::Container if value.len() == 64 || value.len() == 12 => Where::Anywhere,
            // What checks compare with stays, and so do ordinary words.
            _ if is_closed(&value) => return,
            Kind::Pod | Kind::Container if !marked || value.contains(' ') || !is_telling(&value) => return,
            Kind::Pod | Kind::Container => Where::OfContainers,
            // Texts are full of GPUs' names, and a machine may have the name of one.
            Kind::Host if is_device(&value) => Where::BeforePort,
            Kind::Host if marked && is_telling(&value) && !value.contains(' ') => Where::Anywhere,
            Kind::User if marked && is_telling(&value) => Where::Anywhere,
            Kind::User if value.len() >= 3 => Where::Folder,
            Kind::Host => Where::BeforePort,
            _ => return,
        };
        self.insert(value, kind, place);
    }

    /// Learns a user's name from a path that may be a server's too: it is replaced as a folder only.
    pub fn learn_folder(&mut self, user: &str) {
        let user = user.to_ascii_lowercase();
        if user.len() >= 3 && !is_closed(&user) {
            self.insert(user, Kind::User, Where::Folder);
        }
    }

    fn insert(&mut self, value: String, kind: Kind, place: Where) {
        if self.values.len() >= MOST {
            return;
        }
        let known = self.values.entry(value).or_insert((kind, place));
        if place == Where::Anywhere {
            known.1 = place;
        }
    }

    /// Learns a GPU's whole UUID; returns its token.
    pub fn learn_uuid(&mut self, prefix: &str, digits: &str, salt: &Salt) -> String {
        let token = salt.uuid(prefix, digits);
        self.uuids.insert(format!("{prefix}-{}", digits.to_ascii_lowercase()), token.clone());
        token
    }

    /// Learns that a UUID's token stands somewhere.
    pub fn learn_token(&mut self, token: &str) {
        self.tokens.insert(token.to_owned());
    }

    /// The token of the beginning of a UUID, which programs take for the whole; none if it is to stay.
    pub fn beginning(&self, prefix: &str, digits: &str, salt: &Salt) -> Option<String> {
        let written = format!("{prefix}-{}", digits.to_ascii_lowercase());
        let starts = |token: &String| token.starts_with(&written);
        if self.tokens.iter().any(starts) || self.uuids.values().any(starts) {
            return None;
        }
        let whole = self.uuids.range(written.clone()..).next().filter(|(uuid, _)| uuid.starts_with(&written));
        match whole {
            Some((_, token)) => token.get(..written.len()).map(str::to_owned),
            None => {
                let enough = digits.len() >= 8 && digits.bytes().any(|b| b.is_ascii_digit());
                enough.then(|| salt.uuid(prefix, digits))
            }
        }
    }

    /// Builds what [`Self::masked`] needs.
    pub fn learnt(&mut self, salt: &Salt) {
        let mut of: BTreeMap<String, Replacement> = BTreeMap::new();
        for (value, (kind, place)) in &self.values {
            let named = matches!(kind, Kind::Host | Kind::User | Kind::Pod | Kind::Container);
            if self.versions.contains(value) {
                continue;
            }
            let place = match kind {
                _ if !(named && self.software.contains(value)) => *place,
                Kind::Host => Where::BeforePort,
                Kind::User => Where::Folder,
                _ => continue,
            };
            of.insert(value.clone(), (token(salt, *kind, value), place, *kind));
            if *kind == Kind::Container && value.len() == 64 {
                of.insert(value[..12].to_owned(), (token(salt, *kind, value), place, *kind));
            }
        }
        for (uuid, token) in &self.uuids {
            let bare = |text: &str| text.split_once('-').map(|(_, digits)| digits.to_owned()).unwrap_or_default();
            of.insert(bare(uuid), (bare(token), Where::Anywhere, Kind::Serial));
        }
        let (values, tokens): (Vec<_>, Vec<_>) = of.into_iter().filter(|(value, _)| !value.ends_with(NO_MORE)).unzip();
        let finder = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(&values);
        self.finder = finder.ok().filter(|_| !values.is_empty()).map(|finder| (finder, tokens));
    }

    /// The text with tokens for what is known; none if it holds nothing of it.
    pub fn masked<'a>(&self, text: &'a str, way: &[&str]) -> Cow<'a, str> {
        let Some((finder, tokens)) = &self.finder else { return text.into() };
        let software = places::names_software(way);
        let of_containers = places::is_of_containers(way) && !places::names_image(way);
        let (mut out, mut done) = (String::new(), 0);
        for found in finder.find_iter(text) {
            let (token, place, kind) = &tokens[found.pattern().as_usize()];
            let named = matches!(kind, Kind::Host | Kind::User | Kind::Pod | Kind::Container);
            let stays =
                named && software && *place == Where::Anywhere || *place == Where::OfContainers && !of_containers;
            if !stays && fits(text.as_bytes(), found.start(), found.end(), *place, *kind) {
                out.push_str(&text[done..found.start()]);
                out.push_str(token);
                done = found.end();
            }
        }
        if done == 0 {
            return text.into();
        }
        out.push_str(&text[done..]);
        out.into()
    }
}

/// The token of an identifier. A container's id is often cut to twelve digits.
pub fn token(salt: &Salt, kind: Kind, value: &str) -> String {
    let value = value.trim_matches(['[', ']']).trim_end_matches('.');
    let id = kind == Kind::Container && value.len() == 64 && value.is_ascii();
    salt.token(kind, if id { &value[..12] } else { value })
}

/// Whether the identifier stands here by itself, and in a place where it is one.
fn fits(text: &[u8], start: usize, end: usize, place: Where, kind: Kind) -> bool {
    let before = start.checked_sub(1).map(|at| text[at]);
    let after = text.get(end).copied();
    let digit_follows = text.get(end + 1).is_some_and(u8::is_ascii_digit);
    let word = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80;
    if before.is_some_and(word) || after.is_some_and(word) {
        return false;
    }
    if kind == Kind::Ip && (before == Some(b'.') || after == Some(b'.') && digit_follows) {
        return false;
    }
    match place {
        Where::Anywhere => true,
        Where::OfContainers => {
            let joined = |b: u8| matches!(b, b'-' | b'_' | b'.' | b'@');
            let name = start < 2 || before != Some(b'/') || !word(text[start - 2]);
            // A sentence may end behind it.
            let more = after.is_some_and(joined) && text.get(end + 1).is_some_and(|b| word(*b));
            name && !before.is_some_and(joined) && !more
        }
        Where::BeforePort => after == Some(b':') && digit_follows && before != Some(b'/'),
        Where::Folder => {
            before == Some(b'/') && after == Some(b'/')
                || after == Some(b'@')
                || says_user(&text[..start], &text[end..])
        }
    }
}

/// Whether the words around a user's name say that it is one.
fn says_user(before: &[u8], after: &[u8]) -> bool {
    let from = before.len().saturating_sub(12);
    let near = before[from..].to_ascii_lowercase();
    let near = near.strip_suffix(b"'").or(near.strip_suffix(b"\"")).unwrap_or(&near[..]);
    let words: [&[u8]; 9] =
        [b"user ", b"user=", b"user:", b"user: ", b"username=", b"username: ", b"login ", b"~", b"sudo -u "];
    // `1000(anna)`, of a group.
    let group = before.len() > 1 && before.ends_with(b"(") && before[before.len() - 2].is_ascii_digit();
    // A line of `ps`: the user, and the process.
    let line = before.last().is_none_or(|b| *b == b'\n') && {
        let spaces = after.iter().take_while(|b| **b == b' ').count();
        spaces > 0 && after.get(spaces).is_some_and(u8::is_ascii_digit)
    };
    words.iter().any(|word| near.ends_with(word)) || group && after.starts_with(b")") || line
}
