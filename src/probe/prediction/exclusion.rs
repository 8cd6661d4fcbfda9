//! Nodes that the CUDA provider refuses although it has a kernel (`CUDAExecutionProvider::GetCapability`,
//! core/providers/cuda/cuda_execution_provider.cc).

use super::network::{Network, NodeId};
use crate::probe::model::Attribute;

/// Why the provider refuses the node, if it does.
pub fn of(network: &Network, id: NodeId) -> Option<String> {
    let node = &network.nodes[id];
    let reason = match node.op.as_ref() {
        "LSTM" => recurrent(network, id, &["sigmoid", "tanh", "tanh", "sigmoid", "tanh", "tanh"])?,
        "GRU" => recurrent(network, id, &["sigmoid", "tanh", "sigmoid", "tanh"])?,
        "RNN" => recurrent(network, id, &["tanh", "tanh"])?,
        "ConvTranspose" => {
            let is_uneven = |pads: &[i64]| {
                let (before, after) = pads.split_at(pads.len() / 2);
                before != after
            };
            if node.ints("pads").is_some_and(is_uneven) {
                "pads that differ between the two ends".to_string()
            } else if matches!(node.text("auto_pad"), Some("SAME_UPPER" | "SAME_LOWER")) {
                "the attribute auto_pad".to_string()
            } else {
                return None;
            }
        }
        "ArgMax" | "ArgMin" if node.int("select_last_index").is_some_and(|last| last != 0) => {
            "the attribute select_last_index".to_string()
        }
        _ => return None,
    };
    Some(format!("the CUDA provider takes no {} with {reason}", node.op))
}

fn recurrent(network: &Network, id: NodeId, activations: &[&str]) -> Option<String> {
    let node = &network.nodes[id];
    for (name, value) in node.attributes.iter() {
        let is_refused = match (name.as_str(), value) {
            ("activation_alpha" | "activation_beta" | "clip", _) => true,
            ("activations", Attribute::Texts(given)) => given
                .iter()
                .enumerate()
                .any(|(at, activation)| activations.get(at).is_none_or(|own| !own.eq_ignore_ascii_case(activation))),
            ("input_forget", Attribute::Int(forget)) => node.op == "LSTM" && *forget != 0,
            ("linear_before_reset", Attribute::Int(before)) => node.op == "GRU" && *before != 1,
            _ => false,
        };
        if is_refused {
            return Some(format!("the attribute {name} as it is"));
        }
    }
    (node.op == "LSTM" && node.input(7).is_some()).then(|| "peephole weights".to_string())
}
