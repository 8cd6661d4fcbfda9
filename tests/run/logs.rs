//! Logs through the whole run: named by the user, and found behind the server's own descriptors.

use crate::setup::doctor::{causes, diagnosis, gpu_doctor, outcome, verdict};
use crate::setup::{GPU_DOCTOR, driver_variables, scenario, scenario_with_faults};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn fixture(name: &str) -> String {
    format!("{}/fixtures/logs/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_kernel_log_names_the_gpu_that_fell_off_the_bus() {
    let log = fixture("kernel/dmesg-fallen.txt");
    let arguments = ["run", "--format", "json", "--only", "hardware,driver", "--kernel-log", &log];
    let (_folder, lost) = scenario_with_faults("healthy-idle", &["{call: nvmlInit_v2, returns: 15}"]);
    let said = gpu_doctor(&arguments, &driver_variables(&lost));
    let report = said.report();
    assert_eq!(causes(&report)[0], "xid79-off-bus", "{}", report["headline"]);
    let because = diagnosis(&report, "xid79-off-bus")["because"].as_str().unwrap().to_string();
    assert!(because.contains("GPU has fallen off the bus") && because.contains("NVML answers 15"), "{because}");
    assert_eq!(verdict(&report, "gpu-xid-errors"), "holds", "the driver's wish for a reboot");
    assert_eq!(said.code, 1);
}

#[test]
fn a_lost_gpu_is_found_without_the_kernel_log() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let log = empty.path().display().to_string();
    let arguments = ["run", "--format", "json", "--only", "hardware,driver", "--kernel-log", &log];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("two-gpus-one-lost"))).report();
    let lost = diagnosis(&report, "xid79-off-bus");
    assert_eq!(lost["severity"], "fail");
    assert!(lost["because"].as_str().unwrap().contains("NVML answers 15"), "{lost}");
}

#[test]
fn a_hang_is_explained_by_the_kernel_log() {
    let log = fixture("kernel/journal-gsp.txt");
    let arguments = ["run", "--format", "json", "--only", "hardware,driver", "--kernel-log", &log];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("nvml-hang"))).report();
    assert_eq!(causes(&report)[0], "gsp-timeout-xid119", "{}", report["headline"]);
    let healthy = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    assert_eq!(diagnosis(&healthy, "gsp-timeout-xid119")["severity"], "warn", "NVML answers now");
}

#[test]
fn a_named_log_says_that_the_server_uses_the_cpu() {
    let log = fixture("server/asr-cpu.log");
    let arguments = ["run", "--format", "json", "--only", "process", "--log", &log];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    assert_eq!(causes(&report), ["server-says-cpu"], "{}", report["headline"]);
    let because = diagnosis(&report, "server-says-cpu")["because"].to_string();
    assert!(because.contains("GPU: 0, CPU: 608123456"), "{because}");
    let healthy = fixture("server/healthy.log");
    let arguments = ["run", "--format", "json", "--only", "process", "--log", &healthy];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    assert_eq!(verdict(&report, "server-says-cpu"), "clear");
}

/// Causes that the log alone, beside a healthy GPU, comes to.
fn causes_of(log: &str) -> Vec<String> {
    let arguments = ["run", "--format", "json", "--log", &fixture(log)];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    causes(&report).into_iter().map(String::from).collect()
}

#[test]
fn the_log_of_a_server_that_was_given_no_driver_does_not_blame_this_machines() {
    assert_eq!(causes_of("server/triton-no-gpu.log"), [""; 0]);
}

#[test]
fn side_models_on_the_cpu_are_no_cause() {
    assert_eq!(causes_of("server/side-models.log"), [""; 0]);
}

#[test]
fn a_named_log_says_that_the_cuda_provider_could_not_be_loaded() {
    assert_eq!(causes_of("server/ort-gpu-without-libs.log"), ["ort-cuda-libs-missing-or-wrong-major"]);
}

#[test]
fn a_named_log_that_is_not_there_is_told() {
    let log = fixture("server/none.log");
    let report = gpu_doctor(&["run", "--format", "json", "--only", "process", "--log", &log], &[]).report();
    assert_eq!(outcome(&report, "server_log"), "failed");
    assert!(report["unknown"].to_string().contains("none.log"), "{}", report["unknown"]);
}

/// A server that writes to its error output what it chose, and answers nothing.
struct Server(Child);

impl Server {
    /// Starts a process that holds the listening socket, as its input.
    fn start(listener: TcpListener, errors: Stdio) -> Server {
        let child = Command::new("sh")
            .args(["-c", "echo 'Using device: cpu' >&2; exec sleep 120"])
            .stdin(OwnedFd::from(listener))
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn();
        Server(child.expect("sh starts"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_log_of_a_running_server_is_found_without_being_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start(listener, std::fs::File::create(&path).unwrap().into());
    let written = || std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 0);
    (0..500).take_while(|_| !written()).for_each(|_| std::thread::sleep(Duration::from_millis(10)));
    let url = format!("http://{address}");
    let arguments = ["run", "--format", "json", "--only", "process", "--server", &url];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    assert!(causes(&report).contains(&"server-says-cpu"), "{}", report["headline"]);
    let because = diagnosis(&report, "server-says-cpu")["because"].to_string();
    assert!(because.contains(&path.display().to_string()), "{because}");
    drop(server);
}

#[test]
fn a_server_that_writes_to_a_pipe_leaves_no_doubt_behind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start(listener, Stdio::piped());
    let url = format!("http://{address}");
    let arguments = ["run", "--format", "json", "--only", "process", "--server", &url];
    let report = gpu_doctor(&arguments, &driver_variables(&scenario("healthy-idle"))).report();
    assert_eq!(verdict(&report, "server-says-cpu"), "not_applicable");
    assert_eq!(outcome(&report, "server_log"), "skipped");
    drop(server);
}

#[test]
fn what_the_doctor_writes_is_not_read_as_the_servers_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.log");
    let append = || std::fs::OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let _server = Server::start(listener, append().into());
    let output = Command::new(GPU_DOCTOR)
        .args(["run", "--format", "json", "--only", "process", "--server", &url])
        .envs(driver_variables(&scenario("healthy-idle")))
        .stdin(Stdio::null())
        .stderr(append())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict(&report, "server-says-cpu"), "not_applicable", "{}", report["findings"]);
    assert!(report["findings"].to_string().contains("as the doctor's own does"), "{}", report["findings"]);
}
