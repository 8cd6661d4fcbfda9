//! JSON that other tools wrote, read field by field: what is missing or of another type has a reason, never a default.

use crate::regular_file;
use crate::snapshot::{Unknown, Why};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

/// Most entries of one list or object.
const ENTRIES_MAX: usize = 20_000;
/// Longest text kept, characters.
const TEXT_MAX: usize = 8192;

/// The JSON in a file that the user named, of at most `limit_bytes`. Nesting is bounded by serde_json (128).
pub fn read(path: &Path, limit_bytes: u64) -> Result<Value, Unknown> {
    let place = path.display();
    let bytes = regular_file::read(path, limit_bytes).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => Unknown::new(Why::Malformed, format!("{place}: {error}")),
        _ => Unknown::from_io(&error, &place),
    })?;
    parse(&bytes).map_err(|error| Unknown::new(Why::Malformed, format!("{place}: {error}")))
}

/// The JSON in a text; a byte order mark before it is passed over. The error names the line.
pub fn parse(bytes: &[u8]) -> Result<Value, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".into());
    }
    serde_json::from_slice(bytes).map_err(|error| format!("it is not JSON: {error}"))
}

/// An object, and how its place is told: `inspect.json: [0].HostConfig`.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    fields: &'a Map<String, Value>,
    place: String,
}

impl<'a> Record<'a> {
    /// The object at `place`.
    pub fn new(value: &'a Value, place: impl Into<String>) -> Result<Record<'a>, Unknown> {
        let place = place.into();
        match value {
            Value::Object(fields) => Ok(Record { fields, place }),
            other => Err(wrong(&place, other, "an object")),
        }
    }

    /// The object in a field; a path with dots goes deeper.
    pub fn record(&self, path: &str) -> Result<Record<'a>, Unknown> {
        Record::new(self.value(path)?, self.place_of(path))
    }

    /// The text in a field.
    pub fn text(&self, path: &str) -> Result<String, Unknown> {
        self.read(path, "text", |value| value.as_str().map(cut))
    }

    /// The text in a field; empty if the field is null or not there, as Go's tools leave empty ones out.
    pub fn text_or_none(&self, path: &str) -> Result<String, Unknown> {
        self.present(path).map_or(Ok(String::new()), |_| self.text(path))
    }

    /// The whole number in a field.
    pub fn integer(&self, path: &str) -> Result<i64, Unknown> {
        self.read(path, "a whole number", Value::as_i64)
    }

    /// The number without a sign in a field.
    pub fn count(&self, path: &str) -> Result<u64, Unknown> {
        self.read(path, "a whole number that is not negative", Value::as_u64)
    }

    /// The truth value in a field.
    pub fn truth(&self, path: &str) -> Result<bool, Unknown> {
        self.read(path, "true or false", Value::as_bool)
    }

    /// The truth value in a field; false if the field is null or not there, as Go's tools leave false out.
    pub fn truth_or_false(&self, path: &str) -> Result<bool, Unknown> {
        self.present(path).map_or(Ok(false), |_| self.truth(path))
    }

