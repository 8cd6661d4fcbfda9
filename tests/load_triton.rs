//! Where the time of requests to the real Triton goes under load, and whether what is told to change pays.
//!
//! Its model takes the time that a model on a GPU takes: see fixtures/servers/triton/load.

mod setup;

use serde_json::Value;
use setup::doctor::{causes, diagnosis, gpu_doctor};
use setup::real_server::{self, free_port};
use setup::venv::venv;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// Loads need the cores for themselves.
static ALONE: Mutex<()> = Mutex::new(());

/// A model repository with the model `card`.
struct Repository(TempDir);

impl Repository {
    /// The fixture's, with these lines put in.
    fn of(lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let from = real_server::folder("triton/load/card");
        std::fs::create_dir_all(folder.path().join("card/1")).unwrap();
        for file in ["config.pbtxt", "1/model.py"] {
            std::fs::copy(from.join(file), folder.path().join("card").join(file)).unwrap();
        }
        let repository = Self(folder);
        lines.iter().for_each(|line| repository.put(line));
        repository
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("card/config.pbtxt")
    }

    /// Puts a line in place of the one that begins with the same word; a parameter of the same name.
    fn put(&self, line: &str) {
        let begin = match line.strip_prefix("parameters { key: ") {
            Some(rest) => format!("parameters {{ key: {}", rest.split(' ').next().unwrap()),
            None => line.split([' ', ':']).next().unwrap().to_owned(),
        };
        let text = std::fs::read_to_string(self.config()).unwrap();
        let kept: String = text.lines().filter(|old| !old.starts_with(&begin)).map(|old| format!("{old}\n")).collect();
        std::fs::write(self.config(), format!("{kept}{line}\n")).unwrap();
    }
}

/// A server with these models under so many users; the report.
fn stressed(venv: &Path, repository: &Repository, users: &str) -> Value {
    let port = format!("--metrics-port={}", free_port());
    let options = ["--allow-metrics=true", &port];
    let server = real_server::triton_of(repository.0.path().to_str().unwrap(), venv, "/v2/health/ready", &options);
    let arguments = ["stress", "--format", "json", "--only", "load", "--server", &server.url, "--users", users];
    gpu_doctor(&[&arguments[..], &["--duration", "3s"]].concat(), &[]).report()
}

fn step(report: &Value, users: u64) -> &Value {
    let steps = report["load"]["steps"].as_array().unwrap_or_else(|| panic!("{}", report["load"]));
    steps.iter().find(|step| step["users"] == users).unwrap_or_else(|| panic!("no step has {users} users: {steps:?}"))
}

fn throughput(report: &Value, users: u64) -> f64 {
    step(report, users)["throughput_rps"].as_f64().unwrap()
}

/// The lines that the first cause has one write into the file, and what they are said to pay at most.
fn told(report: &Value, repository: &Repository) -> (String, f64) {
    let steps = report["diagnoses"][0]["fix"].as_array().unwrap_or_else(|| panic!("{}", report["headline"]));
    let says: Vec<&str> = steps.iter().filter_map(|step| step["say"].as_str()).collect();
    let place = format!("In {}: ", repository.config().display());
    let found = says.iter().find_map(|say| say.split_once(&place)).unwrap_or_else(|| panic!("no {place}: {says:?}"));
    let (line, pays) = found.1.split_once(" (").unwrap();
    let times =
        pays.split_once("up to ").and_then(|(_, rest)| rest.split_once('x')).unwrap_or_else(|| panic!("{pays}")).0;
    (line.to_owned(), times.parse().unwrap_or_else(|_| panic!("{pays}")))
}

