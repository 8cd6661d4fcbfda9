//! Floor 0: words for people, made of numbers and of texts from outside.

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
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// Text from servers and libraries, made harmless to a terminal: every [`unprintable`] character is a space.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect()
}

/// Whether a character steers a terminal, or turns the direction of the text around it.
pub fn unprintable(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
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
    fn long_numbers_have_separators() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(plain("a\u{1b}[31mred\r\n"), "a [31mred  ");
        assert_eq!(plain("\u{202e}cba"), " cba");
        assert_eq!(plain("a\u{61c}b\u{2028}c"), "a b c");
    }

    #[test]
    fn one_thing_is_not_many() {
        assert_eq!([count(0, "GPU"), count(1, "GPU"), count(2, "GPU")], ["0 GPUs", "1 GPU", "2 GPUs"]);
    }
}
