//! What could not be known, and how to get it; and how each probe went.

use super::causes::command;
use super::escape::{Clipped, Text};
use super::frame::part;
use super::many::left_out;
use crate::diagnosis::{Missing, in_words};
use crate::report::Report;
use crate::snapshot::Outcome;
use std::io::{Result, Write};

/// Probes and obstacles that are told one by one, and characters of the facts that one obstacle hides.
const PROBES_MAX: usize = 64;
const OBSTACLES_MAX: usize = 128;
const PATHS_MAX: usize = 600;

/// Writes it.
pub fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    let (unasked, refused): (Vec<_>, Vec<_>) = report.unknown.iter().partition(|missing| missing.why == "not asked");
    if !report.unknown.is_empty() {
        part("missing", "What is not known", out)?;
        list("Could not be known", &refused, out)?;
        list("Not asked about, and could say why", &unasked, out)?;
        writeln!(out, "</section>")?;
    }
    let ran: Vec<_> = report.probes.iter().filter(|probe| probe.outcome != Outcome::Skipped).collect();
    if ran.is_empty() {
        return Ok(());
    }
    let well = ran.iter().filter(|probe| probe.outcome == Outcome::Ok).count();
    writeln!(
        out,
        "<details class=\"probes\"><summary>Probes: {well} of {} ran to their end</summary>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Probes\"><table><thead><tr><th scope=\"col\">Probe</th><th scope=\"col\">Outcome</th><th scope=\"col\">Seconds</th>\
         <th scope=\"col\">What happened</th></tr></thead><tbody>",
        ran.len()
    )?;
    for probe in ran.iter().take(PROBES_MAX) {
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"n\">{:.2}</td><td>{}</td></tr>",
            Text(&probe.id),
            probe.outcome.words(),
            probe.duration_ms / 1e3,
            Text(&probe.detail)
        )?;
    }
    writeln!(out, "</tbody></table></div>")?;
    left_out(ran.len(), PROBES_MAX, "p", out)?;
    writeln!(out, "</details>")
}

/// Facts that are missing, each obstacle once, with the way past it.
fn list(title: &str, missing: &[&Missing], out: &mut dyn Write) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut obstacles: Vec<(&Missing, Vec<&str>)> = Vec::new();
    for one in missing {
        let path = in_words(&one.path);
        match obstacles.iter_mut().find(|(known, _)| known.detail == one.detail && known.get == one.get) {
            Some((_, paths)) if paths.contains(&path) => {}
            Some((_, paths)) => paths.push(path),
            None => obstacles.push((one, vec![path])),
        }
    }
    writeln!(out, "<h3>{title}</h3>\n<ul class=\"missing\">")?;
    let all = obstacles.len();
    for (one, paths) in obstacles.into_iter().take(OBSTACLES_MAX) {
        let why = if one.why == "not asked" { String::new() } else { format!(" ({})", one.why) };
        writeln!(
            out,
            "<li><p><b>{}</b>{}: {}</p>",
            Clipped(&paths.join(", "), PATHS_MAX),
            Text(&why),
            Text(&one.detail)
        )?;
        for (number, part) in one.get.split('`').enumerate().filter(|_| !one.get.is_empty()) {
            let part = part.trim().trim_start_matches([',', ';']).trim();
            match number {
                _ if part.is_empty() => {}
                0 => writeln!(out, "<p>To know it, {}</p>", Text(part))?,
                number if number % 2 == 0 => writeln!(out, "<p>{}</p>", Text(part))?,
                _ => command(part, out)?,
            }
        }
        writeln!(out, "</li>")?;
    }
    left_out(all, OBSTACLES_MAX, "li", out)?;
    writeln!(out, "</ul>")
}
