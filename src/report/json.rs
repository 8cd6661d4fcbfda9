//! The report as JSON. Characters that steer a terminal are escaped: who prints the file sees what it says.

use super::Report;
use crate::words::unprintable;
use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::io::{Result, Write};

/// Writes the report, indented, with a newline at the end.
pub fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    write_json(report, out)
}

/// Writes any document, indented, with a newline at the end, and nothing in it that steers a terminal.
pub fn write_json(document: &impl Serialize, out: &mut dyn Write) -> Result<()> {
    let mut serializer = Serializer::with_formatter(&mut *out, Escaping(PrettyFormatter::new()));
    document.serialize(&mut serializer)?;
    out.write_all(b"\n")
}

/// Indents, and escapes what cannot be printed.
struct Escaping(PrettyFormatter<'static>);

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> Result<()> {
        // Bytes first, for characters take time.
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return out.write_all(fragment.as_bytes());
        }
        let mut written = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| unprintable(*c)) {
            out.write_all(fragment.get(written..at).unwrap_or_default().as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            written = at + c.len_utf8();
        }
        out.write_all(fragment.get(written..).unwrap_or_default().as_bytes())
    }
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.begin_array(out)
    }
    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.end_array(out)
    }
    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> Result<()> {
        self.0.begin_array_value(out, first)
    }
    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.end_array_value(out)
    }
    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.begin_object(out)
    }
    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.end_object(out)
    }
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> Result<()> {
        self.0.begin_object_key(out, first)
    }
    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.begin_object_value(out)
    }
    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn what_steers_a_terminal_is_escaped_and_reads_as_it_was() {
        let document = json!({"a\u{202e}": ["\u{9b}31m ä\n\u{7f}", "\u{e0041}\u{1f980}", {}, []], "b": 1});
        let mut out = Vec::new();
        write_json(&document, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains(r#""\u009b31m ä\n\u007f""#)
                && text.contains(r#""\udb40\udc41\u{1f980}""#.replace("\\u{1f980}", "\u{1f980}").as_str()),
            "{text}"
        );
        assert!(!text.chars().any(|c| c != '\n' && unprintable(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
        let plain = json!({"a": [1, {"b": "c"}]});
        let mut out = Vec::new();
        write_json(&plain, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string_pretty(&plain).unwrap() + "\n");
    }
}
