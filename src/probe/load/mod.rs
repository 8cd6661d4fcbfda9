//! Load on a server: many users at once, each its next request when the last is answered, or requests at a rate whether
//! answers come or not.
//!
//! All users share one thread and its runtime, so that nothing is locked and the doctor itself stays cheaper than what it
//! measures; every user has a connection of its own. What is sent is formed before the first step.

mod answer;
mod body;
mod fault;
mod line;
mod order;
mod pace;
mod step;
mod stop;
mod tally;
#[cfg(test)]
mod tests;
mod user;
#[cfg(test)]
mod wire_tests;

pub use body::Bodies;
pub use fault::Fault;
pub use line::{Dial, Opening, Wire};
pub use step::{Measured, Step, carry_out};
pub use stop::{Limits, Stop};
pub use tally::{Request, Tally};

use hyper::{HeaderMap, Method, Uri};

/// A request that is known to be good, ready to be sent again and again.
pub struct Prepared {
    /// Its method.
    pub method: Method,
    /// Path and query, or the whole URL where a proxy is asked.
    pub uri: Uri,
    /// Its headers, `host` and `content-type` among them; never `content-length`.
    pub headers: HeaderMap,
    /// Bodies that differ, sent in turn; one empty body for a request without.
    pub bodies: Bodies,
    /// Tells accepted answers from others.
    pub judge: Box<dyn Judge>,
}

/// Reads answers.
pub trait Judge {
    /// Whether it looks at headers. They are only made where it does.
    fn wants_headers(&self) -> bool {
        true
    }

    /// What the answer comes to. Of a long body only the beginning is shown.
    fn read(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> Judged;

    /// Hears of every request that came to an end, answered or not.
    fn ended(&self, _request: &Request) {}
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Whether the server did what was asked.
    pub accepted: bool,
    /// How long its work took by its own word, milliseconds.
    pub server_ms: Option<f64>,
}
