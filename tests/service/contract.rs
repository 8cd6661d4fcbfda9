//! What the server demands: fields that are missing, tensors, values that the user gives.

use crate::scripted_server::{ScriptedServer, respond};
use crate::{ask, known, probe, status};
use gpu_doctor::probe::Ask;
use gpu_doctor::snapshot::{Facts, Why};
use std::io::Write;

fn assert_lang_is_missing(facts: &Facts) {
    let missing = known(&facts.request.missing_fields);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(
        (missing[0].name.as_str(), missing[0].place.as_str(), missing[0].value.as_str()),
        ("lang", "form", "en")
    );
    assert_eq!(missing[0].schema_says, "optional");
    assert_eq!(missing[0].found_by, "the answer names it");
}

#[test]
fn the_clients_request_is_rejected_and_the_completed_one_accepted() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url(), Some(&demo.client_request())), 20);
    let room = &facts.request;
    assert_eq!((status(&room.rejected), status(&room.good)), (400, 200));
    assert_eq!(known(&room.client), known(&room.rejected));
    assert_eq!(known(&room.rejected).author, "client");
    assert_eq!(known(&room.rejected).names_missing, ["lang"]);
    assert_eq!(known(&room.rejected).answer, r#"{"detail":"lang parameter is required"}"#);
    assert_lang_is_missing(&facts);
    assert_eq!(
        known(&room.attempts).len(),
        2,
        "the answer names the field, so one attempt suffices; one more asks for shorter audio"
    );
    assert_eq!(known(&room.server_kind), "fastapi");
    assert_eq!(known(&room.operation).path, "/asr");
    let sent = &known(&room.good).fields;
    assert_eq!(sent[0].value, "speech.wav (audio/wav, 146124 bytes)");
    assert!(known(&room.good).curl.contains("-F 'lang=en'"), "{}", known(&room.good).curl);
    let execution = &facts.execution;
    assert_eq!(known(&execution.requests_ok), known(&execution.requests_sent));
    assert_eq!(known(&execution.answers_by_status).get("200"), Some(known(&execution.requests_sent)));
    assert!(known(&execution.request_ms_median) > &0.0);
    assert!(execution.gpus.reason().is_some(), "NVML was not asked in this test");
}

#[test]
fn without_a_client_request_the_schema_is_held_against_the_code() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url(), None), 20);
    assert_eq!(known(&facts.request.client_given), &false);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    assert_eq!(known(&facts.request.rejected).author, "doctor");
    assert_lang_is_missing(&facts);
}

#[test]
fn an_accepted_client_request_is_missing_nothing() {
    let demo = gpu_doctor::demo::start().unwrap();
    let client = format!("{} -F lang=hi", demo.client_request());
    let facts = probe(ask(&demo.url(), Some(&client)), 20);
    assert_eq!(known(&facts.request.missing_fields), &[]);
    assert_eq!(known(&facts.request.good), known(&facts.request.client));
    assert_eq!(facts.request.rejected.reason().unwrap().why, Why::NotAsked);
    let attempts: Vec<&str> = known(&facts.request.attempts).iter().map(|one| one.fields[0].value.as_str()).collect();
    assert_eq!(
        attempts,
        ["other-speech.wav (audio/wav, 73084 bytes)"],
        "only the look whether other input gets other answers"
    );
}

#[test]
fn the_json_route_gets_base64_of_a_wav() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(Ask { operation: Some("/asr/json".into()), ..ask(&demo.url(), None) }, 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let missing = known(&facts.request.missing_fields);
    assert_eq!((missing[0].name.as_str(), missing[0].place.as_str()), ("lang", "json"));
    assert_eq!(known(&facts.request.good).fields[0].value, "speech.wav as base64 (146124 bytes)");
}

#[test]
fn the_users_field_value_wins_over_the_guess() {
    let demo = gpu_doctor::demo::start().unwrap();
    let mut question = ask(&demo.url(), Some(&demo.client_request()));
    question.fields.insert("lang".into(), "hi".into());
    let facts = probe(question, 20);
    assert_eq!(known(&facts.request.missing_fields)[0].value, "hi");
    let lang = known(&facts.request.good).fields.iter().find(|field| field.name == "lang").unwrap().clone();
    assert!(!lang.guess);
}

