//! Reads a rejection: which fields it names as missing, and which values it says it supports.

use crate::probe::service::message::Place;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Length of an answer that is searched, bytes; nodes of a JSON answer that are visited.
const TEXT_CAP: usize = 16 << 10;
const NODES: usize = 2000;
/// Fields and values taken from one answer, at most.
const NAMES: usize = 50;

/// What an answer complains about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Complaint {
    /// Fields named as missing, with the place where the answer gives it.
    pub missing: Vec<(String, Option<Place>)>,
    /// Values that the server says it supports, by field.
    pub supported: BTreeMap<String, Vec<String>>,
}

impl Complaint {
    fn missing(&mut self, name: &str, place: Option<Place>) {
        let known = self.missing.iter().any(|(old, _)| old == name);
        if !known && !name.is_empty() && name.len() <= 100 && self.missing.len() < NAMES {
            self.missing.push((name.to_owned(), place));
        }
    }
}

/// Whether a 2xx answer has an error inside.
pub fn soft_error(body: &[u8]) -> bool {
    let Ok(Value::Object(answer)) = serde_json::from_slice(body) else { return false };
    let present = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => !object.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    };
    // {"code": 400, "msg": ...}: the status stands in the body, and HTTP says 200.
    let status = ["code", "status_code", "status"].iter().filter_map(|key| answer.get(*key)?.as_u64());
    status.into_iter().any(|status| (400..600).contains(&status))
        || ["error", "errors"].iter().filter_map(|key| answer.get(*key)).any(present)
        || answer.get("success") == Some(&Value::Bool(false))
        || answer.get("status").and_then(Value::as_str).is_some_and(|s| matches!(s, "error" | "failed" | "failure"))
}

/// Reads an answer's body. `known` are the names of fields that the schema or the request has.
pub fn read(body: &[u8], known: &[&str]) -> Complaint {
    let mut complaint = Complaint::default();
    let text = String::from_utf8_lossy(body.get(..body.len().min(TEXT_CAP)).unwrap_or_default());
    let mut texts = Vec::new();
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) => {
            structured(&answer, &mut complaint, &mut texts);
            // vLLM names the field in error.param: "body.messages".
            let param = answer.pointer("/error/param").and_then(Value::as_str).and_then(|p| p.strip_prefix("body."));
            if let Some(param) = param {
                complaint.missing(param, None);
            }
        }
        Err(_) => texts.push(text.replace("&#39;", "'").replace("&quot;", "\"")),
    }
    let structured = !complaint.missing.is_empty();
    for text in texts {
        let text: String = text.chars().take(TEXT_CAP).collect();
        if !structured {
            free_text(&text, known, &mut complaint);
        }
        values(&text, None, known, &mut complaint);
    }
    complaint
}

/// Walks a JSON answer for pydantic's entries (`loc`, `type`) and collects its texts.
fn structured(answer: &Value, complaint: &mut Complaint, texts: &mut Vec<String>) {
    let mut open = vec![answer];
    let mut visited = 0;
    while let Some(value) = open.pop() {
        visited += 1;
        if visited > NODES {
            return;
        }
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Array(list) => open.extend(list.iter().rev()),
            Value::Object(object) => match object.get("loc").and_then(Value::as_array) {
                Some(loc) => entry(object, loc, complaint),
                // What the request sent comes back under `input`: not the server's words.
                None => open.extend(object.iter().filter(|(key, _)| *key != "input").map(|(_, v)| v)),
            },
            _ => {}
        }
    }
}

fn entry(object: &serde_json::Map<String, Value>, loc: &[Value], complaint: &mut Complaint) {
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let message = object.get("msg").and_then(Value::as_str).unwrap_or_default();
    let mut path: Vec<String> =
        loc.iter().map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned)).collect();
    let place = match path.first().map(String::as_str) {
        Some("query") if path.len() > 1 => Some(Place::Query),
        Some("path") if path.len() > 1 => Some(Place::Path),
        Some("header") if path.len() > 1 => Some(Place::Header),
        _ => None,
    };
    if place.is_some() || path.len() > 1 && path.first().is_some_and(|first| first == "body") {
        path.remove(0);
    }
    // A nested field keeps its whole path, so that it is not taken for one at the top.
    let name = path.join(".");
    if matches!(kind, "missing" | "value_error.missing") || message.eq_ignore_ascii_case("field required") {
        complaint.missing(&name, place);
    } else {
        values(message, Some(&name), &[], complaint);
    }
}

