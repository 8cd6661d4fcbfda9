//! Holds checks against the fact types, so that a mistake in one is found before any run: every mistake of every file, each
//! with its place.

mod cases;
mod links;
mod rules;
mod shape;
#[cfg(test)]
mod tests;

use super::cases::CASES_LIMIT_BYTES;
use super::load::{CASES, Checks, LIMIT_BYTES, LoadError, yaml_files};
use super::paths::Paths;
use super::spec::Spec;
use super::yaml::{Document, Place};
use crate::regular_file;
use serde::Serialize;
use std::path::Path;

/// Most problems of one file: what follows comes of the same mistake.
const MOST_PROBLEMS: usize = 50;

/// One mistake in a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Where in it; nothing for a built-in check, whose YAML is not in the program, and for a file that cannot be read.
    #[serde(flatten)]
    pub spot: Option<Spot>,
    /// What is wrong.
    pub problem: String,
    /// What to write instead; empty where nothing can be said.
    pub help: String,
}

impl Problem {
    /// One of a file that has no place in it.
    fn of_file(file: &str, problem: String) -> Problem {
        Problem { file: file.into(), spot: None, problem, help: String::new() }
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Spot {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Characters on this line; at least 1.
    pub length: usize,
    /// The line.
    #[serde(skip)]
    pub text: String,
}

/// What a folder of checks came to.
pub struct Linted {
    /// How many files were looked at.
    pub files: usize,
    /// What is wrong with them, by file and place.
    pub problems: Vec<Problem>,
    /// Files that could not be read, each with the obstacle; they have no place.
    pub unread: Vec<Problem>,
}

/// Something wrong at a place, before its file is known.
struct Found {
    place: Option<Place>,
    problem: String,
    help: String,
}

impl Found {
    fn at(place: Place, problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { place: Some(place), problem: problem.into(), help: help.into() }
    }
}

/// One check under examination.
struct Draft {
    file: String,
    document: Document,
    /// The lines of its text; empty for a built-in one.
    lines: Vec<String>,
    found: Vec<Found>,
}

/// Everything that is wrong with the built-in checks.
pub fn lint_built_in(built_in: &Checks) -> Vec<Problem> {
    let drafts = built_in.iter().map(|check| Draft::of_spec(&check.file, &check.spec)).collect();
    examine(drafts, None)
}

/// Everything that is wrong with the checks of a folder, which stand beside the built-in ones.
pub fn lint_folder(folder: &Path, built_in: &Checks) -> Result<Linted, LoadError> {
    let mut files = Vec::new();
    yaml_files(folder, 0, &mut files)?;
    if files.is_empty() {
        let problem = "no check in it; expected files called STAGE/ID.yaml".into();
        return Err(LoadError::Spec { path: folder.display().to_string(), problem });
    }
    let (mut drafts, mut problems, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for path in &files {
        // The cases of a check stand beside it.
        let beside = path.with_extension("").display().to_string() + CASES;
        match regular_file::read_text(Path::new(&beside), CASES_LIMIT_BYTES) {
            Ok(text) => problems.extend(lint_cases(&beside, &text)),
            Err(_) if Path::new(&beside).try_exists().is_ok_and(|is_there| !is_there) => {}
            Err(error) => unread.push(Problem::of_file(&beside, format!("this cannot be read: {error}"))),
        }
        let file = path.display().to_string();
        match regular_file::read_text(path, LIMIT_BYTES) {
            Err(error) => unread.push(Problem::of_file(&file, format!("this cannot be read: {error}"))),
            Ok(text) => match Draft::of_text(&file, &text) {
                Ok(draft) => drafts.push(draft),
                Err(problem) => problems.push(problem),
            },
        }
    }
    problems.extend(examine(drafts, Some(built_in)));
    problems.sort_by(|a, b| (&a.file, place(a)).cmp(&(&b.file, place(b))));
    Ok(Linted { files: files.len(), problems, unread })
}

/// Everything that is wrong with the keys and words of a file of cases.
pub fn lint_cases(file: &str, text: &str) -> Vec<Problem> {
    match Draft::of_text(file, text) {
        Err(problem) => vec![problem],
        Ok(mut draft) => {
            cases::all(&draft.document, &mut draft.found);
            draft.problems()
        }
    }
}

/// Examines checks, alone and together. `others` are those beside them.
fn examine(mut drafts: Vec<Draft>, others: Option<&Checks>) -> Vec<Problem> {
    let paths = Paths::new();
    for draft in &mut drafts {
        let mut found = Vec::new();
        let written = shape::written(&draft.document, &mut found);
        rules::all(&draft.file, &draft.document, &written, &paths, &mut found);
        if found.is_empty()
            && let Some(mismatch) = draft.mismatch()
        {
            found.push(mismatch);
        }
        draft.found = found;
    }
    links::between(&mut drafts, others);
    drafts.into_iter().flat_map(Draft::problems).collect()
}

impl Draft {
    fn of_text(file: &str, text: &str) -> Result<Draft, Problem> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let wrong = |place: Place, problem: String| {
            let before: Vec<char> = text.chars().take(place.start).collect();
            let line = before.iter().filter(|c| **c == '\n').count() + 1;
            let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
            let text = lines.get(line - 1).cloned().unwrap_or_default();
            let spot = Some(Spot { line, column, length: place.length, text });
            Problem { file: file.into(), spot, problem: format!("this is no YAML: {problem}"), help: String::new() }
        };
        match Document::parse(text) {
            Ok(document) => Ok(Draft { file: file.into(), document, lines, found: Vec::new() }),
            Err(fault) => Err(wrong(fault.place, fault.problem)),
        }
    }

    /// The draft of a check whose YAML is not at hand, written anew.
    fn of_spec(file: &str, spec: &Spec) -> Draft {
        let text = serde_yaml::to_string(spec).unwrap_or_default();
        // What cannot be read is no check, which is then found.
        let document = Document::parse(&text).unwrap_or_else(|_| Document::empty());
        Draft { file: file.into(), document, lines: Vec::new(), found: Vec::new() }
    }

    /// What serde says of a check in which nothing wrong was found: the two read YAML differently.
    fn mismatch(&self) -> Option<Found> {
        let text = self.lines.join("\n");
        let error = (!text.is_empty()).then(|| serde_yaml::from_str::<Spec>(&text).err()).flatten()?;
        let start = error.location().map_or(0, |location| text[..location.index().min(text.len())].chars().count());
        Some(Found::at(Place { start, length: 1 }, error.to_string(), ""))
    }

    fn problems(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|found| found.place.map(|place| place.start));
        self.found.truncate(MOST_PROBLEMS);
        let spot = |place: Place| {
            let (line, column) = self.document.line_and_column(place);
            let text = self.lines.get(line.checked_sub(1)?)?.clone();
            let room = text.chars().count().saturating_sub(column - 1).max(1);
            Some(Spot { line, column, length: place.length.clamp(1, room), text })
        };
        let problem = |found: &Found| Problem {
            file: self.file.clone(),
            spot: found.place.and_then(spot),
            problem: found.problem.clone(),
            help: found.help.clone(),
        };
        self.found.iter().map(problem).collect()
    }
}

fn place(problem: &Problem) -> (usize, usize) {
    problem.spot.as_ref().map_or((0, 0), |spot| (spot.line, spot.column))
}
