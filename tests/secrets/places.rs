//! The places in which the secrets are planted.

use crate::planted::Planted;
use crate::setup;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server and files that hold the secrets.
pub struct Stage {
    folder: tempfile::TempDir,
    server: Child,
    port: u16,
    bearer: String,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(setup::cases::fixtures().join(path)).unwrap()).unwrap()
}

impl Stage {
    /// Plants them: each in one place at least, and every place has some.
    pub fn set_up(planted: &[Planted]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut left = planted.iter().map(|one| one.sentence.replace('\n', " "));
        let mut take = |count: usize| -> Vec<String> { left.by_ref().take(count).collect() };
        let environment = take(20);
        let command_line = take(20);
        let sentences = json!({
            "log": take(45), "answer": take(25), "header": take(10), "schema": take(15), "metrics": take(10),
            "default": planted[0].secret,
        });
        let sentences = write("sentences.json", sentences.to_string());

        let mut docker = json_of("docker/gpu-container.json");
        let record = if docker.is_array() { &mut docker[0] } else { &mut docker };
        let variables = take(10);
        let set = variables.iter().enumerate().map(|(number, text)| format!("NVIDIA_X{number}_TOKEN={text}"));
        record["Config"]["Env"].as_array_mut().unwrap().extend(set.map(Value::from));
        record["Config"]["Labels"]["org.opencontainers.image.source"] = format!("marker-docker {}", take(1)[0]).into();
        record["State"]["Error"] = format!("marker-docker {}", take(4).join(" ; ")).into();
        write("docker.json", docker.to_string());

        let mut pods = json_of("kubernetes/pending.json");
        for item in pods["items"].as_array_mut().unwrap() {
            match item["kind"].as_str() {
                Some("Event") => item["message"] = format!("marker-pod {}", take(5).join(" ; ")).into(),
                Some("Pod") => {
                    let words: Vec<Value> = take(2).into_iter().map(Value::from).collect();
                    item["spec"]["containers"][0]["args"] = words.into();
                    let variable = json!([{ "name": "NVIDIA_API_KEY", "value": planted[1].secret }]);
                    item["spec"]["containers"][0]["env"] = variable;
                }
                _ => {}
            }
        }
        write("pods.json", pods.to_string());

        let kernel = take(5).iter().fold(String::new(), |log, text| {
            log + "[  12.5] NVRM: GPU at PCI:0000:01:00: GPU-77aa77aa-8d4e-4b6a-9c01-7e2f1a0b3c4d\n"
                + &format!("[  13.5] NVRM: Xid (PCI:0000:01:00): 79, pid=1, name=marker-kernel {text}\n")
        });
        write("kernel.log", kernel);
        let headers = take(8).iter().enumerate().fold(String::new(), |all, (number, text)| {
            all + &format!(" -H 'x-odd-{number}: {}'", text.replace('\'', ""))
        });
        let secret = &planted[2].secret;
        let client = format!(
            "curl -X POST 'http://127.0.0.1:8000/asr?api_key={secret}&marker-client=1'{headers} -H 'content-type: application/json' -d '{{\"text\": \"marker-client\", \"password\": \"{secret}\"}}'"
        );
        write("client.curl", client);
        let rest: Vec<String> = left.collect();
        assert!(rest.len() >= 10, "each place has some");
        let rows = rest.iter().fold("timestamp,status,latency_ms,error\n".to_owned(), |rows, text| {
            rows + &format!("1700000000.0,500,12.5,\"marker-cell {}\"\n", text.replace('"', "\"\""))
        });
        write("requests.csv", rows);
        let log = folder.path().join("server.log");
        std::fs::write(&log, "").unwrap();

        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/secrets/server.py");
        let mut server = Command::new("python3");
        server.arg(program).arg(sentences).arg(&log).args(&command_line);
        server.args(["--api-key", &planted[3].secret, "marker-command"]).current_dir(folder.path());
        for (number, text) in environment.iter().enumerate() {
            server.env(format!("PLANTED_{number}"), text).env(format!("NVIDIA_{number}_TOKEN"), text);
        }
        server.env("CUDA_VISIBLE_DEVICES", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d");
        let mut server = server.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let mut line = String::new();
        BufReader::new(server.stdout.take()?).read_line(&mut line).ok()?;
        let port = line.trim().parse().expect("the server says its port");
        Some(Self { folder, server, port, bearer: planted[4].secret.clone() })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The commands to run, by name.
    pub fn commands(&self) -> Vec<(&'static str, Vec<String>)> {
        let url = format!("http://127.0.0.1:{}/", self.port);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let files = format!(
            "--server {url} --log {} --kernel-log {} --docker-inspect {} --kubectl {} --client-request {}",
            self.file("server.log"),
            self.file("kernel.log"),
            self.file("docker.json"),
            self.file("pods.json"),
            self.file("client.curl"),
        );
        vec![
            ("run", words(&format!("run -v --requests 3 --bearer-env PLANTED_BEARER {files}"))),
            ("collect", words(&format!("collect {files}"))),
            (
                "stress",
                words(&format!("stress --server {url} --log {} --users 1 --duration 1s", self.file("server.log"))),
            ),
            ("triage", words(&format!("triage {} {}", self.file("requests.csv"), self.file("server.log")))),
            ("request", words(&format!("request --server {url}"))),
        ]
    }

    /// The fake driver's.
    pub fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let mut variables = setup::driver_variables(&setup::scenario("healthy-idle")).to_vec();
        variables.push(("PLANTED_BEARER", self.bearer.clone().into()));
        variables
    }

    /// Whom it is about.
    pub fn identifiers(&self) -> Vec<&'static str> {
        vec!["10.77.1.9", "gpu-box-77", "adalovelace", "5f3c2a10-8d4e", "77aa77aa-8d4e"]
    }

    /// What stands beside the secrets, and is told.
    pub fn markers(&self) -> Vec<&'static str> {
        vec![
            "marker-log",
            "marker-answer",
            "marker-kernel",
            "marker-docker",
            "marker-pod",
            "marker-command",
            "marker-client",
        ]
    }
}
