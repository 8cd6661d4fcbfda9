//! Models made to take time, memory or the process: each is predicted or refused, soon.

use super::*;
use std::time::{Duration, Instant};

fn many(count: usize, node: impl Fn(usize) -> Node, output: &str) -> Structure {
    let nodes = (0..count).map(node).collect();
    model(17, scope(vec![typed("x", FLOAT, &[1, 4])], Vec::new(), nodes, output))
}

/// What is predicted, or why nothing is, within what a build without optimization needs.
fn soon(structure: &Structure) -> Result<PredictionFacts, Unknown> {
    let started = Instant::now();
    let found = predict(structure, &Tables::of(VERSION).unwrap(), false);
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    found
}

fn calls(count: usize, attributes: &[(&str, Attribute)], body: Scope) -> Structure {
    let mut structure = many(count, |at| node(&format!("y{at} = my.F(x)"), attributes), "y1");
    structure.opsets.insert("my".into(), 1);
    structure.functions.push(Function {
        domain: "my".into(),
        name: "F".into(),
        inputs: texts("a"),
        outputs: texts("b"),
        opsets: BTreeMap::from([("ai.onnx".to_string(), 17)]),
        scope: 1,
        ..Function::default()
    });
    structure.scopes.push(body);
    structure
}

#[test]
fn a_body_that_many_nodes_call_is_not_held_without_end() {
    let constants = (0..10_000).map(|at| tensor(&format!("c{at}"), INT64, &[], &[1.0])).collect();
    let body = Scope { tensors: constants, nodes: vec![node("b = Relu(a)", &[])], ..Scope::default() };
    let refused = soon(&calls(10_000, &[], body)).unwrap_err();
    assert!(refused.why == Why::Unsupported && refused.detail.contains("beyond"), "{refused:?}");

    let order = [("p", Attribute::Ints(vec![0; 1000]))];
    let reference = [("perm", Attribute::Reference("p".into()))];
    let nodes = (0..1000).map(|at| node(&format!("c{at} = Transpose(a)"), &reference)).collect();
    let refused = soon(&calls(900, &order, Scope { nodes, ..Scope::default() })).unwrap_err();
    assert!(refused.detail.contains("beyond"), "{refused:?}");
}

#[test]
fn a_name_that_every_node_makes_has_one_maker() {
    let structure = many(40_000, |at| node(if at % 2 == 0 { "y = Relu(y)" } else { "y = Relu(x)" }, &[]), "y");
    assert!(soon(&structure).is_ok());
    let outputs = vec!["y"; 20_000].join(", ");
    let both = |at: usize| if at == 0 { node(&format!("{outputs} = Split(x)"), &[]) } else { node("z = Relu(y)", &[]) };
    assert!(soon(&many(20_000, both, "z")).is_ok());
}

#[test]
fn a_node_that_reads_one_value_all_the_time_is_changed_once() {
    let inputs = vec!["v"; 100_000].join(", ");
    let nodes = [node("v = Identity(x)", &[]), node(&format!("y = Concat({inputs})"), &[("axis", Attribute::Int(0))])];
    let found = soon(&many(2, |at| nodes[at].clone(), "y")).unwrap();
    assert_eq!(found.nodes, Fact::Known(1));
}

#[test]
fn sizes_at_the_limits_of_numbers_are_no_panic() {
    let empty = |name: &str, dims: &[i64]| tensor(name, FLOAT, dims, &[]);
    let nodes = vec![
        node("p, q = Split(a)", &[("axis", Attribute::Int(0))]),
        node("c = Conv(x, w)", &[]),
        node("y = Add(c, b)", &[]),
        node("m = Concat(p, p, w)", &[("axis", Attribute::Int(i64::MIN))]),
    ];
    let tensors = vec![empty("a", &[-3, 0]), empty("w", &[i64::MAX, 0, 1, 1]), empty("b", &[i64::MAX, 1, 0])];
    let main = scope(vec![typed("x", FLOAT, &[1, 4, 8, 8])], tensors.clone(), nodes.clone(), "y");
    assert!(soon(&model(11, main)).is_ok());
    // A bias that fits a weight with so many channels.
    let tensors =
        vec![tensors[0].clone(), tensors[1].clone(), NamedTensor { dims: vec![i64::MAX, 1, 1], ..empty("b", &[0]) }];
    let main = scope(vec![typed("x", FLOAT, &[1, 4, 8, 8])], tensors, nodes, "y");
    assert!(soon(&model(11, main)).is_ok());
}
