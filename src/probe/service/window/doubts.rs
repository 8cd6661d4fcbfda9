//! What makes a GPU's counters doubtful, in words. Nothing of it is turned into a figure.

use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Recording};
use crate::snapshot::Why;

/// Doubts told of a GPU.
const TOLD_MAX: usize = 12;
/// Gaps told; of further ones the number.
const GAPS_TOLD: usize = 3;
/// Periods without a sample from which on there is a gap, and the least that counts, milliseconds.
const GAP_PERIODS: f64 = 5.0;
const LEAST_GAP_MS: f64 = 400.0;
/// Counters that only ever rise.
const RISING: [(Counter, &str); 2] =
    [(Counter::Energy, "the energy counter"), (Counter::PcieReplays, "the counter of PCIe replays")];

/// All doubts about one GPU, the gravest first.
pub fn of(recording: &Recording, gpu: &GpuRecording, opened: f64, closed: f64) -> Vec<String> {
    let when = |at_ms: f64| moment(at_ms - opened);
    let mut doubts = Vec::new();
    if let Some((at_ms, unknown)) = &gpu.lost {
        doubts.push(format!("GPU {} stopped to answer {}: {}", gpu.index, when(*at_ms), unknown.detail));
    }
    if let Some(unknown) = &recording.ended_by {
        let last = recording.times.last().copied().unwrap_or(opened);
        doubts.push(format!("sampling ended by itself {}: {}", when(last), unknown.detail));
    }
    if closed < opened {
        doubts.push("the window ends before it begins".into());
    }
    for (at_ms, by) in &recording.clock_moves {
        let seconds = by / 1e3;
        doubts
            .push(format!("the wall clock moved by {seconds:.1} s {}: it was set, or the machine slept", when(*at_ms)));
    }
    for (counter, words) in RISING {
        if let Some((at_ms, from, to)) = fall(gpu.readings(counter)) {
            doubts.push(format!(
                "{words} ran backwards {}, from {from} to {to}: it wrapped, or the driver or the GPU was restarted",
                when(at_ms)
            ));
        }
    }
    doubts.extend(refusals(gpu, opened));
    doubts.extend(gaps(recording, opened));
    if let Some(pid) = gpu.strange_pid {
        doubts.push(format!(
            "NVML listed a process {pid}, which no Linux kernel gives out: its list is not to be trusted"
        ));
    }
    doubts.truncate(TOLD_MAX);
    doubts
}

/// Where a series falls first: when, from what, to what.
fn fall(readings: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let falls = |pair: &[(f64, f64)]| match pair {
        [(_, from), (at_ms, to)] if to < from => Some((*at_ms, *from, *to)),
        _ => None,
    };
    readings.windows(2).find_map(falls)
}

/// Counters that were read and then refused, or that handed out junk, one sentence for those with the same reason.
fn refusals(gpu: &GpuRecording, opened: f64) -> Vec<String> {
    // By the error behind the call's name, which is another for each counter.
    let mut stopped: Vec<(String, f64, Vec<&str>)> = Vec::new();
    let mut doubts = Vec::new();
    for counter in Counter::all() {
        let Some((at_ms, unknown)) = gpu.refusal(counter) else { continue };
        let last = gpu.readings(counter).last().map(|(last, _)| *last);
        match unknown.why {
            Why::Malformed => doubts.push(unknown.detail.clone()),
            // The server's process is gone from the list, or idle.
            Why::Absent | Why::NotAsked if matches!(counter, Counter::ServerMemory | Counter::ProcessUtilization) => {}
            _ if last.is_some_and(|last| last < *at_ms) => {
                let error = unknown.detail.split_once(": ").map_or(unknown.detail.as_str(), |(_, error)| error);
                match stopped.iter_mut().find(|(other, ..)| other == error) {
                    Some((_, first, names)) => {
                        *first = first.min(*at_ms);
                        names.push(counter.name());
                    }
                    None => stopped.push((error.to_owned(), *at_ms, vec![counter.name()])),
                }
            }
            _ => {}
        }
    }
    let told = |(error, at_ms, names): (String, f64, Vec<&str>)| {
        format!("{} could be read, but no more {}: {error}", names.join(", "), moment(at_ms - opened))
    };
    doubts.extend(stopped.into_iter().map(told));
    doubts
}

