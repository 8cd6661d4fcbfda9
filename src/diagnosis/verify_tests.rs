use super::*;
use crate::snapshot::Fact;

fn snapshot(name: &str) -> Snapshot {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/snapshots").join(name);
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_check_s_command_becomes_what_the_user_ran() {
    let mut snapshot = snapshot("a1.json");
    snapshot.target.command =
        ["run", "--server", "http://127.0.0.1:8000/", "--operation", "/asr", "--smoke"].map(str::to_owned).to_vec();
    let told = |text: &str| completed(text, &snapshot);
    assert_eq!(
        told("gpu-doctor run --only request --server http://127.0.0.1:8000/"),
        "gpu-doctor run --only request --server http://127.0.0.1:8000/ --operation /asr --smoke"
    );
    assert_eq!(
        told("SERVER_TOKEN=... gpu-doctor run --bearer-env SERVER_TOKEN"),
        "SERVER_TOKEN=... gpu-doctor run --server http://127.0.0.1:8000/ --operation /asr --smoke --bearer-env SERVER_TOKEN"
    );
    for other in
        ["nvidia-smi -L", "gpu-doctor run --server x | grep y", "gpu-doctor model a.onnx", "", "my-gpu-doctor run"]
    {
        assert_eq!(told(other), other);
    }
}

#[test]
fn files_are_judged_again_by_their_names() {
    let mut snapshot = snapshot("files-a1.json");
    let names: Vec<String> =
        snapshot.facts.recorded.files.known().unwrap().iter().map(|file| file.name.clone()).collect();
    assert_eq!(completed("gpu-doctor triage FILE...", &snapshot), format!("gpu-doctor triage {}", names.join(" ")));
    snapshot.target.command = ["triage", "--utc-offset=+05:30", "my file.csv"].map(str::to_owned).to_vec();
    let line = "gpu-doctor triage --utc-offset=+05:30 'my file.csv'";
    assert_eq!(completed("gpu-doctor triage FILE...", &snapshot), line);
    assert_eq!(completed("gpu-doctor run --server unknown", &snapshot), "gpu-doctor run --server http://HOST:PORT");
}

#[test]
fn a_server_that_has_ended_is_not_named() {
    let snapshot = snapshot("demo.json");
    let line = "gpu-doctor run --only request --server http://HOST:PORT --client-request FILE";
    let of_check =
        "gpu-doctor run --only request --server http://127.0.0.1:8000/ --client-request 'the demo'\\''s client'";
    assert_eq!(completed(of_check, &snapshot), line);
    assert_eq!(completed("curl http://127.0.0.1:8000/asr -F x=y", &snapshot), "curl http://HOST:PORT/asr -F x=y");
}

#[test]
fn recordings_that_are_read_are_made_anew_first() {
    let mut snapshot = snapshot("healthy-machine.json");
    snapshot.target.nvidia_smi = Some("smi.xml".into());
    snapshot.target.docker_inspect = Some("inspect.json".into());
    snapshot.facts.docker.name = Fact::Known("/asr".into());
    let run = "gpu-doctor run --only driver --docker-inspect inspect.json --nvidia-smi smi.xml";
    let told = |text: &str| anew(completed(text, &snapshot), &snapshot);
    assert_eq!(told("gpu-doctor run --only driver"), ["nvidia-smi -q -x > smi.xml", run]);
    assert_eq!(told("gpu-doctor run --only container")[0], "docker inspect asr > inspect.json");
    assert_eq!(told("gpu-doctor run").len(), 3);
    assert_eq!(told("nvidia-smi"), ["nvidia-smi"]);
}

#[test]
fn balance_is_typed_again_as_it_was() {
    let mut snapshot = snapshot("healthy-server.json");
    let typed =
        "balance --server ws://127.0.0.1:8000/asr --cacert ca.pem --connections 16 --over-http --status-path /pool";
    snapshot.target.command = shlex::split(typed).unwrap();
    let wanted = "gpu-doctor balance --connections 16 --server ws://127.0.0.1:8000/asr";
    assert_eq!(completed(wanted, &snapshot), format!("gpu-doctor {typed}"));
    // `run` has not all of its options.
    let again = completed("gpu-doctor run --only execution --server unknown", &snapshot);
    assert_eq!(again, "gpu-doctor run --only execution --server ws://127.0.0.1:8000/asr --cacert ca.pem");
}
