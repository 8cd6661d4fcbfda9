//! Floor 2: what leaves the machine. Between the snapshot and everything that is told of it.
//!
//! Secrets always go. Identifiers (names of machines and users, addresses, serial numbers, UUIDs of GPUs) become tokens
//! wherever a report goes beyond the person who runs the doctor. What is found in one place is then replaced in every
//! other, in which it would not be recognized by itself.

mod addresses;
mod closed;
pub mod fuzzing;
mod hosts;
mod known;
mod numbers;
mod own;
mod patterns;
mod places;
mod public;
mod qualified;
mod said;
mod token;
mod users;
mod walk;

pub use own::Own;
pub use token::Salt;

use crate::secret;
use crate::snapshot::{Facts, SCHEMA, SCHEMA_MINOR, Snapshot, Unknown, Why};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use walk::Walk;

/// What becomes of host names, addresses, users' folders, serial numbers and UUIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identifiers {
    /// They stay.
    Kept,
    /// Tokens stand for them, the same for the same.
    Masked,
}

/// What is known of one snapshot's secrets and identifiers, and the snapshot without them.
#[derive(Debug)]
pub struct Redaction {
    /// The snapshot without secrets, and with identifiers as asked for.
    pub snapshot: Snapshot,
    /// Whether tokens stand for identifiers in it.
    pub masked: bool,
    walk: Walk,
}

impl Redaction {
    /// Redacts a snapshot on this machine.
    pub fn of(snapshot: &Snapshot, identifiers: Identifiers) -> Self {
        Self::with(snapshot, identifiers, &Own::of_this_machine(), Salt::of_this_machine())
    }

    /// The same with this salt, and with what `own` says of the machine.
    pub fn with(snapshot: &Snapshot, identifiers: Identifiers, own: &Own, salt: Salt) -> Self {
        let mut walk = Walk::new(identifiers, own, salt);
        let mut value = serde_json::to_value(snapshot).unwrap_or_default();
        walk.redact(&mut value);
        let masked = walk.found_identifiers();
        let snapshot = readable(value);
        Self { snapshot, masked, walk }
    }

    /// What a command adds to the report, likewise; none if it cannot be read after that: better left out than told whole.
    pub fn value<T: Serialize + DeserializeOwned>(&mut self, added: &T) -> Option<T> {
        let mut value = serde_json::to_value(added).ok()?;
        self.walk.redact(&mut value);
        self.masked |= self.walk.found_identifiers();
        serde_json::from_value(value).ok()
    }
}

/// Documents that are told together, such as the two that are compared: a name that only one of them gives away as such is
/// masked in the other's text too.
pub fn redacted_together(documents: &mut [Value], identifiers: Identifiers, own: &Own, salt: Salt) {
    Walk::new(identifiers, own, salt).redact_all(documents);
}

/// The snapshot that the redacted value is. A part that cannot be read, as a token stands where only certain words may, is
/// left out, and said to be; what it was before is never told.
pub fn readable(mut value: Value) -> Snapshot {
    if let Ok(snapshot) = Snapshot::deserialize(&value) {
        return snapshot;
    }
    fn part<T: DeserializeOwned>(value: &mut Value, name: &str) -> Option<T> {
        serde_json::from_value(value.get_mut(name)?.take()).ok()
    }
    let left_out = Unknown::new(Why::Malformed, "left out of this snapshot: it could not be read after redaction");
    let probes: Vec<Value> = part(&mut value, "probes").unwrap_or_default();
    let mut facts = Facts::all_unknown(&left_out);
    let unknown = serde_json::to_value(&facts).unwrap_or_default();
    let rooms: Map<String, Value> = part(&mut value, "facts").unwrap_or_default();
    for (name, room) in rooms {
        let mut one = unknown.clone();
        if let Some(place) = one.get_mut(&name) {
            *place = room;
            if let Ok(read) = Facts::deserialize(&one) {
                facts.take_room(&name, &read);
            }
        }
    }
    Snapshot {
        schema: SCHEMA.into(),
        schema_minor: SCHEMA_MINOR,
        tool: part(&mut value, "tool").unwrap_or_default(),
        taken_at: part(&mut value, "taken_at").unwrap_or_default(),
        target: part(&mut value, "target").unwrap_or_default(),
        probes: probes.into_iter().filter_map(|probe| serde_json::from_value(probe).ok()).collect(),
        facts,
    }
}

/// The snapshot without secrets, and with identifiers as asked for.
pub fn redacted(snapshot: &Snapshot, identifiers: Identifiers) -> Snapshot {
    Redaction::of(snapshot, identifiers).snapshot
}

/// Any document, such as one that is not a snapshot.
pub fn redacted_value(value: &mut Value, identifiers: Identifiers, own: &Own, salt: Salt) {
    Walk::new(identifiers, own, salt).redact(value);
}

/// A text for standard error, without secrets. Names and addresses stay: it is for the person who runs the doctor.
pub fn without_secrets(text: &str) -> Cow<'_, str> {
    secret::masked(text)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_names;
