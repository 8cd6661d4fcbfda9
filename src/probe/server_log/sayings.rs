//! The table of known sayings, `sayings/*.yaml`, and how a line is held against it.

use super::literals;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::bytes::{Captures, Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{LazyLock, OnceLock};

/// Most places of one line that are looked at for one saying.
const MATCHES_MAX: usize = 4;

/// The table's files.
const FILES: &[&str] = &[
    include_str!("sayings/containers.yaml"),
    include_str!("sayings/devices.yaml"),
    include_str!("sayings/driver.yaml"),
    include_str!("sayings/hardware.yaml"),
    include_str!("sayings/libraries.yaml"),
    include_str!("sayings/onnxruntime.yaml"),
    include_str!("sayings/packages.yaml"),
    include_str!("sayings/processes.yaml"),
    include_str!("sayings/requests.yaml"),
    include_str!("sayings/runtimes.yaml"),
    include_str!("sayings/seen.yaml"),
    include_str!("sayings/wrappers.yaml"),
];

/// One entry of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    /// What a line proves that says so.
    proves: String,
    /// Where the line stands: a program, its source, a thread.
    #[cfg_attr(not(test), expect(dead_code, reason = "for those who keep the table"))]
    source: String,
    pattern: String,
    unless: Option<String>,
    /// Lines that must be found.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests' part of the table"))]
    says: Vec<String>,
    /// Lines that must not be found under this id by this pattern.
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests' part of the table"))]
    near: Vec<String>,
}

struct Known {
    id: String,
    proves: String,
    pattern: Pattern,
    unless: Option<Pattern>,
}

/// A pattern that is compiled when a line holds one of its texts: all of them together take 30 MB, and a log seldom needs
/// more than a few.
struct Pattern {
    text: String,
    compiled: OnceLock<Regex>,
}

impl Pattern {
    fn new(text: String) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    fn regex(&self) -> &Regex {
        self.compiled.get_or_init(|| regex(&self.text))
    }
}

/// The compiled table.
struct Table {
    /// Finds, in any case, the texts of which a line holds one if it says anything.
    texts: AhoCorasick,
    /// By text, which entry it is of.
    owners: Vec<usize>,
    known: Vec<Known>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let entries = entries();
    let (mut texts, mut owners) = (Vec::new(), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        let required = literals::required(&entry.pattern).expect("a pattern of the table demands a text");
        owners.extend(std::iter::repeat_n(index, required.len()));
        texts.extend(required);
    }
    let known = entries.into_iter().map(|entry| Known {
        pattern: Pattern::new(entry.pattern),
        unless: entry.unless.map(Pattern::new),
        id: entry.id,
        proves: entry.proves,
    });
    Table { texts: automaton(&texts), owners, known: known.collect() }
});

/// An automaton that finds texts in any case, those that overlap as well.
pub fn automaton(texts: &[Vec<u8>]) -> AhoCorasick {
    let mut builder = AhoCorasick::builder();
    builder.ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(texts).expect("a few hundred texts")
}

/// The texts of all patterns, for those who look for more at once; the place of each is what [`read_for`] takes.
pub fn texts() -> Vec<Vec<u8>> {
    TABLE.known.iter().flat_map(|known| literals::required(&known.pattern.text).unwrap_or_default()).collect()
}

/// On bytes and in ASCII, which is how servers talk: many times faster than Unicode's words.
fn regex(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).unicode(false).build().expect("a pattern of the table")
}

fn entries() -> Vec<Entry> {
    let of_file = |file: &&str| -> Vec<Entry> { serde_yaml::from_str(file).expect("a table of sayings") };
    FILES.iter().flat_map(of_file).collect()
}

/// What one line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    pub id: &'static str,
    /// Where in the line it begins, bytes.
    pub at: usize,
    pub values: BTreeMap<String, String>,
}

/// What a saying proves, in words.
pub fn proves(id: &str) -> &'static str {
    TABLE.known.iter().find(|known| known.id == id).map_or("", |known| &known.proves)
}

/// Everything that a line is known to say.
pub fn read(line: &str) -> Vec<Said> {
    let found = TABLE.texts.find_overlapping_iter(line).map(|found| found.pattern().as_usize());
    read_for(line, &found.collect::<Vec<usize>>())
}

