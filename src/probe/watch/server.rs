//! The server's part of a turn: its metrics pages, read by a thread of their own, as differences from one reading to the
//! next.

use super::turn::{Figure, ServerTurn};
use crate::probe::metrics::{Page, Source, counters};
use crate::probe::service::pages::{Pages, Reading};
use crate::snapshot::{CountersFacts, Fact, ModelCounters, Room, Unknown, Why};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// How long a turn waits for the pages.
const PATIENCE: Duration = Duration::from_millis(400);
/// The first time, since nothing else waits.
const PATIENCE_FIRST: Duration = Duration::from_secs(3);
/// What to do where no page is there.
const HOW_TO_NAME: &str = "name the page with --metrics URL: Triton's is at port 8002, that of vLLM, TGI and SGLang \
                           (--enable-metrics) at /metrics; a program of your own needs prometheus_client";
/// Doubts kept of a page.
const DOUBTS_MAX: usize = 20;

/// The server's pages.
pub struct Server {
    ask: Sender<()>,
    told: Receiver<Vec<Reading>>,
    /// Readings are under way.
    asked: bool,
    pages: Vec<Watched>,
    /// What the last reading of a page that was never there said.
    tried: Option<Unknown>,
}

/// A page across turns.
struct Watched {
    page: String,
    /// The first reading, those around a restart, the last: what the differences of the whole watch take.
    kept: Source,
    /// Whether it failed at the last reading.
    gone: bool,
    /// Readings around the first restart are kept.
    broken: bool,
    /// The highest readings of gauges by model: running, waiting, key-value cache.
    most: BTreeMap<String, [Option<f64>; 3]>,
}

impl Server {
    /// Begins; nothing is read yet. The thread ends with this.
    pub fn begin(mut pages: Pages) -> Self {
        let (ask, asked) = channel::<()>();
        let (tell, told) = channel();
        let work = move || {
            while asked.recv().is_ok() && tell.send(pages.read()).is_ok() {}
        };
        // Without a thread no answer ever comes, which every turn then says.
        let _ = std::thread::Builder::new().name("metrics".into()).spawn(work);
        Self { ask, told, asked: false, pages: Vec::new(), tried: None }
    }

    /// The readings from which the first turn counts. Tells which pages there are, or why there are none.
    pub fn first(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        let readings = match self.readings(PATIENCE_FIRST) {
            Ok(readings) => readings,
            Err(unknown) => return vec![format!("no metrics yet: {}", unknown.detail)],
        };
        for reading in readings {
            match reading.read {
                Ok(page) => {
                    let software: Vec<&str> = page.software.iter().copied().collect();
                    notes.push(format!("metrics of {} at {}", software.join(", "), reading.page));
                    self.pages.push(Watched::new(reading.page, reading.at_ms, page));
                }
                Err(unknown) => {
                    notes.push(format!("no metrics yet: {}", unknown.detail));
                    self.tried = Some(unknown);
                }
            }
        }
        if self.pages.is_empty() {
            notes.push(HOW_TO_NAME.into());
        }
        notes
    }

    /// What the server's counters gained since the last turn.
    pub fn turn(&mut self, notes: &mut Vec<String>) -> ServerTurn {
        let readings = match self.readings(PATIENCE) {
            Ok(readings) => readings,
            Err(unknown) => {
                notes.push(unknown.detail.clone());
                return ServerTurn::unknown(&unknown);
            }
        };
        let mut gained: Vec<ModelCounters> = Vec::new();
        let mut failed = None;
        for reading in readings {
            let known = self.pages.iter_mut().find(|known| known.page == reading.page);
            match (known, reading.read) {
                (Some(known), Ok(page)) => match known.gained(reading.at_ms, page, notes) {
                    Ok(models) => gained.extend(models),
                    Err(unknown) => failed = Some(unknown),
                },
                (Some(known), Err(unknown)) => {
                    if !std::mem::replace(&mut known.gone, true) {
                        notes.push(format!("metrics are gone: {}", unknown.detail));
                    }
                    failed = Some(unknown);
                }
                (None, Ok(page)) => {
                    notes.push(format!("metrics are there: {}", reading.page));
                    self.pages.push(Watched::new(reading.page, reading.at_ms, page));
                    failed = Some(Unknown::new(Why::NotAsked, "the first reading; differences take two"));
                }
                (None, Err(unknown)) => {
                    self.tried = Some(unknown.clone());
                    failed = Some(unknown);
                }
            }
        }
        match failed {
            // Of some of several pages the sum is not the server's.
            Some(unknown) => ServerTurn::unknown(&unknown),
            None => together(&gained),
        }
    }

