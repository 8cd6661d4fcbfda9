//! Faults of single GPUs through the whole run, by the fake driver and by nvidia-smi's output.

use crate::scripted_server::ScriptedServer;
use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, verdict};
use crate::setup::{driver_variables, driver_without, scenario};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The checks of single GPUs.
const CHECKS: [&str; 9] = [
    "thermal-slowdown",
    "power-cap-or-brake",
    "pcie-link-degraded",
    "ecc-or-row-remap",
    "gpu-reset-required",
    "vgpu-unlicensed",
    "compute-mode-exclusive",
    "mig-enabled-no-instance",
    "vram-held-by-other-process",
];

fn played(name: &str) -> Said {
    gpu_doctor(&["run", "--format", "json"], &driver_variables(&scenario(name)))
}

/// Those of [`CHECKS`] that hold.
fn held(report: &Value) -> Vec<&'static str> {
    CHECKS.into_iter().filter(|check| verdict(report, check) == "holds").collect()
}

#[test]
fn each_scenario_is_its_own_cause_and_no_other() {
    for (name, cause, healthy) in [
        ("thermal-slowdown", "thermal-slowdown", true),
        ("power-brake", "power-cap-or-brake", true),
        ("power-cap-lowered", "power-cap-or-brake", true),
        ("pcie-narrow", "pcie-link-degraded", true),
        ("ecc-uncorrected", "ecc-or-row-remap", true),
        ("gpu-reset-required", "gpu-reset-required", false),
        ("vgpu-unlicensed", "vgpu-unlicensed", false),
        ("compute-mode-prohibited", "compute-mode-exclusive", false),
        ("compute-mode-exclusive", "compute-mode-exclusive", true),
        ("mig-no-instance", "mig-enabled-no-instance", false),
    ] {
        let said = played(name);
        let report = said.report();
        assert_eq!(held(&report), [cause], "{name}: {}", report["headline"]);
        assert!(causes(&report).contains(&cause), "{name}: {:?}", causes(&report));
        assert_eq!(said.code, i32::from(!healthy), "{name}: {}", report["headline"]);
        let because = diagnosis(&report, cause)["because"].as_str().unwrap();
        assert!(because.starts_with("GPU 0 ("), "{name}: {because}");
    }
}

#[test]
fn sound_gpus_stay_sound() {
    for name in ["healthy-idle", "healthy-busy", "power-cap-at-default", "pcie-idle-generation", "mig-two-instances"] {
        let said = played(name);
        let report = said.report();
        assert_eq!(held(&report), Vec::<&str>::new(), "{name}");
        assert_eq!(report["verdict"], "healthy", "{name}: {}", report["headline"]);
        for check in CHECKS {
            assert_ne!(verdict(&report, check), "unknown", "{name}: {check}");
        }
    }
}

#[test]
fn a_lost_gpu_leaves_the_other_to_be_judged() {
    let report = played("two-gpus-one-lost").report();
    for check in CHECKS.iter().filter(|check| **check != "vram-held-by-other-process") {
        assert_eq!(verdict(&report, check), "clear", "{check}");
    }
}

#[test]
fn an_older_driver_is_no_open_question() {
    let older = driver_without(&[
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetComputeRunningProcesses_v3",
        "nvmlDeviceGetRemappedRows",
        "nvmlDeviceGetMigMode",
        "nvmlDeviceGetGridLicensableFeatures_v4",
        "nvmlDeviceGetGpuFabricInfoV",
        "nvmlDeviceGetGpuFabricInfo",
    ]);
    let variables =
        [("LD_LIBRARY_PATH", older.path().to_path_buf()), ("GPU_DOCTOR_FAKE_DRIVER", scenario("healthy-idle"))];
    let report = gpu_doctor(&["run", "--format", "json"], &variables).report();
    assert_eq!(report["verdict"], "healthy", "{}", report["headline"]);
    assert_eq!(verdict(&report, "mig-enabled-no-instance"), "not_applicable", "the driver knows no MIG");
    assert_eq!(verdict(&report, "ecc-or-row-remap"), "clear", "the error counters still tell");
}

fn nvidia_smi(name: &str) -> Said {
    let file: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fixtures/nvidia-smi", name].iter().collect();
    gpu_doctor(&["run", "--format", "json", "--only", "hardware,driver", "--nvidia-smi", file.to_str().unwrap()], &[])
}

