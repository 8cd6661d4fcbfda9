//! Shapes of the outputs of the common operators.

use super::network::{Network, Node, NodeId, Shape};
use super::tables::Slots;

/// Most dimensions that are worked with.
const RANK_LIMIT: usize = 64;

/// The shapes of a node's outputs, as far as they can be worked out.
pub fn of(network: &Network, id: NodeId) -> Vec<Option<Shape>> {
    let node = &network.nodes[id];
    if !node.domain.is_empty() {
        return Vec::new();
    }
    let shapes = Shapes { network, node };
    match node.op.as_ref() {
        "Split" => shapes.split(),
        "TopK" => {
            let shape = shapes.top_k();
            vec![shape.clone(), shape]
        }
        "LSTM" | "GRU" | "RNN" => shapes.recurrent(),
        "DynamicQuantizeLinear" => vec![shapes.input(0).cloned(), Some(Vec::new()), Some(Vec::new())],
        _ => vec![shapes.first().filter(|shape| shape.len() <= RANK_LIMIT)],
    }
}

struct Shapes<'n, 'm> {
    network: &'n Network<'m>,
    node: &'n Node<'m>,
}

impl Shapes<'_, '_> {
    fn input(&self, at: usize) -> Option<&Shape> {
        self.network.shape(self.node.input(at))
    }

    /// Integers that older operator sets give as an attribute, newer ones as an input.
    fn numbers(&self, at: usize, attribute: &str) -> Option<Vec<i64>> {
        if let Some(numbers) = self.node.ints(attribute) {
            return Some(numbers.to_vec());
        }
        let input = self.node.input(at)?;
        let elements = self.network.elements(Some(input))?;
        Some(elements.iter().map(|number| *number as i64).collect())
    }

    fn axis(&self, name: &str, default: i64, rank: usize) -> Option<usize> {
        index(self.node.int(name).unwrap_or(default), rank)
    }

