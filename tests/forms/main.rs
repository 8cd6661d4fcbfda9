//! The forms of the report: how ten cases read, what hostile texts do to them, what happens where nothing can be written.
//!
//! Each form is read by a parser of others (`read.py`, in the environment `forms` of `fixtures/venv.sh`).

#[path = "../setup/mod.rs"]
mod setup;

mod cases;
mod hostile;
mod injection;
mod long;
mod sizes;
mod waived;
mod writing;

use gpu_doctor::check::Checks;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::Snapshot;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A recording: `snapshots/a1`, `cases/ort-graph-split/snapshot`.
fn recorded(name: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.json"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn snapshot(value: &Value) -> Snapshot {
    serde_json::from_value(value.clone()).expect("a recording is a snapshot")
}

fn report(snapshot: &Snapshot) -> Report {
    // Compiling the checks takes longer than judging by them.
    static CHECKS: LazyLock<Checks> = LazyLock::new(|| Checks::load(None).expect("the built-in checks load"));
    Report::new(snapshot, diagnose(&CHECKS, snapshot).expect("any snapshot is judged"))
}

fn written(report: &Report, snapshot: &Snapshot, form: ReportFormat) -> String {
    colored::control::set_override(false);
    let mut out = Vec::new();
    report.write(snapshot, form, &Style::default(), &mut out).expect("a report is written to memory");
    String::from_utf8(out).expect("every form is UTF-8")
}

/// The name of a form, as users write it.
fn name(form: ReportFormat) -> String {
    use clap::ValueEnum;
    form.to_possible_value().expect("every form has a name").get_name().to_owned()
}

/// A form's text in a file that tells the form: `FOLDER/NAME.FORM`.
fn put(folder: &Path, name: &str, form: ReportFormat, text: &str) {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    std::fs::write(folder.join(format!("{name}.{}", self::name(form))), text).expect("the file can be written");
}

/// Has the files of a folder read by the parsers of others; `plain` are reports of recordings as they are, which tell what
/// tags are ours.
///
/// # Panics
/// If one is not as its form wants it.
fn read(plain: &Path, folder: &Path) {
    let Some(venv) = setup::venv::venv("forms") else { return };
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/forms/read.py");
    let read = Command::new(venv.join("bin/python")).arg("-B").arg(script).arg(plain).arg(folder).output();
    let read = read.expect("the parsers run");
    let said = String::from_utf8_lossy(&read.stdout) + String::from_utf8_lossy(&read.stderr);
    assert!(read.status.success(), "{said}");
}
