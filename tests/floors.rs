//! The house stands: no upward import, none sideways without a reason, no file too long, no room without a subject.

use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Rooms by floor. A file may import from lower floors and from its own room only.
const FLOORS: &[(&str, u8)] = &[
    ("document", 0),
    ("exit", 0),
    ("regular_file", 0),
    ("secret", 0),
    ("snapshot", 0),
    ("words", 0),
    ("probe", 1),
    ("check", 1),
    ("demo", 1),
    ("cli", 2),
    ("diagnosis", 2),
    ("redact", 2),
    ("config", 3),
    ("report", 3),
    ("commands", 4),
    ("main", 5),
];
/// Which siblings inside a room import one another: the room, the imported sibling, the importers, and why.
const SIBLINGS: &[(&str, &str, &[&str], &str)] = &[
    ("check", "cases", &["lint", "trial"], "what a check is tried on"),
    ("check", "lint", &["trial"], "a mistake in a case is told as one in a check"),
    ("check", "derive", &["load", "view"], "derived facts stand beside the recorded ones, and need their rooms"),
    ("check", "expr", &["judge", "lint", "load", "reasons"], "the one room that knows CEL"),
    ("check", "judge", &["trial"], "a trial is a judgement of one check"),
    ("check", "load", &["catalogue", "judge", "lint", "reasons", "trial"], "the checks"),
    ("check", "paths", &["lint"], "the paths that exist"),
    ("check", "spec", &["judge", "lint", "load", "trial"], "the YAML of a check"),
    ("check", "template", &["judge", "lint", "load"], "the one file that knows the templates"),
    ("check", "view", &["judge", "paths", "reasons", "trial"], "the facts as checks see them"),
    ("check", "yaml", &["lint", "trial"], "where in a file a value stands"),
    ("commands", "document", &["bench", "diagnose", "diff"], "one way to read the doctor's own documents"),
    ("commands", "given", &["bench", "stress", "target", "triage", "watch"], "what the user ran, to be typed again"),
    (
        "commands",
        "note",
        &["bench", "document", "init", "output", "stress", "wait", "watch"],
        "what is said on standard error, without secrets",
    ),
    ("commands", "interrupt", &["balance", "bench", "stress", "watch"], "Ctrl-C ends the work in order"),
    (
        "commands",
        "output",
        &[
            "balance",
            "bench",
            "checks",
            "collect",
            "completions",
            "demo",
            "diagnose",
            "diff",
            "explain",
            "init",
            "man",
            "model",
            "request",
            "run",
            "schema",
            "stress",
            "triage",
            "watch",
        ],
        "where all output goes",
    ),
    (
        "commands",
        "progress",
        &["balance", "bench", "collect", "demo", "model", "run", "stress", "watch"],
        "what is shown while probes run",
    ),
    (
        "commands",
        "target",
        &["balance", "bench", "collect", "init", "request", "run", "stress", "watch"],
        "flags and config, joined",
    ),
    (
        "commands",
        "terminal",
        &["diff", "explain", "model", "output", "progress"],
        "how wide a text is, and whether it has colours",
    ),
    ("commands", "wait", &["balance", "bench", "collect", "run", "stress"], "a server that is not ready yet"),
    ("commands", "waivers", &["demo", "diagnose", "target", "triage"], "read before any time is spent"),
    ("diagnosis", "command", &["verify", "ways"], "the doctor's own command lines"),
    ("diagnosis", "recorded", &["headline"], "the sentence over files claims no more than they tell"),
    ("diagnosis", "ways", &["unasked"], "how to get a fact"),
    ("document", "conform", &["locate"], "where in a document a fault is, and what was expected there"),
    ("document", "locate", &["fault"], "a fault is told with its place"),
    ("document", "version", &["fault"], "a fault of the version is a fault"),
    ("probe", "ask", &["service"], "what the user asked about"),
    ("probe", "container", &["service"], "the control group's throttling is read in step with the requests"),
    ("probe", "cuda", &["jobs"], "its job"),
    ("probe", "cuda", &["smoke"], "the library that programs would load, with plain integers for results"),
    ("probe", "device_nodes", &["jobs"], "its job"),
    ("probe", "device_nodes", &["nvml"], "the control node as NVML meets it"),
    ("probe", "docker", &["triage"], "its record among the files"),
    (
        "probe",
        "environment",
        &["container", "cuda", "linker", "onnxruntime", "process", "python", "smoke"],
        "the server's variables",
    ),
    ("probe", "free_memory", &["loader", "onnxruntime"], "what a second model may take"),
    ("probe", "host", &["container"], "nodes and driver libraries are looked for in a container as on the host"),
    ("probe", "islands", &["prediction"], "what a predicted placement costs"),
    ("probe", "islands", &["onnxruntime"], "what nodes on the CPU cut apart"),
    (
        "probe",
        "isolation",
        &["cuda", "device_nodes", "jobs", "loader", "nvml", "onnxruntime", "packages", "python", "smoke"],
        "foreign code runs in a child",
    ),
    ("probe", "json_record", &["docker", "kubernetes"], "what other tools wrote as JSON is read through it"),
    ("probe", "kubernetes", &["triage"], "its records among the files"),
    ("probe", "linker", &["onnxruntime"], "what the CUDA provider needs is walked like any runtime"),
    ("probe", "load", &["service"], "the good request is sent by many users at once"),
    ("probe", "metrics", &["triage"], "pages that were saved"),
    ("probe", "metrics", &["service"], "the server's own counters are read in step with the requests"),
    ("probe", "metrics", &["watch"], "what the server's counters gained in each interval"),
    ("probe", "model", &["onnxruntime", "prediction"], "a placement is joined with the model's structure"),
    ("probe", "nvml", &["service"], "GPUs are sampled in step with the requests"),
    ("probe", "nvml", &["smoke"], "GPUs are sampled while the doctor's own kernel runs"),
    ("probe", "nvml", &["watch"], "GPUs are sampled while they are watched"),
    ("probe", "nvml", &["balance"], "GPUs are watched while connections come"),
    ("probe", "nvml", &["jobs"], "its jobs"),
    ("probe", "nvml", &["triage"], "the output of nvidia-smi among the files"),
    ("probe", "onnxruntime", &["jobs"], "its jobs"),
    ("probe", "open_files", &["balance"], "each connection takes one"),
    ("probe", "packages", &["onnxruntime"], "what a build wrote about itself is read in one place"),
    ("probe", "prediction", &["onnxruntime"], "what CUDA kernels read on the host stands in one table"),
    ("probe", "process", &["container"], "its threads are counted in one place"),
    ("probe", "process", &["docker"], "one way to write a command line without its secrets"),
    ("probe", "process", &["source"], "the files that make up the server are found in one place"),
    ("probe", "process", &["service"], "what the server has loaded once requests ran"),
    ("probe", "python", &["loader", "onnxruntime", "packages"], "one way to run the deployment's interpreter"),
    ("probe", "server_log", &["triage"], "logs among the files; failures are quoted without secrets"),
    (
        "probe",
        "server_log",
        &["service", "source"],
        "one way to quote without secrets; what the log gains while a request runs",
    ),
    ("probe", "server_log", &["loader"], "what the deployment's code prints says what its log would"),
    ("probe", "server_log", &["balance"], "what the log says of each connection"),
    ("probe", "service", &["balance"], "connections are opened by the transport of requests"),
    ("probe", "service", &["smoke"], "its samples are summed up as those of requests"),
    ("probe", "service", &["watch"], "where the server has its metrics pages"),
    ("probe", "service", &["triage"], "which fields the answer to a failed request names as missing"),
    ("probe", "smoke", &["jobs"], "its job"),
    ("probe", "source", &["service"], "a client's Python is read as the server's is"),
    ("probe", "tcp_sockets", &["process", "service"], "the one reader of the table of TCP sockets"),
    (
        "probe",
        "tree",
        &[
            "container",
            "device_nodes",
            "docker",
            "host",
            "kernel_log",
            "linker",
            "onnxruntime",
            "packages",
            "process",
            "service",
            "source",
        ],
        "every file of the examined tree is read through it",
    ),
    ("probe", "triage", &["watch"], "what a watch recorded is judged as files are"),
    (
        "redact",
        "addresses",
        &["hosts", "patterns", "walk"],
        "what is an address, and what a version, is decided in one place",
    ),
    ("redact", "addresses", &["said", "hosts", "patterns", "walk"], "which texts are addresses"),
    ("redact", "closed", &["known", "walk"], "words that are nobody's name"),
    ("redact", "hosts", &["patterns"], "names of machines in URLs and logs"),
    ("redact", "known", &["walk"], "what the walk has learnt"),
    ("redact", "numbers", &["patterns"], "numbers of boards and machines"),
    ("redact", "patterns", &["places", "walk"], "each text is looked into"),
    ("redact", "places", &["known", "walk"], "what a text's place says of it"),
    ("redact", "public", &["hosts", "known", "qualified", "said", "users", "walk"], "which names are anybody's"),
    ("redact", "qualified", &["patterns", "said", "users"], "names with their domain"),
    ("redact", "said", &["patterns", "walk"], "names that a word beside them tells of"),
    ("redact", "token", &["known", "numbers", "patterns", "places", "users", "walk"], "what stands for identifiers"),
    ("redact", "users", &["patterns", "walk"], "names of people"),
    ("report", "activity", &["html", "markdown", "text"], "what the GPUs did is a part of the report"),
    ("report", "bounded", &["github", "html", "junit", "markdown"], "one way to show the beginning of a text"),
    (
        "report",
        "cause",
        &["github", "html", "junit", "markdown", "text"],
        "what kind of cause it is, and it in plain lines",
    ),
    ("report", "connections", &["html", "markdown", "text"], "where connections came is a part of the report"),
    ("report", "exchanges", &["html"], "the words of an exchange are the same in every form"),
    ("report", "files", &["markdown", "text"], "what files are and lack is a part of the report"),
    ("report", "load", &["markdown", "text"], "what a load came to is a part of the report"),
    ("report", "missing", &["text"], "what could not be known is a part of the report"),
    (
        "report",
        "page",
        &[
            "activity",
            "audit",
            "connections",
            "exchanges",
            "files",
            "load",
            "markdown",
            "missing",
            "short",
            "sureness",
            "text",
            "watch",
        ],
        "one way to write paragraphs, tables and commands that keep to the width",
    ),
    ("report", "proof", &["cause", "html", "markdown", "text"], "evidence is told alike in every form"),
    ("report", "short", &["text"], "a cause is named alike in few words"),
    ("report", "sureness", &["text"], "how sure a cause is stands among what is told of it"),
    ("report", "text", &["short"], "where all is well neither says anything with -q"),
    ("secret", "forms", &["text"], "what a text's form gives away"),
    ("secret", "names", &["text", "value", "words"], "which names stand for secrets"),
    ("secret", "stand_in", &["words"], "what redaction wrote is no secret"),
    ("secret", "value", &["text"], "where the values behind a name stand"),
    ("secret", "words", &["text", "value"], "whether what stands there is a secret"),
    ("snapshot", "counters", &["load"], "what the server counted is told alike in a step"),
    ("snapshot", "execution", &["load"], "a step is watched as the window is"),
    ("snapshot", "execution", &["smoke"], "the control on a GPU is watched as the window is"),
    ("snapshot", "execution", &["smoke"], "the control's counters are told as the window's"),
    (
        "snapshot",
        "fact",
        &[
            "connections",
            "container",
            "counters",
            "cuda",
            "device_nodes",
            "docker",
            "engine",
            "execution",
            "host",
            "imports",
            "kernel_log",
            "kubernetes",
            "linker",
            "load",
            "loaded",
            "model",
            "nvml",
            "ort",
            "packages",
            "placement",
            "process",
            "recorded",
            "request",
            "server_log",
            "smoke",
            "source",
        ],
        "what every room is made of",
    ),
    ("snapshot", "host", &["container"], "a container's device nodes are those of a machine"),
    ("snapshot", "nvml", &["execution"], "a window is of one of the GPUs that NVML listed"),
    ("snapshot", "ort", &["linker"], "a missing library is told alike"),
    ("snapshot", "process", &["execution"], "files that the server holds are told alike before and after the window"),
    ("snapshot", "server_log", &["loaded"], "a saying is one wherever it is printed"),
];
/// Items of the crate's root that every floor may use.
const ROOT: &[&str] = &["TOOL"];
const LONGEST_LINES: usize = 500;
const MEDIAN_LINES: usize = 150;
const NAMES_WITHOUT_SUBJECT: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "misc", "types"];

fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|e| e == "rs") => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    assert!(files.len() > 30, "the walk found too little: {files:?}");
    files
}

fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    inside.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_string()
}

/// Paths that a text names, from `crate` or `super` on: in expressions, and in `use` with its groups taken apart.
fn paths(text: &str) -> Vec<String> {
    static USED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\buse\s+((?:crate|super)[^;]*);").unwrap());
    static NAMED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap());
    let mut found: Vec<String> = NAMED.find_iter(text).map(|path| path.as_str().into()).collect();
    for tree in USED.captures_iter(text) {
        let tree: String = tree[1].split_whitespace().collect::<Vec<_>>().join(" ");
        branches("", &tree, &mut found);
    }
    found
}

/// Takes one `use` tree apart.
fn branches(start: &str, tree: &str, found: &mut Vec<String>) {
    let Some((before, group)) = tree.split_once('{') else {
        found.push(format!("{start}{}", tree.split(" as ").next().unwrap_or(tree).trim()));
        return;
    };
    let start = format!("{start}{}", before.trim());
    let (mut depth, mut branch) = (0, String::new());
    for c in group.trim_end().trim_end_matches('}').chars().chain([',']) {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth <= 0 => branches(&start, std::mem::take(&mut branch).trim(), found),
            c => branch.push(c),
        }
    }
}

