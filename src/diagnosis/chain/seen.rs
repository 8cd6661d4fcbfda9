//! What was seen at each stage, in a few words.

use crate::snapshot::{Fact, Facts, Snapshot, Stage, Transport, Unknown};
use crate::words::{count, grouped};

/// The words for a stage, or what kept it from being seen; `None` for stages that no probe tells about yet.
pub fn at(snapshot: &Snapshot, stage: Stage) -> Option<Result<Sight, Unknown>> {
    let facts = &snapshot.facts;
    Some(match stage {
        Stage::Hardware => hardware(facts),
        Stage::Driver => driver(facts),
        Stage::Container => container(facts),
        Stage::Cuda => cuda(facts),
        Stage::Packages => packages(facts),
        Stage::Runtime => runtime(facts),
        Stage::Model => super::loaded::beside(super::model::words(facts), facts),
        Stage::Process => process(facts),
        Stage::Request => request(facts),
        Stage::Execution => execution(facts),
        Stage::Load => return super::connections::words(facts),
        Stage::Measurement => return None,
    })
}

/// What was seen at a stage.
pub struct Sight {
    /// In a few words.
    pub words: String,
    /// Whether what the stage needs was seen to work; a stage that does not can still be no fault of its own.
    pub works: bool,
}

impl From<String> for Sight {
    fn from(words: String) -> Self {
        Sight { words, works: true }
    }
}

impl From<&str> for Sight {
    fn from(words: &str) -> Self {
        words.to_string().into()
    }
}

pub fn broken(words: impl Into<String>) -> Sight {
    Sight { words: words.into(), works: false }
}

/// What was seen, or what kept it from being seen.
pub(super) type Words = Result<Sight, Unknown>;

fn or<T: ToString>(fact: &Fact<T>, otherwise: &str) -> String {
    fact.known().map_or(otherwise.to_string(), T::to_string)
}

fn hardware(facts: &Facts) -> Words {
    let devices = facts.host.nvidia_pci_devices.read()?;
    let addresses: Vec<&str> = devices.iter().map(|device| device.address.as_str()).collect();
    Ok(match devices.len() {
        0 => match facts.nvml.gpus.known().map_or(0, Vec::len) {
            0 => "no NVIDIA device on the PCI bus".into(),
            in_nvml => format!("no NVIDIA device on the PCI bus, but NVML shows {}", count(in_nvml, "GPU")).into(),
        },
        number => format!("{} on the PCI bus ({})", count(number, "NVIDIA device"), addresses.join(", ")).into(),
    })
}

fn driver(facts: &Facts) -> Words {
    let nvml = &facts.nvml;
    let status = nvml.status.read()?;
    if status != "ok" {
        let code = nvml.init_code.known().map_or(String::new(), |code| format!(" {code}"));
        let reason = or(&nvml.init_error, "no reason given");
        return Ok(broken(format!("NVML {}{code}: {reason}", status.replace('_', " "))));
    }
    let version = or(&nvml.driver_version, "of unknown version");
    let gpus = nvml.gpus.read()?;
    let names: Vec<String> = gpus.iter().map(|gpu| or(&gpu.name, "name unknown")).collect();
    // A file that the user named may stand for NVML.
    let who = nvml.source.known().filter(|source| !source.starts_with("libnvidia-ml")).map_or("NVML", String::as_str);
    let words = format!("driver {version}, {who} lists {} ({})", count(gpus.len(), "GPU"), names.join(", "));
    // A GPU that does not even tell its name is lost or hangs.
    let lost = gpus.iter().find_map(|gpu| Some((gpu.index, gpu.name.reason()?)));
    Ok(match lost {
        Some((index, unknown)) => broken(format!("{words}; GPU {index} does not answer ({unknown})")),
        None => words.into(),
    })
}

fn container(facts: &Facts) -> Words {
    let kind = facts.container.kind.read()?;
    Ok(match kind.as_str() {
        "none" => "not in a container".into(),
        kind => format!("in a container ({kind})").into(),
    })
}

fn cuda(facts: &Facts) -> Words {
    let cuda = &facts.cuda;
    let status = cuda.status.read()?;
    let mut words = match status.as_str() {
        "ok" => {
            let version = or(&cuda.driver_cuda_version, "of unknown version");
            format!("libcuda {version}, {}", count(*cuda.device_count.read()? as usize, "device"))
        }
        "library_missing" => "libcuda.so.1 not found".into(),
        status => format!("libcuda {}: {}", status.replace('_', " "), or(&cuda.init_error, "no reason given")),
    };
    let compiled_in = facts.ort.cuda_compiled_in.known() == Some(&true);
    if let Some(missing) = facts.ort.missing_libraries.known().filter(|_| compiled_in) {
        let sonames: Vec<&str> = missing.iter().map(|library| library.soname.as_str()).collect();
        words.push_str(&match sonames.len() {
            0 => "; onnxruntime's CUDA provider finds all its libraries".to_string(),
            _ => format!("; onnxruntime's CUDA provider does not find {}", sonames.join(", ")),
        });
    }
    Ok(Sight { words, works: status == "ok" })
}

fn packages(facts: &Facts) -> Words {
    let distributions = facts.packages.distributions.read()?;
    let wanted = ["onnxruntime", "torch", "ctranslate2", "tensorrt", "vllm"];
    let names: Vec<String> = distributions
        .iter()
        .filter(|distribution| wanted.iter().any(|start| distribution.name.starts_with(start)))
        .map(|distribution| format!("{} {}", distribution.name, distribution.version))
        .collect();
    Ok(match names.is_empty() {
        true => "no inference runtime among the Python packages".into(),
        false => names.join(", ").into(),
    })
}

