//! `gpu-doctor triage` on files that people have: what it names as the cause, what it leaves open, and that no bad input
//! becomes a cause by accident.

mod setup;

use serde_json::Value;
use setup::doctor::{Said, causes, diagnosis, gpu_doctor};
use std::io::Write;
use std::path::{Path, PathBuf};

/// 2024-11-23T09:40:00Z.
const START: f64 = 1_732_354_800.0;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/triage").join(name)
}

fn triage(files: &[&Path], options: &[&str]) -> Said {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let mut arguments = vec!["triage", "--format", "json"];
    arguments.extend(options);
    arguments.extend(files.iter().map(String::as_str));
    gpu_doctor(&arguments, &[])
}

fn pair(name: &str) -> Said {
    triage(&[&fixture(&format!("{name}/requests.csv")), &fixture(&format!("{name}/gpu_samples.csv"))], &[])
}

/// What is told of a file.
fn file(report: &Value, number: usize) -> &Value {
    &report["recorded"]["files"]["known"][number]
}

fn sentences(value: &Value) -> String {
    value.as_array().expect("a list").iter().map(|one| one.as_str().expect("a sentence")).collect::<Vec<_>>().join("\n")
}

/// A folder of files that a test writes.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// 120 requests of 470 ms in a minute, answered 200.
    fn requests(&self) -> PathBuf {
        self.write("requests.csv", requests(200))
    }

    /// Samples every half second, from 5 s before the requests until 5 s after, none with utilization.
    fn idle_gpu(&self) -> PathBuf {
        self.write("gpu.csv", samples(0.0, |_| "0.0".into()))
    }
}

fn requests(status: u16) -> String {
    let row = |number: i32| format!("{:.3},{status},470.1,\n", START + f64::from(number) * 0.5);
    "timestamp,status,latency_ms,error\n".to_owned() + &(0..120).map(row).collect::<String>()
}

fn samples(offset_s: f64, utilization: impl Fn(i32) -> String) -> String {
    let at = |number: i32| START - 5.0 + f64::from(number) * 0.5 + offset_s;
    let row = |number: i32| format!("{:.3},0,{},2312,31\n", at(number), utilization(number));
    "timestamp,gpu,gpu_util_percent,gpu_mem_used_mb,power_w\n".to_owned() + &(0..140).map(row).collect::<String>()
}

#[test]
fn every_request_rejected_and_an_idle_gpu_is_one_cause() {
    let said = pair("a1");
    let report = said.report();
    assert_eq!(said.code, 1);
    assert_eq!(causes(&report), ["all-requests-rejected"]);
    let headline = report["headline"].as_str().unwrap();
    assert!(
        headline.starts_with("GPU is idle because every request is rejected: 602 of 602 requests were answered 400"),
        "{headline}"
    );
    assert!(headline.contains("GPU 0 at 0 %") && headline.contains("why, these files do not tell"), "{headline}");
    let found = diagnosis(&report, "all-requests-rejected");
    assert_eq!(found["fix"][0]["run"], "gpu-doctor run --server http://HOST:PORT");
    assert_eq!(file(&report, 0)["kind"], "requests_csv");
    assert_eq!(file(&report, 1)["kind"], "gpu_samples_csv");
    assert_eq!(report["recorded"]["requests"]["known"]["by_status"], serde_json::json!({"400": 602}));
}

#[test]
fn the_order_of_the_files_does_not_matter_and_the_text_tells_what_they_are() {
    let (requests, samples) = (fixture("a1/requests.csv"), fixture("a1/gpu_samples.csv"));
    let files = [samples.display().to_string(), requests.display().to_string()];
    let said = gpu_doctor(&["triage", &files[0], &files[1]], &[]);
    assert_eq!(said.code, 1);
    for words in [
        "602 requests, 0 succeeded (602 answered 400)",
        "the GPU: utilization 0 % in all of 140 samples",
        "GPU samples cover 100 % of the time in which requests ran",
        "602 failed: HTTP 400",
    ] {
        assert!(said.out.contains(words), "{words} is missing in\n{}", said.out);
    }
    assert!(!said.out.contains("no file that was given tells it"), "{}", said.out);
}

