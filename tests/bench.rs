//! `bench` through the binary, against the users' speech endpoint: a bearer token, sound in base64 or a URL and never
//! both, errors inside of answers with status 200.

mod setup;

use serde_json::Value;
use setup::doctor::{Said, gpu_doctor};
use setup::real_server::{self, Server, free_port, uvicorn};
use setup::venv::venv;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The endpoint beside the service's own, and a line for each of its answers. The file `delay` makes it slower.
const ENDPOINT: &str = r#"

from fastapi import Request
from fastapi.responses import JSONResponse


@app.post("/")
def endpoint(request: Request, inputs: dict):
    if request.headers.get("authorization") != "Bearer " + os.environ["ENDPOINT_TOKEN"]:
        return JSONResponse({"detail": "unauthorized"}, 401)
    started = time.time()
    audio, url = inputs.get("audio_file"), inputs.get("url")
    if audio and url:
        return {"error": "Only a base64 audio file OR a URL can be passed to the API."}
    if not audio and not url:
        return {"error": "Please provide either an audio file in base64 string format or a URL."}
    with open("record", "a") as file:
        file.write(f"{request.client.port}\n")
    infer(decode(base64.b64decode(audio))[:FRAME])
    time.sleep(float(open("delay").read()))
    return {"text": "", "inference_time_ms": (time.time() - started) * 1000}


@app.middleware("http")
async def timed(request, call_next):
    started = time.perf_counter()
    answer = await call_next(request)
    answer.headers["X-Process-Time"] = str(time.perf_counter() - started)
    return answer
"#;

const TOKEN: &str = "S3CRET-7f0c39c0b298";

/// Benchmarks need the cores for themselves.
static ALONE: Mutex<()> = Mutex::new(());

struct Endpoint {
    server: Server,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

fn start() -> Option<Endpoint> {
    start_on(&[])
}

/// The same with further variables.
fn start_on(variables: &[(&str, PathBuf)]) -> Option<Endpoint> {
    let venv = venv("cpu")?;
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let code = std::fs::read_to_string(real_server::folder("asr").join("app.py")).unwrap();
    std::fs::write(folder.path().join("app.py"), code + ENDPOINT).unwrap();
    std::fs::write(folder.path().join("delay"), "0.04").unwrap();
    let port = free_port();
    let mut command = uvicorn(&venv, port);
    command.current_dir(folder.path()).env("ENDPOINT_TOKEN", TOKEN);
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_path())));
    let server = real_server::start(command, "/health", port);
    let endpoint = Endpoint { server, folder, _alone: alone };
    endpoint.client("client.py", "speech.wav", "");
    Some(endpoint)
}

impl Endpoint {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The users' own Locust file, with this sound.
    fn client(&self, name: &str, sound: &str, more: &str) {
        use base64::Engine;
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples").join(sound);
        let sound = base64::engine::general_purpose::STANDARD.encode(std::fs::read(sample).unwrap());
        let text = format!(
            r#"from locust import HttpUser, task, constant

class WhisperUser(HttpUser):
    wait_time = constant(1)

    @task
    def test_whisper_inference(self):
        headers = {{"Content-Type": "application/json"}}
        payload = {{"audio_file": "{sound}"{more}}}
        response = self.client.post("/", json=payload, headers=headers)
"#
        );
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let client = self.path("client.py");
        let fixed = ["bench", "--only", "request", "--server", &self.server.url, "--bearer-env", "ENDPOINT_TOKEN"];
        let named = if more.contains(&"--client-request") { vec![] } else { vec!["--client-request", client.as_str()] };
        fixed.iter().chain(&named).chain(more).map(|word| (*word).to_owned()).collect()
    }

    fn said(&self, more: &[&str]) -> Said {
        self.said_with(more, &[])
    }

