//! `gpu-doctor watch` through the real binary: the fake driver, and a page of counters that is played.

#[path = "setup/scripted_server.rs"]
mod scripted_server;
mod setup;

use scripted_server::ScriptedServer;
use serde_json::Value;
use setup::doctor::{Said, causes, gpu_doctor};
use setup::{GPU_DOCTOR, driver_variables, scenario, scenario_with_faults};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A Triton's page after so many readings, five requests each.
fn page(readings: u64) -> String {
    let requests = 5 * readings;
    let (queue, infer, whole) = (requests * 12_340, requests * 3_870, requests * 20_000);
    format!(
        "# TYPE nv_inference_request_success counter\n\
         nv_inference_request_success{{model=\"m\",version=\"1\"}} {requests}\n\
         nv_inference_request_failure{{model=\"m\",reason=\"OTHER\",version=\"1\"}} 0\n\
         nv_inference_count{{model=\"m\",version=\"1\"}} {requests}\n\
         nv_inference_exec_count{{model=\"m\",version=\"1\"}} {requests}\n\
         nv_inference_request_duration_us{{model=\"m\",version=\"1\"}} {whole}\n\
         nv_inference_queue_duration_us{{model=\"m\",version=\"1\"}} {queue}\n\
         nv_inference_compute_infer_duration_us{{model=\"m\",version=\"1\"}} {infer}\n"
    )
}

/// A server that has nothing but that page. `plays` tells what the n-th reading finds, or that there is nothing.
fn server(plays: impl Fn(u64) -> Option<u64> + Send + Sync + 'static) -> ScriptedServer {
    let readings = AtomicU64::new(0);
    ScriptedServer::answering(move |request| match request.target.as_str() {
        "/metrics" => match plays(readings.fetch_add(1, Ordering::SeqCst)) {
            Some(counted) => (200, "text/plain", page(counted)),
            None => (503, "text/plain", "starting".into()),
        },
        _ => (404, "text/plain", "no such path".into()),
    })
}

fn watch(arguments: &[&str], variables: &[(&str, PathBuf)]) -> Said {
    let mut all = vec!["watch"];
    all.extend(arguments);
    gpu_doctor(&all, variables)
}

/// Begins a watch whose lines can be read as they come.
fn begin(arguments: &[&str], scenario: &Path) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(GPU_DOCTOR);
    command.args(arguments).envs(driver_variables(scenario)).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn read_until(out: &mut BufReader<ChildStdout>, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !enough(&text) {
        assert!(out.read_line(&mut text).unwrap() > 0, "{text}");
    }
    text
}

/// Reads on to the end. What it took counts from here.
fn finish(child: &mut Child, mut out: BufReader<ChildStdout>, mut text: String) -> Said {
    let since = Instant::now();
    out.read_to_string(&mut text).unwrap();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    Said { code, out: text, err: String::new(), took: since.elapsed() }
}

/// The lines of the table: cells, without headings and notes.
fn lines(said: &Said) -> Vec<Vec<&str>> {
    let is_line = |line: &&str| line.as_bytes().get(2) == Some(&b':') && line.as_bytes().get(5) == Some(&b':');
    said.out.lines().filter(is_line).map(|line| line.split_whitespace().collect()).collect()
}

/// A table as rows by column.
fn table(path: &Path) -> Vec<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells.len(), names.len(), "{line}");
        names.iter().zip(cells).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.map(row).collect()
}

fn cell<'a>(row: &'a [(String, String)], name: &str) -> &'a str {
    &row.iter().find(|(own, _)| own == name).unwrap_or_else(|| panic!("no column {name}")).1
}

