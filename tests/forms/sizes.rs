//! However much there is to tell: a page stays small and says what it leaves out, a ticket closes what it opens, a line stays one.

use super::{recorded, report, snapshot, written};
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::Verdict;
use gpu_doctor::report::Report;
use gpu_doctor::snapshot::Fact;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Most bytes of a page whose lists all are as long as one likes.
const PAGE_BYTES_MAX: usize = 700_000;

/// A list repeated until it has so many items.
fn grow<T: Clone>(list: &mut Vec<T>, items: usize) {
    *list = list.iter().cycle().take(if list.is_empty() { 0 } else { items }).cloned().collect();
}

#[test]
fn a_page_says_how_much_it_leaves_out_and_where_that_is() {
    let snapshot = snapshot(&recorded("snapshots/files-a1"));
    let mut report = report(&snapshot);
    let plain = written(&report, &snapshot, ReportFormat::Html);
    assert!(!plain.contains("the report as JSON has all of them"), "nothing is left out of a short one");
    let sentence = |number: usize| format!("claim {number} (by a header), yet measured otherwise (by NVML)");
    report.contradictions = (0..1_234).map(sentence).collect();
    let Some(Fact::Known(files)) = report.recorded.as_mut().map(|recorded| &mut recorded.files) else {
        panic!("the case has files")
    };
    files
        .iter_mut()
        .for_each(|file| file.faults = (0..100).map(|line| format!("line {line} holds no number")).collect());
    grow(files, 400);
    let page = written(&report, &snapshot, ReportFormat::Html);
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    for told in ["And 1,194 more", "And 352 more", "And 88 more"] {
        assert!(page.contains(&format!("{told}; the report as JSON has all of them.")), "{told}");
    }
    let json = written(&report, &snapshot, ReportFormat::Json);
    assert!(json.contains("claim 1233 ") && json.matches("line 99 holds").count() == 400, "JSON has them");
}

#[test]
fn a_load_of_any_number_of_steps_has_a_picture_that_can_be_read() {
    let snapshot = snapshot(&recorded("cases/stress-refused/snapshot"));
    let mut report = report(&snapshot);
    let words = |report: &Report| written(report, &snapshot, ReportFormat::Html).matches("class=\"tick word\"").count();
    assert_eq!(words(&report), 3, "few steps tell their verdict below the picture");
    for steps in [12, 40, 2_000] {
        let load = report.load.as_mut().expect("the case has a load");
        grow(&mut load.steps, steps);
        assert_eq!(words(&report), 0, "{steps} words would lie on each other");
        let page = written(&report, &snapshot, ReportFormat::Html);
        assert!(page.len() < PAGE_BYTES_MAX, "{steps}: {} bytes", page.len());
        assert_eq!(page.contains("And 1,936 more; "), steps == 2_000);
    }
}

#[test]
fn a_timeline_of_any_number_of_gpus_and_readings_is_bounded_and_says_so() {
    let mut document = recorded("cases/stress-refused/snapshot");
    let execution = &mut document["facts"]["execution"];
    let mut many = |name: &str, items: usize| {
        let list = execution[name]["known"].as_array_mut().unwrap_or_else(|| panic!("the case has {name}"));
        grow(list, items);
    };
    many("gpus", 100);
    many("server_cpu_trace", 30_000);
    many("request_times", 30_000);
    let snapshot = snapshot(&document);
    let page = written(&report(&snapshot), &snapshot, ReportFormat::Html);
    assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
    for told in ["84 more GPUs were watched and are not drawn", "Of each counter the first 512 readings are drawn"] {
        assert!(page.contains(told), "{told}");
    }
    assert_eq!(page.matches("<tr><th scope=\"row\">GPU ").count(), 16, "the drawn ones stand side by side");
}

