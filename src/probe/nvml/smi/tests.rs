//! nvidia-smi's documents, whole and broken.

use super::*;
use crate::snapshot::Gpu;
use proptest::prelude::*;

fn fixture(name: &str) -> NvmlFacts {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi").join(name);
    let (room, ran) = read(&file);
    assert_eq!(ran, Ran::ok(), "{name}");
    room
}

fn gpus(room: &NvmlFacts) -> &[Gpu] {
    room.gpus.known().map(Vec::as_slice).unwrap_or_else(|| panic!("{:?}", room.gpus))
}

#[test]
fn a_sound_h200_is_read_whole() {
    let room = fixture("h200-healthy.xml");
    assert_eq!(room.status, Fact::Known("ok".into()));
    assert_eq!(room.driver_version, Fact::Known("550.163.01".into()));
    assert_eq!(room.cuda_version, Fact::Known("12.4".into()));
    assert!(room.source.known().unwrap().ends_with("fixtures/nvidia-smi/h200-healthy.xml"));
    assert_eq!(room.control_node_open.reason().unwrap().why, Why::NotAsked);
    let gpu = &gpus(&room)[0];
    assert_eq!(gpu.handle_code, Fact::Known(0));
    assert_eq!(gpu.name, Fact::Known("NVIDIA H200".into()));
    assert_eq!(gpu.pci_address, Fact::Known("00000000:0A:00.0".into()));
    assert_eq!(gpu.memory_total_bytes, Fact::Known(143_771 << 20));
    assert_eq!(gpu.power_milliwatts, Fact::Known(119_830));
    assert_eq!(gpu.power_limit_milliwatts, Fact::Known(700_000));
    assert_eq!(gpu.throttle_reasons, Fact::Known(vec!["gpu_idle".to_string()]));
    assert_eq!(gpu.throttle_reasons_bits, Fact::Known(1));
    assert_eq!((&gpu.pcie_link_generation, &gpu.pcie_link_width), (&Fact::Known(5), &Fact::Known(16)));
    assert_eq!(gpu.persistence_mode, Fact::Known(true));
    assert_eq!(gpu.ecc_uncorrected_volatile, Fact::Known(0));
    assert_eq!(gpu.remapped_rows.known().map(|rows| rows.pending), Some(false));
    assert_eq!(gpu.retired_pages_pending.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu.temperature_slowdown_celsius.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu.mig_devices, Fact::Known(Vec::new()));
    assert_eq!(gpu.license, Fact::Known("not_needed".into()));
    assert_eq!(gpu.fabric_state, Fact::Known("completed".into()));
    assert_eq!(gpu.recovery_action, Fact::Known("none".into()));
    let processes = gpu.processes.known().unwrap();
    assert_eq!((processes[0].pid, &processes[0].name), (4242, &Fact::Known("python3".into())));
    assert!(!serde_json::to_string(&room).unwrap().contains("sk-not-to-be-told"), "arguments are not told");
}

#[test]
fn the_older_names_of_driver_470_are_known() {
    let room = fixture("t4-throttled.xml");
    let gpu = &gpus(&room)[0];
    let reasons = ["sw_power_cap", "hw_slowdown", "hw_thermal_slowdown"].map(String::from);
    assert_eq!(gpu.throttle_reasons, Fact::Known(reasons.to_vec()));
    assert_eq!(gpu.power_limit_milliwatts, Fact::Known(70_000));
    assert_eq!(gpu.temperature_slowdown_celsius, Fact::Known(93));
    assert_eq!((&gpu.pcie_link_width, &gpu.pcie_link_width_max), (&Fact::Known(8), &Fact::Known(16)));
    assert_eq!(gpu.pcie_replays, Fact::Known(2));
    assert_eq!((&gpu.ecc_corrected_volatile, &gpu.ecc_uncorrected_volatile), (&Fact::Known(3), &Fact::Known(0)));
    assert_eq!(gpu.retired_pages_pending, Fact::Known(false));
    assert_eq!(gpu.remapped_rows.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu.virtualization, Fact::Known("passthrough".into()));
    assert_eq!(gpu.mig_enabled, Fact::Known(false));
}

#[test]
fn mig_devices_and_waiting_rows_are_counted() {
    let room = fixture("a100-mig.xml");
    let gpus = gpus(&room);
    assert_eq!(gpus.iter().map(|gpu| gpu.mig_devices.known().map(Vec::len)).collect::<Vec<_>>(), [Some(2), Some(0)]);
    assert_eq!(gpus[0].mig_enabled, Fact::Known(true));
    assert_eq!(gpus[1].index, 1);
    assert_eq!(gpus[1].remapped_rows.known().map(|rows| (rows.pending, rows.uncorrectable)), Some((true, 1)));
    assert_eq!(gpus[1].ecc_uncorrected_aggregate, Fact::Known(1));
    assert_eq!(gpus[0].utilization_percent.reason().unwrap().why, Why::Unsupported);
}

#[test]
fn a_guest_without_license_says_so() {
    let room = fixture("vgpu-unlicensed.xml");
    let gpu = &gpus(&room)[0];
    assert_eq!(gpu.virtualization, Fact::Known("vgpu".into()));
    assert_eq!(gpu.license, Fact::Known("unlicensed_restricted".into()));
    assert_eq!(gpu.compute_mode, Fact::Known("prohibited".into()));
    assert_eq!(gpu.temperature_celsius.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu.ecc_uncorrected_volatile.reason().unwrap().why, Why::Unsupported);
}

