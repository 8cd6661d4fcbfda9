//! Schemas of real servers and schemas that nobody should write.

use super::{Candidate, Document, Wish, forbidden};
use crate::probe::service::conversation::by_schema;
use crate::probe::service::message::{Content, Encoding, Message, Place};
use crate::probe::service::synthesis::Synthesis;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const FASTAPI: &[u8] = include_bytes!("../../../../fixtures/schemas/fastapi.json");
const BENTOML: &[u8] = include_bytes!("../../../../fixtures/schemas/bentoml.json");
const LITSERVE: &[u8] = include_bytes!("../../../../fixtures/schemas/litserve.json");

fn named(document: &Document, path: &str) -> Candidate {
    document.choose(&Wish { named: Some(path), ..Wish::default() }).unwrap()
}

fn request(document: &Document, candidate: &Candidate) -> Message {
    let given = BTreeMap::new();
    by_schema(candidate, &Synthesis { given: &given, supported: BTreeMap::new(), document: Some(document) })
}

fn document(paths: Value) -> Document {
    Document::read(json!({ "openapi": "3.1.0", "paths": paths }).to_string().as_bytes()).unwrap()
}

fn json_operation(schema: Value) -> Value {
    json!({ "post": { "requestBody": { "content": { "application/json": { "schema": schema } } } } })
}

#[test]
fn the_real_documents_give_a_plausible_first_request() {
    let fastapi = Document::read(FASTAPI).unwrap();
    assert_eq!(fastapi.kind(), "fastapi");
    let best = fastapi.choose(&Wish::default()).unwrap();
    assert_eq!((best.path.as_str(), best.encoding), ("/asr", Encoding::Multipart));
    let message = request(&fastapi, &best);
    assert!(matches!(&message.field("audio").unwrap().content, Content::File(file) if file.media_type == "audio/wav"));
    assert_eq!(message.field("lang").unwrap().content.as_text(), "en");
    assert!(message.field("decoding").is_none(), "optional fields are not sent at first");

    let manual = named(&fastapi, "/asr_manual");
    assert!(manual.fields.iter().all(|field| !field.required));
    assert!(request(&fastapi, &manual).field("audio").is_some(), "the payload is sent even if it is optional");

    let bentoml = Document::read(BENTOML).unwrap();
    assert_eq!(bentoml.kind(), "openapi");
    let best = bentoml.choose(&Wish::default()).unwrap();
    assert_eq!(best.method, "POST");
    assert!(request(&bentoml, &best).field("lang").is_some(), "{best:?}");

    let litserve = Document::read(LITSERVE).unwrap();
    let best = litserve.choose(&Wish::default()).unwrap();
    assert_eq!((best.path.as_str(), best.fields.len()), ("/predict", 0));
}

#[test]
fn a_complex_body_is_filled_by_its_schema() {
    let fastapi = Document::read(FASTAPI).unwrap();
    let message = request(&fastapi, &named(&fastapi, "/complex"));
    let body = message.json_body();
    assert_eq!((&body["lang"], &body["model"]), (&json!("en"), &json!("default")));
    assert_eq!(body["part"]["kind"], "text", "the first alternative with its const");
    assert_eq!(body["options"]["top_k"], 4, "at least 0 and a multiple of 4");
    assert_eq!(body["tree"], json!({ "value": 1 }), "recursion ends at optional fields");
    assert!(body.get("email").is_none());
    assert_eq!(
        message.field("v").map(|field| (field.place, field.content.as_text())),
        Some((Place::Query, "2".into()))
    );
    assert_eq!(message.field("x-key").map(|field| field.place), Some(Place::Header));

    let raw = request(&fastapi, &named(&fastapi, "/raw"));
    assert!(raw.verbatim.unwrap().starts_with(b"RIFF"));
    assert_eq!(raw.content_type, "audio/wav");
    let json = request(&fastapi, &named(&fastapi, "/asr/json"));
    assert!(matches!(json.field("audio_b64").unwrap().content, Content::Base64(_)));
    let multi = request(&fastapi, &named(&fastapi, "/multi"));
    assert!(matches!(multi.field("files").unwrap().content, Content::File(_)), "a list of files is sent as one part");
}

#[test]
fn values_are_taken_in_the_order_of_their_weight() {
    let fields = json!({ "type": "object", "required": ["lang", "a", "b", "c", "d"], "properties": {
        "lang": { "enum": ["hi", "en"] }, "a": { "const": 7, "example": 8 }, "b": { "type": "integer", "example": 9, "default": 1 },
        "c": { "type": "string", "default": "x" }, "d": { "type": "string", "minLength": 7, "maxLength": 7 } } });
    let document = document(json!({ "/infer": json_operation(fields) }));
    let candidate = document.choose(&Wish::default()).unwrap();
    let mut given = BTreeMap::new();
    let make = |given: &BTreeMap<String, String>| {
        let synthesis = Synthesis { given, supported: BTreeMap::new(), document: Some(&document) };
        by_schema(&candidate, &synthesis)
    };
    assert_eq!(make(&given).json_body(), json!({ "lang": "en", "a": 7, "b": 9, "c": "x", "d": "testtes" }));
    given.insert("b".into(), "12".into());
    given.insert("lang".into(), "ta".into());
    let message = make(&given);
    assert_eq!(message.json_body(), json!({ "lang": "ta", "a": 7, "b": 12, "c": "x", "d": "testtes" }));
    let guesses: Vec<bool> = message.fields.iter().map(|field| field.guess).collect();
    assert_eq!(guesses, [false, false, false, false, true]);
}

