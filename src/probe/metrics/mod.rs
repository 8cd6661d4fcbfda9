//! Metrics pages of serving software (Prometheus's text format): which software they are of, and what its counters gained.
//!
//! Read by the measuring window, which asks for them in step with its requests, and by `triage`, which has them as files.

mod delta;
mod exposition;
mod families;
mod page;
#[cfg(test)]
mod tests;

pub use delta::{Source, counters};
pub use page::Page;
