//! The header of a GGUF file: metadata, then tensors by name, shape, type and place.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 1 (32-bit lengths) to 3, in either byte
//! order; what is refused is what llama.cpp refuses (`ggml/src/gguf.cpp`).

use super::ggml_type::ggml_type;
use super::metadata::Metadata;
use super::sums::TensorSums;
use super::wire::{Fault, ReadAt, Reader, Span};
use std::collections::HashSet;

/// What a GGUF file starts with, whatever its byte order.
pub const MAGIC: &[u8] = b"GGUF";
/// Most tensors, metadata entries, and elements of arrays that are not of a fixed size.
const COUNT_LIMIT: u64 = 4_000_000;
/// Deepest nesting of arrays in the metadata.
const DEPTH_LIMIT: u32 = 4;
/// Most dimensions of a tensor; ggml has four, the format may grow.
const RANK_LIMIT: u32 = 8;
/// Longest name of a tensor or key, bytes; the format allows 64 and 65,535.
const NAME_LIMIT_BYTES: u64 = 4096;
/// Most memory for names, bytes.
const NAMES_LIMIT_BYTES: u64 = 256 << 20;
/// Where tensors start in the data, if the file does not say otherwise: at multiples of this.
const ALIGNMENT: u64 = 32;

/// What a header says.
#[derive(Debug, Default)]
pub struct Header {
    /// Version of the format.
    pub version: u32,
    /// Whether its numbers are big-endian.
    pub big_endian: bool,
    /// Single values, without the tokenizer's.
    pub metadata: Metadata,
    /// The tensors, added up.
    pub sums: TensorSums,
    /// Which part of a split model this is, from 0 (`split.no`).
    pub part: u64,
    /// Parts of the model (`split.count`); 0 or 1 if it is whole.
    pub parts: u64,
    /// Tensors of all parts (`split.tensors.count`), where it is said.
    pub tensors_of_all: Option<u64>,
}

/// Reads the header and holds the tensors against one another and against the file.
pub fn read<S: ReadAt>(reader: &mut Reader<S>) -> Result<Header, Fault> {
    let magic: [u8; 4] = reader.array(0, "the magic number")?;
    if magic != MAGIC {
        return Err(Fault::Malformed { at: 0, what: "it does not start with GGUF".into() });
    }
    let version: [u8; 4] = reader.array(4, "the version")?;
    // A version of the other byte order has its low half zero.
    let big_endian = u32::from_le_bytes(version) & 0xffff == 0;
    let version = if big_endian { u32::from_be_bytes(version) } else { u32::from_le_bytes(version) };
    // Big-endian files exist since version 3.
    if !(if big_endian { 3..=3 } else { 1..=3 }).contains(&version) {
        return Err(Fault::Malformed { at: 4, what: format!("version {version} of the format is not known") });
    }
    let header = Header { version, big_endian, ..Header::default() };
    let mut walk =
        Walk { reader, at: 8, header, alignment: ALIGNMENT, elements: 0, names: HashSet::new(), name_bytes: 0 };
    let tensors = walk.length("the number of tensors")?;
    let entries = walk.length("the number of metadata entries")?;
    for (what, count) in [("tensors", tensors), ("metadata entries", entries)] {
        if count > COUNT_LIMIT {
            return Err(Fault::TooLarge(format!("it states {count} {what}")));
        }
    }
    for _ in 0..entries {
        walk.entry()?;
    }
    walk.names.clear();
    walk.tensors(tensors)?;
    Ok(walk.header)
}

/// A value that is not an array.
enum Single {
    Unsigned(u64),
    Signed(i64),
    /// A float or a truth value, in its own shortest form, or a text.
    Text(String),
}

impl Single {
    fn unsigned(&self) -> Option<u64> {
        match self {
            Single::Unsigned(number) => Some(*number),
            Single::Signed(number) => u64::try_from(*number).ok(),
            Single::Text(_) => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Single::Unsigned(number) => number.to_string(),
            Single::Signed(number) => number.to_string(),
            Single::Text(text) => text.clone(),
        }
    }
}

struct Walk<'r, S> {
    reader: &'r mut Reader<S>,
    at: u64,
    header: Header,
    alignment: u64,
    /// Elements of arrays so far.
    elements: u64,
    /// Keys, then names of tensors.
    names: HashSet<String>,
    name_bytes: u64,
}

