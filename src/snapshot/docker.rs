//! How the container was made, by its engine's record, and how Docker is set up on this machine.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// The record of the deployment's container (`docker inspect`, `podman inspect`), and Docker's set-up in the file
    /// tree. No daemon is asked.
    pub struct DockerFacts {
        /// The file with the record.
        pub source: String,
        /// What the record is of: `container` or `image`. An image has no state and no host settings.
        pub record: String,
        /// `docker` or `podman`, by the form of the record.
        pub engine: String,
        /// Which installation holds the container: `system`, `rootless`, `snap` or `desktop`.
        pub installation: String,
        /// What told the installation: a path or a label of the record.
        pub installation_told_by: String,
        /// The container's name.
        pub name: String,
        /// The first 12 characters of the container's id.
        pub id: String,
        /// Image as it was asked for: `ghcr.io/x/y:cpu-1.2`.
        pub image: String,
        /// The image's id, `sha256:...`.
        pub image_id: String,
        /// When it was created, RFC 3339.
        pub created_at: String,
        /// `created`, `running`, `paused`, `restarting`, `exited` or `dead`.
        pub state: String,
        /// Whether its program was ever started.
        pub was_started: bool,
        /// When its program was last started, RFC 3339.
        pub started_at: String,
        /// Exit code of its program, 0 while it runs (`State.ExitCode`).
        pub exit_code: i64,
        /// Why it could not be started, in the daemon's words (`State.Error`); empty if it could.
        pub start_error: String,
        /// Whether the kernel killed a process of it for lack of memory.
        pub oom_killed: bool,
        /// OCI runtime: `runc`, `nvidia`, `crun`.
        pub runtime: String,
        /// What was asked for with `--gpus` or by Compose (`HostConfig.DeviceRequests`).
        pub gpu_requests: Vec<DockerGpuRequest>,
        /// Devices given to it, as paths of the host (`--device`).
        pub devices: Vec<String>,
        /// Devices of the Container Device Interface that were asked for: `nvidia.com/gpu=all`.
        pub cdi_devices: Vec<String>,
        /// Those of its variables that are about GPUs and libraries (`NVIDIA_*`, `CUDA_*`, `LD_LIBRARY_PATH`). Values of
        /// secrets are masked.
        pub environment: BTreeMap<String, String>,
        /// Labels that tell where it comes from: Compose, OCI (`org.opencontainers.image.*`) and Docker Desktop.
        pub labels: BTreeMap<String, String>,
        /// Size of its `/dev/shm`, bytes; Docker's own default is 67108864.
        pub shm_size_bytes: u64,
        /// Inter-process communication: `private`, `shareable`, `host`.
        pub ipc_mode: String,
        /// Processors that it may use at once, by `--cpus` or a quota.
        pub cpu_limit: f64,
        /// Memory that it may use, bytes.
        pub memory_limit_bytes: u64,
        /// Security options: `no-new-privileges`, `seccomp=...`.
        pub security_options: Vec<String>,
        /// Whether it runs with every privilege and device.
        pub privileged: bool,
        /// Entry point and command as one shell line, with values that look like secrets left out.
        pub command: String,
        /// Options of `docker run` that stand after the image's name, so that the program got them: `--gpus all`.
        pub options_after_image: Vec<String>,
        /// What is mounted into it.
        pub mounts: Vec<DockerMount>,
        /// The Compose files that it was made from, and those beside them that are named for GPUs.
        pub compose_files: Vec<ComposeFile>,
        /// The daemon's configuration files that exist (`daemon.json`).
        pub daemon_configs: Vec<DaemonConfig>,
        /// Docker daemons that run.
        pub daemons: Vec<DockerDaemon>,
        /// Installations of Docker besides the system's that lie in the file tree: `snap`, `desktop`.
        pub other_installations: Vec<String>,
        /// The daemon that the `docker` command talks to: `unix:///var/run/docker.sock`.
        pub client_endpoint: String,
        /// What chose that daemon: `DOCKER_HOST`, a context, or Docker's default.
        pub client_told_by: String,
        /// What is behind the endpoint, by its address: `system`, `rootless`, `desktop`, `remote` or `other`.
        pub client_daemon: String,
        /// Programs of the NVIDIA Container Toolkit in the folders of programs, one path each.
        pub toolkit_programs: Vec<String>,
        /// Specifications of the Container Device Interface in `/etc/cdi` and `/var/run/cdi`.
        pub cdi_specifications: Vec<CdiSpecification>,
        /// `no-cgroups` of the toolkit's configuration, which rootless engines need; false where it is not written.
        pub toolkit_no_cgroups: bool,
        /// `accept-nvidia-visible-devices-envvar-when-unprivileged` of it; true where it is not written.
        pub toolkit_accepts_variable: bool,
    }
}

/// One entry of `HostConfig.DeviceRequests`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerGpuRequest {
    /// Name of the driver: `nvidia`, `cdi`; empty for the one that fits.
    pub driver: String,
    /// Number of devices; -1 is all, 0 where devices are named.
    pub count: i64,
    /// Indexes, UUIDs or names of devices.
    pub device_ids: Vec<String>,
    /// Alternatives, each a set of capabilities: `[["gpu"]]`.
    pub capabilities: Vec<Vec<String>>,
}

/// One mount of the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerMount {
    /// `bind`, `volume`, `tmpfs`.
    pub kind: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
}

/// A Compose file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeFile {
    /// The file.
    pub path: String,
    /// Whether the container was made from it.
    pub used: bool,
    /// Where it asks for GPUs.
    pub gpu_requests: Fact<Vec<ComposeGpuRequest>>,
}

/// A place in a Compose file where a service asks for GPUs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComposeGpuRequest {
    /// The service.
    pub service: String,
    /// The key: `deploy.resources.reservations.devices`, `gpus`, `runtime`, `devices`.
    pub key: String,
    /// Number of devices as written: `all`, `1`, `0`; empty if none is.
    pub count: String,
    /// Devices that are named.
    pub device_ids: Vec<String>,
}

/// A `daemon.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaemonConfig {
    /// Whose it is: `system`, `rootless` or `snap`.
    pub installation: String,
    /// The file.
    pub path: String,
    /// What is wrong with it, with its line; empty if it is a JSON object.
    pub error: Fact<String>,
    /// Names of the runtimes that it registers.
    pub runtimes: Fact<Vec<String>>,
    /// The runtime of containers that name none; `runc` where it is not written.
    pub default_runtime: Fact<String>,
    /// Time from the start of its daemon to its last change, seconds; negative if the daemon started later.
    pub newer_than_daemon_by_seconds: Fact<f64>,
}

/// A running Docker daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DockerDaemon {
    /// `system`, `rootless`, `snap` or `desktop`.
    pub installation: String,
    /// Its process id.
    pub pid: u64,
    /// Its command line, with values that look like secrets left out.
    pub command: String,
    /// When it started, RFC 3339.
    pub started_at: Fact<String>,
}

/// A specification of the Container Device Interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CdiSpecification {
    /// The file.
    pub path: String,
    /// What it describes: `nvidia.com/gpu`.
    pub kind: Fact<String>,
    /// Names of its devices: `0`, `all`.
    pub devices: Fact<Vec<String>>,
}
