//! How sure a cause is: who bears witness, what else is possible, what was ruled out.

use super::text::paragraph;
use crate::diagnosis::{Diagnosis, RuledOut};
use colored::Colorize;
use std::io::Write;

/// Reasons for which neighbours are ruled out that are shown without `-v`.
const SHOWN: usize = 3;

/// Neighbours that are named with one reason.
const NAMED: usize = 3;

/// What else may be behind what is seen.
pub fn possibilities(diagnosis: &Diagnosis, out: &mut dyn Write) -> std::io::Result<()> {
    let opening = if diagnosis.symptom { "It could come from" } else { "Less sure, and explained by the above:" };
    diagnosis.could_be.iter().try_for_each(|other| {
        let sure = other.confidence.name();
        paragraph(out, "   ", &format!("{opening} {} ({sure}): {}", other.cause, other.brief))
    })
}

/// The head of the proof, with its witnesses.
pub fn grounds(diagnosis: &Diagnosis, out: &mut dyn Write) -> std::io::Result<()> {
    match diagnosis.grounds.as_str() {
        "" => writeln!(out, "   {}", "proof".bold()),
        grounds => writeln!(out, "   {}: {grounds}", "proof".bold()),
    }
}

/// What it is not, and what says so.
pub fn ruled_out(diagnosis: &Diagnosis, verbose: bool, out: &mut dyn Write) -> std::io::Result<()> {
    let lines = by_reason(&diagnosis.ruled_out, verbose);
    if lines.is_empty() {
        return Ok(());
    }
    let shown = if verbose { lines.len() } else { SHOWN };
    let rest = if lines.len() > shown { " (-v shows more)" } else { "" };
    writeln!(out, "   {}{rest}", "ruled out".bold())?;
    lines.iter().take(shown).try_for_each(|line| paragraph(out, "     ", line))
}

/// One line a reason, in the order of the nearest neighbour that it rules out.
fn by_reason(ruled_out: &[RuledOut], verbose: bool) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for RuledOut { cause, by } in ruled_out {
        match reasons.iter_mut().find(|(reason, _)| reason == by) {
            Some((_, causes)) => causes.push(cause),
            None => reasons.push((by, vec![cause])),
        }
    }
    let named = if verbose { usize::MAX } else { NAMED };
    let line = |(reason, causes): &(&str, Vec<&str>)| {
        let rest = causes.len().saturating_sub(named);
        let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let causes: Vec<&str> = causes.iter().take(named).copied().collect();
        format!("{}{rest}: {reason}", causes.join(", "))
    };
    reasons.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_one_fact_rules_out_stand_together() {
        let out = |cause: &str, by: &str| RuledOut { cause: cause.into(), by: by.into() };
        let all = [out("a", "x"), out("b", "y"), out("c", "x"), out("d", "x"), out("e", "x")];
        assert_eq!(by_reason(&all, false), ["a, c, d and 1 more: x", "b: y"]);
        assert_eq!(by_reason(&all, true), ["a, c, d, e: x", "b: y"]);
    }
}
