//! The table: per stage, what was right.

use crate::expect::{Kind, Outcome, Said};
use crate::load::Case;
use gpu_doctor::snapshot::Stage;
use std::collections::BTreeMap;
use std::fmt;

/// Part of a whole.
#[derive(Default, Clone, Copy)]
struct Share(usize, usize);

impl Share {
    fn count(&mut self, right: bool) {
        self.0 += usize::from(right);
        self.1 += 1;
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.1 == 0 { "-".to_owned() } else { format!("{} of {}", self.0, self.1) };
        f.pad(&text)
    }
}

#[derive(Default, Clone)]
struct Row {
    first: Share,
    listed: Share,
    /// Cases without a false cause.
    sound: Share,
    honest: Share,
    whole: Share,
}

impl Row {
    fn add(&mut self, outcome: &Outcome) {
        if let Some(right) = outcome.first_right {
            self.first.count(right);
            self.listed.count(outcome.listed);
        }
        if let Some(honest) = outcome.honest {
            self.honest.count(honest);
        }
        self.sound.count(outcome.false_causes.is_empty());
        self.whole.count(outcome.faults.is_empty());
    }
}

/// How all cases went.
#[derive(Default)]
pub struct Table {
    stages: BTreeMap<Stage, Row>,
    kinds: BTreeMap<Kind, Row>,
    all: Row,
    cases: Vec<(String, Kind, Outcome, String)>,
}

impl Table {
    pub fn add(&mut self, case: &Case, said: &Said) {
        let outcome = case.expect.held_against(said);
        self.stages.entry(case.expect.stage).or_default().add(&outcome);
        self.kinds.entry(case.expect.kind).or_default().add(&outcome);
        self.all.add(&outcome);
        self.cases.push((case.name.clone(), case.expect.kind, outcome, said.headline.clone()));
    }

    /// Cases whose first cause is right, of those that have one.
    pub fn first_right(&self) -> (usize, usize) {
        (self.all.first.0, self.all.first.1)
    }

    /// Cases of a kind with a cause that they do not have.
    pub fn accused(&self, kind: Kind) -> Vec<String> {
        let accused = |(name, of, outcome, _): &(String, Kind, Outcome, String)| {
            let causes = outcome.false_causes.join(", ");
            (*of == kind && !causes.is_empty()).then(|| format!("{name}: {causes}"))
        };
        self.cases.iter().filter_map(accused).collect()
    }

    /// Cases of which anything is not as meant.
    pub fn astray(&self) -> Vec<&str> {
        let astray = self.cases.iter().filter(|(_, _, outcome, _)| !outcome.faults.is_empty());
        astray.map(|(name, ..)| name.as_str()).collect()
    }

    /// Cases that do not tell what is missing.
    pub fn dishonest(&self) -> Vec<String> {
        let silent = self.cases.iter().filter(|(_, _, outcome, _)| outcome.honest == Some(false));
        silent.map(|(name, _, outcome, _)| format!("{name}: {}", outcome.faults.join("; "))).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |f: &mut fmt::Formatter<'_>, name: &str, row: &Row| {
            let Row { first, listed, sound, honest, whole } = row;
            writeln!(f, "{name:<12} {first:>12} {listed:>12} {sound:>14} {honest:>14} {whole:>14}")
        };
        writeln!(
            f,
            "{:<12} {:>12} {:>12} {:>14} {:>14} {:>14}",
            "", "first right", "listed", "no false one", "unknown told", "all as meant"
        )?;
        for (stage, row) in &self.stages {
            line(f, &stage.to_string(), row)?;
        }
        writeln!(f)?;
        for (kind, row) in &self.kinds {
            line(f, &format!("{kind:?}").to_lowercase(), row)?;
        }
        writeln!(f)?;
        line(f, "all", &self.all)?;
        for (name, kind, outcome, headline) in &self.cases {
            if !outcome.faults.is_empty() {
                let kind = format!("{kind:?}").to_lowercase();
                write!(f, "\n{name} ({kind}): {}\n    said: {headline}", outcome.faults.join("; "))?;
            }
        }
        Ok(())
    }
}
