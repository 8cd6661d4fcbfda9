//! Calls put right, words that are no devices, compute types that a GPU lacks: what `sources` judges of single lines.

use super::sources::{DeviceTypo, last_said, quoted};
use crate::snapshot::{Fact, Facts, Gpu, SourceCall, Unknown, Why};

/// The providers that a session on the GPU names.
const PROVIDERS: &str = "[\"CUDAExecutionProvider\", \"CPUExecutionProvider\"]";

/// The call with CUDA named first; empty where the whole call is not known.
pub fn mended(call: &SourceCall) -> String {
    match (call.device.as_str(), call.arguments.get("providers")) {
        // A list that a variable holds, or that stands twice, is not replaced blindly.
        (_, Some(written)) => match call.call.matches(written.as_str()).count() {
            1 => call.call.replace(written.as_str(), PROVIDERS),
            _ => String::new(),
        },
        ("default", None) => match call.call.strip_suffix(')') {
            Some(open) if open.ends_with('(') => format!("{open}providers={PROVIDERS})"),
            Some(open) => format!("{}, providers={PROVIDERS})", open.trim_end_matches([',', ' '])),
            None => String::new(),
        },
        _ => String::new(),
    }
}

/// What CTranslate2 refused.
pub struct Refusal {
    pub line: String,
    pub converted: bool,
    pub compute_type: String,
    /// GPUs that cannot compute in the type.
    pub too_old: Fact<Vec<String>>,
}

/// The newest refusal of a compute type in a log.
pub fn refused(facts: &Facts) -> Refusal {
    let ids = ["ct2-float16-unsupported", "ct2-device-default-or-auto-cpu"];
    let last = last_said(facts, |saying| ids.contains(&saying.id.as_str()));
    let Some(saying) = last.first() else {
        let too_old = Fact::unknown(Why::NotAsked, "no log says that CTranslate2 refused a compute type");
        return Refusal { line: String::new(), converted: false, compute_type: String::new(), too_old };
    };
    let compute_type = saying.values.get("compute_type").cloned().unwrap_or_else(|| "float16".into());
    Refusal {
        line: quoted(saying),
        converted: saying.id == "ct2-device-default-or-auto-cpu",
        too_old: too_old(facts, &compute_type).into(),
        compute_type,
    }
}

/// Least compute capability for the type (CTranslate2, "Quantization and reduced precision").
fn least_capability(compute_type: &str) -> (u32, u32) {
    match compute_type {
        "bfloat16" | "int8_bfloat16" => (8, 0),
        "int8" | "int8_float32" => (6, 1),
        _ => (7, 0),
    }
}

/// GPUs whose compute capability is below what the type needs.
fn too_old(facts: &Facts, compute_type: &str) -> Result<Vec<String>, Unknown> {
    let least = least_capability(compute_type);
    let mut found = Vec::new();
    for gpu in facts.nvml.gpus.read()? {
        let told = gpu.compute_capability.read()?;
        let numbers = told.split_once('.').and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
        let capability = numbers.ok_or_else(|| Unknown::new(Why::Malformed, format!("compute capability {told:?}")))?;
        if capability < least {
            found.push(named(gpu, told));
        }
    }
    Ok(found)
}

fn named(gpu: &Gpu, capability: &str) -> String {
    let name = gpu.name.known().map_or("GPU", String::as_str);
    format!("GPU {} ({name}, compute capability {capability})", gpu.index)
}

/// What starts llama.cpp without layers for the GPU.
pub fn layers_kept(facts: &Facts, models: &[SourceCall]) -> String {
    let calls: Vec<_> = models.iter().filter(|call| call.kind == "llama").collect();
    let none = |call: &&&SourceCall| ["default", "cpu"].contains(&call.device.as_str());
    if let Some(call) = calls.iter().find(none).filter(|_| calls.iter().all(|call| none(&call))) {
        let how = if call.device == "cpu" { "asks for none" } else { "names no n_gpu_layers, which means none" };
        return format!("{}, line {}, {how}: {}", call.file, call.line, call.text);
    }
    for process in facts.process.processes.known().into_iter().flatten() {
        let Some(words) = process.command.known().and_then(|line| shlex::split(line)) else { continue };
        let at = |name: &str| words.iter().position(|word| word.split('=').next() == Some(name));
        let flags = ["-ngl", "--gpu-layers", "--n-gpu-layers", "--n_gpu_layers"];
        let given = flags.iter().find_map(|flag| at(flag));
        let value = given.and_then(|at| match words.get(at).and_then(|word| word.split_once('=')) {
            Some((_, value)) => Some(value),
            None => words.get(at + 1).map(String::as_str),
        });
        let command = || format!("the command line of process {}", process.pid);
        if value == Some("0") {
            let flag = given.and_then(|at| words.get(at)).and_then(|word| word.split('=').next()).unwrap_or_default();
            return format!("{} says {flag} 0", command());
        }
        let is_server = words.iter().any(|word| word == "llama_cpp.server");
        let set = facts.process.environment.known().map(|all| all.contains_key("N_GPU_LAYERS"));
        let configured = words.iter().any(|word| word.starts_with("--config_file"));
        if is_server && given.is_none() && !configured && set == Some(false) {
            return format!("{} has no --n_gpu_layers, which means none", command());
        }
    }
    let variable = |name: &str| facts.process.environment.known().and_then(|all| all.get(name)).map(String::as_str);
    let zero = ["LLAMA_ARG_N_GPU_LAYERS", "N_GPU_LAYERS"].into_iter().find(|name| variable(name) == Some("0"));
    zero.map_or(String::new(), |name| format!("the environment of the server's process has {name}=0"))
}

