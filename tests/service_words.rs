//! How servers word what they want, and what the doctor makes of it.

#[path = "setup/scripted_server.rs"]
mod scripted_server;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Fact, Facts, RequestFacts, Unknown, Why};
use scripted_server::{Received, ScriptedServer};
use std::time::{Duration, Instant};

type Answer = (u16, &'static str, String);

fn probe(server: &ScriptedServer, client: Option<&str>) -> RequestFacts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let ask = Ask {
        server: Some(server.url().parse().unwrap()),
        client_request: client.map(|text| ("the test".to_owned(), text.to_owned())),
        requests: 1,
        window: Duration::from_millis(100),
        ..Ask::default()
    };
    (service::PROBE.run)(&Context { ask, deadline: Instant::now() + Duration::from_secs(20) }, &mut facts);
    facts.request
}

fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(unknown) => panic!("unknown: {unknown}"),
    }
}

fn missing(room: &RequestFacts) -> Vec<(&str, &str, &str)> {
    let fields = known(&room.missing_fields).iter();
    fields.map(|field| (field.name.as_str(), field.place.as_str(), field.value.as_str())).collect()
}

/// A server with one operation, POST /asr, whose schema is `operation`.
fn serving(operation: &'static str, answer: fn(&Received) -> Answer) -> ScriptedServer {
    ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (
            200,
            "application/json",
            format!(r#"{{"openapi":"3.1.0","paths":{{"/asr":{{"post":{{"responses":{{}}{operation}}}}}}}}}"#),
        ),
        _ => answer(request),
    })
}

fn rejects(words: &str) -> Answer {
    (400, "application/json", format!(r#"{{"detail":"{words}"}}"#))
}

fn accepts() -> Answer {
    (200, "application/json", r#"{"text":"hello"}"#.into())
}

fn in_form(request: &Received, name: &str) -> bool {
    request.body.contains(&format!("name=\"{name}\""))
}

const FORM: &str = r#","requestBody":{"content":{"multipart/form-data":{"schema":{"type":"object","required":["audio"],
    "properties":{"audio":{"type":"string","format":"binary"},"language":{"type":"string"}}}}}}"#;

/// The field is not called missing: its value, none, is called unsupported.
fn hindi_or_tamil(request: &Received) -> Answer {
    let said = request.body.split("name=\"language\"").nth(1).map(|rest| rest.trim_start());
    match said {
        Some(rest) if rest.starts_with("hi") || rest.starts_with("ta") => accepts(),
        Some(_) => rejects("Unsupported language: en. Supported: hi, ta"),
        None => rejects("Unsupported language: None. Supported: hi, ta"),
    }
}

#[test]
fn a_field_whose_supported_values_are_listed_is_sent_with_one_of_them() {
    let server = serving(FORM, hindi_or_tamil);
    assert_eq!(missing(&probe(&server, None)), [("language", "form", "hi")]);
}

#[test]
fn a_value_of_the_client_that_is_not_supported_stands_beside_one_that_is() {
    let server = serving(FORM, hindi_or_tamil);
    let room = probe(&server, Some(&format!("curl {}/asr -F audio=x -F language=en", server.url())));
    assert_eq!(known(&known(&room.rejected).status), &400);
    assert!(known(&room.good).curl.contains("-F 'language=hi'"), "{}", known(&room.good).curl);
}

#[test]
fn a_form_that_the_schema_does_not_tell_is_found_by_the_answers() {
    let server = serving("", |request| match (in_form(request, "audio"), in_form(request, "lang")) {
        (false, _) => rejects("audio is required"),
        (true, false) => rejects("lang is required"),
        (true, true) => accepts(),
    });
    let audio = ("audio", "form", "speech.wav (audio/wav, 146124 bytes)");
    assert_eq!(missing(&probe(&server, None)), [audio, ("lang", "form", "en")]);
}

#[test]
fn audio_inside_an_object_is_base64_of_a_wav() {
    const NESTED: &str = r#","requestBody":{"content":{"application/json":{"schema":{"type":"object",
        "required":["audio"],"properties":{"audio":{"type":"object","required":["content"],
        "properties":{"content":{"type":"string"}}}}}}}}"#;
    let server = serving(NESTED, |request| match request.body.contains(r#"{"audio":{"content":"UklGR"#) {
        true => accepts(),
        false => (500, "text/plain", "Internal Server Error".into()),
    });
    assert_eq!(known(&known(&probe(&server, None).good).status), &200);
}

#[test]
fn a_chat_request_without_a_schema_gets_a_list_of_messages() {
    let server = ScriptedServer::answering(|request| match () {
        () if request.target != "/v1/chat/completions" => (404, "text/plain", String::new()),
        () if request.body.contains(r#""messages":[{"#) => accepts(),
        () => rejects("'messages' is required"),
    });
    let client = format!("curl {}/v1/chat/completions --json '{{\"max_tokens\":2}}'", server.url());
    assert_eq!(missing(&probe(&server, Some(&client)))[0].0, "messages");
}

#[test]
fn a_header_for_the_language_gets_a_language() {
    const HEADER: &str = r#","parameters":[{"name":"x-language","in":"header","required":false,
        "schema":{"type":"string"}}]"#;
    let server = serving(HEADER, |request| match request.head.to_ascii_lowercase().contains("x-language:") {
        true => accepts(),
        false => rejects("Missing header X-Language"),
    });
    assert_eq!(missing(&probe(&server, None)), [("x-language", "header", "en")]);
}
