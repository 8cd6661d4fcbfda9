//! A line per probe on standard error while a person watches; nothing in a pipe.

use super::terminal;
use crate::probe::{LoadPlan, Observer, Probe, Silent};
use crate::report::Step;
use crate::snapshot::{Outcome, ProbeRecord};
use crate::words::{clip, count, grouped, padded};
use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks at a load.
const EVERY: Duration = Duration::from_millis(250);

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

/// Shows a step that is over.
pub type StepLine = Box<dyn Fn(&Step) + Send + Sync>;

/// A line for each step of a load: while it runs it is written again and again, at its end once more.
pub struct Steps {
    stop: Option<Sender<()>>,
    writer: Option<JoinHandle<()>>,
}

impl Steps {
    /// Begins to show how far this load is; nothing where nobody watches.
    pub fn watch(plan: &LoadPlan) -> Option<Self> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        let (stop, stopped) = channel();
        let (progress, interrupted) = (plan.progress.clone(), plan.interrupted.clone());
        let (users, rate, length) = (plan.users.clone(), plan.rate_rps, plan.duration);
        let show = move || {
            let (mut step, mut begun, mut before) = (0, Instant::now(), 0);
            while stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let answered = progress.answered.load(Ordering::Relaxed);
                let now = progress.step.load(Ordering::Relaxed);
                if now != step {
                    (step, begun, before) = (now, Instant::now(), answered);
                }
                let place = usize::try_from(step).unwrap_or_default();
                let Some(of) = place.checked_sub(1).and_then(|at| users.get(at)) else { continue };
                // The step's own line has come, or comes.
                if begun.elapsed() > length {
                    continue;
                }
                let load = rate.map_or(count(*of as usize, "user"), |rate| format!("{rate} requests a second"));
                let ends = if interrupted.load(Ordering::Relaxed) { "; ending (Ctrl-C again: at once)" } else { "" };
                let text = format!(
                    "step {step} of {}: {load}, {} of {} s, {} answers{ends}",
                    users.len(),
                    begun.elapsed().as_secs(),
                    length.as_secs_f64(),
                    grouped(answered.saturating_sub(before))
                );
                over(&text, "");
            }
        };
        let writer = std::thread::Builder::new().name("screen".into()).spawn(show).ok()?;
        Some(Self { stop: Some(stop), writer: Some(writer) })
    }

    /// Writes the line of a step that is over.
    pub fn line(&self) -> StepLine {
        Box::new(|step| over(&step_line(step), "\n"))
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Writes over the line that the cursor is in.
fn over(text: &str, end: &str) {
    // One column less: a line that fills the last one cannot be written over.
    let width = terminal::width(std::io::stderr()) - 1;
    let text = if end.is_empty() { clip(text, width) } else { text.to_owned() };
    let _ = write!(std::io::stderr(), "\r{}{end}", padded(&text, width));
}

fn step_line(step: &Step) -> String {
    let latency = step.latency_ms.as_ref().map_or("no request was accepted".to_owned(), |latency| {
        format!("median {:.1} ms, p99 {:.1} ms", latency.median, latency.p99)
    });
    let failed = grouped(step.failed + step.unfinished);
    let (load, verdict, rps) = (step.load(), &step.verdict, step.throughput_rps);
    format!("{load}: {verdict}; {} requests, {failed} failed, {rps:.1} a second, {latency}", grouped(step.requests))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Facts, Unknown, Why};

    #[test]
    fn a_steps_line_tells_its_verdict() {
        let text = r#"{"users": 25, "rate_rps": {"unknown": {"why": "not_asked", "detail": ""}}, "window_ms": 10000.0,
            "requests": 1200, "ok": 0, "failed": 1200, "dropped": 0, "unfinished": 0, "by_status": {}, "by_error": {},
            "throughput_rps": 0.0, "in_flight_mean": 25.0}"#;
        let mut step: serde_json::Value = serde_json::from_str(text).unwrap();
        for fact in ["latency_ms", "first_byte_ms", "server_ms", "gpus", "models", "server_cpu_ms", "own_cpu_ms"] {
            step[fact] = serde_json::json!({"unknown": {"why": "absent", "detail": "x"}});
        }
        let facts = Facts::all_unknown(&Unknown::new(Why::Absent, "x"));
        let steps = crate::report::steps_so_far(&facts, &[serde_json::from_value(step).unwrap()]);
        assert_eq!(
            step_line(&steps[0]),
            "25 users: overloaded; 1,200 requests, 1,200 failed, 0.0 a second, no request was accepted"
        );
    }
}
