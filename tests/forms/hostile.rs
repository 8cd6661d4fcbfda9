//! Hostile texts in every place of a document that takes them.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What servers might say.
pub const TEXTS: &[&str] = &[
    "\u{1b}[31mred\u{1b}[0m \u{1b}]8;;http://evil.example\u{7}click\u{1b}]8;;\u{7} \u{9b}2J",
    "\u{202e}desrever\u{202c} \u{2066}x\u{2069} \u{200f}y \u{61c}",
    "nul\0 bell\u{7} back\u{8} form\u{c} delete\u{7f} \u{85} \u{fffe}\u{ffff}",
    "<script>alert(1)</script> \"><img src=x onerror=alert(1)> <!-- --> <![CDATA[ ]]> </details></summary>",
    "```\n````\n~~~~ `tick` ``\n# heading\n- item\n1. one\n> quote\n===\n---\n| a | b |\n|---|---|",
    "@everyone @all #1 !2 $3 ~bug %4 &5 GH-6 owner/repo#7 0f1e2d3c4b5a /close\n/assign @me",
    "[link](javascript:alert(1)) ![image](http://evil.example/x.png) <http://evil.example> www.evil.example a@b.example",
    "::error file=x,line=1::told\r\n::stop-commands::x\n##[error]x %0A::warning::y %25 %0D",
    "# EOF\ngpu_doctor_verdict{verdict=\"healthy\"} 1\n\"} 0\n\\",
    "{{ 7 * 7 }} {% raw %} ${HOME} $(id) `id` &lt; &#x41; \\ud800 \u{1f980}\u{10ffff}",
    "\u{2028}line\u{2029}paragraph\ttab\u{b}vertical\n\n\nthree",
    "*bold* _under_ **both** ~~no~~ \\escaped\\ trailing\\",
];

/// The members whose value is no text but one of a few words.
const WORDS: [&str; 4] = ["why", "outcome", "schema", "standing"];

/// The document with a hostile text behind every text that takes one, or in its place: all texts are changed but those
/// without which it is not the document of its kind any more. Says how many were changed.
pub fn planted<T: DeserializeOwned>(document: &Value, instead: bool, offset: usize) -> (Value, usize) {
    let mut places = Vec::new();
    collect(document, &mut Vec::new(), &mut places);
    let mut hostile = document.clone();
    let mut changed = 0;
    let numbered: Vec<(usize, Vec<Step>)> = places.into_iter().enumerate().collect();
    plant::<T>(&mut hostile, &numbered, instead, offset, &mut changed);
    (hostile, changed)
}

/// A step from a value to one inside of it.
#[derive(Clone)]
enum Step {
    Member(String),
    Item(usize),
}

fn collect(value: &Value, path: &mut Vec<Step>, places: &mut Vec<Vec<Step>>) {
    match value {
        Value::String(_) => places.push(path.clone()),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                path.push(Step::Item(at));
                collect(item, path, places);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !WORDS.contains(&name.as_str())) {
                path.push(Step::Member(name.clone()));
                collect(member, path, places);
                path.pop();
            }
        }
        _ => {}
    }
}

fn at<'a>(value: &'a mut Value, path: &[Step]) -> &'a mut Value {
    path.iter().fold(value, |value, step| match step {
        Step::Member(name) => &mut value[name.as_str()],
        Step::Item(at) => &mut value[*at],
    })
}

/// Changes all these texts where the document stays one; else each half of them, down to single ones.
fn plant<T: DeserializeOwned>(
    document: &mut Value,
    places: &[(usize, Vec<Step>)],
    instead: bool,
    offset: usize,
    changed: &mut usize,
) {
    if places.is_empty() {
        return;
    }
    let before = document.clone();
    for (number, path) in places {
        let text = TEXTS[(number + offset) % TEXTS.len()];
        let place = at(document, path);
        let told = place.as_str().unwrap_or_default().to_owned();
        *place = Value::String(if instead { text.to_owned() } else { format!("{told}{text}") });
    }
    if serde_json::from_value::<T>(document.clone()).is_ok() {
        *changed += places.len();
        return;
    }
    *document = before;
    if places.len() > 1 {
        let (one, other) = places.split_at(places.len() / 2);
        plant::<T>(document, one, instead, offset, changed);
        plant::<T>(document, other, instead, offset, changed);
    }
}
