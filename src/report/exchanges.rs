//! The client's request beside the accepted one, and the contract, as tables.

use super::page::Page;
use crate::diagnosis::reachable;
use crate::snapshot::{ClientReading, CodeChange, ContractCase, Difference, Fact, RequestFacts, Target};
use crate::words::{clip, count, plain};
use colored::Colorize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;

/// Widest column of a value, characters.
const WIDEST: usize = 40;

/// What is told of requests beside the causes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchanges {
    /// How the client's own request was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_reading: Option<ClientReading>,
    /// Where it differs from the one that the server accepts.
    pub differences: Vec<Difference>,
    /// It with what it lacks, accepted by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mended_curl: Option<String>,
    /// The same in the client's own code.
    pub mended_code: Vec<CodeChange>,
    /// With `--contract`: what the server answers to broken requests.
    pub contract: Vec<ContractCase>,
}

impl Exchanges {
    /// What there is to tell; nothing where that is nothing.
    pub fn of(facts: &RequestFacts) -> Option<Self> {
        let exchanges = Self {
            client_reading: facts.client_reading.known().cloned(),
            differences: facts.differences.known().cloned().unwrap_or_default(),
            mended_curl: facts.mended_curl.known().cloned(),
            mended_code: facts.mended_code.known().cloned().unwrap_or_default(),
            contract: facts.contract.known().cloned().unwrap_or_default(),
        };
        let notes = exchanges.client_reading.as_ref().is_some_and(|reading| !reading.notes.is_empty());
        (notes || !exchanges.differences.is_empty() || !exchanges.contract.is_empty()).then_some(exchanges)
    }

    /// The same with commands that can be run.
    pub fn shown(mut self, target: &Target) -> Self {
        self.mended_curl = self.mended_curl.map(|curl| reachable(target, &curl));
        self
    }

    /// Writes the tables. `told` are commands that the report has shown already.
    pub fn write(&self, told: &[&str], out: &mut Page) -> std::io::Result<()> {
        self.client(told, out)?;
        self.contract(out)
    }

    fn client(&self, told: &[&str], out: &mut Page) -> std::io::Result<()> {
        let reading = self.client_reading.as_ref();
        let notes = reading.map(|reading| reading.notes.as_slice()).unwrap_or_default();
        if notes.is_empty() && self.differences.is_empty() {
            return Ok(());
        }
        let place = reading.map(|reading| reading.place.as_str()).filter(|place| !place.is_empty());
        let place = place.map(|place| format!(" ({})", out.safe(place))).unwrap_or_default();
        writeln!(out, "\n{}{place}", "the client's request".bold())?;
        if !self.differences.is_empty() {
            let head = ["", "client", "accepted", "decides"].map(str::to_owned);
            let rows = self.differences.iter().map(|difference| {
                let name = format!("{} {}", difference.what, difference.name);
                [
                    name.trim_end().to_owned(),
                    side(&difference.client),
                    side(&difference.good),
                    decides(&difference.decides),
                ]
            });
            table(std::iter::once(head).chain(rows).collect(), out)?;
        }
        for note in notes {
            out.paragraph("  ", &format!("note: {note}"))?;
        }
        for change in &self.mended_code {
            let old = if change.old.is_empty() { "(no such argument)" } else { &change.old };
            out.paragraph("  ", &format!("{}: instead of {old}", change.at))?;
            out.command("    ", &change.new)?;
        }
        match &self.mended_curl {
            Some(curl) if !told.contains(&curl.as_str()) => {
                writeln!(out, "  mended, and accepted by the server:")?;
                out.command("    ", curl)
            }
            _ => Ok(()),
        }
    }

    fn contract(&self, out: &mut Page) -> std::io::Result<()> {
        if self.contract.is_empty() {
            return Ok(());
        }
        let sent = self.contract.iter().filter(|case| case.status.known().is_some()).count();
        writeln!(out, "\n{}", "contract".bold())?;
        let sent = count(sent, "request");
        out.paragraph("  ", &format!("the good request broken in one place at a time; {sent} answered"))?;
        let rows = self.contract.iter().map(|case| [case.field.clone(), broken(case), answered(case)]);
        table(rows.collect(), out)
    }
}

fn side(value: &str) -> String {
    if value.is_empty() { "-".into() } else { value.to_owned() }
}

pub(super) fn decides(decides: &Fact<bool>) -> String {
    match decides {
        Fact::Known(true) => "yes".into(),
        Fact::Known(false) => "no".into(),
        Fact::Unknown(_) => "not tried".into(),
    }
}

pub(super) fn broken(case: &ContractCase) -> String {
    match case.kind.as_str() {
        "left_out" => "left out".into(),
        _ => format!("= {}", case.sent),
    }
}

pub(super) fn answered(case: &ContractCase) -> String {
    let status = match &case.status {
        Fact::Known(status) => status.to_string(),
        Fact::Unknown(unknown) if unknown.detail.starts_with("not sent") => return unknown.detail.clone(),
        Fact::Unknown(unknown) => format!("no answer ({})", unknown.detail),
    };
    let rejected = !case.accepted;
    let error_inside = rejected && case.status.known().is_some_and(|status| (200..300).contains(status));
    let mut words = vec![status];
    match (rejected, case.names_field) {
        (false, _) => words.push("accepted".into()),
        (true, true) => words.push("names it".into()),
        (true, false) if case.status.known().is_some() => words.push("does not name it".into()),
        (true, false) => {}
    }
    if error_inside {
        words.insert(1, "an error inside".into());
    }
    let failed = case.status.known().is_none_or(|status| *status >= 500);
    match case.survives {
        Fact::Known(false) => words.push("the good request is not accepted any more".into()),
        Fact::Known(true) if failed => words.push("the good request is accepted after it".into()),
        _ => {}
    }
    words.join(", ")
}

/// Columns side by side, each value cut where it is very long; the last one is a sentence.
fn table<const N: usize>(rows: Vec<[String; N]>, out: &mut Page) -> std::io::Result<()> {
    let cut = |row: [String; N]| {
        let mut column = 0;
        row.map(|cell| {
            column += 1;
            if column < N { clip(&plain(&cell), WIDEST) } else { plain(&cell) }
        })
    };
    out.table(2, &rows.into_iter().map(cut).collect::<Vec<_>>())
}