/// The modules of a source file, from the crate's root: `["probe", "host", "pci"]`.
fn module(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let names = inside.iter().map(|name| name.to_string_lossy().trim_end_matches(".rs").to_string());
    names.filter(|name| name != "mod").collect()
}

/// A path as seen from a module, from the crate's root. A test module inside a file counts as the file.
fn absolute(path: &str, module: &[String]) -> Vec<String> {
    let mut at = module.to_vec();
    for name in path.split("::") {
        match name {
            "crate" => at.clear(),
            "super" => drop(at.pop()),
            name => at.push(name.to_string()),
        }
    }
    at
}

/// Rooms that a text imports.
fn imports(text: &str) -> Vec<String> {
    let rooted = |path: String| path.strip_prefix("crate::").map(|rest| rest.split("::").next().unwrap().to_string());
    paths(text).into_iter().filter_map(rooted).collect()
}

#[test]
fn imports_go_down() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for file in sources() {
        let own = room(&file);
        if own == "lib" {
            continue;
        }
        let floor = *floors.get(own.as_str()).unwrap_or_else(|| panic!("{own} has no floor: add it to FLOORS"));
        for imported in imports(&std::fs::read_to_string(&file).unwrap()) {
            if imported == own || imported.is_empty() || ROOT.contains(&imported.as_str()) {
                continue;
            }
            match floors.get(imported.as_str()) {
                Some(below) if *below < floor => {}
                _ => faults.push(format!("{} (floor {floor}) imports crate::{imported}", file.display())),
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_walk_sees_imports() {
    let text = "use crate::{cli::{A, B}, config};\nfn f() { crate::exit::BUG; }";
    let mut rooms = imports(text);
    rooms.sort();
    rooms.dedup();
    assert_eq!(rooms, ["cli", "config", "exit"]);
    let inside = module(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probe/host/pci.rs"));
    let seen: Vec<String> = paths("use super::super::{tree::{self, Tree}, x as y};")
        .iter()
        .map(|p| absolute(p, &inside).join("/"))
        .collect();
    assert!(seen.iter().any(|path| path == "probe/tree/Tree") && seen.iter().any(|path| path == "probe/x"), "{seen:?}");
}

#[test]
fn rooms_import_their_siblings_only_where_it_is_said() {
    let mut seen: BTreeMap<(String, String, String), PathBuf> = BTreeMap::new();
    for file in sources() {
        let own = module(&file);
        let [parent, room, ..] = own.as_slice() else { continue };
        for path in paths(&std::fs::read_to_string(&file).unwrap()) {
            let path = absolute(&path, &own);
            let [imported_parent, imported, ..] = path.as_slice() else { continue };
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(parent);
            let is_room = folder.join(imported).is_dir() || folder.join(format!("{imported}.rs")).is_file();
            if imported_parent == parent && is_room && imported != room {
                seen.insert((parent.clone(), imported.clone(), room.clone()), file.clone());
            }
        }
    }
    let mut faults = Vec::new();
    let said = |(parent, imported, room): &(String, String, String)| {
        SIBLINGS.iter().any(|(p, i, rooms, _)| p == parent && i == imported && rooms.contains(&room.as_str()))
    };
    for (import, file) in seen.iter().filter(|(import, _)| !said(import)) {
        faults.push(format!("{} imports its sibling {}::{}: say why in SIBLINGS", file.display(), import.0, import.1));
    }
    for (parent, imported, rooms, reason) in SIBLINGS {
        assert!(!reason.is_empty());
        for room in *rooms {
            if !seen.contains_key(&(parent.to_string(), imported.to_string(), room.to_string())) {
                faults.push(format!("{parent}::{room} does not import {imported} any more: take it out of SIBLINGS"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short_and_named_by_a_subject() {
    let mut lengths = Vec::new();
    for file in sources() {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= LONGEST_LINES, "{} has {lines} lines", file.display());
        lengths.push(lines);
        for part in file.iter().map(|part| part.to_string_lossy()) {
            let name = part.trim_end_matches(".rs");
            assert!(
                !NAMES_WITHOUT_SUBJECT.contains(&name),
                "{}: \"{name}\" does not say what is in it",
                file.display()
            );
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= MEDIAN_LINES, "the median file has {median} lines");
}

#[test]
fn only_one_room_names_each_engine() {
    for (engine, home) in [("cel::", "check/expr"), ("minijinja::", "check/template")] {
        let names = Regex::new(&format!(r"(?m)(^|[^\w])({engine})")).unwrap();
        for file in sources() {
            let text = std::fs::read_to_string(&file).unwrap();
            let at_home =
                file.with_extension("").ends_with(home) || file.parent().is_some_and(|room| room.ends_with(home));
            assert!(!names.is_match(&text) || at_home, "{} names {engine}", file.display());
        }
    }
}

#[test]
fn what_goes_to_standard_error_goes_through_one_place_without_secrets() {
    // The demo tells of its own server; tests of real programs say what they left out.
    let allowed =
        ["src/main.rs", "src/commands/note.rs", "src/commands/demo.rs", "src/probe/service/grpc/triton_tests.rs"];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let writes = |file: &PathBuf| std::fs::read_to_string(file).unwrap().contains("eprintln!");
    let seen: Vec<PathBuf> = sources().into_iter().filter(writes).collect();
    let seen: Vec<&Path> = seen.iter().map(|file| file.strip_prefix(root).unwrap()).collect();
    let mut allowed = allowed.map(Path::new).to_vec();
    allowed.sort();
    let mut told = seen.clone();
    told.sort();
    assert_eq!(told, allowed);
}
