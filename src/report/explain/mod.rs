//! A check, explained from its own YAML: at the terminal, and as the pages in docs/checks.

mod expression;
mod index;
mod markdown;
mod nearest;
mod places;
mod stage;
mod text;

pub use index::index;
pub use nearest::{Near, did_you_mean, nearest_ids};
pub use stage::StagePage;

use crate::check::{Check, Checks, Step};
use crate::snapshot::Stage;
use places::{COMMANDS, SENTENCES, depends, filled};
use serde::Serialize;
use std::collections::BTreeSet;

/// Behind words that always hold, of a command that does not.
const WHERE_COMMAND_APPLIES: &str = " (The command only where it applies.)";

/// Everything that is told of one check.
#[derive(Debug, Serialize)]
pub struct Page {
    /// Its id.
    pub id: String,
    /// A few words.
    pub title: String,
    /// The stage that is broken when it holds.
    pub stage: Stage,
    /// Whether it is a symptom, which is no cause by itself.
    pub symptom: bool,
    /// How bad it is.
    pub severity: &'static str,
    /// How sure it is.
    pub confidence: &'static str,
    /// What it means.
    pub means: String,
    /// How it shows: the clause of the headline, with places to fill in.
    pub brief: String,
    /// How it shows: the proof, with places to fill in.
    pub because: String,
    /// The condition.
    pub when: String,
    /// The condition under which it is a warning only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_if: Option<String>,
    /// The condition under which it is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven_if: Option<String>,
    /// The facts that prove it.
    pub evidence: Vec<String>,
    /// How it is told from its neighbours.
    pub told_apart: String,
    /// Checks that the texts name.
    pub neighbours: Vec<Other>,
    /// What needs no explanation of its own while it holds.
    pub explains: Vec<Other>,
    /// What explains it.
    pub explained_by: Vec<Other>,
    /// What to do, with places to fill in.
    pub fix: Vec<Step>,
    /// How to see that it worked, with places to fill in.
    pub verify: Vec<String>,
    /// Where to read more.
    pub docs: Vec<String>,
    /// Whether parts of the texts are left out where they do not apply.
    #[serde(skip)]
    in_part: bool,
}

/// Another check, named on a page.
#[derive(Debug, Clone, Serialize)]
pub struct Other {
    /// Its id.
    pub id: String,
    /// A few words.
    pub title: String,
    /// Its stage.
    pub stage: Stage,
}

impl Page {
    /// The page of a check among these.
    pub fn of(check: &Check, checks: &Checks) -> Page {
        let spec = &check.spec;
        let other = |id: &str| checks.get(id).map(Other::of);
        let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let named = words_of(&[&spec.means, &spec.told_apart]);
        let neighbour = |check: &&Check| check.spec.id.contains('-') && check.spec.id != spec.id;
        let explains_it = |check: &&Check| check.spec.explains.contains(&spec.id);
        let step = |step: &Step| {
            let (mut say, run) = (filled(&step.say, SENTENCES), filled(&step.run, COMMANDS));
            let whole = if step.say.is_empty() { &step.run } else { &step.say };
            if depends(whole).as_whole && !(say.is_empty() && run.is_empty()) {
                say = format!("Where it applies: {say}").trim_end().to_owned();
            }
            if !step.say.is_empty() && !run.is_empty() && !depends(whole).as_whole && depends(&step.run).as_whole {
                say.push_str(WHERE_COMMAND_APPLIES);
            }
            Step { say, run }
        };
        let texts = [&spec.brief, &spec.because].into_iter().chain(&spec.verify);
        let mut texts = texts.chain(spec.fix.iter().flat_map(|step| [&step.say, &step.run]));
        Page {
            id: spec.id.clone(),
            title: spec.title.clone(),
            stage: spec.stage,
            symptom: spec.symptom,
            severity: spec.severity.name(),
            confidence: spec.confidence.name(),
            means: folded(&spec.means),
            brief: filled(&spec.brief, SENTENCES),
            because: filled(&spec.because, SENTENCES),
            when: folded(&spec.when),
            warn_if: spec.warn_if.as_deref().map(folded),
            proven_if: spec.proven_if.as_deref().map(folded),
            evidence: spec.evidence.clone(),
            told_apart: folded(&spec.told_apart),
            neighbours: checks
                .iter()
                .filter(neighbour)
                .filter(|check| named.contains(check.spec.id.as_str()))
                .map(Other::of)
                .collect(),
            explains: spec.explains.iter().filter_map(|id| other(id)).collect(),
            explained_by: checks.iter().filter(explains_it).map(Other::of).collect(),
            fix: spec.fix.iter().map(step).filter(|step| !(step.say.is_empty() && step.run.is_empty())).collect(),
            verify: spec.verify.iter().map(|v| filled(v, COMMANDS)).filter(|v| !v.is_empty()).collect(),
            docs: spec.docs.clone(),
            in_part: texts.any(|text| depends(text).in_part),
        }
    }

    /// What the marks in the texts mean, where there are any.
    fn legend(&self, fact: &str) -> String {
        let texts: Vec<&str> = [self.brief.as_str(), self.because.as_str()]
            .into_iter()
            .chain(self.fix.iter().flat_map(|step| [step.say.as_str(), step.run.as_str()]))
            .chain(self.verify.iter().map(String::as_str))
            .collect();
        let has = |mark: &str| texts.iter().any(|text| text.contains(mark));
        let mut does = Vec::new();
        if has("<") {
            does.push(format!("fills in what stands as {fact}"));
        }
        if self.in_part {
            does.push("leaves out what does not apply".to_owned());
        }
        if has(SENTENCES) || has("(Or: ") {
            does.push("shows one of the texts between which stands \"or:\"".to_owned());
        }
        match does.as_slice() {
            [] => String::new(),
            [one] => format!("A run {one}."),
            [first, last] => format!("A run {first}, and {last}."),
            [firsts @ .., last] => format!("A run {}, and {last}.", firsts.join(", ")),
        }
    }

    /// Stage, kind, severity and confidence in words.
    fn kind(&self) -> String {
        let kind = if self.symptom { "a symptom, which other checks explain" } else { "a cause" };
        let severity = match self.severity {
            "fail" => "a failure",
            _ => "a warning",
        };
        let sure = match (self.confidence, self.proven_if.is_some()) {
            ("proven", _) => "proven when it holds",
            ("likely", true) => "likely when it holds, and proven where the facts suffice",
            ("possible", true) => "possible when it holds, and proven where the facts suffice",
            ("possible", false) => "possible when it holds",
            _ => "likely when it holds",
        };
        format!("{kind}, {severity}, {sure}")
    }
}

impl Other {
    fn of(check: &Check) -> Other {
        Other { id: check.spec.id.clone(), title: check.spec.title.clone(), stage: check.spec.stage }
    }
}

/// The words of texts that could be ids.
fn words_of<'a>(texts: &[&'a str]) -> BTreeSet<&'a str> {
    let split = |text: &'a str| text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    texts.iter().flat_map(|text| split(text)).collect()
}
