//! One run of the doctor against a server, as a program reads it.

use crate::setup::cases::fixtures;
use crate::setup::doctor::gpu_doctor;
use serde_json::{Value, json};

/// What a run came to.
pub struct Asked {
    /// The report.
    pub report: Value,
    facts: Value,
    duration_ms: f64,
}

/// Runs every case, and fails with the names of those that failed; each has said why by then.
pub fn each(cases: &[(&str, &dyn Fn())]) {
    let fails = |case: &&(&str, &dyn Fn())| std::panic::catch_unwind(std::panic::AssertUnwindSafe(case.1)).is_err();
    let failed: Vec<&str> = cases.iter().filter(fails).map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "{} of {} failed: {failed:#?}", failed.len(), cases.len());
}

/// Most requests of the doctor's own before it has a good one.
const REQUESTS: usize = 12;
/// Most time beside waiting for answers, milliseconds.
const BESIDE_INFERENCE_MS: f64 = 3000.0;

/// Runs the doctor with nothing but the URL.
pub fn ask(url: &str) -> Asked {
    ask_with(url, "", None)
}

/// Runs the doctor with the client's request: the arguments of `curl` after a path, `/asr -F audio=@speech.wav`. The
/// samples of `fixtures/samples` lie beside it, and `silence.wav`.
pub fn ask_client(url: &str, request: &str) -> Asked {
    ask_with(url, "", Some(request))
}

/// Runs the doctor with these settings and, if one is given, the client's request.
pub fn ask_with(url: &str, settings: &str, request: Option<&str>) -> Asked {
    run(url, settings, request, &[])
}

/// Runs the doctor with `--contract` on the operation of that path.
pub fn ask_contract(url: &str, path: &str) -> Asked {
    run(url, &format!("request: {{path: {path}}}"), None, &["--contract"])
}

fn run(url: &str, settings: &str, request: Option<&str>, options: &[&str]) -> Asked {
    let folder = tempfile::tempdir().unwrap();
    for sample in ["speech.wav", "image.png"] {
        std::fs::copy(fixtures().join("samples").join(sample), folder.path().join(sample)).unwrap();
    }
    std::fs::write(folder.path().join("silence.wav"), silence()).unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (saved, config, client) = (place("snapshot.json"), place("config.yaml"), place("request.txt"));
    std::fs::write(&config, settings).unwrap();
    let mut arguments =
        vec!["run", "--format", "json", "--server", url, "--requests", "2", "--save", &saved, "--config", &config];
    arguments.extend(options);
    if let Some(request) = request {
        std::fs::write(&client, format!("curl {url}{request}\n")).unwrap();
        arguments.extend(["--client-request", &client]);
    }
    let said = gpu_doctor(&arguments, &[]);
    let report = said.report();
    let snapshot: Value = serde_json::from_slice(&std::fs::read(&saved).unwrap()).unwrap();
    let probes = snapshot["probes"].as_array().unwrap();
    let service = probes.iter().find(|probe| probe["id"] == "service").expect("the server was asked");
    Asked { report, facts: snapshot["facts"].clone(), duration_ms: service["duration_ms"].as_f64().unwrap() }
}

/// A second of silence: PCM, 16 bit, mono, 16 kHz.
fn silence() -> Vec<u8> {
    let (rate, bytes) = (16_000_u32, 32_000_u32);
    let numbers = |list: &[u32]| -> Vec<u8> { list.iter().flat_map(|number| number.to_le_bytes()).collect() };
    let format = [&b"WAVEfmt "[..], &numbers(&[16, 1 | 1 << 16, rate, rate * 2, 2 | 16 << 16])].concat();
    let samples = vec![0; bytes as usize];
    [b"RIFF", &numbers(&[36 + bytes])[..], &format, b"data", &numbers(&[bytes]), &samples].concat()
}

impl Asked {
    /// What is known of a fact of the conversation; null if nothing is.
    pub fn known(&self, fact: &str) -> Value {
        self.facts["request"][fact].get("known").cloned().unwrap_or_default()
    }

    /// The server was recognized as this, and by what is told.
    pub fn assert_kind(&self, kind: &str) {
        assert_eq!(self.known("server_kind"), kind, "recognized by {}", self.known("recognized_by"));
        assert!(self.known("recognized_by").as_str().is_some_and(|by| !by.is_empty()));
    }

    /// The same, and its version and the models that it serves.
    pub fn assert_server(&self, kind: &str, version: &str, models: &[&str]) {
        self.assert_kind(kind);
        assert_eq!(self.known("server_version"), version);
        assert_eq!(self.known("served_models"), json!(models));
    }

    /// A request was accepted, after few requests and soon. Returns its exchange.
    pub fn assert_good(&self) -> Value {
        let good = self.known("good");
        assert!(!good.is_null(), "no good request: {}\n{}", self.facts["request"]["good"], self.attempts());
        let status = good["status"]["known"].as_u64().unwrap_or_default();
        // A WebSocket is accepted by changing the protocol.
        let accepts = (200..300).contains(&status) || status == 101 && good["method"] == "WEBSOCKET";
        assert!(accepts && good["accepted"] == true, "{good}");
        let attempts = self.known("attempts");
        let attempts = attempts.as_array().expect("attempts");
        assert!(attempts.len() <= REQUESTS, "{} requests: {}", attempts.len(), self.attempts());
        let beside = self.beside_inference_ms();
        assert!(beside < BESIDE_INFERENCE_MS, "{beside:.0} ms beside inference");
        good
    }