#[test]
fn a_healthy_pair_has_no_cause_and_is_told_with_its_limits() {
    let said = pair("healthy");
    let report = said.report();
    assert_eq!((said.code, causes(&report).len()), (0, 0));
    let headline = report["headline"].as_str().unwrap();
    assert!(headline.contains("600 of 600 requests succeeded, GPU 0 at most"), "{headline}");
    assert!(headline.contains("server, model and machine were not examined"), "{headline}");
}

#[test]
fn answers_without_work_on_the_gpu_are_a_symptom_whose_reason_is_asked_for() {
    let said = pair("idle");
    let report = said.report();
    assert_eq!((said.code, causes(&report)), (1, vec!["gpu-idle-while-serving"]));
    let found = diagnosis(&report, "gpu-idle-while-serving");
    assert!(
        found["because"].as_str().unwrap().contains("GPU 0 at 0 % in all of 122 samples, while 120 of 120"),
        "{found}"
    );
    assert_eq!(found["fix"][0]["run"], "gpu-doctor run --server http://HOST:PORT");
}

#[test]
fn a_snapshot_of_the_files_is_judged_alike() {
    let desk = Desk::new();
    let saved = desk.0.path().join("snapshot.json");
    let (requests, samples) = (fixture("a1/requests.csv"), fixture("a1/gpu_samples.csv"));
    let first = triage(&[&requests, &samples], &["--save", &saved.display().to_string()]).report();
    let again = gpu_doctor(&["diagnose", "--format", "json", &saved.display().to_string()], &[]).report();
    for part in ["verdict", "headline", "diagnoses", "recorded"] {
        assert_eq!(first[part], again[part], "{part}");
    }
}

#[test]
fn samples_that_do_not_meet_the_requests_prove_nothing() {
    let report = pair("misaligned").report();
    assert_eq!(report["verdict"], "undecided");
    let headline = report["headline"].as_str().unwrap();
    assert!(headline.contains("shifted by -05:30 they would") && headline.contains("time zones"), "{headline}");

    let desk = Desk::new();
    let (requests, late) =
        (desk.requests(), desk.write("late.csv", samples(3.0 * 86_400.0 + 1234.0, |_| "0.0".into())));
    let said = triage(&[&requests, &late], &[]);
    assert_eq!(said.code, 2);
    assert!(said.report()["headline"].as_str().unwrap().contains("they are of another day"), "{}", said.out);
}

#[test]
fn a_zone_that_is_named_makes_them_meet() {
    let desk = Desk::new();
    let row = |number: i32| {
        let second = 15 * 3600 + 9 * 60 + 55 + number;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("2024/11/23 {hour:02}:{minute:02}:{second:02}.120, 0, 0 %, 2312 MiB, 31.20 W\n")
    };
    let header = "timestamp, index, utilization.gpu [%], memory.used [MiB], power.draw [W]\n";
    let local = desk.write("smi.csv", header.to_owned() + &(0..70).map(row).collect::<String>());
    let requests = desk.requests();
    let without = triage(&[&requests, &local], &[]).report();
    assert_eq!(without["verdict"], "undecided");
    assert!(without["headline"].as_str().unwrap().contains("--utc-offset"), "{}", without["headline"]);
    let with = triage(&[&requests, &local], &["--utc-offset", "+05:30"]).report();
    assert_eq!(causes(&with), ["gpu-idle-while-serving"]);
    assert_eq!(file(&with, 1)["kind"], "nvidia_smi_csv");
}

