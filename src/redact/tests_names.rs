//! Names that are also words: of the schema, of the checks, of software.

use super::*;
use crate::check::{Checks, Verdict, View, judge};
use serde_json::json;

fn healthy() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/snapshots/healthy-server.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn redaction_of(value: &Value, own: &Own) -> Snapshot {
    let snapshot = Snapshot::deserialize(value).unwrap();
    Redaction::with(&snapshot, Identifiers::Masked, own, Salt::of(b"test")).snapshot
}

fn verdicts(snapshot: &Snapshot, checks: &Checks) -> Vec<(String, std::mem::Discriminant<Verdict>)> {
    let findings = judge(checks, snapshot, &View::of(snapshot)).unwrap();
    findings.iter().map(|one| (one.check.spec.id.clone(), std::mem::discriminant(&one.verdict))).collect()
}

#[test]
fn no_word_as_a_name_changes_what_is_judged_or_whether_it_is_read() {
    let checks = Checks::load(None).unwrap();
    let before = verdicts(&Snapshot::deserialize(&healthy()).unwrap(), &checks);
    let fits = |word: &&str| word.len() >= 3 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let words: Vec<&str> = closed::all().filter(fits).chain(["library", "gpu-doctor"]).collect();
    assert!(words.contains(&"absent") && words.contains(&"snapshot") && words.len() > 100, "{words:?}");
    // All at once, and those that broke it by themselves.
    let alone =
        ["absent", "gpu-doctor", "snapshot", "listener", "library_missing", "optional", "library"].map(|one| vec![one]);
    for words in alone.into_iter().chain([words]) {
        let mut value = healthy();
        let lines = words.iter().flat_map(|word| {
            [
                format!("GET http://{word}/ failed"),
                format!("open /home/{word}/x"),
                format!("Nov 23 10:00:00 {word} kernel: NVRM"),
            ]
        });
        value["facts"]["kernel_log"]["lines"] = json!({ "known": lines.collect::<Vec<_>>() });
        value["facts"]["docker"]["name"] = json!({ "known": words[0] });
        let own = Own { host: Some(words[0].into()), user: Some(words[0].into()), ..Own::default() };
        let redacted = redaction_of(&value, &own);
        let written = serde_json::to_value(&redacted).unwrap();
        assert_eq!(written["schema"], SCHEMA);
        Snapshot::deserialize(&written).unwrap();
        // The control: at its own place the name goes.
        let line = written["facts"]["kernel_log"]["lines"]["known"][0].as_str().unwrap();
        assert!(line.starts_with("GET http://host-"), "{line}");
        assert_eq!(verdicts(&redacted, &checks), before, "{words:?}");
    }
}

#[test]
fn a_part_that_cannot_be_read_is_left_out_and_the_rest_is_kept() {
    let mut value = healthy();
    value["facts"]["docker"]["name"] = json!({ "unknown": { "why": "host-3f2a9c", "detail": "PLANTED" } });
    value["target"]["server_is_local"] = json!("PLANTED");
    let kept = readable(value);
    let written = serde_json::to_string(&kept).unwrap();
    assert!(!written.contains("PLANTED") && written.contains("left out of this snapshot"), "{written}");
    let whole = Snapshot::deserialize(&healthy()).unwrap();
    assert_eq!((kept.facts.process, kept.probes.len()), (whole.facts.process, whole.probes.len()));
}

#[test]
fn what_a_command_adds_is_left_out_rather_than_told_whole() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Added {
        #[serde(with = "only_home")]
        path: String,
    }
    mod only_home {
        use serde::{Deserialize, Deserializer, Serializer};
        pub fn serialize<S: Serializer>(path: &str, to: S) -> Result<S::Ok, S::Error> {
            to.serialize_str(path)
        }
        pub fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<String, D::Error> {
            let text = String::deserialize(from)?;
            if text.contains("user-") { Err(serde::de::Error::custom("no token")) } else { Ok(text) }
        }
    }
    let snapshot = Snapshot::deserialize(&healthy()).unwrap();
    let mut redaction = Redaction::with(&snapshot, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    assert!(redaction.value(&Added { path: "/srv/x".into() }).is_some());
    assert!(redaction.value(&Added { path: "/home/ada/x".into() }).is_none());
}

