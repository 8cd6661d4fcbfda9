use super::*;
use crate::probe::Ask;
use std::fs;
use std::path::Path;
use std::time::Instant;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubernetes").join(format!("{name}.json"))
}

fn probe(files: &[PathBuf]) -> (KubernetesFacts, Ran) {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
    let ask = Ask { kubectl: files.to_vec(), ..Ask::default() };
    let ran = run(&Context { ask, deadline: Instant::now() + PROBE.budget }, &mut facts);
    (facts.kubernetes, ran)
}

fn of(name: &str) -> KubernetesFacts {
    probe(&[fixture(name)]).0
}

fn only_pod(facts: &KubernetesFacts) -> KubernetesPod {
    facts.pods.known().unwrap()[0].clone()
}

#[test]
fn a_pod_and_its_node_are_read_whole() {
    let facts = of("healthy");
    let pod = only_pod(&facts);
    assert_eq!(
        (pod.name.as_str(), pod.namespace.as_str(), pod.owner.as_str()),
        ("asr-7d4b9c-x2k8p", "speech", "ReplicaSet")
    );
    assert_eq!((pod.phase.clone(), pod.gpu_limit.clone()), (Fact::Known("Running".into()), Fact::Known(1)));
    assert_eq!((pod.node.as_str(), pod.node_gpus.clone()), ("gpu-1", Fact::Known(8)));
    assert_eq!(pod.runtime_class, "nvidia");
    assert_eq!(pod.meant_for_gpu_by, ["runtimeClassName nvidia", "toleration of nvidia.com/gpu"]);
    assert!(!pod.reaches_every_gpu && !pod.claims_devices && pod.unschedulable.is_empty());
    let container = &pod.containers[0];
    assert_eq!(container.gpu_limits.get("nvidia.com/gpu").map(String::as_str), Some("1"));
    assert_eq!(container.gpu_limits.len(), 1, "memory and cpu are none");
    assert_eq!(container.shm_limit, "1Gi");
    assert_eq!(container.environment.get("NVIDIA_API_KEY").map(String::as_str), Some("***"));
    assert!(!container.environment.contains_key("HF_TOKEN"));
    let node = &facts.nodes.known().unwrap()[0];
    assert!(node.labelled_as_gpu_node && node.ready == Fact::Known(true));
    assert_eq!((node.gpus_offered, node.pods_per_gpu), (8, 1));
    assert_eq!(node.taints, ["nvidia.com/gpu=present:NoSchedule"]);
    assert_eq!(node.container_runtime, Fact::Known("containerd://1.7.22".into()));
    assert!(!node.labels.contains_key("kubernetes.io/arch"));
    assert_eq!(facts.events.reason().unwrap().why, Why::NotAsked, "the only event is no warning");
}

#[test]
fn what_keeps_a_pod_from_running_is_read() {
    let facts = of("pending");
    let pod = only_pod(&facts);
    assert!(pod.unschedulable.contains("2 Insufficient nvidia.com/gpu"), "{pod:?}");
    assert_eq!((pod.node.as_str(), pod.node_gpus.reason().unwrap().why), ("", Why::NotAsked));
    assert_eq!(facts.nodes.known().unwrap()[0].gpus_offered, 0);
    let event = &facts.events.known().unwrap()[0];
    assert_eq!((event.reason.as_str(), event.about_kind.as_str()), ("FailedScheduling", "Pod"));
    let crashed = only_pod(&of("driver-too-old"));
    assert_eq!(crashed.containers[0].waiting_reason, "CrashLoopBackOff");
    assert!(crashed.containers[0].waiting_message.contains("unsatisfied condition: cuda>=12.8"), "{crashed:?}");
}

#[test]
fn privileges_and_divided_gpus_are_seen() {
    let pod = only_pod(&of("privileged"));
    assert!(pod.reaches_every_gpu && pod.containers[0].privileged && pod.containers[0].mounts_host_dev);
    let sliced = of("time-sliced");
    let node = &sliced.nodes.known().unwrap()[0];
    assert_eq!((node.pods_per_gpu, node.gpus_offered), (4, 4));
    assert_eq!(only_pod(&sliced).node_gpus, Fact::Known(1), "four shares are one GPU");
}

