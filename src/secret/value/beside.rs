//! Values that stand beside a name without a sign between them: elements, pairs, members of an object of their own.

use super::cursor::{BLANKS, BLANKS_MAX, Cursor, LINES};
use super::extent::{Extent, span};
use crate::secret::words::{is_made, is_secret};
use std::ops::Range;

/// `<password>S</password>`
pub fn element(text: &str, name: &str, at: usize) -> Vec<Range<usize>> {
    let length = text[at..].find(['<', '\n']).unwrap_or(0);
    let span = at..at + length;
    let secret = length > 0 && is_secret(name, &text[span.clone()], true, true);
    if secret { vec![span] } else { Vec::new() }
}

/// `["x-api-key", "S"]`, `(b'x-api-key', b'S')`: a name and its value, and nothing else. What looks like a name itself is
/// none: lists of names of fields are told.
pub fn second_of_pair(text: &str, before: &[u8], at: usize) -> Option<Range<usize>> {
    let opened = String::from_utf8_lossy(&before[before.len().saturating_sub(8)..]).into_owned();
    let opened = opened.trim_end_matches(['"', '\'', '\\']);
    let opened = opened.strip_suffix(['b', 'u']).unwrap_or(opened);
    if !opened.ends_with(['(', '[']) {
        return None;
    }
    let mut at = Cursor::new(text, at);
    if !at.skip(&[","], 1) {
        return None;
    }
    at.skip(LINES, BLANKS_MAX);
    at.skip_wrappers();
    let span = span(text, at.at, Extent::Word)?;
    let value = &text[span.clone()];
    at.at = span.end;
    at.skip(&["\\", "\"", "'"], 4);
    let closed = at.is_at(")") || at.is_at("]");
    (closed && (is_made(value, 8) || value.contains(' '))).then_some(span)
}

/// `"name": "DB_PASSWORD", "value": "S"`: goes up to the sign behind `value`, if that is what stands beside the name.
pub fn skip_to_value(at: &mut Cursor<'_>) {
    let begin = at.at;
    if at.skip(&[","], 1) | at.skip(LINES, BLANKS_MAX) {
        at.skip(&["\\", "\"", "'", "%22", "%27"], 4);
        if at.skip(&["value", "Value", "val", "VALUE"], 1) {
            at.skip(&["\\", "\"", "'", "%22", "%27"], 4);
            at.skip(BLANKS, BLANKS_MAX);
            if at.is_at("=") || at.is_at(":") || at.is_at("%3A") {
                return;
            }
        }
    }
    at.at = begin;
}
