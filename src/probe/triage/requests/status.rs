//! Whether a request succeeded.

use super::super::table::rows::text;
use std::collections::BTreeMap;

/// What a row says of a request's end.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// Its status; 0 for none.
    pub status: Option<u16>,
    /// Whether it succeeded.
    pub ok: Option<bool>,
}

impl Outcome {
    /// By the cell of a status: `400`, `400 Bad Request`, `ok`, `timeout`, `-1`.
    pub fn of_status(cell: &[u8]) -> Self {
        if let [a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] = cell {
            let digit = |byte: &u8| u16::from(byte - b'0');
            return Self::of_code(digit(a) * 100 + digit(b) * 10 + digit(c));
        }
        let said = text(cell);
        match status_in(&said) {
            Some(code) => Self::of_code(code),
            None => Self { status: Some(0), ok: Some(truth(cell) == Some(true)) },
        }
    }

    fn of_code(code: u16) -> Self {
        Self { status: Some(code), ok: Some((200..300).contains(&code)) }
    }
}

/// A status of HTTP as a word of its own in a text: `400` in `400 Client Error: Bad Request`.
pub fn status_in(text: &str) -> Option<u16> {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.');
    words.find_map(|word| {
        let word = word.strip_suffix(".0").unwrap_or(word);
        word.parse().ok().filter(|code| word.len() == 3 && (100..600).contains(code))
    })
}

/// Whether a cell says yes or no.
pub fn truth(cell: &[u8]) -> Option<bool> {
    Some(match text(cell).to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "t" | "ok" | "success" | "succeeded" | "pass" | "passed" | "1.0" => true,
        "false" | "0" | "no" | "n" | "f" | "error" | "fail" | "failed" | "failure" | "ko" | "0.0" => false,
        _ => return None,
    })
}

/// Whether a cell for an error says that there was none.
pub fn is_nothing(cell: &[u8]) -> bool {
    let nothing: [&[u8]; 11] = [b"", b"-", b"None", b"none", b"null", b"nan", b"NaN", b"N/A", b"ok", b"OK", b"0"];
    cell.is_empty() || nothing.contains(&cell)
}

/// Answers by status.
#[derive(Debug)]
pub struct Statuses {
    counts: Vec<u64>,
    unknown: u64,
}

impl Default for Statuses {
    fn default() -> Self {
        Self { counts: vec![0; 600], unknown: 0 }
    }
}

impl Statuses {
    /// Counts one.
    pub fn note(&mut self, status: Option<u16>) {
        match status.and_then(|status| self.counts.get_mut(usize::from(status))) {
            Some(count) => *count += 1,
            None => self.unknown += 1,
        }
    }

    /// The counts by name: `none` for requests without a status, `unknown` where it is not told.
    pub fn told(&self) -> BTreeMap<String, u64> {
        let known = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let named = known.map(|(status, count)| match status {
            0 => ("none".into(), *count),
            status => (status.to_string(), *count),
        });
        named.chain((self.unknown > 0).then(|| ("unknown".into(), self.unknown))).collect()
    }
}