    fn readings(&mut self, patience: Duration) -> Result<Vec<Reading>, Unknown> {
        if !self.asked && self.ask.send(()).is_err() {
            return Err(Unknown::new(Why::Crashed, "the thread that reads metrics ended"));
        }
        self.asked = true;
        match self.told.recv_timeout(patience) {
            Ok(readings) => {
                self.asked = false;
                Ok(readings)
            }
            Err(RecvTimeoutError::Timeout) => {
                let page = self.pages.first().map_or("the server", |known| known.page.as_str());
                Err(Unknown::new(Why::TimedOut, format!("{page} has not answered yet")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Unknown::new(Why::Crashed, "the thread that reads metrics ended"))
            }
        }
    }

    /// What the counters gained in the whole watch.
    pub fn end(self) -> CountersFacts {
        if self.pages.is_empty() {
            let detail = self.tried.map_or_else(|| "no page of metrics was read".to_owned(), |unknown| unknown.detail);
            return CountersFacts::all_unknown(&Unknown::new(Why::NotAsked, detail));
        }
        let most: BTreeMap<(String, String), [Option<f64>; 3]> = self
            .pages
            .iter()
            .flat_map(|known| known.most.iter().map(|(model, most)| ((known.page.clone(), model.clone()), *most)))
            .collect();
        let restarted = self.pages.iter().find(|known| known.broken).map(|known| known.page.clone());
        let sources: Vec<Source> = self.pages.into_iter().map(|known| known.kept).collect();
        let mut facts = counters(&sources);
        // From before to after it there is no difference that means anything.
        if let Some(page) = restarted {
            let detail = format!("{page}: the server's counters began anew while it was watched");
            facts.models = Fact::unknown(Why::Malformed, detail);
        }
        if let Fact::Known(models) = &mut facts.models {
            for one in models {
                let Some(most) = most.get(&(one.page.clone(), one.model.clone())) else { continue };
                let gauges = [&mut one.running_most, &mut one.waiting_most, &mut one.kv_cache_percent];
                for (gauge, most) in gauges.into_iter().zip(most) {
                    if let (Fact::Known(value), Some(most)) = (gauge, most) {
                        *value = value.max(*most);
                    }
                }
            }
        }
        facts
    }
}

impl Watched {
    fn new(page: String, at_ms: f64, first: Page) -> Self {
        let kept = Source { page: page.clone(), readings: vec![(Some(at_ms), first)], doubts: Vec::new() };
        Self { page, kept, gone: false, broken: false, most: BTreeMap::new() }
    }