#[test]
fn no_value_is_unknown_with_its_reason() {
    let gpu = |values: &str| {
        let text = format!(
            "<nvidia_smi_log><attached_gpus>1</attached_gpus><gpu id=\"0:1:0.0\">{values}</gpu></nvidia_smi_log>"
        );
        gpus(&parse(&text, "file").unwrap())[0].clone()
    };
    for (value, why) in [
        ("N/A", Why::Unsupported),
        ("[N/A]", Why::Unsupported),
        ("[Not Supported]", Why::Unsupported),
        ("Unknown Error", Why::Unsupported),
        ("[Insufficient Permissions]", Why::Denied),
        ("[GPU requires reset]", Why::Unsupported),
        ("", Why::Absent),
        ("hot", Why::Malformed),
        ("-3 C", Why::Malformed),
        ("NaN", Why::Malformed),
        ("1e300", Why::Malformed),
    ] {
        let read = gpu(&format!("<temperature><gpu_temp>{value}</gpu_temp></temperature>"));
        let unknown = read.temperature_celsius.reason().unwrap_or_else(|| panic!("{value}"));
        assert_eq!(unknown.why, why, "{value}");
        assert!(unknown.detail.contains("temperature/gpu_temp"), "{unknown}");
    }
    assert_eq!(gpu("<fan_speed>[GPU requires reset]</fan_speed>").handle_code, Fact::Known(16));
    assert_eq!(gpu("<product_name>GPU is lost</product_name>").handle_code, Fact::Known(15));
    let empty = gpu("");
    assert_eq!(empty.pci_address, Fact::Known("0:1:0.0".into()));
    assert_eq!(empty.power_milliwatts.reason().unwrap().why, Why::Unsupported);
    assert_eq!(empty.processes.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu("<processes>N/A</processes>").processes.reason().unwrap().why, Why::Unsupported);
    assert_eq!(gpu("<processes></processes>").processes, Fact::Known(Vec::new()));
    assert_eq!(
        gpu("<gpu_recovery_action>Node Reboot</gpu_recovery_action>").recovery_action,
        Fact::Known("reboot".into())
    );
    assert_eq!(
        gpu("<gpu_recovery_action>GPU Reset</gpu_recovery_action>").recovery_action,
        Fact::Known("reset".into())
    );
    let older = "<ecc_errors><volatile><double_bit><device_memory>2</device_memory><total>2</total></double_bit></volatile></ecc_errors>";
    assert_eq!(gpu(older).ecc_uncorrected_volatile, Fact::Known(2));
}

#[test]
fn what_nvidia_smi_says_when_it_fails_is_its_code() {
    let said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that ...";
    for (text, code) in [("Failed to initialize NVML: Driver/library version mismatch\n", 18), (said, 9)] {
        let room = parse(text, "file").unwrap();
        assert_eq!((room.status, room.init_code), (Fact::Known("init_failed".into()), Fact::Known(code)));
        assert!(room.gpus.reason().unwrap().detail.contains("nvidia-smi itself failed"));
    }
}

#[test]
fn other_files_are_malformed_and_say_what_they_are() {
    for (text, words) in [
        ("", "not XML"),
        ("Sun Nov 22 +-----+", "not XML"),
        ("<html><body/></html>", "the outermost element is <html>"),
        ("<nvidia_smi_log><gpu>", "not XML"),
    ] {
        let unknown = parse(text, "file").unwrap_err();
        assert_eq!(unknown.why, Why::Malformed, "{text}");
        assert!(unknown.detail.contains(words), "{unknown}");
    }
    let cut = parse("<nvidia_smi_log><attached_gpus>2</attached_gpus></nvidia_smi_log>", "file").unwrap();
    assert_eq!(cut.gpus.reason().unwrap().why, Why::Malformed, "two GPUs that are not described are not none");
    let none = parse("<nvidia_smi_log><attached_gpus>0</attached_gpus></nvidia_smi_log>", "file").unwrap();
    assert_eq!(none.gpus, Fact::Known(Vec::new()));
    let (room, ran) = read(Path::new("/nonexistent.xml"));
    assert_eq!(room.gpus.reason().unwrap().why, Why::Absent);
    assert!(ran.detail.contains("/nonexistent.xml"), "{ran:?}");
}

#[test]
fn entities_and_depth_do_not_run_away() {
    let mut laughs = String::from("<!DOCTYPE nvidia_smi_log [<!ENTITY a \"ha\">");
    for (name, of) in ('b'..='l').zip('a'..='k') {
        laughs += &format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(20));
    }
    laughs += "]><nvidia_smi_log><gpu>&l;</gpu></nvidia_smi_log>";
    assert!(parse(&laughs, "file").is_err());
    let deep = "<gpu>".repeat(20_000) + &"</gpu>".repeat(20_000);
    let _ = parse(&format!("<nvidia_smi_log>{deep}</nvidia_smi_log>"), "file");
}

proptest! {
    #[test]
    fn any_text_is_survived(text in ".{0,400}") {
        let _ = parse(&text, "file");
    }

    #[test]
    fn any_mutilation_of_a_document_is_survived(cut in 0usize..12_000, from in 0usize..12_000, bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/nvidia-smi/t4-throttled.xml");
        let mut document = std::fs::read(file).unwrap();
        let at = cut.min(document.len());
        let end = from.clamp(at, document.len().min(at + 60)).max(at);
        document.splice(at..end, bytes);
        let _ = parse(&String::from_utf8_lossy(&document), "file");
    }

    #[test]
    fn any_value_is_survived(value in "[^<&]{0,40}") {
        let names = ["product_name", "performance_state", "compute_mode", "gpu_recovery_action", "processes", "mig_devices"];
        let values: String = names.iter().map(|name| format!("<{name}>{value}</{name}>")).collect();
        let _ = parse(&format!("<nvidia_smi_log><gpu>{values}</gpu></nvidia_smi_log>"), "file");
    }
}
