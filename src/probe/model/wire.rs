//! The wire format of protocol buffers, read by position: what is not asked for is never read.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>. Reads go through pread rather than a mapping: a file
//! that shrinks meanwhile gives an error instead of a SIGBUS.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at once after a jump. Behind a payload lies often no more than the next tensor's header.
const FIRST_BYTES: usize = 2 << 10;
/// Bytes that are read at once in the end, where fields follow one another: each read is twice the one before.
const MOST_BYTES: usize = 64 << 10;
/// Longest text that is kept, bytes; the rest of a longer one is dropped.
const TEXT_LIMIT_BYTES: u64 = 4096;
/// Most fields and packed numbers that are walked: a few seconds of work, far beyond any real model.
const STEP_LIMIT: u64 = 256 << 20;
/// Ends beyond this are nonsense rather than a file cut short: no file is so long.
const PLAUSIBLE_BYTES: u64 = 1 << 50;

/// What can be read at a position.
pub trait ReadAt {
    /// Reads into `buffer` from `offset` on; 0 means that nothing lies there.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        Ok(count)
    }
}

/// Why a file could not be read as the format that it is taken for.
#[derive(Debug)]
pub enum Fault {
    /// The file ends at `at` inside `inside`, which would reach to `wants`, where that is known.
    CutShort { at: u64, inside: Cow<'static, str>, wants: Option<u64> },
    /// The bytes at `at` are not what the format allows.
    Malformed { at: u64, what: String },
    /// The model is beyond the limits of this reader.
    TooLarge(String),
    /// The operating system failed to read.
    Io(io::Error),
}

/// A stretch of the file: the payload of a length-delimited field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// Byte after the last.
    pub end: u64,
}

impl Span {
    /// Length, bytes.
    pub fn bytes(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 2: a message, a text, raw bytes or packed numbers.
    Span(Span),
    /// Wire types 1 and 5; no number of that kind matters here.
    Fixed,
}

/// A buffered reader at arbitrary positions.
pub struct Reader<S> {
    source: S,
    file_bytes: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    steps: u64,
}

impl<S: ReadAt> Reader<S> {
    /// A reader of `file_bytes` bytes of `source`.
    pub fn new(source: S, file_bytes: u64) -> Self {
        Self { source, file_bytes, buffer: Vec::new(), buffer_start: 0, steps: 0 }
    }

    /// Length of the file, bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// The whole file.
    pub fn whole(&self) -> Span {
        Span { start: 0, end: self.file_bytes }
    }

    fn byte(&mut self, at: u64, inside: &'static str) -> Result<u8, Fault> {
        if let Some(byte) = self.buffered(at) {
            return Ok(byte);
        }
        let follows = at == self.buffer_start.saturating_add(self.buffer.len() as u64);
        let bytes = if follows { (self.buffer.len() * 2).clamp(FIRST_BYTES, MOST_BYTES) } else { FIRST_BYTES };
        self.buffer.resize(bytes, 0);
        let count = loop {
            match self.source.read_at(&mut self.buffer, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
                Ok(count) => break count,
            }
        };
        self.buffer.truncate(count);
        self.buffer_start = at;
        self.buffered(at).ok_or(Fault::CutShort { at, inside: inside.into(), wants: None })
    }

    /// The `N` bytes from `at` on.
    pub fn array<const N: usize>(&mut self, at: u64, inside: &'static str) -> Result<[u8; N], Fault> {
        self.within(at, N as u64, inside)?;
        let mut array = [0; N];
        self.copy(at, &mut array, inside)?;
        Ok(array)
    }

    /// Fills `to` with the bytes from `at` on.
    fn copy(&mut self, mut at: u64, mut to: &mut [u8], inside: &'static str) -> Result<(), Fault> {
        while let [first, rest @ ..] = to {
            // Reads on, where the buffer ends.
            *first = self.byte(at, inside)?;
            at = at.saturating_add(1);
            let buffered = usize::try_from(at.saturating_sub(self.buffer_start)).ok();
            let from = buffered.and_then(|index| self.buffer.get(index..)).unwrap_or_default();
            let count = from.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(from.get(..count).unwrap_or_default());
            (at, to) = (at.saturating_add(count as u64), later);
        }
        Ok(())
    }