/// Frameworks for which `gpu` is a proper word.
const TAKE_GPU: &[&str] =
    &["jax", "tensorflow", "keras", "paddle", "paddleocr", "openvino", "mxnet", "lightgbm", "xgboost"];
/// Modules that hand their device to torch or CTranslate2.
const TAKE_CUDA: &[&str] = &["torch", "transformers", "whisper", "whisperx", "sentence_transformers", "diffusers"];
const TAKE_CUDA_OR_UPPER: &[&str] = &["faster_whisper", "ctranslate2"];

/// Words that the server's runtime does not take for a GPU, or that name one which is not there.
pub fn typos(facts: &Facts) -> Vec<DeviceTypo> {
    let imports = facts.source.imports.known().map(Vec::as_slice).unwrap_or_default();
    let mapped = |kind: &str| facts.process.gpu_libraries.known().is_some_and(|libraries| libraries.contains_key(kind));
    let imported = |names: &[&str]| imports.iter().any(|module| names.contains(&module.as_str()));
    let torch = imported(TAKE_CUDA) || mapped("torch_cpu") || mapped("torch_cuda");
    let ctranslate2 = imported(TAKE_CUDA_OR_UPPER) || mapped("ctranslate2");
    let others = imported(TAKE_GPU) || ["jaxlib", "tensorflow", "openvino"].into_iter().any(mapped);
    if others || !(torch || ctranslate2) {
        return Vec::new();
    }
    let devices = facts.cuda.device_count.known().copied();
    let words = facts.source.device_words.known().into_iter().flatten();
    let found = words.filter_map(|word| {
        let (wrong, instead) = wrong_with(&word.value, word.known_to_code, torch, devices)?;
        let (name, value, place) = (word.name.clone(), word.value.clone(), word.place.clone());
        Some(DeviceTypo { name, value, place, wrong, instead })
    });
    found.collect()
}

fn wrong_with(value: &str, known_to_code: bool, torch: bool, devices: Option<u64>) -> Option<(String, String)> {
    let (name, number) = value.split_once(':').map_or((value, None), |(name, number)| (name, Some(number)));
    if name == "cuda" {
        let index = number?.parse::<u64>().ok()?;
        let devices = devices.filter(|devices| (1..=index).contains(devices))?;
        let has = if devices == 1 {
            "one GPU, cuda:0".to_owned()
        } else {
            format!("{devices} GPUs, the last is cuda:{}", devices - 1)
        };
        return Some((format!("the server sees {has}"), "cuda:0".into()));
    }
    if known_to_code {
        return None;
    }
    let lower = name.to_ascii_lowercase();
    let stem = lower.trim_end_matches(|c: char| c.is_ascii_digit());
    match stem {
        "cuda" if lower != stem => {
            Some(("the number stands behind a colon".into(), format!("cuda:{}", &lower[stem.len()..])))
        }
        "cuda" if torch => Some(("torch takes the word in lower case only".into(), value.to_ascii_lowercase())),
        "gpu" | "nvidia" => {
            let takes = if torch { "torch" } else { "CTranslate2" };
            Some((format!("{takes} knows no device of that name"), "cuda".into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(text: &str, device: &str, providers: Option<&str>) -> SourceCall {
        SourceCall {
            file: "/srv/app.py".into(),
            line: 3,
            text: text.into(),
            call: text.into(),
            callee: "onnxruntime.InferenceSession".into(),
            kind: "onnx_session".into(),
            device: device.into(),
            arguments: providers.map(|providers| ("providers".into(), providers.into())).into_iter().collect(),
            origin: "server".into(),
        }
    }

    #[test]
    fn a_call_is_mended_where_it_stands() {
        let of = |text: &str, device: &str, providers: Option<&str>| mended(&call(text, device, providers));
        let list = r#"["CUDAExecutionProvider", "CPUExecutionProvider"]"#;
        assert_eq!(
            of("ort.InferenceSession(path)", "default", None),
            format!("ort.InferenceSession(path, providers={list})")
        );
        assert_eq!(of("S(path, opts,)", "default", None), format!("S(path, opts, providers={list})"));
        assert_eq!(of("S()", "default", None), format!("S(providers={list})"));
        let cpu = "[\"CPUExecutionProvider\"]";
        assert_eq!(of(&format!("S(p, providers={cpu})"), "cpu", Some(cpu)), format!("S(p, providers={list})"));
        assert_eq!(of("S(p, providers=chosen)", "cpu", Some(cpu)), "", "a variable's value is not in the call");
        assert_eq!(of("", "default", None), "");
    }

    #[test]
    fn words_are_told_from_devices() {
        let wrong = |value: &str| wrong_with(value, false, true, Some(1)).map(|(_, instead)| instead);
        for fine in ["cuda", "cuda:0", "cpu", "auto", "mps", "0", "cuda:x"] {
            assert_eq!(wrong(fine), None, "{fine}");
        }
        for (value, instead) in [
            ("gpu", "cuda"),
            ("GPU", "cuda"),
            ("CUDA", "cuda"),
            ("Cuda:0", "cuda:0"),
            ("cuda1", "cuda:1"),
            ("cuda:1", "cuda:0"),
            ("nvidia", "cuda"),
        ] {
            assert_eq!(wrong(value).as_deref(), Some(instead), "{value}");
        }
        assert_eq!(wrong_with("gpu", true, true, Some(1)), None, "the code looks at that very word");
        assert_eq!(wrong_with("CUDA", false, false, Some(1)), None, "CTranslate2 takes upper case");
        assert_eq!(wrong_with("cuda:1", false, true, None), None);
        assert_eq!(wrong_with("cuda:1", false, true, Some(0)), None, "that none is seen has other causes");
        assert_eq!(wrong_with("cuda:1", false, true, Some(2)), None);
    }
}
