//! Several GPUs, of which some never work or all work in vain.

use crate::setup::doctor::{causes, diagnosis, verdict};
use crate::staged::{Setting, Stage, WITH_LANG, holding};

/// The scenario's GPU, then so many more of which nobody uses any.
fn unused(text: &str, number: u32) -> String {
    let one = |index: u32| {
        format!(
            "  - name: Tesla T4\n    uuid: GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4{index}\n    \
             pci_address: \"00000000:0{index}:00.0\"\n    compute_capability: [7, 5]\n    memory_mib: 15360\n    mig: false\n    \
             power_milliwatts: 9000\n    sm_clock_mhz: 300\n    throttle_reasons: 1\n"
        )
    };
    let text = text.replace("NVIDIA H100 80GB HBM3", "Tesla T4").replace("[9, 0]", "[7, 5]");
    format!("{text}{}", (2..2 + number).map(one).collect::<String>())
}

/// Has each of the server's workers hold memory on the GPU of its place in the list.
fn seat_workers(stage: &Stage, on_one: bool) {
    let workers = stage.workers();
    assert_eq!(workers.len(), 2, "{workers:?}");
    stage.scenario(|text| {
        let (gpus, _) = text.split_once("    processes:").unwrap();
        let seats = |pids: &[u32]| {
            let each: Vec<String> =
                pids.iter().map(|pid| format!("{{pid: {pid}, used_mib: 4000, utilization_percent: 40}}")).collect();
            format!("    processes: [{}]\n", each.join(", "))
        };
        let first = if on_one { &workers[..] } else { &workers[..1] };
        let rest = unused(gpus, 3);
        let place = rest.find("  - name: Tesla T4\n    uuid: GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c42").unwrap();
        let (own, others) = rest.split_at(place);
        let others = match on_one {
            true => others.to_owned(),
            false => others.replacen(
                "    throttle_reasons: 1\n",
                &format!("    throttle_reasons: 1\n{}", seats(&workers[1..])),
                1,
            ),
        };
        format!("{own}{}{others}", seats(first))
    });
}

#[test]
fn workers_that_all_took_gpu_0_leave_three_idle() {
    let setting = Setting { variables: &[("OUTCOMES_GPU_MS", "20")], workers: 2, ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    seat_workers(&stage, true);
    let (said, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(said.code, 1, "{}", report["headline"]);
    assert_eq!(causes(&report), ["all-workers-on-gpu0"], "{}", report["headline"]);
    let headline = report["headline"].as_str().unwrap();
    assert!(headline.starts_with("The GPU works, yet 3 of 4 GPUs never worked: "), "{headline}");
    let because = diagnosis(&report, "all-workers-on-gpu0")["because"].as_str().unwrap();
    assert!(stage.workers().iter().all(|pid| because.contains(&pid.to_string())), "{because}");
}

#[test]
fn workers_on_two_gpus_are_as_they_should_be() {
    let setting = Setting { variables: &[("OUTCOMES_GPU_MS", "20")], workers: 2, ..Setting::default() };
    let Some(stage) = setting.start() else { return };
    seat_workers(&stage, false);
    let (_, report) = stage.doctor(WITH_LANG, &[]);
    assert_eq!(verdict(&report, "all-workers-on-gpu0"), "clear");
    assert_eq!(holding(&report), Vec::<&str>::new(), "{}", report["headline"]);
}

#[test]
fn gpus_that_wait_for_each_other_answer_nothing() {
    let Some(stage) = (Setting { variables: &[("OUTCOMES_HANGS", "1")], ..Setting::default() }).start() else { return };
    let pid = stage.pid();
    stage.scenario(|text| {
        let (head, gpu) = text.split_once("  - name").unwrap();
        let spins = |uuid: &str, address: &str| {
            let spun: String = gpu
                .lines()
                .map(|line| match line.trim_start().split(':').next() {
                    Some("utilization_percent") if line.starts_with("    u") => "    utilization_percent: 100\n".into(),
                    Some("power_milliwatts") => "    power_milliwatts: 95000\n".into(),
                    Some("uuid") => format!("    uuid: {uuid}\n"),
                    Some("pci_address") => format!("    pci_address: \"{address}\"\n"),
                    _ => format!("{line}\n"),
                })
                .collect();
            let (spun, _) = spun.split_once("    processes:").unwrap();
            format!("  - name{spun}    processes: [{{pid: {pid}, used_mib: 24064}}]\n")
        };
        let (one, other) = ("GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d", "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4e");
        format!("{head}{}{}", spins(one, "00000000:01:00.0"), spins(other, "00000000:02:00.0"))
    });
    let (said, report) = stage.doctor(WITH_LANG, &["--timeout", "10s"]);
    assert_eq!(said.code, 1, "{}", report["headline"]);
    assert_eq!(causes(&report)[0], "tp-collective-hang", "{}", report["headline"]);
    let because = diagnosis(&report, "tp-collective-hang")["because"].as_str().unwrap();
    assert!(because.contains("GPU 0 at 100 % and 95 W of 700 W, GPU 1 at 100 %"), "{because}");
}
