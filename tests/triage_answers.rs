//! What failed requests were answered, by the word of files, names the cause; and what files show beside it.

mod setup;

use serde_json::Value;
use setup::doctor::{causes, gpu_doctor};
use std::path::PathBuf;

/// 2026-03-02T10:00:00Z.
const START: f64 = 1_772_445_600.0;

/// Rows of a table of requests, 120 in a minute.
fn requests(title: &str, row: impl Fn(usize) -> String) -> String {
    let rows = (0..120).map(|number| format!("{:.3},{}\n", START + number as f64 * 0.5, row(number)));
    format!("timestamp,{title}\n{}", rows.collect::<String>())
}

/// Samples of GPUs twice a second, from 5 s before the requests until 5 s after.
fn samples(gpus: usize, percent: impl Fn(usize, f64) -> u32) -> String {
    let row = |number: usize| {
        let at = f64::from(number as u32) * 0.5 - 5.0;
        (0..gpus).map(|gpu| format!("{:.3},{gpu},{},9000\n", START + at, percent(gpu, at))).collect::<String>()
    };
    let rows: String = (0..140).map(row).collect();
    format!("timestamp,gpu,gpu_util_percent,gpu_mem_used_mb\n{rows}")
}

fn at_work(at: f64) -> bool {
    (0.0..60.0).contains(&at)
}

fn triage(files: &[(&str, String)]) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = files.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (path, (_, content)) in paths.iter().zip(files) {
        std::fs::write(path, content).unwrap();
    }
    let mut arguments = vec!["triage", "--format", "json"];
    arguments.extend(paths.iter().filter_map(|path| path.to_str()));
    let said = gpu_doctor(&arguments, &[]);
    (Some(said.code), said.report())
}

fn headline(report: &Value) -> &str {
    report["headline"].as_str().unwrap()
}

