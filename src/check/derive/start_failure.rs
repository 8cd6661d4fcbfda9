//! Known reasons why a container could not be started, from whatever tells them.

use super::Basis;
use crate::snapshot::{Fact, Facts, KubernetesPod, Unknown, Why, room};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

room! {
    /// Why containers could not be started.
    pub struct StartFailures {
        /// Known reasons why containers could not be started, in the words of the engine, of Kubernetes or of the log.
        pub start_failures: Vec<StartFailure>,
    }
}

impl StartFailures {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { start_failures: all(facts) }
    }
}

/// Longest text kept, characters.
const TEXT_MAX: usize = 300;

/// A container that was not started, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartFailure {
    /// The kind of reason: the id of the check that tells about it, or `driver-library-not-found`, `gpu-not-there`.
    pub id: String,
    /// The part that the words name: an unmet condition, a runtime, a device; empty if they name none.
    pub names: String,
    /// The words.
    pub text: String,
    /// Who says so: `docker inspect of asr`, `event FailedScheduling of Pod asr-0`, `server.log line 12`.
    pub told_by: String,
}

/// Kind of a device that is asked for by a name which nothing describes, until its cause is told.
const CDI: &str = "cdi-device-not-found";

/// The words of Docker (moby/daemon), libnvidia-container, the NVIDIA Container Toolkit, containerd and Kubernetes; the
/// first group is what they name.
const WORDS: &[(&str, &str)] = &[
    (
        "container-toolkit-missing",
        r#"could not select device driver "(?:nvidia|cdi)?" with capabilities: \[\[[^\]]*gpu"#,
    ),
    ("container-toolkit-missing", r#"could not select device driver with capabilities: \[\[[^\]]*gpu"#),
    (
        "container-toolkit-missing",
        r#"(?:exec: "|fork/exec )[^" ]*(nvidia-container-[a-z-]+)"?: (?:executable file not found|no such file)"#,
    ),
    ("docker-runtime-not-registered", r"(?i)unknown (?:or invalid runtime name: |runtime specified )(nvidia)"),
    ("driver-library-not-found", r"load library failed: (libnvidia-ml\.so\.1)"),
    ("image-requires-newer-driver", r"unsatisfied condition: ([^\s,\\]+)"),
    ("rootless-cgroup-blocked", r"(/sys/fs/cgroup/devices/\S*devices\.(?:allow|deny)): permission denied"),
    ("rootless-cgroup-blocked", r"(bpf_prog_query\(BPF_CGROUP_DEVICE\)) failed: operation not permitted"),
    (CDI, r"unresolvable CDI devices (nvidia\.com/[\w.=,:-]+)"),
    ("gpu-not-there", r"nvidia-container-cli: device error: ([^:\s]+): unknown device"),
    ("k8s-runtimeclass-missing", r#"no runtime for \\?"?(nvidia[\w-]*)\\?"? is configured"#),
    ("k8s-runtimeclass-missing", r"failed to find runtime handler (nvidia[\w-]*)"),
    (
        "k8s-runtimeclass-missing",
        r#"(?i)runtimeclass(?:\.node\.k8s\.io|es\.node\.k8s\.io)? \\?"(nvidia[\w-]*)\\?" not found"#,
    ),
    ("k8s-no-gpu-capacity", r"Insufficient (nvidia\.com/\w[\w-]*(?:\.\w[\w-]*)*)"),
    ("k8s-no-gpu-capacity", r"untolerated taint \{(nvidia\.com/gpu)"),
    ("k8s-no-gpu-capacity", r"Allocate failed due to .*?(nvidia\.com/\w[\w-]*(?:\.\w[\w-]*)*)"),
];

/// The reasons that a text gives, at most one of a kind.
fn in_text(text: &str, told_by: &str) -> Vec<StartFailure> {
    static PATTERNS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
        WORDS.iter().map(|(id, pattern)| (*id, Regex::new(pattern).expect("a valid pattern"))).collect()
    });
    let mut found: Vec<StartFailure> = Vec::new();
    for (id, pattern) in PATTERNS.iter() {
        let Some(groups) = pattern.captures(text).filter(|_| found.iter().all(|one| one.id != *id)) else { continue };
        let around = groups.get(0).map_or(0..0, |whole| whole.range());
        found.push(StartFailure {
            id: (*id).into(),
            names: groups.get(1).map_or(String::new(), |name| name.as_str().into()),
            text: excerpt(text, around),
            told_by: told_by.into(),
        });
    }
    found
}

