//! What several versions of onnxruntime know: operators, kernels, functions. Made by `data/onnxruntime/make.py`.

use super::element::{Kind, Kinds};
use crate::snapshot::{Unknown, Why};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

const KERNELS: &str = include_str!("../../../data/onnxruntime/kernels.json");
const SCHEMAS: &str = include_str!("../../../data/onnxruntime/schemas.json");
const SLOTS: &str = include_str!("../../../data/onnxruntime/cpu_slots.json");

/// The tables of one version.
#[derive(Debug)]
pub struct Tables {
    /// That version.
    pub version: &'static str,
    /// The newest operator set of ONNX's own domain that it knows.
    pub newest_opset: i64,
    cuda: Rows<Kernel>,
    /// Kernels of the CUDA provider that came later than this version.
    later_cuda: Rows<Later>,
    /// Later versions, each with the newest operator set of ONNX's own domain that it knows.
    later_opsets: Vec<(&'static str, i64)>,
    cpu: Rows<Kernel>,
    schemas: Rows<Schema>,
    whole_cpu: bool,
}

/// A row as it stands in its file. Rows are read one by one, for a version needs few of them.
type Raw = &'static RawValue;
/// Rows by operator and domain.
type Rows<T> = HashMap<&'static str, HashMap<&'static str, Vec<T>>>;
/// Domain, operator, first and last version, types by parameter, indices of versions.
type KernelRow =
    (&'static str, &'static str, i64, Option<i64>, BTreeMap<&'static str, Vec<&'static str>>, Option<Vec<usize>>);
/// Domain, operator, first version of the kernel, CPU inputs, CPU outputs, indices of versions.
type SlotRow = (&'static str, &'static str, i64, Vec<u8>, Vec<u8>, Option<Vec<usize>>);
/// Domain, operator, version, inputs, outputs, single types by parameter, flags.
type SchemaRow = (
    &'static str,
    &'static str,
    i64,
    Vec<&'static str>,
    Vec<&'static str>,
    BTreeMap<&'static str, &'static str>,
    Vec<&'static str>,
);

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
struct KernelFile {
    versions: Vec<&'static str>,
    cuda: Vec<Raw>,
    #[serde(default)]
    cpu: Vec<Raw>,
    #[serde(default)]
    cpu_of_functions: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
struct SlotFile {
    operators: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'static"))]
struct SchemaFile {
    newest_since_version: Vec<i64>,
    operators: Vec<Raw>,
}

/// A kernel: which versions of its operator it takes, and which types.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// The first version.
    pub start: i64,
    /// The last; `None` if it is open, which means the first one only until a newer operator is registered.
    pub end: Option<i64>,
    /// Types by parameter.
    pub kinds: Vec<(&'static str, Kinds)>,
    /// Inputs that it wants in host memory.
    pub cpu_inputs: Slots,
    /// Outputs that it leaves in host memory.
    pub cpu_outputs: Slots,
}

/// A kernel that this version does not have, and the first one in the tables that does.
#[derive(Debug)]
pub struct Later {
    /// That version.
    pub version: &'static str,
    /// The kernel.
    pub kernel: Kernel,
}

/// A set of inputs or outputs by position.
#[derive(Debug, Clone, Copy, Default)]
pub struct Slots(u64);

impl Slots {
    /// Whether the position is in it.
    pub fn has(self, position: usize) -> bool {
        position < 64 && self.0 >> position & 1 == 1
    }
}

impl FromIterator<u8> for Slots {
    fn from_iter<I: IntoIterator<Item = u8>>(positions: I) -> Self {
        Self(positions.into_iter().filter(|position| *position < 64).fold(0, |set, position| set | 1 << position))
    }
}

impl Kernel {
    /// Whether it is of that version of the operator (`KernelRegistry::VerifyKernelDef`): an open kernel must start there.
    pub fn takes_version(&self, since: i64) -> bool {
        self.start == since || self.start < since && self.end.is_some_and(|end| end >= since)
    }
}

/// An operator at one version.
#[derive(Debug)]
pub struct Schema {
    /// That version.
    pub since: i64,
    /// Inputs.
    pub inputs: Vec<Formal>,
    /// Outputs.
    pub outputs: Vec<Formal>,
    /// Parameters of one type only.
    pub single: Vec<(&'static str, Kind)>,
    /// Whether a function defines it, so that it can be replaced by its body.
    pub is_function: bool,
}

/// An input or output of an operator.
#[derive(Debug)]
pub struct Formal {
    /// Its name, where kernels use it.
    pub name: &'static str,
    /// Its type or parameter.
    pub kind: &'static str,
    /// Whether it stands for any number.
    pub is_variadic: bool,
    /// Whether each of them may have a type of its own.
    pub is_mixed: bool,
}

impl Formal {
    fn parse(text: &'static str) -> Self {
        let (text, is_variadic, is_mixed) = match text.as_bytes().last() {
            Some(b'*') => (&text[..text.len() - 1], true, false),
            Some(b'+') => (&text[..text.len() - 1], true, true),
            Some(b'?') => (&text[..text.len() - 1], false, false),
            _ => (text, false, false),
        };
        let (name, kind) = text.split_once(':').unwrap_or(("", text));
        Self { name, kind, is_variadic, is_mixed }
    }
}

/// The versions in the tables, oldest first.
///
/// # Errors
/// The tables are part of this program: an error is a fault of it.
pub fn versions() -> Result<Vec<&'static str>, Unknown> {
    #[derive(Deserialize)]
    #[serde(bound(deserialize = "'de: 'static"))]
    struct Only {
        versions: Vec<&'static str>,
    }
    // The list stands at the head; reading the rest costs a millisecond.
    parse::<Only>(KERNELS).map(|only| only.versions)
}

/// Domain, operator and first version of a CUDA kernel, with its inputs and outputs in the host's memory.
pub type HostSlots = (&'static str, &'static str, i64, Slots, Slots);

/// Every CUDA kernel of any version of onnxruntime, once as it is registered and once with its places on the host.
///
/// # Errors
/// The same.
pub fn host_slots() -> Result<Vec<HostSlots>, Unknown> {
    let (kernels, slots): (KernelFile, SlotFile) = (parse(KERNELS)?, parse(SLOTS)?);
    let nowhere = Slots::default();
    let kernels = rows::<KernelRow>(kernels.cuda).map(|row| row.map(|row| (row.0, row.1, row.2, nowhere, nowhere)));
    let slots = rows::<SlotRow>(slots.operators).map(|row| {
        row.map(|(domain, op, since, inputs, outputs, _)| {
            (domain, op, since, inputs.into_iter().collect(), outputs.into_iter().collect())
        })
    });
    kernels.chain(slots).collect()
}

fn parse<T: Deserialize<'static>>(text: &'static str) -> Result<T, Unknown> {
    serde_json::from_str(text).map_err(|error| Unknown::new(Why::Malformed, format!("the built-in tables: {error}")))
}

fn rows<T: Deserialize<'static>>(raw: Vec<Raw>) -> impl Iterator<Item = Result<T, Unknown>> {
    raw.into_iter().map(|row| parse(row.get()))
}

impl Tables {
    /// The tables of a version that [`versions`] lists.
    ///
    /// # Errors
    /// The same.
    pub fn of(version: &str) -> Result<Self, Unknown> {
        let kernels: KernelFile = parse(KERNELS)?;
        let Some(index) = kernels.versions.iter().position(|known| *known == version) else {
            return Err(Unknown::new(Why::Unsupported, format!("no tables of onnxruntime {version}")));
        };
        let schemas: SchemaFile = parse(SCHEMAS)?;
        let slots: SlotFile = parse(SLOTS)?;
        let mut tables = Self {
            version: kernels.versions[index],
            newest_opset: schemas.newest_since_version.get(index).copied().unwrap_or_default(),
            cuda: HashMap::new(),
            later_cuda: HashMap::new(),
            later_opsets: kernels.versions.iter().copied().zip(schemas.newest_since_version.iter().copied()).collect(),
            cpu: HashMap::new(),
            schemas: HashMap::new(),
            whole_cpu: !kernels.cpu.is_empty(),
        };
        let within = |of: &Option<Vec<usize>>| of.as_ref().is_none_or(|list| list.contains(&index));
        tables.later_opsets.drain(..=index.min(tables.later_opsets.len().saturating_sub(1)));
        for row in rows::<KernelRow>(kernels.cuda) {
            let row = row?;
            let (domain, op) = (row.0, row.1);
            if within(&row.5) {
                add(&mut tables.cuda, domain, op, kernel(row));
                continue;
            }
            let later = row.5.iter().flatten().filter(|of| **of > index).min();
            if let Some(version) = later.and_then(|of| kernels.versions.get(*of)) {
                add(&mut tables.later_cuda, domain, op, Later { version, kernel: kernel(row) });
            }
        }
        for row in rows::<KernelRow>(kernels.cpu).chain(rows(kernels.cpu_of_functions)) {
            let row = row?;
            if within(&row.5) {
                add(&mut tables.cpu, row.0, row.1, kernel(row));
            }
        }
        for row in rows::<SlotRow>(slots.operators) {
            let (domain, op, since, inputs, outputs, of) = row?;
            if !within(&of) {
                continue;
            }
            let (inputs, outputs): (Slots, Slots) = (inputs.into_iter().collect(), outputs.into_iter().collect());
            for kernel in tables
                .cuda
                .entry(op)
                .or_default()
                .entry(domain)
                .or_default()
                .iter_mut()
                .filter(|one| one.start == since)
            {
                (kernel.cpu_inputs, kernel.cpu_outputs) = (inputs, outputs);
            }
        }
        for row in rows::<SchemaRow>(schemas.operators) {
            let (domain, op, since, inputs, outputs, single, flags) = row?;
            // What onnxruntime adds itself has version 1; ONNX's operators are there up to the newest known set.
            if domain.is_empty() && since > tables.newest_opset {
                continue;
            }
            let schema = Schema {
                since,
                inputs: inputs.into_iter().map(Formal::parse).collect(),
                outputs: outputs.into_iter().map(Formal::parse).collect(),
                single: single.into_iter().map(|(name, kind)| (name, Kind::named(kind))).collect(),
                is_function: flags.iter().any(|flag| flag.starts_with("function")),
            };
            add(&mut tables.schemas, domain, op, schema);
        }
        Ok(tables)
    }

