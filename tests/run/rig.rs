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
    for (code, words, kind) in [
        (2, "", "out_of_memory"),
        (35, "CUDA driver version is insufficient for CUDA runtime version", "driver_too_old"),
        (46, "busy or unavailable", "busy"),
        (100, "no CUDA-capable device is detected", "no_device"),
        (101, "invalid device ordinal", "invalid_device"),
        (209, "", "no_kernel_image"),
        (802, "system not yet initialized", "not_ready"),
        (803, "unsupported display driver", "driver_mismatch"),
        (804, "forward compatibility", "compat"),
        (999, "unknown error", "unknown_error"),
    ] {
        let mut variables = variables.clone();
        variables.push(("GPU_DOCTOR_RIG_FAIL", format!("cudaSetDevice={code}").into()));
        let ort = facts(&["--onnxruntime", library.to_str().unwrap()], &variables)["ort"].clone();
        assert_eq!(ort["cuda_registers"]["known"], false, "{code}: {ort}");
        let error = ort["cuda_error"]["known"].as_str().unwrap_or_else(|| panic!("{code}: {ort}"));
        assert!(error.contains(words) && error.contains(&code.to_string()), "{code}: {error}");
        let failure = &ort["cuda_failure"]["known"];
        assert_eq!((&failure["kind"], &failure["code"]["known"]), (&kind.into(), &code.into()), "{failure}");
        assert!(failure["call"].as_str().unwrap().starts_with("cudaSetDevice("), "{failure}");
    }
}

#[test]
fn a_library_that_does_not_start_is_told_by_its_name() {
    let Some((library, variables)) = wheel() else { return };
    for (plan, kind) in [("cublasCreate_v2=1", "cublas"), ("cudnnCreate=1", "cudnn")] {
        let mut variables = variables.clone();
        variables.push(("GPU_DOCTOR_RIG_FAIL", plan.into()));
        let ort = facts(&["--onnxruntime", library.to_str().unwrap()], &variables)["ort"].clone();
        assert_eq!(ort["cuda_failure"]["known"]["kind"], kind, "{plan}: {ort}");
    }
}

#[test]
fn a_failure_of_cuda_is_a_cause_where_the_driver_is_well() {
    let Some((library, mut variables)) = wheel() else { return };
    variables.push(("GPU_DOCTOR_RIG_FAIL", "cudaSetDevice=209".into()));
    let said =
        gpu_doctor(&["run", "--format", "json", "--onnxruntime", library.to_str().unwrap()], &variables).report();
    assert_eq!(causes(&said), ["ort-cuda-session-fails"], "{}", said["headline"]);
    let cause = diagnosis(&said, "ort-cuda-session-fails");
    assert!(cause["fix"].to_string().contains("no code for this GPU"), "{cause}");
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

/// Bytes that went to the device, by the rig's own account, and bytes that were taken there.
fn moved(log: &std::path::Path) -> (u64, u64) {
    let (mut to_device, mut taken) = (0, 0);
    for line in std::fs::read_to_string(log).unwrap_or_default().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [call, bytes, kind] = words[..] else { panic!("{line}") };
        let bytes: u64 = bytes.parse().unwrap();
        match (call, kind) {
            ("cudaMalloc", _) => taken += bytes,
            (call, "1") if call.starts_with("cudaMemcpy") => to_device += bytes,
            _ => {}
        }
    }
    (to_device, taken)
}

#[test]
fn parameters_are_told_to_the_byte_and_a_dry_session_takes_little_of_the_gpu() {
    let Some((library, variables)) = wheel() else { return };
    let Some(cpu) = venv("cpu") else { return };
    // Half of the parameters lie in branches, some are kept twice, some are folded away.
    for (file, largest) in
        [("silero_vad.onnx", 528_384), ("silero_vad_16k_op15.onnx", 264_192), ("silero_vad_16k_sequence.onnx", 264_192)]
    {
        for whole in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let log = folder.path().join("moved");
            let variables = [&variables[..], &[("GPU_DOCTOR_RIG_LOG", log.clone())]].concat();
            let model = site_packages(&cpu).join("silero_vad/data").join(file);
            let mut arguments =
                vec!["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap(), "--format", "json"];
            arguments.extend(whole.then_some("--whole-session"));
            let report = gpu_doctor(&arguments, &variables).report();
            let real = &report["placement"]["real"];
            assert_eq!(real["method"], "optimized model", "{real}");
            assert_eq!(real["session"], if whole { "whole" } else { "dry" });
            let (to_device, taken) = moved(&log);
            // The provider's own check of the library copies nothing to the device.
            assert_eq!(real["parameter_bytes_by_device"]["gpu"].as_u64(), Some(to_device), "{file}");
            assert!(to_device > 1_000_000, "{to_device}");
            let nodes = real["nodes"].as_array().unwrap();
            assert_eq!(Some(nodes.len() as u64), real["node_count"].as_u64(), "{file}");
            assert!(nodes.iter().all(|node| node["provider"] != ""), "{file}");
            let on_cpu = nodes.iter().filter(|node| node["provider"] == "CPUExecutionProvider");
            assert!(on_cpu.clone().all(|node| node["why"] != ""), "{file}: {:?}", on_cpu.collect::<Vec<_>>());
            if !whole {
                assert!(taken < largest + (6 << 20), "{file}: {taken} bytes");
            }
        }
    }
}

