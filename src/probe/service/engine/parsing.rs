//! What is made of hostile answers, command lines and files.

use super::ports::Ports;
use super::python::{names_gpu, read_sources, stubs};
use super::*;
use crate::probe::service::transport::Route;
use crate::snapshot::ServerProcess;
use proptest::prelude::*;
use serde_json::Value;
use std::time::Instant;

fn asker() -> Asker {
    let server: url::Url = "http://127.0.0.1:1/".parse().unwrap();
    let recorder = Recorder::new(&server, &[]);
    Asker::new(server, Route::default(), Vec::new(), recorder, Instant::now()).unwrap()
}

/// Facts of a server with one process of this command, in this process's tree.
fn started(command: &str, folder: &std::path::Path) -> Facts {
    let unknown = Unknown::new(Why::NotAsked, "not part of this test");
    let mut facts = Facts::all_unknown(&unknown);
    let mut process = ServerProcess::all_unknown(u64::from(std::process::id()), &unknown);
    process.command = Fact::Known(command.into());
    process.working_directory = Fact::Known(folder.display().to_string());
    facts.process.processes = Fact::Known(vec![process]);
    facts
}

#[test]
fn the_ports_are_those_of_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let of = |command: &str| Ports::of(&started(command, folder.path()));
    let triton =
        |options: &str| of(&format!("/opt/tritonserver/bin/tritonserver --http-port=1 {options}")).triton_metrics;
    assert_eq!(triton("--metrics-port=18002"), Ok(18002));
    assert_eq!(triton("--metrics-port 18002 --metrics-port 18003"), Ok(18003), "the last one counts");
    assert_eq!(triton(""), Ok(8002));
    assert_eq!(triton("--metrics-port=99999"), Ok(8002));
    assert_eq!(triton("--allow-metrics=false --allow-metrics=true"), Ok(8002));
    assert_eq!(triton("--allow-metrics=false").unwrap_err().why, Why::NotAsked);
    assert_eq!(triton("--allow-gpu-metrics 0").unwrap_err().why, Why::NotAsked);
    assert_eq!(of("python app.py --metrics-port=1"), Ports::default());

    std::fs::write(
        folder.path().join("config.properties"),
        "inference_address=http://0.0.0.0:18910\n management_address = http://10.0.0.7:18911\n",
    )
    .unwrap();
    let java = "java -cp x org.pytorch.serve.ModelServer --python /usr/bin/python";
    assert_eq!(of(&format!("{java} -f config.properties -s m.mar")).torchserve_management, 18911, "the port alone");
    assert_eq!(of(&format!("{java} -f missing.properties")).torchserve_management, 8081);
    assert_eq!(of(java).torchserve_management, 8081);
}

#[test]
fn the_code_of_a_python_model_is_found_by_its_process_or_in_the_repository() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("models/asr/1/model.py");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n").unwrap();
    let model = || {
        let mut model = EngineModel::all_unknown("asr", &Unknown::new(Why::NotAsked, "not asked"));
        model.backend = Fact::Known("python".into());
        model.version = Fact::Known("1".into());
        model
    };
    let by_process = started(
        &format!(
            "/opt/backends/python/triton_python_backend_stub {} shm 1048576 1048576 1 /opt 336 asr_0_0 DEFAULT",
            file.display()
        ),
        folder.path(),
    );
    let by_repository = started("tritonserver --model-repository=nowhere --model-repository models", folder.path());
    for (facts, count) in [(by_process, 1), (by_repository, 0)] {
        let stubs = stubs(&facts);
        assert_eq!(stubs.as_ref().unwrap().len(), count);
        for stub in stubs.iter().flatten() {
            assert_eq!((stub.model.as_str(), stub.device_nodes_open.known()), ("asr", Some(&Vec::new())));
        }
        let mut models = [model()];
        read_sources(&mut models, &stubs, &facts);
        let source = models[0].python_source.known().unwrap();
        assert!(source.path.ends_with("models/asr/1/model.py") && source.names_gpu.is_empty(), "{source:?}");
    }
    let mut models = [EngineModel { name: "../asr".into(), ..model() }];
    let facts = started("tritonserver --model-repository models", folder.path());
    read_sources(&mut models, &Ok(Vec::new()), &facts);
    assert_eq!(models[0].python_source.reason().unwrap().why, Why::Absent, "no name leads out of the repository");
}

