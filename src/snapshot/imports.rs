//! What Python modules say of themselves, when the user asked for them to be imported.

use super::fact::{Fact, room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

room! {
    /// Modules that the deployment's interpreter imported (`--import`).
    pub struct ImportsFacts {
        /// The interpreter that ran.
        pub interpreter: String,
        /// The modules, in the order in which they were named. Each was imported in a process of its own.
        pub modules: Vec<ImportedModule>,
    }
}

/// One module, imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedModule {
    /// Its name: `torch`.
    pub module: String,
    /// Whether the import came to its end.
    pub imported: Fact<bool>,
    /// The exception that ended it, in Python's words; empty if there was none.
    pub error: Fact<String>,
    /// `__version__`.
    pub version: Fact<String>,
    /// Where it was found.
    pub file: Fact<String>,
    /// What it says of itself: expression (`torch.cuda.is_available()`) to Python's `repr` of its value, or to the exception.
    pub says: Fact<BTreeMap<String, String>>,
    /// What it printed or warned of on the way, at most 2,000 characters.
    pub printed: String,
}