fn runtime(facts: &Facts) -> Words {
    let ort = &facts.ort;
    let version = ort.version.read()?;
    Ok(match &ort.cuda_registers {
        Fact::Known(true) => format!("onnxruntime {version}: CUDA registers").into(),
        Fact::Known(false) => {
            let reason = or(&ort.cuda_error, "no reason given");
            broken(format!("onnxruntime {version}: CUDA does not register ({})", reason.trim_end_matches('.')))
        }
        Fact::Unknown(unknown) => {
            broken(format!("onnxruntime {version}: whether CUDA registers is unknown ({unknown})"))
        }
    })
}

fn process(facts: &Facts) -> Words {
    if let Some(program) = facts.process.forwarded_by.known().filter(|program| !program.is_empty()) {
        return Ok(format!("{program} carries the requests to another machine; the server is there").into());
    }
    let processes = facts.process.processes.read()?;
    let pids: Vec<String> = processes.iter().map(|process| process.pid.to_string()).collect();
    let libraries = match &facts.process.gpu_libraries {
        Fact::Known(libraries) if libraries.is_empty() => "no GPU runtime mapped".into(),
        Fact::Known(libraries) => format!("maps {}", libraries.keys().cloned().collect::<Vec<_>>().join(", ")),
        Fact::Unknown(unknown) => format!("its libraries are unknown ({unknown})"),
    };
    Ok(format!("PID {}; {libraries}", pids.join(", ")).into())
}

fn request(facts: &Facts) -> Words {
    let request = &facts.request;
    if let (None, Some(told)) = (request.reachable.known(), facts.recorded.requests.known()) {
        let ok = told.ok.read()?;
        let files = facts.recorded.files.known().map(Vec::as_slice).unwrap_or_default();
        let counted = !files.is_empty() && files.iter().all(|file| file.kind == "watch");
        let by = if counted { "the server's own counters" } else { "the files" };
        let words = format!("by {by}, {} of {} succeeded", grouped(*ok), count(told.count as usize, "request"));
        return Ok(Sight { words, works: *ok > 0 });
    }
    if !*request.reachable.read()? {
        return Ok(broken(or(&request.reach_error, "not reachable")));
    }
    let said = |exchange: &crate::snapshot::Exchange| {
        // The protocol stands before it, and a status of HTTP is none of its own.
        if matches!(exchange.method.as_str(), "GRPC" | "WEBSOCKET") {
            return format!("{} {}", exchange.path, if exchange.accepted { "accepted" } else { "refused" });
        }
        let status = exchange.status.known().map_or("no answer".into(), |status| status.to_string());
        format!("{} {} {status}", exchange.method, exchange.path)
    };
    let mut words: Vec<String> = request.transport.known().map(way).into_iter().flatten().collect();
    if let Fact::Known(client) = &request.client {
        words.push(format!("client's {}", said(client)));
    }
    match &request.good {
        Fact::Known(good) if good.author == "client" => {}
        Fact::Known(good) => words.push(format!("known-good {}", said(good))),
        Fact::Unknown(unknown) => words.push(format!("no known-good request ({unknown})")),
    }
    // Without one, nothing was seen of the way to the model, however well the server answers other things.
    Ok(Sight { words: words.join(", "), works: request.good.known().is_some() })
}

/// What is unusual in the way to the server.
fn way(way: &Transport) -> Vec<String> {
    let named = |fact: &Fact<String>| fact.known().filter(|text| !text.is_empty()).cloned();
    let protocol = way.protocol.known().filter(|protocol| *protocol != "HTTP/1.1").cloned();
    let tls = named(&way.tls_version).map(|version| version.replace("TLSv", "TLS "));
    let proxy = named(&way.proxy).map(|proxy| format!("through the proxy {proxy}"));
    let unused = named(&way.proxy_unused).map(|unused| format!("not through {unused} (--proxy env)"));
    let elsewhere = named(&way.client_names).map(|url| format!("the client's request names {url} and was sent here"));
    [protocol, tls, proxy, unused, elsewhere].into_iter().flatten().collect()
}

fn execution(facts: &Facts) -> Words {
    let execution = &facts.execution;
    let (sent, accepted) = (execution.requests_sent.read()?, execution.requests_ok.read()?);
    // A window without a GPU to watch lasts some milliseconds.
    let lasted = match *execution.window_ms.read()? {
        ms if ms < 1000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    };
    let mut words = format!("{accepted} of {sent} requests accepted in {lasted}");
    match &execution.gpus {
        Fact::Known(gpus) => {
            for gpu in gpus {
                match gpu.utilization_percent.known() {
                    Some(phases) if phases.during.samples == 0 => {
                        words.push_str(&format!("; GPU {} not sampled while requests ran", gpu.index));
                    }
                    Some(phases) if phases.during.max == 0.0 => {
                        words.push_str(&format!("; GPU {} at 0 %", gpu.index));
                    }
                    Some(phases) => words.push_str(&format!("; GPU {} at most {:.0} %", gpu.index, phases.during.max)),
                    None => words.push_str(&format!("; GPU {} utilization not reported", gpu.index)),
                }
            }
        }
        // Work was sent, but whether a GPU did it was not seen.
        Fact::Unknown(unknown) => {
            let reason = match facts.nvml.status.known() {
                Some(status) if status != "ok" => "NVML is not usable".to_string(),
                // Of files it need not be said that nobody asked.
                _ if facts.recorded.files.known().is_some() => unknown.detail.clone(),
                _ => unknown.to_string(),
            };
            return Ok(broken(format!("{words}; GPU not watched: {reason}")));
        }
    }
    // Of requests that nobody answered, a GPU can show nothing.
    Ok(Sight { words, works: *sent == 0 || *accepted > 0 })
}