#[test]
fn an_error_inside_a_200_is_a_rejection() {
    let server = ScriptedServer::answering(|request| match request.body.contains("\"language\"") {
        true => (200, "application/json", r#"{"text": "hi"}"#.into()),
        false => (200, "application/json", r#"{"error": "Something went wrong: language is required"}"#.into()),
    });
    let client = format!("curl {}/run --json '{{\"url\": \"x\"}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (200, 200));
    assert!(!known(&facts.request.rejected).accepted);
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!((missing.name.as_str(), missing.place.as_str(), missing.value.as_str()), ("language", "json", "en"));
}

#[test]
fn a_wrong_content_type_is_not_mistaken_for_missing_fields() {
    let demo = gpu_doctor::demo::start().unwrap();
    let client = format!("curl {}/asr --json '{{\"audio\": \"x\", \"lang\": \"en\"}}'", demo.url());
    let facts = probe(ask(&demo.url(), Some(&client)), 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (422, 200));
    assert_eq!(known(&facts.request.missing_fields), &[]);
    let faults = known(&facts.request.content_type_faults);
    assert_eq!((faults[0].sent.as_str(), faults[0].wanted.as_str()), ("application/json", "multipart/form-data"));
    assert!(faults.iter().all(|fault| fault.accepted), "{faults:?}");
    assert_eq!(known(&facts.request.rejection_kind), "content_type");
}

#[test]
fn an_unnamed_complaint_is_solved_by_trying_the_schemas_fields_and_only_the_needed_one_is_reported() {
    let schema = r#"{"openapi":"3.0.2","paths":{"/predict":{"post":{"requestBody":{"content":{"application/json":{
        "schema":{"type":"object","required":["text"],"properties":{"text":{"type":"string"},"note":{"type":"string"},
        "lang":{"type":"string","enum":["hi","en"]},"top_k":{"type":"integer"}}}}}}}}}}"#;
    let server = ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.into()),
        _ if request.body.contains("\"lang\":\"en\"") => (200, "application/json", r#"{"label": 1}"#.into()),
        _ => (500, "text/plain", "Internal Server Error".into()),
    });
    let facts = probe(ask(&server.url(), None), 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (500, 200));
    let missing = known(&facts.request.missing_fields);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!((missing[0].name.as_str(), missing[0].schema_says.as_str()), ("lang", "optional"));
    let sent: Vec<&str> = known(&facts.request.good).fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(sent, ["text", "lang"], "the good request is the smallest one");
    let posts = server.received().iter().filter(|request| request.method == "POST").count();
    assert!(posts <= 12 + 3, "{posts} requests");
}

#[test]
fn a_server_that_was_only_starting_is_not_said_to_miss_a_field() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let count = AtomicUsize::new(0);
    let schema = r#"{"openapi":"3.1.0","paths":{"/infer":{"post":{"requestBody":{"content":{"application/json":{
        "schema":{"properties":{"top_k":{"type":"integer"}}}}}}}}}}"#;
    let server = ScriptedServer::answering(move |request| match request.target.as_str() {
        "/openapi.json" => (200, "application/json", schema.into()),
        _ if count.fetch_add(1, Ordering::SeqCst) == 0 => (500, "text/plain", "Internal Server Error".into()),
        _ => (200, "application/json", "{}".into()),
    });
    let facts = probe(ask(&server.url(), None), 20);
    let reason = facts.request.missing_fields.reason().unwrap();
    assert!(reason.detail.contains("accepted when it was sent again"), "{reason}");
}

