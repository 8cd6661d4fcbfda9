//! The window's sums.

use super::phases::summarise;
use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Recording};
use crate::snapshot::{Fact, Unknown, Why};

fn recording() -> Recording {
    let mut gpu = GpuRecording::new(0);
    gpu.uuid = Fact::Known("GPU-1".into());
    let samples = [
        (0.0, Some(1), 10),
        (99.0, None, 10),
        (100.0, Some(40), 20),
        (150.0, Some(80), 30),
        (200.0, Some(60), 20),
        (201.0, Some(0), 10),
    ];
    for (at_ms, utilization, memory) in samples {
        if let Some(percent) = utilization {
            gpu.push(Counter::Utilization, at_ms, f64::from(percent));
            gpu.push(Counter::ThrottleReasons, at_ms, if percent > 50 { 64.0 } else { 1.0 });
        }
        gpu.push(Counter::ServerMemory, at_ms, f64::from(memory / 2));
        gpu.push(Counter::Power, at_ms, 4e4);
        if memory == 30 {
            gpu.push(Counter::PcieReceived, at_ms, 5e6);
        }
    }
    for counter in [Counter::ProcessUtilization, Counter::PcieSent] {
        gpu.refuse(counter, 0.0, Unknown::new(Why::Unsupported, "not on this card"));
    }
    let times = samples.iter().map(|(at_ms, ..)| *at_ms).collect();
    Recording { times, period_ms: 50.0, gpus: vec![gpu], ..Recording::default() }
}

#[test]
fn readings_fall_into_their_phase_and_unread_ones_are_not_counted() {
    let windows = summarise(&recording(), 100.0, 200.0, &[]);
    assert_eq!(windows.len(), 1);
    let Fact::Known(phases) = &windows[0].utilization_percent else { panic!("{windows:?}") };
    assert_eq!((phases.before.samples, phases.during.samples, phases.after.samples), (1, 3, 1));
    assert_eq!((phases.during.min, phases.during.mean, phases.during.max), (40.0, 60.0, 80.0));
    assert_eq!(phases.after.max, 0.0);
    let reason = windows[0].process_utilization_percent.reason().unwrap();
    assert_eq!((reason.why, reason.detail.as_str()), (Why::Unsupported, "not on this card"));
    assert_eq!(windows[0].server_memory_bytes, Fact::Known(10), "the last reading inside the window");
    let received = windows[0].pcie_received_bytes_per_second.known().unwrap();
    assert_eq!((received.before.samples, received.during.samples, received.during.mean), (0, 1, 5e6));
    assert_eq!(windows[0].pcie_sent_bytes_per_second.reason().unwrap().detail, "not on this card");
    let trace = windows[0].utilization_trace.known().unwrap();
    let told: Vec<(f64, u64)> = trace.iter().map(|reading| (reading.at_ms, reading.percent)).collect();
    assert_eq!(told, [(0.0, 40), (50.0, 80), (100.0, 60)], "readings of the window, from its opening");
    let throttled = windows[0].throttle_reasons_percent.known().unwrap();
    let shares: Vec<(&str, f64)> = throttled.iter().map(|(name, share)| (name.as_str(), *share)).collect();
    assert_eq!(shares, [("gpu_idle", 33.333), ("hw_thermal_slowdown", 66.667)], "readings of the window only");
    assert_eq!(windows[0].doubts, Fact::Known(Vec::new()));
    assert_eq!(windows[0].lost_at_ms.reason().unwrap().why, Why::NotAsked);
    assert_eq!(summarise(&Recording::default(), 0.0, 1.0, &[]), []);
}

#[test]
fn a_gpu_that_is_lost_keeps_what_it_said_before() {
    let mut recording = recording();
    let lost = Unknown::new(Why::Absent, "nvmlDeviceGetPowerUsage of GPU 0: the GPU is lost");
    recording.gpus[0].lost = Some((160.0, lost));
    let windows = summarise(&recording, 100.0, 200.0, &[]);
    assert_eq!(windows[0].lost_at_ms, Fact::Known(60.0));
    assert!(windows[0].power_milliwatts.known().is_some());
    let energy = windows[0].energy_milliwatts.reason().unwrap();
    assert!(energy.detail.contains("the GPU is lost"), "{energy}");
    assert!(windows[0].doubts.known().unwrap()[0].contains("stopped to answer 60 ms into the window"));
}

#[test]
fn windows_that_make_no_sense_give_no_figures_of_work() {
    let windows = summarise(&recording(), 200.0, 100.0, &[]);
    assert_eq!(windows[0].utilization_percent.known().unwrap().during.samples, 0);
    assert_eq!(windows[0].doubts.known().unwrap(), &["the window ends before it begins"]);
    let windows = summarise(&recording(), f64::NAN, f64::NAN, &[]);
    assert_eq!(windows[0].utilization_percent.known().unwrap().during.samples, 0);
}
