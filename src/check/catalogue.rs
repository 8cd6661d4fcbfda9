//! The catalogue of known causes, against which the checks are counted.

use super::load::Checks;

/// The ids, under headings in brackets.
const IDS: &str = include_str!("../../fixtures/catalogue-ids.txt");

/// One layer of the catalogue, and how far the checks cover it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Coverage {
    /// The layer: `Host / driver`.
    pub section: &'static str,
    /// Causes that a check judges.
    pub covered: Vec<&'static str>,
    /// Causes that none does.
    pub missing: Vec<&'static str>,
}

/// How far `checks` cover the catalogue, layer by layer.
pub fn coverage(checks: &Checks) -> Vec<Coverage> {
    let mut sections: Vec<Coverage> = Vec::new();
    for line in IDS.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push(Coverage { section, covered: Vec::new(), missing: Vec::new() });
        } else if let Some(section) = sections.last_mut() {
            let ids = if checks.get(line).is_some() { &mut section.covered } else { &mut section.missing };
            ids.push(line);
        }
    }
    sections
}

/// Whether the catalogue names a cause of this id, whether or not a check judges it.
pub fn is_known_cause(id: &str) -> bool {
    IDS.lines().map(str::trim).any(|line| line == id && !line.is_empty() && !line.starts_with(['#', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_id_of_the_catalogue_is_counted_once_under_its_layer() {
        let sections = coverage(&Checks::load(None).unwrap());
        let ids: Vec<&str> = sections.iter().flat_map(|s| s.covered.iter().chain(&s.missing).copied()).collect();
        assert_eq!(ids.len(), 142);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 142, "an id stands twice");
        assert_eq!(sections.len(), 13);
        assert_eq!(sections[0].section, "Host / driver");
        assert!(sections[0].covered.contains(&"driver-not-loaded"));
    }

    #[test]
    fn causes_are_known_by_their_ids_alone() {
        assert!(is_known_cause("driver-not-loaded"));
        for text in ["", " ", "[Host / driver]", "#", "driver"] {
            assert!(!is_known_cause(text), "{text:?}");
        }
    }

    #[test]
    fn the_machine_and_the_model_are_covered_whole() {
        let whole = [
            "Host / driver",
            "Container runtime / Kubernetes",
            "CUDA libraries",
            "Framework / package build",
            "Runtime provider / engine options",
            "Model placement / device selection in code",
            "Process / server",
            "Hardware health",
        ];
        let sections = coverage(&Checks::load(None).unwrap());
        for name in whole {
            let section = sections.iter().find(|section| section.section == name).unwrap();
            assert!(section.missing.is_empty() && !section.covered.is_empty(), "{name}: {:?}", section.missing);
        }
    }
}
