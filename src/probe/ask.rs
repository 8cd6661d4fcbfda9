//! What the user asked about, after flags and config are joined.

use crate::snapshot::{Expectations, Facts, LoadStep, Target, Waited, WantedUsers};
use std::collections::BTreeMap;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

/// Longest wait for a name server.
const NAME_PATIENCE: Duration = Duration::from_secs(2);

/// The question put to the probes. Holds secrets (headers); only [`Ask::target`] reaches the snapshot.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Root of the examined file tree.
    pub root: PathBuf,
    /// The server's base URL.
    pub server: Option<Url>,
    /// The model's file.
    pub model: Option<PathBuf>,
    /// The onnxruntime library.
    pub onnxruntime: Option<PathBuf>,
    /// The deployment's Python interpreter.
    pub python: Option<PathBuf>,
    /// The client's own request: where it came from, and its curl command line.
    pub client_request: Option<(String, String)>,
    /// Logs of the server.
    pub logs: Vec<PathBuf>,
    /// A kernel log in a file.
    pub kernel_log: Option<PathBuf>,
    /// The output of `docker inspect`.
    pub docker_inspect: Option<PathBuf>,
    /// Outputs of `kubectl get ... -o json`.
    pub kubectl: Vec<PathBuf>,
    /// The output of `nvidia-smi -q -x`.
    pub nvidia_smi: Option<PathBuf>,
    /// Whether to run the doctor's own kernel on every device.
    pub smoke: bool,
    /// Python modules to import in a child, with `python`.
    pub imports: Vec<String>,
    /// How the model's placement is to be found out.
    pub placement: PlacementAsk,
    /// `module:callable` of the deployment that loads its model, with `python`.
    pub loader: Option<String>,
    /// `module:callable` that runs one inference with what the loader returned.
    pub forward: Option<String>,
    /// Longest time for both.
    pub loader_timeout: Duration,
    /// What the user expects of the machine.
    pub expect: Expectations,
    /// Path of the operation to try, when the user named one.
    pub operation: Option<String>,
    /// The method of that operation, when the user named one.
    pub method: Option<String>,
    /// The media type of its body, when the user named one.
    pub content_type: Option<String>,
    /// Values for fields of the doctor's request, by name; `@FILE` stands for the file's content.
    pub fields: BTreeMap<String, String>,
    /// Whether to send requests that break the server's contract in one place each.
    pub contract: bool,
    /// How the server is reached.
    pub connection: Connection,
    /// Headers for every request to the server, such as `authorization`.
    pub headers: Vec<(String, String)>,
    /// Requests of the measuring window, at most.
    pub requests: u32,
    /// Length of the measuring window, at most.
    pub window: Duration,
    /// Samples of the GPUs' counters a second, 1 to 100.
    pub sample_rate_hz: u32,
    /// The connections that are to be opened and held; none unless that is asked for.
    pub balance: Option<BalanceAsk>,
    /// Longest time the whole run may take.
    pub timeout: Duration,
    /// The load to make, if any.
    pub load: Option<LoadPlan>,
    /// The wait for the server that was made before.
    pub waited: Option<Waited>,
    /// The subcommand and its options, without secrets.
    pub command: Vec<String>,
}

/// The load to make on the server, after the measuring window.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// `stress` or `bench`.
    pub command: &'static str,
    /// Users of each step, or with a rate its connections.
    pub users: Vec<u32>,
    /// Requests a second that are to start, whether answers come or not.
    pub rate_rps: Option<f64>,
    /// How long each step starts requests.
    pub duration: Duration,
    /// Wait of each user between an answer and the next request.
    pub think_time: Duration,
    /// Requests of all steps together, at most.
    pub requests_max: Option<u64>,
    /// The user may load this server, wherever it is.
    pub owned: bool,
    /// What `bench` asks for besides; none for `stress`.
    pub sequential: Option<super::Sequential>,
    /// Set when the user wants an end.
    pub interrupted: Arc<AtomicBool>,
    /// Loads of which is to be said whether the server holds them.
    pub wanted: Vec<WantedUsers>,
    /// Hears of each step when it is over.
    pub told: StepTold,
    /// How far the load is.
    pub progress: Arc<LoadProgress>,
}

/// How far a load is, for who looks on meanwhile.
#[derive(Debug, Default)]
pub struct LoadProgress {
    /// The load has begun, warm-up and all: from then on it ends by itself when the user wants an end.
    pub begun: AtomicBool,
    /// The step that runs, the first being 1; 0 before it.
    pub step: AtomicU64,
    /// Answers of the whole load, good and bad ones.
    pub answered: AtomicU64,
}

