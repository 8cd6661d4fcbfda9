//! `stress` through the binary, against the users' speech server with a record of its own.

mod files;
mod memory;
#[path = "../setup/mod.rs"]
mod setup;

use serde_json::Value;
use setup::doctor::{Said, gpu_doctor};
use setup::real_server::{self, Server, free_port, uvicorn};
use setup::venv::venv;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A line for each request: port of the client, path, digest of the body, status. Past a number it answers 503; while there
/// is a file `stall`, it does not answer.
const RECORD: &str = r#"

import asyncio
import hashlib

from fastapi.responses import JSONResponse

seen = 0


@app.middleware("http")
async def record(request, call_next):
    global seen
    body = await request.body()
    if request.url.path == "/asr":
        seen += 1
    most = int(os.environ.get("ASR_MOST", "0"))
    if request.url.path == "/asr" and os.path.exists("stall"):
        await asyncio.sleep(60)
    answer = JSONResponse({"detail": "busy"}, 503) if most and seen > most else await call_next(request)
    with open("record", "a") as file:
        digest = hashlib.sha1(body).hexdigest()
        file.write(f"{request.client.port} {request.url.path} {digest} {answer.status_code}\n")
    return answer
"#;

/// Loads need the cores for themselves.
static ALONE: Mutex<()> = Mutex::new(());

struct Recorded {
    server: Server,
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// One request as the server saw it.
#[derive(Debug, Clone)]
struct Line {
    port: String,
    digest: String,
}

fn start(most: u32) -> Option<Recorded> {
    start_on(most, &[])
}

/// The same with further variables.
fn start_on(most: u32, variables: &[(&str, PathBuf)]) -> Option<Recorded> {
    let venv = venv("cpu")?;
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let code = std::fs::read_to_string(real_server::folder("asr").join("app.py")).unwrap();
    std::fs::write(folder.path().join("app.py"), code + RECORD).unwrap();
    let port = free_port();
    let mut command = uvicorn(&venv, port);
    command.current_dir(folder.path()).env("ASR_MOST", most.to_string());
    command.envs(variables.iter().map(|(name, value)| (*name, value.as_path())));
    Some(Recorded { server: real_server::start(command, "/health", port), folder, _alone: alone })
}

impl Recorded {
    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["stress", "--format", "json", "--only", "request", "--field", "lang=en"];
        all.extend(["--server", self.server.url.as_str()]);
        all.extend(more);
        all
    }

    fn stress(&self, more: &[&str]) -> (Said, Value) {
        let said = gpu_doctor(&self.arguments(more), &[]);
        let report = said.report();
        (said, report)
    }

    fn record(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.folder.path().join("record")).unwrap_or_default();
        let line = |line: &str| {
            let [port, "/asr", digest, _] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
            Some(Line { port: port.into(), digest: digest.into() })
        };
        text.lines().filter_map(line).collect()
    }
}

fn digests(lines: &[Line]) -> usize {
    lines.iter().map(|line| &line.digest).collect::<BTreeSet<_>>().len()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no number: {value}"))
}

