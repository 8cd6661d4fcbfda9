//! What a pod that can be looked into adds to its record.

use crate::snapshot::Facts;

/// Whether the doctor looks out of a pod that has a GPU by its limit, with the kernel's driver loaded, and was seen to
/// have no device node. Not seen is no proof of the contrary.
pub fn limited_without_devices(facts: &Facts) -> bool {
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
