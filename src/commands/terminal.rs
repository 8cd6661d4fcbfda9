//! How wide the terminal is, and whether it is to have colours.
//!
//! Width: `COLUMNS`, if the environment says a number there, else the terminal's own, else 100; never below 60 nor above
//! 120, where lines are hard to read. Colours: none with `NO_COLOR` (any value but the empty one), else with
//! `CLICOLOR_FORCE` (neither empty nor 0), else none with `CLICOLOR=0` or `TERM=dumb`, else where a terminal reads.

use crate::report::Style;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::ops::RangeInclusive;
use std::os::fd::AsFd;

/// Columns that a text is written for.
const WIDTHS: RangeInclusive<usize> = 60..=120;
/// Columns where nothing is known of the reader.
const UNKNOWN: usize = 100;

/// The style that fits standard output.
pub fn style() -> Style {
    Style { width: width(std::io::stdout()), colour: has_colours(), ..Style::default() }
}

/// Columns for a text on this stream.
pub fn width(stream: impl IsTerminal + AsFd) -> usize {
    let own = stream.is_terminal().then(|| terminal_size::terminal_size_of(&stream)).flatten();
    columns(std::env::var_os("COLUMNS"), own.map(|(width, _)| usize::from(width.0)))
}

fn columns(said: Option<OsString>, own: Option<usize>) -> usize {
    let said = said.and_then(|text| text.to_str()?.trim().parse::<usize>().ok());
    // A terminal that was never told its size says 0.
    let known = [said, own].into_iter().flatten().find(|columns| *columns > 0);
    known.unwrap_or(UNKNOWN).clamp(*WIDTHS.start(), *WIDTHS.end())
}

/// Whether standard output is to have colours.
pub fn has_colours() -> bool {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    coloured(variable, std::io::stdout().is_terminal())
}

fn coloured(variable: impl Fn(&str) -> Option<OsString>, terminal: bool) -> bool {
    if variable("NO_COLOR").is_some() {
        return false;
    }
    if variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
        return true;
    }
    let refused =
        variable("CLICOLOR").is_some_and(|value| value == "0") || variable("TERM").is_some_and(|t| t == "dumb");
    terminal && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_the_users_word_or_the_terminals_within_bounds() {
        let said = |text: &str| Some(OsString::from(text));
        assert_eq!(columns(said("80"), Some(200)), 80);
        assert_eq!([columns(None, Some(72)), columns(None, None)], [72, 100]);
        assert_eq!([columns(None, Some(20)), columns(None, Some(400))], [60, 120]);
        assert_eq!(
            [columns(said("wide"), None), columns(said("0"), Some(0)), columns(said(""), Some(90))],
            [100, 100, 90]
        );
    }

    #[test]
    fn colours_are_for_terminals_unless_somebody_says_otherwise() {
        let with = |set: &'static [(&str, &str)], terminal: bool| {
            let value =
                |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value));
            coloured(value, terminal)
        };
        assert!(with(&[], true) && !with(&[], false));
        assert!(!with(&[("NO_COLOR", "1")], true) && !with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true));
        assert!(with(&[("CLICOLOR_FORCE", "1"), ("TERM", "dumb")], false) && !with(&[("CLICOLOR_FORCE", "0")], false));
        assert!(
            !with(&[("CLICOLOR", "0")], true) && with(&[("CLICOLOR", "1")], true) && !with(&[("TERM", "dumb")], true)
        );
    }
}
