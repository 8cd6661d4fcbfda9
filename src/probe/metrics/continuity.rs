//! Whether two readings of a page are of one process that only counted on.

use super::delta::Source;
use super::families::{Software, TABLE};
use super::page::Page;
use std::collections::BTreeSet;

/// Why differences of a page mean nothing: its process was restarted, or several answer on one port.
pub fn broken(source: &Source) -> Option<String> {
    let starts: Vec<f64> = source.pages().filter_map(Page::started).collect();
    // prometheus_client tells it with hundredths of a second.
    let differ = |a: &f64, b: &f64| (a - b).abs() > 0.005;
    let changed = starts.windows(2).any(|pair| matches!(pair, [a, b] if differ(a, b)));
    let returned = || {
        starts.iter().enumerate().skip(2).any(|(index, start)| {
            let before = starts.iter().take(index - 1).any(|earlier| !differ(earlier, start));
            before && starts.get(index - 1).is_some_and(|last| differ(last, start))
        })
    };
    let page = &source.page;
    let workers = format!(
        "{page}: counters ran backwards and came back: several workers answer on one port, each with its own counters"
    );
    if changed && returned() {
        return Some(workers);
    }
    if changed {
        return Some(format!(
            "{page}: process_start_time_seconds changed between two readings: the server was restarted"
        ));
    }
    let rising: BTreeSet<String> = TABLE.iter().filter(|known| source.has(known)).flat_map(Software::rising).collect();
    let mut fallen = None;
    let pages: Vec<&Page> = source.pages().collect();
    for pair in pages.windows(2) {
        let [earlier, later] = pair else { continue };
        for (series, before) in earlier.series.iter().filter(|(series, _)| rising.contains(&series.name)) {
            if let Some(now) = later.series.get(series).filter(|now| *now < before) {
                let last = pages.last().and_then(|page| page.series.get(series));
                if last.is_some_and(|last| last >= before) {
                    return Some(workers);
                }
                fallen.get_or_insert_with(|| format!("{} fell from {before} to {now}", series.in_words()));
            }
        }
    }
    if let Some(fallen) = fallen {
        return Some(format!("{page}: {fallen}: the server was restarted, or its counters were reset"));
    }
    let (first, last) = (pages.first()?, pages.last()?);
    let gone = first.series.keys().find(|series| rising.contains(&series.name) && !last.series.contains_key(series))?;
    Some(format!("{page}: {} is gone from it: the model was unloaded, or the server restarted", gone.in_words()))
}