fn triaged(files: &[&Path]) -> Value {
    let output = Command::new(GPU_DOCTOR).arg("triage").args(files).args(["--format", "json"]).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn a_line_tells_what_gpu_and_server_did_and_the_table_is_read_back() {
    let folder = TempDir::new().unwrap();
    let (csv, jsonl) = (folder.path().join("gpu_samples.csv"), folder.path().join("watch.jsonl"));
    let played = server(Some);
    let server = played.url();
    let arguments = [
        "--server",
        &server,
        "--interval",
        "300ms",
        "--count",
        "4",
        "--csv",
        csv.to_str().unwrap(),
        "--jsonl",
        jsonl.to_str().unwrap(),
    ];
    let said = watch(&arguments, &driver_variables(&scenario("healthy-busy")));
    let seen = lines(&said);
    assert_eq!(seen.len(), 4, "{}\n{}", said.out, said.err);
    for line in &seen {
        assert_eq!(line[1..], ["97%", "30%", "24576MB", "61°C", "520.0W", "+5", "12.34ms", "3.87ms"], "{}", said.out);
    }
    assert!(said.out.contains("Time         GPU%"), "{}", said.out);
    assert!(said.out.contains("20 requests by its own count"), "{}", said.out);
    assert!(played.received().iter().all(|request| request.method == "GET"), "watching sends no work");

    let text = std::fs::read_to_string(&csv).unwrap();
    assert!(text.starts_with("timestamp,gpu_util_percent,gpu_mem_used_mb,power_w,temperature_c,"), "{text}");
    let rows = table(&csv);
    assert_eq!(rows.len(), 4);
    for (name, value) in [
        ("gpu_util_percent", "97.0"),
        ("gpu_mem_used_mb", "24576.0"),
        ("power_w", "520.00"),
        ("temperature_c", "61"),
        ("gpu_index", "0"),
        ("gpu_uuid", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d"),
        ("requests_gained", "5"),
        ("requests_ok_gained", "5"),
        ("queue_ms", "12.340"),
        ("infer_ms", "3.870"),
        ("request_ms", "20.000"),
    ] {
        assert_eq!(cell(&rows[1], name), value, "{name}");
    }
    let objects: Vec<Value> =
        std::fs::read_to_string(&jsonl).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((objects.len(), &objects[0]["power_w"], &objects[0]["requests_gained"]), (4, &520.0.into(), &5.into()));

    let report = triaged(&[&csv]);
    let file = &report["recorded"]["files"]["known"][0];
    assert_eq!((&file["kind"], &file["records"]), (&"watch".into(), &4.into()), "{file:#}");
    assert_eq!(file["faults"], Value::Array(Vec::new()), "{file:#}");
    let requests = &report["recorded"]["requests"]["known"];
    assert_eq!((&requests["count"], &requests["ok"]["known"]), (&20.into(), &20.into()), "{requests:#}");
    assert_eq!(causes(&report), Vec::<&str>::new(), "{}", report["headline"]);
}

#[test]
fn the_report_at_the_end_judges_as_triage_does_and_knows_the_machine() {
    let folder = TempDir::new().unwrap();
    let csv = folder.path().join("w.csv");
    let played = server(Some);
    let server = played.url();
    let text = std::fs::read_to_string(scenario("healthy-busy")).unwrap();
    // The card does nothing though requests are counted: they are computed elsewhere.
    let idle = folder.path().join("idle.yaml");
    let text = text.replace("utilization_percent: 97", "utilization_percent: 0");
    std::fs::write(&idle, text.replace("power_milliwatts: 520000", "power_milliwatts: 68000")).unwrap();
    let arguments = [
        "--server",
        &server,
        "--interval",
        "200ms",
        "--count",
        "16",
        "--csv",
        csv.to_str().unwrap(),
        "--format",
        "json",
    ];
    let report = watch(&arguments, &driver_variables(&idle)).report();
    let from_file = triaged(&[&csv]);
    for path in ["/recorded/requests/known/count", "/recorded/requests/known/ok", "/recorded/sampled_percent"] {
        assert_eq!(report.pointer(path), from_file.pointer(path), "{path}");
        assert!(report.pointer(path).is_some(), "{path}");
    }
    let symptom = ["gpu-idle-while-serving"];
    assert_eq!(causes(&from_file), symptom, "{}", from_file["headline"]);
    assert!(report["headline"].as_str().unwrap().contains("idle"), "{}", report["headline"]);
    assert!(
        report["probes"].as_array().unwrap().iter().any(|probe| probe["id"] == "watch" && probe["outcome"] == "ok")
    );
    assert!(report["probes"].as_array().unwrap().iter().any(|probe| probe["id"] == "nvml" && probe["outcome"] == "ok"));
}

#[test]
fn what_a_card_does_not_tell_is_never_zero() {
    let folder = TempDir::new().unwrap();
    let (csv, jsonl) = (folder.path().join("w.csv"), folder.path().join("w.jsonl"));
    let faults = ["{call: nvmlDeviceGetPowerUsage, returns: 3}", "{call: nvmlDeviceGetTemperature, returns: 3}"];
    let (_kept, scenario) = scenario_with_faults("healthy-busy", &faults);
    let arguments =
        ["--interval", "200ms", "--count", "2", "--csv", csv.to_str().unwrap(), "--jsonl", jsonl.to_str().unwrap()];
    let said = watch(&arguments, &driver_variables(&scenario));
    for line in lines(&said) {
        assert_eq!(line[1..], ["97%", "30%", "24576MB", "n/a", "n/a"], "no server, so no columns of one: {}", said.out);
    }
    assert!(said.out.contains("n/a: power, temperature"), "{}", said.out);
    let rows = table(&csv);
    assert_eq!((cell(&rows[0], "power_w"), cell(&rows[0], "temperature_c")), ("n/a", "n/a"));
    assert_eq!(cell(&rows[0], "requests_gained"), "", "nothing is told of a server");
    let object: Value = serde_json::from_str(std::fs::read_to_string(&jsonl).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!((&object["power_w"], &object["gpu_util_percent"]), (&Value::Null, &97.0.into()));
    let report = triaged(&[&csv]);
    let lacks = report["recorded"]["files"]["known"][0]["lacks"].to_string();
    assert!(lacks.contains("GPU 0 does not tell power_w"), "{lacks}");
}

#[test]
fn a_gpu_that_is_lost_is_said_in_its_line_and_the_other_goes_on() {
    let folder = TempDir::new().unwrap();
    let (csv, broken) = (folder.path().join("w.csv"), folder.path().join("broken"));
    let text = std::fs::read_to_string(scenario("healthy-busy")).unwrap();
    let (head, gpu) = text.split_at(text.find("  - name:").unwrap());
    let second = gpu.replace("GPU-5f3c2a10", "GPU-0b9d7c66").replace("00000000:01:00.0", "00000000:41:00.0");
    let fault = format!("faults: [{{call: 'nvmlDevice*', gpu: 1, while_file: {}, returns: 15}}]\n", broken.display());
    let two = folder.path().join("two.yaml");
    std::fs::write(&two, format!("{head}{gpu}{second}{fault}")).unwrap();
    let arguments = ["watch", "--interval", "200ms", "--count", "8", "--csv", csv.to_str().unwrap()];
    let (mut child, mut out) = begin(&arguments, &two);
    let text = read_until(&mut out, |text| text.matches("97%").count() >= 4);
    std::fs::write(&broken, "").unwrap();
    let said = finish(&mut child, out, text);
    let seen = lines(&said);
    assert_eq!(seen.len(), 16, "{}", said.out);
    assert_eq!(seen[1][1..4], ["1", "97%", "30%"], "{}", said.out);
    let last = &seen[14..];
    assert_eq!((last[0][1], last[0][2]), ("0", "97%"), "{}", said.out);
    assert_eq!((last[1][1], last[1][2], last[1][6]), ("1", "ERR!", "n/a"), "{}", said.out);
    assert!(said.out.contains("GPU 1 does not answer"), "{}", said.out);
    assert!(said.out.contains("it did not answer in"), "{}", said.out);
    let rows = table(&csv);
    let lost = rows.last().unwrap();
    assert_eq!((cell(lost, "gpu_util_percent"), cell(lost, "power_w")), ("ERR!", ""));
    assert!(cell(lost, "gpu_lost").contains("GPU 1"), "{lost:?}");
    assert_eq!(said.code, 1, "a lost GPU is a failure: {}", said.out);
}

#[test]
fn a_page_that_vanishes_and_comes_back_is_said_and_no_request_is_lost() {
    // Readings 3, 4 and 5 find nothing; the requests go on meanwhile.
    let played = server(|reading| (!(3..=5).contains(&reading)).then_some(reading));
    let url = format!("{}/metrics", played.url());
    let server = played.url();
    let arguments = ["--server", &server, "--metrics", &url, "--interval", "300ms", "--count", "8"];
    let said = watch(&arguments, &driver_variables(&scenario("healthy-busy")));
    let requests: Vec<&str> = lines(&said).iter().map(|line| line[6]).collect();
    assert_eq!(requests, ["+5", "+5", "n/a", "n/a", "n/a", "+20", "+5", "+5"], "{}", said.out);
    assert!(said.out.contains("metrics are gone: ") && said.out.contains("answers 503"), "{}", said.out);
    assert!(said.out.contains("is back: it was not read for"), "{}", said.out);
    assert!(said.out.contains("40 requests by its own count"), "{}", said.out);
}

#[test]
fn a_server_that_is_restarted_is_said_and_counts_anew() {
    let played = server(|reading| Some(if reading < 3 { 100 + reading } else { reading - 3 }));
    let url = format!("{}/metrics", played.url());
    let server = played.url();
    let arguments = ["--server", &server, "--metrics", &url, "--interval", "200ms", "--count", "5"];
    let said = watch(&arguments, &driver_variables(&scenario("healthy-busy")));
    let requests: Vec<&str> = lines(&said).iter().map(|line| line[6]).collect();
    assert_eq!(requests, ["+5", "+5", "n/a", "+5", "+5"], "{}", said.out);
    assert!(said.out.contains("the server was restarted"), "{}", said.out);
}

#[test]
fn interrupted_it_ends_with_summary_and_diagnosis() {
    let folder = TempDir::new().unwrap();
    let csv = folder.path().join("w.csv");
    let arguments = ["watch", "--interval", "200ms", "--csv", csv.to_str().unwrap()];
    let (mut child, mut out) = begin(&arguments, &scenario("healthy-busy"));
    let text = read_until(&mut out, |text| text.matches("97%").count() >= 3);
    // SAFETY: a signal to the child that this test started.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let said = finish(&mut child, out, text);
    assert!(said.took < Duration::from_secs(30), "{:?}", said.took);
    assert!((0..=2).contains(&said.code), "{}: {}", said.code, said.out);
    let watched = |count: u32| said.out.contains(&format!("watched {count} intervals"));
    assert!((3..8).any(watched), "{}", said.out);
    assert!(said.out.contains("gpu_samples") || said.out.contains("w.csv"), "{}", said.out);
    let rows = table(&csv);
    assert!(rows.len() >= 3 && cell(rows.last().unwrap(), "gpu_util_percent") == "97.0", "whole lines only");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_watched() {
    let folder = TempDir::new().unwrap();
    for (path, words) in [
        (folder.path().join("none/w.csv"), "No such file"),
        (folder.path().to_path_buf(), "this is a folder"),
        (PathBuf::from("/dev/null"), "no regular file"),
    ] {
        for flag in ["--csv", "--jsonl"] {
            let said = watch(&[flag, path.to_str().unwrap(), "--count", "1"], &[]);
            assert_eq!((said.code, said.out.as_str()), (64, ""), "{}", said.err);
            assert!(said.err.contains(words) && said.err.contains(flag), "{}", said.err);
            assert!(said.took < Duration::from_secs(2), "{:?}", said.took);
        }
    }
    let both = folder.path().join("w");
    let both = both.to_str().unwrap();
    assert_eq!(watch(&["--csv", both, "--jsonl", both], &[]).code, 64);
    assert_eq!(watch(&["--interval", "5ms"], &[]).code, 64);
    assert_eq!(watch(&["--count", "0"], &[]).code, 64);
    assert_eq!(watch(&["--metrics", "http://127.0.0.1:1/metrics"], &[]).code, 64, "whose page?");
}

#[test]
fn a_disk_that_is_full_ends_no_watch_and_leaves_whole_lines() {
    let folder = TempDir::new().unwrap();
    let csv = folder.path().join("w.csv");
    // A limit on the length of files fails as a full disk does: in the middle of a line.
    let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, GPU_DOCTOR, "watch", "--interval", "100ms", "--count", "20", "--csv"]).arg(&csv);
    let output = command.envs(driver_variables(&scenario("healthy-busy"))).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(out.matches("97%    30%").count(), 20, "it went on: {out}");
    assert_eq!(err.matches("File too large").count(), 1, "it is said once: {err}");
    assert!(err.contains("the watch goes on without it"), "{err}");
    let rows = table(&csv).len();
    let (plain, text) = (out.split_whitespace().collect::<Vec<_>>().join(" "), std::fs::read_to_string(&csv).unwrap());
    assert!(rows < 20 && text.ends_with('\n'), "{text}");
    assert!(plain.contains(&format!("{} rows could not be written: File too large", 20 - rows)), "{plain}");
    let report = triaged(&[&csv]);
    assert_eq!(report["recorded"]["files"]["known"][0]["faults"], Value::Array(Vec::new()), "whole lines only");
}

#[test]
fn what_is_there_is_added_to_or_left_alone() {
    let folder = TempDir::new().unwrap();
    let csv = folder.path().join("gpu_samples.csv");
    let arguments = ["--interval", "200ms", "--count", "2", "--csv", csv.to_str().unwrap()];
    for rows in [2, 4] {
        watch(&arguments, &driver_variables(&scenario("healthy-busy")));
        assert_eq!(table(&csv).len(), rows);
    }
    // A table that the user's own script wrote.
    let other = "timestamp,gpu_util_percent,gpu_mem_used_mb,power_w,temperature_c\n1732354800.0,0.0,2312.0,31.5,41\n";
    std::fs::write(&csv, other).unwrap();
    let said = watch(&arguments, &driver_variables(&scenario("healthy-busy")));
    assert_eq!((said.code, said.out.as_str()), (64, ""), "{}", said.err);
    assert!(said.err.contains("--csv") && said.err.contains("it is left as it is"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), other);
}

#[test]
fn where_there_is_nothing_to_watch_the_machine_is_judged_at_once() {
    let said = watch(&["--count", "1000"], &[]);
    assert!(said.took < Duration::from_secs(30), "{:?}", said.took);
    assert!(said.out.contains("no GPU is watched") && said.code != 0, "{}", said.out);
    assert!(lines(&said).is_empty(), "{}", said.out);
}
