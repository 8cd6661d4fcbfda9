//! Whether the deployment runs in a container, and which GPUs that container was given.

use super::fact::room;
use std::collections::BTreeMap;

room! {
    /// The container around the server's process, or around the doctor when no server is known.
    pub struct ContainerFacts {
        /// `none`, `docker`, `containerd`, `kubernetes`, `podman`, `lxc` or `unnamed`.
        pub kind: String,
        /// What the kind was told by (a control group, a marker file), and of which process.
        pub told_by: String,
        /// Those variables of the NVIDIA container runtime that are set for the process, by name:
        /// `NVIDIA_VISIBLE_DEVICES`, `NVIDIA_DRIVER_CAPABILITIES`. Set but empty is not the same as not set.
        pub runtime_variables: BTreeMap<String, String>,
    }
}
