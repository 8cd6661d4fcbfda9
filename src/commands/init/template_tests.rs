use super::*;
use crate::config::Config;
use serde_json::Value;
use std::collections::BTreeSet;

/// Paths of all keys that the types have.
fn keys(schema: &Value, of: &Value, at: &str, all: &mut BTreeSet<String>) {
    if let Some(name) = of["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return keys(schema, &schema["$defs"][name], at, all);
    }
    for one in ["anyOf", "allOf", "oneOf"].iter().filter_map(|way| of[*way].as_array()).flatten() {
        keys(schema, one, at, all);
    }
    if of["items"].is_object() {
        keys(schema, &of["items"], at, all);
    }
    let inside = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
    // Names of the user's own, of which the template shows one.
    let named = of["additionalProperties"]["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"));
    if named.is_some_and(|name| schema["$defs"][name]["properties"].is_object()) {
        let name = inside("x-api-key");
        all.insert(name.clone());
        keys(schema, &of["additionalProperties"], &name, all);
    }
    for (name, property) in of["properties"].as_object().into_iter().flatten() {
        all.insert(inside(name));
        keys(schema, property, &inside(name), all);
    }
}

/// The template with everything on.
fn all_on() -> String {
    let on = |line: &'static str| if setting(line).is_some() { line.get(1..).unwrap() } else { line };
    TEMPLATE.lines().map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_key_of_the_config_stands_in_it_with_an_explanation() {
    let schema = crate::config::json_schema();
    let mut wanted = BTreeSet::new();
    keys(&schema, &schema, "", &mut wanted);
    let there: BTreeSet<String> =
        settings().into_iter().map(|(path, _)| path).filter(|path| !path.is_empty()).collect();
    assert!(wanted.len() > 60, "{wanted:?}");
    assert_eq!(there, wanted);
    let lines: Vec<&str> = TEMPLATE.lines().collect();
    for (number, line) in
        lines.iter().enumerate().filter(|(_, line)| setting(line).is_some_and(|one| one.2 != "x-api-key"))
    {
        let above = lines[number - 1];
        assert!(
            above.starts_with("# ") && above.ends_with('.') || above.ends_with("three."),
            "no explanation: {line}: {above}"
        );
    }
}

#[test]
fn everything_on_is_a_config_and_everything_off_as_well() {
    assert!(Config::parse(TEMPLATE).is_ok());
    let config = Config::parse(&all_on()).unwrap();
    assert_eq!(config.server.as_deref(), Some("http://127.0.0.1:8000"));
    assert_eq!(config.waivers[0].id, "ort-cpu-package-only");
    assert_eq!(config.balance.fields.limit.as_deref(), Some("max_connections"));
}

#[test]
fn what_was_found_is_filled_in_and_the_rest_stays_off() {
    let mut found = Found::default();
    found.text("server", "http://127.0.0.1:8000/", "it listens\n#evil: 1");
    found.text("request.path", "/a: b # c", "the document");
    found.text("balance.fields.index", "id", "you");
    found.value("expect.gpus", 2, "NVML");
    found.examples.insert("request.fields", "{lang: hi}".into());
    found.note("logs", "none\nserver: http://evil");
    let text = render(&found, &["made by a test".into()]);
    let config = Config::parse(&text).unwrap_or_else(|problem| panic!("{problem:?}\n{text}"));
    assert_eq!(config.server.as_deref(), Some("http://127.0.0.1:8000/"));
    assert_eq!(config.request.path.as_deref(), Some("/a: b # c"));
    assert_eq!(config.balance.fields.index.as_deref(), Some("id"));
    assert_eq!((config.expect.gpus, config.expect.driver), (Some(2), None));
    assert!(text.contains("\n#  fields: {lang: hi}\n") && text.contains("# Found: NVML.\n  gpus: 2\n"), "{text}");
}

proptest::proptest! {
    #[test]
    fn any_text_comes_back(text in "\\PC{0,40}", more in "[ -~\\n\\t]{0,40}") {
        for value in [text, more] {
            let mut found = Found::default();
            found.text("request.path", &value, value.clone());
            let read = Config::parse(&render(&found, &[])).unwrap();
            proptest::prop_assert_eq!(read.request.path, Some(value));
        }
    }
}
