//! Texts of which a line must hold one if a pattern is to fit it, taken from the pattern itself.
//!
//! They are what makes a log of hundreds of megabytes quick to read: one automaton finds them all in one pass, and
//! patterns are tried only on lines in which one of theirs was found.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Shortest text that is worth looking for, bytes.
const LEAST: usize = 3;

/// The texts, in lower case: a line that holds none of them, in any case, cannot fit. None if the pattern is not valid or
/// demands no text.
pub fn required(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()?;
    of(&hir).filter(|texts| least(texts) >= LEAST)
}

/// Texts of which one must be met.
fn of(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    if let Some(text) = exact(hir).filter(|text| !text.is_empty()) {
        return Some(vec![text]);
    }
    match hir.kind() {
        HirKind::Capture(capture) => of(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => of(&repetition.sub),
        HirKind::Alternation(branches) => {
            branches.iter().map(of).collect::<Option<Vec<_>>>().map(|texts| texts.concat())
        }
        HirKind::Concat(parts) => of_parts(parts),
        _ => None,
    }
}

/// The best of what each part, or several in a row, demand.
fn of_parts(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    let mut choices: Vec<Vec<Vec<u8>>> = Vec::new();
    let mut row: Vec<u8> = Vec::new();
    for part in parts {
        match exact(part) {
            Some(text) => row.extend(text),
            None => {
                choices.push(vec![std::mem::take(&mut row)]);
                choices.extend(of(part));
            }
        }
    }
    choices.push(vec![row]);
    choices.into_iter().filter(|texts| least(texts) > 0).max_by_key(|texts| (least(texts), usize::MAX - texts.len()))
}

/// The one text that this fits, but for its case.
fn exact(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(Vec::new()),
        HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
        HirKind::Class(class) => letter(class).map(|letter| vec![letter]),
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(exact).collect::<Option<Vec<_>>>().map(|texts| texts.concat()),
        _ => None,
    }
}

/// The letter of which a class holds nothing but both cases.
fn letter(class: &Class) -> Option<u8> {
    let Class::Bytes(class) = class else { return None };
    let bytes: Vec<u8> = class.iter().flat_map(|range| range.start()..=range.end()).take(3).collect();
    match bytes.as_slice() {
        [one] => Some(one.to_ascii_lowercase()),
        [one, other] if one.eq_ignore_ascii_case(other) => Some(one.to_ascii_lowercase()),
        _ => None,
    }
}

fn least(texts: &[Vec<u8>]) -> usize {
    texts.iter().map(Vec::len).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pattern: &str) -> Option<Vec<String>> {
        let texts = required(pattern)?;
        Some(texts.into_iter().map(|text| String::from_utf8(text).unwrap()).collect())
    }

    #[test]
    fn the_longest_text_that_must_be_met_is_taken() {
        assert_eq!(texts(r"Using (?P<device>cpu|cuda) now").unwrap(), ["using "]);
        assert_eq!(texts(r"(?i)api KEY was \d+").unwrap(), ["api key was "]);
        assert_eq!(texts(r"abcd\b(?:efg){1,3}").unwrap(), ["abcd"]);
        assert_eq!(texts(r"first one|(?:the )?second").unwrap(), ["first one", "second"]);
        assert_eq!(texts(r"\bBLAS = 0\b").unwrap(), ["blas = 0"]);
        for none in [r"\d+", "(?:abcd)?", "ab", "abcd|.*", "("] {
            assert_eq!(texts(none), None, "{none}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_line_that_fits_holds_one(line in "[ abAB:=]{0,40}") {
            for pattern in ["(?i)aab+ ?[ab]{2}", "aba|(?:b|B)ab[:=]+a", "(a|b)ab{2,}a?:", "(?:ab|aab) ?= ?(?:BB|ba)a"] {
                let Some(texts) = required(pattern) else { continue };
                let fits = regex::Regex::new(pattern).unwrap().is_match(&line);
                let low = line.to_lowercase();
                let holds = texts.iter().any(|text| low.contains(std::str::from_utf8(text).unwrap()));
                proptest::prop_assert!(!fits || holds, "{pattern} {line}");
            }
        }
    }
}
