//! The page at the terminal.

use super::{Other, Page};
use crate::words::wrap;
use colored::Colorize;
use std::io::{Result, Write};

/// Columns that a text keeps, however far in it stands.
const NARROWEST: usize = 20;
/// Other checks that are told with their titles; more are told by their ids.
const TOLD_IN_FULL: usize = 8;

impl Page {
    /// Writes the page for people at a terminal of so many columns.
    pub fn text(&self, width: usize, out: &mut dyn Write) -> Result<()> {
        writeln!(out, "{}: {}", self.id.bold(), self.title)?;
        writeln!(out, "Stage {}; {}.", self.stage, self.kind())?;
        section(out, width, "What it means", &self.means)?;
        heading(out, "How it shows")?;
        paragraph(out, width, &format!("... because {}", self.brief), "  ", "  ")?;
        if self.because != self.brief {
            paragraph(out, width, &self.because, "  ", "  ")?;
        }
        section(out, width, "How it is told from its neighbours", &self.told_apart)?;
        others(out, width, "See also", &self.neighbours)?;
        section(out, width, "It holds when", &self.when)?;
        if let Some(warn_if) = &self.warn_if {
            section(out, width, "It is only a warning when", warn_if)?;
        }
        if let Some(proven_if) = &self.proven_if {
            section(out, width, "It is proven when", proven_if)?;
        }
        section(out, width, "The facts that prove it", &self.evidence.join(", "))?;
        others(out, width, "While it holds, these need no explanation of their own", &self.explains)?;
        others(out, width, "It is explained by", &self.explained_by)?;
        heading(out, "What to do")?;
        for step in &self.fix {
            if !step.say.is_empty() {
                paragraph(out, width, &step.say, "  - ", "    ")?;
            }
            if !step.run.is_empty() {
                writeln!(out, "      {}", step.run)?;
            }
        }
        if !self.verify.is_empty() {
            heading(out, "How to verify")?;
            self.verify.iter().try_for_each(|command| writeln!(out, "      {command}"))?;
        }
        if !self.docs.is_empty() {
            heading(out, "Read more")?;
            self.docs.iter().try_for_each(|link| writeln!(out, "  {link}"))?;
        }
        let legend = self.legend("<name.of.a.fact>");
        if !legend.is_empty() {
            writeln!(out)?;
        }
        paragraph(out, width, &legend, "", "")
    }
}

/// A heading with a line before it.
pub(super) fn heading(out: &mut dyn Write, title: &str) -> Result<()> {
    writeln!(out, "\n{}", title.bold())
}

/// Text below its heading.
fn section(out: &mut dyn Write, width: usize, title: &str, text: &str) -> Result<()> {
    heading(out, title)?;
    paragraph(out, width, text, "  ", "  ")
}

/// Text of at most `width` columns, the first line behind `first`, the others behind `further`.
pub(super) fn paragraph(out: &mut dyn Write, width: usize, text: &str, first: &str, further: &str) -> Result<()> {
    for (place, line) in wrap(text, width.saturating_sub(further.len()).max(NARROWEST)).iter().enumerate() {
        writeln!(out, "{}{line}", if place == 0 { first } else { further })?;
    }
    Ok(())
}

fn others(out: &mut dyn Write, width: usize, title: &str, others: &[Other]) -> Result<()> {
    if others.is_empty() {
        return Ok(());
    }
    heading(out, title)?;
    if others.len() > TOLD_IN_FULL {
        let ids: Vec<&str> = others.iter().map(|other| other.id.as_str()).collect();
        return paragraph(out, width, &ids.join(", "), "  ", "  ");
    }
    let widest = others.iter().map(|other| other.id.len()).max().unwrap_or_default();
    for Other { id, title, .. } in others {
        paragraph(out, width, title, &format!("  {id:<widest$}  "), &" ".repeat(widest + 4))?;
    }
    Ok(())
}