#[test]
fn shares_of_memory_are_no_devices() {
    let resources = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, n)| (name.to_string(), n.to_string())).collect();
    assert_eq!(pod::devices(&resources(&[("nvidia.com/gpu", "2"), ("nvidia.com/gpumem", "3000")])), 2);
    assert_eq!(pod::devices(&resources(&[("aliyun.com/gpu-mem", "8")])), 1);
    assert_eq!(pod::devices(&resources(&[])), 0);
    assert!(pod::is_gpu("nvidia.com/mig-1g.10gb") && pod::is_gpu("aliyun.com/gpu-mem") && !pod::is_gpu("memory"));
}

#[test]
fn files_are_joined_and_single_objects_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(fixture("healthy")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let (pod, node) = (dir.path().join("pod.json"), dir.path().join("node.json"));
    fs::write(&pod, list["items"][0].to_string()).unwrap();
    // The API's own list names the kind once.
    let mut bare = list["items"][1].clone();
    bare.as_object_mut().unwrap().remove("kind");
    fs::write(&node, serde_json::json!({"kind": "NodeList", "apiVersion": "v1", "items": [bare]}).to_string()).unwrap();
    let (alone, _) = probe(std::slice::from_ref(&pod));
    assert!(only_pod(&alone).node_gpus.reason().unwrap().detail.contains("add `kubectl get node gpu-1 -o json`"));
    assert_eq!(alone.nodes.reason().unwrap().why, Why::NotAsked);
    let (both, ran) = probe(&[pod, node]);
    assert_eq!((only_pod(&both).node_gpus, ran.outcome), (Fact::Known(8), crate::snapshot::Outcome::Ok));
}

#[test]
fn nothing_given_is_not_asked() {
    let (facts, ran) = probe(&[]);
    assert_eq!(facts.pods.reason().unwrap().why, Why::NotAsked);
    assert_eq!(ran.detail, "--kubectl was not given");
}

#[test]
fn hostile_files_give_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pods.json");
    let cases: [(&str, &str); 8] = [
        ("", "it is empty"),
        ("error: You must be logged in to the server\n", "it is not JSON"),
        ("[]", "is a list; expected an object"),
        ("{\"items\": []}", "it has no kind"),
        ("{\"kind\": \"List\", \"items\": {}}", "items is an object; expected a list"),
        ("{\"kind\": \"Deployment\"}", "it holds no pod, node or event, but Deployment"),
        ("{\"kind\": \"Pod\", \"metadata\": {\"name\": [\"x\"]}}", "metadata.name is a list; expected text"),
        (
            "{\"kind\": \"Node\", \"metadata\": {\"name\": \"n\"}, \"status\": {\"allocatable\": 7}}",
            "status.allocatable is a number",
        ),
    ];
    for (text, expected) in cases {
        fs::write(&path, text).unwrap();
        let (facts, _) = probe(std::slice::from_ref(&path));
        let unknown = facts.pods.reason().unwrap_or_else(|| panic!("{facts:?}"));
        assert!(unknown.why == Why::Malformed && unknown.detail.contains(expected), "{}", unknown.detail);
        assert!(unknown.detail.contains("pods.json"), "{}", unknown.detail);
    }
    let many =
        format!("{{\"kind\": \"List\", \"items\": [{}{{\"kind\": \"X\"}}]}}", "{\"kind\": \"X\"},".repeat(30_000));
    fs::write(&path, many).unwrap();
    assert!(probe(&[path]).1.detail.contains("30001 entries"));
    assert_eq!(probe(&[dir.path().join("none.json")]).0.pods.reason().unwrap().why, Why::Absent);
}

proptest::proptest! {
    #[test]
    fn any_pod_is_read_or_refused(
        name in "\\PC{0,20}", limit in "\\PC{0,10}", field in "(env|volumeMounts|resources|securityContext)", junk in "[0-9]{1,3}",
    ) {
        let mut value = serde_json::json!({"kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [
            {"name": "a", "resources": {"limits": {"nvidia.com/gpu": limit}}}]}});
        let record = Record::new(&value, "test").unwrap();
        let pod = pod::read(&record).unwrap();
        proptest::prop_assert_eq!(pod.name, name);
        value["spec"]["containers"][0][field] = serde_json::from_str(&junk).unwrap_or(Value::Bool(true));
        let _ = pod::read(&Record::new(&value, "test").unwrap());
    }
}
