//! Whether the deployment runs in a container, and which GPUs that container was given.

use super::fact::room;

room! {
    /// The container around the server's process, or around the doctor when no server is known.
    pub struct ContainerFacts {
        /// `none`, `docker`, `containerd`, `kubernetes`, `podman`, `lxc` or `unnamed`.
        pub kind: String,
        /// What the kind was told by (a control group, a marker file), and of which process.
        pub told_by: String,
        /// `NVIDIA_VISIBLE_DEVICES` of the process; empty text if it is set but empty.
        pub nvidia_visible_devices: String,
        /// `NVIDIA_DRIVER_CAPABILITIES` of the process.
        pub nvidia_driver_capabilities: String,
    }
}
