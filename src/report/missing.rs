//! What could not be known, and how to get it.

use super::text::paragraph;
use crate::diagnosis::{Missing, in_words};
use crate::words::plain;
use colored::Colorize;
use std::io::{Result, Write};

/// Obstacles that are told without `-v`.
const OBSTACLES_MAX: usize = 6;

/// What stands between the doctor and facts.
struct Obstacle<'a> {
    paths: Vec<&'a str>,
    why: &'a str,
    detail: &'a str,
}

/// Writes them: first what could not be known, then what nobody asked about.
pub fn write(unknown: &[Missing], verbose: bool, out: &mut dyn Write) -> Result<()> {
    let (unasked, refused): (Vec<_>, Vec<_>) = unknown.iter().partition(|missing| missing.why == "not asked");
    obstacles("could not be known", &refused, verbose, out)?;
    obstacles("not asked about, and could say why", &unasked, verbose, out)
}

/// Facts that are missing, under a title, each obstacle with the way past it.
fn obstacles(title: &str, list: &[&Missing], verbose: bool, out: &mut dyn Write) -> Result<()> {
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
    let mut left = if verbose { usize::MAX } else { OBSTACLES_MAX };
    for (get, obstacles) in &ways {
        for one in obstacles.iter().take(left) {
            let why = if one.why == "not asked" { String::new() } else { format!(" ({})", one.why) };
            paragraph(out, "  ", &format!("{}{why}: {}", one.paths.join(", "), one.detail))?;
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
fn to_know(get: &str, out: &mut dyn Write) -> Result<()> {
    let said = format!("to know it, {get}");
    for (number, part) in said.split('`').enumerate().filter(|_| !get.is_empty()) {
        let part = part.trim().trim_start_matches([',', ';']).trim();
        match number % 2 {
            _ if part.is_empty() => {}
            0 => paragraph(out, "    ", part)?,
            _ => writeln!(out, "      {}", plain(part).cyan())?,
        }
    }
    Ok(())
}