    fn said_with(&self, more: &[&str], variables: &[(&str, PathBuf)]) -> Said {
        let arguments = self.arguments(more);
        let variables = [&[("ENDPOINT_TOKEN", PathBuf::from(TOKEN))], variables].concat();
        let said = gpu_doctor(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), &variables);
        assert!(!said.out.contains(TOKEN) && !said.err.contains(TOKEN), "the token was told");
        said
    }

    fn bench(&self, more: &[&str]) -> Value {
        let said = self.said(&[&["--format", "json"], more].concat());
        assert_eq!(said.err, "", "{}", said.out);
        said.report()
    }

    fn text(&self, more: &[&str]) -> String {
        self.said(more).out.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn delay(&self, seconds: &str) {
        std::fs::write(self.folder.path().join("delay"), seconds).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// The users' benchmark: token, wait, exclusive fields, their table.
#[test]
fn the_users_benchmark_with_its_table() {
    let Some(endpoint) = start() else { return };
    let [table, rows, saved] = ["t4_benchmark.csv", "requests.csv", "run.json"].map(|name| endpoint.path(name));
    let files = ["--csv", &table, "--requests-csv", &rows, "--save", &saved];
    let plan = ["--count", "30", "--wait", "20ms", "--warm-up", "5", "--gpu", "T4"];
    let report = endpoint.bench(&[&plan[..], &files[..]].concat());
    let (load, bench) = (&report["load"], &report["load"]["bench"]);
    let step = &load["steps"][0];
    assert_eq!((load["command"].as_str(), load["stopped_by"].as_str()), (Some("bench"), Some("")), "{load}");
    assert_eq!((&step["requests"], &step["ok"], &step["users"]), (&30.into(), &30.into(), &1.into()), "{step}");
    assert_eq!((&load["warm_up_requests"], &load["think_time_ms"]), (&5.into(), &20.0.into()));
    // As the server saw it: one connection for what was measured, one for the warm-up before.
    let record = endpoint.read("record");
    let ports: Vec<&str> = record.lines().collect();
    assert!(ports[ports.len() - 30..].iter().all(|port| port == ports.last().unwrap()), "{ports:?}");
    let warm = &ports[ports.len() - 35..ports.len() - 30];
    assert!(warm.iter().all(|port| *port == warm[0] && port != ports.last().unwrap()), "{ports:?}");
    // The columns of the users' own table.
    let mean = number(&bench["server_ms"]["mean"]);
    assert!(mean > 40.0 && mean < number(&bench["latency_ms"]["mean"]), "{bench}");
    let table = endpoint.read("t4_benchmark.csv");
    assert_eq!(table.lines().next(), Some("GPU,Avg Inference Time (ms),Requests Per Second"));
    assert_eq!(table.lines().nth(1), Some(format!("T4,{mean:.3},{:.4}", 1e3 / mean).as_str()), "{table}");
    assert_eq!(table.lines().count(), 2);
    // Thirty values: a median with its range, and no 99th percentile.
    let percentiles = bench["latency_ms"]["percentiles"].as_array().unwrap();
    let [low, high] = [0, 1].map(|end| number(&percentiles[0]["between_95_percent"][end]));
    let median = number(&percentiles[0]["value"]);
    assert!(low <= median && median <= high && low < high, "{percentiles:?}");
    assert!(percentiles[3]["value"].is_null() && percentiles[4]["value"].is_null(), "{percentiles:?}");
    assert!(percentiles[3]["between_95_percent"].is_null());
    // With the wait it is slower than a user without it would be.
    assert!(number(&step["throughput_rps"]) < 0.85 * number(&bench["rps_without_wait"]), "{bench}");
    // A row for each request, which triage reads.
    let requests = endpoint.read("requests.csv");
    assert_eq!(requests.lines().next(), Some("timestamp,status,latency_ms,inference_time_ms,error"));
    let of = |line: &str, column: usize| line.split(',').nth(column).unwrap().parse::<f64>().unwrap();
    let all: Vec<&str> = requests.lines().skip(1).collect();
    assert_eq!(all.len(), 30);
    assert!(all.iter().all(|line| of(line, 1) == 200.0 && of(line, 3) < of(line, 2) && line.ends_with(',')), "{all:?}");
    assert!(all.windows(2).all(|two| of(two[1], 0) - of(two[0], 0) > 0.06), "{all:?}");
    let triaged = gpu_doctor(&["triage", &rows, "--format", "json"], &[]).report();
    assert_eq!(triaged["recorded"]["requests"]["known"]["count"], 30, "{}", triaged["recorded"]);
    // What was run can be run again, and a replay tells the same.
    let snapshot = endpoint.read("run.json");
    assert!(!snapshot.contains(TOKEN) && !requests.contains(TOKEN));
    let command = report["target"]["command"].as_array().unwrap();
    assert_eq!((&command[0], &command[1], &command[2]), (&"bench".into(), &"--count".into(), &"30".into()));
    let again = gpu_doctor(&["diagnose", &saved, "--only", "request", "--format", "json"], &[]).report();
    assert_eq!(again["load"]["bench"]["latency_ms"], bench["latency_ms"]);
}

#[test]
fn a_run_is_told_from_one_that_is_slower_and_from_noise() {
    let Some(endpoint) = start() else { return };
    endpoint.delay("0.2");
    let saved = endpoint.path("before.json");
    let plan = ["--count", "25", "--warm-up", "3"];
    endpoint.bench(&[&plan[..], &["--save", &saved]].concat());
    let against = [&plan[..], &["--against", &saved]].concat();
    let same = endpoint.bench(&against)["load"]["bench"]["against"].clone();
    assert_eq!(same["circumstances"].as_array().unwrap().len(), 0, "{same}");
    let of = |told: &Value, figure: &str| {
        let all = told["differences"].as_array().unwrap();
        all.iter().find(|one| one["figure"] == figure).cloned().unwrap_or_else(|| panic!("no {figure}: {told}"))
    };
    for figure in ["mean ms", "server mean ms", "accepted %"] {
        assert_eq!(of(&same, figure)["verdict"], "noise", "{same}");
    }
    // Twice as long in the server.
    endpoint.delay("0.4");
    let slower = endpoint.bench(&against)["load"]["bench"]["against"].clone();
    assert_eq!(slower["verdict"], "worse", "{slower}");
    let ratio = number(&of(&slower, "server mean ms")["ratio"]);
    assert!((1.8..2.1).contains(&ratio), "{slower}");
    assert!(slower["headline"].as_str().unwrap().contains("x slower: a request took 2"), "{slower}");
    assert_eq!(of(&slower, "accepted %")["verdict"], "noise");
    // Another input, another place of the server's time, another wait: said, not passed over.
    endpoint.client("other.py", "speech.wav", ", \"language\": \"en\"");
    let other = endpoint.path("other.py");
    let other = ["--client-request", &other, "--server-time-header", "X-Process-Time", "--wait", "5ms"];
    let text = endpoint.text(&[&against[..], &other[..]].concat());
    for told in [
        "what is sent: another path, other fields or another input",
        "the server's own time stands in: the answer's field inference_time_ms before, the header x-process-time after",
        "wait between requests: 0 ms before, 5 ms after",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(text.contains("server's own time of the request"), "{text}");
}

#[test]
fn a_run_is_held_against_what_is_usual() {
    let Some(endpoint) = start() else { return };
    let plan = ["--count", "6", "--warm-up", "1"];
    let text = endpoint.text(&[&plan[..], &["--baseline", "whisper large v3", "--gpu", "T4"]].concat());
    assert!(text.contains("x faster than a T4 usually is: Whisper large-v3 took 4"), "{text}");
    assert!(text.contains("which GPU it is was named, and not seen"), "{text}");
    // Rows of one's own, by option and by the config file.
    let rows = "- {model: Mine, called: [mine], conditions: one short sound, source: me, mean_ms: {L4: 20}}";
    std::fs::write(endpoint.folder.path().join("rows.yaml"), rows).unwrap();
    std::fs::write(endpoint.folder.path().join("config.yaml"), format!("baselines: {}\n", endpoint.path("rows.yaml")))
        .unwrap();
    for (flag, file) in [("--baselines", "rows.yaml"), ("--config", "config.yaml")] {
        let file = endpoint.path(file);
        let report = endpoint.bench(&[&plan[..], &[flag, &file, "--baseline", "mine", "--gpu", "NVIDIA L4"]].concat());
        let told = &report["load"]["bench"]["baseline"];
        assert!(number(&told["ratio"]) > 1.9 && number(&told["usual_ms"]) == 20.0, "{told}");
        assert!(
            told["because"].as_str().unwrap().contains("x slower than a L4 usually is: Mine took 4")
                || told["because"].as_str().unwrap().contains("x slower than an L4 usually is: Mine took 4"),
            "{told}"
        );
        assert!(report["target"]["command"].as_array().unwrap().contains(&"--baseline".into()));
    }
    // Neither the model nor the GPU is told: what to name is said, and nothing is made up.
    let report = endpoint.bench(&[&plan[..], &["--baseline"]].concat());
    let told = &report["load"]["bench"]["baseline"];
    assert!(told["ratio"].is_null(), "{told}");
    assert!(told["because"].as_str().unwrap().contains("--baseline MODEL names the model (Whisper large-v3"), "{told}");
}

/// The fake driver's GPU computes while the server does.
#[test]
fn the_gpu_is_watched_and_named_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let [activity, pid] = ["activity", "pid"].map(|name| folder.path().join(name));
    let Some(endpoint) = start_on(&[("ASR_ACTIVITY_FILE", activity.clone())]) else { return };
    std::fs::write(&pid, endpoint.server.pid().to_string()).unwrap();
    let mut variables = setup::driver_variables(&setup::scenario("following-activity")).to_vec();
    variables.extend([("GPU_DOCTOR_FAKE_ACTIVITY", activity), ("GPU_DOCTOR_FAKE_SERVER_PID", pid)]);
    let table = endpoint.path("table.csv");
    let said = endpoint.said_with(&["--format", "json", "--duration", "2s", "--csv", &table], &variables);
    let load = said.report()["load"].clone();
    assert_eq!(load["bench"]["gpus"], serde_json::json!(["NVIDIA H100 80GB HBM3"]), "{load}");
    assert!(number(&load["steps"][0]["gpus"][0]["utilization_percent"]) > 30.0, "{load}");
    assert!(endpoint.read("table.csv").lines().nth(1).unwrap().starts_with("NVIDIA H100 80GB HBM3,4"));
}

#[test]
fn what_was_measured_before_an_interrupt_is_written_and_told() {
    let Some(endpoint) = start() else { return };
    let (table, rows) = (endpoint.path("table.csv"), endpoint.path("rows.csv"));
    let arguments =
        endpoint.arguments(&["--format", "json", "--wait", "30s", "--csv", &table, "--requests-csv", &rows]);
    let program = Command::new(setup::GPU_DOCTOR)
        .args(arguments)
        .env("ENDPOINT_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = i32::try_from(program.id()).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let written = || std::fs::read_to_string(&rows).unwrap_or_default().lines().count() > 1;
    while !written() {
        assert!(Instant::now() < end, "nothing was written while it ran");
        std::thread::sleep(Duration::from_millis(50));
    }
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(id, libc::SIGINT) };
    let interrupted = Instant::now();
    let output = program.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < Duration::from_secs(8), "it waited for the next request");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["load"]["stopped_by"], "interrupted", "{}", report["load"]);
    assert_eq!(report["load"]["steps"][0]["ok"], 1);
    assert_eq!(report["load"]["bench"]["latency_ms"]["std_dev"], Value::Null);
    assert_eq!(endpoint.read("rows.csv").lines().count(), 2);
    let table = endpoint.read("table.csv");
    assert!(table.lines().nth(1).is_some_and(|row| row.starts_with("unknown,4")), "{table}");
}

