//! The parent's side: start a child, hear it out, end it at its deadline.

use super::SUBCOMMAND;
use crate::snapshot::{Unknown, Why};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Most that is kept of a child's report, bytes. A run of the sampler stays far below.
const REPORT_LIMIT_BYTES: usize = 16 << 20;
/// Most that is kept of what foreign code prints first, and as much again of what it prints last, bytes.
const PRINTED_LIMIT_BYTES: usize = 16 << 10;
/// Printing more than this is a flood, bytes.
const FLOOD_BYTES: u64 = 64 << 20;
/// How long a killed child may take to vanish before it is left to the kernel.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// A child at work.
pub struct Child {
    process: std::process::Child,
    job: String,
    started: Instant,
    report: Arc<Pipe>,
    printed: Arc<Pipe>,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It reported a result.
    Result(Value),
    /// A signal ended it: 11 is a segmentation fault, 6 an abort.
    Signal(i32),
    /// It ended by itself without a result.
    Exit(i32),
    /// It was stopped at its deadline; `state` tells what the kernel says it was doing.
    TimedOut {
        /// Its state and the kernel function that it waited in.
        state: String,
    },
    /// It printed without end.
    Flood,
    /// It could not be started.
    NotStarted(String),
}

/// Everything that came back from a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The job's name.
    pub job: String,
    /// How it ended.
    pub end: End,
    /// The last stage that it named; empty if none.
    pub last_stage: String,
    /// The parts that it reported, in order.
    pub parts: Vec<Value>,
    /// What foreign code printed: at most the first 16 KiB and the last 16.
    pub printed: String,
    /// How long it took.
    pub took: Duration,
}

/// One of a child's outputs.
#[derive(Default)]
struct Pipe {
    gathered: Mutex<Gathered>,
    at_end: Condvar,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// The newest bytes behind those.
    newest: VecDeque<u8>,
    total: u64,
    ended: bool,
}

