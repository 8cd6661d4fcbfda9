//! The fuzz targets (`fuzz/`) on mutations of real models, schemas and metrics, with a fixed seed: seconds instead of hours, on stable Rust.

mod setup;

use gpu_doctor::probe::metrics;
use gpu_doctor::probe::model::fuzzing;
use gpu_doctor::probe::service::requests;
use gpu_doctor::probe::triage;
use gpu_doctor::redact;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

/// Inputs for each target.
const INPUTS: u32 = 40_000;
/// Longest time for one input. A reader whose work has no bound takes far longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest input, bytes.
const LONGEST: usize = 64 << 10;

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }
}

/// Changes `bytes` in one of the ways in which files are broken or made to harm.
fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    const NUMBERS: [u64; 12] =
        [0, 1, 4, 9, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX];
    let at = random.below(bytes.len() + 1);
    let end = (at + 1 + random.below(32)).min(bytes.len()).max(at);
    let number = match random.below(4) {
        0 => bytes.len() as u64,
        _ => NUMBERS[random.below(NUMBERS.len())],
    };
    let overwrite = |bytes: &mut Vec<u8>, with: &[u8]| {
        for (to, from) in bytes.iter_mut().skip(at).zip(with) {
            *to = *from;
        }
    };
    match random.below(12) {
        0 | 1 => overwrite(bytes, &[random.next() as u8]),
        2 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (number % 8)),
        3 => overwrite(bytes, &number.to_le_bytes()),
        4 => overwrite(bytes, &number.to_be_bytes()),
        5 => overwrite(bytes, &(number as u32).to_le_bytes()),
        6 => drop(bytes.drain(at..end)),
        7 => bytes.truncate(at),
        8 => {
            let again = bytes[at..end].to_vec();
            let times = 1 + random.below(8);
            bytes.splice(at..at, again.repeat(times));
        }
        9 => {
            // A protocol buffer's length that reaches far.
            let varint = [0xff; 9].into_iter().take(random.below(10)).chain([0x01]);
            bytes.splice(at..end, varint);
        }
        10 => {
            let digits = number.to_string();
            bytes.splice(at..end, digits.into_bytes());
        }
        _ => {
            let other = &others[random.below(others.len())];
            let from = random.below(other.len());
            bytes.splice(at..end, other[from..].iter().copied());
        }
    }
    bytes.truncate(LONGEST);
}

/// Models of the formats' own writers, and those that onnxruntime brings along.
fn corpus(extensions: &[&str]) -> Vec<Vec<u8>> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/models")];
    if let Some(venv) = setup::venv::venv("cpu") {
        folders.push(setup::venv::site_packages(&venv).join("onnxruntime/datasets"));
    }
    let mut paths: Vec<_> = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    paths.retain(|path| path.extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension)));
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty());
    corpus
}

fn fuzz(target: fn(&[u8]), corpus: &[Vec<u8>], inputs: u32) {
    let mut random = Random(0x67b7_5eed_0000_0001);
    for number in 0..inputs {
        let mut input = corpus[random.below(corpus.len())].clone();
        for _ in 0..random.below(6) {
            mutate(&mut input, corpus, &mut random);
        }
        let began = Instant::now();
        let outcome = catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "input {number} makes the reader panic: {input:02x?}");
        assert!(began.elapsed() < PATIENCE, "input {number} takes {:?}: {input:02x?}", began.elapsed());
    }
}

#[test]
fn onnx() {
    fuzz(fuzzing::onnx, &corpus(&["onnx"]), INPUTS);
}

#[test]
fn safetensors() {
    fuzz(fuzzing::safetensors, &corpus(&["safetensors"]), INPUTS);
}

#[test]
fn gguf() {
    fuzz(fuzzing::gguf, &corpus(&["gguf"]), INPUTS);
}

/// The small document, with its texts and names exchanged as well: bytes alone seldom leave it JSON.
#[test]
fn schema() {
    let small = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schemas/small.json");
    let text = std::fs::read_to_string(small).unwrap();
    let words: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let mut random = Random(0x67b7_5eed_0000_0002);
    let mut documents = vec![text.clone().into_bytes()];
    for _ in 0..2000 {
        let (mut mixed, other) = (text.clone(), text.clone());
        for _ in 0..1 + random.below(4) {
            let (old, new) = (words[random.below(words.len())], words[random.below(words.len())]);
            let new = match random.below(4) {
                0 => "1e300".to_owned(),
                1 => "-1".to_owned(),
                _ => format!("\"{new}\""),
            };
            let quoted = format!("\"{old}\"");
            let at =
                mixed.match_indices(&quoted).map(|(at, _)| at).nth(random.below(other.matches(&quoted).count().max(1)));
            if let Some(at) = at {
                mixed.replace_range(at..at + quoted.len(), &new);
            }
        }
        documents.push(mixed.into_bytes());
    }
    fuzz(requests::of_bytes, &documents, 6000);
}

