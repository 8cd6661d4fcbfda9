//! Words that stand for devices: on the command line, in the environment, in the code.

use super::calls::unquoted;
use super::syntax::Source;
use super::token::Kind;
use crate::snapshot::{DeviceWord, Facts};
use std::collections::BTreeSet;

/// Most words told.
const WORDS_MAX: usize = 50;

/// Whether a name is one under which a device is chosen: `device`, `--whisper-device`, `TORCH_DEVICE`.
pub fn names_device(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    name == "device" || ["_device", "-device", ".device"].iter().any(|end| name.ends_with(end))
}

/// Whether a value can be a device at all. Nothing else is told, so that no secret can be.
fn is_device(value: &str) -> bool {
    let (name, number) = value.split_once(':').unwrap_or((value, "0"));
    let known = ["cuda", "gpu", "cpu", "auto", "nvidia", "mps", "xpu", "rocm", "hip", "tpu"];
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
    known.contains(&stem.as_str()) && number.len() <= 3 && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The words of the command line and the environment.
pub fn outside_code(facts: &Facts) -> Vec<DeviceWord> {
    let mut words = Vec::new();
    let word = |origin: &str, name: &str, value: &str, place: String| DeviceWord {
        origin: origin.into(),
        name: name.into(),
        value: value.into(),
        place,
        known_to_code: false,
    };
    for process in facts.process.processes.known().into_iter().flatten().filter(|one| one.role == "listener") {
        let arguments = process.command.known().and_then(|line| shlex::split(line)).unwrap_or_default();
        for (at, argument) in arguments.iter().enumerate() {
            let (name, value) = match argument.split_once('=') {
                Some(joined) => joined,
                None => (argument.as_str(), arguments.get(at + 1).map_or("", String::as_str)),
            };
            if name.starts_with("--") && names_device(name) && is_device(value) {
                words.push(word("argument", name, value, format!("command line of process {}", process.pid)));
            }
        }
    }
    for (name, value) in facts.process.environment.known().into_iter().flatten() {
        if names_device(name) && is_device(value) {
            words.push(word("environment", name, value, "environment of the server's process".into()));
        }
    }
    words.dedup_by(|a, b| a.name == b.name && a.value == b.value);
    words
}

/// The words of one source: `device = "gpu"`, `device="gpu"` in a call or as a default, `getenv("DEVICE", "gpu")`. With
/// them the words that the code looks at in any other way, which it knows.
pub fn of(source: &Source, file: &str, seen: &mut BTreeSet<String>) -> Vec<DeviceWord> {
    let mut words = Vec::new();
    for (at, token) in source.tokens.iter().enumerate().filter(|(_, token)| token.kind == Kind::Text) {
        let value = unquoted(source.word(at));
        if value.len() > 12 || !is_device(value) {
            continue;
        }
        match name_of(source, at) {
            Some(name) if words.len() < WORDS_MAX => words.push(DeviceWord {
                origin: "code".into(),
                name,
                value: value.into(),
                place: format!("{file}:{}", token.line),
                known_to_code: false,
            }),
            Some(_) => {}
            None => drop(seen.insert(value.to_owned())),
        }
    }
    words
}

/// The name that takes the string at `at` as its value.
fn name_of(source: &Source, at: usize) -> Option<String> {
    let before = |back: usize| at.checked_sub(back).map_or("", |index| source.word(index));
    let name = match (before(1), before(3)) {
        ("=", _) if names_device(before(2)) => before(2).to_owned(),
        // device: str = "gpu"
        ("=", ":") => before(4).to_owned(),
        // {"device": "gpu"}
        (":", _) if names_device(unquoted(before(2))) => "device".to_owned(),
        // getenv("DEVICE", "gpu"), environ.get("DEVICE", "gpu")
        (",", "(") if ["getenv", "get"].contains(&before(4)) => unquoted(before(2)).to_owned(),
        // torch.device("gpu"), model.to("gpu")
        ("(", _) if ["device", "to"].contains(&before(2)) => "device".to_owned(),
        _ => return None,
    };
    names_device(&name).then_some(name)
}

/// Marks what the code knows, and leaves out defaults that the environment overrides.
pub fn settle(words: &mut Vec<DeviceWord>, seen: &BTreeSet<String>) {
    let given: BTreeSet<String> =
        words.iter().filter(|word| word.origin == "environment").map(|word| word.name.clone()).collect();
    words.retain(|word| word.origin != "code" || !given.contains(&word.name));
    words.iter_mut().for_each(|word| word.known_to_code = seen.contains(&word.value));
    words.truncate(WORDS_MAX);
}

/// Whether the source names CUDA, comments aside.
pub fn mentions_cuda(source: &Source) -> bool {
    let told = source.tokens.iter().filter(|token| matches!(token.kind, Kind::Name | Kind::Text));
    told.into_iter().any(|token| {
        let word = source.text.get(token.start..token.end).unwrap_or_default();
        word.to_ascii_lowercase().contains("cuda")
    })
}

/// Whether the command line or the server's sources name a repository of models.
pub fn names_repository(arguments: &[String], texts: &[&str], repository: &str) -> bool {
    arguments.iter().any(|argument| argument.contains(repository)) || texts.iter().any(|text| text.contains(repository))
}
