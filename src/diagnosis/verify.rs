//! Commands of checks, completed: a check's text knows what the check needs, the target what the user ran.

use super::Diagnosis;
use super::command::{ADDRESS, Command, is_demo, quoted};
use crate::snapshot::{Snapshot, Target};

/// Files that another tool wrote and that are read in its place: the option, the tool's command, the stages that read it.
const RECORDINGS: &[(&str, &str, &[&str])] = &[
    ("--nvidia-smi", "nvidia-smi -q -x", &["hardware", "driver", "cuda", "process", "execution"]),
    ("--kernel-log", "sudo dmesg", &["hardware", "driver", "cuda", "execution"]),
    ("--docker-inspect", "docker inspect CONTAINER", &["container", "packages"]),
    ("--kubectl", "kubectl get pod,node,event -o json", &["container", "packages"]),
];

/// Completes what a cause says is to be run.
pub fn complete(diagnoses: &mut [Diagnosis], snapshot: &Snapshot) {
    for diagnosis in diagnoses {
        for step in &mut diagnosis.fix {
            step.run = completed(&step.run, snapshot);
        }
        diagnosis.verify = diagnosis.verify.iter().flat_map(|text| anew(completed(text, snapshot), snapshot)).collect();
    }
}

/// A command in which a server that has ended is named by a placeholder.
pub fn reachable(target: &Target, text: &str) -> String {
    match &target.server {
        Some(server) if is_demo(target) => text.replace(server.trim_end_matches('/'), ADDRESS),
        _ => text.to_owned(),
    }
}

/// A text whose command of the doctor is what the user ran, and what the check wants of it.
fn completed(text: &str, snapshot: &Snapshot) -> String {
    let text = reachable(&snapshot.target, text);
    for (name, complete) in [
        ("gpu-doctor run", run as fn(Command, &Snapshot) -> String),
        ("gpu-doctor triage", triage),
        ("gpu-doctor balance", balance),
    ] {
        let Some((before, after)) = text.rsplit_once(name) else { continue };
        let Some(words) = shlex::split(after) else { break };
        // A command that goes on behind the doctor's is left as its author wrote it.
        if before.ends_with(|c: char| !c.is_whitespace())
            || words.iter().any(|word| matches!(word.as_str(), "|" | "&&" | ";" | ">" | "||" | "&"))
        {
            break;
        }
        return format!("{before}{}", complete(Command::parse(words), snapshot));
    }
    text
}

fn run(wanted: Command, snapshot: &Snapshot) -> String {
    Command::of(&snapshot.target).into_run().with(wanted).typed()
}

/// `balance` as it was typed; with what the check wants, where something else was.
fn balance(wanted: Command, snapshot: &Snapshot) -> String {
    match snapshot.target.command.first().is_some_and(|name| name == "balance") {
        true => Command::of(&snapshot.target).typed(),
        false => Command::of(&snapshot.target).with(wanted).into_balance().typed(),
    }
}

/// `triage` of the files that were read.
fn triage(_: Command, snapshot: &Snapshot) -> String {
    let options = match snapshot.target.command.split_first() {
        Some((name, options)) if name == "triage" => options.to_vec(),
        // Members of an archive are no files.
        _ => {
            let files = snapshot.facts.recorded.files.known().map(Vec::as_slice).unwrap_or_default();
            files.iter().map(|file| file.name.clone()).filter(|name| !name.contains(".gz/")).collect()
        }
    };
    let words: Vec<String> = options.iter().map(|word| quoted(word)).collect();
    format!("gpu-doctor triage {}", if words.is_empty() { "FILE...".into() } else { words.join(" ") })
}

/// The command, and before it those that write anew the recordings that it reads: an old one shows the old fault.
fn anew(text: String, snapshot: &Snapshot) -> Vec<String> {
    let parsed = text.strip_prefix("gpu-doctor run").and_then(shlex::split).map(Command::parse);
    let Some(command) = parsed else { return vec![text] };
    let reads = |stages: &[&str]| match command.value("--only") {
        Some(only) => only.split(',').any(|one| stages.contains(&one)),
        None => true,
    };
    let container = snapshot.facts.docker.name.known().map(|name| quoted(name.trim_start_matches('/')));
    let mut all = Vec::new();
    for (flag, tool, stages) in RECORDINGS {
        let Some(file) = command.value(flag).filter(|_| reads(stages)) else { continue };
        // Which of several files holds what is not known.
        if *flag == "--kubectl" && snapshot.target.kubectl.len() > 1 {
            continue;
        }
        let tool = tool.replace("CONTAINER", container.as_deref().unwrap_or("CONTAINER"));
        all.push(format!("{tool} > {}", quoted(file)));
    }
    all.push(text);
    all
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
