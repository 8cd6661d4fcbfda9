//! What real tools printed (`fixtures/triage/summaries`), damaged and mixed text, and what only looks like a summary.

use super::super::read_bytes;
use super::{duration_ms, text};
use crate::snapshot::{Facts, RecordedFile, RecordedRequests};
use proptest::prelude::*;
use std::path::Path;

fn fixture(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/triage/summaries").join(name);
    String::from_utf8(std::fs::read(path).unwrap()).unwrap()
}

fn file(facts: &Facts) -> &RecordedFile {
    &facts.recorded.files.known().unwrap()[0]
}

fn requests(facts: &Facts) -> &RecordedRequests {
    facts.recorded.requests.known().expect("requests are told of")
}

/// Kind, requests, those that succeeded, by status, median in milliseconds.
fn read(name: &str) -> (String, u64, Option<u64>, String, Option<f64>) {
    told(&fixture(name))
}

fn told(text: &str) -> (String, u64, Option<u64>, String, Option<f64>) {
    let facts = read_bytes("file.txt", text.as_bytes());
    let told = requests(&facts);
    let by_status: Vec<String> = told.by_status.iter().map(|(status, count)| format!("{status} {count}")).collect();
    (
        file(&facts).kind.clone(),
        told.count,
        told.ok.known().copied(),
        by_status.join(", "),
        told.median_ms.known().copied(),
    )
}

fn row(
    kind: &str,
    count: u64,
    ok: u64,
    by_status: &str,
    median_ms: impl Into<Option<f64>>,
) -> (String, u64, Option<u64>, String, Option<f64>) {
    (kind.into(), count, Some(ok), by_status.into(), median_ms.into())
}

#[test]
fn what_the_tools_printed_is_read() {
    assert_eq!(read("wrk-healthy.txt"), row("wrk_summary", 80, 80, "unknown 80", 74.75));
    assert_eq!(read("wrk-rejected.txt"), row("wrk_summary", 131, 0, "unknown 131", 45.34));
    assert_eq!(read("wrk-mixed.txt"), row("wrk_summary", 85, 76, "unknown 85", 72.01));
    assert_eq!(read("hey-healthy.txt"), row("hey_summary", 100, 100, "200 100", 72.1));
    assert_eq!(read("hey-rejected.txt"), row("hey_summary", 100, 0, "400 100", 44.0));
    assert_eq!(read("hey-mixed.txt"), row("hey_summary", 100, 90, "200 90, 503 10", 72.0));
    assert_eq!(read("ab-healthy.txt"), row("ab_summary", 100, 100, "unknown 100", 31.0));
    assert_eq!(read("ab-mixed.txt"), row("ab_summary", 100, 90, "unknown 100", 31.0));
    assert_eq!(read("k6-healthy.txt").2, Some(100));
    assert_eq!(read("k6-mixed.txt"), row("k6_summary", 100, 90, "unknown 100", 75.65));
    assert_eq!(read("k6-mixed-legacy.txt"), row("k6_summary", 100, 90, "unknown 100", 71.76));
    assert_eq!(read("k6-rejected.txt").2, Some(0));
    let (kind, count, ok, _, median_ms) = read("k6-mixed.json");
    assert_eq!((kind.as_str(), count, ok, median_ms), ("k6_json", 100, Some(90), Some(75.6505255)));
}

#[test]
fn ab_calls_an_answer_of_400_no_failure_and_a_closed_connection_complete() {
    let text = fixture("ab-rejected.txt");
    assert!(text.contains("Failed requests:        0"), "that is what misleads");
    assert_eq!(told(&text), row("ab_summary", 100, 0, "unknown 100", 3.0));
    assert!(fixture("ab-dropped.txt").contains("Failed requests:        0"));
    assert_eq!(read("ab-dropped.txt"), row("ab_summary", 100, 0, "none 100", 3.0));
    let facts = read_bytes("ab.txt", fixture("ab-mixed.txt").as_bytes());
    assert!(file(&facts).shows.iter().any(|said| said.starts_with("10 answers were of another length")));
}

