//! Placements of small models, rule by rule, and of models that are nonsense.

use super::*;
use crate::probe::model::{Attribute, Container, Function, NamedTensor, Node, Scope, TypedName};
use proptest::prelude::*;

#[path = "hostile_tests.rs"]
mod hostile;

const FLOAT: u64 = 1;
const INT64: u64 = 7;
const BOOL: u64 = 9;
static TABLES: std::sync::OnceLock<Tables> = std::sync::OnceLock::new();
const VERSION: &str = "1.23.2";

fn texts(list: &str) -> Vec<String> {
    list.split(',').map(|name| name.trim().to_string()).filter(|name| name != "none").collect()
}

/// A node as `y, z = Op(a, b)`; `_` stands for an input that is left out.
fn node(text: &str, attributes: &[(&str, Attribute)]) -> Node {
    let (outputs, call) = text.split_once(" = ").unwrap();
    let (op, inputs) = call.trim_end_matches(')').split_once('(').unwrap();
    let (domain, op_type) = op.rsplit_once('.').unwrap_or(("", op));
    Node {
        op_type: op_type.into(),
        domain: domain.into(),
        name: format!("{op_type} {}", outputs.split(',').next().unwrap()),
        inputs: if inputs.is_empty() { Vec::new() } else { texts(&inputs.replace('_', "")) },
        outputs: texts(outputs),
        attributes: attributes.iter().map(|(name, value)| (name.to_string(), value.clone())).collect(),
        ..Node::default()
    }
}

fn typed(name: &str, element_type: u64, shape: &[i64]) -> TypedName {
    let shape = shape.iter().map(|size| Some(*size).filter(|size| *size >= 0)).collect();
    TypedName { name: name.into(), container: Container::Tensor, element_type, shape: Some(shape) }
}

fn tensor(name: &str, element_type: u64, dims: &[i64], values: &[f64]) -> NamedTensor {
    let bytes = dims.iter().product::<i64>() as u64 * element::Kind::tensor(element_type).bits() / 8;
    NamedTensor {
        name: name.into(),
        element_type,
        dims: dims.to_vec(),
        values: values.to_vec(),
        bytes,
        from_node: true,
    }
}

fn model(opset: i64, main: Scope) -> Structure {
    Structure {
        scopes: vec![main],
        ir_version: 8,
        opsets: BTreeMap::from([("ai.onnx".to_string(), opset)]),
        functions: Vec::new(),
    }
}

fn scope(inputs: Vec<TypedName>, tensors: Vec<NamedTensor>, nodes: Vec<Node>, output: &str) -> Scope {
    let outputs = texts(output).into_iter().map(|name| TypedName { name, ..TypedName::default() }).collect();
    Scope { inputs, tensors, nodes, outputs, ..Scope::default() }
}

fn predicted(structure: &Structure) -> PredictionFacts {
    predict(structure, &Tables::of(VERSION).unwrap(), true).unwrap()
}

/// `Op@CUDA` or `Op@CPU` of every node, in order.
fn places(facts: &PredictionFacts) -> Vec<String> {
    let provider = |node: &PlacedNode| node.provider.trim_end_matches("ExecutionProvider").to_string();
    facts.listed_nodes.known().unwrap().iter().map(|node| format!("{}@{}", node.op, provider(node))).collect()
}

fn why(facts: &PredictionFacts, op: &str) -> String {
    facts.listed_nodes.known().unwrap().iter().find(|node| node.op == op).unwrap().why.clone()
}

#[test]
fn every_known_version_has_tables() {
    let versions = tables::versions().unwrap();
    assert!(versions.contains(&VERSION) && versions.len() >= 8, "{versions:?}");
    for version in versions {
        let tables = Tables::of(version).unwrap();
        assert!(tables.newest_opset >= 21 && !tables.cuda("", "Conv").is_empty(), "{version}");
        assert!(tables.cpu("", "NonMaxSuppression").is_some_and(|kernels| !kernels.is_empty()), "{version}");
    }
    assert!(Tables::of("0.1").is_err());
}