#[test]
fn each_step_counts_what_the_server_saw() {
    let Some(server) = start(0) else { return };
    let (_, report) = server.stress(&["--users", "1,3", "--duration", "2s"]);
    let load = &report["load"];
    let steps = load["steps"].as_array().unwrap_or_else(|| panic!("{load}"));
    assert_eq!((load["stopped_by"].as_str(), steps.len()), (Some(""), 2), "{load}");
    let record = server.record();
    // Each user has one connection, and the steps came last.
    let mut ports: Vec<&String> = Vec::new();
    record.iter().for_each(|line| {
        if !ports.contains(&&line.port) {
            ports.push(&line.port);
        }
    });
    let (before, last) = ports.split_at(ports.len() - 3);
    let batches = load["warm_up_medians_ms"].as_array().unwrap().len();
    assert!((2..=20).contains(&batches), "{load}");
    let of = |ports: &[&String]| -> Vec<Line> {
        record.iter().filter(|line| ports.contains(&&line.port)).cloned().collect()
    };
    for (step, lines, users) in [(&steps[0], of(&before[before.len() - 1..]), 1), (&steps[1], of(last), 3)] {
        assert_eq!(number(&step["users"]), users);
        assert_eq!(number(&step["requests"]), lines.len() as u64, "{step}");
        assert_eq!((number(&step["ok"]), number(&step["failed"])), (lines.len() as u64, 0));
        assert_eq!(number(&step["by_status"]["200"]), lines.len() as u64);
        let different = number(&load["distinct_payloads"]).min(lines.len() as u64);
        assert_eq!(digests(&lines) as u64, different, "no body came twice");
        assert!(different > 5, "{step}");
        // The server's own time lies within the request's.
        let (own, all) =
            (step["server_ms"]["median"].as_f64().unwrap(), step["latency_ms"]["median"].as_f64().unwrap());
        assert!(own > 1.0 && own < all, "{own} {all}");
        assert!(step["server_cores"].as_f64().unwrap() > 0.1, "{step}");
        // Little's law.
        let busy = step["in_flight_mean"].as_f64().unwrap();
        assert!((busy / users as f64 - 1.0).abs() < 0.1, "{busy}");
    }
    let warmed = number(&load["warm_up_requests"]);
    let first = before.len() - 1;
    assert_eq!(of(&before[first - batches..first]).len() as u64, warmed, "a batch has a connection");
    for step in steps {
        assert!(["healthy", "degraded", "overloaded"].contains(&step["verdict"].as_str().unwrap()), "{step}");
        assert_eq!(step["success_percent"], 100.0);
    }
    assert!(load["knee_because"].as_str().unwrap().contains("three are needed"), "{load}");
}

#[test]
fn it_ends_by_itself_where_most_requests_fail_and_at_its_count() {
    let Some(server) = start(400) else { return };
    let (_, report) = server.stress(&["--users", "2", "--duration", "1s", "--max-requests", "30"]);
    let load = &report["load"];
    let step = &load["steps"][0];
    assert_eq!(load["stopped_by"], "requests", "{load}");
    assert_eq!(number(&step["requests"]) + number(&load["warm_up_requests"]), 30);
    let (_, report) = server.stress(&["--users", "4,8", "--duration", "60s", "--requests", "5"]);
    let load = &report["load"];
    assert_eq!(load["stopped_by"], "errors", "{load}");
    assert_eq!(load["steps"].as_array().unwrap().len(), 1, "no step follows");
    let step = &load["steps"][0];
    assert!(number(&step["by_status"]["503"]) > 50 && number(&step["by_status"]["503"]) < 250, "{step}");
    assert_eq!(number(&step["failed"]), number(&step["by_status"]["503"]));
}

#[test]
fn what_was_measured_before_an_interrupt_is_told_and_saved() {
    let Some(server) = start(0) else { return };
    let saved = server.folder.path().join("snapshot.json");
    let arguments = server.arguments(&["--users", "2,4", "--duration", "60s", "--save", saved.to_str().unwrap()]);
    let program = Command::new(setup::GPU_DOCTOR)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = i32::try_from(program.id()).unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    // The conversation sends few bodies, and the warm-up's batches ten each of the first ones.
    while digests(&server.record()) < 40 {
        assert!(Instant::now() < end, "no load came");
        std::thread::sleep(Duration::from_millis(50));
    }
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(id, libc::SIGINT) };
    let interrupted = Instant::now();
    let output = program.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < Duration::from_secs(8), "{:?}", interrupted.elapsed());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let load = &report["load"];
    assert_eq!(load["stopped_by"], "interrupted", "{load}");
    assert_eq!(load["steps"].as_array().unwrap().len(), 1);
    let step = &load["steps"][0];
    assert!(number(&step["ok"]) > 0 && step["seconds"].as_f64().unwrap() < 50.0, "{step}");
    assert_eq!(number(&step["requests"]), number(&step["ok"]), "open answers were waited for");
    let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
    assert_eq!(snapshot["facts"]["load"]["stopped_by"]["known"], "interrupted");
    let command: Vec<&str> =
        { snapshot["target"]["command"].as_array().unwrap().iter() }.map(|word| word.as_str().unwrap()).collect();
    assert_eq!((command[0], &command[command.len() - 4..]), ("stress", &["--users", "2,4", "--duration", "60s"][..]));
    let again = gpu_doctor(&["diagnose", saved.to_str().unwrap(), "--only", "request", "--format", "json"], &[]);
    assert_eq!(again.report()["load"], report["load"], "a replay tells the same");
}

