//! The window's sums.

use super::phases::summarise;
use crate::probe::nvml::sampler::{GpuSample, Sample};
use crate::snapshot::{Fact, Why};

fn sample(at_ms: f64, utilization: Option<u64>, memory: u64) -> Sample {
    let unread = || Fact::unknown(Why::Unsupported, "not on this card");
    let gpu = GpuSample {
        index: 0,
        uuid: Fact::Known("GPU-1".into()),
        utilization_percent: utilization.map_or_else(unread, Fact::Known),
        process_utilization_percent: unread(),
        power_milliwatts: Fact::Known(40_000),
        energy_millijoules: unread(),
        sm_clock_mhz: Fact::Known(1_000),
        memory_used_bytes: Fact::Known(memory),
        server_memory_bytes: Fact::Known(memory / 2),
        temperature_celsius: Fact::Known(60),
        throttle_reasons_bits: utilization.map_or_else(unread, |value| Fact::Known(if value > 50 { 0x40 } else { 1 })),
        pcie_link_generation: Fact::Known(4),
        pcie_link_width: Fact::Known(16),
        pcie_replays: Fact::Known(0),
        pcie_received_bytes_per_second: (memory == 30).then_some(Fact::Known(5_000_000)),
        pcie_sent_bytes_per_second: Some(unread()),
    };
    Sample { at_ms, gpus: vec![gpu] }
}

#[test]
fn samples_fall_into_their_phase_and_unread_ones_are_not_counted() {
    let samples = [
        sample(0.0, Some(1), 10),
        sample(99.0, None, 10),
        sample(100.0, Some(40), 20),
        sample(150.0, Some(80), 30),
        sample(200.0, Some(60), 20),
        sample(201.0, Some(0), 10),
    ];
    let windows = summarise(&samples, 100.0, 200.0, &[]);
    assert_eq!(windows.len(), 1);
    let Fact::Known(phases) = &windows[0].utilization_percent else { panic!("{windows:?}") };
    assert_eq!((phases.before.samples, phases.during.samples, phases.after.samples), (1, 3, 1));
    assert_eq!((phases.during.min, phases.during.mean, phases.during.max), (40.0, 60.0, 80.0));
    assert_eq!(phases.after.max, 0.0);
    let reason = windows[0].process_utilization_percent.reason().unwrap();
    assert_eq!((reason.why, reason.detail.as_str()), (Why::Unsupported, "not on this card"));
    assert_eq!(windows[0].server_memory_bytes, Fact::Known(10), "the last sample inside the window");
    let received = windows[0].pcie_received_bytes_per_second.known().unwrap();
    assert_eq!((received.before.samples, received.during.samples, received.during.mean), (0, 1, 5e6));
    assert_eq!(windows[0].pcie_sent_bytes_per_second.reason().unwrap().detail, "not on this card");
    let trace = windows[0].utilization_trace.known().unwrap();
    let told: Vec<(f64, u64)> = trace.iter().map(|reading| (reading.at_ms, reading.percent)).collect();
    assert_eq!(told, [(0.0, 40), (50.0, 80), (100.0, 60)], "samples of the window, from its opening");
    let throttled = windows[0].throttle_reasons_percent.known().unwrap();
    let shares: Vec<(&str, f64)> = throttled.iter().map(|(name, share)| (name.as_str(), *share)).collect();
    assert_eq!(shares, [("gpu_idle", 33.333), ("hw_thermal_slowdown", 66.667)], "samples of the window only");
    assert_eq!(summarise(&[], 0.0, 1.0, &[]), []);
}
