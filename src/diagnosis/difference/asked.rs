//! What was asked of one run and not of the other.

use super::Run;
use crate::snapshot::Target;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Settings that follow from others.
const UNTOLD: &[&str] = &["command", "server_is_local"];
/// A setting without a value.
const NOT_GIVEN: &str = "not given";
/// The setting of what is accepted: it asks nothing.
const WAIVERS: &str = "waivers";

/// One thing that was asked otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// The setting: `server`, `model`, `checks`, `tool`, `waivers`.
    pub setting: String,
    /// What it was before, in words.
    pub before: String,
    /// What it is after.
    pub after: String,
}

/// The differences, in the order of the settings.
pub fn of(before: &Run, after: &Run) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut tell = |setting: &str, before: String, after: String| {
        if before != after {
            asked.push(Asked { setting: setting.into(), before, after });
        }
    };
    let settings = |target: &Target| match serde_json::to_value(target) {
        Ok(Value::Object(settings)) => settings,
        _ => serde_json::Map::new(),
    };
    let (one, other) = (settings(before.target), settings(after.target));
    for name in one.keys().filter(|name| !UNTOLD.contains(&name.as_str())) {
        tell(name, words(one.get(name)), words(other.get(name)));
    }
    let waived = |run: &Run| match run.waivers {
        [] => NOT_GIVEN.to_owned(),
        waivers => waivers.iter().map(|one| format!("{} until {}", one.id, one.until)).collect::<Vec<_>>().join(", "),
    };
    tell(WAIVERS, waived(before), waived(after));
    // Of two reports each was judged by the checks of its own version.
    tell("tool", before.tool.into(), after.tool.into());
    let judged = |run: &Run| run.findings.iter().map(|finding| finding.check.clone()).collect::<BTreeSet<_>>();
    let (first, second) = (judged(before), judged(after));
    let only = |these: &BTreeSet<String>, others: &BTreeSet<String>| {
        let more = these.difference(others).count();
        format!(
            "{}{}",
            crate::words::count(these.len(), "check"),
            if more > 0 { format!(", {more} of them only here") } else { String::new() }
        )
    };
    if first != second {
        tell("checks", only(&first, &second), only(&second, &first));
    }
    asked
}

/// Whether less was asked of the second run, for all that is recorded.
pub fn is_less(after: &Run, asked: &[Asked]) -> bool {
    let chosen = after.target.command.iter().any(|word| word == "--only" || word.starts_with("--only="));
    chosen || asked.iter().any(|one| one.after == NOT_GIVEN && one.setting != WAIVERS)
}

fn words(setting: Option<&Value>) -> String {
    let plain = |value: &Value| match value {
        Value::Null => None,
        Value::Bool(given) => given.then(|| "yes".to_owned()),
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Array(items) if items.is_empty() => None,
        Value::Array(items) => Some(
            items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        Value::Object(members) if members.values().all(Value::is_null) => None,
        other => Some(other.to_string()),
    };
    setting.and_then(plain).unwrap_or_else(|| NOT_GIVEN.into())
}
