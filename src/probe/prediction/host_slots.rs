//! What CUDA kernels read from the host's memory and leave there: a parameter in such a place never goes to the GPU, and
//! between two of them nothing is copied.

use super::tables::{Slots, host_slots};
use crate::probe::model::Structure;
use std::collections::HashMap;
use std::sync::LazyLock;

/// Inputs and outputs on the host of one kernel, and the version of its operator from which on it is.
type Row = (i64, Slots, Slots);

/// Whether the CUDA kernel of an operator, at the version that the model uses, reads this input from the host's memory, in
/// any version of onnxruntime.
pub fn reads_on_host(model: &Structure, domain: &str, op: &str, input: usize) -> bool {
    any_kernel(model, domain, op, |(_, inputs, _)| inputs.has(input))
}

/// The same of an output that it leaves there.
pub fn leaves_on_host(model: &Structure, domain: &str, op: &str, output: usize) -> bool {
    any_kernel(model, domain, op, |(_, _, outputs)| outputs.has(output))
}

fn any_kernel(model: &Structure, domain: &str, op: &str, is_so: impl Fn(&Row) -> bool) -> bool {
    static ROWS: LazyLock<HashMap<(&str, &str), Vec<Row>>> = LazyLock::new(|| {
        let mut rows: HashMap<_, Vec<Row>> = HashMap::new();
        for (domain, op, since, inputs, outputs) in host_slots().unwrap_or_default() {
            rows.entry((domain, op)).or_default().push((since, inputs, outputs));
        }
        rows
    });
    let (plain, stated) = if matches!(domain, "" | "ai.onnx") { ("", "ai.onnx") } else { (domain, domain) };
    let Some(rows) = ROWS.get(&(plain, op)) else { return false };
    let opset = model.opsets.get(stated).copied().unwrap_or(i64::MAX);
    let fitting = rows.iter().map(|(since, ..)| *since).filter(|since| *since <= opset).max();
    rows.iter().any(|row| Some(row.0) == fitting && is_so(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn shapes_stay_on_the_host_and_data_does_not() {
        let of = |domain: &str, op: &str, input, opset| {
            let opsets = BTreeMap::from([("ai.onnx".to_string(), opset)]);
            reads_on_host(&Structure { opsets, ..Structure::default() }, domain, op, input)
        };
        assert!(
            of("", "Reshape", 1, 17) && of("ai.onnx", "Slice", 4, 17) && of("", "If", 0, 17) && of("", "LSTM", 4, 17)
        );
        assert!(!of("", "Reshape", 0, 17) && !of("", "Conv", 1, 17) && !of("", "Gather", 1, 17));
        // Scan's first input was one of lengths before version 9, and is a state since.
        assert!(of("", "Scan", 0, 8) && !of("", "Scan", 0, 17));
        assert!(of("com.microsoft", "GroupQueryAttention", 6, 17) && !of("", "GroupQueryAttention", 6, 17));
        // Pad takes its sizes as an attribute before 11.
        assert!(of("", "Pad", 1, 18) && !of("", "Pad", 1, 2));
        let model = Structure::default();
        assert!(leaves_on_host(&model, "", "Shape", 0) && leaves_on_host(&model, "com.microsoft", "RemovePadding", 3));
        assert!(!leaves_on_host(&model, "", "Reshape", 0) && !leaves_on_host(&model, "", "If", 0));
    }
}