#[test]
fn a_busy_gpu_is_not_called_idle_for_requests_that_were_rejected() {
    let desk = Desk::new();
    let busy = desk.write("gpu.csv", samples(0.0, |_| "97.0".into()));
    let rejected = desk.write("requests.csv", requests(401));
    let report = triage(&[&rejected, &busy], &[]).report();
    assert_eq!(causes(&report), ["auth-rejected"]);
    assert!(
        report["headline"].as_str().unwrap().starts_with("The model gets no work because"),
        "{}",
        report["headline"]
    );
    // Somebody else may keep it busy: it was so before the first request.
    let accepted = triage(&[&desk.requests(), &busy], &[]).report();
    assert_eq!((causes(&accepted).len(), &accepted["verdict"]), (0, &Value::from("undecided")));
}

#[test]
fn idleness_takes_enough_samples_and_enough_work() {
    let desk = Desk::new();
    let few: String = samples(0.0, |_| "0.0".into()).lines().take(20).map(|line| format!("{line}\n")).collect();
    let few = desk.write("few.csv", few);
    assert_eq!(triage(&[&desk.requests(), &few], &[]).report()["verdict"], "undecided");
    let row = |number: i32| format!("{:.3},200,4.1,\n", START + f64::from(number) * 0.5);
    let light = "timestamp,status,latency_ms,error\n".to_owned() + &(0..120).map(row).collect::<String>();
    let light = desk.write("light.csv", light);
    let report = triage(&[&light, &desk.idle_gpu()], &[]).report();
    assert_eq!(report["verdict"], "undecided");
    assert!(report["headline"].as_str().unwrap().contains("too little to be seen"), "{}", report["headline"]);
    let powered = samples(0.0, |_| "0.0".into()).replace(",31\n", ",31.0\n");
    let powered: String = powered
        .lines()
        .enumerate()
        .map(|(number, line)| if (12..130).contains(&number) { line.replace(",31.0", ",140.0") } else { line.into() } + "\n")
        .collect();
    let report = triage(&[&desk.requests(), &desk.write("power.csv", powered)], &[]).report();
    assert!(report["headline"].as_str().unwrap().contains("its power rose from 31 W"), "{}", report["headline"]);
}

#[test]
fn requests_without_a_status_and_without_times_are_told_with_the_remedy() {
    let desk = Desk::new();
    let rows: String = (0..120).map(|number| format!("{:.3},470\n", START + f64::from(number) * 0.5)).collect();
    let silent = desk.write("requests.csv", format!("timestamp,latency_ms\n{rows}"));
    let said = triage(&[&silent, &desk.idle_gpu()], &[]);
    assert_eq!(said.code, 2);
    assert!(sentences(&file(&said.report(), 0)["lacks"]).contains("write response.status_code"), "{}", said.out);
    let timeless = desk.write("timeless.csv", format!("status,latency_ms\n{}", "200,470\n".repeat(120)));
    let said = triage(&[&timeless, &desk.idle_gpu()], &[]);
    assert_eq!(said.code, 2);
    assert!(said.report()["headline"].as_str().unwrap().contains("the requests have no times"), "{}", said.out);
}

#[test]
fn damaged_files_say_so_by_line_and_accuse_nobody_of_it() {
    let desk = Desk::new();
    let idle = desk.idle_gpu();
    let whole = requests(200);
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("cut", whole.as_bytes()[..whole.len() - 14].to_vec(), "line 121: the last line is cut short"),
        ("nan", whole.replacen("470.1", "nan", 3).into(), "line 2: latency_ms is no number (so in 3 lines)"),
        ("negative", whole.replacen("470.1", "-5", 2).into(), "line 2: latency_ms is negative (so in 2 lines)"),
        ("back", format!("{whole}{:.3},200,470.1,\n", START - 9000.0).into(), "line 122: the clock goes back"),
        ("header twice", format!("{whole}{whole}").into(), "line 122: the header stands here again"),
        ("long", [whole.as_bytes(), &vec![b'x'; 10 << 20], b"\n"].concat(), "line 122: the line is longer than 1 MiB"),
        ("quote", format!("{whole}{:.3},200,470.1,\"open\n", START + 61.0).into(), "line 122: a quote is not closed"),
        ("word", whole.replacen(&format!("{START:.3}"), "soon", 1).into(), "line 2: timestamp is no time"),
    ];
    for (name, content, fault) in cases {
        let damaged = desk.write("damaged.csv", content);
        let report = triage(&[&damaged, &idle], &[]).report();
        let faults = sentences(&file(&report, 0)["faults"]);
        assert!(faults.contains(fault), "{name}: {faults}");
        assert_eq!(causes(&report), ["gpu-idle-while-serving"], "{name}: the other rows still tell");
    }
}

