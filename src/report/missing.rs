//! What could not be known, and how to get it.

use super::page::Page;
use crate::diagnosis::{Missing, in_words};
use colored::Colorize;
use std::io::{Result, Write};

/// Obstacles that are told without `-v`.
const OBSTACLES_MAX: usize = 4;
/// Facts that are named of one obstacle without `-v`, if it hides more than one above that.
const FACTS_MAX: usize = 3;

/// What stands between the doctor and facts.
struct Obstacle<'a> {
    paths: Vec<&'a str>,
    why: &'a str,
    detail: &'a str,
}

/// Ways to further facts that are shown without `-v` where a cause is known.
const WAYS_MAX: usize = 2;

/// Writes them: first what could not be known, then what nobody asked about. Where a cause of the failure is known that is
/// of less account, and told in fewer words.
pub fn write(unknown: &[Missing], explained: bool, out: &mut Page) -> Result<()> {
    let (unasked, refused): (Vec<_>, Vec<_>) = unknown.iter().partition(|missing| missing.why == "not asked");
    match explained && !out.verbose() {
        true => briefly(&refused, out)?,
        false => obstacles("could not be known", &refused, out)?,
    }
    obstacles("not asked about, and could say why", &unasked, out)
}

/// What could not be known in one sentence, and the first ways to know it.
fn briefly(list: &[&Missing], out: &mut Page) -> Result<()> {
    let (mut facts, mut ways): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for missing in list {
        let fact = in_words(&missing.path);
        if !facts.contains(&fact) {
            facts.push(fact);
        }
        if !missing.get.is_empty() && !ways.contains(&missing.get.as_str()) {
            ways.push(&missing.get);
        }
    }
    if facts.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{} (-v says why)", "could not be known".bold())?;
    let more = match facts.len().saturating_sub(FACTS_MAX) {
        more @ 2.. => more,
        _ => 0,
    };
    let named: Vec<&str> = facts.iter().take(facts.len() - more).copied().collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    out.paragraph("  ", &format!("{}{more}", named.join(", ")))?;
    ways.iter().take(WAYS_MAX).try_for_each(|get| to_know(get, out))
}

/// Facts that are missing, under a title, each obstacle with the way past it.
fn obstacles(title: &str, list: &[&Missing], out: &mut Page) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{}", title.bold())?;
    // One obstacle often hides several facts, and one way often leads past several obstacles; each is told once.
    let mut ways: Vec<(&str, Vec<Obstacle>)> = Vec::new();
    let mut count = 0;
    for missing in list {
        if !ways.iter().any(|(get, _)| *get == missing.get) {
            ways.push((&missing.get, Vec::new()));
        }
        let Some((_, obstacles)) = ways.iter_mut().find(|(get, _)| *get == missing.get) else { continue };
        let path = in_words(&missing.path);
        match obstacles.iter_mut().find(|one| one.detail == missing.detail) {
            Some(one) if one.paths.contains(&path) => {}
            Some(one) => one.paths.push(path),
            None => {
                obstacles.push(Obstacle { paths: vec![path], why: &missing.why, detail: &missing.detail });
                count += 1;
            }
        }
    }
    let verbose = out.verbose();
    let mut left = if verbose { usize::MAX } else { OBSTACLES_MAX };
    for (get, obstacles) in &ways {
        for one in obstacles.iter().take(left) {
            let why = if one.why == "not asked" { String::new() } else { format!(" ({})", one.why) };
            let more = match one.paths.len().saturating_sub(FACTS_MAX) {
                more @ 2.. if !verbose => more,
                _ => 0,
            };
            let named: Vec<&str> = one.paths.iter().take(one.paths.len() - more).copied().collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            out.paragraph("  ", &format!("{}{more}{why}: {}", named.join(", "), one.detail))?;
        }
        if left > 0 {
            to_know(get, out)?;
        }
        left = left.saturating_sub(obstacles.len());
    }
    match count {
        more if !verbose && more > OBSTACLES_MAX => {
            writeln!(out, "  and {} more (-v shows all)", more - OBSTACLES_MAX)
        }
        _ => Ok(()),
    }
}

/// How to get what is missing: words in lines, and each command on a line of its own, to be copied.
fn to_know(get: &str, out: &mut Page) -> Result<()> {
    let said = format!("to know it, {get}");
    for (number, part) in said.split('`').enumerate().filter(|_| !get.is_empty()) {
        let part = part.trim().trim_start_matches([',', ';']).trim();
        match number % 2 {
            _ if part.is_empty() => {}
            0 => out.paragraph("    ", part)?,
            _ => out.command("      ", part)?,
        }
    }
    Ok(())
}
