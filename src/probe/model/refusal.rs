//! Why a file is not read as a model, in words.

use super::formats::Foreign;
use super::wire::Fault;
use crate::snapshot::{Unknown, Why};
use std::path::Path;

/// Why a file is not read as a model.
pub enum Refusal {
    /// It is of a format that is only told apart.
    Foreign(Foreign),
    /// Something is wrong with it.
    Unknown(Unknown),
}

impl From<Unknown> for Refusal {
    fn from(unknown: Unknown) -> Self {
        Refusal::Unknown(unknown)
    }
}

impl Refusal {
    /// The refusal of the file at `path` in words.
    pub fn told(&self, path: &Path) -> Unknown {
        match self {
            Refusal::Unknown(unknown) => unknown.clone(),
            Refusal::Foreign(Foreign { format, what, instead }) => {
                let place = path.display();
                match *format {
                    "" => {
                        let detail = format!("{place} is not a model: it looks like {what}; {instead}");
                        Unknown::new(Why::Malformed, detail)
                    }
                    _ => {
                        let detail = format!("{place} looks like {what}, which is not read here: {instead}");
                        Unknown::new(Why::Unsupported, detail)
                    }
                }
            }
        }
    }
}

/// What is wrong with the file at `path`, that should be `what`.
pub fn told(fault: Fault, path: &Path, what: &str) -> Unknown {
    let place = path.display();
    match fault {
        Fault::CutShort { at, inside, wants } => {
            let missing = wants.map_or_else(String::new, |end| format!(", which reaches to byte {end}"));
            let detail = format!("{place} is cut short: it ends at byte {at} inside {inside}{missing}");
            Unknown::new(Why::Malformed, detail)
        }
        Fault::Malformed { at, what: seen } => {
            Unknown::new(Why::Malformed, format!("{place} is not {what}: at byte {at}, {seen}"))
        }
        Fault::TooLarge(what) => {
            Unknown::new(Why::Unsupported, format!("{place} is beyond what is read of a model: {what}"))
        }
        Fault::Io(error) => Unknown::from_io(&error, &place),
    }
}
