//! Requests of schemas that demand much, and of schemas that nobody should write.

use super::plan::{Plan, plan};
use super::{Source, Synthesis, samples};
use crate::probe::service::message::{Content, Message, Place};
use crate::probe::service::schema::{Described, Document, Wish};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

fn document(version: &str, path: &str, operation: Value, schemas: Value) -> Document {
    let key = if version == "2.0" { "swagger" } else { "openapi" };
    let root = json!({ key: version, "paths": { path: { "post": operation } }, "components": { "schemas": schemas } });
    Document::of(root).unwrap()
}

fn planned(document: &Document, given: &[(&str, &str)]) -> Plan {
    let given: BTreeMap<String, String> = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let candidate = document.choose(&Wish { named: Some("/x"), ..Wish::default() }).unwrap();
    plan(&candidate, &Synthesis { given: &given, supported: BTreeMap::new(), document: Some(document) })
}

fn of_body(media: &str, schema: Value, schemas: Value) -> Plan {
    let operation = json!({ "requestBody": { "required": true, "content": { media: { "schema": schema } } } });
    planned(&document("3.1.0", "/x", operation, schemas), &[])
}

fn json_of(schema: Value) -> Value {
    let plan = of_body("application/json", schema.clone(), json!({}));
    assert_eq!((&plan.problems, &plan.undecided), (&vec![], &vec![]), "{schema}");
    plan.message.json_body()
}

fn member(schema: Value) -> Value {
    json_of(json!({ "type": "object", "required": ["v"], "properties": { "v": schema } }))["v"].take()
}

#[test]
fn every_keyword_is_met() {
    for (schema, expected) in [
        (json!({ "type": "integer", "minimum": 5, "exclusiveMinimum": true }), json!(6)),
        (json!({ "type": "integer", "exclusiveMinimum": 5, "multipleOf": 4 }), json!(8)),
        (json!({ "type": "integer", "maximum": -3 }), json!(-3)),
        (json!({ "type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1 }), json!(0.5)),
        (json!({ "type": ["null", "integer"], "minimum": 2 }), json!(2)),
        (json!({ "type": "string", "nullable": true, "minLength": 6 }), json!("testte")),
        (json!({ "type": "string", "maxLength": 2 }), json!("te")),
        (json!({ "type": "string", "pattern": "^[A-Z]{3}-\\d{2,}$", "minLength": 8 }), json!("AAA-0101")),
        (json!({ "type": "string", "format": "uuid" }), json!("3fa85f64-5717-4562-b3fc-2c963f66afa6")),
        (json!({ "type": "string", "format": "date" }), json!("2024-01-01")),
        (
            json!({ "type": "array", "items": { "type": "integer" }, "minItems": 3, "uniqueItems": true }),
            json!([1, 2, 3]),
        ),
        (
            json!({ "type": "array", "items": { "enum": ["a", "b"] }, "minItems": 2, "uniqueItems": true }),
            json!(["a", "b"]),
        ),
        (json!({ "type": "array", "maxItems": 0, "items": {} }), json!([])),
        (json!({ "prefixItems": [{ "const": 1 }, { "type": "boolean" }] }), json!([1, false])),
        (
            json!({ "type": "object", "minProperties": 1, "additionalProperties": { "type": "integer" } }),
            json!({ "key1": 1 }),
        ),
        (
            json!({ "type": "object", "patternProperties": { "^x-[a-z]+$": { "const": 2 } }, "additionalProperties": false,
                 "minProperties": 1 }),
            json!({ "x-aa": 2 }),
        ),
        (
            json!({ "type": "object", "required": ["a", "id"], "properties": { "id": { "type": "string", "readOnly": true },
                 "a": { "const": 1 } } }),
            json!({ "a": 1 }),
        ),
        (json!({ "type": "integer", "example": "not one", "default": 7 }), json!(7)),
        (json!({ "type": "integer", "example": 3, "default": 7 }), json!(3)),
        (json!({ "const": 4, "default": 7 }), json!(4)),
        (json!({ "enum": [null, "x"] }), json!("x")),
        (
            json!({ "oneOf": [{ "type": "string", "maxLength": 0, "minLength": 1 }, { "type": "boolean" }] }),
            json!(false),
        ),
        (json!({ "anyOf": [{ "type": "null" }, { "type": "integer" }] }), json!(1)),
        (
            json!({ "allOf": [{ "required": ["a"] }, { "properties": { "a": { "type": "integer", "minimum": 9 } } }] }),
            json!({ "a": 9 }),
        ),
        (
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "const": 1 }, "b": { "const": 2 } },
                 "dependentRequired": { "a": ["b"] } }),
            json!({ "a": 1, "b": 2 }),
        ),
        (json!({ "not": { "type": "string" }, "anyOf": [{ "type": "string" }, { "type": "integer" }] }), json!(1)),
    ] {
        assert_eq!(member(schema.clone()), expected, "{schema}");
    }
}

