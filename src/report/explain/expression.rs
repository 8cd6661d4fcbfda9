//! What stands for an expression of a template before any run: the fact that it is made of, in words where it is cut.

use std::collections::BTreeMap;

/// What names that the template itself gives stand for.
pub type Names = BTreeMap<String, Named>;

/// What a name stands for.
#[derive(Clone)]
pub enum Named {
    /// A fact.
    Path(String),
    /// A text that was cut into parts.
    Parts(String),
    /// Texts by their keys, as a list of words.
    Table(String),
}

/// The place to fill in that stands for an expression, or the text that it is.
pub fn place(expression: &str, names: &Names) -> String {
    match told(expression, names) {
        Told::Text(text) => text,
        Told::Value(value) if value.is_empty() => String::new(),
        Told::Value(value) => format!("<{}>", bare(&value)),
    }
}

/// What a name stands for that is set to an expression.
pub fn named(expression: &str, names: &Names) -> Named {
    let expression = expression.trim();
    if let (true, Some(words)) = (expression.ends_with('}'), table(expression)) {
        return Named::Table(words);
    }
    let filters = split(expression, "|");
    let cut = filters.iter().rposition(|filter| filter.trim().starts_with("split("));
    let only_cut = cut.is_some_and(|cut| filters[cut + 1..].iter().all(|filter| filter.trim() == "list"));
    let value = match told(expression, names) {
        Told::Text(text) | Told::Value(text) => bare(&text),
    };
    if only_cut { Named::Parts(value) } else { Named::Path(value) }
}

/// The path of a list that is gone through.
pub fn list(expression: &str, names: &Names) -> String {
    match told(expression, names) {
        Told::Text(text) | Told::Value(text) => bare(&text),
    }
}

/// Whether a condition is so in a list of one element, of which the pages tell; nothing if it depends on facts.
pub fn in_a_list_of_one(condition: &str) -> Option<bool> {
    match condition.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["loop.first" | "loop.last"] | ["loop.index", "<" | "<=", _] => Some(true),
        ["not", "loop.first" | "loop.last"] => Some(false),
        _ => None,
    }
}

/// A text without the marks of places in it, to stand in one.
pub fn bare(text: &str) -> String {
    text.replace(['<', '>'], "")
}

enum Told {
    /// What is written as it is; it may hold places.
    Text(String),
    /// What a run fills in.
    Value(String),
}

fn told(expression: &str, names: &Names) -> Told {
    let expression = unwrapped(expression);
    // One or another, by a condition.
    if let [first, rest] = split(expression, " if ").as_slice() {
        let rest = split(rest, " else ");
        let other = rest.get(1).map(|other| told(other, names));
        return match (in_a_list_of_one(rest.first().unwrap_or(&"")), told(first, names), other) {
            (Some(false), _, other) => other.unwrap_or(Told::Text(String::new())),
            (Some(true), first, _) | (None, first, None) => first,
            (None, Told::Text(first), Some(_)) if !first.contains(char::is_alphanumeric) => Told::Text(first),
            (None, Told::Text(first), Some(Told::Text(other))) if other.is_empty() => Told::Text(first),
            (None, first, Some(other)) => {
                let word = |told: Told| match told {
                    Told::Text(text) | Told::Value(text) => bare(&text),
                };
                either(&[word(first), word(other)])
            }
        };
    }
    // What is taken where the first is not known.
    let operands = split(expression, " or ");
    if let [first, others @ ..] = operands.as_slice()
        && !others.is_empty()
    {
        let first = told(first, names);
        return match (first, told(others[0], names)) {
            (Told::Value(first), Told::Value(other))
                if first != other && is_path(&first) && is_path(&other) && !other.contains("[]") =>
            {
                either(&[first, other])
            }
            (first, _) => first,
        };
    }
    let joined = split(expression, " ~ ");
    if joined.len() > 1 {
        return Told::Text(joined.iter().map(|part| place(part, names)).collect());
    }
    for (sign, words) in [(" - ", " less "), (" + ", " plus ")] {
        if let [first, other] = split(expression, sign).as_slice() {
            return match (told(first, names), other.trim().chars().all(|c| c.is_ascii_digit())) {
                (Told::Value(value), true) => Told::Value(format!("{value}{words}{}", other.trim())),
                (first, _) => first,
            };
        }
    }
    if let [first, divisor] = split(expression, " / ").as_slice()
        && let Told::Value(value) = told(first, names)
    {
        return Told::Value(match divisor.trim() {
            "1000" => format!("{value} in seconds"),
            "1048576" => format!("{value} in MiB"),
            other => format!("{value} divided by {other}"),
        });
    }
    let filters = split(expression, "|");
    match filters.as_slice() {
        [base, filters @ ..] if !filters.is_empty() => filtered(told(base, names), filters),
        _ => value(expression, names),
    }
}

