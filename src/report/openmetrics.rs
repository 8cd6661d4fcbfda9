//! The report as metrics, by two rules at once: OpenMetrics 1.0, and the text format of Prometheus, which the node exporter's
//! textfile collector reads. That one knows neither info nor state sets and takes no timestamps, so that every family is a
//! gauge. `# UNIT` and `# EOF` are comments to it.
//!
//! Labels hold ids of checks, stages and fixed words only: nothing that a server said. What is not known is absent, never 0.

use super::{Load, Report};
use crate::cli::FailOn;
use crate::diagnosis::{Standing, Verdict};
use crate::exit;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write;

/// Longest value of a label, characters.
const LABEL: usize = 120;
/// Steps of a load that are told.
const STEPS_MAX: usize = 50;

/// Writes the report.
pub fn write(report: &Report, fail_on: FailOn, out: &mut dyn Write) -> std::io::Result<()> {
    let mut text = String::new();
    verdict(report, fail_on, &mut text);
    causes(report, &mut text);
    stages(report, &mut text);
    probes(report, &mut text);
    if let Some(made) = &report.load {
        load(made, &mut text);
    }
    out.write_all(text.as_bytes())?;
    out.write_all(b"# EOF\n")
}

/// A sample: its labels and its value.
type Sample<'a> = (Vec<(&'a str, &'a str)>, f64);

fn verdict(report: &Report, fail_on: FailOn, text: &mut String) {
    let version = report.tool.rsplit(' ').next().unwrap_or_default();
    family(text, "info", "", "The gpu-doctor that judged.", [(vec![("version", version)], 1.0)]);
    let taken_at = report.taken_at.parse::<jiff::Timestamp>().ok();
    let taken_at = taken_at.map(|at| (vec![], at.as_millisecond() as f64 / 1e3));
    family(text, "run_timestamp", "seconds", "When the facts were taken, in Unix time.", taken_at);
    let verdicts =
        [("healthy", Verdict::Healthy), ("unhealthy", Verdict::Unhealthy), ("undecided", Verdict::Undecided)];
    let samples = verdicts.iter().map(|(name, one)| (vec![("verdict", *name)], truth(report.counted() == *one)));
    family(text, "verdict", "", "What it comes to, apart from what is waived: 1 at one of three verdicts.", samples);
    let codes = format!(
        "The exit code of the run: {} healthy, {} unhealthy, {} undecided.",
        exit::HEALTHY,
        exit::UNHEALTHY,
        exit::UNDECIDED
    );
    family(text, "exit_code", "", &codes, [(vec![], f64::from(report.exit_code(fail_on)))]);
    let unknown = report.unknown.len() as f64;
    family(
        text,
        "unknown_facts",
        "",
        "Facts that could not be known and could change the answer.",
        [(vec![], unknown)],
    );
}

fn causes(report: &Report, text: &mut String) {
    let samples = report.diagnoses.iter().map(|one| {
        let labels = vec![
            ("cause", one.cause.as_str()),
            ("stage", one.stage.name()),
            ("severity", one.severity.name()),
            ("confidence", one.confidence.name()),
            ("waived", if one.waived.is_some() { "yes" } else { "no" }),
        ];
        (labels, 1.0)
    });
    let help = "A diagnosed cause, or a symptom that nothing explains.";
    family(text, "cause_info", "", help, samples);
    let held = report.findings.iter().filter_map(|finding| match finding.verdict.as_str() {
        "holds" => Some((vec![("check", finding.check.as_str()), ("stage", finding.stage.name())], 1.0)),
        "clear" => Some((vec![("check", finding.check.as_str()), ("stage", finding.stage.name())], 0.0)),
        _ => None,
    });
    let help = "Whether a check holds; absent where that is unknown or does not apply.";
    family(text, "check_holds", "", help, held);
    let verdicts = ["holds", "clear", "unknown", "not_applicable"];
    let number = |verdict: &str| report.findings.iter().filter(|finding| finding.verdict == verdict).count() as f64;
    let samples = verdicts.iter().map(|verdict| (vec![("verdict", *verdict)], number(verdict)));
    family(text, "checks", "", "Checks by verdict.", samples);
}

fn stages(report: &Report, text: &mut String) {
    let standings = [
        ("pass", Standing::Pass),
        ("warn", Standing::Warn),
        ("fail", Standing::Fail),
        ("unknown", Standing::Unknown),
        ("blocked", Standing::Blocked),
        ("not_applicable", Standing::NotApplicable),
    ];
    let samples = report.stages.iter().flat_map(|link| {
        let one = |(name, standing): &(&'static str, Standing)| {
            (vec![("stage", link.stage.name()), ("standing", *name)], truth(link.standing == *standing))
        };
        standings.iter().map(one).collect::<Vec<_>>()
    });
    family(text, "stage", "", "How a stage stands: 1 at one of six standings.", samples);
}

fn probes(report: &Report, text: &mut String) {
    let samples = report.probes.iter().map(|probe| (vec![("probe", probe.id.as_str())], probe.duration_ms / 1e3));
    family(text, "probe_duration", "seconds", "How long a probe took.", samples);
}

fn load(made: &Load, text: &mut String) {
    let names: Vec<String> = (1..=STEPS_MAX).map(|number| number.to_string()).collect();
    fn labels(name: &str) -> Vec<(&str, &str)> {
        vec![("step", name)]
    }
    let steps = || made.steps.iter().zip(&names);
    let users = steps().map(|(step, name)| (labels(name), step.users as f64));
    family(text, "load_users", "", "Users at once in a step of the load.", users);
    let throughput = steps().map(|(step, name)| (labels(name), step.throughput_rps));
    family(text, "load_answers_per_second", "", "Accepted answers a second in a step.", throughput);
    let success = steps().filter_map(|(step, name)| Some((labels(name), step.success_percent? / 100.0)));
    family(text, "load_accepted", "ratio", "Accepted of all requests of a step.", success);
    let median = steps().filter_map(|(step, name)| Some((labels(name), step.latency_ms.as_ref()?.median / 1e3)));
    family(text, "load_latency_p50", "seconds", "Half of a step's accepted requests took no longer.", median);
    let p99 = steps().filter_map(|(step, name)| Some((labels(name), step.latency_ms.as_ref()?.p99 / 1e3)));
    family(text, "load_latency_p99", "seconds", "99 % of a step's accepted requests took no longer.", p99);
}

fn truth(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A family with its samples; nothing where it has none.
fn family<'a>(text: &mut String, name: &str, unit: &str, help: &str, samples: impl IntoIterator<Item = Sample<'a>>) {
    let mut samples = samples.into_iter().filter(|(_, value)| value.is_finite()).peekable();
    if samples.peek().is_none() {
        return;
    }
    let name = match unit {
        "" => format!("gpu_doctor_{name}"),
        unit => format!("gpu_doctor_{name}_{unit}"),
    };
    // Writing into a text does not fail.
    let _ = writeln!(text, "# TYPE {name} gauge");
    if !unit.is_empty() {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = writeln!(text, "# HELP {name} {help}");
    let mut told = BTreeSet::new();
    for (labels, value) in samples {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        // One series has one value.
        if !told.contains(&labels) {
            let _ = writeln!(text, "{name}{labels} {value}");
            told.insert(labels);
        }
    }
}

/// A label's value: an id. What stands in no id is left out, so that a snapshot made by hand says nothing here either.
fn label(value: &str) -> String {
    let known = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    value.chars().take(LABEL).map(known).collect()
}
