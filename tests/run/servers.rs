//! The user's cases against the real speech server.

use crate::setup::asr::{self, free_port};
use crate::setup::doctor::{causes, diagnosis, gpu_doctor, seen, verdict};
use crate::setup::venv::{site_packages, venv};
use crate::setup::{driver_variables, scenario};
use base64::Engine as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const WITHOUT_LANG: &str = "-F audio=@speech.wav";
const WITH_LANG: &str = "-F audio=@speech.wav -F lang=en";

fn model() -> Option<String> {
    let venv = venv("cpu")?;
    Some(site_packages(&venv).join("silero_vad/data/silero_vad.onnx").display().to_string())
}

#[test]
fn a1_the_client_does_not_send_lang() {
    let (Some(server), Some(model)) = (asr::start("cpu", &[]), model()) else { return };
    let request = server.client_request("/asr", WITHOUT_LANG);
    let url = server.url();
    let arguments =
        ["run", "--format", "json", "--server", &url, "--model", &model, "--client-request", request.to_str().unwrap()];
    let said = gpu_doctor(&arguments, &[]);
    let report = said.report();
    assert_eq!(said.code, 1);
    assert_eq!(report["verdict"], "unhealthy");
    // This machine has no GPU either: two independent causes, both in the headline.
    assert_eq!(causes(&report), ["required-field-missing", "no-nvidia-device"]);
    let expected = "GPU is idle because every request is rejected: POST /asr answers 400 without the form field \
                    \"lang\" (200 with lang=en); besides, this machine has no NVIDIA GPU";
    assert_eq!(report["headline"], expected);
    let cause = diagnosis(&report, "required-field-missing");
    let proof = |path: &str| {
        let evidence = cause["evidence"].as_array().unwrap();
        evidence.iter().find(|e| e["path"] == path).unwrap_or_else(|| panic!("no {path}"))["value"].clone()
    };
    assert_eq!(proof("request.rejected")["status"], 400);
    assert_eq!(proof("request.good")["status"], 200);
    assert_eq!(proof("request.missing_fields")[0]["name"], "lang");
    assert_eq!(proof("request.missing_fields")[0]["schema_says"], "optional");
    assert!(cause["fix"][0]["run"].as_str().unwrap().contains("lang=en"));
    // Registration and placement are reported besides.
    assert!(seen(&report, "runtime").contains("CUDA execution provider is not enabled in this build"));
    assert!(seen(&report, "model").contains("212 of 212 on CPU"), "{}", seen(&report, "model"));
    assert_eq!(verdict(&report, "ort-cpu-package-only"), "clear");
}

#[test]
fn a1_the_same_on_a_machine_with_a_gpu() {
    let variables = driver_variables(&scenario("healthy-idle"));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let request = server.client_request("/asr", WITHOUT_LANG);
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let report = gpu_doctor(&arguments, &variables).report();
    // While every request is rejected, nothing that the CPU package would do can be seen: the rejection comes first.
    assert_eq!(causes(&report), ["required-field-missing", "ort-cpu-package-only"]);
    assert_ne!(verdict(&report, "no-nvidia-device"), "holds");
}

#[test]
fn a1_in_the_json_form() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples/speech.wav");
    let audio = base64::engine::general_purpose::STANDARD.encode(std::fs::read(sample).unwrap());
    std::fs::write(server.code.path().join("body.json"), format!("{{\"audio_b64\": \"{audio}\"}}")).unwrap();
    let request = server.client_request("/asr/json", "-H 'content-type: application/json' -d @body.json");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let report = gpu_doctor(&arguments, &[]).report();
    assert_eq!(causes(&report)[0], "required-field-missing", "{}", report["headline"]);
    assert!(report["headline"].as_str().unwrap().contains("\"lang\""), "{}", report["headline"]);
}

#[test]
fn a_request_that_follows_the_schema_is_a_warning_without_a_client() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    let report = gpu_doctor(&["run", "--format", "json", "--server", &server.url()], &[]).report();
    let cause = diagnosis(&report, "required-field-missing");
    assert_eq!(cause["severity"], "warn");
    assert!(cause["because"].as_str().unwrap().contains("The schema calls \"lang\" optional"));
    assert_eq!(causes(&report)[0], "no-nvidia-device");
}

#[test]
fn b1_requests_succeed_on_the_cpu_package_beside_an_idle_gpu() {
    let variables = driver_variables(&scenario("healthy-idle"));
    let Some(server) = asr::start("cpu", &variables) else { return };
    let request = server.client_request("/asr", WITH_LANG);
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let said = gpu_doctor(&arguments, &variables);
    let report = said.report();
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report), ["ort-cpu-package-only"]);
    assert_eq!(diagnosis(&report, "ort-cpu-package-only")["explains"][0], "gpu-idle-while-serving");
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "holds");
    assert_eq!(verdict(&report, "required-field-missing"), "clear");
}

