//! Texts from outside as Markdown that shows them and does nothing else: no markup, no link, no mention, no reference.
//!
//! Whatever could mean something to GitHub or GitLab stands in a code span, inside of which neither looks for mentions,
//! issues, links or commands. Only words whose every character is known to be harmless stand outside of one.

use super::super::bounded::shortened;
use crate::words::plain;

/// A text as words and code spans, in one line.
pub fn prose(text: &str, characters: usize) -> String {
    let text = shortened(&plain(text), characters);
    let words = words(&text);
    words.iter().enumerate().map(|(place, word)| shown(word, place == 0)).collect::<Vec<_>>().join(" ")
}

/// The same behind other words, where nothing begins a list.
pub fn behind(text: &str, characters: usize) -> String {
    let text = shortened(&plain(text), characters);
    words(&text).iter().map(|word| shown(word, false)).collect::<Vec<_>>().join(" ")
}

/// The words of a text; what stands in brackets that are opened in a word is one with it: `{"detail": "not found"}`.
fn words(text: &str) -> Vec<String> {
    let depth = |word: &str| {
        let count = |brackets: [char; 2]| word.matches(brackets).count() as isize;
        count(['{', '[']) - count(['}', ']'])
    };
    let mut words: Vec<String> = Vec::new();
    let mut open = 0;
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(last) if open > 0 => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
        open = (open + depth(word)).max(0);
    }
    // Brackets that are never closed join nothing.
    if open > 0 { text.split_whitespace().map(str::to_owned).collect() } else { words }
}

/// The same for a cell of a table, whose columns a bar would break.
pub fn cell(text: &str, characters: usize) -> String {
    prose(&text.replace('|', "¦"), characters)
}

/// A text as one code span.
pub fn code(text: &str, characters: usize) -> String {
    let text = shortened(&plain(text), characters).split_whitespace().collect::<Vec<_>>().join(" ");
    match text.as_str() {
        "" => String::new(),
        text => span(text),
    }
}

/// Lines as a block of code, which can be copied. Each is shortened to so many characters.
pub fn fence(text: &str, language: &str, characters: usize) -> String {
    let lines: Vec<String> = text.lines().map(|line| shortened(&plain(line), characters)).collect();
    let text = lines.join("\n");
    let mark = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{mark}{language}\n{}\n{mark}\n", text.trim_end())
}

