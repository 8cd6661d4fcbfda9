//! What a file is that is not read here: told from its first and last bytes and its name, never by loading it.

use std::path::Path;

/// Bytes of a file's beginning that are looked at.
pub const HEAD_BYTES: u64 = 1024;
/// Bytes of its end, where a zip archive lists its entries.
pub const TAIL_BYTES: u64 = 64 << 10;

/// A format that is only told apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Foreign {
    /// Its name in the facts; empty for what is no model at all.
    pub format: &'static str,
    /// What it is, in words.
    pub what: &'static str,
    /// What to do instead of reading it.
    pub instead: &'static str,
}

const PICKLE_INSTEAD: &str = "it is never unpickled, because a pickle may run any code; save its tensors as safetensors, or \
                              export the model to ONNX";

const PYTORCH: Foreign = Foreign {
    format: "pytorch",
    what: "a PyTorch checkpoint (a zip archive around a pickle)",
    instead: PICKLE_INSTEAD,
};
const PYTORCH_OLD: Foreign =
    Foreign { format: "pytorch", what: "a Python pickle, such as an old PyTorch checkpoint", instead: PICKLE_INSTEAD };
/// An index of pickled shards.
pub const PYTORCH_SHARDS: Foreign =
    Foreign { format: "pytorch", what: "the index of a sharded PyTorch checkpoint (pickles)", instead: PICKLE_INSTEAD };
const TORCHSCRIPT: Foreign = Foreign {
    format: "torchscript",
    what: "a TorchScript program (a zip archive with code and a pickle)",
    instead: "it is never loaded, because that runs its code; export the model to ONNX",
};
const TENSORRT: Foreign = Foreign {
    format: "tensorrt",
    what: "a TensorRT engine, compiled for one GPU and one version of TensorRT",
    instead: "only TensorRT itself reads it; name the ONNX model from which it was built",
};
const TENSORFLOW: Foreign = Foreign {
    format: "tensorflow",
    what: "a TensorFlow graph or SavedModel",
    instead: "export it to ONNX (python -m tf2onnx.convert --saved-model FOLDER --output model.onnx)",
};
const TFLITE: Foreign = Foreign {
    format: "tflite",
    what: "a TensorFlow Lite model",
    instead: "export it to ONNX (python -m tf2onnx.convert --tflite FILE --output model.onnx)",
};
const KERAS: Foreign = Foreign {
    format: "keras",
    what: "a Keras model (HDF5 or .keras)",
    instead: "export it to ONNX with tf2onnx or model.export",
};
const NEMO: Foreign = Foreign {
    format: "nemo",
    what: "a tar archive, such as NVIDIA NeMo's .nemo",
    instead: "export the model to ONNX (NeMo's model.export), or unpack the archive and look at what is in it",
};
const OPENVINO: Foreign = Foreign {
    format: "openvino",
    what: "an OpenVINO model",
    instead: "OpenVINO does not run on NVIDIA GPUs; name the ONNX model from which it was converted",
};
const COREML: Foreign = Foreign {
    format: "coreml",
    what: "a Core ML model",
    instead: "Core ML runs on Apple's machines only; name the ONNX model or the safetensors from which it was converted",
};
const CTRANSLATE2: Foreign = Foreign {
    format: "ctranslate2",
    what: "a CTranslate2 model",
    instead: "it is read by CTranslate2 only; name the safetensors from which it was converted",
};
const GGML: Foreign = Foreign {
    format: "ggml",
    what: "a ggml model from before GGUF, as whisper.cpp uses",
    instead: "it has no list of tensors to be read; what runs where is said by the server's log",
};
const ORT: Foreign = Foreign {
    format: "ort",
    what: "a model in onnxruntime's own ORT format",
    instead: "name the ONNX model from which it was made",
};
const EXECUTORCH: Foreign = Foreign {
    format: "executorch",
    what: "an ExecuTorch program",
    instead: "name the model from which it was exported",
};
const NUMPY: Foreign =
    Foreign { format: "numpy", what: "arrays of NumPy (.npy, .npz)", instead: "save them as safetensors" };
const PADDLE: Foreign = Foreign {
    format: "paddle",
    what: "a PaddlePaddle model",
    instead: "export it to ONNX (paddle2onnx --model_dir FOLDER --save_file model.onnx)",
};

