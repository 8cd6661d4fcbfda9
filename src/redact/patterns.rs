//! Identifiers that a text shows by themselves.

use super::token::Kind;
use super::{addresses, hosts, numbers, qualified, said, users};
use crate::secret::is_stand_in;
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

/// What a text is about, as its place in the document tells.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// A model: its nodes are no machines, and names of its layers have dots.
    pub model: bool,
    /// Containers or pods: long numbers are theirs.
    pub containers: bool,
}

/// Kinds of places, by the words without which none is in a text.
const KINDS: usize = 5;
const HOSTS: &[&str] = &[
    "://",
    ".internal",
    ".local",
    ".svc",
    ".corp",
    ".lan",
    "home.arpa",
    ".intranet",
    "ip-",
    "]:",
    "kernel:",
    "systemd:",
    "dockerd:",
    "containerd:",
    "kubelet:",
    "fabricmanager:",
];
const FAMILIES: [&[&str]; KINDS] =
    [HOSTS, said::TRIGGERS, users::TRIGGERS, numbers::OF_MACHINES, numbers::OF_CONTAINERS];

static FINDER: LazyLock<(AhoCorasick, Vec<usize>)> = LazyLock::new(|| {
    let families = FAMILIES.iter().enumerate().flat_map(|(number, words)| words.iter().map(move |_| number)).collect();
    let finder = AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(FAMILIES.concat())
        .expect("few texts");
    (finder, families)
});

/// Every identifier that the text shows, in order, none inside another.
pub fn each(text: &str, about: About) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let (finder, families) = &*FINDER;
    let mut met = [false; KINDS];
    for trigger in finder.find_overlapping_iter(text) {
        met[families[trigger.pattern().as_usize()]] = true;
        if met == [true; KINDS] {
            break;
        }
    }
    let [urls, named, of_users, of_machines, of_containers] = met;
    let mut add = |kind: Kind, range: Range<usize>, folder: bool| {
        if !range.is_empty() && !is_stand_in(&text[range.clone()]) {
            found.push(Found { range, kind, folder });
        }
    };
    if of_users {
        users::folders(text, &mut |range, folder| add(Kind::User, range, folder));
    }
    let mut add = |kind: Kind, range: Range<usize>| add(kind, range, false);
    if of_users {
        users::said(text).into_iter().for_each(|range| add(Kind::User, range));
        users::mails(text).into_iter().for_each(|(kind, range)| add(kind, range));
    }
    if urls {
        // `[::1]` is one address, brackets and all: a token needs none.
        hosts::in_urls(text).for_each(|range| {
            let host = text[range.clone()].trim_matches(['[', ']']);
            let address = addresses::v4(host).is_some() || host.contains(':');
            add(if address { Kind::Ip } else { Kind::Host }, range);
        });
        hosts::elsewhere(text).for_each(|range| add(Kind::Host, range));
    }
    if named {
        said::each(text, about.model).into_iter().for_each(|range| add(Kind::Host, range));
    }
    if !about.model {
        qualified::each(text).into_iter().for_each(|range| add(Kind::Host, range));
    }
    if of_machines {
        numbers::of_machines(text, &mut add);
    }
    if of_containers || about.containers {
        numbers::of_containers(text, &mut add);
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

/// Where UUIDs of GPUs and MIG devices stand, and beginnings of such: prefix and digits.
pub fn uuids(text: &str) -> impl Iterator<Item = (Range<usize>, &str, &str)> + '_ {
    static UUID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?-u)\b(GPU|MIG)-([0-9a-fA-F][0-9a-fA-F-]{1,35})").expect("a valid pattern"));
    let any = text.contains("GPU-") || text.contains("MIG-");
    UUID.captures_iter(if any { text } else { "" }).filter_map(move |found| {
        let (whole, prefix, digits) = (found.get(0)?, found.get(1)?, found.get(2)?);
        let joined = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        let alone = !text.as_bytes().get(whole.end()).is_some_and(joined);
        let digits = digits.as_str().trim_end_matches('-');
        alone.then(|| (whole.start()..prefix.end() + 1 + digits.len(), prefix.as_str(), digits))
    })
}
