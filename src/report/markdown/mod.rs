//! The report for a ticket, in the Markdown that GitHub and GitLab share: what matters first, the rest folded.

mod cause;
mod details;
mod prose;
mod ticket;

use super::{MASKED, Report, Style};
use crate::diagnosis::{Standing, Verdict};
use prose::{cell, code, prose};
use std::io::Write;
use ticket::Ticket;

/// Most bytes of a report. GitHub takes 65,536 characters in an issue.
pub const BYTES_MAX: usize = 60_000;
/// Characters that are shown of the headline, and of what was seen at a stage.
const HEADLINE: usize = 600;
const SEEN: usize = 240;
/// Claims that are told.
const CLAIMS: usize = 20;

/// Writes the report.
pub fn write(report: &Report, style: &Style, out: &mut dyn Write) -> std::io::Result<()> {
    let mut ticket = Ticket::new(BYTES_MAX);
    for (name, block) in
        [("headline", head(report, style)), ("stages", stages(report)), ("claims", contradictions(report))]
    {
        if !ticket.add(&block, 0) {
            ticket.lacks(name, String::new());
        }
    }
    causes(report, &mut ticket);
    if !ticket.add(&waivers(report), 0) {
        ticket.lacks("waivers", String::new());
    }
    for (name, summary, body) in details::of(report) {
        ticket.folded(name, &summary, body);
    }
    out.write_all(ticket.end().as_bytes())
}

/// What became of waivers that are not told at their causes.
fn waivers(report: &Report) -> String {
    let lines: String = report.waivers_aside().map(|one| format!("- {}\n", prose(&one.said, SEEN))).collect();
    if lines.is_empty() { lines } else { format!("### Waivers\n\n{lines}\n") }
}

/// Each cause as a whole, as long as there is room to name the others.
fn causes(report: &Report, ticket: &mut Ticket) {
    let all = || report.diagnoses.iter().enumerate();
    let named: Vec<String> = all().map(|(number, diagnosis)| cause::named(number + 1, diagnosis)).collect();
    let mut rest: usize = named.iter().map(String::len).sum();
    let (mut shortened, mut left_out) = (0, 0);
    for ((number, diagnosis), named) in all().zip(&named) {
        rest -= named.len();
        let whole = cause::whole(number + 1, diagnosis, report);
        if ticket.add(&whole, rest) {
            continue;
        }
        match ticket.add(named, 0) {
            true => shortened += 1,
            false => left_out += 1,
        }
    }
    for (number, name) in [(shortened, "why and fix of causes"), (left_out, "causes")] {
        if number > 0 {
            ticket.lacks(name, format!("{number} of {}", named.len()));
        }
    }
}

/// The sentence, and where it comes from.
fn head(report: &Report, style: &Style) -> String {
    let verdict = match report.counted() {
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy => "unhealthy",
        Verdict::Undecided => "undecided",
    };
    let server =
        report.target.server.as_ref().map_or(String::new(), |server| format!(" · server {}", code(server, SEEN)));
    let by = report.outcome(style.fail_on).by_option().map_or(String::new(), |by| format!(" ({by})"));
    let masked = if style.masked { format!("{MASKED}\n\n") } else { String::new() };
    format!(
        "## {}\n\nVerdict: **{verdict}**{by}{server} · facts of {} · {}\n\n{masked}",
        prose(&report.headline, HEADLINE),
        code(&report.taken_at, 40),
        code(&report.tool, 40)
    )
}

/// The stages as a table, the first that fails marked.
fn stages(report: &Report) -> String {
    let told = |standing: Standing| report.recorded.is_none() || standing != Standing::NotApplicable;
    let mut table = String::from("| Stage | Standing | What was seen |\n|---|---|---|\n");
    let first = report.first_break().map(|link| link.stage);
    let mut rows = 0;
    for link in report.stages.iter().filter(|link| told(link.standing)) {
        let standing = match link.standing {
            Standing::Pass => "pass",
            Standing::Warn => "warning",
            Standing::Fail if report.is_waived(link) => "fail, waived",
            Standing::Fail if Some(link.stage) == first => "**FAIL** (first)",
            Standing::Fail => "**FAIL**",
            Standing::Unknown => "unknown",
            Standing::Blocked => "blocked",
            Standing::NotApplicable => "not asked",
        };
        table += &format!("| {} | {standing} | {} |\n", link.stage, cell(&link.seen, SEEN));
        rows += 1;
    }
    if let Some(budget) = &report.device_budget {
        table += &format!("| GPU memory | | {} |\n", cell(budget, SEEN));
        rows += 1;
    }
    if rows > 0 { table + "\n" } else { String::new() }
}

fn contradictions(report: &Report) -> String {
    if report.contradictions.is_empty() {
        return String::new();
    }
    let lines = report.contradictions.iter().take(CLAIMS).map(|sentence| format!("- {}\n", prose(sentence, HEADLINE)));
    let more = match report.contradictions.len().saturating_sub(CLAIMS) {
        0 => String::new(),
        more => format!("- and {more} more; the report as JSON has all of them\n"),
    };
    format!("**Claimed, and measured otherwise**\n\n{}{more}\n", lines.collect::<String>())
}
