//! Metrics pages that were saved: `curl http://server/metrics > t0.prom`, and once more later.

use super::evidence::Evidence;
use super::form::{Head, Recognized};
use super::reader::Whole;
use crate::probe::metrics::Page;
use crate::snapshot::RecordedFile;
use crate::words::grouped;

/// Text in Prometheus's exposition format.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let named = head.lines().take(200).any(|line| line.starts_with(b"# TYPE ") || line.starts_with(b"# HELP "));
    let lines: Vec<&[u8]> = head.lines().collect();
    let page = Page::read(lines.join(&b'\n').as_slice()).ok()?;
    let is_page = page.is_metrics() && (named || (!page.software.is_empty() && page.faults.is_empty()));
    let of = match page.software.iter().copied().collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "of no software that is known here".to_owned(),
        software => format!("of {software}"),
    };
    let by = format!("its samples in Prometheus's format, {of}");
    let name = head.given.clone();
    let read = move |bytes: &[u8], file: &mut RecordedFile| of_page(bytes, &name, file);
    is_page.then(|| Recognized { by, certain: true, reader: Box::new(Whole::new(read)) })
}

fn of_page(bytes: &[u8], name: &str, file: &mut RecordedFile) -> Vec<Evidence> {
    let page = match Page::read(bytes) {
        Ok(page) => page,
        Err(error) => {
            file.faults.push(error.to_string());
            return Vec::new();
        }
    };
    file.records = page.samples;
    file.faults.extend(page.faults.iter().cloned());
    if page.software.is_empty() {
        file.shows.push(format!("{} samples, none with a name that is known here", grouped(page.samples)));
        return Vec::new();
    }
    let software: Vec<&str> = page.software.iter().copied().collect();
    file.shows.push(format!("the counters of {}", software.join(", ")));
    vec![Evidence::Metrics { file: name.into(), page: Box::new(page) }]
}
