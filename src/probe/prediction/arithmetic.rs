//! Values of small constant nodes: shapes, axes, indices and conditions. What is not worked out stays unknown.

use super::network::{Network, NodeId};
use super::shapes::{index, product, slice};
use crate::probe::model::Attribute;

/// Most elements that are worked out.
const LIMIT: usize = 1024;

/// The elements of a node's first output, from constant inputs.
pub fn of(network: &Network, id: NodeId) -> Option<Vec<f64>> {
    let node = &network.nodes[id];
    if !node.domain.is_empty() {
        return None;
    }
    let output = &network.values[node.output(0)?];
    let count = output.shape.as_ref().and_then(|shape| product(shape)).and_then(|count| usize::try_from(count).ok());
    if count.is_some_and(|count| count > LIMIT) {
        return None;
    }
    let input = |at: usize| network.elements(node.input(at));
    let shape = |at: usize| network.shape(node.input(at));
    let unary = |f: &dyn Fn(f64) -> f64| Some(input(0)?.iter().map(|x| f(*x)).collect());
    let is_whole = output.kind.is_whole();
    let found: Vec<f64> = match node.op.as_ref() {
        "Identity" | "Unsqueeze" | "Squeeze" | "Reshape" | "Flatten" => input(0)?.to_vec(),
        "Cast" if is_whole => unary(&|x| match output.kind {
            super::element::Kind::BOOL => f64::from(x != 0.0),
            _ => x.trunc(),
        })?,
        "Cast" => input(0)?.to_vec(),
        "Neg" => unary(&|x| -x)?,
        "Abs" => unary(&f64::abs)?,
        "Not" => unary(&|x| f64::from(x == 0.0))?,
        "Floor" => unary(&f64::floor)?,
        "Ceil" => unary(&f64::ceil)?,
        "Sqrt" => unary(&f64::sqrt)?,
        "Add" | "Sub" | "Mul" | "Div" | "Mod" | "Pow" | "Min" | "Max" | "Equal" | "Greater" | "Less"
        | "GreaterOrEqual" | "LessOrEqual" | "And" | "Or" | "Xor"
            if node.inputs.len() == 2 =>
        {
            let (a, b) = (input(0)?, input(1)?);
            let count = a.len().max(b.len());
            // Spread only where it is plain how: equal sizes, or one element.
            if (a.len() != count && a.len() != 1) || (b.len() != count && b.len() != 1) {
                return None;
            }
            let at = |of: &[f64], at: usize| of.get(if of.len() == 1 { 0 } else { at }).copied();
            (0..count).map(|i| binary(&node.op, is_whole, at(&a, i)?, at(&b, i)?)).collect::<Option<_>>()?
        }
        "Where" => {
            let (condition, yes, no) = (input(0)?, input(1)?, input(2)?);
            let count = count?;
            let at = |of: &[f64], at: usize| match of.len() {
                1 => of.first().copied(),
                len if len == count => of.get(at).copied(),
                _ => None,
            };
            let pick = |i: usize| if at(&condition, i)? == 0.0 { at(&no, i) } else { at(&yes, i) };
            (0..count).map(pick).collect::<Option<_>>()?
        }
        "Concat" if shape(0)?.len() == 1 => {
            let mut all = Vec::new();
            for at in 0..node.inputs.len() {
                all.extend_from_slice(&input(at)?);
                if all.len() > LIMIT {
                    return None;
                }
            }
            all
        }
        "Gather" if shape(0)?.len() == 1 => {
            let (data, indices) = (input(0)?, input(1)?);
            let pick = |at: &f64| data.get(index(*at as i64, data.len())?).copied();
            indices.iter().map(pick).collect::<Option<_>>()?
        }
        "Slice" if shape(0)?.len() == 1 => {
            let data = input(0)?;
            let one = |at: usize, name: &str| match node.ints(name) {
                Some(list) => list.first().copied(),
                None => Some(*input(at)?.first()? as i64),
            };
            let step = if node.input(4).is_some() { one(4, "steps")? } else { 1 };
            let part = slice(one(1, "starts")?, one(2, "ends")?, step, data.len() as i64)?;
            let at = |i: i64| data.get(usize::try_from(part.start + i * step).ok()?).copied();
            (0..part.count).map(at).collect::<Option<_>>()?
        }
        "Transpose" if shape(0)?.len() <= 1 => input(0)?.to_vec(),
        "ConstantOfShape" => {
            let value = match node.attribute("value") {
                Some(Attribute::Tensor(tensor)) => *tensor.values.first()?,
                _ => 0.0,
            };
            vec![value; count?]
        }
        "Expand" if input(0)?.len() == 1 => vec![*input(0)?.first()?; count?],
        "Range" => {
            let (start, step) = (*input(0)?.first()?, *input(2)?.first()?);
            (0..count?).map(|i| start + i as f64 * step).collect()
        }
        "ReduceProd" if count == Some(1) => vec![input(0)?.iter().product()],
        "ReduceSum" if count == Some(1) => vec![input(0)?.iter().sum()],
        "ReduceMax" if count == Some(1) => vec![input(0)?.iter().copied().reduce(f64::max)?],
        "ReduceMin" if count == Some(1) => vec![input(0)?.iter().copied().reduce(f64::min)?],
        "Size" => vec![product(shape(0)?)? as f64],
        _ => return None,
    };
    (found.len() <= LIMIT && count.is_none_or(|count| count == found.len())).then_some(found)
}

fn binary(op: &str, is_whole: bool, a: f64, b: f64) -> Option<f64> {
    let truth = |holds: bool| Some(f64::from(holds));
    match op {
        "Add" => Some(a + b),
        "Sub" => Some(a - b),
        "Mul" => Some(a * b),
        "Div" if is_whole => (b != 0.0).then(|| (a / b).trunc()),
        "Div" => Some(a / b),
        "Mod" => (b != 0.0).then(|| a - (a / b).floor() * b),
        "Pow" => Some(a.powf(b)),
        "Min" => Some(a.min(b)),
        "Max" => Some(a.max(b)),
        "Equal" => truth(a == b),
        "Greater" => truth(a > b),
        "Less" => truth(a < b),
        "GreaterOrEqual" => truth(a >= b),
        "LessOrEqual" => truth(a <= b),
        "And" => truth(a != 0.0 && b != 0.0),
        "Or" => truth(a != 0.0 || b != 0.0),
        "Xor" => truth((a != 0.0) != (b != 0.0)),
        _ => None,
    }
}
