//! The requests of all files together.

use super::super::evidence::{Clock, Detail, Requests};
use super::instants::{self, Window};
use crate::probe::service;
use crate::snapshot::{ExecutionFacts, Fact, RecordedError, RecordedRequests, Unknown, Why};
use crate::words::grouped;
use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Texts of failures that are told.
const ERRORS: usize = 10;

/// What files tell of requests, each request counted once.
pub struct Told {
    /// Those that count.
    counted: Vec<Requests>,
    /// Those that tell of the same requests once more: their times and failures are used where the others have none.
    beside: Vec<Requests>,
}

/// Sorts out which files tell of the same requests.
pub fn together(mut all: Vec<Requests>, doubts: &mut Vec<String>) -> Option<Told> {
    // Rows of single requests say most; a summary says more than its parts.
    all.sort_by_key(|one| one.detail);
    let best = all.first()?.detail;
    let (mut counted, mut beside): (Vec<Requests>, Vec<Requests>) = (Vec::new(), Vec::new());
    for one in all {
        let again = counted.iter().find(|other| other.is_same_as(&one));
        if let Some(other) = again {
            doubts.push(format!("{} and {} hold the same requests; they count once", other.file, one.file));
        } else if one.detail == best {
            counted.push(one);
        } else {
            beside.push(one);
        }
    }
    let count: u64 = counted.iter().map(|one| one.count).sum();
    for one in beside.iter().filter(|one| one.detail == Detail::Summary && one.count != count) {
        let (told, other) = (grouped(one.count), grouped(count));
        doubts.push(format!(
            "{} tells of {told} requests and the other files of {other}; those of single requests count",
            one.file
        ));
    }
    let told = Told { counted, beside };
    let clocks: Vec<Clock> = told.timed().iter().map(|one| one.clock).collect();
    if clocks.windows(2).any(|pair| pair[0] != pair[1]) {
        doubts
            .push("the files of requests write their times in different ways; only those of the first are used".into());
    }
    Some(told)
}

/// A percentile, milliseconds: the middle of the values that the histogram holds for one.
fn middle(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.median_equivalent(times.value_at_quantile(quantile)) as f64 / 1e3
}

impl Requests {
    /// Whether another file tells of the same requests: as many, with the same times.
    fn is_same_as(&self, other: &Requests) -> bool {
        let first =
            |one: &Requests| one.timeline.as_ref().and_then(|timeline| timeline.slots().next().map(|(at, ..)| at));
        self.detail == other.detail
            && self.writer == other.writer
            && self.count == other.count
            && self.by_status == other.by_status
            && (self.busy_ms == other.busy_ms || self.is_k6_rounded(other))
            && (self.busy_ms.is_some() || self.timeline.is_some())
            && first(self) == first(other)
    }
}

impl Requests {
    /// Whether one is k6's text and the other its JSON, of one run: the text rounds the mean, and hardly the rate.
    fn is_k6_rounded(&self, other: &Requests) -> bool {
        let near = |a: Option<f64>, b: Option<f64>, share: f64| {
            a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= share * a.abs().max(b.abs()))
        };
        self.writer == "k6"
            && other.writer == "k6"
            && near(self.busy_ms, other.busy_ms, 0.01)
            && near(self.span_ms, other.span_ms, 1e-6)
    }
}

impl Told {
    fn all(&self) -> impl Iterator<Item = &Requests> {
        self.counted.iter().chain(&self.beside)
    }

    /// Those with times: of the files that count, else of those beside.
    fn timed(&self) -> Vec<&Requests> {
        let timed = |list: &'_ [Requests]| list.iter().position(|one| one.timeline.is_some()).is_some();
        let list = if timed(&self.counted) { &self.counted } else { &self.beside };
        list.iter().filter(|one| one.timeline.is_some()).collect()
    }

    /// When they ran.
    pub fn window(&self) -> Option<Window> {
        let timed = self.timed();
        let first = timed.first()?;
        let alike: Vec<_> =
            timed.iter().filter(|one| one.clock == first.clock).filter_map(|one| one.timeline.as_ref()).collect();
        Window::of(first.clock, &first.file, &alike)
    }

    fn count(&self) -> u64 {
        self.counted.iter().map(|one| one.count).sum()
    }

    fn ok(&self) -> Fact<u64> {
        let silent = self.counted.iter().find(|one| one.ok.is_none());
        match silent {
            Some(one) => {
                let detail = format!(
                    "{} does not tell whether the requests succeeded; write the status of each answer",
                    one.file
                );
                Fact::unknown(Why::Absent, detail)
            }
            None => Fact::Known(self.counted.iter().filter_map(|one| one.ok).sum()),
        }
    }