static LISTS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)missing required (?:inputs?|fields?|parameters?)(?:\(s\))?:? ?\[([^\]]{1,400})\]"));
static NAMED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        r"(?i)missing field `([\w.-]+)`",
        r#"KeyError ?:? ?\(?['"]([\w.-]+)['"]"#,
        r#"(?i)\bkey ['"]([\w.-]+)['"] (?:is |was )?(?:not found|missing)"#,
        r#"(?i)required positional arguments?: '([\w.-]+)'"#,
        r#"(?i)['"`]?\b([\w.-]+)\b['"`]? (?:(?:query |form |body )?(?:parameter|field|argument|param|input|value) )?(?:is |are |was |must be )(?:a )?(?:required|missing|mandatory|not provided|not found|not set|provided|specified|given)"#,
        r#"(?i)(?:missing|required|expected|need|needs)(?: the)?(?: required| mandatory)?(?: (?:query|form|body|request))? ?(?:parameters?|fields?|arguments?|params?|inputs?|keys?)?\s?[:=]?\s?['"`]([\w.-]+)['"`]"#,
        r"(?i)(?:missing|required)(?: required| mandatory)?(?: (?:query|form|body|request))? (?:parameters?|fields?|arguments?|params?|inputs?|keys?)\s?[:=]?\s?\(?([\w.-]+)",
        r"(?i)missing:? ([\w.-]+)",
        r#"(?i)(?:provide|specify|supply|include|send)(?: an?| the| your)? ['"`]?([\w.-]+)"#,
        r"(?i)\bno ([\w-]+)(?: file| field| parameter| data)? (?:was )?(?:provided|given|found|specified|supplied|uploaded|sent)",
        r"(?i)\bno ([\w-]+) part\b",
        r"(?i)([\w.-]+) (?:cannot|can not|must not|can't) be (?:empty|null|none|blank)",
    ]
    .into_iter()
    .map(pattern)
    .collect()
});
/// Words that stand where a name could, but are none unless the schema has such a field.
const FILLERS: &[&str] = &[
    "a",
    "an",
    "the",
    "it",
    "this",
    "that",
    "field",
    "fields",
    "parameter",
    "parameters",
    "argument",
    "input",
    "inputs",
    "value",
    "values",
    "request",
    "body",
    "data",
    "key",
    "all",
    "both",
    "either",
    "one",
    "required",
    "missing",
    "and",
    "or",
    "is",
    "are",
    "be",
    "in",
    "of",
    "for",
    "from",
    "to",
    "with",
    "param",
    "params",
    "payload",
    "header",
    "headers",
    "query",
    "form",
    "valid",
    "authentication",
    "authorization",
    "token",
    "json",
    "content",
    "some",
    "at",
    "error",
    "positional",
    "form-data",
    "not",
    "no",
    "following",
    "your",
    "names",
    "name",
    "which",
    "login",
    "access",
];

fn free_text(text: &str, known: &[&str], complaint: &mut Complaint) {
    for found in LISTS.captures_iter(text) {
        let list = found.get(1).map_or("", |list| list.as_str());
        list.split(',').for_each(|name| complaint.missing(name.trim().trim_matches(['\'', '"', '`']), None));
    }
    if !complaint.missing.is_empty() {
        return;
    }
    for pattern in NAMED.iter() {
        for found in pattern.captures_iter(text) {
            let Some(group) = found.get(1) else { continue };
            let word = group.as_str().trim_matches(['.', '-']);
            let quoted = text.get(..group.start()).is_some_and(|before| before.ends_with(['\'', '"', '`']));
            match resembling(word, known) {
                Some(name) => complaint.missing(name, None),
                None if !quoted && FILLERS.contains(&word.to_ascii_lowercase().as_str()) => {}
                None if word.bytes().all(|b| b.is_ascii_digit()) => {}
                None => complaint.missing(word, None),
            }
        }
        if !complaint.missing.is_empty() {
            return;
        }
    }
}

/// The known field that a word of an answer means: itself, or one that abbreviates it (`language`: `lang`).
fn resembling<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let same = known.iter().find(|name| name.eq_ignore_ascii_case(&word));
    same.or_else(|| {
        known.iter().find(|name| {
            let name = name.to_ascii_lowercase();
            name.len() >= 3 && word.len() >= 3 && (word.starts_with(&name) || name.starts_with(&word))
        })
    })
    .copied()
}

static SUPPORTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:supported|allowed|valid|available|permitted|accepted|one of|choose from|should be|must be)(?: (?:values?|languages?|langs?|options?|are|is|one of|in|models?|tasks?))*[: ]*[\[\({]?([^.;\n\]\)}]+)",
    )
});

/// Reads `Supported: en, hi`, `Input should be 'en' or 'hi'` and the like.
fn values(text: &str, field: Option<&str>, known: &[&str], complaint: &mut Complaint) {
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

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns are constants, and a test compiles them")
}
