//! Python's tokens, tolerantly: whatever the bytes are, there is an answer, and it takes time in proportion to them.
//!
//! Enough of the lexical analysis of the language reference to find calls: strings of every prefix, formatted ones with
//! strings inside, comments, brackets over lines, continuation lines. What a program means is not looked at.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A name or a keyword.
    Name,
    /// A number.
    Number,
    /// A string, with its prefix and quotes.
    Text,
    /// `(`, `[` or `{`.
    Open,
    /// `)`, `]` or `}`.
    Close,
    /// Anything else that is no white space.
    Operator,
    /// The end of a logical line.
    LineEnd,
}

/// One token: its bytes in the source and the line on which it begins, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    pub line: usize,
}

/// Deepest formatted string inside a formatted string.
const NESTING_MAX: usize = 8;
/// Words that begin a statement. At the begin of a line they end whatever brackets are still open, so that one bracket
/// too many does not swallow the rest of a file.
const STATEMENTS: &[&str] = &["def", "class", "import", "from", "async", "with", "try", "while", "return"];

/// All tokens of a source.
pub fn tokens(source: &str) -> Vec<Token> {
    let bytes = source.as_bytes();
    let mut found: Vec<Token> = Vec::new();
    let (mut at, mut line, mut depth, mut line_start) = (0, 1, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let kind = match byte {
            b'\n' => {
                at += 1;
                if depth == 0 && found.last().is_some_and(|last| last.kind != Kind::LineEnd) {
                    found.push(Token { kind: Kind::LineEnd, start, end: at, line });
                }
                line += 1;
                line_start = at;
                continue;
            }
            b'\\' if matches!(bytes.get(at + 1), Some(b'\n' | b'\r')) => {
                at += 1;
                while bytes.get(at) == Some(&b'\r') {
                    at += 1;
                }
                if bytes.get(at) == Some(&b'\n') {
                    at += 1;
                    line += 1;
                }
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\x0c' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes.iter().skip(at).position(|byte| *byte == b'\n').unwrap_or(bytes.len() - at);
                continue;
            }
            b'"' | b'\'' => {
                at = string_end(bytes, at, false, 0);
                Kind::Text
            }
            byte if is_name(byte) && !byte.is_ascii_digit() => {
                at = end_of(bytes, at, is_name);
                let name = source.get(start..at).unwrap_or_default();
                match bytes.get(at) {
                    Some(b'"' | b'\'') if is_prefix(name) => {
                        at = string_end(bytes, at, name.contains(['f', 'F', 't', 'T']), 0);
                        Kind::Text
                    }
                    _ => {
                        if start == line_start && depth > 0 && STATEMENTS.contains(&name) {
                            depth = 0;
                            found.push(Token { kind: Kind::LineEnd, start, end: start, line });
                        }
                        Kind::Name
                    }
                }
            }
            byte if byte.is_ascii_digit() => {
                at = end_of(bytes, at, |byte| is_name(byte) || byte == b'.');
                Kind::Number
            }
            b'(' | b'[' | b'{' => {
                at += 1;
                depth += 1;
                Kind::Open
            }
            b')' | b']' | b'}' => {
                at += 1;
                depth = depth.saturating_sub(1);
                Kind::Close
            }
            byte => {
                at += 1;
                if b"=!<>:+-*/%&|^@".contains(&byte) && bytes.get(at) == Some(&b'=') {
                    at += 1;
                }
                Kind::Operator
            }
        };
        found.push(Token { kind, start, end: at, line });
        if kind == Kind::Text {
            line += bytes.get(start..at).map_or(0, |text| text.iter().filter(|byte| **byte == b'\n').count());
        }
    }
    found
}

/// Bytes of names; those beyond ASCII are taken for letters.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn end_of(bytes: &[u8], from: usize, fits: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(from).position(|byte| !fits(*byte)).map_or(bytes.len(), |length| from + length)
}

fn is_prefix(name: &str) -> bool {
    name.len() <= 2 && name.bytes().all(|byte| b"rRbBuUfFtT".contains(&byte))
}