    /// The operator as it was at operator set `opset` of its domain.
    pub fn schema(&self, domain: &str, op: &str, opset: i64) -> Option<&Schema> {
        get(&self.schemas, domain, op)?.iter().filter(|schema| schema.since <= opset).max_by_key(|schema| schema.since)
    }

    /// Kernels of the CUDA provider for an operator, of any version and type.
    pub fn cuda(&self, domain: &str, op: &str) -> &[Kernel] {
        get(&self.cuda, domain, op).map_or(&[], Vec::as_slice)
    }

    /// The same of later versions, as far as this one does not have them.
    pub fn later_cuda(&self, domain: &str, op: &str) -> &[Later] {
        get(&self.later_cuda, domain, op).map_or(&[], Vec::as_slice)
    }

    /// The first later version that knows an operator set of ONNX's own domain.
    pub fn later_with_opset(&self, opset: i64) -> Option<&'static str> {
        self.later_opsets.iter().find(|(_, newest)| *newest >= opset).map(|(version, _)| *version)
    }

    /// Kernels of the CPU provider; `None` where the tables do not list them.
    pub fn cpu(&self, domain: &str, op: &str) -> Option<&[Kernel]> {
        match get(&self.cpu, domain, op) {
            Some(kernels) => Some(kernels),
            None => self.whole_cpu.then_some(&[]),
        }
    }
}

fn get<'t, T>(rows: &'t Rows<T>, domain: &str, op: &str) -> Option<&'t Vec<T>> {
    rows.get(op)?.get(domain)
}

fn add<T>(rows: &mut Rows<T>, domain: &'static str, op: &'static str, row: T) {
    rows.entry(op).or_default().entry(domain).or_default().push(row);
}

fn kernel(row: KernelRow) -> Kernel {
    let (_, _, start, end, kinds, _) = row;
    let kinds = kinds.into_iter().map(|(name, kinds)| (name, kinds.into_iter().map(Kind::named).collect())).collect();
    Kernel { start, end, kinds, cpu_inputs: Slots::default(), cpu_outputs: Slots::default() }
}
