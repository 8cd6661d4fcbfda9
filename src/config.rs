//! The config file: the flags of `run` and `collect`, as YAML.

use crate::cli::{self, FailOn};
use crate::probe::StatusFields;
use crate::regular_file;
use crate::snapshot::{Expectations, VersionBound};
use base64::Engine as _;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Largest config file that is read, bytes.
const LIMIT_BYTES: u64 = 1 << 20;

/// The settings of a config file. Every key is optional; an unknown one is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping of settings")]
pub struct Config {
    /// The server's base URL.
    pub server: Option<String>,
    /// The model's file.
    pub model: Option<PathBuf>,
    /// The onnxruntime library.
    pub onnxruntime: Option<PathBuf>,
    /// The Python interpreter.
    pub python: Option<PathBuf>,
    /// File with the client's own request.
    pub client_request: Option<PathBuf>,
    /// The client's own request, written here.
    pub client: Option<InlineClient>,
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
    /// `module:callable` that loads the model, run by `python`.
    pub loader: Option<String>,
    /// `module:callable` that runs one inference with what the loader returned.
    pub forward: Option<String>,
    /// Longest time for both: `2m`.
    pub loader_timeout: Option<String>,
    /// What is expected of the machine.
    pub expect: Expectations,
    /// Root of the examined tree.
    pub root: Option<PathBuf>,
    /// Samples of the GPUs' counters a second while requests run, 1 to 100.
    pub sample_rate: Option<u32>,
    /// Longest time of the run: `60s`.
    pub timeout: Option<String>,
    /// What the doctor's own request should hold.
    pub request: RequestConfig,
    /// Rows of usual times by model and GPU, for `bench --baseline`.
    pub baselines: Option<PathBuf>,
    /// The connections of `balance`, and where the server tells of them.
    pub balance: BalanceConfig,
    /// The load to make, for `stress`.
    pub load: LoadConfig,
    /// How the server is reached.
    pub connection: ConnectionConfig,
    /// Who the doctor is to the server.
    pub auth: Auth,
    /// Headers for every request; the value comes from the environment or a file, never from this file.
    pub headers: BTreeMap<String, Secret>,
    /// Stages or check ids to use alone.
    pub only: Vec<String>,
    /// Stages or check ids to leave out.
    pub skip: Vec<String>,
    /// Folder with checks of your own.
    pub checks: Option<PathBuf>,
    /// What makes the exit code 1.
    pub fail_on: Option<FailOn>,
}

/// What the doctor's own request should hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with path, method, content_type, fields and count")]
pub struct RequestConfig {
    /// Path of the operation to try: `/asr`.
    pub path: Option<String>,
    /// Its method, where the server's schema does not tell it: `POST` unless there is nothing to send.
    pub method: Option<String>,
    /// The media type of its body, where the schema does not tell it. A form if a field is a file, else JSON. With any
    /// other type the field `body` is the whole body.
    pub content_type: Option<String>,
    /// Values of fields, by name: texts, numbers, lists, objects; `@FILE` stands for the file's content.
    pub fields: BTreeMap<String, FieldValue>,
    /// Requests of the measuring window, at most.
    pub count: Option<u32>,
}

/// A field's value: what is no text is kept as JSON.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "serde_json::Value")]
pub struct FieldValue(pub String);

impl From<serde_json::Value> for FieldValue {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self(text),
            other => Self(other.to_string()),
        }
    }
}

/// The connections of `balance`, and where the server tells of them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with connections, over_http, status, fields and log")]
pub struct BalanceConfig {
    /// Connections that the server is to hold.
    pub connections: Option<u32>,
    /// Hold answers of HTTP that do not end, in place of WebSockets.
    pub over_http: bool,
    /// How the server's log names the GPU of a new connection: a pattern with a group `gpu`.
    pub log: Option<String>,
    /// Path of the document: `/gpu-status`.
    pub status: Option<String>,
    /// Names in it.
    pub fields: StatusFields,
}

/// The load to make.
#[derive(Debug, Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "a mapping with users, duration, rate, think_time, max_requests and holds"
)]
pub struct LoadConfig {
    /// Users of each step: `[10, 25, 50]`.
    pub users: Vec<u32>,
    /// How long each step lasts: `30s`.
    pub duration: Option<String>,
    /// Requests that start a second.
    pub rate: Option<f64>,
    /// Wait of each user between an answer and its next request: `1s`.
    pub think_time: Option<String>,
    /// Requests of all steps together, at most.
    pub max_requests: Option<u64>,
    /// Loads of which is to be said whether the server holds them: `[100/2s]`.
    pub holds: Vec<String>,
}

/// How the server is reached.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with cacert, cert, key, unix_socket, proxy and http2")]
pub struct ConnectionConfig {
    /// Certificates that are trusted besides the system's, PEM.
    pub cacert: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The Unix socket at which the server listens.
    pub unix_socket: Option<PathBuf>,
    /// The proxy: a URL, or `env`.
    pub proxy: Option<String>,
    /// Speak HTTP/2 without TLS.
    pub http2: bool,
}

