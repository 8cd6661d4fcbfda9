//! Where nothing can be written: what fails is named, and the exit code is the diagnosis's as long as the report was printed.

use super::setup::GPU_DOCTOR;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn a1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/a1.json")
}

/// `gpu-doctor diagnose a1.json` with these options.
fn doctor(options: &[&str]) -> Command {
    let mut command = Command::new(GPU_DOCTOR);
    command.arg("diagnose").arg(a1()).args(options).stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error_and_files_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.md");
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let run = doctor(&["--output", &format!("markdown={}", file.display())]).stdout(full).output().unwrap();
    assert_eq!(run.status.code(), Some(64), "{}", said(&run));
    assert!(said(&run).contains("standard output: No space left on device"), "{}", said(&run));
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("## GPU is idle"));
}

#[test]
fn help_that_cannot_be_written_is_an_error() {
    for asked in [&["--help"][..], &["--version"], &["help", "run"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Command::new(GPU_DOCTOR).args(asked).stdout(full).output().unwrap();
        assert_eq!(run.status.code(), Some(64), "{asked:?}");
        assert_eq!(said(&run), "gpu-doctor: standard output: No space left on device (os error 28)\n");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let run = Command::new(GPU_DOCTOR).args(asked).stdout(writer).output().unwrap();
        assert_eq!((run.status.code(), said(&run).as_str()), (Some(0), ""), "{asked:?}");
    }
}

#[test]
fn a_reader_that_has_gone_leaves_the_exit_code() {
    // At once.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let run = doctor(&["--format", "json"]).stdout(writer).output().unwrap();
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(1), ""));
    // In the middle: the report is longer than what a pipe holds.
    for form in ["json", "junit"] {
        let mut run = doctor(&["-v", "--format", form]).stdout(Stdio::piped()).spawn().unwrap();
        let mut pipe = run.stdout.take().unwrap();
        pipe.read_exact(&mut [0; 100]).unwrap();
        drop(pipe);
        let run = run.wait_with_output().unwrap();
        assert_eq!((run.status.code(), said(&run).as_str()), (Some(1), ""), "{form}");
    }
}

/// A limit of 512 bytes a file stands for the full disk.
#[test]
fn a_full_disk_behind_a_file_leaves_the_report_the_old_file_and_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    for option in ["--output json", "--save"] {
        let file = folder.path().join("old.json");
        std::fs::write(&file, "the old one").unwrap();
        let named = match option {
            "--save" => format!("--save {}", file.display()),
            option => format!("{option}={}", file.display()),
        };
        let command =
            format!("trap '' XFSZ; ulimit -f 1; exec {GPU_DOCTOR} diagnose {} --format npd {named}", a1().display());
        let run = Command::new("sh").arg("-c").arg(command).output().unwrap();
        assert_eq!(run.status.code(), Some(1), "{}", said(&run));
        assert!(String::from_utf8_lossy(&run.stdout).starts_with("CRITICAL - "));
        let flag = option.split(' ').next().unwrap();
        let expected = format!("gpu-doctor: {flag} {}: File too large", file.display());
        assert!(said(&run).contains(&expected) && said(&run).contains("was not saved"), "{}", said(&run));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old one");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a part of the file is left");
    }
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (there, gone) = (folder.path().join("x"), folder.path().join("gone/x"));
    std::os::unix::fs::symlink(folder.path().join("y"), folder.path().join("link")).unwrap();
    let link = folder.path().join("link");
    let path = |path: &Path| path.display().to_string();
    let both = [format!("json={}", path(&there)), format!("html={}/./x", folder.path().display())];
    for (options, expected) in [
        (vec!["--output", &format!("json={}", path(&gone))], "is no folder to save a file in"),
        (vec!["--output", &format!("json={}", path(folder.path()))], "this is a folder; name a file in it"),
        (vec!["--output", "json=/dev/full"], "no regular file"),
        (vec!["--output", &format!("json={}", path(&link))], "no regular file"),
        (vec!["--output", "json=/sys/gpu-doctor.json"], "--output /sys/gpu-doctor.json: "),
        (vec!["--output", &both[0], "--output", &both[1]], "--output names the same file"),
        (vec!["--output", &both[0], "--save", &path(&there)], "--save names the same file"),
        (vec!["--output", "pdf=x"], "\"pdf\" is no form; there are text, short, json, markdown, junit"),
    ] {
        let mut command = Command::new(GPU_DOCTOR);
        // A snapshot that is not there would be the next complaint.
        let run = command.args(["diagnose", "/nowhere/snapshot.json"]).args(&options).output().unwrap();
        assert_eq!(run.status.code(), Some(64), "{options:?}: {}", said(&run));
        assert!(said(&run).contains(expected), "{options:?}: {}", said(&run));
        assert!(run.stdout.is_empty() && !there.exists());
    }
}

