//! Reads checks: the built-in ones, and folders of a user's own.

use super::derive::Derived;
use super::expr::Expression;
use super::spec::Spec;
use super::template;
use crate::regular_file;
use crate::snapshot::{Facts, Stage};
use std::collections::BTreeSet;
use std::path::Path;

/// The built-in checks: pairs of file name and check as JSON, which the build script made of `checks/`.
const BUILT_IN: &str = include_str!(concat!(env!("OUT_DIR"), "/checks.json"));

/// Largest check file, bytes.
pub(super) const LIMIT_BYTES: u64 = 64 << 10;

/// How the name of a file with a check's cases ends.
pub(super) const CASES: &str = ".cases.yaml";

/// Files for which a further thread is worth its start.
const LEAST_FILES_PER_THREAD: usize = 16;

/// A check with its conditions compiled.
pub struct Check {
    /// The YAML.
    pub spec: Spec,
    /// The file, for messages.
    pub file: String,
    pub(super) when: Expression,
    pub(super) warn_if: Option<Expression>,
    pub(super) proven_if: Option<Expression>,
}

/// Checks in the order of their stages, then their ids.
pub struct Checks {
    checks: Vec<Check>,
}

/// What can be wrong with checks and with their selection.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder or file cannot be read.
    #[error("checks {path}")]
    Read {
        /// The folder or file.
        path: String,
        /// The obstacle.
        source: std::io::Error,
    },
    /// A file is not a check.
    #[error("check {path}: {problem}")]
    Spec {
        /// The file.
        path: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A selector fits nothing.
    #[error("{option} {selector}: this is neither a stage ({stages}) nor the beginning of a check's id")]
    Selector {
        /// `--only` or `--skip`.
        option: &'static str,
        /// What the user wrote.
        selector: String,
        /// The stages.
        stages: String,
    },
    /// Nothing is left.
    #[error("--only and --skip together leave no check")]
    Nothing,
}

/// Ids of the built-in checks, and their conditions as they are written.
pub fn ids_and_conditions() -> (Vec<String>, Vec<String>) {
    let specs: Vec<(String, Spec)> = serde_json::from_str(BUILT_IN).unwrap_or_default();
    let of = |spec: Spec| (spec.id, [Some(spec.when), spec.warn_if, spec.proven_if].into_iter().flatten());
    let (ids, conditions): (Vec<_>, Vec<_>) = specs.into_iter().map(|(_, spec)| of(spec)).unzip();
    (ids, conditions.into_iter().flatten().collect())
}

impl Checks {
    /// The built-in checks, and those of a folder if one is given.
    pub fn load(folder: Option<&Path>) -> Result<Checks, LoadError> {
        let built_in = |problem: String| LoadError::Spec { path: "built in".into(), problem };
        let specs: Vec<(String, Spec)> = serde_json::from_str(BUILT_IN).map_err(|error| built_in(error.to_string()))?;
        let mut checks = Vec::with_capacity(specs.len());
        for (file, spec) in specs {
            checks.push(Check::compile(&file, spec)?);
        }
        if let Some(folder) = folder {
            checks.extend(Checks::of_folder(folder)?.checks);
        }
        Checks::sorted(checks)
    }

    /// The checks of a folder and its subfolders alone.
    pub fn of_folder(folder: &Path) -> Result<Checks, LoadError> {
        let mut files = Vec::new();
        yaml_files(folder, 0, &mut files)?;
        if files.is_empty() {
            let problem = "no check in it; expected files called *.yaml".into();
            return Err(LoadError::Spec { path: folder.display().to_string(), problem });
        }
        // YAML is read slowly: dealt out over the cores.
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(8);
        let share = files.len().div_ceil(cores).max(LEAST_FILES_PER_THREAD);
        let parts: Vec<Result<Vec<Check>, LoadError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = files
                .chunks(share)
                .map(|files| scope.spawn(|| files.iter().map(|file| of_file(file)).collect()))
                .collect();
            let died =
                |_| Err(LoadError::Spec { path: folder.display().to_string(), problem: "reading it failed".into() });
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
        });
        let mut checks = Vec::with_capacity(files.len());
        for part in parts {
            checks.extend(part?);
        }
        Checks::sorted(checks)
    }

    fn sorted(mut checks: Vec<Check>) -> Result<Checks, LoadError> {
        checks.sort_by(|a, b| (a.spec.stage, &a.spec.id).cmp(&(b.spec.stage, &b.spec.id)));
        let mut ids = BTreeSet::new();
        if let Some(twin) = checks.iter().find(|check| !ids.insert(check.spec.id.clone())) {
            let problem = format!("the id \"{}\" is used twice", twin.spec.id);
            return Err(LoadError::Spec { path: twin.file.clone(), problem });
        }
        Ok(Checks { checks })
    }

    /// Keeps the checks that `only` names (all, if it is empty) and `skip` does not.
    pub fn select(self, only: &[String], skip: &[String]) -> Result<Checks, LoadError> {
        for (option, selectors) in [("--only", only), ("--skip", skip)] {
            // A stage is a good selector even while it has no check: the report shows it all the same.
            let fits = |selector: &String| {
                Stage::from_name(selector).is_some() || self.checks.iter().any(|c| c.answers_to(selector))
            };
            if let Some(stray) = selectors.iter().find(|selector| !fits(selector)) {
                let stages = Stage::ALL.iter().map(|stage| stage.name()).collect::<Vec<_>>().join(", ");
                return Err(LoadError::Selector { option, selector: stray.clone(), stages });
            }
        }
        let wanted = |check: &Check| {
            (only.is_empty() || only.iter().any(|selector| check.answers_to(selector)))
                && !skip.iter().any(|selector| check.answers_to(selector))
        };
        let checks: Vec<Check> = self.checks.into_iter().filter(wanted).collect();
        if checks.is_empty() { Err(LoadError::Nothing) } else { Ok(Checks { checks }) }
    }

    /// The checks, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter()
    }

    /// The check of that id.
    pub fn get(&self, id: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.spec.id == id)
    }

    /// Rooms of the snapshot that the checks read.
    pub fn rooms(&self) -> BTreeSet<&'static str> {
        let mut rooms = BTreeSet::new();
        for path in self.checks.iter().flat_map(Check::paths) {
            let start = path.split(['.', '[']).next().unwrap_or_default().to_string();
            if start == "derived" {
                rooms.extend(Derived::NEEDS);
            }
            rooms.extend(Facts::ROOMS.iter().filter(|room| **room == start));
        }
        rooms
    }
}

