//! What reads a file of a known form.

use super::evidence::Evidence;
use crate::snapshot::RecordedFile;

/// Reads one file, fed with its bytes. It must not keep more than a bounded part of them.
pub trait Reader {
    /// Takes the next bytes; blocks end anywhere, also inside a character.
    fn feed(&mut self, bytes: &[u8]);

    /// The file has ended. Sets `records`, `shows`, `lacks` and `faults`, and returns what the file proves.
    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence>;
}

/// Most bytes of a document that is read as a whole.
const WHOLE_LIMIT_BYTES: usize = 64 << 20;

/// A reader of a document that can only be understood as a whole, such as one JSON value.
pub struct Whole<F> {
    bytes: Vec<u8>,
    skipped_bytes: u64,
    read: F,
}

impl<F: FnOnce(&[u8], &mut RecordedFile) -> Vec<Evidence>> Whole<F> {
    /// One that calls `read` at the end.
    pub fn new(read: F) -> Self {
        Self { bytes: Vec::new(), skipped_bytes: 0, read }
    }
}

impl<F: FnOnce(&[u8], &mut RecordedFile) -> Vec<Evidence>> Reader for Whole<F> {
    fn feed(&mut self, bytes: &[u8]) {
        let room = WHOLE_LIMIT_BYTES.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.skipped_bytes += (bytes.len() - room) as u64;
    }

    fn end(self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        if self.skipped_bytes > 0 {
            file.faults.push(format!("it is larger than {WHOLE_LIMIT_BYTES} bytes and was not read"));
            return Vec::new();
        }
        (self.read)(&self.bytes, file)
    }
}
