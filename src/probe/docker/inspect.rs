//! One record of `docker inspect` or `podman inspect` (Docker's API, ContainerInspect and ImageInspect).

use super::super::process::command::masked;
use crate::probe::json_record::Record;
use crate::secret::{MASK, is_in_flag};
use crate::snapshot::{DockerFacts, DockerGpuRequest, DockerMount, Fact, Room, Unknown, Why};
use serde_json::Value;
use std::collections::BTreeMap;

/// Largest file that is read.
pub const LIMIT_BYTES: u64 = 8 << 20;
/// Beginnings of the labels that are kept.
const LABELS: &[&str] =
    &["com.docker.compose.", "io.podman.compose.", "org.opencontainers.image.", "desktop.docker.io/", "com.nvidia."];

/// Everything that the record says.
pub fn read(record: &Record) -> DockerFacts {
    let is_image = !record.has("State");
    let podman = ["ImageName", "OCIRuntime", "ConmonPidFile"].iter().any(|name| record.has(name));
    let no_state = Unknown::new(Why::NotAsked, "the record is of an image, which has no state and no host settings");
    let mut docker = DockerFacts::all_unknown(&no_state);
    docker.record = Fact::Known(if is_image { "image" } else { "container" }.into());
    docker.engine = Fact::Known(if podman { "podman" } else { "docker" }.into());
    docker.image_id = record.text(if is_image { "Id" } else { "Image" }).into();
    docker.created_at = record.text("Created").into();
    docker.environment = environment(record).into();
    docker.labels = record.texts_by_name("Config.Labels").map(telling).into();
    docker.command = words(record).map(|words| masked(&words)).into();
    if is_image {
        let tags = record.texts("RepoTags").and_then(|tags| {
            tags.into_iter().next().ok_or_else(|| Unknown::new(Why::Absent, "the image has no tag (RepoTags is empty)"))
        });
        docker.image = tags.into();
        return docker;
    }
    docker.id = record.text("Id").map(|id| id.chars().take(12).collect()).into();
    docker.name = record.text("Name").map(|name| name.trim_start_matches('/').to_owned()).into();
    docker.image = record.text(if podman { "ImageName" } else { "Config.Image" }).into();
    docker.runtime = match podman {
        true => record.text("OCIRuntime").map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).into(),
        false => record.text("HostConfig.Runtime").into(),
    };
    state(record, &mut docker);
    given_devices(record, podman, &mut docker);
    host_settings(record, &mut docker);
    let told = installation(record, &docker.labels).ok_or_else(|| {
        Unknown::new(Why::Absent, "no path or label of the record tells which installation of the engine holds it")
    });
    docker.installation = told.clone().map(|(installation, _)| installation.to_owned()).into();
    docker.installation_told_by = told.map(|(_, by)| by).into();
    docker
}

fn state(record: &Record, docker: &mut DockerFacts) {
    docker.state = record.text("State.Status").map(|status| status.to_lowercase()).into();
    docker.exit_code = record.integer("State.ExitCode").into();
    docker.start_error = record.text_or_none("State.Error").into();
    docker.oom_killed = record.truth("State.OOMKilled").into();
    let started = record.text("State.StartedAt");
    // Go writes a time that was never set as the year 1.
    docker.was_started = started.clone().map(|at| !at.is_empty() && !at.starts_with("0001-")).into();
    docker.started_at = match docker.was_started {
        Fact::Known(false) => Fact::unknown(Why::Absent, "its program was never started"),
        _ => started.into(),
    };
}