/// Every form that triage reads, cut to its beginning: what mutations break there is soon reached.
#[test]
fn triage() {
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/triage")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind != "py" && kind != "md") {
                let bytes = std::fs::read(path).unwrap();
                corpus.push(bytes[..bytes.len().min(2000)].to_vec());
            }
        }
    }
    corpus.sort();
    assert!(corpus.len() > 12);
    let target = |bytes: &[u8]| {
        let facts = triage::read_bytes("file.csv", bytes);
        let files = facts.recorded.files.known().expect("the file is told of");
        assert!(files[0].records <= files[0].size_bytes, "each takes a byte at least");
    };
    fuzz(target, &corpus, 8000);
}

/// Pages of real software, short ones, for most mutations of a long one change nothing that is read.
#[test]
fn metrics_pages() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/metrics");
    let page = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let names = ["triton/gpu.prom", "triton/after.prom", "tgi/once.prom", "torchserve/once.prom", "sglang/once.prom"];
    fuzz(metrics::of_bytes, &names.map(page), 6000);
}

/// Sentences with names, addresses, users and secrets, whole and in documents, cut and mixed.
#[test]
fn redaction() {
    let sentences = [
        "Nov 23 10:00:00 gpu01 kernel: NVRM: Xid; hostname=gpu17 up; Connected to gpu17.acme.de (10.2.3.4) port 8000",
        "INFO:     10.1.2.3:51234 - \"POST /asr?token=abcdefgh1234 HTTP/1.1\" 422; uid=1000(anna) USER=anna /home/ada/x",
        "could not resolve host: athena; host 'gpu17'; lookup gpu17 on 10.0.0.2:53: no such host; mail anna.s@acme.de now",
        "kubepods-burstable-pod7f1c0b9d_6a5e_4f3c_8b1a_091827364554.slice docker-7c1f0b9d6a5e.scope serial: 1323021012345",
        "GPU-5f3c2a10-8d4e-4b6a-9c01-7e2f1a0b3c4d GPU-5f3c2a10 http://u:p@h.acme.de/ api_key=Zx81qqP0 Bearer abcdefgh1234",
    ];
    let document = serde_json::json!({
        "target": { "server": "http://gpu17.acme.de:8000/", "command": ["run", "--host", "gpu17", "--api-key", "abcdef"] },
        "docker": { "name": "asr-1", "environment": { "HOSTNAME": "gpu17", "MASTER_ADDR": "10.2.3.4", "HF_TOKEN": "abc" } },
        "peers": [{ "address": "10.0.1.6:80" }], "packages": [{ "name": "tensorrt", "version": "10.0.1.6" }],
        "log": ["10.0.1.6 is TensorRT", "gpu17 said 10.9.8.7", 12, null, true],
    });
    let mut corpus: Vec<Vec<u8>> = sentences.iter().map(|text| text.as_bytes().to_vec()).collect();
    corpus.push(document.to_string().into_bytes());
    // Texts exchanged inside the document: bytes alone seldom leave it JSON.
    let mut random = Random(0x67b7_5eed_0000_0003);
    for _ in 0..300 {
        let mut mixed = document.clone();
        let mut text = sentences[random.below(sentences.len())].as_bytes().to_vec();
        for _ in 0..random.below(4) {
            let others: Vec<Vec<u8>> = sentences.iter().map(|text| text.as_bytes().to_vec()).collect();
            mutate(&mut text, &others, &mut random);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        match random.below(4) {
            0 => mixed["log"][0] = text.into(),
            1 => mixed["docker"]["environment"]["NVIDIA_X"] = text.into(),
            2 => mixed["target"]["command"][3] = text.into(),
            _ => mixed[text] = 1.into(),
        }
        corpus.push(mixed.to_string().into_bytes());
    }
    fuzz(redact::fuzzing::of_bytes, &corpus, 1000);
}
