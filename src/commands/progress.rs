//! A line per probe on standard error while a person watches; nothing in a pipe.

use crate::probe::{Observer, Probe, Silent, StepTold};
use crate::snapshot::{LoadStep, Outcome, ProbeRecord};
use crate::words::grouped;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

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

/// Tells each step of a load when it is over.
pub fn steps() -> StepTold {
    if !std::io::stderr().is_terminal() {
        return StepTold(Arc::new(|_| {}));
    }
    // Over the probe's own line, which is written again when it ends.
    StepTold(Arc::new(|step| {
        let _ = writeln!(std::io::stderr(), "\r{}", step_line(step));
    }))
}

fn step_line(step: &LoadStep) -> String {
    let latency = step.latency_ms.known().map_or("no request was accepted".to_owned(), |latency| {
        format!("median {:.1} ms, p99 {:.1} ms", latency.median, latency.p99)
    });
    let (requests, failed) = (grouped(step.requests), grouped(step.failed + step.unfinished));
    format!(
        "{:>6} users  {requests} requests, {failed} failed, {:.1} a second, {latency}",
        step.users, step.throughput_rps
    )
}
