//! Floor 1: checks judge the snapshot. Pure: the same facts give the same findings, on any machine.
//!
//! A check is one YAML file ([`Spec`]). Its conditions are CEL expressions over the facts; its texts are templates.

mod cases;
mod catalogue;
mod derive;
mod expr;
mod judge;
mod lint;
mod load;
mod paths;
mod reasons;
mod spec;
mod template;
mod trial;
mod view;
mod waiver;
mod yaml;

pub use cases::{Bases, Case, Cases, parsed as parsed_yaml};
pub use catalogue::{Coverage, coverage, is_known_cause};
pub use derive::load::{
    ConfigChange, JudgedMemory, JudgedStep, Judgement as LoadJudgement, TimePart, TimeSplit, against, baseline,
    capacity, judged as judged_steps, statistics, steps as judge_steps,
};
pub use derive::{
    CONTEXT_BYTES, ChecklistLine, ChecklistOutcome, ConnectionFigures, Derived, connection_cache, connection_checklist,
    connection_figures, connection_numbers, connection_processes, loaded_in_words, mebibytes,
};
pub use expr::{Asks, Term};
pub use judge::{Evidence, Finding, Verdict, judge};
pub use lint::{Linted, Problem, Spot, lint_built_in, lint_folder};
pub use load::{Check, Checks, LoadError, ids_and_conditions};
pub use reasons::Reasons;
pub use spec::{Confidence, Severity, Spec, Step};
pub use trial::{Read, Told, Trial, Tried, trial, trials};
pub use view::View;
pub use waiver::Waiver;
pub use yaml::{Document as YamlDocument, Kind as YamlKind, Node as YamlNode};
