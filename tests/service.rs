//! The service probe against servers that behave and servers that do not.

#[path = "setup/scripted_server.rs"]
mod scripted_server;

use gpu_doctor::probe::{Ask, Context, service};
use gpu_doctor::snapshot::{Exchange, Fact, Facts, Unknown, Why};
use scripted_server::{ScriptedServer, respond};
use std::io::Write;
use std::time::{Duration, Instant};

/// Runs the probe on a question, within some seconds.
fn probe(ask: Ask, seconds: u64) -> Facts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not part of this test"));
    let context = Context { ask, deadline: Instant::now() + Duration::from_secs(seconds) };
    (service::PROBE.run)(&context, &mut facts);
    facts
}

fn ask(url: &str, client: Option<&str>) -> Ask {
    Ask {
        server: Some(url.parse().unwrap()),
        client_request: client.map(|text| ("the test".to_owned(), text.to_owned())),
        requests: 2,
        window: Duration::from_millis(300),
        ..Ask::default()
    }
}

fn known<T: std::fmt::Debug>(fact: &Fact<T>) -> &T {
    match fact {
        Fact::Known(value) => value,
        Fact::Unknown(unknown) => panic!("unknown: {unknown}"),
    }
}

fn status(exchange: &Fact<Exchange>) -> u64 {
    *known(&known(exchange).status)
}

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
    assert_eq!(known(&room.attempts).len(), 1, "the answer names the field, so one attempt suffices");
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
    assert_eq!(known(&facts.request.attempts), &[]);
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
fn secrets_are_sent_but_never_recorded() {
    let server = ScriptedServer::answering(|request| match request.head.contains("Bearer sesame-open-up") {
        // The answer echoes the secrets, as pydantic's `input` does.
        true if request.body.contains("lang=") => (200, "application/json", r#"{"got": "sesame-open-up"}"#.into()),
        true => (400, "application/json", r#"{"detail": "lang is required", "cookie": "crumbly-cookie"}"#.into()),
        false => (401, "application/json", "{}".into()),
    });
    let client = format!(
        "curl {}/asr?api_key=key-in-query -b 'sid=crumbly-cookie' -d 'text=hi&password=hunter2-hunter2'",
        server.url()
    );
    let mut question = ask(&server.url(), Some(&client));
    question.headers = vec![("Authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 20);
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let recorded = serde_json::to_string(&facts).unwrap();
    for secret in ["sesame", "crumbly", "hunter2", "key-in-query"] {
        assert!(!recorded.contains(secret), "{secret} in {recorded}");
    }
    let posted = server.received().into_iter().find(|request| request.method == "POST").unwrap();
    assert!(posted.head.contains("sid=crumbly-cookie") && posted.body.contains("hunter2"), "{posted:?}");
    assert!(known(&facts.request.client).curl.contains("cookie: ***"), "{recorded}");
}

#[test]
fn html_instead_of_a_schema_is_said_and_the_client_alone_suffices() {
    let server = ScriptedServer::answering(|request| match request.method.as_str() {
        "POST" if request.body.contains("lang") => (200, "application/json", r#"{"text": "hi"}"#.into()),
        "POST" => (400, "text/html", "<h1>Bad Request</h1> Missing required parameter: lang".into()),
        _ => (200, "text/html", "<!doctype html><title>app</title>".into()),
    });
    let client = format!("curl {}/asr -F audio=@builtin:speech.wav", server.url());
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    let error = known(&facts.request.schema_error);
    assert!(
        error.contains("/openapi.json") && error.contains("expected an OpenAPI document") && error.contains("HTML"),
        "{error}"
    );
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!((missing.name.as_str(), missing.schema_says.as_str()), ("lang", "unnamed"));
    assert_eq!(known(&facts.request.server_kind), "unrecognized");
    assert_eq!(known(&facts.request.operation).path, "/asr");
}

#[test]
fn without_schema_and_client_nothing_is_sent() {
    let server = ScriptedServer::answering(|_| (404, "application/json", "{}".into()));
    let facts = probe(ask(&server.url(), None), 20);
    assert!(known(&facts.request.schema_error).contains("HTTP 404"));
    assert_eq!(known(&facts.request.reachable), &true);
    assert!(facts.request.missing_fields.reason().is_some() && facts.request.good.reason().is_some());
    assert!(server.received().iter().all(|request| request.method == "GET"), "{:?}", server.received());
}

#[test]
fn a_closed_port_is_refused() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let facts = probe(ask(&format!("http://127.0.0.1:{port}"), None), 5);
    assert_eq!(known(&facts.request.reachable), &false);
    let error = known(&facts.request.reach_error);
    assert!(error.contains("refused") && error.contains(&port.to_string()), "{error}");
    assert_eq!(facts.request.good.reason().unwrap().why, Why::Absent);
}

#[test]
fn tls_to_a_plain_port_and_a_server_that_is_not_http_are_told_apart() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url().replace("http", "https"), None), 5);
    assert_eq!(known(&facts.request.reachable), &false);
    assert!(known(&facts.request.reach_error).contains("TLS"), "{}", known(&facts.request.reach_error));

    let smtp = ScriptedServer::start(|_, stream| drop(stream.write_all(b"220 mail ready\r\n")));
    let facts = probe(ask(&smtp.url(), None), 5);
    assert!(known(&facts.request.reach_error).contains("not HTTP"), "{}", known(&facts.request.reach_error));

    let silent = ScriptedServer::start(|_, _| {});
    let facts = probe(ask(&silent.url(), None), 5);
    let error = known(&facts.request.reach_error);
    assert!(error.contains("closed before an answer") || error.contains("reset"), "{error}");
}

#[test]
fn slow_drips_and_endless_bodies_end_in_time() {
    let dripping = ScriptedServer::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let client = format!("curl {}/asr -d text=hi", dripping.url());
    let started = Instant::now();
    let facts = probe(ask(&dripping.url(), Some(&client)), 3);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(known(&facts.request.reachable), &true);
    assert_eq!(status(&facts.request.client), 200);
    assert!(!known(&facts.request.client).accepted, "the answer never ended");
    assert!(facts.request.missing_fields.reason().is_some());

    let endless = ScriptedServer::start(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n");
        while stream.write_all(&[b'x'; 65536]).is_ok() {}
    });
    let client = format!("curl {}/asr -d text=hi", endless.url());
    let started = Instant::now();
    let facts = probe(ask(&endless.url(), Some(&client)), 20);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert!(known(&facts.request.schema_error).contains("more than"), "{}", known(&facts.request.schema_error));
    assert_eq!(known(&facts.request.client).answer.len(), 600);
}

