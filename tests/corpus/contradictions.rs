//! What is claimed and seen otherwise: told where both sides are known, and never of a healthy deployment.

use crate::cases::{Case, snapshot};
use crate::expect::Kind;
use crate::load;
use gpu_doctor::check::Checks;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::snapshot::Snapshot;
use serde_json::{Value, json};

fn told(checks: &Checks, snapshot: &Snapshot) -> Vec<String> {
    diagnose(checks, snapshot).unwrap().contradictions
}

/// A recording with facts set.
fn with(base: &str, facts: &[(&str, Value)]) -> Vec<String> {
    let facts = facts.iter().map(|(path, value)| ((*path).to_owned(), value.clone())).collect();
    told(&Checks::load(None).unwrap(), &snapshot(&Case { base: base.into(), facts, ..Case::default() }))
}

#[test]
fn a_healthy_deployment_contradicts_nothing() {
    let checks = Checks::load(None).unwrap();
    let mut seen = 0;
    for case in load::all().iter().filter(|case| case.expect.kind == Kind::Twin) {
        seen += 1;
        assert_eq!(told(&checks, &case.snapshot), Vec::<String>::new(), "{}", case.name);
    }
    assert!(seen > 20, "{seen}");
    for base in ["healthy-server", "healthy-machine", "active", "files-healthy"] {
        assert_eq!(with(base, &[]), Vec::<String>::new(), "{base}");
    }
}

fn health(answer: &str) -> (&'static str, Value) {
    ("request.state_answers", json!([{"path": "/health", "status": {"known": 200}, "answer": answer}]))
}

/// What an idle GPU and a server that never opened it look like.
fn never_opened() -> Vec<(&'static str, Value)> {
    vec![
        ("process.device_nodes_open", json!([])),
        ("execution.device_nodes_open_after", json!([])),
        ("host.tegra", json!(false)),
    ]
}