#[test]
fn a_server_that_always_rejects_leaves_the_reason_unknown_within_the_bounds() {
    let server = ScriptedServer::start(|request, stream| {
        let body = if request.target == "/openapi.json" {
            let fields: Vec<String> = (0..50).map(|n| format!(r#""f{n}":{{"type":"string"}}"#)).collect();
            let fields = fields.join(",");
            let schema = format!(r#"{{"schema":{{"properties":{{{fields}}}}}}}"#);
            format!(
                r#"{{"openapi":"3.1.0","paths":{{"/predict":{{"post":{{"requestBody":{{"content":{{"application/json":{schema}}}}}}}}}}}}}"#
            )
        } else {
            String::new()
        };
        let status = if body.is_empty() { 500 } else { 200 };
        let _ = stream.write_all(respond(status, "application/json", &body).as_bytes());
    });
    let facts = probe(ask(&server.url(), None), 20);
    let posts = server.received().iter().filter(|request| request.method == "POST").count();
    assert!((2..=12).contains(&posts), "{posts} requests");
    assert!(facts.request.good.reason().is_some());
    let reason = facts.request.missing_fields.reason().unwrap();
    assert!(reason.detail.contains("attempts") && reason.detail.contains("500"), "{reason}");
    assert_eq!(status(&facts.request.rejected), 500);
}

#[test]
fn kserve_tensors_are_built_from_the_metadata_and_a_missing_input_is_found() {
    let server = ScriptedServer::answering(|request| {
        let json = |body: &str| (200, "application/json", body.to_owned());
        match request.target.as_str() {
            "/v2" => json(r#"{"name":"triton","version":"2.51.0","extensions":["statistics"]}"#),
            "/v2/models/vad" => json(
                r#"{"name":"vad","inputs":[{"name":"audio","datatype":"FP32","shape":[-1,-1]},
                    {"name":"lang","datatype":"BYTES","shape":[-1,1]}]}"#,
            ),
            "/v2/models/vad/config" => json(r#"{"max_batch_size":16,"input":[{"name":"audio"},{"name":"lang","optional":false}]}"#),
            "/v2/models/vad/infer" if request.body.contains("\"lang\"") => json(r#"{"outputs":[]}"#),
            "/v2/models/vad/infer" => (
                400,
                "application/json",
                r#"{"error":"[request id: <id_unknown>] expected 2 inputs but got 1 inputs for model 'vad'. Got input(s) ['audio'], but missing required input(s) ['lang']. Please provide all required input(s)."}"#.into(),
            ),
            _ => (404, "text/plain", String::new()),
        }
    });
    let client = format!(
        r#"curl {}/v2/models/vad/infer -H 'content-type: application/json' -d '{{"inputs":[{{"name":"audio","shape":[1,2],"datatype":"FP32","data":[0,0]}}]}}'"#,
        server.url()
    );
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!(known(&facts.request.server_kind), "triton");
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!(
        (missing.name.as_str(), missing.place.as_str(), missing.schema_says.as_str()),
        ("lang", "tensor", "required")
    );
    let good = server.received().into_iter().rfind(|request| request.body.contains("\"lang\"")).unwrap();
    assert!(good.body.contains(r#"{"name":"lang","shape":[1,1],"datatype":"BYTES","data":["en"]}"#), "{}", good.body);
}

/// Answers each POST with what the script says for its number, and everything else with 404.
fn scripted(answers: &'static [&'static str]) -> ScriptedServer {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let count = AtomicUsize::new(0);
    ScriptedServer::start(move |request, stream| {
        let answer = match request.method.as_str() {
            "POST" => answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)].to_owned(),
            _ => respond(404, "text/plain", "Not Found"),
        };
        let _ = stream.write_all(answer.as_bytes());
    })
}

#[test]
fn a_server_that_asks_to_wait_is_asked_again_once_and_not_after_long() {
    const BUSY: &str =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const LONG: &str =
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 3600\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 16\r\nconnection: close\r\n\r\n{\"label\": \"cat\"}";
    let client = |server: &ScriptedServer| format!("curl {}/x --json '{{\"text\": \"a\"}}'", server.url());
    let server = scripted(&[BUSY, GOOD]);
    let facts = probe(ask(&server.url(), Some(&client(&server))), 20);
    assert_eq!(status(&facts.request.client), 200, "{:?}", facts.request.client);
    let server = scripted(&[LONG]);
    let started = std::time::Instant::now();
    let facts = probe(ask(&server.url(), Some(&client(&server))), 20);
    assert_eq!(known(&facts.request.rejection_kind), "rate");
    assert!(started.elapsed().as_secs() < 3, "{:?}", started.elapsed());
    let posts = server.received().iter().filter(|request| request.method == "POST").count();
    assert_eq!(posts, 1, "nothing that could be sent cures it");
}

#[test]
fn a_value_that_is_refused_is_put_right_once_and_both_are_told() {
    let server = ScriptedServer::answering(|request| match request.body.contains("\"lang\":\"en\"") {
        _ if request.method != "POST" => (404, "text/plain", "Not Found".into()),
        true => (200, "application/json", r#"{"label": "cat"}"#.into()),
        false => (400, "application/json", r#"{"detail": "Unsupported language 'english'. Supported: en, hi"}"#.into()),
    });
    let client = format!("curl {}/x --json '{{\"lang\": \"english\"}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!(known(&facts.request.rejection_kind), "wrong_value");
    let wrong = known(&facts.request.wrong_values);
    assert_eq!((wrong[0].name.as_str(), wrong[0].sent.as_str(), wrong[0].accepted.as_str()), ("lang", "english", "en"));
    assert_eq!(known(&facts.request.missing_fields), &[]);
}

#[test]
fn an_embedding_that_is_the_same_for_another_text_is_told_and_an_empty_transcript_too() {
    let schema = |field: &str| {
        format!(
            r#"{{"openapi":"3.1.0","paths":{{"/infer":{{"post":{{"requestBody":{{"content":{{"application/json":{{
            "schema":{{"required":["{field}"],"properties":{{"{field}":{{"type":"string"}}}}}}}}}}}}}}}}}}}}"#
        )
    };
    for (field, answer, kind) in [
        ("text", format!("{{\"embedding\": {:?}}}", [0.5; 32]), Some("same_answer")),
        ("text", r#"{"label": "cat"}"#.to_owned(), None),
        ("audio_b64", r#"{"text": "", "duration": 4.6, "duration_after_vad": 0.0}"#.to_owned(), Some("input_dropped")),
        ("audio_b64", r#"{"text": "", "speech_ratio": 0.9}"#.to_owned(), None),
    ] {
        let document = schema(field);
        let told = answer.clone();
        let server = ScriptedServer::answering(move |request| match request.target.as_str() {
            "/openapi.json" => (200, "application/json", document.clone()),
            _ => (200, "application/json", told.clone()),
        });
        let facts = probe(ask(&server.url(), None), 20);
        let kinds: Vec<&str> = known(&facts.request.soft_failures).iter().map(|one| one.kind.as_str()).collect();
        assert_eq!(kinds.first().copied(), kind, "{answer}");
    }
}
