use super::*;
use crate::snapshot::{Facts, Target, Unknown, Why};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::json;

fn masked(mut value: Value) -> Value {
    redacted_value(&mut value, Identifiers::Masked, &Own::default(), Salt::of(b"test"));
    value
}

fn text(text: &str) -> String {
    masked(json!({ "detail": text }))["detail"].as_str().unwrap().to_owned()
}

#[test]
fn four_numbers_are_an_address_only_where_the_place_says_so() {
    for shown in [
        "http://10.1.2.3:8000/asr",
        "INFO:     10.1.2.3:51234 - \"POST /asr HTTP/1.1\" 422",
        "10.1.2.3 - - [23/Nov/2026:10:00:00 +0000] \"GET /\"",
        "connect to 10.1.2.3 refused",
        "--host 10.1.2.3 --port 8000",
        "route 10.1.0.0/16 via eth0",
        "('10.1.2.3', 51234)",
        "it is 192.168.7.8, they say",
        "[2001:db8::1]:8000 and fe80::1ff:fe23:4567:890a: refused",
        "ether 02:42:ac:11:00:02 ",
    ] {
        let text = text(shown);
        assert!(
            !text.contains("10.1") && !text.contains("192.168") && !text.contains("db8") && !text.contains("fe23"),
            "{text}"
        );
        assert!(!text.contains("02:42"), "{text}");
    }
    for version in [
        "nvidia-cudnn-cu12 9.1.0.70 is installed",
        "nvidia-cudnn-cu12==9.1.0.70",
        "TensorRT 10.0.1.6",
        "cuBLAS (12.4.5.8): cannot open",
        "upgraded from 12.4.5.8 to 12.6.0.1",
        "/usr/lib/libcublas.so.12.4.5.8",
        "http://127.0.0.1:8000 and 0.0.0.0:80 and [::1]:80 and http://169.254.169.254/",
        "std::vector<ade::add> at 12:30:45 on 00000000:01:00.0",
        "containerd://1.7.22",
        "SHA1 AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
    ] {
        assert_eq!(text(version), version);
    }
}

#[test]
fn what_one_place_tells_is_masked_in_every_other_but_a_version() {
    let snapshot = masked(json!({
        "target": { "server": "http://10.1.2.3:8000/", "command": ["run", "--server", "http://10.1.2.3:8000/"] },
        "log": ["client 10.9.8.7 said", "10.9.8.7 was slow, 10.1.2.3 not", "10.0.1.6 is TensorRT"],
        "peers": [{ "address": "10.0.1.6:80" }, { "address": "db-7.acme.net" }],
        "packages": [{ "name": "tensorrt", "version": "10.0.1.6" }],
    }));
    let server = snapshot["target"]["server"].as_str().unwrap();
    let token = server.strip_prefix("http://").unwrap().strip_suffix(":8000/").unwrap();
    assert!(token.starts_with("ip-") && token.len() == 9, "{token}");
    assert_eq!(snapshot["target"]["command"][2], server);
    assert!(snapshot["log"][1].as_str().unwrap().ends_with(&format!("{token} not")), "{snapshot}");
    assert!(!snapshot["log"][1].as_str().unwrap().contains("10.9.8.7"), "{snapshot}");
    assert_eq!(snapshot["log"][2], "10.0.1.6 is TensorRT");
    assert_eq!(snapshot["packages"][0]["version"], "10.0.1.6");
}

#[test]
fn identifiers_keep_their_shape_and_the_same_stays_the_same() {
    let snapshot = masked(json!({
        "gpu": "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d", "environment": { "CUDA_VISIBLE_DEVICES": "GPU-5f3c2a10" },
        "home": "/home/ada/app/server.py", "log": "serial: 1323021012345; /data/ada/x; ada@gpu01; File \"/home/ada/x\"",
        "kernel": "Nov 23 10:00:00 gpu01 kernel: NVRM: GPU Board Serial Number: 1323021012345", "said": "gpu01 is down",
        "docker": { "id": "7c1f0b9d6a5e" },
        "path": "/docker/7c1f0b9d6a5e4f3c2b1a0918273645546372819fa0b1c2d3e4f5061728394a5b/x",
        "url": "https://huggingface.co/a/b http://localhost:1/ http://asr:8000 asr:8000 /asr GPU-accelerated",
        "digest": "sha256:69c62e13fa75d3439ba7bd5bb25d323c1d33acdf140140ea65a4a76697d0fc28 /root/x",
    }));
    let all = snapshot.to_string();
    for gone in ["5f3c2a10", "ada", "gpu01", "1323021012345", "7c1f0b9d6a5e", "asr:8000"] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
    let uuid = snapshot["gpu"].as_str().unwrap();
    assert!(uuid.len() == 40 && uuid.starts_with("GPU-"), "{uuid}");
    assert_eq!(snapshot["environment"]["CUDA_VISIBLE_DEVICES"], uuid[..12]);
    assert!(
        snapshot["path"]
            .as_str()
            .unwrap()
            .starts_with(&format!("/docker/{}/", snapshot["docker"]["id"].as_str().unwrap()))
    );
    assert!(snapshot["home"].as_str().unwrap().starts_with("/home/user-") && all.contains("/app/server.py"));
    assert!(
        all.contains("https://huggingface.co/a/b http://localhost:1/") && all.contains(" /asr GPU-accelerated"),
        "{all}"
    );
    assert!(
        snapshot["digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:69c62e13fa75d3439ba7bd5bb25d323c1d33acdf140140ea65a4a76697d0fc28 /root/x")
    );
    assert_eq!(masked(snapshot.clone()), snapshot);
}