fn given_devices(record: &Record, podman: bool, docker: &mut DockerFacts) {
    let creation = record.texts("Config.CreateCommand").unwrap_or_default();
    docker.gpu_requests = match record.list("HostConfig.DeviceRequests") {
        // Podman has no such requests: its `--gpus` makes devices of the Container Device Interface.
        Err(unknown) if podman && unknown.why == Why::Absent => Fact::Known(Vec::new()),
        Err(unknown) => Fact::Unknown(unknown),
        Ok(_) => gpu_requests(record).into(),
    };
    let devices = record.records("HostConfig.Devices");
    let paths = devices.and_then(|devices| devices.iter().map(|device| device.text("PathOnHost")).collect());
    let paths: Result<Vec<String>, Unknown> = paths;
    let mut cdi: Vec<String> = Vec::new();
    for request in docker.gpu_requests.known().into_iter().flatten().filter(|request| request.driver == "cdi") {
        cdi.extend(request.device_ids.iter().cloned());
    }
    cdi.extend(paths.iter().flatten().filter(|path| is_cdi_name(path)).cloned());
    cdi.extend(cdi_of_command_line(&creation));
    cdi.dedup();
    docker.devices = paths.map(|paths| paths.into_iter().filter(|path| !is_cdi_name(path)).collect()).into();
    docker.cdi_devices = Fact::Known(cdi);
    docker.options_after_image = match record.has("Config.Cmd") {
        true => list_or_text(record, "Config.Cmd").map(|words| options_of_run(&words)).into(),
        false => Fact::Known(Vec::new()),
    };
}

fn host_settings(record: &Record, docker: &mut DockerFacts) {
    let limit = |what: &str| Unknown::new(Why::NotAsked, format!("the container has no limit of its {what}"));
    docker.shm_size_bytes = record.count("HostConfig.ShmSize").into();
    docker.ipc_mode = record.text("HostConfig.IpcMode").into();
    docker.cpu_limit = cpu_limit(record).and_then(|cpus| cpus.ok_or_else(|| limit("processors"))).into();
    docker.memory_limit_bytes = match record.count("HostConfig.Memory") {
        Ok(0) => Fact::Unknown(limit("memory")),
        other => other.into(),
    };
    docker.security_options = record.texts("HostConfig.SecurityOpt").into();
    docker.privileged = record.truth("HostConfig.Privileged").into();
    let mounts = record.records("Mounts").and_then(|mounts| {
        let mount = |mount: &Record| {
            Ok(DockerMount {
                kind: mount.text("Type")?,
                source: mount.text_or_none("Source")?,
                destination: mount.text("Destination")?,
            })
        };
        mounts.iter().map(mount).collect()
    });
    docker.mounts = Fact::from(mounts);
}

/// Processors by `--cpus` (`NanoCpus`) or by a quota; `None` without a limit.
fn cpu_limit(record: &Record) -> Result<Option<f64>, Unknown> {
    let nano = record.integer("HostConfig.NanoCpus")?;
    if nano > 0 {
        return Ok(Some(nano as f64 / 1e9));
    }
    let (quota, period) = (record.integer("HostConfig.CpuQuota")?, record.integer("HostConfig.CpuPeriod")?);
    // A period of 0 is the kernel's default, 100 ms.
    let period = if period > 0 { period } else { 100_000 };
    Ok((quota > 0).then(|| quota as f64 / period as f64))
}

fn gpu_requests(record: &Record) -> Result<Vec<DockerGpuRequest>, Unknown> {
    let request = |request: &Record| {
        let alternatives = request.list_or_none("Capabilities")?.iter();
        let names = |set: &Value| -> Option<Vec<String>> {
            set.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect()
        };
        let malformed = || Unknown::new(Why::Malformed, "HostConfig.DeviceRequests: Capabilities is no list of lists");
        Ok(DockerGpuRequest {
            driver: request.text_or_none("Driver")?,
            count: if request.has("Count") { request.integer("Count")? } else { 0 },
            device_ids: if request.has("DeviceIDs") { request.texts("DeviceIDs")? } else { Vec::new() },
            capabilities: alternatives.map(names).collect::<Option<_>>().ok_or_else(malformed)?,
        })
    };
    record.records("HostConfig.DeviceRequests")?.iter().map(request).collect()
}

