//! The list of checks.

use crate::check::{Checks, Coverage};
use serde_json::{Value, json};
use std::io::Write;

/// Writes the checks, one line each, under their stages.
pub fn list_text(checks: &Checks, out: &mut dyn Write) -> std::io::Result<()> {
    let mut stage = None;
    let widest = checks.iter().map(|check| check.spec.id.len()).max().unwrap_or_default();
    for check in checks.iter() {
        let spec = &check.spec;
        if stage != Some(spec.stage) {
            writeln!(out, "{}", spec.stage)?;
            stage = Some(spec.stage);
        }
        writeln!(out, "  {:<widest$} {:<5} {}", spec.id, spec.severity.name(), spec.title)?;
    }
    Ok(())
}

/// Writes the checks as a JSON array.
pub fn list_json(checks: &Checks, out: &mut dyn Write) -> std::io::Result<()> {
    let entry = |check: &crate::check::Check| {
        let spec = &check.spec;
        json!({
            "id": spec.id, "stage": spec.stage, "title": spec.title, "severity": spec.severity,
            "confidence": spec.confidence, "symptom": spec.symptom, "explains": spec.explains, "docs": spec.docs,
        })
    };
    serde_json::to_writer_pretty(&mut *out, &checks.iter().map(entry).collect::<Vec<Value>>())?;
    out.write_all(b"\n")
}

/// Writes how many causes of the catalogue have a check, layer by layer, and names those that have none.
pub fn coverage_text(sections: &[Coverage], out: &mut dyn Write) -> std::io::Result<()> {
    let (mut covered, mut all) = (0, 0);
    for section in sections {
        let number = section.covered.len() + section.missing.len();
        writeln!(out, "{:<42} {:>3} of {number:>2}", section.section, section.covered.len())?;
        if !section.covered.is_empty() && !section.missing.is_empty() {
            writeln!(out, "  missing: {}", section.missing.join(", "))?;
        }
        covered += section.covered.len();
        all += number;
    }
    writeln!(out, "{:<42} {covered:>3} of {all:>2}", "all")
}

/// Writes the same as a JSON array.
pub fn coverage_json(sections: &[Coverage], out: &mut dyn Write) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, sections)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_the_list_stand_below_one_another() {
        let mut out = Vec::new();
        list_text(&Checks::load(None).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let places = |line: &str| line.find(" fail ").or_else(|| line.find(" warn "));
        let mut all: Vec<usize> = text.lines().filter(|line| line.starts_with("  ")).filter_map(places).collect();
        all.dedup();
        assert_eq!(all.len(), 1, "{text}");
    }
}