/// What is done when a step is over: with what is known besides, and all steps so far.
#[derive(Clone)]
pub struct StepTold(pub Arc<StepHeard>);

/// Hears of steps.
pub type StepHeard = dyn Fn(&Facts, &[LoadStep]) + Send + Sync;

impl std::fmt::Debug for StepTold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StepTold")
    }
}

impl LoadPlan {
    /// Wait for open answers after a step's end.
    pub const PATIENCE: Duration = Duration::from_secs(10);
    /// Requests to a server on another machine, at most, without the word that it may be loaded.
    pub const STRANGE_REQUESTS_MAX: u64 = 100;
    /// What comes before the steps, and beside each: idle time, warm-up, start and end of what watches.
    const AROUND: Duration = Duration::from_secs(30);
    const AROUND_A_STEP: Duration = Duration::from_secs(5);
    /// Longest time of as many requests before the steps as the user names.
    pub const WARM_UP_NAMED: Duration = Duration::from_secs(600);

    /// Whether the user wanted an end before the load began.
    pub fn was_given_up(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed) && !self.progress.begun.load(Ordering::Relaxed)
    }

    /// How long it may take in all.
    pub fn longest(&self) -> Duration {
        let steps = u32::try_from(self.users.len()).unwrap_or(u32::MAX);
        let step = self.duration.saturating_add(self.patience()).saturating_add(Self::AROUND_A_STEP);
        let warm_up = self.sequential.as_ref().and_then(|sequential| sequential.warm_up).map(|_| Self::WARM_UP_NAMED);
        step.saturating_mul(steps).saturating_add(Self::AROUND).saturating_add(warm_up.unwrap_or_default())
    }

    /// Wait for open answers after a step's end: of a single user for the only one, which counts.
    pub fn patience(&self) -> Duration {
        self.sequential.as_ref().map_or(Self::PATIENCE, |sequential| sequential.answer)
    }
}

/// How the model's placement is to be found out.
#[derive(Debug, Clone, Default)]
pub struct PlacementAsk {
    /// The version of onnxruntime to predict for.
    pub for_version: Option<String>,
    /// Create a whole session, parameters on the GPU and all, instead of a dry one.
    pub whole_session: bool,
    /// Run the model once and tell the time by execution provider.
    pub profile: bool,
    /// List every node, not only those on the CPU.
    pub every_node: bool,
    /// Run the deployment's Python where its onnxruntime cannot be loaded otherwise.
    pub run_python: bool,
}

/// Connections that are to be opened and held, and where the server tells of them.
#[derive(Debug, Clone, Default)]
pub struct BalanceAsk {
    /// Connections that the server is to hold; one more is tried.
    pub connections: u32,
    /// Answers of HTTP that do not end, in place of WebSockets.
    pub over_http: bool,
    /// Path of the document in which the server tells of its GPUs, when the user named one.
    pub status_path: Option<String>,
    /// Names in that document.
    pub status_fields: StatusFields,
    /// The user may fill this server, wherever it is.
    pub owned: bool,
    /// How the server's log names the GPU of a new connection, when the user told: a pattern with a group `gpu`.
    pub log_pattern: Option<String>,
    /// Set when the user wants an end.
    pub interrupted: Arc<AtomicBool>,
}

impl BalanceAsk {
    /// What comes before the first connection and after the last, and what a connection takes in each round.
    const AROUND: Duration = Duration::from_secs(60);
    const EACH: Duration = Duration::from_secs(1);
    /// Rounds, at most.
    const ROUNDS: u32 = 2;

    /// How long it may take in all.
    pub fn longest(&self) -> Duration {
        let each = Self::EACH.saturating_mul(self.connections.saturating_add(1)).saturating_mul(Self::ROUNDS);
        each.saturating_add(Self::AROUND)
    }
}

/// Names under which the document tells of the GPUs, when the user gave them; what is left out is looked for under the
/// usual names.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default, expecting = "a mapping of names in the document that tells of the GPUs")]
pub struct StatusFields {
    /// The list of GPUs; its members are told one from another by `index`.
    pub gpus: Option<String>,
    /// Index of a GPU.
    pub index: Option<String>,
    /// Connections on a GPU.
    pub connections: Option<String>,
    /// Memory in use; its unit is the end of the name (`_gb`, `_mb`, `_bytes`).
    pub used: Option<String>,
    /// Memory that is free, likewise.
    pub free: Option<String>,
    /// Utilization, percent.
    pub utilization: Option<String>,
    /// Connections that a GPU takes at most, beside the list or in each member.
    pub limit: Option<String>,
}