#[test]
fn k6_counts_failures_as_passes_in_old_and_new_words() {
    let old = fixture("k6-mixed-legacy.txt").replace("10.00% 10 out of 100", "10.00% ✓ 10       ✗ 90");
    assert_eq!(told(&old), row("k6_summary", 100, 90, "unknown 100", 71.76));
    let all_well = fixture("k6-healthy.txt").replace("0.00%  0 out of 100", "0.00%  ✓ 0        ✗ 100");
    assert_eq!(told(&all_well).2, Some(100));
    let nested = r#"{"root_group": {}, "state": {"testRunDurationMs": 3000},
        "metrics": {"http_reqs": {"type": "counter", "contains": "default", "values": {"count": 602, "rate": 10.0}},
        "http_req_failed": {"values": {"rate": 1, "passes": 602, "fails": 0}}, "iterations": {"values": {"count": 602}},
        "http_req_duration": {"values": {"avg": 3.1, "med": 3.0, "p(90)": 3.2, "p(99)": 3.4}}}}"#;
    assert_eq!(told(nested), row("k6_json", 602, 0, "unknown 602", 3.0));
    let facts = read_bytes("summary.json", nested.as_bytes());
    assert_eq!(requests(&facts).span_ms.known(), Some(&60_200.0));
    assert_eq!(requests(&facts).p99_ms.known(), Some(&3.4));
}

#[test]
fn requests_without_an_answer_are_told_with_their_text() {
    assert_eq!(read("wrk-dropped.txt"), row("wrk_summary", 1881, 0, "none 1881", None));
    assert_eq!(read("hey-refused.txt"), row("hey_summary", 20, 0, "none 20", None));
    let facts = read_bytes("hey.txt", fixture("hey-refused.txt").as_bytes());
    let errors = &requests(&facts).errors;
    assert!(errors.len() == 1 && errors[0].count == 20 && errors[0].text.contains("connection refused"), "{errors:?}");
    let refused = read("k6-refused.txt");
    assert_eq!((refused.1, refused.2, refused.3.as_str(), refused.4), (6, Some(0), "none 6", None));
}

#[test]
fn a_summary_that_tells_of_no_request_proves_nothing() {
    for name in ["wrk-silent.txt", "ab-silent.txt"] {
        let facts = read_bytes("file.txt", fixture(name).as_bytes());
        assert!(facts.recorded.requests.known().is_none(), "{name}");
        let told = file(&facts);
        assert!(!told.shows.is_empty() || !told.faults.is_empty(), "{name}");
    }
    for name in ["wrk-healthy.txt", "ab-healthy.txt", "hey-healthy.txt", "k6-healthy.txt"] {
        let whole = fixture(name);
        let cut: String = whole.lines().take(whole.lines().count() / 4).map(|line| format!("{line}\n")).collect();
        let facts = read_bytes("file.txt", cut.as_bytes());
        let succeeded = facts.recorded.requests.known().and_then(|told| told.ok.known().copied());
        assert_ne!(succeeded, Some(0), "{name}: what is cut off is no failure");
    }
}

#[test]
fn several_runs_in_one_file_add_up_and_are_told_apart() {
    let text = format!("$ ./bench.sh\n{}\nsleeping\n{}", fixture("wrk-healthy.txt"), fixture("wrk-rejected.txt"));
    let facts = read_bytes("bench.txt", text.as_bytes());
    let together = requests(&facts);
    assert_eq!((together.count, together.ok.known()), (211, Some(&80)));
    assert_eq!(together.span_ms.known(), Some(&6010.0), "one after the other");
    assert_eq!(together.median_ms.known(), None, "of two runs there is no common median");
    assert_eq!(file(&facts).records, 2);
}

