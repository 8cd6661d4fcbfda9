//! Situations in which several checks hold at once: which causes a user sees, in which order, and the headline.

#[path = "setup/forgotten.rs"]
mod forgotten;
mod setup;

use forgotten::each_fact_forgotten;
use gpu_doctor::check::{Checks, Severity};
use gpu_doctor::diagnosis::{Diagnosed, Diagnosis, Verdict, diagnose};
use gpu_doctor::snapshot::{Snapshot, Why};
use serde::Deserialize;
use serde_json::Value;
use setup::cases::{Case, cases, fixtures, parsed, snapshot};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    base: String,
    #[serde(default)]
    like: Vec<String>,
    #[serde(default)]
    facts: BTreeMap<String, Value>,
    #[serde(default)]
    target: BTreeMap<String, Value>,
    /// A recorded snapshot whose requests take the place of the base's.
    request_of: Option<String>,
    causes: Vec<String>,
    explains: BTreeSet<String>,
    headline: String,
}

impl Situation {
    fn snapshot(&self) -> Snapshot {
        let mut case = Case { base: self.base.clone(), ..Case::default() };
        for like in self.like.iter().map(|like| like_case(like)) {
            case.facts.extend(like.facts);
            case.target.extend(like.target);
        }
        case.facts.extend(self.facts.clone());
        case.target.extend(self.target.clone());
        let mut made = snapshot(&case);
        if let Some(other) = &self.request_of {
            made.facts.request = snapshot(&Case { base: other.clone(), ..Case::default() }).facts.request;
        }
        made
    }
}

/// The case called `id`, the one that holds, or `id / its name`.
fn like_case(name: &str) -> Case {
    let (id, label) = name.split_once(" / ").unwrap_or((name, ""));
    let mut cases = cases(&fixtures().join("checks").join(format!("{id}.yaml")));
    match label {
        "" => cases.holds,
        label => cases.more.remove(label).unwrap_or_else(|| panic!("{id} has no case \"{label}\"")),
    }
}

/// All situations of fixtures/causes.
fn situations() -> BTreeMap<String, Situation> {
    let folder = fixtures().join("causes");
    let shared = std::fs::read_to_string(folder.join("shared.yaml")).unwrap();
    let mut situations = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if file.ends_with("shared.yaml") {
            continue;
        }
        let text = format!("{shared}\n{}", std::fs::read_to_string(&file).unwrap());
        let mut of_file: BTreeMap<String, Value> = parsed(&text, &file);
        of_file.remove("shared");
        for (name, situation) in of_file {
            let situation = serde_json::from_value(situation).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(situations.insert(name.clone(), situation).is_none(), "\"{name}\" stands twice");
        }
    }
    situations
}

fn causes(diagnosed: &Diagnosed) -> Vec<String> {
    let told = |severity| if severity == Severity::Warn { "warn " } else { "" };
    diagnosed.diagnoses.iter().map(|one| format!("{}{}", told(one.severity), one.cause)).collect()
}

