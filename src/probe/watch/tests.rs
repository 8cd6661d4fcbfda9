//! What was seen goes into the table and back, and long watches stay small.

use super::*;
use crate::probe::triage;

fn gpu(index: u64, utilization: Figure) -> GpuTurn {
    let unsupported = || Err(Unknown::new(Why::Unsupported, "the card does not tell it"));
    GpuTurn {
        index,
        uuid: Some(format!("GPU-{index}")),
        name: Some("NVIDIA T4, the \"small\" one".into()),
        memory_total_bytes: Some(16 << 30),
        utilization_max_percent: utilization.clone(),
        utilization_percent: utilization,
        memory_used_bytes: Ok(f64::from(1 << 30)),
        power_milliwatts: unsupported(),
        temperature_celsius: Ok(61.0),
        sm_clock_mhz: Ok(1590.0),
        sm_activity_percent: unsupported(),
        throttle_reasons: Ok(vec!["sw_power_cap".into(), "gpu_idle".into()]),
        lost: None,
    }
}

fn server(gained: f64) -> ServerTurn {
    ServerTurn {
        gained: Ok(gained),
        succeeded: Ok(gained),
        failed: Ok(0.0),
        queue_ms: Ok(2.0),
        infer_ms: Ok(10.0),
        request_ms: Ok(100.0),
        ..ServerTurn::unknown(&Unknown::new(Why::Unsupported, "not told"))
    }
}

fn turn(second: u32, gpus: Vec<GpuTurn>, server: Option<ServerTurn>) -> Turn {
    let at_ms = 1.7e12 + f64::from(second) * 1e3;
    Turn { at_ms, time: "12:00:00".into(), gpus, server, notes: Vec::new() }
}

/// The facts of a table of these turns, as `triage` reads it.
fn read_back(turns: &[Turn]) -> Facts {
    let rows = turns.iter().flat_map(table::rows).map(|row| table::csv(&row));
    let text: String = std::iter::once(table::header()).chain(rows).collect();
    triage::read_bytes("gpu_samples.csv", text.as_bytes())
}

#[test]
fn what_is_recorded_live_is_what_the_file_tells() {
    let seen = |second: u32| {
        let requests = if second < 5 { 0.0 } else { 3.0 };
        let utilization = if second < 5 { 0.0 } else { 80.0 };
        turn(second, vec![gpu(0, Ok(utilization)), gpu(1, Ok(0.0))], Some(server(requests)))
    };
    let turns: Vec<Turn> = (0..30).map(seen).collect();
    let from_file = read_back(&turns);
    let mut live = Live::begin("gpu_samples.csv", &table::header()).unwrap();
    turns.iter().flat_map(table::rows).for_each(|row| live.feed(&table::csv(&row)));
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "not read"));
    live.end(&mut facts);
    assert_eq!(facts.recorded.requests, from_file.recorded.requests);
    assert_eq!(facts.execution.requests_ok, from_file.execution.requests_ok);
    let requests = facts.recorded.requests.known().unwrap();
    assert_eq!((requests.count, requests.ok.known()), (75, Some(&75)), "not once for each GPU");
    let gpus = facts.execution.gpus.known().unwrap();
    let during = |index: usize| gpus[index].utilization_percent.known().unwrap().during.max;
    assert_eq!((gpus.len(), during(0), during(1)), (2, 80.0, 0.0));
    let before = gpus[0].utilization_percent.known().unwrap();
    assert!(before.before.samples >= 3 && before.before.max == 0.0, "{before:?}");
    assert!(gpus[0].power_milliwatts.known().is_none(), "what the card does not tell is no figure");
}

#[test]
fn a_server_without_gpus_is_no_gpu_without_samples() {
    let turns: Vec<Turn> = (0..12).map(|second| turn(second, Vec::new(), Some(server(2.0)))).collect();
    let facts = read_back(&turns);
    assert_eq!(facts.recorded.requests.known().unwrap().count, 24);
    assert_eq!(facts.execution.gpus.reason().map(|unknown| unknown.why), Some(Why::NotAsked));
}