/// The fake driver's GPU computes while the server does, and gets as hot as its scenario says.
#[test]
fn the_gpus_are_watched_in_each_step_and_one_that_is_too_hot_ends_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let [activity, pid, scenario] = ["activity", "pid", "scenario.yaml"].map(|name| folder.path().join(name));
    let Some(server) = start_on(0, &[("ASR_ACTIVITY_FILE", activity.clone())]) else { return };
    std::fs::write(&pid, server.server.pid().to_string()).unwrap();
    let base = std::fs::read_to_string(setup::scenario("following-activity")).unwrap();
    let mut variables = setup::driver_variables(&scenario).to_vec();
    variables.extend([("GPU_DOCTOR_FAKE_ACTIVITY", activity), ("GPU_DOCTOR_FAKE_SERVER_PID", pid)]);
    let stress = |temperatures: &str| {
        let text = base.replace("    temperature_celsius: 45\n", temperatures);
        assert_ne!(text, base);
        std::fs::write(&scenario, text).unwrap();
        let saved = folder.path().join("snapshot.json");
        let more = ["--users", "1,2", "--duration", "3s", "--save", saved.to_str().unwrap()];
        let said = gpu_doctor(&server.arguments(&more), &variables);
        let snapshot: Value = serde_json::from_str(&std::fs::read_to_string(&saved).unwrap()).unwrap();
        (said.report()["load"].clone(), snapshot["facts"]["load"].clone())
    };
    let (load, facts) = stress("    temperature_celsius: 46\n");
    assert_eq!(load["stopped_by"], "", "{load}");
    for (place, step) in load["steps"].as_array().unwrap().iter().enumerate() {
        let gpu = &step["gpus"][0];
        assert!(gpu["utilization_percent"].as_f64().unwrap() > 80.0, "{gpu}");
        assert!(gpu["power_watts"].as_f64().unwrap() > 400.0 && gpu["temperature_celsius"] == 46.0, "{gpu}");
        let phases = &facts["steps"]["known"][place]["gpus"]["known"][0]["utilization_percent"]["known"];
        // The idle time is the one before the first step, for every step.
        assert_eq!(phases["before"]["max"], 0.0, "{phases}");
        assert!(phases["before"]["samples"].as_u64().unwrap() > 10, "{phases}");
        assert!(number(&phases["during"]["samples"]) < 80, "another step's samples are not its own: {phases}");
    }
    let memory = &facts["memory"]["known"][0];
    assert_eq!(
        (memory["of"].as_str(), memory["pid"]["known"].as_u64()),
        (Some("resident"), Some(server.server.pid().into()))
    );
    let requests: Vec<u64> = memory["requests"].as_array().unwrap().iter().map(number).collect();
    assert!(
        requests.len() > 8 && requests[0] == 0 && requests.is_sorted() && requests.last() > Some(&30),
        "{requests:?}"
    );
    // From 90 °C on it slows down. It gets there in the first step: behind as many requests as came before one, and some.
    let steps = load["steps"].as_array().unwrap();
    let in_steps: u64 = steps.iter().map(|step| number(&step["requests"])).sum();
    let so_far = server.record().len();
    let from = 2 * so_far - usize::try_from(in_steps).unwrap() + 40;
    let heat = folder.path().join("heat");
    std::fs::write(&heat, "45").unwrap();
    let (load, _) = std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(60);
            while server.record().len() < from && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::fs::write(&heat, "93").unwrap();
        });
        stress(&format!("    temperature_celsius: {{reads: {}}}\n", heat.display()))
    });
    assert_eq!(
        (load["stopped_by"].as_str(), load["steps"].as_array().unwrap().len()),
        (Some("temperature"), 1),
        "{load}"
    );
    assert!(load["stopped_because"].as_str().unwrap().starts_with("GPU 0 reached 93 °C; from 90 °C on"), "{load}");
    assert!(load["steps"][0]["seconds"].as_f64().unwrap() < 2.5, "{load}");
}

