//! The client's request beside the accepted one, and what the server answers to broken ones.

use super::causes::command;
use super::escape::{Clipped, Text};
use super::frame::part;
use super::many;
use crate::report::Exchanges;
use crate::report::exchanges::{answered, broken, decides};
use std::io::{Result, Write};

/// Characters of a value, rows of a table, and notes and changes that are told.
const VALUE_MAX: usize = 160;
const ROWS_MAX: usize = 128;
const NOTES_MAX: usize = 40;

/// Writes both. `told` are commands that the causes have shown already.
pub fn write(exchanges: &Exchanges, told: &[&str], out: &mut dyn Write) -> Result<()> {
    part("requests", "The client's request", out)?;
    if !exchanges.differences.is_empty() {
        let heads = ["What differs", "The client's", "Accepted", "Decides"];
        open("How the client's request differs from the accepted one", &heads, out)?;
        for one in exchanges.differences.iter().take(ROWS_MAX) {
            let name = format!("{} {}", one.what, one.name);
            row(name.trim_end(), &[&one.client, &one.good, &decides(&one.decides)], out)?;
        }
        writeln!(out, "</tbody></table></div>")?;
        many::left_out(exchanges.differences.len(), ROWS_MAX, "p", out)?;
    }
    let notes = exchanges.client_reading.iter().flat_map(|reading| &reading.notes);
    many::first(notes, NOTES_MAX, "p", out, |note, out| writeln!(out, "<p>Note: {}</p>", Text(note)))?;
    many::first(&exchanges.mended_code, NOTES_MAX, "p", out, |change, out| {
        let old = if change.old.is_empty() { "(no such argument)" } else { &change.old };
        let (at, old, new) = (Text(&change.at), Text(old), Text(&change.new));
        writeln!(out, "<p>{at}: <code>{old}</code> becomes <code>{new}</code></p>")
    })?;
    if let Some(curl) = exchanges.mended_curl.as_ref().filter(|curl| !told.contains(&curl.as_str())) {
        writeln!(out, "<p>Mended, and accepted by the server:</p>")?;
        command(curl, out)?;
    }
    if !exchanges.contract.is_empty() {
        open("The good request broken in one place at a time", &["Field", "Broken", "Answer"], out)?;
        for case in exchanges.contract.iter().take(ROWS_MAX) {
            row(&case.field, &[&broken(case), &answered(case)], out)?;
        }
        writeln!(out, "</tbody></table></div>")?;
        many::left_out(exchanges.contract.len(), ROWS_MAX, "p", out)?;
    }
    writeln!(out, "</section>")
}

fn open(caption: &str, heads: &[&str], out: &mut dyn Write) -> Result<()> {
    write!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{0}\"><table><caption>{0}</caption><thead><tr>",
        Text(caption)
    )?;
    heads.iter().try_for_each(|head| write!(out, "<th scope=\"col\">{}</th>", Text(head)))?;
    writeln!(out, "</tr></thead><tbody>")
}

fn row(head: &str, cells: &[&str], out: &mut dyn Write) -> Result<()> {
    write!(out, "<tr><th scope=\"row\">{}</th>", Text(head))?;
    for cell in cells {
        let cell = if cell.is_empty() { "–" } else { cell };
        write!(out, "<td>{}</td>", Clipped(cell, VALUE_MAX))?;
    }
    writeln!(out, "</tr>")
}
