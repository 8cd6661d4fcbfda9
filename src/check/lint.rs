//! Holds checks against the fact types, so that a mistake in one is found before any run.

use super::load::{Check, Checks};
use super::paths::Paths;
use super::template;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::Path;

/// Deepest nesting of list macros: three nested ones over 300 items took 55 s (measured with cel 0.15).
const DEEPEST: usize = 2;

/// Everything that is wrong with the checks, one line each: file, place, problem, what to do.
pub fn lint(checks: &Checks, known_ids: &Checks) -> Vec<String> {
    let paths = Paths::new();
    let mut problems = Vec::new();
    for check in checks.iter() {
        let mut found = Vec::new();
        names(check, &mut found);
        conditions(check, &paths, &mut found);
        texts(check, &paths, &mut found);
        for id in &check.spec.explains {
            if checks.get(id).or(known_ids.get(id)).is_none() {
                found.push(format!("explains: no check has the id \"{id}\""));
            }
        }
        if let Some(way) = circle(&check.spec.id, checks, known_ids) {
            let way = way.join(" explains ");
            found.push(format!("explains: a cause cannot be its own effect, and {way}; leave one of them out"));
        }
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", check.file)));
    }
    problems
}

/// The way on which a check comes to explain itself, ids from it and back to it, if there is one.
fn circle<'a>(id: &'a str, checks: &'a Checks, known_ids: &'a Checks) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![id]];
    while let Some(way) = ways.pop() {
        let last = way.last().and_then(|last| checks.get(last).or(known_ids.get(last)));
        for next in last.into_iter().flat_map(|check| &check.spec.explains) {
            let longer: Vec<&str> = way.iter().copied().chain([next.as_str()]).collect();
            if next == id {
                return Some(longer);
            }
            if seen.insert(next.as_str()) {
                ways.push(longer);
            }
        }
    }
    None
}

fn names(check: &Check, found: &mut Vec<String>) {
    let spec = &check.spec;
    let path = Path::new(&check.file);
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    if name != spec.id.as_str() {
        found.push(format!("id: \"{}\" is not the file's name, \"{name}\"", spec.id));
    }
    if folder != spec.stage.name() {
        found.push(format!("stage: \"{}\" is not the folder's name, \"{folder}\"", spec.stage));
    }
    if !spec.id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        found.push("id: only lower-case letters, digits and hyphens".to_string());
    }
    if spec.fix.is_empty() || spec.fix.iter().any(|step| step.say.is_empty() && step.run.is_empty()) {
        found.push("fix: each step needs \"say\" or \"run\", and there must be one".to_string());
    }
    if spec.evidence.is_empty() {
        found.push("evidence: at least one path; a finding without proof is an opinion".to_string());
    }
    if spec.symptom && !spec.explains.is_empty() {
        found.push("explains: a symptom explains nothing".to_string());
    }
}

fn conditions(check: &Check, paths: &Paths, found: &mut Vec<String>) {
    let conditions =
        [("when", Some(&check.when)), ("warn_if", check.warn_if.as_ref()), ("proven_if", check.proven_if.as_ref())];
    for (key, condition) in conditions.into_iter().filter_map(|(key, condition)| Some((key, condition?))) {
        for path in condition.paths().iter().filter(|path| !paths.exists(path)) {
            found.push(format!("{key}: no fact is called \"{path}\""));
        }
        let depth = condition.depth();
        if depth > DEEPEST {
            found.push(format!("{key}: list macros are nested {depth} deep; at most {DEEPEST}"));
        }
    }
    // `[].all(..)` is true, so an empty list would make such a check hold.
    let all = Regex::new(r"([\w.]+)\.all\(").expect("a fixed pattern");
    for source in
        [Some(&check.spec.when), check.spec.warn_if.as_ref(), check.spec.proven_if.as_ref()].into_iter().flatten()
    {
        for list in all.captures_iter(source).map(|capture| capture[1].to_string()) {
            if !source.contains(&format!("size({list})")) {
                found.push(format!("when: {list}.all(..) is true of an empty list; add size({list}) > 0"));
            }
        }
    }
}

fn texts(check: &Check, paths: &Paths, found: &mut Vec<String>) {
    for path in check.spec.evidence.iter().filter(|path| !paths.exists(path)) {
        found.push(format!("evidence: no fact is called \"{path}\""));
    }
    for text in check.templates() {
        match template::paths(text) {
            Err(problem) => found.push(format!("template {problem}")),
            Ok(read) => {
                // Names of loop variables and filters' arguments are declared; what is left must be a fact.
                let stray = read.into_iter().filter(|path| !paths.exists(path) && !path.starts_with("loop"));
                found.extend(stray.map(|path| format!("template \"{text}\": no fact is called \"{path}\"")));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = include_str!("../../checks/hardware/no-nvidia-device.yaml");

    fn problems(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hardware/no-nvidia-device.yaml");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        lint(&Checks::of_folder(folder.path()).unwrap(), &Checks::load(None).unwrap())
    }

    #[test]
    fn the_built_in_checks_are_sound() {
        let checks = Checks::load(None).unwrap();
        assert!(checks.iter().count() >= 10);
        assert_eq!(lint(&checks, &checks), Vec::<String>::new());
    }

    #[test]
    fn mistakes_are_named() {
        let with = |from: &str, to: &str| {
            assert!(SOUND.contains(from), "the fixture changed: {from}");
            problems(&SOUND.replace(from, to)).join("\n")
        };
        assert!(
            with("!derived.gpu_visible", "!derived.gpu_visibel").contains("no fact is called \"derived.gpu_visibel\"")
        );
        assert!(with("id: no-nvidia-device", "id: no-device").contains("not the file's name"));
        assert!(with("stage: hardware", "stage: driver").contains("not the folder's name"));
        assert!(with("!derived.gpu_visible", "nvml.gpus.all(g, g.index > 0)").contains("add size(nvml.gpus) > 0"));
        let deep = "nvml.gpus.exists(a, nvml.gpus.exists(b, nvml.gpus.exists(c, a.index + b.index == c.index)))";
        assert!(with("!derived.gpu_visible", deep).contains("nested 3 deep"));
        assert!(with("[gpu-idle-while-serving", "[no-such-check").contains("no check has the id \"no-such-check\""));
    }

    #[test]
    fn a_circle_of_causes_is_named() {
        let circle = |text: &str| problems(&text.replace("[gpu-idle-while-serving", "[driver-not-loaded")).join("\n");
        assert!(!circle(SOUND).contains("its own effect"), "a longer chain is none");
        let found = circle(&SOUND.replace("[gpu-idle-while-serving", "[no-nvidia-device, gpu-idle-while-serving"));
        assert!(found.contains("no-nvidia-device explains no-nvidia-device"), "{found}");
        let by_way = SOUND
            .replace(", expectation-not-met", "")
            .replace("[gpu-idle-while-serving", "[xid79-off-bus")
            .replace("no-nvidia-device", "expectation-not-met");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hardware/expectation-not-met.yaml");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, by_way).unwrap();
        let found = lint(&Checks::of_folder(folder.path()).unwrap(), &Checks::load(None).unwrap()).join("\n");
        assert!(found.contains("expectation-not-met explains xid79-off-bus explains expectation-not-met"), "{found}");
    }
}
