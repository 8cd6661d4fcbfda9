//! Figures of one model on one page, or between two pages.

use super::delta::round;
use super::families::{Count, Family, Software, Time};
use super::page::{Page, Series};
use crate::snapshot::{CounterTotals, Unknown, Why};

/// A model of a software, whose figures are read from pages.
pub struct Of<'a> {
    /// Whose names.
    pub software: &'a Software,
    /// The model; empty where none is named.
    pub model: &'a str,
}

impl Of<'_> {
    /// Why a figure is unknown that this software does not tell.
    pub fn untold(&self, what: &str) -> Unknown {
        Unknown::new(Why::Unsupported, format!("the metrics of {} do not tell {what}", self.software.software))
    }

    /// Why a figure is unknown that this page lacks.
    pub fn absent(&self, family: &Family) -> Unknown {
        let names = family.names.join(" or ");
        let of_model = if self.model.is_empty() { String::new() } else { format!(" of {}", self.model) };
        Unknown::new(Why::Absent, format!("the page has no {names}{of_model}"))
    }

    /// The family that counts this.
    pub fn count_family(&self, count: Count) -> Result<&Family, Unknown> {
        self.software.counts.get(&count).ok_or_else(|| self.untold("it"))
    }

    /// The finite values of this model's samples on a page, in the unit of the facts.
    pub fn values(&self, family: &Family, page: &Page) -> Result<Vec<f64>, Unknown> {
        let present = |name: &&String| page.series.keys().any(|series| series.name == **name);
        let name = family.names.iter().find(present).ok_or_else(|| self.absent(family))?;
        self.named(name, family, page)
    }

    fn named(&self, name: &str, family: &Family, page: &Page) -> Result<Vec<f64>, Unknown> {
        let own = page.series.iter().filter(|(series, _)| {
            series.name == name
                && series.label(&self.software.model).unwrap_or_default() == self.model
                && matches(family, series)
        });
        let values: Vec<f64> = own.map(|(_, value)| *value * family.unit.factor()).collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Unknown::new(Why::Malformed, format!("{name} of {} is no finite number", self.model)));
        }
        // The family is there, and none of its samples is this model's or of this kind: nothing of it happened yet.
        let of_model = |series: &Series| {
            series.name == name && series.label(&self.software.model).unwrap_or_default() == self.model
        };
        if values.is_empty() && !page.series.keys().any(of_model) {
            return Err(self.absent(family));
        }
        Ok(values)
    }

    /// What a counter rose by; without a first page, its value.
    pub fn gained(&self, family: &Family, first: Option<&Page>, last: &Page) -> Result<f64, Unknown> {
        let sum = |page: &Page| self.values(family, page).map(|values| values.iter().sum::<f64>());
        difference(first.map(&sum), sum(last)?)
    }

    /// A time that was spent between two pages, milliseconds, and the requests that it is of.
    pub fn spent(&self, time: Time, first: Option<&Page>, last: &Page) -> Result<(f64, f64), Unknown> {
        let family = self.software.times.get(&time).ok_or_else(|| self.untold("it"))?;
        let Some((of, without)) = family.per.split_first() else {
            let present = |name: &&String| last.series.keys().any(|series| series.name == format!("{name}_count"));
            let name = family.names.iter().find(present).ok_or_else(|| self.absent(family))?;
            let gained = |suffix: &str, factor: f64| {
                let name = format!("{name}{suffix}");
                let sum = |page: &Page| {
                    self.named(&name, family, page).map(|all| all.iter().sum::<f64>() / family.unit.factor() * factor)
                };
                difference(first.map(&sum), sum(last)?)
            };
            return Ok((gained("_sum", family.unit.factor())?, gained("_count", 1.0)?));
        };
        let count = |count: &Count| self.gained(self.count_family(*count)?, first, last);
        // What is not counted, because the feature is off, is no part of it.
        let mut less = 0.0;
        for one in without {
            match count(one) {
                Ok(gained) => less += gained,
                Err(unknown) if unknown.why == Why::Malformed => return Err(unknown),
                Err(_) => {}
            }
        }
        Ok((self.gained(family, first, last)?, count(of)? - less))
    }

    /// The mean of a time between two pages, milliseconds; without a first one, since the counters began.
    pub fn mean(&self, time: Time, first: Option<&Page>, last: &Page) -> Result<f64, Unknown> {
        let (spent, requests) = self.spent(time, first, last)?;
        match requests > 0.0 {
            true => Ok(spent / requests),
            false => Err(Unknown::new(Why::NotAsked, "no request was counted, so that there is no mean")),
        }
    }

    /// What was counted up to this page.
    pub fn totals(&self, page: &Page) -> CounterTotals {
        let count = |count: Count| self.count_family(count).and_then(|family| self.gained(family, None, page));
        CounterTotals {
            requests_ok: count(Count::RequestsOk).into(),
            requests_refused: count(Count::RequestsRefused).into(),
            inferences: count(Count::Inferences).into(),
            executions: count(Count::Executions).into(),
            cache_hits: count(Count::CacheHits).into(),
            queue_ms: self.mean(Time::Queue, None, page).map(round).into(),
            compute_ms: self.mean(Time::Compute, None, page).map(round).into(),
            preemptions: count(Count::Preemptions).into(),
        }
    }
}

/// What was counted from one value to another. prometheus_client shows a counter with labels only once it has counted
/// something: one that the first page lacks began at 0.
fn difference(first: Option<Result<f64, Unknown>>, last: f64) -> Result<f64, Unknown> {
    match first {
        None => Ok(last),
        Some(Ok(first)) => Ok(last - first),
        Some(Err(unknown)) if unknown.why == Why::Absent => Ok(last),
        Some(Err(unknown)) => Err(unknown),
    }
}

fn matches(family: &Family, series: &Series) -> bool {
    let value = |label: &String| series.labels.iter().find(|(own, _)| own == label).map_or("", |(_, value)| value);
    family.only.iter().all(|(label, values)| values.iter().any(|one| one == value(label)))
        && !family.without.iter().any(|(label, values)| values.iter().any(|one| one == value(label)))
}

/// Whether every family that has this sample leaves it out, as those of a server's own endpoints.
pub fn is_left_out(software: &Software, series: &Series) -> bool {
    let families = software.plain().chain(software.times.values());
    let mut own = families.filter(|family| family.names.iter().any(|name| series.name.starts_with(name))).peekable();
    let by_model = |family: &Family| software.model.iter().any(|label| family.without.contains_key(label));
    own.peek().is_some() && own.all(|family| by_model(family) && !matches_model(software, family, series))
}

fn matches_model(software: &Software, family: &Family, series: &Series) -> bool {
    let named = |label: &String| series.labels.iter().find(|(own, _)| own == label).map(|(_, value)| value);
    !software
        .model
        .iter()
        .any(|label| family.without.get(label).zip(named(label)).is_some_and(|(values, value)| values.contains(value)))
}
