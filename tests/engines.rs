//! Serving software that says itself that it computes on the CPU, on a machine with a GPU: looked at by the binary.

#[path = "setup/scripted_server.rs"]
mod scripted_server;
mod setup;

use scripted_server::ScriptedServer;
use serde_json::Value;
use setup::asr::free_port;
use setup::doctor::{causes, diagnosis, gpu_doctor, seen, verdict};
use setup::real_server::triton;
use setup::venv::venv;
use setup::{driver_variables, scenario};
use std::path::Path;

const JSON: &str = "application/json";

fn answer(name: &str) -> String {
    std::fs::read_to_string(setup::cases::fixtures().join("engines").join(name)).unwrap()
}

/// Report and snapshot of a run with these settings, beside the fake driver's H100, which never computes.
fn run(url: &str, settings: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let (snapshot, config) = (folder.path().join("snapshot.json"), folder.path().join("config.yaml"));
    std::fs::write(&config, settings).unwrap();
    let (saved, config) = (snapshot.to_str().unwrap(), config.to_str().unwrap());
    let arguments = ["run", "--format", "json", "--server", url, "--save", saved, "--config", config];
    let mut variables = driver_variables(&scenario("healthy-idle")).to_vec();
    variables.push(("GPU_DOCTOR_TEST_TOKEN", "0123456789abcdef".into()));
    let said = gpu_doctor(&arguments, &variables);
    assert!(!said.out.contains("0123456789abcdef"));
    (said.report(), serde_json::from_slice(&std::fs::read(snapshot).unwrap()).unwrap())
}