#[test]
fn each_situation_has_its_causes_in_order_and_its_headline() {
    let checks = Checks::load(None).unwrap();
    let mut faults = Vec::new();
    for (name, situation) in situations() {
        let diagnosed = diagnose(&checks, &situation.snapshot()).unwrap();
        let explains: BTreeSet<String> =
            diagnosed.diagnoses.first().into_iter().flat_map(|first| first.explains.clone()).collect();
        if causes(&diagnosed) != situation.causes {
            faults.push(format!("{name}: causes {:?}", causes(&diagnosed)));
        }
        if explains != situation.explains {
            faults.push(format!("{name}: explains {explains:?}"));
        }
        if diagnosed.headline != situation.headline.trim() {
            faults.push(format!("{name}: headline {}", diagnosed.headline));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is explained is still among the findings, and no failure is left without a failure that tells of it.
#[test]
fn every_failure_is_a_cause_or_explained_by_one_that_fails() {
    let checks = Checks::load(None).unwrap();
    for (name, situation) in situations() {
        let diagnosed = diagnose(&checks, &situation.snapshot()).unwrap();
        let failures = diagnosed.diagnoses.iter().filter(|one| one.severity == Severity::Fail);
        let told_with = |one: &Diagnosis| {
            let others = one.could_be.iter().map(|other| &other.cause);
            one.explains.iter().chain([&one.cause]).chain(others).cloned().collect::<Vec<_>>()
        };
        let by_failures: BTreeSet<String> = failures.flat_map(told_with).collect();
        let by_any: BTreeSet<String> = diagnosed.diagnoses.iter().flat_map(told_with).collect();
        for finding in diagnosed.findings.iter().filter(|finding| finding.verdict == "holds") {
            assert!(by_any.contains(&finding.check), "{name}: {} is told by nothing", finding.check);
            let spec = &checks.get(&finding.check).unwrap().spec;
            if spec.severity == Severity::Fail && spec.warn_if.is_none() {
                assert!(by_failures.contains(&finding.check), "{name}: a warning swallows {}", finding.check);
            }
        }
    }
}

/// A fact that may not be read makes no cause where there is none.
#[test]
fn a_healthy_situation_with_one_fact_missing_has_no_cause() {
    let checks = Checks::load(None).unwrap();
    let healthy: Vec<_> = situations().into_iter().filter(|(_, situation)| situation.causes.is_empty()).collect();
    assert!(healthy.len() > 1);
    for (name, situation) in healthy {
        let snapshot = situation.snapshot();
        assert_eq!(diagnose(&checks, &snapshot).unwrap().verdict, Verdict::Healthy, "{name}");
        for (fact, without) in each_fact_forgotten(&snapshot, Why::Denied) {
            let diagnosed = diagnose(&checks, &without).unwrap();
            assert_eq!(causes(&diagnosed), Vec::<String>::new(), "{name}, without {fact}");
        }
    }
}

/// Each effect that can be seen anywhere is explained by what the authors of the checks know to cause it.
#[test]
fn effects_have_their_causes() {
    let checks = Checks::load(None).unwrap();
    let reached = |from: &str| {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(id) = open.pop() {
            let next = checks.get(&id).unwrap_or_else(|| panic!("no check {id}")).spec.explains.iter().cloned();
            open.extend(next.filter(|id| reached.insert(id.clone())));
        }
        reached
    };
    for (effect, by) in EFFECTS {
        for cause in *by {
            assert!(reached(cause).contains(*effect), "{cause} does not explain {effect}");
            assert!(!reached(effect).contains(*cause), "{effect} explains its cause {cause}");
        }
    }
    for check in checks.iter() {
        assert!(!reached(&check.spec.id).contains(&check.spec.id), "{} explains itself", check.spec.id);
    }
}

const DRIVER_ABSENT: &[&str] =
    &["driver-not-loaded", "driver-module-missing-for-running-kernel", "secure-boot-blocks-module", "nouveau-bound"];
const NOT_GIVEN: &[&str] = &[
    "docker-no-gpu-flag",
    "compose-gpu-stanza-missing",
    "wrong-docker-daemon",
    "container-toolkit-missing",
    "docker-runtime-not-registered",
    "k8s-gpu-limit-missing",
    "k8s-runtimeclass-missing",
    "nvidia-visible-devices-void",
    "driver-capabilities-lack-compute",
    "container-lost-gpu-after-daemon-reload",
];
const HARDWARE: &[&str] = &["xid79-off-bus", "gsp-timeout-xid119", "gpu-reset-required", "ecc-or-row-remap"];
const BUILT_FOR_CPU: &[&str] = &[
    "cpu-only-image-tag",
    "torch-cpu-wheel",
    "ct2-built-without-cuda",
    "llama-cpp-built-without-cuda",
    "jax-cpu-jaxlib",
    "sherpa-onnx-built-without-gpu",
    "ort-cpu-package-only",
    "ort-both-packages-clobbered",
];
const CUDA_REFUSED: &[&str] = &[
    "mig-enabled-no-instance",
    "compute-mode-exclusive",
    "cuda-compat-803",
    "libcuda-stub-loaded",
    "image-ships-driver-userland",
    "uvm-module-missing",
    "device-node-permission",
    "driver-library-version-mismatch",
    "fabric-manager-not-running",
    "cuda-visible-devices-hides-gpu",
];

/// What keeps every program of the server from the GPU, so that one that chooses its device by itself takes the CPU.
const UNREACHABLE: &[&str] = &[
    "driver-not-loaded",
    "nouveau-bound",
    "xid79-off-bus",
    "docker-no-gpu-flag",
    "k8s-gpu-limit-missing",
    "nvidia-visible-devices-void",
    "container-lost-gpu-after-daemon-reload",
    "cuda-init-failed",
    "driver-library-version-mismatch",
    "driver-too-old-for-runtime",
    "device-node-permission",
    "uvm-module-missing",
    "cuda-visible-devices-hides-gpu",
];
/// What puts a model on the CPU beside a GPU that could be used.
const CHOSEN_WITHOUT_GPU: &[&str] = &[
    "model-never-moved",
    "hf-pipeline-default-cpu",
    "device-map-cpu-offload",
    "whisper-fp16-warning-cpu",
    "device-string-typo",
    "wrapper-runs-onnx-or-cpu-internally",
    "ct2-device-default-or-auto-cpu",
    "ort-provider-not-requested",
    "insightface-applied-cpu",
    "triton-kind-cpu",
    "ray-serve-no-num-gpus",
    "torchserve-cpu-worker",
    "ollama-partial-offload",
];

/// What makes a server refuse every request of a client.
const REQUEST_REFUSED: &[&str] = &[
    "auth-rejected",
    "tls-mismatch-or-self-signed",
    "wrong-path-or-method",
    "wrong-model-name",
    "wrong-content-type",
    "payload-too-large",
    "context-length-exceeded",
    "tensor-shape-dtype-mismatch",
    "websocket-session-refused",
    "contract-error-masked-as-5xx",
    "model-not-loaded",
];

/// An effect and its causes.
const EFFECTS: &[(&str, &[&str])] = &[
    ("cuda-init-failed", DRIVER_ABSENT),
    ("cuda-init-failed", NOT_GIVEN),
    ("cuda-init-failed", HARDWARE),
    ("cuda-init-failed", CUDA_REFUSED),
    ("server-says-cpu", DRIVER_ABSENT),
    ("server-says-cpu", NOT_GIVEN),
    ("server-says-cpu", HARDWARE),
    ("server-says-cpu", CUDA_REFUSED),
    ("server-says-cpu", BUILT_FOR_CPU),
    ("server-says-cpu", &["driver-too-old-for-runtime", "ort-cudnn-missing", "ort-cuda-libs-missing-or-wrong-major"]),
    ("gpu-idle-while-serving", DRIVER_ABSENT),
    ("gpu-idle-while-serving", NOT_GIVEN),
    ("gpu-idle-while-serving", HARDWARE),
    ("gpu-idle-while-serving", CUDA_REFUSED),
    ("gpu-idle-while-serving", BUILT_FOR_CPU),
    ("parameters-on-cpu", CHOSEN_WITHOUT_GPU),
    ("parameters-on-cpu", BUILT_FOR_CPU),
    ("model-never-moved", UNREACHABLE),
    ("hf-pipeline-default-cpu", UNREACHABLE),
    ("whisper-fp16-warning-cpu", UNREACHABLE),
    ("ct2-device-default-or-auto-cpu", UNREACHABLE),
    ("insightface-applied-cpu", UNREACHABLE),
    ("llama-gpu-layers-zero", UNREACHABLE),
    ("ort-cuda-session-fails", UNREACHABLE),
    ("loader-fails", UNREACHABLE),
    ("loader-fails", &["cuda-oom", "vram-held-by-other-process", "device-string-typo", "ct2-float16-unsupported"]),
    ("loader-fails", &["torch-cpu-wheel", "python-import-fails", "external-data-missing", "inputs-on-cpu"]),
    ("ort-host-copies-per-run", &["ort-graph-split-cpu", "device-map-cpu-offload"]),
    ("smoke-kernel-fails", HARDWARE),
    ("smoke-kernel-fails", CUDA_REFUSED),
    ("vllm-no-platform", DRIVER_ABSENT),
    ("vllm-no-platform", NOT_GIVEN),
    ("gpu-xid-errors", HARDWARE),
    ("python-import-fails", &["ct2-libcublas-missing", "ort-namespace-package-after-uninstall"]),
    ("python-import-fails", &["ort-cuda-libs-missing-or-wrong-major"]),
    ("model-not-loaded", &["cuda-oom", "shm-too-small", "external-data-missing", "model-file-damaged"]),
    ("cuda-oom", &["vram-held-by-other-process", "vram-leak"]),
    ("container-toolkit-missing", DRIVER_ABSENT),
    ("expectation-not-met", &["no-nvidia-device", "xid79-off-bus"]),
    ("all-requests-rejected", REQUEST_REFUSED),
    ("wrong-path-or-method", &["auth-rejected"]),
    ("request-not-known", &["auth-rejected"]),
    ("websocket-session-refused", &["auth-rejected"]),
    ("model-not-loaded", &["auth-rejected", "wrong-model-name"]),
    ("backend-down-or-wrong-port", &["tls-mismatch-or-self-signed"]),
    ("contract-error-masked-as-5xx", &["tensor-shape-dtype-mismatch", "wrong-content-type"]),
    ("tensor-shape-dtype-mismatch", &["wrong-content-type"]),
    ("single-thread-cpu-ceiling", &["cpu-quota-throttling"]),
];
