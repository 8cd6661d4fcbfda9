//! One run of the model, with onnxruntime's own profile of it: time by execution provider.

use super::profile_file::ProfileFile;
use ort::memory::Allocator;
use ort::session::Session;
use ort::value::{DynTensor, TensorElementType, ValueType};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most elements of an input, and of all together.
const ELEMENTS_MAX: i64 = 64 << 20;
/// Sizes for dimensions that are not fixed, but for those that count samples, which are 1: the first with which the model
/// runs. Networks over sound and images refuse a single sample or pixel.
const FREE_SIZES: &[i64] = &[1, 32, 64, 128, 256, 512, 1024];
/// Runs: the first one pays for what later ones find ready, and the last is told.
const RUNS: usize = 2;

/// Runs the model on zeros (ones where integers are asked for) of its inputs' shapes, and tells the time of its nodes by
/// provider, milliseconds.
///
/// # Errors
/// In words: an input that cannot be made up, or what onnxruntime says.
pub fn run(session: &mut Session, profile: &ProfileFile) -> Result<BTreeMap<String, f64>, String> {
    let mut first_error = None;
    let run_all = |session: &mut Session, free: Free| -> Result<(), String> {
        for _ in 0..RUNS {
            let inputs = inputs(session, free)?;
            session.run(inputs).map(drop).map_err(|error| super::error_text::cause(error.message()))?;
        }
        Ok(())
    };
    let ways = FREE_SIZES.iter().flat_map(|size| [false, true].map(|last_only| Free { size: *size, last_only }));
    for free in ways {
        match run_all(session, free) {
            Ok(()) => {
                first_error = None;
                break;
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    if let Some(error) = first_error {
        return Err(error);
    }
    session.end_profiling().map_err(|error| format!("EndProfiling: {}", error.message()))?;
    by_provider(&profile.read()?)
}

/// What stands for dimensions that are not fixed.
#[derive(Debug, Clone, Copy)]
struct Free {
    size: i64,
    /// A single one that is not the last of its input counts samples too, as in the state of a recurrent network.
    last_only: bool,
}

/// An input's shape with sizes for what is not fixed. The first dimension counts samples, and so does every other with the
/// same name as a first one of `samples`.
fn shape(sizes: &[i64], names: &[String], samples: &[String], free: Free) -> Vec<i64> {
    let open = sizes.iter().skip(1).filter(|size| **size < 0).count();
    let is_sample = |at: usize| {
        let named = names.get(at).is_some_and(|name| !name.is_empty() && samples.contains(name));
        at == 0 || named || (free.last_only && open == 1 && at + 1 < sizes.len())
    };
    let sizes = sizes.iter().enumerate();
    sizes
        .map(|(at, size)| {
            if *size >= 0 {
                *size
            } else if is_sample(at) {
                1
            } else {
                free.size
            }
        })
        .collect()
}

fn inputs(session: &Session, free: Free) -> Result<Vec<(String, DynTensor)>, String> {
    let allocator = Allocator::default();
    let names_of_samples = session.inputs().iter().filter_map(|input| match input.dtype() {
        ValueType::Tensor { dimension_symbols, .. } => dimension_symbols.first().cloned(),
        _ => None,
    });
    let names_of_samples: Vec<String> = names_of_samples.collect();
    let mut total = 0i64;
    let mut made = Vec::new();
    for input in session.inputs() {
        let ValueType::Tensor { ty, shape: sizes, dimension_symbols } = input.dtype() else {
            return Err(format!("input {} is no tensor, and no value of its kind is made up", input.name()));
        };
        let shape = shape(sizes, dimension_symbols, &names_of_samples, free);
        let elements = shape.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
        total = elements.and_then(|elements| total.checked_add(elements)).unwrap_or(i64::MAX);
        if total > ELEMENTS_MAX {
            return Err(format!("the inputs have more than {ELEMENTS_MAX} elements"));
        }
        let mut tensor = DynTensor::new(&allocator, *ty, shape).map_err(|error| error.message().to_string())?;
        let count = elements.unwrap_or(0) as usize;
        // SAFETY: the tensor was just made with so many elements of that type, in the host's memory.
        unsafe { fill(tensor.data_ptr_mut().cast(), *ty, count) };
        made.push((input.name().to_string(), tensor));
    }
    Ok(made)
}

/// Writes zeros, or ones where an integer may be a length or an index from 1 on. Texts are left empty.
///
/// # Safety
/// `at` must point to `count` elements of the type.
unsafe fn fill(at: *mut u8, ty: TensorElementType, count: usize) {
    let width = match ty {
        TensorElementType::Int64 | TensorElementType::Uint64 => 8,
        TensorElementType::Int32 | TensorElementType::Uint32 => 4,
        TensorElementType::Int16 | TensorElementType::Uint16 => 2,
        TensorElementType::Int8 | TensorElementType::Uint8 => 1,
        _ => return,
    };
    for element in 0..count {
        // SAFETY: within the elements; the machine is little-endian, or the byte would be another.
        unsafe { at.add(element * width).write(1) };
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    cat: Cow<'a, str>,
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    dur: f64,
    #[serde(default)]
    tid: i64,
    #[serde(default, borrow)]
    args: Arguments<'a>,
}

#[derive(Default, Deserialize)]
struct Arguments<'a> {
    #[serde(default, borrow)]
    provider: Cow<'a, str>,
}

/// Time of the last run's nodes by provider, milliseconds. Of a node that runs others (`If`, `Loop`) only what those do
/// not take counts.
fn by_provider(profile: &[u8]) -> Result<BTreeMap<String, f64>, String> {
    let events: Vec<Event<'_>> =
        serde_json::from_slice(profile).map_err(|error| format!("onnxruntime's profile cannot be read: {error}"))?;
    let runs = events.iter().filter(|event| event.cat == "Session" && event.name == "model_run");
    let start = runs.map(|run| run.ts).fold(f64::NEG_INFINITY, f64::max);
    let mut nodes: Vec<&Event<'_>> = events
        .iter()
        .filter(|event| event.cat == "Node" && !event.args.provider.is_empty() && event.ts >= start && event.dur >= 0.0)
        .collect();
    // An outer node starts first, or at the same time and takes longer.
    nodes.sort_by(|a, b| a.tid.cmp(&b.tid).then(a.ts.total_cmp(&b.ts)).then(b.dur.total_cmp(&a.dur)));
    let mut sums: BTreeMap<String, f64> = BTreeMap::new();
    let mut open: Vec<&Event<'_>> = Vec::new();
    for node in nodes {
        while open.last().is_some_and(|outer| outer.tid != node.tid || outer.ts + outer.dur <= node.ts) {
            open.pop();
        }
        if let Some(outer) = open.last() {
            *sums.entry(outer.args.provider.to_string()).or_default() -= node.dur;
        }
        *sums.entry(node.args.provider.to_string()).or_default() += node.dur;
        open.push(node);
    }
    // Microseconds, and no sum below zero where clocks are coarse.
    Ok(sums.into_iter().map(|(provider, us)| (provider, (us.max(0.0)).round() / 1e3)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(tid: u64, ts: u64, dur: u64, provider: &str) -> String {
        format!(
            r#"{{"cat":"Node","pid":1,"tid":{tid},"dur":{dur},"ts":{ts},"ph":"X","name":"a_kernel_time","args":{{"op_name":"Add","provider":"{provider}","node_index":"1"}}}}"#
        )
    }

    #[test]
    fn the_last_run_counts_and_an_outer_node_without_its_inner_ones() {
        let run =
            |ts: u64| format!(r#"{{"cat":"Session","tid":1,"ts":{ts},"dur":900,"name":"model_run","args":{{}}}}"#);
        let events = [
            node(1, 5, 800, "CPUExecutionProvider"),
            run(0),
            r#"{"cat":"Node","tid":1,"ts":1001,"dur":1,"name":"a_fence_before","args":{"op_name":"Add"}}"#.to_string(),
            node(1, 1010, 100, "CUDAExecutionProvider"),
            node(1, 1020, 30, "CPUExecutionProvider"),
            node(1, 1060, 40, "CPUExecutionProvider"),
            node(1, 1200, 500, "CUDAExecutionProvider"),
            node(2, 1210, 7, "CPUExecutionProvider"),
            run(1000),
        ];
        let sums = by_provider(format!("[{}]", events.join(",\n")).as_bytes()).unwrap();
        assert_eq!(sums["CUDAExecutionProvider"], 0.530);
        assert_eq!(sums["CPUExecutionProvider"], 0.077);
    }

    #[test]
    fn dimensions_that_count_samples_are_one() {
        let names = |all: &[&str]| all.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let samples = names(&["batch", ""]);
        let free = Free { size: 64, last_only: false };
        assert_eq!(shape(&[-1, -1], &names(&["batch", "time"]), &samples, free), [1, 64]);
        assert_eq!(shape(&[2, -1, 128], &names(&["", "batch", ""]), &samples, free), [2, 1, 128]);
        assert_eq!(shape(&[2, -1, 128], &names(&["", "", ""]), &samples, free), [2, 64, 128]);
        let last_only = Free { last_only: true, ..free };
        assert_eq!(shape(&[2, -1, 128], &[], &samples, last_only), [2, 1, 128]);
        assert_eq!(shape(&[-1, 3, -1, -1], &[], &samples, last_only), [1, 3, 64, 64]);
        assert_eq!(shape(&[], &[], &samples, free), [0i64; 0]);
    }

    #[test]
    fn what_is_no_profile_is_told() {
        assert!(by_provider(b"[{\"cat\":").unwrap_err().contains("cannot be read"));
        assert_eq!(by_provider(b"[]").unwrap(), BTreeMap::new());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), ts in any::<f64>(), dur in any::<f64>()) {
            let _ = by_provider(&bytes);
            let event = format!(r#"[{{"cat":"Node","tid":1,"ts":{ts:?},"dur":{dur:?},"args":{{"provider":"x"}}}}]"#);
            let _ = by_provider(event.as_bytes());
        }
    }
}