#[test]
fn an_ollama_with_its_model_in_main_memory() {
    let ollama = |name: &'static str| {
        let all: Value = serde_json::from_str(&answer("ollama-ps.json")).unwrap();
        let one = all["models"].as_array().unwrap().iter().find(|model| model["name"] == name).unwrap().clone();
        ScriptedServer::answering(move |request| match request.target.as_str() {
            "/api/version" => (200, JSON, r#"{"version":"0.12.3"}"#.into()),
            "/api/ps" => (200, JSON, serde_json::json!({"models": [one]}).to_string()),
            _ => (404, "text/plain", "404 page not found".into()),
        })
    };
    let server = ollama("all-minilm:latest");
    let (report, _) = run(&server.url(), "");
    let found = diagnosis(&report, "ollama-partial-offload");
    assert_eq!(found["severity"], "fail");
    assert!(found["because"].as_str().unwrap().contains("0 B of the 46.0 MB of all-minilm:latest"), "{found}");
    let told = seen(&report, "model");
    assert!(told.contains("ollama 0.12.3 says: all-minilm:latest 0.0 of 0.0 GB in GPU memory"), "{told}");

    let (report, _) = run(&ollama("qwen2.5:72b").url(), "");
    assert_eq!(diagnosis(&report, "ollama-partial-offload")["severity"], "warn");

    // It says GPU, was there before the first request, and neither NVML nor a device node knows of it.
    let (report, _) = run(&ollama("llama3.1:8b").url(), "");
    assert_eq!(verdict(&report, "ollama-partial-offload"), "clear");
    let found = diagnosis(&report, "ollama-ps-claims-gpu");
    assert!(found["because"].as_str().unwrap().contains("6.7 GB of llama3.1:8b in GPU memory, but NVML lists none"));
    assert!(server.received().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_tgi_that_fell_back_to_the_cpu() {
    let server = ScriptedServer::answering(|request| match request.target.as_str() {
        _ if !request.head.contains("Bearer 0123456789abcdef") => (401, "text/plain", String::new()),
        "/info" => (200, JSON, answer("tgi-info.json")),
        _ => (404, "text/plain", String::new()),
    });
    let (report, _) = run(&server.url(), "headers: {authorization: {env: GPU_DOCTOR_TEST_TOKEN, prefix: 'Bearer '}}");
    let found = diagnosis(&report, "tgi-cpu-fallback");
    let because =
        "TGI's /info tells that bigscience/bloom-560m runs on cpu, torch.float32. This machine has an NVIDIA GPU.";
    assert_eq!(found["because"], because);
    assert_eq!(seen(&report, "model"), "TGI 1.4.0 says: bigscience/bloom-560m on cpu");
}

/// A second repository: a model without instance_group, and one that asks for a GPU.
fn repository(folder: &Path) {
    let echo = setup::cases::fixtures().join("servers/triton/models/echo");
    let config = std::fs::read_to_string(echo.join("config.pbtxt")).unwrap();
    assert!(config.contains("KIND_CPU"));
    let without: String =
        config.lines().filter(|line| !line.contains("instance_group")).map(|l| format!("{l}\n")).collect();
    for (name, config) in [("auto", without), ("wants", config.replace("KIND_CPU", "KIND_GPU"))] {
        std::fs::create_dir_all(folder.join(name).join("1")).unwrap();
        std::fs::write(folder.join(name).join("config.pbtxt"), config).unwrap();
        std::fs::copy(echo.join("1/model.py"), folder.join(name).join("1/model.py")).unwrap();
    }
}

#[test]
fn the_real_triton_says_where_its_models_run() {
    let Some(venv) = venv("triton") else { return };
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path());
    let (metrics, repository) = (free_port(), folder.path().display());
    let options = [
        &format!("--model-repository={repository}"),
        "--exit-on-error=false",
        "--allow-metrics=true",
        "--metrics-address=127.0.0.1",
        &format!("--metrics-port={metrics}"),
    ];
    let server = triton(&venv, "/v2/models/auto/ready", &options);
    let (report, snapshot) = run(&server.url, "request: {path: /v2/models/echo/infer}");
    let engine = &snapshot["facts"]["engine"];
    assert_eq!(engine["kind"]["known"], "triton");
    assert_eq!(engine["version"]["known"], "2.51.0");
    assert_eq!(engine["gpu_metrics_present"]["known"], false, "{engine}");
    let models = engine["models"]["known"].as_array().unwrap();
    let model = |name: &str| models.iter().find(|model| model["name"] == name).unwrap();
    let group = |name: &str| model(name)["instance_groups"]["known"][0].clone();
    assert_eq!((&group("echo")["name"], &group("echo")["kind"]), (&"echo_0".into(), &"KIND_CPU".into()));
    assert_eq!(group("auto")["name"], "auto", "Triton names a group that it made up like the model");
    assert_eq!(model("auto")["device"]["known"], "cpu");
    assert_eq!(model("wants")["state"]["known"], "UNAVAILABLE");
    let source = &model("echo")["python_source"]["known"];
    assert!(source["path"].as_str().unwrap().ends_with("servers/triton/models/echo/1/model.py"), "{source}");
    assert_eq!(source["names_gpu"], serde_json::json!([]));
    let stubs = engine["python_stubs"]["known"].as_array().unwrap();
    let mut names: Vec<&str> = stubs.iter().map(|stub| stub["model"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["auto", "echo"]);
    assert_eq!(stubs[0]["device_nodes_open"]["known"], serde_json::json!([]));

    let found = diagnosis(&report, "triton-kind-cpu");
    let because = found["because"].as_str().unwrap();
    assert!(
        because.starts_with("Triton answers for echo: KIND_CPU x1. Its metrics have no series of a GPU"),
        "{because}"
    );
    assert!(found["explains"].to_string().contains("gpu-idle-while-serving"), "{found}");
    let refused = diagnosis(&report, "triton-kind-gpu-without-gpu")["because"].as_str().unwrap();
    assert!(refused.contains("wants_0 of model wants has kind KIND_GPU but no GPUs are available"), "{refused}");
    assert!(causes(&report).len() <= 3, "{:?}", causes(&report));
    let told = seen(&report, "model");
    assert!(told.contains("Triton 2.51.0 says: ") && told.contains("echo KIND_CPU x1"), "{told}");
    assert!(told.contains("wants UNAVAILABLE") && told.ends_with("its metrics show no GPU"), "{told}");

    // Asked about the other model, it says that Triton filled the group in.
    let (report, _) = run(&server.url, "request: {path: /v2/models/auto/infer}");
    let because = diagnosis(&report, "triton-kind-cpu")["because"].as_str().unwrap().to_owned();
    assert!(because.contains("auto: KIND_CPU x1, filled in by Triton"), "{because}");
}
