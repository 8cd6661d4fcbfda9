use super::*;
use crate::probe::model::{Function, Scope};
use crate::probe::onnxruntime::attribution::Sum;
use crate::probe::onnxruntime::graph::made_up::{log, node, tensor};
use crate::snapshot::{CPU_PROVIDER, CUDA_PROVIDER};
use proptest::prelude::*;

/// conv -> copy -> nms (CPU) -> gather (CPU) -> copy -> mul, with a shape for a reshape, and a branch that reads outside.
fn graph() -> (Structure, PlacementLog) {
    let mut fused = node("FusedConv", "fused conv", &["x", "w"], &["a_CUDAExecutionProvider"]);
    fused.domain = "com.microsoft".into();
    let main = Scope {
        parent: None,
        nodes: vec![
            fused,
            node("MemcpyToHost", "Memcpy", &["a_CUDAExecutionProvider"], &["a"]),
            node("NonMaxSuppression", "nms", &["a", "scores"], &["b"]),
            node("Gather", "gather", &["b", "at"], &["c"]),
            node("MemcpyFromHost", "Memcpy_token_1", &["c"], &["c_CUDAExecutionProvider"]),
            node("Mul", "mul", &["a_CUDAExecutionProvider", "c_CUDAExecutionProvider"], &["d"]),
            node("Shape", "shape", &["d"], &["e"]),
            node("Slice", "slice", &["e", "from", "to"], &["f"]),
            node("Reshape", "reshape", &["d", "f"], &["g"]),
            node("Reshape", "fixed", &["g", "shape_of"], &["h"]),
            node("If", "if", &["cond"], &["i"]),
        ],
        tensors: vec![
            tensor("w", 1000),
            tensor("at", 8),
            tensor("from", 16),
            tensor("to", 16),
            tensor("shape_of", 32),
            tensor("unread", 7),
        ],
        ..Scope::default()
    };
    let branch = Scope {
        parent: Some(0),
        nodes: vec![node("Gemm", "inner", &["h", "k", "w"], &["j"])],
        tensors: vec![tensor("k", 100)],
        ..Scope::default()
    };
    let mut log = log(&[
        (CUDA_PROVIDER, "FusedConv", "fused conv"),
        (CUDA_PROVIDER, "MemcpyToHost", "Memcpy"),
        (CPU_PROVIDER, "NonMaxSuppression", "nms"),
        (CPU_PROVIDER, "Gather", "gather"),
        (CUDA_PROVIDER, "MemcpyFromHost", "Memcpy_token_1"),
        (CUDA_PROVIDER, "Mul", "mul"),
        (CUDA_PROVIDER, "Shape", "shape"),
        (CPU_PROVIDER, "Slice", "slice"),
        (CUDA_PROVIDER, "Reshape", "reshape"),
        (CUDA_PROVIDER, "Reshape", "fixed"),
        (CUDA_PROVIDER, "If", "if"),
        (CUDA_PROVIDER, "Gemm", "inner"),
    ]);
    log.hear("CUDA kernel not found in registries for Op type: NonMaxSuppression node name: nms");
    (Structure { scopes: vec![main, branch], ..Default::default() }, log)
}

#[test]
fn only_copies_make_islands() {
    let (structure, log) = graph();
    let found = join(&structure, &structure, &log, false);
    // The slice of a shape touches the GPU on both sides, and no tensor is copied for it.
    assert_eq!(found.islands.len(), 1, "{:?}", found.islands);
    assert_eq!(found.islands[0].first, ["nms", "gather"]);
    assert_eq!((found.islands[0].tensors_in, found.islands[0].tensors_out), (1, 1));
}

