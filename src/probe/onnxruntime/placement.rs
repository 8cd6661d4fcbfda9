//! Probe `placement`: a session of the user's model, created to hear where onnxruntime puts its nodes.

use super::attribution::{self, Parameters};
use super::execution::Execution;
use super::providers::obstacle;
use super::python;
use super::session::{Answer, Order, PLACED};
use crate::probe::free_memory::free_memory;
use crate::probe::isolation::End;
use crate::probe::model::{onnx_file, structure};
use crate::probe::{Context, PlacementAsk, Ran, environment, isolation};
use crate::snapshot::{CPU_PROVIDER, CUDA_PROVIDER, Fact, Facts, PlacementFacts, Room, Unknown, Why};
use serde_json::json;
use std::path::Path;

/// A session holds the parameters about twice while it is created: as read and as laid out for its kernels.
const COPIES: u64 = 2;
/// What onnxruntime needs besides, bytes.
const OWN_BYTES: u64 = 512 << 20;

/// Fills the room `placement`.
pub fn run(context: &Context, facts: &mut Facts) -> Ran {
    match place(context, facts) {
        Ok(placement) => {
            facts.placement = placement;
            Ran::ok()
        }
        Err(unknown) => {
            facts.placement = PlacementFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn place(context: &Context, facts: &Facts) -> Result<PlacementFacts, Unknown> {
    let model = &onnx_file(context, facts)?;
    let not_text = || Unknown::new(Why::Unsupported, format!("the path {} is not UTF-8", model.display()));
    let model_text = model.to_str().ok_or_else(not_text)?;
    // Without a version the library did not even load.
    let library = facts.ort.library.read()?;
    facts.ort.compiled_providers.read()?;
    let bytes = facts.model.parameter_bytes.read()?;
    let enough = bytes.saturating_mul(COPIES).saturating_add(OWN_BYTES);
    if let Some((free, place)) = free_memory()
        && free < enough
    {
        let detail = format!(
            "no session of {} is created: its {bytes} bytes of parameters would need about {enough} bytes of memory, \
             and {place} leaves {free}",
            model.display()
        );
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let cuda = facts.ort.cuda_registers.known() == Some(&true);
    let answer = match python::permitted(&context.ask).filter(|_| python::only_here(library)) {
        Some(interpreter) => python::place(&interpreter, model_text, cuda, context, facts)?,
        None => asked(library, model_text, cuda, context, facts)?,
    };
    let error = answer.error.as_deref();
    if !answer.placement.seen {
        return Err(match error {
            Some(error) => Unknown::new(Why::Unsupported, format!("onnxruntime created no session: {error}")),
            None => Unknown::new(Why::Unsupported, "this onnxruntime's log tells no node placement"),
        });
    }
    // A dry session may fail after the placement was told; any other should not.
    if let (false, Some(error)) = (answer.dry, error) {
        return Err(Unknown::new(Why::Unsupported, format!("onnxruntime created no session: {error}")));
    }
    let runtime = facts.ort.version.as_ref().map(|version| format!("onnxruntime {version}"));
    Ok(PlacementFacts { runtime, ..filled(model, answer, cuda, &context.ask.placement) })
}

/// Has a child create the session.
fn asked(library: &str, model: &str, cuda: bool, context: &Context, facts: &Facts) -> Result<Answer, Unknown> {
    let ask = &context.ask.placement;
    let order = Order {
        library: library.to_string(),
        model: model.to_string(),
        cuda,
        whole: ask.whole_session,
        plain: false,
        // On the CPU alone the log says all, but for the names of nodes.
        execution_graph: cuda || ask.every_node,
        every_node: ask.every_node,
        profile: ask.profile,
    };
    let run =
        |order: &Order| isolation::run("placement", &json!(order), &environment::of_server(facts), context.deadline);
    let mut report = run(&order);
    // A way of creating it that kills the process leaves the plain one.
    let crashed = order.execution_graph && !order.whole && matches!(report.end, End::Signal(_));
    if crashed {
        report = run(&Order { plain: true, execution_graph: false, ..order });
    }
    let obstacle = obstacle(&report);
    let placed = report.parts.iter().find_map(|part| part.get(PLACED));
    let answer = match (&obstacle, placed) {
        (None, _) => report.result()?,
        (Some(_), Some(placed)) => placed,
        (Some(unknown), None) => return Err(unknown.clone()),
    };
    let mut answer: Answer = serde_json::from_value(answer.clone())
        .map_err(|_| Unknown::new(Why::Crashed, "the child's answer makes no sense"))?;
    if let Some(unknown) = obstacle {
        answer.run_error = unknown.detail;
    }
    if crashed {
        answer.no_execution =
            "onnxruntime crashed when it was to write it, as it does for a tensor of more than 512 MiB".into();
    }
    Ok(answer)
}

fn filled(model: &Path, answer: Answer, cuda: bool, ask: &PlacementAsk) -> PlacementFacts {
    let Answer { placement: log, execution, listed, dry, .. } = answer;
    let (written, execution) = match execution {
        Some(execution) => (Ok(()), execution),
        None => (Err(Unknown::new(Why::Unsupported, graph_not_written(&answer.no_execution))), Execution::default()),
    };
    let parameters = match (&written, log.nodes_left_out) {
        (Ok(()), _) if cuda => Ok(execution.parameters),
        (_, true) => Err(Unknown::new(Why::Unsupported, "the model has more nodes than are followed one by one")),
        _ => structure(model).map(|structure| attribution::attribute(&structure, &log)),
    };
    let part = |of: fn(&Parameters) -> u64| Fact::from(parameters.as_ref().map(of).map_err(Clone::clone));
    let providers = if cuda { vec![CUDA_PROVIDER, CPU_PROVIDER] } else { vec![CPU_PROVIDER] };
    let nodes = log.nodes_by_provider.values().fold(0, |sum: u64, count| sum.saturating_add(*count));
    let not_asked = |what: &str| Fact::unknown(Why::NotAsked, what);
    PlacementFacts {
        session_providers: Fact::Known(providers.into_iter().map(str::to_string).collect()),
        method: Fact::Known(if written.is_ok() { "optimized model" } else { "verbose log" }.into()),
        session: Fact::Known(if dry { "dry" } else { "whole" }.into()),
        nodes: Fact::Known(nodes),
        // A graph on one provider has no copies and no islands, whether it was written or not.
        copies: match &written {
            Err(unknown) if log.memcpy_nodes > 0 => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(execution.copies),
        },
        cpu_islands: match &written {
            Err(unknown) if log.nodes_by_provider.len() > 1 => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(execution.islands),
        },
        listed_nodes: match &written {
            // The log lists no node where all are on one provider.
            Err(unknown) if listed.is_empty() && nodes > 0 && ask.every_node => Fact::Unknown(unknown.clone()),
            Err(_) => Fact::Known(if cuda || ask.every_node { listed } else { Vec::new() }),
            Ok(()) => Fact::Known(execution.nodes),
        },
        nodes_by_provider: Fact::Known(log.nodes_by_provider),
        memcpy_nodes: Fact::Known(log.memcpy_nodes),
        gpu_parameters: part(|all| all.gpu.tensors),
        cpu_parameters: part(|all| all.cpu.tensors),
        gpu_parameter_bytes: part(|all| all.gpu.bytes),
        cpu_parameter_bytes: part(|all| all.cpu.bytes),
        unplaced_parameter_bytes: part(|all| all.unplaced.bytes),
        cpu_reasons: Fact::Known(log.reasons),
        session_ms: match answer.session_ms {
            Some(session_ms) if !dry => Fact::Known((session_ms * 1e3).round() / 1e3),
            _ => Fact::unknown(Why::Unsupported, "no parameters were copied to the GPU, so no whole session was made"),
        },
        run_ms_by_provider: match (answer.run_ms, answer.run_error.as_str()) {
            _ if !ask.profile => not_asked("no profile of a run was asked for (gpu-doctor model --profile)"),
            (Some(run_ms), _) => Fact::Known(run_ms),
            (None, "") => Fact::unknown(Why::Unsupported, "no session was created that could run"),
            (None, error) => {
                Fact::unknown(Why::Unsupported, format!("the model did not run on made-up inputs: {error}"))
            }
        },
        ..PlacementFacts::default()
    }
}

fn graph_not_written(why: &str) -> String {
    match why {
        "" => "the execution graph was not asked for".into(),
        why => format!("the execution graph is not known: {why}"),
    }
}
