//! Errors inside answers, as servers wrap them, and results that are none.

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn an_error_inside_a_200_is_seen_in_its_many_shapes() {
    for (body, words) in [
        (r#"{"error":"Please provide either url or audio"}"#, "error: Please provide either url or audio"),
        (r#"{"error":{"message":"no","code":1}}"#, "error: no"),
        (r#"{"errors":[1]}"#, "errors: [1]"),
        (r#"{"status":"error","message":"x"}"#, "status error: x"),
        (r#"{"status":"FAILED"}"#, "status failed: "),
        (r#"{"success":false,"text":""}"#, "success false: "),
        (r#"{"ok":false,"reason":"busy"}"#, "ok false: busy"),
        (r#"{"code":400,"msg":"lang is required","data":null}"#, "code 400: lang is required"),
        (r#"{"code":1001,"msg":"lang is required","data":null}"#, "code 1001: lang is required"),
        (r#"{"error_code":3,"message":"bad"}"#, "error_code 3: bad"),
        (r#"{"status_code":500}"#, "status_code 500: "),
        (r#"{"result":{"error":"lang is required"}}"#, "error: lang is required"),
        (r#"{"data":{"status":"failed","message":"m"}}"#, "status failed: m"),
        (r#"[{"error":"a"},{"error":"b"}]"#, ""),
        (r#"{"results":[{"error":"a"},{"error":"b"}]}"#, "error: a"),
        ("data: {\"error\":{\"message\":\"late\"}}\n\ndata: [DONE]\n", "error: late"),
        (
            "event: heartbeat\ndata: null\n\nevent: error\ndata: null\n\n",
            "the stream of events ends in an error without a word",
        ),
        ("event: error\ndata: \"full\"\n\n", "the stream of events ends in an error with \"full\""),
        ("event: error\ndata: {\"error\": \"no GPU\"}\n\n", "error: no GPU"),
        ("Traceback (most recent call last):\n  x\nKeyError: 'lang'", "KeyError: 'lang'"),
    ] {
        match words {
            "" => {
                assert_eq!(error_inside(body.as_bytes()), None, "{body}: a list of what is asked for may hold errors")
            }
            words => assert_eq!(error_inside(body.as_bytes()).as_deref(), Some(words), "{body}"),
        }
    }
}

#[test]
fn results_are_no_errors() {
    for body in [
        r#"{"error":null,"text":"x"}"#,
        r#"{"errors":[]}"#,
        r#"{"text":"error"}"#,
        r#"{"code":0,"data":{"n":400}}"#,
        r#"{"code":200}"#,
        r#"{"code":7,"label":"cat"}"#,
        r#"{"code":1,"message":"ok","data":{"text":"x"}}"#,
        r#"{"results":[{"error":"a"},{"text":"b"}]}"#,
        r#"{"result":{"text":"x"},"data":{"error":"y"}}"#,
        r#"{"status":"success"}"#,
        "data: {\"text\":\"x\"}\n\ndata: [DONE]\n",
        "event: error\ndata: 1\n\nevent: complete\ndata: [1]\n\n",
        "event: complete\ndata: [\"error\"]\n\n",
        "error",
        r#"["error"]"#,
        "",
        "null",
        "Internal errors are described in the manual",
    ] {
        assert_eq!(error_inside(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn an_empty_transcript_is_one_only_where_nothing_else_is_a_result() {
    for answer in [
        json!({"text": "", "lang": "en", "duration": 3.0, "duration_after_vad": 0.0, "inference_time_ms": 60.3}),
        json!({"text": " ", "segments": []}),
        json!({"result": {"transcript": ""}, "status": "ok"}),
        json!({"results": [{"text": ""}, {"text": ""}]}),
    ] {
        assert!(empty_transcript(&answer).is_some(), "{answer}");
    }
    for answer in [
        json!({"text": "", "lang": "en", "speech_ratio": 0.93, "inference_time_ms": 12.7}),
        json!({"text": "hello"}),
        json!({"label": ""}),
        json!({"text": "", "segments": [{"text": "hello"}]}),
        json!({"text": "", "embedding": [0.1, 0.2]}),
        json!([]),
    ] {
        assert_eq!(empty_transcript(&answer), None, "{answer}");
    }
    let dropped = json!({"text": "", "duration": 3.0, "duration_after_vad": 0.0});
    assert_eq!(left_by_filter(&dropped), Some((0.0, 3.0)));
    assert_eq!(left_by_filter(&json!({"duration": 3.0, "duration_after_vad": 3.0})), None);
}

#[test]
fn a_model_that_was_only_loaded_has_answered_nothing() {
    let loaded = json!({"model": "m", "response": "", "done": true, "done_reason": "load"});
    assert!(only_loaded(&loaded).is_some_and(|words| words.contains("only loaded")));
    for answer in [json!({"response": "Hello", "done_reason": "stop"}), json!({"response": ""}), json!([])] {
        assert_eq!(only_loaded(&answer), None, "{answer}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(body in proptest::collection::vec(any::<u8>(), 0..600)) {
        error_inside(&body);
    }

    #[test]
    fn any_answer_is_read(body in r#"(\{|\}|"error"|:|,|\[|\]|"data"|"status"|"failed"|"text"|null|1|400|""){0,60}"#) {
        error_inside(body.as_bytes());
        if let Ok(answer) = serde_json::from_str::<Value>(&body) {
            empty_transcript(&answer);
            only_loaded(&answer);
        }
    }
}