#[test]
fn names_of_gpus_and_models_stay_whatever_a_machine_or_container_is_called() {
    let mut value = json!({
        "nvml": { "gpus": { "known": [{ "name": { "known": "NVIDIA H100 80GB HBM3" } }] } },
        "docker": { "name": { "known": "whisper-large-v3" }, "image": { "known": "acme/whisper-large-v3:1" } },
        "process": { "command": "python serve.py --model openai/whisper-large-v3" },
        "log": "Nov 23 10:00:00 h100 kernel: NVRM: H100 80GB; h100:8000 refused",
    });
    let own = Own { host: Some("h100".into()), ..Own::default() };
    redacted_value(&mut value, Identifiers::Masked, &own, Salt::of(b"test"));
    assert_eq!(value["nvml"]["gpus"]["known"][0]["name"]["known"], "NVIDIA H100 80GB HBM3");
    assert_eq!(value["process"]["command"], "python serve.py --model openai/whisper-large-v3");
    assert_eq!(value["docker"]["image"]["known"], "acme/whisper-large-v3:1");
    assert!(value["docker"]["name"]["known"].as_str().unwrap().starts_with("ctr-"), "{value}");
    let log = value["log"].as_str().unwrap();
    assert!(log.contains("H100 80GB") && !log.contains("h100"), "{log}");
}

#[test]
fn versions_and_routes_are_no_identifiers() {
    let lines = json!([
        "need <Version('9.1.0.70')> but found Version(\"12.4.5.8\")",
        "libcublas.so.12.4.5.8",
        "GET /users/transcriptions HTTP/1.1",
        "GET /Users/transcriptions HTTP/1.1",
        "POST /v1/transcriptions and x/transcriptions/y",
    ]);
    let mut value = lines.clone();
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    assert_eq!(value, lines);
    let mut value = json!(["/Users/ada/x and C:\\Users\\bob\\x and file:///home/eve1/x", "ada bob /srv/ada/x eve1"]);
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    let text = value[0].as_str().unwrap();
    assert!(!text.contains("ada") && !text.contains("bob") && !text.contains("eve1"), "{value}");
    let text = value[1].as_str().unwrap();
    assert!(text.starts_with("ada bob /srv/user-") && !text.contains("eve1"), "{value}");
}

#[test]
fn many_folders_in_one_word_and_many_equal_names_take_time_by_their_number() {
    let began = std::time::Instant::now();
    let names: serde_json::Map<String, Value> =
        (0..20_000).map(|at| (format!("hf_AbcdefghijkL{at:06}"), json!(1))).collect();
    let mut value = json!({ "log": "/home".repeat(1 << 19), "operators": names });
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    assert_eq!(value["operators"].as_object().unwrap().len(), 20_000);
    assert!(began.elapsed().as_secs() < 30, "{:?}", began.elapsed());
}