#[test]
fn islands_on_the_cpu_are_told_with_what_crosses() {
    let Some((library, variables)) = wheel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("cut.onnx");
    std::fs::write(&model, CUT).unwrap();
    let arguments = ["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap(), "--format", "json"];
    let real = gpu_doctor(&arguments, &variables).report()["placement"]["real"].clone();
    let islands = real["cpu_islands"].as_array().unwrap_or_else(|| panic!("{real}"));
    assert_eq!(islands.len(), 1, "{real}");
    assert_eq!(
        (&islands[0]["first"][0], &islands[0]["tensors_in"], &islands[0]["tensors_out"]),
        (&"det".into(), &1.into(), &1.into())
    );
    let copies = real["copies"].as_array().unwrap();
    let told: Vec<_> = copies
        .iter()
        .map(|copy| {
            (
                copy["tensor"].as_str().unwrap(),
                copy["direction"].as_str().unwrap(),
                copy["made_by"].as_str().unwrap(),
                copy["needed_by"][0].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("a", "to host", "relu", "det"), ("b", "to device", "det", "exp")]);
    let why = real["nodes"].as_array().unwrap().iter().find(|node| node["name"] == "det").unwrap();
    assert_eq!(why["why"], "no CUDA kernel for this operator, its version and its types");
}

#[test]
fn a_tensor_too_large_for_the_block_leaves_the_log() {
    let Some((library, variables)) = wheel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("big.onnx");
    std::fs::write(&model, BIG).unwrap();
    // Nothing of it is written to the disk.
    std::fs::File::create(folder.path().join("w.bin")).unwrap().set_len(600_000_000).unwrap();
    let arguments = ["model", model.to_str().unwrap(), "--onnxruntime", library.to_str().unwrap(), "--format", "json"];
    let audit = gpu_doctor(&arguments, &variables).report();
    let real = &audit["placement"]["real"];
    assert_eq!((&real["session"], &real["method"]), (&"dry".into(), &"verbose log".into()), "{real}");
    assert_eq!(real["parameter_bytes_by_device"]["gpu"], 600_000_000);
    assert_eq!(real["nodes"], Value::Null);
    let unknown = audit["unknown"].as_array().unwrap();
    let reason = unknown.iter().find(|one| one["path"] == "placement.real.nodes").expect("a reason");
    assert!(reason["detail"].as_str().unwrap().contains("more than 512 MiB"), "{reason}");
}

/// y = MatMul(x, w) with w of 12,000 x 12,500 float32 in the file w.bin.
const BIG: &[u8] =
    b"\x08\x08\x3a\x6a\x0a\x15\x0a\x01\x78\x0a\x01\x77\x12\x01\x79\x1a\x02\x6d\x6d\x22\x06\x4d\x61\x74\x4d\x75\x6c\x12\
\x03\x62\x69\x67\x2a\x20\x08\xe0\x5d\x08\xd4\x61\x10\x01\x42\x01\x77\x6a\x11\x0a\x08\x6c\x6f\x63\x61\x74\x69\x6f\
\x6e\x12\x05\x77\x2e\x62\x69\x6e\x70\x01\x5a\x14\x0a\x01\x78\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x02\x08\x01\x0a\
\x03\x08\xe0\x5d\x62\x14\x0a\x01\x79\x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x02\x08\x01\x0a\x03\x08\xd4\x61\x42\x04\
\x0a\x00\x10\x0d";

/// y = Exp(Det(Relu(x))) on float32 of 2 x 3 x 3 (IR 8, operator set 13): Det has no CUDA kernel.
const CUT: &[u8] =
    b"\x08\x08\x3a\x67\x0a\x12\x0a\x01\x78\x12\x01\x61\x1a\x04\x72\x65\x6c\x75\x22\x04\x52\x65\x6c\x75\x0a\x10\x0a\x01\
\x61\x12\x01\x62\x1a\x03\x64\x65\x74\x22\x03\x44\x65\x74\x0a\x10\x0a\x01\x62\x12\x01\x79\x1a\x03\x65\x78\x70\x22\
\x03\x45\x78\x70\x12\x03\x63\x75\x74\x5a\x17\x0a\x01\x78\x12\x12\x0a\x10\x08\x01\x12\x0c\x0a\x02\x08\x02\x0a\x02\
\x08\x03\x0a\x02\x08\x03\x62\x0f\x0a\x01\x79\x12\x0a\x0a\x08\x08\x01\x12\x04\x0a\x02\x08\x02\x42\x04\x0a\x00\x10\
\x0d";

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