    fn by_status(&self) -> BTreeMap<String, u64> {
        let add = |list: &[&Requests]| {
            let mut sum: BTreeMap<String, u64> = BTreeMap::new();
            for (status, count) in list.iter().flat_map(|one| &one.by_status) {
                *sum.entry(status.clone()).or_default() += count;
            }
            sum
        };
        let counted = add(&self.counted.iter().collect::<Vec<_>>());
        // A summary counts failures without their status, which stands in the file of failures. An access log beside it
        // counts the same ones again.
        let (of_failures, others): (Vec<&Requests>, Vec<&Requests>) =
            self.beside.iter().partition(|one| one.detail == Detail::Failures);
        let failures = Some(add(&of_failures)).filter(|sum| !sum.is_empty()).unwrap_or_else(|| add(&others));
        match counted.keys().any(|status| status != "unknown") || failures.is_empty() {
            true => counted,
            false => {
                let known: u64 = failures.values().sum();
                let rest = self.count().saturating_sub(known);
                failures.into_iter().chain((rest > 0).then(|| ("unknown".into(), rest))).collect()
            }
        }
    }

    fn errors(&self) -> Vec<RecordedError> {
        let mut sum: BTreeMap<&str, u64> = BTreeMap::new();
        let list = if self.counted.iter().any(|one| !one.errors.is_empty()) { &self.counted } else { &self.beside };
        for (text, count) in list.iter().flat_map(|one| &one.errors) {
            *sum.entry(text).or_default() += count;
        }
        let mut errors: Vec<RecordedError> = sum
            .into_iter()
            .map(|(text, count)| RecordedError { text: text.into(), count, names_missing: Vec::new() })
            .collect();
        errors.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.text.cmp(&b.text)));
        errors.truncate(ERRORS);
        for error in &mut errors {
            error.names_missing = service::named_missing(&error.text);
        }
        errors
    }

    /// All times of a kind in one histogram.
    fn times(&self, of: impl Fn(&Requests) -> Option<&Histogram<u64>>) -> Option<Histogram<u64>> {
        let mut sum: Option<Histogram<u64>> = None;
        for times in self.counted.iter().filter_map(of) {
            match &mut sum {
                Some(sum) => drop(sum.add(times)),
                None => sum = Some(times.clone()),
            }
        }
        sum
    }

    fn percentiles_ms(&self) -> Option<(f64, Option<f64>)> {
        if let Some(times) = self.times(|one| one.times_us.as_ref()) {
            let at = |quantile| middle(&times, quantile);
            return Some((at(0.5), Some(at(0.99))));
        }
        match self.counted.as_slice() {
            [one] => one.percentiles_ms,
            _ => None,
        }
    }

    fn span_ms(&self, window: Option<&Window>) -> Option<f64> {
        window.map(Window::span_ms).or_else(|| self.all().filter_map(|one| one.span_ms).reduce(f64::max))
    }

    fn lacking<T>(&self, value: Option<T>, what: &str) -> Fact<T> {
        match value {
            Some(value) => Fact::Known(value),
            None => {
                let files: Vec<&str> = self.counted.iter().map(|one| one.file.as_str()).collect();
                Fact::unknown(Why::Absent, format!("{} does not tell {what}", files.join(", ")))
            }
        }
    }

    /// What the files say together.
    pub fn recorded(&self, window: Option<&Window>) -> RecordedRequests {
        let percentiles = self.percentiles_ms();
        let busy_ms = self.counted.iter().map(|one| one.busy_ms).sum::<Option<f64>>();
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let span_ms = self.span_ms(window).filter(|span| *span > 0.0).map(round);
        let ran_ms = window.map(Window::busy_span_ms).or(span_ms).filter(|ran| *ran > 0.0);
        let server = self.times(|one| one.server_us.as_ref());
        let at = |pick: fn(&Window) -> f64| {
            let told = window.and_then(|window| instants::told(pick(window), window.clock));
            self.lacking(told, "the date and time of requests")
        };
        RecordedRequests {
            count: self.count(),
            ok: self.ok(),
            by_status: self.by_status(),
            errors: self.errors(),
            first_at: at(Window::first_ms),
            last_at: at(Window::last_ms),
            span_ms: self.lacking(span_ms, "when requests ran"),
            median_ms: self.lacking(percentiles.map(|(median, _)| median), "how long requests took"),
            p99_ms: self.lacking(percentiles.and_then(|(_, p99)| p99), "how long requests took"),
            concurrency: self
                .lacking(busy_ms.zip(ran_ms).map(|(busy, span)| round(busy / span)), "how many requests ran at once"),
            server_ms: self.lacking(server.map(|times| middle(&times, 0.5)), "the server's own time"),
        }
    }

    /// The facts of a window of requests.
    pub fn fill(&self, execution: &mut ExecutionFacts, window: Option<&Window>) {
        let requests = self.recorded(window);
        execution.requests_sent = Fact::Known(requests.count);
        execution.requests_ok = requests.ok;
        execution.answers_by_status = match requests.by_status.keys().all(|status| status == "unknown") {
            true => Fact::Unknown(Unknown::new(Why::Absent, "the files tell no status")),
            false => Fact::Known(requests.by_status),
        };
        // What files leave out here leaves no check open that they could decide.
        let if_told = |fact: Fact<f64>| match fact {
            Fact::Unknown(unknown) => Fact::unknown(Why::NotAsked, unknown.detail),
            known => known,
        };
        execution.window_ms = if_told(requests.span_ms);
        execution.request_ms_median = if_told(requests.median_ms);
    }
}
