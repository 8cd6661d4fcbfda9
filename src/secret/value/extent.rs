//! How far a value goes.

use super::cursor::QUOTES;
use crate::secret::names::is_weak;
use std::ops::Range;

/// Longest text in quotes that is taken for one value, bytes.
const QUOTED_MAX: usize = 16 << 10;

/// How far a value without quotes goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// A word, which signs of lists and objects end.
    Word,
    /// A word of a shell: `DB_PASSWORD=a,b&c`.
    Variable,
    /// To the end of its line, where a line holds no more than a name and a value.
    Line,
    /// To the end of its line, quotes inside of it included: a header of several words.
    Header,
}

impl Extent {
    /// That of the value behind this name: of a `variable` of a shell, or at the beginning of a `line`.
    pub fn of(name: &str, variable: bool, line: bool) -> Self {
        let lower = name.to_ascii_lowercase();
        if ["cookie", "authorization"].iter().any(|end| lower.ends_with(end)) {
            Self::Header
        } else if variable {
            Self::Variable
        } else if line
            && !is_weak(name)
            && ["password", "passphrase", "passwd", "secret"].iter().any(|end| lower.ends_with(end))
        {
            Self::Line
        } else {
            Self::Word
        }
    }
}

/// The value that begins here: in quotes, or as far as it goes.
pub fn span(text: &str, at: usize, extent: Extent) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let rest = bytes.get(at..)?;
    let slashes = rest.iter().take(4).take_while(|b| **b == b'\\').count();
    let quote = QUOTES.iter().map(|quote| quote.as_bytes()).find(|quote| rest[slashes..].starts_with(quote));
    let mut start = at + quote.map_or(0, |quote| slashes + quote.len());
    // `"""x"""`
    if let Some(quote) = quote
        && bytes[start..].starts_with(&quote.repeat(2))
    {
        start += 2 * quote.len();
    }
    let end = quote.and_then(|quote| closing(bytes, start, quote, slashes)).unwrap_or_else(|| {
        let end = start + bare(&bytes[start..], extent);
        // A lone backslash before the quote that ends a text in a text.
        if end > start && bytes[end - 1] == b'\\' { end - 1 } else { end }
    });
    (end > start && text.is_char_boundary(start) && text.is_char_boundary(end)).then_some(start..end)
}

/// Where the quote that opened before `start`, behind so many backslashes, is closed.
fn closing(bytes: &[u8], start: usize, quote: &[u8], slashes: usize) -> Option<usize> {
    let inside = &bytes[start..bytes.len().min(start + QUOTED_MAX)];
    let mut place = 0;
    while place < inside.len() {
        let escapes = inside[place..].iter().take_while(|b| **b == b'\\').count();
        let behind = place + escapes;
        if inside[behind.min(inside.len())..].starts_with(quote) && escapes <= slashes {
            return (place > 0).then_some(start + place);
        }
        // What is escaped is skipped with its sign.
        place = behind + 1;
    }
    None
}

/// How long a value without quotes is, bytes.
fn bare(rest: &[u8], extent: Extent) -> usize {
    let mut at = 0;
    while at < rest.len() {
        let b = rest[at];
        let ends = match extent {
            Extent::Line => matches!(b, b'\n' | b'\r' | b'"' | b'\'') || b == b' ' && rest.get(at + 1) == Some(&b'#'),
            Extent::Header => match inner_quotes(rest, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => matches!(b, b'"' | b'\'' | b'\n' | b'\r' | b'\\' | b'}' | b']'),
            },
            Extent::Variable => {
                b.is_ascii_whitespace()
                    || matches!(b, b'"' | b'\'' | b';' | b'`')
                    || matches!(b, b',' | b'&') && is_name_and_sign(&rest[at + 1..])
                    || matches!(b, b')' | b'}' | b']' | b'>' | b',')
                        && !rest.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
            }
            Extent::Word => {
                b.is_ascii_whitespace()
                    || matches!(b, b'"' | b'\'' | b';' | b'&' | b')' | b'}' | b']' | b'<' | b'>' | b'`')
                    || b == b','
                        && (is_name_and_sign(&rest[at + 1..])
                            || !rest.get(at + 1).is_some_and(|b| b.is_ascii_alphanumeric()))
            }
        };
        if ends {
            return at;
        }
        at += 1;
    }
    at
}

/// `name=` or `name:`
fn is_name_and_sign(rest: &[u8]) -> bool {
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')).count();
    name > 0 && matches!(rest.get(name), Some(b'=' | b':'))
}

/// `="a b"` inside of a header: behind its closing quote, if it stands here and is closed on its line.
fn inner_quotes(rest: &[u8], at: usize) -> Option<usize> {
    let slashes = rest[at..].iter().take_while(|b| **b == b'\\').count();
    let opens = at > 0 && rest[at - 1] == b'=' && rest.get(at + slashes) == Some(&b'"');
    if !opens {
        return None;
    }
    let start = at + slashes + 1;
    let line = rest[start..].iter().take_while(|b| **b != b'\n').count();
    let end = rest[start..start + line]
        .windows(slashes + 1)
        .position(|part| part[slashes] == b'"' && part[..slashes].iter().all(|b| *b == b'\\'))?;
    Some(start + end + slashes + 1)
}
