//! The sampler as the service probe uses it. This executable is its own isolated child, hence a `main` of its own.

mod setup;

use gpu_doctor::probe::{isolation, nvml::sampler, run_child};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) == Some(isolation::SUBCOMMAND) {
        return ExitCode::from(run_child(&arguments[2..]));
    }
    samples_lie_on_this_clock();
    a_fault_keeps_what_came_before();
    a_hang_or_a_refusal_is_an_answer();
    ExitCode::SUCCESS
}

fn play(scenario: &Path) {
    for (name, value) in setup::driver_variables(scenario) {
        // SAFETY: the children's pipes are the only other threads, and they read no variable.
        unsafe { std::env::set_var(name, value) };
    }
}

fn samples_lie_on_this_clock() {
    play(&setup::scenario("healthy-busy"));
    let began = sampler::monotonic_ms();
    let sampler = sampler::start(&[]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let samples = sampler.finish().unwrap();
    let ended = sampler::monotonic_ms();
    assert!((6..=14).contains(&samples.len()), "{} samples in half a second", samples.len());
    assert!(samples.windows(2).all(|pair| pair[0].at_ms < pair[1].at_ms));
    assert!(samples.iter().all(|sample| (began..ended).contains(&sample.at_ms)));
    assert_eq!(samples[0].gpus[0].utilization_percent.known(), Some(&97));
    assert_eq!(samples[0].gpus[0].power_milliwatts.known(), Some(&520_000));
}

fn a_fault_keeps_what_came_before() {
    let fault = "{call: nvmlDeviceGetPowerUsage, after_calls: 4, does: hang}";
    let (_folder, scenario) = setup::scenario_with_faults("healthy-busy", &[fault]);
    play(&scenario);
    let sampler = sampler::start(&[]).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let stopping = Instant::now();
    assert_eq!(sampler.finish().unwrap().len(), 4);
    assert!(stopping.elapsed() < Duration::from_secs(6), "{:?}", stopping.elapsed());
}

fn a_hang_or_a_refusal_is_an_answer() {
    for (scenario, words) in [
        ("nvml-hang", "no answer in nvmlInit_v2"),
        ("nvml-mismatch", "NVML 18"),
        ("nvml-not-loaded", "the driver is not loaded"),
    ] {
        play(&setup::scenario(scenario));
        let started = Instant::now();
        let unknown = sampler::start(&[]).err().expect("no sample can come");
        assert!(unknown.detail.contains(words), "{scenario}: {unknown}");
        assert!(started.elapsed() < Duration::from_secs(10), "{scenario}: {:?}", started.elapsed());
    }
}
