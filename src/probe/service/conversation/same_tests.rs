//! Which inputs are exchanged, and which equal answers count.

use super::*;
use crate::probe::service::message::{Encoding, Place};
use serde_json::json;

fn field(name: &str, content: Content) -> Field {
    Field { name: name.into(), place: Place::Form, content, guess: true }
}

fn message(fields: &[(&str, Content)]) -> Message {
    Message {
        author: "doctor",
        method: "POST".into(),
        path: "/x".into(),
        fields: fields.iter().map(|(name, content)| field(name, content.clone())).collect(),
        headers: vec![],
        encoding: Encoding::Multipart,
        content_type: "multipart/form-data".into(),
        verbatim: None,
        limit: None,
        follow: false,
    }
}

fn hello() -> Content {
    Content::Json(json!("hello"))
}

fn text(text: &str) -> Content {
    Content::Text(text.into())
}

#[test]
fn the_second_half_of_the_sample_is_a_wav_file_of_its_end() {
    let (half, whole) = (second_half().unwrap(), samples::speech().bytes);
    let size = |at: usize| u32::from_le_bytes(half[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&whole[36..40], size(4), size(40)), (&b"data"[..], half.len() - 8, half.len() - WAV_HEAD));
    assert!(whole.ends_with(&half[WAV_HEAD..]) && size(40) % 2 == 0 && half.len() * 2 <= whole.len() + WAV_HEAD);
}

#[test]
fn the_one_input_is_exchanged_and_nothing_where_the_answer_may_rest_on_more() {
    let speech = || Content::File(samples::speech());
    let other = other_input(&message(&[("audio", speech()), ("lang", text("en"))])).unwrap();
    assert!(other.audio && other.how.contains("second half"));
    let sent = file_of(other.message.field("audio").unwrap()).unwrap();
    assert_eq!((sent.name.as_str(), &sent.bytes), ("other-speech.wav", &second_half().unwrap()));
    let own = File { bytes: second_half().unwrap(), ..samples::speech() };
    assert!(other_input(&message(&[("audio", Content::Base64(own))])).unwrap().how.contains("as the client's"));
    let other = other_input(&message(&[("text", hello()), ("title", hello())])).unwrap();
    assert!(!other.audio && other.message.fields.iter().all(|field| field.content != hello()));
    for fields in [
        vec![("audio", speech()), ("request_id", text("7"))],
        vec![("audio", speech()), ("reference", speech())],
        vec![("audio", speech()), ("url", text("http://127.0.0.1:9/a.wav"))],
        vec![("image", Content::File(samples::image()))],
        vec![("image", Content::File(samples::image())), ("prompt", hello())],
        vec![("text", text("hello")), ("title", hello())],
        vec![("caller", hello()), ("topic", hello())],
        vec![],
    ] {
        assert!(other_input(&message(&fields)).is_none(), "{fields:?}");
    }
    let keyed = Message { headers: vec![("Idempotency-Key".into(), "1".into())], ..message(&[("audio", speech())]) };
    assert!(other_input(&keyed).is_none());
}

#[test]
fn a_transcript_that_was_sent_only_comes_back() {
    let aligned = message(&[("audio", Content::File(samples::speech())), ("text", text("The quick, brown fox"))]);
    assert!(was_sent(&aligned, "the quick brown fox"));
    assert!(!was_sent(&aligned, "the lazy dog"));
}

#[test]
fn embeddings_are_told_from_tables_and_labels() {
    let fractions: Vec<f64> = (0..32).map(|n| f64::from(n) / 7.0 + 0.01).collect();
    for answer in [
        json!({"embedding": vec![0.5; 32]}),
        json!({"data": [{"index": 0, "embedding": fractions}]}),
        json!([fractions]),
        json!({"outputs": [{"name": "y", "data": fractions}]}),
    ] {
        assert_eq!(embedding(&answer, ""), Some(32), "{answer}");
    }
    for answer in [
        json!({"label": "speech", "thresholds": fractions}),
        json!({"data": [vec![0; 32]]}),
        json!({"predictions": vec![0.5; 32]}),
        json!({"embedding": vec![0.5; 8]}),
        json!("The quick brown fox jumps over the lazy dog"),
    ] {
        assert_eq!(embedding(&answer, ""), None, "{answer}");
    }
}

#[test]
fn what_stands_beside_the_result_is_left_out_of_the_comparison() {
    let answer =
        |text: &str, label: &str, ms: f64| json!({"text": text, "label": label, "inference_time_ms": ms, "id": ms});
    assert_eq!(result(&answer("a", "x", 1.0)), result(&answer("a", "x", 2.0)));
    assert_ne!(result(&answer("a", "x", 1.0)), result(&answer("a", "y", 1.0)));
    assert_ne!(result(&answer("a", "x", 1.0)), result(&answer("b", "x", 1.0)));
}
