//! Inputs that CUDA kernels read from the host's memory: a parameter in such a place never goes to the GPU.
//!
//! From `InputMemoryType(OrtMemTypeCPUInput, ..)` in onnxruntime's `core/providers/cuda` and `contrib_ops/cuda`.

/// Operators and the inputs that their CUDA kernels keep on the host.
const HOST_INPUTS: &[(&str, &[usize])] = &[
    ("BeamSearch", &[1, 2, 3, 4, 5, 6]),
    ("BiasDropout", &[3, 4]),
    ("BitmaskBiasDropout", &[3, 4]),
    ("BitmaskDropout", &[1, 2]),
    ("CenterCropPad", &[1]),
    ("ConstantOfShape", &[0]),
    ("CumSum", &[1]),
    ("Dropout", &[1, 2]),
    ("DynamicSlice", &[1, 2, 3]),
    ("Expand", &[1]),
    ("GreedySearch", &[1, 2, 3]),
    ("GroupQueryAttention", &[6]),
    ("If", &[0]),
    ("Loop", &[0, 1]),
    ("MatMulInteger", &[2, 3]),
    ("NonMaxSuppression", &[2, 3, 4]),
    ("OneHot", &[1, 2]),
    ("Pad", &[1, 2, 3]),
    ("QAttention", &[3, 4, 6, 7]),
    ("Range", &[0, 1, 2]),
    ("ReduceL1", &[1]),
    ("ReduceL2", &[1]),
    ("ReduceLogSum", &[1]),
    ("ReduceLogSumExp", &[1]),
    ("ReduceMax", &[1]),
    ("ReduceMean", &[1]),
    ("ReduceMin", &[1]),
    ("ReduceProd", &[1]),
    ("ReduceSum", &[1]),
    ("ReduceSumSquare", &[1]),
    ("Reshape", &[1]),
    ("Resize", &[1, 2, 3]),
    ("Sampling", &[1, 2, 3]),
    ("SequenceAt", &[1]),
    ("SequenceErase", &[1]),
    ("SequenceInsert", &[2]),
    ("Slice", &[1, 2, 3, 4]),
    ("Split", &[1]),
    ("SplitToSequence", &[1]),
    ("Squeeze", &[1]),
    ("STFT", &[1, 3]),
    ("Tile", &[1]),
    ("TopK", &[1]),
    ("Trilu", &[1]),
    ("Unsqueeze", &[1]),
    ("Upsample", &[1]),
];

/// Whether the CUDA kernel of an operator reads this input from the host's memory.
pub fn on_host(op_type: &str, input: usize) -> bool {
    HOST_INPUTS.iter().any(|(op, inputs)| *op == op_type && inputs.contains(&input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_on_the_host_and_data_does_not() {
        assert!(on_host("Reshape", 1) && on_host("Slice", 4) && on_host("If", 0));
        assert!(!on_host("Reshape", 0) && !on_host("Conv", 1) && !on_host("Gather", 1));
    }
}
