//! One pod (Kubernetes API, core/v1 Pod).

use crate::probe::json_record::Record;
use crate::secret::{MASK, is_in_flag};
use crate::snapshot::{Fact, KubernetesContainer, KubernetesPod, Unknown, Why};
use std::collections::BTreeMap;

/// Variables of containers that are kept.
const VARIABLES: &[&str] = &["NVIDIA_", "CUDA_", "LD_LIBRARY_PATH"];
/// Most containers of a pod.
const CONTAINERS_MAX: usize = 200;
/// Longest message kept, characters.
const MESSAGE_MAX: usize = 1000;

/// The pod, but for what only its node's record tells.
pub fn read(record: &Record) -> Result<KubernetesPod, Unknown> {
    let name = record.text("metadata.name")?;
    let containers = containers(record)?;
    let runtime_class = record.text_or_none("spec.runtimeClassName")?;
    let limited = containers.iter().filter(|container| !container.gpu_limits.is_empty());
    let limit: u64 = limited.clone().map(|container| devices(&container.gpu_limits)).fold(0, u64::saturating_add);
    let owner = record.records("metadata.ownerReferences")?;
    let conditions = record.records("status.conditions")?;
    let unschedulable = conditions.iter().find(|condition| {
        condition.text("type").is_ok_and(|name| name == "PodScheduled")
            && condition.text("status").is_ok_and(|status| status == "False")
    });
    let reason = record.text_or_none("status.reason")?;
    let message = record.text_or_none("status.message")?;
    Ok(KubernetesPod {
        namespace: record.text_or_none("metadata.namespace")?,
        owner: owner.first().map_or(Ok(String::new()), |owner| owner.text_or_none("kind"))?,
        phase: record.text("status.phase").into(),
        node: record.text_or_none("spec.nodeName")?,
        node_gpus: Fact::unknown(Why::NotAsked, format!("pod {name} has no node yet")),
        gpu_limit: Fact::Known(limit),
        claims_devices: !record.list_or_none("spec.resourceClaims")?.is_empty(),
        meant_for_gpu_by: meant_for_gpu_by(record, &runtime_class, &containers)?,
        reaches_every_gpu: limited.clone().any(|container| container.privileged || container.mounts_host_dev),
        unschedulable: unschedulable.map_or(Ok(String::new()), |condition| condition.text_or_none("message"))?,
        refusal: cut(&format!("{reason} {message}")),
        runtime_class,
        containers,
        name,
    })
}

fn containers(record: &Record) -> Result<Vec<KubernetesContainer>, Unknown> {
    let specified = record.records("spec.containers")?;
    if specified.len() > CONTAINERS_MAX {
        return Err(Unknown::new(Why::Malformed, format!("a pod with {} containers", specified.len())));
    }
    let volumes = record.records("spec.volumes")?;
    let statuses = record.records("status.containerStatuses")?;
    specified.iter().map(|container| one(container, &volumes, &statuses)).collect()
}