/// The line around a match; of a long one the part that holds it.
fn excerpt(text: &str, at: std::ops::Range<usize>) -> String {
    let (before, after) = (text.get(..at.start).unwrap_or_default(), text.get(at.end..).unwrap_or_default());
    let middle = text.get(at).unwrap_or_default();
    let before = before.rsplit('\n').next().unwrap_or_default();
    let after = after.split('\n').next().unwrap_or_default();
    let room = TEXT_MAX.saturating_sub(middle.chars().count()) / 2;
    let skipped = before.chars().count().saturating_sub(room);
    let mut before: String = before.chars().skip(skipped).collect();
    if skipped > 0 {
        // From the next whole word.
        before = format!("[...] {}", before.split_once(' ').map_or("", |(_, words)| words));
    }
    let after: String = after.chars().take(room).collect();
    format!("{before}{middle}{after}").trim().chars().take(TEXT_MAX + 6).collect()
}

/// The reasons in all that was given. Unknown if nothing was given, or if what was given could not be read and the rest
/// gives none.
fn all(facts: &Facts) -> Fact<Vec<StartFailure>> {
    let mut found = Vec::new();
    let mut read = false;
    let docker = &facts.docker;
    if let Some(error) = docker.start_error.known() {
        read = true;
        let name = docker.name.known().map_or("the container", String::as_str);
        let engine = docker.engine.known().map_or("docker", String::as_str);
        // An engine may keep the error of an earlier start.
        if docker.state.known().is_none_or(|state| state != "running") {
            found.extend(in_text(error, &format!("{engine} inspect of {name}")));
        }
    }
    if let Some(pods) = facts.kubernetes.pods.known() {
        read = true;
        pods.iter().filter(|pod| !runs(pod)).for_each(|pod| found.extend(of_pod(pod)));
    }
    if let Some(events) = facts.kubernetes.events.known() {
        read = true;
        let pods = facts.kubernetes.pods.known().map(Vec::as_slice).unwrap_or_default();
        // Events outlive what they warned of.
        let is_over = |name: &str| pods.iter().any(|pod| pod.name == name && runs(pod));
        for event in events.iter().filter(|event| !is_over(&event.about)) {
            let told_by = format!("event {} of {} {}", event.reason, event.about_kind, event.about);
            found.extend(in_text(&event.message, &told_by));
        }
    }
    if let Some(sayings) = facts.server_log.sayings.known() {
        read = true;
        for saying in sayings {
            let told_by = format!("{} line {}", saying.file, saying.line_number);
            found.extend(in_text(&saying.line, &told_by));
            // The log's reader may know more words.
            if WORDS.iter().any(|(id, _)| *id == saying.id) && found.iter().all(|failure| failure.id != saying.id) {
                let text = saying.line.chars().take(TEXT_MAX).collect();
                found.push(StartFailure { id: saying.id.clone(), names: String::new(), text, told_by });
            }
        }
    }
    let mut kept: Vec<StartFailure> = Vec::new();
    let rootless = docker.installation.known().is_some_and(|installation| installation == "rootless");
    for mut failure in found {
        // The same words mean a missing set-up, which is another one where the engine runs without root.
        if failure.id == CDI {
            failure.id = if rootless { "rootless-cgroup-blocked" } else { "container-toolkit-missing" }.into();
        }
        // A pod and its events say the same.
        if kept.iter().all(|one| (&one.id, &one.names) != (&failure.id, &failure.names)) {
            kept.push(failure);
        }
    }
    let given = [docker.start_error.reason(), facts.kubernetes.pods.reason(), facts.kubernetes.events.reason()];
    let unread = given.into_iter().flatten().find(|unknown| unknown.why != Why::NotAsked);
    match (unread, read) {
        (Some(unknown), _) if kept.is_empty() => Fact::Unknown(unknown.clone()),
        (None, false) => Fact::Unknown(nothing_given()),
        _ => Fact::Known(kept),
    }
}

fn nothing_given() -> Unknown {
    let detail = "nothing tells of the start of containers: --docker-inspect, --kubectl and --log were not given";
    Unknown::new(Why::NotAsked, detail)
}

