//! What a load leaves behind however it ends, and what is said of files and settings before it begins.

use super::{Recorded, number, setup, start};
use crate::setup::doctor::gpu_doctor;
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Rows of a CSV whose cells hold no line ends, by name.
fn rows(file: &Path) -> Vec<std::collections::BTreeMap<String, String>> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "cut short: {text}");
    let mut lines = text.lines().map(cells);
    let Some(names) = lines.next() else { return Vec::new() };
    let row = |cells: Vec<String>| {
        assert_eq!(cells.len(), names.len(), "{text}");
        names.iter().cloned().zip(cells).collect()
    };
    lines.map(row).collect()
}

/// The values of a line; one in quotes may hold commas.
fn cells(line: &str) -> Vec<String> {
    let parts: Vec<&str> = line.split('"').collect();
    let hidden =
        parts.iter().enumerate().map(|(at, part)| if at % 2 == 1 { part.replace(',', ";") } else { (*part).into() });
    hidden.collect::<String>().split(',').map(str::to_owned).collect()
}

fn spawn(server: &Recorded, more: &[&str]) -> Child {
    Command::new(setup::GPU_DOCTOR)
        .args(server.arguments(more))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(program: &Child) {
    // SAFETY: a signal to a child that was not waited for yet.
    unsafe { libc::kill(i32::try_from(program.id()).unwrap(), libc::SIGINT) };
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_row_is_there_for_each_step_and_says_what_the_report_says() {
    let Some(server) = start(0) else { return };
    let file = server.folder.path().join("steps.csv");
    std::fs::write(&file, "what was there before").unwrap();
    let (_, report) = server.stress(&["--users", "1,3", "--duration", "1s", "--csv", file.to_str().unwrap()]);
    let (rows, steps) = (rows(&file), report["load"]["steps"].as_array().unwrap());
    assert_eq!((rows.len(), steps.len()), (2, 2));
    for (row, step) in rows.iter().zip(steps) {
        assert_eq!(row["verdict"], step["verdict"].as_str().unwrap());
        for (name, expected) in [
            ("users", &step["users"]),
            ("requests", &step["requests"]),
            ("throughput_rps", &step["throughput_rps"]),
            ("latency_p99_ms", &step["latency_ms"]["p99"]),
            ("server_median_ms", &step["server_ms"]["median"]),
        ] {
            assert_eq!(row[name].parse::<f64>().ok(), expected.as_f64(), "{name}: {row:?}");
        }
        assert_eq!((row["queue_mean_ms"].as_str(), row["gpu_index"].as_str()), ("", ""), "what is not known is empty");
    }
}

#[test]
fn a_second_interrupt_ends_at_once_and_the_rows_are_there() {
    let Some(server) = start(0) else { return };
    let file = server.folder.path().join("steps.csv");
    let mut program = spawn(&server, &["--users", "1,2", "--duration", "2s", "--csv", file.to_str().unwrap()]);
    until("the first row", || rows(&file).len() == 1);
    std::fs::write(server.folder.path().join("stall"), "").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&program);
    std::thread::sleep(Duration::from_secs(1));
    assert!(program.try_wait().unwrap().is_none(), "open answers are waited for");
    interrupt(&program);
    let again = Instant::now();
    let status = program.wait().unwrap();
    assert!(again.elapsed() < Duration::from_secs(2) && status.signal() == Some(libc::SIGINT), "{status:?}");
    let rows = rows(&file);
    assert_eq!((rows.len(), rows[0]["users"].as_str(), rows[0]["failed"].as_str()), (1, "1", "0"));
}

#[test]
fn a_server_that_stalls_leaves_requests_open_and_that_is_no_success() {
    let Some(server) = start(0) else { return };
    let file = server.folder.path().join("steps.csv");
    let stall = server.folder.path().join("stall");
    let program = spawn(&server, &["--users", "1,3", "--duration", "2s", "--csv", file.to_str().unwrap()]);
    until("the first row", || rows(&file).len() == 1);
    std::fs::write(stall, "").unwrap();
    let output = program.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let step = &report["load"]["steps"][1];
    assert_eq!((number(&step["unfinished"]), step["verdict"].as_str()), (3, Some("overloaded")), "{step}");
    assert!(report["load"]["breaking_point"].as_str().unwrap().contains("not with 3 users"), "{}", report["load"]);
    assert_eq!(rows(&file)[1]["unfinished"], "3");
}

/// As a disk that is full, or a folder that is unmounted.
#[test]
fn rows_that_cannot_be_written_are_said_at_once_and_nothing_else_is_lost() {
    let Some(server) = start(0) else { return };
    let folder = server.folder.path().join("out");
    std::fs::create_dir(&folder).unwrap();
    let file = folder.join("steps.csv");
    let program = spawn(&server, &["--users", "1,1,2", "--duration", "1s", "--csv", file.to_str().unwrap()]);
    until("the first row", || rows(&file).len() == 1);
    std::fs::remove_dir_all(&folder).unwrap();
    let output = program.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("steps.csv: No such file or directory"), "{said}");
    assert_eq!(said.matches("--csv").count(), 1, "said once: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["load"]["steps"].as_array().unwrap().len(), 3);
}

#[test]
fn files_that_cannot_be_written_are_refused_before_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |file: &Path| {
        let arguments = ["stress", "--server", "http://127.0.0.1:9", "--csv", file.to_str().unwrap()];
        let said = gpu_doctor(&arguments, &[] as &[(&str, PathBuf)]);
        assert!(said.code == 64 && said.took < Duration::from_secs(5), "{} {}", said.code, said.err);
        said.err
    };
    assert!(refused(folder.path()).contains("this is a folder"));
    assert!(refused(&folder.path().join("none/steps.csv")).contains("is no folder to save a file in"));
    assert!(refused(Path::new("/dev/full")).contains("no regular file"));
    assert!(refused(Path::new("/proc/steps.csv")).contains("/proc/steps.csv"));
}