impl Gathered {
    /// All that is kept, with a gap where something was left out.
    fn text(&self) -> String {
        let newest: Vec<u8> = self.newest.iter().copied().collect();
        let kept = self.bytes.len() + newest.len();
        let gap = if self.total > kept as u64 { "\n...\n" } else { "" };
        format!("{}{gap}{}", String::from_utf8_lossy(&self.bytes), String::from_utf8_lossy(&newest))
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn look<T>(&self, f: impl FnOnce(&Gathered) -> T) -> T {
        f(&self.lock())
    }

    /// Waits until the pipe has ended, `limit` at most; says whether it has.
    fn wait(&self, limit: Duration) -> bool {
        let waited = self.at_end.wait_timeout_while(self.lock(), limit, |gathered| !gathered.ended);
        waited.map_or_else(|poisoned| poisoned.into_inner().0.ended, |(gathered, _)| gathered.ended)
    }
}

/// Starts `job` with `argument` (JSON) in a child whose environment is this process's with `environment` applied.
///
/// No `pre_exec`: std then uses posix_spawn, which stays at 2 ms however large the parent is.
pub fn start(job: &str, argument: &Value, environment: &[(&str, Option<String>)]) -> Result<Child, Box<Report>> {
    let mut command = Command::new("/proc/self/exe");
    command.args([SUBCOMMAND, job, &std::process::id().to_string(), &argument.to_string()]);
    spawn(job, command, environment)
}

/// Runs another program, which reports as a child does, and hears it out until `deadline`. Its standard input is empty.
pub fn run_program(
    program: &Path,
    arguments: &[&str],
    environment: &[(&str, Option<String>)],
    deadline: Instant,
) -> Report {
    let mut command = Command::new(program);
    command.args(arguments);
    match spawn(&program.display().to_string(), command, environment) {
        Ok(child) => child.finish(deadline),
        Err(report) => *report,
    }
}

fn spawn(job: &str, mut command: Command, environment: &[(&str, Option<String>)]) -> Result<Child, Box<Report>> {
    let started = Instant::now();
    let not_started = |error: std::io::Error| {
        Box::new(Report {
            job: job.into(),
            end: End::NotStarted(error.to_string()),
            last_stage: String::new(),
            parts: Vec::new(),
            printed: String::new(),
            took: started.elapsed(),
        })
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut process = command.spawn().map_err(not_started)?;
    let report = gather(process.stdout.take(), REPORT_LIMIT_BYTES, 0);
    let printed = gather(process.stderr.take(), PRINTED_LIMIT_BYTES, PRINTED_LIMIT_BYTES);
    Ok(Child { process, job: job.into(), started, report, printed })
}

/// Starts a job and hears it out until `deadline`.
pub fn run(job: &str, argument: &Value, environment: &[(&str, Option<String>)], deadline: Instant) -> Report {
    match start(job, argument, environment) {
        Ok(child) => child.finish(deadline),
        Err(report) => *report,
    }
}

/// Keeps reading a pipe so that the child never blocks on it, and keeps the first `limit` bytes and the newest behind them.
fn gather(pipe: Option<impl Read + Send + 'static>, limit: usize, newest: usize) -> Arc<Pipe> {
    let gathered = Arc::new(Pipe::default());
    let shared = gathered.clone();
    std::thread::spawn(move || {
        let mut buffer = [0u8; 65536];
        if let Some(mut pipe) = pipe {
            while let Ok(count @ 1..) = pipe.read(&mut buffer) {
                let mut gathered = shared.lock();
                let room = limit.saturating_sub(gathered.bytes.len()).min(count);
                gathered.bytes.extend_from_slice(&buffer[..room]);
                gathered.newest.extend(&buffer[count - (count - room).min(newest)..count]);
                let excess = gathered.newest.len().saturating_sub(newest);
                gathered.newest.drain(..excess);
                gathered.total += count as u64;
            }
        }
        shared.lock().ended = true;
        shared.at_end.notify_all();
    });
    gathered
}

impl Child {
    /// Process id of the child.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Parts that the child has reported so far. Empty lines and half lines are left out.
    pub fn parts_so_far(&self) -> Vec<Value> {
        self.report.look(|gathered| lines(&gathered.bytes, "part"))
    }

    /// The same since the last call, which are then forgotten, so that a child may report for hours. What it says besides
    /// stays for [`Child::finish`].
    pub fn take_parts(&self) -> Vec<Value> {
        let mut gathered = self.report.lock();
        let Some(end) = gathered.bytes.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let rest = gathered.bytes.split_off(end + 1);
        let whole = std::mem::take(&mut gathered.bytes);
        let besides = whole.split_inclusive(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"{\"part\""));
        gathered.bytes = besides.flatten().copied().chain(rest.iter().copied()).collect();
        // What was taken is no part of a flood any more.
        let taken = (whole.len() + rest.len()).saturating_sub(gathered.bytes.len());
        gathered.total = gathered.total.saturating_sub(taken as u64);
        drop(gathered);
        lines(&whole, "part")
    }

    /// Whether the child has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Writes a line to the child's standard input. A child that is gone hears nothing, and that is told by its end.
    pub fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.process.stdin {
            let _ = writeln!(input, "{line}");
        }
    }

    /// Tells a streaming child to stop (its standard input closes) and hears it out until `deadline`.
    pub fn finish(mut self, deadline: Instant) -> Report {
        drop(self.process.stdin.take());
        let end = self.wait(deadline);
        let pid = self.pid() as i32;
        // SAFETY: signals to the group that this child leads; helpers that it started go with it.
        unsafe { libc::kill(-pid, libc::SIGKILL) };
        let quiet = Instant::now() + Duration::from_millis(200);
        for pipe in [&self.report, &self.printed] {
            pipe.wait(quiet.saturating_duration_since(Instant::now()));
        }
        let (stages, parts, result) = self.report.look(|gathered| {
            let result = lines(&gathered.bytes, "result").into_iter().next_back();
            (lines(&gathered.bytes, "stage"), lines(&gathered.bytes, "part"), result)
        });
        let end = match (end, result) {
            (Some(end), None) => end,
            // A result that came is a result, whatever the process did while ending.
            (_, Some(result)) => End::Result(result),
            (None, None) => End::Exit(-1),
        };
        Report {
            job: self.job,
            end,
            last_stage: stages.last().and_then(Value::as_str).unwrap_or_default().to_string(),
            parts,
            printed: self.printed.look(Gathered::text),
            took: self.started.elapsed(),
        }
    }