/// Where the string that opens at the quote `at` ends. One without end ends with its line, a long one with the source.
fn string_end(bytes: &[u8], at: usize, formatted: bool, nesting: usize) -> usize {
    let Some(&quote) = bytes.get(at) else { return at };
    let long = bytes.get(at..at + 3).is_some_and(|three| three.iter().all(|byte| *byte == quote));
    let mut at = if long { at + 3 } else { at + 1 };
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'\n' if !long => return at,
            b'{' if formatted && bytes.get(at + 1) == Some(&b'{') => at += 2,
            b'{' if formatted && nesting < NESTING_MAX => at = field_end(bytes, at + 1, quote, long, nesting),
            byte if byte == quote => {
                let closes = !long || bytes.get(at..at + 3).is_some_and(|three| three.iter().all(|b| *b == quote));
                at += if closes && long { 3 } else { 1 };
                if closes {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Where the replacement field of a formatted string ends, behind its `}`. `at` is the byte behind its `{`.
fn field_end(bytes: &[u8], mut at: usize, quote: u8, long: bool, nesting: usize) -> usize {
    let (mut depth, mut in_format) = (0_usize, false);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\n' if !long => return at,
            // Behind the colon stands a format, in which a quote is a character to fill with; its own string's ends it.
            b'"' | b'\'' if in_format => {
                if byte == quote {
                    return at;
                }
                at += 1;
            }
            b'"' | b'\'' => {
                let formatted = at.checked_sub(1).and_then(|before| bytes.get(before));
                let formatted = formatted.is_some_and(|byte| b"fFtT".contains(byte));
                at = string_end(bytes, at, formatted, nesting + 1);
            }
            b'}' if depth == 0 => return at + 1,
            b'(' | b'[' | b'{' => {
                depth += 1;
                at += 1;
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b':' if depth == 0 => {
                in_format = true;
                at += 1;
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        tokens(source).iter().filter(|token| token.kind != Kind::LineEnd).map(|t| &source[t.start..t.end]).collect()
    }

    #[test]
    fn strings_of_every_kind_are_one_token() {
        for source in [
            "'a(b'",
            "\"a'b\"",
            "'''a\n'b' # no comment\n'''",
            r#"r"\""#.trim_end(),
            r#"rb'x\'y'"#,
            "f'{x}'",
            "f\"{d['k']!r:>10}\"",
            "f'{x:\">5}'",
            "f'{{}}'",
            "f\"{f'{y(1)}'}\"",
            "f\"{d[\"same\"]}\"",
            "f'''{\n x }\n'''",
            "'never closed",
        ] {
            assert_eq!(words(source), [source]);
        }
        assert_eq!(words("f'{x' + 1\ny"), ["f'{x' + 1", "y"], "one that is broken ends with its line");
    }

    #[test]
    fn comments_lines_and_brackets_are_seen() {
        assert_eq!(words("a = b # (\nc"), ["a", "=", "b", "c"]);
        assert_eq!(words("a == b, x := 1, d['x']"), ["a", "==", "b", ",", "x", ":=", "1", ",", "d", "[", "'x'", "]"]);
        let line_ends = |source: &str| tokens(source).iter().filter(|token| token.kind == Kind::LineEnd).count();
        assert_eq!(line_ends("f(\n 1,\n 2)\n\n\ng()\n"), 2);
        assert_eq!(line_ends("a = \\\n 1\n"), 1);
        assert_eq!(line_ends("a = \\\r\n 1\r\n"), 1);
        assert_eq!(
            line_ends("x = (1,\ndef f():\n    pass\n"),
            3,
            "a bracket that is never closed ends at the next def"
        );
        let lines: Vec<_> = tokens("a\n'''\n\n'''\nb").iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 1, 2, 4, 5]);
        assert_eq!(words("größe = naïve()"), ["größe", "=", "naïve", "(", ")"]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]
        #[test]
        fn any_text_gives_tokens_in_order(source in r#"([a-f(){}\[\]'"\\ \n=.,#:!é]|f'|rb"|"""|def |InferenceSession\()*"#) {
            let mut at = 0;
            for token in tokens(&source) {
                proptest::prop_assert!(token.start >= at && token.end >= token.start && token.end <= source.len());
                proptest::prop_assert!(source.get(token.start..token.end).is_some(), "whole characters");
                proptest::prop_assert!(token.line <= source.matches('\n').count() + 1);
                at = token.end;
            }
        }

        #[test]
        fn any_bytes_give_tokens(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let source = String::from_utf8_lossy(&bytes);
            tokens(&source);
        }
    }
}
