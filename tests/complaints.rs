//! Rejections of real servers that name nothing: the field is found in the server's source, its log, or by its content type.

mod setup;

use serde_json::Value;
use setup::doctor::{causes, gpu_doctor};
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server in a folder of its own that writes its log there; it ends with this.
struct Started {
    child: Child,
    folder: tempfile::TempDir,
    url: String,
}

impl Drop for Started {
    fn drop(&mut self) {
        // SAFETY: the group is the child's own.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        let _ = self.child.wait();
    }
}

/// Starts a program with its port as the only argument, and waits until it listens.
fn start(python: &Path, program: &str) -> Started {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("server.py");
    std::fs::write(&script, program).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = File::create(folder.path().join("server.log")).unwrap();
    let mut command = Command::new(python);
    command.arg(&script).arg(port.to_string()).current_dir(folder.path()).process_group(0);
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let mut child = command.spawn().expect("the server starts");
    let end = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let log = || std::fs::read_to_string(folder.path().join("server.log")).unwrap_or_default();
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < end, "the server does not come up: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    Started { child, folder, url: format!("http://127.0.0.1:{port}") }
}

impl Started {
    /// The room of the requests, and the causes of a run, for the client's request with these options of curl.
    fn examined(&self, path: &str, options: &str) -> (Value, Vec<String>) {
        let client = self.folder.path().join("client.txt");
        std::fs::write(&client, format!("curl {}{path} {options}\n", self.url)).unwrap();
        let out = self.folder.path().join("snapshot.json");
        let target = ["--server", &self.url, "--client-request", client.to_str().unwrap(), "--requests", "2"];
        let said = gpu_doctor(&[&["collect", "--only", "request"], &target[..]].concat(), &[]);
        std::fs::write(&out, &said.out).unwrap();
        let snapshot: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}", said.err));
        let report = gpu_doctor(&["diagnose", out.to_str().unwrap(), "--format", "json"], &[]).report();
        // What else is wrong with this machine is not meant here.
        let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks/request");
        let about_requests = |id: &&str| checks.join(format!("{id}.yaml")).exists();
        let found = causes(&report).into_iter().filter(about_requests).map(str::to_owned).collect();
        (snapshot["facts"]["request"].clone(), found)
    }
}

fn python3() -> PathBuf {
    PathBuf::from("python3")
}

/// The one missing field: its name, its place and how it was found.
fn missing(request: &Value) -> (&str, &str, &str) {
    let found =
        request["missing_fields"]["known"].as_array().unwrap_or_else(|| panic!("{:#}", request["missing_fields"]));
    assert_eq!(found.len(), 1, "{found:?}");
    let text = |key: &str| found[0][key].as_str().unwrap();
    (text("name"), text("place"), text("found_by"))
}

fn attempts(request: &Value) -> usize {
    request["attempts"]["known"].as_array().unwrap().len()
}

/// Fails as frameworks do, with the field's name in its log alone.
const LOGGING: &str = r#"
import http.server, json, sys, traceback

WANTED = "la" + "ng"

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            if self.path == "/broken":
                raise RuntimeError("the model's file is gone")
            status, answer = 200, json.dumps({"label": body[WANTED]})
        except Exception:
            traceback.print_exc()
            status, answer = 500, "Internal Server Error"
        self.send_response(status)
        self.send_header("content-type", "application/json" if status == 200 else "text/plain")
        self.end_headers()
        self.wfile.write(answer.encode())

    def do_GET(self):
        self.send_error(404)

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

#[test]
fn a_key_that_only_the_log_names_is_found_there_and_the_500_is_called_by_its_name() {
    let server = start(&python3(), LOGGING);
    let (request, causes) = server.examined("/predict", "--json '{\"text\": \"hello\"}'");
    assert_eq!(missing(&request), ("lang", "json", "the server's log names it"));
    assert_eq!(request["rejection_kind"]["known"], "server_error");
    assert_eq!(request["rejection_failure"]["known"], "KeyError: 'lang'");
    assert_eq!(causes.first().map(String::as_str), Some("required-field-missing"), "{causes:?}");
    assert!(causes.iter().any(|cause| cause == "contract-error-masked-as-5xx"), "{causes:?}");
    assert!(attempts(&request) <= 3, "{request:#}");
}

#[test]
fn a_500_to_every_request_is_the_servers_own_and_told_with_what_its_log_says() {
    let server = start(&python3(), LOGGING);
    let (request, causes) = server.examined("/broken", "--json '{\"text\": \"hello\"}'");
    assert_eq!(request["rejection_failure"]["known"], "RuntimeError: the model's file is gone");
    assert_eq!(causes.first().map(String::as_str), Some("all-requests-rejected"), "{causes:?}");
    assert!(!causes.iter().any(|cause| cause == "contract-error-masked-as-5xx"), "{causes:?}");
    assert!(attempts(&request) < 12, "{request:#}");
}

/// Waits for another server in each request.
const FETCHING: &str = r#"
import http.server, sys, threading, time, urllib.request

class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.6)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        fetched = urllib.request.urlopen(f"http://127.0.0.1:{slow.server_port}/").read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"label": "x"}')

