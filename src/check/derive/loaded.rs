//! What the deployment's own loader put where, in words, and whether the server says the same.

use super::Basis;
use crate::snapshot::{Fact, Facts, LoadedObject, Saying, Tensors, Unknown, Why, room};
use crate::words::bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

room! {
    /// The model as the deployment's own code loads it.
    pub struct Loaded {
        /// Where its parameters lie: `parameters: 603 on GPU (2.3 GB), 4 on CPU (12.0 kB)`.
        pub parameters_told: String,
        /// What the server's log, or the loader itself, says of the number of parameters, beside what was counted.
        pub parameters_said: Vec<ParametersSaid>,
        /// Ids of what the loader's code was seen to print; empty if none was called.
        pub said_by_loader: Vec<String>,
        /// How the loader failed, or else the inference with what it returned; empty if both came to their end.
        pub loader_failure: String,
    }
}

impl Loaded {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let sums = &basis.facts.loaded.parameters_by_device;
        Self {
            parameters_told: sums.as_ref().map(parameters),
            parameters_said: said(basis.facts),
            said_by_loader: Fact::Known(said_by_loader(basis.facts)),
            loader_failure: failure(basis.facts),
        }
    }
}

/// A line that tells how many parameters lie where, beside what was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParametersSaid {
    /// Where the line stands: a log, or the output of the loader.
    pub file: String,
    /// Its number.
    pub line_number: u64,
    /// The line.
    pub line: String,
    /// Whether its numbers are those that were counted, as tensors, elements or bytes.
    pub agrees: bool,
    /// What was counted, in the line's own unit where that is known: `603 tensors on GPU, 4 on CPU`.
    pub counted: String,
}

fn said_by_loader(facts: &Facts) -> Vec<String> {
    let said = facts.loaded.said.known().into_iter().flatten();
    let ids: BTreeSet<&str> = said.map(|saying| saying.id.as_str()).collect();
    ids.into_iter().map(str::to_owned).collect()
}

fn failure(facts: &Facts) -> Fact<String> {
    let loaded = &facts.loaded;
    let of_loader = match loaded.error.as_ref() {
        Fact::Known(error) if error.is_empty() => None,
        Fact::Known(error) => Some(error),
        Fact::Unknown(unknown) => return Fact::Unknown(unknown),
    };
    let of_forward = match &loaded.forward_error {
        Fact::Unknown(unknown) if of_loader.is_none() && unknown.why != Why::NotAsked => {
            return Fact::Unknown(unknown.clone());
        }
        told => told.known().filter(|error| !error.is_empty()),
    };
    Fact::Known(match (of_loader, of_forward, loaded.failed_in.known()) {
        // What ended the process names its place by itself.
        (Some(error), _, Some(place)) if !error.contains(place.as_str()) => format!("{place}: {error}"),
        (Some(error), ..) | (None, Some(error), _) => error.clone(),
        (None, None, _) => String::new(),
    })
}

/// Whether torch's name of a device is that of a GPU.
pub fn is_gpu(device: &str) -> bool {
    device.starts_with("cuda")
}

/// Sums over the devices that a predicate picks.
pub fn sum(by_device: &BTreeMap<String, Tensors>, picked: impl Fn(&str) -> bool) -> Tensors {
    let picked = by_device.iter().filter(|(device, _)| picked(device));
    picked.fold(Tensors::default(), |all, (_, one)| Tensors {
        tensors: all.tensors.saturating_add(one.tensors),
        elements: all.elements.saturating_add(one.elements),
        bytes: all.bytes.saturating_add(one.bytes),
        first_names: Vec::new(),
    })
}

/// `parameters: 603 on GPU (2.3 GB), 4 on CPU (12.0 kB)`.
fn parameters(by_device: &BTreeMap<String, Tensors>) -> String {
    let told = |sum: &Tensors, place: &str| match sum.tensors {
        0 => format!("none on {place}"),
        number => format!("{number} on {place} ({})", bytes(sum.bytes as f64)),
    };
    let (gpu, cpu) = (sum(by_device, is_gpu), sum(by_device, |device| device == "cpu"));
    let mut words = format!("parameters: {}, {}", told(&gpu, "GPU"), told(&cpu, "CPU"));
    for (device, sum) in by_device.iter().filter(|(device, _)| !is_gpu(device) && *device != "cpu") {
        let place = if device == "meta" { "the meta device, offloaded or never loaded" } else { device };
        words.push_str(&format!(", {}", told(sum, place)));
    }
    words
}