#[test]
fn readings_that_no_card_can_show_are_no_idleness() {
    let desk = Desk::new();
    for wrong in ["-1", "250", "nan"] {
        let odd = |number: i32| if number % 4 == 0 { wrong.to_owned() } else { "0.0".into() };
        let gpu = desk.write("gpu.csv", samples(0.0, odd));
        let report = triage(&[&desk.requests(), &gpu], &[]).report();
        let faults = sentences(&file(&report, 1)["faults"]);
        assert!(faults.contains("line 2: gpu_util_percent"), "{wrong}: {faults}");
        if wrong != "nan" {
            assert_eq!((causes(&report).len(), &report["verdict"]), (0, &Value::from("undecided")), "{wrong}");
        }
    }
}

#[test]
fn a_gpu_that_is_lost_in_the_middle_is_no_idle_gpu() {
    let desk = Desk::new();
    let lost = |number: i32| if number < 60 { "0.0".into() } else { "ERR!".to_owned() };
    let gpu = desk.write("gpu.csv", samples(0.0, lost));
    let report = triage(&[&desk.requests(), &gpu], &[]).report();
    assert_eq!((causes(&report).len(), &report["verdict"]), (0, &Value::from("undecided")));
    assert!(
        report["headline"].as_str().unwrap().contains("GPU 0 stopped to answer 25 s after"),
        "{}",
        report["headline"]
    );
}

#[test]
fn what_is_no_file_of_any_form_is_told_as_such() {
    let desk = Desk::new();
    for (content, why) in
        [(&b""[..], "it is empty"), (b"\x7fELF\x00\x00\x01", "it is binary"), (b"hello\n", "\"hello\"")]
    {
        let odd = desk.write("odd", content);
        let said = triage(&[&odd], &[]);
        assert_eq!(said.code, 2);
        let report = said.report();
        assert_eq!(file(&report, 0)["kind"], "unrecognized");
        assert!(file(&report, 0)["recognized_by"].as_str().unwrap().contains(why), "{report}");
        assert!(
            report["headline"].as_str().unwrap().contains("nothing could be read from odd"),
            "{}",
            report["headline"]
        );
    }
    let header_only = desk.write("requests.csv", "timestamp,status,latency_ms,error\n");
    let report = triage(&[&header_only], &[]).report();
    assert_eq!(report["verdict"], "undecided");
    assert!(sentences(&file(&report, 0)["faults"]).contains("no request below it"), "{report}");
    let missing = triage(&[&desk.0.path().join("none.csv")], &[]);
    assert_eq!(missing.code, 64);
    assert!(missing.err.contains("none.csv"), "{}", missing.err);
    assert_eq!(triage(&[desk.0.path()], &[]).code, 64, "a folder is no file");
}

#[test]
fn encodings_and_packing_are_unwrapped() {
    let desk = Desk::new();
    let idle = desk.idle_gpu();
    let text = requests(400).replace(",\n", ",Ungültiges Feld\n");
    let utf16: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let bom = [b"\xef\xbb\xbf", text.as_bytes()].concat();
    for (name, content) in [("utf16", utf16), ("latin", latin), ("gzip", gzip.finish().unwrap()), ("bom", bom)] {
        let report = triage(&[&desk.write("requests.csv", content), &idle], &[]).report();
        assert_eq!(causes(&report), ["all-requests-rejected"], "{name}");
        let errors = &report["recorded"]["requests"]["known"]["errors"];
        assert_eq!(errors[0], serde_json::json!({"text": "Ungültiges Feld", "count": 120}), "{name}");
    }
}

