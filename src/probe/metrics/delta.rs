//! Readings of metrics pages, as the facts of the room `counters`: what counters gained from the first reading to the
//! last, the highest readings of gauges.
//!
//! What a page does not have is unknown, never 0. A counter that falls between two readings makes every difference of
//! its page unknown: the process that counts was another one then.

use super::continuity::broken;
use super::families::{Count, Family, Gauge, Gpu, Software, TABLE, Time};
use super::figures::{Of, is_left_out};
use super::page::{Page, Series};
use crate::snapshot::{CountersFacts, Fact, ModelCounters, ReportedGpu, Unknown, Why};
use std::collections::{BTreeMap, BTreeSet};

/// Models of one page that are told, and GPUs.
const MODELS_MAX: usize = 64;

/// One page, read once or several times.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// Its URL, or the file's name.
    pub page: String,
    /// The readings, oldest first, each with its time in milliseconds on one clock, where that is known.
    pub readings: Vec<(Option<f64>, Page)>,
    /// What makes them doubtful, one sentence each.
    pub doubts: Vec<String>,
}

/// The facts of all pages together; each page stands for itself.
pub fn counters(sources: &[Source]) -> CountersFacts {
    let mut software = BTreeSet::new();
    let (mut models, mut gpus, mut doubts) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        let change = Change::of(source);
        let mut own = source.doubts.clone();
        own.extend(change.broken.clone());
        own.extend(source.faults());
        for said in own.into_iter().filter(|said| !doubts.contains(said)).collect::<Vec<_>>() {
            doubts.push(said);
        }
        for known in TABLE.iter().filter(|known| source.has(known)) {
            software.insert(known.software.clone());
            models.extend(change.models(known));
            gpus.extend(known.gpu.iter().flat_map(|gpu| change.gpus(gpu)));
        }
    }
    let intervals = sources.iter().filter_map(|source| source.interval_ms().ok());
    let longest = intervals.max_by(f64::total_cmp);
    let single = || Unknown::new(Why::NotAsked, "between two readings of a page whose times are known");
    CountersFacts {
        pages: Fact::Known(sources.iter().map(|source| source.page.clone()).collect()),
        software: Fact::Known(software.into_iter().collect()),
        interval_ms: longest.map(round).ok_or_else(single).into(),
        models: Fact::Known(models),
        gpus: Fact::Known(gpus),
        doubts: Fact::Known(doubts),
    }
}

impl Source {
    /// The pages, oldest first.
    pub fn pages(&self) -> impl DoubleEndedIterator<Item = &Page> {
        self.readings.iter().map(|(_, page)| page)
    }

    /// Whether one of them is of this software.
    pub fn has(&self, software: &Software) -> bool {
        self.pages().any(|page| page.software.contains(software.software.as_str()))
    }

    fn faults(&self) -> Option<String> {
        let fault = self.pages().find_map(|page| page.faults.first())?;
        Some(format!("{}: {fault}", self.page))
    }

    fn interval_ms(&self) -> Result<f64, Unknown> {
        let ends = (self.readings.first(), self.readings.last());
        match ends {
            (Some((Some(first), _)), Some((Some(last), _))) if last > first => Ok(last - first),
            _ => {
                Err(Unknown::new(Why::NotAsked, format!("the time between two readings of {} is not known", self.page)))
            }
        }
    }
}

/// What happened between the readings of a page.
struct Change<'a> {
    source: &'a Source,
    /// Why there are no differences.
    broken: Option<String>,
}

impl<'a> Change<'a> {
    fn of(source: &'a Source) -> Self {
        Self { source, broken: broken(source) }
    }

    /// The first and the last page.
    fn ends(&self) -> Result<(&'a Page, &'a Page), Unknown> {
        if let Some(broken) = &self.broken {
            return Err(Unknown::new(Why::Malformed, broken.clone()));
        }
        let (first, last) = (self.source.readings.first(), self.source.readings.last());
        match (first, last) {
            (Some((_, first)), Some((_, last))) if self.source.readings.len() > 1 => Ok((first, last)),
            _ => Err(Unknown::new(Why::NotAsked, format!("{} was read once; differences take two", self.source.page))),
        }
    }

    /// The counters of each model, those that name none last and only where they tell something.
    fn models(&self, software: &Software) -> Vec<ModelCounters> {
        let own: BTreeSet<&str> = software.plain().flat_map(|family| family.names.iter().map(String::as_str)).collect();
        let histograms: Vec<&str> =
            software.times.values().flat_map(|family| &family.names).map(String::as_str).collect();
        let mut names = BTreeSet::new();
        for series in self.source.pages().flat_map(|page| page.series.keys()) {
            let of_times = || histograms.iter().any(|name| series.name.starts_with(name));
            let of_gpu = software
                .gpu
                .as_ref()
                .is_some_and(|gpu| gpu.families().any(|family| family.names.contains(&series.name)));
            if !of_gpu && (own.contains(series.name.as_str()) || of_times()) && !is_left_out(software, series) {
                names.insert(series.label(&software.model).unwrap_or_default());
            }
        }
        names.into_iter().take(MODELS_MAX).map(|model| self.model(software, model)).collect()
    }

