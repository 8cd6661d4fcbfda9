//! Every command line of the documentation can be typed.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use gpu_doctor::cli::{Cli, Command};
use regex::Regex;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// README, the guides, the page of the forms, the recipes with all of their files.
fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![root.join("README.md"), root.join("docs/formats.md")];
    let mut folders = vec![root.join("docs/guide"), root.join("docs/recipes")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() { folders.push(entry) } else { found.push(entry) }
        }
    }
    found
}

/// The code of a page: its blocks, and what stands between backticks.
fn code(page: &str) -> (String, String) {
    let (mut blocks, mut prose, mut inside) = (String::new(), String::new(), false);
    for line in page.lines() {
        match line.trim_start().starts_with("```") {
            true => inside = !inside,
            false => {
                let text = if inside { &mut blocks } else { &mut prose };
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let spans = Regex::new(r"`([^`]+)`").unwrap();
    let spans: Vec<String> = spans.captures_iter(&prose).map(|span| span[1].replace('\n', " ")).collect();
    (blocks, spans.join("\n"))
}

/// The doctor's command lines in a text, up to what a shell or a file's own syntax puts behind.
fn command_lines(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ").replace("\"$WAIT\"", "60s");
    let line = Regex::new(r#"(?m)(?:^|[\s("'/])(gpu-doctor(?: (?:[^\n;|&>"'()#]|"[^"\n]*"|(?:\S#))*|$))"#).unwrap();
    line.captures_iter(&text).map(|found| found[1].replace("...", "").trim().to_owned()).collect()
}

#[test]
fn every_command_line_can_be_typed() {
    let commands: Vec<String> = Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let mut parsed = 0;
    for file in documents() {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_page = file.extension().is_some_and(|extension| extension == "md");
        let (whole, mentioned) = if is_page { code(&text) } else { (text, String::new()) };
        let whole = command_lines(&whole).into_iter().map(|line| (line, false));
        for (line, is_mentioned) in whole.chain(command_lines(&mentioned).into_iter().map(|line| (line, true))) {
            let words = shlex::split(&line).unwrap_or_else(|| panic!("{}: {line}", file.display()));
            // Other files name the doctor in their own sentences too.
            let is_command = words.get(1).is_some_and(|word| commands.contains(word));
            if !(is_command || is_page && words.len() > 1) || line.contains("gpu-doctor init writes") {
                continue;
            }
            match Cli::try_parse_from(&words) {
                Ok(_) => parsed += 1,
                // A command that is only named, without what it needs.
                Err(error) if is_mentioned && error.kind() == ErrorKind::MissingRequiredArgument => {}
                Err(error) => panic!("{}: {line}\n{error}", file.display()),
            }
        }
    }
    assert!(parsed >= 60, "{parsed}");
}

#[test]
fn what_is_no_command_line_is_seen() {
    assert_eq!(command_lines("x=$(gpu-doctor run ... --format npd)\n"), ["gpu-doctor run  --format npd"]);
    let lines =
        command_lines("$ gpu-doctor run --wait 60s   # a\ngpu-doctor checks list ; gpu-doctor explain ID # b\n");
    assert_eq!(lines, ["gpu-doctor run --wait 60s", "gpu-doctor checks list", "gpu-doctor explain ID"]);
    assert_eq!(
        command_lines("'/usr/bin/gpu-doctor run --config \"$C\" \\\n -q'"),
        ["gpu-doctor run --config \"$C\"   -q"]
    );
    assert!(Cli::try_parse_from(["gpu-doctor", "run", "--wiat", "60s"]).is_err());
}

/// With a time behind a space or a sign, and without one; before other options and last.
#[test]
fn the_time_of_wait_may_stand_in_each_of_its_ways() {
    let waits = |arguments: &[&str]| {
        let all = [&["gpu-doctor"], arguments].concat();
        match Cli::try_parse_from(&all).unwrap_or_else(|error| panic!("{all:?}: {error}")).command {
            Command::Run(run) => (run.target.server, run.wait.wait),
            Command::Collect(collect) => (collect.target.server, collect.wait.wait),
            Command::Stress(stress) => (stress.target.server, stress.wait.wait),
            Command::Balance(balance) => (balance.target.server, balance.wait.wait),
            Command::Bench(bench) => (bench.target.server, bench.ready.wait_ready),
            other => panic!("{other:?}"),
        }
    };
    for command in ["run", "collect", "stress", "balance", "bench"] {
        let wait = if command == "bench" { "--wait-ready" } else { "--wait" };
        let server = Some("http://h".to_owned());
        for (words, seconds) in [(&[wait, "5s"][..], 5), (&[&format!("{wait}=5s")], 5), (&[wait], 60)] {
            let time = Some(Duration::from_secs(seconds));
            let target = &["--server", "http://h"][..];
            assert_eq!(waits(&[&[command], words, target].concat()), (server.clone(), time), "{command} {words:?}");
            assert_eq!(waits(&[&[command], target, words].concat()), (server.clone(), time), "{command} {words:?}");
        }
    }
    assert!(Cli::try_parse_from(["gpu-doctor", "run", "--wait", "soon"]).is_err());
}