#[test]
fn paths_that_could_do_harm_are_never_chosen() {
    let infer = json_operation(json!({ "type": "object", "properties": { "text": { "type": "string" } } }));
    let harmful = ["/shutdown", "/v1/models/reload", "/delete_infer", "/admin/predict", "/train", "/unload-model"];
    let mut paths = serde_json::Map::new();
    harmful.iter().for_each(|path| drop(paths.insert((*path).into(), infer.clone())));
    let error = document(Value::Object(paths.clone())).choose(&Wish::default()).unwrap_err();
    assert!(error.contains("no POST operation"), "{error}");
    paths.insert("/x".into(), infer);
    assert_eq!(document(Value::Object(paths)).choose(&Wish::default()).unwrap().path, "/x");
    assert!(!forbidden("/constraint") && !forbidden("/v1/transcribe"));
}

#[test]
fn path_templates_match_and_are_filled() {
    let operation =
        json!({ "post": { "parameters": [{ "name": "model", "in": "path", "schema": { "type": "string" } }] } });
    let document = document(json!({ "/v1/{model}/infer": operation }));
    let wish = Wish { client_path: Some("/v1/whisper/infer"), ..Wish::default() };
    assert_eq!(document.choose(&wish).unwrap().path, "/v1/{model}/infer");
    let mut given = BTreeMap::new();
    given.insert("model".to_owned(), "a/../b c".to_owned());
    let candidate = document.choose(&Wish::default()).unwrap();
    let synthesis = Synthesis { given: &given, supported: BTreeMap::new(), document: None };
    assert_eq!(by_schema(&candidate, &synthesis).target(), "/v1/a%2F..%2Fb%20c/infer");
}

#[test]
fn other_documents_are_refused_with_what_was_expected() {
    for (bytes, part) in [
        (&b"<!doctype html>"[..], "HTML"),
        (b"{", "invalid JSON"),
        (br#"{"swagger":"1.2"}"#, "OpenAPI 3.0, 3.1 or Swagger 2.0"),
        (br#"{"swagger":"2.0"}"#, "no object `paths`"),
        (br#"{"openapi":"3.1.0","paths":[]}"#, "paths"),
        (b"[]", "other JSON"),
    ] {
        let error = Document::read(bytes).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn cycles_and_huge_demands_end() {
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let root = json!({ "openapi": "3.0.0",
        "paths": { "/infer": json_operation(reference("A")), "/loop": json_operation(reference("L")) },
        "components": { "schemas": {
            "A": { "type": "object", "required": ["a", "list", "text"], "properties": {
                "a": reference("A"), "list": { "type": "array", "minItems": 1e18, "items": reference("A") },
                "text": { "type": "string", "minLength": 1e15 } } },
            "L": { "allOf": [reference("L"), reference("L"), reference("L")] } } } });
    let document = Document::read(root.to_string().as_bytes()).unwrap();
    let body = request(&document, &named(&document, "/infer")).json_body().to_string();
    assert!(body.len() < 2_000_000, "{}", body.len());
    request(&document, &named(&document, "/loop"));
}

fn any_json() -> impl Strategy<Value = Value> {
    let key = "(\\$ref|type|properties|required|items|enum|anyOf|allOf|format|default|content|schema|minimum|minItems|name|in|[a-c])";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "(object|array|string|integer|binary|#/paths|#/paths/~1x|#|a|b)".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6).prop_map(|pairs| pairs.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_schema_gives_a_bounded_request(schema in any_json(), parameters in any_json()) {
        let operation = json!({ "post": { "parameters": [parameters], "requestBody": { "content": { "application/json": { "schema": schema } } } } });
        let document = document(json!({ "/x": operation }));
        let candidate = document.choose(&Wish::default()).unwrap();
        let message = request(&document, &candidate);
        prop_assert!(message.json_body().to_string().len() < 4_000_000);
        let _ = message.outgoing(&"http://127.0.0.1:1/".parse().unwrap(), &[]);
    }

    #[test]
    fn any_document_is_read_or_refused(root in any_json(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Document::read(root.to_string().as_bytes()).map(|document| document.choose(&Wish::default()).is_ok());
        let _ = Document::read(&bytes);
    }
}
