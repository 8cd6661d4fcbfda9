//! The keys of a check's YAML, and what each may hold.

use super::Found;
use crate::check::yaml::{Document, Kind, Node, Place};
use crate::snapshot::Stage;
use crate::words::nearest;

/// What a key holds.
#[derive(Clone, Copy)]
enum Holds {
    /// A text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A stage.
    Stage,
    /// true or false.
    Flag,
    /// A list of texts.
    Texts,
    /// Steps with `say`, `run` or both.
    Steps,
}

/// A key, what it holds, and whether there must be one.
const KEYS: &[(&str, Holds, bool)] = &[
    ("id", Holds::Text, true),
    ("stage", Holds::Stage, true),
    ("title", Holds::Text, true),
    ("severity", Holds::Word(&["warn", "fail"]), true),
    ("confidence", Holds::Word(&["possible", "likely", "proven"]), false),
    ("symptom", Holds::Flag, false),
    ("starves", Holds::Flag, false),
    ("anywhere", Holds::Flag, false),
    ("when", Holds::Text, true),
    ("warn_if", Holds::Text, false),
    ("proven_if", Holds::Text, false),
    ("explains", Holds::Texts, false),
    ("brief", Holds::Text, true),
    ("because", Holds::Text, true),
    ("subjects", Holds::Texts, false),
    ("evidence", Holds::Texts, true),
    ("fix", Holds::Steps, true),
    ("verify", Holds::Texts, true),
    ("means", Holds::Text, true),
    ("told_apart", Holds::Text, true),
    ("docs", Holds::Texts, false),
];

/// A text of a check: its key (`say` and `run` for those of a step), and the text.
pub struct Value<'a> {
    pub key: &'static str,
    pub node: &'a Node,
    pub text: &'a str,
}

/// The texts of a check that stand where they should, in the order of the keys; what stands elsewhere is found.
pub fn written<'a>(document: &'a Document, found: &mut Vec<Found>) -> Vec<Value<'a>> {
    let root = &document.root;
    let Kind::Map(entries) = &root.kind else {
        let help = "a check begins with `id: the-file's-name`";
        found.push(Found::at(root.place, "this is no check: expected keys and values", help));
        return Vec::new();
    };
    for (place, (key, _)) in entries.iter().enumerate() {
        let name = key.text().unwrap_or_default();
        if !KEYS.iter().any(|(known, ..)| *known == name) {
            unknown_key(key, KEYS.iter().map(|(known, ..)| *known), found);
        } else if entries[..place].iter().any(|(earlier, _)| earlier.text() == Some(name)) {
            found.push(Found::at(key.place, format!("the key \"{name}\" stands here for the second time"), ""));
        }
    }
    let mut values = Vec::new();
    for (key, holds, required) in KEYS {
        match root.entry(key) {
            Some((name, value)) => take(key, *holds, name, value, &mut values, found),
            None if *required => {
                let place = entries.first().map_or(root.place, |(first, _)| first.place);
                found.push(Found::at(place, format!("the key \"{key}\" is missing"), lacks(key)));
            }
            None => {}
        }
    }
    values
}

fn take<'a>(
    key: &'static str,
    holds: Holds,
    name: &Node,
    value: &'a Node,
    values: &mut Vec<Value<'a>>,
    found: &mut Vec<Found>,
) {
    match (holds, &value.kind) {
        (Holds::Text, Kind::Scalar(text, _)) => match text.trim().is_empty() {
            true => found.push(Found::at(name.place, format!("\"{key}\" is empty"), lacks(key))),
            false => values.push(Value { key, node: value, text }),
        },
        (Holds::Word(words), Kind::Scalar(text, _)) => one_of(key, text, words, value.place, found),
        (Holds::Stage, Kind::Scalar(text, _)) => {
            let stages: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
            one_of(key, text, &stages, value.place, found);
            values.push(Value { key, node: value, text });
        }
        (Holds::Flag, Kind::Scalar(text, _)) => one_of(key, text, &["true", "false"], value.place, found),
        (Holds::Texts, Kind::List(items)) => {
            for item in items {
                match &item.kind {
                    Kind::Scalar(text, _) => values.push(Value { key, node: item, text }),
                    _ => {
                        found.push(Found::at(item.place, format!("\"{key}\" lists texts, and this is none"), quotes()))
                    }
                }
            }
        }
        (Holds::Steps, Kind::List(items)) => items.iter().for_each(|step| take_step(step, values, found)),
        (Holds::Texts | Holds::Steps, _) => {
            let help = match holds {
                Holds::Steps => format!("{key}:\n  - say: what to do\n    run: a command"),
                _ => format!("{key}: [one, another]"),
            };
            found.push(Found::at(value.place, format!("\"{key}\" is a list, and this is none"), help));
        }
        _ => found.push(Found::at(value.place, format!("\"{key}\" is a text, and this is none"), quotes())),
    }
}

