use super::*;
use crate::probe::PlacementAsk;
use crate::probe::onnxruntime::PROVIDERS;
use crate::snapshot::Fact;
use std::time::{Duration, Instant};

/// A package that speaks as onnxruntime 1.16 does, without its extension module.
const PACKAGE: &str = r#"
import sys
__version__ = "1.16.3"
class SessionOptions:
    pass
class InferenceSession:
    def __init__(self, model, options, providers, enable_fallback):
        assert enable_fallback == 0
        if isinstance(model, bytes):
            sys.stderr.write("\x1b[1;31m2026-01-01 00:00:00.1 [E:onnxruntime:, provider_bridge_ort.cc:1193 Get] "
                "/x/provider_bridge_ort.cc:1193 onnxruntime::Provider& Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load "
                "library libonnxruntime_providers_cuda.so with error: libcublasLt.so.11: cannot open shared object file: "
                "No such file or directory\x1b[m\n")
            return
        for line in ["Node placements", " Node(s) placed on [CPUExecutionProvider]. Number of nodes: 1", "  Det (det)",
                     " Node(s) placed on [CUDAExecutionProvider]. Number of nodes: 2", "  Relu (relu)", "  Add (add)"]:
            sys.stderr.write("2026-01-01 00:00:00.1 [V:onnxruntime:, session_state.cc:1 VerifyEachNode] " + line + "\n")
    def get_providers(self):
        return ["CPUExecutionProvider"]
def get_available_providers():
    return ["CUDAExecutionProvider", "CPUExecutionProvider"]
"#;

/// An interpreter's prefix with that package.
fn deployment() -> Option<tempfile::TempDir> {
    let folder = tempfile::tempdir().unwrap();
    let python = std::process::Command::new("python3")
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let version = String::from_utf8(python.stdout).unwrap();
    let site = folder.path().join(format!("lib/python{}/site-packages", version.trim()));
    let capi = site.join("onnxruntime/capi");
    std::fs::create_dir_all(&capi).unwrap();
    std::fs::create_dir(folder.path().join("bin")).unwrap();
    std::fs::write(site.join("onnxruntime/__init__.py"), PACKAGE).unwrap();
    std::fs::write(capi.join("__init__.py"), "").unwrap();
    std::fs::write(capi.join("onnxruntime_pybind11_state.py"), "").unwrap();
    // Another interpreter's, so that the stand-in is imported.
    std::fs::write(capi.join("onnxruntime_pybind11_state.cpython-27-other.so"), "").unwrap();
    let script = format!("#!/bin/sh\nPYTHONPATH={} exec python3 \"$@\"\n", site.display());
    let program = folder.path().join("bin/python");
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Some(folder)
}

fn context(ask: Ask) -> Context {
    Context { ask, deadline: Instant::now() + Duration::from_secs(30) }
}

fn nothing_known() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, ""))
}

#[test]
fn python_is_run_only_where_the_user_gave_the_word() {
    let ask = |imports: &[&str], run_python| Ask {
        python: Some("/venv/bin/python".into()),
        imports: imports.iter().map(|module| module.to_string()).collect(),
        placement: PlacementAsk { run_python, ..PlacementAsk::default() },
        ..Ask::default()
    };
    assert_eq!(permitted(&ask(&[], false)), None);
    assert_eq!(permitted(&ask(&["torch"], false)), None);
    assert_eq!(permitted(&ask(&["onnxruntime"], false)), Some("/venv/bin/python".into()));
    assert_eq!(permitted(&ask(&[], true)), Some("/venv/bin/python".into()));
    assert_eq!(permitted(&Ask { root: "/mnt".into(), ..ask(&[], true) }), None);
    assert_eq!(permitted(&Ask { python: None, ..ask(&[], true) }), None);
}

#[test]
fn an_old_onnxruntime_is_asked_through_its_own_python() {
    let Some(folder) = deployment() else { return };
    let mut ask = Ask { python: Some(folder.path().join("bin/python")), ..Ask::default() };
    let mut facts = nothing_known();
    (PROVIDERS.run)(&context(ask.clone()), &mut facts);
    assert_eq!(facts.ort.version.reason().unwrap().why, Why::Unsupported, "nobody asked to run it");
    ask.imports = vec!["onnxruntime".into()];
    let ran = (PROVIDERS.run)(&context(ask), &mut facts);
    assert_eq!(ran, crate::probe::Ran::ok());
    assert_eq!(facts.ort.version, Fact::Known("1.16.3".into()));
    assert_eq!((facts.ort.cuda_compiled_in, facts.ort.cuda_registers), (Fact::Known(true), Fact::Known(false)));
    let failure = facts.ort.cuda_failure.known().unwrap();
    assert_eq!((failure.kind.as_str(), failure.library.as_str()), ("library_missing", "libcublasLt.so.11"));
    assert_eq!(facts.ort.found_by, Fact::Known("--python, which was run".into()));
}

#[test]
fn the_placement_is_heard_from_its_log() {
    let Some(folder) = deployment() else { return };
    let context =
        context(Ask { placement: PlacementAsk { every_node: true, ..PlacementAsk::default() }, ..Ask::default() });
    let python = folder.path().join("bin/python");
    let answer = place(&python, "/nowhere/m.onnx", true, &context, &nothing_known()).unwrap();
    assert_eq!(answer.placement.nodes_by_provider["CUDAExecutionProvider"], 2);
    assert_eq!(answer.listed.len(), 3);
    assert!(answer.dry && answer.error.is_none());
}

#[test]
fn what_is_no_interpreter_is_told() {
    let context = context(Ask::default());
    let absent = place(Path::new("/nowhere/python"), "m", false, &context, &nothing_known()).unwrap_err();
    assert!(absent.why == Why::Absent && absent.detail.contains("/nowhere/python could not be started"), "{absent}");
    let other = place(Path::new("/bin/false"), "m", false, &context, &nothing_known()).unwrap_err();
    assert!(
        other.why == Why::Malformed
            && other.detail.contains("/bin/false is no Python interpreter: it ended with status 1"),
        "{other}"
    );
}
