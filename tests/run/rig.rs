//! onnxruntime's real CUDA provider, registered without a GPU, and its failures.

use crate::setup::doctor::{causes, diagnosis, gpu_doctor, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{asr, rig, scenario};
use serde_json::Value;
use std::path::PathBuf;

type Variables = Vec<(&'static str, PathBuf)>;

/// The GPU wheel's library, and the variables under which its provider registers.
fn wheel() -> Option<(PathBuf, Variables)> {
    let variables = rig::variables(&scenario("healthy-idle"))?;
    Some((site_packages(&venv("gpu")?).join("onnxruntime/capi/libonnxruntime.so.1.23.2"), variables))
}

fn facts(arguments: &[&str], variables: &Variables) -> Value {
    gpu_doctor(&[&["collect"], arguments].concat(), variables).report()["facts"].clone()
}

#[test]
fn the_provider_registers() {
    let Some((library, variables)) = wheel() else { return };
    let said = gpu_doctor(&["run", "--format", "json", "--onnxruntime", library.to_str().unwrap()], &variables);
    assert_eq!(causes(&said.report()), Vec::<&str>::new());
    let facts = facts(&["--onnxruntime", library.to_str().unwrap()], &variables);
    assert_eq!(facts["ort"]["cuda_registers"]["known"], true, "{}", facts["ort"]);
    assert_eq!(facts["ort"]["missing_libraries"]["known"], Value::Array(Vec::new()));
}

#[test]
fn each_failure_of_the_device_is_told_in_the_runtimes_words() {
    let Some((library, variables)) = wheel() else { return };
    for (code, words) in [
        (35, "CUDA driver version is insufficient for CUDA runtime version"),
        (46, "busy or unavailable"),
        (100, "no CUDA-capable device is detected"),
        (101, "invalid device ordinal"),
        (802, "system not yet initialized"),
        (803, "unsupported display driver"),
        (804, "forward compatibility"),
        (999, "unknown error"),
    ] {
        let mut variables = variables.clone();
        variables.push(("GPU_DOCTOR_RIG_FAIL", format!("cudaSetDevice={code}").into()));
        let ort = facts(&["--onnxruntime", library.to_str().unwrap()], &variables)["ort"].clone();
        assert_eq!(ort["cuda_registers"]["known"], false, "{code}: {ort}");
        let error = ort["cuda_error"]["known"].as_str().unwrap_or_else(|| panic!("{code}: {ort}"));
        assert!(error.contains(words) && error.contains(&code.to_string()), "{code}: {error}");
    }
}

#[test]
fn a_model_is_placed_by_the_real_partitioner() {
    let Some((library, variables)) = wheel() else { return };
    let Some(cpu) = venv("cpu") else { return };
    let model = site_packages(&cpu).join("silero_vad/data/silero_vad_op18_ifless.onnx");
    let facts = facts(&["--onnxruntime", library.to_str().unwrap(), "--model", model.to_str().unwrap()], &variables);
    let placement = &facts["placement"];
    let on = |provider: &str| placement["nodes_by_provider"]["known"][provider].as_u64().unwrap_or(0);
    assert!(on("CUDAExecutionProvider") > 0, "{placement}");
    assert_eq!(
        on("CUDAExecutionProvider") + on("CPUExecutionProvider"),
        placement["nodes"]["known"].as_u64().unwrap(),
        "{placement}"
    );
    assert!(placement["gpu_parameter_bytes"]["known"].as_u64().unwrap() > 0, "{placement}");
}

/// A server on the GPU wheel whose provider would register, examined with a request that it accepts.
fn report_of_server(further: &[(&'static str, PathBuf)]) -> Option<Value> {
    let (_, mut variables) = wheel()?;
    variables.push(("PYTHONPATH", site_packages(&venv("gpu")?)));
    let of_server = [&variables, further].concat();
    let server = asr::start("cpu", &of_server)?;
    let request = server.client_request("/asr", "-F audio=@speech.wav -F lang=en");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    Some(gpu_doctor(&arguments, &variables).report())
}

#[test]
fn a_server_that_names_no_provider_runs_on_the_cpu() {
    let Some(report) = report_of_server(&[("ASR_OMIT_PROVIDERS", "1".into())]) else { return };
    assert_eq!(causes(&report), ["ort-provider-not-requested"], "{}", report["headline"]);
    let cause = diagnosis(&report, "ort-provider-not-requested");
    assert_eq!(cause["explains"][0], "gpu-idle-while-serving");
    assert!(
        cause["because"].as_str().unwrap().contains("CUDA registers in onnxruntime 1.23.2"),
        "{}",
        cause["because"]
    );
    // The server's own line is quoted, with the same line as it should be.
    let code = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/servers/asr/app.py")).unwrap();
    let call = "ort.InferenceSession(model_path(), options)";
    let line = 1 + code.lines().position(|line| line.trim() == format!("return {call}")).unwrap();
    let quoted = format!("/app.py, line {line}, names no provider: \"return {call}\"");
    assert!(cause["because"].as_str().unwrap().contains(&quoted), "{}", cause["because"]);
    assert!(cause["fix"][0]["say"].as_str().unwrap().contains(&format!("/app.py, line {line}")), "{}", cause["fix"]);
    let open = call.strip_suffix(')').unwrap();
    let mended = format!("{open}, providers=[\"CUDAExecutionProvider\", \"CPUExecutionProvider\"])");
    assert_eq!(cause["fix"][0]["run"], mended);
    assert_eq!(cause["confidence"], "likely", "the same file has a call that may ask for CUDA");
}

#[test]
fn a_server_that_names_it_is_not_blamed() {
    let Some(report) = report_of_server(&[]) else { return };
    assert_eq!(verdict(&report, "ort-provider-not-requested"), "clear", "{}", report["headline"]);
}