#[test]
fn redirects_in_a_circle_or_to_another_host_are_not_followed() {
    let other = ScriptedServer::answering(|_| (200, "application/json", "{}".into()));
    let elsewhere = other.url();
    let server = ScriptedServer::start(move |request, stream| {
        let to = if request.target == "/openapi.json" { "/openapi.json".to_owned() } else { format!("{elsewhere}/x") };
        let head = format!("HTTP/1.1 307 Moved\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
    });
    let client = format!("curl -L {}/asr -d text=hi", server.url());
    let mut question = ask(&server.url(), Some(&client));
    question.headers = vec![("authorization".into(), "Bearer sesame-open-up".into())];
    let facts = probe(question, 10);
    assert!(known(&facts.request.schema_error).contains("redirected more than 5 times"));
    assert_eq!(status(&facts.request.client), 307);
    assert!(other.received().is_empty(), "{:?}", other.received());
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
    let reason = facts.request.missing_fields.reason().unwrap();
    assert!(reason.detail.contains("application/json") && reason.detail.contains("multipart/form-data"), "{reason}");
}

#[test]
fn a_client_request_that_cannot_be_read_is_an_error_that_names_the_option() {
    let demo = gpu_doctor::demo::start().unwrap();
    let facts = probe(ask(&demo.url(), Some("curl --proxy http://p/ http://127.0.0.1/asr")), 20);
    let reason = facts.request.client.reason().unwrap();
    assert!(reason.why == Why::Malformed && reason.detail.contains("--proxy"), "{reason}");
    assert!(facts.request.missing_fields.reason().is_some(), "nothing is known of the client's fields");
    assert_eq!(status(&facts.request.good), 200);
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
    assert!(posts <= 16 + 3, "{posts} requests");
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
    assert_eq!(known(&facts.request.server_kind), "kserve-v2");
    assert_eq!((status(&facts.request.rejected), status(&facts.request.good)), (400, 200));
    let missing = &known(&facts.request.missing_fields)[0];
    assert_eq!(
        (missing.name.as_str(), missing.place.as_str(), missing.schema_says.as_str()),
        ("lang", "tensor", "required")
    );
    let good = server.received().into_iter().rfind(|request| request.body.contains("\"lang\"")).unwrap();
    assert!(good.body.contains(r#"{"name":"lang","shape":[1,1],"datatype":"BYTES","data":["en"]}"#), "{}", good.body);
}

#[test]
fn a_self_signed_certificate_is_said_and_curls_k_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(folder.path());
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null());
        command
    };
    let made =
        openssl("req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=localhost").status();
    if !made.is_ok_and(|status| status.success()) {
        return eprintln!("left out: openssl cannot make a certificate here");
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut server =
        openssl(&format!("s_server -accept 127.0.0.1:{port} -key k.pem -cert c.pem -www -quiet")).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("https://127.0.0.1:{port}");
    let strict = probe(ask(&url, None), 5);
    let lenient = probe(ask(&url, Some(&format!("curl -k {url}/asr"))), 5);
    server.kill().unwrap();
    server.wait().unwrap();
    let error = known(&strict.request.reach_error);
    assert!(error.contains("TLS") && error.contains("self-signed"), "{error}");
    assert_eq!(known(&lenient.request.reachable), &true);
    assert_eq!(status(&lenient.request.client), 200);
}

#[test]
fn a_request_that_cannot_be_formed_says_nothing_of_the_server() {
    let mut ask = ask("http://127.0.0.1:1", None);
    ask.headers = vec![("x-token".into(), "two\nlines".into())];
    let facts = probe(ask, 10);
    let reason = facts.request.reachable.reason().expect("the server was not asked");
    assert!(reason.detail.contains("no request could be formed"), "{reason}");
}

#[test]
fn a_name_that_does_not_resolve_is_said_plainly() {
    let facts = probe(ask("http://does-not-exist.invalid:8000", None), 20);
    let error = known(&facts.request.reach_error);
    assert!(error.starts_with("the name does-not-exist.invalid does not resolve"), "{error}");
}

#[test]
fn text_that_turns_direction_is_kept_out_of_answers_and_long_names_are_cut() {
    let server = ScriptedServer::answering(|_| (400, "text/plain", "\u{202e}\u{1b}[31mno".into()));
    let client = format!("curl {}/p -d {}=1", server.url(), "n".repeat(5000));
    let facts = probe(ask(&server.url(), Some(&client)), 20);
    let client = known(&facts.request.client);
    assert_eq!(client.answer, "  [31mno");
    assert_eq!(client.fields[0].name.len(), 120);
}
