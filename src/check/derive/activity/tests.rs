//! The verdict on windows that are made up: each threshold on both of its sides, and what must hold for any window.

use super::signals::{self, Around, Kind, Standing};
use super::*;
use crate::snapshot::{
    EnergyRates, Facts, Gpu, GpuWindow, ModelCounters, OutboundConnection, Phases, RequestTime, Series, SmokeRun,
    Unknown, UtilizationReading, WatchedProcess, Why,
};
use proptest::prelude::*;
use serde_json::json;

fn untold() -> Unknown {
    Unknown::new(Why::Unsupported, "not supported by this GPU")
}

/// Readings that are all alike, or of the given mean and extremes.
fn series(samples: u64, value: f64) -> Series {
    Series { samples, min: value, mean: value, max: value }
}

fn steady(before: f64, during: f64) -> Fact<Phases> {
    Fact::Known(Phases { before: series(20, before), during: series(60, during), after: series(10, before) })
}

fn energy(before: f64, during: f64) -> Fact<EnergyRates> {
    let known = Fact::Known;
    Fact::Known(EnergyRates { before: known(before), during: known(during), after: known(before) })
}

/// A GPU of which nothing is told.
fn silent(index: u64) -> GpuWindow {
    GpuWindow { uuid: Fact::Known(format!("GPU-{index}")), ..GpuWindow::all_unknown(index, &untold()) }
}

/// A GPU that rests, by every counter.
fn resting(index: u64) -> GpuWindow {
    GpuWindow {
        utilization_percent: steady(0.0, 0.0),
        process_utilization_percent: steady(0.0, 0.0),
        sm_activity_percent: steady(0.0, 0.0),
        power_milliwatts: steady(68e3, 68e3),
        energy_milliwatts: energy(68e3, 68e3),
        sm_clock_mhz: steady(345.0, 345.0),
        ..silent(index)
    }
}

/// A server of process 7 that computes on the CPU and holds memory on the GPUs that `on` names; NVML lists processes.
fn facts(windows: Vec<GpuWindow>, on: &[u64]) -> Facts {
    let not_asked = Unknown::new(Why::NotAsked, "not part of this test");
    let mut facts = Facts::all_unknown(&not_asked);
    let gpu = |window: &GpuWindow| {
        let listed = if on.contains(&window.index) { json!([{"pid": 7}]) } else { json!([]) };
        Gpu {
            uuid: window.uuid.clone(),
            sm_clock_max_mhz: Fact::Known(1980),
            processes: serde_json::from_value(json!({ "known": listed.as_array().into_iter().flatten().map(|one|
                json!({"pid": one["pid"], "name": {"known": "python"}, "used_bytes": {"known": 1 << 30}})).collect::<Vec<_>>() }))
            .unwrap(),
            ..Gpu::all_unknown(window.index, &not_asked)
        }
    };
    facts.nvml.gpus = Fact::Known(windows.iter().map(gpu).collect());
    facts.nvml.host_pid_namespace = Fact::Known(true);
    let process = crate::snapshot::ServerProcess::all_unknown(7, &not_asked);
    facts.process.processes = Fact::Known(vec![process]);
    let execution = &mut facts.execution;
    execution.requests_sent = Fact::Known(100);
    execution.requests_ok = Fact::Known(100);
    execution.window_ms = Fact::Known(3000.0);
    execution.server_cpu_ms = Fact::Known(2700.0);
    execution.gpus = Fact::Known(windows);
    facts
}

fn verdict(facts: &Facts) -> &'static str {
    judge(facts, &Fact::Known(true)).overall.map_or("unknown", |(verdict, _)| verdict)
}

fn alone(window: GpuWindow) -> &'static str {
    verdict(&facts(vec![window], &[0]))
}

fn standing(window: &GpuWindow, kind: Kind) -> Standing {
    let around = Around { clock_max_mhz: Some(1980.0), ..Around::default() };
    signals::read(window, &around).into_iter().find(|one| one.kind == kind).unwrap().standing
}

