//! Which values a server says it takes, and of which kind a value should be.

use super::words::{pattern, resembling};
use super::{Complaint, NAMES};
use regex::Regex;
use serde_json::{Map, Value};
use std::sync::LazyLock;

static SUPPORTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:supported|allowed|valid|available|permitted|accepted|one of|choose from|should be|must be)(?: (?:values?|languages?|langs?|options?|are|is|one of|in|models?|tasks?))*[: ]*[\[\({]?([^.;\n\]\)}]+)",
    )
});
/// `sample rate must be 16000, got 22050`.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b([a-z][a-z_ ]{1,40}?) (?:must|should|has to) be (?:exactly |equal to )?(\d{1,9})\b(?:,? (?:got|but|not|received)|\s*$|\.?$)",
    )
});

/// Reads `Supported: en, hi`, `Input should be 'en' or 'hi'`, `sample rate must be 16000` and the like.
pub fn read(text: &str, field: Option<&str>, known: &[&str], complaint: &mut Complaint) {
    if let Some(found) = NUMBER.captures(text)
        && let (Some(name), Some(number)) = (found.get(1), found.get(2))
    {
        let joined = name.as_str().trim().replace(' ', "_");
        let last = joined.rsplit('_').next().unwrap_or_default().to_owned();
        let about = field.or_else(|| resembling(&joined, known)).or_else(|| resembling(&last, known));
        if let Some(about) = about {
            complaint.supported.entry(about.to_owned()).or_insert_with(|| vec![number.as_str().to_owned()]);
        }
        return;
    }
    let Some(found) = SUPPORTED.captures(text).and_then(|found| found.get(1)) else { return };
    let raw = found.as_str();
    // Without quotes only a comma makes a list of words.
    let quoted = raw.contains(['\'', '"', '`']);
    if !quoted && !raw.contains(',') {
        return;
    }
    let trim = |part: &str| part.trim().trim_matches(['\'', '"', '`']).to_owned();
    let parts = raw.split([',', '|']).flat_map(|part| part.split(" or ")).flat_map(|part| part.split(" and "));
    let list: Vec<String> = parts.map(trim).filter(|v| !v.is_empty() && !v.contains(' ')).take(NAMES).collect();
    let about = field.map(str::to_owned).or_else(|| {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| word.len() >= 3);
        words.into_iter().find_map(|word| resembling(word, known)).map(str::to_owned)
    });
    if let (Some(about), false) = (about, list.is_empty()) {
        complaint.supported.entry(about).or_insert(list);
    }
}

/// Reads one of pydantic's entries about a value: its kind, or its bounds.
pub fn entry(object: &Map<String, Value>, name: &str, complaint: &mut Complaint) {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let (kind, message) = (text("type"), text("msg"));
    let wanted = match kind.trim_start_matches("type_error.") {
        _ if message.contains("Expected UploadFile") => "file",
        "int_parsing" | "int_type" | "int_from_float" | "integer" => "integer",
        "float_parsing" | "float_type" | "float" => "number",
        "bool_parsing" | "bool_type" | "bool" => "boolean",
        "string_type" | "str" => "string",
        "list_type" | "list" | "tuple_type" => "array",
        "dict_type" | "model_type" | "model_attributes_type" | "dict" => "object",
        _ => "",
    };
    if !wanted.is_empty() && !name.is_empty() {
        complaint.wrong_kind.entry(name.to_owned()).or_insert(wanted);
        return;
    }
    // "ctx": {"ge": 2}
    let bound = |key: &str| object.get("ctx").and_then(|ctx| ctx.get(key)).and_then(Value::as_f64);
    let bounds = [bound("ge"), bound("le"), bound("gt").map(|n| n + 1.0), bound("lt").map(|n| n - 1.0)];
    if let Some(number) = bounds.into_iter().flatten().find(|number| number.is_finite()) {
        let written = if number.fract() == 0.0 { format!("{number:.0}") } else { number.to_string() };
        complaint.supported.entry(name.to_owned()).or_insert_with(|| vec![written]);
        return;
    }
    read(message, Some(name), &[], complaint);
}
