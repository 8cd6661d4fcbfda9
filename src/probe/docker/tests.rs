use super::*;
use crate::probe::Ask;
use crate::snapshot::{ComposeGpuRequest, ServerProcess};
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/docker").join(format!("{name}.json"))
}

fn probe(root: &Path, inspect: Option<PathBuf>, facts: &mut Facts) -> (DockerFacts, Ran) {
    let ask = Ask { root: root.into(), docker_inspect: inspect, ..Ask::default() };
    let ran = run(&Context { ask, deadline: Instant::now() + PROBE.budget }, facts);
    (facts.docker.clone(), ran)
}

fn nothing() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"))
}

fn of(name: &str) -> DockerFacts {
    let dir = tempfile::tempdir().unwrap();
    probe(dir.path(), Some(fixture(name)), &mut nothing()).0
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[test]
fn a_running_container_with_gpus_is_read_whole() {
    let docker = of("gpu-container");
    let text = |fact: &Fact<String>| fact.known().cloned().unwrap_or_default();
    assert_eq!(text(&docker.record), "container");
    assert_eq!((text(&docker.name), text(&docker.id)), ("asr".into(), "7c1f0b9d6a5e".into()));
    assert_eq!(text(&docker.image), "registry.example.com/speech/asr:1.4.0-cuda12");
    assert_eq!((text(&docker.state), text(&docker.runtime)), ("running".into(), "runc".into()));
    assert_eq!((docker.was_started.clone(), docker.exit_code.clone()), (Fact::Known(true), Fact::Known(0)));
    let requests = docker.gpu_requests.known().unwrap();
    assert_eq!((requests[0].count, requests[0].capabilities[0][0].as_str()), (-1, "gpu"));
    assert_eq!(text(&docker.installation), "system");
    assert_eq!(docker.shm_size_bytes, Fact::Known(64 << 20));
    assert_eq!(docker.cpu_limit.reason().unwrap().why, Why::NotAsked, "no limit is no limit of 0");
    let environment = docker.environment.known().unwrap();
    assert_eq!(environment.get("NVIDIA_VISIBLE_DEVICES").map(String::as_str), Some("all"));
    assert_eq!(environment.get("NVIDIA_API_KEY").map(String::as_str), Some("***"));
    assert!(!environment.contains_key("HF_TOKEN") && !environment.contains_key("PATH"), "{environment:?}");
    assert_eq!(docker.mounts.known().unwrap()[0].source, "/srv/models");
    assert_eq!(docker.options_after_image, Fact::Known(vec![]));
    for (name, fact) in serde_json::to_value(&docker).unwrap().as_object().unwrap() {
        let why = fact.pointer("/unknown/why").and_then(|why| why.as_str());
        let told = why.is_none() || why == Some("not_asked") || why == Some("absent");
        assert!(told, "{name}: {fact}");
    }
}

#[test]
fn what_failed_and_where_it_belongs_is_read() {
    assert!(of("no-toolkit").start_error.known().unwrap().contains("could not select device driver"));
    assert_eq!(of("no-toolkit").was_started, Fact::Known(false));
    assert_eq!(of("runtime-nvidia-unknown").runtime, Fact::Known("nvidia".into()));
    let snap = of("snap-docker");
    assert_eq!(snap.installation, Fact::Known("snap".into()));
    assert!(snap.installation_told_by.known().unwrap().contains("/var/snap/docker/"), "{snap:?}");
    let image = of("image");
    assert_eq!(image.record, Fact::Known("image".into()));
    assert_eq!(image.image, Fact::Known("nvidia/cuda:12.8.1-base-ubuntu24.04".into()));
    assert!(image.environment.known().unwrap().contains_key("NVIDIA_REQUIRE_CUDA"));
    assert_eq!(image.state.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn a_flag_after_the_image_is_seen_and_the_secrets_beside_it_are_not() {
    let docker = of("flag-after-cpu-image");
    assert_eq!(docker.options_after_image, Fact::Known(vec!["--gpus all".into()]));
    assert_eq!(docker.gpu_requests, Fact::Known(vec![]));
    let command = docker.command.known().unwrap();
    assert!(command.starts_with("text-embeddings-router --model-id") && !command.contains("hf_abc"), "{command}");
}

#[test]
fn podmans_record_is_read_too() {
    let docker = of("podman-rootless");
    assert_eq!((docker.engine, docker.runtime), (Fact::Known("podman".into()), Fact::Known("crun".into())));
    assert_eq!(docker.installation, Fact::Known("rootless".into()));
    assert_eq!(docker.image, Fact::Known("registry.example.com/speech/asr:1.4.0".into()));
    assert_eq!(docker.cdi_devices, Fact::Known(vec!["nvidia.com/gpu=all".into()]));
    assert_eq!(docker.gpu_requests, Fact::Known(vec![]));
    assert_eq!(docker.command, Fact::Known("uvicorn app:app".into()));
    assert!(docker.start_error.known().unwrap().contains("devices.allow: permission denied"));
}

#[test]
fn of_several_containers_the_one_of_the_server_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = || Some(fixture("two-containers"));
    let (untold, ran) = probe(dir.path(), file(), &mut nothing());
    assert_eq!(untold.name.reason().unwrap().why, Why::Malformed);
    assert!(ran.detail.contains("holds 2 records (redis, asr)"), "{}", ran.detail);
    let mut by_port = nothing();
    by_port.process.port = Fact::Known(6379);
    assert_eq!(probe(dir.path(), file(), &mut by_port).0.name, Fact::Known("redis".into()));
    let mut by_pid = nothing();
    let unknown: Fact<String> = Fact::unknown(Why::Absent, "test");
    let process: ServerProcess = serde_json::from_value(serde_json::json!({
        "pid": 4242, "role": "listener", "command": unknown, "executable": unknown, "working_directory": unknown,
        "uid": {"known": 0}, "started_at": unknown, "resident_bytes": {"known": 1}, "reloads": {"known": false},
    }))
    .unwrap();
    by_pid.process.processes = Fact::Known(vec![process]);
    assert_eq!(probe(dir.path(), file(), &mut by_pid).0.name, Fact::Known("asr".into()));
}

#[test]
fn compose_files_are_found_by_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "srv/asr/compose.yml", "services: {asr: {image: x}}");
    write(dir.path(), "srv/asr/compose.gpu.yml", "services: {asr: {gpus: all}}");
    let (docker, _) = probe(dir.path(), Some(fixture("compose-without-gpu")), &mut nothing());
    let files = docker.compose_files.known().unwrap();
    assert_eq!(files.len(), 2, "{files:?}");
    let wanted =
        ComposeGpuRequest { service: "asr".into(), key: "gpus".into(), count: "all".into(), device_ids: vec![] };
    assert_eq!((files[1].used, files[1].gpu_requests.clone()), (false, Fact::Known(vec![wanted])));
}

