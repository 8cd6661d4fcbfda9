//! What the GPU and the server did while requests ran, against what the model needs: the binary, real servers, the fake
//! driver.

#[path = "setup/plain_server.rs"]
mod plain_server;
mod setup;

use gpu_doctor::check::{Checks, View};
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::report::Report;
use gpu_doctor::snapshot::{CpuReading, Fact, Snapshot};
use plain_server::{PlainServer, start};
use serde_json::Value;
use setup::doctor::{Said, diagnosis, gpu_doctor, verdict};
use setup::onnx_writer;
use std::path::{Path, PathBuf};

/// Looks at the server with this request, and keeps the snapshot.
fn run(server: &PlainServer, request: &Path, folder: &Path, variables: &[(&str, PathBuf)]) -> (Value, Snapshot) {
    let file = folder.join("snapshot.json");
    let arguments = ["run", "--format", "json", "--server", &server.url()];
    let files = ["--client-request", request.to_str().unwrap(), "--save", file.to_str().unwrap()];
    let report = gpu_doctor(&[&arguments[..], &files].concat(), variables).report();
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{error}: {report}"));
    (report, serde_json::from_str(&text).unwrap())
}

/// The scenario of an idle GPU with further lines, some of its own replaced.
fn scenario(folder: &Path, replaced: &[(&str, &str)], added: &str) -> [(&'static str, PathBuf); 2] {
    let mut text = std::fs::read_to_string(setup::scenario("healthy-idle")).unwrap();
    for (from, to) in replaced {
        assert!(text.contains(from), "{from} is not in the scenario");
        text = text.replace(from, to);
    }
    let file = folder.join("scenario.yaml");
    std::fs::write(&file, text + added).unwrap();
    setup::driver_variables(&file)
}

/// A file of so many bytes that takes no room on the disk.
fn file(folder: &Path, name: &str, bytes: u64) -> String {
    let path = folder.join(name);
    std::fs::File::create(&path).unwrap().set_len(bytes).unwrap();
    path.display().to_string()
}

fn derived<T: serde::de::DeserializeOwned>(snapshot: &Snapshot, name: &str) -> T {
    let view = View::of(snapshot);
    let value = view.value(&format!("derived.{name}")).unwrap_or_else(|| panic!("{name}: {:?}", view.reason(name)));
    serde_json::from_value(value.clone()).unwrap()
}

/// What the check would say, had the server got a core for itself, which other tests on this machine may keep it from.
fn verdict_with_a_core(snapshot: &Snapshot, check: &str) -> (String, String) {
    let mut snapshot = snapshot.clone();
    snapshot.facts.execution.cores_busy = Fact::Known(1.0);
    let report =
        serde_json::to_value(Report::new(&snapshot, diagnose(&Checks::load(None).unwrap(), &snapshot).unwrap()));
    let report = report.unwrap();
    let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["check"] == check).unwrap();
    (found["verdict"].as_str().unwrap().into(), found["why"].as_str().unwrap().into())
}

#[test]
fn weights_that_stay_in_the_machines_memory_are_found_and_those_on_the_gpu_are_not() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let torch = file(folder.path(), "libtorch_cuda.so", 8192);
    let weights = file(folder.path(), "model.safetensors", 150_000_000);
    let server =
        start(folder.path(), &["--map", &torch, "--map", &weights, "--hold", "200", "--spin", "0.1", "--beside", "2"]);
    let request = server.client_request(folder.path(), "/infer");
    let judged = |held_mib: u64| {
        let processes = format!("    processes: [{{pid: {}, used_mib: {held_mib}}}]\n", server.pid());
        let used = format!("used_mib: {}", held_mib + 100);
        let (report, snapshot) =
            run(&server, &request, folder.path(), &scenario(folder.path(), &[("used_mib: 0", &used)], &processes));
        // Never worse than it is with a core: without work on the CPU, nothing is said.
        let (with_a_core, because) = verdict_with_a_core(&snapshot, "model-never-moved");
        let found = verdict(&report, "model-never-moved");
        assert!(found == with_a_core || found == "clear", "{found}, {because}");
        (with_a_core, because, snapshot)
    };
    let (found, because, snapshot) = judged(308);
    let files = snapshot.facts.process.model_files.known().unwrap();
    let told: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.bytes.known(), file.held.as_str())).collect();
    assert_eq!(told, [(weights.as_str(), Some(&150_000_000), "mapped")]);
    assert_eq!(snapshot.facts.execution.model_files_after.known(), Some(files));
    assert!(snapshot.facts.execution.resident_bytes_after.known() > Some(&200_000_000));
    assert_eq!(derived::<u64>(&snapshot, "weights_bytes"), 150_000_000);
    assert_eq!(found, "holds");
    assert!(because.contains("308 MiB of GPU memory") && because.contains("weights need 144 MiB"), "{because}");
    assert!(because.contains(&weights), "{because}");
    assert_eq!(judged(460).0, "clear", "they are on the GPU");
}

