//! Documents packed by gzip.

use flate2::read::MultiGzDecoder;
use std::io::{Error, ErrorKind, Read, Result};

/// The bytes, unpacked if they are packed by gzip.
///
/// # Errors
/// They cannot be unpacked, or come to more than `limit_bytes`.
pub fn unpacked(bytes: Vec<u8>, limit_bytes: u64) -> Result<Vec<u8>> {
    if !bytes.starts_with(b"\x1f\x8b") {
        return Ok(bytes);
    }
    let wrong = |problem: String| {
        Error::new(ErrorKind::InvalidData, format!("it is packed by gzip, and cannot be unpacked: {problem}"))
    };
    let mut whole = Vec::new();
    let decoder = MultiGzDecoder::new(bytes.as_slice());
    decoder.take(limit_bytes.saturating_add(1)).read_to_end(&mut whole).map_err(|error| wrong(error.to_string()))?;
    if whole.len() as u64 > limit_bytes {
        return Err(wrong(format!("it is larger than {limit_bytes} bytes")));
    }
    Ok(whole)
}