    fn model(&self, software: &Software, model: &str) -> ModelCounters {
        let of = Of { software, model };
        let gained = |count: Count| self.gained(&of, count);
        let mean = |time: Time| self.ends().and_then(|(first, last)| of.mean(time, Some(first), last));
        let gauge = |gauge: Gauge, how: fn(f64, f64) -> f64| self.highest(&of, gauge, how);
        let first = self.source.pages().next();
        ModelCounters {
            model: model.to_owned(),
            page: self.source.page.clone(),
            requests_taken: gained(Count::RequestsTaken).into(),
            requests_ok: gained(Count::RequestsOk).into(),
            requests_failed: gained(Count::RequestsFailed).into(),
            requests_refused: gained(Count::RequestsRefused).into(),
            inferences: gained(Count::Inferences).into(),
            executions: gained(Count::Executions).into(),
            cache_hits: gained(Count::CacheHits).into(),
            queue_ms: mean(Time::Queue).map(round).into(),
            compute_ms: mean(Time::Compute).map(round).into(),
            request_ms: mean(Time::Request).map(round).into(),
            busy_percent: self.busy_percent(&of).map(round).into(),
            running_most: gauge(Gauge::Running, |a, b| a + b).into(),
            waiting_most: gauge(Gauge::Waiting, |a, b| a + b).into(),
            kv_cache_percent: gauge(Gauge::KvCache, f64::max).map(round).into(),
            preemptions: gained(Count::Preemptions).into(),
            totals: first.map(|page| of.totals(page)).ok_or_else(|| of.untold("a page")).into(),
        }
    }

    fn gained(&self, of: &Of, count: Count) -> Result<f64, Unknown> {
        let (first, last) = self.ends()?;
        of.gained(of.count_family(count)?, Some(first), last)
    }

    fn busy_percent(&self, of: &Of) -> Result<f64, Unknown> {
        let (first, last) = self.ends()?;
        let interval = self.source.interval_ms()?;
        let busy_ms = if !of.software.busy.is_empty() {
            let gained = of.software.busy.iter().map(|family| of.gained(family, Some(first), last));
            gained.sum::<Result<f64, Unknown>>()?
        } else if of.software.batches_share_time {
            match self.gained(of, Count::Executions)? {
                0.0 => 0.0,
                executions => of.mean(Time::Compute, Some(first), last)? * executions,
            }
        } else {
            of.spent(Time::Compute, Some(first), last)?.0
        };
        Ok(100.0 * busy_ms / interval)
    }

    /// The highest reading of a gauge, several series of one reading put together by `how`.
    fn highest(&self, of: &Of, gauge: Gauge, how: fn(f64, f64) -> f64) -> Result<f64, Unknown> {
        let family = of.software.gauges.get(&gauge).ok_or_else(|| of.untold("it"))?;
        let readings = self.source.pages().map(|page| of.values(family, page).map(|all| all.into_iter().reduce(how)));
        // A gauge that one reading lacks, for the page was another one's then, is not made up.
        let readings: Vec<f64> = readings.filter_map(Result::ok).flatten().collect();
        readings.into_iter().reduce(f64::max).ok_or_else(|| of.absent(family))
    }

    fn gpus(&self, gpu: &Gpu) -> Vec<ReportedGpu> {
        let mut all: BTreeMap<&str, ReportedGpu> = BTreeMap::new();
        let of_gpu = |series: &&Series| gpu.families().any(|family| family.names.contains(&series.name));
        let names = self.source.pages().flat_map(|page| page.series.keys()).filter(of_gpu);
        for name in names.map(|series| series.label(&gpu.label).unwrap_or_default()) {
            if all.len() < MODELS_MAX {
                all.entry(name).or_insert_with(|| self.gpu(gpu, name));
            }
        }
        all.into_values().collect()
    }

    fn gpu(&self, gpu: &Gpu, name: &str) -> ReportedGpu {
        let readings = |family: &Option<Family>| -> Result<Vec<f64>, Unknown> {
            let untold = || Unknown::new(Why::Unsupported, "this software does not tell it");
            let family = family.as_ref().ok_or_else(untold)?;
            let of_page = |page: &Page| {
                let own = page.series.iter().filter(|(series, _)| {
                    family.names.contains(&series.name) && series.label(&gpu.label).unwrap_or_default() == name
                });
                own.map(|(_, value)| value * family.unit.factor()).filter(|value| value.is_finite()).reduce(f64::max)
            };
            let all: Vec<f64> = self.source.pages().filter_map(of_page).collect();
            let absent =
                || Unknown::new(Why::Absent, format!("{} has no {}", self.source.page, family.names.join(" or ")));
            if all.is_empty() { Err(absent()) } else { Ok(all) }
        };
        ReportedGpu {
            gpu: name.to_owned(),
            page: self.source.page.clone(),
            utilization_percent: readings(&gpu.utilization)
                .map(|all| round(all.into_iter().fold(0.0, f64::max)))
                .into(),
            memory_used_bytes: readings(&gpu.memory_used).map(|all| all.last().copied().unwrap_or_default()).into(),
            power_milliwatts: readings(&gpu.power).map(|all| round(all.iter().sum::<f64>() / all.len() as f64)).into(),
        }
    }
}

impl Gpu {
    fn families(&self) -> impl Iterator<Item = &Family> {
        [&self.utilization, &self.memory_used, &self.power].into_iter().flatten()
    }
}

/// A figure to three decimals.
pub fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}
