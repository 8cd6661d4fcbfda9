//! The sampler as the service probe uses it. This executable is its own isolated child, hence a `main` of its own.

mod setup;

use gpu_doctor::probe::nvml::counter::Counter;
use gpu_doctor::probe::nvml::recording::Recording;
use gpu_doctor::probe::nvml::sampler::{self, USUAL_RATE_HZ};
use gpu_doctor::probe::service::window::phases::summarise;
use gpu_doctor::probe::{isolation, run_child};
use gpu_doctor::snapshot::{Fact, GpuWindow, Phases, Why};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some(isolation::SUBCOMMAND) {
        return ExitCode::from(run_child(&arguments[2..]));
    }
    samples_lie_on_this_clock();
    a_fault_keeps_what_came_before_and_is_told_with_its_call();
    a_hang_or_a_refusal_is_an_answer();
    every_gpu_has_its_own_window();
    mig_is_told_by_gpm_and_unsupported_is_no_zero();
    blackwell_tells_processes_by_the_newer_call();
    a_gpu_lost_in_the_middle_stops_alone();
    junk_and_counters_that_wrap_are_doubts();
    a_starved_sampler_says_so();
    eight_gpus_make_a_small_snapshot();
    a_stream_is_taken_piece_by_piece();
    a_stream_ends_by_itself_or_by_a_fault_and_says_so();
    ExitCode::SUCCESS
}

fn play(scenario: &Path) {
    for (name, value) in setup::driver_variables(scenario) {
        // SAFETY: the children's pipes are the only other threads, and they read no variable.
        unsafe { std::env::set_var(name, value) };
    }
}

/// Plays a scenario's text for so many milliseconds.
fn record(text: &str, pids: &[u64], rate_hz: u32, ms: u64) -> Recording {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(&scenario, text).unwrap();
    play(&scenario);
    let sampler = sampler::start(pids, rate_hz).unwrap();
    std::thread::sleep(Duration::from_millis(ms));
    sampler.finish().unwrap()
}

fn ready(name: &str) -> String {
    std::fs::read_to_string(setup::scenario(name)).unwrap()
}

/// The scenario with its one GPU so many times over, each with an identifier of its own.
fn repeated(text: &str, times: usize) -> String {
    let (head, gpu) = text.split_at(text.find("  - name:").unwrap());
    let gpus: Vec<String> = (0..times).map(|n| gpu.replace("GPU-5f3c2a10", &format!("GPU-{n:08x}"))).collect();
    format!("{head}{}", gpus.join(""))
}

/// The recording summed up as if the window had been its middle third.
fn middle(recording: &Recording) -> Vec<GpuWindow> {
    let (first, last) = (recording.times[0], *recording.times.last().unwrap());
    let third = (last - first) / 3.0;
    summarise(recording, first + third, last - third, &[])
}

fn during(fact: &Fact<Phases>) -> f64 {
    let phases = fact.known().unwrap_or_else(|| panic!("{fact:?}"));
    assert!(phases.during.samples > 0, "{phases:?}");
    phases.during.mean
}

fn samples_lie_on_this_clock() {
    for (rate_hz, count) in [(USUAL_RATE_HZ, 6..=14), (100, 25..=60)] {
        let began = sampler::monotonic_ms();
        let recording = record(&ready("healthy-busy"), &[], rate_hz, 500);
        let ended = sampler::monotonic_ms();
        let times = &recording.times;
        assert!(count.contains(&times.len()), "{} samples in half a second at {rate_hz} Hz", times.len());
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]) && times.iter().all(|at| (began..ended).contains(at)));
        assert_eq!(recording.ended_by, None);
        let gpu = &recording.gpus[0];
        for (counter, value) in [
            (Counter::Utilization, 97.0),
            (Counter::Power, 520_000.0),
            (Counter::MemoryClock, 2619.0),
            (Counter::PState, 0.0),
            (Counter::SmActivity, 62.0),
        ] {
            let readings = gpu.readings(counter);
            assert!(!readings.is_empty(), "{}: {:?}", counter.name(), gpu.refusal(counter));
            assert!(readings.iter().all(|(_, read)| *read == value), "{}: {readings:?}", counter.name());
        }
        assert!(gpu.readings(Counter::PState).len() <= 4, "what changes slowly is read seldom");
        assert!(gpu.readings(Counter::Power).len() == times.len());
    }
}

