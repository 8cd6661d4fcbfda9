//! Where the Compose files of the container, and those beside them that are named for GPUs, ask for GPUs.

use crate::probe::tree::Tree;
use crate::snapshot::{ComposeFile, ComposeGpuRequest, Unknown, Why};
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Largest Compose file read, bytes.
const LIMIT_BYTES: usize = 1 << 20;
/// Most files read.
const FILES_MAX: usize = 16;
/// Most services of a file looked at.
const SERVICES_MAX: usize = 500;
/// Parts of the names of Compose files for GPUs.
const GPU_NAMES: &[&str] = &["gpu", "cuda", "nvidia"];

/// The files that the labels name, and their neighbours.
pub fn files(tree: &Tree, labels: &BTreeMap<String, String>) -> Vec<ComposeFile> {
    let named = labels.get("com.docker.compose.project.config_files").map_or("", String::as_str);
    let folder = labels.get("com.docker.compose.project.working_dir").map(PathBuf::from);
    // Compose writes absolute paths; podman-compose writes them as they were given.
    let path = |name: &str| folder.as_ref().map_or(PathBuf::from(name), |folder| folder.join(name));
    let used: Vec<PathBuf> = named.split(',').filter(|name| !name.is_empty()).map(path).take(FILES_MAX).collect();
    let mut folders: Vec<PathBuf> =
        used.iter().filter_map(|file| file.parent().map(Path::to_owned)).chain(folder).collect();
    folders.sort();
    folders.dedup();
    let mut files: Vec<ComposeFile> = used.iter().map(|path| file(tree, path, true)).collect();
    for folder in folders.iter().filter(|folder| folder.is_absolute()) {
        for name in tree.list(folder).unwrap_or_default().iter().filter(|name| is_for_gpus(name)) {
            let path = folder.join(name);
            if files.len() < FILES_MAX && !used.contains(&path) {
                files.push(file(tree, &path, false));
            }
        }
    }
    files
}

fn is_for_gpus(name: &str) -> bool {
    let lower = name.to_lowercase();
    (lower.ends_with(".yml") || lower.ends_with(".yaml")) && GPU_NAMES.iter().any(|part| lower.contains(part))
}

fn file(tree: &Tree, path: &Path, used: bool) -> ComposeFile {
    let read = match path.is_absolute() {
        true => tree.read(path, LIMIT_BYTES),
        false => Err(Unknown::new(Why::Unsupported, format!("{}: no path of this machine", path.display()))),
    };
    let requests = read.and_then(|text| {
        gpu_requests(&text).map_err(|error| Unknown::new(Why::Malformed, format!("{}: {error}", path.display())))
    });
    ComposeFile { path: path.display().to_string(), used, gpu_requests: requests.into() }
}

/// The places in a Compose file where services ask for GPUs (Compose specification: deploy, gpus, runtime, devices).
fn gpu_requests(text: &str) -> Result<Vec<ComposeGpuRequest>, String> {
    // `!reset` and `!override` are tags of Compose; the reader drops unknown tags' meaning, not their values.
    let mut document: Value = serde_yaml::from_str(text).map_err(|error| format!("it is not YAML: {error}"))?;
    document.apply_merge().map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    let Some(services) = mapping(&document, "services") else { return Ok(found) };
    for (name, service) in services.iter().take(SERVICES_MAX) {
        let Some(name) = name.as_str() else { continue };
        let mut note = |key: &str, count: String, device_ids: Vec<String>| {
            found.push(ComposeGpuRequest { service: name.into(), key: key.into(), count, device_ids });
        };
        let reserved = at(service, &["deploy", "resources", "reservations", "devices"]);
        for device in items(reserved).filter(|device| asks_for_gpu(device)) {
            note("deploy.resources.reservations.devices", written(device, "count"), texts(device, "device_ids"));
        }
        match service.get("gpus").map(untagged) {
            Some(Value::String(count)) => note("gpus", count.clone(), Vec::new()),
            Some(gpus) => {
                for device in items(Some(gpus)) {
                    note("gpus", written(device, "count"), texts(device, "device_ids"));
                }
            }
            None => {}
        }
        if service.get("runtime").and_then(Value::as_str) == Some("nvidia") {
            note("runtime", String::new(), Vec::new());
        }
        let devices = items(service.get("devices")).filter_map(Value::as_str);
        for device in devices.filter(|device| device.starts_with("nvidia.com/") || device.starts_with("/dev/nvidia")) {
            note("devices", String::new(), vec![device.to_owned()]);
        }
    }
    Ok(found)
}

