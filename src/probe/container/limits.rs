//! The limits of the control groups around a process, as facts.

use super::control_group::{ControlGroups, CpuLimit, MemoryLimit};
use super::mounts;
use super::subject::Subject;
use crate::probe::process::threads;
use crate::snapshot::{ContainerFacts, Fact, Facts, Unknown, Why};

/// How often a process met its CPU limit, since its control group was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Throttling {
    /// Periods in which it had work.
    pub periods: u64,
    /// Those in which it was stopped.
    pub throttled_periods: u64,
}

/// Reads how often a process met its CPU limit. A process without a limit has nothing to tell: not asked.
pub fn throttling(pid: u64) -> Result<Throttling, Unknown> {
    let limit = with_groups(&Subject::process(pid, false), |groups| groups.cpu())?.ok_or_else(no_cpu_limit)?;
    Ok(Throttling { periods: limit.periods?, throttled_periods: limit.throttled_periods? })
}

/// Sets what the control groups tell.
pub fn fill(subject: &Subject, room: &mut ContainerFacts) {
    room.device_rules = with_groups(subject, |groups| groups.device_rules()).into();
    let cpu = with_groups(subject, |groups| groups.cpu());
    room.cpu_limited = cpu.as_ref().map(Option::is_some).map_err(Unknown::clone).into();
    let cpu = cpu.and_then(|limit| limit.ok_or_else(no_cpu_limit));
    room.cpu_limit = of(&cpu, |limit: &CpuLimit| Ok(limit.cores));
    room.cpu_periods = of(&cpu, |limit| limit.periods.clone());
    room.cpu_throttled_periods = of(&cpu, |limit| limit.throttled_periods.clone());
    room.cpu_throttled_ms = of(&cpu, |limit| limit.throttled_ms.clone());
    let memory = with_groups(subject, |groups| groups.memory());
    room.memory_limited = memory.as_ref().map(Option::is_some).map_err(Unknown::clone).into();
    let none = || Unknown::new(Why::NotAsked, "no control group limits the memory");
    let memory = memory.and_then(|limit| limit.ok_or_else(none));
    room.memory_limit_bytes = of(&memory, |limit: &MemoryLimit| Ok(limit.bytes));
    room.memory_used_bytes = of(&memory, |limit| limit.used_bytes.clone());
    room.oom_kills = with_groups(subject, |groups| groups.oom_kills()).into();
}

/// Threads of all the server's processes.
pub fn threads(facts: &Facts) -> Result<u64, Unknown> {
    let pids: Vec<u64> = facts.process.processes.read()?.iter().map(|process| process.pid).collect();
    threads::number(&pids)
}

fn no_cpu_limit() -> Unknown {
    Unknown::new(Why::NotAsked, "no control group limits the CPU time")
}

fn of<L, T>(limit: &Result<L, Unknown>, part: impl FnOnce(&L) -> Result<T, Unknown>) -> Fact<T> {
    limit.as_ref().map_err(Unknown::clone).and_then(part).into()
}

fn with_groups<T>(
    subject: &Subject,
    look: impl FnOnce(&ControlGroups<'_>) -> Result<T, Unknown>,
) -> Result<T, Unknown> {
    let (tree, mountinfo) = &subject.hierarchy;
    let mounts = mounts::parse(mountinfo.as_deref().map_err(Unknown::clone)?)?;
    look(&ControlGroups { tree, mounts: &mounts, memberships: subject.memberships.as_deref().map_err(Unknown::clone)? })
}