fn one(record: &Record, volumes: &[Record], statuses: &[Record]) -> Result<KubernetesContainer, Unknown> {
    let name = record.text("name")?;
    let mounts = record.records("volumeMounts")?;
    let volume_at = |path: &str| {
        let mount =
            mounts.iter().find(|mount| mount.text("mountPath").is_ok_and(|at| at.trim_end_matches('/') == path))?;
        let volume = mount.text("name").ok()?;
        volumes.iter().find(|one| one.text("name").is_ok_and(|name| name == volume))
    };
    let named =
        |volume: &&Record, path: &str| volume.text("hostPath.path").is_ok_and(|at| at.trim_end_matches('/') == path);
    let mounted_names: Vec<String> = mounts.iter().filter_map(|mount| mount.text("name").ok()).collect();
    let host_dev = volumes.iter().filter(|volume| named(volume, "/dev"));
    let mounts_host_dev =
        host_dev.filter_map(|volume| volume.text("name").ok()).any(|volume| mounted_names.contains(&volume));
    let shm_limit =
        volume_at("/dev/shm").map_or(Ok(String::new()), |volume| volume.text_or_none("emptyDir.sizeLimit"))?;
    let status = statuses.iter().find(|status| status.text("name").is_ok_and(|of| of == name));
    let (reason, message) = match status {
        Some(status) => (
            status.text_or_none("state.waiting.reason")?,
            ["state.waiting.message", "state.terminated.message", "lastState.terminated.message"]
                .iter()
                .map(|path| status.text_or_none(path))
                .collect::<Result<Vec<_>, _>>()?
                .join(" "),
        ),
        None => Default::default(),
    };
    let limits = record.texts_by_name("resources.limits")?;
    Ok(KubernetesContainer {
        image: record.text_or_none("image")?,
        gpu_limits: limits.into_iter().filter(|(name, _)| is_gpu(name)).collect(),
        environment: environment(record)?,
        privileged: record.truth_or_false("securityContext.privileged")?,
        mounts_host_dev,
        shm_limit,
        waiting_reason: reason,
        waiting_message: cut(&message),
        name,
    })
}

/// Whether a resource is a GPU or a part of one: `nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, `aliyun.com/gpu-mem`.
pub fn is_gpu(resource: &str) -> bool {
    resource.contains('/') && (resource.starts_with("nvidia.com/") || resource.contains("gpu"))
}

/// The number of devices among GPU resources. Shares of memory and of cores are no devices; a container that is given
/// only these has one.
pub fn devices(resources: &BTreeMap<String, String>) -> u64 {
    let whole = |name: &String| !["mem", "core", "percent"].iter().any(|part| name.contains(part));
    let countable: Vec<&String> =
        resources.iter().filter(|(name, _)| whole(name)).map(|(_, quantity)| quantity).collect();
    match countable.is_empty() {
        true => u64::from(!resources.is_empty()),
        // Devices are whole; what is no number counts as one, so that it is not taken for missing.
        false => countable.iter().map(|quantity| quantity.parse().unwrap_or(1)).fold(0, u64::saturating_add),
    }
}

fn environment(record: &Record) -> Result<BTreeMap<String, String>, Unknown> {
    let mut kept = BTreeMap::new();
    for variable in record.records("env")? {
        let name = variable.text("name")?;
        if VARIABLES.iter().any(|start| name.starts_with(start)) && !variable.has("valueFrom") {
            let value = variable.text_or_none("value")?;
            kept.insert(name.clone(), if is_in_flag(&name) { MASK.into() } else { value });
        }
    }
    Ok(kept)
}

fn meant_for_gpu_by(
    record: &Record,
    runtime_class: &str,
    containers: &[KubernetesContainer],
) -> Result<Vec<String>, Unknown> {
    let mut signs = Vec::new();
    if runtime_class.contains("nvidia") {
        signs.push(format!("runtimeClassName {runtime_class}"));
    }
    for container in containers {
        let telling = ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"];
        let set = telling.iter().filter_map(|name| Some((name, container.environment.get(*name)?)));
        let to_gpus = set.filter(|(_, value)| !["", "void", "none", "-1"].contains(&value.as_str()));
        signs.extend(to_gpus.map(|(name, value)| format!("{name}={value} of container {}", container.name)));
    }
    for toleration in record.records("spec.tolerations")? {
        let key = toleration.text_or_none("key")?;
        if is_gpu(&key) {
            signs.push(format!("toleration of {key}"));
        }
    }
    for (label, value) in record.texts_by_name("spec.nodeSelector")? {
        if is_gpu(&label) || label.contains("accelerator") {
            signs.push(format!("node selector {label}={value}"));
        }
    }
    signs.truncate(20);
    Ok(signs)
}

fn cut(text: &str) -> String {
    text.trim().chars().take(MESSAGE_MAX).collect()
}