/// Stretches without a sample: the child did not get to run, or a call of the driver took so long.
fn gaps(recording: &Recording, opened: f64) -> Vec<String> {
    let longest = (GAP_PERIODS * recording.period_ms).max(LEAST_GAP_MS);
    let gap = |pair: &[f64]| match pair {
        [from, to] if to - from > longest && recording.joint_ms.is_none_or(|joint| *from >= joint || *to < joint) => {
            Some((*from, to - from))
        }
        _ => None,
    };
    let all: Vec<(f64, f64)> = recording.times.windows(2).filter_map(gap).collect();
    let told = |(from, length): &(f64, f64)| {
        format!(
            "no sample was taken for {length:.0} ms from {} on: the sampler did not get to run, or the driver did not \
             answer",
            moment(from - opened)
        )
    };
    let mut doubts: Vec<String> = all.iter().take(GAPS_TOLD).map(told).collect();
    if all.len() > GAPS_TOLD {
        doubts.push(format!("{} more such gaps", all.len() - GAPS_TOLD));
    }
    doubts
}

/// A moment by the window's opening.
fn moment(ms: f64) -> String {
    match ms < 0.0 {
        true => format!("{:.0} ms before the window", -ms),
        false => format!("{ms:.0} ms into the window"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Unknown;

    fn recording(times: &[f64]) -> Recording {
        let mut gpu = GpuRecording::new(0);
        times.iter().for_each(|at| gpu.push(Counter::Power, *at, 5.0));
        Recording { times: times.to_vec(), period_ms: 50.0, gpus: vec![gpu], ..Recording::default() }
    }

    #[test]
    fn an_even_recording_has_no_doubts() {
        let times: Vec<f64> = (0..100).map(|n| f64::from(n) * 50.0).collect();
        let mut recording = recording(&times);
        let gpu = &mut recording.gpus[0];
        gpu.refuse(
            Counter::SmActivity,
            0.0,
            Unknown::new(Why::Unsupported, "nvmlGpmMetricsGet of GPU 0: not supported"),
        );
        gpu.push(Counter::ServerMemory, 5.0, 1.0);
        gpu.refuse(Counter::ServerMemory, 60.0, Unknown::new(Why::Absent, "NVML lists no process of the server"));
        assert_eq!(of(&recording, &recording.gpus[0], 1000.0, 4000.0), Vec::<String>::new());
    }

    #[test]
    fn each_fault_is_said_with_its_time() {
        let mut recording = recording(&[0.0, 50.0, 900.0, 950.0]);
        recording.clock_moves.push((950.0, -3.6e6));
        recording.ended_by = Some(Unknown::new(Why::Crashed, "abort in nvmlDeviceGetPowerUsage of GPU 0"));
        let gpu = &mut recording.gpus[0];
        gpu.push(Counter::Energy, 50.0, 4_294_967_290.0);
        gpu.push(Counter::Energy, 900.0, 12.0);
        gpu.lost = Some((960.0, Unknown::new(Why::Absent, "nvmlDeviceGetPowerUsage of GPU 0: the GPU is lost")));
        let error = "unknown error (NVML 999)";
        gpu.refuse(
            Counter::Power,
            990.0,
            Unknown::new(Why::Unsupported, format!("nvmlDeviceGetPowerUsage of GPU 0: {error}")),
        );
        gpu.refuse(Counter::Energy, 991.0, Unknown::new(Why::Unsupported, format!("another: {error}")));
        gpu.refuse(Counter::PState, 9.0, Unknown::new(Why::Malformed, "junk"));
        gpu.strange_pid = Some(4_294_967_295);
        let doubts = of(&recording, &recording.gpus[0], 100.0, 1000.0);
        let words = [
            "stopped to answer 860 ms into the window: nvmlDeviceGetPowerUsage of GPU 0: the GPU is lost",
            "sampling ended by itself 850 ms into the window: abort in nvmlDeviceGetPowerUsage of GPU 0",
            "the wall clock moved by -3600.0 s 850 ms into the window",
            "the energy counter ran backwards 800 ms into the window, from 4294967290 to 12",
            "junk",
            "power_milliwatts, energy_millijoules could be read, but no more 890 ms into the window: unknown error",
            "no sample was taken for 850 ms from 50 ms before the window on",
            "NVML listed a process 4294967295",
        ];
        assert_eq!(doubts.len(), words.len(), "{doubts:#?}");
        for (doubt, words) in doubts.iter().zip(words) {
            assert!(doubt.contains(words), "{doubt}\n{words}");
        }
    }

    #[test]
    fn many_gaps_are_counted() {
        let times: Vec<f64> = (0..30).map(|n| f64::from(n) * 500.0).collect();
        let recording = recording(&times);
        let doubts = of(&recording, &recording.gpus[0], 0.0, 9e3);
        assert_eq!((doubts.len(), doubts[3].as_str()), (4, "26 more such gaps"));
        assert_eq!(of(&recording, &recording.gpus[0], 10.0, 5.0)[0], "the window ends before it begins");
    }
}