#[test]
fn each_counter_moves_from_its_threshold_on() {
    let none = || silent(0);
    let utilization = |during| GpuWindow { utilization_percent: steady(2.0, during), ..none() };
    let process = |during| GpuWindow { process_utilization_percent: steady(0.0, during), ..none() };
    let sm = |during| GpuWindow { sm_activity_percent: steady(0.5, during), ..none() };
    let clock = |during| GpuWindow { sm_clock_mhz: steady(345.0, during), ..none() };
    let power = |during| GpuWindow { power_milliwatts: steady(68e3, during), ..none() };
    let drawn = |during| GpuWindow { energy_milliwatts: energy(68e3, during), ..none() };
    // Of a card that rests at 8 W a twentieth is less than the sensor's step.
    let small = |during| GpuWindow { energy_milliwatts: energy(8e3, during), ..none() };
    let state = |during| GpuWindow { sm_clock_mhz: steady(345.0, 345.0), p_state: steady(8.0, during), ..none() };
    for (kind, below, above) in [
        (Kind::Utilization, utilization(4.9), utilization(5.0)),
        (Kind::ProcessUtilization, process(0.9), process(1.0)),
        (Kind::SmActivity, sm(1.4), sm(1.5)),
        (Kind::Clock, clock(545.0), clock(546.0)),
        (Kind::Clock, state(6.1), state(6.0)),
        (Kind::Energy, power(78e3), power(79e3)),
        (Kind::Energy, drawn(71e3), drawn(72e3)),
        (Kind::Energy, small(9.9e3), small(10e3)),
    ] {
        assert_eq!(standing(&below, kind), Standing::Flat, "{kind:?} {below:?}");
        assert_eq!(standing(&above, kind), Standing::Moved, "{kind:?} {above:?}");
    }
}

#[test]
fn a_baseline_that_is_busy_is_somebodys_work_unless_it_rises_and_falls_with_the_requests() {
    let before = |before, during| GpuWindow { utilization_percent: steady(before, during), ..silent(0) };
    assert_eq!(standing(&before(5.0, 60.0), Kind::Utilization), Standing::Moved);
    assert_eq!(standing(&before(5.1, 15.0), Kind::Utilization), Standing::Open);
    assert_eq!(standing(&before(5.1, 15.1), Kind::Utilization), Standing::Moved, "it rose and fell by ten points");
    assert_eq!(standing(&before(30.0, 30.0), Kind::Utilization), Standing::Open);
}

#[test]
fn a_clock_that_cannot_rise_tells_nothing_unless_the_driver_marks_it_idle() {
    let pinned = |before| GpuWindow { sm_clock_mhz: steady(before, before), ..silent(0) };
    assert_eq!(standing(&pinned(1780.0), Kind::Clock), Standing::Flat);
    assert_eq!(standing(&pinned(1781.0), Kind::Clock), Standing::Open);
    let marked = |share: f64| GpuWindow {
        throttle_reasons_percent: Fact::Known([("gpu_idle".to_owned(), share)].into()),
        ..pinned(1980.0)
    };
    assert_eq!(standing(&marked(89.0), Kind::Clock), Standing::Open);
    assert_eq!(standing(&marked(90.0), Kind::Clock), Standing::Flat);
}

#[test]
fn two_counters_at_rest_one_of_kernels_tell_idleness_and_fewer_do_not() {
    assert_eq!(alone(resting(0)), "loaded_not_computing");
    let (flat, clock) = (steady(0.0, 0.0), steady(345.0, 345.0));
    let one = GpuWindow { utilization_percent: flat.clone(), ..silent(0) };
    assert_eq!(alone(one.clone()), "unknown", "one flat counter");
    assert_eq!(alone(GpuWindow { sm_clock_mhz: clock.clone(), ..one }), "loaded_not_computing");
    let follows = GpuWindow { sm_clock_mhz: clock, power_milliwatts: steady(68e3, 68e3), ..silent(0) };
    assert_eq!(alone(follows), "unknown", "neither power nor clock counts kernels");
}

