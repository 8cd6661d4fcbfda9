//! The causes: because, proof, fix, how to verify, what was ruled out. Then what was claimed and measured otherwise.

use super::escape::{Clipped, Lines, Marked, Text};
use super::frame::{part, shape};
use super::many;
use crate::check::{Evidence, Severity};
use crate::diagnosis::{Diagnosis, RuledOut};
use crate::report::cause::kind;
use crate::report::{Report, activity, proof};
use std::io::{Result, Write};

/// Characters of a value in a proof.
const VALUE_MAX: usize = 320;
/// Causes, facts of a proof, and sentences of a list that are told.
const CAUSES_MAX: usize = 40;
const FACTS_MAX: usize = 40;
const SENTENCES_MAX: usize = 40;
/// The fact that holds the steps of a load.
const STEPS: &str = "load.steps";

/// Writes them.
pub fn write(report: &Report, out: &mut dyn Write) -> Result<()> {
    if !report.diagnoses.is_empty() {
        let title = match report.diagnoses.as_slice() {
            all if all.iter().all(|one| one.severity == Severity::Warn || one.waived.is_some()) => "Worth a look",
            [_] => "The cause",
            _ => "The causes",
        };
        part("causes", title, out)?;
        for (number, diagnosis) in report.diagnoses.iter().take(CAUSES_MAX).enumerate() {
            cause(number + 1, diagnosis, report, out)?;
        }
        many::left_out(report.diagnoses.len(), CAUSES_MAX, "p", out)?;
        writeln!(out, "</section>")?;
    }
    let mut waivers = report.waivers_aside().peekable();
    if waivers.peek().is_some() {
        part("waivers", "Waivers", out)?;
        many::sentences(waivers.map(|one| &one.said), SENTENCES_MAX, out)?;
        writeln!(out, "</section>")?;
    }
    if !report.contradictions.is_empty() {
        part("contradictions", "Claimed, and measured otherwise", out)?;
        many::sentences(&report.contradictions, SENTENCES_MAX, out)?;
        writeln!(out, "</section>")?;
    }
    Ok(())
}

fn cause(number: usize, diagnosis: &Diagnosis, report: &Report, out: &mut dyn Write) -> Result<()> {
    let kind = kind(diagnosis);
    let class = match diagnosis.severity {
        _ if diagnosis.waived.is_some() => "warn",
        _ if diagnosis.symptom => "unknown",
        Severity::Fail => "fail",
        Severity::Warn => "warn",
    };
    writeln!(
        out,
        "<article class=\"cause {class}\">\n<h3>{}<span>{number}. {}</span></h3>\n\
         <p class=\"tags\"><span>{kind}</span><span>{}</span><span>stage: {}</span></p>\n<p class=\"because\">{}</p>",
        shape(class),
        Text(&diagnosis.cause),
        diagnosis.confidence.name(),
        diagnosis.stage,
        Marked(&diagnosis.because)
    )?;
    if let Some(waived) = &diagnosis.waived {
        writeln!(out, "<p><strong>Waived</strong>: {}</p>", Text(&waived.in_words()))?;
    }
    many::first(&diagnosis.explains, SENTENCES_MAX, "p", out, |explained, out| {
        let why = report.findings.iter().find(|finding| finding.check == *explained).map_or("", |f| f.why.as_str());
        writeln!(out, "<p>It explains <code>{}</code>: {}</p>", Text(explained), Text(why))
    })?;
    fix(diagnosis, out)?;
    proof(diagnosis, report, out)?;
    others(diagnosis, out)?;
    writeln!(out, "<p class=\"more\">More: <code>gpu-doctor explain {}</code></p>\n</article>", Text(&diagnosis.cause))
}

fn fix(diagnosis: &Diagnosis, out: &mut dyn Write) -> Result<()> {
    if !diagnosis.fix.is_empty() {
        writeln!(out, "<h4>{}</h4>\n<ol class=\"fix\">", if diagnosis.symptom { "To find out why" } else { "Fix" })?;
        for step in &diagnosis.fix {
            write!(out, "<li>")?;
            if !step.say.is_empty() {
                write!(out, "<p>{}</p>", Marked(&step.say))?;
            }
            if !step.run.is_empty() {
                command(&step.run, out)?;
            }
            writeln!(out, "</li>")?;
        }
        writeln!(out, "</ol>")?;
    }
    if !diagnosis.verify.is_empty() {
        writeln!(out, "<h4>Then verify</h4>")?;
        diagnosis.verify.iter().try_for_each(|text| command(text, out))?;
    }
    Ok(())
}

