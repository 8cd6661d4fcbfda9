//! Both placements side by side, and what the model needs of a GPU's memory.

use super::Audit;
use super::text::{HEAD, line, paragraph, said, short, sized, things};
use crate::check::{CONTEXT_BYTES, mebibytes};
use crate::report::page::Page;
use crate::snapshot::{Fact, Facts, PlacementFacts, PredictionFacts, Unknown, Why};
use crate::words::{bytes, padded};
use std::collections::BTreeMap;
use std::io::Write;

/// Spaces between columns of a table.
const GAP: usize = 2;
/// Most characters of onnxruntime's own words on why CUDA did not register.
const ERROR_MAX: usize = 400;
/// By how much the parameters of the execution graph exceed those of the file before that is explained.
const MORE_THAN_THE_FILE: f64 = 1.02;

/// Writes them.
pub fn write(audit: &Audit, out: &mut Page) -> std::io::Result<()> {
    let verbose = out.verbose();
    let facts = &audit.facts;
    let has = [facts.prediction.nodes_by_provider.known(), facts.placement.nodes_by_provider.known()];
    let shown = has.map(|nodes| nodes.is_some());
    writeln!(out)?;
    if shown.contains(&true) {
        let mut rows = vec![("placement".to_string(), ["predicted".to_string(), "real".to_string()])];
        rows.extend(self::rows(&facts.prediction, &facts.placement, verbose));
        let cells = |(head, cells): (String, [String; 2])| {
            // The heads of all lines are of one width.
            let head = padded(&head, HEAD - GAP);
            let [predicted, real] = cells;
            match shown {
                [true, true] => [head, predicted, real],
                [true, false] => [head, predicted, String::new()],
                _ => [head, real, String::new()],
            }
        };
        out.table(2, &rows.into_iter().map(cells).collect::<Vec<_>>())?;
    }
    missing(facts, shown, out)?;
    notes(facts, out)
}

/// Why there is no placement to tell.
fn missing(facts: &Facts, shown: [bool; 2], out: &mut Page) -> std::io::Result<()> {
    let format = facts.model.format.known().map(String::as_str);
    if let (Some(format @ ("safetensors" | "gguf")), [false, false]) = (format, shown) {
        let format = if format == "gguf" { "GGUF" } else { format };
        let words = format!("a {format} file holds tensors and no nodes, so there is nothing for onnxruntime to place");
        return line(out, "placement", &words);
    }
    let reason = |nodes: &Fact<BTreeMap<String, u64>>| match nodes.reason() {
        Some(Unknown { why: Why::NotAsked, .. })
            if facts.model.format.known().is_some_and(|format| format == "onnx") =>
        {
            "not asked for: --onnxruntime or --python names the onnxruntime that is to place the nodes".to_string()
        }
        Some(unknown) => unknown.detail.clone(),
        None => String::new(),
    };
    let (predicted, real) = (reason(&facts.prediction.nodes_by_provider), reason(&facts.placement.nodes_by_provider));
    match shown {
        [false, false] if predicted == real => line(out, "placement", &predicted),
        [predicted_shown, real_shown] => {
            if !predicted_shown {
                line(out, "predicted placement", &format!("none: {predicted}"))?;
            }
            if !real_shown { line(out, "real placement", &real) } else { Ok(()) }
        }
    }
}

