//! How ten cases read in the forms that are text. Checks that say nothing are left out, so that a new one changes nothing here.

use super::{name, recorded, report, snapshot, written};
use gpu_doctor::cli::ReportFormat;
use regex::Regex;

/// The recordings, and what is special about each.
const CASES: [(&str, &str); 10] = [
    ("a1", "snapshots/a1"),
    ("healthy", "snapshots/healthy-server"),
    ("undecided", "snapshots/nvml-hang"),
    ("crash", "snapshots/nvml-crash"),
    ("warning", "snapshots/active"),
    ("files", "snapshots/files-a1"),
    ("load", "cases/stress-refused/snapshot"),
    ("balance", "cases/balance-limit-not-enforced/snapshot"),
    ("several", "cases/triple-seed-0/snapshot"),
    ("placement", "cases/ort-model-split/snapshot"),
];

const FORMS: [ReportFormat; 5] =
    [ReportFormat::Markdown, ReportFormat::Junit, ReportFormat::Github, ReportFormat::Openmetrics, ReportFormat::Npd];

#[test]
fn ten_cases_in_every_form() {
    for (case, file) in CASES {
        let snapshot = snapshot(&recorded(file));
        let report = report(&snapshot);
        let told = |form| format!("===== {}\n{}", name(form), abridged(form, &written(&report, &snapshot, form)));
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(format!("forms__{case}"), FORMS.map(told).join("\n"));
        });
    }
}

/// Without the checks that say nothing, and without their number.
fn abridged(form: ReportFormat, text: &str) -> String {
    let without = |pattern: &str, text: &str| Regex::new(pattern).unwrap().replace_all(text, "").into_owned();
    let counted = |pattern: &str, text: &str| Regex::new(pattern).unwrap().replace_all(text, "${1}[n]").into_owned();
    match form {
        ReportFormat::Markdown => {
            let text = without(r"(?m)^(clear|not applicable):\n(  .*\n)+", text);
            counted(r"(hold, )\d+ clear, \d+ unknown, \d+ not applicable", &text)
        }
        ReportFormat::Junit => {
            let text =
                without(r#" *<testcase [^>]*>\s*(<skipped [^>]* type="not applicable"/>\s*)?</testcase>\n"#, text);
            counted(r#"((?:tests|skipped)=)"\d+""#, &text)
        }
        ReportFormat::Openmetrics => {
            let text = without(r"(?m)^gpu_doctor_check_holds.* 0\n", text);
            counted(r#"(?m)^(gpu_doctor_checks\{verdict="\w+"\}) \d+"#, &text)
        }
        _ => text.to_owned(),
    }
}
