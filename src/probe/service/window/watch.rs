//! The server's own counters in step with the window: its metrics page before the first request, after the last one, and
//! once a second meanwhile for what rises and falls.

use super::metrics_pages::{Place, places, read};
use crate::probe::Context;
use crate::probe::metrics::{Page, Source, counters};
use crate::probe::nvml::sampler::monotonic_ms;
use crate::probe::service::conversation::Conversation;
use crate::probe::service::recognize::Discovered;
use crate::probe::service::transport::{Http, Route};
use crate::snapshot::{CountersFacts, Fact, Facts, ModelCounters, Room, Unknown, Why};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two readings while requests run.
const PERIOD: Duration = Duration::from_secs(1);
/// A page that takes longer than this is read at the window's ends only, so as not to disturb it.
const QUICK: Duration = Duration::from_millis(100);
/// Readings of a page that are kept, at most: two minutes of them, of a longer window every second, fourth, ... one.
const READINGS_MAX: usize = 120;
/// Characters kept of a model's name and of a doubt.
const NAME_CAP: usize = 200;

/// A page that is watched.
struct Watched {
    place: Place,
    headers: Vec<(String, String)>,
    http: Http,
    source: Source,
    /// It failed at the last reading.
    lost: bool,
    quick: bool,
    /// Of so many turns one is kept, and turns since the last one.
    every: u32,
    turn: u32,
}

/// What is asked, and what came of it.
pub struct Watch {
    pages: Vec<Watched>,
    reader: Option<(Sender<()>, JoinHandle<Vec<Watched>>)>,
    /// Names of the models that the page must have.
    models: Vec<String>,
    /// Why a page is not read.
    unread: Vec<Unknown>,
    clean: Box<dyn Fn(&str) -> String>,
}

/// Prepares the reading of the pages that a server of this kind has; nothing is asked yet.
pub fn watch(talk: &Conversation, found: &Discovered, route: &Route, context: &Context, facts: &Facts) -> Watch {
    let server = crate::probe::service::plain(talk.server);
    let mut watch = Watch {
        pages: Vec::new(),
        reader: None,
        models: found.models.clone().unwrap_or_default(),
        unread: Vec::new(),
        clean: talk.recorder.cleaner(NAME_CAP),
    };
    for place in places(&server, found, context, facts) {
        let page = place.and_then(|place| {
            let route = if place.beside { Route::default() } else { route.clone() };
            let http = Http::new(&place.url, &route, context.deadline);
            let http = http.map_err(|failure| Unknown::new(failure.why, failure.text))?;
            let headers = if place.beside { Vec::new() } else { talk.everywhere.to_vec() };
            let source = Source { page: place.url.to_string(), ..Source::default() };
            Ok(Watched { place, headers, http, source, lost: false, quick: true, every: 1, turn: 0 })
        });
        match page {
            Ok(page) => watch.pages.push(page),
            Err(unknown) => watch.unread.push(unknown),
        }
    }
    watch
}

impl Watch {
    /// Reads each page once, and goes on beside the requests. A page that is not there is asked no more.
    pub fn begin(&mut self) {
        for mut page in std::mem::take(&mut self.pages) {
            match page.first(&self.models) {
                Ok(()) => self.pages.push(page),
                Err(unknown) => self.unread.push(unknown),
            }
        }
        if self.pages.is_empty() {
            return;
        }
        let (stop, stopped) = channel::<()>();
        let mut pages = std::mem::take(&mut self.pages);
        let read = move || {
            meanwhile(&mut pages, &stopped);
            pages.iter_mut().for_each(Watched::last);
            pages
        };
        match std::thread::Builder::new().name("metrics".into()).spawn(read) {
            Ok(reader) => self.reader = Some((stop, reader)),
            Err(error) => self.unread.push(Unknown::from_io(&error, "a thread that reads metrics")),
        }
    }