impl<S: ReadAt> Walk<'_, S> {
    fn bytes<const N: usize>(&mut self, inside: &'static str) -> Result<[u8; N], Fault> {
        let mut bytes: [u8; N] = self.reader.array(self.at, inside)?;
        self.at = self.at.saturating_add(N as u64);
        if self.header.big_endian {
            bytes.reverse();
        }
        Ok(bytes)
    }

    fn u32(&mut self, inside: &'static str) -> Result<u32, Fault> {
        self.bytes(inside).map(u32::from_le_bytes)
    }

    fn u64(&mut self, inside: &'static str) -> Result<u64, Fault> {
        self.bytes(inside).map(u64::from_le_bytes)
    }

    /// A count or length: 32 bits in version 1, 64 since.
    fn length(&mut self, inside: &'static str) -> Result<u64, Fault> {
        if self.header.version == 1 { self.u32(inside).map(u64::from) } else { self.u64(inside) }
    }

    fn skip(&mut self, bytes: u64, inside: &'static str) -> Result<Span, Fault> {
        let span = self.reader.within(self.at, bytes, inside)?;
        self.at = span.end;
        Ok(span)
    }

    /// A text of any length; what is beyond the reader's limit is dropped.
    fn text(&mut self, inside: &'static str) -> Result<String, Fault> {
        let bytes = self.length(inside)?;
        let span = self.skip(bytes, inside)?;
        self.reader.text(span)
    }

    /// A name that must not occur twice.
    fn name(&mut self, inside: &'static str) -> Result<String, Fault> {
        let start = self.at;
        let name = self.text(inside)?;
        let bytes = self.at.saturating_sub(start);
        if bytes > NAME_LIMIT_BYTES {
            return Err(Fault::Malformed { at: start, what: format!("{inside} of {bytes} bytes") });
        }
        self.name_bytes = self.name_bytes.saturating_add(bytes);
        if self.name_bytes > NAMES_LIMIT_BYTES {
            return Err(Fault::TooLarge(format!("its names take more than {} MiB", NAMES_LIMIT_BYTES >> 20)));
        }
        if !self.names.insert(name.clone()) {
            return Err(Fault::Malformed { at: start, what: format!("{inside} '{name}' is there twice") });
        }
        Ok(name)
    }

    fn entry(&mut self) -> Result<(), Fault> {
        self.reader.step()?;
        let key = self.name("a metadata key")?;
        let at = self.at;
        let Some(value) = self.value(0)? else { return Ok(()) };
        match (key.as_str(), value.unsigned()) {
            ("general.alignment", Some(alignment)) if alignment.is_power_of_two() => self.alignment = alignment,
            ("general.alignment", _) => {
                let what = format!("the alignment of tensors, {}, is not a power of two", value.text());
                return Err(Fault::Malformed { at, what });
            }
            ("split.no", Some(part)) => self.header.part = part,
            ("split.count", Some(parts)) => self.header.parts = parts,
            ("split.tensors.count", count) => self.header.tensors_of_all = count,
            _ => {}
        }
        // Tokens, templates and their like tell nothing of where the model runs.
        if !key.starts_with("tokenizer.") {
            self.header.metadata.add(&key, &value.text());
        }
        Ok(())
    }

    /// A value with its type before it; `None` for an array, which is walked past.
    fn value(&mut self, depth: u32) -> Result<Option<Single>, Fault> {
        const INSIDE: &str = "a metadata value";
        let at = self.at;
        Ok(Some(match self.u32(INSIDE)? {
            0 => Single::Unsigned(u8::from_le_bytes(self.bytes(INSIDE)?).into()),
            1 => Single::Signed(i8::from_le_bytes(self.bytes(INSIDE)?).into()),
            2 => Single::Unsigned(u16::from_le_bytes(self.bytes(INSIDE)?).into()),
            3 => Single::Signed(i16::from_le_bytes(self.bytes(INSIDE)?).into()),
            4 => Single::Unsigned(self.u32(INSIDE)?.into()),
            5 => Single::Signed(i32::from_le_bytes(self.bytes(INSIDE)?).into()),
            6 => Single::Text(f32::from_le_bytes(self.bytes(INSIDE)?).to_string()),
            7 => Single::Text((u8::from_le_bytes(self.bytes(INSIDE)?) != 0).to_string()),
            8 => Single::Text(self.text(INSIDE)?),
            9 => {
                self.array(depth)?;
                return Ok(None);
            }
            10 => Single::Unsigned(self.u64(INSIDE)?),
            11 => Single::Signed(i64::from_le_bytes(self.bytes(INSIDE)?)),
            12 => Single::Text(f64::from_le_bytes(self.bytes(INSIDE)?).to_string()),
            other => return Err(Fault::Malformed { at, what: format!("metadata type {other} is not in use") }),
        }))
    }

    fn array(&mut self, depth: u32) -> Result<(), Fault> {
        const INSIDE: &str = "a metadata array";
        let at = self.at;
        let kind = self.u32(INSIDE)?;
        let count = self.length(INSIDE)?;
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 | 9 => {
                self.elements = self.elements.saturating_add(count);
                if self.elements > COUNT_LIMIT {
                    return Err(Fault::TooLarge(format!(
                        "its metadata states arrays of more than {COUNT_LIMIT} elements"
                    )));
                }
                for _ in 0..count {
                    if kind == 8 {
                        let bytes = self.length(INSIDE)?;
                        self.skip(bytes, INSIDE)?;
                    } else if depth < DEPTH_LIMIT {
                        self.array(depth + 1)?;
                    } else {
                        return Err(Fault::TooLarge(format!("arrays are nested more than {DEPTH_LIMIT} deep")));
                    }
                }
                return Ok(());
            }
            other => return Err(Fault::Malformed { at, what: format!("arrays of type {other} are not in use") }),
        };
        self.skip(count.saturating_mul(width), INSIDE).map(|_| ())
    }

    /// The tensors, and whether the file is long enough for them.
    fn tensors(&mut self, count: u64) -> Result<(), Fault> {
        // Where the next tensor is due, as long as every size is known.
        let mut due = Some(0u64);
        let mut furthest = (0u64, String::new());
        for _ in 0..count {
            let start = self.at;
            let tensor = self.tensor()?;
            let malformed = |what: String| Err(Fault::Malformed { at: start, what });
            if tensor.offset % self.alignment != 0 {
                let (name, offset, alignment) = (&tensor.name, tensor.offset, self.alignment);
                return malformed(format!("tensor '{name}' starts at {offset}, which is no multiple of {alignment}"));
            }
            if let Some(due) = due
                && tensor.offset != due
            {
                let (name, offset) = (&tensor.name, tensor.offset);
                return malformed(format!("tensor '{name}' starts at byte {offset} of the data, where {due} is due"));
            }
            let end = tensor.offset.saturating_add(tensor.bytes.unwrap_or(0));
            due = tensor.bytes.and(due).and_then(|_| end.checked_next_multiple_of(self.alignment));
            if end >= furthest.0 {
                furthest = (end, tensor.name);
            }
        }
        let data = self.at.checked_next_multiple_of(self.alignment).unwrap_or(u64::MAX);
        let (end, name) = furthest;
        let wants = data.saturating_add(end);
        if end > 0 && wants > self.reader.file_bytes() {
            let inside = format!("tensor '{name}'").into();
            return Err(Fault::CutShort { at: self.reader.file_bytes(), inside, wants: Some(wants) });
        }
        Ok(())
    }

    fn tensor(&mut self) -> Result<Place, Fault> {
        const INSIDE: &str = "the list of tensors";
        self.reader.step()?;
        let start = self.at;
        let malformed = |what: String| Fault::Malformed { at: start, what };
        let name = self.name("a tensor's name")?;
        let rank = self.u32(INSIDE)?;
        if rank > RANK_LIMIT {
            return Err(malformed(format!("tensor '{name}' has {rank} dimensions")));
        }
        let (mut row, mut elements) = (1, Some(1u64));
        for dimension in 0..rank {
            let size = self.length(INSIDE)?;
            row = if dimension == 0 { size } else { row };
            elements = elements.and_then(|elements| elements.checked_mul(size));
        }
        let Some(elements) = elements.filter(|count| *count < 1 << 63) else {
            return Err(malformed(format!("the shape of tensor '{name}' has no product below 2^63")));
        };
        let code = self.u32(INSIDE)?;
        let offset = self.u64(INSIDE)?;
        let bytes = match ggml_type(code) {
            None => {
                self.header.sums.add(&name, &code.to_string(), elements, None);
                None
            }
            Some(kind) if row % kind.block_elements != 0 => {
                let (kind, block) = (kind.name, kind.block_elements);
                return Err(malformed(format!(
                    "tensor '{name}' of type {kind} has rows of {row}, not of whole {block}s"
                )));
            }
            Some(kind) => {
                let Some(bytes) = (elements / kind.block_elements).checked_mul(kind.block_bytes) else {
                    return Err(malformed(format!("tensor '{name}' has more bytes than any file")));
                };
                self.header.sums.add(&name, kind.name, elements, Some(bytes));
                Some(bytes)
            }
        };
        Ok(Place { name, offset, bytes })
    }
}

/// A tensor's place in the data.
struct Place {
    name: String,
    offset: u64,
    /// `None` if the type is not known.
    bytes: Option<u64>,
}

#[cfg(test)]
#[path = "gguf_tests.rs"]
mod tests;
