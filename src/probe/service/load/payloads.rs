//! Inputs that differ without meaning anything else, so that no cache answers in the model's place: the lowest bit of
//! single samples of sound, a comment in a picture.

use crate::probe::service::message::{Content, Field, File, Message, base64};
use base64::Engine;
use serde_json::Value;
use std::sync::Arc;

/// Requests that differ, at most, and the bytes that are formed to find in what they do.
const MOST: usize = 1024;
const BYTES_MAX: usize = 64 << 20;
/// Bits of a number, each in a sample of its own.
const BITS: usize = 16;

/// The request, and others of the same meaning; itself alone where it has no input that can be varied.
pub fn varied(message: &Message) -> impl Iterator<Item = Message> {
    let size = usize::try_from(message.sent_bytes()).unwrap_or(BYTES_MAX).max(1);
    let most = (BYTES_MAX / size).clamp(1, MOST);
    let others = (1..u16::try_from(most).unwrap_or(u16::MAX)).map_while(|number| another(message, number));
    std::iter::once(message.clone()).chain(others)
}

fn another(message: &Message, number: u16) -> Option<Message> {
    let changed = message.fields.iter().find_map(|field| {
        let content = match &field.content {
            Content::File(file) => Content::File(of_file(file, number)?),
            Content::Base64(file) => Content::Base64(of_file(file, number)?),
            Content::Text(text) => Content::Text(of_text(text, number)?),
            Content::Json(Value::String(text)) => Content::Json(Value::String(of_text(text, number)?)),
            Content::Json(_) => return None,
        };
        Some(Field { content, ..field.clone() })
    });
    match (changed, &message.verbatim) {
        (Some(field), _) => Some(message.with(field)),
        (None, Some(body)) => {
            let body = of_bytes(body, number)?;
            Some(Message { verbatim: Some(Arc::from(body)), ..message.clone() })
        }
        (None, None) => None,
    }
}

fn of_file(file: &File, number: u16) -> Option<File> {
    Some(File { bytes: Arc::from(of_bytes(&file.bytes, number)?), ..file.clone() })
}

/// Of a file that travels as text.
fn of_text(text: &str, number: u16) -> Option<String> {
    // The beginnings of RIFF, PNG and JPEG.
    ["UklGR", "iVBOR", "/9j/"].iter().find(|begin| text.starts_with(**begin))?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    Some(base64(&of_bytes(&bytes, number)?))
}

/// The same sound or picture, told apart by a number that is not 0.
fn of_bytes(bytes: &[u8], number: u16) -> Option<Vec<u8>> {
    match bytes {
        [b'R', b'I', b'F', b'F', ..] => sound(bytes, number),
        [0x89, b'P', b'N', b'G', ..] => png(bytes, number),
        [0xff, 0xd8, 0xff, ..] => jpeg(bytes, number),
        _ => None,
    }
}

/// WAV: the number's bits are added to the lowest bits of the first samples.
fn sound(bytes: &[u8], number: u16) -> Option<Vec<u8>> {
    if bytes.get(8..12)? != b"WAVE" {
        return None;
    }
    let (mut at, mut width) = (12_usize, None);
    loop {
        let head = bytes.get(at..at.checked_add(8)?)?;
        let length = usize::try_from(u32::from_le_bytes(head.get(4..8)?.try_into().ok()?)).ok()?;
        let content = at + 8;
        match head.get(..4)? {
            b"fmt " => {
                let format = bytes.get(content..content.checked_add(16)?)?;
                let kind = u16::from_le_bytes(format.get(..2)?.try_into().ok()?);
                let bits = u16::from_le_bytes(format.get(14..16)?.try_into().ok()?);
                // PCM and floating point; what is compressed has no samples.
                width =
                    (matches!(kind, 1 | 3 | 0xfffe) && matches!(bits, 16 | 24 | 32)).then_some(usize::from(bits / 8));
            }
            b"data" => {
                let (width, mut varied) = (width?, bytes.to_vec());
                for bit in 0..BITS {
                    let flip = u8::from((number >> bit) & 1 == 1);
                    if flip == 1 && (bit + 1) * width > length {
                        return None;
                    }
                    *varied.get_mut(content + bit * width)? ^= flip;
                }
                return Some(varied);
            }
            _ => {}
        }
        // Chunks begin at even places.
        at = content.checked_add(length)?.checked_add(length & 1)?;
    }
}