impl Check {
    /// Reads one check from its YAML.
    pub fn parse(file: &str, text: &str) -> Result<Check, LoadError> {
        let wrong = |problem: String| LoadError::Spec { path: file.into(), problem };
        let spec: Spec = serde_yaml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        Check::compile(file, spec)
    }

    fn compile(file: &str, spec: Spec) -> Result<Check, LoadError> {
        let wrong = |problem: String| LoadError::Spec { path: file.into(), problem };
        let when = Expression::compile(&spec.when).map_err(|problem| wrong(format!("when: {problem}")))?;
        let further = |name: &str, condition: &Option<String>| {
            let compiled = condition.as_deref().map(Expression::compile).transpose();
            compiled.map_err(|problem| wrong(format!("{name}: {problem}")))
        };
        let warn_if = further("warn_if", &spec.warn_if)?;
        let proven_if = further("proven_if", &spec.proven_if)?;
        Ok(Check { spec, file: file.into(), when, warn_if, proven_if })
    }

    /// Whether a selector (a stage, or the beginning of an id) means this check. The name of a stage means the stage alone:
    /// `driver` is not `driver-capabilities-lack-compute`, which is of another one.
    fn answers_to(&self, selector: &str) -> bool {
        match Stage::from_name(selector) {
            Some(stage) => self.spec.stage == stage,
            None => !selector.is_empty() && self.spec.id.starts_with(selector),
        }
    }

    /// Every text of the check that is a template.
    pub(super) fn templates(&self) -> impl Iterator<Item = &String> {
        let spec = &self.spec;
        let steps = spec.fix.iter().flat_map(|step| [&step.say, &step.run]);
        [&spec.brief, &spec.because].into_iter().chain(&spec.subjects).chain(steps).chain(&spec.verify)
    }

    /// Every path that the check reads, in conditions, evidence and texts.
    pub(super) fn paths(&self) -> Vec<String> {
        let conditions = [Some(&self.when), self.warn_if.as_ref(), self.proven_if.as_ref()].into_iter().flatten();
        let mut paths: Vec<String> = conditions.flat_map(|condition| condition.paths()).collect();
        paths.extend(self.spec.evidence.iter().cloned());
        paths.extend(self.templates().filter_map(|text| template::paths(text).ok()).flatten());
        paths
    }
}

fn of_file(file: &Path) -> Result<Check, LoadError> {
    let read = |source| LoadError::Read { path: file.display().to_string(), source };
    // Links are followed: a mounted ConfigMap consists of them.
    let text = regular_file::read_text(file, LIMIT_BYTES).map_err(read)?;
    Check::parse(&file.display().to_string(), &text)
}

/// The checks' files in a folder and its subfolders, in order.
pub(super) fn yaml_files(folder: &Path, depth: usize, files: &mut Vec<std::path::PathBuf>) -> Result<(), LoadError> {
    let read = |source| LoadError::Read { path: folder.display().to_string(), source };
    let mut entries: Vec<_> = std::fs::read_dir(folder).map_err(read)?.collect::<Result<_, _>>().map_err(read)?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let kind = entry.file_type().map_err(read)?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if kind.is_dir() && depth < 3 {
            yaml_files(&entry.path(), depth + 1, files)?;
        } else if !kind.is_dir() && entry.path().extension().is_some_and(|extension| extension == "yaml") {
            // The cases of a check stand beside it.
            if !entry.file_name().as_encoded_bytes().ends_with(CASES.as_bytes()) {
                files.push(entry.path());
            }
        }
    }
    Ok(())
}
