//! One cause: because, proof, fix, how to verify.

use super::super::{Report, activity, cause::kind, proof};
use super::prose::{code, fence, prose};
use crate::diagnosis::Diagnosis;
use crate::words::count;

/// Characters that are shown of a text, and of a line of a command.
const TEXT: usize = 1_200;
const COMMAND: usize = 2_000;
/// Neighbours that are ruled out and named.
const RULED_OUT: usize = 6;

/// Its name, and how sure it is.
fn heading(number: usize, diagnosis: &Diagnosis) -> String {
    let kind = kind(diagnosis);
    // Names of a kind begin with a letter of ASCII.
    let (first, others) = kind.split_at(1);
    let kind = format!("{}{others}", first.to_uppercase());
    let (stage, sure) = (diagnosis.stage, diagnosis.confidence.name());
    format!("### {number}. {kind}: {} ({stage}, {sure})\n\n", code(&diagnosis.cause, 120))
}

/// It in two lines, where there is no room for more.
pub fn named(number: usize, diagnosis: &Diagnosis) -> String {
    format!("{}{}\n\n", heading(number, diagnosis), prose(&diagnosis.brief, 300))
}

/// All that is said of it.
pub fn whole(number: usize, diagnosis: &Diagnosis, report: &Report) -> String {
    let mut text = heading(number, diagnosis);
    if let Some(waived) = &diagnosis.waived {
        text += &format!("**Waived**: {}\n\n", prose(&waived.in_words(), TEXT));
    }
    text += &format!("{}\n\n", prose(&diagnosis.because, TEXT));
    let mut lines = Vec::new();
    for explained in &diagnosis.explains {
        let why = report.findings.iter().find(|finding| finding.check == *explained).map_or("", |f| f.why.as_str());
        lines.push(format!("It explains {}: {}", code(explained, 120), prose(why, TEXT)));
    }
    for other in &diagnosis.could_be {
        let opening = if diagnosis.symptom { "It could come from" } else { "Less sure, and explained by the above:" };
        let sure = other.confidence.name();
        lines.push(format!("{opening} {} ({sure}): {}", code(&other.cause, 120), prose(&other.brief, TEXT)));
    }
    list(&mut text, "", lines);
    list(&mut text, &proof_title(diagnosis), evidence(diagnosis, report));
    list(&mut text, "**Ruled out**", ruled_out(diagnosis));
    text += if diagnosis.symptom { "**To find out why**\n\n" } else { "**Fix**\n\n" };
    for step in &diagnosis.fix {
        if !step.say.is_empty() {
            text += &format!("{}\n\n", prose(&step.say, TEXT));
        }
        if !step.run.is_empty() {
            text += &format!("{}\n", fence(&step.run, "sh", COMMAND));
        }
    }
    if !diagnosis.verify.is_empty() {
        text += &format!("**Then verify**\n\n{}\n", fence(&diagnosis.verify.join("\n"), "sh", COMMAND));
    }
    text + &format!("More: {}\n\n", code(&format!("gpu-doctor explain {}", diagnosis.cause), 200))
}

fn proof_title(diagnosis: &Diagnosis) -> String {
    match diagnosis.grounds.as_str() {
        "" => "**Proof**".into(),
        grounds => format!("**Proof**: {}", prose(grounds, TEXT)),
    }
}

fn evidence(diagnosis: &Diagnosis, report: &Report) -> Vec<String> {
    let said = diagnosis.evidence.iter().filter_map(|one| {
        let said = proof::in_short(one)?;
        match one.path == activity::FACT && !report.activity.is_empty() {
            true => Some(format!("{}: told below, GPU by GPU", code(&one.path, 120))),
            false => Some(format!("{}: {}", code(&one.path, 120), code(&said, 400))),
        }
    });
    said.collect()
}

/// What it is not, by what rules it out.
fn ruled_out(diagnosis: &Diagnosis) -> Vec<String> {
    let all = &diagnosis.ruled_out;
    let mut lines: Vec<String> =
        all.iter().take(RULED_OUT).map(|one| format!("{}: {}", code(&one.cause, 120), prose(&one.by, 300))).collect();
    if all.len() > RULED_OUT {
        lines.push(format!("and {}", count(all.len() - RULED_OUT, "other")));
    }
    lines
}

fn list(text: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    if !title.is_empty() {
        *text += &format!("{title}\n\n");
    }
    lines.iter().for_each(|line| *text += &format!("- {line}\n"));
    text.push('\n');
}
