//! Imports Python modules with the deployment's own interpreter, in a process of their own, when the user asks for it.

#[cfg(test)]
mod tests;

use crate::probe::isolation::Report;
use crate::probe::python::{self, shortened};
use crate::probe::{Context, Probe, Ran};
use crate::snapshot::{Fact, Facts, ImportedModule, ImportsFacts, Room, Stage, Unknown, Why};
use crate::words::plain;
use std::collections::BTreeMap;
use std::path::Path;
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
    let python = python::interpreter(python);
    let deadline = context.deadline.checked_sub(MARGIN).unwrap_or(context.deadline);
    let (mut modules, mut own_name) = (Vec::new(), None);
    for (index, module) in ask.imports.iter().take(MODULES_MAX).enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / (ask.imports.len().min(MODULES_MAX) - index) as u32;
        let report = python::run(&python, PROGRAM, module, facts, Instant::now() + share);
        if let Some(refused) = python::no_interpreter(&python, &report) {
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
