//! What the server's process and its answers add up to.

use crate::snapshot::{Fact, Facts};

/// Whether onnxruntime's CUDA provider was seen in the maps of the server's process. Not seen is no proof of absence:
/// it is meant for ruling causes out, never for finding them.
pub fn cuda_provider_seen_mapped(facts: &Facts) -> bool {
    facts.process.gpu_libraries.known().is_some_and(|libraries| libraries.contains_key("onnxruntime_cuda_provider"))
}

/// Whether requests are rejected without a missing field as the proven reason.
///
/// The client's own request decides, if there is one; else the doctor's, which must have found an accepted one.
pub fn rejected_for_unknown_reason(facts: &Facts) -> Fact<bool> {
    let request = &facts.request;
    let named = request.missing_fields.known().is_some_and(|fields| !fields.is_empty());
    if request.rejected.known().is_some() {
        return Fact::Known(!named);
    }
    let client_accepted = request.client.known().is_some_and(|exchange| exchange.accepted);
    if client_accepted || request.good.known().is_some() {
        return Fact::Known(false);
    }
    request.rejected.as_ref().map(|_| true)
}