fn a_fault_keeps_what_came_before_and_is_told_with_its_call() {
    for (deed, words) in [
        ("hang", "no answer in nvmlDeviceGetPowerUsage of GPU 0"),
        ("segfault", "segmentation fault in nvmlDeviceGetPowerUsage of GPU 0"),
    ] {
        let text = ready("healthy-busy")
            + &format!("faults: [{{call: nvmlDeviceGetPowerUsage, after_calls: 4, does: {deed}}}]\n");
        let stopping = Instant::now();
        let recording = record(&text, &[], USUAL_RATE_HZ, 500);
        assert!(stopping.elapsed() < Duration::from_secs(6), "{:?}", stopping.elapsed());
        assert_eq!(recording.times.len(), 4, "{deed}");
        let fault = recording.ended_by.clone().unwrap();
        assert!(fault.detail.contains(words), "{deed}: {fault}");
        let doubts = middle(&recording)[0].doubts.known().unwrap().clone();
        assert!(doubts.iter().any(|doubt| doubt.contains(words)), "{doubts:?}");
    }
}

fn a_hang_or_a_refusal_is_an_answer() {
    for (scenario, words) in [
        ("nvml-hang", "no answer in nvmlInit_v2"),
        ("nvml-mismatch", "NVML 18"),
        ("nvml-not-loaded", "the driver is not loaded"),
    ] {
        play(&setup::scenario(scenario));
        let started = Instant::now();
        let unknown = sampler::start(&[], USUAL_RATE_HZ).err().expect("no sample can come");
        assert!(unknown.detail.contains(words), "{scenario}: {unknown}");
        assert!(started.elapsed() < Duration::from_secs(10), "{scenario}: {:?}", started.elapsed());
    }
}

fn every_gpu_has_its_own_window() {
    let idle = repeated(&ready("healthy-idle"), 2);
    let (first, second) = idle.split_at(idle.rfind("  - name:").unwrap());
    let busy = second
        .replace("utilization_percent: 0", "utilization_percent: 88")
        .replace("power_milliwatts: 68000", "power_milliwatts: 400000")
        .replace("sm_activity_percent: 0", "sm_activity_percent: 31.5");
    let processes = "    processes: [{pid: 77, used_mib: 4, utilization_percent: 80}, {pid: 5, used_mib: 90}]\n";
    let recording = record(&format!("{first}{busy}{processes}"), &[77], USUAL_RATE_HZ, 1500);
    let windows = middle(&recording);
    assert_eq!(windows.iter().map(|gpu| gpu.index).collect::<Vec<_>>(), [0, 1]);
    let uuid = |n: usize| windows[n].uuid.known().unwrap().clone();
    assert!(uuid(0).starts_with("GPU-00000000-") && uuid(1).starts_with("GPU-00000001-"), "{} {}", uuid(0), uuid(1));
    assert_eq!((during(&windows[0].utilization_percent), during(&windows[1].utilization_percent)), (0.0, 88.0));
    assert_eq!((during(&windows[0].sm_activity_percent), during(&windows[1].sm_activity_percent)), (0.0, 31.5));
    assert_eq!(during(&windows[1].process_utilization_percent), 80.0);
    assert_eq!(windows[1].server_memory_bytes, Fact::Known(4 << 20));
    assert_eq!(windows[0].server_memory_bytes.reason().unwrap().why, Why::Absent);
    assert_eq!(windows[0].processes, Fact::Known(Vec::new()), "an empty list is known to be empty");
    let listed = windows[1].processes.known().unwrap();
    let told: Vec<_> = listed.iter().map(|one| (one.pid, one.of_server, one.memory_bytes.known().copied())).collect();
    assert_eq!(told, [(77, true, Some(4 << 20)), (5, false, Some(90 << 20))]);
    assert_eq!(listed[0].utilization_percent, Fact::Known(80));
    for (window, watts) in windows.iter().zip([68.0, 400.0]) {
        let rates = window.energy_milliwatts.known().unwrap();
        for (phase, rate) in [("before", &rates.before), ("during", &rates.during), ("after", &rates.after)] {
            let rate = rate.known().unwrap_or_else(|| panic!("{phase}: {rate:?}")) / 1e3;
            assert!((rate - watts).abs() < watts * 0.02, "{phase}: {rate} W instead of {watts}");
        }
        assert_eq!(window.doubts, Fact::Known(Vec::new()));
        let timeline = window.timeline.known().unwrap();
        let points = timeline.at_ms.split(' ').count();
        assert_eq!((points, timeline.power_milliwatts.split(' ').count()), (recording.times.len(), points));
        assert!(timeline.at_ms.starts_with('-'), "it begins before the window: {}", timeline.at_ms);
    }
}

