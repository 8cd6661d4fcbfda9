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
const MOST_TERMS: usize = 3;

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
    // What the cause itself says rules out others without being news.
    let said: Vec<Term> = reasons.showing(cause.check).concat();
    let (mut in_words, mut by_paths) = (Vec::new(), Vec::new());
    for other in neighbours {
        let mut refuting = reasons.refuting(other.check);
        refuting.retain(|terms| !terms.iter().all(|term| said.contains(term)));
        let Some((plain, by)) = by(other, &refuting, view) else { continue };
        let ruled_out = RuledOut { cause: other.check.spec.id.clone(), by };
        if plain {
            by_paths.push(ruled_out)
        } else {
            in_words.push(ruled_out)
        }
        if in_words.len() == MOST {
            break;
        }
    }
    // What can be said in words stands before what cannot.
    in_words.extend(by_paths);
    in_words.truncate(MOST);
    in_words
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

/// What rules it out, the plainest of what does, of which each suffices; and whether it is told by paths, for want of words.
fn by(neighbour: &Finding, refuting: &[Vec<Term>], view: &View) -> Option<(bool, String)> {
    let told = |terms: &Vec<Term>, clause: &dyn Fn(&Term) -> Option<String>| {
        let mut clauses: Vec<String> = terms.iter().map(clause).collect::<Option<_>>()?;
        clauses.dedup();
        // That it is written nowhere is worth a word only where nothing else is said.
        let is_of_paper = |words: &String| words == words::IN_NO_LOG || words == words::IN_NO_FILE;
        if !clauses.iter().all(is_of_paper) {
            clauses.retain(|words| !is_of_paper(words));
        }
        Some((terms.iter().all(words::is_of_all), clauses.len(), clauses.join(", and ")))
    };
    let best = |clause: &dyn Fn(&Term) -> Option<String>| {
        let groups = refuting.iter().filter(|terms| !terms.is_empty() && terms.len() <= MOST_TERMS);
        let told = groups.filter_map(|terms| told(terms, clause));
        told.min_by_key(|(of_all, count, _)| (*of_all, *count)).map(|(.., words)| words)
    };
    let in_words = best(&|term| words::clause(&neighbour.check.spec.id, term, view));
    let by_path = || best(&|term| words::plain_clause(term, view));
    in_words.map(|words| (false, words)).or_else(|| by_path().map(|words| (true, words)))
}