#[test]
fn alternatives_are_tried_until_one_validates_and_none_is_fetched_without_need() {
    let pair = json!({ "type": "object", "properties": { "audio_url": { "type": "string" }, "audio_b64": { "type": "string" } },
        "oneOf": [{ "required": ["audio_url"] }, { "required": ["audio_b64"] }] });
    let plan = of_body("application/json", pair, json!({}));
    assert_eq!(plan.problems, Vec::<String>::new());
    assert!(matches!(plan.message.field("audio_b64").unwrap().content, Content::Base64(_)));
    assert!(plan.message.field("audio_url").is_none(), "exactly one of them");
    // Both optional, told in words only: the file rather than the address.
    let either = json!({ "type": "object", "properties": {
        "url": { "type": "string", "description": "either url or file" },
        "file": { "anyOf": [{ "type": "string", "format": "binary" }, { "type": "null" }] } } });
    let plan = of_body("multipart/form-data", either, json!({}));
    let names: Vec<&str> = plan.message.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["file"]);
}

#[test]
fn the_kind_of_an_alternative_is_told_as_the_mapping_says() {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let kind = |property: &str| {
        json!({ "type": "object", "required": ["kind", property], "properties": {
        "kind": { "type": "string" }, property: { "type": "integer" } } })
    };
    let body = json!({ "oneOf": [reference("Cat"), reference("Dog")],
        "discriminator": { "propertyName": "kind", "mapping": { "feline": "#/components/schemas/Cat" } } });
    let plan = of_body("application/json", body, json!({ "Cat": kind("meows"), "Dog": kind("barks") }));
    assert_eq!(plan.message.json_body(), json!({ "kind": "feline", "meows": 1 }));
}

