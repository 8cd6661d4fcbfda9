//! The config file with every key: what was found is filled in, the rest is off.

use crate::words::plain;
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Every key with a line of explanation and an example, each off.
pub const TEMPLATE: &str = include_str!("template.yaml");
/// Longest line of a comment, characters.
const COMMENT_MAX: usize = 400;

/// What was found for the file, by the path of the key: `request.path`.
#[derive(Debug, Default)]
pub struct Found {
    /// Values, as YAML, and where each was found.
    pub values: BTreeMap<&'static str, (String, String)>,
    /// What the key would be here, as YAML; it stays off.
    pub examples: BTreeMap<&'static str, String>,
    /// Further lines of explanation.
    pub notes: Vec<(&'static str, String)>,
}

impl Found {
    /// Fills in a text.
    pub fn text(&mut self, key: &'static str, value: &str, place: impl Into<String>) {
        self.values.insert(key, (quoted(value), place.into()));
    }

    /// Fills in a value that is YAML already.
    pub fn value(&mut self, key: &'static str, value: impl ToString, place: impl Into<String>) {
        self.values.insert(key, (value.to_string(), place.into()));
    }

    /// Adds a line of explanation to a key.
    pub fn note(&mut self, key: &'static str, text: impl Into<String>) {
        self.notes.push((key, text.into()));
    }
}

/// A text as YAML: as it is where that can be nothing else, else in quotes, in which JSON's escapes are YAML's.
pub fn quoted(text: &str) -> String {
    static HARMLESS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^(?:[A-Za-z/][A-Za-z0-9_./+-]*|[a-z]+://[A-Za-z0-9_./:-]+)$").expect("a valid pattern")
    });
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    match HARMLESS.is_match(text) && !words.contains(&text.to_lowercase().as_str()) {
        true => text.to_owned(),
        false => serde_json::Value::from(text).to_string(),
    }
}

/// A setting of the template that is off: indentation, mark of a list, name, value.
fn setting(line: &str) -> Option<(usize, &str, &str, &str)> {
    static SETTING: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^#((?:  )*)(- )?([a-z_0-9-]+):(?: (.*))?$").expect("a valid pattern"));
    let parts = SETTING.captures(line)?;
    let part = |number| parts.get(number).map_or("", |part: regex::Match| part.as_str());
    Some((part(1).len() + part(2).len(), part(2), parts.get(3)?.as_str(), part(4)))
}

/// Every setting of the template with its path, in order.
fn settings() -> Vec<(String, &'static str)> {
    let mut stack: Vec<(usize, &str)> = Vec::new();
    let mut all = Vec::new();
    for line in TEMPLATE.lines() {
        let Some((indent, _, name, _)) = setting(line) else {
            all.push((String::new(), line));
            continue;
        };
        stack.retain(|(outer, _)| *outer < indent);
        stack.push((indent, name));
        all.push((stack.iter().map(|(_, name)| *name).collect::<Vec<_>>().join("."), line));
    }
    all
}

/// The file. `head` are lines at its beginning.
pub fn render(found: &Found, head: &[String]) -> String {
    let mut out = String::new();
    let mut write = |line: &str| {
        out.push_str(line);
        out.push('\n');
    };
    head.iter().for_each(|line| write(&comment(line)));
    for (path, line) in settings() {
        let Some((indent, mark, name, _)) = setting(line) else {
            write(line);
            continue;
        };
        found.notes.iter().filter(|(key, _)| *key == path).for_each(|(_, note)| write(&comment(note)));
        let inside = format!("{path}.");
        let margin = " ".repeat(indent - mark.len());
        match (found.values.get(path.as_str()), found.examples.get(path.as_str())) {
            (Some((value, place)), _) => {
                write(&comment(&format!("Found: {place}.")));
                write(&format!("{margin}{mark}{name}: {value}"));
            }
            (None, Some(example)) => write(&format!("#{margin}{mark}{name}: {example}")),
            (None, None) if found.values.keys().any(|key| key.starts_with(&inside)) => {
                write(&format!("{margin}{mark}{name}:"));
            }
            (None, None) => write(line),
        }
    }
    out
}

/// A line of explanation; what servers say of themselves cannot leave it.
fn comment(text: &str) -> String {
    let text: String = plain(text).replace(['\n', '\r'], " ").chars().take(COMMENT_MAX).collect();
    format!("# {}", text.trim())
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
