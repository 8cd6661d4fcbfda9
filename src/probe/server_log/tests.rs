//! Real files, real processes and hostile bytes.

use super::*;
use crate::probe::Ask;
use crate::snapshot::ServerProcess;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn collect_about(ask: Ask, facts: &mut Facts) -> ServerLogFacts {
    run(&Context { ask, deadline: Instant::now() + PROBE.budget }, facts);
    facts.server_log.clone()
}

fn nothing() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, "no server was named"))
}

fn of_files(logs: &[PathBuf]) -> ServerLogFacts {
    collect_about(Ask { logs: logs.to_vec(), ..Ask::default() }, &mut nothing())
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logs/server").join(name)
}

fn ids(log: &ServerLogFacts) -> Vec<(&str, u64)> {
    let sayings = log.sayings.known().unwrap_or_else(|| panic!("{:?}", log.sayings));
    sayings.iter().map(|saying| (saying.id.as_str(), saying.line_number)).collect()
}

fn process(pid: u32, started_at: &str) -> Facts {
    let process = ServerProcess {
        uid: Fact::Known(0),
        started_at: Fact::Known(started_at.into()),
        ..ServerProcess::all_unknown(pid.into(), &Unknown::new(Why::Absent, "test"))
    };
    let mut facts = nothing();
    facts.process.processes = Fact::Known(vec![process]);
    facts
}

#[test]
fn a_real_log_says_what_it_says() {
    let asr = of_files(&[fixture("asr-cpu.log")]);
    let said = [("using-device", 3), ("model-type", 5), ("model-parameters-device", 6), ("model-method", 7)];
    assert_eq!(ids(&asr), said);
    let parameters = &asr.sayings.known().unwrap()[2];
    assert_eq!((parameters.values["gpu"].as_str(), parameters.values["cpu"].as_str()), ("0", "608123456"));
    assert_eq!(parameters.line, "[DIAGNOSTIC] Model parameters - GPU: 0, CPU: 608123456");
    let ort = of_files(&[fixture("ort-gpu-without-libs.log")]);
    assert_eq!(ids(&ort), [("ort-cuda-libs-missing-or-wrong-major", 2), ("ort-cuda-libs-missing-or-wrong-major", 3)]);
    let first = &ort.sayings.known().unwrap()[0];
    assert_eq!(first.values["library"], "libcublasLt.so.12");
    assert!(!first.line.contains('\u{1b}'), "{}", first.line);
    assert_eq!(ids(&of_files(&[fixture("triton-no-gpu.log")]))[0].0, "driver-too-old-for-runtime");
    assert_eq!(ids(&of_files(&[fixture("vllm-no-gpu.log")])), [("vllm-no-platform", 11)]);
    assert_eq!(ids(&of_files(&[fixture("healthy.log")])), [("using-device", 2), ("model-parameters-device", 3)]);
    assert_eq!(
        ids(&of_files(&[fixture("side-models.log")])),
        [("audio-processed", 2)],
        "a voice detector on the CPU is no accusation"
    );
}

#[test]
fn several_logs_are_read_and_one_that_cannot_be_is_told() {
    let both = of_files(&[fixture("asr-cpu.log"), fixture("vllm-no-gpu.log")]);
    assert_eq!(both.files.known().unwrap().len(), 2);
    assert_eq!(ids(&both).len(), 5);
    let missing = of_files(&[fixture("asr-cpu.log"), fixture("none.log")]);
    let reason = missing.sayings.reason().unwrap();
    assert!(reason.why == Why::Absent && reason.detail.contains("none.log"), "{reason}");
}

#[test]
fn without_a_log_there_is_nothing_to_read() {
    let none = of_files(&[]);
    assert_eq!(none.sayings.reason().unwrap().why, Why::NotAsked);
    let mut denied = nothing();
    denied.process.processes = Fact::unknown(Why::Denied, "/proc/17/fd: run as uid 1000");
    let denied = collect_about(Ask::default(), &mut denied);
    let reason = denied.sayings.reason().unwrap();
    assert!(reason.why == Why::NotAsked && reason.detail.contains("--log FILE"), "{reason}");
}