    /// Reads each page a last time.
    pub fn end(&mut self) {
        let Some((stop, reader)) = self.reader.take() else { return };
        drop(stop);
        match reader.join() {
            Ok(pages) => self.pages = pages,
            Err(_) => self.unread.push(Unknown::new(Why::Crashed, "the thread that read metrics ended early")),
        }
    }

    /// What the pages tell; of none, what was tried. That a server has no metrics is no obstacle to anything.
    pub fn told(self) -> CountersFacts {
        let clean = &self.clean;
        if self.pages.is_empty() {
            let tried: Vec<String> = self.unread.iter().map(|unknown| clean(&unknown.detail)).collect();
            return CountersFacts::all_unknown(&Unknown::new(Why::NotAsked, tried.join("; ")));
        }
        let sources: Vec<Source> = self.pages.into_iter().map(|page| page.source).collect();
        let mut facts = counters(&sources);
        let renamed = |models: Vec<ModelCounters>| {
            models.into_iter().map(|one| ModelCounters { model: clean(&one.model), ..one }).collect::<Vec<_>>()
        };
        facts.models = facts.models.map(renamed);
        facts.doubts = match facts.doubts {
            Fact::Known(doubts) => Fact::Known(doubts.iter().map(|doubt| clean(doubt)).collect()),
            unknown => unknown,
        };
        facts
    }
}

/// Reads every second until it is told to stop.
fn meanwhile(pages: &mut [Watched], stopped: &Receiver<()>) {
    let mut next = Instant::now() + PERIOD;
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        next = Instant::now() + PERIOD;
        pages.iter_mut().filter(|page| page.quick && !page.lost).for_each(Watched::again);
    }
}

impl Watched {
    fn first(&mut self, models: &[String]) -> Result<(), Unknown> {
        let begun = Instant::now();
        let page = self.read()?;
        self.quick = begun.elapsed() < QUICK;
        let url = &self.source.page;
        let expected = self.place.of.is_none_or(|software| page.software.contains(software));
        if page.software.is_empty() || !expected {
            let of = self.place.of.map_or_else(|| "any software that is known".to_owned(), |of| of.replace('_', " "));
            return Err(Unknown::new(Why::Absent, format!("{url} has no metrics of {of}")));
        }
        // Another server of its kind may have the usual port.
        let known =
            |model: &String| page.series.keys().any(|series| series.labels.iter().any(|(_, value)| value == model));
        let by_model = self.place.beside && matches!(self.place.of, Some("triton" | "torchserve" | "mlserver"));
        let is_of_model = |(name, _): &(String, String)| name == "model" || name == "model_name";
        let counts = || page.series.keys().any(|series| series.labels.iter().any(is_of_model));
        if by_model && !models.is_empty() && counts() && !models.iter().any(known) {
            return Err(Unknown::new(
                Why::Absent,
                format!("{url} has the metrics of another server, none of these models"),
            ));
        }
        self.source.readings.push((Some(monotonic_ms()), page));
        Ok(())
    }

    /// A reading beside the requests. One that fails is the last one of its kind.
    fn again(&mut self) {
        self.turn += 1;
        if self.turn < self.every {
            return;
        }
        self.turn = 0;
        if self.source.readings.len() + 1 >= READINGS_MAX {
            let mut place = 0;
            self.source.readings.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.every = self.every.saturating_mul(2);
        }
        match self.read() {
            Ok(page) => self.source.readings.push((Some(monotonic_ms()), page)),
            // A server that is at work may answer late.
            Err(unknown) if unknown.why == Why::TimedOut => self.quick = false,
            Err(_) => self.lost = true,
        }
    }

    fn last(&mut self) {
        match self.read() {
            Ok(page) => {
                if self.lost {
                    self.source.doubts.push(format!("{} was gone while requests ran, and came back", self.source.page));
                }
                self.source.readings.push((Some(monotonic_ms()), page));
            }
            Err(unknown) => self.source.doubts.push(format!("it was not read after the requests: {}", unknown.detail)),
        }
    }

    fn read(&self) -> Result<Page, Unknown> {
        read(&self.http, &self.place.url, &self.headers)
    }
}