#[test]
fn the_load_of_the_config_file_is_made_and_options_win() {
    let Some(server) = start(0) else { return };
    let config = server.folder.path().join("doctor.yaml");
    let text = "load:\n  users: [1, 2]\n  duration: 1s\n  think_time: 100ms\n  holds: [4/2s]\n";
    std::fs::write(&config, text).unwrap();
    let (_, report) = server.stress(&["--config", config.to_str().unwrap(), "--users", "2"]);
    let load = &report["load"];
    let steps = load["steps"].as_array().unwrap_or_else(|| panic!("{load}"));
    assert_eq!((steps.len(), number(&steps[0]["users"]), load["think_time_ms"].as_f64()), (1, 2, Some(100.0)));
    assert!(steps[0]["seconds"].as_f64().unwrap() < 1.1);
    // Two users that rest for 100 ms send up to 20 a second; 4 users need 2. A machine that is busy with other things may
    // not come so far: then that is what it says.
    let (holds, step) = (&load["holds"][0], &steps[0]);
    assert_eq!((holds["needed_rps"].as_f64(), number(&holds["users"])), (Some(2.0), 4));
    let held = match (step["verdict"].as_str(), step["throughput_rps"].as_f64().is_some_and(|rps| rps >= 2.0)) {
        (Some("healthy"), true) => &["yes"][..],
        (Some("degraded"), true) => &["degraded"],
        _ => &["no", "not_measured"],
    };
    assert!(held.contains(&holds["verdict"].as_str().unwrap()), "{holds} {step}");
    let refused = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let said = gpu_doctor(&server.arguments(&["--config", config.to_str().unwrap()]), &[]);
        assert_eq!(said.code, 64, "{}", said.err);
        said.err
    };
    let misspelt = refused("load: {user: [1]}\n");
    assert!(misspelt.contains("unknown key `user`") && misspelt.contains("`users`"), "{misspelt}");
    assert!(refused("load: {users: [0]}\n").contains("load.users: a load needs at least one user"));
    assert!(refused("load: {duration: soon}\n").contains("load.duration: write it as 500ms, 60s or 2m"));
    assert!(refused("load: {rate: 5, think_time: 1s}\n").contains("rate or think_time"));
    assert!(refused("load: {holds: [many]}\n").contains("load.holds: write users and the time"));
}
