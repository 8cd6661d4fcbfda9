//! One `<gpu>` of the document.

use super::value::{element, first_text, text_of, truth, whole, whole_gpu_code};
use crate::probe::nvml::throttle;
use crate::snapshot::{Fact, Gpu, GpuProcess, MigDevice, RemappedRows, Unknown, Why};
use roxmltree::Node;

/// Most processes and MIG devices of one GPU that are believed.
const ENTRIES_MAX: usize = 4096;

/// The GPU that the element describes.
pub fn read(node: Node<'_, '_>, index: u64, place: &str) -> Gpu {
    let untold = |what: &str| Unknown::new(Why::NotAsked, format!("{place}: nvidia-smi -q -x does not tell {what}"));
    let told = Element { node, place };
    let bits = told.throttle_reasons();
    Gpu {
        handle_code: Fact::Known(told.code_of_the_whole()),
        name: told.text(&["product_name"]),
        uuid: told.text(&["uuid"]),
        pci_address: told.pci_address(),
        memory_total_bytes: told.whole(&["fb_memory_usage/total"], "MiB", MIB),
        memory_used_bytes: told.whole(&["fb_memory_usage/used"], "MiB", MIB),
        utilization_percent: told.whole(&["utilization/gpu_util"], "%", 1.0),
        temperature_celsius: told.whole(&["temperature/gpu_temp"], "C", 1.0),
        temperature_slowdown_celsius: told.whole(&["temperature/gpu_temp_slow_threshold"], "C", 1.0),
        temperature_shutdown_celsius: told.whole(&["temperature/gpu_temp_max_threshold"], "C", 1.0),
        power_milliwatts: told.power(&["average_power_draw", "power_draw", "instant_power_draw"]),
        power_limit_milliwatts: told.power(&["current_power_limit", "enforced_power_limit", "power_limit"]),
        power_limit_default_milliwatts: told.power(&["default_power_limit"]),
        power_limit_max_milliwatts: told.power(&["max_power_limit"]),
        p_state: told.performance_state(),
        sm_clock_mhz: told.whole(&["clocks/sm_clock"], "MHz", 1.0),
        sm_clock_max_mhz: told.whole(&["max_clocks/sm_clock"], "MHz", 1.0),
        throttle_reasons: bits.clone().map(throttle::names),
        throttle_reasons_bits: bits,
        persistence_mode: told.truth(&["persistence_mode"]),
        pcie_link_generation: told.whole(&["pci/pci_gpu_link_info/pcie_gen/current_link_gen"], "", 1.0),
        pcie_link_generation_max: told.whole(&["pci/pci_gpu_link_info/pcie_gen/max_link_gen"], "", 1.0),
        pcie_link_width: told.whole(&["pci/pci_gpu_link_info/link_widths/current_link_width"], "x", 1.0),
        pcie_link_width_max: told.whole(&["pci/pci_gpu_link_info/link_widths/max_link_width"], "x", 1.0),
        pcie_replays: told.whole(&["pci/replay_counter"], "", 1.0),
        ecc_enabled: told.truth(&["ecc_mode/current_ecc"]),
        ecc_corrected_volatile: told.ecc("volatile", true),
        ecc_uncorrected_volatile: told.ecc("volatile", false),
        ecc_corrected_aggregate: told.ecc("aggregate", true),
        ecc_uncorrected_aggregate: told.ecc("aggregate", false),
        remapped_rows: told.remapped_rows().into(),
        retired_pages_pending: told.truth(&["retired_pages/pending_retirement", "retired_pages/pending_blacklist"]),
        mig_enabled: told.mig_enabled(),
        mig_devices: told.mig_devices(),
        compute_mode: told.text(&["compute_mode"]).map(|mode| mode.to_ascii_lowercase()),
        virtualization: told.virtualization(),
        license: told.license(),
        fabric_state: told.text(&["fabric/state"]).map(|state| snake(&state)),
        recovery_action: told.recovery_action(),
        processes: told.processes(),
        ..Gpu::all_unknown(index, &untold("this"))
    }
}

/// Bytes of a mebibyte.
const MIB: f64 = 1_048_576.0;
/// The groups that power stands in; the name changed with driver 535.
const POWER: [&str; 2] = ["gpu_power_readings", "power_readings"];

/// `Drain and Reset` as `drain_and_reset`.
fn snake(text: &str) -> String {
    text.to_ascii_lowercase().replace([' ', '-'], "_")
}

struct Element<'a, 'input> {
    node: Node<'a, 'input>,
    place: &'a str,
}

impl Element<'_, '_> {
    fn text(&self, paths: &[&str]) -> Fact<String> {
        first_text(self.node, paths, self.place).into()
    }

    fn whole(&self, paths: &[&str], unit: &str, scale: f64) -> Fact<u64> {
        let text = first_text(self.node, paths, self.place);
        text.and_then(|text| whole(&text, unit, scale, &paths.join(" or "), self.place)).into()
    }

