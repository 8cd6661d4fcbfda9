//! The inputs that are built into the binary (origin: `fixtures/samples/README.md`).

use crate::probe::service::message::File;
use std::sync::Arc;

/// Prefix of file names in a client's request that name a built-in sample: `@builtin:speech.wav`.
pub const BUILTIN: &str = "builtin:";

/// What is said in `speech.wav`, to be compared with a transcript of it.
pub const SPEECH_TEXT: &str = "The quick brown fox jumps over the lazy dog, the GPU is busy today.";

const SPEECH: &[u8] = include_bytes!("../../../../fixtures/samples/speech.wav");
const IMAGE: &[u8] = include_bytes!("../../../../fixtures/samples/image.png");
const JPEG: &[u8] = include_bytes!("../../../../fixtures/samples/image.jpg");

/// One English sentence, WAV, PCM 16 bit, mono, 16 kHz.
pub fn speech() -> File {
    File { name: "speech.wav".into(), media_type: "audio/wav".into(), bytes: Arc::from(SPEECH) }
}

/// A PNG of 64 x 64 pixels.
pub fn image() -> File {
    File { name: "image.png".into(), media_type: "image/png".into(), bytes: Arc::from(IMAGE) }
}

/// A JPEG of 320 x 240 pixels.
pub fn jpeg() -> File {
    File { name: "image.jpg".into(), media_type: "image/jpeg".into(), bytes: Arc::from(JPEG) }
}

/// A short plain text.
pub fn text() -> File {
    File { name: "sample.txt".into(), media_type: "text/plain".into(), bytes: Arc::from(&b"hello\n"[..]) }
}

/// The sample with the given file name.
pub fn by_name(name: &str) -> Option<File> {
    [speech(), image(), jpeg(), text()].into_iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_what_their_types_say() {
        assert!(speech().bytes.starts_with(b"RIFF") && speech().bytes[8..].starts_with(b"WAVE"));
        // Format 1 (PCM), one channel, 16000 Hz.
        assert_eq!(speech().bytes[20..28], [1, 0, 1, 0, 0x80, 0x3e, 0, 0]);
        assert!(image().bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(jpeg().bytes.starts_with(b"\xff\xd8\xff") && jpeg().bytes.ends_with(b"\xff\xd9"));
        assert_eq!(by_name("speech.wav"), Some(speech()));
        assert_eq!(by_name("other"), None);
        assert!(SPEECH_TEXT.starts_with("The quick brown fox"));
    }
}
