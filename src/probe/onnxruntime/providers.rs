//! Probe `onnxruntime`: the library, its version, its providers, and whether CUDA works in it.

use super::failure::{self, Around, CUDA_LIBRARY};
use super::find::{self, Found};
use super::python;
use crate::probe::isolation::{self, End, Report};
use crate::probe::linker::{Deployment, needed, search};
use crate::probe::packages::build_info;
use crate::probe::tree::Tree;
use crate::probe::{Context, Ran, environment};
use crate::snapshot::{CUDA_PROVIDER, CudaFailure, Fact, Facts, MissingLibrary, OrtFacts, Room, Unknown, Why};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Most names of CUDA's libraries that are kept.
const CUDA_FILES_MAX: usize = 4096;

/// Fills the room `ort`.
pub fn run(context: &Context, facts: &mut Facts) -> Ran {
    if context.ask.root != Path::new("/") {
        let detail = "only files are read of a tree below --root; onnxruntime is not loaded from it";
        // Where the tree shows no onnxruntime, nothing is left open by that.
        let installed = facts.packages.onnxruntime_distributions.known().is_some_and(|all| !all.is_empty());
        let why = if installed || context.ask.onnxruntime.is_some() { Why::Unsupported } else { Why::NotAsked };
        facts.ort = OrtFacts::all_unknown(&Unknown::new(why, detail));
        return Ran::skipped(detail);
    }
    let Found { library, found_by } = match find::find(context, facts) {
        Ok(found) => found,
        Err(unknown) => {
            facts.ort = unloadable(context, facts, &unknown);
            return match python::permitted(&context.ask).filter(|_| unknown.why == Why::Unsupported) {
                Some(interpreter) => through_python(&interpreter, context, facts),
                None => Ran::from(&unknown),
            };
        }
    };
    let cuda_library = beside(&library);
    let missing = match &cuda_library {
        Ok(path) => missing(path, context, facts),
        Err(unknown) => Err(unknown.clone()),
    };
    let argument = json!({ "library": library.display().to_string() });
    let report = isolation::run("onnxruntime", &argument, &environment::of_server(facts), context.deadline);
    let obstacle = obstacle(&report);
    let heard = heard(&report, obstacle.as_ref());
    let (missing, other_majors) = match missing {
        Ok((missing, other_majors)) => (Ok(missing), other_majors),
        Err(unknown) => (Err(unknown), Vec::new()),
    };
    let missing = match (missing, heard.cuda_compiled_in.known()) {
        (Err(unknown), Some(false)) if unknown.why == Why::Absent => {
            Err(Unknown::new(Why::Unsupported, "CUDA is not compiled in, so there is no provider library to need any"))
        }
        (missing, _) => missing,
    };
    let cuda_failure = cuda_failure(&report, &heard, missing.as_deref().unwrap_or_default(), &other_majors, facts);
    let (package, cuda_version) = build(&library);
    facts.ort = OrtFacts {
        library: Fact::Known(library.display().to_string()),
        found_by: Fact::Known(found_by),
        cuda_failure,
        package,
        cuda_version,
        cuda_provider_library: cuda_library.map(|path| path.display().to_string()).into(),
        missing_libraries: missing.into(),
        ..heard
    };
    obstacle.as_ref().map_or_else(Ran::ok, Ran::from)
}

/// The failure of CUDA, parsed from what the child reported before it ended.
fn cuda_failure(
    report: &Report,
    heard: &OrtFacts,
    missing: &[MissingLibrary],
    other_majors: &[String],
    facts: &Facts,
) -> Fact<CudaFailure> {
    let cuda_driver = facts.linker.cuda_driver.known().map_or("", |driver| driver.kind.as_str());
    match (&heard.cuda_error, &report.end) {
        (Fact::Known(error), _) => Fact::Known(failure::of(error, Around { missing, other_majors, cuda_driver })),
        (Fact::Unknown(unknown), End::Signal(_)) if report.last_stage.contains("CUDA") => {
            Fact::Known(failure::crash(&unknown.detail))
        }
        (Fact::Unknown(unknown), _) => Fact::Unknown(unknown.clone()),
    }
}

/// Package and CUDA version of the build, by what lies beside the library: site-packages/onnxruntime/capi/LIBRARY.
fn build(library: &Path) -> (Fact<String>, Fact<String>) {
    let (tree, inside) = Tree::holding(library);
    let Some(site) = inside.ancestors().nth(3).map(Path::to_path_buf) else {
        let unknown = Unknown::new(Why::Absent, format!("{} lies in no package", library.display()));
        return (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown));
    };
    match build_info::read(&tree, &[site]) {
        Ok(build) if !build.package_name.contains("gpu") && build.cuda_version.known().is_none() => {
            let none = Fact::unknown(Why::Unsupported, format!("{} was built without CUDA", build.package_name));
            (Fact::Known(build.package_name), none)
        }
        Ok(build) => (Fact::Known(build.package_name), build.cuda_version),
        Err(unknown) => (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown)),
    }
}