/// Has the server do what it is told, and compares: throughput must rise at least so many times, and not by more than it
/// was told.
fn it_pays(lines: &[&str], users: u64, cause: &str, line: &str, at_least: f64) {
    let Some(venv) = venv("triton") else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let repository = Repository::of(lines);
    let steps = format!("1,{users}");
    let before = stressed(&venv, &repository, &steps);
    assert_eq!(causes(&before).first(), Some(&cause), "{:?} {}", causes(&before), before["headline"]);
    assert!(
        !causes(&before).contains(&"load-exceeds-capacity") || cause == "load-exceeds-capacity",
        "it is the effect"
    );
    let (told, times) = told(&before, &repository);
    assert!(told.starts_with(line), "{told}");
    let changes = &before["load"]["config_changes"][0];
    assert_eq!((&changes["model"], &changes["lines"][0]), (&"card".into(), &told.as_str().into()), "{changes}");
    repository.put(&told);
    let after = stressed(&venv, &repository, &steps);
    let gained = throughput(&after, users) / throughput(&before, users);
    println!("{told}: {gained:.1}x of up to {times:.1}x");
    assert!(gained >= at_least, "{told} made it only {gained:.2}x of up to {times:.1}x");
    assert!(gained <= 1.25 * times, "{told} made it {gained:.2}x, and up to {times:.1}x was told");
    assert!(!causes(&after).contains(&cause), "it is mended: {}", diagnosis(&after, cause)["because"]);
}

#[test]
fn each_request_is_computed_alone() {
    it_pays(&[], 25, "triton-no-dynamic-batching", "dynamic_batching { }", 4.0);
}

#[test]
fn the_batch_window_is_too_short() {
    // Each request finds an instance that is free, and waits there for the card.
    let lines = [
        "instance_group [ { count: 8 kind: KIND_CPU } ]",
        "dynamic_batching { max_queue_delay_microseconds: 100 }",
        "parameters { key: \"one_at_a_time\" value { string_value: \"1\" } }",
    ];
    it_pays(&lines, 8, "triton-batch-window-too-short", "dynamic_batching { max_queue_delay_microseconds: ", 1.4);
}

#[test]
fn too_few_instances_and_batches_that_gain_nothing() {
    let lines = [
        "max_batch_size: 8",
        "dynamic_batching { }",
        "parameters { key: \"execution_ms\" value { string_value: \"0\" } }",
        "parameters { key: \"sample_ms\" value { string_value: \"10\" } }",
    ];
    it_pays(&lines, 32, "triton-queue-saturated", "instance_group [ { count: 2 kind: KIND_CPU } ]", 1.5);
}

#[test]
fn a_server_that_joins_its_requests_is_told_nothing_and_its_time_adds_up() {
    let Some(venv) = venv("triton") else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let repository = Repository::of(&["dynamic_batching { max_queue_delay_microseconds: 2000 }"]);
    let report = stressed(&venv, &repository, "1,10,25");
    assert_eq!(causes(&report), Vec::<&str>::new(), "{}", report["headline"]);
    for users in [1, 10, 25] {
        let step = step(&report, users);
        let model = &step["models"][0];
        let ms = |name: &str| model[name]["known"].as_f64().unwrap_or_else(|| panic!("{model}"));
        let request = step["latency_ms"]["mean"].as_f64().unwrap();
        // What Triton counts lies within what the client saw, and the computation is what the model was made to take.
        assert!(ms("queue_ms") + ms("compute_ms") <= ms("request_ms") * 1.01, "{model}");
        assert!(ms("request_ms") <= request * 1.02, "{model} {request}");
        assert!((19.0..40.0).contains(&ms("compute_ms")), "{model}");
    }
    // With the fewest users and with the most.
    let splits = report["load"]["time"].as_array().unwrap_or_else(|| panic!("{}", report["load"]));
    assert_eq!(splits.len(), 2, "{splits:?}");
    for split in splits {
        let parts = split["parts"].as_array().unwrap();
        let sum: f64 = parts.iter().filter_map(|part| part["ms"].as_f64()).sum();
        assert!((sum / split["request_ms"].as_f64().unwrap() - 1.0).abs() < 0.01, "{split}");
        assert!(parts.iter().any(|part| part["part"] == "inference" && part["ms"].as_f64() >= Some(19.0)), "{split}");
    }
}

/// What the guide calls "stress test fails immediately".
#[test]
fn a_load_that_cannot_be_made_names_what_is_in_its_way() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let report = gpu_doctor(&["stress", "--format", "json", "--only", "request", "--server", &url], &[]).report();
    assert_eq!(causes(&report), ["backend-down-or-wrong-port"], "{}", report["headline"]);
    assert!(report["load"]["unmade"].as_str().is_some_and(|why| !why.is_empty()), "{}", report["load"]);
}