#[test]
fn copies_are_told_with_who_makes_and_who_needs_them() {
    let (structure, log) = graph();
    let copies = join(&structure, &structure, &log, false).copies;
    let told: Vec<_> = copies
        .iter()
        .map(|copy| (copy.tensor.as_str(), copy.direction.as_str(), copy.made_by.as_str(), copy.needed_by.join(" ")))
        .collect();
    assert_eq!(
        told,
        [("a", "to host", "fused conv", "nms".to_string()), ("c", "to device", "gather", "mul".to_string())]
    );
}

#[test]
fn parameters_lie_where_they_are_read_and_shapes_stay_on_the_host() {
    let (structure, log) = graph();
    let sum = |tensors, bytes| Sum { tensors, bytes };
    let expected = Parameters { gpu: sum(2, 1100), cpu: sum(4, 72), unplaced: sum(1, 7) };
    assert_eq!(join(&structure, &structure, &log, false).parameters, expected);
}

#[test]
fn nodes_on_the_cpu_are_told_with_their_reason_and_all_on_request() {
    let (structure, log) = graph();
    let on_cpu = join(&structure, &structure, &log, false).nodes;
    let told: Vec<_> = on_cpu.iter().map(|node| (node.name.as_str(), node.op.as_str(), node.why.as_str())).collect();
    let no_kernel = "no CUDA kernel for this operator, its version and its types";
    assert_eq!(told, [("nms", "NonMaxSuppression", no_kernel), ("gather", "Gather", ""), ("slice", "Slice", "")]);
    let all = join(&structure, &structure, &log, true).nodes;
    assert_eq!(
        (all.len(), all[0].op.as_str(), all[0].provider.as_str()),
        (12, "com.microsoft.FusedConv", CUDA_PROVIDER)
    );
}

#[test]
fn a_graph_on_one_device_needs_no_list_of_nodes() {
    let (structure, _) = graph();
    let mut log = PlacementLog::default();
    log.nodes_by_provider.insert(CUDA_PROVIDER.into(), 12);
    assert!(join(&structure, &structure, &log, false).nodes.is_empty());
    let all = join(&structure, &structure, &log, true).nodes;
    assert!(all.len() == 12 && all.iter().all(|node| node.provider == CUDA_PROVIDER && node.why.is_empty()));
}

#[test]
fn nodes_without_a_name_are_told_apart_by_their_neighbours() {
    let scope = Scope {
        parent: None,
        nodes: vec![
            node("Conv", "conv", &["x"], &["a"]),
            node("Add", "", &["a", "b"], &["c"]),
            node("MemcpyToHost", "Memcpy", &["c_CUDAExecutionProvider"], &["d"]),
            node("Add", "", &["d", "d"], &["e"]),
            node("Add", "", &["y", "z"], &["f"]),
        ],
        ..Scope::default()
    };
    let cpu = CPU_PROVIDER;
    let log = log(&[
        (CUDA_PROVIDER, "Conv", "conv"),
        (CUDA_PROVIDER, "MemcpyToHost", "Memcpy"),
        (CUDA_PROVIDER, "Add", ""),
        (cpu, "Add", ""),
        (cpu, "Add", ""),
    ]);
    let found = join(&Structure { scopes: vec![scope], ..Default::default() }, &Structure::default(), &log, true).nodes;
    let told: Vec<_> = found.iter().map(|node| (node.name.as_str(), node.provider.as_str())).collect();
    assert_eq!(
        told,
        [("conv", CUDA_PROVIDER), ("\"c\"", CUDA_PROVIDER), ("Memcpy", CUDA_PROVIDER), ("\"e\"", cpu), ("\"f\"", "")]
    );
    assert!(found[4].why.contains("several nodes"), "{}", found[4].why);
}

#[test]
fn without_a_graph_the_log_s_own_list_is_told() {
    let (_, log) = graph();
    let told = listed(&log, false);
    assert_eq!(told.len(), 3);
    assert!(told[0].why.starts_with("no CUDA kernel") && told[0].name == "nms");
    assert_eq!(listed(&log, true).len(), 12);
}