fn take_step<'a>(step: &'a Node, values: &mut Vec<Value<'a>>, found: &mut Vec<Found>) {
    let Kind::Map(entries) = &step.kind else {
        found.push(Found::at(step.place, "a step of \"fix\" has \"say\", \"run\" or both", "- say: what to do"));
        return;
    };
    let mut told = false;
    for (key, value) in entries {
        match (key.text(), &value.kind) {
            (Some(name @ ("say" | "run")), Kind::Scalar(text, _)) => {
                told |= !text.trim().is_empty();
                values.push(Value { key: if name == "say" { "say" } else { "run" }, node: value, text });
            }
            (Some(name @ ("say" | "run")), _) => {
                found.push(Found::at(value.place, format!("\"{name}\" is a text, and this is none"), quotes()));
                told = true;
            }
            _ => {
                unknown_key(key, ["say", "run"].into_iter(), found);
                told = true;
            }
        }
    }
    if !told {
        found.push(Found::at(step.place, "a step of \"fix\" says nothing", "- say: what to do"));
    }
}

/// Tells of a key that is none of those known.
pub fn unknown_key(key: &Node, known: impl Iterator<Item = &'static str> + Clone, found: &mut Vec<Found>) {
    let name = key.text().unwrap_or("?");
    let help = match nearest(name, known.clone(), 0.8) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("the keys are {}", known.collect::<Vec<_>>().join(", ")),
    };
    found.push(Found::at(key.place, format!("there is no key \"{name}\""), help));
}

/// Tells of a word that is none of those a key can have.
pub fn one_of(key: &str, text: &str, words: &[&str], place: Place, found: &mut Vec<Found>) {
    if words.contains(&text) {
        return;
    }
    let help = match nearest(text, words.iter().copied(), 0.8) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("one of {}", words.join(", ")),
    };
    found.push(Found::at(place, format!("{key}: \"{text}\" is none of its values"), help));
}

/// What a key is for, where it is missing.
fn lacks(key: &str) -> &'static str {
    match key {
        "id" => "the file's name without .yaml",
        "stage" => "the folder's name: the stage of a request's life that is broken",
        "title" => "a few words for lists",
        "severity" => "fail if it keeps the GPU from working or the server from serving, else warn",
        "when" => "the condition under which it holds, as in `when: size(nvml.gpus) == 0`",
        "brief" => "a clause for the headline, which follows \"because\"",
        "because" => "one or two sentences with the proof",
        "evidence" => "the paths of the facts that prove it, as in `evidence: [nvml.gpus]`",
        "fix" => "what to do, as in `fix: [{say: Restart the server.}]`",
        "verify" => "commands that show that the fix worked; [] if there is none",
        "means" => "what it means, for `gpu-doctor explain`",
        "told_apart" => "how it is told from its neighbours, for `gpu-doctor explain`",
        _ => "",
    }
}

fn quotes() -> &'static str {
    "a text with braces or a colon stands in quotes, or below `>-`"
}

#[cfg(test)]
mod tests {
    use crate::check::Checks;
    use std::collections::BTreeSet;

    /// The keys are those that serde knows.
    #[test]
    fn the_keys_are_those_of_the_type() {
        let check = Checks::load(None).unwrap().iter().next().map(|check| check.spec.clone()).unwrap();
        let spec = serde_json::to_value(check).unwrap();
        let of_type: BTreeSet<&str> = spec.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(of_type, super::KEYS.iter().map(|(key, ..)| *key).collect());
    }
}
