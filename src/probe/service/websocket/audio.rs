//! The samples inside a WAV file.

/// The PCM data of a WAV file (RIFF, chunk `data`); anything else as it is.
pub fn samples(file: &[u8]) -> &[u8] {
    if !file.starts_with(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return file;
    }
    let mut rest = file.get(12..).unwrap_or_default();
    // A name of four bytes, a length of four, the content, padded to an even length.
    while let Some((name, tail)) = rest.split_first_chunk::<4>()
        && let Some((length, content)) = tail.split_first_chunk::<4>()
    {
        let length = u32::from_le_bytes(*length) as usize;
        if name == b"data" {
            // A stream's header may promise more than there is.
            return content.get(..length).unwrap_or(content);
        }
        rest = content.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    file
}
