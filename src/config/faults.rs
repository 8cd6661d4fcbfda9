//! What is wrong with a config file, so that it can be mended: the place, the key, the nearest right one.

use crate::check::{YamlDocument, YamlKind, YamlNode};
use regex::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Least likeness of two names that one is offered for the other, 0 to 1 (Jaro-Winkler).
const LIKE: f64 = 0.75;

/// Where the parser stopped, as `:LINE:COLUMN`, and why, in the words of this file's readers.
pub fn told(error: &serde_yaml::Error, text: &str) -> (String, String) {
    let place = error.location().map(|place| (place.line(), place.column()));
    let said = without_place(&error.to_string());
    if let Some(fault) = said.contains("duplicate ").then(|| twice(text)).flatten() {
        return fault;
    }
    if said.contains("more than one document") {
        let problem = "a second document begins here; expected one: join them, or write each to a file of its own";
        return (second_document(text), problem.into());
    }
    if let (true, Err(fault)) = (said.contains("token") || said.contains("tab"), YamlDocument::parse(text)) {
        return (shown(Some(line_and_column(text, fault.place.start))), fault.problem);
    }
    match unknown(&said) {
        Some((key, problem)) => (shown(of_key(&key, place, text).or(place)), problem),
        None => (shown(place), in_words(&without_values(&said).replacen("missing field `", "missing key `", 1))),
    }
}

/// Where the second document begins, as `:LINE:COLUMN`: at the first `---` with something before it.
fn second_document(text: &str) -> String {
    let is_mark = |line: &str| line == "---" || line.starts_with("--- ");
    let lines = || text.lines().enumerate();
    let begun = lines().find(|(_, line)| !(line.trim().is_empty() || line.starts_with(['#', '%']) || is_mark(line)));
    let mark = lines().find(|(at, line)| is_mark(line) && begun.is_none_or(|(first, _)| first < *at));
    shown(mark.map(|(at, _)| (at + 1, 1)))
}

/// Line and column of a character.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before: Vec<char> = text.chars().take(at).collect();
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    (line, before.iter().rev().take_while(|c| **c != '\n').count() + 1)
}

/// Where the value of a key stands, as `:LINE:COLUMN`: `load.users`.
pub fn of_value(path: &str, text: &str) -> Option<String> {
    let document = YamlDocument::parse(text).ok()?;
    let node = path.split('.').try_fold(&document.root, |node, name| match &node.kind {
        YamlKind::Map(entries) => entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value),
        _ => None,
    })?;
    Some(shown(Some(document.line_and_column(node.place))))
}

/// The first key that stands twice in a mapping: the place of the second, and what to say of it.
pub fn twice(text: &str) -> Option<(String, String)> {
    let document = YamlDocument::parse(text).ok()?;
    let (node, first, within) = second(&document.root, "")?;
    let (line, _) = document.line_and_column(first.place);
    let within = if within.is_empty() { within } else { format!(" in `{within}`") };
    let key = key_shown(node.text().unwrap_or_default());
    let problem = format!("the key `{key}` stands twice{within}; the first is in line {line}");
    Some((shown(Some(document.line_and_column(node.place))), problem))
}

/// A key that was there before, the one before it, and the mapping's path.
fn second<'n>(node: &'n YamlNode, path: &str) -> Option<(&'n YamlNode, &'n YamlNode, String)> {
    match &node.kind {
        YamlKind::Scalar(..) => None,
        YamlKind::List(items) => {
            let mut items = items.iter().enumerate();
            items.find_map(|(number, item)| second(item, &format!("{path}[{number}]")))
        }
        YamlKind::Map(entries) => {
            let mut before: HashMap<&str, &YamlNode> = HashMap::new();
            entries.iter().find_map(|(key, value)| {
                // Lists and mappings are no keys of ours; several `<<` are YAML's own.
                let name = key.text()?;
                if let Some(first) = before.insert(name, key).filter(|_| name != "<<") {
                    return Some((key, first, path.to_owned()));
                }
                let dot = if path.is_empty() { "" } else { "." };
                second(value, &format!("{path}{dot}{}", key_shown(name)))
            })
        }
    }
}