/// Every fence and every folded part that is opened is closed, in this order.
fn is_closed(ticket: &str) -> Result<(), TestCaseError> {
    let (mut fence, mut folded) = (None::<usize>, 0);
    for line in ticket.lines() {
        let run = line.bytes().take_while(|byte| *byte == b'`').count();
        match fence {
            Some(opened) if run >= opened && line.len() == run => fence = None,
            Some(_) => {}
            None if run >= 3 && !line[run..].contains('`') => fence = Some(run),
            None => {
                // Ours stand alone on a line; of what others said, only code may look like them.
                folded += usize::from(line == "<details>");
                let closes = usize::from(line == "</details>");
                prop_assert!(closes <= folded, "closed before it was opened");
                folded -= closes;
            }
        }
    }
    prop_assert!(fence.is_none() && folded == 0, "{fence:?} {folded}: {}", ticket.lines().last().unwrap_or_default());
    Ok(())
}

/// Recordings with something in every part of a ticket, judged once.
static JUDGED: LazyLock<Vec<(gpu_doctor::snapshot::Snapshot, Report)>> = LazyLock::new(|| {
    let names = ["snapshots/a1", "snapshots/files-a1", "snapshots/nvml-crash", "cases/stress-refused/snapshot"];
    let judged = names.map(|name| {
        let snapshot = snapshot(&recorded(name));
        let report = report(&snapshot);
        (snapshot, report)
    });
    judged.into()
});

fn hostile() -> impl Strategy<Value = String> {
    let text = "(```|~~~~|<details>|</details>|`|\\n|::|%0A|[|]|\u{202e}|\u{1b}|ä|🦀|x{1,40}| ){0,40}";
    (text, 1..40usize).prop_map(|(text, times): (String, usize)| text.repeat(times))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_ticket_of_any_length_closes_what_it_opens(
        case in 0..4usize, causes in 0..60usize, many in 0..160usize, text in hostile(), run in hostile()
    ) {
        let (snapshot, report) = &JUDGED[case];
        let mut report = report.clone();
        grow(&mut report.diagnoses, causes);
        for diagnosis in &mut report.diagnoses {
            diagnosis.because += &text;
            diagnosis.verify.push(run.clone());
            diagnosis.fix.iter_mut().for_each(|step| step.run += &run);
        }
        grow(&mut report.unknown, many);
        report.unknown.iter_mut().enumerate().for_each(|(number, one)| one.detail = format!("{number}{text}"));
        grow(&mut report.probes, many);
        report.probes.iter_mut().for_each(|probe| probe.detail = run.clone());
        report.contradictions = vec![text.clone(); many];
        if let Some(load) = &mut report.load {
            grow(&mut load.steps, many.max(1));
        }
        let ticket = written(&report, snapshot, ReportFormat::Markdown);
        prop_assert!(ticket.len() <= 60_000, "{}", ticket.len());
        is_closed(&ticket)?;
        // Each cause is there by name, or it is said that causes are missing.
        let named = ticket.lines().filter(|line| line.starts_with("### ")).count();
        let last = ticket.lines().last().unwrap_or_default();
        prop_assert!(named >= report.diagnoses.len() || last.starts_with("Left out for its length: "), "{named} named: {last}");
    }

    #[test]
    fn a_line_for_monitoring_is_one_line_of_80_bytes_whatever_was_said(
        case in 0..4usize, said in hostile(), any in ".{0,200}", verdict in 0..3usize
    ) {
        let (snapshot, report) = &JUDGED[case];
        let mut report = report.clone();
        report.headline = format!("{said}{any}");
        report.verdict = [Verdict::Healthy, Verdict::Unhealthy, Verdict::Undecided][verdict];
        for diagnosis in &mut report.diagnoses {
            diagnosis.cause = any.clone();
            diagnosis.brief = said.clone();
        }
        let line = written(&report, snapshot, ReportFormat::Npd);
        let text = line.strip_suffix('\n').unwrap_or_default();
        prop_assert!(text.len() <= 80 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line:?}");
        let word = text.split(" - ").next().unwrap_or_default();
        prop_assert!(["OK", "WARNING", "CRITICAL", "UNKNOWN"].contains(&word) && !text.contains('|'), "{line:?}");
    }
}