/// Whether the pod runs with all its containers.
fn runs(pod: &KubernetesPod) -> bool {
    pod.phase.known().is_some_and(|phase| phase == "Running" || phase == "Succeeded")
        && pod.containers.iter().all(|container| container.waiting_reason.is_empty())
}

fn of_pod(pod: &KubernetesPod) -> Vec<StartFailure> {
    let mut found = in_text(&pod.unschedulable, &format!("the scheduler's word on pod {}", pod.name));
    found.extend(in_text(&pod.refusal, &format!("the status of pod {}", pod.name)));
    for container in &pod.containers {
        let told_by = format!("the status of container {} in pod {}", container.name, pod.name);
        found.extend(in_text(&container.waiting_message, &told_by));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Vec<(String, String)> {
        in_text(text, "test").into_iter().map(|failure| (failure.id, failure.names)).collect()
    }

    fn one(id: &str, names: &str) -> Vec<(String, String)> {
        vec![(id.to_owned(), names.to_owned())]
    }

    #[test]
    fn the_words_of_the_tools_are_known() {
        let prestart = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc \
            create failed: unable to start container process: error during container init: error running prestart hook \
            #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'\nnvidia-container-cli: ";
        let cases = [
            (r#"could not select device driver "" with capabilities: [[gpu]]"#.to_owned(), "container-toolkit-missing", ""),
            (r#"could not select device driver "nvidia" with capabilities: [[compute gpu utility]]"#.into(), "container-toolkit-missing", ""),
            ("unknown or invalid runtime name: nvidia".into(), "docker-runtime-not-registered", "nvidia"),
            ("Unknown runtime specified nvidia".into(), "docker-runtime-not-registered", "nvidia"),
            (format!("{prestart}requirement error: unsatisfied condition: cuda>=12.8, please update your driver to a newer version, or use an earlier cuda container: unknown"), "image-requires-newer-driver", "cuda>=12.8"),
            (format!("{prestart}initialization error: load library failed: libnvidia-ml.so.1: cannot open shared object file: no such file or directory: unknown"), "driver-library-not-found", "libnvidia-ml.so.1"),
            (format!("{prestart}device error: 7: unknown device: unknown"), "gpu-not-there", "7"),
            (format!("{prestart}mount error: open failed: /sys/fs/cgroup/devices/user.slice/devices.allow: permission denied"), "rootless-cgroup-blocked", "/sys/fs/cgroup/devices/user.slice/devices.allow"),
            ("mount error: failed to add device rules: unable to find any existing device filters attached to the cgroup: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted: unknown".into(), "rootless-cgroup-blocked", "bpf_prog_query(BPF_CGROUP_DEVICE)"),
            ("setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all".into(), "cdi-device-not-found", "nvidia.com/gpu=all"),
            (r#"Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "nvidia" is configured"#.into(), "k8s-runtimeclass-missing", "nvidia"),
            (r#"Error creating: pods "asr-0" is forbidden: pod rejected: RuntimeClass "nvidia" not found"#.into(), "k8s-runtimeclass-missing", "nvidia"),
            ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.".into(), "k8s-no-gpu-capacity", "nvidia.com/gpu"),
            ("UnexpectedAdmissionError Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0, which is unexpected".into(), "k8s-no-gpu-capacity", "nvidia.com/gpu"),
        ];
        for (text, id, names) in cases {
            assert_eq!(said(&text), one(id, names), "{text}");
        }
    }

    #[test]
    fn near_misses_are_none() {
        for text in [
            r#"could not select device driver "" with capabilities: [[tpu]]"#,
            "unknown or invalid runtime name: runsc",
            "0/3 nodes are available: 3 Insufficient cpu.",
            "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }",
            r#"no runtime for "gvisor" is configured"#,
            "exec: \"python\": executable file not found in $PATH",
        ] {
            assert_eq!(said(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn texts_are_cut_to_a_length(before in ".{0,400}", after in ".{0,400}") {
            let text = format!("{before}Insufficient nvidia.com/gpu {after}");
            let found = in_text(&text, "test");
            let failure = found.iter().find(|failure| failure.id == "k8s-no-gpu-capacity").unwrap();
            prop_assert!(failure.text.chars().count() <= TEXT_MAX + 6);
            prop_assert!(failure.text.contains("Insufficient nvidia.com/gpu"));
        }
    }
}