#[test]
fn a_server_that_says_cuda_and_never_opened_the_gpu_is_told() {
    let claim = health(r#"{"status": "ok", "device": "cuda:0"}"#);
    let said = with("cpu-package", &[vec![claim.clone()], never_opened()].concat());
    let sentence = said.iter().find(|one| one.contains("GET /health")).unwrap_or_else(|| panic!("{said:?}"));
    assert!(
        sentence.starts_with("the server says device: \"cuda:0\" (GET /health), yet its processes hold no GPU memory")
    );
    assert!(sentence.contains("/dev/nvidia-uvm"), "{sentence}");
    // One that cannot be seen into is not contradicted by that, only by the GPU's rest.
    let hidden = json!({"unknown": {"why": "denied", "detail": "/proc/4242/fd: permission denied"}});
    let said = with("cpu-package", &[claim.clone(), ("process.device_nodes_open", hidden)]);
    assert!(said.iter().all(|one| !one.contains("nvidia-uvm")), "{said:?}");
    assert!(
        said.iter().any(|one| one.contains("yet no GPU did any work while its requests were accepted")),
        "{said:?}"
    );
    for (base, facts) in [
        ("cpu-package", health(r#"{"status": "ok", "device": "cpu"}"#)),
        ("healthy-server", claim.clone()),
        // Nothing was computed, so that a model that is loaded by its first request may not be there yet.
        ("cpu-package", ("execution.requests_ok", json!(0))),
    ] {
        let facts = if facts.0 == "execution.requests_ok" { vec![facts, claim.clone()] } else { vec![facts] };
        let said = with(base, &[facts, if base == "cpu-package" { never_opened() } else { vec![] }].concat());
        assert!(said.iter().all(|one| !one.contains("nvidia-uvm")), "{base}: {said:?}");
    }
}

#[test]
fn a_header_and_a_log_are_claims_too() {
    let good = |headers: Value| {
        json!({"author": "doctor", "method": "POST", "path": "/asr", "content_type": "", "status": {"known": 200}, "fields": [],
            "accepted": true, "duration_ms": 12.0, "answer": "{\"text\": \"the device: cuda\"}", "names_missing": [],
            "headers": headers, "curl": ""})
    };
    let said =
        with("cpu-package", &[never_opened(), vec![("request.good", good(json!({"x-device": "cuda"})))]].concat());
    assert!(said[0].starts_with("the server says x-device: cuda (the answer to POST /asr), yet "), "{said:?}");
    assert_eq!(
        with("cpu-package", &[never_opened(), vec![("request.good", good(json!({"x-device": "cpu"})))]].concat()).len(),
        0
    );
    let line = json!([{"id": "using-device", "file": "a.log", "line_number": 3, "line": "Using device: cuda", "values": {"device": "cuda"}}]);
    let said = with("cpu-package", &[never_opened(), vec![("server_log.sayings", line)]].concat());
    assert!(said[0].starts_with("the server logs \"Using device: cuda\" (a.log, line 3), yet "), "{said:?}");
}

#[test]
fn a_gpu_that_is_there_by_the_servers_word_and_no_provider_for_it() {
    let facts = [
        vec![health(r#"{"gpu": true}"#), ("process.gpu_libraries", json!({"onnxruntime_python": "/venv/ort.so"}))],
        vec![("execution.gpu_libraries_after", json!({})), ("ort.cuda_compiled_in", json!(false))],
        never_opened(),
    ]
    .concat();
    let said = with("cpu-package", &facts);
    assert!(
        said.iter().any(|one| one.contains("the onnxruntime that it has loaded is built without CUDA")),
        "{said:?}"
    );
    // A voice detector's onnxruntime beside CTranslate2 says nothing of the GPU.
    let libraries = json!({"onnxruntime_python": "/venv/ort.so", "ctranslate2": "/venv/ct2.so"});
    let said = with("cpu-package", &[facts, vec![("process.gpu_libraries", libraries)]].concat());
    assert_eq!(said.len(), 0, "{said:?}");
}

#[test]
fn a_session_with_cuda_by_the_log_and_no_provider_mapped() {
    let line = json!([{"id": "ort-applied-providers", "file": "a.log", "line_number": 8,
        "line": "Applied providers: ['CUDAExecutionProvider', 'CPUExecutionProvider']",
        "values": {"providers": "'CUDAExecutionProvider', 'CPUExecutionProvider'"}}]);
    let facts = |after: Value| {
        let before = ("process.gpu_libraries", json!({"onnxruntime_python": "/venv/ort.so"}));
        [("server_log.sayings", line.clone()), before, ("execution.gpu_libraries_after", after)]
    };
    let said = with("cpu-package", &facts(json!({})));
    assert!(
        said.iter().any(|one| one.contains("none of its processes has onnxruntime's CUDA provider mapped")),
        "{said:?}"
    );
    let said = with("cpu-package", &facts(json!({"onnxruntime_cuda_provider": "/venv/cuda.so"})));
    assert!(said.iter().all(|one| !one.contains("CUDA provider mapped")), "loaded by the first request: {said:?}");
}

#[test]
fn counts_and_times_that_do_not_fit() {
    let row = |inferences: u64| {
        vec![
            ("counters.pages", json!(["http://127.0.0.1:8002/metrics"])),
            ("counters.software", json!(["triton"])),
            ("counters.models", json!([{"model": "asr", "page": "p", "inferences": {"known": inferences}}])),
        ]
    };
    let said = with("healthy-server", &row(0));
    assert_eq!(
        said,
        ["197 requests were accepted (the answers), yet triton counted 0 inferences of asr for 197 accepted requests \
          (http://127.0.0.1:8002/metrics)"]
    );
    assert_eq!(with("healthy-server", &row(197)), Vec::<String>::new());
    let place = "the answer's field inference_time_ms";
    let said = with(
        "healthy-server",
        &[("execution.server_reported_over_ms", json!(140.0)), ("execution.server_reported_over_in", json!(place))],
    );
    assert!(
        said[0].starts_with("the server says that its model took 140.0 ms (the answer's field inference_time_ms), yet")
    );
    assert!(said[0].contains("the whole request took 14.3 ms"), "{said:?}");
}

#[test]
fn a_card_at_0_percent_whose_other_counters_rose() {
    let phases = |value: f64| {
        let series = |value: f64| json!({"samples": 60, "min": value, "mean": value, "max": value});
        json!({"known": {"before": series(0.0), "during": series(value), "after": series(0.0)}})
    };
    let window = |change: &[(&str, Value)]| {
        let unknown = json!({"unknown": {"why": "unsupported", "detail": "not reported"}});
        let mut window = json!({"index": 0, "uuid": unknown, "utilization_percent": phases(0.0),
            "process_utilization_percent": unknown, "power_milliwatts": unknown, "sm_clock_mhz": unknown,
            "memory_used_bytes": unknown, "server_memory_bytes": unknown});
        change.iter().for_each(|(name, value)| window[*name] = value.clone());
        with("healthy-server", &[("execution.gpus", json!([window]))])
    };
    let start = "GPU 0 was at 0 % in all of 60 samples (utilization, as nvidia-smi shows it), yet ";
    let said = window(&[("process_utilization_percent", phases(95.0))]);
    assert_eq!(said, [format!("{start}the server's processes used 95 % of it (nvmlDeviceGetProcessUtilization)")]);
    let said = window(&[("sm_activity_percent", phases(62.0))]);
    assert_eq!(said, [format!("{start}62 % of its multiprocessors were active (NVML's GPM)")]);
    let energy = |during: f64| json!({"known": {"before": {"known": 68e3}, "during": {"known": during}, "after": {"known": 68e3}}});
    let said = window(&[("energy_milliwatts", energy(181e3))]);
    assert_eq!(said, [format!("{start}it drew 181 W instead of 68 W (its energy counter, which no burst escapes)")]);
    for quiet in [("process_utilization_percent", phases(9.0)), ("energy_milliwatts", energy(80e3))] {
        assert_eq!(window(&[quiet]), Vec::<String>::new());
    }
    let unread = json!({"unknown": {"why": "unsupported", "detail": "MIG"}});
    let said = window(&[("utilization_percent", unread), ("process_utilization_percent", phases(95.0))]);
    assert_eq!(said, Vec::<String>::new(), "0 is not what is not told");
}
