//! Metrics pages of serving software (Prometheus's text format): which software they are of, and what its counters gained.
//!
//! Read by the measuring window, which asks for them in step with its requests, and by `triage`, which has them as files.

mod continuity;
mod delta;
mod exposition;
mod families;
mod figures;
mod page;
#[cfg(test)]
mod tests;

pub use delta::{Source, counters};
pub use page::Page;

/// For fuzzing: reads the bytes as a page, twice with a second between, and tells the counters.
pub fn of_bytes(bytes: &[u8]) {
    let Ok(page) = Page::read(bytes) else { return };
    let half = Page::read(bytes.get(bytes.len() / 2..).unwrap_or_default()).unwrap_or_default();
    for readings in [vec![(None, page.clone())], vec![(Some(0.0), page), (Some(1000.0), half)]] {
        counters(&[Source { page: "page".into(), readings, doubts: Vec::new() }]);
    }
}
