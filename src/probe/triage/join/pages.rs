//! Metrics pages of all files: two of one server make differences.

use crate::probe::metrics::{self, Page, Source};
use crate::snapshot::{CountersFacts, Fact, RecordedFile};
use crate::words::plain;

/// Models of a page that are told of.
const MODELS_TOLD: usize = 8;
/// How to get what one page does not tell.
const ONCE_MORE: &str = "a second reading of the same page, later: what counters gained in between is what counts \
    (curl -s http://SERVER/metrics > t1.prom)";
/// What is not known of pages that were saved without their times.
const NO_TIMES: &str = "when each page was read: differences are told, rates are not";

/// The counters that these pages tell; says in each page's file what it lacks.
pub fn counters(pages: Vec<(String, Page)>, files: &mut [RecordedFile], doubts: &mut Vec<String>) -> CountersFacts {
    let mut sources: Vec<(Vec<String>, Vec<Page>)> = Vec::new();
    for (name, page) in pages {
        // The same software with the same series: one server, as far as pages can tell.
        let same = sources.iter_mut().find(|(_, readings)| readings.last().is_some_and(|other| is_same(other, &page)));
        match same {
            Some((names, readings)) => {
                names.push(name);
                readings.push(page);
            }
            None => sources.push((vec![name], vec![page])),
        }
    }
    let sources: Vec<Source> = sources
        .into_iter()
        .map(|(mut names, mut readings)| {
            // Counters only rise, so that the order in which pages are given does not matter.
            if let [first, .., last] = readings.as_slice()
                && falls(first, last)
                && !falls(last, first)
            {
                readings.reverse();
                names.reverse();
                doubts.push(format!("{} was read before {}, by its counters", names[0], names[names.len() - 1]));
            }
            let lacking = if readings.len() == 1 { ONCE_MORE } else { NO_TIMES };
            if let Some(file) = files.iter_mut().find(|file| names.last() == Some(&file.name)) {
                file.lacks.push(lacking.into());
            }
            let readings = readings.into_iter().map(|page| (None, page)).collect();
            Source { page: names.join(" and "), readings, doubts: Vec::new() }
        })
        .collect();
    let counters = metrics::counters(&sources);
    for source in &sources {
        let told = gains(&counters, &source.page);
        if let Some(file) = files.iter_mut().rev().find(|file| source.page.ends_with(&file.name)) {
            file.shows.extend(told);
        }
    }
    if let Fact::Known(more) = &counters.doubts {
        doubts.extend(more.iter().cloned());
    }
    counters
}

/// What the counters of a page's models gained, or had counted where it was read once.
fn gains(counters: &CountersFacts, page: &str) -> Vec<String> {
    let models = counters.models.known().into_iter().flatten().filter(|one| one.page == page).take(MODELS_TOLD);
    let said = models.filter_map(|one| {
        let count = |fact: &Fact<f64>, what: &str| fact.known().map(|count| format!("{count:.0} {what}"));
        let gained = [
            count(&one.requests_ok, "requests succeeded"),
            count(&one.requests_failed, "failed"),
            count(&one.inferences, "inferences"),
            count(&one.executions, "executions"),
        ];
        let whose = if one.model.is_empty() { "the server".into() } else { format!("model {}", plain(&one.model)) };
        let gained: Vec<String> = gained.into_iter().flatten().collect();
        if !gained.is_empty() {
            return Some(format!("{whose}, from one page to the other: {}", gained.join(", ")));
        }
        let totals = one.totals.known()?;
        let counted = [
            count(&totals.requests_ok, "requests succeeded"),
            count(&totals.inferences, "inferences"),
            count(&totals.executions, "executions"),
        ];
        let counted: Vec<String> = counted.into_iter().flatten().collect();
        (!counted.is_empty()).then(|| format!("{whose}, since it started: {}", counted.join(", ")))
    });
    said.collect()
}

/// Whether both can be of one server: the same software, most series the same, and no other start of the process.
fn is_same(a: &Page, b: &Page) -> bool {
    let shared = a.series.keys().filter(|series| b.series.contains_key(series)).count();
    a.software == b.software && shared * 2 >= a.series.len().min(b.series.len()).max(1)
}

/// Whether more counters fall than rise from one page to the other.
fn falls(first: &Page, last: &Page) -> bool {
    let rising = |name: &str| {
        ["_total", "_count", "_sum"].iter().any(|end| name.ends_with(end)) || name.starts_with("nv_inference_")
    };
    let (mut fallen, mut risen) = (0, 0);
    for (series, value) in first.series.iter().filter(|(series, _)| rising(&series.name)) {
        let Some(later) = last.series.get(series) else { continue };
        fallen += u32::from(later < value);
        risen += u32::from(later > value);
    }
    fallen > risen
}