#[test]
fn a_watch_that_begins_under_load_has_no_idle_time_before() {
    let seen = |requests_from: u32| {
        let requests = move |second: u32| if second < requests_from { 0.0 } else { 3.0 };
        let turns = (0..20).map(move |second| turn(second, vec![gpu(0, Ok(90.0))], Some(server(requests(second)))));
        let facts = read_back(&turns.collect::<Vec<_>>());
        facts.execution.gpus.known().unwrap()[0].utilization_percent.known().unwrap().before.samples
    };
    assert_eq!(seen(0), 0);
    assert_eq!(seen(1), 0, "what is counted in the second interval was under way in the first");
    assert!(seen(8) >= 5, "a card that was busy before any request is");
}

#[test]
fn a_lost_gpu_is_told_with_its_time() {
    let seen = |second: u32| {
        let mut one = gpu(0, Ok(90.0));
        if second >= 10 {
            one.lost = Some(Unknown::new(Why::Absent, "nvmlDeviceGetPowerUsage of GPU 0: GPU is lost"));
        }
        turn(second, vec![one], Some(server(2.0)))
    };
    let turns: Vec<Turn> = (0..20).map(seen).collect();
    let objects: String = turns.iter().flat_map(table::rows).map(|row| table::json(&row)).collect();
    let of_objects = triage::read_bytes("gpu_samples.csv", objects.as_bytes());
    let facts = read_back(&turns);
    assert_eq!(
        of_objects.execution.gpus.known().unwrap()[0].lost_at_ms,
        facts.execution.gpus.known().unwrap()[0].lost_at_ms
    );
    assert_eq!(of_objects.recorded.requests, facts.recorded.requests, "JSON Lines tell the same");
    let lost = facts.execution.gpus.known().unwrap()[0].lost_at_ms.known().copied().unwrap();
    assert!((8_000.0..=11_000.0).contains(&lost), "{lost}");
}

#[test]
fn a_long_watch_is_summed_up_in_little_memory() {
    let mut summary = Summary::new(true, 1.7e12);
    for second in 0..200_000_u32 {
        let mut seen = turn(second, vec![gpu(0, Ok(f64::from(second % 101)))], Some(server(2.0)));
        seen.notes = vec!["something".into()];
        summary.take(&seen);
    }
    assert_eq!((summary.turns, summary.events.len(), summary.events_left_out), (200_000, 50, 199_950));
    let one = &summary.gpus[&0];
    assert!((one.utilization_percent.mean() - 50.0).abs() < 0.1, "{}", one.utilization_percent.mean());
    assert!((one.utilization_percent.quantile(0.95) - 95.0).abs() < 2.0);
    assert_eq!((one.utilization_percent.min(), one.utilization_percent.max()), (0.0, 100.0));
    assert!(one.power_milliwatts.is_empty() && one.untold.contains("power"), "never 0");
    assert_eq!(one.throttled.keys().collect::<Vec<_>>(), ["sw_power_cap"], "idleness holds nothing back");
    let server = summary.server.unwrap();
    assert_eq!((server.requests, server.queue_ms.mean(), server.infer_ms.max()), (400_000.0, 2.0, 10.0));
}

#[test]
fn no_text_breaks_a_row() {
    let mut one = turn(0, vec![gpu(0, Ok(1.0))], None);
    one.notes = vec!["a, \"b\"\nc\u{1b}[31m".into()];
    let row = &table::rows(&one)[0];
    let line = table::csv(row);
    assert_eq!((line.matches(',').count(), line.matches('\n').count()), (table::header().matches(',').count(), 1));
    assert!(!line.contains(['"', '\u{1b}']), "{line}");
    let object: serde_json::Value = serde_json::from_str(&table::json(row)).unwrap();
    assert_eq!((&object["power_w"], &object["temperature_c"]), (&serde_json::Value::Null, &61.into()));
}
