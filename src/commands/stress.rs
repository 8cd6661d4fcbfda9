//! `stress`: what `run` does, then load.

mod csv;
mod limits;

use super::{Failure, given, interrupt, output, progress, target, wait};
use crate::cli::{self, LoadOptions, Stress};
use crate::config::LoadConfig;
use crate::probe::{Ask, LoadPlan, StepTold, collect};
use crate::report::load_of;
use crate::snapshot::WantedUsers;
use anyhow::bail;
use csv::Csv;
use std::sync::Arc;
use std::time::Duration;

/// Users of the steps where none are named, and connections where only a rate is.
const STEPS: &[u32] = &[10, 25, 50, 100];
const CONNECTIONS: u32 = 100;
/// How long a step lasts.
const DURATION: Duration = Duration::from_secs(10);

/// Examines and loads the server and prints the report.
pub fn run(mut options: Stress) -> Result<u8, Failure> {
    output::verify_files(&options.output)?;
    let csv = options.load.csv.as_deref().map(|file| Csv::open(file, &options.output)).transpose()?.map(Arc::new);
    let timeout_given = options.target.timeout.is_some();
    let (mut ask, config) =
        target::resolve_with_load(options.target, &mut options.selection, Some(&mut options.output))?;
    wait::for_server(&mut ask, "--wait", options.wait.wait)?;
    ask.command = given::load("stress", std::mem::take(&mut ask.command), &options.load);
    let mut plan = plan(over(options.load, config), &ask).map_err(Failure::Usage)?;
    if !timeout_given {
        ask.timeout = ask.timeout.saturating_add(plan.longest());
    }
    let screen = progress::Steps::watch(&plan);
    plan.told = told(csv.clone(), screen.as_ref().map(progress::Steps::line));
    ask.load = Some(plan);
    let checks = output::checks(&options.selection)?;
    let mut rooms = output::rooms(&options.selection, &checks);
    rooms.insert("load");
    let snapshot = collect(&ask, &rooms, progress::observer().as_mut());
    drop(screen);
    // Judged once more: what is known of the last step is what all are held against.
    // Where no load was made, a file that was there stays.
    if let (Some(csv), Some(load)) = (csv, load_of(&snapshot).filter(|load| !load.steps.is_empty())) {
        csv.write(&load.steps);
    }
    output::tell(&snapshot, &checks, &options.output)
}

/// What is done with each step as it ends: its row is written, its line shown.
fn told(csv: Option<Arc<Csv>>, line: Option<progress::StepLine>) -> StepTold {
    StepTold(Arc::new(move |facts, steps| {
        let steps = crate::report::steps_so_far(facts, steps);
        if let Some(csv) = &csv {
            csv.write(&steps);
        }
        if let (Some(line), Some(last)) = (&line, steps.last()) {
            line(last);
        }
    }))
}

/// The options, and what the config says where they say nothing.
fn over(mut options: LoadOptions, config: LoadConfig) -> LoadOptions {
    let time = |text: Option<String>| text.as_deref().and_then(|text| cli::duration(text).ok());
    if options.users.is_empty() {
        options.users = config.users;
    }
    options.duration = options.duration.or(time(config.duration));
    // At a rate nobody waits for answers, so that one of the two rules the other out.
    if options.rate.is_none() && options.think_time.is_none() {
        (options.rate, options.think_time) = (config.rate, time(config.think_time));
    }
    options.max_requests = options.max_requests.or(config.max_requests);
    if options.holds.is_empty() {
        options.holds = config.holds.iter().filter_map(|holds| cli::holds(holds).ok()).collect();
    }
    options
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
    let duration = options.duration.unwrap_or(DURATION);
    limits::verify(users.iter().copied().max().unwrap_or_default(), ask)?;
    let bounded = options.max_requests.is_some_and(|most| most <= LoadPlan::STRANGE_REQUESTS_MAX)
        || options.rate.is_some_and(|rate| {
            rate * duration.as_secs_f64() * users.len() as f64 <= LoadPlan::STRANGE_REQUESTS_MAX as f64
        });
    if ask.target().server_is_local != Some(true) && !options.i_own_this_server && !bounded {
        let host = server.host_str().unwrap_or_default();
        let most = LoadPlan::STRANGE_REQUESTS_MAX;
        bail!(
            "--server: {host} is not this machine. More than {most} requests to another machine's server need \
             --i-own-this-server; fewer are sent with --max-requests {most}"
        );
    }
    let wanted = |(users, interval): (u64, Duration)| WantedUsers { users, interval_s: interval.as_secs_f64() };
    Ok(LoadPlan {
        command: "stress",
        users,
        rate_rps: options.rate,
        duration,
        think_time: options.think_time.unwrap_or_default(),
        requests_max: options.max_requests,
        owned: options.i_own_this_server,
        sequential: None,
        interrupted: interrupt::listen(),
        wanted: options.holds.into_iter().map(wanted).collect(),
        told: StepTold(Arc::new(|_, _| {})),
        progress: Arc::default(),
    })
}
