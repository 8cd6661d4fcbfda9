//! Regular expressions of schemas, which are ECMAScript's: matched and reversed within bounds, by engines that have no
//! backtracking.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

/// Length of a pattern, size of its compiled form, bytes; steps and length of a text made for it.
const LENGTH: usize = 4096;
const COMPILED: usize = 1 << 20;
const STEPS: usize = 20_000;
const MADE: usize = 4096;
/// Characters that texts are made of, as far as the pattern allows them.
const USUAL: &[char] = &['a', 'A', '0', '1', '_', '-', ' '];

/// A pattern that could be read.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// The pattern without assertions about what follows.
    plain: Regex,
    tree: Hir,
    /// Assertions at its start: whether the expression must match there or must not.
    ahead: Vec<(bool, Regex)>,
    /// Assertions at other places, which are not understood.
    partly: bool,
}

impl Pattern {
    /// Reads a pattern. `None`: it is not one, is too large, or has what no engine without backtracking has.
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > LENGTH {
            return None;
        }
        let text = translated(text);
        let (rest, assertions, partly) = without_assertions(&text)?;
        let compile = |text: &str| RegexBuilder::new(text).size_limit(COMPILED).dfa_size_limit(COMPILED).build().ok();
        let mut ahead = Vec::new();
        for (positive, inner) in assertions {
            ahead.push((positive, compile(&format!("^(?:{inner})"))?));
        }
        let tree = regex_syntax::ParserBuilder::new().nest_limit(100).build().parse(&rest).ok()?;
        Some(Self { plain: compile(&rest)?, tree, ahead, partly })
    }

    /// Whether a text matches; `None` if that cannot be told.
    pub fn fits(&self, text: &str) -> Option<bool> {
        let ahead = self.ahead.iter().all(|(positive, inner)| inner.is_match(text) == *positive);
        match self.plain.is_match(text) && ahead {
            false => Some(false),
            true if self.partly => None,
            true => Some(true),
        }
    }

    /// A text that the pattern describes, with `extra` repetitions beyond those that it demands. `salt` chooses among its
    /// characters and branches.
    pub fn text(&self, extra: u32, salt: usize) -> Option<String> {
        let mut made = String::new();
        let mut steps = STEPS;
        write(&self.tree, extra, salt, &mut made, &mut steps)?;
        Some(made)
    }
}

fn write(tree: &Hir, extra: u32, salt: usize, made: &mut String, steps: &mut usize) -> Option<()> {
    *steps = steps.checked_sub(1)?;
    match tree.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => made.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            let holds = |c: &&char| ranges.iter().any(|range| range.start() <= **c && **c <= range.end());
            let usual: Vec<&char> = USUAL.iter().filter(holds).collect();
            let chosen = match usual.len() {
                0 => {
                    // The first letter or sign that can be seen, rather than a control character.
                    let seen = ranges.iter().find(|range| range.end() >= '!').map(|range| range.start().max('!'));
                    seen.or(ranges.first().map(|range| range.start()))?
                }
                count => **usual.get(salt % count)?,
            };
            made.push(chosen);
        }
        HirKind::Class(Class::Bytes(class)) => made.push(char::from(class.ranges().first()?.start())),
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(u32::MAX);
            let times = repetition.min.saturating_add(extra).min(most).max(repetition.min);
            for turn in 0..times {
                write(&repetition.sub, extra, salt.wrapping_mul(31).wrapping_add(turn as usize), made, steps)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, extra, salt, made, steps)?,
        HirKind::Concat(list) => {
            for one in list {
                write(one, extra, salt, made, steps)?;
            }
        }
        HirKind::Alternation(list) => write(list.get(salt % list.len().max(1))?, extra, salt, made, steps)?,
    }
    (made.len() <= MADE).then_some(())
}

/// ECMAScript's notation in Rust's: a bracket inside a class, a brace that is no repetition, `\Z` of Python.
fn translated(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut chars = text.char_indices().peekable();
    let mut class = false;
    let mut first_in_class = false;
    while let Some((at, c)) = chars.next() {
        let was_first = std::mem::replace(&mut first_in_class, false);
        match c {
            '\\' => match chars.next() {
                Some((_, 'Z')) => out.push_str("\\z"),
                Some((_, next)) => out.extend([c, next]),
                None => out.push(c),
            },
            '[' if class => out.push_str("\\["),
            '&' | '~' if class => out.extend(['\\', c]),
            '[' => {
                class = true;
                first_in_class = true;
                out.push(c);
            }
            '^' if class && was_first => {
                first_in_class = true;
                out.push(c);
            }
            ']' if class => {
                class = false;
                // `[]` matches nothing and `[^]` anything in ECMAScript.
                if was_first && out.ends_with('^') {
                    out.push_str("\\x00\\x01--\\x00\\x01");
                }
                out.push(c);
            }
            '{' if !class && !repeats(text.get(at..).unwrap_or_default()) => out.push_str("\\{"),
            _ => out.push(c),
        }
    }
    out
}

