//! Real servers with faults that show only while requests run, or beside them: looked at by the binary.

#[path = "setup/plain_server.rs"]
mod plain_server;
mod setup;

use plain_server::{PlainServer, start};
use serde_json::Value;
use setup::doctor::{Said, diagnosis, gpu_doctor, verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn run(server: &PlainServer, folder: &Path, variables: &[(&str, PathBuf)]) -> Value {
    run_path(server, "/infer", folder, variables)
}

fn run_path(server: &PlainServer, path: &str, folder: &Path, variables: &[(&str, PathBuf)]) -> Value {
    let (request, snapshot) = (server.client_request(folder, path), folder.join("snapshot.json"));
    let arguments =
        ["run", "--format", "json", "--server", &server.url(), "--client-request", request.to_str().unwrap()];
    let report = gpu_doctor(&[&arguments[..], &["--save", snapshot.to_str().unwrap()]].concat(), variables).report();
    assert!(snapshot.is_file(), "{report}");
    report
}

/// One fact of the snapshot that the last run left.
fn fact(folder: &Path, room: &str, name: &str) -> Value {
    let snapshot: Value = serde_json::from_slice(&std::fs::read(folder.join("snapshot.json")).unwrap()).unwrap();
    snapshot["facts"][room][name].clone()
}

fn known(folder: &Path, room: &str, name: &str) -> Value {
    let fact = fact(folder, room, name);
    fact.get("known").unwrap_or_else(|| panic!("{room}.{name}: {fact}")).clone()
}

/// A file of so many megabytes that takes no room on the disk.
fn large_file(folder: &Path, megabytes: u64) -> String {
    let path = folder.join("model.bin");
    std::fs::File::create(&path).unwrap().set_len(megabytes * 1_000_000).unwrap();
    path.display().to_string()
}

#[test]
fn a_server_that_answers_nothing_beside_a_request_is_found_and_its_twin_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--seconds", "0.5"]);
    let report = run(&server, folder.path(), &[]);
    let found = diagnosis(&report, "event-loop-blocked");
    assert_eq!(found["severity"], "warn");
    let during = known(folder.path(), "execution", "light_request_during_ms").as_f64().unwrap();
    let left = known(folder.path(), "execution", "light_request_left_ms").as_f64().unwrap();
    assert!((300.0..1000.0).contains(&during) && (300.0..1000.0).contains(&left), "{during} {left}");
    let twin = start(folder.path(), &["--seconds", "0.5", "--threads"]);
    let report = run(&twin, folder.path(), &[]);
    assert_eq!(verdict(&report, "event-loop-blocked"), "clear", "{report}");
    let idle = known(folder.path(), "execution", "light_request_idle_ms").as_f64().unwrap();
    assert!(idle < 200.0, "{idle}");
}

#[test]
fn an_async_handler_that_computes_blocks_the_loop_and_a_plain_one_does_not() {
    let Some(venv) = setup::venv::venv("cpu") else { return };
    let folder = tempfile::tempdir().unwrap();
    let port = setup::asr::free_port();
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/servers/blocking");
    let child = setup::asr::uvicorn(&venv, port).arg("--app-dir").arg(app).current_dir(folder.path()).spawn().unwrap();
    let server = PlainServer::adopt(child, port);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let judged = ["/blocking", "/threaded"]
        .map(|path| verdict(&run_path(&server, path, folder.path(), &[]), "event-loop-blocked").to_owned());
    assert_eq!(judged, ["holds", "clear"]);
}

#[test]
fn a_model_read_with_each_request_is_found_and_one_read_at_the_start_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = large_file(folder.path(), 60);
    let server = start(folder.path(), &["--read", &file]);
    let report = run(&server, folder.path(), &[]);
    let because = diagnosis(&report, "model-loaded-per-request")["because"].as_str().unwrap().to_owned();
    assert!(because.contains("reads at least 60 MB"), "{because}");
    let twin = start(folder.path(), &["--read-once", &file]);
    let report = run(&twin, folder.path(), &[]);
    assert_eq!(verdict(&report, "model-loaded-per-request"), "clear");
    assert!(known(folder.path(), "execution", "read_bytes_least").as_u64().unwrap() < 100_000);
}

#[test]
fn a_library_that_the_first_request_loads_is_seen_after_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so.1.23.2");
    std::fs::write(&library, vec![0; 8192]).unwrap();
    let server = start(folder.path(), &["--map-late", library.to_str().unwrap()]);
    run(&server, folder.path(), &[]);
    assert_eq!(known(folder.path(), "process", "gpu_libraries"), serde_json::json!({}));
    let after = known(folder.path(), "execution", "gpu_libraries_after");
    assert_eq!(after, serde_json::json!({"onnxruntime": library}));
}

