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
    /// Triton's metrics, whether or not they tell of GPUs.
    pub triton_page: Result<u16, Unknown>,
    /// TorchServe's management.
    pub torchserve_management: u16,
    /// TorchServe's metrics.
    pub torchserve_metrics: u16,
    /// MLServer's metrics.
    pub mlserver_metrics: u16,
    /// Ray's dashboard.
    pub ray_dashboard: u16,
    /// Ray's metrics on the server's node; Ray picks the port itself where none is given.
    pub ray_metrics: Option<u16>,
}

impl Default for Ports {
    /// Those of the documentation.
    fn default() -> Self {
        Self {
            triton_metrics: Ok(8002),
            triton_page: Ok(8002),
            torchserve_management: 8081,
            torchserve_metrics: 8082,
            mlserver_metrics: 8082,
            ray_dashboard: 8265,
            ray_metrics: None,
        }
    }
}

impl Ports {
    /// Those of the server's processes.
    pub fn of(facts: &Facts) -> Self {
        let mut ports = Self::default();
        for process in facts.process.processes.known().into_iter().flatten() {
            let Some(words) = words(process) else { continue };
            if is_program(&words, "tritonserver") {
                let options = ["--allow-metrics", "--allow-gpu-metrics"];
                ports.triton_metrics = triton_metrics(&words, &options, ports.triton_metrics);
                ports.triton_page = triton_metrics(&words, &["--allow-metrics"], ports.triton_page);
            }
            if words.iter().any(|word| word == "org.pytorch.serve.ModelServer") {
                let port = |name: &str| torchserve_address(process, &words, name);
                ports.torchserve_management = port("management_address").unwrap_or(ports.torchserve_management);
                ports.torchserve_metrics = port("metrics_address").unwrap_or(ports.torchserve_metrics);
            }
            if words.iter().any(|word| word.ends_with("mlserver")) {
                ports.mlserver_metrics = mlserver_metrics(process, &words).unwrap_or(ports.mlserver_metrics);
            }
            if words.iter().any(|word| word.contains("ray")) && ports.ray_metrics.is_none() {
                ports.ray_metrics = ray_metrics(process);
            }
        }
        // Before its files, as MLServer has it.
        let environment = facts.process.environment.known();
        let named = environment.and_then(|all| all.get("MLSERVER_METRICS_PORT")?.parse().ok());
        ports.mlserver_metrics = named.unwrap_or(ports.mlserver_metrics);
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

fn triton_metrics(words: &[String], options: &[&str], default: Result<u16, Unknown>) -> Result<u16, Unknown> {
    for option in options {
        // Without a value the option is on.
        let off = values(words, &[*option]).last().is_some_and(|value| matches!(value, "false" | "False" | "0"));
        if off {
            return Err(Unknown::new(Why::NotAsked, format!("Triton was started with {option}=false")));
        }
    }
    values(words, &["--metrics-port"]).last().and_then(|port| port.parse().ok()).map_or(default, Ok)
}

/// The port of an address in the configuration that TorchServe was started with. Only the port is taken.
fn torchserve_address(process: &ServerProcess, words: &[String], name: &str) -> Option<u16> {
    let named = values(words, &["-f", "--ts-config"]).last()?;
    let text = Tree::of_process(process.pid).read(folder(process).join(named), CONFIG_BYTES).ok()?;
    let address = text.lines().find_map(|line| {
        let (own, value) = line.split_once('=')?;
        (own.trim() == name).then(|| value.trim())
    })?;
    address.parse::<url::Url>().ok()?.port_or_known_default()
}

/// `metrics_port` in the settings.json of the folder that MLServer was started with. Only the port is taken.
fn mlserver_metrics(process: &ServerProcess, words: &[String]) -> Option<u16> {
    let named = words.iter().skip_while(|word| *word != "start").nth(1)?;
    let file = folder(process).join(named).join("settings.json");
    let text = Tree::of_process(process.pid).read(file, CONFIG_BYTES).ok()?;
    let settings: serde_json::Value = serde_json::from_str(&text).ok()?;
    settings.get("metrics_port")?.as_u64()?.try_into().ok()
}

/// The port of the one node that Ray's file for Prometheus lists.
fn ray_metrics(process: &ServerProcess) -> Option<u16> {
    let file = "/tmp/ray/prom_metrics_service_discovery.json";
    let text = Tree::of_process(process.pid).read(file, CONFIG_BYTES).ok()?;
    let listed: serde_json::Value = serde_json::from_str(&text).ok()?;
    let targets = listed.as_array()?.iter().filter_map(|one| one.get("targets")?.as_array());
    let targets: Vec<&str> = targets.flatten().filter_map(|one| one.as_str()).take(64).collect();
    // Its autoscaler and dashboard have one each, on this node's well-known ports.
    let own = |target: &&&str| ![":44217", ":44227"].iter().any(|end| target.ends_with(end));
    match targets.iter().filter(own).collect::<Vec<_>>().as_slice() {
        [one] => one.rsplit_once(':')?.1.parse().ok(),
        _ => None,
    }
}

fn folder(process: &ServerProcess) -> PathBuf {
    process.working_directory.known().map_or(PathBuf::from("/"), PathBuf::from)
}