/// What filters make of it.
fn filtered(base: Told, filters: &[&str]) -> Told {
    let mut told = base;
    let mut cut = None;
    let (mut picked, mut rounded) = (false, false);
    for filter in filters.iter().map(|filter| filter.trim()) {
        let (name, arguments) = filter.split_once('(').unwrap_or((filter, ""));
        let texts: Vec<&str> = arguments.split('"').skip(1).step_by(2).collect();
        told = match (name.trim(), told) {
            ("shell", Told::Text(text)) if text.contains(' ') => Told::Text(format!("'{text}'")),
            ("count", Told::Value(_) | Told::Text(_)) => {
                let word = texts.first().copied().unwrap_or("item");
                return Told::Text(
                    match word.strip_suffix('y').filter(|start| !start.ends_with(['a', 'e', 'o', 'u'])) {
                        Some(start) => format!("<number> {start}ies"),
                        None => format!("<number> {word}s"),
                    },
                );
            }
            ("default", Told::Value(value)) => match (value.strip_prefix("one of "), texts.as_slice()) {
                (Some(words), [""]) => Told::Value(format!("one of {words} or nothing")),
                (Some(words), [other]) if !words.split(", ").any(|word| word == *other) => {
                    Told::Value(format!("one of {words}, {other}"))
                }
                _ => Told::Value(value),
            },
            ("map", Told::Value(value)) => match texts.as_slice() {
                [field] => Told::Value(format!("{}[].{field}", value.trim_end_matches("[]"))),
                _ => Told::Value(value),
            },
            ("length", Told::Value(value)) => Told::Value(format!("number of {value}")),
            ("replace", Told::Value(value)) => Told::Value(match texts.as_slice() {
                [from, ""] => format!("{value} without {from}"),
                [from, to] if from.contains("://") => format!("{value} with {to} for {from}"),
                _ => value,
            }),
            ("split", told) => {
                cut = texts.first().copied();
                told
            }
            ("first" | "last", Told::Value(value)) => match (cut, name) {
                // `x.so.9`, cut at ".so.", and of what is last the first character.
                (Some(_), "first") if picked => Told::Value(value),
                (Some("."), "first") => Told::Value(format!("first number of {value}")),
                (Some(_), "last") => {
                    picked = true;
                    Told::Value(format!("last number of {value}"))
                }
                (Some(_), _) => Told::Value(format!("first part of {value}")),
                (None, _) if value.ends_with(']') || !is_path(&value) => Told::Value(value),
                (None, _) => Told::Value(format!("{value}[]")),
            },
            ("float", told) => {
                rounded = true;
                told
            }
            ("int", Told::Value(value)) if rounded => Told::Value(format!("whole part of {value}")),
            (_, told) => told,
        };
    }
    told
}