fn asks_for_gpu(device: &Value) -> bool {
    let driver = device.get("driver").and_then(Value::as_str).unwrap_or_default();
    let capabilities = texts(device, "capabilities");
    capabilities.iter().any(|name| name == "gpu")
        || driver == "nvidia"
        || (driver == "cdi" && texts(device, "device_ids").iter().any(|id| id.starts_with("nvidia.com/")))
}

fn untagged(value: &Value) -> &Value {
    match value {
        Value::Tagged(tagged) => &tagged.value,
        plain => plain,
    }
}

fn at<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, name| untagged(value).get(name))
}

fn mapping<'a>(value: &'a Value, name: &str) -> Option<&'a Mapping> {
    untagged(value.get(name)?).as_mapping()
}

fn items(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.map(untagged).and_then(Value::as_sequence).into_iter().flatten().take(256)
}

fn texts(value: &Value, name: &str) -> Vec<String> {
    items(value.get(name)).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A number or a word as it is written.
fn written(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GPU: &str = "
services:
  asr:
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: 1
              capabilities: [gpu]
";

    fn said(text: &str) -> Vec<(String, String, String)> {
        gpu_requests(text).unwrap().into_iter().map(|r| (r.service, r.key, r.count)).collect()
    }

    fn one(service: &str, key: &str, count: &str) -> (String, String, String) {
        (service.into(), key.into(), count.into())
    }

    #[test]
    fn every_way_to_ask_is_seen() {
        assert_eq!(said(GPU), [one("asr", "deploy.resources.reservations.devices", "1")]);
        assert_eq!(
            said("services: {a: {gpus: all}, b: {runtime: nvidia}, c: {image: redis}}"),
            [one("a", "gpus", "all"), one("b", "runtime", "")]
        );
        assert_eq!(said("services: {a: {gpus: [{driver: nvidia, count: 0}]}}"), [one("a", "gpus", "0")]);
        assert_eq!(said("services: {a: {devices: [nvidia.com/gpu=all, /dev/snd]}}"), [one("a", "devices", "")]);
        let anchored = "x-gpu: &gpu\n  deploy: {resources: {reservations: {devices: [{capabilities: [gpu]}]}}}\n\
                        services:\n  a:\n    <<: *gpu\n    image: x\n";
        assert_eq!(said(anchored), [one("a", "deploy.resources.reservations.devices", "")]);
        let other =
            "services: {a: {deploy: {resources: {reservations: {devices: [{capabilities: [tpu], driver: x}]}}}}}";
        assert_eq!(said(other), []);
        assert_eq!(said("services: 7"), []);
        assert!(gpu_requests("services:\n\t- x").unwrap_err().contains("line 2"));
    }

    #[test]
    fn neighbours_named_for_gpus_are_read_and_marked_as_unused() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("srv/asr");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("compose.yml"), "services: {asr: {image: x}}").unwrap();
        std::fs::write(folder.join("compose.gpu.yml"), GPU).unwrap();
        std::fs::write(folder.join("compose.dev.yml"), GPU).unwrap();
        let labels = |files: &str| {
            BTreeMap::from([
                ("com.docker.compose.project.config_files".to_owned(), files.to_owned()),
                ("com.docker.compose.project.working_dir".to_owned(), "/srv/asr".to_owned()),
            ])
        };
        let tree = Tree::new(dir.path());
        let found = files(&tree, &labels("/srv/asr/compose.yml"));
        let seen: Vec<_> =
            found.iter().map(|f| (f.path.as_str(), f.used, f.gpu_requests.known().map(Vec::len))).collect();
        assert_eq!(seen, [("/srv/asr/compose.yml", true, Some(0)), ("/srv/asr/compose.gpu.yml", false, Some(1))]);
        let both = files(&tree, &labels("compose.yml,compose.gpu.yml"));
        assert!(both.len() == 2 && both.iter().all(|file| file.used), "{both:?}");
        let gone = files(&tree, &labels("/srv/gone/compose.yml"));
        assert_eq!(gone[0].gpu_requests.reason().unwrap().why, Why::Absent);
        assert_eq!(files(&tree, &BTreeMap::new()), []);
        let windows =
            files(&tree, &BTreeMap::from([("com.docker.compose.project.config_files".into(), "C:\\x.yml".into())]));
        assert_eq!(windows[0].gpu_requests.reason().unwrap().why, Why::Unsupported);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(.|\n){0,200}") {
            let _ = gpu_requests(&text);
        }
    }
}