#[test]
fn code_that_speaks_of_a_gpu_is_told_from_code_that_does_not() {
    let real = include_str!("../../../../fixtures/servers/triton/models/echo/1/model.py");
    assert_eq!(names_gpu(real), [""; 0]);
    let own = "self.device = torch.device('cuda:' + args['model_instance_device_id'])\nself.model.to(self.device)\n";
    assert_eq!(names_gpu(own), ["model_instance_device_id", "cuda", "device", ".to("]);
    assert_eq!(names_gpu("    # TODO: move it to cuda\n"), [""; 0], "a comment");
    assert_eq!(names_gpu("device = torch.device(\"cpu\")\nmodel.to('cpu')\n"), [""; 0], "the CPU, by name");
    assert_eq!(names_gpu("device = 'cuda' if torch.cuda.is_available() else 'cpu'\n"), ["cuda"]);
    assert_eq!(names_gpu("import tensorflow as tf\n"), ["tensorflow"], "it takes the GPU by itself");
    assert_eq!(names_gpu("providers=['TensorrtExecutionProvider']"), ["tensorrt"]);
}

/// JSON of the fields that the answers have, with values of any kind.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "KIND_(GPU|CPU|MODEL)|READY|cuda|cpu|ensemble".prop_map(Value::from),
    ];
    let names = "name|model|models|modelName|size|size_vram|instance_group|kind|count|gpus|backend|platform|parameters|\
                 workspace-path|state|reason|version|workers|gpu|gpuUsage|id|status|applications|deployments|\
                 deployment_config|ray_actor_options|num_gpus|placement_group_bundles|GPU|replicas|model_id|router|\
                 model_device_type|max_best_of";
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(names, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

#[test]
fn any_answer_is_read_without_harm() {
    let asker = asker();
    let mut runner = proptest::test_runner::TestRunner::default();
    let read = |answer: Value| {
        let _ = (tgi::is_info(&answer), ray::are_routes(&answer));
        let told = tgi::told(&asker, &answer).models;
        let lists = [
            told.known().cloned().unwrap_or_default(),
            ollama::listed(&asker, &answer).unwrap_or_default(),
            ray::listed(&asker, &answer).unwrap_or_default(),
            vec![torchserve::model(&asker, "m", &answer)],
            triton::listed(&asker, &answer).unwrap_or_default(),
        ];
        for model in lists.into_iter().flatten() {
            prop_assert!(model.name.chars().count() <= 200);
            if let Fact::Known(device) = &model.device {
                let size = model.size_bytes.known().zip(model.size_vram_bytes.known());
                let wrong = device == "gpu" && size.is_some_and(|(size, vram)| *size > 0 && *vram == 0);
                prop_assert!(!wrong, "{model:?}");
            }
        }
        let mut model = EngineModel::all_unknown("m", &Unknown::new(Why::NotAsked, "not asked"));
        triton::configured(&asker, &mut model, &answer);
        // A device is told only if a group tells it.
        let groups = model.instance_groups.known().map(Vec::as_slice).unwrap_or_default();
        prop_assert_eq!(model.device.known().is_some_and(|device| device == "gpu"), {
            let kinds: Vec<&str> = groups.iter().map(|group| group.kind.as_str()).collect();
            let ensemble = model.platform.known().is_some_and(|platform| platform == "ensemble");
            !kinds.is_empty() && kinds.iter().all(|kind| *kind == "KIND_GPU") && !ensemble
        });
        Ok(())
    };
    runner.run(&json(), read).unwrap();
}

proptest! {
    #[test]
    fn any_code_and_any_command_line_are_read(text in "(?s).{0,300}") {
        let found = names_gpu(&text);
        let unique: std::collections::BTreeSet<&String> = found.iter().collect();
        prop_assert_eq!(unique.len(), found.len());
        let _ = Ports::of(&started(&format!("tritonserver {text}"), std::path::Path::new("/")));
        let _ = torchserve::is_health(&text);
    }
}
