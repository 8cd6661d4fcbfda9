//! Facts that a child reports one by one, so that what it learned before a fault is kept.

use super::{Report, Reporter};
use crate::snapshot::{Fact, Unknown, Why};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

impl Reporter {
    /// Reports one fact of the room; `at` is its JSON pointer there: `/gpus/known/0/name`.
    pub fn fact<T: Serialize>(&mut self, at: &str, fact: &Fact<T>) {
        self.part(json!({ "at": at, "fact": fact }));
    }
}

impl Report {
    /// Why what the child did not report is unknown: the fault that ended it, else its own account.
    pub fn unreported(&self) -> Unknown {
        match self.result() {
            Err(fault) => fault,
            Ok(result) => serde_json::from_value(result["unreported"].clone())
                .unwrap_or_else(|_| Unknown::new(Why::Absent, format!("job {} did not report it", self.job))),
        }
    }
}

/// The result of a job that reported its facts one by one; `unreported` is why there are no others.
pub fn account(unreported: Option<&Unknown>) -> Value {
    json!({ "unreported": unreported })
}

/// Lays the facts in `parts` over `base`, in order. A part at a place that `base` lacks is left out.
pub fn lay_over<R: Serialize + DeserializeOwned>(base: &R, parts: &[Value]) -> Result<R, Unknown> {
    let malformed =
        |error: serde_json::Error| Unknown::new(Why::Malformed, format!("what the child reported: {error}"));
    let mut room = serde_json::to_value(base).map_err(malformed)?;
    for part in parts {
        let place = part["at"].as_str().and_then(|at| room.pointer_mut(at));
        if let (Some(place), Some(fact)) = (place, part.get("fact")) {
            *place = fact.clone();
        }
    }
    serde_json::from_value(room).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{NvmlFacts, Room};

    #[test]
    fn later_facts_win_and_the_rest_keeps_its_reason() {
        let base = NvmlFacts::all_unknown(&Unknown::new(Why::Crashed, "abort in nvmlInit_v2"));
        let parts = [
            json!({"at": "/status", "fact": {"known": "a"}}),
            json!({"at": "/status", "fact": {"known": "ok"}}),
            json!({"at": "/gpus/known/7/name", "fact": {"known": "nowhere"}}),
            json!({"gpu_count": 2}),
        ];
        let room = lay_over(&base, &parts).unwrap();
        assert_eq!(room.status, Fact::Known("ok".into()));
        assert_eq!(room.gpus, base.gpus);
    }

    #[test]
    fn a_fact_of_the_wrong_type_is_malformed() {
        let base = NvmlFacts::all_unknown(&Unknown::new(Why::Absent, ""));
        let parts = [json!({"at": "/init_code", "fact": {"known": "zero"}})];
        assert_eq!(lay_over(&base, &parts).unwrap_err().why, Why::Malformed);
    }
}