    fn truth(&self, paths: &[&str]) -> Fact<bool> {
        let text = first_text(self.node, paths, self.place);
        text.and_then(|text| truth(&text, &paths.join(" or "), self.place)).into()
    }

    fn power(&self, names: &[&str]) -> Fact<u64> {
        let paths: Vec<String> =
            POWER.iter().flat_map(|group| names.iter().map(move |name| format!("{group}/{name}"))).collect();
        self.whole(&paths.iter().map(String::as_str).collect::<Vec<_>>(), "W", 1000.0)
    }

    /// The code of the first text that speaks of the whole GPU, 0 if none does.
    fn code_of_the_whole(&self) -> i64 {
        let texts = self.node.descendants().filter(|node| node.is_text()).filter_map(|node| node.text());
        texts.filter_map(whole_gpu_code).next().unwrap_or(0)
    }

    fn pci_address(&self) -> Fact<String> {
        match (text_of(self.node, "pci/pci_bus_id", self.place), self.node.attribute("id")) {
            (Err(_), Some(id)) if !id.is_empty() => Fact::Known(id.chars().take(32).collect()),
            (told, _) => told.into(),
        }
    }

    fn performance_state(&self) -> Fact<u64> {
        let path = "performance_state";
        let text = text_of(self.node, path, self.place);
        text.and_then(|text| {
            let number = text.strip_prefix('P').and_then(|digits| digits.parse().ok()).filter(|state| *state <= 15);
            number.ok_or_else(|| {
                Unknown::new(Why::Malformed, format!("{}: <{path}> is \"{text}\", not P0 to P15", self.place))
            })
        })
        .into()
    }

    /// The reasons that are active, under the newer or the older name of the group.
    fn throttle_reasons(&self) -> Fact<u64> {
        let groups =
            [("clocks_event_reasons", "clocks_event_reason_"), ("clocks_throttle_reasons", "clocks_throttle_reason_")];
        let found = groups.iter().find_map(|(group, prefix)| Some((element(self.node, group)?, *prefix)));
        let Some((group, prefix)) = found else {
            let detail = format!("{}: this nvidia-smi does not tell why clocks are low", self.place);
            return Fact::unknown(Why::Unsupported, detail);
        };
        let (mut bits, mut read) = (0, 0);
        for reason in group.children().filter(Node::is_element) {
            let name = reason.tag_name().name();
            let name = name.strip_prefix(prefix).unwrap_or(name);
            // nvidia-smi says `display_clocks_setting` where nvml.h says `display_clock_setting`.
            let bit = throttle::bit(&name.replace("display_clocks", "display_clock"));
            match (bit, truth(reason.text().unwrap_or_default().trim(), name, self.place)) {
                (Some(bit), Ok(active)) => {
                    read += 1;
                    bits |= if active { bit } else { 0 };
                }
                // A newer reason, or one that this card does not know.
                (None, _) | (_, Err(_)) => {}
            }
        }
        match read {
            0 => Fact::unknown(Why::Unsupported, format!("{}: no reason for lower clocks has a value", self.place)),
            _ => Fact::Known(bits),
        }
    }

    /// Memory errors of one kind, summed over the memories; Turing and newer count otherwise than cards before them.
    fn ecc(&self, since: &str, corrected: bool) -> Fact<u64> {
        let group = format!("ecc_errors/{since}");
        let older = if corrected { "single_bit/total" } else { "double_bit/total" };
        let named = if corrected { "correctable" } else { "uncorrectable" };
        let Some(counters) = element(self.node, &group) else {
            return Fact::unknown(Why::Unsupported, format!("{}: this nvidia-smi does not tell <{group}>", self.place));
        };
        if element(counters, older).is_some() {
            return self.whole(&[&format!("{group}/{older}")], "", 1.0);
        }
        let (mut sum, mut read) = (0_u64, 0);
        let mut obstacle = Unknown::new(Why::Unsupported, format!("{}: no <{named}> count in <{group}>", self.place));
        for counter in counters.children().filter(Node::is_element) {
            // `sram_uncorrectable_parity` has the kind in the middle.
            if !counter.tag_name().name().split('_').any(|part| part == named) {
                continue;
            }
            let path = format!("{group}/{}", counter.tag_name().name());
            let count = text_of(self.node, &path, self.place);
            match count.and_then(|text| whole(&text, "", 1.0, &path, self.place)) {
                Ok(count) => {
                    sum = sum.saturating_add(count);
                    read += 1;
                }
                Err(unknown) => obstacle = unknown,
            }
        }
        if read == 0 { Fact::Unknown(obstacle) } else { Fact::Known(sum) }
    }