#[test]
fn names_that_only_free_text_and_variables_tell_are_masked() {
    let id = "7c1f0b9d6a5e4f3c2b1a0918273645546372819fa0b1c2d3e4f5061728394a5b";
    let mut value = json!({
        "target": { "command": ["serve", "--host", "gpu17.acme.de", "--user", "anna", "--port", "80"] },
        "process": { "environment": {
            "USER": "anna", "LOGNAME": "anna", "HOSTNAME": "ATHENA", "MASTER_ADDR": "gpu17", "HOST": "0.0.0.0",
            "SLURMD_NODENAME": "gpu17", "KUBERNETES_NODE_NAME": "gpu17", "OLLAMA_HOST": "http://gpu17.acme.de:11434",
        } },
        "docker": { "error": format!("container {id} and {id} of sha256:69c62e13fa75d3439ba7bd5bb25d323c1d33acdf140140ea65a4a76697d0fc28"),
            "image": "acme@sha256:0c1f0b9d6a5e4f3c2b1a0918273645546372819fa0b1c2d3e4f5061728394a5b" },
        "log": [
            "open /home/anna/x", "session of user anna is over", "anna      1234  0.0 python", "chown to 1000(anna)",
            "from 10.20.30.40", "product_uuid: 4c4c4544-0042-3510-8052-b7c04f4e3132", "machine-id 0123456789abcdef0123456789abcdef",
            "mail anna.schmidt@acme.de", "hostname: GPU17-NODE", "pull registry.acme.de/team/image:tag",
            "/kubepods/burstable/pod7f1c0b9d-6a5e-4f3c-8b1a-091827364554/x", "read by GPU17 and athena:80",
        ],
    });
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    let all = value.to_string();
    for gone in [
        "anna",
        "gpu17",
        "GPU17",
        "ATHENA",
        "athena",
        "acme.de",
        "10.20.30.40",
        "4c4c4544",
        "0123456789abcdef",
        "schmidt",
        "7f1c0b9d",
        &format!("container {id}"),
        &format!("and {id}"),
    ] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
    for kept in [
        "sha256:69c62e13fa75d3439ba7bd5bb25d323c1d33acdf140140ea65a4a76697d0fc28",
        "\"HOST\":\"0.0.0.0\"",
        "/team/image:tag",
    ] {
        assert!(all.contains(kept), "{kept}: {all}");
    }
    assert_eq!(
        value["docker"]["image"],
        "acme@sha256:0c1f0b9d6a5e4f3c2b1a0918273645546372819fa0b1c2d3e4f5061728394a5b"
    );
    let again = value.clone();
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    assert_eq!(value, again);
}

#[test]
fn a_machine_called_like_a_gpu_or_a_library_breaks_no_verdict() {
    let checks = Checks::load(None).unwrap();
    let before = verdicts(&Snapshot::deserialize(&healthy()).unwrap(), &checks);
    for host in ["a100", "cuda", "h100", "rtx4090", "torch", "onnxruntime-gpu", "cuda12", "python3"] {
        let mut value = healthy();
        let lines = [
            format!("hostname={host}"),
            format!("Connected to {host} (10.2.3.4) port 80"),
            format!("NVIDIA {host} found"),
        ];
        value["facts"]["kernel_log"]["lines"] = json!({ "known": lines });
        let own = Own { host: Some(host.into()), user: Some(host.into()), ..Own::default() };
        let redacted = redaction_of(&value, &own);
        assert_eq!(verdicts(&redacted, &checks), before, "{host}");
    }
    let own = Own { host: Some("a100".into()), ..Own::default() };
    let mut value = json!({ "log": "NVIDIA A100-SXM4-80GB; a100:8000 refused; hostname=a100x" });
    redacted_value(&mut value, Identifiers::Masked, &own, Salt::of(b"test"));
    let log = value["log"].as_str().unwrap();
    assert!(log.starts_with("NVIDIA A100-SXM4-80GB; host-") && log.contains(":8000 refused"), "{log}");
}

#[test]
fn documents_that_are_told_together_know_each_others_names() {
    let with_name =
        json!({ "kubernetes": { "nodes": [{ "name": "rack3-gpu17" }] }, "log": "Nov 23 10:00:00 gpu18 kernel: x" });
    let with_text = json!({ "log": "rack3-gpu17 is down, and gpu18 is up", "headline": "x", "cause": "gpu-idle" });
    let mut together = [with_text.clone(), with_name.clone()];
    redacted_together(&mut together, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    let text = together[0].to_string();
    assert!(!text.contains("gpu17") && !text.contains("gpu18"), "{text}");
    assert!(text.contains(together[1]["kubernetes"]["nodes"][0]["name"].as_str().unwrap()), "{text}");
    // The control: alone it tells them, for nothing in it says that they are names.
    let mut alone = with_text;
    redacted_value(&mut alone, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    assert!(alone.to_string().contains("rack3-gpu17"), "{alone}");
}