fn said(facts: &Facts) -> Fact<Vec<ParametersSaid>> {
    let by_device = match &facts.loaded.parameters_by_device {
        Fact::Known(by_device) => by_device,
        Fact::Unknown(unknown) => return Fact::Unknown(unknown.clone()),
    };
    let (gpu, cpu) = (sum(by_device, is_gpu), sum(by_device, |device| device == "cpu"));
    let in_log = facts.server_log.sayings.known().into_iter().flatten();
    let all = in_log.chain(facts.loaded.said.known().into_iter().flatten());
    let mut newest: BTreeMap<&str, &Saying> = BTreeMap::new();
    for saying in all.filter(|saying| saying.id == "model-parameters-device") {
        newest.insert(&saying.file, saying);
    }
    if newest.is_empty() {
        let detail = "neither the server's log nor its loader says how many parameters lie where";
        return Fact::unknown(Why::NotAsked, detail);
    }
    Fact::Known(newest.into_values().filter_map(|saying| beside(saying, &gpu, &cpu)).collect())
}

/// One line beside what was counted; `None` if its numbers cannot be read.
fn beside(saying: &Saying, gpu: &Tensors, cpu: &Tensors) -> Option<ParametersSaid> {
    let number = |name: &str| saying.values.get(name)?.replace([',', '_'], "").parse::<u64>().ok();
    let (on_gpu, on_cpu) = (number("gpu")?, number("cpu")?);
    let units = [
        ("tensors", gpu.tensors, cpu.tensors),
        ("elements", gpu.elements, cpu.elements),
        ("bytes", gpu.bytes, cpu.bytes),
    ];
    let agreeing = units.iter().find(|(_, gpu, cpu)| (*gpu, *cpu) == (on_gpu, on_cpu));
    // Which unit another number is of, its size tells: programs count tensors in thousands, elements in millions.
    let nearest = units.iter().min_by_key(|(_, gpu, cpu)| {
        let (counted, said) = (gpu.saturating_add(*cpu), on_gpu.saturating_add(on_cpu));
        counted.max(1).ilog2().abs_diff(said.max(1).ilog2())
    });
    let (unit, gpu, cpu) = agreeing.or(nearest)?;
    Some(ParametersSaid {
        file: saying.file.clone(),
        line_number: saying.line_number,
        line: saying.line.clone(),
        agrees: agreeing.is_some(),
        counted: format!("{gpu} {unit} on GPU, {cpu} on CPU"),
    })
}

/// Most models that are told one by one.
const EACH_MAX: usize = 6;

/// What was found out by loading the model with the deployment's own code, in a few words; `None` if nobody asked.
pub fn loaded_in_words(facts: &Facts) -> Option<Result<String, Unknown>> {
    let loaded = &facts.loaded;
    let loader = match &loaded.loader {
        Fact::Known(loader) => loader,
        Fact::Unknown(Unknown { why: Why::NotAsked, .. }) => return None,
        Fact::Unknown(unknown) => return Some(Err(unknown.clone())),
    };
    if let Some(error) = loaded.error.known().filter(|error| !error.is_empty()) {
        return Some(Ok(format!("{loader} failed: {error}")));
    }
    let objects = match loaded.objects.read() {
        Ok(objects) => objects,
        Err(unknown) => return Some(Err(unknown)),
    };
    let mut words: Vec<String> = Vec::new();
    if let Some(sums) = loaded.parameters_by_device.known().filter(|sums| !sums.is_empty()) {
        words.push(parameters(sums));
    }
    let modules: Vec<&LoadedObject> = objects.iter().filter(|one| !one.parameters_by_device.is_empty()).collect();
    if modules.len() > 1 {
        let told = modules.iter().take(EACH_MAX).map(|one| {
            let devices: Vec<&str> = one.parameters_by_device.keys().map(String::as_str).collect();
            format!("{} on {}", one.path, devices.join(" and "))
        });
        words.push(told.collect::<Vec<_>>().join(", "));
    }
    words.extend(objects.iter().filter_map(other_than_torch).take(EACH_MAX));
    if words.is_empty() {
        words.push(match objects.first() {
            Some(one) => format!("{} ({}) has no parameters that it lists", one.path, one.class),
            None => format!("no model was found in what {loader} returned"),
        });
    }
    if let unread @ 1.. = objects.iter().map(|object| object.unread_parameters).fold(0, u64::saturating_add) {
        words.push(format!("{unread} parameters could not be read"));
    }
    words.extend(loaded.watched.known().and_then(|watched| watched.first()).and_then(inputs));
    if let Some(error) = loaded.forward_error.known().filter(|error| !error.is_empty()) {
        words.push(format!("the inference failed: {error}"));
    }
    for said in said(facts).known().into_iter().flatten() {
        words.push(match said.agrees {
            true => format!("so says {} too (\"{}\")", said.file, said.line),
            false => format!("{} says otherwise (\"{}\", counted: {})", said.file, said.line, said.counted),
        });
    }
    Some(Ok(format!("loaded by {loader}: {}", words.join("; "))))
}

