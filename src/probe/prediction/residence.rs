//! Where parameters live: what is copied to the GPU when the session is made, and what stays in the host's memory.
//!
//! A constant that folding made counts with its own size, in place of those that it was made from. What both sides read
//! is held on both.

use super::copies::{self, Side};
use super::network::Network;
use super::partition::Kernels;

/// Tensors of parameters by where they live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Residence {
    /// Tensors on the GPU.
    pub gpu_tensors: u64,
    /// Their bytes.
    pub gpu_bytes: u64,
    /// Tensors that a node reads from the host's memory.
    pub cpu_tensors: u64,
    /// Their bytes.
    pub cpu_bytes: u64,
    /// Bytes of the model's tensors that no node reads as they are any more.
    pub unplaced_bytes: u64,
    /// Tensors whose size could not be worked out.
    pub unsized_tensors: u64,
}

/// Adds up all tensors.
pub fn of(network: &Network, kernels: &Kernels) -> Residence {
    let mut found = Residence::default();
    let mut sides = vec![(false, false); network.values.len()];
    for (id, node) in network.nodes.iter().enumerate().filter(|(_, node)| !node.gone) {
        for (at, value) in node.inputs.iter().enumerate() {
            let Some(value) = value else { continue };
            match copies::input(network, kernels, id, at) {
                Side::Device => sides[*value].0 = true,
                Side::Host => sides[*value].1 = true,
            }
        }
    }
    for (value, (on_gpu, on_cpu)) in network.values.iter().zip(sides) {
        let Some(tensor) = &value.tensor else { continue };
        let is_read = on_gpu || on_cpu;
        if is_read && tensor.bytes.is_none() {
            found.unsized_tensors += 1;
        }
        let bytes = tensor.bytes.unwrap_or(0);
        if on_gpu {
            found.gpu_tensors += 1;
            found.gpu_bytes = found.gpu_bytes.saturating_add(bytes);
        }
        if on_cpu {
            found.cpu_tensors += 1;
            found.cpu_bytes = found.cpu_bytes.saturating_add(bytes);
        }
        if !is_read && tensor.is_parameter {
            found.unplaced_bytes = found.unplaced_bytes.saturating_add(bytes);
        }
    }
    found
}
