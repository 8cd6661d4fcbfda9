//! Text from outside, made harmless: it is text wherever it stands, between tags and in attributes alike.

use crate::words::unprintable;
use std::fmt::{Display, Formatter, Result, Write};

/// Characters of a text that is not cut shorter. Those of a report are no longer; those of a snapshot may be of any length.
const TEXT_MAX: usize = super::super::bounded::TEXT_MAX + 100;

/// Text on one line, its beginning where it is very long. What steers a terminal or turns the direction of writing is a space.
pub struct Text<'a>(pub &'a str);

/// Text of several lines: line breaks stay.
pub struct Lines<'a>(pub &'a str);

/// The beginning of a text, at most so many characters, and how long it is where it was cut.
pub struct Clipped<'a>(pub &'a str, pub usize);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Clipped(self.0, TEXT_MAX).fmt(f)
    }
}

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        escape(self.0, true, f)
    }
}

impl Display for Clipped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Clipped(text, most) = *self;
        match text.char_indices().nth(most).and_then(|(end, _)| text.get(..end)) {
            Some(start) => {
                escape(start, false, f)?;
                write!(f, "… ({} bytes in all)", text.len())
            }
            None => escape(text, false, f),
        }
    }
}

fn escape(text: &str, lines: bool, f: &mut Formatter<'_>) -> Result {
    let mut written = 0;
    for (at, c) in text.char_indices() {
        let instead = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            '"' => "&quot;",
            '\'' => "&#39;",
            '\n' if lines => continue,
            c if unprintable(c) => " ",
            _ => continue,
        };
        f.write_str(text.get(written..at).unwrap_or_default())?;
        f.write_str(instead)?;
        written = at + c.len_utf8();
    }
    f.write_str(text.get(written..).unwrap_or_default())
}

/// A text in which parts between backticks are code.
pub struct Marked<'a>(pub &'a str);

impl Display for Marked<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        // An odd backtick is none.
        let pairs = self.0.matches('`').count() / 2;
        for (number, part) in self.0.splitn(2 * pairs + 1, '`').enumerate() {
            match number % 2 {
                0 => escape(part, false, f)?,
                _ => {
                    f.write_str("<code>")?;
                    escape(part, false, f)?;
                    f.write_str("</code>")?;
                }
            }
        }
        Ok(())
    }
}

/// A number with at most so many decimals, without zeros at its end.
pub fn number(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "-".into();
    }
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = write!(text, "{value:.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" { "0".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_text_leaves_its_place() {
        assert_eq!(Text("</script><b a='\"'>&").to_string(), "&lt;/script&gt;&lt;b a=&#39;&quot;&#39;&gt;&amp;");
        assert_eq!(Text("a\u{202e}b\u{1b}[31m\nc\0d").to_string(), "a b [31m c d");
        assert_eq!(Lines("a\nb\r").to_string(), "a\nb ");
        assert_eq!(Marked("run `a <b>` now, and ` this").to_string(), "run <code>a &lt;b&gt;</code> now, and ` this");
    }

    #[test]
    fn long_texts_are_cut_at_a_character_and_say_so() {
        assert_eq!(Clipped("äöü", 3).to_string(), "äöü");
        assert!(Text(&"x".repeat(10_000_000)).to_string().ends_with("x… (10000000 bytes in all)"));
        assert!(Text(&"x".repeat(10_000_000)).to_string().len() < 3_000);
        assert_eq!(Clipped("äöü<", 2).to_string(), "äö… (7 bytes in all)");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [number(1.50, 2), number(100.0, 1), number(-0.01, 1), number(f64::NAN, 1)],
            ["1.5", "100", "0", "-"]
        );
    }

    proptest! {
        #[test]
        fn nothing_that_is_markup_is_left(text in any::<String>()) {
            for shown in [Text(&text).to_string(), Lines(&text).to_string(), Clipped(&text, 9).to_string()] {
                prop_assert!(!shown.contains(['<', '>', '"', '\'']));
                prop_assert!(!shown.chars().any(|c| c != '\n' && unprintable(c)));
            }
        }
    }
}
