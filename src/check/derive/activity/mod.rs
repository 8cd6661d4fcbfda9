//! Did the GPUs work while requests succeeded? By several counters, never by one, and only those of the server's GPUs.

pub mod alignment;
mod control;
pub mod ownership;
mod proportion;
pub mod signals;
mod thresholds;
mod verdict;

#[cfg(test)]
mod tests;

pub use signals::drew_far_more;
pub use thresholds::idle_utilization_percent;
pub use verdict::{GpuActivity, Judged, judge};

use super::Basis;
use crate::snapshot::{Fact, room};

/// Readings below which a phase says nothing.
pub const LEAST_SAMPLES: u64 = 3;

room! {
    /// What the GPUs did.
    pub struct Activity {
        /// Whether the GPU was seen to work for the server: a counter rose with the requests.
        pub gpu_seen_working: bool,
        /// What the GPUs did while requests ran: `active`, `idle`, `loaded_not_computing` or `no_work`.
        pub activity: String,
        /// The counters that say so, in words.
        pub activity_because: String,
        /// Whether the GPUs' idleness is proven: the doctor's own kernel moved the counters that stayed flat.
        pub activity_proven: bool,
        /// Each watched GPU by itself.
        pub gpu_activity: Vec<GpuActivity>,
        /// Work that went with the requests on another GPU than the one the server is on; empty if there was none.
        pub work_elsewhere: String,
        /// GPUs whose counters stayed flat while the doctor's own kernel ran there, in words.
        pub blind_counters: Vec<String>,
    }
}

impl Activity {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let watched = &basis.watched;
        let (activity, activity_because) = super::told(basis.activity.clone());
        Self {
            gpu_seen_working: Fact::Known(basis.gpu_seen_working),
            activity,
            activity_because,
            activity_proven: Fact::Known(watched.proven),
            gpu_activity: watched.gpus.clone().into(),
            work_elsewhere: Fact::Known(watched.elsewhere.clone()),
            blind_counters: Fact::Known(watched.blind.clone()),
        }
    }
}