const fn no_model(what: &'static str, instead: &'static str) -> Foreign {
    Foreign { format: "", what, instead }
}

/// What the file of this `name` that starts with `head` and ends with `tail` is, if its bytes tell.
pub fn by_content(name: &Path, head: &[u8], tail: &[u8]) -> Option<Foreign> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let lower = text.trim_start_matches('\u{feff}').trim_start();
    let starts = |magic: &[u8]| head.starts_with(magic);
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let unpack = "unpack it and name the model in it";
    Some(if starts(b"PK\x03\x04") || starts(b"PK\x05\x06") {
        return Some(zip(head, tail));
    } else if starts(b"\x80") && head.get(1).is_some_and(|version| (2..=5).contains(version)) {
        PYTORCH_OLD
    } else if starts(b"\x89HDF") {
        KERAS
    } else if at(4, b"TFL3") {
        TFLITE
    } else if at(4, b"ORTM") {
        ORT
    } else if at(4, b"ET1") {
        EXECUTORCH
    } else if starts(b"ftrt") || starts(b"ptrt") {
        TENSORRT
    } else if at(257, b"ustar") {
        NEMO
    } else if starts(b"\x93NUMPY") {
        NUMPY
    } else if starts(b"lmgg") || starts(b"fmgg") || starts(b"tjgg") {
        GGML
    } else if is_ctranslate2(head) {
        CTRANSLATE2
    } else if [&[0x1f, 0x8b][..], b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"].iter().any(|magic| starts(magic)) {
        no_model("a compressed file", unpack)
    } else if starts(b"\x7fELF") {
        no_model("an ELF executable or library", "name the model's own file")
    } else if lower.starts_with("version https://git-lfs") {
        no_model("a Git LFS pointer", "the model itself was not downloaded; run git lfs pull in its folder")
    } else if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        no_model("an HTML page, such as an error page that a download saved", "download the model again")
    } else if lower.starts_with("<?xml") && lower.contains("<net ") {
        OPENVINO
    } else if lower.starts_with('<') {
        no_model("an XML file", "name the model's own file")
    } else if lower.starts_with('{') || lower.starts_with('[') {
        no_model("a JSON file", "name the model's own file")
    } else if name.file_name().is_some_and(|name| name == "saved_model.pb") {
        TENSORFLOW
    } else {
        return None;
    })
}

/// What the file of this `name` is likely to be, where its bytes do not tell.
pub fn by_name(name: &Path) -> Option<Foreign> {
    let extension = name.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "pt" | "pth" | "ckpt" | "pkl" | "pickle" | "joblib" => PYTORCH_OLD,
        "engine" | "plan" | "trt" => TENSORRT,
        "pb" => TENSORFLOW,
        "tflite" => TFLITE,
        "h5" | "hdf5" | "keras" => KERAS,
        "nemo" => NEMO,
        "mlmodel" => COREML,
        "pdmodel" | "pdiparams" => PADDLE,
        "ggml" => GGML,
        _ => return None,
    })
}

/// What a folder is that some program takes as a whole, by the names in it.
pub fn by_entries(names: &[String]) -> Option<Foreign> {
    let has = |name: &str| names.iter().any(|entry| entry == name);
    let ends = |ending: &str| names.iter().any(|entry| entry.ends_with(ending));
    Some(if has("saved_model.pb") {
        TENSORFLOW
    } else if has("model.bin") && (has("vocabulary.json") || has("vocabulary.txt") || has("shared_vocabulary.json")) {
        CTRANSLATE2
    } else if has("Manifest.json") && has("Data") {
        COREML
    } else if has("pytorch_model.bin.index.json") {
        PYTORCH_SHARDS
    } else if has("pytorch_model.bin") || [".pt", ".pth", ".ckpt"].iter().any(|ending| ends(ending)) {
        PYTORCH
    } else if ends(".engine") || ends(".plan") {
        TENSORRT
    } else if ends(".nemo") {
        NEMO
    } else if ends(".tflite") {
        TFLITE
    } else if names.iter().any(|xml| xml.strip_suffix(".xml").is_some_and(|stem| has(&format!("{stem}.bin")))) {
        OPENVINO
    } else {
        return None;
    })
}

