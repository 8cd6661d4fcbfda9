//! The config file: the flags of `run` and `collect`, as YAML.

mod faults;
mod secrets;
mod sections;
mod verify;

pub use secrets::{Auth, Secret};
pub use sections::{BalanceConfig, ConnectionConfig, FieldValue, InlineClient, LoadConfig, RequestConfig};

use crate::check::Waiver;
use crate::cli::FailOn;
use crate::regular_file;
use crate::snapshot::Expectations;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest config file that is read, bytes.
const LIMIT_BYTES: u64 = 1 << 20;

/// The settings of a config file. Every key is optional; an unknown one is an error.
#[derive(Debug, Default, Deserialize, JsonSchema)]
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
    /// Causes that are known and accepted until a day.
    pub waivers: Vec<Waiver>,
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
    #[error("config {path}{place}: {problem}")]
    Shape {
        /// The file.
        path: String,
        /// `:LINE:COLUMN`; empty where that is not known.
        place: String,
        /// What was found and what was expected.
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

/// What is wrong with a value, with the place at which it stands in the file.
fn placed(error: ConfigError, text: &str) -> ConfigError {
    match error {
        ConfigError::Value { path, key, problem } => match faults::of_value(&key, text) {
            Some(place) => ConfigError::Shape { path, place, problem: format!("{key}: {problem}") },
            None => ConfigError::Value { path, key, problem },
        },
        other => other,
    }
}

/// The JSON Schema of a config file.
pub fn json_schema() -> serde_json::Value {
    serde_json::to_value(schemars::schema_for!(Config)).expect("a schema is plain JSON")
}

impl Config {
    /// The settings of a text. Values are not verified, and paths stay as they are.
    ///
    /// # Errors
    /// `:LINE:COLUMN`, and what is wrong there: an unknown key with the nearest right one, a key that stands
    /// twice, or a value of another type.
    pub fn parse(text: &str) -> Result<Config, (String, String)> {
        match serde_yaml::from_str::<Option<Config>>(text) {
            Ok(read) => match faults::twice(text) {
                Some(fault) => Err(fault),
                None => Ok(read.unwrap_or_default()),
            },
            Err(error) => Err(faults::told(&error, text)),
        }
    }

    /// Reads a config file; relative paths in it are taken from its own folder.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let shown = path.display().to_string();
        let text = regular_file::read_text(path, LIMIT_BYTES)
            .map_err(|source| ConfigError::Read { path: shown.clone(), source })?;
        let mut config = Config::parse(&text).map_err(|(place, problem)| ConfigError::Shape {
            path: shown.clone(),
            place,
            problem,
        })?;
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
            &mut config.baselines,
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
        let places = faults::of_waivers(&text);
        for (number, waiver) in config.waivers.iter_mut().enumerate() {
            let place = places.get(number).map_or("", String::as_str);
            waiver.place = format!("config {shown}{place}: waivers[{number}]");
        }
        config.verify(&shown).map_err(|error| placed(error, &text))?;
        Ok(config)
    }

    /// The headers with their values fetched.
    pub fn fetch_headers(&self, path: &Path) -> Result<Vec<(String, String)>, ConfigError> {
        let fetch = |(name, secret): (&String, &Secret)| {
            // No name stands before a colon: what follows `authorization:` is taken for a secret, and masked.
            let wrong = |problem: String| ConfigError::Value {
                path: path.display().to_string(),
                key: "headers".into(),
                problem,
            };
            hyper::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| wrong(format!("\"{name}\" is not a header's name")))?;
            let value =
                secret.fetch().map_err(|problem| wrong(format!("the value of \"{name}\" cannot be had: {problem}")))?;
            hyper::header::HeaderValue::from_str(&value)
                .map_err(|_| wrong(format!("the value of \"{name}\" holds a line end or another control character")))?;
            Ok((name.to_ascii_lowercase(), value))
        };
        self.headers.iter().map(fetch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_taken_from_the_files_own_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        let text = "model: f\nbaselines: f\nchecks: f\nlogs: [f]\nkubectl: [f]\nheaders: {a: {file: f}}\nroot: /srv\n\
                    connection: {cacert: f}\nauth: {bearer_file: f}\nrequest: {fields: {a: '@f'}}\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let there = folder.path().join("f");
        let single = [&config.model, &config.baselines, &config.checks, &config.connection.cacert];
        for path in single.into_iter().chain([&config.auth.bearer_file, &config.headers["a"].file]) {
            assert_eq!(path.as_ref(), Some(&there));
        }
        assert_eq!((&config.logs[0], &config.kubectl[0]), (&there, &there));
        assert_eq!(config.request.fields["a"].0, format!("@{}", there.display()));
        assert_eq!(config.root.as_deref(), Some(Path::new("/srv")));
    }
}
