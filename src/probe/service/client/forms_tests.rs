//! HAR files, Postman collections, JavaScript and the config's own section, as they come.

use super::read;
use super::request::{ClientRequest, Setting};
use crate::probe::service::message::{Content, Encoding, Place};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

fn parse(text: &str) -> Result<ClientRequest, String> {
    read(text, &Setting { origin: "/c/client.txt", folder: Path::new("/nonexistent"), given: &BTreeMap::new() })
}

fn texts(request: &ClientRequest) -> Vec<(String, String)> {
    request.message.fields.iter().map(|field| (field.name.clone(), field.content.as_text())).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn har(entries: serde_json::Value) -> String {
    json!({"log": {"version": "1.2", "creator": {}, "entries": entries}}).to_string()
}

#[test]
fn the_inference_of_a_har_is_chosen_and_the_others_are_told() {
    let text = har(json!([
        {"request": {"method": "GET", "url": "https://app.example/index.html", "headers": []}},
        {"request": {"method": "POST", "url": "https://sentry.example/api/envelope?key=S3CRET",
            "headers": [], "postData": {"mimeType": "text/plain", "text": "{}"}}},
        {"request": {"method": "OPTIONS", "url": "https://app.example/api/transcribe", "headers": []}},
        {"request": {"method": "POST", "url": "https://app.example/api/transcribe?v=2",
            "headers": [{"name": ":authority", "value": "app.example"}, {"name": "Content-Length", "value": "15"},
                {"name": "Content-Type", "value": "application/json"}, {"name": "Cookie", "value": "sid=S3CRET"},
                {"name": "Authorization", "value": "Bearer S3CRETtoken"}],
            "cookies": [{"name": "sid", "value": "S3CRET"}],
            "postData": {"mimeType": "application/json", "text": "{\"lang\": \"en\"}"}}},
        {"request": {"method": "POST", "url": "https://app.example/upload", "headers": [],
            "postData": {"mimeType": "application/octet-stream", "text": "AAEC", "encoding": "base64"}}},
    ]));
    let request = parse(&text).unwrap();
    assert_eq!((request.message.method.as_str(), request.message.path.as_str()), ("POST", "/api/transcribe"));
    assert_eq!(texts(&request), pairs(&[("v", "2"), ("lang", "en")]));
    assert_eq!(request.message.verbatim.as_deref(), Some(&br#"{"lang": "en"}"#[..]), "sent as it was recorded");
    let names: Vec<&str> = request.message.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Cookie", "Authorization"]);
    assert_eq!((request.reading.kind.as_str(), request.reading.place.as_str()), ("har", "entry 4 of 5"));
    assert!(request.reading.notes[0].contains("entry 5 POST https://app.example/upload"), "{:?}", request.reading);
    assert!(!format!("{:?}", request.reading).contains("S3CRET"), "{:?}", request.reading);
}

#[test]
fn the_bytes_of_a_hars_body_are_kept() {
    let multipart = "--B\r\nContent-Disposition: form-data; name=\"lang\"\r\n\r\nen\r\n--B\r\nContent-Disposition: \
                     form-data; name=\"audio\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\nRIFF1234\r\n--B--\r\n";
    let entry = |data: serde_json::Value| {
        har(json!([{"request": {"method": "POST", "url": "http://h/asr", "postData": data}}]))
    };
    let request = parse(&entry(json!({"mimeType": "multipart/form-data; boundary=B", "text": multipart}))).unwrap();
    assert_eq!(request.message.encoding, Encoding::Multipart);
    assert_eq!(request.message.verbatim.as_deref(), Some(multipart.as_bytes()));
    let Content::File(file) = &request.message.field("audio").unwrap().content else { panic!() };
    assert_eq!(
        (file.name.as_str(), file.media_type.as_str(), &file.bytes[..]),
        ("a.wav", "audio/wav", &b"RIFF1234"[..])
    );
    let binary =
        parse(&entry(json!({"mimeType": "application/octet-stream", "text": "AAEC", "encoding": "base64"}))).unwrap();
    assert_eq!(binary.message.verbatim.as_deref(), Some(&[0, 1, 2][..]));
    let params = json!({"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "1"}]});
    assert_eq!(texts(&parse(&entry(params)).unwrap()), pairs(&[("a", "1")]));
}

#[test]
fn a_file_that_a_har_lacks_is_taken_from_beside_it_or_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = har(json!([{"request": {"method": "POST", "url": "http://h/asr", "postData": {
        "mimeType": "multipart/form-data; boundary=B",
        "params": [{"name": "lang", "value": "en"},
            {"name": "audio", "fileName": "../../C:\\x\\talk.wav", "contentType": "audio/wav"}]}}}]));
    let given = BTreeMap::new();
    let setting = Setting { origin: "x.har", folder: folder.path(), given: &given };
    let error = read(&text, &setting).unwrap_err();
    assert!(error.contains("talk.wav") && error.contains("--field audio=@FILE"), "{error}");
    std::fs::write(folder.path().join("talk.wav"), b"RIFFx").unwrap();
    let request = read(&text, &setting).unwrap();
    let Content::File(file) = &request.message.field("audio").unwrap().content else { panic!() };
    assert_eq!((file.name.as_str(), &file.bytes[..]), ("talk.wav", &b"RIFFx"[..]));
    assert!(request.reading.notes[0].contains("beside the HAR"), "{:?}", request.reading);
}

#[test]
fn a_postman_collection_is_read_with_its_variables() {
    let text = json!({"info": {"name": "asr"}, "variable": [{"key": "base", "value": "http://h:8000"}],
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{secret}}"}]},
        "item": [{"name": "health", "request": {"method": "GET", "url": "{{base}}/health"}},
            {"name": "folder", "item": [{"name": "asr", "request": {"method": "POST", "url": {"raw": "{{base}}/asr"},
                "header": [{"key": "x-a", "value": "b"}, {"key": "x-off", "value": "c", "disabled": true}],
                "body": {"mode": "formdata", "formdata": [
                    {"key": "lang", "value": "en", "type": "text"},
                    {"key": "audio", "type": "file", "src": "builtin:speech.wav"}]}}}]}]})
    .to_string();
    let request = parse(&text).unwrap();
    assert_eq!(request.url.as_ref().unwrap().as_str(), "http://h:8000/asr");
    assert_eq!(request.message.headers, pairs(&[("x-a", "b")]));
    assert_eq!(request.message.field("lang").unwrap().content, Content::Text("en".into()));
    assert!(
        matches!(&request.message.field("audio").unwrap().content, Content::File(file) if file.name == "speech.wav")
    );
    assert_eq!(request.reading.place, "item \"asr\"");
    assert!(request.reading.notes.iter().any(|note| note.contains("--bearer-env")), "{:?}", request.reading);
}

#[test]
fn a_browsers_fetch_and_a_programs_are_read() {
    let copied = r#"fetch("http://h/health");
fetch("https://h/v1/asr?x=1", {
  "headers": { "accept": "*/*", "content-type": "application/json", "authorization": "Bearer S3CRET" },
  "body": "{\"lang\":\"en\"}",
  "method": "POST",
  "mode": "cors"
});"#;
    let request = parse(copied).unwrap();
    assert_eq!(request.message.path, "/v1/asr");
    assert_eq!(texts(&request), pairs(&[("x", "1"), ("lang", "en")]));
    assert_eq!(request.reading.place, "client.txt:2");
    let written = "const r = await fetch('/generate', {\n  method: 'post', // as usual\n  headers: {'Content-Type': 'application/json', 'X-T': token},\n  \
                   body: JSON.stringify({ inputs: 'hi', parameters: {n: 4, list: [1, 2,]} }),\n});";
    let request = parse(written).unwrap();
    assert_eq!(texts(&request), pairs(&[("inputs", "hi"), ("parameters", r#"{"n":4,"list":[1,2]}"#)]));
    assert!(request.url.is_none());
    assert!(request.reading.notes[0].contains("X-T (token)"), "{:?}", request.reading);
    for (text, part) in [
        ("fetch(url, {method: 'POST'})\nfetch('x')", "the URL is url"),
        ("fetch('http://h/asr', {method: 'POST', body: form})", "the body is form"),
        ("fetch('http://h/asr', options)", "the second argument is options"),
        (
            "fetch('http://h/asr', {method: 'POST', body: JSON.stringify({lang, text: 'x'})})",
            "the body is JSON.stringify",
        ),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn the_configs_own_section_is_read() {
    let text = json!({"client": {"method": null, "path": "/asr", "headers": {"X-Tenant": "a"}, "query": {"v": 2},
        "fields": {"lang": "en", "beam": 4}, "files": {"audio": "builtin:speech.wav"}, "json": null}});
    let request = parse(&text.to_string()).unwrap();
    assert_eq!((request.message.method.as_str(), request.message.encoding), ("POST", Encoding::Multipart));
    let places: Vec<_> = request.message.fields.iter().map(|field| (field.name.as_str(), field.place)).collect();
    let expected = [("v", Place::Query), ("lang", Place::Form), ("beam", Place::Form), ("audio", Place::Form)];
    assert_eq!(places, expected);
    let error = parse(r#"{"client": {"path": "/asr", "headers": {"X-Api-Key": "S3CRET"}}}"#).unwrap_err();
    assert!(error.contains("X-Api-Key") && !error.contains("S3CRET"), "{error}");
    let error = parse(r#"{"client": {"path": "/asr", "json": {}, "fields": {"a": 1}}}"#).unwrap_err();
    assert!(error.contains("excludes"), "{error}");
}

#[test]
fn what_is_no_request_is_said_to_be_none() {
    for (text, part) in [
        ("", "no request"),
        ("{\"a\": 1}", "neither a HAR"),
        ("{\"log\": {", "begins like JSON"),
        ("wget http://h/", "no request"),
        (&har(json!([])), "no requests"),
        ("import requests\n", "no call"),
    ] {
        let error = parse(text).unwrap_err();
        assert!(error.contains(part), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_har_is_a_request_or_an_error(
        method in "(GET|POST|\\PC{0,4})", url in "(http://h/[a-z?=&{}%]{0,8}|\\PC{0,10})",
        mime in "(application/json|multipart/form-data; boundary=B|\\PC{0,12})", text in "(--B|\r\n|name=\"a\"|[a-z:;{}\"\\[\\]-]){0,30}",
        encoding in "(base64|)",
    ) {
        let _ = parse(&har(json!([{"request": {"method": method, "url": url, "headers": [{"name": mime, "value": text}],
            "postData": {"mimeType": mime, "text": text, "encoding": encoding,
                "params": [{"name": text, "value": mime, "fileName": url}]}}}])));
    }

    #[test]
    fn any_json_is_a_request_or_an_error(text in "\\{(\"(log|entries|item|request|url|body|client|path|json)\":|[{}\\[\\],]|\"[a-z/]{0,3}\"|1|null){0,30}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_javascript_is_a_request_or_an_error(text in "fetch\\([\"'`](http://h/|/a|[^\"']{0,6})[\"'`](,|[{}\\[\\](),:\"'`\\\\$/*]|body|method|JSON\\.stringify\\(|[a-z0-9.]){0,40}") {
        let _ = parse(&text);
    }
}
