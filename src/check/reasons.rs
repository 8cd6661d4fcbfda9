//! Why a check came out as it did: the terms of its conditions that decided.

use super::expr::{Term, Values};
use super::load::Check;
use super::view::View;

/// The facts, ready to be asked for reasons.
pub struct Reasons(Values);

impl Reasons {
    /// Over the facts of a snapshot.
    pub fn of(view: &View) -> Reasons {
        Reasons(Values::new(view.values()))
    }

    /// The terms that rule a check out, in its order: each inner list is enough by itself. Empty unless it is clear.
    pub fn refuting(&self, check: &Check) -> Vec<Vec<Term>> {
        check.when.decided_by(&self.0, false)
    }

    /// The terms that make a check hold, likewise.
    pub fn showing(&self, check: &Check) -> Vec<Vec<Term>> {
        check.when.decided_by(&self.0, true)
    }

    /// The terms that make a finding proven which is otherwise less sure.
    pub fn proving(&self, check: &Check) -> Vec<Vec<Term>> {
        check.proven_if.as_ref().map(|condition| condition.decided_by(&self.0, true)).unwrap_or_default()
    }
}