    /// What its counters gained since the last reading.
    fn gained(&mut self, at_ms: f64, page: Page, notes: &mut Vec<String>) -> Result<Vec<ModelCounters>, Unknown> {
        let Some(last) = self.kept.readings.last().cloned() else {
            return Err(Unknown::new(Why::NotAsked, "the first reading; differences take two"));
        };
        let last_ms = last.0.unwrap_or(at_ms);
        if std::mem::replace(&mut self.gone, false) {
            let back = format!("{} is back: it was not read for {:.0} s", self.page, (at_ms - last_ms) / 1e3);
            self.doubt(back.clone());
            notes.push(back);
        }
        let pair = Source { page: self.page.clone(), readings: vec![last, (Some(at_ms), page)], doubts: Vec::new() };
        let told = counters(std::slice::from_ref(&pair));
        let now = pair.readings.into_iter().next_back();
        let models = told.models.known().cloned().unwrap_or_default();
        // A counter that fell makes every difference unknown, and says why.
        let broken = models.iter().find_map(|one| {
            let reasons = [&one.requests_ok, &one.requests_taken, &one.inferences, &one.executions];
            reasons.into_iter().filter_map(Fact::reason).find(|unknown| unknown.why == Why::Malformed).cloned()
        });
        match (&broken, self.broken) {
            // The last reading before it stays, beside the first.
            (Some(_), false) => self.broken = true,
            // Of a page, the first reading and those around a restart stay.
            _ => {
                let most = if self.broken { 3 } else { 1 };
                self.kept.readings.truncate(most);
            }
        }
        self.kept.readings.extend(now);
        for one in &models {
            let now = [&one.running_most, &one.waiting_most, &one.kv_cache_percent].map(|gauge| gauge.known().copied());
            let most = self.most.entry(one.model.clone()).or_default();
            for (most, now) in most.iter_mut().zip(now) {
                *most = most.map_or(now, |most| Some(now.map_or(most, |now| most.max(now))));
            }
        }
        match broken {
            Some(unknown) => {
                notes.push(unknown.detail.clone());
                self.doubt(unknown.detail.clone());
                Err(unknown)
            }
            None => Ok(models),
        }
    }

    fn doubt(&mut self, doubt: String) {
        if self.kept.doubts.len() < DOUBTS_MAX && !self.kept.doubts.contains(&doubt) {
            self.kept.doubts.push(doubt);
        }
    }
}

/// All models together: counts as sums, times as means over the requests.
fn together(models: &[ModelCounters]) -> ServerTurn {
    let gained: Vec<(Figure, &ModelCounters)> = models.iter().map(|one| (requests(one), one)).collect();
    let sum = |of: &dyn Fn(&ModelCounters) -> Figure| -> Figure {
        let all: Vec<Figure> = models.iter().map(of).collect();
        let known: Vec<f64> = all.iter().filter_map(|one| one.as_ref().ok().copied()).collect();
        match (known.is_empty(), all.into_iter().find_map(Result::err)) {
            (false, _) => Ok(known.iter().sum()),
            (true, Some(unknown)) => Err(unknown),
            (true, None) => Err(Unknown::new(Why::Absent, "the page names no model")),
        }
    };
    let mean = |of: fn(&ModelCounters) -> &Fact<f64>| -> Figure {
        let (mut requests, mut spent, mut reason) = (0.0, 0.0, None);
        for (count, one) in &gained {
            match (count, of(one)) {
                (Ok(count), Fact::Known(ms)) if *count > 0.0 => {
                    requests += count;
                    spent += ms * count;
                }
                (Ok(count), Fact::Unknown(unknown)) if *count > 0.0 => reason = Some(unknown.clone()),
                _ => {}
            }
        }
        let none = || Unknown::new(Why::NotAsked, "no request was counted, so that there is no mean");
        if requests > 0.0 { Ok(spent / requests) } else { Err(reason.unwrap_or_else(none)) }
    };
    ServerTurn {
        gained: sum(&requests),
        succeeded: sum(&|one| one.requests_ok.read().copied()),
        failed: sum(&failures),
        queue_ms: mean(|one| &one.queue_ms),
        infer_ms: mean(|one| &one.compute_ms),
        request_ms: mean(|one| &one.request_ms),
        running: sum(&|one| one.running_most.read().copied()),
        waiting: sum(&|one| one.waiting_most.read().copied()),
    }
}

/// Requests of a model that were counted: those that ended, however they did; where that is not told, those that were
/// taken on, else its inferences.
fn requests(one: &ModelCounters) -> Figure {
    match one.requests_ok.read() {
        Ok(ok) => Ok(ok + failures(one).unwrap_or(0.0)),
        Err(unknown) => one.requests_taken.read().or_else(|_| one.inferences.read()).copied().map_err(|_| unknown),
    }
}

/// Requests that failed or were refused by the server's own count.
fn failures(one: &ModelCounters) -> Figure {
    match (one.requests_failed.read(), one.requests_refused.read()) {
        (Ok(failed), Ok(refused)) => Ok(failed + refused),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(*one),
        (Err(unknown), Err(_)) => Err(unknown),
    }
}