slow = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=slow.serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"#;

#[test]
fn a_server_that_fetches_from_another_in_each_request_is_seen_to_wait() {
    let server = start(&python3(), FETCHING);
    let (_, causes) = server.examined("/predict", "--json '{\"text\": \"hello\"}'");
    assert!(causes.iter().any(|cause| cause == "remote-fetch-in-request"), "{causes:?}");
}

/// Flask without debug mode: a bare page for a form, a bare 500 for JSON.
const FLASK: &str = r#"
import sys
from flask import Flask, jsonify, request
app = Flask(__name__)

@app.post("/asr")
def asr():
    audio = request.files["audio"].read()
    return jsonify(n=len(audio), lang=request.form["lang"])

@app.post("/score")
def score():
    body = request.get_json()
    return jsonify(n=len(body["text"]), lang=body["lang"])

app.run(host="127.0.0.1", port=int(sys.argv[1]))
"#;

#[test]
fn flasks_bare_page_is_solved_by_its_source() {
    let Some(venv) = setup::venv::venv("flask") else { return };
    let server = start(&venv.join("bin/python"), FLASK);
    let (request, causes) = server.examined("/asr", "-F audio=@builtin:speech.wav");
    let (name, place, found_by) = missing(&request);
    assert_eq!((name, place), ("lang", "form"));
    assert!(found_by.starts_with("the server's source reads it: ") && found_by.ends_with("server.py:9"), "{found_by}");
    assert_eq!(request["rejection_kind"]["known"], "unnamed");
    assert_eq!(causes, ["required-field-missing", "field-name-lost-in-error"]);
    let alone = gpu_doctor(&["collect", "--only", "request", "--server", &server.url, "--requests", "2"], &[]);
    let alone: Value = serde_json::from_str(&alone.out).unwrap();
    let good = &alone["facts"]["request"]["good"]["known"];
    assert_eq!(
        (&good["status"]["known"], &good["path"]),
        (&200.into(), &"/asr".into()),
        "without any schema: {good:#}"
    );
    let (request, causes) = server.examined("/score", "--json '{\"text\": \"x\"}'");
    assert_eq!(missing(&request).0, "lang");
    assert_eq!(causes, ["required-field-missing", "contract-error-masked-as-5xx"]);
    let (request, causes) = server.examined("/score", "-d '{\"text\": \"x\", \"lang\": \"en\"}'");
    assert_eq!(request["content_type_faults"]["known"][0]["wanted"], "application/json", "{request:#}");
    assert_eq!(causes, ["wrong-content-type"]);
}

const LITSERVE: &str = r#"
import sys
import litserve as ls

class Api(ls.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["text"], request["lang"]

    def predict(self, inputs):
        return len(inputs[0])

    def encode_response(self, output):
        return {"n": output}

if __name__ == "__main__":
    server = ls.LitServer(Api(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, num_api_servers=1)
"#;

#[test]
fn litserves_500_is_solved_by_its_source() {
    let Some(venv) = setup::venv::venv("litserve") else { return };
    let server = start(&venv.join("bin/python"), LITSERVE);
    std::thread::sleep(Duration::from_secs(3));
    let (request, causes) = server.examined("/predict", "--json '{\"text\": \"hello\"}'");
    let (name, place, found_by) = missing(&request);
    assert_eq!((name, place), ("lang", "json"), "{found_by}");
    assert!(found_by.contains("source") || found_by.contains("log"), "{found_by}");
    assert_eq!(causes.first().map(String::as_str), Some("required-field-missing"), "{causes:?}");
    assert!(causes.iter().any(|cause| cause == "contract-error-masked-as-5xx"), "{causes:?}");
}

/// FastAPI that shows no schema, and reads the form itself.
const FASTAPI: &str = r#"
import sys
import uvicorn
from fastapi import FastAPI, Form, Request
app = FastAPI(openapi_url=None)

@app.post("/form")
async def form(request: Request):
    form = await request.form()
    return {"n": len(form["text"]), "lang": form["lang"]}

@app.post("/typed")
async def typed(text: str = Form(...), lang: str = Form(...)):
    return {"n": len(text), "lang": lang}

uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"#;

#[test]
fn a_form_that_fastapi_code_reads_itself_is_solved_by_its_source_and_a_wrong_content_type_by_trying() {
    let Some(venv) = setup::venv::venv("cpu") else { return };
    let server = start(&venv.join("bin/python"), FASTAPI);
    let (request, _) = server.examined("/form", "-d text=hello");
    let (name, place, found_by) = missing(&request);
    assert_eq!((name, place), ("lang", "form"));
    assert!(found_by.contains("server.py:10"), "{found_by}");
    let (request, causes) = server.examined("/typed", "--json '{\"text\": \"hello\", \"lang\": \"en\"}'");
    assert_eq!(request["rejection_kind"]["known"], "content_type");
    assert_eq!(request["missing_fields"]["known"].as_array().map(Vec::len), Some(0), "{request:#}");
    assert_eq!(causes, ["wrong-content-type"]);
}
