//! `man`: manual pages, from the command line's one definition.

use super::{Failure, output};
use crate::cli::{Cli, Man};
use crate::exit;
use anyhow::anyhow;
use clap::{Command, CommandFactory};
use clap_mangen::roff::{Roff, bold, roman};
use std::path::Path;

/// What every page tells beside its own command: heading, and rows of a name and what it means.
const SECTIONS: &[(&str, &[(&str, &str)])] = &[
    (
        "EXIT STATUS",
        &[
            ("0", "Nothing failed. Of commands that judge nothing: they did their work."),
            ("1", "A failure was diagnosed, or a waiver has expired. --fail-on widens it."),
            ("2", "Undecided: facts are missing that could change the answer."),
            ("64", "The command line, the config file or an input file is wrong."),
            ("70", "gpu-doctor itself is broken."),
            ("130", "It was ended by Ctrl-C before there was anything to tell."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "gpu-doctor.yaml",
                "The config file that gpu-doctor init writes. It is read only where --config names it.",
            ),
            (
                "*.json",
                "Snapshots (--save, collect) and reports (--format json). Both are written for their owner alone.",
            ),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("NO_COLOR", "If it is set, no colours are used."),
            ("CLICOLOR, CLICOLOR_FORCE", "0 turns colours off; CLICOLOR_FORCE=1 turns them on in pipes too."),
            ("TERM", "dumb turns colours off."),
            (
                "GPU_DOCTOR_SALT",
                "What identifiers are replaced by depends on it: reports that are made with the same value can be held \
                 against each other.",
            ),
            ("http_proxy, https_proxy, all_proxy, no_proxy", "Used with --proxy env only."),
            ("LD_LIBRARY_PATH, CUDA_VISIBLE_DEVICES", "Those of the server's process are read and examined."),
        ],
    ),
];

/// Examples for a command's page; the tool's own has the name "".
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "gpu-doctor run --server http://127.0.0.1:8000",
            "gpu-doctor init && gpu-doctor run --config gpu-doctor.yaml",
            "gpu-doctor demo",
        ],
    ),
    (
        "run",
        &[
            "gpu-doctor run --server http://127.0.0.1:8000 --client-request request.txt",
            "gpu-doctor run --config gpu-doctor.yaml --wait=2m --output junit=doctor.xml",
        ],
    ),
    ("stress", &["gpu-doctor stress --server http://127.0.0.1:8000 --users 10,25,50 --holds 100/2s"]),
    ("bench", &["gpu-doctor bench --server http://127.0.0.1:8000 --count 200 --save before.json"]),
    ("model", &["gpu-doctor model model.onnx --for-onnxruntime 1.23"]),
    ("request", &["gpu-doctor request --server http://127.0.0.1:8000 --all"]),
    ("collect", &["gpu-doctor collect --server http://127.0.0.1:8000 > snapshot.json"]),
    ("balance", &["gpu-doctor balance --server ws://127.0.0.1:8000/asr --connections 16"]),
    ("diagnose", &["gpu-doctor diagnose snapshot.json --format markdown"]),
    ("triage", &["gpu-doctor triage results.csv dmon.txt server.log"]),
    ("watch", &["gpu-doctor watch --server http://127.0.0.1:8000 --count 60"]),
    ("demo", &["gpu-doctor demo --output html=demo.html"]),
    ("checks", &["gpu-doctor checks list"]),
    ("explain", &["gpu-doctor explain ort-cpu-package-only"]),
    ("init", &["gpu-doctor init --server http://127.0.0.1:8000 -o doctor.yaml"]),
    ("completions", &["source <(gpu-doctor completions bash)"]),
    ("man", &["gpu-doctor man | man -l -", "gpu-doctor man /usr/local/share/man/man1"]),
];

