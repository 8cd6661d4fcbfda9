//! What the code of real servers says about providers and devices.

use crate::setup::asr;
use crate::setup::doctor::{causes, diagnosis, gpu_doctor, verdict};
use crate::setup::{driver_variables, fake_driver, scenario};
use serde_json::Value;
use std::path::Path;

fn known<'a>(facts: &'a Value, room: &str, fact: &str) -> &'a Value {
    let fact = &facts[room][fact];
    fact.get("known").unwrap_or_else(|| panic!("{fact}"))
}

#[test]
fn the_servers_own_calls_are_found_and_quoted() {
    let Some(server) = asr::start("cpu", &[("WHISPER_DEVICE", "gpu".into()), ("ASR_DEVICE", "not a device".into())])
    else {
        return;
    };
    std::fs::write(server.code.path().join("benchmark.py"), "import onnxruntime as o\no.InferenceSession('x')\n")
        .unwrap();
    let facts = gpu_doctor(&["collect", "--server", &server.url()], &[]).report()["facts"].clone();
    let app = server.code.path().join("app.py").display().to_string();
    assert_eq!(*known(&facts, "source", "files"), serde_json::json!([app]), "a script beside it is not the server's");
    let calls = known(&facts, "source", "session_calls").as_array().unwrap();
    let told: Vec<_> =
        calls.iter().map(|call| (call["device"].as_str().unwrap(), call["callee"].as_str().unwrap())).collect();
    let callee = "onnxruntime.InferenceSession";
    assert_eq!(told, [("default", callee), ("computed", callee)]);
    let text = std::fs::read_to_string(&app).unwrap();
    for call in calls {
        let line = text.lines().nth(call["line"].as_u64().unwrap() as usize - 1).unwrap();
        assert_eq!(call["text"], line.trim(), "the line is the file's own");
    }
    let imports: Vec<_> =
        known(&facts, "source", "imports").as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(imports.contains(&"onnxruntime") && imports.contains(&"fastapi"), "{imports:?}");
    assert_eq!(known(&facts, "source", "mentions_cuda"), true);
    let words = known(&facts, "source", "device_words");
    assert_eq!((&words[0]["name"], &words[0]["value"]), (&"WHISPER_DEVICE".into(), &"gpu".into()), "{words}");
    assert!(known(&facts, "process", "environment").get("ASR_DEVICE").is_none(), "what is no device is not read out");
}

#[test]
fn a_model_whose_own_code_runs_onnxruntime_on_the_cpu_is_the_cause() {
    let home = tempfile::tempdir().unwrap();
    let modules = home.path().join("modules/transformers_modules");
    let code = modules.join("ai4bharat/indic_hyphen_conformer/0f3c/model_onnx.py");
    std::fs::create_dir_all(code.parent().unwrap()).unwrap();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/remote_code/model_onnx.py");
    std::fs::copy(fixture, &code).unwrap();
    let stand_in = home.path().join("libtorch_cuda.so");
    std::fs::copy(fake_driver().join("libnvidia-ml.so.1"), &stand_in).unwrap();
    let log = home.path().join("asr.log");
    std::fs::write(&log, "Using device: cuda\n[DIAGNOSTIC] Model parameters - GPU: 603, CPU: 4\n").unwrap();

    let variables = driver_variables(&scenario("healthy-idle"));
    let of_server = [("HF_HOME", home.path().to_owned()), ("STAND_IN_LIBRARY", stand_in)];
    let Some(server) = asr::start_code("cpu", "remote_code", &[&variables[..], &of_server].concat()) else { return };
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en");
    let arguments = [
        "run",
        "--format",
        "json",
        "--server",
        &server.url(),
        "--client-request",
        request.to_str().unwrap(),
        "--log",
        log.to_str().unwrap(),
    ];
    let report = gpu_doctor(&arguments, &variables).report();
    assert_eq!(causes(&report)[0], "wrapper-runs-onnx-or-cpu-internally", "{}", report["headline"]);
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "holds");
    let cause = diagnosis(&report, "wrapper-runs-onnx-or-cpu-internally");
    let because = cause["because"].as_str().unwrap();
    let line =
        std::fs::read_to_string(&code).unwrap().lines().position(|line| line.contains("InferenceSession(")).unwrap()
            + 1;
    let place = format!("{}, line {line}: self.encoder = ort.InferenceSession(os.path.join(path),)", code.display());
    assert!(because.contains(&place), "{because}");
    assert!(because.contains("603 parameters on the GPU"), "{because}");
    assert!(because.contains("The installed onnxruntime has no CUDA at all"), "{because}");
    let fix = cause["fix"].to_string();
    assert!(fix.contains("os.path.join(path), providers=[\\\"CUDAExecutionProvider"), "{fix}");
}
