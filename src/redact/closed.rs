//! Words that the snapshot's schema and the checks' conditions and ids give a meaning: a name that is one of them, such as a machine
//! called `absent`, is not replaced where the word may be meant.

use crate::check;
use crate::snapshot;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut words: BTreeSet<String> = [crate::TOOL, "gpu-doctor", "snapshot"].map(str::to_owned).into();
    of_schema(&snapshot::json_schema(), &mut words);
    let literal = Regex::new(r#""([^"\\\n]+)"|'([^'\\\n]+)'"#).expect("a valid pattern");
    let (ids, conditions) = check::ids_and_conditions();
    words.extend(ids.into_iter().map(|id| id.to_ascii_lowercase()));
    for condition in conditions {
        let texts = literal.captures_iter(&condition).filter_map(|found| found.iter().skip(1).flatten().next());
        words.extend(texts.map(|text| text.as_str().to_ascii_lowercase()));
    }
    words
});

fn of_schema(schema: &Value, words: &mut BTreeSet<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| of_schema(item, words)),
        Value::Object(members) => {
            let listed = members.get("enum").and_then(Value::as_array).into_iter().flatten();
            let texts = listed.chain(members.get("const")).filter_map(Value::as_str);
            words.extend(texts.map(str::to_ascii_lowercase));
            members.values().for_each(|item| of_schema(item, words));
        }
        _ => {}
    }
}

/// Whether the text is one of them.
pub fn is_closed(text: &str) -> bool {
    WORDS.contains(&text.to_ascii_lowercase())
}

/// All of them, small.
#[cfg(test)]
pub fn all() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(String::as_str)
}