#[test]
fn the_answer_to_every_request_names_the_cause() {
    let idle = || ("gpu.csv", samples(1, |_, _| 0));
    for (status, answer, cause, told) in [
        ("400", r#""{'detail': 'lang parameter is required'}""#, "required-field-missing", "named: lang"),
        ("400", r#""{""detail"":""lang parameter is required""}""#, "required-field-missing", "named: lang"),
        ("401", r#""{""detail"":""Not authenticated""}""#, "auth-rejected", r#"{"detail":"Not authenticated"}"#),
        ("413", "<center>nginx</center>", "payload-too-large", "the proxy before the server"),
        ("415", "Unsupported Media Type", "wrong-content-type", "answered 415"),
        ("503", r#""{""error"":""Loading model""}""#, "model-not-loaded", "Loading model"),
        ("", "Connection refused", "backend-down-or-wrong-port", "nobody took the connections"),
        ("500", "CUDA out of memory. Tried to allocate 2.00 GiB.", "cuda-oom", "ran out of GPU memory"),
        ("500", "something else", "all-requests-rejected", "something else"),
    ] {
        let rows = requests("status,latency_ms,error", |_| format!("{status},4.1,{answer}"));
        let (code, report) = triage(&[("requests.csv", rows), idle()]);
        assert_eq!((code, causes(&report)), (Some(1), vec![cause]), "{}", headline(&report));
        assert!(headline(&report).contains(told), "{}", headline(&report));
    }
}

#[test]
fn a_column_of_answers_is_read_and_one_of_sizes_is_not() {
    let of = |title: &str, cell: &str| {
        let rows = requests(&format!("status,{title}"), |_| format!("400,{cell}"));
        triage(&[("requests.csv", rows), ("gpu.csv", samples(1, |_, _| 0))]).1
    };
    assert_eq!(causes(&of("response", "lang is required")), ["required-field-missing"]);
    assert_eq!(causes(&of("response_bytes", "41")), ["all-requests-rejected"]);
    assert!(headline(&of("response_bytes", "41")).contains("these files do not tell"));

    let lines: String = (0..60)
        .map(|number| {
            format!(
                "{{\"ts\": {}, \"status\": 422, \"latency_ms\": 3, \"response\": {{\"detail\": [{{\"type\": \"missing\", \
                 \"loc\": [\"body\", \"lang\"], \"msg\": \"Field required\"}}]}}}}\n",
                START + f64::from(number)
            )
        })
        .collect();
    let (_, report) = triage(&[("requests.jsonl", lines), ("gpu.csv", samples(1, |_, _| 0))]);
    assert_eq!(causes(&report), ["required-field-missing"], "{}", headline(&report));
}

#[test]
fn failures_beside_successes_are_told_by_their_share() {
    let busy = || ("gpu.csv", samples(1, |_, at| if at_work(at) { 60 } else { 0 }));
    let of = |failing: usize, answer: &'static str| {
        let rows = requests("status,latency_ms,error", move |number| match number % 50 < failing {
            true => format!("500,4.1,{answer}"),
            false => "200,470.0,".into(),
        });
        triage(&[("requests.csv", rows), busy()])
    };
    let (code, report) = of(1, "boom");
    assert_eq!((code, causes(&report)), (Some(0), Vec::new()), "2 % are chance: {}", headline(&report));
    let (code, report) = of(25, "boom");
    assert_eq!((code, causes(&report)), (Some(1), vec!["part-of-requests-fails"]));
    assert!(headline(&report).starts_with("The GPU works, yet 70 of 120 requests failed (70 answered 500)"));
    let (code, report) = of(25, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 512.00 MiB.");
    assert_eq!((code, causes(&report)), (Some(1), vec!["cuda-oom"]), "{}", headline(&report));
}

#[test]
fn work_that_never_comes_back_is_a_warm_up() {
    let rows = || ("requests.csv", requests("status,latency_ms", |_| "200,470.0".into()));
    let until = |end: f64| ("gpu.csv", samples(1, move |_, at| if (0.0..end).contains(&at) { 90 } else { 0 }));
    let (code, report) = triage(&[rows(), until(2.0)]);
    assert_eq!((code, causes(&report)), (Some(1), vec!["gpu-idle-while-serving"]), "{}", headline(&report));
    assert!(headline(&report).starts_with("GPU is idle"), "{}", headline(&report));
    let (code, report) = triage(&[rows(), until(59.0)]);
    assert_eq!((code, causes(&report)), (Some(0), Vec::new()), "{}", headline(&report));
}

#[test]
fn gpus_that_never_worked_beside_one_that_did_are_told() {
    let rows = || ("requests.csv", requests("status,latency_ms", |_| "200,470.0".into()));
    let one = samples(4, |gpu, at| if gpu == 0 && at_work(at) { 98 } else { 0 });
    let (code, report) = triage(&[rows(), ("gpu.csv", one)]);
    assert_eq!((code, causes(&report)), (Some(0), vec!["all-workers-on-gpu0"]));
    assert!(headline(&report).contains("3 of 4 GPUs never worked"), "{}", headline(&report));
    let others = samples(2, |gpu, _| if gpu == 1 { 95 } else { 0 });
    let (code, report) = triage(&[rows(), ("gpu.csv", others)]);
    assert_eq!((code, causes(&report)), (Some(2), Vec::new()), "busy all along: {}", headline(&report));
    let all = samples(4, |_, at| if at_work(at) { 70 } else { 0 });
    let (code, report) = triage(&[rows(), ("gpu.csv", all)]);
    assert_eq!((code, causes(&report)), (Some(0), Vec::new()));
}

#[test]
fn vegetas_table_and_german_headings_are_read() {
    let vegeta: String = (0..100)
        .map(|number| {
            let at = 1_772_445_600_000_000_000_u64 + number * 500_000_000;
            format!("{at},400,20000000,146300,41,400 Bad Request,eyJ9,,{number},POST,http://127.0.0.1:8000/asr,\n")
        })
        .collect();
    let (code, report) = triage(&[("v.csv", vegeta), ("gpu.csv", samples(1, |_, _| 0))]);
    assert_eq!((code, causes(&report)), (Some(1), vec!["all-requests-rejected"]), "{}", headline(&report));
    assert_eq!(report["recorded"]["requests"]["known"]["count"], 100);
    let german: String =
        (0..120).map(|number| format!("02.03.2026 10:00:{:02},{};400;0,47\n", number / 2, 5 * (number % 2))).collect();
    let german = format!("\u{feff}Zeitstempel;Status;Latenz_s\n{german}");
    let (code, report) = triage(&[("messung.csv", german), ("gpu.csv", samples(1, |_, _| 0))]);
    assert_eq!((code, causes(&report)), (Some(1), vec!["all-requests-rejected"]), "{}", headline(&report));
}
