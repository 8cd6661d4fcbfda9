//! Floor 0: what a secret looks like, and texts without one. Probes leave out what they need not keep; `redact` goes over
//! everything once more.

mod forms;
mod known;
mod names;
mod pem;
mod stand_in;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod variables;
mod words;

pub use known::{Known, writings};
pub use names::{is_in_field, is_in_flag};
pub use pem::Pem;
pub use stand_in::{NO_MORE, has_stand_in, is_stand_in};
pub use text::{is_learnt, masked, masked_learning};
pub use value::another;
pub use variables::{PLAIN_HEADERS, TELLING_HEADERS, header_is_plain, variable_is_plain};

pub use words::{is_made, is_random, is_variable};

/// What stands in place of a secret.
pub const MASK: &str = "***";
