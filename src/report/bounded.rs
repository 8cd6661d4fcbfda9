//! Texts that can be shown. A server may say 10 MB in one line, and characters that steer a terminal; every form but JSON shows
//! the beginning, and says so, and spaces for such characters.

use super::Report;
use crate::words::unprintable;
use serde_json::{Map, Value};
use std::io::Result;

/// Longest text of a report, characters.
pub const TEXT_MAX: usize = 2_000;

/// The report with texts that can be shown; nothing where they all can be as they are.
///
/// # Errors
/// A report that has no such form: it is not written as it is.
pub fn of(report: &Report) -> Result<Option<Report>> {
    let mut value = serde_json::to_value(report)?;
    match mend(&mut value) {
        0 => Ok(None),
        _ => Ok(Some(serde_json::from_value(value)?)),
    }
}

/// The beginning of a text, and how long it is where that is not all.
pub fn shortened(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => {
            let all = crate::words::grouped(text.chars().count() as u64);
            format!("{}... (the beginning of {all} characters)", text.get(..end).unwrap_or_default())
        }
        None => text.to_owned(),
    }
}

/// Whether a text cannot be shown as it is. Bytes first, for characters take time.
fn is_unfit(text: &str) -> bool {
    let steers = |text: &str| text.bytes().any(|byte| !matches!(byte, b' '..=b'~')) && text.chars().any(is_foreign);
    text.len() > TEXT_MAX && text.chars().nth(TEXT_MAX).is_some() || steers(text)
}

/// The end of a line is kept: commands have several.
fn is_foreign(c: char) -> bool {
    c != '\n' && unprintable(c)
}

/// A text that can be shown.
fn fit(text: &str) -> String {
    shortened(text, TEXT_MAX).chars().map(|c| if is_foreign(c) { ' ' } else { c }).collect()
}

/// Makes every text in it fit to be shown, names of members too. How many were not.
fn mend(value: &mut Value) -> usize {
    match value {
        Value::String(text) if is_unfit(text) => {
            *text = fit(text);
            1
        }
        Value::Array(items) => items.iter_mut().map(mend).sum(),
        Value::Object(members) => {
            let names = members.keys().filter(|name| is_unfit(name)).count();
            if names > 0 {
                let named = |(name, member): (String, Value)| (fit(&name), member);
                *members = std::mem::take(members).into_iter().map(named).collect::<Map<_, _>>();
            }
            names + members.values_mut().map(mend).sum::<usize>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöü", 2), "äö... (the beginning of 3 characters)");
    }

    #[test]
    fn texts_in_any_depth_are_shortened_and_names_too() {
        let long = "x".repeat(10_000_000);
        let mut value = json!({"a": [{"b": long}], long.clone(): 1, "short": "y"});
        assert_eq!(mend(&mut value), 2);
        assert!(value.to_string().len() < 5_000, "{}", value.to_string().len());
        assert_eq!(value["short"], "y");
        assert!(value["a"][0]["b"].as_str().unwrap().ends_with("(the beginning of 10,000,000 characters)"));
        assert_eq!(mend(&mut json!({"a": ["x".repeat(TEXT_MAX)], "b": "ä\n\u{1f980}"})), 0);
        let mut value = json!({"a\0": "\u{1b}[31m\r\n"});
        assert_eq!(mend(&mut value), 2);
        assert_eq!(value, json!({"a ": " [31m \n"}));
    }
}
