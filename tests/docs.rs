//! docs/checks is what the checks say, its links lead somewhere, and what docs/writing-checks.md shows is so.

mod setup;

use clap::Parser;
use gpu_doctor::check::Checks;
use gpu_doctor::cli::Cli;
use gpu_doctor::report::{Page, index};
use regex::Regex;
use setup::doctor::gpu_doctor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// Every page of docs/checks, by its path there.
fn pages() -> BTreeMap<PathBuf, String> {
    let checks = Checks::load(None).unwrap();
    let mut pages = BTreeMap::new();
    for check in checks.iter() {
        let mut text = Vec::new();
        Page::of(check, &checks).markdown(&mut text).unwrap();
        let path = Path::new(check.spec.stage.name()).join(format!("{}.md", check.spec.id));
        pages.insert(path, String::from_utf8(text).unwrap());
    }
    let mut text = Vec::new();
    index(&checks, &mut text).unwrap();
    pages.insert("README.md".into(), String::from_utf8(text).unwrap());
    pages
}

/// Files below a folder, by their path from it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => drop(found.insert(path.strip_prefix(folder).unwrap().to_path_buf())),
            }
        }
    }
    found
}

/// `GPU_DOCTOR_UPDATE=1 cargo test --test docs` writes the pages anew.
#[test]
fn the_committed_pages_are_those_of_the_checks() {
    let folder = docs().join("checks");
    let pages = pages();
    if std::env::var_os("GPU_DOCTOR_UPDATE").is_some() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).unwrap();
        }
        for (path, text) in &pages {
            let file = folder.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
    }
    let again = "GPU_DOCTOR_UPDATE=1 cargo test --test docs";
    let stale = |path: &&PathBuf| std::fs::read_to_string(folder.join(path)).ok().as_ref() != pages.get(*path);
    let stale: Vec<_> = pages.keys().filter(stale).collect();
    assert!(stale.is_empty(), "docs/checks is out of date ({again}): {stale:?}");
    let stray: Vec<PathBuf> = files(&folder).into_iter().filter(|path| !pages.contains_key(path)).collect();
    assert!(stray.is_empty(), "docs/checks has pages of no check ({again}): {stray:?}");
}