#[test]
fn any_counter_of_kernels_tells_work_and_power_only_beside_the_clock() {
    for window in [
        GpuWindow { utilization_percent: steady(0.0, 40.0), ..resting(0) },
        GpuWindow { process_utilization_percent: steady(0.0, 40.0), ..resting(0) },
        GpuWindow { sm_activity_percent: steady(0.0, 40.0), ..resting(0) },
        GpuWindow { energy_milliwatts: energy(68e3, 90e3), sm_clock_mhz: steady(345.0, 1980.0), ..resting(0) },
    ] {
        assert_eq!(alone(window), "active");
    }
    assert_eq!(alone(GpuWindow { sm_clock_mhz: steady(345.0, 1980.0), ..resting(0) }), "loaded_not_computing");
}

#[test]
fn energy_alone_is_neither_idleness_nor_work_until_it_is_far_more_and_the_server_is_alone() {
    let drawn = |during| GpuWindow { energy_milliwatts: energy(100e3, during), ..resting(0) };
    assert_eq!(alone(drawn(104e3)), "loaded_not_computing");
    assert_eq!(alone(drawn(106e3)), "unknown");
    assert_eq!(alone(drawn(175e3)), "unknown");
    assert_eq!(alone(drawn(176e3)), "active");
    let other = WatchedProcess {
        pid: 99,
        memory_bytes: Fact::Known(1),
        utilization_percent: Fact::Unknown(untold()),
        of_server: false,
    };
    assert_eq!(alone(GpuWindow { processes: Fact::Known(vec![other]), ..drawn(176e3) }), "unknown");
}

#[test]
fn without_a_cycle_while_requests_were_under_way_a_server_that_waits_is_idle_too() {
    let waiting = |sm_percent: f64, duration_ms: f64| {
        let window = GpuWindow { sm_activity_percent: steady(0.0, sm_percent), ..resting(0) };
        let mut facts = facts(vec![window], &[0]);
        facts.execution.server_cpu_ms = Fact::Known(30.0);
        let time = |n: u32| RequestTime { begun_ms: f64::from(n) * 300.0, duration_ms, accepted: true };
        facts.execution.requests_sent = Fact::Known(10);
        facts.execution.request_times = Fact::Known((0..10).map(time).collect());
        verdict(&facts)
    };
    assert_eq!(waiting(0.0, 290.0), "loaded_not_computing");
    assert_eq!(waiting(0.3, 290.0), "unknown", "a short kernel in each request");
    assert_eq!(waiting(0.0, 30.0), "unknown", "little was asked");
}

#[test]
fn beside_the_work_of_others_a_server_that_computes_alone_on_the_cpu_is_idle() {
    let beside = |nodes: &[&str], peers: &[&str]| {
        let other = |pid| WatchedProcess {
            pid,
            memory_bytes: Fact::Known(1 << 30),
            utilization_percent: Fact::Known(90),
            of_server: false,
        };
        let processes = Fact::Known(vec![other(99)]);
        let window = GpuWindow { utilization_percent: steady(90.0, 90.0), processes, ..silent(0) };
        let mut facts = facts(vec![window], &[]);
        let peer = |peer: &&str| OutboundConnection {
            peer: (*peer).to_owned(),
            present_percent: 100.0,
            opened_in_window: false,
        };
        facts.execution.device_nodes_open_after = Fact::Known(nodes.iter().map(|node| (*node).to_owned()).collect());
        facts.execution.outbound_connections = Fact::Known(peers.iter().map(peer).collect());
        verdict(&facts)
    };
    assert_eq!(beside(&[], &[]), "idle");
    assert_eq!(beside(&[], &["127.0.0.1:8001"]), "unknown", "a gateway before an engine");
    assert_eq!(beside(&["/dev/nvidia-uvm", "/dev/nvidia0"], &[]), "unknown");
}

