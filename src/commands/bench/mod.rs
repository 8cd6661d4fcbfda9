//! `bench`: what `run` does, then one user, one request after the other, and what that comes to.

mod files;
mod given;
mod held_against;

use super::{Failure, interrupt, output, progress, target, wait};
use crate::cli::{Bench, BenchOptions};
use crate::config::Config;
use crate::probe::service::{named_field, named_header};
use crate::probe::{Ask, LoadPlan, Sequential, ServerTimeAt, StepTold, collect};
use crate::report::Report;
use anyhow::{anyhow, bail};
use files::Files;
use held_against::HeldAgainst;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long it lasts where neither time nor count is named, and with a count alone at most.
const DURATION: Duration = Duration::from_secs(120);
const DURATION_OF_COUNT: Duration = Duration::from_secs(3600);
/// Requests of a warm-up that ends by itself, at most, where those in all are few.
const WARM_UP_MOST: u64 = LoadPlan::STRANGE_REQUESTS_MAX / 4 + 1;

/// Examines and measures the server and prints the report.
pub fn run(mut options: Bench) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    let bench = options.bench;
    let server_time = server_time(&bench).map_err(Failure::Usage)?;
    let by_config = match &options.target.config {
        Some(path) => Config::read(path).map_err(|error| Failure::Usage(error.into()))?.baselines,
        None => None,
    };
    let against = HeldAgainst::read(&bench, by_config).map_err(Failure::Usage)?;
    let timeout_given = options.target.timeout.is_some();
    let mut ask = target::resolve(options.target, &mut options.selection, Some(&mut options.output))?;
    wait::for_server(&mut ask, "--wait-ready", options.ready.wait_ready)?;
    let mut plan = plan(&bench, &ask, server_time).map_err(Failure::Usage)?;
    let checks = output::checks(&options.selection)?;
    // Last, so that a command which cannot run leaves no file behind.
    let files = Files::open(&bench, &options.output).map_err(Failure::Usage)?;
    if let Some(sequential) = &mut plan.sequential {
        sequential.told = files.listener();
    }
    if !timeout_given {
        ask.timeout = ask.timeout.saturating_add(plan.longest());
    }
    given::repeat(&bench, &mut ask.command);
    let screen = progress::Steps::watch(&plan);
    ask.load = Some(plan);
    let mut rooms = output::rooms(&options.selection, &checks);
    rooms.insert("load");
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    drop(screen);
    output::tell_with(&snapshot, &checks, &options.output, |report: &mut Report| {
        let Some(told) = report.load.as_mut().and_then(|load| load.bench.as_mut()) else {
            files.end(None);
            return;
        };
        if let Some(gpu) = &bench.gpu {
            told.gpus = vec![gpu.clone()];
        }
        against.tell(&snapshot, &bench, told);
        told.files = files.end(Some(told));
    })
}

/// Where the user says that answers tell the server's own time.
fn server_time(options: &BenchOptions) -> anyhow::Result<Option<ServerTimeAt>> {
    let wrong = |flag: &'static str| move |problem: String| anyhow!("{flag}: {problem}");
    Ok(match (&options.server_time, &options.server_time_header) {
        (Some(field), _) => Some(named_field(field).map_err(wrong("--server-time"))?),
        (None, Some(header)) => Some(named_header(header).map_err(wrong("--server-time-header"))?),
        (None, None) => None,
    })
}

/// The load of one user.
///
/// # Errors
/// No server, or a server of somebody else's.
fn plan(options: &BenchOptions, ask: &Ask, server_time: Option<ServerTimeAt>) -> anyhow::Result<LoadPlan> {
    let Some(server) = &ask.server else { bail!("bench needs a server: --server URL") };
    let usual = if options.count.is_some() { DURATION_OF_COUNT } else { DURATION };
    let duration = options.duration.unwrap_or(usual);
    let wait = options.wait.unwrap_or_default();
    let by_wait = (!wait.is_zero()).then(|| (duration.as_secs_f64() / wait.as_secs_f64()).ceil() as u64 + 1);
    let measured = [options.count, by_wait].into_iter().flatten().min();
    let most = LoadPlan::STRANGE_REQUESTS_MAX;
    let warm_up = options.warm_up.unwrap_or(WARM_UP_MOST);
    let bounded = measured.is_some_and(|measured| measured.saturating_add(warm_up) <= most);
    if ask.target().server_is_local != Some(true) && !options.i_own_this_server && !bounded {
        let host = server.host_str().unwrap_or_default();
        bail!(
            "--server: {host} is not this machine. More than {most} requests to another machine's server need \
             --i-own-this-server; fewer are sent with --count {}, the warm-up's {warm_up} among them",
            most.saturating_sub(warm_up).max(1)
        );
    }
    Ok(LoadPlan {
        command: "bench",
        users: vec![1],
        rate_rps: None,
        duration,
        think_time: wait,
        requests_max: None,
        owned: options.i_own_this_server,
        sequential: Some(Sequential {
            count: options.count,
            warm_up: options.warm_up,
            answer: options.answer_timeout,
            server_time,
            told: files::nobody(),
        }),
        interrupted: interrupt::listen(),
        wanted: Vec::new(),
        told: StepTold(Arc::new(|_, _| {})),
        progress: Arc::default(),
    })
}

/// A file's name as the user wrote it.
fn name(path: &Option<PathBuf>) -> Option<String> {
    path.as_ref().map(|path| path.display().to_string())
}
