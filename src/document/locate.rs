//! Where in the text of a JSON document a value stands.

use super::conform::Step;

/// The byte at which the value at `path` begins, in JSON that was parsed before.
pub fn offset(bytes: &[u8], path: &[Step]) -> Option<usize> {
    let mut at = blank(bytes, 0);
    for step in path {
        at = match step {
            Step::Member(name) => member(bytes, at, name)?,
            Step::Item(number) => item(bytes, at, *number)?,
        };
    }
    Some(at)
}

/// Line, and column in characters, of a byte; both from 1.
pub fn position(bytes: &[u8], offset: usize) -> (usize, usize) {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = memchr::memchr_iter(b'\n', before).count() + 1;
    let start = memchr::memrchr(b'\n', before).map_or(0, |end| end + 1);
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

/// The next byte that is no space.
fn blank(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len())
}

/// Behind the value that begins here.
fn behind(bytes: &[u8], from: usize) -> Option<usize> {
    let (mut at, mut depth) = (from, 0usize);
    loop {
        match *bytes.get(at)? {
            b'"' => at = behind_text(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                at += 1;
            }
            // A number, a word; between the parts of a list or an object also commas, colons and spaces.
            _ if depth > 0 => {
                at += 1;
                continue;
            }
            _ => {
                let rest = &bytes[at..];
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace();
                at += rest.iter().position(ends).unwrap_or(rest.len());
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Behind the text that begins here with its quote.
fn behind_text(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

fn member(bytes: &[u8], object: usize, name: &str) -> Option<usize> {
    let mut at = opened(bytes, object, b'{')?;
    loop {
        let end = behind_text(bytes, at)?;
        let key: String = serde_json::from_slice(bytes.get(at..end)?).ok()?;
        let colon = blank(bytes, end);
        let value = blank(bytes, colon + 1);
        if key == name {
            return Some(value);
        }
        at = next(bytes, value)?;
    }
}

fn item(bytes: &[u8], list: usize, number: usize) -> Option<usize> {
    let mut at = opened(bytes, list, b'[')?;
    for _ in 0..number {
        at = next(bytes, at)?;
    }
    Some(at)
}

fn opened(bytes: &[u8], at: usize, bracket: u8) -> Option<usize> {
    (*bytes.get(at)? == bracket).then(|| blank(bytes, at + 1))
}

/// What follows the value that begins here, behind the comma.
fn next(bytes: &[u8], from: usize) -> Option<usize> {
    let comma = blank(bytes, behind(bytes, from)?);
    (*bytes.get(comma)? == b',').then(|| blank(bytes, comma + 1))
}