#[test]
fn where_nvml_lists_the_server_elsewhere_a_gpu_without_processes_is_not_the_servers() {
    let of_second = |facts: &Facts| {
        let judged = judge(facts, &Fact::Known(true)).gpus.unwrap();
        (judged[1].server.clone(), judged[1].server_because.clone())
    };
    let two = || vec![resting(0), resting(1)];
    let elsewhere = ("not_on_it".into(), "NVML lists the server's processes on GPU 0, and none here".into());
    assert_eq!(of_second(&facts(two(), &[0])), elsewhere);
    assert_eq!(of_second(&facts(two(), &[0, 1])).0, "on_it");
    assert_eq!(of_second(&facts(two(), &[])).0, "unknown", "its list may leave the server out");
    let utilization_percent = Fact::Unknown(untold());
    let other = WatchedProcess { pid: 99, memory_bytes: Fact::Known(1), utilization_percent, of_server: false };
    let beside = GpuWindow { processes: Fact::Known(vec![other]), ..resting(1) };
    let mut others = facts(vec![resting(0), beside], &[0]);
    others.execution.server_cpu_ms = Fact::Known(1.0);
    assert_eq!(of_second(&others).0, "unknown", "it may have handed its work to them");
    let mut unread = facts(two(), &[0]);
    if let Fact::Known(gpus) = &mut unread.nvml.gpus {
        gpus[1].processes = Fact::Unknown(untold());
    }
    assert_eq!(of_second(&unread).0, "unknown");
}

#[test]
fn a_server_that_does_little_by_any_word_leaves_it_open() {
    let mut judged = facts(vec![resting(0)], &[0]);
    judged.execution.server_cpu_ms = Fact::Known(1500.0);
    assert_eq!(verdict(&judged), "loaded_not_computing");
    judged.execution.server_cpu_ms = Fact::Known(1499.0);
    assert_eq!(verdict(&judged), "unknown", "half a core is not used");
    // The server's own word decides, whatever the CPU does: 5 % of 3 s in 100 requests are 1.5 ms each.
    for (each_ms, expected) in [(1.49, "unknown"), (1.5, "loaded_not_computing")] {
        judged.execution.server_reported_ms = Fact::Known(each_ms);
        judged.execution.server_reported_in = Fact::Known("the answer's field infer_ms".into());
        assert_eq!(verdict(&judged), expected, "{each_ms}");
    }
}

fn counted(inferences: f64, busy_percent: f64) -> Fact<Vec<ModelCounters>> {
    let row = json!({"model": "asr", "page": "p", "inferences": {"known": inferences}, "busy_percent": {"known": busy_percent}});
    Fact::Known(vec![serde_json::from_value(row).unwrap()])
}

#[test]
fn a_model_that_counted_nothing_was_not_reached_unless_the_server_computes_itself() {
    let mut judged = facts(vec![resting(0)], &[0]);
    judged.counters.models = counted(0.0, 0.0);
    assert_eq!(verdict(&judged), "unknown", "the server computes: whose page is it?");
    judged.execution.server_cpu_ms = Fact::Known(200.0);
    let told = judge(&judged, &Fact::Known(true));
    let (word, because) = told.overall.unwrap();
    assert_eq!(word, "no_work");
    assert!(because.contains("counted 0 inferences of asr for 100 accepted requests"), "{because}");
    assert!(because.contains("so no work reached the model: a cache, a proxy or another server"), "{because}");
    assert_eq!(told.gpus.unwrap()[0].verdict, "no_work");
    judged.counters.models = counted(100.0, 60.0);
    assert_eq!(verdict(&judged), "loaded_not_computing");
    // What works is at work, whatever a page says.
    judged.counters.models = counted(0.0, 0.0);
    judged.execution.gpus = Fact::Known(vec![GpuWindow { utilization_percent: steady(0.0, 90.0), ..resting(0) }]);
    assert_eq!(verdict(&judged), "active");
}

#[test]
fn requests_that_all_fail_are_no_idle_gpu() {
    let mut judged = facts(vec![resting(0)], &[0]);
    judged.execution.requests_ok = Fact::Known(0);
    assert_eq!(verdict(&judged), "no_work");
    judged.execution.gpus = Fact::Unknown(untold());
    assert_eq!(verdict(&judged), "no_work");
}

/// The control on GPU 0: how long its kernel ran, and what the counters did.
fn controlled(window: GpuWindow, busy_ms: f64, counters: GpuWindow) -> Judged {
    let mut judged = facts(vec![window], &[0]);
    let run = SmokeRun {
        verified: Fact::Known(true),
        uuid: Fact::Known("GPU-0".into()),
        busy_ms: Fact::Known(busy_ms),
        counters: Fact::Known(counters),
        ..SmokeRun::all_unknown(0, &untold())
    };
    judged.smoke.runs = Fact::Known(vec![run]);
    judge(&judged, &Fact::Known(true))
}

