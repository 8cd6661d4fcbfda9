//! The house stands: no upward or sideways import, no file too long, no room without a subject.

use regex::Regex;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms by floor. A file may import from lower floors and from its own room only.
const FLOORS: &[(&str, u8)] = &[
    ("exit", 0),
    ("snapshot", 0),
    ("probe", 1),
    ("check", 1),
    ("demo", 1),
    ("cli", 2),
    ("diagnosis", 2),
    ("config", 3),
    ("report", 3),
    ("commands", 4),
    ("main", 5),
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

/// Rooms that a text imports: `crate::room` anywhere, also inside `use crate::{a, b::c}`.
fn imports(text: &str) -> Vec<String> {
    let single = Regex::new(r"\bcrate::(\w+)").unwrap();
    let group = Regex::new(r"\bcrate::\{([^;]*)\}").unwrap();
    let mut rooms: Vec<String> = single.captures_iter(text).map(|c| c[1].to_string()).collect();
    for list in group.captures_iter(text) {
        let mut depth = 0;
        let mut word = String::new();
        for c in list[1].chars().chain([',']) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => rooms.push(std::mem::take(&mut word).split("::").next().unwrap().trim().into()),
                c => word.push(c),
            }
        }
    }
    rooms
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
    assert_eq!(rooms, ["cli", "config", "exit"]);
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
fn only_one_file_names_each_engine() {
    for (engine, home) in [("cel::", "check/expr.rs"), ("minijinja::", "check/template.rs")] {
        for file in sources() {
            let names = Regex::new(&format!(r"(?m)(^|[^\w])({engine})")).unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            assert!(!names.is_match(&text) || file.ends_with(home), "{} names {engine}", file.display());
        }
    }
}
