//! The line of the deployment's code that a cause is about, where its evidence names one.

use crate::diagnosis::Diagnosis;
use serde_json::Value;

/// Ends of the names of files that are code or configuration, not logs.
const CODE: [&str; 9] = [".py", ".js", ".ts", ".sh", ".yaml", ".yml", ".toml", ".json", ".pbtxt"];
/// Places that are looked at.
const PLACES_MAX: usize = 64;

/// File and line, from 1: the only one that the evidence names, else the first that the proof names in its words.
pub fn of(diagnosis: &Diagnosis) -> Option<(String, u64)> {
    let mut places = Vec::new();
    diagnosis.evidence.iter().filter_map(|one| one.value.as_ref()).for_each(|value| collect(value, &mut places));
    places.dedup();
    match places.as_slice() {
        [only] => Some(only.clone()),
        many => many.iter().find(|(file, line)| diagnosis.because.contains(&format!("{file}:{line}"))).cloned(),
    }
}

fn collect(value: &Value, places: &mut Vec<(String, u64)>) {
    if places.len() >= PLACES_MAX {
        return;
    }
    match value {
        Value::Object(members) => {
            let named = members.get("file").and_then(Value::as_str).zip(members.get("line").and_then(Value::as_u64));
            let place = named.map(|(file, line)| (file.to_owned(), line));
            let at = members.get("at").and_then(Value::as_str).and_then(parted);
            places.extend(place.or(at).filter(|(file, _)| is_code(file)));
            members.values().for_each(|member| collect(member, places));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, places)),
        _ => {}
    }
}

/// `/app/server.py:41`.
fn parted(text: &str) -> Option<(String, u64)> {
    let (file, line) = text.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

fn is_code(file: &str) -> bool {
    CODE.iter().any(|end| file.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_found_where_they_are_named() {
        let mut places = Vec::new();
        let value = json!([
            {"file": "/app/server.py", "line": 41, "text": "x"},
            {"deep": {"at": "client.py:14"}},
            {"at": "2026-01-01T00:00:21"},
            {"file": "/var/log/server.log", "line": 3},
        ]);
        collect(&value, &mut places);
        assert_eq!(places, [("/app/server.py".to_owned(), 41), ("client.py".to_owned(), 14)]);
    }
}