#[test]
fn the_set_up_of_a_tree_is_told_without_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(
        root,
        "etc/docker/daemon.json",
        "{\n  \"runtimes\": {\"nvidia\": {\"path\": \"nvidia-container-runtime\"}}\n}\n",
    );
    write(root, "usr/bin/nvidia-ctk", "");
    write(root, "proc/stat", "cpu 1 2 3\nbtime 1000000000\n");
    write(root, "proc/77/comm", "dockerd\n");
    write(root, "proc/77/cmdline", "/usr/bin/dockerd\0-H\0fd://\0");
    write(root, "proc/77/status", "Name:\tdockerd\nUid:\t0\t0\t0\t0\n");
    write(root, "proc/77/stat", "77 (dockerd) S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 12 0 5000 1 1\n");
    let (docker, ran) = probe(root, None, &mut nothing());
    assert_eq!(ran.outcome, crate::snapshot::Outcome::Ok);
    assert_eq!(docker.name.reason().unwrap().detail, "--docker-inspect was not given");
    let daemons = docker.daemons.known().unwrap();
    assert_eq!((daemons.len(), daemons[0].installation.as_str(), daemons[0].pid), (1, "system", 77));
    assert_eq!(daemons[0].started_at, Fact::Known("2001-09-09T01:47:30Z".into()));
    let config = &docker.daemon_configs.known().unwrap()[0];
    assert_eq!(config.runtimes, Fact::Known(vec!["nvidia".into()]));
    assert!(config.newer_than_daemon_by_seconds.known().unwrap() > &1e8, "it was written just now");
    assert_eq!(docker.toolkit_programs, Fact::Known(vec!["/usr/bin/nvidia-ctk".into()]));
    assert_eq!(docker.cdi_specifications, Fact::Known(vec![]));
    assert_eq!(docker.toolkit_no_cgroups.reason().unwrap().why, Why::Absent);
    write(root, "var/snap/docker/current/config/daemon.json", "{} {}");
    write(root, "proc/77/cmdline", "dockerd\0--data-root=/var/snap/docker/common/var-lib-docker\0");
    let (docker, _) = probe(root, None, &mut nothing());
    assert_eq!(docker.other_installations, Fact::Known(vec!["snap".into()]));
    assert_eq!(docker.daemons.known().unwrap()[0].installation, "snap");
    let snap = docker.daemon_configs.known().unwrap().iter().find(|config| config.installation == "snap").unwrap();
    assert!(snap.error.known().unwrap().contains("trailing characters at line 1"), "{snap:?}");
}

