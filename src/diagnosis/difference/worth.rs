//! What a changed fact is worth: the table `facts.yaml`.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;

/// What a change is about, in the order in which changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A fact that proves a cause which came or went.
    Evidence,
    /// The driver and its kernel modules.
    Driver,
    /// Which GPUs there are, and how they are set.
    Gpu,
    /// Python packages.
    Package,
    /// The runtime and its providers.
    Runtime,
    /// Where the model lies.
    Placement,
    /// The model's file.
    Model,
    /// The container.
    Container,
    /// The server's process and code.
    Server,
    /// How requests are answered.
    Request,
    /// A measurement that moved by more than noise.
    Measured,
    /// Anything else.
    Other,
}

impl Kind {
    /// The kind in a word or two.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Evidence => "proof",
            Kind::Driver => "driver",
            Kind::Gpu => "GPU",
            Kind::Package => "packages",
            Kind::Runtime => "runtime",
            Kind::Placement => "placement",
            Kind::Model => "model",
            Kind::Container => "container",
            Kind::Server => "server",
            Kind::Request => "requests",
            Kind::Measured => "measured",
            Kind::Other => "other",
        }
    }
}

/// One entry of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    facts: Vec<String>,
    kind: Option<Kind>,
    #[serde(default)]
    noise: bool,
    absolute: Option<f64>,
    #[serde(default)]
    relative: f64,
    // For those who read the table.
    #[serde(default, rename = "why")]
    _why: String,
}

/// What a fact's change is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Worth {
    /// It is told.
    Told(Kind),
    /// It is told if it moved by at least so much, and by such a share of the larger value.
    Measured {
        /// In the fact's unit.
        absolute: f64,
        /// 0 to 1.
        relative: f64,
    },
    /// It differs between any two runs.
    Noise,
    /// The table does not name it.
    Unlisted,
}

static TABLE: LazyLock<Vec<(Regex, Worth)>> = LazyLock::new(|| {
    let entries: Vec<Entry> =
        serde_yaml::from_str(include_str!("facts.yaml")).expect("the table is YAML of this shape");
    let compiled = entries.into_iter().map(|entry| {
        let worth = match (entry.noise, entry.kind, entry.absolute) {
            (true, ..) => Worth::Noise,
            (_, _, Some(absolute)) => Worth::Measured { absolute, relative: entry.relative },
            (_, kind, None) => Worth::Told(kind.unwrap_or(Kind::Other)),
        };
        let patterns: Vec<String> = entry.facts.iter().map(|fact| pattern(fact)).collect();
        (Regex::new(&format!("^(?:{})$", patterns.join("|"))).expect("a pattern of the table"), worth)
    });
    compiled.collect()
});

/// `a.*.b` as a regular expression: `*` stands for letters of one name, `**` for names.
fn pattern(fact: &str) -> String {
    regex::escape(fact).replace(r"\*\*\.", r"(?:.+\.)?").replace(r"\*\*", ".+").replace(r"\*", "[^.]*")
}

/// What the change of a fact with this path is worth; lists are written with `[]`.
pub fn worth(path: &str) -> Worth {
    TABLE.iter().find(|(pattern, _)| pattern.is_match(path)).map_or(Worth::Unlisted, |(_, worth)| *worth)
}

/// The patterns as they are written, for the test that holds them against the facts.
#[cfg(test)]
pub(super) fn written() -> Vec<String> {
    let entries: Vec<Entry> = serde_yaml::from_str(include_str!("facts.yaml")).unwrap();
    entries.into_iter().flat_map(|entry| entry.facts).collect()
}
