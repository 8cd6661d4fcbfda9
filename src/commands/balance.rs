//! `balance`: open connections and hold them, judge where they came, tell.

use super::{Failure, output, progress, target};
use crate::cli::Balance;
use crate::probe::{Ask, BalanceAsk, collect};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rooms that are filled: the machine, its GPUs and the server's processes. The server is asked nothing else meanwhile.
const ROOMS: &[&str] = &["host", "process", "nvml", "connections"];
/// Longest time of the whole, unless the user says another.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Opens the connections and prints the report.
pub fn run(mut options: Balance) -> Result<u8, Failure> {
    output::verify_save(&options.output)?;
    let timeout = options.target.timeout;
    let (mut ask, config) =
        target::resolve_with_config(options.target, &mut options.selection, Some(&mut options.output))?;
    verify(&ask, options.i_own_this_server)?;
    ask.timeout = timeout.unwrap_or(ask.timeout.max(TIMEOUT));
    ask.balance = Some(BalanceAsk {
        connections: options.connections,
        over_http: options.over_http,
        status_path: options.status_path.or(config.status),
        status_fields: config.fields,
    });
    if let Some(name) = ask.command.first_mut() {
        *name = "balance".into();
    }
    let checks = output::checks(&options.selection)?;
    let rooms: BTreeSet<&str> = ROOMS.iter().copied().collect();
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    output::tell(&snapshot, &checks, &options.output)
}

/// Connections fill a server up: only one of this machine is filled unasked.
fn verify(ask: &Ask, owned: bool) -> Result<(), Failure> {
    let target = ask.target();
    let Some(server) = &target.server else {
        return Err(Failure::Usage(anyhow!("name the server: --server ws://HOST:PORT/PATH")));
    };
    if matches!(ask.server.as_ref().map(url::Url::scheme), Some("grpc" | "grpcs")) {
        return Err(Failure::Usage(anyhow!("--server {server}: connections are WebSockets or streams of HTTP")));
    }
    match target.server_is_local {
        Some(true) => Ok(()),
        _ if owned => Ok(()),
        _ => Err(Failure::Usage(anyhow!(
            "{server} is not this machine: connections take places from its users. If it is yours: --i-own-this-server"
        ))),
    }
}