/// Where the ids of the waivers stand, each as `:LINE:COLUMN`, in the order of the text.
pub fn of_waivers(text: &str) -> Vec<String> {
    let Ok(document) = YamlDocument::parse(text) else { return Vec::new() };
    let listed = match document.root.entry("waivers").map(|(_, value)| &value.kind) {
        Some(YamlKind::List(items)) => items.as_slice(),
        _ => &[],
    };
    let place = |waiver: &YamlNode| {
        let id = waiver.entry("id").map_or(waiver, |(_, id)| id);
        shown(Some(document.line_and_column(id.place)))
    };
    listed.iter().map(place).collect()
}

/// A parser's complaint about a type, in the words of those who write YAML: `expected a list, found a text`.
fn in_words(problem: &str) -> String {
    static TYPES: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"(?s)^(?P<of>.*?)invalid (?:type|value): (?P<found>.+), expected (?P<wanted>.+)$";
        Regex::new(pattern).expect("a valid pattern")
    });
    let Some(parts) = TYPES.captures(problem) else { return problem.to_owned() };
    let (of, found, wanted) = (&parts["of"], &parts["found"], &parts["wanted"]);
    let value = found.split('`').nth(1).unwrap_or_default();
    let whole = found.starts_with("integer");
    let found = match found.split(' ').next().unwrap_or_default() {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        "unit" | "null" => "nothing".to_owned(),
        "integer" | "floating" => format!("the number {value}"),
        "boolean" => value.to_owned(),
        _ => found.to_owned(),
    };
    let wanted = match wanted {
        // A whole number was given, and is too small or too large.
        "u8" if whole => "a whole number from 0 to 255",
        "u16" if whole => "a whole number from 0 to 65535",
        "u32" if whole => "a whole number from 0 to 4294967295",
        "u64" | "usize" if whole => "a whole number from 0 on",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" | "path string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other => other,
    };
    match of.split_once("headers.") {
        // What follows `authorization:` would be taken for a secret, and masked.
        Some((before, name)) => {
            let name = name.trim_end_matches([':', ' ']);
            format!("{before}headers: for \"{name}\" expected {wanted}, found {found}")
        }
        None => format!("{of}expected {wanted}, found {found}"),
    }
}

fn shown(place: Option<(usize, usize)>) -> String {
    place.map_or(String::new(), |(line, column)| format!(":{line}:{column}"))
}

/// The parser's complaint without the place at its end, which is told apart.
fn without_place(said: &str) -> String {
    static PLACE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r" at (?:line \d+ column \d+|position \d+)").expect("a valid pattern"));
    PLACE.replace_all(said, "").into_owned()
}

/// An unknown key, and what to say of it.
fn unknown(said: &str) -> Option<(String, String)> {
    static UNKNOWN: LazyLock<Regex> = LazyLock::new(|| {
        let pattern =
            r"(?s)^(?:(?P<of>[^`\s]+): )?unknown field `(?P<key>.*)`, (?:there are no fields|expected (?P<keys>.*))$";
        Regex::new(pattern).expect("a valid pattern")
    });
    let found = UNKNOWN.captures(said)?;
    let (key, listed) = (found.name("key")?.as_str(), found.name("keys").map_or("", |keys| keys.as_str()));
    let keys: Vec<&str> = listed.split('`').skip(1).step_by(2).collect();
    let within = found.name("of").map_or(String::new(), |of| format!(" in `{}`", of.as_str()));
    let nearest = crate::words::nearest(key, keys.iter().copied(), LIKE);
    let hint = nearest.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
    let problem = format!(
        "unknown key `{}`{within}{hint}{} keys here: {}",
        key_shown(key),
        if hint.is_empty() { ";" } else { "" },
        keys.join(", ")
    );
    Some((key.to_owned(), problem))
}