/// A text, a word of a table, or a path.
fn value(expression: &str, names: &Names) -> Told {
    if let Some(text) = literal(expression) {
        return Told::Text(text.into());
    }
    if matches!(expression, "[]" | "{}") {
        return Told::Value(String::new());
    }
    if let Some(words) = expression.starts_with('{').then(|| table(expression)).flatten() {
        return Told::Value(words);
    }
    // The larger or the smaller of some: `[x, 1] | max`.
    if let Some(inner) = expression.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return told(split(inner, ",").first().unwrap_or(&inner), names);
    }
    if expression == "loop.index" {
        return Told::Text("1".into());
    }
    // The parts of a text that is cut here: `(x | split("/"))[0]`.
    if let Some((inner, index)) = expression.strip_prefix('(').and_then(|rest| rest.rsplit_once(")[")) {
        return match (named(inner, names), index.trim_end_matches(']')) {
            (Named::Parts(whole), index) => Told::Value(part(&whole, index)),
            (Named::Path(path) | Named::Table(path), _) => Told::Value(path),
        };
    }
    let start = expression.split(['.', '[']).next().unwrap_or(expression);
    let rest = &expression[start.len()..];
    let (start, rest) = match names.get(start) {
        Some(Named::Table(words)) => return Told::Value(words.clone()),
        Some(Named::Parts(whole)) => {
            let index = rest.trim_matches(['[', ']']);
            return Told::Value(if rest.is_empty() { whole.clone() } else { part(whole, index) });
        }
        // The first of those that were picked may be any of all.
        Some(Named::Path(path)) => match rest.strip_prefix("[0]") {
            Some(rest) => (format!("{}[]", path.trim_end_matches("[]")), rest),
            None => (path.clone(), rest),
        },
        None => (start.to_owned(), rest),
    };
    // A part of a list or a text: `[:3]`, `[1:]`.
    if let Some((before, slice)) = rest.rsplit_once('[')
        && slice.contains(':')
        && slice.chars().all(|c| c.is_ascii_digit() || "-:]".contains(c))
    {
        let most = slice.strip_prefix(':').and_then(|rest| rest.trim_end_matches(']').parse::<usize>().ok());
        return Told::Value(match most.filter(|most| *most > 8) {
            Some(most) => format!("first {most} characters of {start}{before}"),
            None => format!("{start}{before}"),
        });
    }
    Told::Value(format!("{start}{rest}"))
}

fn part(whole: &str, index: &str) -> String {
    match index {
        "0" => format!("first part of {whole}"),
        "1" => format!("second part of {whole}"),
        _ => format!("part of {whole}"),
    }
}

/// The words of `{"a": "b", "c": "d"}`, whatever follows it: `one of b, d`.
fn table(expression: &str) -> Option<String> {
    let inner = expression.strip_prefix('{')?.split_once('}')?.0;
    let mut words: Vec<&str> = Vec::new();
    for entry in inner.split(',') {
        let word = literal(entry.split_once(':')?.1)?;
        if !word.is_empty() && !words.contains(&word) {
            words.push(word);
        }
    }
    Some(format!("one of {}", words.join(", ")))
}

fn either(words: &[String]) -> Told {
    let words: Vec<&str> = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
    Told::Value(words.join(" or "))
}

fn is_path(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._[]".contains(c))
}

/// The text between quotation marks.
fn literal(expression: &str) -> Option<&str> {
    let expression = expression.trim();
    ['"', '\''].into_iter().find_map(|mark| {
        let text = expression.strip_prefix(mark)?.strip_suffix(mark)?;
        (!text.contains(mark)).then_some(text)
    })
}

/// Without brackets around the whole.
fn unwrapped(expression: &str) -> &str {
    let expression = expression.trim();
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) if depths(inner).all(|depth| depth >= 0) => unwrapped(inner),
        _ => expression,
    }
}

/// How deep in brackets each character stands; what stands in quotation marks is as deep as they.
fn depths(text: &str) -> impl Iterator<Item = i32> {
    let (mut depth, mut quote) = (0, None);
    text.chars().map(move |c| {
        match (quote, c) {
            (Some(mark), c) if mark == c => quote = None,
            (Some(_), _) => return depth + 1,
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[' | '{') => depth += 1,
            (None, ')' | ']' | '}') => depth -= 1,
            _ => {}
        }
        depth + i32::from(quote.is_some())
    })
}

/// The parts between separators that stand in no brackets and no quotation marks; the first two for one that is a word.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let deep: Vec<(usize, i32)> = text.char_indices().map(|(at, _)| at).zip(depths(text)).collect();
    let most = if matches!(separator, "|" | " ~ ") { usize::MAX } else { 2 };
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, depth) in deep {
        if depth == 0 && at >= start && parts.len() + 1 < most && text[at..].starts_with(separator) {
            parts.push(&text[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&text[start..]);
    parts
}
