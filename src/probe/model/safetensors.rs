//! The header of a safetensors file: eight bytes of length, then JSON, then the tensors' bytes without a gap.
//!
//! Format: <https://huggingface.co/docs/safetensors/index#format>; what is refused is what the reference implementation
//! refuses (`safetensors/src/tensor.rs` of <https://github.com/huggingface/safetensors>).

use super::metadata::Metadata;
use super::sums::TensorSums;
use super::wire::{Fault, ReadAt};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use std::collections::HashSet;
use std::io::{self, BufReader, Read};

/// Longest header, bytes; the reference implementation's limit.
pub const HEADER_LIMIT_BYTES: u64 = 100_000_000;
/// Bytes before the header: its length.
const LENGTH_BYTES: u64 = 8;

/// What a header says.
#[derive(Debug, Default)]
pub struct Header {
    /// The tensors, added up.
    pub sums: TensorSums,
    /// Their names.
    pub names: HashSet<String>,
    /// `__metadata__`.
    pub metadata: Metadata,
}

/// Whether `head` starts a safetensors file: a length within the limit, then an object.
pub fn starts(head: &[u8]) -> bool {
    let length = head.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    length.is_some_and(|length| length <= HEADER_LIMIT_BYTES) && head.get(8) == Some(&b'{')
}

/// Reads the header of a file of `file_bytes` bytes and holds its tensors against one another and against the file.
pub fn read<S: ReadAt>(source: &S, file_bytes: u64) -> Result<Header, Fault> {
    let cut_short = |inside: &'static str, wants: u64| Fault::CutShort {
        at: file_bytes,
        inside: inside.into(),
        wants: Some(wants),
    };
    if file_bytes < LENGTH_BYTES {
        return Err(cut_short("the length of the header", LENGTH_BYTES));
    }
    let mut length = [0; LENGTH_BYTES as usize];
    Stretch { source, at: 0, end: LENGTH_BYTES }.read_exact(&mut length).map_err(Fault::Io)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT_BYTES {
        let what = format!("a header of {length} bytes, where at most {HEADER_LIMIT_BYTES} are allowed");
        return Err(Fault::Malformed { at: 0, what });
    }
    let data = LENGTH_BYTES + length;
    if data > file_bytes {
        return Err(cut_short("the header", data));
    }
    let mut found = Found { data_bytes: file_bytes - data, ..Found::default() };
    let text = BufReader::with_capacity(64 << 10, Stretch { source, at: LENGTH_BYTES, end: data });
    let mut json = serde_json::Deserializer::from_reader(text);
    if let Err(error) = found.deserialize(&mut json).and_then(|()| json.end()) {
        return Err(if error.is_io() {
            Fault::Io(error.into())
        } else {
            Fault::Malformed { at: LENGTH_BYTES, what: format!("the header does not fit the format: {error}") }
        });
    }
    found.checked(data, file_bytes)
}

/// A stretch of a source, read in order.
pub struct Stretch<'s, S> {
    /// Where to read.
    pub source: &'s S,
    /// The next byte.
    pub at: u64,
    /// The byte after the last.
    pub end: u64,
}

impl<S: ReadAt> Read for Stretch<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.source.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.at)?;
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

/// One tensor of the header.
#[derive(Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

/// A tensor's place in the data.
struct Place {
    start: u64,
    end: u64,
    name: Box<str>,
}

/// What was gathered while the header was parsed.
#[derive(Default)]
struct Found {
    header: Header,
    places: Vec<Place>,
    /// Bytes of the file behind the header.
    data_bytes: u64,
    /// The first contradiction.
    fault: Option<String>,
}

