//! The report as annotations of GitHub Actions, by workflow commands: one a line.
//!
//! A step shows ten errors, ten warnings and ten notices; of the others only the first ten would be seen. The last notice is
//! the headline.

mod place;

use super::bounded::shortened;
use super::{Report, cause};
use crate::check::Severity;
use crate::cli::FailOn;
use crate::diagnosis::{Diagnosis, Verdict, Waived, WaiverStanding, WaiverTold, in_words};
use crate::words::{count, plain};
use std::io::Write;

/// Annotations of a kind that a step shows.
const SHOWN: usize = 10;
/// Characters of a title and of a line of a message.
const TITLE: usize = 160;
const LINE: usize = 600;
/// Characters of a message.
const MESSAGE: usize = 4_000;

/// Writes the report.
pub fn write(report: &Report, fail_on: FailOn, out: &mut dyn Write) -> std::io::Result<()> {
    let (waived, counted): (Vec<&Diagnosis>, Vec<&Diagnosis>) =
        report.diagnoses.iter().partition(|diagnosis| diagnosis.waived.is_some());
    let (failures, warnings): (Vec<&Diagnosis>, Vec<&Diagnosis>) =
        counted.into_iter().partition(|one| one.severity == Severity::Fail || fail_on >= FailOn::Warn);
    let outcome = report.outcome(fail_on);
    let counts = fail_on == FailOn::Unknown && !report.unknown.is_empty();
    let undecided = report.counted() == Verdict::Undecided;
    let open = outcome.by_option().filter(|_| counts || undecided && fail_on == FailOn::Unknown);
    let waivers: Vec<&WaiverTold> = report.waivers_failing().collect();
    // Of each kind no more than is shown.
    let others = usize::from(open.is_some()) + usize::from(!waivers.is_empty());
    causes("error", &failures, SHOWN - others, out)?;
    waivers_failing(&waivers, out)?;
    if let Some(by) = &open {
        command("error", &format!("gpu-doctor: {by}"), None, std::slice::from_ref(&report.headline), out)?;
    }
    causes("warning", &warnings, SHOWN, out)?;
    let tells = undecided || open.is_some();
    let most = if tells { SHOWN / 2 } else { SHOWN - 1 };
    causes("notice", &waived, most, out)?;
    if tells {
        unknown(report, SHOWN - 1 - waived.len().min(most), out)?;
    }
    let title = match report.counted() {
        Verdict::Healthy => "gpu-doctor: healthy",
        Verdict::Unhealthy => "gpu-doctor: unhealthy",
        Verdict::Undecided => "gpu-doctor: undecided",
    };
    command("notice", title, None, std::slice::from_ref(&report.headline), out)
}

/// Waivers that do not hold, in one annotation.
fn waivers_failing(waivers: &[&WaiverTold], out: &mut dyn Write) -> std::io::Result<()> {
    let title = match waivers {
        [] => return Ok(()),
        [one] if one.standing == WaiverStanding::Expired => format!("waiver expired: {}", one.id),
        [one] => format!("waiver of no known day: {}", one.id),
        all => format!("{} do not hold", count(all.len(), "waiver")),
    };
    let said: Vec<String> = waivers.iter().map(|one| one.said.clone()).collect();
    command("error", &title, None, &said, out)
}

/// One annotation a cause, in so many at most; the last one shown tells of the others.
fn causes(kind: &str, causes: &[&Diagnosis], most: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let shown = if causes.len() > most { most.saturating_sub(1) } else { causes.len() };
    for diagnosis in causes.iter().take(shown) {
        let opening = if diagnosis.symptom { "symptom without a known cause: " } else { "" };
        let title = format!("{opening}{} ({}, {})", diagnosis.cause, diagnosis.stage, diagnosis.confidence.name());
        let mut lines: Vec<String> = diagnosis.waived.iter().map(Waived::in_words).collect();
        lines.push(diagnosis.because.clone());
        lines.extend(cause::mending(diagnosis));
        command(kind, &title, place::of(diagnosis).as_ref(), &lines, out)?;
    }
    let rest: Vec<String> = causes.iter().skip(shown).map(|one| format!("{}: {}", one.cause, one.brief)).collect();
    match rest.len() {
        0 => Ok(()),
        more => command(kind, &format!("and {more} more"), None, &rest, out),
    }
}

/// What is missing for an answer, in so many notices at most.
fn unknown(report: &Report, most: usize, out: &mut dyn Write) -> std::io::Result<()> {
    let all = &report.unknown;
    let shown = if all.len() > most { most.saturating_sub(1) } else { all.len() };
    for missing in all.iter().take(shown) {
        let title = format!("could not be known: {} ({})", in_words(&missing.path), missing.why);
        let mut lines = vec![missing.detail.clone()];
        if !missing.get.is_empty() {
            lines.push(format!("to know it, {}", missing.get));
        }
        command("notice", &title, None, &lines, out)?;
    }
    let rest: Vec<String> = all.iter().skip(shown).map(|missing| in_words(&missing.path).to_owned()).collect();
    match rest.len() {
        0 => Ok(()),
        more => {
            let title = format!("{} more could not be known", count(more, "fact"));
            command("notice", &title, None, &[rest.join(", ")], out)
        }
    }
}

/// One command on one line.
fn command(
    kind: &str,
    title: &str,
    place: Option<&(String, u64)>,
    lines: &[String],
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let title = property(&shortened(&plain(title), TITLE));
    let place = place.map_or(String::new(), |(file, line)| format!("file={},line={line},", property(&plain(file))));
    let lines: Vec<String> = lines.iter().map(|line| shortened(&plain(line), LINE)).collect();
    writeln!(out, "::{kind} {place}title={title}::{}", data(&shortened(&lines.join("\n"), MESSAGE)))
}

/// A message as the runner reads it back.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property's value as the runner reads it back.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_ends_its_command() {
        let mut out = Vec::new();
        let title = "a,b::c%0A\n::error::x";
        command("error", title, Some(&("/a,b:c.py".into(), 3)), &["50 %\r\n::stop".into(), "two".into()], &mut out)
            .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "::error file=/a%2Cb%3Ac.py,line=3,title=a%2Cb%3A%3Ac%250A %3A%3Aerror%3A%3Ax::50 %25  ::stop%0Atwo\n"
        );
    }
}
