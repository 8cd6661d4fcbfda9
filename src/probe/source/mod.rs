//! The server's own Python sources, read as text: which sessions it makes, and with which provider or device.

mod calls;
mod files;
mod handlers;
mod parameters;
mod request;
#[cfg(test)]
mod request_tests;
mod results;
pub(super) mod syntax;
#[cfg(test)]
mod tests;
pub(super) mod token;
mod words;

use super::process::own_code::{self, OwnCode};
use super::tree::Tree;
use super::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, Room, SourceCall, SourceFacts, Stage, Unknown, Why};
use calls::Place;
use files::{Reader, Text};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use syntax::Source;

/// Reads the Python files that make up the server's process. Nothing of them is run.
pub const PROBE: Probe = Probe {
    id: "source",
    stage: Stage::Runtime,
    rooms: &["source"],
    needs: &["process", "packages"],
    this_machine: true,
    budget: Duration::from_secs(4),
    run,
};

/// Packages that run onnxruntime or CTranslate2 inside, and what each of them brings along.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("docling", &["rapidocr", "rapidocr_onnxruntime"]),
    ("fastembed", &[]),
    ("faster_whisper", &[]),
    ("funasr_onnx", &[]),
    ("gliner", &[]),
    ("insightface", &[]),
    ("kokoro_onnx", &[]),
    ("magika", &[]),
    ("onnx_asr", &[]),
    ("piper", &[]),
    ("rapidocr", &[]),
    ("rapidocr_onnxruntime", &[]),
    ("rembg", &[]),
    ("sherpa_onnx", &[]),
    ("silero_vad", &[]),
    ("ultralytics", &[]),
    ("whisperx", &["faster_whisper"]),
];
/// What a file of a package must hold to be of interest.
const IN_PACKAGES: &[&str] = &["InferenceSession"];
/// What a file of the package that was started must name to be of interest.
const RUNTIMES: &[&str] = &["onnxruntime", "ctranslate2", "faster_whisper", "llama_cpp", "insightface", "torch"];
/// Modules that start a server whose code is elsewhere, or engines that are too large to be read.
const FRAMEWORKS: &[&str] = &[
    "bentoml",
    "daphne",
    "fastapi",
    "fastapi_cli",
    "flask",
    "gevent",
    "gradio",
    "granian",
    "gunicorn",
    "hypercorn",
    "importlib",
    "litserve",
    "llama_cpp",
    "mlserver",
    "multiprocessing",
    "os",
    "pip",
    "ray",
    "re",
    "sanic",
    "sglang",
    "streamlit",
    "sys",
    "text_generation_server",
    "torch",
    "torchserve",
    "transformers",
    "ts",
    "typer",
    "uvicorn",
    "vllm",
    "waitress",
];
/// Most calls told of one list, and most files and modules named.
const CALLS_MAX: usize = 100;
const NAMES_MAX: usize = 300;

