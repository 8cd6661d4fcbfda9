//! What servers, libraries and files say may be anything.

use crate::{TOLD, told, too_long, written};
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::report::{Report, Style};
use std::collections::BTreeSet;

/// Colours, a title for the terminal, a bell, another line, a line written over, text that turns round, text that hides.
const STEERING: &str = "red \u{1b}[31m \u{9b}31m \u{1b}]0;title\u{7} two\nlines \r over \u{202e}gnp.exe \u{2066} \u{e0041}\u{e0042} \u{8} end";
/// Wide letters with spaces, letters with marks of their own, pictures that are made of several.
const WIDE: &str = "日本語 の メッセージ 한국어 메시지 e\u{301}te\u{301} 👩‍👩‍👧 🚀🚀 ❤\u{fe0f} ﷽ مرحبا שלום ";

/// The report with this text wherever a text is told.
fn poisoned(report: &Report, text: &str) -> Report {
    let mut report = report.clone();
    let put = |place: &mut String| *place = format!("{place} {text}");
    put(&mut report.headline);
    report.contradictions.push(text.into());
    report.device_budget = Some(text.into());
    report.stages.iter_mut().for_each(|link| put(&mut link.seen));
    for cause in &mut report.diagnoses {
        put(&mut cause.because);
        put(&mut cause.brief);
        put(&mut cause.grounds);
        cause.fix.iter_mut().for_each(|step| put(&mut step.say));
        cause.ruled_out.iter_mut().for_each(|other| put(&mut other.by));
        cause.evidence.iter_mut().for_each(|one| one.value = Some(serde_json::json!({"answer": text, text: [text]})));
    }
    for missing in &mut report.unknown {
        put(&mut missing.detail);
        put(&mut missing.get);
    }
    report.findings.iter_mut().for_each(|finding| put(&mut finding.why));
    report.probes.iter_mut().for_each(|probe| put(&mut probe.detail));
    for gpu in &mut report.activity {
        gpu.name = Some(text.into());
        gpu.unsupported.push(text.into());
        gpu.counters.iter_mut().for_each(|counter| put(&mut counter.name));
    }
    if let Some(exchanges) = &mut report.exchanges {
        exchanges.differences.iter_mut().for_each(|one| put(&mut one.client));
        exchanges.contract.iter_mut().for_each(|one| put(&mut one.field));
    }
    report
}

fn styles() -> Vec<Style> {
    let of = |width, ascii, verbose| Style { width, ascii, verbose, ..Style::default() };
    vec![of(60, false, false), of(60, true, true), of(100, false, true), of(120, true, false)]
}

#[test]
fn nothing_that_is_said_steers_the_terminal() {
    for told in TOLD.iter().step_by(7) {
        let report = poisoned(&told.report, STEERING);
        for style in styles() {
            for format in [ReportFormat::Text, ReportFormat::Short] {
                let text = written(&report, &told.snapshot, format, &style);
                let harmful = |c: char| c != '\n' && gpu_doctor::words::unprintable(c);
                assert_eq!(text.lines().find(|line| line.contains(harmful)), None, "{}", told.name);
            }
            let short = written(&report, &told.snapshot, ReportFormat::Short, &style);
            assert!(short.lines().count() <= report.diagnoses.len() + 2, "a line feed made a line: {short}");
        }
    }
}

#[test]
fn wide_letters_count_by_their_columns() {
    for told in TOLD.iter().step_by(5) {
        let report = poisoned(&told.report, &WIDE.repeat(9));
        for style in styles() {
            let text = written(&report, &told.snapshot, ReportFormat::Text, &style);
            // Escapes of many letters are one word, and are as long as they are.
            let width = if style.ascii { usize::MAX } else { style.width };
            let long = too_long(&text, width, &super::commands(&report));
            assert!(long.is_empty(), "{}, {}: {long:#?}", told.name, style.width);
            assert!(!style.ascii || text.is_ascii(), "{}", told.name);
        }
    }
}

#[test]
fn a_line_of_ten_megabytes_is_cut_and_said_to_be() {
    let long = "word ".repeat(2_000_000);
    let told = told("a1");
    let report = poisoned(&told.report, &long);
    let begun = std::time::Instant::now();
    let text = written(&report, &told.snapshot, ReportFormat::Text, &Style::default());
    assert!(text.len() < 400_000, "{}", text.len());
    assert!(text.contains("(the beginning of 10,000,000 characters)"), "it is said");
    assert!(too_long(&text, 100, &BTreeSet::new()).len() < 10, "commands alone");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
