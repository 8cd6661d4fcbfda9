//! Two trees of facts, leaf by leaf: what differs, and where.

use serde_json::Value;
use std::collections::BTreeSet;

/// Members by which the items of a list are told apart, the first that all of them have and that is different in each.
const NAMES: &[&str] = &[
    "index",
    "ordinal",
    "name",
    "distribution",
    "module",
    "path",
    "soname",
    "id",
    "address",
    "check",
    "users",
    "kind",
];
/// Leaves that differ, at most; the rest is not looked at.
const LEAVES_MAX: usize = 20_000;

/// A leaf that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf<'v> {
    /// Its path as it is told: `nvml.gpus[0].name`.
    pub path: String,
    /// Its path as checks write it: `nvml.gpus[].name`.
    pub fact: String,
    /// Before, if it was there.
    pub before: Option<&'v Value>,
    /// After, if it is there.
    pub after: Option<&'v Value>,
}

/// The leaves that differ, in the order of the first tree. A list of plain values is one leaf.
pub fn differing<'v>(before: &'v Value, after: &'v Value) -> Vec<Leaf<'v>> {
    let mut leaves = Vec::new();
    walk("", "", Some(before), Some(after), &mut leaves);
    leaves
}

fn walk<'v>(path: &str, fact: &str, before: Option<&'v Value>, after: Option<&'v Value>, leaves: &mut Vec<Leaf<'v>>) {
    if before == after || leaves.len() >= LEAVES_MAX {
        return;
    }
    match (before, after) {
        (Some(Value::Object(_)) | None, Some(Value::Object(_)) | None) => {
            let members = [before, after].map(|side| side.and_then(Value::as_object));
            let names = members.into_iter().flatten().flat_map(|members| members.keys());
            let mut seen = BTreeSet::new();
            for name in names.filter(|name| seen.insert(name.as_str())) {
                let [one, other] = members.map(|members| members.and_then(|members| members.get(name)));
                walk(&joined(path, name), &joined(fact, name), one, other, leaves);
            }
        }
        (Some(Value::Array(_)) | None, Some(Value::Array(_)) | None)
            if is_of_objects(before) || is_of_objects(after) =>
        {
            items(path, fact, before, after, leaves);
        }
        _ => leaves.push(Leaf { path: path.into(), fact: fact.into(), before, after }),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn is_of_objects(list: Option<&Value>) -> bool {
    list.and_then(Value::as_array).is_some_and(|items| items.iter().any(Value::is_object))
}

fn items<'v>(path: &str, fact: &str, before: Option<&'v Value>, after: Option<&'v Value>, leaves: &mut Vec<Leaf<'v>>) {
    let lists = [before, after].map(|list| list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default());
    let fact = format!("{fact}[]");
    let names = NAMES.iter().find_map(|name| Some((named(lists[0], name)?, named(lists[1], name)?)));
    let Some((first, second)) = names else {
        for number in 0..lists[0].len().max(lists[1].len()) {
            walk(&format!("{path}[{number}]"), &fact, lists[0].get(number), lists[1].get(number), leaves);
        }
        return;
    };
    for (name, item) in first.iter().zip(lists[0]) {
        let twin = second.iter().position(|other| other == name).and_then(|at| lists[1].get(at));
        walk(&format!("{path}[{name}]"), &fact, Some(item), twin, leaves);
    }
    for (name, item) in second.iter().zip(lists[1]).filter(|(name, _)| !first.contains(name)) {
        walk(&format!("{path}[{name}]"), &fact, None, Some(item), leaves);
    }
}

/// The items' names by this member, if each has one of its own.
fn named(items: &[Value], member: &str) -> Option<Vec<String>> {
    let name = |item: &Value| match item.get(member)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let names: Vec<String> = items.iter().map(name).collect::<Option<_>>()?;
    let distinct: BTreeSet<&String> = names.iter().collect();
    (distinct.len() == names.len()).then_some(names)
}
