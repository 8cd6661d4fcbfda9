//! Pages of recorded snapshots, written by the binary.

use crate::setup::GPU_DOCTOR;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A snapshot of `fixtures/`, by its path there.
pub fn snapshot(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(path)
}

/// The report of a snapshot, written into the folder.
pub fn page(folder: &Path, snapshot: &Path) -> PathBuf {
    let name = snapshot.file_stem().expect("a file").to_string_lossy().into_owned();
    let parent = snapshot.parent().and_then(Path::file_name).expect("a folder").to_string_lossy().into_owned();
    let file = folder.join(format!("{parent}-{name}.html"));
    let output = Command::new(GPU_DOCTOR)
        .arg("diagnose")
        .arg(snapshot)
        .arg("--output")
        .arg(format!("html={}", file.display()))
        .output()
        .expect("gpu-doctor starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(file.is_file(), "no report of {}: {said}", snapshot.display());
    file
}

/// A run of 60 s at 20 Hz on 8 GPUs, as the sampler would have left it: 256 points a counter, and 256 requests.
pub fn long_run() -> Value {
    let text = std::fs::read_to_string(snapshot("cases/all-workers-on-gpu0/snapshot.json")).expect("the case is there");
    let mut snapshot: Value = serde_json::from_str(&text).expect("a snapshot is JSON");
    let series = |of: &dyn Fn(i64) -> String| (0..256).map(of).collect::<Vec<_>>().join(" ");
    let window = snapshot["facts"]["execution"]["gpus"]["known"][0].clone();
    let gpus: Vec<Value> = (0..8i64)
        .map(|index| {
            let mut gpu = window.clone();
            gpu["index"] = json!(index);
            gpu["uuid"] = json!({ "known": format!("GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4{index}") });
            gpu["timeline"] = json!({ "known": {
                "at_ms": series(&|at| (at * 242 - 1003).to_string()),
                "utilization_percent": series(&|at| ((at * 37 + index * 11) % 101).to_string()),
                // A counter that was refused now and then.
                "power_milliwatts": series(&|at| if at % 17 == 3 { "-".into() } else { (68_123 + at * 1_931).to_string() }),
                "sm_clock_mhz": series(&|at| (345 + (at * 97 + index) % 1635).to_string()),
                "memory_used_mib": series(&|at| (431 + at * 299 + index).to_string()),
            }});
            gpu
        })
        .collect();
    let request = |at: i64| json!({ "begun_ms": at as f64 * 234.017, "duration_ms": 187.0 + (at % 40) as f64, "accepted": at % 9 > 0 });
    let reading = |at: i64| json!({ "at_ms": at as f64 * 234.3, "cores": (at % 31) as f64 / 4.0 });
    let execution = &mut snapshot["facts"]["execution"];
    execution["gpus"] = json!({ "known": gpus });
    execution["window_ms"] = json!({ "known": 60_000.0 });
    execution["request_times"] = json!({ "known": (0..256).map(request).collect::<Vec<_>>() });
    execution["server_cpu_trace"] = json!({ "known": (0..256).map(reading).collect::<Vec<_>>() });
    snapshot
}

/// The paths of curves in a page: the series, the number of points that it says, and the points that it draws.
pub fn curves(html: &str) -> Vec<(String, usize, usize)> {
    html.split("data-series=\"")
        .skip(1)
        .map(|rest| {
            let (series, rest) = rest.split_once('"').expect("a name");
            let said =
                rest.split_once("data-points=\"").expect("a number of points").1.split_once('"').expect("its end").0;
            let path = rest.split_once(" d=\"").expect("a path").1.split_once('"').expect("its end").0;
            (series.to_owned(), said.parse().expect("a number"), points(series, path))
        })
        .collect()
}

/// Points of a path: pairs of numbers; of bars, those that begin one.
fn points(series: &str, path: &str) -> usize {
    match series {
        "accepted" | "rejected" => path.matches('z').count(),
        _ => path.replace("h0", "").split(['M', 'L', ' ']).filter(|number| !number.is_empty()).count() / 2,
    }
}
