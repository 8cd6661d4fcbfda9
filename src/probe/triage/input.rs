//! Files as streams of bytes in UTF-8 or a single-byte encoding: standard input, gzip and UTF-16 unwrapped.

use super::archive;
use encoding_rs::{Decoder, Encoding, UTF_8};
use std::io::{Chain, Cursor, ErrorKind, Read, Result};

/// Bytes of a file's beginning by which it is recognized.
pub const HEAD_BYTES: usize = 64 << 10;
/// Bytes that are read at a time.
const BLOCK_BYTES: usize = 256 << 10;

/// A file, or a member of an archive, that is read once from its beginning to its end.
pub struct Stream<'a> {
    /// The name that was given, or `archive.tar.gz/member`.
    pub name: String,
    source: Chain<Cursor<Vec<u8>>, Box<dyn Read + 'a>>,
    decoder: Option<Decoder>,
    /// Decoded bytes at the beginning, and how many of them are a byte-order mark.
    head: Vec<u8>,
    ended: bool,
    bytes: u64,
    faults: Vec<String>,
}

impl<'a> Stream<'a> {
    /// A stream of this name; gzip and UTF-16 are unwrapped.
    pub fn new(name: String, mut source: Box<dyn Read + 'a>) -> Result<Self> {
        let mut faults = Vec::new();
        let mut first = Vec::with_capacity(HEAD_BYTES);
        if let Err(error) = Read::by_ref(&mut source).take(HEAD_BYTES as u64).read_to_end(&mut first) {
            faults.push(format!("after {} bytes it cannot be read on: {error}", first.len()));
            source = Box::new(std::io::empty());
        }
        if first.starts_with(b"\x1f\x8b") {
            let packed = Cursor::new(std::mem::take(&mut first)).chain(source);
            source = archive::unpacked(Box::new(packed));
            if let Err(error) = Read::by_ref(&mut source).take(HEAD_BYTES as u64).read_to_end(&mut first) {
                faults.push(format!("it cannot be unpacked: {error}"));
            }
        }
        let decoder = encoding(&first).map(|(encoding, said)| {
            faults.extend(said);
            encoding.new_decoder_with_bom_removal()
        });
        let mut stream = Self {
            name,
            source: Cursor::new(first).chain(source),
            decoder,
            head: Vec::new(),
            ended: false,
            bytes: 0,
            faults,
        };
        while stream.head.len() < HEAD_BYTES && !stream.ended {
            if let Some(block) = stream.block() {
                stream.head.extend_from_slice(&block);
            }
        }
        Ok(stream)
    }

    /// The beginning, at least [`HEAD_BYTES`] if there are as many.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Whether [`Stream::head`] is all of it.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Bytes read so far, unpacked.
    pub fn bytes_read(&self) -> u64 {
        self.bytes
    }

    /// What is wrong with the file as such.
    pub fn faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// Hands over everything, the beginning included, block by block.
    pub fn read_to_end(&mut self, take: &mut dyn FnMut(&[u8])) {
        take(&std::mem::take(&mut self.head));
        let mut block = vec![0; BLOCK_BYTES];
        let mut text = String::new();
        while !self.ended {
            let count = self.read(&mut block);
            match self.decoder.is_some() {
                true => {
                    self.decode(&block[..count], &mut text);
                    take(text.as_bytes());
                }
                false => take(&block[..count]),
            }
        }
    }

    /// The next bytes, decoded.
    fn block(&mut self) -> Option<Vec<u8>> {
        let mut block = vec![0; HEAD_BYTES];
        let count = self.read(&mut block);
        block.truncate(count);
        if self.decoder.is_some() {
            let mut text = String::new();
            self.decode(&block, &mut text);
            return Some(text.into_bytes());
        }
        (!block.is_empty()).then_some(block)
    }

    /// Reads into `block`; the end and what ends it early are noted.
    fn read(&mut self, block: &mut [u8]) -> usize {
        loop {
            match self.source.read(block) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.bytes += count as u64;
                    return count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.ended = true;
                    self.faults.push(format!("after {} bytes it cannot be read on: {error}", self.bytes));
                }
            }
            return 0;
        }
    }

    fn decode(&mut self, bytes: &[u8], text: &mut String) {
        text.clear();
        let Some(decoder) = &mut self.decoder else { return };
        text.reserve(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(4 * bytes.len() + 16));
        let (_, _, malformed) = decoder.decode_to_string(bytes, text, self.ended);
        if malformed && !self.faults.iter().any(|fault| fault.contains("not valid")) {
            self.faults.push(format!("up to byte {} there are characters that are not valid UTF-16", self.bytes));
        }
    }
}

/// UTF-16, which PowerShell's `>` writes, by its byte-order mark or by the zeros between Latin letters; of UTF-8 only a
/// byte-order mark is taken off.
fn encoding(first: &[u8]) -> Option<(&'static Encoding, Option<String>)> {
    if let Some((encoding, _)) = Encoding::for_bom(first) {
        let said = (encoding != UTF_8).then(|| format!("it is written in {}, read all the same", encoding.name()));
        return Some((encoding, said));
    }
    let sample = &first[..first.len().min(400) & !1];
    let zeros = |odd: usize| sample.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let most = sample.len() * 2 / 5;
    let encoding = match (sample.len() >= 8, zeros(0) > most, zeros(1) > most) {
        (true, false, true) => encoding_rs::UTF_16LE,
        (true, true, false) => encoding_rs::UTF_16BE,
        _ => return None,
    };
    Some((encoding, Some(format!("it is written in {} without a byte-order mark, read all the same", encoding.name()))))
}
