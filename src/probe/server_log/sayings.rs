//! The table of known sayings, `sayings.yaml`, and how a line is held against it.

use regex::bytes::{Captures, Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Most places of one line that are looked at for one saying.
const MATCHES_MAX: usize = 4;

/// One entry of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
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
    pattern: Regex,
    unless: Option<Regex>,
}

/// The compiled table.
struct Table {
    /// All patterns at once, to pass the lines that say nothing quickly.
    any: RegexSet,
    known: Vec<Known>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let entries = entries();
    let any = RegexSetBuilder::new(entries.iter().map(|entry| &entry.pattern));
    let any = { any }.unicode(false).dfa_size_limit(32 << 20).build().expect("the patterns of sayings.yaml");
    let known = entries.into_iter().map(|entry| Known {
        pattern: regex(&entry.pattern),
        unless: entry.unless.as_deref().map(regex),
        id: entry.id,
    });
    Table { any, known: known.collect() }
});

/// On bytes and in ASCII, which is how servers talk: many times faster than Unicode's words.
fn regex(pattern: &str) -> Regex {
    RegexBuilder::new(pattern).unicode(false).build().expect("a pattern of sayings.yaml")
}

fn entries() -> Vec<Entry> {
    serde_yaml::from_str(include_str!("sayings.yaml")).expect("sayings.yaml is a table of sayings")
}

/// What one line says.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub id: &'static str,
    /// Where in the line it begins, bytes.
    pub at: usize,
    pub values: BTreeMap<String, String>,
}

/// Everything that a line is known to say.
pub fn read(line: &str) -> Vec<Said> {
    let mut all: Vec<Said> = Vec::new();
    for index in &TABLE.any.matches(line.as_bytes()) {
        let Some(known) = TABLE.known.get(index) else { continue };
        if known.unless.as_ref().is_some_and(|unless| unless.is_match(line.as_bytes())) {
            continue;
        }
        // A line may say it twice, and name the thing the second time only.
        let found: Vec<Captures> = known.pattern.captures_iter(line.as_bytes()).take(MATCHES_MAX).collect();
        let Some(at) = found.first().and_then(|found| found.get(0)).map(|whole| whole.start()) else { continue };
        let named =
            found.iter().flat_map(|found| known.pattern.capture_names().flatten().map(move |name| (name, found)));
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
        ] {
            assert_eq!(read(line), [], "{line}");
        }
    }
}
