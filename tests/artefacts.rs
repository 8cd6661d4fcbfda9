//! Measurement artefacts in files that people have: what was sampled, and what it does not show.

mod setup;

use serde_json::Value;
use setup::doctor::{Said, causes, gpu_doctor};
use std::path::{Path, PathBuf};

/// 2024-11-23T09:40:00Z.
const START: f64 = 1_732_354_800.0;

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// 120 requests of 470 ms in a minute, answered 200.
    fn requests(&self) -> PathBuf {
        let row = |number: i32| format!("{:.3},200,470.1,\n", START + f64::from(number) * 0.5);
        let rows: String = (0..120).map(row).collect();
        self.write("requests.csv", &format!("timestamp,status,latency_ms,error\n{rows}"))
    }

    /// Samples of a GPU every half second, from 10 s before the requests until 5 s after; `at` gives percent and watts by the
    /// second since the first request.
    fn samples(&self, index: u8, at: impl Fn(f64) -> (u64, f64)) -> PathBuf {
        let row = |number: i32| {
            let second = f64::from(number) * 0.5 - 10.0;
            let (percent, watts) = at(second);
            format!("{:.3},{index},{percent},{watts}\n", START + second)
        };
        let rows: String = (0..150).map(row).collect();
        self.write("gpu.csv", &format!("timestamp,index,utilization.gpu [%],power.draw [W]\n{rows}"))
    }
}

fn triage(files: &[&Path]) -> Said {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut arguments = vec!["triage", "--format", "json"];
    arguments.extend(files.iter().map(String::as_str));
    gpu_doctor(&arguments, &[])
}

fn because(report: &Value, cause: &str) -> String {
    let diagnosis = report["diagnoses"].as_array().unwrap().iter().find(|one| one["cause"] == cause);
    diagnosis.unwrap_or_else(|| panic!("{cause} is not told"))["because"].as_str().unwrap().to_owned()
}

#[test]
fn a_draw_that_rises_beside_a_flat_utilization_is_bursts_and_no_idleness() {
    let desk = Desk::new();
    let busy = |second: f64| (0.0..=60.0).contains(&second);
    let gpu = desk.samples(0, |second| if busy(second) { (0, 54.0) } else { (0, 30.0) });
    let said = triage(&[&desk.requests(), &gpu]);
    assert_eq!(causes(&said.report()), ["burst-missed-by-sampling"]);
    let words = because(&said.report(), "burst-missed-by-sampling");
    assert!(words.contains("GPU 0 at most 0 % in") && words.contains("from 30 W before the requests to"), "{words}");
    assert_eq!(said.code, 2, "whether all work is the GPU's is not told");
    // The nearest one that is idle.
    let gpu = desk.samples(0, |_| (0, 30.0));
    assert_eq!(causes(&triage(&[&desk.requests(), &gpu]).report()), ["gpu-idle-while-serving"]);
}

#[test]
fn work_before_the_first_request_is_told_apart_from_work_for_it() {
    let desk = Desk::new();
    let gpu = desk.samples(0, |second| if second < -4.0 { (97, 200.0) } else { (0, 30.0) });
    let said = triage(&[&desk.requests(), &gpu]);
    assert_eq!(causes(&said.report()), ["gpu-idle-while-serving", "warmup-only-gpu-activity"]);
    let words = because(&said.report(), "warmup-only-gpu-activity");
    assert!(words.contains("up to 97 % before the first request"), "{words}");
}

#[test]
fn samples_of_a_gpu_that_nobody_uses_say_nothing_of_the_one_that_is_in_use() {
    let desk = Desk::new();
    let smi = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi/h200-healthy.xml");
    let gpu = desk.samples(1, |_| (0, 30.0));
    let said = triage(&[&desk.requests(), &gpu, &smi]);
    assert_eq!(causes(&said.report()), ["monitoring-wrong-gpu-or-host"]);
    let words = because(&said.report(), "monitoring-wrong-gpu-or-host");
    assert!(words.contains("only GPU 1 was sampled") && words.contains("GPU 0 is in use"), "{words}");
    assert_eq!(said.code, 2);
    // The one in use was sampled: it is idle.
    let gpu = desk.samples(0, |_| (0, 30.0));
    assert_eq!(causes(&triage(&[&desk.requests(), &gpu, &smi]).report()), ["gpu-idle-while-serving"]);
}

#[test]
fn a_load_generator_that_says_so_is_the_limit() {
    let desk = Desk::new();
    let log = "[2024-11-23 09:40:00,123] loader/INFO/locust.main: Starting Locust 2.47.0\n\
        [2024-11-23 09:40:12,123] loader/WARNING/root: CPU usage above 90%! This may constrain your throughput and may even \
        give inconsistent response time measurements! See https://docs.locust.io/en/stable/running-distributed.html\n";
    let log = desk.write("locust.log", log);
    let gpu = desk.samples(0, |second| if second >= 0.0 { (60, 200.0) } else { (0, 30.0) });
    let said = triage(&[&desk.requests(), &gpu, &log]);
    assert_eq!(causes(&said.report()), ["client-bottleneck"]);
    let words = because(&said.report(), "client-bottleneck");
    assert!(words.contains("CPU usage above 90%!") && words.contains("locust.log line 2"), "{words}");
    assert!(!words.contains("docs.locust.io"), "{words}");
    assert_eq!(said.code, 0);
}
