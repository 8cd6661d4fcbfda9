//! The report as one file for browsers: no other file, no network, no font, and readable without scripts.

mod bars;
mod causes;
mod chart;
mod connections;
mod escape;
mod facts;
mod frame;
mod gpus;
mod load;
mod many;
mod missing;
mod placement;
mod recorded;
mod requests;
mod stages;
mod timeline;

use super::{Report, Style};
use crate::snapshot::Snapshot;
use std::io::{Result, Write};

/// Writes the report. `snapshot` is the one that it tells of: pictures are drawn from its facts, and all of them are listed.
pub fn write(report: &Report, snapshot: &Snapshot, style: &Style, out: &mut dyn Write) -> Result<()> {
    frame::open(report, snapshot, style, out)?;
    stages::write(report, out)?;
    causes::write(report, out)?;
    if let Some(exchanges) = &report.exchanges {
        let told = report.diagnoses.iter().flat_map(|diagnosis| &diagnosis.fix).map(|step| step.run.as_str());
        requests::write(exchanges, &told.collect::<Vec<_>>(), out)?;
    }
    timeline::write(report, snapshot, out)?;
    if let Some(made) = &report.load {
        load::write(made, out)?;
    }
    if let Some(room) = &report.connections {
        connections::write(room, report.connections_judged.as_ref(), out)?;
    }
    placement::write(snapshot, out)?;
    if let Some(recorded) = &report.recorded {
        recorded::write(recorded, out)?;
    }
    missing::write(report, out)?;
    facts::write(snapshot, out)?;
    frame::close(report, style, out)
}