/// Counters that follow the control's kernel.
fn following() -> GpuWindow {
    GpuWindow {
        utilization_percent: steady(0.0, 97.0),
        power_milliwatts: steady(68e3, 300e3),
        sm_clock_mhz: steady(345.0, 1980.0),
        ..silent(0)
    }
}

#[test]
fn counters_that_rose_for_the_doctors_kernel_prove_their_rest() {
    let told = controlled(resting(0), 1500.0, following());
    assert_eq!(told.overall.as_ref().unwrap().0, "loaded_not_computing");
    assert!(told.proven && told.blind.is_empty(), "{told:?}");
    assert!(controlled(resting(0), 500.0, following()).proven);
    assert!(!controlled(resting(0), 499.0, following()).proven, "too short to be seen");
    // One confirmed counter is not two.
    let only = GpuWindow { utilization_percent: steady(0.0, 97.0), ..silent(0) };
    let told = controlled(resting(0), 1500.0, only);
    assert!(!told.proven && told.overall.is_ok(), "{told:?}");
    // Power and clock, which alone tell no kernels, do once both rose for one.
    let mig = GpuWindow { sm_clock_mhz: steady(345.0, 345.0), power_milliwatts: steady(68e3, 68e3), ..silent(0) };
    assert_eq!(controlled(mig, 1500.0, following()).overall.unwrap().0, "loaded_not_computing");
}

#[test]
fn counters_that_stayed_flat_for_it_are_blind_and_count_no_more() {
    let told = controlled(resting(0), 1500.0, resting(0));
    assert!(told.overall.is_err() && !told.proven, "{told:?}");
    assert_eq!(told.blind, ["GPU 0: SM activity, utilization by process, utilization, power, clock"]);
    let open = &told.gpus.unwrap()[0].open;
    assert!(open.iter().all(|words| words.ends_with("but the doctor's own kernel did not move it either")), "{open:?}");
    // What is not told beside the control is neither confirmed nor blind.
    let told = controlled(resting(0), 1500.0, silent(0));
    assert!(told.blind.is_empty() && !told.proven && told.overall.is_ok(), "{told:?}");
    // Of a counter that is blind and rose in the window all the same, the rise counts.
    let window = GpuWindow { utilization_percent: steady(0.0, 50.0), ..resting(0) };
    assert_eq!(controlled(window, 1500.0, resting(0)).overall.unwrap().0, "active");
}

#[test]
fn a_control_on_another_gpu_proves_nothing_here() {
    let mut judged = facts(vec![resting(0)], &[0]);
    let run = SmokeRun {
        verified: Fact::Known(true),
        uuid: Fact::Known("GPU-5".into()),
        busy_ms: Fact::Known(1500.0),
        counters: Fact::Known(following()),
        ..SmokeRun::all_unknown(0, &untold())
    };
    judged.smoke.runs = Fact::Known(vec![run]);
    assert!(!judge(&judged, &Fact::Known(true)).proven);
}

#[test]
fn a_warm_up_and_a_latecomer_are_told_at_their_thresholds() {
    let times = |count: usize| -> Vec<RequestTime> {
        (0..count).map(|n| RequestTime { begun_ms: n as f64 * 50.0, duration_ms: 40.0, accepted: true }).collect()
    };
    let trace = |works: &dyn Fn(f64) -> bool| -> Vec<UtilizationReading> {
        let reading = |at_ms| UtilizationReading { at_ms, percent: if works(at_ms) { 80 } else { 0 } };
        (0..200).map(|n| reading(f64::from(n) * 50.0)).collect()
    };
    let judged = |trace: Vec<UtilizationReading>, times: Vec<RequestTime>| alignment::judge(&trace, &times, 0.0);
    // Requests end 40 ms after each twentieth of a second; five of them are over 1 s before 1.25 s, four before 1.2 s.
    assert!(matches!(judged(trace(&|at| at >= 1250.0), times(200)), alignment::Alignment::Late(_)));
    assert_eq!(judged(trace(&|at| at >= 1200.0), times(200)), alignment::Alignment::Untold);
    // 30 % of 10 s.
    assert!(matches!(judged(trace(&|at| at <= 2950.0), times(200)), alignment::Alignment::StartOnly(_)));
    assert_eq!(judged(trace(&|at| at <= 3050.0), times(200)), alignment::Alignment::Untold);
}

