//! Where the values behind the name of a secret stand in a text.

mod beside;
mod cursor;
mod extent;

use super::MASK;
use super::names::{is_in_field, is_in_flag, is_weak};
use super::words::{is_made, is_said, is_secret};
use cursor::{BLANKS, BLANKS_MAX, Cursor, LINES};
use extent::{Extent, span};
use std::ops::Range;

/// Most values of one list.
const VALUES_MAX: usize = 200;

/// What stands between a name and its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equals,
    Colon,
    /// The blank behind a flag.
    Blank,
    /// A blank or a few words: `the token is S`, `ENV TOKEN S`.
    Words,
    /// `ApiKey("S")`
    Call,
}

/// Where the secrets behind the name that stands here are, in order; none if there are none. `called` is the name in the
/// words around it: `api_key` of `API key`.
pub fn behind(text: &str, name: Range<usize>, called: &str) -> Vec<Range<usize>> {
    let written = &text[name.clone()];
    let flag = written.starts_with('-');
    let variable = written.bytes().any(|b| b.is_ascii_uppercase()) && !written.bytes().any(|b| b.is_ascii_lowercase());
    let plain = called.trim_matches(|c: char| matches!(c, '-' | '.'));
    let folder = plain.eq_ignore_ascii_case("pwd");
    if !(folder || is_in_field(plain) || (flag || variable) && is_in_flag(plain)) {
        return Vec::new();
    }
    let before = &text.as_bytes()[..name.start];
    let mut at = Cursor::new(text, name.end);
    if before.last() == Some(&b'<') && at.is_at(">") {
        return beside::element(text, plain, name.end + 1);
    }
    let quoted_name = at.skip(&["\\", "\"", "'", "%22", "%27", "]"], 6);
    if quoted_name && let Some(span) = beside::second_of_pair(text, before, at.at) {
        return vec![span];
    }
    beside::skip_to_value(&mut at);
    let Some(sign) = sign(&mut at, flag, quoted_name) else { return Vec::new() };
    // `Pwd=` of a connection's text, and `PWD=`, the folder that a shell is in.
    if folder && (sign != Sign::Equals || ["/", "\"/", "'/", "~"].iter().any(|path| at.is_at(path))) {
        return Vec::new();
    }
    at.skip_block();
    let first = word(text, at.at);
    let line = sign == Sign::Colon && begins_line(before) && !is_said(first);
    let extent = Extent::of(plain, variable && sign == Sign::Equals, line);
    let listed = sign == Sign::Call || at.skip(&["[", "(", "%5B", "%5b"], 1);
    if listed {
        at.skip(LINES, BLANKS_MAX);
    }
    let judged = |span: &Range<usize>, quoted: bool| {
        let value = &text[span.clone()];
        // The next flag, where this one stands without a value.
        let next = sign == Sign::Blank && value.starts_with("--");
        let cookies = extent == Extent::Header && value.contains('=') && !value.starts_with(MASK);
        let by_sign = flag || sign == Sign::Equals;
        let spoken = !matches!(sign, Sign::Words | Sign::Call) || is_spoken(plain, value, quoted);
        !next && spoken && (cookies || is_secret(plain, value, by_sign, quoted_name))
    };
    let mut found = Vec::new();
    while found.len() < VALUES_MAX {
        at.skip_wrappers();
        let quoted = at.is_at("'") || at.is_at("\"") || at.is_at("\\");
        let one = listed && extent != Extent::Header;
        let Some(span) = span(text, at.at, if one { Extent::Word } else { extent }) else { break };
        at.at = span.end;
        let secret = judged(&span, quoted);
        if secret {
            found.push(span);
        }
        if listed {
            at.skip(&["\\", "\"", "'", "%22", "%27", ")"], 6);
            at.skip(LINES, BLANKS_MAX);
            if !at.skip(&[",", "%2C", "%2c"], 1) {
                break;
            }
            at.skip(LINES, BLANKS_MAX);
        } else if !(sign == Sign::Blank && secret && at.skip(BLANKS, 1) && another(word(text, at.at))) {
            break;
        }
    }
    found
}

/// Goes over the sign behind a name and the blanks around it; none if none stands there.
fn sign(at: &mut Cursor<'_>, flag: bool, quoted_name: bool) -> Option<Sign> {
    if !quoted_name && at.skip(&["("], 1) {
        return Some(Sign::Call);
    }
    let spaced = at.skip(BLANKS, BLANKS_MAX);
    let sign = if at.skip(&["->"], 1) {
        Sign::Words
    } else if at.skip(&["=", "%3D", "%3d"], 2) {
        at.skip(&[">"], 1);
        Sign::Equals
    } else if at.skip(&[":=", ":", "%3A", "%3a", "："], 1) {
        Sign::Colon
    } else if spaced && !quoted_name {
        if flag { Sign::Blank } else { Sign::Words }
    } else {
        return None;
    };
    if sign == Sign::Words {
        at.skip(&["is ", "was ", "provided: ", "provided ", "value ", "value: ", "with "], 2);
    }
    at.skip(&[" ", "\t", "%20", "+"], BLANKS_MAX);
    Some(sign)
}

/// Whether what follows a name in a sentence or a call is its value: no word of a person's, no name of a layer.
fn is_spoken(name: &str, value: &str, quoted: bool) -> bool {
    let upper = value.bytes().any(|b| b.is_ascii_uppercase());
    let lower = value.bytes().any(|b| b.is_ascii_lowercase());
    if value.contains([' ', '/', ':']) || value.contains('_') && !upper {
        return false;
    }
    if is_weak(name) {
        !value.contains('.') && (is_made(value, 12) && upper && lower || is_made(value, 20))
    } else {
        is_made(value, 8) || quoted && value.len() >= 4
    }
}

/// `--api-key FIRST SECOND`: whether this is one more value of a flag that takes several.
pub fn another(word: &str) -> bool {
    is_made(word.trim_matches(['"', '\'']), 12) && !word.contains(['.', '/', ':', '='])
}

/// The word that begins here.
fn word(text: &str, at: usize) -> &str {
    text[at..].split([' ', '\t', '\n']).next().unwrap_or_default()
}

/// Whether nothing but blanks and the sign of a list stand before it on its line.
fn begins_line(before: &[u8]) -> bool {
    let blank = |b: &&u8| matches!(b, b' ' | b'\t' | b'-');
    let other = before.iter().rev().find(|b| !blank(b));
    other.is_none_or(|b| *b == b'\n')
}