/// What an onnxruntime says that only the deployment's own Python can load. What the files tell stands already.
fn through_python(interpreter: &Path, context: &Context, facts: &mut Facts) -> Ran {
    let report = python::providers(interpreter, context, facts);
    let obstacle = obstacle(&report).map(|unknown| python::refusal(interpreter, &report).unwrap_or(unknown));
    let heard = heard(&report, obstacle.as_ref());
    let missing = facts.ort.missing_libraries.known().cloned().unwrap_or_default();
    let library = report.parts.iter().find_map(|part| part.get("library")?.as_str());
    facts.ort = OrtFacts {
        cuda_failure: cuda_failure(&report, &heard, &missing, &[], facts),
        library: library.map(str::to_string).ok_or_else(|| heard_reason(&obstacle)).into(),
        found_by: Fact::Known("--python, which was run".into()),
        cuda_provider_library: facts.ort.cuda_provider_library.clone(),
        missing_libraries: facts.ort.missing_libraries.clone(),
        ..heard
    };
    if let Some(library) = library {
        (facts.ort.package, facts.ort.cuda_version) = build(Path::new(library));
    }
    obstacle.as_ref().map_or_else(Ran::ok, Ran::from)
}

fn heard_reason(obstacle: &Option<Unknown>) -> Unknown {
    obstacle.clone().unwrap_or_else(|| Unknown::new(Why::Crashed, "the child did not report it"))
}

/// What kept the child from its end, if anything: it died, or it met an error.
pub fn obstacle(report: &Report) -> Option<Unknown> {
    match report.result() {
        Err(unknown) => Some(unknown),
        Ok(result) => {
            let obstacle = result.get("obstacle")?;
            let unknown = serde_json::from_value(obstacle.clone());
            Some(unknown.unwrap_or_else(|_| Unknown::new(Why::Crashed, "the child's answer makes no sense")))
        }
    }
}

/// The facts that the child reported before it ended, however it ended.
fn heard(report: &Report, obstacle: Option<&Unknown>) -> OrtFacts {
    let reason = heard_reason(&obstacle.cloned());
    let part = |name: &str| report.parts.iter().find_map(|part| part.get(name));
    let or_reason = |value: Option<Value>| value.ok_or_else(|| reason.clone());
    let mut facts = OrtFacts::all_unknown(&reason);
    facts.version = or_reason(part("version").cloned()).map(|version| text(&version)).into();
    facts.build_info = or_reason(part("build").cloned()).map(|build| text(&build)).into();
    if let Some(Value::Array(providers)) = part("providers") {
        let providers: Vec<String> = providers.iter().map(text).collect();
        facts.cuda_compiled_in = Fact::Known(providers.iter().any(|name| name == CUDA_PROVIDER));
        facts.compiled_providers = Fact::Known(providers);
    }
    if let Some(cuda) = part("cuda") {
        if let Some(registers) = cuda.get("registers").and_then(Value::as_bool) {
            facts.cuda_registers = Fact::Known(registers);
        }
        facts.cuda_error = or_reason(cuda.get("error").cloned()).map(|error| text(&error)).into();
    }
    facts
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_string()
}

/// The provider library beside onnxruntime's own, which is where onnxruntime looks for it.
fn beside(library: &Path) -> Result<PathBuf, Unknown> {
    // Like onnxruntime, which asks the dynamic linker where it was loaded from: links are not followed.
    let path = library.parent().unwrap_or(Path::new("/")).join(CUDA_LIBRARY);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => Err(Unknown::from_io(&error, path.display())),
    }
}

/// Every library that the provider needs and the deployment's dynamic linker would not find; and the names of CUDA's
/// libraries that are there, of whatever version.
type Missing = (Vec<MissingLibrary>, Vec<String>);

fn missing(cuda_library: &Path, context: &Context, facts: &Facts) -> Result<Missing, Unknown> {
    let deployment = Deployment::of(context, facts);
    // The folder of NVIDIA's packages lies beside onnxruntime's: site-packages/onnxruntime/capi/PROVIDER.
    let site = |provider: &Path| {
        provider.ancestors().nth(3).filter(|path| path.ends_with("site-packages")).map(Path::to_path_buf)
    };
    if let Some(inside) = deployment.inside(cuda_library) {
        let mut elsewhere = deployment.elsewhere.clone();
        elsewhere.extend(search::nvidia_folders(&deployment.search.tree, site(&inside).as_slice()));
        let missing = needed::missing(&inside, &deployment.search, &elsewhere)?;
        return Ok((missing, cuda_files(&deployment.search, &elsewhere)));
    }
    // A library of the doctor's own file system, which the server does not see.
    let search = search::Search::new(Tree::new("/"), environment::value(facts, "LD_LIBRARY_PATH").as_deref());
    let elsewhere = search::usual_folders(&search.tree, site(cuda_library).as_slice(), Path::new("/usr/local"));
    let missing = needed::missing(cuda_library, &search, &elsewhere)?;
    Ok((missing, cuda_files(&search, &elsewhere)))
}

