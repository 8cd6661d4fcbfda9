//! How many users this process can be.

use crate::probe::{Ask, open_files};
use anyhow::bail;

/// Descriptors that are kept for everything but users.
const OWN_DESCRIPTORS: u64 = 64;

/// Refuses more users than can have a connection.
///
/// # Errors
/// Which limit stands in the way, and how many users it allows.
pub fn verify(users: u32, ask: &Ask) -> anyhow::Result<()> {
    let limit = |limit: Option<u64>, what: &str| match limit {
        Some(limit) if u64::from(users) > limit => bail!("--users {users}: {what} allows {limit} users at most"),
        _ => Ok(()),
    };
    limit(descriptors(u64::from(users)), "the limit of open files (ulimit -n)")?;
    if ask.connection.unix_socket.is_none() {
        limit(ports(), "the range of local ports (net.ipv4.ip_local_port_range)")?;
    }
    Ok(())
}

/// How many users the limit of open files allows, after it was raised for these as far as may be.
fn descriptors(users: u64) -> Option<u64> {
    let limit = open_files::raised_to(users.saturating_add(OWN_DESCRIPTORS))?;
    Some(limit.saturating_sub(OWN_DESCRIPTORS))
}

/// Connections that this machine can have to one address: each has a local port of its own (ip-sysctl).
fn ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}
