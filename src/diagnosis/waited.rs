//! A server for which the doctor had waited in vain.

use super::Diagnosis;
use crate::snapshot::{Stage, Target};

/// Adds to what says that the server cannot be used how long it was waited for.
pub fn tell(diagnoses: &mut [Diagnosis], target: &Target) {
    let Some(waited) = target.waited.as_ref().filter(|waited| !waited.ready) else { return };
    let of_server = diagnoses.iter_mut().filter(|one| matches!(one.stage, Stage::Request | Stage::Model));
    for diagnosis in of_server.take(1) {
        let seconds = waited.waited_ms as f64 / 1000.0;
        diagnosis.because.push_str(&format!(" (waited {seconds:.0} s for it to become ready; last: {})", waited.last));
    }
}