#[test]
fn what_pcie_carries_for_requests_is_told_from_what_it_carries_anyway() {
    let folder = tempfile::tempdir().unwrap();
    let activity = file(folder.path(), "activity", 0);
    let provider = file(folder.path(), "libonnxruntime_providers_cuda.so", 8192);
    let server = start(folder.path(), &["--map", &provider, "--spin", "0.05", "--beside", "2", "--touch", &activity]);
    let request = server.client_request(folder.path(), "/infer");
    let follows = |busy: u64, idle: u64| format!("{{follows: {{file: {activity}, busy: {busy}, idle: {idle}}}}}");
    let utilization = format!("utilization_percent: {}", follows(25, 0));
    let replaced = [("utilization_percent: 0", utilization.as_str())];
    let bus =
        |received: &str| format!("    health: {{pcie_received_kb_per_s: {received}, pcie_sent_kb_per_s: 500000}}\n");
    let variables = scenario(folder.path(), &replaced, &bus(&follows(3_000_000, 1000)));
    let (report, snapshot) = run(&server, &request, folder.path(), &variables);
    let gpu = &snapshot.facts.execution.gpus.known().unwrap()[0];
    let received = gpu.pcie_received_bytes_per_second.known().unwrap();
    assert!(received.before.samples >= 3 && received.during.samples >= 5, "{received:?}");
    assert_eq!((received.before.min, received.during.max), (1e6, 3e9));
    let rate: f64 = derived(&snapshot, "pcie_bytes_per_second");
    assert!((1.5e9..3.1e9).contains(&rate), "what it sent all the time does not count: {rate}");
    let (found, because) = verdict_with_a_core(&snapshot, "ort-host-copies-per-run");
    assert_eq!(found, "holds");
    assert!(because.contains("GB a second crossed PCIe beyond what did before"), "{because}");
    let spoken = verdict(&report, "ort-host-copies-per-run");
    assert!(["holds", "clear"].contains(&spoken), "{spoken}");

    let variables = scenario(folder.path(), &replaced, &bus("null"));
    let (_, snapshot) = run(&server, &request, folder.path(), &variables);
    let gpu = &snapshot.facts.execution.gpus.known().unwrap()[0];
    let unknown = gpu.pcie_received_bytes_per_second.reason().unwrap();
    assert!(unknown.detail.contains("nvmlDeviceGetPcieThroughput"), "{unknown}");
    assert!(gpu.pcie_sent_bytes_per_second.known().is_some());
    assert_eq!(verdict_with_a_core(&snapshot, "ort-host-copies-per-run").0, "not_applicable");
}

/// A request that carries the doctor's own speech.
fn speech(server: &PlainServer, folder: &Path) -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples/speech.wav");
    let request = folder.join("speech.txt");
    let text = format!("curl {}/infer -F 'audio=@{};type=audio/wav'\n", server.url(), sample.display());
    std::fs::write(&request, text).unwrap();
    request
}

#[test]
fn a_new_length_is_tried_where_onnxruntime_computes_on_the_gpu() {
    let folder = tempfile::tempdir().unwrap();
    let provider = file(folder.path(), "libonnxruntime_providers_cuda.so", 8192);
    let judged = |arguments: &[&str]| {
        let server = start(folder.path(), arguments);
        let (report, snapshot) = run(&server, &speech(&server, folder.path()), folder.path(), &[]);
        (verdict(&report, "ort-conv-search-dynamic-shape").to_owned(), snapshot.facts.execution)
    };
    let (found, execution) = judged(&["--map", &provider, "--new-length", "1.5", "--seconds", "0.02"]);
    let lengths = execution.other_lengths.known().unwrap();
    let whole = execution.request_body_bytes.known().unwrap();
    assert_eq!(lengths.len(), 2);
    assert!(
        lengths.iter().all(|one| one.body_bytes < *whole && one.first_ms >= 1500.0 && one.again_ms < 450.0),
        "{lengths:?}"
    );
    assert!(lengths[0].body_bytes != lengths[1].body_bytes);
    assert_eq!(found, "holds");
    let (found, execution) = judged(&["--map", &provider, "--seconds", "0.02"]);
    assert_eq!(execution.other_lengths.known().map(Vec::len), Some(2));
    assert_eq!(found, "clear");
    let (found, execution) = judged(&["--new-length", "0.5"]);
    assert!(matches!(execution.other_lengths, Fact::Unknown(_)), "another server is left alone");
    assert_eq!(found, "clear");
}