#[test]
fn bodies_of_every_kind_are_written() {
    let list = of_body("application/json", json!({ "type": "array", "items": { "type": "integer" } }), json!({}));
    assert_eq!((list.message.json_body(), list.message.fields[0].place), (json!([1]), Place::Body));
    let picture = of_body("image/jpeg", json!({ "type": "string", "format": "binary" }), json!({}));
    assert_eq!(picture.message.verbatim.as_deref(), Some(&*samples::jpeg().bytes));
    let text = of_body("text/plain", json!({ "type": "string" }), json!({}));
    assert_eq!(text.message.verbatim.as_deref(), Some(&b"hello\n"[..]));
    let files = json!({ "type": "object", "required": ["images"], "properties": { "images": {
        "type": "array", "minItems": 2, "items": { "type": "string", "format": "binary" } } } });
    let files = of_body("multipart/form-data", files, json!({}));
    assert_eq!(files.message.fields.len(), 2, "a part for each");
    assert!(matches!(&files.message.fields[1].content, Content::File(file) if file.media_type == "image/png"));
    let operation = json!({ "requestBody": { "content": { "multipart/form-data": {
        "schema": { "type": "object", "required": ["meta", "photo"], "properties": { "photo": { "type": "string", "format": "binary" },
            "meta": { "type": "object", "required": ["n"], "properties": { "n": { "type": "integer" } } } } },
        "encoding": { "photo": { "contentType": "image/jpeg" }, "meta": { "contentType": "application/json" } } } } } });
    let parts = planned(&document("3.0.3", "/x", operation, json!({})), &[]).message;
    let media = |name: &str| match &parts.field(name).unwrap().content {
        Content::File(file) => (file.media_type.clone(), file.bytes.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(media("photo"), ("image/jpeg".into(), samples::jpeg().bytes.len()));
    assert_eq!(media("meta"), ("application/json".into(), br#"{"n":1}"#.len()));
    let form = json!({ "type": "object", "required": ["tags"], "properties": { "tags": { "type": "array", "minItems": 2,
        "items": { "type": "string" } } } });
    let form = of_body("application/x-www-form-urlencoded", form, json!({})).message;
    let sent = form.outgoing(&"http://127.0.0.1:1/".parse().unwrap(), &[]).unwrap();
    assert!(format!("{:?}", sent.payload).len() > 10);
    assert_eq!(form.field("tags").unwrap().content.repeated(), ["test", "test"]);
}

#[test]
fn parameters_stand_where_they_belong_and_examples_of_the_whole_count() {
    let operation = json!({
        "parameters": [
            { "name": "ids", "in": "query", "required": true, "schema": { "type": "array", "items": { "type": "integer" }, "minItems": 2 } },
            { "name": "filter", "in": "query", "required": true, "style": "deepObject",
              "schema": { "type": "object", "required": ["a"], "properties": { "a": { "type": "integer" } } } },
            { "name": "sid", "in": "cookie", "required": true, "schema": { "type": "string" }, "example": "abc" },
            { "name": "X-Lang", "in": "header", "required": true, "schema": { "type": "string" }, "examples": { "one": { "value": "hi" } } },
            { "name": "unneeded", "in": "query", "schema": { "type": "string" } }],
        "requestBody": { "content": { "application/json": {
            "schema": { "type": "object", "required": ["audio_b64", "n"], "properties": {
                "audio_b64": { "type": "string" }, "n": { "type": "integer" }, "free": {} } },
            "examples": { "bad": { "value": { "n": "x" } }, "good": { "value": { "audio_b64": "...", "n": 5, "free": true } } } } } },
        "security": [{ "key": [] }, { "token": [] }] });
    let mut document = document("3.0.0", "/x", operation, json!({}));
    let schemes = json!({ "key": { "type": "apiKey", "in": "query", "name": "api_key" }, "token": { "type": "http", "scheme": "bearer" } });
    let mut root = document.root().clone();
    root["components"]["securitySchemes"] = schemes;
    document = Document::of(root).unwrap();
    let plan = planned(&document, &[("api_key", "k")]);
    assert_eq!(plan.problems, Vec::<String>::new());
    assert_eq!(plan.message.target(), "/x?ids=1&ids=1&filter%5Ba%5D=1&api_key=k");
    let sent = plan.message.outgoing(&"http://127.0.0.1:1/".parse().unwrap(), &[]).unwrap();
    assert!(sent.headers.contains(&("cookie".into(), "sid=abc".into())), "{:?}", sent.headers);
    assert!(sent.headers.contains(&("X-Lang".into(), "hi".into())));
    assert!(
        matches!(plan.message.field("audio_b64").unwrap().content, Content::Base64(_)),
        "a sample, not a placeholder"
    );
    assert_eq!(plan.message.json_body()["n"], 5);
    let sources: Vec<Source> = plan.values.iter().map(|value| value.source).collect();
    assert_eq!(sources[2..], [Source::Example, Source::Example, Source::Sample, Source::Example, Source::Example]);
    let wanted: Vec<&str> = plan.credentials.iter().flatten().map(|credential| credential.name.as_str()).collect();
    assert_eq!(wanted, ["api_key", "authorization"]);
}

#[test]
fn swagger_2_is_read_like_its_followers() {
    let root = json!({ "swagger": "2.0", "basePath": "/v1", "consumes": ["application/json"],
        "definitions": { "Order": { "type": "object", "required": ["n"], "properties": { "n": { "type": "integer", "minimum": 2 } } } },
        "paths": { "/x": { "post": { "parameters": [{ "name": "q", "in": "query", "type": "string", "enum": ["a"], "required": true },
                { "name": "body", "in": "body", "required": true, "schema": { "$ref": "#/definitions/Order" } }] } },
            "/form": { "post": { "parameters": [{ "name": "file", "in": "formData", "type": "file", "required": true },
                { "name": "n", "in": "formData", "type": "integer" }] } } } });
    let document = Document::of(root).unwrap();
    assert_eq!(document.base_path(), "/v1");
    let message = planned(&document, &[]).message;
    assert_eq!((message.target(), message.json_body()), ("/x?q=a".into(), json!({ "n": 2 })));
    let candidate = document.choose(&Wish { named: Some("/form"), ..Wish::default() }).unwrap();
    let given = BTreeMap::new();
    let form = plan(&candidate, &Synthesis { given: &given, supported: BTreeMap::new(), document: Some(&document) });
    assert_eq!((form.message.content_type.as_str(), form.message.fields.len()), ("multipart/form-data", 1));
    assert!(matches!(form.message.fields[0].content, Content::File(_)));
}

#[test]
fn what_is_given_wins_and_is_judged_too() {
    let schema = json!({ "type": "object", "required": ["n"], "properties": { "n": { "type": "integer", "maximum": 5 }, "o": { "type": "array" } } });
    let operation = json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
    let document = document("3.1.0", "/x", operation, json!({}));
    let plan = planned(&document, &[("n", "9"), ("o", "[1]"), ("unknown", "1")]);
    assert_eq!(plan.message.json_body(), json!({ "n": 9, "o": [1] }));
    assert_eq!(plan.problems, ["body: /n (9) is too large"]);
    let inner =
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "type": "integer", "maximum": 3 } } });
    let schema = json!({ "type": "object", "required": ["o"], "properties": { "o": inner } });
    let operation = json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
    let nested = self::document("3.1.0", "/x", operation, json!({}));
    assert_eq!(
        planned(&nested, &[("o.a", "2"), ("o.b", "x")]).message.json_body(),
        json!({ "o": { "a": 2, "b": "x" } })
    );
    assert_eq!(planned(&nested, &[("o.a", "4")]).problems, ["body: /o/a (4) is too large"]);
    let plan = planned(&document, &[("o", "@/nonexistent/file")]);
    assert!(plan.problems[0].starts_with("--field o: file /nonexistent/file"), "{:?}", plan.problems);
}