/// Triton counts by itself: its counters' differences are the step's own requests.
#[test]
fn the_servers_own_counters_are_told_for_each_step() {
    let Some(venv) = venv("triton") else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let port = format!("--metrics-port={}", free_port());
    let options = ["--model-control-mode=explicit", "--load-model=vad", "--allow-metrics=true", &port];
    let server = real_server::triton_of("shapes", &venv, "/v2/health/ready", &options);
    let arguments = ["stress", "--format", "json", "--only", "request", "--server", &server.url];
    let load = ["--users", "1,4", "--duration", "2s"];
    let said = gpu_doctor(&[&arguments[..], &load[..]].concat(), &[]);
    let report = said.report();
    let steps = report["load"]["steps"].as_array().unwrap_or_else(|| panic!("{}", report["load"]));
    assert_eq!(steps.len(), 2);
    for step in steps {
        let model = step["models"].as_array().and_then(|all| all.iter().find(|one| one["model"] == "vad"));
        let model = model.unwrap_or_else(|| panic!("{step}"));
        assert_eq!(model["requests_ok"]["known"].as_f64(), step["requests"].as_f64(), "{model}");
        assert!(number(&step["ok"]) > 20 && step["ok"] == step["requests"], "{step}");
    }
}

#[test]
fn a_server_that_dies_in_a_step_is_told_from_one_that_fails() {
    let Some(server) = start(0) else { return };
    let pid = i32::try_from(server.server.pid()).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs(60);
            while digests(&server.record()) < 40 && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(50));
            }
            // SAFETY: a signal to a child that was not waited for yet.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        });
        let (_, report) = server.stress(&["--users", "2,4", "--duration", "60s"]);
        let load = &report["load"];
        assert_eq!(load["stopped_by"], "server_gone", "{load}");
        let step = &load["steps"][0];
        assert!(number(&step["ok"]) > 0 && number(&step["by_error"]["connect_refused"]) > 20, "{step}");
    });
}

/// Said before anything is sent.
#[test]
fn a_load_that_cannot_be_made_is_refused() {
    let refused = |arguments: &[&str]| {
        let said = gpu_doctor(&[&["stress"], arguments].concat(), &[] as &[(&str, PathBuf)]);
        assert_eq!(said.code, 64, "{} {}", said.out, said.err);
        assert!(said.took < Duration::from_secs(5));
        said.err
    };
    let here = ["--server", "http://127.0.0.1:9"];
    let with = |more: &[&str]| refused(&[&here[..], more].concat());
    assert!(refused(&[]).contains("--server URL"));
    assert!(with(&["--users", "0"]).contains("at least one user"));
    assert!(with(&["--users", "10,many"]).contains("write how many users"));
    assert!(with(&["--users", "1000000"]).contains("one machine makes 100000 users at most"));
    let many = with(&["--users", "90000"]);
    assert!(many.contains("ulimit -n") || many.contains("ip_local_port_range"), "{many}");
    assert!(many.contains("users at most"), "{many}");
    assert!(with(&["--rate", "0"]).contains("requests a second"));
    let elsewhere = refused(&["--server", "http://192.0.2.1:8000"]);
    assert!(
        elsewhere.contains("192.0.2.1 is not this machine") && elsewhere.contains("--i-own-this-server"),
        "{elsewhere}"
    );
}
