//! Imports Python modules with the deployment's own interpreter, in a process of their own, when the user asks for it.

#[cfg(test)]
mod tests;

use crate::probe::isolation::{self, End, Report};
use crate::probe::{Context, Probe, Ran, environment};
use crate::snapshot::{Fact, Facts, ImportedModule, ImportsFacts, Room, Stage, Unknown, Why};
use crate::words::plain;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Imports the modules that the user named.
pub const PROBE: Probe = Probe {
    id: "imports",
    stage: Stage::Packages,
    rooms: &["imports"],
    needs: &["process"],
    this_machine: true,
    budget: Duration::from_secs(40),
    run,
};

/// The program that the interpreter runs.
const PROGRAM: &str = include_str!("import.py");
/// Most modules that are imported.
const MODULES_MAX: usize = 16;
/// Most kept of a text, characters.
const TEXT_MAX: usize = 2_000;
/// Time kept for what comes after the last import.
const MARGIN: Duration = Duration::from_millis(500);

fn run(context: &Context, facts: &mut Facts) -> Ran {
    match imported(context, facts) {
        Ok(found) => {
            // An exception is an answer; a crash or a hang is none.
            let mut modules = found.modules.known().into_iter().flatten();
            let open = modules.find_map(|module| Some((&module.module, module.imported.reason()?)));
            let ran = open.map_or(Ran::ok(), |(name, unknown)| Ran {
                detail: format!("module {name}: {}", unknown.detail),
                ..Ran::from(unknown)
            });
            facts.imports = found;
            ran
        }
        Err(unknown) => {
            facts.imports = ImportsFacts::all_unknown(&unknown);
            Ran::from(&unknown)
        }
    }
}

fn imported(context: &Context, facts: &Facts) -> Result<ImportsFacts, Unknown> {
    let ask = &context.ask;
    let (Some(python), false) = (&ask.python, ask.imports.is_empty()) else {
        return Err(Unknown::new(Why::NotAsked, "no module was named (--import)"));
    };
    if ask.root != Path::new("/") {
        let detail = format!("--root {}: programs of another file tree are not run", ask.root.display());
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    let python = interpreter_program(python);
    let environment = environment::of_server(facts);
    let deadline = context.deadline.checked_sub(MARGIN).unwrap_or(context.deadline);
    let (mut modules, mut own_name) = (Vec::new(), None);
    for (index, module) in ask.imports.iter().take(MODULES_MAX).enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (ask.imports.len().min(MODULES_MAX) - index) as u32;
        // -B: nothing is written into the deployment's folders.
        let arguments = ["-B", "-c", PROGRAM, module];
        let report = isolation::run_program(&python, &arguments, &environment, Instant::now() + share);
        if let Some(refused) = no_interpreter(&python, &report) {
            return Err(refused);
        }
        if let Ok(result) = report.result() {
            own_name = own_name.or(result["interpreter"].as_str().map(plain));
        }
        modules.push(told(module, &report));
    }
    let interpreter = own_name.unwrap_or_else(|| python.display().to_string());
    Ok(ImportsFacts { interpreter: Fact::Known(interpreter), modules: Fact::Known(modules) })
}

/// The program: a prefix such as `/venv` stands for its own interpreter.
pub(in crate::probe) fn interpreter_program(python: &Path) -> PathBuf {
    if python.is_dir() { python.join("bin/python") } else { python.to_owned() }
}

/// Why the program is no Python interpreter, if it could not be started or ended before it said anything.
pub(in crate::probe) fn no_interpreter(python: &Path, report: &Report) -> Option<Unknown> {
    let python = python.display();
    match &report.end {
        End::NotStarted(error) => Some(Unknown::new(Why::Absent, format!("{python} could not be started: {error}"))),
        End::Exit(code) if report.last_stage.is_empty() => {
            let printed = match shortened(&report.printed) {
                text if text.is_empty() => String::new(),
                text => format!(" and printed \"{text}\""),
            };
            let detail = format!("{python} is no Python interpreter: it ended with status {code}{printed}");
            Some(Unknown::new(Why::Malformed, detail))
        }
        _ => None,
    }
}

fn told(module: &str, report: &Report) -> ImportedModule {
    let printed = shortened(&report.printed);
    let result = match report.result() {
        Ok(result) => result,
        Err(unknown) => {
            let unknown = || unknown.clone();
            return ImportedModule {
                module: module.to_owned(),
                imported: Fact::Unknown(unknown()),
                error: Fact::Unknown(unknown()),
                version: Fact::Unknown(unknown()),
                file: Fact::Unknown(unknown()),
                says: Fact::Unknown(unknown()),
                printed,
            };
        }
    };
    let text = |name: &str| match result[name].as_str() {
        Some(text) => Fact::Known(shortened(text)),
        None => Fact::unknown(Why::Absent, format!("module {module} has none")),
    };
    let error = shortened(result["error"].as_str().unwrap_or_default());
    let says = result["says"].as_object().into_iter().flatten();
    let says: BTreeMap<String, String> =
        says.map(|(asked, said)| (asked.clone(), shortened(said.as_str().unwrap_or_default()))).collect();
    ImportedModule {
        module: module.to_owned(),
        imported: Fact::Known(error.is_empty()),
        error: Fact::Known(error),
        version: text("version"),
        file: text("file"),
        says: Fact::Known(says),
        printed,
    }
}

/// A text without control characters, of limited length.
pub(in crate::probe) fn shortened(text: &str) -> String {
    let text = plain(text.trim());
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
