//! `gpu-doctor request`: what would be sent, as people and programs read it, without sending it.

#[path = "setup/scripted_server.rs"]
mod scripted_server;
mod setup;

use scripted_server::ScriptedServer;
use serde_json::{Value, json};
use setup::cases::fixtures;
use setup::doctor::gpu_doctor;
use std::io::Write;

fn schema(name: &str) -> String {
    fixtures().join("schemas").join(name).display().to_string()
}

#[test]
fn people_read_every_value_with_where_it_comes_from() {
    let file = schema("small.json");
    let said = gpu_doctor(&["request", "--schema", &file, "--all", "--field", "hint=loud"], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let expected = format!(
        "\
3 requests made from {file}; nothing was sent

POST /asr/{{model}}  (multipart/form-data)
  model  path    required  aaa-0                                    made up by its type, a guess
  ids    query   required  [3,6]                                    made up by its type, a guess
  audio  form    required  speech.wav (audio/wav, 146124 bytes)     a sample of the doctor's own, a guess
  lang   form    required  en                                       one of those that the schema lists
  beams  form    required  2                                        made up by its type, a guess
  photo  form    optional  image.jpg (image/jpeg, 9712 bytes)       a sample of the doctor's own, a guess
  hint   form    optional  loud                                     yours
  validates against the schema
  the server wants a bearer token in the header authorization, or an API key in the query api_key; none was given (--bearer-env, --basic-env, headers in the config)
  curl -X POST --url 'http://127.0.0.1:8000/asr/aaa-0?ids=3%2C6' -F 'audio=@speech.wav;type=audio/wav' -F 'lang=en' -F 'beams=2' -F 'photo=@image.jpg;type=image/jpeg' -F 'hint=loud'

PUT /tree  (application/json)
  kind  json    required  node  the only value that the schema allows
  left  json    required  {{\"kind\":\"leaf\",\"n\":0.5}}  made up by its type, a guess
  validates against the schema
  curl -X PUT --url http://127.0.0.1:8000/tree -H 'content-type: application/json' -d '{{\"kind\":\"node\",\"left\":{{\"kind\":\"leaf\",\"n\":0.5}}}}'

POST /outside  (application/json)
  not decided: body: $ref \"http://127.0.0.1:1/schema.json\" leads out of the document; it is not fetched
  curl -X POST --url http://127.0.0.1:8000/outside -H 'content-type: application/json' -d '{{}}'

2 validate, 0 do not, 1 could not be decided
"
    );
    let lines =
        |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(lines(&said.out), lines(&expected), "{}", said.out);
}

#[test]
fn programs_read_the_same() {
    let file = schema("small.json");
    let said = gpu_doctor(&["request", "--schema", &file, "--operation", "/asr/xyz", "--format", "json"], &[]);
    let report = said.report();
    assert_eq!(report["format"], "gpu-doctor/request/v1");
    let request = &report["requests"][0];
    assert_eq!((&request["method"], &request["valid"]), (&json!("POST"), &json!(true)));
    let lang = request["fields"].as_array().unwrap().iter().find(|field| field["name"] == "lang").unwrap();
    assert_eq!(
        lang,
        &json!({ "name": "lang", "place": "form", "required": true, "kind": "", "value": "en", "source": "enum", "guess": false })
    );
    assert_eq!(request["body"]["beams"], 2);
    assert_eq!(request["credentials"].as_array().unwrap().len(), 2);
}

#[test]
fn a_server_is_asked_for_its_description_only_and_its_secrets_stay_unsaid() {
    let text = std::fs::read_to_string(schema("small.json")).unwrap();
    let server = ScriptedServer::start(move |request, stream| {
        let (status, body) = match request.target.as_str() {
            "/openapi.json" => ("200 OK", text.as_str()),
            _ => ("404 Not Found", "{}"),
        };
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    });
    let url = server.url();
    let said = gpu_doctor(
        &[
            "request",
            "--server",
            &url,
            "--format",
            "json",
            "--operation",
            "/asr/{model}",
            "--field",
            "api_key=0123456789abcdef",
        ],
        &[],
    );
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(server.received().iter().all(|request| request.method == "GET"), "{:?}", server.received());
    assert!(!said.out.contains("0123456789abcdef"), "{}", said.out);
    let report: Value = said.report();
    assert_eq!(report["requests"][0]["credentials"], json!([]), "the key was given");
    assert!(report["requests"][0]["curl"].as_str().unwrap().contains(&url), "{report}");
}

#[test]
fn yaml_is_read_and_what_is_no_document_is_refused_with_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let yaml = "openapi: 3.0.0\npaths:\n  /x:\n    post:\n      responses:\n        200: {description: ok}\n      parameters:\n        - {name: n, in: query, required: true, schema: {type: integer, minimum: 4}}\n";
    let said = gpu_doctor(&["request", "--schema", &write("a.yaml", yaml.as_bytes())], &[]);
    assert!(said.out.contains("/x?n=4"), "{}{}", said.out, said.err);
    let deep = format!("{{\"openapi\":\"3.0.0\",\"paths\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let levels =
        (1..40).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(",")));
    let bomb = format!("a0: &a0 x\n{}", levels.collect::<String>());
    for (name, bytes, word) in [
        ("html", &b"<!doctype html>"[..], "HTML"),
        ("empty", b"", "invalid JSON"),
        ("other", b"a: 1\n", "expected an OpenAPI"),
        ("bomb", bomb.as_bytes(), "expected JSON or YAML"),
        ("deep", deep.as_bytes(), "recursion limit"),
        ("latin", b"openapi: 3.0.0\npaths: {x: \xff}\n", "expected JSON or YAML"),
    ] {
        let said = gpu_doctor(&["request", "--schema", &write(name, bytes)], &[]);
        assert_eq!(said.code, 64, "{name}: {}", said.out);
        assert!(said.err.contains(word), "{name}: {}", said.err);
    }
    let large = folder.path().join("large.json");
    std::fs::File::create(&large).unwrap().set_len(100 << 20).unwrap();
    let said = gpu_doctor(&["request", "--schema", large.to_str().unwrap()], &[]);
    assert!(said.code == 64 && said.err.contains("larger than 33554432 bytes"), "{}", said.err);
}

#[test]
fn a_description_of_100_mb_is_refused_while_it_streams() {
    let server = ScriptedServer::start(|request, stream| {
        if request.target != "/openapi.json" {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n{\"openapi\":\"3.0.0\",\"x\":\"");
        let piece = [b'a'; 1 << 16];
        while stream.write_all(&piece).is_ok() {}
    });
    let said = gpu_doctor(&["request", "--server", &server.url()], &[]);
    assert_eq!(said.code, 64, "{}", said.out);
    assert!(said.err.contains("expected an OpenAPI document, got more than"), "{}", said.err);
}
