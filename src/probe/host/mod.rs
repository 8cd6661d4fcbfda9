//! The machine as its files show it. Runs first: loading a driver library later may change what is seen here.

mod boot;
mod daemons;
mod driver;
mod libraries;
mod modules;
mod nodes;
mod package_log;
mod pci;
mod system;
#[cfg(test)]
mod tests;

pub(super) use driver::is_version;
pub(super) use libraries::{SONAMES, folders, library};
pub(super) use nodes::nvidia_nodes;

use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{Facts, HostFacts, Stage};
use std::time::Duration;

/// Most bytes read of one small file of `/proc`, `/sys` or `/etc`.
const SMALL_FILE_BYTES: usize = 64 * 1024;

/// Reads PCI devices, kernel modules, daemons, device nodes and driver libraries below the root that was asked about.
pub const PROBE: Probe = Probe {
    id: "host",
    stage: Stage::Hardware,
    rooms: &["host"],
    needs: &[],
    this_machine: true,
    budget: Duration::from_secs(5),
    run,
};

fn run(context: &Context, facts: &mut Facts) -> Ran {
    facts.host = read(&Tree::new(&context.ask.root));
    Ran::ok()
}

/// Every fact of the room, from the files of one tree.
fn read(tree: &Tree) -> HostFacts {
    let system = system::read(tree);
    let node_parameters = driver::node_parameters(tree);
    HostFacts {
        kernel_release: system.kernel_release,
        os_name: system.os_name,
        architecture: system.architecture,
        cpu_count: system.cpu_count,
        memory_total_bytes: system.memory_total_bytes,
        wsl: system::wsl(tree).into(),
        tegra: system::tegra(tree).into(),
        nvidia_pci_devices: pci::nvidia_devices(tree).into(),
        nvswitch_bridges: pci::nvswitch_bridges(tree).into(),
        nvidia_module_loaded: driver::module_loaded(tree, "nvidia").into(),
        nvidia_uvm_module_loaded: driver::module_loaded(tree, "nvidia_uvm").into(),
        nouveau_module_loaded: driver::module_loaded(tree, "nouveau").into(),
        nvidia_modules: modules::files(tree).into(),
        dkms_drivers: modules::dkms_drivers(tree).into(),
        blacklisted_modules: boot::blacklisted_modules(tree).into(),
        secure_boot: boot::secure_boot(tree).into(),
        nvidia_modprobe_setuid: daemons::nvidia_modprobe_setuid(tree).into(),
        running_daemons: daemons::running(tree).into(),
        fabric_manager_installed: daemons::fabric_manager_installed(tree).into(),
        fabric_manager_version: daemons::fabric_manager_version(tree).into(),
        device_file_uid: node_parameters.uid,
        device_file_gid: node_parameters.gid,
        device_file_mode: node_parameters.mode,
        package_changes: package_log::changes(tree).into(),
        driver_version: driver::version(tree).into(),
        device_nodes: nodes::nvidia_nodes(tree).into(),
        driver_libraries: libraries::driver_libraries(tree).into(),
    }
}
