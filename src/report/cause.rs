//! A cause in plain lines, for forms that hold text and no markup: because, proof, fix, how to verify.

use super::{Report, proof};
use crate::check::Severity;
use crate::diagnosis::Diagnosis;
use crate::words::plain;

/// What it is, in words; what is waived is no failure.
pub fn kind(diagnosis: &Diagnosis) -> &'static str {
    match (diagnosis.severity, diagnosis.waived.is_some()) {
        (_, true) if diagnosis.symptom => "waived symptom without a known cause",
        (_, false) if diagnosis.symptom => "symptom without a known cause",
        (Severity::Fail, true) => "waived cause",
        (Severity::Fail, false) => "cause",
        (Severity::Warn, true) => "waived warning",
        (Severity::Warn, false) => "warning",
    }
}

/// The lines.
pub fn lines(diagnosis: &Diagnosis, report: &Report) -> Vec<String> {
    let mut lines = vec![diagnosis.because.clone()];
    for explained in &diagnosis.explains {
        let why = report.findings.iter().find(|finding| finding.check == *explained).map_or("", |f| f.why.as_str());
        lines.push(format!("It explains {explained}: {why}"));
    }
    lines.push(match diagnosis.grounds.as_str() {
        "" => "proof:".into(),
        grounds => format!("proof: {grounds}"),
    });
    lines.extend(
        diagnosis.evidence.iter().filter_map(|one| Some(format!("  {} = {}", one.path, proof::in_short(one)?))),
    );
    lines.extend(mending(diagnosis));
    lines.iter().map(|line| plain(line)).collect()
}

/// What to do, and how to see that it worked.
pub fn mending(diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines = vec![if diagnosis.symptom { "to find out why:" } else { "fix:" }.to_owned()];
    for step in &diagnosis.fix {
        let say = Some(format!("  {}", step.say)).filter(|_| !step.say.is_empty());
        lines.extend(say);
        // A command may have lines of its own.
        lines.extend(step.run.lines().map(|line| format!("    {line}")));
    }
    if !diagnosis.verify.is_empty() {
        lines.push("then verify:".into());
        lines.extend(diagnosis.verify.iter().map(|command| format!("    {command}")));
    }
    lines.push(format!("more: gpu-doctor explain {}", diagnosis.cause));
    lines
}
