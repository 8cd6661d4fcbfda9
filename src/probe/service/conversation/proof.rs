//! Proves which fields are missing: with them the server accepts, without any one of them it rejects.

use super::{Added, Answered, Completed, Conversation, as_doctor};
use crate::snapshot::{MissingField, Unknown, Why};

/// The accepted request reduced to what it needs beyond the rejected one.
pub struct Proof {
    pub good: Answered,
    pub missing: Result<Vec<MissingField>, Unknown>,
}

/// Reduces the added fields to those without which the server rejects.
pub fn prove(talk: &mut Conversation, rejected: &Answered, completed: Completed) -> Proof {
    let Completed { accepted: mut good, added, .. } = completed;
    talk.begin_proof();
    let mut needed: Vec<Added> = Vec::new();
    let mut unproven = false;
    let several = added.len() > 1;
    for one in added {
        if !several {
            needed.push(one);
            break;
        }
        // A field that the answer named one by one may still be a symptom of another; each is tried.
        match talk.ask(&good.message.without(&one.field.name, one.field.place)) {
            Some(without) if without.exchange.accepted => good = without,
            Some(_) => needed.push(one),
            None => {
                unproven = true;
                needed.push(one);
            }
        }
    }
    // A server that was only not ready yet accepts by now what it rejected before.
    let by_trial = needed.is_empty() || needed.iter().any(|one| one.found_by == super::TRIED);
    if by_trial && !several {
        match talk.ask(&as_doctor(&rejected.message)) {
            Some(again) if again.exchange.accepted => {
                let detail = "the request that was rejected first was accepted when it was sent again: \
                              the server's answer does not depend on its fields alone";
                return Proof { good: again, missing: Err(Unknown::new(Why::Unsupported, detail)) };
            }
            Some(_) => {}
            None => unproven = true,
        }
    }
    if unproven {
        let names: Vec<&str> = needed.iter().map(|one| one.field.name.as_str()).collect();
        let detail = format!(
            "the server accepts with {} added, but the time or the requests did not suffice to prove that each is needed",
            names.join(", ")
        );
        return Proof { good, missing: Err(Unknown::new(Why::TimedOut, detail)) };
    }
    let missing = needed.iter().map(|one| record(talk, one)).collect();
    Proof { good, missing: Ok(missing) }
}

fn record(talk: &Conversation, one: &Added) -> MissingField {
    let says = match talk.described(&one.field.name) {
        Some(field) if field.required => "required",
        Some(_) => "optional",
        None => "unnamed",
    };
    MissingField {
        name: one.field.name.clone(),
        place: one.field.place.name().into(),
        value: talk.recorder.shown(&one.field),
        schema_says: says.into(),
        found_by: one.found_by.clone(),
    }
}
