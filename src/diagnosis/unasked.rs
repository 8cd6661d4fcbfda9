//! What was not asked about and could say why, where only a symptom is known.

use super::Missing;
use super::ways::way;
use crate::check::{Finding, Verdict, View};
use crate::snapshot::{Snapshot, Why};

/// As many ways are offered at most, those that open the most checks first.
const MOST: usize = 4;

/// The options that would let further checks say what causes a symptom that no cause explains.
///
/// Such facts keep nothing undecided. They count only where all that was asked about brought no cause.
pub fn of(symptoms: &[&str], findings: &[Finding], snapshot: &Snapshot, view: &View) -> Vec<Missing> {
    let mut list: Vec<Missing> = Vec::new();
    for finding in findings {
        let Verdict::NotApplicable(detail) = &finding.verdict else { continue };
        let spec = &finding.check.spec;
        if !spec.explains.iter().any(|explained| symptoms.contains(&explained.as_str())) {
            continue;
        }
        let unasked = view.unknown().iter().find(|(_, unknown)| unknown.detail == *detail);
        let path = unasked.map_or(spec.stage.name(), |(path, _)| path.as_str());
        let why = Why::NotAsked.to_string();
        let get = way(path, &why, detail, snapshot);
        match list.iter_mut().find(|missing| missing.get == get) {
            _ if get.is_empty() => {}
            Some(missing) => missing.checks.push(spec.id.clone()),
            None => {
                let (path, detail) = (path.to_owned(), detail.clone());
                list.push(Missing { path, why, detail, checks: vec![spec.id.clone()], get });
            }
        }
    }
    list.sort_by_key(|missing| std::cmp::Reverse(missing.checks.len()));
    list.truncate(MOST);
    list
}
