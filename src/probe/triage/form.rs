//! What a file is, told from its beginning.

use super::reader::Reader;
use super::{archive, documents, json_lines, locust, logs, oha, pages, requests, samples, smi, summaries};
use std::path::Path;

/// The beginning of a file.
pub struct Head<'a> {
    /// The name that was given, or `archive.tar.gz/member`.
    pub given: String,
    /// The file's own name, in lower case; it only breaks ties.
    pub name: String,
    /// The first bytes, about 64 kB.
    pub bytes: &'a [u8],
    /// Whether they are all of it.
    pub whole: bool,
}

/// A form of file that triage reads.
pub struct Form {
    /// `RecordedFile.kind`.
    pub kind: &'static str,
    /// Parts of names that files of this form usually have, in lower case.
    pub names: &'static [&'static str],
    /// Tells whether it is one.
    pub recognize: fn(&Head) -> Option<Recognized>,
}

/// A file whose form was told.
pub struct Recognized {
    /// By what, in words that follow "recognized by": `its columns timestamp, status, latency_ms`.
    pub by: String,
    /// Whether nothing else looks like that. Of several uncertain ones the first wins whose `names` fit, else the first.
    pub certain: bool,
    /// What reads it.
    pub reader: Box<dyn Reader>,
}

/// Every form, the more telling ones first.
pub const FORMS: &[Form] = &[
    Form { kind: "archive", names: &[], recognize: archive::recognize_nested },
    Form { kind: "snapshot", names: &["snapshot"], recognize: documents::recognize_snapshot },
    Form { kind: "report", names: &["report"], recognize: documents::recognize_report },
    Form { kind: "docker_inspect", names: &["inspect"], recognize: documents::recognize_docker },
    Form { kind: "kubernetes", names: &["pod", "node", "kube"], recognize: documents::recognize_kubernetes },
    Form { kind: "nvidia_smi_xml", names: &["smi"], recognize: smi::recognize_xml },
    Form { kind: "nvidia_smi_table", names: &["smi"], recognize: smi::recognize_table },
    Form { kind: "metrics_page", names: &["metric", "prom"], recognize: pages::recognize },
    Form { kind: "locust_history", names: &[], recognize: locust::recognize_history },
    Form { kind: "locust_stats", names: &[], recognize: locust::recognize_stats },
    Form { kind: "locust_failures", names: &[], recognize: locust::recognize_failures },
    Form { kind: "locust_exceptions", names: &[], recognize: locust::recognize_exceptions },
    Form { kind: "oha_json", names: &[], recognize: oha::recognize },
    Form { kind: "wrk_summary", names: &[], recognize: summaries::recognize_wrk },
    Form { kind: "ab_summary", names: &[], recognize: summaries::recognize_ab },
    Form { kind: "hey_summary", names: &[], recognize: summaries::recognize_hey },
    Form { kind: "oha_summary", names: &[], recognize: summaries::recognize_oha },
    Form { kind: "k6_summary", names: &[], recognize: summaries::recognize_k6 },
    Form { kind: "k6_json", names: &[], recognize: summaries::recognize_k6_json },
    Form { kind: "watch", names: &[], recognize: samples::watch::recognize },
    Form { kind: "watch", names: &[], recognize: json_lines::recognize_watch },
    Form { kind: "nvidia_smi_dmon", names: &[], recognize: samples::dmon::recognize },
    Form { kind: "gpu_samples_json", names: &[], recognize: json_lines::recognize_samples },
    Form { kind: "requests_json", names: &[], recognize: json_lines::recognize_requests },
    Form { kind: "nvidia_smi_csv", names: &["smi", "gpu"], recognize: samples::recognize_smi },
    Form { kind: "requests_csv", names: &["request", "result", "latenc"], recognize: requests::recognize },
    Form { kind: "gpu_samples_csv", names: &["gpu", "sample", "util"], recognize: samples::recognize },
    Form {
        kind: "server_log",
        names: &[".log", "stderr", "stdout", "journal", ".out", ".err"],
        recognize: logs::recognize,
    },
];

/// The first form that is certain, else the best of those that are possible; or why there is none.
pub fn recognize(forms: &[Form], head: &Head) -> Result<(&'static str, Recognized), String> {
    if head.bytes.iter().all(u8::is_ascii_whitespace) {
        return Err("it is empty".into());
    }
    let mut best: Option<(bool, &'static str, Recognized)> = None;
    for form in forms {
        let Some(recognized) = (form.recognize)(head) else { continue };
        if recognized.certain {
            return Ok((form.kind, recognized));
        }
        let named = form.names.iter().any(|part| head.name.contains(part));
        if best.as_ref().is_none_or(|(best_named, ..)| named && !best_named) {
            best = Some((named, form.kind, recognized));
        }
    }
    match best {
        Some((_, kind, recognized)) => Ok((kind, recognized)),
        None if head.bytes.contains(&0) => Err("it is binary, of no form that is known here".into()),
        None => Err(format!("its beginning is of no form that is known here: {}", head.shown())),
    }
}

impl<'a> Head<'a> {
    /// The beginning of the file at `path`.
    pub fn new(path: &Path, bytes: &'a [u8], whole: bool) -> Self {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        Self { given: path.display().to_string(), name, bytes, whole }
    }

    /// Its whole lines, without their ends; the last one, which may be cut, only if the file ends there.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> {
        let bytes = match (self.whole, memchr::memrchr(b'\n', self.bytes)) {
            (false, Some(end)) => &self.bytes[..end],
            _ => self.bytes,
        };
        bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// The first byte that is no white space.
    pub fn first(&self) -> Option<u8> {
        self.bytes.iter().copied().find(|byte| !byte.is_ascii_whitespace())
    }

    /// Its first line that is not empty, for people.
    fn shown(&self) -> String {
        let line = self.lines().find(|line| !line.iter().all(u8::is_ascii_whitespace)).unwrap_or_default();
        let text: String = String::from_utf8_lossy(line).chars().take(60).collect();
        format!("\"{}\"", crate::words::plain(text.trim()))
    }
}
