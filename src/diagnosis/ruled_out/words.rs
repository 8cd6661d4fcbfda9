//! What a term says of a fact, in words.

use crate::check::{Term, View};

/// Whether a term is asked by many checks alike, so that it says little of one.
pub fn is_of_all(term: &Term) -> bool {
    let first = term.paths.first().map(String::as_str);
    matches!(first, Some("derived.gpu_visible" | "derived.gpu_seen_working" | "request.reachable" | "container.kind"))
}

/// The clause, if there are words for it.
pub fn clause(term: &Term, view: &View) -> Option<String> {
    let _ = view;
    Some(format!("{} {:?} {}", term.paths.first()?, term.asks, term.is_so))
}
