//! What can be wrong with a document.

use super::locate;
use super::version::Form;

/// Why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// It ends too early.
    #[error(
        "it ends in the middle, at line {line} column {column} (byte {byte}): the program that wrote it was stopped, or it \
         was copied in part; have it written or copied anew"
    )]
    Cut {
        /// Line of its end, from 1.
        line: usize,
        /// Column of its end, characters from 1.
        column: usize,
        /// Its size, bytes.
        byte: usize,
    },
    /// It is something else.
    #[error("it is not JSON: {problem}")]
    Syntax {
        /// The parser's words, with line and column.
        problem: String,
    },
    /// It is JSON of another shape.
    #[error("it is JSON, but no object; expected a document of gpu-doctor, with a member \"schema\"")]
    NoObject,
    /// It does not say what it is.
    #[error("it has no \"schema\"; expected \"{}\", the output of {}", expected.name, expected.written_by)]
    Nameless {
        /// What was to be read.
        expected: Form,
    },
    /// It is something else.
    #[error("its schema is \"{found}\"; expected \"{}\", the output of {}", expected.name, expected.written_by)]
    Other {
        /// What it says that it is.
        found: String,
        /// What was to be read.
        expected: Form,
    },
    /// Its minor version is none.
    #[error("schema_minor: expected a whole number, the minor version of its schema")]
    Minor,
    /// It is of another major version.
    #[error("its schema is \"{found}\"; this version, {}, reads \"{reads}\"{}", crate::TOOL, way(*newer, tool.as_deref()))]
    Major {
        /// The document's.
        found: String,
        /// This program's.
        reads: &'static str,
        /// Whether the document's is the later one.
        newer: bool,
        /// The program that wrote it.
        tool: Option<String>,
    },
    /// A part of it is not what it should be.
    #[error("{0}")]
    Wrong(Wrong),
}

/// A part of a document that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The part's path: `facts.nvml.gpus[0].memory_total_bytes`; empty if it is not known.
    pub place: String,
    /// Its line, and its column in characters, from 1; where the path is known.
    pub position: Option<(usize, usize)>,
    /// What was expected and what was found.
    pub problem: String,
    /// The program that wrote the document.
    pub tool: Option<String>,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.place.as_str(), self.position) {
            ("", None) => {}
            ("", Some((line, column))) => write!(f, "line {line} column {column}: ")?,
            (place, None) => write!(f, "{place}: ")?,
            (place, Some((line, column))) => write!(f, "{place} (line {line} column {column}): ")?,
        }
        f.write_str(&self.problem)?;
        match self.tool.as_deref() {
            Some(tool) if tool != crate::TOOL => write!(f, "; {tool} wrote it, and this is {}", crate::TOOL),
            _ => Ok(()),
        }
    }
}

impl Fault {
    /// Of what the parser says. At its end there is nothing to quote, only where it is.
    pub(super) fn syntax(error: &serde_json::Error, bytes: &[u8]) -> Fault {
        if !error.is_eof() {
            return Fault::Syntax { problem: error.to_string() };
        }
        let (line, column) = locate::position(bytes, bytes.len());
        Fault::Cut { line, column, byte: bytes.len() }
    }
}

/// What to do about another major version.
fn way(newer: bool, tool: Option<&str>) -> String {
    match (newer, tool) {
        (true, Some(tool)) => format!("; {tool} wrote it: upgrade gpu-doctor to that version or a later one"),
        (true, None) => "; upgrade gpu-doctor".into(),
        (false, Some(tool)) => format!("; {tool} wrote it: read it with that version, or have it written anew"),
        (false, None) => "; have it written anew".into(),
    }
}