    /// The list in a field; null is the empty list.
    pub fn list(&self, path: &str) -> Result<&'a [Value], Unknown> {
        match self.value(path)? {
            Value::Null => Ok(&[]),
            Value::Array(items) if items.len() <= ENTRIES_MAX => Ok(items),
            Value::Array(items) => Err(too_many(&self.place_of(path), items.len())),
            other => Err(wrong(&self.place_of(path), other, "a list")),
        }
    }

    /// The list in a field; empty if the field is not there.
    pub fn list_or_none(&self, path: &str) -> Result<&'a [Value], Unknown> {
        self.present(path).map_or(Ok(&[]), |_| self.list(path))
    }

    /// The objects in a list; empty if the field is not there.
    pub fn records(&self, path: &str) -> Result<Vec<Record<'a>>, Unknown> {
        let items = self.list_or_none(path)?.iter().enumerate();
        items.map(|(index, item)| Record::new(item, format!("{}[{index}]", self.place_of(path)))).collect()
    }

    /// The texts in a list; null is the empty list.
    pub fn texts(&self, path: &str) -> Result<Vec<String>, Unknown> {
        let items = self.list(path)?.iter().enumerate();
        let text = |(index, item): (usize, &Value)| match item {
            Value::String(text) => Ok(cut(text)),
            other => Err(wrong(&format!("{}[{index}]", self.place_of(path)), other, "text")),
        };
        items.map(text).collect()
    }

    /// The texts of an object, by name; empty if the field is null or not there.
    pub fn texts_by_name(&self, path: &str) -> Result<BTreeMap<String, String>, Unknown> {
        if self.present(path).is_none() {
            return Ok(BTreeMap::new());
        }
        let record = self.record(path)?;
        if record.fields.len() > ENTRIES_MAX {
            return Err(too_many(&record.place, record.fields.len()));
        }
        // Numbers are taken as they are written: quantities may be either.
        let text = |(name, value): (&String, &Value)| match value {
            Value::String(text) => Ok((name.clone(), cut(text))),
            Value::Number(number) => Ok((name.clone(), number.to_string())),
            other => Err(wrong(&format!("{}.{name}", record.place), other, "text")),
        };
        record.fields.iter().map(text).collect()
    }

    /// The names of an object's fields.
    pub fn names(&self) -> impl Iterator<Item = &'a String> + use<'a> {
        self.fields.keys()
    }

    /// Whether a field is there and not null.
    pub fn has(&self, path: &str) -> bool {
        self.present(path).is_some()
    }

    fn present(&self, path: &str) -> Option<&'a Value> {
        self.find(path).filter(|value| !value.is_null())
    }

    fn find(&self, path: &str) -> Option<&'a Value> {
        let mut parts = path.split('.');
        let first = self.fields.get(parts.next()?)?;
        parts.try_fold(first, |value, name| value.get(name))
    }

    fn value(&self, path: &str) -> Result<&'a Value, Unknown> {
        self.find(path).ok_or_else(|| Unknown::new(Why::Absent, format!("{} is not there", self.place_of(path))))
    }

    fn read<T>(&self, path: &str, expected: &str, read: impl Fn(&Value) -> Option<T>) -> Result<T, Unknown> {
        let value = self.value(path)?;
        read(value).ok_or_else(|| wrong(&self.place_of(path), value, expected))
    }

    fn place_of(&self, path: &str) -> String {
        format!("{}.{path}", self.place)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn wrong(place: &str, value: &Value, expected: &str) -> Unknown {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Unknown::new(Why::Malformed, format!("{place} is {kind}; expected {expected}"))
}

fn too_many(place: &str, number: usize) -> Unknown {
    Unknown::new(Why::Malformed, format!("{place} has {number} entries; at most {ENTRIES_MAX} are read"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_or_of_another_type_is_told_with_its_place() {
        let value = json!({"State": {"Pid": "12", "Error": null}, "Cmd": ["a", 1]});
        let record = Record::new(&value, "x.json: [0]").unwrap();
        let said = |unknown: Unknown| (unknown.why, unknown.detail);
        let cases = [
            (record.text("State.Status").unwrap_err(), Why::Absent, "x.json: [0].State.Status is not there"),
            (
                record.integer("State.Pid").unwrap_err(),
                Why::Malformed,
                "x.json: [0].State.Pid is text; expected a whole number",
            ),
            (record.texts("Cmd").unwrap_err(), Why::Malformed, "x.json: [0].Cmd[1] is a number; expected text"),
            (record.record("Cmd").unwrap_err(), Why::Malformed, "x.json: [0].Cmd is a list; expected an object"),
        ];
        for (unknown, why, detail) in cases {
            assert_eq!(said(unknown), (why, detail.to_string()));
        }
        assert_eq!(record.text_or_none("State.Error").unwrap(), "");
        assert!(record.text("State.Error").is_err());
    }

    #[test]
    fn deep_and_empty_and_broken_texts_are_errors() {
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).unwrap_err().contains("recursion limit"));
        assert_eq!(parse(b" \n").unwrap_err(), "it is empty");
        assert!(parse(b"[1]\n[2]").unwrap_err().contains("line 2"));
        assert!(parse(b"{\"a\": \"\0\"}").is_err());
        assert!(parse(b"\xff\xfe[\0]\0").is_err(), "UTF-16, as PowerShell writes it");
        assert_eq!(parse(b"\xef\xbb\xbf[]").unwrap(), json!([]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