fn run(context: &Context, facts: &mut Facts) -> Ran {
    match read(facts, context.deadline) {
        Ok(source) => {
            facts.source = source;
            Ran::ok()
        }
        Err(unknown) => {
            facts.source = SourceFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn read(facts: &Facts, deadline: Instant) -> Result<SourceFacts, Unknown> {
    // The probe's own work comes after the reading.
    let deadline = deadline.checked_sub(Duration::from_millis(500)).unwrap_or(deadline);
    let own = own_code::of(facts.process.processes.read()?, deadline)?;
    let mut reader = Reader::new(deadline);
    let mut server: Vec<Text> = own.iter().flat_map(|one| reader.own(one)).collect();
    server.extend(entry_package(&mut reader, &own, facts));
    let remote: Vec<Text> = own.iter().flat_map(|one| remote(&mut reader, one, &server, facts)).collect();
    let mut gathered = Gathered::default();
    server.iter().for_each(|text| gathered.take(text, "server"));
    remote.iter().for_each(|text| gathered.take(text, "remote_code"));
    let (installed, packages) = packages(&mut reader, &wrappers(&gathered.imports), facts);
    packages.iter().for_each(|text| gathered.take(text, "package"));
    if !gathered.imports.contains(results::PACKAGE) {
        gathered.lazy.clear();
    }
    let mut device_words = words::outside_code(facts);
    device_words.append(&mut gathered.words);
    words::settle(&mut device_words, &gathered.seen);
    let all = server.iter().chain(&remote).chain(&packages);
    let missing = reader.missing();
    // A call that was found stands; that there is none can be said only of files that were all read.
    let told = |calls: Vec<SourceCall>| match &missing {
        Some(unknown) if calls.is_empty() => Fact::Unknown(unknown.clone()),
        _ => Fact::Known(calls),
    };
    Ok(SourceFacts {
        files: Fact::Known(all.take(NAMES_MAX).map(|text| text.path.display().to_string()).collect()),
        imports: match &missing {
            Some(unknown) if gathered.imports.is_empty() => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(gathered.imports.into_iter().take(NAMES_MAX).collect()),
        },
        wrappers: Fact::Known(installed),
        remote_onnxruntime_files: Fact::Known(gathered.remote_onnxruntime),
        session_calls: told(gathered.sessions),
        model_calls: told(gathered.models),
        cpu_fallback_disabled: told(gathered.no_fallback),
        request_fields: match &missing {
            Some(unknown) if gathered.request.fields.is_empty() => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(gathered.request.fields),
        },
        fetch_calls: match &missing {
            Some(unknown) if gathered.request.fetches.is_empty() => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(gathered.request.fetches),
        },
        lazy_results: match &missing {
            Some(unknown) if gathered.lazy.is_empty() => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(gathered.lazy),
        },
        device_words: Fact::Known(device_words),
        mentions_cuda: match &missing {
            Some(unknown) if !gathered.mentions_cuda => Fact::Unknown(unknown.clone()),
            _ => Fact::Known(gathered.mentions_cuda),
        },
        not_read: Fact::Known(reader.not_read.into_iter().take(NAMES_MAX).collect()),
        cut_short: Fact::Known(reader.cut_short),
    })
}

impl Reader {
    /// Why something may be missing, if so.
    fn missing(&self) -> Option<Unknown> {
        if !self.cut_short.is_empty() {
            return Some(Unknown::new(Why::Unsupported, self.cut_short.clone()));
        }
        self.not_read.first().map(|detail| Unknown::new(Why::Denied, detail.clone()))
    }
}

/// The package that a console script or `-m` starts: then that is the server's own code, and lies with the others.
fn entry_package(reader: &mut Reader, own: &[OwnCode], facts: &Facts) -> Vec<Text> {
    let mut found = Vec::new();
    for name in own.iter().flat_map(files::entry_modules).filter(|name| !FRAMEWORKS.contains(&name.as_str())) {
        for site in facts.packages.site_packages.known().into_iter().flatten() {
            let (tree, site): (Tree, PathBuf) = Tree::holding(Path::new(site));
            let folder = site.join(&name);
            if tree.stat(&folder).is_ok_and(|metadata| metadata.is_dir()) {
                found.extend(reader.below(&tree, &folder, RUNTIMES));
            }
        }
    }
    found
}

/// The model's own code, of the repositories that the server names; of all of them if it names none and loads such code.
fn remote(reader: &mut Reader, own: &OwnCode, server: &[Text], facts: &Facts) -> Vec<Text> {
    let texts: Vec<&str> = server.iter().map(|text| text.text.as_str()).collect();
    let trusts = texts.iter().any(|text| text.contains("trust_remote_code"))
        || own.arguments.iter().any(|argument| argument.contains("trust-remote-code"));
    if !trusts {
        return Vec::new();
    }
    let mut found = Vec::new();
    for modules in files::remote_code(facts.process.environment.known(), own.home.as_deref()) {
        let all = reader.below(&own.tree, &modules, &["import"]);
        let named: BTreeSet<String> = files::repositories(&modules, &all)
            .into_iter()
            .filter(|repository| words::names_repository(&own.arguments, &texts, repository))
            .collect();
        let fits = |text: &Text| {
            named.is_empty() || files::repository(&modules, &text.path).is_some_and(|name| named.contains(&name))
        };
        found.extend(all.into_iter().filter(fits));
    }
    found
}

/// The wrapping packages among the imports, with what they bring along.
fn wrappers(imports: &BTreeSet<String>) -> Vec<&'static str> {
    let known = WRAPPERS.iter().filter(|(name, _)| imports.contains(*name));
    let mut found: Vec<&str> =
        known.flat_map(|(name, along)| [*name].into_iter().chain(along.iter().copied())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The wrapping packages that are installed, and those of their sources that make sessions.
fn packages(reader: &mut Reader, wrappers: &[&str], facts: &Facts) -> (Vec<String>, Vec<Text>) {
    let (mut installed, mut texts) = (Vec::new(), Vec::new());
    for site in facts.packages.site_packages.known().into_iter().flatten() {
        let (tree, site): (Tree, PathBuf) = Tree::holding(Path::new(site));
        for name in wrappers {
            let folder = site.join(name);
            if tree.stat(&folder).is_ok_and(|metadata| metadata.is_dir()) {
                installed.push((*name).to_owned());
                texts.extend(reader.below(&tree, &folder, IN_PACKAGES));
            }
        }
    }
    installed.sort_unstable();
    installed.dedup();
    (installed, texts)
}

/// What all files tell.
#[derive(Default)]
struct Gathered {
    sessions: Vec<SourceCall>,
    models: Vec<SourceCall>,
    no_fallback: Vec<SourceCall>,
    words: Vec<crate::snapshot::DeviceWord>,
    seen: BTreeSet<String>,
    imports: BTreeSet<String>,
    remote_onnxruntime: Vec<String>,
    mentions_cuda: bool,
    request: request::Told,
    lazy: Vec<crate::snapshot::LazyResult>,
}

impl Gathered {
    fn take(&mut self, text: &Text, origin: &'static str) {
        let source = &Source::of(&text.text);
        let file = text.path.display().to_string();
        let mut told = calls::read(source, &Place { file: &file, origin });
        let keep = |list: &mut Vec<SourceCall>, more: &mut Vec<SourceCall>| {
            list.append(more);
            list.truncate(CALLS_MAX);
        };
        keep(&mut self.sessions, &mut told.sessions);
        keep(&mut self.no_fallback, &mut told.no_fallback);
        // How a package loads its models is its own affair; which sessions it makes is not.
        if origin == "package" {
            return;
        }
        keep(&mut self.models, &mut told.models);
        self.imports.extend(source.imported.iter().map(|name| (*name).to_owned()));
        if origin == "remote_code" && source.imported.contains("onnxruntime") {
            self.remote_onnxruntime.push(file);
            return;
        }
        if origin == "server" {
            self.mentions_cuda |= words::mentions_cuda(source);
            self.words.append(&mut words::of(source, &file, &mut self.seen));
            let mut told = request::read(source, &file);
            self.request.fields.append(&mut told.fields);
            self.request.fields.truncate(NAMES_MAX);
            self.request.fetches.append(&mut told.fetches);
            self.request.fetches.truncate(CALLS_MAX);
            self.lazy.append(&mut results::read(source, &file));
            self.lazy.truncate(CALLS_MAX);
        }
    }
}
