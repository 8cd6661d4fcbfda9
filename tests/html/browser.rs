//! A headless Chromium (`fixtures/browser.sh`), spoken to over two pipes in the DevTools protocol.

use crate::setup::left_out;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longest wait for an answer or an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running browser with one page; it ends when this is dropped.
pub struct Browser {
    process: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    number: u64,
    /// Events of the page since it was opened.
    events: Vec<Value>,
    _profile: tempfile::TempDir,
}

/// The command, or `None` where it was not made.
fn command() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    let chromium = target.join("browser/chromium");
    if chromium.exists() {
        return Some(chromium);
    }
    left_out::note("the HTML report in Chromium: fixtures/browser.sh makes target/browser");
    None
}

impl Browser {
    /// Starts it with an empty page; `None` where there is no Chromium.
    pub fn start() -> Option<Self> {
        let chromium = command()?;
        let profile = tempfile::tempdir().expect("a temporary folder");
        // The protocol's pipes are descriptors 3 and 4, which here are the child's input and output.
        let mut process = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2", "sh"])
            .arg(chromium)
            .args(["--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--disable-dev-shm-usage"])
            // Whatever would leave the machine ends at a port that nobody listens on.
            .args(["--proxy-server=127.0.0.1:9", "--proxy-bypass-list=<-loopback>"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh starts");
        let commands = process.stdin.take().expect("its input is a pipe");
        let output = process.stdout.take().expect("its output is a pipe");
        let (send, messages) = channel();
        std::thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { return };
                let parsed = serde_json::from_slice(&message).expect("the protocol is JSON");
                if send.send(parsed).is_err() {
                    return;
                }
            }
        });
        let (number, session, events) = (0, String::new(), Vec::new());
        let mut browser = Self { process, commands, messages, session, number, events, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            browser.call(domain, json!({}));
        }
        Some(browser)
    }

    /// Calls a method of the protocol and returns its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).and_then(|()| self.commands.flush()).expect("Chromium listens");
        let number = self.number;
        let answer = self.wait(method, |message| message["id"] == number);
        assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// The next message that fits; events on the way are kept.
    fn wait(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = self.messages.recv_timeout(left).unwrap_or_else(|error| panic!("{what}: {error}"));
            if message.get("method").is_some() {
                self.events.push(message.clone());
            }
            if fits(&message) {
                return message;
            }
        }
    }

    /// Sets the size of the window, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let parameters = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", parameters);
    }

    /// Prefers light or dark.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// Opens a file, and waits until it is loaded.
    pub fn open(&mut self, file: &Path) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": format!("file://{}", file.display()) }));
        let is_loaded = |message: &Value| message["method"] == "Page.loadEventFired";
        if !self.events.iter().any(is_loaded) {
            self.wait("the page's load event", is_loaded);
        }
    }

    /// What an expression of JavaScript comes to in the page.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// What the page asked the network for.
    pub fn requested(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Errors and warnings: of the console, of the browser (policy, deprecation), and what was thrown.
    pub fn complaints(&self) -> Vec<String> {
        const BAD: &[&str] = &["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
        let is_bad = |event: &&Value| event["method"].as_str().is_some_and(|method| BAD.contains(&method));
        self.events.iter().filter(is_bad).map(Value::to_string).collect()
    }

    /// A picture of the whole page; kept where `GPU_DOCTOR_SCREENSHOTS` names a folder.
    pub fn screenshot(&mut self, name: &str) -> Vec<u8> {
        use base64::Engine;
        let size = self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let taken = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true, "clip": clip }));
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(taken["data"].as_str().unwrap_or_default())
            .expect("the picture is base64");
        keep(&format!("{name}.png"), &bytes);
        bytes
    }

    /// The page on paper, as PDF.
    pub fn print(&mut self, name: &str) -> Vec<u8> {
        use base64::Engine;
        let printed = self.call("Page.printToPDF", json!({ "paperWidth": 8.27, "paperHeight": 11.69 }));
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(printed["data"].as_str().unwrap_or_default())
            .expect("the PDF is base64");
        keep(&format!("{name}.pdf"), &bytes);
        bytes
    }
}

fn keep(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("GPU_DOCTOR_SCREENSHOTS") {
        std::fs::create_dir_all(&folder).expect("the folder can be made");
        std::fs::write(Path::new(&folder).join(name), bytes).expect("the picture can be written");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
