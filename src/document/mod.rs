//! Floor 0: the doctor's own documents, which are JSON: of which version one is, and where one is wrong.
//!
//! Any type that serde reads and of which there is a JSON Schema is read here, and by one rule: a newer major version is
//! refused, a newer minor one is read without what this version does not know. Pure: bytes in, a document or a fault out.

mod conform;
mod fault;
mod locate;
mod packed;
mod version;

pub use fault::{Fault, Wrong};
pub use packed::unpacked;
pub use version::{DIFF, Form, Header, REPORT, SNAPSHOT, header};

use serde::de::DeserializeOwned;
use serde_json::Value;

/// Largest document that is looked through member by member, bytes: as a tree it takes ten times its size. In a larger one
/// a fault has its line and column only, and one of a newer minor version must hold nothing new.
const TREE_LIMIT_BYTES: usize = 64 << 20;
/// As many things that were left aside are told.
const ASIDE_TOLD: usize = 20;

/// A document, as far as this version knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Read<T> {
    /// What it says.
    pub content: T,
    /// What a newer version wrote and this one does not know, each with its place; empty where all is known.
    pub aside: Vec<String>,
}

/// Reads a document of this form. `schema` gives the JSON Schema of its type, which is asked for only where something is
/// not as expected.
///
/// # Errors
/// What is wrong, with its place and what to do.
pub fn read<T: DeserializeOwned>(bytes: &[u8], form: &Form, schema: impl FnOnce() -> Value) -> Result<Read<T>, Fault> {
    let bytes = without_mark(bytes);
    let header = header(bytes)?;
    form.accepts(&header)?;
    let newer = header.minor > form.minor;
    let parsed = serde_json::from_slice::<T>(bytes);
    let problem = match parsed {
        Ok(content) if !newer => return Ok(Read { content, aside: Vec::new() }),
        Ok(content) if bytes.len() > TREE_LIMIT_BYTES => return Ok(Read { content, aside: Vec::new() }),
        Ok(_) => None,
        Err(problem) => Some(problem),
    };
    let unplaced = |problem: Option<serde_json::Error>| {
        let problem = problem.map_or_else(|| "it cannot be read".to_owned(), |problem| problem.to_string());
        Fault::Wrong(Wrong { place: String::new(), position: None, problem, tool: header.tool.clone() })
    };
    if bytes.len() > TREE_LIMIT_BYTES {
        return Err(unplaced(problem));
    }
    let mut tree: Value = serde_json::from_slice(bytes).map_err(|error| Fault::syntax(&error, bytes))?;
    let schema = schema();
    let mut walk = conform::Walk::new(&schema, newer);
    if let Err(unfit) = walk.fit(&mut tree) {
        let at = if unfit.path.is_empty() { None } else { locate::offset(bytes, &unfit.path) };
        let position = at.map(|offset| locate::position(bytes, offset));
        let place = conform::written(&unfit.path);
        return Err(Fault::Wrong(Wrong { place, position, problem: unfit.problem, tool: header.tool.clone() }));
    }
    if !newer {
        // The types want more than their schema says: their own words have line and column.
        return Err(unplaced(problem));
    }
    // What is left is of this version.
    if let Some(minor) = tree.get_mut("schema_minor") {
        *minor = form.minor.into();
    }
    let content = serde_json::from_value(tree).map_err(|error| unplaced(Some(error)))?;
    Ok(Read { content, aside: told(walk.aside) })
}

/// The first of what was left aside, and how much more there is.
fn told(mut aside: Vec<String>) -> Vec<String> {
    let more = aside.len().saturating_sub(ASIDE_TOLD);
    aside.truncate(ASIDE_TOLD);
    aside.extend((more > 0).then(|| format!("and {more} more")));
    aside
}

/// The bytes after a byte order mark, with which some editors and shells begin a file.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

#[cfg(test)]
mod tests;
