//! The report in one line of at most 80 bytes of ASCII: a custom plugin's of the node problem detector, or of Nagios.

use super::{Report, RunOutcome};
use crate::cli::FailOn;
use crate::diagnosis::{Diagnosis, WaiverStanding};
use std::io::Write;

/// Most bytes, without the end of the line: what the node problem detector takes unless told otherwise.
const BYTES_MAX: usize = 80;

/// Writes the report.
pub fn write(report: &Report, fail_on: FailOn, out: &mut dyn Write) -> std::io::Result<()> {
    let word = match report.outcome(fail_on) {
        RunOutcome::Fails | RunOutcome::FailsBy(_) => "CRITICAL",
        RunOutcome::Undecided => "UNKNOWN",
        RunOutcome::Warns => "WARNING",
        RunOutcome::Healthy => "OK",
    };
    let counted: Vec<&Diagnosis> = report.diagnoses.iter().filter(|one| one.waived.is_none()).collect();
    // A waiver that does not hold makes it a failure, whatever the first cause is.
    let failing = report.waivers_failing().next();
    let waiver = failing.map_or(String::new(), |one| match one.standing {
        WaiverStanding::Expired => format!("waiver expired: {}; ", one.id),
        _ => format!("waiver of no known day: {}; ", one.id),
    });
    let said = match counted.first() {
        Some(first) if failing.is_some_and(|one| one.id == first.cause) && counted.len() == 1 => first.brief.clone(),
        Some(first) => {
            let more = match counted.len() {
                1 => String::new(),
                all => format!(" (+{})", all - 1),
            };
            format!("{}{more}: {}", first.cause, first.brief)
        }
        // The word before it says that already.
        None if word == "UNKNOWN" => report.headline.trim_start_matches("Undecided: ").to_owned(),
        None => report.headline.clone(),
    };
    writeln!(out, "{}", line(&format!("{word} - {waiver}{said}")))
}

/// A text in so many bytes of printable ASCII. A bar would begin Nagios' performance data.
fn line(text: &str) -> String {
    let ascii = |c: char| match c {
        '|' => '/',
        '–' | '—' => '-',
        '\u{2018}' | '\u{2019}' => '\'',
        '\u{201c}' | '\u{201d}' => '"',
        ' '..='~' => c,
        c if c.is_whitespace() || c.is_control() => ' ',
        _ => '?',
    };
    // More than is shown, so that what is too long is seen to be.
    let text: String = text.chars().take(10 * BYTES_MAX).map(ascii).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.get(..BYTES_MAX - 3) {
        Some(beginning) if text.len() > BYTES_MAX => format!("{}...", beginning.trim_end()),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_short_and_plain() {
        assert_eq!(line("OK - fine"), "OK - fine");
        assert_eq!(line("a\n| \u{202e}ä – 'b'"), "a / ?? - 'b'");
        assert_eq!(line(&"x".repeat(80)), "x".repeat(80));
        assert_eq!(line(&"x".repeat(81)), format!("{}...", "x".repeat(77)));
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in ".{0,300}") {
            let line = line(&text);
            prop_assert!(line.len() <= BYTES_MAX && line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        }
    }
}
