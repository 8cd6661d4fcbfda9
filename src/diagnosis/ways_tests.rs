use super::*;
use crate::snapshot::{Fact, Facts, Why};
use proptest::prelude::*;
use std::collections::BTreeSet;

const KINDS: &[Why] =
    &[Why::Absent, Why::Denied, Why::TimedOut, Why::Unsupported, Why::Crashed, Why::Malformed, Why::NotAsked];

fn healthy() -> Snapshot {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/healthy-server.json");
    let mut snapshot: Snapshot = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    snapshot.target.command = ["run", "--server", "http://127.0.0.1:8000/"].map(str::to_owned).to_vec();
    snapshot
}

fn got(path: &str, why: Why, detail: &str) -> String {
    way(path, &why.to_string(), detail, &healthy())
}

#[test]
fn obstacles_that_users_meet_have_their_way() {
    let run = "gpu-doctor run --server http://127.0.0.1:8000/";
    for (path, why, detail, expected) in [
        (
            "process.environment",
            Why::Denied,
            "/proc/17/environ: permission denied; run as uid 1000 or root",
            format!("run as the server's user: `sudo -u '#1000' {run}`"),
        ),
        (
            "derived.gpu_libraries",
            Why::Denied,
            "a socket of uid 0 listens; whose it is was refused for 78 processes: run as uid 0 or root",
            format!("run as root: `sudo {run}`"),
        ),
        (
            "derived.gpu_libraries",
            Why::Denied,
            "a socket of uid 7, 8 listens; whose it is was refused for 78 processes: run as uid 7, 8 or root",
            format!("run as the server's user: `sudo {run}`"),
        ),
        (
            "kernel_log.xids",
            Why::Denied,
            "/dev/kmsg: permission denied",
            format!("read the kernel's log as root: `sudo dmesg > kernel.log`, then `{run} --kernel-log kernel.log`"),
        ),
        (
            "smoke.devices",
            Why::NotAsked,
            "the doctor runs a kernel only with --smoke",
            format!("let a small kernel run on the GPU: `{run} --smoke`"),
        ),
        (
            "derived.activity",
            Why::Malformed,
            "127.0.0.1:8000 speaks TLS, plain HTTP was sent: name it https://",
            "name the server as it is spoken to: `gpu-doctor run --server https://127.0.0.1:8000/`".into(),
        ),
        (
            "host.gpus",
            Why::NotAsked,
            "the server is on another machine",
            "run on the machine on which the server runs: `gpu-doctor run --server http://HOST:PORT`".into(),
        ),
        ("derived.python_models_off_gpu", Why::Absent, "the answer has no field instance_group", String::new()),
    ] {
        assert_eq!(got(path, why, detail), expected, "{path}: {detail}");
    }
}

#[test]
fn a_container_s_server_is_examined_inside() {
    let mut snapshot = healthy();
    let detail = "nothing listens on port 8000 in the doctor's network namespace; a server that answers there is in \
                  another one (a container with a published port): run gpu-doctor inside the container";
    let told = |snapshot: &Snapshot| way("process.processes", "absent", detail, snapshot);
    snapshot.facts.docker.name = Fact::Known("/asr".into());
    let docker = told(&snapshot);
    assert!(docker.contains("`docker exec asr /tmp/gpu-doctor run --server http://127.0.0.1:8000/`"), "{docker}");
    snapshot.target.kubectl = vec!["kubectl.json".into()];
    let pod = told(&snapshot);
    assert!(pod.contains("`kubectl exec POD -- /tmp/gpu-doctor run --server http://127.0.0.1:8000/`"), "{pod}");
    snapshot.facts.request.reachable = Fact::Known(false);
    assert!(told(&snapshot).starts_with("start the server, or name the address"), "nothing answers at all");
}

/// No kind of obstacle in any room is forgotten: it has a way, or a reason why there is none.
#[test]
fn every_room_and_every_kind_has_a_way_or_a_reason() {
    for way in WAYS.iter() {
        assert_ne!(way.get.is_empty(), way.no_way.is_empty(), "either a way or a reason: {way:?}");
        let kinds: BTreeSet<String> = KINDS.iter().map(Why::to_string).chain(["failed".into()]).collect();
        assert!(way.why.iter().all(|kind| kinds.contains(kind)), "no such kind: {way:?}");
        let rooms: Vec<&str> = Facts::ROOMS.iter().copied().chain(["derived", "service", "balance"]).collect();
        let named = |start: &String| rooms.iter().any(|room| start == room || start.starts_with(&format!("{room}.")));
        assert!(way.of.iter().all(named), "no such room: {way:?}");
    }
    // What every obstacle meets: entries that ask for no words and no options.
    let general = |way: &&Way| {
        way.says.is_empty() && way.unless.is_empty() && way.given.is_empty() && !way.unreached && !way.bare
    };
    for room in Facts::ROOMS.iter().copied().chain(["derived"]) {
        for kind in KINDS {
            let fits = |way: &&Way| {
                (way.of.is_empty() || way.of.iter().any(|start| room.starts_with(start.as_str())))
                    && (way.why.is_empty() || way.why.contains(&kind.to_string()))
            };
            assert!(WAYS.iter().filter(general).any(|way| fits(&way)), "{room}, {kind}: neither a way nor a reason");
        }
    }
}

proptest! {
    #[test]
    fn no_target_and_no_obstacle_breaks_a_way(
        place in 0..4000usize,
        words in "\\PC{0,40}",
        server in proptest::option::of("\\PC{0,30}"),
        command in proptest::collection::vec("(--[a-z]{1,9}(=\\PC{0,5})?|\\PC{0,12})", 0..6),
        recorded in any::<bool>(),
    ) {
        let mut snapshot = healthy();
        snapshot.target.server = server;
        snapshot.target.command = recorded.then(|| "run".to_owned()).into_iter().chain(command).collect();
        let ways = WAYS.len();
        let chosen = &WAYS[place % ways];
        let detail = format!("{} {words}", chosen.says.first().cloned().unwrap_or_default());
        let path = chosen.of.first().cloned().unwrap_or("process.environment".into());
        let why = chosen.why.first().cloned().unwrap_or("denied".into());
        let told = way(&path, &why, &detail, &snapshot);
        prop_assert!(!told.contains("{again") && !told.contains("{as_"), "{}", told);
    }
}
