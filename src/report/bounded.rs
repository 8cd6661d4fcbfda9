//! Texts that can be shown. A server may say 10 MB in one line, and characters that steer a terminal; every form but JSON shows
//! the beginning, and says so, and spaces for such characters.

use super::Report;
use crate::words::unprintable;
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter};
use serde_json::{Map, Serializer, Value};
use std::io::{Error, Result, Write};

/// Longest text of a report, characters.
pub const TEXT_MAX: usize = 2_000;

/// The report with texts that can be shown; nothing where they all can be as they are.
///
/// # Errors
/// A report that has no such form: it is not written as it is.
pub fn of(report: &Report) -> Result<Option<Report>> {
    if is_fit(report) {
        return Ok(None);
    }
    let mut value = serde_json::to_value(report)?;
    mend(&mut value);
    Ok(Some(serde_json::from_value(value)?))
}

/// Whether every text of a document can be shown as it is, names of members too. Nothing is built for it: most reports can.
fn is_fit(document: &impl Serialize) -> bool {
    let mut serializer = Serializer::with_formatter(std::io::sink(), Fitness { characters: 0 });
    document.serialize(&mut serializer).is_ok()
}

/// Writes nothing, and ends with an error at the first text that cannot be shown.
struct Fitness {
    /// Of the text that is being written.
    characters: usize,
}

impl Fitness {
    fn more(&mut self, characters: usize, foreign: bool) -> Result<()> {
        self.characters += characters;
        if foreign || self.characters > TEXT_MAX { Err(Error::other("unfit")) } else { Ok(()) }
    }
}

impl Formatter for Fitness {
    fn begin_string<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.characters = 0;
        Ok(())
    }
    fn write_string_fragment<W: ?Sized + Write>(&mut self, _: &mut W, fragment: &str) -> Result<()> {
        match is_plain(fragment) {
            true => self.more(fragment.len(), false),
            false => self.more(fragment.chars().count(), fragment.chars().any(is_foreign)),
        }
    }
    fn write_char_escape<W: ?Sized + Write>(&mut self, _: &mut W, escape: CharEscape) -> Result<()> {
        let known = matches!(escape, CharEscape::Quote | CharEscape::ReverseSolidus | CharEscape::LineFeed);
        self.more(1, !known)
    }
    // Numbers are no texts, and writing them takes longer than looking at all texts.
    fn write_f64<W: ?Sized + Write>(&mut self, _: &mut W, _: f64) -> Result<()> {
        Ok(())
    }
    fn write_u64<W: ?Sized + Write>(&mut self, _: &mut W, _: u64) -> Result<()> {
        Ok(())
    }
    fn write_i64<W: ?Sized + Write>(&mut self, _: &mut W, _: i64) -> Result<()> {
        Ok(())
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

/// Whether a text cannot be shown as it is.
fn is_unfit(text: &str) -> bool {
    text.len() > TEXT_MAX && text.chars().nth(TEXT_MAX).is_some() || !is_plain(text) && text.chars().any(is_foreign)
}

/// Whether it is printable ASCII. Bytes, for characters take time.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The end of a line is kept: commands have several.
fn is_foreign(c: char) -> bool {
    c != '\n' && unprintable(c)
}

/// A text that can be shown.
fn fit(text: &str) -> String {
    shortened(text, TEXT_MAX).chars().map(|c| if is_foreign(c) { ' ' } else { c }).collect()
}

/// Makes every text in it fit to be shown, names of members too.
fn mend(value: &mut Value) {
    match value {
        Value::String(text) if is_unfit(text) => *text = fit(text),
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Object(members) => {
            if members.keys().any(|name| is_unfit(name)) {
                let named = |(name, member): (String, Value)| (fit(&name), member);
                *members = std::mem::take(members).into_iter().map(named).collect::<Map<_, _>>();
            }
            members.values_mut().for_each(mend);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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
        assert!(!is_fit(&value));
        mend(&mut value);
        assert!(value.to_string().len() < 5_000, "{}", value.to_string().len());
        assert_eq!(value["short"], "y");
        assert!(value["a"][0]["b"].as_str().unwrap().ends_with("(the beginning of 10,000,000 characters)"));
        let mut value = json!({"a\0": "\u{1b}[31m\r\n"});
        mend(&mut value);
        assert_eq!(value, json!({"a ": " [31m \n"}));
    }

    #[test]
    fn a_report_is_fit_where_all_its_texts_are() {
        for (value, fit) in [
            (json!({"a": ["x".repeat(TEXT_MAX)], "b": "ä\n\u{1f980} \"\\/", "c": [1, -1, 0.5, null, true]}), true),
            (json!({"a": "ä".repeat(TEXT_MAX)}), true),
            (json!({"a": "x".repeat(TEXT_MAX + 1)}), false),
            (json!({"a": "\n".repeat(TEXT_MAX + 1)}), false),
            (json!(["ä".repeat(TEXT_MAX), "ä".repeat(TEXT_MAX + 1)]), false),
            (json!({"a": {"b\u{202e}": 1}}), false),
            (json!([["\t"]]), false),
            (json!(["\u{7f}"]), false),
        ] {
            assert_eq!(is_fit(&value), fit, "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_is_unfit_is_seen_before_anything_is_built(name in any::<String>(), text in any::<String>(), times in 1..90usize) {
            let text = text.repeat(times);
            let value = json!({ name: [1, text] });
            let mut mended = value.clone();
            mend(&mut mended);
            prop_assert_eq!(is_fit(&value), value == mended);
            prop_assert!(is_fit(&mended) || mended.to_string().contains("(the beginning of "));
        }
    }
}