/// What a line says in which these of the [`texts`] were found.
pub fn read_for(line: &str, texts: &[usize]) -> Vec<Said> {
    let mut entries: Vec<usize> = texts.iter().filter_map(|text| TABLE.owners.get(*text).copied()).collect();
    entries.sort_unstable();
    entries.dedup();
    let mut all: Vec<Said> = Vec::new();
    for known in entries.into_iter().filter_map(|index| TABLE.known.get(index)) {
        // A line may say it twice, and name the thing the second time only.
        let found: Vec<Captures> = known.pattern.regex().captures_iter(line.as_bytes()).take(MATCHES_MAX).collect();
        let Some(at) = found.first().and_then(|found| found.get(0)).map(|whole| whole.start()) else { continue };
        if known.unless.as_ref().is_some_and(|unless| unless.regex().is_match(line.as_bytes())) {
            continue;
        }
        let named = found
            .iter()
            .flat_map(|found| known.pattern.regex().capture_names().flatten().map(move |name| (name, found)));
        let values = named.filter_map(|(name, found)| {
            Some((name.to_string(), String::from_utf8_lossy(found.name(name)?.as_bytes()).into_owned()))
        });
        match all.iter_mut().find(|said| said.id == known.id) {
            Some(said) => said.values.extend(values),
            None => all.push(Said { id: &known.id, at, values: values.collect() }),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_finds_its_lines_and_not_the_near_ones() {
        let mut faults = Vec::new();
        for entry in entries() {
            assert!(!entry.says.is_empty() && !entry.near.is_empty(), "{}: lines to find and near ones", entry.id);
            assert!(
                entry.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
                "{}",
                entry.id
            );
            assert!(!entry.proves.is_empty() && !entry.source.is_empty(), "{}", entry.id);
            assert!(literals::required(&entry.pattern).is_some(), "{} demands no text: {}", entry.id, entry.pattern);
            let pattern = regex(&entry.pattern);
            for line in &entry.says {
                if !pattern.is_match(line.as_bytes()) || !read(line).iter().any(|said| said.id == entry.id) {
                    faults.push(format!("{} is not found in: {line}", entry.id));
                }
            }
            for line in &entry.near {
                if read(line).iter().any(|said| said.id == entry.id) {
                    faults.push(format!("{} is found in: {line}", entry.id));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    #[test]
    fn a_pattern_says_no_more_than_its_own_lines() {
        // A line of one entry may testify for another only where that is meant.
        let meant = [
            ("hf-pipeline-default-cpu", "using-device"),
            ("using-device", "hf-pipeline-default-cpu"),
            ("insightface-applied-cpu", "ort-applied-providers"),
            ("llama-gpu-layers-zero", "layers-offloaded"),
            ("ray-serve-no-num-gpus", "cuda-sees-no-device"),
            ("k8s-no-gpu-capacity", ""),
            ("wrong-docker-daemon", ""),
            ("model-not-loaded", "wrong-model-name"),
        ];
        for entry in entries() {
            for line in &entry.says {
                for said in read(line).iter().filter(|said| said.id != entry.id) {
                    assert!(
                        meant.contains(&(&entry.id, said.id)),
                        "a line of {} also says {}: {line}",
                        entry.id,
                        said.id
                    );
                }
            }
        }
    }

    /// Names that are no check's: what several checks read, or what is only told.
    const OWN: &[&str] = &[
        "audio-processed",
        "cuda-available-said",
        "cuda-sees-no-device",
        "gpu-seen-by-server",
        "inference-device",
        "layers-offloaded",
        "model-method",
        "model-parameters-device",
        "model-type",
        "model-warmed-up",
        "nccl-init-complete",
        "nvidia-smi-without-cuda",
        "ollama-gpu-discovered",
        "ollama-no-gpu-discovered",
        "ollama-num-parallel",
        "ort-applied-providers",
        "ort-conv-search",
        "ort-cpu-fallback-disabled",
        "triton-gpu-metrics",
        "triton-instance-on-gpu",
        "triton-model-loaded",
        "triton-without-cuda",
        "using-device",
        "vllm-enforce-eager",
        "vllm-engine-stats",
        "vllm-kv-cache-blocks",
        "vllm-platform-cpu",
        "vllm-weights-loaded",
    ];

    #[test]
    fn every_id_is_of_the_catalogue_or_known_as_our_own() {
        let catalogue = include_str!("../../../fixtures/catalogue-ids.txt");
        let known = |id: &str| OWN.contains(&id) != catalogue.lines().any(|line| line.trim() == id);
        for entry in entries() {
            assert!(known(&entry.id), "{}", entry.id);
            assert!(!proves(&entry.id).is_empty());
        }
        for own in OWN {
            assert!(entries().iter().any(|entry| entry.id == *own), "{own} is no saying any more");
        }
    }

    #[test]
    fn what_a_line_names_becomes_values() {
        let values = |line: &str, id: &str| read(line).into_iter().find(|said| said.id == id).unwrap().values;
        let cap = values(
            "Runtime compute cap 75 is not compatible with compile time compute cap 80",
            "tei-image-compute-cap-mismatch",
        );
        assert_eq!((cap["runtime"].as_str(), cap["compiled"].as_str()), ("75", "80"));
        let parameters = values("[DIAGNOSTIC] Model parameters - GPU: 0, CPU: 608123456", "model-parameters-device");
        assert_eq!((parameters["gpu"].as_str(), parameters["cpu"].as_str()), ("0", "608123456"));
        assert_eq!(values("Using device: cuda:1", "using-device")["device"], "cuda:1");
        let inference =
            values("[INFERENCE] Model device: cuda:0, Input type: <class 'numpy.ndarray'>", "inference-device");
        assert_eq!((inference["device"].as_str(), inference["input"].as_str()), ("cuda:0", "<class 'numpy.ndarray'>"));
        let field =
            values(r#"{"detail":[{"type":"missing","loc":["body","lang"],"msg":"x"}]}"#, "required-field-missing");
        assert_eq!((field["where"].as_str(), field["field"].as_str()), ("body", "lang"));
        let oom = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has";
        assert_eq!(values(oom, "cuda-oom").get("tried").map(String::as_str), Some("2.00 GiB"));
    }

    #[test]
    fn lines_that_accuse_nobody() {
        for line in [
            "INFO:     Uvicorn running on http://127.0.0.1:8000 (Press CTRL+C to quit)",
            "EP Error EP Error when using ['TensorrtExecutionProvider'] Please install TensorRT libraries. Falling back to ['CUDAExecutionProvider', 'CPUExecutionProvider'] and retrying.",
            "silero VAD session providers: ['CPUExecutionProvider']",
            "NVIDIA-SMI 550.163.01  Driver Version: 550.163.01  CUDA Version: 12.4",
            "GET /device?use=cpu HTTP/1.1 200",
            "x-compute-type: gpu+optimized",
            "nvidia: module verification failed: signature and/or required key missing - tainting kernel",
            "vad providers=['CPUExecutionProvider'] kind=CPU",
        ] {
            assert_eq!(read(line), [], "{line}");
        }
    }
}
