//! A line per probe on standard error while a person watches; nothing in a pipe.

use crate::probe::{Observer, Probe, Silent};
use crate::snapshot::{Outcome, ProbeRecord};
use std::io::{IsTerminal, Write};

/// The observer that fits standard error.
pub fn observer() -> Box<dyn Observer> {
    if std::io::stderr().is_terminal() { Box::new(Lines) } else { Box::new(Silent) }
}

struct Lines;

impl Drop for Lines {
    /// Sets the report apart from the lines above it.
    fn drop(&mut self) {
        let _ = writeln!(std::io::stderr());
    }
}

impl Observer for Lines {
    fn starts(&mut self, probe: &Probe) {
        let _ = write!(std::io::stderr(), "{:<10} {:<12} ...", probe.stage, probe.id);
    }

    fn ended(&mut self, probe: &Probe, record: &ProbeRecord) {
        let outcome = match record.outcome {
            Outcome::Ok => "done",
            other => other.words(),
        };
        let seconds = record.duration_ms / 1000.0;
        let _ = writeln!(std::io::stderr(), "\r{:<10} {:<12} {outcome} {seconds:.2} s", probe.stage, probe.id);
    }
}
