//! Floor 1: checks judge the snapshot. Pure: the same facts give the same findings, on any machine.
//!
//! A check is one YAML file ([`Spec`]). Its conditions are CEL expressions over the facts; its texts are templates.

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
mod view;

pub use catalogue::{Coverage, coverage};
pub use derive::load::{
    ConfigChange, JudgedMemory, JudgedStep, Judgement as LoadJudgement, TimePart, TimeSplit, against, baseline,
    capacity, judged as judged_steps, steps as judge_steps,
};
pub use derive::{
    CONTEXT_BYTES, ChecklistLine, ChecklistOutcome, ConnectionFigures, Derived, connection_cache, connection_checklist,
    connection_figures, connection_numbers, connection_processes, loaded_in_words, mebibytes,
};
pub use expr::{Asks, Term};
pub use judge::{Evidence, Finding, Verdict, judge};
pub use lint::lint;
pub use load::{Check, Checks, LoadError};
pub use reasons::Reasons;
pub use spec::{Confidence, Severity, Spec, Step};
pub use view::View;
