//! Trees, a real process in a root of its own, and a process that ends.
use super::*;
