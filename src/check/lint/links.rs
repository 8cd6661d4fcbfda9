//! What is right among several checks: ids that are one check's, and explanations that lead somewhere.

use super::{Draft, Found};
use crate::check::load::Checks;
use crate::check::yaml::{Kind, Place};
use crate::words::nearest;
use std::collections::{BTreeMap, BTreeSet};

/// An id of `explains`, and where it stands; nowhere for a check beside those under examination.
type Effects = BTreeMap<String, Vec<(String, Option<Place>)>>;

/// Finds ids that stand twice, that no check has, and causes that are their own effect.
pub fn between(drafts: &mut [Draft], others: Option<&Checks>) {
    let mut effects: Effects = BTreeMap::new();
    for check in others.iter().flat_map(|checks| checks.iter()) {
        let ids = check.spec.explains.iter().map(|id| (id.clone(), None));
        effects.insert(check.spec.id.clone(), ids.collect());
    }
    let mut owner: BTreeMap<String, String> = BTreeMap::new();
    for draft in drafts.iter_mut() {
        let Some((id, place)) = id(draft) else { continue };
        if let Some(other) = others.and_then(|checks| checks.get(&id)) {
            let problem = format!("id: the built-in {} has it", other.file);
            draft.found.push(Found::at(place, problem, "choose another, with a word of your own in front"));
        } else if let Some(other) = owner.insert(id.clone(), draft.file.clone()) {
            draft.found.push(Found::at(place, format!("id: {other} has it too"), "choose another"));
        }
        effects.insert(id, explained(draft));
    }
    for draft in drafts.iter_mut() {
        for (effect, place) in explained(draft) {
            if !effects.contains_key(&effect) {
                let near = nearest(&effect, effects.keys().map(String::as_str), 0.8);
                let help = near.map_or("`gpu-doctor checks list` shows all".into(), |id| format!("did you mean {id}?"));
                let place = place.unwrap_or(draft.document.root.place);
                draft.found.push(Found::at(place, format!("explains: no check has the id \"{effect}\""), help));
            }
        }
        let Some((id, _)) = self::id(draft) else { continue };
        if let Some((way, place)) = circle(&id, &effects) {
            let problem = format!("explains: a cause cannot be its own effect, and {}", way.join(" explains "));
            let place = place.unwrap_or(draft.document.root.place);
            draft.found.push(Found::at(place, problem, "leave one of them out"));
        }
    }
}

fn id(draft: &Draft) -> Option<(String, Place)> {
    let (_, node) = draft.document.root.entry("id")?;
    Some((node.text()?.to_owned(), node.place))
}

fn explained(draft: &Draft) -> Vec<(String, Option<Place>)> {
    let Some((_, node)) = draft.document.root.entry("explains") else { return Vec::new() };
    let Kind::List(items) = &node.kind else { return Vec::new() };
    items.iter().filter_map(|item| Some((item.text()?.to_owned(), Some(item.place)))).collect()
}

/// The way on which a check comes to explain itself, ids from it and back to it, and where its first step stands.
fn circle<'a>(id: &'a str, effects: &'a Effects) -> Option<(Vec<&'a str>, Option<Place>)> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![(vec![id], None)];
    while let Some((way, first)) = ways.pop() {
        let last = way.last().and_then(|last| effects.get(*last));
        for (next, place) in last.into_iter().flatten() {
            let longer: Vec<&str> = way.iter().copied().chain([next.as_str()]).collect();
            let first = first.or(*place);
            if next == id {
                return Some((longer, first));
            }
            if seen.insert(next.as_str()) {
                ways.push((longer, first));
            }
        }
    }
    None
}