#[test]
fn another_salt_gives_other_tokens_and_no_salt_keeps_secrets() {
    let text = "http://gpu-7.acme.net:80/?token=Zx81qqP0rrTT7 and Zx81qqP0rrTT7 again";
    let of = |salt: &[u8], identifiers| {
        let mut value = json!([text]);
        redacted_value(&mut value, identifiers, &Own::default(), Salt::of(salt));
        value[0].as_str().unwrap().to_owned()
    };
    assert_ne!(of(b"a", Identifiers::Masked), of(b"b", Identifiers::Masked));
    assert_eq!(of(b"a", Identifiers::Masked), of(b"a", Identifiers::Masked));
    assert_eq!(of(b"a", Identifiers::Kept), "http://gpu-7.acme.net:80/?token=*** and *** again");
}

#[test]
fn names_of_variables_stay_and_values_of_those_on_no_list_go() {
    let shown = masked(json!({
        "environment": { "CUDA_VISIBLE_DEVICES": "0", "HF_TOKEN": "abc", "MY_SETTING": "x" },
        "headers": { "server": "uvicorn", "x-internal": "q" },
        "fields": [{ "name": "api_key", "value": "abcdef" }, { "name": "lang", "value": "en" }],
        "command": ["run", "--api-key", "abcdef", "-H", "x-odd: zz", "--max-tokens", "5"],
    }));
    let environment = json!({ "CUDA_VISIBLE_DEVICES": "0", "HF_TOKEN": "***", "MY_SETTING": "***" });
    assert_eq!(shown["environment"], environment);
    assert_eq!(shown["headers"], json!({ "server": "uvicorn", "x-internal": "***" }));
    assert_eq!(shown["fields"][0]["value"], "***");
    assert_eq!(shown["fields"][1]["value"], "en");
    assert_eq!(shown["command"], json!(["run", "--api-key", "***", "-H", "x-odd: ***", "--max-tokens", "5"]));
}

#[test]
fn long_lines_take_time_by_their_length() {
    let line = "Nov 23 10:00:00 gpu01 kernel: INFO: 10.1.2.3:51234 - \"POST /asr?token=abcdefgh1234 HTTP/1.1\" key: x: \"y\" @://";
    let hostile = [
        line.repeat(1 << 14),
        "key=".repeat(1 << 18),
        "-----BEGIN PRIVATE KEY".repeat(1 << 18),
        "a://@".repeat(1 << 20),
    ];
    for text in hostile {
        let began = std::time::Instant::now();
        masked(json!({ "log": text }));
        assert!(began.elapsed().as_secs() < 40, "{:?}", began.elapsed());
    }
}

fn snapshot_with(text: &str) -> Snapshot {
    Snapshot {
        schema: crate::snapshot::SCHEMA.into(),
        schema_minor: crate::snapshot::SCHEMA_MINOR,
        tool: crate::TOOL.into(),
        taken_at: "2026-11-23T10:00:00Z".into(),
        target: Target { root: text.into(), ..Target::default() },
        probes: Vec::new(),
        facts: Facts::all_unknown(&Unknown::new(Why::Absent, text)),
    }
}

proptest! {
    // The same texts each time: others are tried by the fuzz target `redaction`.
    #![proptest_config(ProptestConfig { cases: 128, rng_seed: RngSeed::Fixed(0x67b7_5eed), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived_and_what_is_redacted_stays_as_it_is(
        parts in prop::collection::vec(prop_oneof![
            any::<String>(),
            "[a-z0-9:./@=\"' -]{0,20}",
            prop::sample::select(vec![
                "http://", "https://u:p@", "/home/", "ada", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d", "GPU-5f3c", "10.1.2.3",
                ":8000", "token=", "api_key: ", "\"password\": \"", "Bearer ", "abcdefgh1234", "-----BEGIN PRIVATE KEY-----",
                "-----END PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0B", "serial: ", "12345678", "host=", " - - [", "gpu-7.acme.net", "***",
                "[fe80::1234:1]", "02:42:ac:11:00:02", "\\", "%22", "%3D", "Cookie: ", "--key ", "ip-0c1d2e", "hf_", "sk-",
                "hostname=", "--host ", "gpu17", ".acme.de", "Connected to ", " port 80", "USER=", "anna", "user anna", "uid=1000(",
                ": Name or service not known", "anna@acme.de", " or newer", "10.9.8.7", "TensorRT ", "(", ")", " ", "docker-7c1f0b9d6a5e",
            ]).prop_map(str::to_owned),
        ], 0..8).prop_map(|parts| parts.concat()),
    ) {
        for identifiers in [Identifiers::Kept, Identifiers::Masked] {
            let own = Own { host: Some("gpu-7".into()), user: Some("ada".into()), ..Own::default() };
            let with = |snapshot: &Snapshot| Redaction::with(snapshot, identifiers, &own, Salt::of(b"x")).snapshot;
            let once = with(&snapshot_with(&parts));
            prop_assert_eq!(with(&once), once);
        }
    }
}
