//! Records of container engines and of Kubernetes, through the binary and over a file tree.

use crate::setup::doctor::{Said, causes, diagnosis, gpu_doctor, outcome};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A machine with one GPU that its driver has, as a file tree.
fn machine() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let files = [
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/device", "0x2330\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
        ("sys/module/nvidia/version", "550.54.15\n"),
        (
            "proc/driver/nvidia/version",
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n",
        ),
        ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
        ("proc/self/cgroup", "0::/user.slice\n"),
        ("proc/1/comm", "systemd\n"),
        ("dev/null", ""),
        ("usr/bin/true", ""),
        ("srv/asr/compose.yml", "services:\n  asr:\n    image: x\n"),
        ("srv/asr/compose.gpu.yml", "services:\n  asr:\n    gpus: all\n"),
    ];
    for (path, text) in files {
        write(dir.path(), path, text);
    }
    dir
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn run(root: &Path, option: &str, fixture: &str) -> Said {
    let file = format!("{}/fixtures/{fixture}.json", env!("CARGO_MANIFEST_DIR"));
    let root = root.display().to_string();
    let how = ["--only", "container", "--format", "json", "--include-identifiers"];
    gpu_doctor(&[&["run", "--root", &root, option, &file], &how[..]].concat(), &[])
}

fn because<'a>(report: &'a Value, cause: &str) -> &'a str {
    diagnosis(report, cause)["because"].as_str().unwrap()
}

#[test]
fn records_of_engines_name_the_cause() {
    let tree = machine();
    for (fixture, cause, words) in [
        ("docker/no-toolkit", "container-toolkit-missing", "None of its programs"),
        ("docker/runtime-nvidia-unknown", "docker-runtime-not-registered", "There is no /etc/docker/daemon.json"),
        ("docker/driver-too-old", "image-requires-newer-driver", "unsatisfied condition: cuda>=12.8"),
        ("docker/snap-docker", "wrong-docker-daemon", "Docker's snap installation"),
        ("docker/podman-rootless", "rootless-cgroup-blocked", "a rootless podman"),
        ("docker/compose-without-gpu", "compose-gpu-stanza-missing", "/srv/asr/compose.gpu.yml asks for one"),
        ("docker/flag-after-cpu-image", "cpu-only-image-tag", "told by its name"),
    ] {
        let said = run(tree.path(), "--docker-inspect", fixture);
        let report = said.report();
        assert_eq!((said.code, causes(&report)), (1, vec![cause]), "{fixture}: {}", report["headline"]);
        assert!(because(&report, cause).contains(words), "{}", because(&report, cause));
        assert!(!said.out.contains("abcdefghijklmnop"), "a secret of the record reached the report");
    }
    let healthy = run(tree.path(), "--docker-inspect", "docker/gpu-container");
    assert_eq!(causes(&healthy.report()), Vec::<&str>::new());
    assert_eq!(outcome(&healthy.report(), "docker"), "ok");
}

#[test]
fn the_set_up_of_the_tree_is_part_of_the_proof() {
    let tree = machine();
    write(tree.path(), "usr/bin/nvidia-ctk", "");
    let report = run(tree.path(), "--docker-inspect", "docker/no-toolkit").report();
    assert!(because(&report, "container-toolkit-missing").contains("/usr/bin/nvidia-ctk is there"), "{report}");
    write(tree.path(), "etc/docker/daemon.json", "{\n  \"log-driver\": \"json-file\"\n}\n{\n  \"runtimes\": {}\n}\n");
    let report = run(tree.path(), "--docker-inspect", "docker/runtime-nvidia-unknown").report();
    let said = because(&report, "docker-runtime-not-registered");
    assert!(said.contains("trailing characters at line 4 column 1"), "{said}");
}

#[test]
fn records_of_kubernetes_name_the_cause() {
    let tree = machine();
    for (fixture, cause, words) in [
        ("kubernetes/pending", "k8s-no-gpu-capacity", "2 Insufficient nvidia.com/gpu"),
        ("kubernetes/no-runtime", "k8s-runtimeclass-missing", "no runtime for \"nvidia\" is configured"),
        ("kubernetes/no-limit", "k8s-gpu-limit-missing", "NVIDIA_VISIBLE_DEVICES=all of container asr"),
        ("kubernetes/privileged", "k8s-privileged-sees-all-gpus", "is privileged and reaches them all"),
        ("kubernetes/time-sliced", "gpu-time-slicing-oversubscribed", "2 shares are held by asr-7d4b9c-x2k8p, tts-1"),
        ("kubernetes/cpu-image", "cpu-only-image-tag", "though a GPU was asked for"),
        ("kubernetes/driver-too-old", "image-requires-newer-driver", "container asr in pod asr-7d4b9c-x2k8p"),
    ] {
        let report = run(tree.path(), "--kubectl", fixture).report();
        assert_eq!(causes(&report), [cause], "{fixture}: {}", report["headline"]);
        assert!(because(&report, cause).contains(words), "{}", because(&report, cause));
    }
    assert_eq!(causes(&run(tree.path(), "--kubectl", "kubernetes/healthy").report()), Vec::<&str>::new());
    let wrong = run(tree.path(), "--kubectl", "docker/gpu-container");
    assert_eq!(outcome(&wrong.report(), "kubernetes"), "failed");
    assert_eq!(wrong.report()["verdict"], "undecided", "what was given and could not be read is not healthy");
}