fn mig_is_told_by_gpm_and_unsupported_is_no_zero() {
    let text = ready("mig-two-instances")
        .replace("    utilization_percent: 0\n", "    utilization_percent: 0\n    sm_activity_percent: 44\n");
    let window = middle(&record(&text, &[77], USUAL_RATE_HZ, 1200)).remove(0);
    assert_eq!(during(&window.sm_activity_percent), 44.0, "the busiest instance");
    for (name, fact) in [("whole", &window.utilization_percent), ("process", &window.process_utilization_percent)] {
        assert_eq!(fact.reason().map(|unknown| unknown.why), Some(Why::Unsupported), "{name}: {fact:?}");
    }
    assert_eq!(window.utilization_trace.reason().unwrap().why, Why::Unsupported);
    let without = middle(&record(&ready("mig-two-instances"), &[], USUAL_RATE_HZ, 600)).remove(0);
    assert_eq!(without.sm_activity_percent.reason().unwrap().why, Why::Unsupported);
}

fn blackwell_tells_processes_by_the_newer_call() {
    let gpu = |capability: &str| {
        ready("healthy-busy").replace("compute_capability: [9, 0]", capability)
            + "    processes: [{pid: 77, used_mib: 4, utilization_percent: {steps: [[0.5, 61]]}}, {pid: 8, used_mib: 1, utilization_percent: 3}]\n"
    };
    for capability in ["compute_capability: [10, 0]", "compute_capability: [9, 0]"] {
        let recording = record(&gpu(capability), &[77], USUAL_RATE_HZ, 1200);
        let readings = recording.gpus[0].readings(Counter::ProcessUtilization);
        assert_eq!(readings.last().map(|(_, percent)| *percent), Some(61.0), "{capability}: {readings:?}");
        assert_eq!(readings.first().map(|(_, percent)| *percent), Some(0.0), "{capability}: others were told");
    }
    // Both calls are silent: on Blackwell that is no zero.
    let silent = ready("healthy-busy").replace("compute_capability: [9, 0]", "compute_capability: [10, 0]")
        + "    processes: [{pid: 77, used_mib: 4}]\n";
    let window = middle(&record(&silent, &[77], USUAL_RATE_HZ, 600)).remove(0);
    assert_eq!(window.process_utilization_percent.reason().unwrap().why, Why::Absent);
}

fn a_gpu_lost_in_the_middle_stops_alone() {
    let faults = "faults: [{call: 'nvmlDevice*', gpu: 1, after_seconds: 0.6, returns: 15}]\n";
    let recording = record(&format!("{}{faults}", repeated(&ready("healthy-busy"), 2)), &[], USUAL_RATE_HZ, 1500);
    let windows = middle(&recording);
    assert_eq!(windows[0].lost_at_ms.reason().unwrap().why, Why::NotAsked);
    assert_eq!(windows[0].doubts, Fact::Known(Vec::new()));
    let lost = *windows[1].lost_at_ms.known().unwrap();
    let expected = recording.times[0] + 600.0
        - (recording.times[0] + (recording.times.last().unwrap() - recording.times[0]) / 3.0);
    assert!((lost - expected).abs() < 250.0, "lost {lost} ms into the window, expected about {expected}");
    let doubts = windows[1].doubts.known().unwrap();
    assert!(doubts[0].contains("GPU 1 stopped to answer") && doubts[0].contains("fell off the bus"), "{doubts:?}");
    let power = windows[1].power_milliwatts.known().unwrap();
    assert!(power.before.samples > 0 && power.after.samples == 0, "{power:?}");
    assert_eq!(power.before.min, 520_000.0);
}