/// Heads of the rows, each with the cell of the predicted and that of the real placement.
fn rows(predicted: &PredictionFacts, real: &PlacementFacts, verbose: bool) -> Vec<(String, [String; 2])> {
    let tables = match (predicted.for_version.known(), predicted.tables_version.known()) {
        (Some(version), Some(tables)) if version != tables => format!("{version}, by the tables of {tables}"),
        (Some(version), _) if predicted.version_from.known().is_some_and(|from| from == "the newest known") => {
            format!("{version}, the newest known")
        }
        (Some(version), _) => version.clone(),
        (None, _) => String::new(),
    };
    let session = match real.session.known().map(String::as_str) {
        Some("dry") => ", dry session (nothing loaded)".to_string(),
        Some(session) => format!(", {session} session"),
        None => String::new(),
    };
    let runtime = said(&real.runtime);
    let runtime = runtime.strip_prefix("onnxruntime ").unwrap_or(&runtime);
    let mut rows = vec![("onnxruntime".to_string(), [tables, format!("{runtime}{session}")])];
    let both = [&predicted.nodes_by_provider, &real.nodes_by_provider];
    let mut providers: Vec<&String> = both.iter().filter_map(|nodes| nodes.known()).flat_map(BTreeMap::keys).collect();
    providers.sort_by_key(|name| (name.starts_with("CPU"), name.as_str()));
    providers.dedup();
    for provider in providers {
        let cells = both.map(|nodes| {
            let number = nodes.known().and_then(|nodes| nodes.get(provider)).copied().unwrap_or(0);
            things(number, "node")
        });
        let head = match provider.as_str() {
            "unknown" => "on no known provider".to_string(),
            provider => format!("on {}", short(provider)),
        };
        rows.push((head, cells));
    }
    let mut row = |head: &str, cells: [String; 2]| rows.push((head.to_string(), cells));
    row("copies in each run", [said(&predicted.memcpy_nodes), said(&real.memcpy_nodes)]);
    let device = |tensors: &Fact<u64>, size: &Fact<u64>| match (tensors, size) {
        (Fact::Known(tensors), Fact::Known(size)) => {
            format!("{} ({})", things(*tensors, "tensor"), bytes(*size as f64))
        }
        (_, size) => sized(size),
    };
    row(
        "parameters on GPU",
        [
            device(&predicted.gpu_parameters, &predicted.gpu_parameter_bytes),
            device(&real.gpu_parameters, &real.gpu_parameter_bytes),
        ],
    );
    row(
        "parameters on CPU",
        [
            device(&predicted.cpu_parameters, &predicted.cpu_parameter_bytes),
            device(&real.cpu_parameters, &real.cpu_parameter_bytes),
        ],
    );
    let unplaced = [&predicted.unplaced_parameter_bytes, &real.unplaced_parameter_bytes];
    let from_log = real.method.known().is_some_and(|method| method == "verbose log");
    let some = unplaced.iter().any(|size| size.known().is_some_and(|size| *size > 0));
    if some && (verbose || from_log && unplaced[1].known().is_some_and(|size| *size > 0)) {
        row("folded or unused", unplaced.map(sized));
    }
    if let Some(times) = real.run_ms_by_provider.known() {
        let times = times.iter().map(|(provider, ms)| format!("{ms:.2} ms on {}", short(provider)));
        row("time of one run", [String::new(), times.collect::<Vec<_>>().join(", ")]);
    }
    rows
}

/// Whether the session had a GPU provider.
pub fn has_gpu(real: &PlacementFacts) -> bool {
    real.session_providers.known().is_some_and(|providers| providers.iter().any(|name| !name.starts_with("CPU")))
}

fn notes(facts: &Facts, out: &mut Page) -> std::io::Result<()> {
    let (predicted, real) = (&facts.prediction, &facts.placement);
    // The bytes of the session with a GPU, else those of the prediction; of a format without nodes all of them.
    let placed = match has_gpu(real) {
        true => (&real.gpu_parameter_bytes, &real.cpu_parameter_bytes),
        false => (&predicted.gpu_parameter_bytes, &predicted.cpu_parameter_bytes),
    };
    let of_file = facts.model.parameter_bytes.known().copied();
    let on_gpu = match placed {
        (Fact::Known(gpu), cpu) => {
            let placed = gpu.saturating_add(cpu.known().copied().unwrap_or(0)) as f64;
            if of_file.is_some_and(|of_file| placed > of_file as f64 * MORE_THAN_THE_FILE) {
                let words = "More than the file holds: onnxruntime computes some parameters beforehand, and some of those more \
                             than once, for each branch of a condition for instance.";
                line(out, "", words)?;
            }
            Some(*gpu)
        }
        _ if facts.model.format.known().is_some_and(|format| format != "onnx") => of_file,
        _ => None,
    };
    if let Some(size) = on_gpu.filter(|bytes| *bytes > 0) {
        let words = format!(
            "about {} MiB on a GPU: {} of parameters, and some {} MiB for CUDA itself; requests take more",
            mebibytes(size.saturating_add(CONTEXT_BYTES)),
            bytes(size as f64),
            mebibytes(CONTEXT_BYTES)
        );
        line(out, "needs", &words)?;
    }
    if real.nodes_by_provider.known().is_some() && !has_gpu(real) { without_cuda(facts, out) } else { Ok(()) }
}

/// That the real session had no CUDA, why, and what to do.
fn without_cuda(facts: &Facts, out: &mut Page) -> std::io::Result<()> {
    writeln!(out)?;
    paragraph(out, 0, "CUDA does not register in this onnxruntime, so the real session is on the CPU whole.")?;
    if let Some(error) = facts.ort.cuda_error.known().filter(|error| !error.is_empty()) {
        let error: String = error.chars().take(ERROR_MAX).collect();
        paragraph(out, 2, &format!("onnxruntime says: {error}"))?;
    }
    match facts.ort.cuda_failure.known().filter(|failure| !failure.fix.is_empty()) {
        Some(failure) => paragraph(out, 2, &format!("to do: {}", failure.fix)),
        None => Ok(()),
    }
}
