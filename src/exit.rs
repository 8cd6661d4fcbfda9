//! Exit codes: the one place that defines them.

/// Nothing failed.
pub const HEALTHY: u8 = 0;
/// A failure was diagnosed.
pub const UNHEALTHY: u8 = 1;
/// Facts are missing that could change the answer.
pub const UNDECIDED: u8 = 2;
/// The command line, the config or an input file is wrong (EX_USAGE of sysexits.h).
pub const USAGE: u8 = 64;
/// gpu-doctor itself is broken (EX_SOFTWARE of sysexits.h).
pub const BUG: u8 = 70;