fn other_than_torch(object: &LoadedObject) -> Option<String> {
    let short = |names: &[String]| names.join(", ").replace("ExecutionProvider", "");
    match object.kind.as_str() {
        "onnxruntime session" => Some(format!("onnxruntime session on {}", short(&object.providers))),
        "ctranslate2 model" => Some(format!("ctranslate2 model on {} ({})", object.device, object.compute_type)),
        _ => None,
    }
}

/// `inputs: audio on cpu`.
fn inputs(module: &crate::snapshot::WatchedModule) -> Option<String> {
    let told: Vec<String> = module.inputs.iter().take(4).map(|one| format!("{} on {}", one.name, one.device)).collect();
    (!told.is_empty()).then(|| format!("inputs: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tensors(tensors: u64, elements: u64, bytes: u64) -> Tensors {
        Tensors { tensors, elements, bytes, first_names: Vec::new() }
    }

    fn line(gpu: &str, cpu: &str) -> Saying {
        Saying {
            id: "model-parameters-device".into(),
            file: "asr.log".into(),
            line_number: 6,
            skipped_bytes: 0,
            at: Fact::default(),
            line: "x".into(),
            values: [("gpu".into(), gpu.into()), ("cpu".into(), cpu.into())].into(),
        }
    }

    #[test]
    fn parameters_are_told_by_place() {
        let mut sums: BTreeMap<String, Tensors> = [
            ("cuda:0".to_owned(), tensors(600, 570_000_000, 2_280_000_000)),
            ("cuda:1".to_owned(), tensors(3, 2_850_000, 11_400_000)),
            ("cpu".to_owned(), tensors(4, 3000, 12_000)),
        ]
        .into();
        assert_eq!(parameters(&sums), "parameters: 603 on GPU (2.3 GB), 4 on CPU (12.0 kB)");
        sums.remove("cpu");
        sums.insert("meta".into(), tensors(9, 1, 4_000_000));
        let expected =
            "parameters: 603 on GPU (2.3 GB), none on CPU, 9 on the meta device, offloaded or never loaded (4.0 MB)";
        assert_eq!(parameters(&sums), expected);
    }

    #[test]
    fn a_line_agrees_in_any_unit() {
        let (gpu, cpu) = (tensors(603, 572_850_000, 2_291_400_000), tensors(4, 3000, 12_000));
        for (on_gpu, on_cpu, agrees, counted) in [
            ("603", "4", true, "603 tensors on GPU, 4 on CPU"),
            ("572,850,000", "3_000", true, "572850000 elements on GPU, 3000 on CPU"),
            ("2291400000", "12000", true, "2291400000 bytes on GPU, 12000 on CPU"),
            ("607", "0", false, "603 tensors on GPU, 4 on CPU"),
            ("0", "600000000", false, "572850000 elements on GPU, 3000 on CPU"),
        ] {
            let said = beside(&line(on_gpu, on_cpu), &gpu, &cpu).unwrap();
            assert_eq!((said.agrees, said.counted.as_str()), (agrees, counted));
        }
        assert_eq!(beside(&line("many", "4"), &gpu, &cpu), None);
    }

    proptest! {
        #[test]
        fn any_numbers_are_compared(gpu: (u64, u64, u64), cpu: (u64, u64, u64), on_gpu in "[0-9,_]{0,24}", on_cpu in ".{0,8}") {
            let sums = |(number, elements, bytes)| tensors(number, elements, bytes);
            let _ = beside(&line(&on_gpu, &on_cpu), &sums(gpu), &sums(cpu));
            let all = [("cuda:0".to_owned(), sums(gpu)), ("cuda:1".to_owned(), sums(cpu))].into();
            prop_assert!(parameters(&all).starts_with("parameters: "));
        }
    }
}