/// Any phases, few readings and many.
fn any_phases() -> impl Strategy<Value = Fact<Phases>> {
    let one = || (0_u64..8, prop_oneof![Just(0.0), 0.0..100.0_f64, any::<f64>()]).prop_map(|(n, v)| series(n, v));
    let known = (one(), one(), one()).prop_map(|(before, during, after)| Fact::Known(Phases { before, during, after }));
    prop_oneof![3 => known, 1 => Just(Fact::Unknown(untold()))]
}

fn any_energy() -> impl Strategy<Value = Fact<EnergyRates>> {
    prop_oneof![
        (0.0..1e6_f64, 0.0..1e6_f64).prop_map(|(before, during)| energy(before, during)),
        Just(Fact::Unknown(untold()))
    ]
}

prop_compose! {
    fn any_window()(
        utilization_percent in any_phases(),
        process_utilization_percent in any_phases(),
        sm_activity_percent in any_phases(),
        power_milliwatts in any_phases(),
        sm_clock_mhz in any_phases(),
        p_state in any_phases(),
        energy_milliwatts in any_energy(),
    ) -> GpuWindow {
        GpuWindow {
            utilization_percent, process_utilization_percent, sm_activity_percent, power_milliwatts, sm_clock_mhz, p_state,
            energy_milliwatts, ..silent(0)
        }
    }
}

fn named(windows: Vec<GpuWindow>) -> Vec<GpuWindow> {
    (0..)
        .zip(windows)
        .map(|(index, window)| GpuWindow { index, uuid: Fact::Known(format!("GPU-{index}")), ..window })
        .collect()
}

/// The same GPU with too few readings of every counter.
fn sparse(window: GpuWindow) -> GpuWindow {
    let few = |phases: Fact<Phases>| {
        phases.map(|phases| Phases {
            during: Series { samples: phases.during.samples % LEAST_SAMPLES, ..phases.during },
            ..phases
        })
    };
    GpuWindow {
        utilization_percent: few(window.utilization_percent),
        process_utilization_percent: few(window.process_utilization_percent),
        sm_activity_percent: few(window.sm_activity_percent),
        power_milliwatts: few(window.power_milliwatts),
        sm_clock_mhz: few(window.sm_clock_mhz),
        p_state: few(window.p_state),
        energy_milliwatts: Fact::Unknown(untold()),
        ..window
    }
}

proptest! {
    #[test]
    fn any_windows_are_judged_and_their_order_changes_nothing(
        windows in prop::collection::vec(any_window(), 0..4),
        on in prop::collection::vec(0_u64..4, 0..3),
        turn in 0_usize..4,
    ) {
        let windows = named(windows);
        let one = verdict(&facts(windows.clone(), &on));
        let mut turned = windows;
        let by = turn % turned.len().max(1);
        turned.rotate_left(by);
        prop_assert_eq!(one, verdict(&facts(turned, &on)));
    }

    #[test]
    fn too_few_readings_never_tell_idleness_or_work(windows in prop::collection::vec(any_window(), 1..4)) {
        let windows = named(windows.into_iter().map(sparse).collect());
        prop_assert_eq!(verdict(&facts(windows, &[0])), "unknown");
    }

    #[test]
    fn work_of_others_is_never_the_servers(window in any_window()) {
        // Another program works on GPU 1, where the server is not; its own GPU rests.
        let mut judged = facts(named(vec![resting(0), window]), &[0]);
        if let Fact::Known(gpus) = &mut judged.nvml.gpus {
            let other = json!({"known": [{"pid": 99, "name": {"known": "train"}, "used_bytes": {"known": 1}}]});
            gpus[1].processes = serde_json::from_value(other).unwrap();
        }
        let told = judge(&judged, &Fact::Known(true));
        prop_assert_eq!(told.overall.map_or("unknown", |(verdict, _)| verdict), "loaded_not_computing");
        prop_assert_eq!(told.elsewhere, "");
    }
}