#[test]
fn what_is_told_is_bounded() {
    let nodes = (0..150_000).map(|index| node("Add", &format!("n{index}{}", "x".repeat(50)), &["a"], &["a"])).collect();
    let structure = Structure { scopes: vec![Scope { nodes, ..Default::default() }], ..Default::default() };
    let mut log = PlacementLog::default();
    log.nodes_by_provider.insert(CUDA_PROVIDER.into(), 150_000);
    let told = join(&structure, &structure, &log, true).nodes;
    let bytes: usize = told.iter().map(|node| node.name.len() + node.provider.len()).sum();
    assert!(told.len() <= ALL_NODES_MAX && bytes <= TEXTS_MAX_BYTES, "{} nodes, {bytes} bytes", told.len());
}

#[test]
fn what_of_the_file_is_not_read_as_it_is_was_folded_or_is_unused() {
    // "t" was made of "w", "b" is held for both devices, "k" is of a branch that stands in the graph now; of "u" the dump
    // keeps what nothing reads.
    let scope = Scope {
        nodes: vec![
            node("MatMul", "mm", &["x", "t"], &["a"]),
            node("Add", "add", &["a", "b_CUDAExecutionProvider"], &["c"]),
            node("Mul", "mul", &["c", "_if_else_branch__if_7_k_token_3"], &["d"]),
        ],
        tensors: ["t", "b_CUDAExecutionProvider", "_if_else_branch__if_7_k_token_3", "u"]
            .map(|name| tensor(name, 1000))
            .into(),
        ..Scope::default()
    };
    let main = Scope { tensors: vec![tensor("w", 1), tensor("b", 10), tensor("u", 100)], ..Scope::default() };
    let branch = Scope { parent: Some(0), tensors: vec![tensor("k", 1000)], ..Scope::default() };
    let body = Scope { tensors: vec![tensor("f", 10_000)], ..Scope::default() };
    let function = Function { scope: 2, ..Function::default() };
    let file = Structure { scopes: vec![main, branch, body], functions: vec![function], ..Default::default() };
    let mut log = PlacementLog::default();
    log.nodes_by_provider.insert(CUDA_PROVIDER.into(), 3);
    let found = join(&Structure { scopes: vec![scope], ..Default::default() }, &file, &log, false).parameters;
    assert_eq!(found.unplaced, Sum { tensors: 2, bytes: 101 });
    assert_eq!(found.gpu, Sum { tensors: 3, bytes: 3000 });
}

proptest! {
    /// Scopes that name each other in circles, tensors that shadow one another, nodes that read themselves.
    #[test]
    fn any_graph_is_survived(
        parents in proptest::collection::vec(proptest::option::of(0usize..6), 1..5),
        edges in proptest::collection::vec((0usize..5, "[a-d]?", "[a-d]?", 0usize..6), 0..12),
        every: bool,
    ) {
        let ops = ["Add", "MemcpyToHost", "MemcpyFromHost", "If", "Shape", "Reshape"];
        let mut scopes: Vec<Scope> = parents.iter().map(|parent| Scope { parent: *parent, ..Scope::default() }).collect();
        let mut log = log(&[(CUDA_PROVIDER, "Add", ""), (CPU_PROVIDER, "Add", ""), (CUDA_PROVIDER, "If", "")]);
        for (scope, reads, makes, op) in &edges {
            let count = scopes.len();
            let scope = &mut scopes[scope % count];
            scope.nodes.push(node(ops[*op], "", &[reads, makes], &[makes, reads]));
            scope.tensors.push(tensor(reads, 1));
        }
        let structure = Structure { scopes, ..Default::default() };
        let found = join(&structure, &structure, &log, every);
        let sum = found.parameters;
        prop_assert!(sum.gpu.tensors + sum.cpu.tensors + sum.unplaced.tensors <= edges.len() as u64);
        log.nodes.clear();
        prop_assert!(found.copies.len() <= edges.len());
    }
}