#[test]
fn what_is_known_as_a_file_is_one_whatever_the_schema_says() {
    let given = BTreeMap::new();
    let synthesis = Synthesis { given: &given, supported: BTreeMap::new(), document: None };
    let sent = |name: &str, place: Place, schema: Value| {
        let described = Described { name: name.into(), place, required: true, kind: "file", schema };
        synthesis.with_source(&described).0.content
    };
    for (name, place, schema, expected) in [
        ("audio", Place::Form, json!({}), "speech.wav"),
        ("sample", Place::Form, json!({ "type": "string" }), "speech.wav"),
        ("photo", Place::Form, json!({}), "image.png"),
    ] {
        let content = sent(name, place, schema);
        assert!(matches!(&content, Content::File(file) if file.name == expected), "{name}: {content:?}");
    }
    assert!(matches!(sent("clip", Place::Json, json!({})), Content::Base64(_)));
}

#[test]
fn a_name_of_audio_or_a_picture_in_json_holds_base64() {
    let nullable = json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] });
    let body = |names: &[&str]| {
        let properties: serde_json::Map<String, Value> =
            names.iter().map(|name| ((*name).to_owned(), nullable.clone())).collect();
        of_body("application/json", json!({ "type": "object", "properties": properties }), json!({})).message
    };
    for name in ["audio_file", "image_data", "input_audio", "audioBytes", "sound_b64"] {
        let message = body(&["url", name, "language"]);
        let fields: Vec<&str> = message.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(fields, [name]);
        assert!(matches!(message.fields[0].content, Content::Base64(_)), "{name}");
    }
    for name in ["audio_format", "image_size", "file_name"] {
        assert!(body(&[name]).fields.is_empty(), "{name}");
    }
}

#[test]
fn a_whole_body_is_the_users_where_he_gives_one() {
    let operation = json!({ "requestBody": { "content": { "text/plain": { "schema": { "type": "string" } } } } });
    let document = document("3.1.0", "/x", operation, json!({}));
    assert_eq!(planned(&document, &[("body", "plain words")]).message.verbatim.unwrap()[..], b"plain words"[..]);
    let file = concat!("@", env!("CARGO_MANIFEST_DIR"), "/fixtures/samples/image.png");
    assert!(planned(&document, &[("body", file)]).message.verbatim.unwrap().starts_with(b"\x89PNG"));
    let problems = planned(&document, &[("body", "@/nonexistent/file")]).problems;
    assert!(problems[0].starts_with("--field body: file /nonexistent/file"), "{problems:?}");
}

#[test]
fn references_that_lead_out_are_named_and_not_followed() {
    for (reference, said) in [
        ("http://127.0.0.1:1/schema.json", "leads out of the document; it is not fetched"),
        ("file:///etc/passwd", "leads out of the document"),
        ("other.yaml#/A", "leads out of the document"),
        ("#/components/schemas/None", "leads nowhere"),
    ] {
        let plan = of_body(
            "application/json",
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": reference } } }),
            json!({}),
        );
        assert!(
            plan.undecided.iter().any(|what| what.contains(said) && what.contains(reference)),
            "{:?}",
            plan.undecided
        );
        assert!(plan.message.field("a").is_some());
    }
}

/// Longest time for a hostile schema, in an unoptimized build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn bounded(name: &str, schema: Value, schemas: Value) -> Message {
    let began = Instant::now();
    let message = of_body("application/json", schema, schemas).message;
    assert!(began.elapsed() < PATIENCE, "{name}: {:?}", began.elapsed());
    assert!(message.json_body().to_string().len() < 4_000_000, "{name}");
    message
}