/// A copy of the scenario in which the server's memory takes these values, MiB, each for 50 ms.
fn scenario_of_memory(folder: &Path, pid: u64, mib: impl Iterator<Item = u64>) -> Vec<(&'static str, PathBuf)> {
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    let steps: Vec<String> = mib.enumerate().map(|(n, mib)| format!("[{}, {mib}]", n as f64 * 0.05)).collect();
    let processes = format!("    processes: [{{pid: {pid}, used_mib: {{steps: [{}]}}}}]\n", steps.join(", "));
    let (scenario, clock) = (folder.join("scenario.yaml"), folder.join("began"));
    std::fs::write(&clock, "").unwrap();
    std::fs::write(&scenario, format!("clock_file: {}\n{text}{processes}", clock.display())).unwrap();
    setup::driver_variables(&scenario).to_vec()
}

/// Judges GPU memory that takes these values: by the check for leaks, and by that for models loaded anew.
fn judged_by_memory(mib: fn(u64) -> u64) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--seconds", "0.03", "--threads"]);
    // Sixteen seconds: the window opens some time after the first probe has asked NVML.
    let variables = scenario_of_memory(folder.path(), server.pid(), (0..320).map(mib));
    let report = run(&server, folder.path(), &variables);
    let trace = &fact(folder.path(), "execution", "gpus")["known"][0]["memory_trace"];
    assert_eq!(trace["known"]["of"], "server", "{trace}");
    let threads = known(folder.path(), "execution", "busiest_threads");
    assert_eq!(threads[0]["pid"], server.pid(), "{threads}");
    assert!(threads[0]["cpu_percent"].as_f64().unwrap() < 90.0, "a server that waits is not hot: {threads}");
    ["vram-leak", "model-loaded-per-request"].map(|check| verdict(&report, check).to_owned())
}

#[test]
fn gpu_memory_that_grows_with_every_request_is_a_leak() {
    assert_eq!(judged_by_memory(|n| 2000 + 4 * n), ["holds", "clear"]);
}

#[test]
fn gpu_memory_that_came_to_rest_is_a_full_cache() {
    assert_eq!(judged_by_memory(|n| 2000 + 100 * n.min(20)), ["clear", "clear"]);
}

#[test]
fn gpu_memory_that_comes_and_goes_is_a_model_loaded_anew() {
    assert_eq!(judged_by_memory(|n| if n % 6 < 3 { 500 } else { 3500 }), ["clear", "holds"]);
}

#[test]
fn a_thread_that_computes_all_the_time_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--spin", "0.05"]);
    let scenario = folder.path().join("scenario.yaml");
    let text = std::fs::read_to_string(setup::scenario("healthy-busy")).unwrap();
    std::fs::write(&scenario, text.replace("utilization_percent: 97", "utilization_percent: 42")).unwrap();
    let report = run(&server, folder.path(), &setup::driver_variables(&scenario));
    let threads = known(folder.path(), "execution", "busiest_threads");
    assert_eq!((&threads[0]["pid"], &threads[0]["tid"]), (&server.pid().into(), &server.pid().into()));
    // Where other tests use the cores too, the thread does not get one for itself.
    let hot = threads[0]["cpu_percent"].as_f64().unwrap() >= 90.0;
    assert_eq!(verdict(&report, "single-thread-cpu-ceiling"), if hot { "holds" } else { "clear" }, "{threads}");
    // However much of a core it got, it did most of what the server did.
    let server_percent = 100.0 * known(folder.path(), "execution", "cores_busy").as_f64().unwrap();
    let percent = threads[0]["cpu_percent"].as_f64().unwrap();
    assert!(percent > 0.0 && percent > 0.7 * server_percent, "{threads}, the server {server_percent} %");
}

#[test]
fn two_programs_on_one_port_are_found() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = start(old.path(), &["--reuse-port", "--threads", "--name", "old"]);
    let port = first.port.to_string();
    let alone = run(&first, old.path(), &[]);
    assert_eq!(verdict(&alone, "wrong-process-on-port"), "clear");
    let second = start(new.path(), &["--reuse-port", "--threads", "--name", "new", "--port", &port]);
    let report = run(&first, old.path(), &[]);
    let found = diagnosis(&report, "wrong-process-on-port");
    let because = found["because"].as_str().unwrap();
    for server in [&first, &second] {
        assert!(because.contains(&format!("PID {}", server.pid())), "{because}");
    }
    assert!(because.contains(new.path().to_str().unwrap()), "{because}");
    let instances = known(old.path(), "process", "instances");
    assert_eq!((&instances[0]["answers"], &instances[1]["answers"]), (&"some".into(), &"some".into()));
}