/// Whether a text starts with `{2}`, `{2,}` or `{2,3}`.
fn repeats(text: &str) -> bool {
    let Some((inside, _)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { return false };
    let (low, high) = inside.split_once(',').unwrap_or((inside, ""));
    !low.is_empty() && low.bytes().chain(high.bytes()).all(|byte| byte.is_ascii_digit())
}

type Assertions = Vec<(bool, String)>;

/// The pattern without `(?=...)` and its like; those at its start; whether there were others.
fn without_assertions(text: &str) -> Option<(String, Assertions, bool)> {
    let (mut rest, mut ahead, mut partly) = (String::new(), Vec::new(), false);
    let mut at = 0;
    let mut class = false;
    while let Some(c) = text.get(at..).and_then(|tail| tail.chars().next()) {
        let tail = text.get(at..)?;
        let kind = [("(?=", true), ("(?!", false), ("(?<=", true), ("(?<!", false)]
            .into_iter()
            .find(|(start, _)| !class && tail.starts_with(start));
        match (c, kind) {
            (_, Some((start, positive))) => {
                let length = closed(tail)?;
                let inner = tail.get(start.len()..length - 1)?;
                // Only a look ahead from the very start can be tried by itself.
                match start.len() == 3 && rest == "^" && !inner.contains("(?=") && !inner.contains("(?!") {
                    true => ahead.push((positive, inner.to_owned())),
                    false => partly = true,
                }
                at += length;
                continue;
            }
            ('\\', None) => {
                let next = tail.chars().nth(1).unwrap_or(' ');
                // A back-reference repeats what a group matched.
                partly |= next.is_ascii_digit() && next != '0' && !class;
                rest.push(c);
                rest.push(next);
                at += 1 + next.len_utf8();
                continue;
            }
            ('[', None) => class = true,
            (']', None) => class = false,
            _ => {}
        }
        rest.push(c);
        at += c.len_utf8();
    }
    Some((rest, ahead, partly))
}

/// Length of the group with which a text starts, its parentheses included.
fn closed(text: &str) -> Option<usize> {
    let (mut depth, mut class, mut escaped) = (0usize, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if !class => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_made_for_what_real_schemas_demand() {
        for pattern in [
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            r"^\d{4}-\d{2}-\d{2}$",
            r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
            "^(?!\\.)[\\w.]{3,}$",
            r"^https?:\/\/",
            "^{[a-z]+}$",
            "[^[]]",
            "^(en|hi|ta)(-[A-Z]{2})?$",
            r"^data:[a-z]+\/[a-z]+;base64,",
            r"^\S+\Z",
        ] {
            let read = Pattern::read(pattern).unwrap_or_else(|| panic!("{pattern}"));
            let made = (0..4).filter_map(|extra| read.text(extra, 0)).any(|text| read.fits(&text) == Some(true));
            assert!(made, "{pattern}");
        }
    }

    #[test]
    fn what_explodes_is_refused_and_what_looks_back_is_not_judged() {
        assert!(Pattern::read("(a{1000}){1000}").is_none_or(|pattern| pattern.text(0, 0).is_none()));
        assert!(Pattern::read(&"(".repeat(5000)).is_none());
        assert!(Pattern::read("(((a*)*)*)*$").is_some_and(|pattern| pattern.fits(&"a".repeat(3000)).is_some()));
        let looks = Pattern::read(r"^[a-z]+(?<!x)$").unwrap();
        assert_eq!((looks.fits("abc"), looks.fits("1")), (None, Some(false)));
    }

    proptest! {
        #[test]
        fn any_pattern_ends(text in "\\PC{0,60}", regex in r"[\[\](){}^$|\\a-c0-9,?*+.!=<-]{0,40}", extra in 0u32..50) {
            for pattern in [text, regex] {
                if let Some(read) = Pattern::read(&pattern) {
                    let made = read.text(extra, 7);
                    let fits = made.as_ref().map(|text| read.fits(text));
                    prop_assert!(made.is_none_or(|text| text.len() <= MADE), "{fits:?}");
                }
            }
        }
    }
}