fn span(text: &str) -> String {
    let mark = "`".repeat(longest_run(text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{mark}{pad}{text}{pad}{mark}")
}

/// The longest run of backticks in it.
fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A word as it is where it is harmless, else in a code span, without the punctuation around it.
fn shown(word: &str, first: bool) -> String {
    let opens = word.find(|c| !matches!(c, '(' | '"' | '\'')).unwrap_or(0);
    let (before, rest) = word.split_at(opens);
    let closes = rest.trim_end_matches([')', '"', '\'', ',', '.', ';', ':', '?', '!']).len();
    let (core, after) = rest.split_at(closes);
    match core {
        // Alone at the beginning of a paragraph it would begin a list, or underline what stands above.
        _ if first && core.is_empty() => span(word),
        _ if first && before.is_empty() && !core.contains(char::is_alphanumeric) => span(word),
        _ if first && before.is_empty() && is_number(core) && !after.is_empty() => format!("{core}\\{after}"),
        _ if is_harmless(core) => word.to_owned(),
        _ => format!("{before}{}{after}", span(core)),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a word means nothing but itself, to Markdown, to GitHub and to GitLab.
fn is_harmless(word: &str) -> bool {
    let known = |c: char| c.is_alphanumeric() || !c.is_ascii() || "-.,:;'\"()/+=%?!".contains(c);
    // A path, a command to GitLab, or an emoji by name.
    let begins = word.starts_with(['/', ':', '!', '%']);
    // %milestone and !merge-request, to GitLab.
    let refers =
        word.as_bytes().windows(2).any(|two| matches!(two, [b'%' | b'!', next] if *next != b'.' && *next != b','));
    // 70 % is no milestone.
    word == "%"
        || word.chars().all(known) && !begins && !refers && !is_link(word) && !is_commit(word) && !is_issue(word)
}

fn is_link(word: &str) -> bool {
    word.contains("://") || word.to_ascii_lowercase().contains("www.")
}

/// `0f1e2d3`: seven hexadecimal digits or more become a link where there is such a commit.
fn is_commit(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 7)
}

/// `GH-12`: of an issue, or a ticket of another tracker.
fn is_issue(word: &str) -> bool {
    let numbered = |(name, number): (&str, &str)| {
        name.len() > 1
            && name.bytes().all(|byte| byte.is_ascii_uppercase())
            && number.starts_with(|c: char| c.is_ascii_digit())
    };
    word.split_once('-').is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_could_mean_something_stands_in_code() {
        for (text, shown) in [
            ("the GPU is idle, 97 % of the time.", "the GPU is idle, 97 % of the time."),
            ("ask @everyone, or #12", "ask `@everyone`, or `#12`"),
            ("<img src=x>", "`<img` `src=x>`"),
            ("see http://evil.example/x).", "see `http://evil.example/x`)."),
            ("(CUDA_VISIBLE_DEVICES)", "(`CUDA_VISIBLE_DEVICES`)"),
            ("/close", "`/close`"),
            ("- one", "`-` one"),
            ("1. one", "1\\. one"),
            ("![x](y) [a]", "`![x](y`) `[a]`"),
            ("a `b` ``` c", "a `` `b` `` ```` ``` ```` c"),
            ("*bold* ~no~ {{ x }} &amp; $1", "`*bold*` `~no~` `{{ x }}` `&amp`; `$1`"),
            ("({\"a\": [1, 2]}), {x y", "(`{\"a`\": `[1`, `2]}`), `{x` y"),
            ("400 ({\"detail\": \"not found\"}).", "400 (`{\"detail\": \"not found\"}`)."),
            ("commit 0f1e2d3 of GH-12", "commit `0f1e2d3` of `GH-12`"),
        ] {
            assert_eq!(prose(text, 1000), shown);
        }
        assert_eq!(cell("a | b", 100), "a ¦ b");
    }

    #[test]
    fn a_fence_is_longer_than_any_in_it() {
        assert_eq!(fence("a\n```` b", "sh", 100), "`````sh\na\n```` b\n`````\n");
        assert_eq!(fence("a\u{1b}[31m", "", 100), "```\na [31m\n```\n");
    }

    proptest! {
        /// Outside of code spans nothing stands that begins markup.
        #[test]
        fn no_text_is_markup(text in "[ a-z0-9`<>@#!|*_\\[\\](){}$%&~/:.\\\\+=-]{0,60}") {
            let shown = prose(&text, 1000);
            let mut rest = shown.as_str();
            while let Some(at) = rest.find('`') {
                prop_assert!(!rest[..at].contains(['<', '@', '#', '*', '_', '[', ']', '|', '~', '$', '&', '{']), "{shown}");
                let run = rest[at..].bytes().take_while(|byte| *byte == b'`').count();
                let mark = "`".repeat(run);
                let inside = &rest[at + run..];
                let mut end = None;
                let mut from = 0;
                while let Some(found) = inside[from..].find(&mark) {
                    let close = from + found;
                    let length = inside[close..].bytes().take_while(|byte| *byte == b'`').count();
                    if length == run { end = Some(close + run); break; }
                    from = close + length;
                }
                prop_assert!(end.is_some(), "an open code span: {shown}");
                rest = &inside[end.unwrap_or(0)..];
            }
            prop_assert!(!rest.contains(['<', '@', '#', '*', '_', '[', ']', '|', '~', '$', '&', '{']), "{shown}");
        }
    }
}
