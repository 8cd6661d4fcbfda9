//! Why there was no answer.

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing listens there.
    ConnectRefused,
    /// No connection came about in time.
    ConnectTimedOut,
    /// The connection was reset.
    Reset,
    /// It was closed before the answer was whole.
    ClosedEarly,
    /// The answer did not come in time.
    TimedOut,
    /// What came was no HTTP.
    NotHttp,
    /// This process may not open more files.
    NoDescriptors,
    /// Anything else.
    Other,
}

impl Fault {
    /// As a snapshot names it.
    pub fn name(self) -> &'static str {
        match self {
            Fault::ConnectRefused => "connect_refused",
            Fault::ConnectTimedOut => "connect_timed_out",
            Fault::Reset => "reset",
            Fault::ClosedEarly => "closed_early",
            Fault::TimedOut => "timed_out",
            Fault::NotHttp => "not_http",
            Fault::NoDescriptors => "no_descriptors",
            Fault::Other => "other",
        }
    }

    /// Whether no connection came about.
    pub fn is_of_connecting(self) -> bool {
        matches!(self, Fault::ConnectRefused | Fault::ConnectTimedOut | Fault::NoDescriptors)
    }

    /// The fault behind an error of the operating system.
    pub fn of_io(error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
        };
        match (error.kind(), error.raw_os_error()) {
            (_, Some(libc::EMFILE | libc::ENFILE)) => Fault::NoDescriptors,
            (ConnectionRefused, _) => Fault::ConnectRefused,
            (ConnectionReset | ConnectionAborted | BrokenPipe, _) => Fault::Reset,
            (UnexpectedEof, _) => Fault::ClosedEarly,
            (TimedOut, _) => Fault::TimedOut,
            _ => Fault::Other,
        }
    }
}
