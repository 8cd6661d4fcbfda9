//! Which neighbours of a cause were ruled out, and by what.

mod words;

#[cfg(test)]
mod tests;

use super::RuledOut;
use crate::check::{Finding, Reasons, Term, Verdict, View};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Neighbours that are told of one cause.
const MOST: usize = 12;

/// Terms that are told of one neighbour.
const MOST_TERMS: usize = 2;

/// The checks that would show the same as this cause and that are clear, the nearest first.
///
/// Near is what the author of either check tells apart from the other; then what breaks the same stage; then what has
/// most effects in common.
pub fn of(cause: &Finding, findings: &[Finding], reasons: &Reasons, view: &View) -> Vec<RuledOut> {
    let own = &cause.check.spec;
    let effects = effects(cause, findings);
    let is_neighbour = |other: &&Finding| {
        let spec = &other.check.spec;
        other.verdict == Verdict::Clear
            && spec.id != own.id
            && !spec.symptom
            // An effect of the cause is no alternative to it.
            && !own.explains.contains(&spec.id)
            && spec.explains.iter().any(|id| effects.contains(id.as_str()))
    };
    let mut neighbours: Vec<&Finding> = findings.iter().filter(is_neighbour).collect();
    neighbours.sort_by_cached_key(|other| {
        let spec = &other.check.spec;
        let told_apart = names(&own.told_apart, &spec.id) || names(&spec.told_apart, &own.id);
        let shared = spec.explains.iter().filter(|id| own.explains.contains(id)).count();
        (!told_apart, spec.stage != own.stage, Reverse(shared), spec.stage, spec.id.clone())
    });
    let told = neighbours.into_iter().filter_map(|other| {
        let by = by(&reasons.refuting(other.check), view)?;
        Some(RuledOut { cause: other.check.spec.id.clone(), by })
    });
    told.take(MOST).collect()
}

/// What is seen because of the cause; where nothing of it is, what would be.
fn effects<'f>(cause: &'f Finding, findings: &'f [Finding]) -> BTreeSet<&'f str> {
    let holds =
        |id: &&String| findings.iter().any(|other| other.verdict == Verdict::Holds && other.check.spec.id == **id);
    let explains = &cause.check.spec.explains;
    let seen: BTreeSet<&str> = explains.iter().filter(holds).map(String::as_str).collect();
    if seen.is_empty() { explains.iter().map(String::as_str).collect() } else { seen }
}

/// Whether a text names that id, not a longer one.
fn names(text: &str, id: &str) -> bool {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == id)
}

/// What rules it out, in words: the plainest of what does, of which each suffices.
fn by(refuting: &[Vec<Term>], view: &View) -> Option<String> {
    let told = refuting.iter().filter(|terms| !terms.is_empty() && terms.len() <= MOST_TERMS);
    let told = told.filter_map(|terms| {
        let clauses: Option<Vec<String>> = terms.iter().map(|term| words::clause(term, view)).collect();
        let mut clauses = clauses?;
        clauses.dedup();
        Some((terms.iter().any(words::is_of_all), clauses.len(), clauses.join(", and ")))
    });
    told.min_by_key(|(of_all, count, _)| (*of_all, *count)).map(|(.., words)| words)
}
