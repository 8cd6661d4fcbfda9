//! `stress`: what `run` does, then load.

use super::{Failure, interrupt, output, progress, target};
use crate::cli::{LoadOptions, Stress};
use crate::probe::{Ask, LoadPlan, collect};
use anyhow::{anyhow, bail};

/// Users of the steps where none are named, and connections where only a rate is.
const STEPS: &[u32] = &[10, 25, 50, 100];
const CONNECTIONS: u32 = 100;
/// Descriptors that are kept for everything but users.
const OWN_DESCRIPTORS: u64 = 64;

/// Examines and loads the server and prints the report.
pub fn run(mut options: Stress) -> Result<u8, Failure> {
    output::verify_save(&options.output)?;
    let timeout_given = options.target.timeout.is_some();
    let mut ask = target::resolve(options.target, &mut options.selection, Some(&mut options.output))?;
    let plan = plan(options.load, &ask).map_err(Failure::Usage)?;
    if !timeout_given {
        ask.timeout = ask.timeout.saturating_add(plan.longest());
    }
    ask.load = Some(plan);
    let checks = output::checks(&options.selection)?;
    let mut rooms = output::rooms(&options.selection, &checks);
    rooms.insert("load");
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    output::tell(&snapshot, &checks, &options.output)
}

/// The load to make.
///
/// # Errors
/// No server, more users than this process may have connections, or a server of somebody else's.
fn plan(options: LoadOptions, ask: &Ask) -> anyhow::Result<LoadPlan> {
    let Some(server) = &ask.server else { bail!("stress needs a server: --server URL") };
    let users = match (options.users.is_empty(), options.rate) {
        (false, _) => options.users,
        (true, Some(_)) => vec![CONNECTIONS],
        (true, None) => STEPS.to_vec(),
    };
    let most = users.iter().copied().max().unwrap_or_default();
    let limit = |limit: Option<u64>, what: &str| match limit {
        Some(limit) if u64::from(most) > limit => Err(anyhow!("--users {most}: {what} allows {limit} users at most")),
        _ => Ok(()),
    };
    limit(descriptors(u64::from(most)), "the limit of open files (ulimit -n)")?;
    if ask.connection.unix_socket.is_none() {
        limit(ports(), "the range of local ports (net.ipv4.ip_local_port_range)")?;
    }
    let bounded = options.max_requests.is_some_and(|most| most <= LoadPlan::STRANGE_REQUESTS_MAX)
        || options.rate.is_some_and(|rate| {
            rate * options.duration.as_secs_f64() * users.len() as f64 <= LoadPlan::STRANGE_REQUESTS_MAX as f64
        });
    if ask.target().server_is_local != Some(true) && !options.i_own_this_server && !bounded {
        let host = server.host_str().unwrap_or_default();
        let most = LoadPlan::STRANGE_REQUESTS_MAX;
        bail!(
            "--server: {host} is not this machine. More than {most} requests to another machine's server need \
             --i-own-this-server; fewer are sent with --max-requests {most}"
        );
    }
    Ok(LoadPlan {
        command: "stress",
        users,
        rate_rps: options.rate,
        duration: options.duration,
        think_time: options.think_time.unwrap_or_default(),
        requests_max: options.max_requests,
        owned: options.i_own_this_server,
        sequential: None,
        interrupted: interrupt::listen(),
        told: progress::steps(),
    })
}

/// How many users the limit of open files allows, after it was raised for these as far as may be.
fn descriptors(users: u64) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to a live structure.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return None;
    }
    let wanted = users.saturating_add(OWN_DESCRIPTORS);
    if wanted > limit.rlim_cur && limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: wanted.min(limit.rlim_max), ..limit };
        // SAFETY: reads a live structure.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            limit = raised;
        }
    }
    Some(limit.rlim_cur.saturating_sub(OWN_DESCRIPTORS))
}

/// Connections that this machine can have to one address: each has a local port of its own (ip-sysctl).
fn ports() -> Option<u64> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some(last.checked_sub(first)? + 1)
}
