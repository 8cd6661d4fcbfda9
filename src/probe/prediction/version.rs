//! For which onnxruntime to predict.

use super::super::Context;
use super::tables;
use crate::snapshot::{Facts, Unknown};

/// The version asked for, and the one whose tables are used.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The version to predict for.
    pub version: String,
    /// Whose version that is.
    pub from: &'static str,
    /// The nearest version in the tables.
    pub tables: &'static str,
}

/// Chooses: the user's word, the deployment's library, its packages, the newest known.
pub fn choose(context: &Context, facts: &Facts) -> Result<Choice, Unknown> {
    let known = tables::versions()?;
    let newest = known.last().copied().unwrap_or_default();
    let installed = facts.packages.distributions.known().and_then(|distributions| {
        let of = |name: &str| distributions.iter().find(|one| one.name == name).map(|one| one.version.clone());
        of("onnxruntime-gpu").or_else(|| of("onnxruntime"))
    });
    let asked = context.ask.placement.for_version.clone();
    let (version, from) = match (asked, facts.ort.version.known(), installed) {
        (Some(version), _, _) => (version, "--for-onnxruntime"),
        (None, Some(version), _) => (version.clone(), "the deployment's onnxruntime"),
        (None, None, Some(version)) => (version, "the deployment's packages"),
        (None, None, None) => (newest.to_string(), "the newest known"),
    };
    let tables = nearest(&version, &known).unwrap_or(newest);
    Ok(Choice { version, from, tables })
}

/// The known version nearest to `version`: by major, minor, then patch number; of two as near, the older.
fn nearest(version: &str, known: &[&'static str]) -> Option<&'static str> {
    let wanted = numbers(version)?;
    // What is newer than all is like the newest.
    if let Some(newest) = known.last().copied().filter(|newest| numbers(newest).is_some_and(|newest| wanted > newest)) {
        return Some(newest);
    }
    known.iter().copied().min_by_key(|own| {
        let own = numbers(own).unwrap_or_default();
        [0, 1, 2].map(|at| wanted[at].abs_diff(own[at]))
    })
}

/// The first three numbers of a version; missing ones are 0.
fn numbers(version: &str) -> Option<[u64; 3]> {
    let mut found = [0; 3];
    for (at, part) in version.trim().trim_start_matches('v').split('.').take(3).enumerate() {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        if at < 2 && digits.is_empty() {
            return None;
        }
        found[at] = digits.parse().unwrap_or(0);
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_version_is_taken() {
        let known = ["1.19.2", "1.20.2", "1.23.2", "1.31.1"];
        for (version, expected) in [
            ("1.23.2", "1.23.2"),
            ("1.23.0", "1.23.2"),
            ("1.17.1", "1.19.2"),
            ("1.22.0", "1.23.2"),
            ("1.20.0.dev20250101+cu124", "1.20.2"),
            ("2.0.0", "1.31.1"),
        ] {
            assert_eq!(nearest(version, &known), Some(expected), "{version}");
        }
        assert_eq!(nearest("newest", &known), None);
    }
}