/// Names of CUDA's libraries in the folders where they may lie.
fn cuda_files(search: &search::Search, elsewhere: &[PathBuf]) -> Vec<String> {
    let folders = search.library_path.iter().chain(elsewhere);
    let names = folders.flat_map(|folder| search.tree.list(folder).unwrap_or_default());
    names.filter(|name| name.starts_with("libcu")).take(CUDA_FILES_MAX).collect()
}

/// What the files tell of an onnxruntime that no other program can load (Python packages before 1.19): its CUDA provider
/// and what that one lacks. All else is unknown for the given reason.
fn unloadable(context: &Context, facts: &Facts, unknown: &Unknown) -> OrtFacts {
    let mut ort = OrtFacts::all_unknown(unknown);
    let runtimes = facts.linker.runtimes.known().map(Vec::as_slice).unwrap_or_default();
    let runtime = runtimes.iter().find(|runtime| runtime.name == "onnxruntime");
    let named =
        context.ask.onnxruntime.iter().flat_map(|place| ["", "onnxruntime/capi", "capi"].map(|f| place.join(f)));
    let beside = context.ask.onnxruntime.iter().filter_map(|place| Some(place.parent()?.to_path_buf()));
    let mut places = named.chain(beside).map(|folder| folder.join(CUDA_LIBRARY)).filter(|path| path.is_file());
    let installed =
        runtime.filter(|_| context.ask.onnxruntime.is_none()).map(|runtime| PathBuf::from(&runtime.library));
    let (Why::Unsupported, Some(provider)) = (unknown.why, places.next().or(installed)) else { return ort };
    ort.missing_libraries = missing(&provider, context, facts).map(|(missing, _)| missing).into();
    ort.cuda_provider_library = Fact::Known(provider.display().to_string());
    if let Some(runtime) = runtime.filter(|runtime| Path::new(&runtime.library) == provider) {
        ort.version = runtime.version.clone();
    }
    // An uninstalled GPU package leaves its provider behind, so that the name of the installed one decides.
    let distributions = facts.packages.onnxruntime_distributions.known().map(Vec::as_slice);
    match distributions {
        Some([only]) => ort.cuda_compiled_in = Fact::Known(only != "onnxruntime"),
        None | Some([]) => ort.cuda_compiled_in = Fact::Known(true),
        Some(_) => {}
    }
    ort
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::CPU_PROVIDER;
    use std::time::Duration;

    fn report(end: End, parts: Vec<Value>) -> Report {
        Report {
            job: "onnxruntime".into(),
            end,
            last_stage: "registration of the CUDA execution provider".into(),
            parts,
            printed: String::new(),
            took: Duration::from_millis(3),
        }
    }

    #[test]
    fn what_was_heard_before_a_crash_is_kept() {
        let parts = vec![json!({"version": "1.19.2"}), json!({"providers": [CUDA_PROVIDER, CPU_PROVIDER]})];
        let report = report(End::Signal(libc::SIGSEGV), parts);
        let obstacle = obstacle(&report);
        let facts = heard(&report, obstacle.as_ref());
        assert_eq!(facts.version, Fact::Known("1.19.2".into()));
        assert_eq!(facts.cuda_compiled_in, Fact::Known(true));
        let reason = facts.cuda_registers.reason().unwrap();
        assert_eq!(reason.why, Why::Crashed);
        assert_eq!(reason.detail, "segmentation fault in registration of the CUDA execution provider");
        assert_eq!(facts.cuda_error.reason(), Some(reason));
        let nothing = Facts::all_unknown(&Unknown::new(Why::NotAsked, ""));
        let failure = cuda_failure(&report, &facts, &[], &[], &nothing);
        assert_eq!(failure.known().map(|failure| failure.kind.as_str()), Some("crash_at_load"));
    }

    #[test]
    fn an_obstacle_is_the_reason_for_what_did_not_come() {
        let old = Unknown::new(Why::Unsupported, "expected version >= '1.17.x', but got '1.16.3'");
        let report = report(End::Result(json!({ "obstacle": old })), vec![json!({"version": "1.16.3"})]);
        let obstacle = obstacle(&report);
        assert_eq!(obstacle, Some(old.clone()));
        let facts = heard(&report, obstacle.as_ref());
        assert_eq!(facts.version, Fact::Known("1.16.3".into()));
        assert_eq!(facts.compiled_providers, Fact::Unknown(old));
    }
}