#[test]
fn two_clients_add_up_and_the_same_file_counts_once() {
    let desk = Desk::new();
    let (one, idle) = (desk.requests(), desk.idle_gpu());
    let other = desk.write("other.csv", requests(200).replace("470.1", "465.5"));
    let report = triage(&[&one, &other, &idle], &[]).report();
    assert_eq!(report["recorded"]["requests"]["known"]["count"], 240);
    let concurrency = report["recorded"]["requests"]["known"]["concurrency"]["known"].as_f64().unwrap();
    assert!((1.8..2.0).contains(&concurrency), "{concurrency}");
    let copy = desk.write("copy.csv", requests(200));
    let report = triage(&[&one, &copy, &idle], &[]).report();
    assert_eq!(report["recorded"]["requests"]["known"]["count"], 120);
    assert!(sentences(&report["recorded"]["doubts"]["known"]).contains("hold the same requests"), "{report}");
}

#[test]
fn the_jumping_clock_of_one_part_does_not_hide_the_other() {
    let desk = Desk::new();
    // Two runs in one file, three hours apart; only the second was sampled.
    let earlier: String =
        (0..120).map(|n| format!("{:.3},200,470.1,\n", START - 10_800.0 + f64::from(n) * 0.5)).collect();
    let both = desk.write("both.csv", requests(200).replacen('\n', &format!("\n{earlier}"), 1));
    let report = triage(&[&both, &desk.idle_gpu()], &[]).report();
    assert_eq!(report["verdict"], "undecided");
    assert!(report["headline"].as_str().unwrap().contains("cover only 5"), "{}", report["headline"]);
}

#[test]
fn secrets_in_failures_are_masked() {
    let desk = Desk::new();
    let text = requests(401).replace(",\n", ",Authorization: Bearer abcdefgh12345 refused api_key=s3cr3t99\n");
    let said = triage(&[&desk.write("requests.csv", text)], &[]);
    assert!(
        said.out.contains("refused") && !said.out.contains("abcdefgh12345") && !said.out.contains("s3cr3t99"),
        "{}",
        said.out
    );
}

