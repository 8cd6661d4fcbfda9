//! Every command that a report names can be typed: it names no option that does not exist, no address that cannot be, and
//! no secret.

use clap::{CommandFactory, Parser};
use gpu_doctor::check::Checks;
use gpu_doctor::cli::Cli;
use gpu_doctor::diagnosis::diagnose;
use gpu_doctor::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Recorded snapshots: the bases and the cases.
fn snapshots() -> Vec<PathBuf> {
    let json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    let entries = |folder: &str| std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let bases = entries("fixtures/snapshots").filter(json);
    let cases = entries("fixtures/cases").map(|case| case.join("snapshot.json")).filter(|path| path.is_file());
    bases.chain(cases).collect()
}

/// The arguments of the doctor's own command in a text, if there is one.
fn own_command(text: &str) -> Option<Vec<String>> {
    let words = shlex::split(text).unwrap_or_else(|| panic!("no shell reads this: {text}"));
    let start = words.iter().position(|word| word == "gpu-doctor" || word == "/tmp/gpu-doctor")?;
    let ends = |word: &String| matches!(word.as_str(), "|" | "&&" | ";" | ">");
    Some(words.into_iter().skip(start).take_while(|word| !ends(word)).collect())
}

/// Whether the text holds a command of the doctor; one that cannot be typed is a fault.
fn can_be_typed(text: &str, place: &str) -> bool {
    assert!(!text.contains("unknown"), "{place}: {text}");
    let Some(arguments) = own_command(text) else { return false };
    if let Err(problem) = Cli::try_parse_from(&arguments) {
        panic!("{place}: {text}\n{problem}");
    }
    true
}

#[test]
fn every_command_of_a_report_can_be_typed() {
    let checks = Checks::load(None).unwrap();
    let (mut commands, mut ways) = (0, 0);
    for path in snapshots() {
        let snapshot: Snapshot = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let place = path.display().to_string();
        let diagnosed = diagnose(&checks, &snapshot).unwrap();
        for diagnosis in &diagnosed.diagnoses {
            let runs = diagnosis.fix.iter().map(|step| &step.run).filter(|run| run.contains("gpu-doctor"));
            for command in runs.chain(&diagnosis.verify) {
                commands += usize::from(can_be_typed(command, &format!("{place}: {}", diagnosis.cause)));
            }
        }
        for missing in &diagnosed.unknown {
            let mut parts = missing.get.split('`');
            while let (Some(_), Some(command)) = (parts.next(), parts.next()) {
                ways += usize::from(can_be_typed(command, &format!("{place}: {}", missing.path)));
            }
        }
    }
    assert!(commands > 150 && ways > 100, "{commands} commands, {ways} ways: the snapshots are gone?");
}

/// The options that the ways name, and those that the doctor takes for options without a value or for several.
#[test]
fn ways_name_options_that_exist() {
    let cli = Cli::command();
    let run = cli.find_subcommand("run").unwrap();
    let flags: BTreeSet<String> =
        run.get_arguments().filter_map(|one| one.get_long()).map(|long| format!("--{long}")).collect();
    // That a server was waited for is no setting: bench alone has an option of that name which is one.
    let flags: BTreeSet<String> = flags.into_iter().filter(|flag| flag != "--wait").collect();
    let waits = |command: &str, flag: &str| flag == "--wait-ready" || flag == "--wait" && command != "bench";
    let of_doctor =
        regex::Regex::new(r"\{(?:again|as_root|as_user|elsewhere|in_container)([^}]*)\}|\[((?:--[a-z-]+,? ?)+)\]");
    let of_doctor = of_doctor.unwrap();
    let flag = regex::Regex::new("--[a-z][a-z0-9-]*").unwrap();
    let text = std::fs::read_to_string(root().join("src/diagnosis/ways.yaml")).unwrap();
    let named: BTreeSet<&str> = of_doctor
        .captures_iter(&text)
        .flat_map(|found| {
            found.iter().skip(1).flatten().flat_map(|part| flag.find_iter(part.as_str())).collect::<Vec<_>>()
        })
        .map(|one| one.as_str())
        .collect();
    assert!(named.len() > 12, "{named:?}");
    assert!(named.iter().all(|one| flags.contains(*one)), "{named:?}");

    let source = std::fs::read_to_string(root().join("src/diagnosis/command.rs")).unwrap();
    let in_list = |list: &str| flag.find_iter(list).map(|one| one.as_str().to_owned()).collect::<BTreeSet<String>>();
    let listed = |name: &str| {
        let (_, rest) = source.split_once(&format!("const {name}: &[&str] =")).unwrap();
        let (_, rest) = rest.split_once("&[").unwrap();
        in_list(rest.split_once(']').unwrap().0)
    };
    let of_kind = |command: &clap::Command, fits: fn(&clap::ArgAction) -> bool| -> BTreeSet<String> {
        let fitting = command.get_arguments().filter(|one| fits(one.get_action()));
        fitting.filter_map(|one| one.get_long()).map(|long| format!("--{long}")).collect()
    };
    let mut switches = of_kind(run, |action| matches!(action, clap::ArgAction::SetTrue));
    let (_, further) = source.split_once("const FURTHER").unwrap();
    let (further, _) = further.split_once("\n];").unwrap();
    let one = regex::Regex::new(r#"\(\s*"([a-z]+)",\s*&\[([^\]]*)\]"#).unwrap();
    let mut commands = BTreeSet::new();
    for found in one.captures_iter(further) {
        let command = cli.find_subcommand(&found[1]).unwrap();
        let all = of_kind(command, |_| true);
        let own: BTreeSet<String> = all.difference(&flags).filter(|flag| !waits(&found[1], flag)).cloned().collect();
        assert_eq!(in_list(&found[2]), own, "options of {} that run does not take", &found[1]);
        switches.extend(of_kind(command, |action| matches!(action, clap::ArgAction::SetTrue)));
        commands.insert(found[1].to_owned());
    }
    assert_eq!(commands, BTreeSet::from(["balance", "bench", "stress", "watch"].map(str::to_owned)));
    assert_eq!(listed("SWITCHES"), switches);
    // Which checks to use is no setting of the target, nor where the report goes.
    let repeated = of_kind(run, |action| matches!(action, clap::ArgAction::Append));
    let selecting = BTreeSet::from(["--only", "--skip", "--output"].map(str::to_owned));
    assert_eq!(listed("REPEATED"), repeated.difference(&selecting).cloned().collect());
}
