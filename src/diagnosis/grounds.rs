//! What makes a cause as sure as it is.

use crate::check::{Confidence, Finding, Reasons, Term};

/// Witnesses that are named.
const MOST: usize = 3;

/// In words: who bears witness, and what else would show the same.
pub fn of(finding: &Finding, reasons: &Reasons) -> String {
    let witnesses = witnesses(finding, reasons);
    let by = match witnesses.split_last() {
        None => String::new(),
        Some((last, [])) => format!("by {last}"),
        Some((last, others)) => format!("by {} and {last}", others.join(", ")),
    };
    let rest = match finding.confidence {
        // What a symptom comes from is another question than whether it is there.
        _ if finding.check.spec.symptom => "",
        Confidence::Proven => "",
        Confidence::Likely => "little else would show the same",
        Confidence::Possible => "other causes would show the same",
    };
    [by.as_str(), rest].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// The rooms of the facts that it was judged by, in words, each once.
fn witnesses(finding: &Finding, reasons: &Reasons) -> Vec<&'static str> {
    let proving = if finding.confidence == Confidence::Proven { reasons.proving(finding.check) } else { Vec::new() };
    let terms = [proving, reasons.showing(finding.check)];
    // That something is not so is a condition of a check, and seldom its proof.
    let telling = terms.iter().flatten().flatten().filter(|term: &&Term| term.is_so);
    let mut witnesses = each_once(telling.filter_map(|term| witness(term.paths.first()?)));
    // What was derived is told by what it was derived from, which stands in the evidence.
    if witnesses.is_empty() {
        let known = finding.evidence.iter().filter(|evidence| evidence.value.as_ref().is_some_and(says_something));
        witnesses = each_once(known.filter_map(|evidence| witness(&evidence.path)));
    }
    witnesses.truncate(MOST);
    witnesses
}

fn each_once(words: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut once = Vec::new();
    for one in words {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

fn says_something(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Who tells the fact at this path; none for what was asked and for what was derived.
fn witness(path: &str) -> Option<&'static str> {
    let room = path.split('.').next()?;
    Some(match room {
        "connections" => "the connections that the doctor held",
        "container" => "the container's own settings",
        "counters" => "the server's own counters",
        "cuda" => "CUDA's own answer",
        "device_nodes" => "opening the device nodes",
        "docker" => "Docker's record",
        "engine" => "the serving software's word",
        "execution" => "what was measured while requests ran",
        "host" => "what the machine shows",
        "imports" => "importing the modules",
        "kernel_log" => "the kernel's log",
        "kubernetes" => "Kubernetes' record",
        "linker" => "the libraries' own lists of what they need",
        "load" => "the load that the doctor made",
        "loaded" => "loading the model as the deployment does",
        "model" => "the model's file",
        "nvml" => "the driver's answer (NVML)",
        "ort" => "onnxruntime's own answer",
        "packages" => "the installed packages' files",
        "placement" => "onnxruntime's placement of the model",
        "prediction" => "the predicted placement of the model",
        "process" => "the server's processes",
        "recorded" => "the files",
        "request" => "the server's answers",
        "server_log" => "the server's log",
        "smoke" => "the doctor's own kernel",
        "source" => "the server's code",
        _ => match path {
            "derived.activity" | "derived.gpu_seen_idle" | "derived.gpu_seen_working" => {
                "what was measured while requests ran"
            }
            "derived.said_in_log" => "the server's log",
            "derived.gpu_libraries" => "the libraries that the server has loaded",
            _ if path.starts_with("derived.connection") => "the connections that the doctor held",
            _ if path.starts_with("derived.load_") => "the load that the doctor made",
            _ => return None,
        },
    })
}