/// A refusal that comes with status 200 is no success, and has no time.
#[test]
fn fields_that_exclude_one_another_are_no_benchmark() {
    let Some(endpoint) = start() else { return };
    endpoint.client("both.py", "speech.wav", ", \"url\": \"http://127.0.0.1:9/a.mp3\"");
    let (both, table) = (endpoint.path("both.py"), endpoint.path("table.csv"));
    let report = endpoint.bench(&["--client-request", &both, "--count", "5", "--csv", &table]);
    assert_eq!(report["verdict"], "unhealthy", "{}", report["headline"]);
    assert_eq!(endpoint.read("table.csv"), "GPU,Avg Inference Time (ms),Requests Per Second\n");
    assert!(report["load"]["unmade"].as_str().is_some_and(|why| why.contains("no request was accepted")), "{report}");
    // What is not there is said: a time that no answer tells.
    let text = endpoint.text(&["--count", "5", "--warm-up", "0", "--server-time", "timing.gpu_ms"]);
    assert!(text.contains("no accepted answer tells a time in the answer's field timing.gpu_ms"), "{text}");
    assert!(text.contains("Left out: no warm-up") && text.contains("all alike, so that a cache may have"), "{text}");
}

/// Said before anything is sent.
#[test]
fn what_cannot_be_benchmarked_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let refused = |arguments: &[&str]| {
        let said = gpu_doctor(&[&["bench"], arguments].concat(), &[] as &[(&str, PathBuf)]);
        assert_eq!(said.code, 64, "{} {}", said.out, said.err);
        assert!(said.took < Duration::from_secs(5));
        said.err.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let with = |more: &[&str]| refused(&[&["--server", "http://127.0.0.1:9"], more].concat());
    assert!(refused(&[]).contains("--server URL"));
    let folder_name = folder.path().display().to_string();
    std::fs::write(path("there.csv"), "kept").unwrap();
    assert!(with(&["--csv", &path("there.csv")]).contains("there already"));
    assert!(with(&["--requests-csv", &path("there.csv")]).contains("there already"));
    assert!(with(&["--csv", &folder_name]).contains("this is a folder"));
    assert!(with(&["--csv", &path("none/a.csv")]).contains("No such file"));
    assert!(with(&["--csv", "/dev/full"]).contains("there already"));
    let same = path("same.csv");
    assert!(with(&["--csv", &same, "--requests-csv", &same]).contains("name the same file"));
    let left = with(&["--csv", &path("left.csv"), "--requests-csv", &path("there.csv")]);
    assert!(left.contains("there already") && !Path::new(&path("left.csv")).exists(), "no empty file is left");
    assert_eq!(std::fs::read_to_string(path("there.csv")).unwrap(), "kept");
    assert!(with(&["--count", "0"]).contains("0"));
    assert!(with(&["--server-time", "model"]).contains("write model:ms or model:s"));
    assert!(with(&["--server-time-header", "Server-Timing"]).contains("server-timing.infer"));
    assert!(with(&["--baseline", "resnet"]).contains("there are Whisper large-v3, Stable Diffusion XL, Llama 3"));
    assert!(with(&["--baselines", &path("there.csv")]).contains("cannot be read"));
    assert!(with(&["--against", &path("none.json")]).contains("No such file"));
    assert!(with(&["--against", &path("there.csv")]).contains("not JSON"));
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/healthy-server.json");
    assert!(with(&["--against", &base.display().to_string()]).contains("holds no benchmark"));
    let elsewhere = refused(&["--server", "http://192.0.2.1:8000"]);
    assert!(elsewhere.contains("192.0.2.1 is not this machine") && elsewhere.contains("--count 74"), "{elsewhere}");
}
