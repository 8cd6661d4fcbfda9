//! Identifiers that a text shows by themselves.

use super::addresses;
use super::hosts;
use super::token::{Kind, is_token};
use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// An identifier in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
    /// Whether it is a user's name in a folder only: a server's path may look the same.
    pub folder: bool,
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

const TRIGGERS: &[&str] = &[
    "://",
    ".internal",
    ".local",
    ".svc",
    ".corp",
    ".lan",
    "home.arpa",
    ".intranet",
    "ip-",
    "@",
    "]:",
    "kernel:",
    "systemd:",
    "dockerd:",
    "containerd:",
    "kubelet:",
    "fabricmanager:", // hosts, up to here
    "/home",
    "/users",
    "\\users", // users
    "serial",
    "board",
    "machine",
    "uuid", // numbers of boards and machines
    "docker",
    "container",
    "libpod",
    "crio",
    "kubepods",
];
const HOSTS: usize = 17;
const USERS: usize = 20;
const SERIALS: usize = 24;

static FINDER: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(TRIGGERS)
        .expect("few texts")
});
static USER: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"(/home|/Users|\\(?i:users))[/\\]+([^/\\\s:"'<>|;,()\[\]{}$*`=&?#]+)"#));
static SERIAL: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)\b(serial(?:[ _-]?(?:number|num|no))?|board[ _-]?id|machine[ _-]?id|(?:product|system|host)[ _-]?uuid)",
        r"[\x22'\]\\]*\s*[:=]\s*[\x22'\\]*([A-Za-z0-9][A-Za-z0-9._-]{4,63})"
    ))
});
static CONTAINER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:docker|containers?|libpod|libpod-conmon|crio|crio-conmon|cri-containerd|kubepods\S{0,120})[/:=\x22' -]+([0-9a-f]{64}|[0-9a-f]{12})\b",
    )
});

/// Every identifier that the text shows, in order, none inside another.
pub fn each(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let (mut names, mut users_named, mut serials, mut containers) = (false, false, false, false);
    for trigger in FINDER.find_iter(text) {
        match trigger.pattern().as_usize() {
            ..HOSTS => names = true,
            HOSTS..USERS => users_named = true,
            USERS..SERIALS => serials = true,
            _ => containers = true,
        }
    }
    let mut add = |kind: Kind, range: Range<usize>, folder: bool| {
        if !range.is_empty() && !is_token(&text[range.clone()]) {
            found.push(Found { range, kind, folder });
        }
    };
    if users_named {
        users(text, &mut |range, folder| add(Kind::User, range, folder));
    }
    let mut add = |kind: Kind, range: Range<usize>| add(kind, range, false);
    if names {
        // `[::1]` is one address, brackets and all: a token needs none.
        hosts::in_urls(text).for_each(|range| {
            let host = text[range.clone()].trim_matches(['[', ']']);
            let address = addresses::v4(host).is_some() || host.contains(':');
            add(if address { Kind::Ip } else { Kind::Host }, range);
        });
        hosts::elsewhere(text).for_each(|range| add(Kind::Host, range));
    }
    if serials {
        for serial in SERIAL.captures_iter(text) {
            let (Some(name), Some(value)) = (serial.get(1), serial.get(2)) else { continue };
            let of_machine =
                name.as_str().to_ascii_lowercase().starts_with("serial") || name.as_str().starts_with("board");
            if value.as_str().bytes().filter(u8::is_ascii_digit).count() >= 2 {
                add(if of_machine { Kind::Serial } else { Kind::Machine }, value.range());
            }
        }
    }
    if containers {
        CONTAINER.captures_iter(text).filter_map(|one| one.get(1)).for_each(|id| {
            let mixed = id.as_str().bytes().any(|b| b.is_ascii_digit());
            if mixed {
                add(Kind::Container, id.range());
            }
        });
    }
    addresses::each_v4(text).filter(|(_, says)| *says).for_each(|(range, _)| add(Kind::Ip, range));
    addresses::each_v6(text).into_iter().for_each(|range| add(Kind::Ip, range));
    addresses::each_mac(text).for_each(|range| add(Kind::Mac, range));
    found.sort_by_key(|one| (one.range.start, std::cmp::Reverse(one.range.end)));
    let mut end = 0;
    found.retain(|one| {
        let apart = one.range.start >= end;
        end = end.max(one.range.end);
        apart
    });
    found
}

/// Where names of users stand in paths of their folders; with each whether it is known as a folder only.
fn users(text: &str, found: &mut dyn FnMut(Range<usize>, bool)) {
    let bytes = text.as_bytes();
    // `https://h/home/page` is a page: whether the word up to here is a URL, and up to where it was looked at.
    let (mut url, mut seen) = (false, 0);
    for user in USER.captures_iter(text) {
        let (Some(folder), Some(name)) = (user.get(1), user.get(2)) else { continue };
        let start = folder.start();
        for at in seen..start {
            match bytes[at] {
                b' ' | b'\t'..=b'\r' | b'"' | b'\'' => url = false,
                b':' if bytes[at..].starts_with(b"://") => url = true,
                _ => {}
            }
        }
        seen = start;
        let before = &bytes[..start];
        let page = url && !before.ends_with(b"file://");
        let request = [&b"GET "[..], b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"HEAD ", b"OPTIONS "]
            .iter()
            .any(|method| before.ends_with(method));
        let of_mac = folder.as_str().starts_with("/U");
        let inside = of_mac
            && before
                .last()
                .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'}' | b'>'));
        if !page && !request && !inside && name.as_str().trim_matches('.').len() > 1 {
            found(name.range(), folder.as_str() != "/home");
        }
    }
}

/// Where UUIDs of GPUs and MIG devices stand, and beginnings of such: prefix and digits.
pub fn uuids(text: &str) -> impl Iterator<Item = (Range<usize>, &str, &str)> + '_ {
    static UUID: LazyLock<Regex> = LazyLock::new(|| regex(r"(?-u)\b(GPU|MIG)-([0-9a-fA-F][0-9a-fA-F-]{1,35})"));
    let any = text.contains("GPU-") || text.contains("MIG-");
    UUID.captures_iter(if any { text } else { "" }).filter_map(move |found| {
        let (whole, prefix, digits) = (found.get(0)?, found.get(1)?, found.get(2)?);
        let joined = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let alone = !text.as_bytes().get(whole.end()).is_some_and(joined);
        let digits = digits.as_str().trim_end_matches('-');
        alone.then(|| (whole.start()..prefix.end() + 1 + digits.len(), prefix.as_str(), digits))
    })
}