#[test]
fn the_files_of_one_locust_run_tell_of_each_request_once() {
    let files: Vec<PathBuf> = ["stats", "stats_history", "failures", "exceptions"]
        .iter()
        .map(|kind| fixture(&format!("locust-rejected/run_{kind}.csv")))
        .collect();
    let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let report = triage(&paths, &[]).report();
    assert_eq!(causes(&report), ["all-requests-rejected"]);
    let requests = &report["recorded"]["requests"]["known"];
    assert_eq!((&requests["count"], &requests["by_status"]), (&Value::from(264), &serde_json::json!({"400": 264})));
    let kinds: Vec<&str> = (0..4).map(|number| file(&report, number)["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["locust_stats", "locust_history", "locust_failures", "locust_exceptions"]);
}

#[test]
fn a_cell_that_cannot_be_read_is_no_success_and_no_zero() {
    let desk = Desk::new();
    let rows: String = (0..40).map(|n| format!("{n}.0,12.5,maybe,\n")).collect();
    let columns = format!("timestamp,latency_ms,success,error\n{rows}");
    let stats = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time\n\
                 POST,/asr,602,N/A,5,6\n,Aggregated,602,N/A,5,6\n";
    let dmon = "# gpu    sm   mem   enc   dec\n# Idx     %     %     %     %\n    0     7     1     0     0\n\
                \x20  -1    99     1     0     0\n  0.5    99     1     0     0\n";
    for (name, text, fault, records) in [
        ("run_stats.csv", stats, "the count of failures is no number", 0),
        ("requests.csv", &columns, "whether the request succeeded cannot be read, the row was left out", 0),
        ("dmon.txt", dmon, "it names no GPU", 1),
    ] {
        let report = triage(&[&desk.write(name, text)], &[]).report();
        let told = file(&report, 0);
        assert!(sentences(&told["faults"]).contains(fault), "{told:#}");
        assert!(!sentences(&told["shows"]).contains("succeeded"), "{told:#}");
        assert_eq!((&told["records"], &report["verdict"]), (&records.into(), &"undecided".into()), "{told:#}");
    }
}

#[test]
fn other_forms_are_told_by_what_is_in_them() {
    let desk = Desk::new();
    let dmon: String = (0..70)
        .map(|number| {
            let at = 9 * 3600 + 39 * 60 + 55 + number;
            let heading = "#Date       Time        gpu    pwr  gtemp     sm   mclk   pclk     fb\n#YYYYMMDD   HH:MM:SS    Idx      W      C      %    MHz    MHz     MB\n";
            let heading = if number % 20 == 0 { heading } else { "" };
            format!("{heading} 20241123   {:02}:{:02}:{:02}      0     31     41      0    405    300   2312\n", at / 3600, at / 60 % 60, at % 60)
        })
        .collect();
    let dmon = desk.write("a.txt", dmon);
    let lines: String = (0..120)
        .map(|number| {
            format!(
                "{{\"timestamp\": {:.3}, \"status\": 200, \"latency_ms\": 470.1}}\n",
                START + f64::from(number) * 0.5
            )
        })
        .collect();
    let report = triage(&[&desk.write("b.txt", lines), &dmon], &[]).report();
    assert_eq!(
        (&file(&report, 0)["kind"], &file(&report, 1)["kind"]),
        (&"requests_json".into(), &"nvidia_smi_dmon".into())
    );
    assert_eq!(causes(&report), ["gpu-idle-while-serving"]);

    let german: String = (0..120)
        .map(|number| format!("23.11.2024 09:40:{:02},{};200;0,4701\n", number / 2, 5 * (number % 2)))
        .collect();
    let german = desk.write("c.txt", format!("timestamp;status;latency_s\n{german}"));
    let report = triage(&[&german, &dmon], &[]).report();
    assert_eq!(causes(&report), ["gpu-idle-while-serving"]);
    let median = report["recorded"]["requests"]["known"]["median_ms"]["known"].as_f64().unwrap();
    assert!((median - 470.1).abs() < 1.0, "{median}");

    let oha = r#"{"summary": {"successRate": 1.0, "total": 10.0, "average": 0.004, "requestsPerSec": 60.2},
        "latencyPercentiles": {"p50": 0.0035, "p99": 0.01}, "statusCodeDistribution": {"400": 602},
        "errorDistribution": {"aborted due to deadline": 1}}"#;
    let report = triage(&[&desk.write("d.txt", oha)], &[]).report();
    assert_eq!((file(&report, 0)["kind"].as_str(), causes(&report)), (Some("oha_json"), vec!["all-requests-rejected"]));
    assert_eq!(report["recorded"]["requests"]["known"]["count"], 602, "what oha gave up itself is no answer");

    let watch = "Time         GPU%   Mem%   MemUsed    Temp   Power    Requests   QueueMs    InferMs\n".to_owned()
        + &(0..60)
            .map(|second| {
                format!(
                    "09:40:{second:02}     38%     5%     2756MB     46°C   45.2W    +2         12.34ms    3.87ms\n"
                )
            })
            .collect::<String>();
    let report = triage(&[&desk.write("e.txt", watch)], &[]).report();
    let told = file(&report, 0);
    assert_eq!(told["kind"], "watch");
    assert!(sentences(&told["shows"]).contains("120 requests by the server's own counter"), "{told}");
}