/// A command to be copied. The script adds the button.
pub fn command(text: &str, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "<div class=\"command\"><pre tabindex=\"0\"><code>{}</code></pre></div>", Lines(text))
}

fn proof(diagnosis: &Diagnosis, report: &Report, out: &mut dyn Write) -> Result<()> {
    let evidence: Vec<&Evidence> = diagnosis.evidence.iter().filter(|one| proof::is_proof(one)).collect();
    writeln!(out, "<h4>Proof</h4>")?;
    if !diagnosis.grounds.is_empty() {
        writeln!(out, "<p>Known {}.</p>", Text(&diagnosis.grounds))?;
    }
    if evidence.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Facts that prove {}\"><table class=\"values\">\
         <thead><tr><th scope=\"col\">Fact</th><th scope=\"col\">Value</th></tr></thead><tbody>",
        Text(&diagnosis.cause)
    )?;
    for one in evidence.iter().take(FACTS_MAX) {
        write!(out, "<tr><th scope=\"row\">{}</th><td>", Text(&one.path))?;
        match (&one.value, &one.unknown) {
            // Both are drawn, and as words they are long.
            _ if one.path == STEPS && report.load.as_ref().is_some_and(|load| !load.steps.is_empty()) => {
                write!(out, "drawn under <a href=\"#load\">load</a>, step by step")?;
            }
            _ if one.path == activity::FACT && !report.activity.is_empty() => {
                write!(out, "drawn in the <a href=\"#timeline\">timeline</a>, GPU by GPU")?;
            }
            (Some(value), _) => write!(out, "{}", Clipped(&proof::value_said(value, true), VALUE_MAX))?,
            (None, Some(unknown)) => write!(out, "<i>unknown: {}</i>", Clipped(unknown, VALUE_MAX))?,
            (None, None) => write!(out, "<i>unknown</i>")?,
        }
        writeln!(out, "</td></tr>")?;
    }
    writeln!(out, "</tbody></table></div>")?;
    many::left_out(evidence.len(), FACTS_MAX, "p", out)
}

/// What it could be besides, and what it is not.
fn others(diagnosis: &Diagnosis, out: &mut dyn Write) -> Result<()> {
    if !diagnosis.could_be.is_empty() {
        let title = if diagnosis.symptom { "It could come from" } else { "Less sure, and explained by this" };
        writeln!(out, "<h4>{title}</h4>\n<ul>")?;
        many::first(&diagnosis.could_be, SENTENCES_MAX, "li", out, |other, out| {
            let (cause, sure) = (Text(&other.cause), other.confidence.name());
            writeln!(out, "<li><code>{cause}</code> ({sure}): {}</li>", Text(&other.brief))
        })?;
        writeln!(out, "</ul>")?;
    }
    if diagnosis.ruled_out.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details><summary>What it is not ({} ruled out)</summary>\n<ul>", diagnosis.ruled_out.len())?;
    for (reason, causes) in by_reason(&diagnosis.ruled_out) {
        write!(out, "<li>")?;
        for (place, cause) in causes.iter().enumerate() {
            write!(out, "{}<code>{}</code>", if place > 0 { ", " } else { "" }, Text(cause))?;
        }
        writeln!(out, ": {}</li>", Text(reason))?;
    }
    writeln!(out, "</ul></details>")
}

/// Neighbours that one fact rules out stand together.
fn by_reason(ruled_out: &[RuledOut]) -> Vec<(&str, Vec<&str>)> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for RuledOut { cause, by } in ruled_out {
        match reasons.iter_mut().find(|(reason, _)| reason == by) {
            Some((_, causes)) => causes.push(cause),
            None => reasons.push((by, vec![cause])),
        }
    }
    reasons
}
