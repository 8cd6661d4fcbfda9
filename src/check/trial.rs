//! Puts a check to its cases.

use super::cases::{Bases, CASES_LIMIT_BYTES, Case, Cases};
use super::judge::{Finding, Verdict, judge_by};
use super::lint::lint_cases;
use super::load::{CASES, Check, Checks, LoadError};
use super::spec::Step;
use super::view::View;
use super::yaml::Document;
use crate::regular_file;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// Longest value of a fact that is shown, characters.
const LONGEST_VALUE: usize = 160;

/// One check and its cases.
#[derive(Debug, Serialize)]
pub struct Trial {
    /// The check's id.
    pub id: String,
    /// The file with its cases.
    pub file: String,
    /// What kept the file from being read; empty if nothing did.
    pub problem: String,
    /// The line and the column of it, from 1, if it has a place.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// Which of the three verdicts every check can have no case expects.
    pub lacks: Vec<&'static str>,
    /// The cases, in order.
    pub cases: Vec<Tried>,
}

/// One case, tried.
#[derive(Debug, Serialize)]
pub struct Tried {
    /// Its name.
    pub label: String,
    /// The line on which it begins, if that is known.
    pub line: Option<usize>,
    /// What the check was to say.
    pub expected: String,
    /// What it says; empty if the case cannot be tried.
    pub got: String,
    /// What is wrong, in words; empty if nothing is.
    pub problem: String,
    /// The facts that the condition reads, and those that prove it; only where something is wrong.
    pub facts: Vec<Read>,
    /// What the check says where it holds.
    pub told: Option<Told>,
}

/// A fact as a condition reads it.
#[derive(Debug, Serialize)]
pub struct Read {
    /// Its path.
    pub path: String,
    /// Its value as JSON, shortened, or why it is unknown.
    pub says: String,
}

/// The texts of a check that holds.
#[derive(Debug, Serialize)]
pub struct Told {
    /// How bad it is.
    pub severity: &'static str,
    /// The clause for the headline.
    pub brief: String,
    /// The proof.
    pub because: String,
    /// What to do.
    pub fix: Vec<Step>,
    /// How to see that it worked.
    pub verify: Vec<String>,
}

/// Tries every check of a folder on the cases that stand beside it, in ID.cases.yaml.
pub fn trials(folder: &Path) -> Result<Vec<Trial>, LoadError> {
    let of = |check: &Check| {
        let file = Path::new(&check.file).with_extension("").display().to_string() + CASES;
        let beside = Path::new(&file).parent().unwrap_or(folder).to_path_buf();
        trial(check, Path::new(&file), &Bases::beside(&beside))
    };
    Ok(Checks::of_folder(folder)?.iter().map(of).collect())
}

/// Tries a check on the cases of a file.
pub fn trial(check: &Check, file: &Path, bases: &Bases) -> Trial {
    let mut trial = Trial {
        id: check.spec.id.clone(),
        file: file.display().to_string(),
        problem: String::new(),
        line: None,
        column: None,
        lacks: Vec::new(),
        cases: Vec::new(),
    };
    let text = regular_file::read_text(file, CASES_LIMIT_BYTES).ok();
    // The first mistake with its place; the others are told once it is mended, and by `checks lint`.
    if let Some(first) = text.as_ref().and_then(|text| lint_cases(&trial.file, text).into_iter().next()) {
        trial.problem = match first.help.as_str() {
            "" => first.problem,
            help => format!("{}; {help}", first.problem),
        };
        (trial.line, trial.column) = first.spot.map(|spot| (spot.line, spot.column)).unzip();
        return trial;
    }
    let cases = match file.try_exists() {
        // Nothing is wrong with a check that has no cases; they are missing.
        Ok(false) => Cases::default(),
        _ => Cases::read(file).unwrap_or_else(|problem| {
            trial.problem = problem;
            Cases::default()
        }),
    };
    let document = text.and_then(|text| Document::parse(&text).ok());
    let line = |keys: &[&str]| {
        let document = document.as_ref()?;
        let mut place = document.root.place;
        let mut node = &document.root;
        for key in keys {
            let (name, value) = node.entry(key)?;
            (place, node) = (name.place, value);
        }
        Some(document.line_and_column(place).0)
    };
    let mut tried = Vec::new();
    for (verdict, case) in [("holds", &cases.holds), ("clear", &cases.clear), ("unknown", &cases.unknown)] {
        match case {
            Some(case) => {
                tried.push(Tried { line: line(&[verdict]), ..try_case(check, verdict, verdict, case, bases) })
            }
            None if cases.more.values().any(|case| case.verdict.as_deref() == Some(verdict)) => {}
            None => trial.lacks.push(verdict),
        }
    }
    for (label, case) in &cases.more {
        let expected = case.verdict.as_deref().unwrap_or_default();
        tried.push(Tried { line: line(&["more", label]), ..try_case(check, label, expected, case, bases) });
    }
    trial.cases = tried;
    trial
}