#[test]
fn hostile_files_give_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("inspect.json");
    let said = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let (docker, ran) = probe(dir.path(), Some(path.clone()), &mut nothing());
        let unknown = docker.name.reason().cloned().unwrap_or_else(|| panic!("{docker:?}"));
        (unknown.why, ran.detail)
    };
    let cases: [(&[u8], &str); 9] = [
        (b"", "it is empty"),
        (b"[]", "it holds no record"),
        (b"Error: No such object: asr\n", "it is not JSON"),
        (b"[{\"Id\": ", "line 1"),
        (b"[1, 2]", "[0] is a number; expected an object"),
        (b"[{\"kind\": \"Pod\"}]", "no record of a container or an image"),
        (b"\xff\xfe[\0]\0", "it is not JSON"),
        (b"\0\0\0\0", "it is not JSON"),
        (&b"[".repeat(5000), "recursion limit"),
    ];
    for (bytes, expected) in cases {
        let (why, detail) = said(bytes);
        assert_eq!(why, Why::Malformed, "{detail}");
        assert!(detail.contains(expected) && detail.contains("inspect.json"), "{detail}");
    }
    let huge = fs::File::create(&path).unwrap();
    huge.set_len(1 << 40).unwrap();
    let (docker, _) = probe(dir.path(), Some(path.clone()), &mut nothing());
    assert!(docker.name.reason().unwrap().detail.contains("larger than"));
    fs::remove_file(&path).unwrap();
    let name = std::ffi::CString::new(path.display().to_string()).unwrap();
    // SAFETY: a valid C string; mkfifo makes a file and nothing else.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let (docker, _) = probe(dir.path(), Some(path), &mut nothing());
    assert!(docker.name.reason().unwrap().detail.contains("not a regular file"));
}

#[test]
fn a_field_of_a_wrong_type_spoils_itself_alone() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("gpu-container")).unwrap();
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value[0]["State"]["Error"] = serde_json::json!({"deep": [1]});
    value[0]["HostConfig"]["DeviceRequests"] = serde_json::json!("all");
    value[0]["Config"]["Env"] = serde_json::json!([7]);
    let path = dir.path().join("inspect.json");
    fs::write(&path, value.to_string()).unwrap();
    let (docker, _) = probe(dir.path(), Some(path), &mut nothing());
    assert_eq!(docker.name, Fact::Known("asr".into()));
    let said = |reason: Option<&Unknown>| reason.unwrap().detail.rsplit("json: ").next().unwrap().to_owned();
    assert_eq!(said(docker.start_error.reason()), "[0].State.Error is an object; expected text");
    assert_eq!(said(docker.gpu_requests.reason()), "[0].HostConfig.DeviceRequests is text; expected a list");
    assert_eq!(said(docker.environment.reason()), "[0].Config.Env[0] is a number; expected text");
}

proptest::proptest! {
    #[test]
    fn any_record_is_read(
        config in "\\PC{0,60}", error in "\\PC{0,60}", words in proptest::collection::vec("[-a-z= /.]{0,12}", 0..6),
    ) {
        let value = serde_json::json!([{
            "Id": config, "State": {"Error": error}, "Config": {"Cmd": words, "Env": words, "Entrypoint": config},
            "HostConfig": {"DeviceRequests": words, "NanoCpus": -5, "Devices": [words]},
        }]);
        let record = choice::of_deployment(&value, "test", &nothing()).unwrap();
        let docker = inspect::read(&record);
        proptest::prop_assert_eq!(docker.start_error, Fact::Known(error));
    }
}