#[test]
fn a_process_leads_to_the_file_of_its_error_output() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let file = std::fs::File::create(&path).unwrap();
    let mut server = Command::new("sh")
        .args(["-c", "echo 'Using device: cpu' >&2; echo 'Torch not compiled with CUDA enabled'; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(file)
        .spawn()
        .unwrap();
    let written = || std::fs::metadata(&path).unwrap().len() > 0;
    (0..500).take_while(|_| !written()).for_each(|_| std::thread::sleep(Duration::from_millis(10)));
    let mut facts = process(server.id(), "2026-11-23T00:00:00Z");
    let log = collect_about(Ask::default(), &mut facts);
    assert_eq!(ids(&log), [("using-device", 1)], "the other output goes to /dev/null");
    assert_eq!(log.files.known().unwrap(), &[path.display().to_string()]);
    // A log that was rotated away is still the file that the process writes to.
    std::fs::remove_file(&path).unwrap();
    let log = collect_about(Ask::default(), &mut facts);
    assert_eq!(ids(&log), [("using-device", 1)]);
    assert!(log.files.known().unwrap()[0].ends_with("(deleted)"));
    drop(server.stdin.take());
    server.wait().unwrap();
}

#[test]
fn outputs_that_go_to_a_pipe_are_told() {
    let mut server = Command::new("sh")
        .args(["-c", "read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = collect_about(Ask::default(), &mut process(server.id(), "2026-11-23T00:00:00Z"));
    let reason = log.sayings.reason().unwrap();
    assert_eq!(reason.why, Why::NotAsked);
    assert!(reason.detail.contains("goes to a pipe; give --log FILE"), "{reason}");
    drop(server.stdin.take());
    server.wait().unwrap();
}

#[test]
fn lines_of_the_run_before_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let text = "Using device: cpu\n2026-11-20T10:00:00Z ready\n2026-11-20T11:00:00Z stopped\nUsing device: cuda\n2026-11-23T10:00:01Z ready\n";
    std::fs::write(&path, text).unwrap();
    let ask = || Ask { logs: vec![path.clone()], ..Ask::default() };
    let talk = folder.path().join("talk");
    std::fs::write(
        &talk,
        "2026-11-23T10:00:01Z ready\nUsing device: cpu\n1999-12-31 23:59:59 is the date of this audio\n",
    )
    .unwrap();
    let log = collect_about(Ask { logs: vec![talk], ..Ask::default() }, &mut process(1, "2026-11-23T10:00:00Z"));
    assert_eq!(ids(&log).len(), 1, "a server may talk of old times");
    let log = collect_about(ask(), &mut process(1, "2026-11-23T10:00:00Z"));
    assert_eq!(ids(&log), [("using-device", 4)]);
    let before = log.before_start.known().unwrap();
    assert_eq!((before[0].id.as_str(), before[0].line_number, before.len()), ("using-device", 1, 1));
    assert_eq!(ids(&collect_about(ask(), &mut nothing())).len(), 2, "without a process nothing tells the runs apart");
}

#[test]
fn a_line_of_an_earlier_process_is_told_apart_in_every_way_of_writing_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    for (before, since) in [
        ("2026-11-20T10:00:00Z", "2026-11-23T10:00:01Z"),
        ("[2026-11-20 10:00:00 +0000]", "[2026-11-23 10:00:01 +0000]"),
        ("Nov 20 10:00:00 vm asr[1]:", "Nov 23 11:00:01 vm asr[1]:"),
        ("1763632800.5", "1795428001.5"),
        ("2026-11-20T10:00:00.123456789Z stderr F", "2026-11-23T10:00:01.1Z stderr F"),
    ] {
        std::fs::write(&path, format!("{before} CUDA out of memory\n{since} Using device: cuda\n")).unwrap();
        let log =
            collect_about(Ask { logs: vec![path.clone()], ..Ask::default() }, &mut process(1, "2026-11-23T10:00:00Z"));
        assert_eq!(ids(&log), [("using-device", 2)], "{before}");
        assert_eq!(log.before_start.known().unwrap()[0].id, "cuda-oom", "{before}");
    }
}

#[test]
fn what_powershell_wrote_in_utf16_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let text = "\u{feff}Using device: cpu\r\n";
    std::fs::write(&path, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    assert_eq!(ids(&of_files(std::slice::from_ref(&path))), [("using-device", 1)]);
    std::fs::write(&path, text.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>()).unwrap();
    assert_eq!(ids(&of_files(&[path])), [("using-device", 1)]);
}

#[test]
fn of_many_the_newest_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let text: String = (0..100).map(|n| format!("line {n}\ntorch.OutOfMemoryError: CUDA out of memory.\n")).collect();
    std::fs::write(&path, format!("Using device: cuda\n{text}")).unwrap();
    let log = of_files(&[path]);
    let lines: Vec<u64> = ids(&log).into_iter().map(|(_, line)| line).collect();
    assert_eq!(lines, [1, 193, 195, 197, 199, 201]);
}

