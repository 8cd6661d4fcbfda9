//! `gpu-doctor watch` of real servers: what it tells is what the server's own page tells, through a restart too, and an idle
//! GPU beside requests has its cause.

#[path = "setup/scripted_server.rs"]
mod scripted_server;
mod setup;

use scripted_server::ScriptedServer;
use serde_json::Value;
use setup::doctor::{causes, gpu_doctor};
use setup::real_server::{self, Server, free_port, uvicorn};
use setup::venv::venv;
use setup::{GPU_DOCTOR, driver_variables, scenario};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

fn triton(port: u16, metrics: u16) -> Option<Server> {
    let venv = venv("triton")?;
    let mut command = Command::new("sh");
    command.arg(real_server::folder("triton/start.sh")).arg(port.to_string()).arg(venv).env("TRITON_MODELS", "shapes");
    command.args(["--model-control-mode=explicit", "--load-model=vad", "--allow-metrics=true"]);
    command.arg("--metrics-address=127.0.0.1").arg(format!("--metrics-port={metrics}"));
    Some(real_server::start(command, "/v2/health/ready", port))
}

fn exchange(port: u16, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    // In one piece: Triton answers 404 to a head that comes in several.
    let all =
        format!("{head} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    stream.write_all(all.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// That many requests to the model, one after the other.
fn infer(port: u16, requests: u32) {
    let sound = vec!["0.5"; 600].join(",");
    let body = format!(
        r#"{{"inputs": [{{"name": "audio", "datatype": "FP32", "shape": [1, 600], "data": [{sound}]}},
            {{"name": "sample_rate", "datatype": "INT32", "shape": [1, 1], "data": [16000]}}]}}"#
    );
    for _ in 0..requests {
        let answer = exchange(port, "POST /v2/models/vad/infer", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// The counters of its page, read by hand.
fn page(port: u16) -> BTreeMap<String, f64> {
    let text = exchange(port, "GET /metrics", "");
    let counter = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        name.starts_with("nv_inference").then(|| Some((name.to_owned(), value.trim().parse().ok()?)))?
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(counter).collect()
}

/// A watch whose lines can be read as they come.
fn begin(port: u16, metrics: u16, csv: &Path, count: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(GPU_DOCTOR);
    let (server, page) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{metrics}/metrics"));
    command.args(["watch", "--server", &server, "--metrics", &page, "--interval", "500ms", "--count", count, "--csv"]);
    command.arg(csv).envs(driver_variables(&scenario("healthy-busy"))).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn read_until(out: &mut BufReader<ChildStdout>, text: &mut String, enough: impl Fn(&str) -> bool) {
    while !enough(text) {
        assert!(out.read_line(text).unwrap() > 0, "{text}");
    }
}

/// Columns of a table: a cell that holds no number is none.
fn columns(csv: &Path) -> BTreeMap<String, Vec<Option<f64>>> {
    let text = std::fs::read_to_string(csv).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let column = |place: usize| rows.iter().map(|row| row[place].parse().ok()).collect();
    names.iter().enumerate().map(|(place, name)| ((*name).to_owned(), column(place))).collect()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 0.01 + 0.005 * other.abs()
}

#[test]
fn what_the_lines_say_is_what_the_real_tritons_page_says() {
    let (port, metrics, folder) = (free_port(), free_port(), tempfile::tempdir().unwrap());
    let Some(_server) = triton(port, metrics) else { return };
    let csv = folder.path().join("gpu_samples.csv");
    infer(port, 3);
    // Triton counts a request a moment after it answered.
    let mut before = page(metrics);
    for _ in 0..100 {
        if before["nv_inference_request_success"] >= 3.0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        before = page(metrics);
    }
    let (mut child, mut out) = begin(port, metrics, &csv, "10");
    let mut text = String::new();
    read_until(&mut out, &mut text, |text| text.contains("97%"));
    // Three at once, so that some wait.
    let senders = [12, 13, 15].map(|requests| std::thread::spawn(move || infer(port, requests)));
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    out.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let after = page(metrics);
    let gained = |name: &str| after[name] - before[name];
    let columns = columns(&csv);
    let requests = &columns["requests_gained"];
    let sum = |name: &str| -> f64 { columns[name].iter().flatten().sum() };
    assert_eq!((sum("requests_gained"), gained("nv_inference_request_success")), (40.0, 40.0), "{text}");
    assert!(text.contains("40 requests by its own count"), "{text}");
    let spent = |name: &str| -> f64 {
        requests.iter().zip(&columns[name]).map(|(count, mean)| count.unwrap_or(0.0) * mean.unwrap_or(0.0)).sum()
    };
    for (column, counter) in [
        ("queue_ms", "nv_inference_queue_duration_us"),
        ("infer_ms", "nv_inference_compute_infer_duration_us"),
        ("request_ms", "nv_inference_request_duration_us"),
    ] {
        assert!(near(spent(column), gained(counter) / 1e3), "{column}: {} {}", spent(column), gained(counter) / 1e3);
        assert!(spent(column) > 0.0, "{column}");
    }
}

#[test]
fn a_triton_that_is_restarted_never_counts_backwards() {
    let (port, metrics, folder) = (free_port(), free_port(), tempfile::tempdir().unwrap());
    let Some(server) = triton(port, metrics) else { return };
    let csv = folder.path().join("w.csv");
    let (mut child, mut out) = begin(port, metrics, &csv, "60");
    let mut text = String::new();
    read_until(&mut out, &mut text, |text| text.contains("97%"));
    infer(port, 20);
    read_until(&mut out, &mut text, |text| text.matches("97%").count() >= 5);
    drop(server);
    read_until(&mut out, &mut text, |text| text.contains("metrics are gone"));
    let _server = triton(port, metrics).unwrap();
    read_until(&mut out, &mut text, |text| text.contains("is back"));
    infer(port, 7);
    let lines = text.matches("97%").count();
    read_until(&mut out, &mut text, |text| text.matches("97%").count() >= lines + 3);
    // SAFETY: a signal to the child that this test started.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    out.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let requests = columns(&csv)["requests_gained"].clone();
    assert!(requests.iter().flatten().all(|count| *count >= 0.0), "{requests:?}");
    assert!(requests.iter().any(Option::is_none), "while it was away nothing is known: {requests:?}");
    assert_eq!(requests.iter().flatten().sum::<f64>(), 27.0, "{text}");
    assert!(text.contains("27 requests by its own count"), "{text}");
    assert!(!text.contains("measured otherwise"), "a restart is no contradiction: {text}");
}

/// A page of counters, of which each reading finds five requests more; or none, ever.
fn counters(each: u64) -> ScriptedServer {
    let readings = std::sync::atomic::AtomicU64::new(0);
    ScriptedServer::answering(move |_| {
        let count = each * readings.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let labels = "{model=\"m\",version=\"1\"}";
        let text = format!(
            "# TYPE nv_inference_request_success counter\nnv_inference_request_success{labels} {count}\n\
             nv_inference_count{labels} {count}\nnv_inference_exec_count{labels} {count}\n\
             nv_inference_request_duration_us{labels} {us}\nnv_inference_queue_duration_us{labels} {us}\n\
             nv_inference_compute_infer_duration_us{labels} {us}\n",
            us = count * 1000
        );
        (200, "text/plain", text)
    })
}

#[test]
fn an_idle_gpu_beside_requests_has_the_cause_that_run_would_name() {
    let Some(venv) = venv("cpu") else { return };
    let port = free_port();
    let mut command = uvicorn(&venv, port);
    command.current_dir(real_server::folder("asr"));
    let server = real_server::start(command, "/health", port);
    let page = counters(5);
    let metrics = format!("{}/metrics", page.url());
    let arguments = [
        "watch",
        "--server",
        &server.url,
        "--metrics",
        &metrics,
        "--interval",
        "200ms",
        "--count",
        "16",
        "--format",
        "json",
    ];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    let found = causes(&report);
    assert_eq!(found.first(), Some(&"ort-cpu-package-only"), "{found:?} {}", report["headline"]);
    assert!(report["headline"].as_str().unwrap().starts_with("GPU is idle because"), "{}", report["headline"]);
    let command: Vec<&str> = report["target"]["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!((command[0], command.contains(&"--metrics")), ("watch", true), "{command:?}");
    let verify = report["diagnoses"][0]["verify"].to_string();
    assert!(verify.contains("gpu-doctor run ") && !verify.contains("--interval"), "{verify}");
}

#[test]
fn what_was_recorded_of_the_real_triton_is_judged_alike_from_both_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/triage/watch");
    let judged = ["gpu_samples.csv", "watch.jsonl"].map(|name| {
        let file = folder.join(name);
        let report = gpu_doctor(&["triage", file.to_str().unwrap(), "--format", "json"], &[]).report();
        assert_eq!(causes(&report), ["gpu-idle-while-serving"], "{name}: {}", report["headline"]);
        report["recorded"]["requests"].clone()
    });
    let [of_csv, of_jsonl] = [0, 1].map(|place: usize| judged[place].to_string());
    assert_eq!(of_csv, of_jsonl.replace("watch.jsonl", "gpu_samples.csv"));
    let counted = columns(&folder.join("gpu_samples.csv"))["requests_gained"].iter().flatten().sum::<f64>();
    assert_eq!(judged[0]["known"]["count"], counted as u64);
}

#[test]
fn without_requests_nothing_is_said_of_how_it_serves() {
    let page = counters(0);
    let server = page.url();
    let arguments = [
        "watch",
        "--server",
        &server,
        "--metrics",
        &format!("{server}/metrics"),
        "--interval",
        "200ms",
        "--count",
        "4",
        "--only",
        "execution,load",
    ];
    let said = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle")));
    assert!(said.out.contains("server: no request was counted"), "{}", said.out);
    assert!(said.out.contains("idle all the time"), "{}", said.out);
    assert!(
        said.out.replace('\n', " ").contains("no request came meanwhile, so that nothing can be said"),
        "{}",
        said.out
    );
}

#[test]
fn where_neither_gpu_nor_page_is_there_it_is_said_once_with_what_to_do() {
    let bare = ScriptedServer::answering(|_| (404, "text/plain", "no such path".into()));
    let server = bare.url();
    let said = gpu_doctor(&["watch", "--server", &server, "--interval", "200ms", "--count", "5"], &[]);
    assert!(said.out.contains("name the page with --metrics URL"), "{}", said.out);
    assert!(said.out.contains("libnvidia-ml.so.1 is not found"), "{}", said.out);
    assert_eq!(said.out.matches("n/a        n/a        n/a").count(), 1, "{}", said.out);
    let said = gpu_doctor(&["watch", "-v", "--server", &server, "--interval", "200ms", "--count", "5"], &[]);
    assert_eq!(said.out.matches("n/a        n/a        n/a").count(), 5, "{}", said.out);
}
