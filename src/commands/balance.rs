//! `balance`: open connections and hold them, judge where they came, tell.

use super::{Failure, interrupt, output, progress, target, wait};
use crate::cli::Balance;
use crate::probe::{Ask, BalanceAsk, LoadPlan, collect, files_for_connections};
use anyhow::anyhow;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rooms that are filled: the machine, its GPUs and the server's processes. The server is asked nothing else meanwhile.
const ROOMS: &[&str] = &["host", "process", "nvml", "connections"];
/// For what is read beside the connections.
const BESIDE: Duration = Duration::from_secs(60);
/// What is opened besides: one more, ways that are tried first, a path that cannot exist, one after the release.
const BESIDES: u32 = 9;

/// Opens the connections and prints the report.
pub fn run(options: Balance) -> Result<u8, Failure> {
    let Balance {
        connections: named,
        status_path,
        over_http,
        i_own_this_server,
        target,
        wait: waiting,
        mut selection,
        output: mut printing,
    } = options;
    output::verify_files(&printing)?;
    let (timeout, has_config) = (target.timeout, target.config.is_some());
    let (mut ask, config) = target::resolve_with_config(target, &mut selection, Some(&mut printing))?;
    let Some(connections) = named.or(config.connections) else {
        return Err(Failure::Usage(anyhow!("say how many connections the server is to hold: --connections N")));
    };
    verify(&ask, connections, i_own_this_server)?;
    wait::for_server(&mut ask, "--wait", waiting.wait)?;
    files_for_connections(u64::from(connections) + 1)
        .map_err(|unknown| Failure::Usage(anyhow!("--connections {connections}: {}", unknown.detail)))?;
    if let Some(name) = ask.command.first_mut() {
        *name = "balance".into();
    }
    // What the config file tells need not be repeated.
    if named.is_some() || !has_config {
        ask.command.extend(["--connections".to_owned(), connections.to_string()]);
    }
    ask.command.extend(
        status_path
            .iter()
            .flat_map(|path| ["--status-path".to_owned(), path.split('?').next().unwrap_or_default().to_owned()]),
    );
    ask.command.extend(over_http.then(|| "--over-http".to_owned()));
    ask.command.extend(i_own_this_server.then(|| "--i-own-this-server".to_owned()));
    let balance = BalanceAsk {
        connections,
        over_http: over_http || config.over_http,
        status_path: status_path.or(config.status),
        status_fields: config.fields,
        log_pattern: config.log,
        owned: i_own_this_server,
        interrupted: interrupt::listen(),
    };
    ask.timeout = timeout.unwrap_or(ask.timeout.max(balance.longest().saturating_add(BESIDE)));
    ask.balance = Some(balance);
    let checks = output::checks(&selection)?;
    let rooms: BTreeSet<&str> = ROOMS.iter().copied().collect();
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    output::tell(&snapshot, &checks, &printing)
}

/// Connections fill a server up: many are made to one of this machine alone, unless the user says that it is theirs.
fn verify(ask: &Ask, connections: u32, owned: bool) -> Result<(), Failure> {
    let target = ask.target();
    let Some(server) = &target.server else {
        return Err(Failure::Usage(anyhow!("name the server: --server ws://HOST:PORT/PATH")));
    };
    if matches!(ask.server.as_ref().map(url::Url::scheme), Some("grpc" | "grpcs")) {
        return Err(Failure::Usage(anyhow!("--server {server}: connections are WebSockets or streams of HTTP")));
    }
    if target.server_is_local != Some(true)
        && !owned
        && u64::from(connections.saturating_add(BESIDES)) > LoadPlan::STRANGE_REQUESTS_MAX
    {
        return Err(Failure::Usage(anyhow!(
            "{server} is not this machine, and {connections} connections and one more take that many places from its \
             users. If it is yours: --i-own-this-server; without it at most {} are opened in all",
            LoadPlan::STRANGE_REQUESTS_MAX
        )));
    }
    Ok(())
}
