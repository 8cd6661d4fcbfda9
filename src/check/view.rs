//! The facts as checks see them: known values under their paths, unknown ones left out and remembered.

use super::derive::Derived;
use crate::snapshot::{Facts, Snapshot, Target, Unknown, Why};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// Everything that a path in a check may name.
#[derive(Serialize, JsonSchema)]
pub(super) struct Names {
    /// What was asked about.
    target: Target,
    /// What follows from the facts.
    derived: Derived,
    /// The facts.
    #[serde(flatten)]
    facts: Facts,
}

/// The facts of one snapshot, ready to be judged.
pub struct View {
    /// Known values, by path.
    values: Value,
    /// Unknown facts: their path, with `[]` for any element of a list, and their reason.
    unknown: Vec<(String, Unknown)>,
}

impl View {
    /// The view of a snapshot.
    pub fn of(snapshot: &Snapshot) -> View {
        let derived = Derived::of(&snapshot.facts, &snapshot.target.expect);
        let names = Names { target: snapshot.target.clone(), derived, facts: snapshot.facts.clone() };
        let mut values = serde_json::to_value(names).expect("facts are plain JSON");
        let mut unknown = Vec::new();
        if !keep_known(&mut values, &mut String::new(), &mut unknown) {
            values = Value::Null;
        }
        View { values, unknown }
    }

    /// The known values as one JSON object.
    pub fn values(&self) -> &Value {
        &self.values
    }

    /// Every unknown fact in the snapshot's order.
    pub fn unknown(&self) -> &[(String, Unknown)] {
        &self.unknown
    }

    /// The known value at a path without list steps.
    pub fn value(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.values, |value, name| value.get(name))
    }

    /// The unknown facts at a path, above it or below it.
    pub fn unknown_at<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a (String, Unknown)> {
        self.unknown.iter().filter(move |(place, _)| match place.len() <= path.len() {
            true => reaches(place, path),
            false => reaches(path, place),
        })
    }

    /// The reason why the fact at exactly this path, or the list or record around it, is unknown.
    pub fn reason(&self, path: &str) -> Option<&Unknown> {
        self.unknown.iter().find(|(place, _)| reaches(place, path)).map(|(_, unknown)| unknown)
    }
}

/// Whether `path` is `start` or lies below it.
fn reaches(start: &str, path: &str) -> bool {
    path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[]"))
}

/// Unwraps `{"known": v}` to `v`, takes `{"unknown": r}` out and remembers it. In place, since most of it stays. False if
/// the value itself is unknown.
fn keep_known(value: &mut Value, path: &mut String, unknown: &mut Vec<(String, Unknown)>) -> bool {
    let length = path.len();
    match value {
        Value::Object(object) => {
            if object.len() == 1 {
                if let Some(mut known) = object.remove("known") {
                    let kept = keep_known(&mut known, path, unknown);
                    *value = known;
                    return kept;
                }
                if let Some(reason) = object.remove("unknown") {
                    let reason = serde_json::from_value(reason)
                        .unwrap_or_else(|error| Unknown::new(Why::Malformed, error.to_string()));
                    unknown.push((path.clone(), reason));
                    return false;
                }
            }
            object.retain(|name, value| {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
                let kept = keep_known(value, path, unknown);
                path.truncate(length);
                kept
            });
        }
        Value::Array(items) => {
            path.push_str("[]");
            items.retain_mut(|item| keep_known(item, path, unknown));
            path.truncate(length);
        }
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn known_values_keep_their_path_and_unknown_ones_keep_their_reason() {
        let mut values = json!({"nvml": {
            "status": {"known": "ok"},
            "gpus": {"known": [{"index": 0, "name": {"unknown": {"why": "denied", "detail": "x"}}}]},
            "init_code": {"unknown": {"why": "timed_out", "detail": "y"}},
        }});
        let mut unknown = Vec::new();
        assert!(keep_known(&mut values, &mut String::new(), &mut unknown));
        assert_eq!(values, json!({"nvml": {"status": "ok", "gpus": [{"index": 0}]}}));
        let view = View { values, unknown };
        let paths: Vec<&str> = view.unknown().iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["nvml.gpus[].name", "nvml.init_code"]);
        assert_eq!(view.unknown_at("nvml.gpus").count(), 1);
        assert_eq!(view.reason("nvml.init_code").map(|u| u.why), Some(Why::TimedOut));
        assert_eq!(view.reason("nvml.init"), None);
    }
}
