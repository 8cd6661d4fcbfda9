use super::*;
use crate::probe::Ask;
use std::fs;

fn python() -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|path| path.is_file())
}

fn import(python: &Path, modules: &[&str], budget: Duration) -> (ImportsFacts, Ran) {
    let ask = Ask {
        python: Some(python.into()),
        imports: modules.iter().map(|module| module.to_string()).collect(),
        ..Ask::default()
    };
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
    let ran = run(&Context { ask, deadline: Instant::now() + budget }, &mut facts);
    (facts.imports, ran)
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn modules_tell_their_version_or_their_exception() {
    let Some(python) = python() else { return };
    let (found, ran) = import(&python, &["json", "no_such_module", "--help"], PATIENCE);
    let modules = found.modules.known().unwrap();
    let json = &modules[0];
    assert_eq!((&json.imported, json.error.known()), (&Fact::Known(true), Some(&String::new())));
    assert_eq!(json.version, Fact::Known("2.0.9".into()), "of json since 2009");
    assert!(json.file.known().unwrap().ends_with("json/__init__.py"));
    let missing = modules[1].error.known().unwrap();
    assert_eq!(missing, "ModuleNotFoundError: No module named 'no_such_module'");
    assert_eq!(modules[1].imported, Fact::Known(false));
    assert!(modules[2].error.known().unwrap().contains("No module named '--help'"), "a name is no option");
    assert_eq!(ran, Ran::ok(), "an exception is an answer");
}

#[test]
fn what_is_no_python_is_said() {
    for (program, expected) in [
        ("/bin/ls", "/bin/ls is no Python interpreter"),
        ("/no/such/python", "could not be started"),
        ("/bin/true", "is no Python"),
    ] {
        let (found, ran) = import(Path::new(program), &["json"], PATIENCE);
        let unknown = found.modules.reason().unwrap();
        assert!(unknown.detail.contains(expected), "{unknown}");
        assert_eq!(ran.outcome, crate::snapshot::Outcome::Failed);
    }
}

#[test]
fn crashes_hangs_and_printing_modules_are_told() {
    let Some(python) = python() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (module, text) in [
        ("doctor_crashes", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"),
        ("doctor_exits", "raise SystemExit('enough')"),
        ("doctor_prints", "print('\\x1b[31mhello\\n{\"result\": 1}')\n__version__ = 7\n__file__ = None"),
        ("doctor_hangs", "import time\ntime.sleep(600)"),
    ] {
        fs::write(dir.path().join(format!("{module}.py")), text).unwrap();
    }
    // A wrapper that finds them, as deployments have it, so that the test's own environment stays as it is.
    let wrapper = dir.path().join("python");
    let script = format!("#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n", dir.path().display(), python.display());
    fs::write(&wrapper, script).unwrap();
    fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (found, ran) = import(&wrapper, &["doctor_crashes", "doctor_exits", "doctor_prints"], PATIENCE);
    assert_eq!(ran.detail, "module doctor_crashes: segmentation fault in import doctor_crashes");
    assert!(!dir.path().join("__pycache__").exists(), "nothing is written");
    let modules = found.modules.known().unwrap();
    let crash = modules[0].imported.reason().unwrap();
    assert!(
        crash.why == Why::Crashed && crash.detail.contains("segmentation fault in import doctor_crashes"),
        "{crash}"
    );
    assert_eq!(modules[1].error, Fact::Known("SystemExit: enough".into()));
    assert_eq!((modules[2].version.known().unwrap().as_str(), modules[2].imported.known()), ("7", Some(&true)));
    assert!(modules[2].printed.starts_with(" [31mhello"), "{:?}", modules[2].printed);
    let started = Instant::now();
    let (found, _) = import(&wrapper, &["doctor_hangs"], Duration::from_secs(3));
    assert!(started.elapsed() < Duration::from_secs(6));
    assert_eq!(found.modules.known().unwrap()[0].imported.reason().unwrap().why, Why::TimedOut);
}

#[test]
fn nothing_runs_unless_it_is_asked_for() {
    let (found, ran) = import(Path::new("/bin/false"), &[], PATIENCE);
    assert_eq!((found.modules.reason().unwrap().why, ran.outcome), (Why::NotAsked, crate::snapshot::Outcome::Skipped));
}
