//! Memory over a load: what is kept of every request, and what only fills up.

use super::{Recorded, setup, start_on};
use crate::setup::doctor::{diagnosis, gpu_doctor, verdict};
use serde_json::Value;
use std::path::PathBuf;

struct Watched {
    server: Recorded,
    variables: Vec<(&'static str, PathBuf)>,
    _folder: tempfile::TempDir,
}

/// The speech server that keeps 512 KiB of an inference, of all of them or of the first ones, and the fake GPU of which it
/// says so.
fn keeping(requests: &str) -> Option<Watched> {
    let folder = tempfile::tempdir().unwrap();
    let [activity, pid, mib] = ["activity", "pid", "mib"].map(|name| folder.path().join(name));
    std::fs::write(&mib, "24064").unwrap();
    let keep: Vec<(&str, PathBuf)> = vec![
        ("ASR_ACTIVITY_FILE", activity.clone()),
        ("ASR_GPU_MIB_FILE", mib.clone()),
        ("ASR_KEEP_BYTES", "524288".into()),
        ("ASR_KEEP_REQUESTS", requests.into()),
    ];
    let server = start_on(0, &keep)?;
    std::fs::write(&pid, server.server.pid().to_string()).unwrap();
    let mut variables = setup::driver_variables(&setup::scenario("following-memory")).to_vec();
    variables.extend([
        ("GPU_DOCTOR_FAKE_ACTIVITY", activity),
        ("GPU_DOCTOR_FAKE_SERVER_PID", pid),
        ("GPU_DOCTOR_FAKE_MIB", mib),
    ]);
    Some(Watched { server, variables, _folder: folder })
}

impl Watched {
    fn stress(&self) -> Value {
        let url = &self.server.server.url;
        let arguments =
            ["stress", "--format", "json", "--only", "load,execution", "--field", "lang=en", "--server", url];
        let load = ["--users", "1,2", "--duration", "6s"];
        gpu_doctor(&[&arguments[..], &load[..]].concat(), &self.variables).report()
    }
}

/// Its series by whose memory it is.
fn series<'a>(report: &'a Value, of: &str) -> &'a Value {
    let all = report["load"]["memory"].as_array().unwrap_or_else(|| panic!("{}", report["load"]));
    all.iter().find(|one| one["of"] == of).unwrap_or_else(|| panic!("no {of} in {all:?}"))
}

#[test]
fn what_every_request_keeps_is_a_leak_on_the_gpu_and_beside_it() {
    let Some(watched) = keeping("0") else { return };
    let report = watched.stress();
    for of in ["resident", "gpu", "gpu_process"] {
        let one = series(&report, of);
        assert_eq!(one["verdict"], "leak", "{one}");
        let each = one["bytes_per_request"].as_f64().unwrap() / 524_288.0;
        assert!((0.8..1.2).contains(&each), "{each} of what a request keeps: {one}");
    }
    let pid = u64::from(watched.server.server.pid());
    assert_eq!(
        (series(&report, "resident")["pid"].as_u64(), series(&report, "gpu")["pid"].as_u64()),
        (Some(pid), None)
    );
    let host = diagnosis(&report, "host-memory-leak");
    let verify = host["verify"][0].as_str().unwrap();
    // The user's own options, and what this check needs.
    assert!(verify.starts_with("gpu-doctor stress ") && verify.contains("--field lang=en"), "{verify}");
    assert!(verify.contains("--duration 60s") && !verify.contains("--duration 6s"), "{verify}");
    assert_eq!(verdict(&report, "vram-leak"), "holds");
}

#[test]
fn what_fills_up_and_rests_is_none() {
    let Some(watched) = keeping("16") else { return };
    let report = watched.stress();
    for of in ["resident", "gpu", "gpu_process"] {
        assert_eq!(series(&report, of)["verdict"], "plateau", "{}", report["load"]["memory"]);
    }
    for check in ["host-memory-leak", "vram-leak"] {
        assert_eq!(verdict(&report, check), "clear", "{check}: {}", report["findings"]);
    }
}
