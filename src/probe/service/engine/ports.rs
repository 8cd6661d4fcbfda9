//! At which other ports the software is asked: by its own command line where it runs here, else its default.

use crate::probe::tree::Tree;
use crate::snapshot::{Facts, ServerProcess, Unknown, Why};
use std::path::{Path, PathBuf};

/// Bytes read of TorchServe's configuration.
const CONFIG_BYTES: usize = 64 << 10;

/// The ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Ports {
    /// Triton's metrics, or why they are of no use.
    pub triton_metrics: Result<u16, Unknown>,
    /// TorchServe's management.
    pub torchserve_management: u16,
    /// Ray's dashboard.
    pub ray_dashboard: u16,
}

impl Default for Ports {
    /// Those of the documentation.
    fn default() -> Self {
        Self { triton_metrics: Ok(8002), torchserve_management: 8081, ray_dashboard: 8265 }
    }
}

impl Ports {
    /// Those of the server's processes.
    pub fn of(facts: &Facts) -> Self {
        let mut ports = Self::default();
        for process in facts.process.processes.known().into_iter().flatten() {
            let Some(words) = words(process) else { continue };
            if is_program(&words, "tritonserver") {
                ports.triton_metrics = triton_metrics(&words, ports.triton_metrics);
            }
            if words.iter().any(|word| word == "org.pytorch.serve.ModelServer")
                && let Some(port) = torchserve_management(process, &words)
            {
                ports.torchserve_management = port;
            }
        }
        ports
    }
}

/// The command lines of the server's processes.
pub fn commands(facts: &Facts) -> Vec<Vec<String>> {
    facts.process.processes.known().into_iter().flatten().filter_map(words).collect()
}

/// The words of a command line.
pub fn words(process: &ServerProcess) -> Option<Vec<String>> {
    shlex::split(process.command.known()?)
}

/// Whether the command runs a program of this name.
pub fn is_program(words: &[String], name: &str) -> bool {
    words.first().and_then(|word| Path::new(word).file_name()).is_some_and(|file| file == name)
}

/// The values of an option, `--name=value` or `--name value`, in order.
pub fn values<'a>(words: &'a [String], names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    words.iter().enumerate().filter_map(move |(index, word)| {
        names.iter().find_map(|name| match word.strip_prefix(name)? {
            "" => words.get(index + 1).map(String::as_str),
            rest => rest.strip_prefix('='),
        })
    })
}

fn triton_metrics(words: &[String], default: Result<u16, Unknown>) -> Result<u16, Unknown> {
    for option in ["--allow-metrics", "--allow-gpu-metrics"] {
        // Without a value the option is on.
        let off = values(words, &[option]).last().is_some_and(|value| matches!(value, "false" | "False" | "0"));
        if off {
            return Err(Unknown::new(Why::NotAsked, format!("Triton was started with {option}=false")));
        }
    }
    values(words, &["--metrics-port"]).last().and_then(|port| port.parse().ok()).map_or(default, Ok)
}

/// The port of `management_address` in the configuration that TorchServe was started with. Only the port is taken.
fn torchserve_management(process: &ServerProcess, words: &[String]) -> Option<u16> {
    let named = values(words, &["-f", "--ts-config"]).last()?;
    let folder = process.working_directory.known().map_or(PathBuf::from("/"), PathBuf::from);
    let text = Tree::of_process(process.pid).read(folder.join(named), CONFIG_BYTES).ok()?;
    let address = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "management_address").then(|| value.trim())
    })?;
    address.parse::<url::Url>().ok()?.port_or_known_default()
}
