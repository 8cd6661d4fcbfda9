//! The JSON Schemas of what programs read.

use super::{DifferenceReport, Report};
use serde_json::Value;

/// The JSON Schema of a report, as programs that read it should take it: a later minor version adds members, so that those
/// which it does not name are allowed.
pub fn json_schema() -> Value {
    open(strict_schema())
}

/// The same of what `diff` tells.
pub fn difference_json_schema() -> Value {
    let schema = schemars::schema_for!(DifferenceReport);
    open(serde_json::to_value(schema).expect("a schema is plain JSON"))
}

/// The schema of a report as the types of this version have it: what it does not name, this version does not read.
pub fn strict_schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Report)).expect("a schema is plain JSON")
}

/// Allows members that the schema does not name. Alternatives stay apart by the members that each must have.
fn open(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(members) => {
            if members.get("additionalProperties") == Some(&Value::Bool(false)) {
                members.shift_remove("additionalProperties");
            }
            members.values_mut().for_each(|member| *member = open(member.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = open(item.take())),
        _ => {}
    }
    schema
}
