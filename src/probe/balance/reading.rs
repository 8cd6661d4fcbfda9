//! One look at all GPUs: by the server's own word, and by NVML.

use super::gpus::Gpus;
use super::status::{self, Told};
use crate::probe::StatusFields;
use crate::probe::service::held::Holder;
use crate::snapshot::{Fact, Facts, MeasuredGpu, SpreadReading, Unknown, Why};
use std::time::{Duration, Instant};

/// Longest wait for the server's document.
const PATIENCE: Duration = Duration::from_secs(2);
/// Memory counts as settled when it has not moved so far for so long.
const STEADY: Duration = Duration::from_millis(250);
const STEADY_BYTES: u64 = 1 << 20;
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(60);

/// The two sources.
pub struct Sources<'a> {
    holder: &'a Holder,
    /// Path of the document, where one was found.
    status: Result<String, Unknown>,
    fields: &'a StatusFields,
    gpus: Result<Gpus, Unknown>,
    facts: &'a Facts,
}

impl<'a> Sources<'a> {
    /// Looks for the document; `gpus` are under watch, if the server is on this machine.
    pub async fn open(
        holder: &'a Holder,
        named: Option<&str>,
        fields: &'a StatusFields,
        facts: &'a Facts,
        gpus: Result<Gpus, Unknown>,
    ) -> Self {
        let status = find(holder, named, fields).await;
        Self { holder, status, fields, gpus, facts }
    }

    /// Path of the document.
    pub fn status_path(&self) -> Fact<String> {
        self.status.as_ref().map(|path| shown(path).to_owned()).map_err(Clone::clone).into()
    }

    /// What the document tells.
    pub async fn told(&self) -> Result<Told, Unknown> {
        let path = self.status.as_ref().map_err(Clone::clone)?;
        ask(self.holder, path, self.fields).await
    }

    /// Both, as they are now.
    pub async fn read(&self, open_connections: u64) -> SpreadReading {
        let told = self.told().await.map(|told| told.gpus);
        SpreadReading { open_connections, told: told.into(), measured: self.measured().into() }
    }

    /// Waits until no GPU's memory moves any more, at most so long.
    pub async fn settle(&self, longest: Duration) {
        let until = Instant::now() + longest;
        let (mut last, mut since) = (self.memory(), Instant::now());
        // One sample at least is newer than what was done.
        tokio::time::sleep(PAUSE.min(longest)).await;
        while Instant::now() < until && since.elapsed() < STEADY {
            tokio::time::sleep(PAUSE).await;
            let now = self.memory();
            if has_moved(&last, &now) {
                (last, since) = (now, Instant::now());
            }
        }
    }

    /// Waits until a GPU's memory moves, at most so long. False if none did.
    pub async fn moves(&self, longest: Duration) -> bool {
        let until = Instant::now() + longest;
        let first = self.memory();
        while Instant::now() < until {
            tokio::time::sleep(PAUSE).await;
            if has_moved(&first, &self.memory()) {
                return true;
            }
        }
        false
    }

    /// Whether the GPUs are watched at all.
    pub fn sees_gpus(&self) -> bool {
        self.gpus.is_ok()
    }

    fn memory(&self) -> Vec<Option<u64>> {
        self.gpus.as_ref().map(Gpus::memory).unwrap_or_default()
    }

    fn measured(&self) -> Result<Vec<MeasuredGpu>, Unknown> {
        self.gpus.as_ref().map_err(Clone::clone)?.measured(self.facts)
    }
}

/// A path without what may be secret in it.
fn shown(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// What was not read, then or now, is no movement.
fn has_moved(before: &[Option<u64>], now: &[Option<u64>]) -> bool {
    let moved = |(now, before): (&Option<u64>, &Option<u64>)| {
        now.zip(*before).is_some_and(|(now, before)| now.abs_diff(before) > STEADY_BYTES)
    };
    now.len() != before.len() || now.iter().zip(before).any(moved)
}

/// The path at which the server tells of its GPUs.
async fn find(holder: &Holder, named: Option<&str>, fields: &StatusFields) -> Result<String, Unknown> {
    if let Some(path) = named {
        return ask(holder, path, fields).await.map(|_| path.to_owned());
    }
    for path in status::PATHS {
        match ask(holder, path, fields).await {
            Ok(_) => return Ok((*path).to_owned()),
            // A server that does not answer is not asked again and again.
            Err(unknown) if unknown.why == Why::TimedOut => return Err(unknown),
            Err(_) => {}
        }
    }
    // That a server does not tell is no fault of anything.
    let detail = format!("the server tells of its GPUs at none of {}", status::PATHS.join(", "));
    Err(Unknown::new(Why::NotAsked, detail))
}

async fn ask(holder: &Holder, path: &str, fields: &StatusFields) -> Result<Told, Unknown> {
    let (status, body) = holder.get(path, PATIENCE).await.map_err(|failure| Unknown::new(failure.why, failure.text))?;
    if status != 200 {
        return Err(Unknown::new(Why::Absent, format!("{} was answered {status}", shown(path))));
    }
    status::read(&body, fields)
        .map_err(|unknown| Unknown::new(unknown.why, format!("{}: {}", shown(path), unknown.detail)))
}
