//! The processes on a GPU while requests ran, and what the server's hold.

use crate::probe::nvml::counter::Counter;
use crate::probe::nvml::recording::{GpuRecording, Listed};
use crate::snapshot::{Fact, Unknown, WatchedProcess, Why};

/// Processes told of a GPU.
const TOLD_MAX: usize = 64;

/// Memory of the server's processes at the last reading before the window closed.
pub fn server_memory(gpu: &GpuRecording, closed: f64) -> Fact<u64> {
    let readings = gpu.readings(Counter::ServerMemory);
    let last = readings.iter().rev().find(|(at_ms, _)| *at_ms <= closed).or(readings.last());
    // A later refusal is the newer word: the process has gone from the list, or the GPU.
    let refused = gpu
        .refusal(Counter::ServerMemory)
        .filter(|(at_ms, _)| *at_ms <= closed && last.is_none_or(|(read_ms, _)| read_ms < at_ms));
    match (last, refused) {
        (_, Some((_, unknown))) => Fact::Unknown(unknown.clone()),
        (Some((_, bytes)), None) => Fact::Known(*bytes as u64),
        (None, None) => Fact::Unknown(gpu.reason(Counter::ServerMemory)),
    }
}

/// Every process that was listed while the window was open, with the most that it held and used.
pub fn processes(gpu: &GpuRecording, server_pids: &[u64], opened: f64, closed: f64) -> Fact<Vec<WatchedProcess>> {
    if gpu.processes.is_empty() {
        return Fact::Unknown(gpu.reason(Counter::ServerMemory));
    }
    // A list holds until the next one, so the last before the opening counts too.
    let first = gpu.processes.partition_point(|(at_ms, _)| *at_ms <= opened).saturating_sub(1);
    let inside = gpu.processes.iter().skip(first).take_while(|(at_ms, _)| *at_ms <= closed);
    let mut most: Vec<Listed> = Vec::new();
    for one in inside.flat_map(|(_, list)| list) {
        let full = most.len() >= TOLD_MAX;
        match most.iter_mut().find(|other| other.pid == one.pid) {
            Some(other) => {
                other.bytes = other.bytes.max(one.bytes);
                other.percent = other.percent.max(one.percent);
            }
            None if !full => most.push(one.clone()),
            None => {}
        }
    }
    let untold =
        |what: &str, pid: u64| Unknown::new(Why::Unsupported, format!("NVML does not tell {what} of process {pid}"));
    let watched = |one: Listed| WatchedProcess {
        pid: one.pid,
        memory_bytes: one.bytes.ok_or_else(|| untold("the memory", one.pid)).into(),
        utilization_percent: one.percent.ok_or_else(|| untold("the utilization", one.pid)).into(),
        of_server: server_pids.contains(&one.pid),
    };
    Fact::Known(most.into_iter().map(watched).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(pid: u64, bytes: Option<u64>, percent: Option<u64>) -> Listed {
        Listed { pid, bytes, percent }
    }

    #[test]
    fn what_was_listed_in_the_window_is_told_with_its_most() {
        let mut gpu = GpuRecording::new(0);
        assert!(processes(&gpu, &[], 0.0, 9.0).known().is_none());
        gpu.processes = vec![
            (0.0, vec![listed(5, Some(1), None)]),
            (10.0, vec![listed(7, Some(50), None), listed(8, None, None)]),
            (30.0, vec![listed(7, Some(40), Some(90)), listed(9, Some(1), Some(3))]),
            (90.0, vec![listed(11, Some(1), None)]),
        ];
        let told = processes(&gpu, &[7], 20.0, 80.0);
        let told = told.known().unwrap();
        let ids: Vec<(u64, bool)> = told.iter().map(|one| (one.pid, one.of_server)).collect();
        assert_eq!(ids, [(7, true), (8, false), (9, false)], "neither who had gone nor who came later");
        assert_eq!((&told[0].memory_bytes, &told[0].utilization_percent), (&Fact::Known(50), &Fact::Known(90)));
        assert_eq!(told[1].memory_bytes.reason().unwrap().detail, "NVML does not tell the memory of process 8");
    }

    #[test]
    fn the_servers_memory_is_that_at_the_windows_end() {
        let mut gpu = GpuRecording::new(0);
        gpu.push(Counter::ServerMemory, 10.0, 4.0);
        gpu.push(Counter::ServerMemory, 20.0, 6.0);
        gpu.push(Counter::ServerMemory, 40.0, 9.0);
        assert_eq!(server_memory(&gpu, 30.0), Fact::Known(6));
        gpu.refuse(Counter::ServerMemory, 25.0, Unknown::new(Why::Absent, "gone"));
        assert_eq!(server_memory(&gpu, 30.0).reason().unwrap().detail, "gone");
        assert_eq!(server_memory(&gpu, 50.0), Fact::Known(9));
    }
}