/// How the server is reached.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// Certificates trusted besides the system's, PEM.
    pub cacert: Option<PathBuf>,
    /// The client's certificate and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The Unix socket at which the server listens.
    pub unix_socket: Option<PathBuf>,
    /// The proxy: a URL, or `env` for those of the environment.
    pub proxy: Option<String>,
    /// Speak HTTP/2 without TLS.
    pub http2: bool,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            server: None,
            model: None,
            onnxruntime: None,
            python: None,
            client_request: None,
            logs: Vec::new(),
            kernel_log: None,
            docker_inspect: None,
            kubectl: Vec::new(),
            nvidia_smi: None,
            smoke: false,
            imports: Vec::new(),
            placement: PlacementAsk::default(),
            loader: None,
            forward: None,
            loader_timeout: Duration::from_secs(120),
            expect: Expectations::default(),
            operation: None,
            method: None,
            content_type: None,
            fields: BTreeMap::new(),
            contract: false,
            connection: Connection::default(),
            headers: Vec::new(),
            requests: 200,
            window: Duration::from_secs(3),
            sample_rate_hz: 20,
            balance: None,
            timeout: Duration::from_secs(60),
            load: None,
            waited: None,
            command: Vec::new(),
        }
    }
}

impl Ask {
    /// How long the load may take; nothing without one.
    pub fn load_time(&self) -> Duration {
        self.load.as_ref().map(LoadPlan::longest).unwrap_or_default()
    }

    /// How long holding connections may take; nothing without any.
    pub fn balance_time(&self) -> Duration {
        self.balance.as_ref().map(BalanceAsk::longest).unwrap_or_default()
    }

    /// The part of the question that is recorded.
    pub fn target(&self) -> Target {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        let texts = |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect();
        Target {
            root: self.root.display().to_string(),
            server: self.server.as_ref().map(|url| without_credentials(url).to_string()),
            server_is_local: match self.connection.unix_socket {
                // A Unix socket is reached on one machine only.
                Some(_) => self.server.as_ref().map(|_| true),
                None => self.server.as_ref().and_then(is_local),
            },
            model: text(&self.model),
            onnxruntime: text(&self.onnxruntime),
            python: text(&self.python),
            client_request: self.client_request.as_ref().map(|(origin, _)| origin.clone()),
            logs: texts(&self.logs),
            kernel_log: text(&self.kernel_log),
            docker_inspect: text(&self.docker_inspect),
            kubectl: texts(&self.kubectl),
            nvidia_smi: text(&self.nvidia_smi),
            smoke: self.smoke,
            imports: self.imports.clone(),
            loader: self.loader.clone(),
            forward: self.forward.clone(),
            expect: self.expect.clone(),
            command: self.command.clone(),
            waited: self.waited.clone(),
        }
    }
}

/// The URL without user, password, query and fragment; the path stays.
pub fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url
}

/// Whether the URL's host is this machine; `None` if the name does not resolve.
fn is_local(url: &Url) -> Option<bool> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let addresses: Vec<IpAddr> = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => resolved(host.to_owned(), url.port_or_known_default()?)?,
    };
    if addresses.is_empty() {
        return None;
    }
    Some(addresses.iter().all(|address| address.is_loopback() || address.is_unspecified() || is_own(*address)))
}

/// The addresses of a name. A name server that does not answer must not hold up the run, so the wait is bounded.
fn resolved(host: String, port: u16) -> Option<Vec<IpAddr>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    let ask = move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        let _ = sender.send(addresses.map(|addresses| addresses.map(|address| address.ip()).collect()));
    };
    std::thread::Builder::new().name("resolver".into()).spawn(ask).ok()?;
    receiver.recv_timeout(NAME_PATIENCE).ok()?.ok()
}

/// Whether the kernel lets a socket bind to the address, which it does for this machine's own only. No packet is sent.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_local_and_documentation_addresses_are_not() {
        let local = |text: &str| is_local(&Url::parse(text).unwrap());
        assert_eq!(local("http://127.0.0.1:8000"), Some(true));
        assert_eq!(local("http://[::1]:8000"), Some(true));
        assert_eq!(local("http://192.0.2.1:8000"), Some(false));
        assert_eq!(local("http://does-not-exist.invalid"), None);
    }

    #[test]
    fn the_target_holds_no_credentials() {
        let ask =
            Ask { server: Some(Url::parse("http://u:secret@127.0.0.1:1/x?token=secret").unwrap()), ..Ask::default() };
        assert_eq!(ask.target().server.as_deref(), Some("http://127.0.0.1:1/x"));
    }
}