fn try_case(check: &Check, label: &str, expected: &str, case: &Case, bases: &Bases) -> Tried {
    let mut tried = Tried {
        label: label.into(),
        line: None,
        expected: expected.into(),
        got: String::new(),
        problem: String::new(),
        facts: Vec::new(),
        told: None,
    };
    if !["holds", "clear", "unknown", "not_applicable"].contains(&expected) {
        tried.problem = "the case needs a verdict: holds, clear, unknown or not_applicable".into();
        return tried;
    }
    let set = |base: crate::snapshot::Snapshot| {
        let misfit = |problem| case.misfit(&base).unwrap_or(problem);
        case.set_in(base.clone()).map_err(misfit)
    };
    let read_base = bases.read(&case.base).and_then(|base| Ok((set(base.content)?, base.aside)));
    let (snapshot, aside) = match read_base {
        Ok(read_base) => read_base,
        Err(problem) => {
            tried.problem = problem;
            return tried;
        }
    };
    let view = View::of(&snapshot);
    let finding = match judge_by(check, &snapshot, &view) {
        Ok(finding) => finding,
        Err(problem) => {
            tried.problem = problem;
            return tried;
        }
    };
    tried.got = finding.verdict.name().into();
    tried.problem = fault(&finding, expected, case).unwrap_or_default();
    if !tried.problem.is_empty() {
        if !aside.is_empty() {
            tried.problem.push_str(&format!(
                "; of the base was left aside what this version does not know: {}",
                aside.join("; ")
            ));
        }
        let mut paths = check.when.paths();
        paths.extend(check.spec.evidence.iter().cloned());
        tried.facts = paths.into_iter().map(|path| read(path, &view)).collect();
    }
    if finding.verdict == Verdict::Holds {
        let Finding { severity, brief, because, fix, verify, .. } = finding;
        tried.told = Some(Told { severity: severity.name(), brief, because, fix, verify });
    }
    tried
}

/// What is wrong with a finding, if something is.
fn fault(finding: &Finding, expected: &str, case: &Case) -> Option<String> {
    let got = finding.verdict.name();
    if got != expected {
        let why = match &finding.verdict {
            Verdict::Unknown(missing) => {
                let missing: Vec<String> = missing.iter().map(|(path, reason)| format!("{path} ({reason})")).collect();
                format!(": not known is {}", missing.join(", "))
            }
            Verdict::NotApplicable(reason) => format!(": {reason}"),
            Verdict::Holds => format!(": {}", finding.brief),
            Verdict::Clear => String::new(),
        };
        return Some(format!("expected {expected}, got {got}{why}"));
    }
    let severity = case.severity.as_deref().unwrap_or(finding.check.spec.severity.name());
    let is_bad = finding.verdict == Verdict::Holds && finding.severity.name() != severity;
    is_bad.then(|| format!("expected severity {severity}, got {}", finding.severity.name()))
}