/// Text of a page outside of code.
fn prose(text: &str) -> String {
    let fenced = Regex::new(r"(?ms)^```.*?^```$").unwrap();
    let code = Regex::new(r"`[^`]*`").unwrap();
    // Code within a line may go over its end, and not over the paragraph's.
    let outside = fenced.replace_all(text, "");
    outside.split("\n\n").map(|part| code.replace_all(part, "CODE")).collect::<Vec<_>>().join("\n\n")
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#'));
    headings
        .map(|heading| {
            let heading = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
            kept.collect::<String>().replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut texts: BTreeMap<PathBuf, String> =
        pages().into_iter().map(|(path, text)| (docs().join("checks").join(path), text)).collect();
    let tutorial = docs().join("writing-checks.md");
    texts.insert(tutorial.clone(), std::fs::read_to_string(tutorial).unwrap());
    let link = Regex::new(r"\]\(([^)\s]+)\)|<(https?://[^>\s]+)>").unwrap();
    let (mut inner, mut outer) = (0, 0);
    for (path, text) in &texts {
        for found in link.captures_iter(&prose(text)) {
            let target = found.get(1).or(found.get(2)).unwrap().as_str();
            if target.contains("://") {
                let url =
                    url::Url::parse(target).unwrap_or_else(|error| panic!("{}: {target}: {error}", path.display()));
                assert!(url.scheme() == "https" && url.host_str().is_some_and(|host| host.contains('.')), "{target}");
                outer += 1;
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => path.clone(),
                file => path.parent().unwrap().join(file),
            };
            // Pages are named by their path below docs, without `..`.
            let mut plain = PathBuf::new();
            for part in file.components() {
                match part {
                    std::path::Component::ParentDir => drop(plain.pop()),
                    part => plain.push(part),
                }
            }
            let known = texts.contains_key(&plain) || plain.is_file();
            assert!(known, "{}: {target} leads nowhere", path.display());
            if !anchor.is_empty() {
                assert!(anchors(&texts[&plain]).contains(anchor), "{}: no heading for {target}", path.display());
            }
            inner += 1;
        }
    }
    assert!(inner > 800 && outer > 120, "{inner} links among pages, {outer} to sources");
}

/// Nothing of a template, no markup, no line that Markdown makes something else of.
#[test]
fn pages_show_what_was_meant() {
    let is_cel = Regex::new(r"(?ms)^```cel$.*?^```$").unwrap();
    let two_marks = Regex::new(r"[;,:]\s*[.;,](?:\s|$)|because\s+[.;,]").unwrap();
    let is_link = Regex::new(r"<https://[^>]+>|\]\([^)]*\)").unwrap();
    for (path, text) in pages() {
        let prose = prose(&text);
        for mark in ["{{", "{%", "%}", "<name", "`"] {
            assert!(!prose.contains(mark), "{}: {mark} in\n{prose}", path.display());
        }
        // Commands and places to fill in as well; conditions in CEL and sources have marks of their own.
        let told = is_cel.replace_all(&text, "");
        for mark in ["<\"", "<<", "}[", "{%"] {
            assert!(!told.contains(mark), "{}: {mark} in\n{told}", path.display());
        }
        let stray = two_marks.find(&prose).map(|found| found.as_str());
        assert_eq!(stray, None, "{}: this is no sentence:\n{prose}", path.display());
        let plain = is_link.replace_all(&prose, "");
        assert!(!plain.contains('<') && !plain.contains('_'), "{}:\n{plain}", path.display());
        assert_eq!(text.matches("\n```").count() % 2, 0, "{}", path.display());
        assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "{}", path.display());
    }
}

#[test]
fn the_example_of_the_tutorial_is_sound_passes_and_is_used() {
    let folder = docs().join("examples/checks");
    let folder = folder.to_str().unwrap();
    let said = gpu_doctor(&["checks", "lint", folder], &[]);
    assert_eq!((said.code, said.out.as_str()), (0, "no problem found in 1 check\n"), "{}", said.err);
    let said = gpu_doctor(&["checks", "test", folder, "--strict"], &[]);
    assert_eq!(said.code, 0, "{}", said.out);
    let tutorial = std::fs::read_to_string(docs().join("writing-checks.md")).unwrap();
    assert!(tutorial.contains(said.out.as_str()), "the tutorial shows something else than\n{}", said.out);
    let said = gpu_doctor(&["explain", "acme-old-cuda-in-path", "--checks", folder], &[]);
    assert!(said.code == 0 && said.out.contains("Our base image puts CUDA 11"), "{}{}", said.out, said.err);
    let said = gpu_doctor(&["checks", "list", "--only", "acme-", "--checks", folder], &[]);
    assert_eq!(said.out.lines().count(), 2, "{}", said.out);
    // What the page quotes stands in the files.
    for name in ["acme-old-cuda-in-path.yaml", "acme-old-cuda-in-path.cases.yaml"] {
        let text = std::fs::read_to_string(docs().join("examples/checks/process").join(name)).unwrap();
        let start = text.lines().next().unwrap();
        let quoted = tutorial.split("```yaml\n").skip(1).find(|block| block.starts_with(start)).unwrap();
        assert!(text.starts_with(quoted.split("```").next().unwrap()), "{name} differs from the page");
    }
}

#[test]
fn the_mistake_of_the_tutorial_is_shown_as_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let stage = folder.path().join("process");
    std::fs::create_dir(&stage).unwrap();
    let text = std::fs::read_to_string(docs().join("examples/checks/process/acme-old-cuda-in-path.yaml")).unwrap();
    let wrong = text.replacen("&& process.environment.LD", "&& process.enviroment.LD", 1);
    std::fs::write(stage.join("acme-old-cuda-in-path.yaml"), wrong).unwrap();
    let said = gpu_doctor(&["checks", "lint", folder.path().to_str().unwrap()], &[]);
    assert_eq!(said.code, 1, "{}", said.err);
    let shown = said.out.replace(folder.path().to_str().unwrap(), "checks");
    let shown = shown.split("\n\n").next().unwrap();
    let tutorial = std::fs::read_to_string(docs().join("writing-checks.md")).unwrap();
    assert!(tutorial.contains(shown), "the tutorial shows something else than\n{shown}");
    let said = gpu_doctor(&["checks", "lint", folder.path().to_str().unwrap(), "--format", "github"], &[]);
    assert!(said.out.starts_with("::error file=") && said.out.contains(",line=8,col=14,"), "{}", said.out);
}