#[test]
fn bodies_are_read_of_the_operators_that_a_model_may_need() {
    let of = |nodes: Vec<Node>| {
        let operators = functions::operators(&model(17, scope(Vec::new(), Vec::new(), nodes, "y")));
        assert_eq!(operators.structure.functions.len(), operators.conditions.len());
        let names = operators.structure.functions.into_iter().map(|function| function.name);
        names.collect::<std::collections::BTreeSet<String>>().into_iter().collect::<Vec<_>>()
    };
    assert_eq!(of(vec![node("y = MatMul(x, w)", &[])]), [""; 0]);
    // HardSwish is made of HardSigmoid, which is a function too.
    assert_eq!(of(vec![node("y = HardSwish(x)", &[])]), ["CastLike", "HardSigmoid", "HardSwish"]);
    assert_eq!(of(vec![node("y = Mish(x)", &[]), node("z = Mish(y)", &[])]), ["CastLike", "Mish", "Softplus"]);
}

#[test]
fn reasons_name_the_operator_the_version_and_the_type() {
    let main = scope(
        vec![typed("x", FLOAT, &[2, 2]), typed("i", INT64, &[4])],
        Vec::new(),
        vec![node("d = Det(x)", &[]), node("r = ArgMax(i)", &[]), node("u = Unique(i)", &[]), node("s = Relu(x)", &[])],
        "d, r, u, s",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(places(&facts), ["Det@CPU", "ArgMax@CPU", "Unique@CPU", "Relu@CUDA"]);
    assert_eq!(why(&facts, "Det"), "no CUDA kernel for Det");
    assert_eq!(why(&facts, "ArgMax"), "the CUDA kernel of ArgMax takes float32, float16, float64, not int64");
}

#[test]
fn what_a_later_version_or_an_older_export_would_change_is_told() {
    let one = |op: &str, opset: i64, of: &str| {
        let main = scope(vec![typed("x", FLOAT, &[2, 2])], Vec::new(), vec![node(&format!("y = {op}(x)"), &[])], "y");
        let facts = predict(&model(opset, main), &Tables::of(of).unwrap(), true).unwrap();
        why(&facts, op)
    };
    let later = "no CUDA kernel for LpNormalization; onnxruntime 1.27.0 has one for it";
    assert_eq!(one("LpNormalization", 17, "1.23.2"), later);
    assert_eq!(one("LpNormalization", 17, "1.27.0"), "");
    assert_eq!(one("Tan", 17, "1.23.2"), "no CUDA kernel for Tan", "no version has one");
    let main = scope(vec![typed("x", FLOAT, &[2])], Vec::new(), vec![node("y = Relu(x)", &[])], "y");
    let unknown = predict(&model(24, main), &Tables::of("1.23.2").unwrap(), true).unwrap_err();
    assert!(unknown.detail.ends_with("onnxruntime 1.23.2 knows opsets up to 23; 1.25.1 knows it"), "{unknown}");
}

#[test]
fn a_computation_with_shapes_stays_on_the_cpu() {
    let main = scope(
        vec![typed("x", FLOAT, &[-1, -1, 8])],
        vec![
            tensor("zero", INT64, &[], &[0.0]),
            tensor("axis", INT64, &[1], &[0.0]),
            tensor("two", INT64, &[], &[2.0]),
        ],
        vec![
            node("s = Shape(x)", &[]),
            node("g = Gather(s, zero)", &[("axis", Attribute::Int(0))]),
            node("m = Mul(g, two)", &[]),
            node("u = Unsqueeze(m, axis)", &[]),
            node("c = Concat(u, u)", &[("axis", Attribute::Int(0))]),
            node("e = ConstantOfShape(c)", &[]),
            node("y = Relu(e)", &[]),
        ],
        "y",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(
        places(&facts),
        ["Shape@CUDA", "Gather@CPU", "Mul@CPU", "Unsqueeze@CPU", "Concat@CPU", "ConstantOfShape@CUDA", "Relu@CUDA"]
    );
    assert_eq!(why(&facts, "Mul"), cpu_preferred::WHY);
    // Shape leaves its result on the host, and ConstantOfShape reads it there: nothing is copied.
    assert_eq!((facts.memcpy_nodes, facts.cpu_islands), (Fact::Known(0), Fact::Known(Vec::new())));
}

#[test]
fn copies_are_counted_and_islands_told() {
    let main = scope(
        vec![typed("x", FLOAT, &[1, 3, 3])],
        Vec::new(),
        vec![node("r = Relu(x)", &[]), node("d = Det(r)", &[]), node("y = Relu(d)", &[])],
        "y",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(places(&facts), ["Relu@CUDA", "Det@CPU", "Relu@CUDA"]);
    assert_eq!((facts.memcpy_nodes, facts.nodes), (Fact::Known(2), Fact::Known(5)));
    let islands = facts.cpu_islands.known().unwrap();
    assert_eq!((islands.len(), islands[0].first.as_slice()), (1, ["Det d".to_string()].as_slice()));
    assert_eq!((islands[0].tensors_in, islands[0].tensors_out), (1, 1));
}

#[test]
fn constants_are_folded_and_counted_with_their_new_size() {
    let main = scope(
        vec![typed("x", FLOAT, &[-1, 64])],
        vec![
            tensor("w", FLOAT, &[32, 64], &[]),
            tensor("big", FLOAT, &[100], &[]),
            tensor("to", INT64, &[2], &[-1.0, 8.0]),
        ],
        vec![
            node("wt = Transpose(w)", &[]),
            node("half = Cast(big)", &[("to", Attribute::Int(10))]),
            node("m = MatMul(x, wt)", &[]),
            node("y = Reshape(m, to)", &[]),
        ],
        "y",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(places(&facts), ["MatMul@CUDA", "Reshape@CUDA"]);
    assert_eq!(facts.gpu_parameter_bytes, Fact::Known(32 * 64 * 4));
    // A Reshape reads its target on the host.
    assert_eq!(facts.cpu_parameter_bytes, Fact::Known(16));
    assert_eq!(facts.unplaced_parameter_bytes, Fact::Known(32 * 64 * 4 + 400));
}

#[test]
fn what_follows_a_convolution_goes_into_it_and_a_sum_into_a_product() {
    let channels = |name: &str| tensor(name, FLOAT, &[8], &[]);
    let main = scope(
        vec![typed("x", FLOAT, &[1, 3, 9, 9])],
        vec![
            tensor("w", FLOAT, &[8, 3, 3, 3], &[]),
            channels("scale"),
            channels("b"),
            channels("mean"),
            channels("var"),
            tensor("m", FLOAT, &[392, 4], &[]),
            tensor("n", FLOAT, &[4], &[]),
        ],
        vec![
            node("c = Conv(x, w)", &[]),
            node("n1 = BatchNormalization(c, scale, b, mean, var)", &[]),
            node("r = Identity(n1)", &[]),
            node("f = Flatten(r)", &[]),
            node("p = MatMul(f, m)", &[]),
            node("y = Add(p, n)", &[]),
        ],
        "y",
    );
    let facts = predicted(&model(15, main));
    assert_eq!(places(&facts), ["Conv@CUDA", "Flatten@CUDA", "Gemm@CUDA"]);
    // Weight and a bias of 8, and the Gemm's two.
    assert_eq!(facts.gpu_parameter_bytes, Fact::Known((216 + 8 + 392 * 4 + 4) * 4));
    assert_eq!(facts.gpu_parameters, Fact::Known(4));
}

#[test]
fn a_condition_that_is_constant_leaves_one_branch() {
    let outer = scope(
        vec![typed("x", FLOAT, &[4])],
        vec![tensor("c", BOOL, &[], &[0.0])],
        vec![node(
            "y = If(c)",
            &[("then_branch", Attribute::Graphs(vec![1])), ("else_branch", Attribute::Graphs(vec![2]))],
        )],
        "y",
    );
    let branch = |op: &str| Scope {
        parent: Some(0),
        ..scope(Vec::new(), Vec::new(), vec![node(&format!("o = {op}(x)"), &[])], "o")
    };
    let mut structure = model(17, outer);
    structure.scopes.extend([branch("Exp"), branch("Det")]);
    assert_eq!(places(&predicted(&structure)), ["Det@CPU"]);
    // A condition that the caller gives keeps both.
    structure.scopes[0].tensors.clear();
    structure.scopes[0].inputs.push(typed("c", BOOL, &[]));
    assert_eq!(places(&predicted(&structure)), ["Exp@CUDA", "Det@CPU", "If@CUDA"]);
}

#[test]
fn functions_are_replaced_by_their_bodies() {
    let main = scope(
        vec![typed("x", FLOAT, &[4])],
        Vec::new(),
        vec![node("y = own.Twice(x)", &[]), node("z = HardSwish(y)", &[])],
        "z",
    );
    let body = scope(
        Vec::new(),
        Vec::new(),
        vec![node("h = Relu(a)", &[]), node("b = LeakyRelu(h)", &[("alpha", Attribute::Reference("slope".into()))])],
        "none",
    );
    let mut structure = model(17, main);
    structure.scopes.push(body);
    structure.functions.push(Function {
        domain: "own".into(),
        name: "Twice".into(),
        inputs: texts("a"),
        outputs: texts("b"),
        opsets: BTreeMap::from([("ai.onnx".to_string(), 17)]),
        scope: 1,
        ..Function::default()
    });
    let found = places(&predicted(&structure));
    assert_eq!(found, ["Relu@CUDA", "LeakyRelu@CUDA", "HardSigmoid@CUDA", "Mul@CUDA"]);
    // A function that calls itself ends.
    structure.scopes[1].nodes.push(node("q = own.Twice(b)", &[]));
    structure.scopes[1].nodes.push(node("p = own.Twice(b)", &[]));
    let endless = predict(&structure, &Tables::of(VERSION).unwrap(), false);
    assert!(endless.is_err_and(|unknown| unknown.why == Why::Unsupported));
}

#[test]
fn the_provider_refuses_some_nodes_that_it_has_kernels_for() {
    let last = [("select_last_index", Attribute::Int(1))];
    let main = scope(
        vec![typed("x", FLOAT, &[4, 4])],
        Vec::new(),
        vec![node("a = ArgMax(x)", &[]), node("b = ArgMax(x)", &last)],
        "a, b",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(places(&facts), ["ArgMax@CUDA", "ArgMax@CPU"]);
    let told = facts.listed_nodes.known().unwrap()[1].why.clone();
    assert_eq!(told, "the CUDA provider takes no ArgMax with the attribute select_last_index");
}

#[test]
fn unknown_operators_and_opsets_are_stated() {
    let main = scope(
        vec![typed("x", FLOAT, &[4])],
        Vec::new(),
        vec![node("a = nobody.Knows(x)", &[]), node("y = Relu(a)", &[])],
        "y",
    );
    let structure = model(17, main);
    let facts = predicted(&structure);
    assert_eq!(facts.unknown_nodes, Fact::Known(1));
    assert_eq!(places(&facts), ["nobody.Knows@unknown", "Relu@CUDA"]);
    assert_eq!(why(&facts, "nobody.Knows"), "onnxruntime 1.23.2 has no operator nobody.Knows");
    let newer = Structure { opsets: BTreeMap::from([("ai.onnx".to_string(), 999)]), ..structure };
    let unknown = predict(&newer, &Tables::of(VERSION).unwrap(), true).unwrap_err();
    assert_eq!(unknown.detail, "the model uses opset 999 of ONNX; onnxruntime 1.23.2 knows opsets up to 23");
}

#[test]
fn cycles_doubles_and_names_that_nobody_makes_are_no_panic() {
    let main = scope(
        vec![typed("x", FLOAT, &[4])],
        vec![tensor("x", FLOAT, &[4], &[])],
        vec![
            node("a = Add(b, x)", &[]),
            node("b = Relu(a)", &[]),
            node("b = Relu(nothing)", &[]),
            Node::default(),
            node("s = Shape(s)", &[]),
        ],
        "b, absent",
    );
    let facts = predicted(&model(17, main));
    assert_eq!(facts.listed_nodes.known().unwrap().len(), 5);
}

#[test]
fn long_models_take_little_time() {
    let chain = |count: usize| {
        let nodes = (0..count).map(|at| node(&format!("v{} = Relu(v{at})", at + 1), &[])).collect();
        model(17, scope(vec![typed("v0", FLOAT, &[4])], Vec::new(), nodes, &format!("v{count}")))
    };
    let structure = chain(100_000);
    let start = std::time::Instant::now();
    assert_eq!(predicted(&structure).nodes, Fact::Known(100_000));
    // Minutes if anything were quadratic.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
}

/// An operator, its inputs by how far back they lie, and a number for an attribute.
fn any_node() -> impl Strategy<Value = (usize, Vec<usize>, i64)> {
    (0usize..OPERATORS.len(), proptest::collection::vec(0usize..12, 0..4), -3i64..20)
}

const OPERATORS: [&str; 30] = [
    "Relu",
    "Shape",
    "Gather",
    "Concat",
    "Reshape",
    "Transpose",
    "Slice",
    "Squeeze",
    "Unsqueeze",
    "Conv",
    "MatMul",
    "Add",
    "Mul",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "If",
    "Loop",
    "Scan",
    "Identity",
    "Expand",
    "ConstantOfShape",
    "Split",
    "Range",
    "Pad",
    "LSTM",
    "SoftmaxCrossEntropyLoss",
    "own.Function",
    "DequantizeLinear",
    "Flatten",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_structure_is_placed(
        rows in proptest::collection::vec(any_node(), 1..25),
        values in proptest::collection::vec(-5i64..300, 0..4),
        opset in 1i64..24,
        kind in 0u64..20,
    ) {
        let numbers: Vec<f64> = values.iter().map(|value| *value as f64).collect();
        let tensors = vec![
            NamedTensor { name: "v0".into(), element_type: INT64, dims: vec![numbers.len() as i64], values: numbers, ..NamedTensor::default() },
            NamedTensor { name: "v1".into(), element_type: kind, dims: values, ..NamedTensor::default() },
        ];
        let mut nodes = Vec::new();
        for (at, (op, inputs, number)) in rows.into_iter().enumerate() {
            let (domain, op_type) = OPERATORS[op].rsplit_once('.').unwrap_or(("", OPERATORS[op]));
            let attributes = [
                ("axis", Attribute::Int(number)),
                ("axes", Attribute::Ints(vec![number, 0])),
                ("perm", Attribute::Ints(vec![number, 1, 0])),
                ("body", Attribute::Graphs(vec![1])),
                ("then_branch", Attribute::Graphs(vec![2, 1])),
                ("to", Attribute::Int(number)),
                ("pads", Attribute::Ints(vec![number; 4])),
                ("kernel_shape", Attribute::Ints(vec![number; 2])),
            ];
            nodes.push(Node {
                op_type: op_type.into(),
                domain: domain.into(),
                inputs: inputs.iter().map(|back| match back { 11 => String::new(), back => format!("v{}", (at + 2).saturating_sub(*back)) }).collect(),
                outputs: vec![format!("v{}", at + 2), format!("w{at}")],
                attributes: attributes.into_iter().skip(number.unsigned_abs() as usize % 5).map(|(name, value)| (name.to_string(), value)).collect(),
                ..Node::default()
            });
        }
        let last = format!("v{}", nodes.len() + 1);
        let inner = Scope { parent: Some(0), ..scope(vec![typed("p", INT64, &[]), typed("q", BOOL, &[])], Vec::new(), vec![node("o = Add(p, v0)", &[])], "o, q") };
        let mut structure = model(opset, scope(vec![typed("x", FLOAT, &[-1, 3])], tensors, nodes, &last));
        structure.scopes.extend([inner.clone(), inner.clone(), inner]);
        structure.functions.push(Function { domain: "own".into(), name: "Function".into(), inputs: texts("p"), outputs: texts("o"), scope: 3, ..Function::default() });
        let tables = TABLES.get_or_init(|| Tables::of("1.31.1").unwrap());
        let facts = predict(&structure, tables, true).unwrap();
        let sum: u64 = facts.nodes_by_provider.known().unwrap().values().sum();
        prop_assert_eq!(Fact::Known(sum), facts.nodes.clone());
        prop_assert_eq!(predict(&structure, tables, true).unwrap(), facts);
    }
}