/// Prints the tool's page, or writes every page.
pub fn run(options: &Man) -> Result<u8, Failure> {
    let mut cli = Cli::command();
    // Names and usage lines of the inner commands.
    cli.build();
    let Some(folder) = &options.folder else {
        let text = page(&cli, "gpu-doctor", "").map_err(|error| Failure::Bug(error.into()))?;
        output::to_stdout(|out| out.write_all(&text))?;
        return Ok(exit::HEALTHY);
    };
    if !folder.is_dir() {
        // `man run`: the page of a command, as of git and others.
        let named = |command: &&Command| folder.as_os_str() == command.get_name();
        let Some(command) = cli.get_subcommands().filter(|one| !one.is_hide_set()).find(named) else {
            return Err(Failure::Usage(anyhow!("{}: there is no such folder, and no such command", folder.display())));
        };
        let title = format!("gpu-doctor-{}", command.get_name());
        let text = page(command, &title, command.get_name()).map_err(|error| Failure::Bug(error.into()))?;
        output::to_stdout(|out| out.write_all(&text))?;
        return Ok(exit::HEALTHY);
    }
    save(folder, &cli, "gpu-doctor", "")?;
    for command in cli.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        save(folder, command, &format!("gpu-doctor-{}", command.get_name()), command.get_name())?;
    }
    Ok(exit::HEALTHY)
}

fn save(folder: &Path, command: &Command, title: &str, name: &str) -> Result<(), Failure> {
    let file = folder.join(format!("{title}.1"));
    output::verify_file("man", &file)?;
    let text = page(command, title, name).map_err(|error| Failure::Bug(error.into()))?;
    output::replace(&file, 0o644, |out| out.write_all(&text))
        .map_err(|error| Failure::Usage(anyhow!("{}: {error}", file.display())))
}

fn page(command: &Command, title: &str, name: &str) -> std::io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let man = clap_mangen::Man::new(command.clone())
        .title(title.to_uppercase())
        .section("1")
        .source(format!("gpu-doctor {version}"))
        .manual("gpu-doctor");
    let mut out = Vec::new();
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut further = Roff::new();
    // Notes of its own, but for the exit codes, which stand below.
    if let Some(notes) = command.get_after_help() {
        let notes = notes.to_string();
        let notes = notes.split("Exit codes:").next().unwrap_or_default().trim();
        if !notes.is_empty() {
            further.control("SH", ["NOTES"]);
            notes.split("\n\n").for_each(|part| paragraph(part, &mut further));
        }
    }
    for (heading, rows) in SECTIONS {
        further.control("SH", [*heading]);
        for (term, meaning) in *rows {
            further.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
        }
    }
    if let Some((_, examples)) = EXAMPLES.iter().find(|(of, _)| *of == name) {
        further.control("SH", ["EXAMPLES"]).control("nf", []);
        examples.iter().for_each(|line| {
            further.text([roman(*line)]);
        });
        further.control("fi", []);
    }
    further.control("SH", ["SEE ALSO"]);
    further.text([if name.is_empty() { roman("nvidia-smi(1)") } else { bold("gpu-doctor(1)") }]);
    further.to_writer(&mut out)?;
    Ok(out)
}

/// A paragraph; one with lines that are set in stays as it is.
fn paragraph(text: &str, page: &mut Roff) {
    page.control("PP", []);
    let as_it_is = text.lines().any(|line| line.starts_with("  "));
    if as_it_is {
        page.control("nf", []);
    }
    text.lines().for_each(|line| {
        page.text([roman(line)]);
    });
    if as_it_is {
        page.control("fi", []);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn every_command_has_an_example_that_can_be_typed() {
        let cli = Cli::command();
        for command in cli.get_subcommands() {
            let name = command.get_name();
            let of = |one: &&(&str, &[&str])| one.0 == name;
            assert!(EXAMPLES.iter().any(|one| of(&one)) || ["diff", "schema"].contains(&name), "{name}");
        }
        for line in EXAMPLES.iter().flat_map(|(_, lines)| *lines) {
            for part in line.split(" && ") {
                let words: Vec<&str> = part.split(" | ").next().unwrap_or_default().split(' ').collect();
                let words = words.iter().skip_while(|word| !word.ends_with("gpu-doctor"));
                let words: Vec<&str> = words
                    .map(|word| word.trim_start_matches("<(").trim_end_matches(')'))
                    .take_while(|w| *w != ">")
                    .collect();
                if let Err(problem) = Cli::try_parse_from(&words) {
                    panic!("{line}: {problem}");
                }
            }
        }
    }
}