/// PNG: a tEXt chunk behind the header's (PNG specification, 11.3.3.3).
fn png(bytes: &[u8], number: u16) -> Option<Vec<u8>> {
    const HEADER_END: usize = 33;
    if bytes.get(12..16)? != b"IHDR" {
        return None;
    }
    let (before, after) = bytes.split_at_checked(HEADER_END)?;
    let mut chunk = b"tEXtComment\0".to_vec();
    chunk.extend_from_slice(format!("{number:05}").as_bytes());
    let length = u32::try_from(chunk.len() - 4).ok()?;
    Some([before, &length.to_be_bytes(), &chunk, &crc32(&chunk).to_be_bytes(), after].concat())
}

/// JPEG: a comment segment behind the start of the image (ITU T.81, B.2.4.5).
fn jpeg(bytes: &[u8], number: u16) -> Option<Vec<u8>> {
    let (start, rest) = bytes.split_at_checked(2)?;
    let comment = format!("{number:05}");
    let length = u16::try_from(comment.len() + 2).ok()?;
    Some([start, &[0xff, 0xfe], &length.to_be_bytes(), comment.as_bytes(), rest].concat())
}

/// CRC of PNG's chunks (PNG specification, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::service::message::{Encoding, Place};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn sample(name: &str) -> Vec<u8> {
        std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples").join(name)).unwrap()
    }

    fn form(content: Content) -> Message {
        Message {
            author: "doctor",
            method: "POST".into(),
            path: "/asr".into(),
            fields: vec![Field { name: "audio".into(), place: Place::Form, content, guess: false }],
            headers: Vec::new(),
            encoding: Encoding::Multipart,
            content_type: "multipart/form-data".into(),
            verbatim: None,
            limit: None,
            follow: false,
        }
    }

    fn file(name: &str) -> Content {
        Content::File(File { name: name.into(), media_type: String::new(), bytes: Arc::from(sample(name)) })
    }

    #[test]
    fn each_payload_differs_and_the_first_is_the_request_itself() {
        for name in ["speech.wav", "image.png", "image.jpg"] {
            let message = form(file(name));
            let all: Vec<Message> = varied(&message).collect();
            let size = usize::try_from(message.sent_bytes()).unwrap();
            assert_eq!(all.len(), (BYTES_MAX / size).min(MOST), "{name}");
            let different: BTreeSet<String> = all.iter().map(|one| format!("{:?}", one.fields[0].content)).collect();
            assert_eq!(different.len(), all.len(), "{name}");
            assert_eq!(all[0].fields, message.fields);
        }
        assert_eq!(varied(&form(Content::Text("hello".into()))).count(), 1, "a text is not made another one");
    }

    #[test]
    fn sound_changes_by_its_lowest_bits_alone() {
        let speech = sample("speech.wav");
        let other = of_bytes(&speech, 5).unwrap();
        let changed: Vec<usize> = (0..speech.len()).filter(|at| speech[*at] != other[*at]).collect();
        assert_eq!((other.len(), changed.as_slice()), (speech.len(), &[44, 48][..]));
        assert!(changed.iter().all(|at| speech[*at] ^ other[*at] == 1));
        assert!(of_bytes(&speech[..40], 1).is_none(), "without samples");
    }

    /// As the readers of these formats see them.
    #[test]
    fn pictures_stay_pictures() {
        let png = of_bytes(&sample("image.png"), 7).unwrap();
        assert_eq!(crc32(b"IEND"), 0xae42_6082, "the CRC that ends every PNG");
        assert_eq!(&png[33..49], b"\0\0\0\x0dtEXtComment\0");
        let jpeg = of_bytes(&sample("image.jpg"), 7).unwrap();
        assert_eq!(&jpeg[..13], b"\xff\xd8\xff\xfe\0\x0700007\xff\xe0");
    }

    #[test]
    fn what_travels_as_text_is_varied_too() {
        let text = base64(&sample("speech.wav"));
        let other = of_text(&text, 1).unwrap();
        assert!(other != text && other.len() == text.len());
        assert_eq!(of_text("hello", 1), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(
            begin in prop_oneof![Just(&b"RIFF\0\0\0\0WAVEfmt "[..]), Just(&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..]), Just(&b"\xff\xd8\xff"[..])],
            rest in any::<Vec<u8>>(),
            number in 1u16..,
        ) {
            let bytes = [begin, &rest].concat();
            if let Some(other) = of_bytes(&bytes, number) {
                prop_assert_ne!(other, bytes);
            }
        }
    }
}