#[test]
fn text_and_json_of_one_run_of_k6_count_once() {
    let mut archive = tar::Builder::new(Vec::new());
    for name in ["k6-mixed.txt", "k6-mixed.json"] {
        let content = fixture(name);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let facts = read_bytes("both.tar", &archive.into_inner().unwrap());
    assert_eq!(requests(&facts).count, 100);
    assert_eq!(facts.recorded.doubts.known().unwrap().len(), 1);
}

#[test]
fn other_forms_of_the_same_tools_are_read_too() {
    let wrk2 = fixture("wrk-healthy.txt")
        .replace("  Latency Distribution\n", "  Latency Distribution (HdrHistogram - Recorded Latency)\n")
        .replace("     50%   74.75ms", " 50.000%   74.75ms");
    assert_eq!(told(&wrk2), row("wrk_summary", 80, 80, "unknown 80", 74.75));
    let oha = "\u{1b}[1m\u{1b}[4mSummary:\u{1b}[0m\n  Success rate:\t100.00%\n  Total:\t2.0000 sec\n  Average:\t10.5000 ms\n  \
        Requests/sec:\t60.0\n\nResponse time distribution:\n  50.00% in 10.2000 ms\n  99.00% in 0.0200 sec\n\n\
        Status code distribution:\n  [400] 118 responses\n\nError distribution:\n  [2] aborted due to deadline\n";
    assert_eq!(told(oha), row("oha_summary", 118, 0, "400 118", 10.2));
    assert_eq!(text("\u{1b}[1mbold\u{1b}[0m \u{1b}[".as_bytes()), "bold ");
}

#[test]
fn what_only_looks_like_a_summary_is_none() {
    let near = [
        "Running 12 tests @ home\nall passed\n",
        "#!/bin/sh\nwrk -t2 -c2 -d3s --latency http://127.0.0.1:8000/\n",
        "Summary:\n  Total:\t3 files\nStatus code distribution:\n",
        "INFO Complete requests: 100\nINFO nothing else\n",
        "{\"metrics\": {\"http_reqs\": 3}, \"note\": \"no summary of k6\"}",
        "the metric http_req_duration: see the handbook\n",
    ];
    for text in near {
        let facts = read_bytes("notes.txt", text.as_bytes());
        let kind = &file(&facts).kind;
        assert!(!kind.ends_with("_summary") && kind != "k6_json", "{text}: {kind}");
        assert!(facts.recorded.requests.known().is_none(), "{text}");
    }
}

#[test]
fn times_are_read_with_their_units() {
    let times = [("71.64ms", 71.64), ("257.4µs", 0.2574), ("1.2s", 1200.0), ("1m2.5s", 62_500.0), ("0.00us", 0.0)];
    for (text, ms) in times {
        assert!((duration_ms(text).unwrap() - ms).abs() < 1e-9, "{text}");
    }
    for text in ["", "12", "ms", "-nan%", "1e400s", "1.2.3s", "5 apples", "-3ms"] {
        assert_eq!(duration_ms(text), None, "{text}");
    }
}

/// Lines of all the tools' summaries.
fn lines() -> Vec<String> {
    let names = ["wrk-mixed.txt", "ab-mixed.txt", "hey-mixed.txt", "k6-mixed.txt", "k6-refused.txt", "k6-mixed.json"];
    names.iter().flat_map(|name| fixture(name).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Lines of summaries in any order, with numbers exchanged: no panic, and no more successes than requests.
    #[test]
    fn any_order_and_any_number_is_survived(
        picked in prop::collection::vec((0usize..4000, prop::option::of(any::<u64>())), 0..80),
    ) {
        let all = lines();
        let mut text = String::new();
        for (number, other) in picked {
            let line = &all[number % all.len()];
            let digits: Vec<&str> = line.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
            match (other, digits.first()) {
                (Some(other), Some(first)) => text.push_str(&line.replacen(first, &other.to_string(), 1)),
                _ => text.push_str(line),
            }
            text.push('\n');
        }
        let facts = read_bytes("file.txt", text.as_bytes());
        if let Some(told) = facts.recorded.requests.known()
            && let Some(ok) = told.ok.known()
        {
            prop_assert!(*ok <= told.count, "{}", text);
        }
    }

    /// Any bytes behind each tool's beginning.
    #[test]
    fn any_bytes_are_survived(tool in 0usize..5, bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let begins = [
            "Running 3s test @ x\n  2 threads and 2 connections\n",
            "This is ApacheBench\n",
            "Summary:\n  Requests/sec: 1\nStatus code distribution:\n",
            "execution: local\nscenarios: (1)\n",
            "{\"metrics\": {\"http_req_duration\": 1, \"iterations\": 2},",
        ];
        let mut file = begins[tool].as_bytes().to_vec();
        file.extend(bytes);
        read_bytes("file.txt", &file);
    }
}