    /// The shape of the first output.
    fn first(&self) -> Option<Shape> {
        let op = self.node.op.as_ref();
        match op {
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Mod" | "And" | "Or" | "Xor" | "Equal" | "Greater" | "Less"
            | "GreaterOrEqual" | "LessOrEqual" | "Max" | "Min" | "Sum" | "Mean" | "Where" | "PRelu" | "BitShift"
            | "BitwiseAnd" | "BitwiseOr" | "BitwiseXor" => self.broadcast_all(),
            "Shape" => {
                let Some(rank) = self.input(0).map(Vec::len) else { return Some(vec![None]) };
                let (start, end) = (self.node.int("start").unwrap_or(0), self.node.int("end").unwrap_or(rank as i64));
                let clamp = |at: i64| if at < 0 { at + rank as i64 } else { at }.clamp(0, rank as i64);
                Some(vec![Some((clamp(end) - clamp(start)).max(0))])
            }
            "Size" => Some(Vec::new()),
            "ConstantOfShape" => self.target(0),
            "Conv" | "MaxPool" | "AveragePool" | "LpPool" | "QLinearConv" | "ConvInteger" => self.convolved(),
            "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => {
                let input = self.input(0)?;
                Some(input.iter().enumerate().map(|(at, size)| if at < 2 { *size } else { Some(1) }).collect())
            }
            "MatMul" | "MatMulInteger" => matrix_product(self.input(0)?, self.input(1)?),
            "QLinearMatMul" => matrix_product(self.input(0)?, self.input(3)?),
            "Gemm" => {
                let [m, k] = self.input(0)?.as_slice() else { return None };
                let [l, n] = self.input(1)?.as_slice() else { return None };
                let is_set = |name: &str| self.node.int(name).unwrap_or(0) != 0;
                Some(vec![if is_set("transA") { *k } else { *m }, if is_set("transB") { *l } else { *n }])
            }
            "Reshape" => self.reshaped(),
            "Flatten" => {
                let input = self.input(0)?;
                let axis = self.node.int("axis").unwrap_or(1);
                let axis = if axis == input.len() as i64 { input.len() } else { index(axis, input.len())? };
                Some(vec![product(&input[..axis]), product(&input[axis..])])
            }
            "Transpose" => {
                let input = self.input(0)?;
                match self.node.ints("perm") {
                    None => Some(input.iter().rev().copied().collect()),
                    Some(order) => order.iter().map(|at| input.get(usize::try_from(*at).ok()?).copied()).collect(),
                }
            }
            "Concat" => {
                let mut shape = self.input(0)?.clone();
                let axis = self.axis("axis", 1, shape.len())?;
                for at in 1..self.node.inputs.len() {
                    let other = self.input(at)?;
                    if other.len() != shape.len() {
                        return None;
                    }
                    for (place, size) in other.iter().enumerate() {
                        shape[place] = match place == axis {
                            true => shape[place].zip(*size).and_then(|(a, b)| a.checked_add(b)),
                            false => shape[place].or(*size),
                        };
                    }
                }
                Some(shape)
            }
            "Slice" => self.sliced(),
            "Squeeze" => {
                let input = self.input(0)?;
                let axes: Vec<usize> = match self.numbers(1, "axes") {
                    Some(axes) => axes.into_iter().map(|axis| index(axis, input.len())).collect::<Option<_>>()?,
                    None if self.node.input(1).is_some() || input.iter().any(Option::is_none) => return None,
                    None => (0..input.len()).filter(|at| input[*at] == Some(1)).collect(),
                };
                Some(input.iter().enumerate().filter(|(at, _)| !axes.contains(at)).map(|(_, size)| *size).collect())
            }
            "Unsqueeze" => {
                let (input, axes) = (self.input(0)?, self.numbers(1, "axes")?);
                let rank = input.len() + axes.len();
                let axes: Vec<usize> = axes.into_iter().map(|axis| index(axis, rank)).collect::<Option<_>>()?;
                let mut rest = input.iter();
                (0..rank).map(|at| if axes.contains(&at) { Some(Some(1)) } else { rest.next().copied() }).collect()
            }
            "Gather" => {
                let (data, indices) = (self.input(0)?, self.input(1)?);
                let axis = self.axis("axis", 0, data.len())?;
                Some(data[..axis].iter().chain(indices).chain(&data[axis + 1..]).copied().collect())
            }
            "GatherElements" => self.input(1).cloned(),
            "Expand" => broadcast(self.input(0)?, &self.target(1)?),
            "Tile" => {
                let (input, times) = (self.input(0)?, self.numbers(1, "")?);
                let sizes = input.iter().zip(times);
                Some(sizes.map(|(size, times)| size.and_then(|size| size.checked_mul(times))).collect())
            }
            "Pad" => {
                let (input, pads) = (self.input(0)?, self.numbers(1, "pads")?);
                if self.node.input(3).is_some() || pads.len() != 2 * input.len() {
                    return None;
                }
                let (before, after) = pads.split_at(input.len());
                let sizes = input.iter().zip(before.iter().zip(after));
                Some(sizes.map(|(size, (a, b))| (*size)?.checked_add(*a)?.checked_add(*b)).collect())
            }
            "OneHot" => {
                let mut shape = self.input(0)?.clone();
                let depth = self.numbers(1, "").and_then(|depth| depth.first().copied());
                let axis = self.axis("axis", -1, shape.len() + 1)?;
                shape.insert(axis, depth);
                Some(shape)
            }
            "Range" => {
                let bound = |at| Some(*self.network.elements(self.node.input(at))?.first()?);
                let (start, limit, step) = (bound(0)?, bound(1)?, bound(2)?);
                let count = ((limit - start) / step).ceil().max(0.0);
                count.is_finite().then(|| vec![Some(count as i64)])
            }
            "ArgMax" | "ArgMin" => {
                let mut shape = self.input(0)?.clone();
                let axis = self.axis("axis", 0, shape.len())?;
                match self.node.int("keepdims").unwrap_or(1) {
                    0 => drop(shape.remove(axis)),
                    _ => shape[axis] = Some(1),
                }
                Some(shape)
            }
            "Einsum"
            | "Resize"
            | "Upsample"
            | "NonZero"
            | "NonMaxSuppression"
            | "Compress"
            | "Unique"
            | "GatherND"
            | "DepthToSpace"
            | "SpaceToDepth"
            | "RoiAlign"
            | "MaxRoiPool"
            | "MaxUnpool"
            | "ConvTranspose"
            | "STFT"
            | "DFT"
            | "Col2Im"
            | "GridSample"
            | "AffineGrid"
            | "Multinomial"
            | "SequenceAt"
            | "ConcatFromSequence"
            | "OptionalGetElement"
            | "SplitToSequence"
            | "SequenceConstruct"
            | "SequenceInsert"
            | "SequenceErase"
            | "SequenceEmpty"
            | "SequenceLength"
            | "StringSplit"
            | "CenterCropPad"
            | "Det"
            | "ImageDecoder"
            | "MelWeightMatrix"
            | "TfIdfVectorizer"
            | "RandomNormal"
            | "RandomUniform"
            | "HannWindow"
            | "HammingWindow"
            | "BlackmanWindow"
            | "NegativeLogLikelihoodLoss"
            | "SoftmaxCrossEntropyLoss"
            | "Optional"
            | "OptionalHasElement"
            | "RegexFullMatch"
            | "Attention" => None,
            _ if op.starts_with("Reduce") => self.reduced(),
            // Everything else of ONNX's works element by element or keeps the shape of its first input.
            _ => self.input(0).cloned(),
        }
    }

    /// The shape that an input asks for; if it is no constant, its rank at least.
    fn target(&self, at: usize) -> Option<Shape> {
        match self.numbers(at, "") {
            Some(sizes) => Some(sizes.into_iter().map(|size| Some(size).filter(|size| *size >= 0)).collect()),
            None => {
                let [Some(rank)] = self.input(at)?.as_slice() else { return None };
                Some(vec![None; usize::try_from(*rank).ok().filter(|rank| *rank <= RANK_LIMIT)?])
            }
        }
    }

    fn broadcast_all(&self) -> Option<Shape> {
        let mut shape = self.input(0)?.clone();
        for at in 1..self.node.inputs.len() {
            shape = broadcast(&shape, self.input(at)?)?;
        }
        Some(shape)
    }

    /// Convolutions and pools.
    fn convolved(&self) -> Option<Shape> {
        let input = self.input(0)?;
        let spatial = input.len().checked_sub(2)?;
        let op = self.node.op.as_ref();
        let weight = match op {
            "Conv" | "ConvInteger" => Some(self.input(1)?),
            "QLinearConv" => Some(self.input(3)?),
            _ => None,
        };
        let kernel: Vec<i64> = match (self.node.ints("kernel_shape"), weight) {
            (Some(kernel), _) => kernel.to_vec(),
            (None, Some(weight)) => weight.get(2..)?.iter().copied().collect::<Option<_>>()?,
            (None, None) => return None,
        };
        let of = |name: &str, default: i64, count: usize| {
            self.node.ints(name).map_or_else(|| vec![default; count], <[i64]>::to_vec)
        };
        let (strides, dilations) = (of("strides", 1, spatial), of("dilations", 1, spatial));
        let pads = of("pads", 0, 2 * spatial);
        let padding = self.node.text("auto_pad").unwrap_or("NOTSET");
        let is_up = self.node.int("ceil_mode").unwrap_or(0) != 0;
        let mut shape = vec![input[0], weight.map_or(input[1], |weight| weight.first().copied().flatten())];
        for at in 0..spatial {
            let (kernel, stride, dilation) = (*kernel.get(at)?, *strides.get(at)?, *dilations.get(at)?);
            let (before, after) = (*pads.get(at)?, *pads.get(at + spatial)?);
            shape.push(input[at + 2].and_then(|size| {
                let window = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
                let rounded = |size: i64| {
                    let steps = size.checked_add(stride.checked_sub(1)?)?;
                    steps.checked_div(stride)
                };
                match padding {
                    "SAME_UPPER" | "SAME_LOWER" => rounded(size),
                    "VALID" => rounded(size.checked_sub(window)?.checked_add(1)?),
                    _ => {
                        let room = size.checked_add(before)?.checked_add(after)?.checked_sub(window)?;
                        let room = if is_up { rounded(room)? } else { room.checked_div(stride)? };
                        room.checked_add(1)
                    }
                }
            }));
        }
        Some(shape)
    }

    fn reshaped(&self) -> Option<Shape> {
        let target: Shape = match self.node.ints("shape") {
            Some(target) => target.iter().map(|size| Some(*size)).collect(),
            None => self.numbers(1, "")?.into_iter().map(Some).collect(),
        };
        let input = self.input(0);
        let keeps_zero = self.node.int("allowzero").unwrap_or(0) == 0;
        let mut shape: Shape = target
            .iter()
            .enumerate()
            .map(|(at, size)| match size {
                Some(0) if keeps_zero => input.and_then(|input| input.get(at).copied().flatten()),
                Some(-1) => None,
                size => *size,
            })
            .collect();
        if let (Some(rest), Some(total)) =
            (target.iter().position(|size| *size == Some(-1)), input.and_then(|i| product(i)))
        {
            let others: Option<i64> = shape
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != rest)
                .try_fold(1i64, |all, (_, size)| all.checked_mul((*size)?));
            shape[rest] = others.filter(|others| *others > 0).and_then(|others| total.checked_div(others));
        }
        Some(shape)
    }

    fn sliced(&self) -> Option<Shape> {
        let mut shape = self.input(0)?.clone();
        let (starts, ends) = (self.numbers(1, "starts")?, self.numbers(2, "ends")?);
        let axes = match self.numbers(3, "axes") {
            Some(axes) => axes,
            None if self.node.input(3).is_some() => return None,
            None => (0..starts.len() as i64).collect(),
        };
        let steps = match self.numbers(4, "steps") {
            Some(steps) => steps,
            None if self.node.input(4).is_some() => return None,
            None => vec![1; starts.len()],
        };
        for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
            let axis = index(*axis, shape.len())?;
            shape[axis] = shape[axis].and_then(|size| Some(slice(*start, *end, *step, size)?.count));
        }
        Some(shape)
    }

    fn reduced(&self) -> Option<Shape> {
        let input = self.input(0)?;
        let keeps = self.node.int("keepdims").unwrap_or(1) != 0;
        let axes = match self.numbers(1, "axes") {
            Some(axes) if !axes.is_empty() => Some(axes),
            _ if self.node.input(1).is_some() && self.numbers(1, "axes").is_none() => return None,
            _ if self.node.int("noop_with_empty_axes").unwrap_or(0) != 0 => return Some(input.clone()),
            _ => None,
        };
        let axes: Slots = match axes {
            Some(axes) => axes.into_iter().map(|axis| Some(index(axis, input.len())? as u8)).collect::<Option<_>>()?,
            None => (0..input.len() as u8).collect(),
        };
        let sizes = input.iter().enumerate().filter(|(at, _)| keeps || !axes.has(*at));
        Some(sizes.map(|(at, size)| if axes.has(at) { Some(1) } else { *size }).collect())
    }

    fn top_k(&self) -> Option<Shape> {
        let mut shape = self.input(0)?.clone();
        let axis = self.axis("axis", -1, shape.len())?;
        shape[axis] = self.node.int("k").or_else(|| self.numbers(1, "").and_then(|k| k.first().copied()));
        Some(shape)
    }

    fn split(&self) -> Vec<Option<Shape>> {
        let count = self.node.outputs.len();
        let Some((input, axis)) = self.input(0).and_then(|input| Some((input, self.axis("axis", 0, input.len())?)))
        else {
            return vec![None; count];
        };
        let parts = self.numbers(1, "split");
        let each = match self.node.input(1).is_none() || parts.is_some() {
            true => input[axis].map(|size| (size as u64).div_ceil(count.max(1) as u64) as i64),
            false => None,
        };
        (0..count)
            .map(|at| {
                let mut shape = input.clone();
                shape[axis] = match &parts {
                    Some(parts) => parts.get(at).copied(),
                    None if at + 1 == count => input[axis].zip(each).and_then(|(size, each)| {
                        size.checked_sub(each.checked_mul(count as i64 - 1)?).filter(|rest| *rest >= 0)
                    }),
                    None => each,
                };
                Some(shape)
            })
            .collect()
    }

    fn recurrent(&self) -> Vec<Option<Shape>> {
        let (Some([length, batch, _]), Some(hidden)) = (self.input(0).map(Vec::as_slice), self.node.int("hidden_size"))
        else {
            return Vec::new();
        };
        if self.node.int("layout").unwrap_or(0) != 0 {
            return Vec::new();
        }
        let directions = if self.node.text("direction") == Some("bidirectional") { 2 } else { 1 };
        let last = Some(vec![Some(directions), *batch, Some(hidden)]);
        vec![Some(vec![*length, Some(directions), *batch, Some(hidden)]), last.clone(), last]
    }
}