#[test]
fn every_command_of_the_tutorial_can_be_typed() {
    let tutorial = std::fs::read_to_string(docs().join("writing-checks.md")).unwrap();
    let blocks = tutorial.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let commands: Vec<&str> = blocks.flat_map(str::lines).collect();
    assert!(commands.len() > 4);
    for command in commands {
        let words = shlex::split(command.split(" > ").next().unwrap()).unwrap();
        Cli::try_parse_from(&words).unwrap_or_else(|problem| panic!("{command}: {problem}"));
    }
}

/// A case that fails, a missing one, and a check that cannot be read.
#[test]
fn a_users_cases_that_fail_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let stage = folder.path().join("process");
    std::fs::create_dir(&stage).unwrap();
    let example = docs().join("examples/checks/process");
    let name = "acme-old-cuda-in-path";
    std::fs::copy(example.join(format!("{name}.yaml")), stage.join(format!("{name}.yaml"))).unwrap();
    let test = |more: &[&str]| gpu_doctor(&[&["checks", "test", folder.path().to_str().unwrap()], more].concat(), &[]);
    assert_eq!(test(&[]).code, 0, "a missing case is told, and is no failure");
    assert!(test(&[]).out.contains("no case for holds, clear, unknown"), "{}", test(&[]).out);
    assert_eq!(test(&["--strict"]).code, 1);
    let cases = stage.join(format!("{name}.cases.yaml"));
    // A snapshot of the user's own, beside the cases.
    std::fs::copy(setup::cases::fixtures().join("snapshots/healthy-server.json"), stage.join("ticket.json")).unwrap();
    std::fs::write(&cases, "clear: {base: ./ticket.json}\nholds: {base: ./ticket.json}\n").unwrap();
    let said = test(&[]);
    assert_eq!(said.code, 1);
    for words in ["1 of 2 cases failed", "cases.yaml:2", "expected holds, got clear", "process.environment = {"] {
        assert!(said.out.contains(words), "{words} is not in\n{}", said.out);
    }
    let json: serde_json::Value = serde_json::from_str(&test(&["--format", "json"]).out).unwrap();
    assert_eq!((&json[0]["cases"][0]["line"], &json[0]["cases"][0]["got"]), (&2.into(), &"clear".into()));
    std::fs::write(stage.join("broken.yaml"), "id: broken\n").unwrap();
    let said = test(&[]);
    assert!(said.code == 64 && said.err.contains("checks lint"), "{}", said.err);
}

#[test]
fn a_page_keeps_to_the_width_of_the_terminal() {
    for (columns, most) in [("60", 60), ("120", 120)] {
        for id in ["ort-cpu-package-only", "request"] {
            let said = gpu_doctor(&["explain", id], &[("COLUMNS", columns.into())]);
            // The paragraphs: commands and links stand whole, lists have columns of their own.
            let of_list = |line: &str| line.contains("   ") || line.contains("://") || !line.starts_with("  ");
            let text = said.out.lines().filter(|line| !of_list(line) && !line.contains("  fail  "));
            let text = text.filter(|line| !line.contains("  warn  "));
            let long: Vec<&str> = text.filter(|line| line.chars().count() > most && line.contains(' ')).collect();
            assert!(!said.out.is_empty() && long.is_empty(), "{columns}: {long:#?}");
        }
    }
}