#[test]
fn a_gpu_that_works_while_the_server_serves_is_not_idle() {
    let folder = tempfile::tempdir().unwrap();
    let (activity, pid) = (folder.path().join("activity"), folder.path().join("pid"));
    std::fs::write(&pid, "0").unwrap();
    let mut variables: Vec<(&str, PathBuf)> = driver_variables(&scenario("following-activity")).to_vec();
    variables.push(("GPU_DOCTOR_FAKE_ACTIVITY", activity.clone()));
    variables.push(("GPU_DOCTOR_FAKE_SERVER_PID", pid.clone()));
    variables.push(("ASR_ACTIVITY_FILE", activity));
    let Some(server) = asr::start("cpu", &variables) else { return };
    std::fs::write(&pid, server.pid().to_string()).unwrap();
    let request = server.client_request("/asr", WITH_LANG);
    let snapshot = folder.path().join("snapshot.json");
    let (url, save) = (server.url(), snapshot.to_str().unwrap());
    let arguments = ["run", "--format", "json", "--server", &url, "--client-request", request.to_str().unwrap()];
    let watched = ["--sample-rate", "50", "--save", save];
    let report = gpu_doctor(&[&arguments[..], &watched].concat(), &variables).report();
    assert_eq!(verdict(&report, "gpu-idle-while-serving"), "clear", "{}", seen(&report, "execution"));
    let snapshot: serde_json::Value = serde_json::from_slice(&std::fs::read(snapshot).unwrap()).unwrap();
    let gpu = &snapshot["facts"]["execution"]["gpus"]["known"][0];
    let rate = |phase: &str| gpu["energy_milliwatts"]["known"][phase]["known"].as_f64().unwrap_or(f64::NAN);
    assert!((rate("before") - 68e3).abs() < 2e3, "{}", gpu["energy_milliwatts"]);
    assert!(rate("during") > 2.0 * rate("before"), "{}", gpu["energy_milliwatts"]);
    let activity = &gpu["sm_activity_percent"]["known"];
    assert_eq!((&activity["before"]["max"], &activity["during"]["max"]), (&0.0.into(), &62.0.into()));
    let process = &gpu["processes"]["known"][0];
    assert_eq!((&process["pid"], &process["of_server"]), (&server.pid().into(), &true.into()));
    assert_eq!(gpu["lost_at_ms"]["unknown"]["why"], "not_asked");
    let samples = gpu["power_milliwatts"]["known"]["before"]["samples"].as_u64().unwrap();
    assert!((25..=75).contains(&samples), "{samples} samples of a baseline of 1.2 s at 50 Hz");
}

#[test]
fn b2_the_server_was_not_restarted() {
    let Some(server) = asr::start("cpu", &[]) else { return };
    let code = server.code.path().join("app.py");
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(30);
    std::fs::File::options().append(true).open(&code).unwrap().set_modified(later).unwrap();
    let report = gpu_doctor(&["run", "--format", "json", "--only", "process", "--server", &server.url()], &[]).report();
    assert_eq!(causes(&report), ["server-not-restarted"]);
    let cause = diagnosis(&report, "server-not-restarted");
    assert_eq!(cause["subjects"][0], format!("PID {}", server.pid()));
    assert!(cause["because"].as_str().unwrap().contains("app.py"));
}

#[test]
fn nobody_listens() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let said = gpu_doctor(&["run", "--format", "json", "--server", &url], &[]);
    let report = said.report();
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report)[0], "backend-down-or-wrong-port");
    assert!(report["headline"].as_str().unwrap().contains("refused"), "{}", report["headline"]);
    assert_eq!(verdict(&report, "no-nvidia-device"), "holds", "the other stages still run");
}

#[test]
fn a_server_elsewhere_makes_this_machines_stages_not_applicable() {
    // A documentation address (RFC 5737): nothing may be sent there, so nothing but `--only hardware` is selected.
    let said = gpu_doctor(&["run", "--format", "json", "--only", "hardware", "--server", "http://192.0.2.1:8000"], &[]);
    let report = said.report();
    assert_eq!(causes(&report), Vec::<&str>::new());
    assert_eq!(verdict(&report, "no-nvidia-device"), "not_applicable");
    assert_eq!(said.code, 2, "nothing was examined, which is not health");
}

#[test]
fn a_tunnel_to_a_server_elsewhere_blames_nothing_here() {
    let folder = tempfile::tempdir().unwrap();
    // A program by the name of a forwarder; what listens is what the kernel says of it.
    let program = folder.path().join("kubectl");
    assert!(Command::new("cp").args(["-L", "/usr/bin/python3"]).arg(&program).status().unwrap().success());
    let port = free_port();
    let mut tunnel = Command::new(&program)
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let patience = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(20));
    }
    let report =
        gpu_doctor(&["run", "--format", "json", "--server", &format!("http://127.0.0.1:{port}")], &[]).report();
    tunnel.kill().unwrap();
    tunnel.wait().unwrap();
    assert_eq!(report["target"]["server_is_local"], false);
    assert_eq!(verdict(&report, "no-nvidia-device"), "not_applicable");
    assert!(seen(&report, "process").contains("kubectl carries the requests to another machine"));
}