/// An axis counted from the front.
pub fn index(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.checked_add(rank as i64)? } else { axis };
    usize::try_from(axis).ok().filter(|axis| *axis < rank)
}

/// The number of elements, if all sizes are known.
pub fn product(shape: &[Option<i64>]) -> Option<i64> {
    shape.iter().try_fold(1i64, |all, size| all.checked_mul((*size)?))
}

/// The shape of two operands spread over each other.
pub fn broadcast(a: &[Option<i64>], b: &[Option<i64>]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Option<i64>], place: usize| match (place + shape.len()).checked_sub(rank) {
        Some(place) => shape[place],
        None => Some(1),
    };
    let sizes = (0..rank).map(|place| match (at(a, place), at(b, place)) {
        (Some(1), size) | (size, Some(1)) => Some(size),
        (Some(a), Some(b)) => (a == b).then_some(Some(a)),
        // An unknown size beside one above 1 can only be that or 1.
        (Some(size), None) | (None, Some(size)) => Some(Some(size)),
        (None, None) => Some(None),
    });
    sizes.collect()
}

fn matrix_product(a: &[Option<i64>], b: &[Option<i64>]) -> Option<Shape> {
    let (rows, columns) = (a.len().checked_sub(2).map(|at| a[at]), b.last().filter(|_| b.len() > 1));
    let head = |shape: &[Option<i64>]| shape[..shape.len().saturating_sub(2)].to_vec();
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let mut shape = broadcast(&head(a), &head(b))?;
    shape.extend(rows);
    shape.extend(columns);
    Some(shape)
}

/// A slice of `size` elements: the first index, the step, and how many there are.
pub struct Slice {
    /// The first index.
    pub start: i64,
    /// How many there are.
    pub count: i64,
}

/// Clamps a slice as ONNX's operator does.
pub fn slice(start: i64, end: i64, step: i64, size: i64) -> Option<Slice> {
    if step == 0 || size < 0 {
        return None;
    }
    let from_front = |at: i64| if at < 0 { at.saturating_add(size) } else { at };
    let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let start = from_front(start).clamp(low.max(0), high.max(0));
    let end = if step < 0 && end < -size { -1 } else { from_front(end).clamp(low, high) };
    let room = if step > 0 { end.checked_sub(start)? } else { start.checked_sub(end)? };
    let step = step.checked_abs().unwrap_or(i64::MAX);
    Some(Slice { start, count: if room <= 0 { 0 } else { (room as u64).div_ceil(step as u64) as i64 } })
}