#[test]
fn another_program_on_the_other_ip_version_is_worth_a_warning() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return setup::left_out::note("this machine has no IPv6");
    }
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = start(new.path(), &["--threads"]);
    let other = start(old.path(), &["--threads", "--host", "::1", "--port", &server.port.to_string()]);
    let report = run(&server, new.path(), &[]);
    let found = diagnosis(&report, "wrong-process-on-port");
    assert_eq!(found["severity"], "warn");
    assert!(found["because"].as_str().unwrap().contains(&format!("PID {}", other.pid())), "{found}");
    let processes = known(new.path(), "process", "processes");
    assert_eq!(processes.as_array().unwrap().len(), 1, "the other one is no part of the server");
}

#[test]
fn a_library_that_was_replaced_under_the_server_is_found() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let files = ["libonnxruntime.so.1.23.2", "libcudart.so.12", "notes.so.1", "model.safetensors"];
    let paths = files.map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, vec![0; 8192]).unwrap());
    let mut arguments = vec!["--threads"];
    paths.iter().for_each(|path| arguments.extend(["--map", path.to_str().unwrap()]));
    let server = start(folder.path(), &arguments);
    let report = run(&server, folder.path(), &[]);
    assert_eq!(verdict(&report, "stale-mapped-libraries"), "clear");
    // One is gone, one is another file, one is neither a runtime's library nor a model, one stays.
    std::fs::remove_file(&paths[0]).unwrap();
    std::fs::remove_file(&paths[2]).unwrap();
    std::fs::remove_file(&paths[3]).unwrap();
    std::fs::write(&paths[3], "the next model").unwrap();
    let report = run(&server, folder.path(), &[]);
    assert_eq!(verdict(&report, "stale-mapped-libraries"), "holds");
    let deleted = known(folder.path(), "process", "deleted_libraries");
    let told: BTreeMap<&str, bool> = deleted
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["kind"].as_str().unwrap(), file["replaced"].as_bool().unwrap()))
        .collect();
    let mut expected = BTreeMap::from([("onnxruntime", false), ("model", true)]);
    // In a folder for temporary files, programs remove what they have loaded, and nothing is stale by that.
    if ["/tmp/", "/var/tmp/", "/dev/shm/", "/run/"].iter().any(|start| paths[0].starts_with(start)) {
        expected.remove("onnxruntime");
    }
    assert_eq!(told, expected, "{deleted}");
    assert!(deleted.as_array().unwrap().iter().all(|file| file["pid"] == server.pid()));
}

#[test]
fn a_process_tells_its_threads_its_reading_and_its_ids() {
    let folder = tempfile::tempdir().unwrap();
    let file = large_file(folder.path(), 20);
    let server = start(folder.path(), &["--read-once", &file]);
    run(&server, folder.path(), &[]);
    let process = &known(folder.path(), "process", "processes")[0];
    assert_eq!(process["threads"]["known"], 1);
    assert!(process["cpu_ms"]["known"].as_f64().unwrap() > 0.0);
    assert!(process["read_chars_bytes"]["known"].as_u64().unwrap() >= 20_000_000, "{process}");
    assert_eq!(process["namespace_pids"]["known"].as_array().unwrap()[0], server.pid());
    assert!(process["groups"]["known"].is_array());
    assert!(known(folder.path(), "process", "initial_pid_namespace").is_boolean());
}

#[test]
fn another_users_server_is_told_to_be_hidden_and_who_may_look() {
    use std::os::unix::process::CommandExt;
    // SAFETY: asks for the effective user id.
    if unsafe { libc::geteuid() } != 0 {
        return setup::left_out::note("only root can look as another user");
    }
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &["--threads"]);
    let output = std::process::Command::new(setup::GPU_DOCTOR)
        .args(["run", "--format", "json", "--only", "process", "--server", &server.url()])
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output();
    let Ok(output) = output else { return setup::left_out::note("the program may not be started by nobody") };
    let said = Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: std::time::Duration::ZERO,
    };
    let report = said.report();
    assert_eq!(
        verdict(&report, "wrong-process-on-port"),
        "clear",
        "one socket is one server, whoever may look into it"
    );
    let hidden = report.to_string();
    assert!(hidden.contains("run as uid 0 or root"), "{hidden}");
}
