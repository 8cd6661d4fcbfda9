//! Floor 0: words for people, made of numbers and of texts from outside.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A number of things: `1 GPU`, `2 GPUs`.
pub fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

/// A number with separators: `5,000,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of bytes for people: `2.3 MB`.
pub fn bytes(number: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let step = units.iter().enumerate().rev().find(|(power, _)| number >= 1000f64.powi(*power as i32));
    match step {
        Some((power @ 1.., unit)) => format!("{:.1} {unit}", number / 1000f64.powi(power as i32)),
        _ => format!("{number} B"),
    }
}

/// Breaks text at spaces into lines of at most `width` columns; longer words stay whole, so that paths can be copied.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut used = 0;
    for word in text.split_whitespace() {
        let own = columns(word);
        match lines.last_mut() {
            Some(line) if used + 1 + own <= width => {
                line.push(' ');
                line.push_str(word);
                used += 1 + own;
            }
            _ => {
                lines.push(word.to_string());
                used = own;
            }
        }
    }
    lines
}

/// A command of one line: spaces in a row are one, but within quotes, where they are part of what is quoted.
pub fn folded_command(text: &str) -> String {
    let (mut folded, mut waits, mut rest) = (String::with_capacity(text.len()), false, text.trim());
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            _ if c.is_whitespace() => 0,
            '\\' => c.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8),
            '\'' | '"' => quoted(rest, c),
            _ => c.len_utf8(),
        };
        if taken > 0 && std::mem::take(&mut waits) {
            folded.push(' ');
        }
        waits |= taken == 0;
        let line_ends = |c: char| if c.is_whitespace() { ' ' } else { c };
        folded.extend(rest[..taken].chars().map(line_ends));
        rest = &rest[if taken > 0 { taken } else { c.len_utf8() }..];
    }
    folded
}

/// Bytes of a quoted text up to its closing mark; of one that is never closed the mark alone.
fn quoted(text: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if mark == '"' => escaped = true,
            _ if c == mark => return at + 1,
            _ => {}
        }
    }
    1
}

/// Columns that a text takes on a terminal: letters of East Asia and pictures take two, marks above other letters none.
///
/// Terminals differ about pictures that are made of several; the widest is counted.
pub fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width().max(text.chars().map(char_columns).sum()) }
}

fn char_columns(c: char) -> usize {
    c.width().unwrap_or(1)
}

/// A text of at most so many columns: what is too long ends in `...`.
pub fn clip(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 3);
    for c in text.chars() {
        used += char_columns(c);
        if used > width || columns(&kept) + char_columns(c) + 3 > width {
            break;
        }
        kept.push(c);
    }
    format!("{}...", kept.trim_end())
}

/// A text with spaces behind it, up to so many columns.
pub fn padded(text: &str, width: usize) -> String {
    format!("{text}{:missing$}", "", missing = width.saturating_sub(columns(text)))
}

/// A text in ASCII: marks of typography by their like, everything else as `\u{e9}`, so that nothing is lost.
pub fn ascii(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_ascii() => written.push(c),
            '\u{2018}' | '\u{2019}' => written.push('\''),
            '\u{201c}' | '\u{201d}' => written.push('"'),
            '\u{2010}'..='\u{2015}' | '\u{2212}' => written.push('-'),
            '\u{2022}' | '\u{b7}' => written.push('*'),
            '\u{d7}' => written.push('x'),
            '\u{2026}' => written.push_str("..."),
            '\u{2192}' => written.push_str("->"),
            '\u{2264}' => written.push_str("<="),
            '\u{2265}' => written.push_str(">="),
            '\u{a0}' | '\u{2009}' | '\u{202f}' => written.push(' '),
            // In a unit it is understood without: 34 C.
            '\u{b0}' => {}
            '\u{b5}' | '\u{3bc}' => written.push('u'),
            _ => written.extend(c.escape_unicode()),
        }
    }
    written
}

/// Of these names the one that is most like a misspelt one; none where nothing is as much like it as `least`, from 0 to 1
/// (Jaro-Winkler).
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>, least: f64) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let likeness = |other: &'a str| (strsim::jaro_winkler(&lower, &other.to_lowercase()), other);
    let likest = names.take(10_000).map(likeness).reduce(|best, next| if next.0 > best.0 { next } else { best });
    likest.filter(|(likeness, _)| *likeness >= least).map(|(_, name)| name)
}

/// Text from servers and libraries, made harmless to a terminal: every [`unprintable`] character is a space.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect()
}

/// Whether a character steers a terminal, or turns the direction of the text around it.
pub fn unprintable(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    // Line ends of Unicode, marks of annotations, and tags, which hide a text within another one.
    let hides = matches!(c, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    turns || hides || c.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_words_stay_whole() {
        assert_eq!(wrap("one two  three", 8), ["one two", "three"]);
        assert_eq!(wrap("/a/very/long/path x", 5), ["/a/very/long/path", "x"]);
    }

    #[test]
    fn spaces_within_quotes_are_kept_in_commands() {
        for (text, folded) in [
            ("printf '%s'   'a:'\n  '  b: c' > f", "printf '%s' 'a:' '  b: c' > f"),
            (r#"curl -d "{\"a\":  1}"  x"#, r#"curl -d "{\"a\":  1}" x"#),
            ("echo it's   here", "echo it's here"),
            ("ls a\\  b  ", "ls a\\  b"),
            ("-d '{\n  \"ü\": 1}'", "-d '{   \"ü\": 1}'"),
            ("  ", ""),
        ] {
            assert_eq!(folded_command(text), folded);
        }
    }

    #[test]
    fn width_is_counted_in_columns() {
        // Three ideographs, an accent of its own, a picture.
        assert_eq!([columns("abc"), columns("日本語"), columns("e\u{301}"), columns("🚀")], [3, 6, 1, 2]);
        assert_eq!(wrap("日本 語語 a", 7), ["日本", "語語 a"]);
        assert_eq!(clip("日本語日本語", 8), "日本...");
        assert_eq!(clip("nothing lost", 12), "nothing lost");
        assert_eq!(clip("cut at a space", 9), "cut at...");
        assert_eq!(padded("日", 4), "日  ");
    }

    #[test]
    fn ascii_loses_nothing() {
        assert_eq!(ascii("34 °C, 3 µs — “naïve” …"), "34 C, 3 us - \"na\\u{ef}ve\" ...");
        assert!(ascii("日本語🚀").is_ascii());
    }

    #[test]
    fn long_numbers_have_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mred\r\n"), "a [31mred  ");
        assert_eq!(plain("\u{202e}cba"), " cba");
        assert_eq!(plain("a\u{61c}b\u{2028}c"), "a b c");
        assert_eq!(plain("a\u{e0041}b\u{206e}c"), "a b c");
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!([count(0, "GPU"), count(1, "GPU"), count(2, "GPU")], ["0 GPUs", "1 GPU", "2 GPUs"]);
    }
}
