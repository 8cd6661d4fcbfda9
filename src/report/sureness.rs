//! How sure a cause is: who bears witness, what else is possible, what was ruled out.

use super::page::Page;
use crate::diagnosis::{Diagnosis, RuledOut};
use colored::Colorize;
use std::io::Write;

/// Neighbours that are named without `-v`.
const NAMED: usize = 3;

/// What else may be behind what is seen.
pub fn possibilities(diagnosis: &Diagnosis, out: &mut Page) -> std::io::Result<()> {
    let opening = if diagnosis.symptom { "It could come from" } else { "Less sure, and explained by the above:" };
    diagnosis.could_be.iter().try_for_each(|other| {
        let sure = other.confidence.name();
        out.paragraph("   ", &format!("{opening} {} ({sure}): {}", other.cause, other.brief))
    })
}

/// The head of the proof, with its witnesses.
pub fn grounds(diagnosis: &Diagnosis, out: &mut Page) -> std::io::Result<()> {
    match diagnosis.grounds.as_str() {
        "" => writeln!(out, "   {}", "proof".bold()),
        grounds => out.hanging(&format!("   {} ", "proof:".bold()), "   proof: ".len(), grounds),
    }
}

/// What it is not; with `-v` also what says so.
pub fn ruled_out(diagnosis: &Diagnosis, out: &mut Page) -> std::io::Result<()> {
    let Some((first, further)) = diagnosis.ruled_out.split_first() else { return Ok(()) };
    if out.verbose() {
        writeln!(out, "   {}", "ruled out".bold())?;
        return by_reason(&diagnosis.ruled_out).iter().try_for_each(|line| out.paragraph("     ", line));
    }
    let more = further.len().saturating_sub(NAMED - 1);
    let named: Vec<&str> = std::iter::once(first).chain(further).take(NAMED).map(|one| one.cause.as_str()).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("{}{more} (-v says why)", named.join(", "));
    out.hanging(&format!("   {} ", "ruled out:".bold()), "   ruled out: ".len(), &text)
}

/// One line a reason, in the order of the nearest neighbour that it rules out.
fn by_reason(ruled_out: &[RuledOut]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for RuledOut { cause, by } in ruled_out {
        match reasons.iter_mut().find(|(reason, _)| reason == by) {
            Some((_, causes)) => causes.push(cause),
            None => reasons.push((by, vec![cause])),
        }
    }
    let line = |(reason, causes): &(&str, Vec<&str>)| format!("{}: {reason}", causes.join(", "));
    reasons.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_one_fact_rules_out_stand_together() {
        let out = |cause: &str, by: &str| RuledOut { cause: cause.into(), by: by.into() };
        let all = [out("a", "x"), out("b", "y"), out("c", "x"), out("d", "x"), out("e", "x")];
        assert_eq!(by_reason(&all), ["a, c, d, e: x", "b: y"]);
    }
}