#[test]
fn nvidia_smis_output_stands_for_nvml() {
    for (name, causes) in [
        ("h200-healthy.xml", &[][..]),
        // Eight lanes of a card that is passed through are the host's matter.
        ("t4-throttled.xml", &["thermal-slowdown"]),
        ("a100-mig.xml", &["ecc-or-row-remap", "mig-enabled-no-instance"]),
        ("vgpu-unlicensed.xml", &["vgpu-unlicensed", "compute-mode-exclusive"]),
    ] {
        let report = nvidia_smi(name).report();
        let judged = CHECKS.into_iter().filter(|check| *check != "vram-held-by-other-process");
        let held: Vec<&str> = judged.filter(|check| verdict(&report, check) == "holds").collect();
        assert_eq!(held, causes, "{name}: {}", report["headline"]);
    }
}

#[test]
fn a_file_that_is_no_output_of_nvidia_smi_is_named() {
    let said = gpu_doctor(
        &[
            "run",
            "--format",
            "json",
            "--only",
            "hardware",
            "--nvidia-smi",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ],
        &[],
    );
    let report = said.report();
    assert!(report["unknown"].to_string().contains("not XML as nvidia-smi -q -x prints it"), "{}", report["unknown"]);
    assert_eq!(said.code, 2, "{}", report["headline"]);
}

/// A server that is the test itself; every request touches the file that the fake GPU follows.
pub fn busy_server(activity: PathBuf) -> ScriptedServer {
    ScriptedServer::answering(move |_| {
        std::fs::write(&activity, "").expect("the file can be touched");
        (200, "application/json", r#"{"ok": true}"#.to_string())
    })
}

pub fn client_request(folder: &Path, server: &ScriptedServer) -> PathBuf {
    let file = folder.join("request.txt");
    let text = format!("curl -X POST {}/infer -H 'Content-Type: application/json' -d '{{\"a\": 1}}'\n", server.url());
    std::fs::write(&file, text).expect("the request can be written");
    file
}

#[test]
fn a_gpu_that_gets_hot_under_load_is_seen_while_requests_run() {
    let folder = tempfile::tempdir().unwrap();
    let activity = folder.path().join("activity");
    let server = busy_server(activity.clone());
    let request = client_request(folder.path(), &server);
    let mut variables = driver_variables(&scenario("throttled-under-load")).to_vec();
    variables.push(("GPU_DOCTOR_FAKE_ACTIVITY", activity));
    let saved = folder.path().join("saved.json");
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let said = gpu_doctor(&[&arguments[..], &["--save", saved.to_str().unwrap()]].concat(), &variables);
    let report = said.report();
    assert_eq!(held(&report), ["thermal-slowdown"], "{}", report["headline"]);
    let because = diagnosis(&report, "thermal-slowdown")["because"].as_str().unwrap();
    assert!(because.contains("of the samples under load, 91 degrees Celsius (slowdown from 90)"), "{because}");
    assert_eq!(verdict(&report, "pcie-link-degraded"), "clear", "generation 1 is that of an idle GPU");
    let snapshot: Value = serde_json::from_slice(&std::fs::read(saved).unwrap()).unwrap();
    let window = &snapshot["facts"]["execution"]["gpus"]["known"][0];
    assert!(window["throttle_reasons_percent"]["known"]["hw_thermal_slowdown"].as_f64() > Some(50.0), "{window}");
    assert_eq!(window["pcie_link_generation"]["known"]["during"]["max"], 5.0);
    assert_eq!(snapshot["facts"]["nvml"]["gpus"]["known"][0]["pcie_link_generation"]["known"], 1);
}

#[test]
fn memory_that_another_process_holds_is_judged_where_process_ids_are_the_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let server = busy_server(folder.path().join("activity"));
    let arguments = ["run", "--format", "json", "--server", &server.url(), "--only", "process"];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("vram-held"))).report();
    let first = std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]");
    let expected = if first { "holds" } else { "not_applicable" };
    assert_eq!(verdict(&report, "vram-held-by-other-process"), expected, "{}", report["headline"]);
    if first {
        let because = diagnosis(&report, "vram-held-by-other-process")["because"].as_str().unwrap();
        assert!(because.contains("held by PID 4711") && because.contains("with 78.1 GiB"), "{because}");
    }
}