    /// The value that the good request has for a field.
    pub fn sent(&self, field: &str) -> Value {
        let good = self.known("good");
        let fields = good["fields"].as_array().expect("the good request has fields");
        let found = fields.iter().find(|sent| sent["name"] == field);
        found.unwrap_or_else(|| panic!("{field} is not among {fields:?}"))["value"].clone()
    }

    /// Time of the conversation without the measuring window, its rest before it, and the answers waited for.
    fn beside_inference_ms(&self) -> f64 {
        let waited = |exchange: &Value| exchange["duration_ms"].as_f64().unwrap_or_default();
        let attempts = self.known("attempts");
        let asked: f64 = attempts.as_array().into_iter().flatten().map(waited).sum();
        let execution = &self.facts["execution"];
        let measured = |fact: &str| execution[fact]["known"].as_f64().unwrap_or_default();
        let window = measured("window_ms") + measured("baseline_ms");
        self.duration_ms - window - asked - waited(&self.known("client"))
    }

    /// The client's request was rejected because it lacks these fields, which the doctor proved by sending them, and the
    /// request is mended.
    pub fn assert_missing(&self, fields: &[&str]) {
        let missing = self.known("missing_fields");
        let names: Vec<&str> =
            missing.as_array().into_iter().flatten().filter_map(|field| field["name"].as_str()).collect();
        let reason = &self.facts["request"]["missing_fields"];
        assert_eq!(names, fields, "{reason}\nclient: {}\n{}", self.known("client"), self.attempts());
        assert!(self.causes().contains(&"required-field-missing"), "{:?}", self.causes());
        self.assert_good();
        self.assert_mended(fields);
    }

    /// The client's request was rejected for the value of this field: the doctor says so, and mends it.
    pub fn assert_wrong(&self, field: &str) {
        self.assert_blamed(field);
        self.assert_good();
        self.assert_mended(&[field]);
    }

    /// These fields stand among the differences, and the mended request has the good one's values of them. An optional
    /// field that the good request lacks is left out.
    fn assert_mended(&self, fields: &[&str]) {
        let (differences, mended) = (self.known("differences"), self.known("mended_curl"));
        for field in fields {
            let differs = |one: &&Value| one["name"] == *field && one["client"] != one["good"];
            let found = differences.as_array().into_iter().flatten().find(differs);
            let found = found.unwrap_or_else(|| panic!("{field} is no difference: {differences}"));
            let has = mended.as_str().unwrap_or_else(|| panic!("nothing is mended: {mended}")).contains(field);
            assert_eq!(has, found["good"] != "", "{field}: {found}, mended: {mended}");
        }
    }

    /// The client's request was rejected, and a cause of the conversation names this.
    pub fn assert_blamed(&self, named: &str) {
        assert_eq!(self.known("client")["accepted"], false, "{}", self.known("client"));
        let told: Vec<String> = self.diagnoses().iter().map(|d| d["because"].to_string()).collect();
        assert!(
            told.iter().any(|because| because.contains(named)),
            "{named} is not named: {told:?}\nclient: {}\ngood: {}",
            self.known("client"),
            self.known("good")
        );
    }

    /// One of these is a cause.
    pub fn assert_cause(&self, causes: &[&str]) {
        let found = self.causes();
        assert!(
            causes.iter().any(|cause| found.contains(cause)),
            "none of {causes:?} is among {found:?}: {}",
            self.known("client")
        );
    }

    /// The client's request is accepted and blamed for nothing.
    pub fn assert_nothing_wrong(&self) {
        assert_eq!(self.known("client")["accepted"], true, "{}", self.known("client"));
        assert_eq!(self.causes(), Vec::<&str>::new(), "{:?}", self.diagnoses());
        assert_eq!(self.known("missing_fields"), json!([]));
        let findings = self.report["findings"].as_array().expect("findings");
        let open = |finding: &&Value| finding["stage"] == "request" && finding["verdict"] == "unknown";
        assert_eq!(findings.iter().find(open), None, "a sound request leaves nothing open");
    }

    /// What the doctor made of the server's own state.
    pub fn assert_ready(&self, state: &str) {
        assert_eq!(self.known("readiness")[state]["known"], true, "{}", self.known("readiness"));
    }

    /// Causes of the stage `request`, which are about the conversation and not about this machine.
    pub fn causes(&self) -> Vec<&str> {
        self.diagnoses().iter().filter_map(|d| d["cause"].as_str()).collect()
    }

    fn diagnoses(&self) -> Vec<&Value> {
        let all = self.report["diagnoses"].as_array().expect("diagnoses");
        all.iter().filter(|diagnosis| diagnosis["stage"] == "request").collect()
    }

    /// What was tried, a line each.
    pub fn attempts(&self) -> String {
        let attempts = self.known("attempts");
        let line = |one: &Value| {
            let names: Vec<&str> =
                one["fields"].as_array().into_iter().flatten().filter_map(|f| f["name"].as_str()).collect();
            format!("  {} {} {names:?} -> {} {}", one["method"], one["path"], one["status"]["known"], one["answer"])
        };
        attempts.as_array().into_iter().flatten().map(line).collect::<Vec<String>>().join("\n")
    }
}
