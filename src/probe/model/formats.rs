//! What a file that is not ONNX looks like, from its first bytes.

/// Names the format that `head` starts, if it is one that is often taken for ONNX.
pub fn looks_like(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lower = text.trim_start();
    let starts = |magic: &[u8]| head.starts_with(magic);
    let at_4 = |magic: &[u8]| head.get(4..).is_some_and(|rest| rest.starts_with(magic));
    Some(if starts(b"PK\x03\x04") {
        "a zip archive, such as a PyTorch checkpoint"
    } else if starts(b"GGUF") {
        "a GGUF model"
    } else if starts(b"\x80") && head.get(1).is_some_and(|version| (2..=5).contains(version)) {
        "a Python pickle, such as an old PyTorch checkpoint"
    } else if head.get(8) == Some(&b'{') && head.get(3..8) == Some(&[0; 5]) {
        "a safetensors file"
    } else if starts(b"\x89HDF") {
        "an HDF5 file, such as a Keras model"
    } else if at_4(b"TFL3") {
        "a TensorFlow Lite model"
    } else if at_4(b"ORTM") {
        "a model in onnxruntime's own ORT format"
    } else if starts(b"ftrt") || starts(b"ptrt") {
        "a TensorRT engine"
    } else if starts(&[0x1f, 0x8b]) {
        "a gzip archive"
    } else if starts(b"\x7fELF") {
        "an ELF executable or library"
    } else if lower.starts_with("version https://git-lfs") {
        "a Git LFS pointer: the model itself was not downloaded (git lfs pull)"
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        "an HTML page, such as an error page saved by a download"
    } else if lower.starts_with('<') {
        "an XML file"
    } else if lower.starts_with('{') {
        "a JSON file"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_mistakes_are_recognized() {
        for (head, word) in [
            (&b"PK\x03\x04\x00\x00"[..], "zip"),
            (b"GGUF\x03\x00\x00\x00", "GGUF"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"\x40\x1f\x00\x00\x00\x00\x00\x00{\"__meta", "safetensors"),
            (b"\n<!DOCTYPE html><html>", "HTML"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
            (b"{\"error\": \"not found\"}", "JSON"),
            (b"\x1c\x00\x00\x00TFL3", "Lite"),
        ] {
            assert!(looks_like(head).is_some_and(|found| found.contains(word)), "{word}");
        }
    }

    #[test]
    fn an_onnx_model_and_nothing_are_not_recognized() {
        for head in [&b"\x08\x08\x12\x07pytorch\x1a\x05"[..], b"", b"\x08", b"\x08\x0a\x12\x04spox"] {
            assert_eq!(looks_like(head), None);
        }
    }
}
