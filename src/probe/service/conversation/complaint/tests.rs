//! Rejections as real servers word them.

use super::read;
use crate::probe::service::message::Place;
use proptest::prelude::*;

fn missing(body: &str, known: &[&str]) -> Vec<String> {
    read(body.as_bytes(), known).missing.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_field_is_found_in_every_servers_words() {
    let known = ["audio", "lang", "decoding"];
    for (body, expected) in [
        // FastAPI with pydantic 2 and 1, and behind an own handler; BentoML.
        (r#"{"detail":[{"type":"missing","loc":["body","lang"],"msg":"Field required","input":null}]}"#, "lang"),
        (r#"{"detail":[{"loc":["body","lang"],"msg":"field required","type":"value_error.missing"}]}"#, "lang"),
        (r#"{"error":"Bad Request","details":[{"type":"missing","loc":["body","lang"],"msg":"x"}]}"#, "lang"),
        (
            r#"{"error":"1 validation error for Input","detail":[{"type":"missing","loc":["lang"],"msg":"Field required"}]}"#,
            "lang",
        ),
        // Own words in an HTTPException.
        (r#"{"detail":"lang parameter is required"}"#, "lang"),
        (r#"{"detail":"Missing required parameter: lang"}"#, "lang"),
        (r#"{"detail":"The 'lang' field must be provided"}"#, "lang"),
        (r#"{"detail":"lang is missing"}"#, "lang"),
        (r#"{"detail":"Please provide a lang"}"#, "lang"),
        (r#"{"detail":"No audio file provided"}"#, "audio"),
        (r#"{"error":"No file part"}"#, "file"),
        (r#"{"error":"Something went wrong: language is required"}"#, "lang"),
        (r#"{"message":"lang cannot be empty"}"#, "lang"),
        // vLLM, llama.cpp, axum (TGI), Triton, KServe, Flask in debug mode, a traceback.
        (
            r#"{"error":{"message":"1 validation error","type":"Bad Request","param":"body.messages","code":400}}"#,
            "messages",
        ),
        (r#"{"error":{"code":400,"message":"'messages' is required","type":"invalid_request_error"}}"#, "messages"),
        (r#"{"error":{"message":"[json.exception.out_of_range.403] key 'prompt' not found"}}"#, "prompt"),
        (
            "Failed to deserialize the JSON body into the target type: missing field `inputs` at line 1 column 2",
            "inputs",
        ),
        (
            r#"{"error":"expected number of inputs between 2 and 3 but got 1 inputs for model 'vad'. Got input(s) ['audio'], but missing required input(s) ['sample_rate']. Please provide all required input(s)."}"#,
            "sample_rate",
        ),
        (r#"{"error":"KeyError : 'lang'"}"#, "lang"),
        ("<title>werkzeug.exceptions.BadRequestKeyError: 400 Bad Request: KeyError: &#39;lang&#39;</title>", "lang"),
        ("TypeError: infer() missing 1 required positional argument: 'lang'", "lang"),
    ] {
        assert_eq!(missing(body, &known), [expected], "{body}");
    }
}

#[test]
fn several_fields_and_their_places_are_found() {
    let body = r#"{"detail":[{"type":"missing","loc":["query","v"],"msg":"Field required"},
        {"type":"missing","loc":["header","x-key"],"msg":"Field required"},
        {"type":"missing","loc":["body","inputs",0,"shape"],"msg":"Field required","input":{"loc":["body","no"]}}]}"#;
    let found = read(body.as_bytes(), &[]).missing;
    let expected = [("v", Some(Place::Query)), ("x-key", Some(Place::Header)), ("inputs.0.shape", None)];
    assert_eq!(found, expected.map(|(name, place)| (name.to_owned(), place)));
    assert_eq!(missing("missing required inputs ['a', 'b']", &[]), ["a", "b"]);
    // Between quotes on its own line.
    assert_eq!(missing(r#"{"detail":"audio and lang are required"}"#, &["audio", "lang"]), ["lang"]);
}

#[test]
fn no_field_is_made_up() {
    for body in [
        "Internal Server Error",
        r#"{"detail":"Internal server error"}"#,
        r#"{"detail":"Not Found"}"#,
        r#"{"detail":"Method Not Allowed"}"#,
        r#"{"code":503,"type":"InternalServerException","message":"Prediction failed"}"#,
        r#"{"detail":"could not decode audio: Format not recognised."}"#,
        "<p>The browser (or proxy) sent a request that this server could not understand.</p>",
        r#"{"detail":"authentication required"}"#,
        "",
        "null",
    ] {
        assert_eq!(missing(body, &["lang"]), Vec::<String>::new(), "{body}");
    }
}

#[test]
fn supported_values_are_read_with_their_field() {
    let known = ["lang", "task"];
    for (body, field, values) in [
        (r#"{"detail":"Unsupported language 'english'. Supported: en, hi, ta"}"#, "lang", vec!["en", "hi", "ta"]),
        (r#"{"detail":"lang must be one of ['hi', 'ta']"}"#, "lang", vec!["hi", "ta"]),
        (
            r#"{"detail":"Invalid task. Allowed values: transcribe, translate"}"#,
            "task",
            vec!["transcribe", "translate"],
        ),
        (
            r#"{"detail":[{"type":"enum","loc":["body","lang"],"msg":"Input should be 'en' or 'hi'","input":"fr"}]}"#,
            "lang",
            vec!["en", "hi"],
        ),
    ] {
        let complaint = read(body.as_bytes(), &known);
        assert_eq!(
            complaint.supported.get(field).map(Vec::as_slice),
            Some(&values.iter().map(|v| v.to_string()).collect::<Vec<_>>()[..]),
            "{body}"
        );
        assert_eq!(complaint.missing, [], "{body}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_in_bounds(body in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let complaint = read(&body, &["lang"]);
        prop_assert!(complaint.missing.len() <= 50);
    }

    #[test]
    fn any_words_are_read_in_bounds(
        words in proptest::collection::vec("(missing|required|field|is|'|,|:|\\[|lang|supported|one of|`|KeyError|\\PC{0,5})", 0..200),
    ) {
        let complaint = read(words.join(" ").as_bytes(), &["lang"]);
        prop_assert!(complaint.missing.len() <= 50);
        prop_assert!(complaint.supported.values().all(|values| values.len() <= 50));
    }

    #[test]
    fn nested_answers_are_read_in_bounds(depth in 0_usize..120) {
        let body = format!("{}{}{}", r#"{"loc":["body","a"],"detail":["#.repeat(depth), "1", "]}".repeat(depth));
        prop_assert!(read(body.as_bytes(), &[]).missing.len() <= 50);
    }
}
