//! `gpu-doctor triage` on logs, metrics pages, nvidia-smi, records of Docker and Kubernetes, snapshots, reports and archives.

mod setup;

use flate2::Compression;
use flate2::write::GzEncoder;
use gpu_doctor::probe::triage;
use serde_json::Value;
use setup::GPU_DOCTOR;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// The report as JSON, and the exit code.
fn triaged(files: &[&Path]) -> (Value, i32) {
    let output = Command::new(GPU_DOCTOR).arg("triage").args(files).args(["--format", "json"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code().unwrap())
}

fn told(report: &Value, name: &str) -> Value {
    let files = report["recorded"]["files"]["known"].as_array().unwrap();
    let found = files.iter().find(|file| file["name"].as_str().unwrap().ends_with(name));
    found.unwrap_or_else(|| panic!("{name} is not among {files:#?}")).clone()
}

/// Whether one of the sentences holds this text.
fn says(file: &Value, member: &str, text: &str) -> bool {
    file[member].as_array().unwrap().iter().any(|said| said.as_str().unwrap().contains(text))
}

fn causes(report: &Value) -> Vec<&str> {
    report["diagnoses"].as_array().unwrap().iter().map(|one| one["cause"].as_str().unwrap()).collect()
}

fn rejected_log() -> String {
    let answers: String = (0..602)
        .map(|n| format!("INFO:     127.0.0.1:{n} - \"POST /asr?token=hunter2 HTTP/1.1\" 400 Bad Request\n"))
        .collect();
    let health = "INFO:     127.0.0.1:1 - \"GET /health HTTP/1.1\" 200 OK\n".repeat(20);
    format!("INFO:     Started server process [7]\nUsing device: cuda\n{answers}{health}")
}

#[test]
fn an_access_log_alone_tells_that_every_request_was_rejected() {
    let folder = TempDir::new().unwrap();
    let log = file(&folder, "uvicorn.log", rejected_log());
    let (report, code) = triaged(&[&log]);
    assert_eq!((causes(&report), code), (vec!["all-requests-rejected"], 1));
    assert!(report["headline"].as_str().unwrap().contains("602 of 602"), "{}", report["headline"]);
    let told = told(&report, "uvicorn.log");
    assert_eq!((told["kind"].as_str().unwrap(), told["records"].as_u64().unwrap()), ("server_log", 624));
    assert!(says(&told, "shows", "602 x 400") && says(&told, "shows", "POST /asr: 602 answers"), "{told:#}");
    assert!(says(&told, "shows", "20 answers to GET"), "health is no request: {told:#}");
    assert!(says(&told, "shows", "a claim (\"Using device: cuda\")"), "{told:#}");
    assert!(!report.to_string().contains("hunter2"));
}

#[test]
fn a_log_that_names_the_missing_field_tells_why() {
    let folder = TempDir::new().unwrap();
    let error = "ERROR:app:Missing required parameter: 'lang'\n".repeat(602);
    let log = file(&folder, "asr.log", rejected_log() + &error);
    let (report, code) = triaged(&[&log]);
    assert_eq!((causes(&report), code), (vec!["required-field-missing"], 1));
    assert!(
        report["headline"].as_str().unwrap().contains("the missing field is named: lang"),
        "{}",
        report["headline"]
    );
    assert_eq!(report["diagnoses"][0]["confidence"], "likely");
    assert!(says(&told(&report, "asr.log"), "shows", "602 x failure: app:Missing required parameter"));
    // The same log beside requests that succeed accuses nobody.
    let requests = fixture("triage/healthy/requests.csv");
    let (report, _) = triaged(&[&log, &requests]);
    assert_eq!(causes(&report), Vec::<&str>::new(), "the client's own record counts");
}

#[test]
fn logs_of_real_servers_are_recognized_and_quoted() {
    let logs = ["asr-cpu.log", "ort-gpu-without-libs.log", "triton-no-gpu.log", "vllm-no-gpu.log", "healthy.log"];
    let paths: Vec<PathBuf> = logs.iter().map(|name| fixture("logs/server").join(name)).collect();
    let (report, _) = triaged(&paths.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    for name in logs {
        assert_eq!(told(&report, name)["kind"], "server_log", "{name}");
    }
    assert!(says(&told(&report, "ort-gpu-without-libs.log"), "shows", "onnxruntime could not load its CUDA provider"));
    assert!(says(&told(&report, "vllm-no-gpu.log"), "shows", "vLLM found no device"));
    assert_eq!(causes(&report), Vec::<&str>::new(), "whether there is a GPU is in none of them");
}

#[test]
fn a_log_in_utf16_one_that_is_binary_and_one_with_a_line_of_10_mb_are_told() {
    let folder = TempDir::new().unwrap();
    let text = format!("\u{feff}{}", rejected_log());
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (report, _) = triaged(&[&file(&folder, "powershell.log", utf16)]);
    let of_utf16 = told(&report, "powershell.log");
    assert_eq!(of_utf16["kind"], "server_log");
    assert!(says(&of_utf16, "faults", "UTF-16LE") && says(&of_utf16, "shows", "602 x 400"), "{of_utf16:#}");
    let long = format!("Using device: cpu {}\n\0\0torch.OutOfMemoryError: CUDA out of memory.\n", "x".repeat(10 << 20));
    let (report, _) = triaged(&[&file(&folder, "long.log", long)]);
    let of_long = told(&report, "long.log");
    assert!(says(&of_long, "faults", "1 line is longer than 16 KiB"), "{of_long:#}");
    assert!(says(&of_long, "faults", "1 line is not text"), "{of_long:#}");
    assert!(says(&of_long, "shows", "GPU memory ran out"), "{of_long:#}");
    let (report, _) = triaged(&[&file(&folder, "core.log", vec![0u8; 5000])]);
    assert_eq!(told(&report, "core.log")["kind"], "unrecognized");
}

#[test]
fn what_is_no_log_is_not_taken_for_one() {
    let folder = TempDir::new().unwrap();
    for (name, content) in [
        ("table.csv", "a,b,c\n2026-11-23 10:00:00,1,2\n2026-11-23 10:00:01,3,4\n"),
        ("page.html", "<!doctype html><html><body>CUDA out of memory</body></html>"),
        ("report.pdf", "%PDF-1.4 x"),
        ("notes.txt", "remember the milk\n"),
        ("empty.log", ""),
    ] {
        let (report, _) = triaged(&[&file(&folder, name, content)]);
        let told = told(&report, name);
        assert_eq!(told["kind"], "unrecognized", "{told:#}");
        assert!(!told["recognized_by"].as_str().unwrap().is_empty());
    }
}

fn metrics(requests: u64) -> String {
    format!(
        "# TYPE nv_inference_request_success counter\n\
         nv_inference_request_success{{model=\"vad\",version=\"1\"}} {requests}\n\
         # TYPE nv_inference_count counter\nnv_inference_count{{model=\"vad\",version=\"1\"}} {requests}\n\
         # TYPE nv_inference_exec_count counter\nnv_inference_exec_count{{model=\"vad\",version=\"1\"}} {requests}\n"
    )
}

#[test]
fn two_metrics_pages_of_one_server_make_differences_in_any_order() {
    let folder = TempDir::new().unwrap();
    let (before, after) = (file(&folder, "a.prom", metrics(10)), file(&folder, "b.prom", metrics(52)));
    for order in [[before.as_path(), after.as_path()], [after.as_path(), before.as_path()]] {
        let (report, _) = triaged(&order);
        let told = told(&report, "b.prom");
        assert_eq!(told["kind"], "metrics_page");
        assert!(says(&told, "shows", "model vad, from one page to the other: 42 requests succeeded"), "{told:#}");
        assert!(says(&told, "lacks", "when each page was read"), "{told:#}");
    }
    let (report, _) = triaged(&[&before]);
    let alone = told(&report, "a.prom");
    assert!(says(&alone, "shows", "since it started: 10 requests succeeded"), "{alone:#}");
    assert!(says(&alone, "lacks", "a second reading"), "{alone:#}");
}

#[test]
fn the_outputs_of_nvidia_smi_are_read() {
    let folder = TempDir::new().unwrap();
    let xml = std::fs::read_dir(fixture("nvidia-smi")).unwrap().map(|entry| entry.unwrap().path());
    let xml = { xml }.find(|path| path.extension().is_some_and(|ending| ending == "xml")).unwrap();
    let (report, _) = triaged(&[&xml]);
    let told_of = told(&report, xml.file_name().unwrap().to_str().unwrap());
    assert_eq!(told_of["kind"], "nvidia_smi_xml");
    assert!(says(&told_of, "shows", "GPU 0: "), "{told_of:#}");
    let table = "Sun Nov 23 10:00:00 2026\n+-------+\n| NVIDIA-SMI 550.144.03             Driver Version: 550.144.03     CUDA Version: 12.4     |\n|-------|\n|   0  NVIDIA A10   |\n+-------+\n";
    let (report, _) = triaged(&[&file(&folder, "smi.txt", table)]);
    let told_of = told(&report, "smi.txt");
    assert_eq!(told_of["kind"], "nvidia_smi_table");
    assert!(says(&told_of, "shows", "driver 550.144.03, which runs CUDA up to 12.4"), "{told_of:#}");
    assert!(says(&told_of, "lacks", "nvidia-smi -q -x"), "{told_of:#}");
    let failed = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n";
    let (report, _) = triaged(&[&file(&folder, "failed.txt", failed)]);
    assert!(says(&told(&report, "failed.txt"), "shows", "nvidia-smi itself failed"));
}

#[test]
fn records_of_docker_and_kubernetes_are_read() {
    for (folder, kind) in [("docker", "docker_inspect"), ("kubernetes", "kubernetes")] {
        let mut read = 0;
        for entry in std::fs::read_dir(fixture(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            let (report, _) = triaged(&[&path]);
            let told = told(&report, path.file_name().unwrap().to_str().unwrap());
            read += usize::from(told["kind"] == kind && !told["shows"].as_array().unwrap().is_empty());
        }
        assert!(read >= 3, "{folder}: only {read} were read");
    }
}

#[test]
fn a_snapshot_is_judged_as_it_is_and_joined_with_other_files() {
    let a1 = fixture("snapshots/a1.json");
    let (report, code) = triaged(&[&a1]);
    let output = Command::new(GPU_DOCTOR).arg("diagnose").arg(&a1).args(["--format", "json"]).output().unwrap();
    let alone: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((causes(&report), Some(code)), (causes(&alone), output.status.code()));
    // What was run is another command.
    let target = |report: &Value| {
        let mut target = report["target"].clone();
        target.as_object_mut().unwrap().remove("command");
        target
    };
    assert_eq!(target(&report), target(&alone));
    let folder = TempDir::new().unwrap();
    let log = file(&folder, "uvicorn.log", "torch.OutOfMemoryError: CUDA out of memory.\n");
    let (report, _) = triaged(&[&fixture("snapshots/healthy-machine.json"), &log]);
    assert!(says(&told(&report, "healthy-machine.json"), "shows", "it counts as it is"));
    assert_eq!(causes(&report), ["cuda-oom"], "the log is judged beside the machine's facts");
    let other = std::fs::read_to_string(&a1).unwrap().replace("snapshot/v1", "snapshot/v9");
    let (report, _) = triaged(&[&file(&folder, "newer.json", other)]);
    assert!(says(&told(&report, "newer.json"), "faults", "its schema is \"gpu-doctor/snapshot/v9\""));
}

#[test]
fn a_report_is_told_and_not_judged() {
    let folder = TempDir::new().unwrap();
    let output = Command::new(GPU_DOCTOR)
        .arg("diagnose")
        .arg(fixture("snapshots/a1.json"))
        .args(["--format", "json"])
        .output()
        .unwrap();
    let (report, _) = triaged(&[&file(&folder, "report.json", &output.stdout)]);
    let told = told(&report, "report.json");
    assert_eq!((told["kind"].as_str().unwrap(), causes(&report)), ("report", Vec::new()));
    assert!(says(&told, "shows", "it said required-field-missing"), "{told:#}");
    assert!(says(&told, "lacks", "keep the snapshot"), "{told:#}");
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        // A name that leads out of the folder is taken as it is: nothing is written.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in members {
        archive.start_file(*name, SimpleFileOptions::default()).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

#[test]
fn an_archive_is_what_its_members_are() {
    let folder = TempDir::new().unwrap();
    let requests = std::fs::read(fixture("triage/a1/requests.csv")).unwrap();
    let samples = std::fs::read(fixture("triage/a1/gpu_samples.csv")).unwrap();
    let log = rejected_log();
    let members: [(&str, &[u8]); 4] = [
        ("requests.csv", &requests),
        ("gpu_samples.csv", &samples),
        ("../../etc/uvicorn.log", log.as_bytes()),
        ("__MACOSX/._requests.csv", b"x"),
    ];
    let tar = tar_of(&members);
    for (name, bytes) in [("all.tar", tar.clone()), ("all.tar.gz", packed(&tar)), ("all.zip", zip_of(&members))] {
        let path = file(&folder, name, &bytes);
        let (report, code) = triaged(&[&path]);
        assert_eq!((causes(&report), code), (vec!["all-requests-rejected"], 1), "{name}");
        assert_eq!(told(&report, &format!("{name}/requests.csv"))["kind"], "requests_csv");
        assert_eq!(told(&report, "uvicorn.log")["kind"], "server_log");
        assert_eq!(report["recorded"]["requests"]["known"]["count"], 602, "{name}: a log and a table of one run");
        let archive = told(&report, name);
        assert_eq!((archive["kind"].as_str().unwrap(), archive["records"].as_u64().unwrap()), ("archive", 3));
        // From standard input alike.
        let mut doctor = Command::new(GPU_DOCTOR)
            .args(["triage", "-", "--format", "json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        doctor.stdin.take().unwrap().write_all(&bytes).unwrap();
        let output = doctor.wait_with_output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(causes(&report), ["all-requests-rejected"], "{name} from standard input");
    }
}

#[test]
fn a_packed_log_is_unpacked_and_a_broken_one_told() {
    let folder = TempDir::new().unwrap();
    let whole = packed(rejected_log().as_bytes());
    let (report, _) = triaged(&[&file(&folder, "uvicorn.log.gz", &whole)]);
    assert!(says(&told(&report, "uvicorn.log.gz"), "shows", "602 x 400"));
    let (report, _) = triaged(&[&file(&folder, "cut.log.gz", &whole[..whole.len() / 2])]);
    let cut = told(&report, "cut.log.gz");
    assert!(!cut["faults"].as_array().unwrap().is_empty(), "{cut:#}");
    let tar = tar_of(&[("a.log", rejected_log().as_bytes()), ("b.log", rejected_log().as_bytes())]);
    let (report, _) = triaged(&[&file(&folder, "cut.tar", &tar[..tar.len() / 2 + 2000])]);
    let faults: String = report["recorded"]["files"].to_string();
    assert!(faults.contains("cannot be read on"), "{faults}");
}

#[test]
fn what_archives_hide_is_said() {
    let folder = TempDir::new().unwrap();
    let inner = zip_of(&[("a.log", rejected_log().as_bytes())]);
    let nested = tar_of(&[("inner.zip", &inner), ("inner.tar.gz", &packed(&tar_of(&[("a.log", b"x")])))]);
    let (report, _) = triaged(&[&file(&folder, "nested.tar", nested)]);
    for name in ["inner.zip", "inner.tar.gz"] {
        let told = told(&report, name);
        assert_eq!(told["kind"], "archive", "{told:#}");
        assert!(says(&told, "lacks", "inside another archive"), "{told:#}");
    }
    // The bit that says that a member is encrypted, set in both of its headers.
    let mut encrypted = zip_of(&[("secret.log", rejected_log().as_bytes())]);
    for (sign, offset) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = encrypted.windows(4).position(|window| window == sign).unwrap();
        encrypted[at + offset] |= 1;
    }
    let (report, _) = triaged(&[&file(&folder, "encrypted.zip", encrypted)]);
    assert!(says(&told(&report, "encrypted.zip"), "faults", "secret.log is encrypted"));
    let many: Vec<(String, Vec<u8>)> =
        (0..600).map(|n| (format!("{n}.log"), b"Using device: cpu\n".to_vec())).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    let (report, _) = triaged(&[&file(&folder, "many.zip", zip_of(&many))]);
    assert!(says(&told(&report, "many.zip"), "faults", "more than 500 members"));
}

#[test]
fn a_bomb_is_not_unpacked_to_its_end() {
    let folder = TempDir::new().unwrap();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b'\n'; 16 << 20];
    (0..80).for_each(|_| encoder.write_all(&zeros).unwrap());
    let (report, _) = triaged(&[&file(&folder, "bomb.log.gz", encoder.finish().unwrap())]);
    let of_file = told(&report, "bomb.log.gz");
    assert!(says(&of_file, "faults", "250 times its size"), "{of_file:#}");
    let inside = tar_of(&[("inner.log.gz", &std::fs::read(folder.path().join("bomb.log.gz")).unwrap())]);
    let (report, _) = triaged(&[&file(&folder, "bomb.tar", inside)]);
    let of_member = told(&report, "inner.log.gz");
    assert!(says(&of_member, "faults", "250 times its size"), "{of_member:#}");
}

/// Everything that mutations start from.
fn seeds() -> Vec<Vec<u8>> {
    let log = rejected_log();
    let a1 = std::fs::read(fixture("snapshots/a1.json")).unwrap();
    let tar = tar_of(&[("a.log", &log.as_bytes()[..2000]), ("b.prom", metrics(5).as_bytes())]);
    let zip = zip_of(&[("a.log", &log.as_bytes()[..2000]), ("b.prom", metrics(5).as_bytes())]);
    vec![log.into_bytes(), a1[..4000].to_vec(), packed(&tar), tar, zip, metrics(7).into_bytes()]
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]
    #[test]
    fn no_file_is_too_broken(seed in 0usize..6, changes in proptest::collection::vec((0usize..5000, 0u8..=255), 0..12), cut in 0usize..6000) {
        let mut bytes = seeds()[seed].clone();
        let length = bytes.len();
        for (at, byte) in changes {
            bytes[at % length] = byte;
        }
        bytes.truncate(cut.max(1));
        let facts = triage::read_bytes("file", &bytes);
        proptest::prop_assert!(!facts.recorded.files.known().unwrap().is_empty());
    }
}

/// What a person reads, and the exit code.
fn read_aloud(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(GPU_DOCTOR).arg("triage").args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    // Lines end where the paper does.
    let text = String::from_utf8(said).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    (text, output.status.code().unwrap())
}

#[test]
fn what_load_generators_print_proves_that_all_requests_were_rejected_and_no_idle_gpu() {
    for tool in ["wrk", "ab", "hey", "k6"] {
        let rejected = fixture(&format!("triage/summaries/{tool}-rejected.txt"));
        let idle = fixture("triage/idle/gpu_samples.csv");
        let (report, code) = triaged(&[&rejected, &idle]);
        assert_eq!((causes(&report), code), (vec!["all-requests-rejected"], 1), "{tool}");
        let healthy = fixture(&format!("triage/summaries/{tool}-healthy.txt"));
        let (report, _) = triaged(&[&healthy, &idle]);
        assert_eq!(causes(&report), Vec::<&str>::new(), "{tool}: whether the samples are of this run is not told");
    }
    let (text, _) = read_aloud(&[fixture("triage/summaries/ab-rejected.txt").to_str().unwrap()]);
    assert!(text.contains("is a summary by ab (") && text.contains("100 requests, 0 succeeded"), "{text}");
    assert!(text.contains("100 answers had another status than 2xx"), "{text}");
}

#[test]
fn rows_of_k6_are_read_from_csv_and_from_json() {
    for (name, kind) in [("mixed.csv", "requests_csv"), ("mixed.json", "requests_json")] {
        let (report, _) = triaged(&[&fixture(&format!("triage/k6/{name}"))]);
        let requests = &report["recorded"]["requests"]["known"];
        assert_eq!(told(&report, name)["kind"], kind);
        assert_eq!((&requests["count"], &requests["ok"]["known"]), (&10.into(), &9.into()), "{name}");
        assert_eq!(requests["by_status"], serde_json::json!({"200": 9, "503": 1}), "{name}");
        let median_ms = requests["median_ms"]["known"].as_f64().unwrap();
        assert!((median_ms - 74.2).abs() < 0.1, "{name}: {median_ms}");
    }
}

#[test]
fn jmeter_s_elapsed_is_the_time_of_a_request_and_its_latency_is_not() {
    let folder = TempDir::new().unwrap();
    let header =
        "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success,failureMessage,Latency,Connect";
    let rows: String =
        (0..20).map(|n| format!("{},900,asr,200,OK,T 1-1,true,,30,0\n", 1_732_354_800_000u64 + n * 1000)).collect();
    let (report, _) = triaged(&[&file(&folder, "results.jtl", format!("{header}\n{rows}"))]);
    let requests = &report["recorded"]["requests"]["known"];
    assert_eq!((&requests["count"], &requests["ok"]["known"]), (&20.into(), &20.into()));
    assert!((requests["median_ms"]["known"].as_f64().unwrap() - 900.0).abs() < 1.0, "{requests}");
    assert!(!says(&told(&report, "results.jtl"), "shows", "names no unit"));
}

#[test]
fn texts_say_what_is_missing_once_and_in_plain_words() {
    let idle = [fixture("triage/idle/requests.csv"), fixture("triage/idle/gpu_samples.csv")];
    let (text, code) = read_aloud(&idle.each_ref().map(|path| path.to_str().unwrap()));
    assert!(text.starts_with("GPU is idle"), "{text}");
    assert!(text.contains("GPU 0 at 0 % in all of 122 samples") && code == 1, "{text}");

    let (text, code) = read_aloud(&[idle[0].to_str().unwrap()]);
    assert!(text.contains("GPU not watched: no file with GPU samples was given"), "{text}");
    assert_eq!(text.matches("nvidia-smi --query-gpu=").count(), 1, "{text}");
    assert_eq!(code, 2);

    let folder = fixture("triage/locust-healthy");
    let of_locust = |names: &[&str]| {
        let paths: Vec<String> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
        read_aloud(&paths.iter().map(String::as_str).collect::<Vec<_>>()).0
    };
    assert!(of_locust(&["run_stats.csv"]).contains("give *_failures.csv of the same run as well"));
    let all = of_locust(&["run_stats.csv", "run_failures.csv", "run_stats_history.csv"]);
    assert!(!all.contains("of the same run as well"), "{all}");

    let folder = TempDir::new().unwrap();
    let hello = file(&folder, "hello.txt", "hello world\n");
    let (text, _) = read_aloud(&[hello.to_str().unwrap()]);
    assert!(text.contains("what can be read: gpu-doctor triage --help"), "{text}");
    let (text, code) = read_aloud(&[folder.path().to_str().unwrap()]);
    assert!(text.contains("this is a folder; name the files in it") && code == 64, "{text}");
    let pages = [fixture("metrics/vllm/before.prom"), fixture("metrics/vllm/after.prom")];
    let (text, _) = read_aloud(&pages.each_ref().map(|path| path.to_str().unwrap()));
    assert!(text.starts_with("Undecided: the server's counters alone"), "{text}");
    assert_eq!(text.matches("when each page was read").count(), 1, "{text}");
}

#[test]
fn a_report_is_no_evidence_and_a_snapshot_is_judged_as_what_it_is() {
    let folder = TempDir::new().unwrap();
    let (report, _) = triaged(&[&fixture("triage/a1/requests.csv")]);
    let report = file(&folder, "report.json", report.to_string());
    let (text, _) = read_aloud(&[report.to_str().unwrap()]);
    assert!(text.starts_with("Undecided: report.json tells what was judged, not what was seen"), "{text}");
    let snapshot = fixture("snapshots/healthy-machine.json");
    let (text, code) = read_aloud(&[snapshot.to_str().unwrap()]);
    assert!(!text.contains("The model gets no work") && !text.contains("was not given"), "{text}");
    assert_eq!(code, 0, "{text}");
}
