//! One check, explained from its own YAML.

use crate::check::{Spec, Step};
use std::io::Write;

/// Writes what a check means, how it is told and what to do.
pub fn explain(spec: &Spec, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "{}: {}", spec.id, spec.title)?;
    let kind = if spec.symptom { "symptom" } else { "cause" };
    writeln!(out, "stage {}, {kind}, severity {}, {}", spec.stage, spec.severity.name(), spec.confidence.name())?;
    section(out, "What it means", &spec.means)?;
    section(out, "How it is told from its neighbours", &spec.told_apart)?;
    section(out, "It holds when", &spec.when)?;
    if let Some(warn_if) = &spec.warn_if {
        section(out, "It is only a warning when", warn_if)?;
    }
    writeln!(out, "\nIts proof: {}", spec.evidence.join(", "))?;
    if !spec.explains.is_empty() {
        writeln!(out, "It explains: {}", spec.explains.join(", "))?;
    }
    writeln!(out, "\nWhat to do")?;
    for Step { say, run } in &spec.fix {
        let (say, run) = (instruction(say), instruction(run));
        if !say.is_empty() {
            writeln!(out, "  - {say}")?;
        }
        if !run.is_empty() {
            writeln!(out, "      {run}")?;
        }
    }
    if !spec.docs.is_empty() {
        writeln!(out, "\nRead more")?;
        spec.docs.iter().try_for_each(|link| writeln!(out, "  {link}"))?;
    }
    Ok(())
}

fn section(out: &mut dyn Write, title: &str, text: &str) -> std::io::Result<()> {
    writeln!(out, "\n{title}\n  {}", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A step without its template marks: what depends on the facts of a run reads as `<its.path>`.
fn instruction(template: &str) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some(start) = rest.find(['{']) {
        text.push_str(&rest[..start]);
        let (open, close) = match &rest[start..] {
            mark if mark.starts_with("{{") => ("{{", "}}"),
            mark if mark.starts_with("{%") => ("{%", "%}"),
            _ => {
                text.push('{');
                rest = &rest[start + 1..];
                continue;
            }
        };
        let end = rest[start..].find(close).map_or(rest.len(), |end| start + end + 2);
        if open == "{{" {
            let path = rest[start..end].trim_matches(['{', '}', ' ']);
            text.push_str(&format!("<{}>", path.split('|').next().unwrap_or(path).trim()));
        }
        rest = &rest[end..];
    }
    text.push_str(rest);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::instruction;

    #[test]
    fn template_marks_become_places_to_fill_in() {
        assert_eq!(
            instruction("kill {{ a.b[0].pid | int }}{% if x %} now{% endif %} {json}"),
            "kill <a.b[0].pid> now {json}"
        );
        assert_eq!(instruction("{{ never closed"), "<never closed>");
    }
}