fn junk_and_counters_that_wrap_are_doubts() {
    let text = ready("healthy-busy")
        .replace("power_milliwatts: 520000", "power_milliwatts: 4294967295\n    energy_millijoules: {steps: [[0, 4294967000], [0.2, 4294967100], [0.4, 12], [0.9, 20000], [1.1, 30000], [1.3, 40000]]}")
        + "    processes: [{pid: 4294967295, used_mib: 1, utilization_percent: 2147483632}, {pid: 77, used_mib: 4, utilization_percent: 400}]\n";
    let recording = record(&text, &[77], USUAL_RATE_HZ, 1500);
    let first = recording.times[0];
    let window = summarise(&recording, first + 300.0, first + 700.0, &[]).remove(0);
    assert_eq!(window.power_milliwatts.reason().unwrap().why, Why::Malformed);
    let rates = window.energy_milliwatts.known().unwrap();
    assert_eq!(rates.during.reason().unwrap().why, Why::Malformed);
    let after = rates.after.known().unwrap();
    assert!((40_000.0..60_000.0).contains(after), "{after} mW: 10 J each 200 ms");
    let doubts = window.doubts.known().unwrap().join("\n");
    for words in ["4294967295, which is not a value of power_milliwatts", "ran backwards", "process 4294967295"] {
        assert!(doubts.contains(words), "{doubts}");
    }
    // A share of 400 % is none; the process itself is there.
    assert_eq!(window.server_memory_bytes, Fact::Known(4 << 20));
    assert_eq!(during(&window.process_utilization_percent), 0.0);
    let pids: Vec<u64> = window.processes.known().unwrap().iter().map(|one| one.pid).collect();
    assert_eq!(pids, [77]);
}

fn a_starved_sampler_says_so() {
    let slow = ready("healthy-busy") + "faults: [{call: nvmlDeviceGetMemoryInfo_v2, after_calls: 4, delay_ms: 700}]\n";
    let recording = record(&slow, &[], USUAL_RATE_HZ, 2500);
    let doubts = middle(&recording)[0].doubts.known().unwrap().clone();
    assert!(doubts.iter().any(|doubt| doubt.contains("no sample was taken for 7")), "{doubts:?}");
}

fn eight_gpus_make_a_small_snapshot() {
    let text =
        repeated(&ready("healthy-busy"), 8) + "    processes: [{pid: 77, used_mib: 4, utilization_percent: 80}]\n";
    let recording = record(&text, &[77], 100, 4000);
    let windows = middle(&recording);
    assert_eq!(windows.len(), 8);
    let text = serde_json::to_string_pretty(&windows).unwrap();
    println!("eight GPUs at 100 Hz for {} samples: {} bytes of snapshot", recording.times.len(), text.len());
    assert!(text.len() < 230_000, "{} bytes", text.len());
}

fn a_stream_is_taken_piece_by_piece() {
    play(&setup::scenario("healthy-busy"));
    let mut sampler = sampler::stream(&[], 50, Duration::from_secs(60)).unwrap();
    let mut last = 0.0;
    for piece in 0..3 {
        std::thread::sleep(Duration::from_millis(300));
        let news = sampler.news();
        assert!((4..=40).contains(&news.times.len()), "{} samples", news.times.len());
        assert!(news.times.iter().all(|at| *at > last), "nothing comes twice");
        assert_eq!(news.gpus[0].readings(Counter::Power).len(), news.times.len());
        // Who a GPU is was said once.
        assert_eq!(news.gpus[0].uuid.known().is_some(), piece == 0);
        last = *news.times.last().unwrap();
    }
    assert!(!sampler.has_ended());
    assert_eq!(sampler.end(), None);
}

fn a_stream_ends_by_itself_or_by_a_fault_and_says_so() {
    play(&setup::scenario("healthy-busy"));
    let mut sampler = sampler::stream(&[], 10, Duration::from_secs(1)).unwrap();
    std::thread::sleep(Duration::from_millis(1600));
    assert!(sampler.has_ended());
    assert!(sampler.news().times.len() >= 5, "what came before its end is kept");
    assert!(sampler.end().is_some_and(|reason| reason.detail.contains("ended by itself after 1 s")));

    let text = ready("healthy-busy") + "faults: [{call: nvmlDeviceGetPowerUsage, after_calls: 4, does: segfault}]\n";
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("scenario.yaml");
    std::fs::write(&scenario, text).unwrap();
    play(&scenario);
    let mut sampler = sampler::stream(&[], 20, Duration::from_secs(60)).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert!(sampler.has_ended());
    assert_eq!(sampler.news().times.len(), 4);
    let reason = sampler.end().unwrap();
    assert!(reason.detail.contains("segmentation fault in nvmlDeviceGetPowerUsage of GPU 0"), "{reason}");
}