#[test]
fn one_file_is_not_written_for_two_things() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x").display().to_string();
    let output = format!("html={file}");
    let server = ["--server", "http://127.0.0.1:9", "--output", &output];
    for (command, option) in
        [("watch", "--csv"), ("watch", "--jsonl"), ("stress", "--csv"), ("bench", "--csv"), ("bench", "--requests-csv")]
    {
        let run = Command::new(GPU_DOCTOR).arg(command).args(server).args([option, &file]).output().unwrap();
        assert_eq!(run.status.code(), Some(64), "{command}: {}", said(&run));
        assert!(said(&run).contains("--output") && said(&run).contains("same file"), "{command}: {}", said(&run));
        assert!(run.stdout.is_empty(), "{command}");
    }
}

#[test]
fn files_are_the_owners_and_metrics_are_collected_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    std::fs::write(file("old.html"), "open to all").unwrap();
    let outputs = [("html", "old.html", 0o600), ("junit", "x.xml", 0o600), ("openmetrics", "gpu_doctor.prom", 0o644)];
    let options: Vec<String> = outputs
        .iter()
        .flat_map(|(form, name, _)| ["--output".into(), format!("{form}={}", file(name).display())])
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let run = doctor(&options).stdout(File::create(file("out")).unwrap()).output().unwrap();
    assert_eq!((run.status.code(), said(&run).as_str()), (Some(1), ""));
    for (form, name, mode) in outputs {
        assert_eq!(file(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{form}");
    }
}

/// What counts as a failure counts in every form alike.
#[test]
fn a_warning_is_a_failure_where_it_makes_the_exit_code_1() {
    let active = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/active.json");
    for (fail_on, code, failures) in [("fail", 0, "failures=\"0\""), ("warn", 1, "failures=\"1\"")] {
        let run = |form: &str| {
            let mut command = Command::new(GPU_DOCTOR);
            command.arg("diagnose").arg(&active).args(["--fail-on", fail_on, "--format", form]).output().unwrap()
        };
        let junit = run("junit");
        assert_eq!(junit.status.code(), Some(code));
        let text = String::from_utf8_lossy(&junit.stdout).into_owned();
        assert!(text.lines().nth(1).is_some_and(|root| root.contains(failures)), "{text}");
        assert_eq!(text.contains("<system-out>warning: "), code == 0, "{text}");
        let metrics = String::from_utf8_lossy(&run("openmetrics").stdout).into_owned();
        assert!(metrics.contains(&format!("\ngpu_doctor_exit_code {code}\n")), "{metrics}");
        let told = |form: &str| String::from_utf8_lossy(&run(form).stdout).into_owned();
        let (npd, github) = (told("npd"), told("github"));
        assert!(npd.starts_with(if code == 1 { "CRITICAL - " } else { "WARNING - " }), "{npd}");
        assert_eq!(github.matches("::error ").count(), usize::from(code == 1), "{github}");
        assert_eq!(github.matches("::warning ").count(), usize::from(code == 0), "{github}");
        for form in ["short", "text", "markdown", "html"] {
            let text = told(form);
            assert_eq!(text.contains("fails by --fail-on warn"), code == 1, "{form}: {text}");
        }
        assert!(told("short").starts_with("HEALTHY ") && told("markdown").contains("Verdict: **healthy**"));
        assert_eq!(told("html").contains("class=\"verdict fail\""), code == 1);
    }
}

#[test]
fn what_is_undecided_is_a_failure_where_it_makes_the_exit_code_1() {
    let crash = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots/nvml-crash.json");
    for (fail_on, code, word) in [("fail", 2, "UNKNOWN - "), ("unknown", 1, "CRITICAL - ")] {
        let told = |form: &str| {
            let mut command = Command::new(GPU_DOCTOR);
            let run =
                command.arg("diagnose").arg(&crash).args(["--fail-on", fail_on, "--format", form]).output().unwrap();
            assert_eq!(run.status.code(), Some(code), "{form}");
            String::from_utf8_lossy(&run.stdout).into_owned()
        };
        assert!(told("npd").starts_with(word), "{}", told("npd"));
        assert_eq!(told("github").contains("::error title=gpu-doctor%3A fails by --fail-on unknown::"), code == 1);
        assert!(told("short").starts_with("UNDECIDED ") && told("markdown").contains("Verdict: **undecided**"));
        for form in ["short", "text", "markdown", "html"] {
            // Lines of text are broken.
            let text = told(form).split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(text.contains("fails by --fail-on unknown"), code == 1, "{form}: {text}");
        }
    }
}
