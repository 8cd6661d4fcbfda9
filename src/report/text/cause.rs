//! One cause: why, the proof, what to do, how to see that it worked, where to read more.

use super::evidence;
use crate::check::{Confidence, Severity};
use crate::diagnosis::Diagnosis;
use crate::report::page::Page;
use crate::report::sureness;
use crate::report::{Report, cause};
use crate::words::columns;
use colored::Colorize;
use std::io::{Result, Write};

/// Indent of what stands under a cause's title, of a fix in words, and of a command.
const TEXT: &str = "   ";
const WORDS: &str = "     ";
const COMMAND: &str = "       ";

/// Writes it.
pub fn write(number: usize, diagnosis: &Diagnosis, report: &Report, page: &mut Page) -> Result<()> {
    let fails = diagnosis.severity == Severity::Fail && diagnosis.waived.is_none() && !diagnosis.symptom;
    let kind = cause::kind(diagnosis);
    let kind = if fails { kind.red().bold() } else { kind.yellow().bold() };
    let sure = match diagnosis.confidence {
        Confidence::Proven => "proven",
        Confidence::Likely => "likely",
        Confidence::Possible => "possible",
    };
    let name = page.safe(&diagnosis.cause);
    let about = format!("({}, {sure})", diagnosis.stage);
    write!(page, "\n{number}. {kind}: {}", name.bold())?;
    match columns(&format!("{number}. {}: {name} {about}", kind.input)) <= page.width() {
        true => writeln!(page, " {about}")?,
        false => writeln!(page, "\n{TEXT}{about}")?,
    }
    if let Some(waived) = &diagnosis.waived {
        page.paragraph(TEXT, &waived.in_words())?;
    }
    page.paragraph(TEXT, &diagnosis.because)?;
    explained(diagnosis, report, page)?;
    sureness::grounds(diagnosis, page)?;
    evidence::write(diagnosis, report, page)?;
    sureness::possibilities(diagnosis, page)?;
    if !diagnosis.fix.is_empty() {
        writeln!(page, "{TEXT}{}", if diagnosis.symptom { "to find out why" } else { "fix" }.bold())?;
    }
    for step in &diagnosis.fix {
        if !step.say.is_empty() {
            page.paragraph(WORDS, &step.say)?;
        }
        if !step.run.is_empty() {
            page.command(COMMAND, &step.run)?;
        }
    }
    if !diagnosis.verify.is_empty() {
        writeln!(page, "{TEXT}{}", "then verify".bold())?;
    }
    diagnosis.verify.iter().try_for_each(|command| page.command(COMMAND, command))?;
    sureness::ruled_out(diagnosis, page)?;
    writeln!(page, "{TEXT}{}", "to read more".bold())?;
    page.command(COMMAND, &format!("gpu-doctor explain {}", diagnosis.cause))
}

/// What holds because of it. The proof of those stands at their stages; `-v` repeats it here.
fn explained(diagnosis: &Diagnosis, report: &Report, page: &mut Page) -> Result<()> {
    if !page.verbose() && !diagnosis.explains.is_empty() {
        return page.paragraph(TEXT, &format!("This explains {}.", diagnosis.explains.join(", ")));
    }
    for explained in &diagnosis.explains {
        let why = report.findings.iter().find(|finding| finding.check == *explained).map_or("", |f| f.why.as_str());
        page.paragraph(TEXT, &format!("This explains {explained}: {why}"))?;
    }
    Ok(())
}
