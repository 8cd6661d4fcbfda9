//! Fields of answers: what is missing or of another type has a reason, never a default.

use crate::snapshot::{Unknown, Why};
use serde_json::Value;

/// Entries read of one list or object.
pub const ENTRIES_MAX: usize = 256;

/// The field `name`.
pub fn field<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Unknown> {
    let found = value.get(name).filter(|found| !found.is_null());
    found.ok_or_else(|| Unknown::new(Why::Absent, format!("the answer has no field {name}")))
}

/// The text in the field `name`.
pub fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, Unknown> {
    field(value, name)?.as_str().ok_or_else(|| wrong(name, "a text"))
}

/// The number in the field `name`, at least 0 and whole.
pub fn number(value: &Value, name: &str) -> Result<u64, Unknown> {
    field(value, name)?.as_u64().ok_or_else(|| wrong(name, "a whole number"))
}

/// Whether the field `name` is true.
pub fn truth(value: &Value, name: &str) -> Result<bool, Unknown> {
    field(value, name)?.as_bool().ok_or_else(|| wrong(name, "true or false"))
}

/// The list in the field `name`, of which at most [`ENTRIES_MAX`] entries are read.
pub fn list<'a>(value: &'a Value, name: &str) -> Result<impl Iterator<Item = &'a Value>, Unknown> {
    let list = field(value, name)?.as_array().ok_or_else(|| wrong(name, "a list"))?;
    Ok(list.iter().take(ENTRIES_MAX))
}

/// What is not of the type that it should be.
pub fn wrong(name: &str, wanted: &str) -> Unknown {
    Unknown::new(Why::Malformed, format!("{name} in the answer is not {wanted}"))
}