impl Found {
    fn tensor(&mut self, name: String, info: &TensorInfo) {
        let (start, end) = info.data_offsets;
        let elements = info.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size));
        let (element_type, bits) = element_type(&info.dtype);
        let mut blame = |what: String| {
            self.fault.get_or_insert(what);
        };
        let Some(elements) = elements.filter(|count| *count < 1 << 63) else {
            return blame(format!("the shape of tensor '{name}' has no product below 2^63"));
        };
        let Some(bytes) = end.checked_sub(start) else {
            return blame(format!("tensor '{name}' ends at byte {end} of the data, before its start at {start}"));
        };
        if let Some(bits) = bits
            && u128::from(bytes) * 8 != u128::from(elements) * u128::from(bits)
        {
            let (shape, dtype) = (&info.shape, &info.dtype);
            return blame(format!("tensor '{name}' of shape {shape:?} and type {dtype} cannot have {bytes} bytes"));
        }
        if self.header.names.contains(&name) {
            return blame(format!("there are two tensors named '{name}'"));
        }
        self.header.sums.add(&name, element_type, elements, Some(bytes));
        self.places.push(Place { start, end, name: name.as_str().into() });
        self.header.names.insert(name);
    }

    /// The header, if the tensors fill the data without gap and overlap: no reader takes others.
    fn checked(mut self, data: u64, file_bytes: u64) -> Result<Header, Fault> {
        let malformed = |what: String| Err(Fault::Malformed { at: data, what });
        if let Some(what) = self.fault {
            return malformed(what);
        }
        self.places.sort_unstable_by(|a, b| (a.start, a.end, &a.name).cmp(&(b.start, b.end, &b.name)));
        let (mut end, mut before) = (0, "");
        for place in &self.places {
            if place.start > end {
                return malformed(format!("bytes {end} to {} of the data belong to no tensor", place.start));
            }
            if place.start < end {
                return malformed(format!("tensors '{before}' and '{}' overlap", place.name));
            }
            if place.end > self.data_bytes {
                let wants = Some(data.saturating_add(place.end));
                let inside = format!("tensor '{}'", place.name).into();
                return Err(Fault::CutShort { at: file_bytes, inside, wants });
            }
            (end, before) = (place.end, &place.name);
        }
        match self.data_bytes - end {
            0 => Ok(self.header),
            more => malformed(format!("{more} bytes behind the last tensor belong to none")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Found {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Found {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value_seed(Texts(&mut self.header.metadata))?;
            } else {
                let info = map.next_value::<TensorInfo>()?;
                self.tensor(name, &info);
            }
        }
        Ok(())
    }
}

/// An object of texts.
struct Texts<'m>(&'m mut Metadata);

impl<'de> DeserializeSeed<'de> for Texts<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Texts<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            self.0.add(&key, &value);
        }
        Ok(())
    }
}

/// The name of an element type in the words of this program, and its width in bits; of a type that is not known, its own
/// name and no width. Sub-byte types are packed.
fn element_type(dtype: &str) -> (&str, Option<u64>) {
    let (name, bits) = match dtype {
        "BOOL" => ("bool", 8),
        "F4" => ("float4e2m1", 4),
        "F6_E2M3" => ("float6e2m3", 6),
        "F6_E3M2" => ("float6e3m2", 6),
        "U8" => ("uint8", 8),
        "I8" => ("int8", 8),
        "F8_E5M2" => ("float8e5m2", 8),
        "F8_E4M3" => ("float8e4m3fn", 8),
        "F8_E8M0" => ("float8e8m0", 8),
        "F8_E4M3FNUZ" => ("float8e4m3fnuz", 8),
        "F8_E5M2FNUZ" => ("float8e5m2fnuz", 8),
        "I16" => ("int16", 16),
        "U16" => ("uint16", 16),
        "F16" => ("float16", 16),
        "BF16" => ("bfloat16", 16),
        "I32" => ("int32", 32),
        "U32" => ("uint32", 32),
        "F32" => ("float32", 32),
        "C64" => ("complex64", 64),
        "F64" => ("float64", 64),
        "I64" => ("int64", 64),
        "U64" => ("uint64", 64),
        other => return (other, None),
    };
    (name, Some(bits))
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
