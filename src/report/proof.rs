//! What a piece of evidence says, in one line.

use crate::check::Evidence;
use crate::words::{clip, grouped};
use serde_json::{Map, Value};

/// Columns of it that are shown where it is not told whole.
const SHOWN: usize = 220;
/// Columns of a server's answer that are shown then.
const ANSWER: usize = 50;

/// The same, cut to a line's length.
pub fn in_short(evidence: &Evidence) -> Option<String> {
    said(evidence, true).map(|said| clip(&said, SHOWN))
}

/// Whether it can prove anything: what nobody asked for does not, nor does a conclusion from other facts that was not drawn.
pub fn is_proof(evidence: &Evidence) -> bool {
    let not_asked = evidence.unknown.as_ref().is_some_and(|why| why.starts_with("not asked"));
    let not_drawn =
        evidence.path.starts_with("derived.") && evidence.value.as_ref().is_some_and(|value| !is_telling(value));
    !not_asked && !not_drawn
}

/// The fact's value in words, or why it is not known; nothing of what is no proof. Of an answer the beginning, unless it is
/// wanted whole.
pub fn said(evidence: &Evidence, whole: bool) -> Option<String> {
    if !is_proof(evidence) {
        return None;
    }
    let said = match (&evidence.value, &evidence.unknown) {
        (Some(value), _) => value_said(value, whole),
        (None, Some(unknown)) => match unknown.strip_prefix("absent: ") {
            Some(detail) => format!("absent ({detail})"),
            None => format!("unknown ({unknown})"),
        },
        (None, None) => "unknown".into(),
    };
    // A server's answer may be laid out in lines of its own.
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(if said.is_empty() { "empty".into() } else { said })
}

/// A value in words.
pub fn value_said(value: &Value, whole: bool) -> String {
    match value {
        Value::Object(exchange) if exchange.contains_key("status") && exchange.contains_key("method") => {
            spoken(exchange, whole)
        }
        other => listed(other),
    }
}

/// A request and its answer on one line, the answer first: it says more.
fn spoken(exchange: &Map<String, Value>, whole: bool) -> String {
    let text = |name: &str| exchange.get(name).map(short).unwrap_or_default();
    let field = |field: &Value| format!("{}={}", short(&field["name"]), short(&field["value"]));
    let sent = exchange.get("fields").and_then(|fields| fields.as_array()).into_iter().flatten();
    let sent: Vec<String> = sent.map(field).collect();
    let sent = if sent.is_empty() { String::new() } else { format!(" ({})", sent.join(", ")) };
    let answer = if whole { text("answer") } else { clip(&text("answer"), ANSWER) };
    let answer = if answer.is_empty() { "an empty answer".to_owned() } else { answer };
    format!("{} {answer} to {} {}{sent}", text("status"), text("method"), text("path"))
}

/// A value of several members, without those that say nothing: `name lang, place form`.
fn listed(value: &Value) -> String {
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().filter(|(_, value)| is_telling(value)).map(member).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().map(listed).collect::<Vec<_>>().join("; ")
        }
        other => short(other),
    }
}

fn member((name, value): (&String, &Value)) -> String {
    // `size_bytes` reads as two words; LD_LIBRARY_PATH is a name of somebody else's.
    let name = if name.contains(char::is_uppercase) { name.clone() } else { name.replace('_', " ") };
    match value {
        Value::Object(_) => format!("{name} ({})", listed(value)),
        Value::Array(items) if items.iter().any(Value::is_object) => format!("{name} ({})", listed(value)),
        Value::Bool(yes) => format!("{name}: {}", if *yes { "yes" } else { "no" }),
        _ => format!("{name}: {}", short(value)),
    }
}

/// Whether a member says anything.
fn is_telling(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty() && !members.contains_key("unknown"),
        _ => true,
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "empty".into(),
        Value::String(text) => text.clone(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.into(),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(short).collect::<Vec<_>>().join(", "),
        Value::Object(members) if members.is_empty() => "none".into(),
        Value::Object(_) => listed(value),
        Value::Number(number) => match number.as_u64() {
            // Below that it may be a year, a port, a code.
            Some(large @ 100_000..) => grouped(large),
            Some(_) => number.to_string(),
            None => rounded(number.as_f64().unwrap_or_default(), number),
        },
        Value::Null => "unknown".into(),
    }
}

/// A fraction with as many digits as people read.
fn rounded(value: f64, number: &serde_json::Number) -> String {
    match value.abs() {
        size if value.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        100.0..1e15 => format!("{value:.0}"),
        1.0..100.0 => format!("{value:.2}"),
        0.001..1.0 => format!("{value:.3}"),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_asked_or_not_concluded_is_no_proof() {
        let said = |path: &str, value, unknown: Option<&str>| {
            said(&Evidence { path: path.into(), value, unknown: unknown.map(str::to_owned) }, true)
        };
        for nothing in [json!(""), json!([]), json!({})] {
            assert_eq!(said("derived.server_on_one_gpu", Some(nothing), None), None);
        }
        assert_eq!(said("derived.activity_proven", Some(json!(false)), None), Some("no".into()));
        assert_eq!(said("host.running_daemons", Some(json!([])), None), Some("none".into()));
        assert_eq!(said("cuda.visible_devices", Some(json!("")), None), Some("empty".into()));
        assert_eq!(said("model.files", None, Some("not asked: no model")), None);
        assert_eq!(said("model.files", None, Some("denied: /m")), Some("unknown (denied: /m)".into()));
    }

    #[test]
    fn values_are_read_as_words() {
        assert_eq!(
            listed(&json!({"name": "lang", "schema_says": "optional", "gone": null})),
            "name: lang, schema says: optional"
        );
        assert_eq!(listed(&json!([{"size_bytes": 1234640}, {"pid": 4242}])), "size bytes: 1,234,640; pid: 4242");
        assert_eq!(
            [json!(0.0), json!(60102.977), json!(3.099), json!(true), json!([])].map(|v| short(&v)),
            ["0", "60103", "3.10", "yes", "none"]
        );
        assert_eq!(short(&json!({"a": {"b": 1}})), "a (b: 1)");
        assert_eq!(listed(&json!({"LD_LIBRARY_PATH": "/usr/lib"})), "LD_LIBRARY_PATH: /usr/lib");
    }
}
