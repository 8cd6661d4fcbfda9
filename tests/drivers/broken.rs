//! Libraries that are missing, unusable or misbehave: the job names the place, and keeps what came before.

use crate::jobs::{Heard, hear, play, start};
use crate::setup;
use std::path::Path;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
/// Time for a child that never ends to reach its fault, on a busy machine too.
const TO_THE_FAULT: Duration = Duration::from_secs(3);

fn with_library(job: &str, name: &str, bytes: Option<&[u8]>) -> Heard {
    let folder = tempfile::tempdir().unwrap();
    if let Some(bytes) = bytes {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    hear(start(job, "{}", folder.path(), &setup::scenario("healthy-idle")), LIMIT)
}

/// The header of an ELF file of another class or machine.
fn elf(class: u8, machine: u8) -> Vec<u8> {
    let mut header = vec![0x7f, b'E', b'L', b'F', class, 1, 1];
    header.resize(1024, 0);
    (header[16], header[18], header[20]) = (3, machine, 1);
    header
}

#[test]
fn unusable_libraries_are_told_from_missing_ones() {
    for (job, name) in [("nvml", "libnvidia-ml.so.1"), ("cuda", "libcuda.so.1")] {
        let missing = with_library(job, name, None);
        assert_eq!(missing.known("/status"), "library_missing", "{job}");
        assert_eq!(missing.unreported()["why"], "absent", "{job}");
        // The dynamic linker passes over another machine's library without a word.
        assert_eq!(with_library(job, name, Some(&elf(2, 183))).known("/status"), "library_missing", "{job}");
        let i386 = elf(1, 3);
        for (bytes, words) in [
            (&b""[..], "file too short"),
            (&b"#!/bin/sh\n"[..], "file too short"),
            (&[b'x'; 4096][..], "invalid ELF header"),
            (&i386, "ELFCLASS32"),
        ] {
            let invalid = with_library(job, name, Some(bytes));
            let error = invalid.known("/init_error").as_str().unwrap_or_default();
            assert!(error.contains(words), "{job}: {error}");
            assert_eq!(invalid.known("/status"), "library_invalid", "{job}: {error}");
            assert_eq!(invalid.unreported()["why"], "malformed", "{job}");
            assert_eq!(invalid.ended, "exit status: 0");
        }
    }
}

#[test]
fn a_library_of_another_kind_is_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let fakes = setup::fake_driver();
    std::fs::copy(fakes.join("libcuda.so.1"), folder.path().join("libnvidia-ml.so.1")).unwrap();
    let nvml = hear(start("nvml", "{}", folder.path(), &setup::scenario("healthy-idle")), LIMIT);
    assert_eq!(nvml.known("/status"), "library_invalid");
    assert!(nvml.known("/init_error").as_str().unwrap().contains("nvmlInit_v2"));
}

#[test]
fn a_stub_that_cudarc_would_ask_instead_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let fakes = setup::fake_driver();
    for name in ["libcuda.so.1", "libcuda.so"] {
        std::fs::copy(fakes.join("libcuda.so.1"), folder.path().join(name)).unwrap();
    }
    let cuda = hear(start("cuda", "{}", folder.path(), &setup::scenario("healthy-idle")), LIMIT);
    assert_eq!(cuda.known("/device_count"), 1);
    assert!(cuda.unreported()["detail"].as_str().unwrap().contains("libcuda.so on the library path"));
}

#[test]
fn every_fault_has_a_place_and_keeps_what_came_before() {
    let ends = [
        ("segfault", "signal: 11", LIMIT),
        ("abort", "signal: 6", LIMIT),
        ("exit", "exit status: 7", LIMIT),
        ("hang", "signal: 9", TO_THE_FAULT),
        ("spin", "signal: 9", TO_THE_FAULT),
        ("flood", "signal: 9", TO_THE_FAULT),
    ];
    std::thread::scope(|all| {
        for (deed, ended, limit) in ends {
            all.spawn(move || a_fault_has_its_place(deed, ended, limit));
        }
    });
}

fn a_fault_has_its_place(deed: &str, ended: &str, limit: Duration) {
    let fault = format!("{{call: nvmlDeviceGetTemperature, does: {deed}}}");
    let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
    let nvml = play("nvml", &scenario, limit);
    assert!(nvml.ended.starts_with(ended), "{deed}: {}", nvml.ended);
    assert_eq!(nvml.last_stage(), "nvmlDeviceGetTemperature of GPU 0", "{deed}");
    assert_eq!(nvml.known("/driver_version"), "550.163.01", "{deed}");
    assert_eq!(nvml.known("/gpus/known/0/name"), "NVIDIA H100 80GB HBM3", "{deed}");
    let fault = format!("{{call: cuDeviceGetCount, does: {deed}}}");
    let (_folder, scenario) = setup::scenario_with_faults("healthy-idle", &[&fault]);
    let cuda = play("cuda", &scenario, limit);
    assert!(cuda.ended.starts_with(ended), "{deed}: {}", cuda.ended);
    assert_eq!(cuda.last_stage(), "cuDeviceGetCount", "{deed}");
    assert_eq!(cuda.known("/init_code"), 0, "{deed}");
}

#[test]
fn without_a_usable_scenario_the_driver_is_not_loaded() {
    for path in ["/nonexistent.yaml", "/dev/null"] {
        let nvml = play("nvml", Path::new(path), LIMIT);
        assert_eq!(nvml.known("/init_code"), 9, "{path}");
        let cuda = play("cuda", Path::new(path), LIMIT);
        assert_eq!(cuda.known("/init_code"), 100, "{path}");
    }
}
