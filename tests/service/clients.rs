//! The client's own request held against the good one, and mended.

use crate::scripted_server::ScriptedServer;
use crate::{ask, known, probe, status};
use gpu_doctor::probe::Ask;
use gpu_doctor::snapshot::{Fact, Facts, Why};

const SCHEMA: &str = r#"{"openapi":"3.1.0","paths":{"/v1/infer":{"post":{"requestBody":{"content":{"application/json":{
    "schema":{"type":"object","required":["text","lang"],"properties":{"text":{"type":"string"},
    "lang":{"type":"string","enum":["en","hi"]},"top_k":{"type":"integer"}}}}}}}}}}"#;

/// Takes JSON with a text and a known language at one path.
fn server() -> ScriptedServer {
    ScriptedServer::answering(|request| {
        let json = |status: u16, body: &str| (status, "application/json", body.to_owned());
        let declared = request.head.to_ascii_lowercase().contains("content-type: application/json");
        let known = request.body.contains(r#""lang":"en""#) || request.body.contains(r#""lang": "en""#);
        match (request.target.as_str(), request.method.as_str()) {
            ("/openapi.json", _) => json(200, SCHEMA),
            ("/v1/infer", "POST") if !declared => json(415, r#"{"detail":"Unsupported Media Type"}"#),
            ("/v1/infer", "POST") if !request.body.contains("\"text\"") => {
                json(400, r#"{"detail":"text is required"}"#)
            }
            ("/v1/infer", "POST") if !known => json(422, r#"{"detail":"rejected"}"#),
            ("/v1/infer", "POST") => json(200, r#"{"label": 1}"#),
            ("/v1/infer", _) => json(405, r#"{"detail":"Method Not Allowed"}"#),
            _ => json(404, r#"{"detail":"Not Found"}"#),
        }
    })
}

/// Differences as `what name: client | good: decides`.
fn differences(facts: &Facts) -> Vec<String> {
    let decides = |fact: &Fact<bool>| match fact {
        Fact::Known(true) => "yes",
        Fact::Known(false) => "no",
        Fact::Unknown(_) => "?",
    };
    let rows = known(&facts.request.differences).iter();
    rows.map(|row| format!("{} {}: {} | {}: {}", row.what, row.name, row.client, row.good, decides(&row.decides)))
        .collect()
}

#[test]
fn a_python_client_is_told_the_line_to_change() {
    let demo = gpu_doctor::demo::start().unwrap();
    let text = format!(
        "import requests\n\nAUDIO = \"builtin:speech.wav\"\nwith open(AUDIO, \"rb\") as f:\n    r = requests.post(\n        \
         \"{}/asr\",\n        files={{\"audio\": (\"speech.wav\", f, \"audio/wav\")}},\n        data={{\"decoding\": \"ctc\"}},\n    )\n",
        demo.url()
    );
    let facts = probe(ask(&demo.url(), Some(&text)), 20);
    let room = &facts.request;
    assert_eq!((status(&room.client), status(&room.good)), (400, 200));
    assert_eq!(differences(&facts), ["field lang:  | en: yes"]);
    let curl = known(&room.mended_curl);
    assert!(curl.contains("-F 'decoding=ctc' -F 'audio=@speech.wav;type=audio/wav' -F 'lang=en'"), "{curl}");
    let change = &known(&room.mended_code)[0];
    assert_eq!((change.at.as_str(), change.old.as_str()), ("the test:8", r#"data={"decoding": "ctc"}"#));
    assert_eq!(change.new, r#"data={"decoding": "ctc", "lang": "en"}"#);
    assert_eq!(known(&room.client_reading).kind, "python");
    assert!(known(&room.attempts).len() <= 2, "what the conversation has proven is not asked again");
}

#[test]
fn a_wrong_path_alone_decides() {
    let server = server();
    let client = format!("curl {}/infer --json '{{\"text\": \"hi\", \"lang\": \"en\"}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!(status(&facts.request.client), 404);
    let rows = differences(&facts);
    assert_eq!(rows[0], "path : /infer | /v1/infer: yes", "{rows:?}");
    assert!(rows.iter().skip(1).all(|row| row.ends_with(": no")), "{rows:?}");
    let curl = known(&facts.request.mended_curl);
    assert!(curl.contains("/v1/infer") && curl.contains(r#""text":"hi""#), "{curl}");
    assert_eq!(facts.request.mended_code.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn a_body_that_is_not_declared_is_sent_as_it_is_under_the_right_type() {
    let server = server();
    let client = format!("curl {}/v1/infer -d '{{\"text\": \"mine\", \"lang\": \"en\"}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!(status(&facts.request.client), 415);
    let rows = differences(&facts);
    assert!(
        rows.contains(&"content type : application/x-www-form-urlencoded | application/json: yes".to_owned()),
        "{rows:?}"
    );
    let posts: Vec<_> = server.received().into_iter().filter(|request| request.method == "POST").collect();
    assert!(posts.iter().any(|post| post.body == r#"{"text": "mine", "lang": "en"}"#
        && post.head.to_ascii_lowercase().contains("content-type: application/json")));
    assert!(known(&facts.request.mended_curl).contains(r#""text":"mine""#));
}

#[test]
fn a_value_that_the_server_refuses_is_found_and_the_others_are_cleared() {
    let server = server();
    let client =
        format!("curl {}/v1/infer --json '{{\"text\": \"mine\", \"lang\": \"xx\", \"top_k\": 3}}'", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    assert_eq!(status(&facts.request.client), 422);
    let rows = differences(&facts);
    assert!(rows.contains(&"field lang: xx | en: yes".to_owned()), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("field top_k: 3") && row.ends_with(": no")), "{rows:?}");
    let posts = server.received().iter().filter(|request| request.method == "POST").count();
    assert!(posts <= 12 + 4 + 4 + 3, "{posts} requests");
}

#[test]
fn an_accepted_client_differs_in_nothing_and_one_that_was_not_given_is_not_compared() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url(), Some(&format!("{} -F lang=hi", demo.client_request()))), 20);
    assert_eq!(known(&facts.request.differences), &[]);
    assert_eq!(facts.request.mended_curl.reason().unwrap().why, Why::NotAsked);
    let facts = probe(ask(&demo.url(), None), 20);
    assert_eq!(facts.request.differences.reason().unwrap().why, Why::NotAsked);
    assert_eq!(facts.request.client_reading.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn secrets_of_a_har_are_shown_nowhere() {
    let server = server();
    let entry = serde_json::json!({"request": {"method": "POST", "url": format!("{}/v1/infer?token=S3CRETquery", server.url()),
        "headers": [{"name": "Authorization", "value": "Bearer S3CRETbearer"}, {"name": "Cookie", "value": "sid=S3CRETcookie"},
            {"name": "X-Auth-Token", "value": "S3CRETheader"}, {"name": "Content-Type", "value": "application/json"}],
        "cookies": [{"name": "sid", "value": "S3CRETcookie"}],
        "postData": {"mimeType": "application/json", "text": "{\"text\": \"hi\", \"api_key\": \"S3CRETfield\"}"}}});
    let har = serde_json::json!({"log": {"entries": [entry]}}).to_string();
    let facts = probe(Ask { contract: true, ..ask(&server.url(), Some(&har)) }, 20);
    assert_eq!(known(&facts.request.client_reading).kind, "har");
    assert!(!known(&facts.request.differences).is_empty());
    let told = serde_json::to_string(&facts).unwrap();
    assert!(!told.contains("S3CRET"), "{}", &told[told.find("S3CRET").unwrap().saturating_sub(200)..][..300]);
    let received = server.received();
    assert!(received.iter().any(|request| request.head.contains("S3CRETcookie")), "sent as it was recorded");
}