/// The values at a path, of every element of the lists on it.
fn read(path: String, view: &View) -> Read {
    let mut values = vec![view.values()];
    for name in path.split('.') {
        let (name, is_list) = (name.trim_end_matches("[]"), name.ends_with("[]"));
        values = values.into_iter().filter_map(|value| value.get(name)).collect();
        if is_list {
            values = values.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    let says = match (values.as_slice(), path.contains("[]")) {
        ([], _) => view.reason(&path).map_or("nothing".to_owned(), |reason| format!("unknown: {reason}")),
        ([one], false) => one.to_string(),
        (many, _) => Value::from(many.iter().copied().cloned().collect::<Vec<_>>()).to_string(),
    };
    let short: String = says.chars().take(LONGEST_VALUE).collect();
    let says = if short.len() < says.len() { format!("{short} ...") } else { says };
    Read { path, says }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECK: &str = include_str!("../../checks/driver/nouveau-bound.yaml");

    fn tried(cases: &str) -> Trial {
        let folder = tempfile::tempdir().unwrap();
        let stage = folder.path().join("driver");
        std::fs::create_dir(&stage).unwrap();
        std::fs::write(stage.join("own-nouveau.yaml"), CHECK.replace("id: nouveau-bound", "id: own-nouveau")).unwrap();
        if !cases.is_empty() {
            std::fs::write(stage.join("own-nouveau.cases.yaml"), cases).unwrap();
        }
        trials(folder.path()).unwrap().remove(0)
    }

    #[test]
    fn a_case_that_fails_says_what_the_condition_read() {
        let trial = tried(
            "holds: {base: healthy-server}\nunknown: {base: healthy-server, facts: {host.nvidia_pci_devices: \
             {unknown: {why: denied, detail: no right}}}}\n",
        );
        assert_eq!((trial.problem.as_str(), trial.lacks.as_slice()), ("", ["clear"].as_slice()));
        let holds = &trial.cases[0];
        assert_eq!((holds.line, holds.got.as_str()), (Some(1), "clear"));
        assert!(holds.problem.contains("expected holds, got clear"), "{}", holds.problem);
        assert!(holds.facts.iter().any(|fact| fact.path == "host.nvidia_pci_devices" && fact.says.contains("address")));
    }

    #[test]
    fn what_is_no_case_is_named() {
        assert_eq!(tried("").lacks, ["holds", "clear", "unknown"]);
        for (cases, line, column, said) in [
            ("holds: [", 1, 9, "this is no YAML"),
            ("holds: {base: a1}\nhold: {base: a1}\n", 2, 1, "there is no key \"hold\"; did you mean \"holds\"?"),
            ("holds: {bas: a1}\n", 1, 1, "the case \"holds\" has no base"),
            ("holds: {base: a1, fact: {}}\n", 1, 19, "there is no key \"fact\"; did you mean \"facts\"?"),
            (
                "more:\n  a twin:\n    base: a1\n    verdict: cleer\n",
                4,
                14,
                "verdict: \"cleer\" is none of its values; did you mean clear?",
            ),
            ("- a\n", 1, 1, "these are no cases"),
        ] {
            let trial = tried(cases);
            assert_eq!((trial.line, trial.column), (Some(line), Some(column)), "{cases}: {}", trial.problem);
            assert!(trial.problem.starts_with(said) && trial.cases.is_empty(), "{cases}: {}", trial.problem);
        }
        let problem = |cases: &str| tried(cases).cases.remove(0).problem;
        assert!(problem("more: {a case: {base: a1}}").contains("needs a verdict"));
        assert!(problem("clear: {base: none}").contains("built in are"));
        let misfit = problem("clear: {base: a1, facts: {nvml.gpus: 3, host.blacklisted_modules: []}}");
        assert!(misfit.starts_with("nvml.gpus: "), "{misfit}");
        let severity = problem("clear: {base: a1, target: {server_is_local: false}}");
        assert!(severity.contains("got not_applicable: the server is on another machine"), "{severity}");
    }
}