/// Who the doctor is to the server. The secret itself stands in the environment or a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with bearer_env, bearer_file or basic_env")]
pub struct Auth {
    /// The environment variable that holds the bearer token.
    pub bearer_env: Option<String>,
    /// The file whose first line is the bearer token.
    pub bearer_file: Option<PathBuf>,
    /// The environment variable that holds `user:password`.
    pub basic_env: Option<String>,
}

/// The client's own request, written in the config file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "a mapping with method, path, headers, query, fields, files or json")]
pub struct InlineClient {
    /// Method [default: POST with a body, else GET].
    pub method: Option<String>,
    /// Path, or whole URL.
    pub path: Option<String>,
    /// Headers without secrets.
    pub headers: BTreeMap<String, String>,
    /// Fields of the query.
    pub query: BTreeMap<String, serde_json::Value>,
    /// Form fields.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Files of the form, by field.
    pub files: BTreeMap<String, String>,
    /// The whole body, as JSON.
    pub json: Option<serde_json::Value>,
}

/// Where the value of a header comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mapping with env: VARIABLE or file: PATH")]
pub struct Secret {
    /// Name of an environment variable.
    pub env: Option<String>,
    /// A file whose first line is the value.
    pub file: Option<PathBuf>,
    /// Text put before the value: `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

/// What can be wrong with a config file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {path}")]
    Read {
        /// The file.
        path: String,
        /// The obstacle.
        source: std::io::Error,
    },
    /// The file is not YAML of this shape.
    #[error("config {path}: {problem}")]
    Shape {
        /// The file.
        path: String,
        /// What was found and what was expected, with line and column.
        problem: String,
    },
    /// A value is not of the expected form.
    #[error("config {path}: {key}: {problem}")]
    Value {
        /// The file.
        path: String,
        /// The key.
        key: String,
        /// What was expected.
        problem: String,
    },
}

impl Config {
    /// Reads a config file; relative paths in it are taken from its own folder.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let shown = path.display().to_string();
        let text = regular_file::read_text(path, LIMIT_BYTES)
            .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
        let mut config: Config = match serde_yaml::from_str::<Option<Config>>(&text) {
            Ok(config) => config.unwrap_or_default(),
            Err(error) => return Err(ConfigError::Shape { path: shown, problem: without_values(&error.to_string()) }),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        let relative = [
            &mut config.model,
            &mut config.onnxruntime,
            &mut config.python,
            &mut config.client_request,
            &mut config.kernel_log,
            &mut config.docker_inspect,
            &mut config.nvidia_smi,
            &mut config.root,
            &mut config.checks,
        ];
        let listed = config.logs.iter_mut().chain(&mut config.kubectl);
        for file in relative
            .into_iter()
            .flatten()
            .chain(listed)
            .chain(config.headers.values_mut().filter_map(|h| h.file.as_mut()))
            .chain(config.connection.files())
            .chain(&mut config.auth.bearer_file)
        {
            *file = folder.join(&file);
        }
        for value in config.request.fields.values_mut() {
            if let Some(file) = value.0.strip_prefix('@').filter(|file| !file.starts_with("builtin:")) {
                value.0 = format!("@{}", folder.join(file).display());
            }
        }
        config.verify(&shown)?;
        Ok(config)
    }