    fn wait(&mut self, deadline: Instant) -> Option<End> {
        let (mut pause, mut report_ended) = (Duration::from_millis(1), false);
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Some(ended(status)),
                Ok(None) => {}
                Err(error) => return Some(End::NotStarted(error.to_string())),
            }
            let flood = self.printed.look(|gathered| gathered.total > FLOOD_BYTES)
                || self.report.look(|gathered| gathered.total > REPORT_LIMIT_BYTES as u64);
            if flood {
                self.kill();
                return Some(End::Flood);
            }
            if Instant::now() >= deadline {
                let state = kernel_state(self.pid());
                self.kill();
                return Some(End::TimedOut { state });
            }
            // A child is done soon after its report ends; one that only closed it is looked at from time to time.
            if !report_ended && self.report.wait(pause) {
                (report_ended, pause) = (true, Duration::from_micros(100));
                continue;
            }
            if report_ended {
                std::thread::sleep(pause);
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }

    /// Kills the child's group; a child in uninterruptible sleep is left behind rather than waited for.
    fn kill(&mut self) {
        // SAFETY: signals to the group that this child leads.
        unsafe { libc::kill(-(self.pid() as i32), libc::SIGKILL) };
        let grace = Instant::now() + KILL_GRACE;
        while Instant::now() < grace && !matches!(self.process.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn ended(status: ExitStatus) -> End {
    match (status.signal(), status.code()) {
        (Some(signal), _) => End::Signal(signal),
        (None, code) => End::Exit(code.unwrap_or(-1)),
    }
}

/// The values under `key` of all whole lines that are JSON objects.
fn lines(bytes: &[u8], key: &str) -> Vec<Value> {
    bytes
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|mut value| value.as_object_mut()?.remove(key))
        .collect()
}

/// What the kernel says a process is doing: its state letter and the system call it waits in.
fn kernel_state(pid: u32) -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).unwrap_or("?").to_string();
    let waits_in = read("wchan");
    match waits_in.trim() {
        "" | "0" => format!("state {state}"),
        place => format!("state {state}, in {place}"),
    }
}

impl Report {
    /// The result, or the obstacle as an unknown that names the stage.
    pub fn result(&self) -> Result<&Value, Unknown> {
        let place = match self.last_stage.as_str() {
            "" => "before its first call".to_string(),
            stage => format!("in {stage}"),
        };
        let seconds = self.took.as_secs_f64();
        Err(match &self.end {
            End::Result(value) => return Ok(value),
            End::Signal(libc::SIGSEGV) => Unknown::new(Why::Crashed, format!("segmentation fault {place}")),
            End::Signal(libc::SIGABRT) => Unknown::new(Why::Crashed, format!("abort {place}")),
            End::Signal(signal) => Unknown::new(Why::Crashed, format!("killed by signal {signal} {place}")),
            End::Exit(code) => Unknown::new(Why::Crashed, format!("the process ended with status {code} {place}")),
            End::TimedOut { state } => {
                Unknown::new(Why::TimedOut, format!("no answer {place} within {seconds:.1} s ({state})"))
            }
            End::Flood => Unknown::new(Why::Crashed, format!("printed without end {place}")),
            End::NotStarted(error) => Unknown::new(Why::Denied, format!("the child could not be started: {error}")),
        })
    }
}