fn environment(record: &Record) -> Result<BTreeMap<String, String>, Unknown> {
    let kept = |name: &str| name.starts_with("NVIDIA_") || name.starts_with("CUDA_") || name == "LD_LIBRARY_PATH";
    let lines = if record.has("Config.Env") { record.texts("Config.Env")? } else { Vec::new() };
    let pairs = lines.iter().filter_map(|line| line.split_once('=')).filter(|(name, _)| kept(name));
    // NVIDIA_API_KEY is one of them.
    let shown = |name: &str, value: &str| if is_in_flag(name) { MASK.to_owned() } else { value.to_owned() };
    Ok(pairs.map(|(name, value)| (name.to_owned(), shown(name, value))).collect())
}

fn telling(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.into_iter().filter(|(name, _)| LABELS.iter().any(|start| name.starts_with(start))).collect()
}

/// Entry point and command. Podman's older versions write the entry point as one text.
fn words(record: &Record) -> Result<Vec<String>, Unknown> {
    let mut words = Vec::new();
    for path in ["Config.Entrypoint", "Config.Cmd"] {
        if record.has(path) {
            words.extend(list_or_text(record, path)?);
        }
    }
    Ok(words)
}

fn list_or_text(record: &Record, path: &str) -> Result<Vec<String>, Unknown> {
    record.texts(path).or_else(|unknown| match record.text(path) {
        Ok(text) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        Err(_) => Err(unknown),
    })
}

/// Options of `docker run` among the words that the program got. A program may have a `--gpus 2` of its own: only values
/// that mean nothing to programs count.
fn options_of_run(words: &[String]) -> Vec<String> {
    let foreign = |option: &str, value: &str| match option {
        "--gpus" => value == "all" || value.trim_matches('"').starts_with("device="),
        "--runtime" => value == "nvidia",
        "--device" => is_cdi_name(value) || value.starts_with("/dev/nvidia"),
        _ => false,
    };
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        match (word.split_once('='), words.get(index + 1)) {
            (Some((option, value)), _) if foreign(option, value) => found.push(word.clone()),
            (None, Some(value)) if foreign(word, value) => found.push(format!("{word} {value}")),
            _ => {}
        }
    }
    found
}

/// Devices of the Container Device Interface on the command line that made the container (podman writes it down).
fn cdi_of_command_line(words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, value),
            None => (word.as_str(), words.get(index + 1).map_or("", String::as_str)),
        };
        match option {
            "--device" if is_cdi_name(value) => found.push(value.to_owned()),
            "--gpus" => found.push(format!("nvidia.com/gpu={value}")),
            _ => {}
        }
    }
    found
}

/// `vendor.com/class=name`, not a path.
fn is_cdi_name(name: &str) -> bool {
    let kind = name.split_once('=').map_or("", |(kind, _)| kind);
    !name.starts_with('/') && kind.contains('.') && kind.contains('/')
}

/// The installation, by the paths at which the engine keeps the container, and what told it.
fn installation(record: &Record, labels: &Fact<BTreeMap<String, String>>) -> Option<(&'static str, String)> {
    let label = labels.known().and_then(|labels| labels.keys().find(|name| name.starts_with("desktop.docker.io/")));
    if let Some(label) = label {
        return Some(("desktop", format!("label {label}")));
    }
    let places = ["StaticDir", "ResolvConfPath", "LogPath", "GraphDriver.Data.UpperDir", "GraphDriver.Data.MergedDir"];
    let paths: Vec<String> = places.iter().filter_map(|place| record.text(place).ok()).collect();
    let path = paths.iter().find(|path| path.starts_with('/'))?;
    let installation = match path {
        path if path.contains("/.local/share/") || path.starts_with("/run/user/") => "rootless",
        path if path.starts_with("/var/snap/") => "snap",
        _ => "system",
    };
    Some((installation, format!("path {path}")))
}
