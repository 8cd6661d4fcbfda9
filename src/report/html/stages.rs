//! The chain of a request's life as a picture, and stage by stage in words.

use super::escape::Text;
use super::frame::{part, shape};
use crate::diagnosis::{Link, Standing};
use crate::report::Report;
use std::io::{Result, Write};

/// The picture's place for a stage, in its own units.
const STEP: usize = 80;

/// Writes both.
pub fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    // Of files it need not be said, stage by stage, that they tell nothing of a machine.
    let told = |link: &&Link| report.recorded.is_none() || link.standing != Standing::NotApplicable;
    let links: Vec<&Link> = report.stages.iter().filter(told).collect();
    if links.is_empty() {
        return Ok(());
    }
    part("stages", "The stages of a request", out)?;
    let first = report.first_break().map(|link| link.stage);
    let broken = links.iter().position(|link| Some(link.stage) == first);
    let sentence = match broken.and_then(|at| links.get(at)) {
        Some(link) => format!("The chain breaks first at {}.", link.stage),
        None if links.iter().any(|link| report.is_waived(link)) => "No stage fails but by what is waived.".to_owned(),
        None => "No stage fails.".to_owned(),
    };
    writeln!(out, "<p>{sentence}</p>")?;
    picture(&links, report, broken, &sentence, out)?;
    writeln!(out, "<ol class=\"chain\">")?;
    for (at, link) in links.iter().enumerate() {
        let (class, word) = standing(link, report);
        let first = if broken == Some(at) { ", first break" } else { "" };
        writeln!(
            out,
            "<li class=\"{class}\">{}<b>{}</b> <span class=\"word\">{word}{first}</span> <span class=\"seen\">{}</span></li>",
            shape(class),
            link.stage,
            Text(&link.seen)
        )?;
    }
    if let Some(budget) = &report.device_budget {
        writeln!(
            out,
            "<li class=\"none\">{}<b>gpu memory</b> <span class=\"word\"></span> <span class=\"seen\">{}</span></li>",
            shape("none"),
            Text(budget)
        )?;
    }
    writeln!(out, "</ol>\n</section>")
}

/// Class and word of a standing.
fn standing(link: &Link, report: &Report) -> (&'static str, &'static str) {
    match link.standing {
        Standing::Pass => ("pass", "pass"),
        Standing::Warn => ("warn", "warning"),
        Standing::Fail if report.is_waived(link) => ("warn", "fail, waived"),
        Standing::Fail => ("fail", "fail"),
        Standing::Unknown => ("unknown", "unknown"),
        Standing::Blocked => ("blocked", "blocked"),
        Standing::NotApplicable => ("none", "not asked"),
    }
}

fn picture(links: &[&Link], report: &Report, broken: Option<usize>, sentence: &str, out: &mut dyn Write) -> Result<()> {
    let words: Vec<String> = links.iter().map(|link| format!("{} {}", link.stage, standing(link, report).1)).collect();
    writeln!(
        out,
        "<svg class=\"picture\" viewBox=\"0 0 {0} 92\" width=\"{0}\" role=\"img\" aria-label=\"{sentence} {1}.\">",
        links.len() * STEP,
        words.join(", ")
    )?;
    let middle = |at: usize| at * STEP + STEP / 2;
    for at in 1..links.len() {
        let behind = broken.is_some_and(|broken| at > broken);
        let class = if behind { "wire cut" } else { "wire" };
        write!(out, "<path class=\"{class}\" d=\"M{} 38H{}\"/>", middle(at - 1) + 17, middle(at) - 17)?;
    }
    for (at, link) in links.iter().enumerate() {
        let (class, word) = standing(link, report);
        let x = middle(at);
        write!(
            out,
            "<g class=\"{class}\"><use href=\"#shape-{class}\" x=\"{}\" y=\"26\" width=\"24\" height=\"24\"/>\
             <text x=\"{x}\" y=\"70\">{}</text><text x=\"{x}\" y=\"85\" class=\"word\">{word}</text></g>",
            x - 12,
            link.stage
        )?;
        if broken == Some(at) {
            write!(out, "<text x=\"{x}\" y=\"13\" class=\"first\">first break</text>")?;
        }
    }
    writeln!(out, "</svg>")
}
