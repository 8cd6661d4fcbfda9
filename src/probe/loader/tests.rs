use super::*;
use crate::probe::Ask;
use crate::probe::isolation;
use crate::snapshot::{Fact, LoadedObject, ServerProcess};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::PathBuf;

const PATIENCE: Duration = Duration::from_secs(60);

fn deployment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/loader")
}

fn python() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join("python3")).find(|path| path.is_file())
}

/// The deployment's server, seen in its folder: a process that only sits there.
struct Server(std::process::Child);

impl Server {
    fn start(folder: &Path) -> Server {
        let mut command = std::process::Command::new("sleep");
        Server(command.arg("600").current_dir(folder).spawn().unwrap())
    }

    fn facts(&self, folder: &Path) -> Facts {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
        facts.process.processes = Fact::Known(vec![ServerProcess {
            working_directory: Fact::Known(folder.display().to_string()),
            ..ServerProcess::all_unknown(self.0.id().into(), &Unknown::new(Why::Absent, "test"))
        }]);
        facts
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn load(python: &Path, loader: &str, forward: Option<&str>, patience: Duration) -> (LoadedFacts, Ran) {
    let (folder, server) = (deployment(), Server::start(&deployment()));
    let ask = Ask {
        python: Some(python.into()),
        loader: Some(loader.into()),
        forward: forward.map(Into::into),
        loader_timeout: patience,
        ..Ask::default()
    };
    let mut facts = server.facts(&folder);
    let ran = run(&Context { ask, deadline: Instant::now() + PATIENCE }, &mut facts);
    (facts.loaded, ran)
}

fn loaded(loader: &str) -> Option<(LoadedFacts, Ran)> {
    python().map(|python| load(&python, &format!("deployment:{loader}"), None, PATIENCE))
}

fn objects(facts: &LoadedFacts) -> &[LoadedObject] {
    facts.objects.known().unwrap_or_else(|| panic!("{facts:?}"))
}

fn counted(facts: &LoadedFacts, device: &str) -> (u64, u64) {
    let sums = facts.parameters_by_device.known().unwrap_or_else(|| panic!("{facts:?}"));
    sums.get(device).map_or((0, 0), |sum| (sum.tensors, sum.bytes))
}

#[test]
fn parameters_are_counted_where_they_lie_and_tied_ones_once() {
    let Some((facts, ran)) = loaded("mostly_on_gpu") else { return };
    assert_eq!(ran, Ran::ok());
    assert_eq!(counted(&facts, "cuda:0"), (603, 603 * 950_000 * 4));
    assert_eq!(counted(&facts, "cpu"), (4, 12_000));
    let [model] = objects(&facts) else { panic!("{facts:?}") };
    assert_eq!((model.path.as_str(), model.class.as_str()), ("returned", "deployment.Recognizer"));
    assert_eq!(model.parameters_by_device["cpu"].first_names[0], "decoder.0.weight");
    assert_eq!(model.parameters_by_dtype["float32"].tensors, 607);
    assert_eq!(model.buffers_by_device["cuda:0"].bytes, 4096);
    assert_eq!(model.blocks["encoder"], "cuda:0");
    assert_eq!((facts.torch_cuda_available, facts.search_complete), (Fact::Known(true), Fact::Known(true)));
    assert_eq!(facts.frameworks.known().unwrap()["torch"], "0.0+stand.in");
    assert_eq!(facts.folder, Fact::Known(deployment().display().to_string()), "the server's own");
    let said = facts.said.known().unwrap();
    assert_eq!(said[0].values["gpu"], "603", "{said:?}");
    assert_eq!(facts.forward.reason().unwrap().why, Why::NotAsked);
    assert!(!deployment().join("__pycache__").exists(), "nothing is written");
}

#[test]
fn models_are_found_wherever_they_are_kept() {
    for (loader, expected) in [
        ("Diarization", vec!["returned.segmentation", "returned._inferences['embedding'][0]"]),
        ("into_a_global", vec!["deployment['_model']"]),
        ("as_a_function", vec!["returned.model"]),
        ("offloaded", vec!["returned['model']"]),
        ("nothing", vec![]),
    ] {
        let Some((facts, ran)) = loaded(loader) else { return };
        let paths: Vec<&str> = objects(&facts).iter().map(|object| object.path.as_str()).collect();
        assert_eq!((paths, ran), (expected, Ran::ok()), "{loader}");
    }
    let Some((facts, _)) = loaded("endless") else { return };
    assert_eq!((objects(&facts).len(), facts.search_complete), (64, Fact::Known(false)));
}

#[test]
fn what_device_map_became_is_told() {
    let Some((facts, _)) = loaded("offloaded") else { return };
    let [model] = objects(&facts) else { panic!("{facts:?}") };
    let map = [("decoder", "cpu"), ("encoder", "cuda:0"), ("head", "disk")];
    assert_eq!(model.device_map, map.map(|(block, device)| (block.into(), device.into())).into());
    assert_eq!((model.execution_device.as_str(), model.offloaded_modules), ("cuda:0", 1));
    assert_eq!(counted(&facts, "meta"), (4, 12_000), "apart from those that are somewhere");
}

#[test]
fn an_inference_tells_where_its_inputs_lay_and_what_ran_where() {
    let Some(python) = python() else { return };
    let forward = |loader: &str, forward: &str| load(&python, loader, Some(forward), PATIENCE);
    let (facts, ran) = forward("deployment:mostly_on_gpu", "deployment:transcribe");
    assert_eq!((ran, facts.forward_error.known().map(String::as_str)), (Ran::ok(), Some("")));
    let watched = facts.watched.known().unwrap();
    let outermost = watched.iter().find(|module| module.path == "returned").unwrap();
    assert_eq!((outermost.calls, outermost.inputs[0].name.as_str()), (1, "audio"));
    assert_eq!((outermost.inputs[0].device.as_str(), outermost.inputs[0].dtype.as_str()), ("cuda:0", "float32"));
    let decoder = watched.iter().find(|module| module.path == "returned.decoder").unwrap();
    assert_eq!((decoder.calls, decoder.parameters_on.as_str()), (0, "cpu"));
    assert_eq!(facts.leaf_calls.known().unwrap()["Linear"], [("cuda:0".to_owned(), 603)].into());
    assert!(facts.forward_ms.known().is_some_and(|time| *time > 0.0));

    let (facts, _) = forward("deployment:mostly_on_gpu", "deployment:transcribe_from_cpu");
    let error = facts.forward_error.known().unwrap();
    assert!(error.starts_with("deployment:transcribe_from_cpu(..): RuntimeError: Expected all tensors"), "{error}");
    assert_eq!(facts.watched.known().unwrap()[0].inputs[0].device, "cpu");
    assert_eq!(counted(&facts, "cuda:0").0, 603, "what was loaded stays known");

    let (facts, ran) = forward("deployment:on_cpu", "deployment:crashes");
    assert_eq!(ran.outcome, Outcome::Crashed);
    assert_eq!(facts.forward_error, Fact::Known("segmentation fault in deployment:crashes(..)".into()));
    assert_eq!((facts.error, counted(&loaded("on_cpu").unwrap().0, "cpu").0), (Fact::Known(String::new()), 607));
}

#[test]
fn what_goes_wrong_is_told_with_its_place() {
    let masked = "ValueError: 401 Client Error for https://hub.example/model?token=***";
    for (loader, place, error, outcome) in [
        ("raises", "deployment:raises()", masked, Outcome::Failed),
        ("exits", "deployment:exits()", "SystemExit: no model for you", Outcome::Failed),
        ("ends", "deployment:ends()", "the process ended with status 7 in deployment:ends()", Outcome::Crashed),
        ("crashes", "deployment:crashes()", "segmentation fault in deployment:crashes()", Outcome::Crashed),
    ] {
        let Some((facts, ran)) = loaded(loader) else { return };
        let told = (facts.failed_in.known().unwrap().as_str(), facts.error.known().unwrap().as_str());
        assert_eq!((told, ran.outcome), ((place, error), outcome));
        assert_eq!(facts.objects.reason().unwrap().why, Why::Crashed);
    }
    let Some((facts, _)) = loaded("raises") else { return };
    let traceback = facts.traceback.known().unwrap().join("\n");
    assert!(traceback.contains("deployment.py") && traceback.contains("in raises"), "{traceback}");
    assert!(!traceback.contains("hf_abcdef") && !traceback.contains("<string>"), "{traceback}");
}

#[test]
fn a_name_that_is_mistyped_is_no_failure_of_the_deployment() {
    let Some(python) = python() else { return };
    for (loader, words) in [
        ("deployment:missing", "deployment.py has no missing"),
        ("no_such_module:load", "there is no module no_such_module in "),
        ("deployment.inner:load", "there is no module deployment.inner in "),
    ] {
        let (facts, ran) = load(&python, loader, None, PATIENCE);
        let unknown = facts.error.reason().unwrap();
        assert!(unknown.why == Why::Absent && unknown.detail.contains(words), "{unknown}");
        assert!(unknown.detail.starts_with(&format!("--loader {loader} names nothing")), "{unknown}");
        assert_eq!(ran.outcome, Outcome::Failed);
    }
    let (facts, _) = load(&python, "deployment:on_cpu", Some("deployment:missing"), PATIENCE);
    let unknown = facts.forward_error.reason().unwrap();
    assert!(unknown.detail.starts_with("--forward deployment:missing names nothing"), "{unknown}");
    assert_eq!((counted(&facts, "cpu").0, facts.error), (607, Fact::Known(String::new())));
    // What the deployment itself lacks is its failure.
    let (facts, _) = load(&python, "deployment:lacks_a_module", None, PATIENCE);
    assert_eq!(facts.error, Fact::Known("ModuleNotFoundError: No module named 'no_such_module'".into()));
}

#[test]
fn a_loader_that_hangs_is_ended_in_time() {
    let Some(python) = python() else { return };
    let started = Instant::now();
    let (facts, ran) = load(&python, "deployment:hangs", None, Duration::from_secs(3));
    assert!(started.elapsed() < Duration::from_secs(8));
    assert_eq!((ran.outcome, facts.objects.reason().unwrap().why), (Outcome::TimedOut, Why::TimedOut));
    assert!(facts.error.known().unwrap().starts_with("no answer in deployment:hangs() within"));
}

#[test]
fn what_is_printed_is_no_report_and_its_end_is_kept() {
    let Some((facts, ran)) = loaded("floods") else { return };
    assert_eq!((ran, counted(&facts, "cuda:0").0), (Ran::ok(), 603));
    assert!(facts.printed.known().unwrap().chars().count() <= 2_003);
    assert_eq!(facts.said.known().unwrap().last().unwrap().values["cpu"], "4");
}

#[test]
fn the_child_goes_first_when_memory_runs_out_and_waits_for_nobody() {
    let Some((facts, ran)) = loaded("tells_who_goes_first") else { return };
    let printed = facts.printed.known().unwrap();
    assert_eq!(ran, Ran::ok());
    assert!(printed.contains("killed first by 1000"), "{printed}");
    assert!(printed.contains("arguments ['deployment'] input ''"), "{printed}");
}

#[test]
fn nothing_runs_unless_it_is_asked_for() {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
    let ask = Ask { python: Some("/bin/false".into()), ..Ask::default() };
    let ran = run(&Context { ask, deadline: Instant::now() + PATIENCE }, &mut facts);
    assert_eq!((ran.outcome, facts.loaded.objects.reason().unwrap().why), (Outcome::Skipped, Why::NotAsked));
    let (facts, ran) = load(Path::new("/bin/ls"), "deployment:on_cpu", None, PATIENCE);
    assert!(facts.objects.reason().unwrap().detail.contains("/bin/ls is no Python interpreter"), "{ran:?}");
}

#[test]
fn a_folder_of_the_same_name_is_not_the_servers() {
    let (here, elsewhere) = (deployment(), tempfile::tempdir().unwrap());
    let server = Server::start(elsewhere.path());
    assert_eq!(server_folder(&server.facts(&here)), None);
    assert_eq!(server_folder(&server.facts(elsewhere.path())), Some(elsewhere.path().display().to_string()));
}

/// Any JSON, under the names that the program writes.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "objects",
        "forward",
        "failed",
        "parameters_by_device",
        "watched",
        "modules",
        "leaves",
        "ms",
        "place",
        "cpu",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_report_becomes_facts(parts in prop::collection::vec(any_json(), 0..4), result in any_json(), ended: bool) {
        let end = if ended { isolation::End::Result(json!({"failed": result})) } else { isolation::End::Signal(9) };
        let report = isolation::Report {
            job: "python".into(),
            end,
            last_stage: "app:load()".into(),
            parts,
            printed: String::new(),
            took: Duration::ZERO,
        };
        let facts = reported::facts("app:load", Some("app:run"), &report);
        prop_assert_eq!(facts.loader, Fact::Known("app:load".into()));
        if !ended {
            let told = [facts.error.known(), facts.forward_error.known()];
            prop_assert!(told.into_iter().flatten().any(|error| error.contains("signal 9")));
        }
    }
}
