use super::*;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const FORM: Form = Form { name: "gpu-doctor/test/v1", minor: 1, written_by: "this test" };

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Thing {
    schema: String,
    #[serde(default)]
    schema_minor: u32,
    tool: Option<String>,
    colour: Colour,
    gpus: Vec<Gpu>,
    #[serde(default)]
    spare: Option<Gpu>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Colour {
    Red,
    Green,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Gpu {
    memory_total_bytes: u64,
    colour: Known,
}

/// Of the shape of a fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Known {
    Known(Colour),
    Unknown(Why),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Why {
    why: String,
    detail: String,
}

fn schema() -> Value {
    serde_json::to_value(schemars::schema_for!(Thing)).unwrap()
}

fn read_text(text: &str) -> Result<Read<Thing>, String> {
    read(text.as_bytes(), &FORM, schema).map_err(|fault| fault.to_string())
}

/// A document with some text put for another.
fn with(from: &str, to: &str) -> String {
    let text = r#"{
  "schema": "gpu-doctor/test/v1",
  "tool": "gpu-doctor 9.0.0",
  "colour": "red",
  "gpus": [
    {"memory_total_bytes": 7, "colour": {"known": "green"}},
    {"memory_total_bytes": 8, "colour": {"unknown": {"why": "denied", "detail": "no \"right\""}}}
  ]
}"#;
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

fn refused(from: &str, to: &str) -> String {
    read_text(&with(from, to)).unwrap_err()
}

#[test]
fn a_whole_document_is_read_and_so_is_one_of_an_older_minor_version() {
    for text in [with("", ""), format!("\u{feff}{}", with("", "")), with("red\",", "red\", \"schema_minor\": 1,")] {
        let read = read_text(&text).unwrap();
        assert_eq!((read.content.gpus.len(), read.aside.len()), (2, 0));
    }
}

#[test]
fn another_major_version_and_another_document_are_refused_with_what_to_do() {
    let newer = refused("test/v1", "test/v2");
    let words =
        ["its schema is \"gpu-doctor/test/v2\"", "reads \"gpu-doctor/test/v1\"", "gpu-doctor 9.0.0 wrote it: upgrade"];
    assert!(words.iter().all(|word| newer.contains(word)), "{newer}");
    let older = refused("test/v1", "test/v0");
    assert!(older.contains("read it with that version, or have it written anew"), "{older}");
    let other = refused("gpu-doctor/test/v1", "gpu-doctor/else/v1");
    assert_eq!(other, "its schema is \"gpu-doctor/else/v1\"; expected \"gpu-doctor/test/v1\", the output of this test");
    let nameless = refused("\"schema\"", "\"scheme\"");
    assert!(nameless.starts_with("it has no \"schema\"; expected \"gpu-doctor/test/v1\""), "{nameless}");
    assert_eq!(read_text(" \n").unwrap_err(), "it is empty");
    assert!(read_text("[1]").unwrap_err().starts_with("it is JSON, but no object"));
    assert!(read_text("snapshot: yes").unwrap_err().starts_with("it is not JSON: expected value at line 1"));
    let minor = refused("\"tool\"", "\"schema_minor\": -1, \"tool\"");
    assert!(minor.contains("schema_minor: expected a whole number"), "{minor}");
}

#[test]
fn what_was_edited_by_hand_is_named_with_its_place() {
    let cases = [
        (
            "\"memory_total_bytes\": 8",
            "\"memory_total_bytes\": \"8\"",
            "gpus[1].memory_total_bytes (line 7 column 28): expected a whole number, found a text",
        ),
        (
            "\"memory_total_bytes\": 8",
            "\"memory_total_byte\": 8",
            "gpus[1].memory_total_byte (line 7 column 27): there is no member of that name; did you mean \"memory_total_bytes\"?",
        ),
        (
            "\"red\"",
            "\"gren\"",
            "colour (line 4 column 13): expected one of red, green, found \"gren\"; did you mean \"green\"?",
        ),
        ("\"colour\": \"red\",", "", "it lacks the member \"colour\""),
        ("\"red\"", "null", "colour (line 4 column 13): expected \"red\" or \"green\", found null"),
        (
            "{\"known\": \"green\"}",
            "{\"knwon\": \"green\"}",
            "gpus[0].colour (line 6 column 41): expected an object with \"known\" or an object with \"unknown\", found an object with \"knwon\"",
        ),
        ("\"gpus\": [", "\"gpus\": [4,", "gpus[0] (line 5 column 12): expected an object, found the number 4"),
    ];
    for (from, to, said) in cases {
        let problem = refused(from, to);
        assert!(problem.starts_with(said), "{problem}\n{said}");
        assert!(problem.ends_with(&format!("; gpu-doctor 9.0.0 wrote it, and this is {}", crate::TOOL)), "{problem}");
    }
    // What only the types refuse has their own words.
    let twice = refused("\"colour\": \"red\",", "\"colour\": \"red\", \"colour\": \"red\",");
    assert!(twice.contains("duplicate field `colour` at line 4 column"), "{twice}");
}

#[test]
fn what_a_newer_minor_version_added_is_left_aside_and_told() {
    let newer = |from: &str, to: &str| {
        let text = with(from, to).replacen("\"tool\"", "\"schema_minor\": 2, \"tool\"", 1);
        read_text(&text)
    };
    let read = newer("\"colour\": \"red\",", "\"colour\": \"red\", \"mood\": {\"deep\": [1]},").unwrap();
    assert_eq!(read.aside, ["mood: there is no member of that name"]);
    assert_eq!(read.content.schema_minor, 1, "what is left is of this version");
    assert_eq!(read.content.gpus.len(), 2);

    let read = newer("{\"known\": \"green\"}", "{\"known\": \"violet\"}").unwrap();
    assert_eq!(read.aside, ["gpus[0].colour.known: expected one of red, green, found \"violet\""]);
    let Known::Unknown(why) = &read.content.gpus[0].colour else { panic!("{:?}", read.content.gpus[0]) };
    assert_eq!(why.why, "unsupported");
    assert!(why.detail.contains("a newer version wrote what this one does not know"), "{}", why.detail);

    // An item is left out, and the places of those behind it are still those of the file.
    let read = newer("\"gpus\": [", "\"gpus\": [{\"kind\": \"virtual\"}, {\"a\": 1},").unwrap();
    assert_eq!(read.content.gpus.len(), 2);
    assert!(read.aside.iter().any(|aside| aside.starts_with("gpus[1]: it lacks the member")), "{:?}", read.aside);

    let read = newer("\"gpus\"", "\"spare\": {\"memory_total_bytes\": 1, \"colour\": 5}, \"gpus\"").unwrap();
    assert!(matches!(read.content.spare.unwrap().colour, Known::Unknown(_)));

    // Without what must be there nothing is made up.
    let problem = newer("\"red\"", "\"violet\"").unwrap_err();
    assert!(
        problem.starts_with("colour (line 4 column 13): expected one of red, green, found \"violet\""),
        "{problem}"
    );
    let problem = newer("\"colour\": \"red\",", "").unwrap_err();
    assert!(
        problem.starts_with("it lacks the member \"colour\"") || problem.contains("it lacks the member \"colour\""),
        "{problem}"
    );
}

#[test]
fn many_things_left_aside_are_counted() {
    let members: Vec<String> = (0..50).map(|number| format!("\"new_{number}\": 1")).collect();
    let text =
        with("\"colour\": \"red\",", &format!("\"colour\": \"red\", \"schema_minor\": 5, {},", members.join(", ")));
    let read = read_text(&text).unwrap();
    assert_eq!(read.aside.len(), 21);
    assert_eq!(read.aside[20], "and 30 more");
}

#[test]
fn a_document_that_is_cut_is_told_with_its_end() {
    let whole = with("", "");
    for end in 1..whole.len() {
        let Some(cut) = whole.get(..end) else { continue };
        if cut.trim().is_empty() {
            continue;
        }
        let problem = read_text(cut).unwrap_err();
        let line = cut.matches('\n').count() + 1;
        assert!(problem.starts_with(&format!("it ends in the middle, at line {line} column ")), "{end}: {problem}");
        assert!(problem.contains(&format!("(byte {end})")), "{end}: {problem}");
    }
}

#[test]
fn values_are_found_in_any_layout() {
    let text = br#" { "a\"b" : [ {"x":"}]","y":[[],{}, "\\"] } ,-1.5e3 , true ] ,"c":null } "#;
    let path = |steps: &[&str]| {
        let step =
            |step: &&str| step.parse().map_or_else(|_| conform::Step::Member((*step).into()), conform::Step::Item);
        locate::offset(text, &steps.iter().map(step).collect::<Vec<_>>())
    };
    let starts = |steps: &[&str], with: &str| {
        let at = path(steps).unwrap_or_else(|| panic!("{steps:?} is not found"));
        assert!(text[at..].starts_with(with.as_bytes()), "{steps:?}");
    };
    starts(&[], "{");
    starts(&["a\"b", "0", "y", "2"], "\"\\\\\"");
    starts(&["a\"b", "1"], "-1.5e3");
    starts(&["a\"b", "2"], "true");
    starts(&["c"], "null");
    assert_eq!(path(&["d"]), None);
    assert_eq!(path(&["a\"b", "9"]), None);
    assert_eq!(locate::position("ä\nöx".as_bytes(), 5), (2, 2));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), minor in 0u32..3, at in 0usize..300) {
        let _ = read::<Thing>(&bytes, &FORM, schema);
        let mut whole = with("\"tool\"", &format!("\"schema_minor\": {minor}, \"tool\"")).into_bytes();
        let at = at.min(whole.len());
        whole.splice(at..at, bytes);
        let _ = read::<Thing>(&whole, &FORM, schema).map_err(|fault| fault.to_string());
        let _ = locate::offset(&whole, &[conform::Step::Member("gpus".into()), conform::Step::Item(1)]);
    }
}