    /// Verifies the values that flags verify on the command line.
    fn verify(&self, path: &str) -> Result<(), ConfigError> {
        let wrong =
            |key: &str, problem: String| Err(ConfigError::Value { path: path.into(), key: key.into(), problem });
        if let Some(Err(problem)) = self.server.as_deref().map(cli::server_url) {
            return wrong("server", problem);
        }
        if let Some(Err(problem)) = self.timeout.as_deref().map(cli::duration) {
            return wrong("timeout", problem);
        }
        if let Some(Err(problem)) = self.loader_timeout.as_deref().map(cli::duration) {
            return wrong("loader_timeout", problem);
        }
        for (key, name) in [("loader", &self.loader), ("forward", &self.forward)] {
            if let Some(Err(problem)) = name.as_deref().map(cli::callable) {
                return wrong(key, problem);
            }
        }
        if let Some(Err(problem)) = self.expect.driver.as_deref().map(VersionBound::parse) {
            return wrong("expect.driver", problem);
        }
        if self.expect.gpu_memory_gib.is_some_and(|gib| !(gib > 0.0 && gib < 1e6)) {
            return wrong("expect.gpu_memory_gib", "it must be a number of gibibytes, such as 80".into());
        }
        let request = &self.request;
        if request.path.as_ref().is_some_and(|path| !path.starts_with('/') && path.contains('/')) {
            return wrong("request.path", "it must begin with a slash, such as /asr".into());
        }
        const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH"];
        if request.method.as_ref().is_some_and(|method| !METHODS.contains(&method.as_str())) {
            return wrong("request.method", format!("it must be one of {}", METHODS.join(", ")));
        }
        if request.content_type.as_ref().is_some_and(|media| hyper::header::HeaderValue::from_str(media).is_err()) {
            return wrong("request.content_type", "it must be a media type, such as application/json".into());
        }
        for (key, time) in [("load.duration", &self.load.duration), ("load.think_time", &self.load.think_time)] {
            if let Some(Err(problem)) = time.as_deref().map(cli::duration) {
                return wrong(key, problem);
            }
        }
        if let Some(problem) = self.load.users.iter().find_map(|users| cli::users(&users.to_string()).err()) {
            return wrong("load.users", problem);
        }
        if let Some(Err(problem)) = self.load.rate.map(|rate| cli::rate(&rate.to_string())) {
            return wrong("load.rate", problem);
        }
        if self.load.rate.is_some() && self.load.think_time.is_some() {
            return wrong("load", "give rate or think_time: at a rate nobody waits for answers".into());
        }
        if self.load.max_requests == Some(0) {
            return wrong("load.max_requests", "it must be at least 1".into());
        }
        if let Some(problem) = self.load.holds.iter().find_map(|holds| cli::holds(holds).err()) {
            return wrong("load.holds", problem);
        }
        if self.request.count.is_some_and(|count| !(1..=1000).contains(&count)) {
            return wrong("request.count", "it must be between 1 and 1000".into());
        }
        if self.balance.connections.is_some_and(|count| !(1..=cli::CONNECTIONS_MAX).contains(&count)) {
            return wrong("balance.connections", format!("it must be between 1 and {}", cli::CONNECTIONS_MAX));
        }
        if self.balance.status.as_ref().is_some_and(|path| !path.starts_with('/')) {
            return wrong("balance.status", "it must begin with a slash, such as /gpu-status".into());
        }
        if let Some(pattern) = &self.balance.log {
            match Regex::new(pattern) {
                Ok(pattern) if pattern.capture_names().flatten().any(|name| name == "gpu") => {}
                Ok(_) => {
                    let problem = "it must hold a group (?P<gpu>...) that catches the GPU's number";
                    return wrong("balance.log", problem.into());
                }
                Err(error) => return wrong("balance.log", format!("it is no pattern: {error}")),
            }
        }
        Ok(())
    }

    /// The headers with their values fetched.
    pub fn fetch_headers(&self, path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
        let fetch = |(name, secret): (&String, &Secret)| {
            let wrong = |problem: String| ConfigError::Value {
                path: path.display().to_string(),
                key: format!("headers.{name}"),
                problem,
            };
            hyper::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong("this is not a header's name".into()))?;
            let value = secret.fetch().map_err(wrong)?;
            hyper::header::HeaderValue::from_str(&value)
                .map_err(|_| wrong("its value holds a line end or another control character".into()))?;
            Ok((name.to_ascii_lowercase(), value))
        };
        self.headers.iter().map(fetch).collect()
    }
}

impl ConnectionConfig {
    fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        [&mut self.cacert, &mut self.cert, &mut self.key, &mut self.unix_socket].into_iter().flatten()
    }
}

impl Auth {
    /// The value of the header `authorization`, with the secret fetched; `None` if none is named.
    ///
    /// # Errors
    /// What cannot be fetched, without its value.
    pub fn fetch(&self) -> Result<Option<String>, String> {
        let secret = |env: &Option<String>, file: &Option<PathBuf>| {
            let value = Secret { env: env.clone(), file: file.clone(), prefix: String::new() }.fetch()?;
            match value.is_empty() {
                true => Err("it is empty".to_owned()),
                false => Ok(value),
            }
        };
        let value = match (&self.bearer_env, &self.bearer_file, &self.basic_env) {
            (None, None, None) => return Ok(None),
            (env, file, None) if env.is_none() || file.is_none() => format!("Bearer {}", secret(env, file)?),
            (None, None, basic) => {
                let user = secret(basic, &None)?;
                if !user.contains(':') {
                    return Err("it must hold user:password".into());
                }
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(user))
            }
            _ => return Err("give one of bearer_env, bearer_file and basic_env".into()),
        };
        hyper::header::HeaderValue::from_str(&value)
            .map_err(|_| "the value holds a line end or another control character".to_owned())?;
        Ok(Some(value))
    }
}

impl Secret {
    fn fetch(&self) -> Result<String, String> {
        let value = match (&self.env, &self.file) {
            (Some(name), None) => {
                std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"))?
            }
            (None, Some(file)) => regular_file::read_text(file, LIMIT_BYTES)
                .map_err(|error| format!("{}: {error}", file.display()))?
                .lines()
                .next()
                .unwrap_or_default()
                .to_string(),
            _ => return Err("give either \"env\" (a variable's name) or \"file\" (a path)".into()),
        };
        Ok(format!("{}{}", self.prefix, value.trim()))
    }
}

/// A parser's complaint without the texts that it quotes: one of them may be a secret that stands in the wrong place.
fn without_values(problem: &str) -> String {
    static QUOTED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"string "(?:[^"\\]|\\.)*""#).expect("a valid pattern"));
    QUOTED.replace_all(problem, "a text").into_owned()
}
