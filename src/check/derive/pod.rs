//! What a pod that can be looked into adds to its record.

use super::Basis;
use crate::snapshot::{Fact, Facts, room};

room! {
    /// What the pod was given.
    pub struct Pod {
        /// Whether the doctor looks out of a pod that has a GPU by its limit, and sees no device node there.
        pub limited_pod_without_devices: bool,
    }
}

impl Pod {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { limited_pod_without_devices: Fact::Known(limited_without_devices(facts)) }
    }
}

/// Whether the doctor looks out of a pod that has a GPU by its limit, with the kernel's driver loaded, and was seen to
/// have no device node. Not seen is no proof of the contrary.
fn limited_without_devices(facts: &Facts) -> bool {
    let host = &facts.host;
    let inside = facts.container.kind.known().is_some_and(|kind| kind == "kubernetes");
    let bare = host.device_nodes.known().is_some_and(Vec::is_empty);
    let driver = host.nvidia_module_loaded.known() == Some(&true) && host.wsl.known() == Some(&false);
    let mut pods = facts.kubernetes.pods.known().into_iter().flatten();
    inside
        && bare
        && driver
        && pods.any(|pod| {
            let runs = pod.phase.known().is_some_and(|phase| phase == "Running");
            runs && pod.gpu_limit.known() > Some(&0) && pod.runtime_class.is_empty()
        })
}
