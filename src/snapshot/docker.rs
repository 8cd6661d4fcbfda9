//! How Docker was told to run the container.

use super::fact::room;
use std::collections::BTreeMap;

room! {
    /// Docker's own record of the container (`docker inspect`), and its daemon's configuration on this machine.
    pub struct DockerFacts {
        /// Where the record was read.
        pub source: String,
        /// The container's name.
        pub name: String,
        /// Image as it was asked for: `ghcr.io/x/y:cpu-1.2`.
        pub image: String,
        /// OCI runtime: `runc`, `nvidia`.
        pub runtime: String,
        /// Labels that tell where it comes from (`com.docker.compose.*`, `org.opencontainers.image.*`).
        pub labels: BTreeMap<String, String>,
    }
}