#[test]
fn a_request_with_a_phase_on_the_cpu_alone_is_taken_apart() {
    let folder = tempfile::tempdir().unwrap();
    let activity = file(folder.path(), "activity", 0);
    let arguments = ["--touch", &activity, "--gpu-seconds", "0.9", "--spin", "1.6", "--beside", "2"];
    let server = start(folder.path(), &arguments);
    let request = server.client_request(folder.path(), "/infer");
    let utilization =
        format!("utilization_percent: {{follows: {{file: {activity}, busy: 92, idle: 0, window_ms: 200}}}}");
    let variables = scenario(folder.path(), &[("utilization_percent: 0", &utilization)], "");
    let (_, snapshot) = run(&server, &request, folder.path(), &variables);
    let execution = &snapshot.facts.execution;
    let times = execution.request_times.known().unwrap();
    assert!(!times.is_empty() && times.iter().all(|one| one.accepted && one.duration_ms >= 2400.0), "{times:?}");
    let trace = execution.gpus.known().unwrap()[0].utilization_trace.known().unwrap();
    assert!(trace.iter().any(|one| one.percent == 92) && trace.iter().any(|one| one.percent == 0), "{trace:?}");
    let cpu = execution.server_cpu_trace.known().unwrap();
    assert!(cpu.len() > 10 && cpu.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms), "{cpu:?}");
    let gpu_percent: f64 = derived(&snapshot, "request_gpu_percent");
    assert!((25.0..75.0).contains(&gpu_percent), "{gpu_percent}");
    // Other tests may keep the server from a core for itself: where it got any time, it had all.
    let mut snapshot = snapshot.clone();
    let full = cpu.iter().map(|one| CpuReading { cores: if one.cores > 0.0 { 1.0 } else { 0.0 }, ..one.clone() });
    snapshot.facts.execution.server_cpu_trace = Fact::Known(full.collect());
    let words: String = derived(&snapshot, "request_cpu_phase");
    let percent: f64 = derived(&snapshot, "request_cpu_only_percent");
    // Readings in which it got none at all may still break the phase.
    if percent >= 50.0 {
        assert!(words.contains("then stood at 0 % while a CPU core computed"), "{words}");
    }
    assert!(percent < 75.0, "{percent}");
}

/// An ONNX file with one initializer of so many float32 elements, whose data are not there; 2 GiB need none.
fn model(folder: &Path, elements: u64) -> PathBuf {
    let path = folder.join("model.onnx");
    let nodes = [onnx_writer::node("matmul", "MatMul", &["x", "w"], "y")];
    std::fs::write(&path, onnx_writer::model(17, &nodes, &[onnx_writer::tensor("w", elements)])).unwrap();
    path
}

fn before_deployment(model: &Path, scenario: &str, format: &str) -> Said {
    let variables = setup::driver_variables(&setup::scenario(scenario));
    gpu_doctor(&["run", "--only", "process", "--format", format, "--model", model.to_str().unwrap()], &variables)
}

#[test]
fn before_a_deployment_the_budget_is_told_and_who_holds_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let two_gigabytes = model(folder.path(), 500_000_000);
    let said = before_deployment(&two_gigabytes, "vram-held", "text");
    let text = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = "gpu memory the model needs an estimated 2,408 MiB (1,908 MiB of parameters that onnxruntime is predicted to place on the \
                GPU, and 500 MiB for CUDA itself) before the first request; GPU 0 (NVIDIA H100 80GB HBM3) has";
    assert!(text.contains(line), "{}", said.out);
    assert!(text.contains("MiB free. Requests take more, in onnxruntime by steps of up to 1,024 MiB"), "{}", said.out);
    let report = before_deployment(&two_gigabytes, "vram-held", "json").report();
    let found = diagnosis(&report, "vram-held-by-other-process");
    assert_eq!((&found["severity"], &found["explains"][0]), (&"warn".into(), &"cuda-oom".into()), "{found}");
    assert!(found["because"].as_str().unwrap().contains("held by PID 4711"), "{found}");
    assert!(report["device_budget"].as_str().unwrap().starts_with("the model needs"), "{report}");

    let report = before_deployment(&two_gigabytes, "healthy-idle", "json").report();
    assert_eq!(verdict(&report, "cuda-oom"), "not_applicable", "it fits");
    assert_eq!(verdict(&report, "model-exceeds-gpu-memory"), "clear");
    let report = before_deployment(&model(folder.path(), 40_000_000_000), "healthy-idle", "json").report();
    let found = diagnosis(&report, "model-exceeds-gpu-memory");
    assert_eq!(found["severity"], "fail");
    let because = found["because"].as_str().unwrap();
    assert!(because.contains("GPU 0 (NVIDIA H100 80GB HBM3) has 81,559 MiB in all"), "{because}");
    let report = before_deployment(&two_gigabytes, "mig-two-instances", "json").report();
    assert_eq!(verdict(&report, "model-exceeds-gpu-memory"), "not_applicable");
    assert!(report["device_budget"].is_null(), "{report}");
}
