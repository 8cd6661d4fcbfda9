//! Tests that this machine cannot run say so; where everything is to be tested, that is a failure.

use std::io::Write;

/// Notes that something was left out, on standard error and in the file that `make test` shows at its end.
///
/// # Panics
/// If everything is to be tested: with `CI=true` or `GPU_DOCTOR_TESTS=full`.
pub fn note(what: &str) {
    let is = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    assert!(
        !is("CI", "true") && !is("GPU_DOCTOR_TESTS", "full"),
        "left out, though everything is to be tested: {what}"
    );
    eprintln!("left out: {what}");
    list("GPU_DOCTOR_LEFT_OUT", what);
}

/// Notes what a test needs and this machine does not allow its user, in the list that `make test` shows at its end. It is no
/// failure anywhere: file trees prove the same in the probes' own tests.
pub fn not_allowed(what: &str) {
    eprintln!("not allowed here: {what}");
    list("GPU_DOCTOR_NOT_ALLOWED", what);
}

/// Adds a line to the file that the variable names.
fn list(variable: &str, what: &str) {
    if let Some(file) = std::env::var_os(variable) {
        let line = format!("{what}\n");
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&file);
        opened
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the list of what was left out can be written");
    }
}
