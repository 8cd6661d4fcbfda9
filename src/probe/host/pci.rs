//! NVIDIA's display controllers and switches in sysfs (Documentation/ABI/testing/sysfs-bus-pci).

use crate::probe::tree::Tree;
use crate::snapshot::{PciDevice, Unknown, Why};

const DEVICES: &str = "sys/bus/pci/devices";
const NVIDIA: &str = "0x10de";
/// Class 0x03: VGA (0x0300) and 3D (0x0302) controllers. A GPU's sound function is 0x0403.
const DISPLAY: &str = "0x03";
/// Class of an NVSwitch: "other bridge".
const BRIDGE: &str = "0x0680";
/// Device ids below this are of chipsets for mainboards (nForce), which have bridges of that class too. The first NVSwitch
/// is 0x1ac2.
const FIRST_SWITCH_ID: u16 = 0x1a00;

/// GPUs; unknown where the machine shows no PCI bus, as gVisor and some containers do.
pub fn nvidia_devices(tree: &Tree) -> Result<Vec<PciDevice>, Unknown> {
    of_class(tree, DISPLAY)
}

/// NVSwitch chips, which connect GPUs by NVLink.
pub fn nvswitch_bridges(tree: &Tree) -> Result<Vec<PciDevice>, Unknown> {
    let mut bridges = of_class(tree, BRIDGE)?;
    let id = |bridge: &PciDevice| u16::from_str_radix(bridge.device_id.trim_start_matches("0x"), 16).unwrap_or(0);
    bridges.retain(|bridge| id(bridge) >= FIRST_SWITCH_ID);
    Ok(bridges)
}

fn of_class(tree: &Tree, wanted: &str) -> Result<Vec<PciDevice>, Unknown> {
    let mut devices = Vec::new();
    for address in tree.list(DEVICES)? {
        let attribute = |name: &str| match tree.read(format!("{DEVICES}/{address}/{name}"), 64) {
            Ok(text) => Ok(Some(text.trim().to_ascii_lowercase())),
            // A device may leave the bus between the listing and the reading.
            Err(unknown) if unknown.why == Why::Absent => Ok(None),
            Err(unknown) => Err(unknown),
        };
        if attribute("vendor")?.as_deref() != Some(NVIDIA) {
            continue;
        }
        let Some(class) = attribute("class")?.filter(|class| class.starts_with(wanted)) else { continue };
        let Some(device_id) = attribute("device")? else { continue };
        let driver = tree.link_name(format!("{DEVICES}/{address}/driver")).map_err(|unknown| match unknown.why {
            Why::Absent => Unknown::new(Why::Absent, format!("no kernel driver is bound to PCI device {address}")),
            _ => unknown,
        });
        devices.push(PciDevice { address, device_id, class, driver: driver.into() });
    }
    Ok(devices)
}
