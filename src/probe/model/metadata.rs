//! What a model's file says of itself beside its tensors, within bounds.

use super::wire::{Fault, Fields, ReadAt, Reader, Span, Value};
use crate::snapshot::{Fact, Why};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Most entries that are told.
const ENTRY_LIMIT: usize = 256;
/// Longest key or value that is told, bytes.
const TEXT_LIMIT_BYTES: usize = 256;
/// Largest config.json that is read, bytes.
const CONFIG_LIMIT_BYTES: u64 = 1 << 20;

/// Keys and values, the first [`ENTRY_LIMIT`] of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Metadata {
    entries: BTreeMap<String, String>,
}

impl Metadata {
    /// Adds an entry; the first of several with one key counts.
    pub fn add(&mut self, key: &str, value: &str) {
        if self.entries.len() < ENTRY_LIMIT {
            self.entries.entry(cut(key)).or_insert_with(|| cut(value));
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(String::as_str)
    }

    /// All entries.
    pub fn into_entries(self) -> BTreeMap<String, String> {
        self.entries
    }
}

/// The text, cut with an ellipsis where it is too long.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_LIMIT_BYTES {
        return text.to_string();
    }
    let whole_characters = text.char_indices().map(|(at, _)| at).take_while(|at| *at < TEXT_LIMIT_BYTES).last();
    format!("{}…", text.get(..whole_characters.unwrap_or(0)).unwrap_or_default())
}

/// Reads one `StringStringEntryProto` of `ModelProto.metadata_props` (onnx.proto).
pub fn entry<S: ReadAt>(reader: &mut Reader<S>, span: Span, metadata: &mut Metadata) -> Result<(), Fault> {
    let (mut key, mut value) = (String::new(), String::new());
    let mut fields = Fields::of(span, "a metadata entry");
    while let Some(field) = fields.next(reader)? {
        match field {
            (1, Value::Span(text)) => key = reader.text(text)?,
            (2, Value::Span(text)) => value = reader.text(text)?,
            _ => {}
        }
    }
    metadata.add(&key, &value);
    Ok(())
}

/// The two keys of transformers' config.json that name an architecture.
#[derive(Deserialize)]
struct Config {
    model_type: Option<String>,
    #[serde(default)]
    architectures: Vec<String>,
}

/// The architecture by the config.json in the model's folder.
pub fn architecture_beside(folder: &Path) -> Fact<String> {
    let path = folder.join("config.json");
    let absent = || Fact::unknown(Why::Absent, format!("neither the model nor {} names one", path.display()));
    let Ok(bytes) = crate::regular_file::read(&path, CONFIG_LIMIT_BYTES) else { return absent() };
    let Ok(config) = serde_json::from_slice::<Config>(&bytes) else { return absent() };
    match config.model_type.or(config.architectures.into_iter().next()) {
        Some(name) => Fact::Known(cut(&name)),
        None => absent(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_bounded_in_number_and_length() {
        let mut metadata = Metadata::default();
        metadata.add("long", &"é".repeat(1000));
        metadata.add("long", "a second one");
        for number in 0..10_000 {
            metadata.add(&number.to_string(), "x");
        }
        let entries = metadata.into_entries();
        assert_eq!(entries.len(), 256);
        assert_eq!(entries["long"], format!("{}…", "é".repeat(127)));
    }

    #[test]
    fn a_config_beside_the_model_names_its_architecture() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(architecture_beside(folder.path()).reason().unwrap().why, Why::Absent);
        let write = |text: &str| std::fs::write(folder.path().join("config.json"), text).unwrap();
        for unusable in ["", "[1]", "{\"model_type\": 4}", "{}"] {
            write(unusable);
            assert_eq!(architecture_beside(folder.path()).reason().unwrap().why, Why::Absent, "{unusable}");
        }
        write(r#"{"architectures": ["WhisperForConditionalGeneration"]}"#);
        assert_eq!(architecture_beside(folder.path()), Fact::Known("WhisperForConditionalGeneration".into()));
        write(r#"{"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}"#);
        assert_eq!(architecture_beside(folder.path()), Fact::Known("whisper".into()));
    }
}
