//! What is wrong with checks, each problem at its place.

use crate::check::{Linted, Problem, Spot};
use crate::words::{count, plain};
use colored::Colorize;
use std::io::{Result, Write};

/// Most columns of a line that is shown; of a longer one the part around the place.
const WIDTH: usize = 100;

/// Writes problems for people: the line, and a mark below the place.
pub fn problems_text(linted: &Linted, out: &mut dyn Write) -> Result<()> {
    for problem in linted.problems.iter().chain(&linted.unread) {
        writeln!(out, "{}: {}", "error".red().bold(), plain(&problem.problem).bold())?;
        let Some(spot) = &problem.spot else {
            writeln!(out, "  --> {}{}\n", plain(&problem.file), help(problem))?;
            continue;
        };
        let Spot { line, column, .. } = spot;
        let margin = " ".repeat(line.to_string().len());
        let (text, mark) = shown(spot);
        writeln!(out, "{margin}--> {}:{line}:{column}", plain(&problem.file))?;
        writeln!(out, "{margin} |\n{line} | {text}\n{margin} | {}", mark.red().bold())?;
        for line in problem.help.lines() {
            writeln!(out, "{margin} = {line}")?;
        }
        writeln!(out)?;
    }
    let number = linted.problems.len() + linted.unread.len();
    match number {
        0 => writeln!(out, "no problem found in {}", count(linted.files, "check")),
        _ => writeln!(out, "{} in {}", count(number, "problem"), count(linted.files, "file")),
    }
}

/// Writes problems as a JSON array.
pub fn problems_json(linted: &Linted, out: &mut dyn Write) -> Result<()> {
    let problems: Vec<&Problem> = linted.problems.iter().chain(&linted.unread).collect();
    serde_json::to_writer_pretty(&mut *out, &problems)?;
    out.write_all(b"\n")
}

/// Writes problems as annotations of GitHub Actions.
pub fn problems_github(linted: &Linted, out: &mut dyn Write) -> Result<()> {
    for problem in linted.problems.iter().chain(&linted.unread) {
        let mut place = format!("file={}", property(&problem.file));
        if let Some(Spot { line, column, length, .. }) = &problem.spot {
            place.push_str(&format!(",line={line},col={column},endColumn={}", column + length));
        }
        let message = match problem.help.as_str() {
            "" => problem.problem.clone(),
            help => format!("{}\n{help}", problem.problem),
        };
        writeln!(out, "::error {place}::{}", data(&message))?;
    }
    Ok(())
}

/// A message, as the workflow commands of GitHub escape it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A value of a property, as they escape it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

fn help(problem: &Problem) -> String {
    if problem.help.is_empty() { String::new() } else { format!("\n  = {}", plain(&problem.help)) }
}

/// The line and the mark below its place, which stay in the window of a long line.
fn shown(spot: &Spot) -> (String, String) {
    let characters: Vec<char> = plain(&spot.text).chars().collect();
    let place = (spot.column - 1).min(characters.len());
    let start = if characters.len() <= WIDTH { 0 } else { place.saturating_sub(WIDTH / 2) };
    let end = characters.len().min(start + WIDTH);
    let before = if start > 0 { "..." } else { "" };
    let after = if end < characters.len() { "..." } else { "" };
    let text: String = characters.get(start..end).unwrap_or_default().iter().collect();
    let mark = "^".repeat(spot.length.min((end - start).saturating_sub(place - start)).max(1));
    (format!("{before}{text}{after}"), format!("{}{mark}", " ".repeat(before.len() + place - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linted(text: &str, column: usize, length: usize) -> Linted {
        let spot = Spot { line: 7, column, length, text: text.into() };
        let problem = Problem {
            file: "a,b/c.yaml".into(),
            spot: Some(spot),
            problem: "50% wrong".into(),
            help: "did you mean x?\nor y?".into(),
        };
        Linted { files: 1, problems: vec![problem], unread: vec![] }
    }

    fn written(form: fn(&Linted, &mut dyn Write) -> Result<()>, linted: &Linted) -> String {
        colored::control::set_override(false);
        let mut out = Vec::new();
        form(linted, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_mark_is_below_the_place() {
        let text = written(problems_text, &linted("when: a.bc > 1", 9, 2));
        assert!(text.contains(" --> a,b/c.yaml:7:9\n  |\n7 | when: a.bc > 1\n  |         ^^\n  = did you"), "{text}");
        let long = format!("{}wrong{}", "x".repeat(300), "y".repeat(300));
        let text = written(problems_text, &linted(&long, 301, 5));
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| line.contains('^')).unwrap();
        assert_eq!(lines[at - 1].find("wrong"), lines[at].find("^^^^^"), "{text}");
        assert!(lines[at - 1].len() < 120);
        // Nothing of the file steers the terminal, and a place beyond the line's end is its end.
        assert!(!written(problems_text, &linted("a: \u{1b}[2J", 99, 99)).contains('\u{1b}'));
    }

    #[test]
    fn annotations_are_one_line_each() {
        let text = written(problems_github, &linted("when: a.bc > 1", 9, 2));
        let expected = "::error file=a%2Cb/c.yaml,line=7,col=9,endColumn=11::50%25 wrong%0Adid you mean x?%0Aor y?\n";
        assert_eq!(text, expected);
        let json: serde_json::Value = serde_json::from_str(&written(problems_json, &linted("a", 1, 1))).unwrap();
        assert_eq!((&json[0]["line"], &json[0]["file"]), (&7.into(), &"a,b/c.yaml".into()));
    }

    #[test]
    fn files_that_cannot_be_read_are_in_every_form() {
        let mut linted = linted("a", 1, 1);
        let unread =
            Problem { spot: None, help: String::new(), problem: "larger than 1".into(), ..linted.problems.remove(0) };
        linted.unread.push(unread);
        assert_eq!(written(problems_github, &linted), "::error file=a%2Cb/c.yaml::larger than 1\n");
        let json: serde_json::Value = serde_json::from_str(&written(problems_json, &linted)).unwrap();
        assert_eq!((&json[0]["problem"], json[0].get("line")), (&"larger than 1".into(), None));
        let text = written(problems_text, &linted);
        assert!(text.contains("larger than 1\n  --> a,b/c.yaml") && text.contains("1 problem in 1 file"), "{text}");
    }
}
