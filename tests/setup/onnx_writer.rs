//! Writes small ONNX models of one input `x` and one output `y`, float32 of 2 x 3 (onnx.proto3 of ONNX).

// Not every test uses all of it.
#![allow(dead_code)]

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A field of bytes: text or a message.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    [&varint(number << 3 | 2)[..], &varint(bytes.len() as u64), bytes].concat()
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

/// A node with one output.
pub fn node(name: &str, op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|input| field(1, input.as_bytes())).collect();
    let named = [field(2, output.as_bytes()), field(3, name.as_bytes()), field(4, op.as_bytes())].concat();
    [inputs, named].concat()
}

/// A tensor of so many float32 elements in one dimension, whose data are not there.
pub fn tensor(name: &str, elements: u64) -> Vec<u8> {
    [number(1, elements), number(2, 1), field(8, name.as_bytes())].concat()
}

/// A model of these nodes and initializers.
pub fn model(opset: u64, nodes: &[Vec<u8>], tensors: &[Vec<u8>]) -> Vec<u8> {
    let shape: Vec<u8> = [2, 3].iter().flat_map(|length| field(1, &number(1, *length))).collect();
    let kind = field(1, &[number(1, 1), field(2, &shape)].concat());
    let port = |name: &str| [field(1, name.as_bytes()), field(2, &kind)].concat();
    let nodes: Vec<u8> = nodes.iter().flat_map(|node| field(1, node)).collect();
    let tensors: Vec<u8> = tensors.iter().flat_map(|tensor| field(5, tensor)).collect();
    let graph = [nodes, field(2, b"graph"), tensors, field(11, &port("x")), field(12, &port("y"))].concat();
    [number(1, 8), field(7, &graph), field(8, &number(2, opset))].concat()
}