#[test]
fn what_is_made_to_explode_ends() {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    bounded(
        "cyclic allOf",
        reference("A"),
        json!({ "A": { "allOf": [reference("B"), reference("B")] }, "B": { "allOf": [reference("A")] } }),
    );
    let mut doubling = serde_json::Map::new();
    for level in 0..40 {
        let next = reference(&format!("L{}", level + 1));
        doubling.insert(format!("L{level}"), json!({ "anyOf": [next, next], "oneOf": [next, next] }));
    }
    bounded("2^40 alternatives", reference("L0"), doubling.into());
    let mut chain = serde_json::Map::new();
    for level in 0..10_000 {
        chain.insert(format!("C{level}"), reference(&format!("C{}", level + 1)));
    }
    bounded("a chain of 10^4 references", reference("C0"), chain.into());
    let properties: serde_json::Map<String, Value> =
        (0..100_000).map(|n| (format!("p{n}"), json!({ "type": "string" }))).collect();
    let required: Vec<&String> = properties.keys().collect();
    bounded("10^5 properties", json!({ "type": "object", "required": required, "properties": properties }), json!({}));
    let tree =
        json!({ "type": "object", "required": ["l", "r"], "properties": { "l": reference("T"), "r": reference("T") } });
    bounded("a tree that never ends", reference("T"), json!({ "T": tree }));
    let many: Vec<Value> = (0..100_000).collect::<Vec<_>>().into_iter().map(|n| json!({ "const": n })).collect();
    bounded(
        "10^5 alternatives",
        json!({ "type": "object", "required": ["a"], "properties": { "a": { "oneOf": many } } }),
        json!({}),
    );
    bounded(
        "a pattern that explodes",
        json!({ "type": "object", "required": ["a"], "properties": { "a": {
        "type": "string", "pattern": "^((a{500}){500}){500}$", "minLength": 1e12 } } }),
        json!({}),
    );
}

#[test]
fn documents_too_deep_or_broken_are_refused_with_a_word() {
    let deep = format!("{{\"openapi\":\"3.0.0\",\"paths\":{}{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let error = Document::read(deep.as_bytes()).unwrap_err();
    assert!(error.contains("recursion limit"), "{error}");
    let error = Document::read(b"{\"openapi\":\"3.0.0\xff\",\"paths\":{}}").unwrap_err();
    assert!(error.contains("invalid JSON"), "{error}");
}

/// Schemas that can be met, of the keywords that are generated for.
fn family() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (-50i64..50, 0i64..30, 1i64..4)
            .prop_map(|(low, more, step)| json!({ "type": "integer", "minimum": low, "maximum": low + more + step, "multipleOf": step })),
        (0.0f64..10.0, 0.5f64..5.0)
            .prop_map(|(low, more)| json!({ "type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + more })),
        (0usize..20, 0usize..20).prop_map(|(least, more)| json!({ "type": "string", "minLength": least, "maxLength": least + more })),
        "[a-c]{1,3}(\\{[1-3]\\})?".prop_map(|text| json!({ "type": "string", "pattern": format!("^{text}$") })),
        prop_oneof![Just("uuid"), Just("date"), Just("date-time"), Just("uri"), Just("email"), Just("ipv4"), Just("byte")]
            .prop_map(|format| json!({ "type": "string", "format": format })),
        Just(json!({ "type": "boolean" })),
        Just(json!({ "type": ["null", "string"] })),
        proptest::collection::vec(0i64..100, 1..4).prop_map(|list| json!({ "enum": list })),
        any::<i64>().prop_map(|value| json!({ "const": value })),
        any::<i64>().prop_map(|value| json!({ "type": "integer", "example": "wrong", "default": value })),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            (inner.clone(), 0usize..4).prop_map(|(items, least)| json!({ "type": "array", "items": items, "minItems": least })),
            proptest::collection::vec(("[a-e]", inner.clone(), any::<bool>()), 0..5).prop_map(|members| {
                let required: Vec<&String> = members.iter().filter(|(_, _, needed)| *needed).map(|(name, ..)| name).collect();
                let properties: serde_json::Map<String, Value> =
                    members.iter().map(|(name, schema, _)| (name.clone(), schema.clone())).collect();
                json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false })
            }),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|list| json!({ "anyOf": list })),
            inner.prop_map(|schema| json!({ "allOf": [schema, { "title": "all" }] })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_schema_of_the_family_is_met(schema in family()) {
        let body = json!({ "type": "object", "required": ["v"], "properties": { "v": schema } });
        let plan = of_body("application/json", body, json!({}));
        prop_assert!(plan.problems.is_empty() && plan.undecided.is_empty(), "{:?} {:?}", plan.problems, plan.body);
    }
}