    /// The stretch of `bytes` bytes from `at` on, which must lie in the file.
    pub fn within(&self, at: u64, bytes: u64, inside: &'static str) -> Result<Span, Fault> {
        let end = at.saturating_add(bytes);
        if end <= self.file_bytes {
            return Ok(Span { start: at, end });
        }
        Err(if end < PLAUSIBLE_BYTES {
            Fault::CutShort { at: self.file_bytes, inside: inside.into(), wants: Some(end) }
        } else {
            Fault::Malformed { at, what: format!("{inside} of {bytes} bytes, more than any file has") }
        })
    }

    /// Counts one step of the walk, so that the work has an end whatever the file says.
    pub fn step(&mut self) -> Result<(), Fault> {
        self.steps += 1;
        match self.steps > STEP_LIMIT {
            true => Err(Fault::TooLarge(format!("it has more than {STEP_LIMIT} fields"))),
            false => Ok(()),
        }
    }

    fn buffered(&self, at: u64) -> Option<u8> {
        let index = usize::try_from(at.checked_sub(self.buffer_start)?).ok()?;
        self.buffer.get(index).copied()
    }

    /// The varint at `*at`, which moves behind it; it must end before `end`.
    fn varint(&mut self, at: &mut u64, end: u64, inside: &'static str) -> Result<u64, Fault> {
        let start = *at;
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            if *at >= end {
                return Err(if end >= self.file_bytes {
                    Fault::CutShort { at: end, inside: inside.into(), wants: None }
                } else {
                    Fault::Malformed { at: start, what: format!("a number runs past the end of {inside}") }
                });
            }
            let byte = self.byte(*at, inside)?;
            *at += 1;
            // The tenth byte carries one bit; what a writer puts above it is dropped, as protobuf's readers do.
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Fault::Malformed { at: start, what: "a number of more than ten bytes".into() })
    }

    /// The text in `span`, at most 4 KiB of it. Bytes that are not UTF-8 are replaced.
    pub fn text(&mut self, span: Span) -> Result<String, Fault> {
        let end = span.end.min(span.start.saturating_add(TEXT_LIMIT_BYTES));
        let mut bytes = vec![0; end.saturating_sub(span.start) as usize];
        self.copy(span.start, &mut bytes, "a text")?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The bytes in `span`, at most `limit` of them.
    pub fn bytes(&mut self, span: Span, limit: u64) -> Result<Vec<u8>, Fault> {
        let end = span.end.min(span.start.saturating_add(limit));
        (span.start..end).map(|at| self.byte(at, "a payload")).collect()
    }

    /// The packed numbers in `span`, given to `each` one by one.
    pub fn packed(&mut self, span: Span, mut each: impl FnMut(u64)) -> Result<(), Fault> {
        let mut at = span.start;
        while at < span.end {
            self.step()?;
            each(self.varint(&mut at, span.end, "packed numbers")?);
        }
        Ok(())
    }
}

/// A walk over the fields of one message.
#[derive(Debug, Clone, Copy)]
pub struct Fields {
    at: u64,
    end: u64,
    inside: &'static str,
}

impl Fields {
    /// The fields of the message in `span`, called `inside` in errors.
    pub fn of(span: Span, inside: &'static str) -> Self {
        Self { at: span.start, end: span.end, inside }
    }

    /// The next field's number and value. Payloads are not read.
    ///
    /// # Errors
    /// [`Fault::CutShort`] if the message ends with the file in mid-field, [`Fault::Malformed`] if it breaks the format.
    pub fn next<S: ReadAt>(&mut self, reader: &mut Reader<S>) -> Result<Option<(u64, Value)>, Fault> {
        if self.at >= self.end {
            return Ok(None);
        }
        reader.step()?;
        let start = self.at;
        let key = reader.varint(&mut self.at, self.end, self.inside)?;
        let number = key >> 3;
        if number == 0 || number > (1 << 29) - 1 {
            return Err(Fault::Malformed { at: start, what: format!("no field can have the number {number}") });
        }
        let value = match key & 7 {
            0 => Value::Varint(reader.varint(&mut self.at, self.end, self.inside)?),
            1 => self.fixed(reader, start, 8)?,
            2 => {
                let bytes = reader.varint(&mut self.at, self.end, self.inside)?;
                Value::Span(self.take(reader, start, bytes)?)
            }
            5 => self.fixed(reader, start, 4)?,
            other => return Err(Fault::Malformed { at: start, what: format!("wire type {other} is not in use") }),
        };
        Ok(Some((number, value)))
    }

