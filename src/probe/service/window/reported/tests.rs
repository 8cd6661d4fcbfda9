//! What answers tell of the server's own time.

use super::*;
use proptest::prelude::*;

fn json(body: &str) -> Reply {
    Reply { status: 200, content_type: "application/json".into(), body: body.into(), ..Reply::default() }
}

fn header(name: &str, value: &str) -> Reply {
    Reply { headers: vec![(name.into(), value.into())], ..json("{}") }
}

/// Median, place and meaning of ten such answers that took so long.
fn told(reply: &Reply, took_ms: f64) -> Option<(f64, String, String)> {
    let mut reported = Reported::default();
    (0..10).for_each(|_| reported.note(reply, took_ms));
    let figures = reported.finish();
    Some((*figures.ms.known()?, figures.place.known()?.clone(), figures.of.known()?.clone()))
}

fn some(ms: f64, place: &str, of: &str) -> Option<(f64, String, String)> {
    Some((ms, place.into(), of.into()))
}

#[test]
fn the_usual_names_are_read_in_their_units() {
    for (body, took_ms, ms, place, of) in [
        (r#"{"text": "x", "inference_time_ms": 3.8}"#, 140.0, 3.8, "inference_time_ms", "inference"),
        (r#"{"inferMs": 4, "totalTimeMs": 139}"#, 140.0, 4.0, "inferMs", "inference"),
        (r#"{"metrics": {"model_latency_us": 3800}}"#, 140.0, 3.8, "metrics.model_latency_us", "inference"),
        (r#"{"inference_time": 0.0512}"#, 140.0, 51.2, "inference_time", "inference"),
        (r#"{"inference_time": 51.2}"#, 140.0, 51.2, "inference_time", "inference"),
        (r#"{"inference_time": "0.051s"}"#, 140.0, 51.0, "inference_time", "inference"),
        (r#"{"inference_time_seconds": 0.5}"#, 600.0, 500.0, "inference_time_seconds", "inference"),
        (r#"{"processing_time": 0.12}"#, 140.0, 120.0, "processing_time", "request"),
        (r#"{"total_duration": 120000000, "eval_count": 3}"#, 140.0, 120.0, "total_duration", "request"),
        (r#"[{"generated_text": "x", "infer_ms": 12}]"#, 140.0, 12.0, "infer_ms", "inference"),
    ] {
        assert_eq!(told(&json(body), took_ms), some(ms, &format!("the answer's field {place}"), of), "{body}");
    }
    assert_eq!(told(&header("x-inference-time", "7"), 30.0), some(7.0, "the header x-inference-time", "inference"));
    assert_eq!(told(&header("x-process-time", "0.021"), 30.0), some(21.0, "the header x-process-time", "request"));
    let timing = header("server-timing", "db;dur=3, infer;desc=\"model\";dur=5.5, total;dur=20");
    assert_eq!(told(&timing, 30.0), some(5.5, "the header server-timing (infer)", "inference"));
}

#[test]
fn what_is_no_time_of_the_server_s_is_left() {
    for (body, took_ms) in [
        // The length of the sound, in three servers' words.
        (r#"{"text": "x", "duration": 4.57}"#, 6000.0),
        (r#"{"audio_duration_ms": 120}"#, 140.0),
        (r#"{"audio_duration": 0.1}"#, 140.0),
        // Longer than the request itself.
        (r#"{"inference_time_ms": 4570}"#, 140.0),
        // Both 3.8 s and 3.8 ms would fit.
        (r#"{"inference_time": 3.8}"#, 60000.0),
        (r#"{"inference_time_ms": -1}"#, 140.0),
        (r#"{"inference_time_ms": 0}"#, 140.0),
        (r#"{"inference_time_ms": null, "time": 3, "timestamp": 12, "model": "x", "created": 7}"#, 140.0),
        (r#"{"items": 3, "tokens": 7, "model_ms_per_token_count": 2}"#, 140.0),
        (r#"{"inference_time": "fast"}"#, 140.0),
        (r#"{"a":{"b":{"c":{"d":{"e":{"f":{"inference_time_ms":3}}}}}}}"#, 140.0),
        ("not json", 140.0),
    ] {
        assert_eq!(told(&json(body), took_ms), None, "{body}");
    }
    let text = Reply { content_type: "text/plain".into(), ..json(r#"{"inference_time_ms": 3}"#) };
    assert_eq!(told(&text, 140.0), None);
    assert_eq!(Reported::default().finish().ms.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn a_time_that_only_some_answers_tell_is_none() {
    let mut reported = Reported::default();
    for turn in 0..10 {
        reported.note(&json(if turn % 2 == 0 { r#"{"infer_ms": 3}"# } else { "{}" }), 100.0);
    }
    assert!(reported.finish().ms.known().is_none());
    let mut reported = Reported::default();
    (1..=9).for_each(|n| reported.note(&json(&format!("{{\"infer_ms\": {n}}}")), 100.0));
    assert_eq!(reported.finish().ms, Fact::Known(5.0), "the median");
}

#[test]
fn a_time_of_the_model_that_no_request_took_is_told_apart() {
    let over = |answer: &str, took_ms: f64, answers: usize| {
        let mut reported = Reported::default();
        (0..answers).for_each(|_| reported.note(&json(answer), took_ms));
        let figures = reported.finish();
        assert!(figures.over_ms.known().is_some() == figures.over_place.known().is_some());
        (figures.ms.known().copied(), figures.over_ms.known().copied())
    };
    assert_eq!(over(r#"{"inference_time_ms": 140}"#, 12.0, 5), (None, Some(140.0)));
    assert_eq!(over(r#"{"inference_time_ms": 140}"#, 12.0, 2), (None, None), "too few");
    assert_eq!(over(r#"{"inference_time_ms": 140}"#, 130.0, 5), (None, None), "both are rounded");
    assert_eq!(over(r#"{"inference_time_ms": 9}"#, 12.0, 5), (Some(9.0), None));
    // Sound has a length too, and a number without a unit may be of any.
    for other in [r#"{"duration_ms": 4000}"#, r#"{"inference_time": 140}"#, r#"{"total_ms": 140}"#] {
        assert_eq!(over(other, 12.0, 5).1, None, "{other}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_read(body in ".{0,200}", name in "[a-zA-Z_ -]{0,20}", value in ".{0,24}", took_ms in any::<f64>()) {
        let mut reported = Reported::default();
        reported.note(&json(&body), took_ms);
        reported.note(&header(&name, &value), took_ms);
        reported.note(&header("server-timing", &value), took_ms);
        reported.note(&json(&format!("{{{name:?}: {value:?}}}")), took_ms);
        if let Fact::Known(ms) = reported.finish().ms {
            prop_assert!(ms >= 0.0 && ms <= took_ms + SLACK_MS + 1.0);
        }
    }
}