#[test]
fn of_a_huge_log_both_ends_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let mut file = std::fs::File::create(&path).unwrap();
    writeln!(file, "Using device: cuda").unwrap();
    file.set_len(1 << 36).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    write!(file, "\nx\ntorch.OutOfMemoryError: CUDA out of memory.\n").unwrap();
    let started = Instant::now();
    let log = of_files(&[path]);
    assert_eq!(ids(&log), [("using-device", 1), ("cuda-oom", 2)]);
    let tail = &log.sayings.known().unwrap()[1];
    assert!(tail.skipped_bytes > 1 << 35, "{tail:?}");
    assert!(started.elapsed().as_secs() < 4, "{:?}", started.elapsed());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    let name = std::ffi::CString::new(fifo.display().to_string()).unwrap();
    // SAFETY: a valid C string; mkfifo makes a file and nothing else.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let started = Instant::now();
    for irregular in [fifo.as_path(), folder.path(), Path::new("/dev/zero")] {
        let log = of_files(&[irregular.into()]);
        assert!(log.sayings.reason().unwrap().detail.contains("not a regular file"), "{}", irregular.display());
    }
    assert!(started.elapsed().as_millis() < 500);
}

#[test]
fn secrets_do_not_reach_the_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    std::fs::write(&path, "Using device: cpu, api_key=hunter2-hunter2, Authorization: Bearer abc.def.ghi\n").unwrap();
    let text = serde_json::to_string(&of_files(&[path])).unwrap();
    assert!(text.contains("Using device: cpu") && !text.contains("hunter2") && !text.contains("abc.def"), "{text}");
}

#[test]
fn answers_are_read_where_requests_were_sent() {
    let mut facts = nothing();
    let exchange = Exchange {
        author: "doctor".into(),
        method: "POST".into(),
        path: "/asr".into(),
        content_type: String::new(),
        fields: Vec::new(),
        status: Fact::Known(500),
        accepted: false,
        duration_ms: 1.0,
        answer: r#"{"detail":"CUDA out of memory. Tried to allocate 2.00 GiB"}"#.into(),
        names_missing: Vec::new(),
        headers: Default::default(),
        phases: Default::default(),
        stream: Default::default(),
        grpc_status: Default::default(),
        closed: Default::default(),
        sent_bytes: Default::default(),
        curl: String::new(),
    };
    facts.request.attempts = Fact::Known(vec![exchange.clone()]);
    facts.request.rejected = Fact::Known(exchange);
    let log = collect_about(Ask::default(), &mut facts);
    let said = log.said_in_answers.known().unwrap();
    assert_eq!((said.len(), said[0].id.as_str(), said[0].file.as_str()), (1, "cuda-oom", "answer to POST /asr (500)"));
    assert_eq!(log.sayings.reason().unwrap().why, Why::NotAsked, "an answer is no log");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_within_the_limits(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4000)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, &bytes).unwrap();
        proptest::prop_assert!(of_files(&[path]).sayings.known().is_some());
    }

    #[test]
    fn any_line_is_told_short_and_plain(line in "(\\PC|\\x1b|\\x07|\\x00){0,400}", at in 0usize..900) {
        let told = text::told(&text::plain(&line), at);
        proptest::prop_assert!(told.chars().count() <= 300 && !told.contains('\u{1b}'), "{told}");
    }
}
