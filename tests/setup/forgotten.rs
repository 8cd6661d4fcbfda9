//! Snapshots that lack one fact.

use gpu_doctor::snapshot::{Fact, Snapshot, Why};
use serde_json::json;

/// Every snapshot that differs from this one in one fact that is not known any more.
pub fn each_fact_forgotten(snapshot: &Snapshot, why: Why) -> Vec<(String, Snapshot)> {
    let whole = serde_json::to_value(&snapshot.facts).unwrap();
    let forgotten = serde_json::to_value(Fact::<()>::unknown(why, "it could not be read")).unwrap();
    let mut all = Vec::new();
    for (room, facts) in whole.as_object().unwrap() {
        for (name, _) in facts.as_object().unwrap().iter().filter(|(_, fact)| fact.get("known").is_some()) {
            // Only the room is written and read anew: the rest is the same, and there are hundreds of facts.
            let mut changed = facts.clone();
            changed[name] = forgotten.clone();
            let mut without = snapshot.clone();
            without.facts.take_room(room, &serde_json::from_value(json!({ room: changed })).unwrap());
            all.push((format!("{room}.{name}"), without));
        }
    }
    all
}