/// A key as it may be told: a whole line in the place of one may hold a secret.
fn key_shown(key: &str) -> &str {
    if key.len() <= 60 && !key.contains(char::is_whitespace) { key } else { "..." }
}

/// Where the key stands: the parser tells a place at or after it.
fn of_key(key: &str, place: Option<(usize, usize)>, text: &str) -> Option<(usize, usize)> {
    let (last, _) = place?;
    let lines: Vec<&str> = text.lines().take(last).collect();
    lines.iter().enumerate().rev().find_map(|(number, line)| {
        let at = line.match_indices(key).find(|(at, _)| is_key(line, *at, key))?.0;
        Some((number + 1, line.get(..at)?.chars().count() + 1))
    })
}

/// Whether what stands at this place of the line is a key, and the whole of it.
fn is_key(line: &str, at: usize, key: &str) -> bool {
    let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + key.len()..).unwrap_or_default());
    let before = before.trim_end_matches(['"', '\'']);
    let begins = before.trim_start().is_empty() || before.ends_with(['{', ',', ' ', '-', '\t']);
    begins && !before.contains('#') && after.trim_start_matches(['"', '\'']).trim_start().starts_with(':')
}

/// A parser's complaint without the texts that it quotes: one of them may be a secret that stands in the wrong place.
fn without_values(problem: &str) -> String {
    static QUOTED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"string "(?:[^"\\]|\\.)*""#).expect("a valid pattern"));
    QUOTED.replace_all(problem, "a text").into_owned()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn fault(text: &str) -> String {
        let (place, problem) = Config::parse(text).unwrap_err();
        format!("{place}: {problem}")
    }

    #[test]
    fn a_tab_is_named_where_it_stands() {
        let (place, problem) = crate::config::Config::parse("server: a\nexpect:\n\tgpus: 8\n").unwrap_err();
        assert!(problem.contains("a tab stands in the indent"), "{problem}");
        assert_eq!(place, ":3:1");
    }

    #[test]
    fn of_two_documents_the_second_is_named() {
        let said = fault("# mine\n---\nserver: http://a:1\n--- # the other\nserver: http://b:1\n");
        assert!(said.starts_with(":4:1: a second document begins here"), "{said}");
        assert!(Config::parse("---\nserver: http://a:1\n").is_ok());
    }

    #[test]
    fn a_value_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        for (text, place, key) in [
            ("server: http://a:1\ntimeout: soon\n", "c.yaml:2:10: ", "timeout: write it as"),
            ("load:\n  users: [1, 0]\n", "c.yaml:2:10: ", "load.users: "),
            ("server: 5\n", "c.yaml:1:9: ", "server: "),
        ] {
            std::fs::write(&file, text).unwrap();
            let said = crate::config::Config::read(&file).unwrap_err().to_string();
            assert!(said.contains(place) && said.contains(key), "{text:?}: {said}");
        }
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_the_nearest_right_one() {
        for (text, start) in [
            ("# a\n\nsever: http://h\n", ":3:1: unknown key `sever`; did you mean `server`? keys here: server, model,"),
            (
                "request:\n  path: /asr\n  feilds: {lang: hi}\n",
                ":3:3: unknown key `feilds` in `request`; did you mean `fields`? keys here: path,",
            ),
            ("request: {path: /asr, cuont: 3}\n", ":1:23: unknown key `cuont` in `request`; did you mean `count`?"),
            ("auth:\n    bearer: X\n", ":2:5: unknown key `bearer` in `auth`; did you mean `bearer_env`?"),
            ("expect:\n  gpu: 8\n", ":2:3: unknown key `gpu` in `expect`; did you mean `gpus`?"),
            (
                "balance:\n  fields:\n    indx: id\n",
                ":3:5: unknown key `indx` in `balance.fields`; did you mean `index`?",
            ),
            ("headers:\n  x-key: {enw: A}\n", ":2:11: unknown key `enw` in `headers.x-key`; did you mean `env`?"),
            (
                "waivers:\n  - id: a\n    reson: b\n",
                ":3:5: unknown key `reson` in `waivers[0]`; did you mean `reason`?",
            ),
            ("load: {zzz: 1}\n", ":1:8: unknown key `zzz` in `load`; keys here: users,"),
            ("client:\n  metod: GET\n", ":2:3: unknown key `metod` in `client`; did you mean `method`?"),
            ("connection:\n  cacrt: a\n", ":2:3: unknown key `cacrt` in `connection`; did you mean `cacert`?"),
        ] {
            let told = fault(text);
            assert!(told.starts_with(start), "{text}\n{told}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_told_with_its_key_and_place() {
        for (text, start) in [
            ("server: [a]\n", ":1:9: server: expected a text, found a list"),
            ("a: &x 1\nrequest:\n", ":"),
            ("request:\n  count: many\n", ":2:10: request.count: expected a whole number, found a text"),
            ("logs: a.log\n", ":1:7: logs: expected a list, found a text"),
            (
                "request: 3\n",
                ":1:10: request: expected a mapping with path, method, content_type, fields and count, found the number 3",
            ),
            ("server: 'a\n", ":"),
            (
                "sample_rate: -3\n",
                ":1:14: sample_rate: expected a whole number from 0 to 4294967295, found the number -3",
            ),
            ("sample_rate: 1.5\n", ":1:14: sample_rate: expected a whole number, found the number 1.5"),
            ("load: {rate: fast}\n", ":1:14: load.rate: expected a number, found a text"),
            ("load: {users: [x]}\n", ":1:16: load.users[0]: expected a whole number, found a text"),
            ("waivers: {}\n", ":1:10: waivers: expected a list, found a mapping"),
            ("connection: {http2: }\n", ":1:21: connection.http2: expected true or false, found nothing"),
            ("- a\n", ":1:1: expected a mapping of settings, found a list"),
            (
                "headers: {authorization: abc}\n",
                ":1:26: headers: for \"authorization\" expected a mapping with env: VARIABLE or file: PATH, found a text",
            ),
        ] {
            let told = fault(text);
            assert!(told.starts_with(start), "{text}\n{told}");
        }
    }

    /// Also where serde would let the last one win: headers, fields, JSON.
    #[test]
    fn a_key_that_stands_twice_is_told_with_both_places() {
        for (text, told) in [
            ("server: a\n\nserver: b\n", ":3:1: the key `server` stands twice; the first is in line 1"),
            (
                "request:\n  path: /a\n  path: /b\n",
                ":3:3: the key `path` stands twice in `request`; the first is in line 2",
            ),
            (
                "request: {fields: {a: 1, a: 2}}\n",
                ":1:26: the key `a` stands twice in `request.fields`; the first is in line 1",
            ),
            (
                "headers:\n  cookie: {env: A}\n  cookie: {env: B}\n",
                ":3:3: the key `cookie` stands twice in `headers`; the first is in line 2",
            ),
            (
                "waivers:\n  - id: a\n    reason: b\n    id: c\n    until: 2027-01-31\n",
                ":4:5: the key `id` stands twice in `waivers[0]`; the first is in line 2",
            ),
        ] {
            assert_eq!(fault(text), told);
        }
        assert!(!fault("request: {fields: {my S3CRET: 1, my S3CRET: 2}}").contains("S3CRET"));
        // An alias repeats what was written once.
        assert!(Config::parse("request: {fields: {a: &x {b: 1}, c: *x}}").is_ok());
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_not_told() {
        for text in [
            "headers: {a: Bearer S3CRET}",
            "S3CRET S3CRET: 1",
            "logs: S3CRET",
            "auth: S3CRET",
            "headers: {authorization: Bearer S3CRET}",
        ] {
            assert!(!fault(text).contains("S3CRET"), "{}", fault(text));
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(server|request|path|waivers|[ \\n:{}\\[\\]\"'#a-z-])*") {
            let _ = Config::parse(&text);
        }
    }
}
