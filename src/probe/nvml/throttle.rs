//! The names of the reasons for which clocks are not higher (nvml.h, nvmlClocksEventReasons).

/// Bits and names. The values are those of nvml.h; the names are nvidia-smi's, less their prefix.
const REASONS: &[(u64, &str)] = &[
    (0x1, "gpu_idle"),
    (0x2, "applications_clocks_setting"),
    (0x4, "sw_power_cap"),
    (0x8, "hw_slowdown"),
    (0x10, "sync_boost"),
    (0x20, "sw_thermal_slowdown"),
    (0x40, "hw_thermal_slowdown"),
    (0x80, "hw_power_brake_slowdown"),
    (0x100, "display_clock_setting"),
];

/// The names of the bits, lowest first; a bit without a name is told as a hexadecimal number.
pub fn names(bits: u64) -> Vec<String> {
    let set = (0..u64::BITS).map(|position| 1 << position).filter(|bit| bits & bit != 0);
    set.map(|bit| {
        let known = REASONS.iter().find(|(value, _)| *value == bit);
        known.map_or_else(|| format!("{bit:#x}"), |(_, name)| (*name).to_string())
    })
    .collect()
}

/// The bit of a name.
pub fn bit(name: &str) -> Option<u64> {
    REASONS.iter().find(|(_, known)| *known == name).map(|(bit, _)| *bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_has_a_name_and_no_bit_none() {
        assert_eq!(names(0), Vec::<String>::new());
        assert_eq!(names(0x1 | 0x40), ["gpu_idle", "hw_thermal_slowdown"]);
        assert_eq!(names(0x400), ["0x400"]);
        assert_eq!(names(u64::MAX).len(), 64);
        assert!(REASONS.iter().all(|(value, name)| bit(name) == Some(*value)));
    }
}