/// A zip archive by the names of its entries: the first stands in the head, all of them in the tail.
fn zip(head: &[u8], tail: &[u8]) -> Foreign {
    let names = |name: &[u8]| [head, tail].iter().any(|part| part.windows(name.len()).any(|window| window == name));
    if names(b"/constants.pkl") && names(b"/code/") {
        TORCHSCRIPT
    } else if names(b"/data.pkl") {
        PYTORCH
    } else if names(b"model.weights.h5") {
        KERAS
    } else if names(b".npy") {
        NUMPY
    } else {
        no_model("a zip archive", "unpack it and name the model in it")
    }
}

/// CTranslate2's model.bin: a version, then the name of a specification with its length (`ctranslate2/specs/model_spec.py`).
fn is_ctranslate2(head: &[u8]) -> bool {
    let [version, 0, 0, 0, length, 0, rest @ ..] = head else { return false };
    let name = rest.get(..usize::from(*length)).unwrap_or_default();
    (1..=32).contains(version) && name.ends_with(b"Spec\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(head: &[u8]) -> Option<Foreign> {
        by_content(Path::new("m.onnx"), head, b"")
    }

    #[test]
    fn models_of_other_programs_are_told_apart() {
        let tar = [&[b'x'; 257][..], b"ustar\x0000"].concat();
        for (head, format) in [
            (&b"PK\x03\x04\0\0..archive/data.pkl"[..], "pytorch"),
            (b"PK\x03\x04\0\0..arrays/w.npy", "numpy"),
            (b"\x80\x02}q\x00", "pytorch"),
            (b"\x89HDF\r\n", "keras"),
            (b"\x1c\x00\x00\x00TFL3", "tflite"),
            (b"\x1c\x00\x00\x00ORTM", "ort"),
            (b"ftrt\0\0\0\0", "tensorrt"),
            (b"lmgg\x99\x51", "ggml"),
            (b"\x06\0\0\0\x0c\0WhisperSpec\0\x03\0\0\0", "ctranslate2"),
            (b"<?xml version=\"1.0\"?>\n<net name=\"m\" version=\"11\">", "openvino"),
            (&tar, "nemo"),
        ] {
            assert_eq!(content(head).map(|found| found.format), Some(format), "{format}");
        }
        let script = by_content(Path::new("m.pt"), b"PK\x03\x04..m/data.pkl", b"m/code/__torch__.py m/constants.pkl");
        assert_eq!(script, Some(TORCHSCRIPT));
        assert_eq!(by_content(Path::new("a/saved_model.pb"), b"\x08\x01\x12", b""), Some(TENSORFLOW));
        assert!(PYTORCH.instead.contains("never unpickled"));
    }

    #[test]
    fn what_is_no_model_is_told_too() {
        for (head, word) in [
            (&b"\n<!DOCTYPE html><html>"[..], "HTML"),
            (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
            (b"{\"error\": \"not found\"}", "JSON"),
            (b"PK\x03\x04 readme.txt", "zip"),
            (b"\x1f\x8b\x08", "compressed"),
        ] {
            let found = content(head).unwrap();
            assert!(found.what.contains(word) && found.format.is_empty(), "{word}: {found:?}");
        }
    }

    #[test]
    fn an_onnx_model_and_nothing_are_not_recognized() {
        for head in
            [&b"\x08\x08\x12\x07pytorch\x1a\x05"[..], b"", b"\x08", b"\x08\x0a\x12\x04spox", b"\x06\0\0\0\xff\0"]
        {
            assert_eq!(content(head), None);
        }
    }

    #[test]
    fn names_tell_where_bytes_do_not() {
        assert_eq!(by_name(Path::new("/m/model.PLAN")), Some(TENSORRT));
        assert_eq!(by_name(Path::new("/m/model")), None);
        let names = |list: &[&str]| by_entries(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(names(&["config.json", "model.bin", "vocabulary.json"]), Some(CTRANSLATE2));
        assert_eq!(names(&["model.bin", "model.xml"]), Some(OPENVINO));
        assert_eq!(names(&["config.json", "pytorch_model.bin"]), Some(PYTORCH));
        assert_eq!(names(&["saved_model.pb", "variables"]), Some(TENSORFLOW));
        assert_eq!(names(&["README.md", "a.xml", "b.bin"]), None);
    }
}