    fn fixed<S: ReadAt>(&mut self, reader: &Reader<S>, start: u64, bytes: u64) -> Result<Value, Fault> {
        self.take(reader, start, bytes).map(|_| Value::Fixed)
    }

    fn take<S: ReadAt>(&mut self, reader: &Reader<S>, start: u64, bytes: u64) -> Result<Span, Fault> {
        let span = Span { start: self.at, end: self.at.saturating_add(bytes) };
        if span.end > self.end {
            if self.end >= reader.file_bytes && span.end < PLAUSIBLE_BYTES {
                let inside = self.inside.into();
                return Err(Fault::CutShort { at: reader.file_bytes, inside, wants: Some(span.end) });
            }
            let what = format!("a field of {bytes} bytes runs past the end of {}", self.inside);
            return Err(Fault::Malformed { at: start, what });
        }
        self.at = span.end;
        Ok(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(bytes: &[u8]) -> Result<Vec<(u64, Value)>, Fault> {
        let mut reader = Reader::new(bytes, bytes.len() as u64);
        let mut walk = Fields::of(reader.whole(), "the model");
        let mut found = Vec::new();
        while let Some(field) = walk.next(&mut reader)? {
            found.push(field);
        }
        Ok(found)
    }

    #[test]
    fn each_wire_type_is_walked() {
        // 1: varint 300; 2: "ab"; 3: fixed64; 4: fixed32.
        let bytes = [8, 0xac, 2, 18, 2, b'a', b'b', 25, 0, 0, 0, 0, 0, 0, 0, 0, 37, 0, 0, 0, 0];
        let span = Span { start: 5, end: 7 };
        let expected = [(1, Value::Varint(300)), (2, Value::Span(span)), (3, Value::Fixed), (4, Value::Fixed)];
        assert_eq!(fields(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_negative_int64_keeps_all_its_bits() {
        let bytes = [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(fields(&bytes).unwrap(), [(1, Value::Varint(u64::MAX))]);
    }

    #[test]
    fn the_end_of_the_file_is_told_from_nonsense() {
        let cut = fields(&[58, 100, 1, 2]).unwrap_err();
        assert!(matches!(cut, Fault::CutShort { at: 4, wants: Some(102), .. }), "{cut:?}");
        // A length of 2^63.
        let huge = fields(&[58, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]).unwrap_err();
        assert!(matches!(huge, Fault::Malformed { at: 0, .. }), "{huge:?}");
        for bytes in [&[0u8, 0][..], &[11, 0], &[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]] {
            assert!(matches!(fields(bytes), Err(Fault::Malformed { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn a_text_is_cut_at_four_kib() {
        let bytes = vec![b'x'; 10_000];
        let mut reader = Reader::new(&bytes[..], 10_000);
        let whole = reader.whole();
        assert_eq!(reader.text(whole).unwrap().len(), 4096);
    }

    #[test]
    fn texts_and_arrays_are_the_same_wherever_the_buffer_ends() {
        let bytes: Vec<u8> = (0..300_000u32).map(|at| b'a' + (at % 23) as u8).collect();
        let mut reader = Reader::new(&bytes[..], bytes.len() as u64);
        for start in (0..290_000).step_by(997).chain((0..8000).step_by(61)) {
            let end = start + 1 + start % 4000;
            let text = reader.text(Span { start: start as u64, end: end as u64 }).unwrap();
            assert_eq!(text.as_bytes(), &bytes[start..end]);
            assert_eq!(reader.array::<8>(end as u64, "").unwrap(), bytes[end..end + 8]);
        }
        assert!(reader.array::<8>(299_993, "").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_fields_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(found) = fields(&bytes) {
                prop_assert!(found.len() <= bytes.len());
                for (_, value) in found {
                    if let Value::Span(span) = value {
                        prop_assert!(span.start <= span.end && span.end <= bytes.len() as u64);
                    }
                }
            }
        }
    }
}
