//! A GPU's readings thinned out for a drawing.

use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Recording};
use crate::snapshot::{Fact, GpuTimeline, Unknown, Why};
use std::fmt::Write;

/// Points of one GPU, and of all together.
const POINTS_MAX: usize = 256;
const POINTS_OF_ALL: usize = 1024;
const MIB: f64 = 1_048_576.0;

/// The whole recording of one GPU, from the window's opening.
pub fn of(recording: &Recording, gpu: &GpuRecording, opened: f64) -> Fact<GpuTimeline> {
    let drawn = [Counter::Utilization, Counter::Power, Counter::SmClock, Counter::MemoryUsed];
    if drawn.iter().all(|counter| gpu.readings(*counter).is_empty()) {
        return Fact::Unknown(Unknown::new(Why::Absent, gpu.reason(Counter::Power).detail));
    }
    let most = POINTS_MAX.min(POINTS_OF_ALL / recording.gpus.len().max(1)).max(16);
    let step = recording.times.len().div_ceil(most).max(1);
    let begins: Vec<f64> = recording.times.iter().step_by(step).copied().collect();
    let mut at_ms = String::new();
    for begin in &begins {
        let _ = write!(at_ms, "{}{:.0}", if at_ms.is_empty() { "" } else { " " }, begin - opened);
    }
    let text = |counter, unit| text(&highest(&begins, gpu.readings(counter)), unit);
    Fact::Known(GpuTimeline {
        at_ms,
        utilization_percent: text(Counter::Utilization, 1.0),
        power_milliwatts: text(Counter::Power, 1.0),
        sm_clock_mhz: text(Counter::SmClock, 1.0),
        memory_used_mib: text(Counter::MemoryUsed, MIB),
    })
}

/// The highest reading from each beginning to the next.
fn highest(begins: &[f64], readings: &[(f64, f64)]) -> Vec<Option<f64>> {
    let mut points = vec![None; begins.len()];
    for (at_ms, value) in readings {
        let position = begins.partition_point(|begin| begin <= at_ms);
        if let Some(point) = position.checked_sub(1).and_then(|position| points.get_mut(position)) {
            *point = Some(point.map_or(*value, |other: f64| other.max(*value)));
        }
    }
    points
}

fn text(points: &[Option<f64>], unit: f64) -> String {
    let mut text = String::new();
    for point in points {
        if !text.is_empty() {
            text.push(' ');
        }
        let _ = match point {
            Some(value) => write!(text, "{:.0}", value / unit),
            None => write!(text, "-"),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_recording_is_thinned_out_and_no_burst_is_lost() {
        let mut recording = Recording { period_ms: 10.0, ..Recording::default() };
        let mut gpu = GpuRecording::new(0);
        for n in 0..1000 {
            let at_ms = f64::from(n) * 10.0;
            recording.times.push(at_ms);
            gpu.push(Counter::Power, at_ms, if n == 501 { 500e3 } else { 68e3 });
            if n % 50 == 0 {
                gpu.push(Counter::MemoryUsed, at_ms, 3.0 * MIB);
            }
        }
        recording.gpus = vec![gpu];
        let told = of(&recording, &recording.gpus[0], 2000.0);
        let told = told.known().unwrap();
        let numbers = |text: &str| -> Vec<Option<f64>> { text.split(' ').map(|word| word.parse().ok()).collect() };
        let (times, power) = (numbers(&told.at_ms), numbers(&told.power_milliwatts));
        assert_eq!((times.len(), power.len()), (250, 250));
        assert_eq!((times[0], times[249]), (Some(-2000.0), Some(7960.0)));
        let busy: Vec<usize> = (0..250).filter(|n| power[*n] == Some(500e3)).collect();
        assert_eq!((busy.as_slice(), times[busy[0]]), (&[125][..], Some(3000.0)));
        assert_eq!(numbers(&told.memory_used_mib).iter().flatten().count(), 20);
        assert!(told.sm_clock_mhz.split(' ').all(|word| word == "-"), "unread is no 0");
        recording.gpus = vec![recording.gpus[0].clone(); 8];
        let many = of(&recording, &recording.gpus[0], 0.0);
        assert_eq!(many.known().unwrap().at_ms.split(' ').count(), 125);
        assert_eq!(of(&recording, &GpuRecording::new(9), 0.0).reason().unwrap().why, Why::Absent);
    }
}