    fn remapped_rows(&self) -> Result<RemappedRows, Unknown> {
        let text = |name: &str| text_of(self.node, &format!("remapped_rows/{name}"), self.place);
        let count = |name: &str| text(name).and_then(|value| whole(&value, "", 1.0, name, self.place));
        let flag = |name: &str| text(name).and_then(|value| truth(&value, name, self.place));
        Ok(RemappedRows {
            correctable: count("remapped_row_corr")?,
            uncorrectable: count("remapped_row_unc")?,
            pending: flag("remapped_row_pending")?,
            failure: flag("remapped_row_failure")?,
        })
    }

    /// `N/A` is a card without MIG.
    fn mig_enabled(&self) -> Fact<bool> {
        match element(self.node, "mig_mode/current_mig").and_then(|node| node.text()) {
            Some(text) if text.trim() == "N/A" => Fact::Known(false),
            _ => self.truth(&["mig_mode/current_mig"]),
        }
    }

    fn mig_devices(&self) -> Fact<Vec<MigDevice>> {
        let Some(list) = element(self.node, "mig_devices") else {
            return Fact::unknown(
                Why::Unsupported,
                format!("{}: this nvidia-smi does not tell <mig_devices>", self.place),
            );
        };
        let devices = list.children().filter(|node| node.has_tag_name("mig_device")).take(ENTRIES_MAX);
        let device = |(position, node): (usize, Node<'_, '_>)| MigDevice {
            index: text_of(node, "index", self.place)
                .ok()
                .and_then(|text| text.parse().ok())
                .unwrap_or(position as u64),
            uuid: text_of(node, "uuid", self.place).into(),
        };
        Fact::Known(devices.enumerate().map(device).collect())
    }

    fn virtualization(&self) -> Fact<String> {
        self.text(&["gpu_virtualization_mode/virtualization_mode"]).map(|mode| match snake(&mode).as_str() {
            "pass_through" => "passthrough".to_string(),
            "host_vgpu" => "host_vgpu".to_string(),
            other => other.to_string(),
        })
    }

    /// The license's state in the words of nvidia-smi: `Licensed (Expiry: ...)`, `Unlicensed (Restricted)`.
    fn license(&self) -> Fact<String> {
        let groups = ["vgpu_software_licensed_product", "grid_licensed_product"];
        let Some(group) = groups.iter().find(|group| element(self.node, group).is_some()) else {
            return Fact::Known("not_needed".into());
        };
        self.text(&[&format!("{group}/license_status")]).map(|status| {
            let status = status.to_ascii_lowercase();
            let state = match status.as_str() {
                text if text.starts_with("licensed") => "licensed",
                text if text.contains("unrestricted") => "unlicensed_unrestricted",
                text if text.contains("restricted") => "unlicensed_restricted",
                text if text.starts_with("unlicensed") => "unlicensed",
                _ => return snake(&status),
            };
            state.to_string()
        })
    }

    fn recovery_action(&self) -> Fact<String> {
        if let Fact::Known(action) = self.text(&["gpu_recovery_action"]) {
            return Fact::Known(snake(&action).trim_start_matches("gpu_").trim_start_matches("node_").to_string());
        }
        // Before that element there were two flags.
        let flag = |name: &str| self.truth(&[&format!("gpu_reset_status/{name}")]);
        match (flag("reset_required"), flag("drain_and_reset_recommended")) {
            (Fact::Known(true), _) => Fact::Known("reset".into()),
            (_, Fact::Known(true)) => Fact::Known("drain_and_reset".into()),
            (Fact::Known(false), _) => Fact::Known("none".into()),
            (Fact::Unknown(unknown), _) => Fact::Unknown(unknown),
        }
    }

    /// Processes that compute (`C` or `C+G`).
    fn processes(&self) -> Fact<Vec<GpuProcess>> {
        let Some(list) = element(self.node, "processes") else {
            return Fact::unknown(
                Why::Unsupported,
                format!("{}: this nvidia-smi does not tell <processes>", self.place),
            );
        };
        if let Err(unknown) = text_of(self.node, "processes", self.place)
            && unknown.why != Why::Absent
        {
            return Fact::Unknown(unknown);
        }
        let entries = list.children().filter(|node| node.has_tag_name("process_info")).take(ENTRIES_MAX);
        let process = |node: Node<'_, '_>| {
            let kind = text_of(node, "type", self.place).unwrap_or_else(|_| "C".into());
            let pid = text_of(node, "pid", self.place).ok()?.parse().ok().filter(|_| kind.contains('C'))?;
            let used = text_of(node, "used_memory", self.place);
            Some(GpuProcess {
                pid,
                name: text_of(node, "process_name", self.place).map(|name| program(&name)).into(),
                used_bytes: used.and_then(|text| whole(&text, "MiB", MIB, "used_memory", self.place)).into(),
            })
        };
        Fact::Known(entries.filter_map(process).collect())
    }
}

/// The program's name without its folder and arguments, which can hold secrets.
fn program(command: &str) -> String {
    let program = command.split_whitespace().next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or(program).to_string()
}
