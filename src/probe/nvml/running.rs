//! The processes on a GPU: who holds memory there, and who uses the multiprocessors.

use super::recording::Listed;
use super::round::Round;
use crate::snapshot::{Unknown, Why};
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};
use serde_json::{Value, json};

/// Rows asked for at first, and at most.
const ROWS: usize = 64;
const ROWS_MAX: usize = 4096;
/// Processes told, at most: the server's first, then those with most memory.
const TOLD_MAX: usize = 64;
/// Highest process id that a Linux kernel gives out (linux/threads.h, PID_MAX_LIMIT).
pub const HIGHEST_PID: u32 = 4 << 20;
/// Stands for a strange id that was told already.
const TOLD: u64 = u64::MAX;
/// Stands for "not available" (nvml.h, NVML_VALUE_NOT_AVAILABLE).
const NOT_AVAILABLE: u64 = u64::MAX;

/// nvml.h, nvmlProcessInfo_v2_t.
#[repr(C)]
#[derive(Clone, Copy)]
struct Entry {
    pid: u32,
    used_bytes: u64,
    gpu_instance: u32,
    compute_instance: u32,
}

/// The list of processes with a compute context.
pub struct Running {
    /// Whether the older call is asked, because the newer one is missing or writes longer entries.
    older: bool,
    rows: usize,
    /// What was listed last.
    listed: Vec<(u64, Option<u64>)>,
    /// What was reported last, if anything was.
    told: Option<Vec<Listed>>,
    /// An id that no kernel gives out.
    strange: Option<u64>,
}

impl Running {
    /// `longer_entries`: this driver's newer list is not as nvml.h has it.
    pub fn new(nvml: &Nvml, longer_entries: bool) -> Self {
        let older = longer_entries || nvml.lib().nvmlDeviceGetComputeRunningProcesses_v3.is_err();
        Self { older, rows: ROWS, listed: Vec::new(), told: None, strange: None }
    }

    /// Reads the list.
    pub fn read(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Result<(), NvmlError> {
        let (rows, mut count) = round.buffers.rows::<Entry>(self.rows);
        let lib = nvml.lib();
        // SAFETY: `rows` has room for `count` entries of nvml.h's layout, the handle is the wrapper's own.
        let answer = unsafe {
            match self.older {
                true => nvml_sym(lib.nvmlDeviceGetComputeRunningProcesses_v2.as_ref())
                    .and_then(|call| nvml_try(call(device.handle(), &mut count, rows.cast()))),
                false => nvml_sym(lib.nvmlDeviceGetComputeRunningProcesses_v3.as_ref())
                    .and_then(|call| nvml_try(call(device.handle(), &mut count, rows.cast()))),
            }
        };
        match answer {
            Ok(()) => {}
            Err(NvmlError::InsufficientSize(_)) => {
                self.rows = (count as usize).saturating_add(ROWS).min(ROWS_MAX);
                return Ok(());
            }
            Err(NvmlError::FunctionNotFound) if !self.older => {
                self.older = true;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.listed.clear();
        // SAFETY: integers.
        for entry in unsafe { round.buffers.read::<Entry>(count) } {
            if entry.pid == 0 || entry.pid > HIGHEST_PID {
                self.strange = self.strange.or(Some(entry.pid.into()));
            } else {
                let bytes = (entry.used_bytes != NOT_AVAILABLE).then_some(entry.used_bytes);
                self.listed.push((entry.pid.into(), bytes));
            }
        }
        Ok(())
    }

    /// Whether a process of the server is listed.
    pub fn lists_one_of(&self, server_pids: &[u64]) -> bool {
        self.listed.iter().any(|(pid, _)| server_pids.contains(pid))
    }

    /// Memory that the server's processes hold. None at all is no proof of absence, since a container sees the host's ids.
    pub fn server_bytes(&self, index: u64, server_pids: &[u64]) -> Result<u64, Unknown> {
        if server_pids.is_empty() {
            return Err(no_server());
        }
        if !self.lists_one_of(server_pids) {
            let detail =
                format!("NVML lists no process of the server on GPU {index} (in a container it lists the host's ids)");
            return Err(Unknown::new(Why::Absent, detail));
        }
        self.listed.iter().filter(|(pid, _)| server_pids.contains(pid)).try_fold(
            0u64,
            |sum, (pid, bytes)| match bytes {
                Some(bytes) => Ok(sum.saturating_add(*bytes)),
                None => Err(Unknown::new(Why::Unsupported, format!("NVML does not tell the memory of process {pid}"))),
            },
        )
    }

    /// What is to be reported: the processes, where the list or a figure has changed, and a strange id, once.
    pub fn news(&mut self, index: u64, at_ms: f64, server_pids: &[u64], percents: &[(u64, u64)]) -> Option<Value> {
        let percent = |pid: u64| percents.iter().find(|(other, _)| *other == pid).map(|(_, percent)| *percent);
        let from_list =
            self.listed.iter().map(|(pid, bytes)| Listed { pid: *pid, bytes: *bytes, percent: percent(*pid) });
        let unlisted = percents.iter().filter(|(pid, _)| !self.listed.iter().any(|(listed, _)| listed == pid));
        let unlisted = unlisted.map(|(pid, percent)| Listed { pid: *pid, bytes: None, percent: Some(*percent) });
        let mut now: Vec<Listed> = from_list.chain(unlisted).collect();
        now.sort_by_key(|one| (!server_pids.contains(&one.pid), std::cmp::Reverse(one.bytes), one.pid));
        now.truncate(TOLD_MAX);
        // Told once: what follows it stands for "told".
        let strange = self.strange.filter(|pid| *pid != TOLD);
        if strange.is_some() {
            self.strange = Some(TOLD);
        }
        if self.told.as_ref() == Some(&now) && strange.is_none() {
            return None;
        }
        let rows: Vec<Value> = now.iter().map(|one| json!([one.pid, one.bytes, one.percent])).collect();
        self.told = Some(now);
        let mut news = json!({ "gpu": index, "at_ms": at_ms, "processes": rows });
        if let (Some(pid), Some(object)) = (strange, news.as_object_mut()) {
            object.insert("strange_pid".into(), pid.into());
        }
        Some(news)
    }
}

/// Why figures of the server's processes are unknown where there are none.
pub fn no_server() -> Unknown {
    Unknown::new(Why::NotAsked, "no process of the server is known")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(listed: &[(u64, Option<u64>)]) -> Running {
        Running { older: false, rows: ROWS, listed: listed.to_vec(), told: None, strange: None }
    }

    #[test]
    fn memory_is_summed_over_the_servers_processes_only() {
        let list = running(&[(1, Some(5)), (2, Some(7)), (3, Some(100)), (4, None)]);
        assert_eq!(list.server_bytes(0, &[1, 2]), Ok(12));
        assert_eq!(list.server_bytes(0, &[1, 4]).unwrap_err().detail, "NVML does not tell the memory of process 4");
        assert_eq!(list.server_bytes(0, &[9]).unwrap_err().why, Why::Absent, "unlisted is unknown rather than zero");
        assert_eq!(list.server_bytes(0, &[]).unwrap_err().why, Why::NotAsked);
    }

    #[test]
    fn processes_are_told_when_something_has_changed() {
        let mut list = running(&[(7, Some(50)), (2, Some(7))]);
        let news = list.news(3, 1.5, &[2], &[(2, 90), (11, 4)]).unwrap();
        let expected = json!({"gpu": 3, "at_ms": 1.5, "processes": [[2, 7, 90], [7, 50, null], [11, null, 4]]});
        assert_eq!(news, expected, "the server's first, then by memory");
        assert_eq!(list.news(3, 2.0, &[2], &[(2, 90), (11, 4)]), None);
        list.strange = Some(u32::MAX.into());
        let news = list.news(3, 3.0, &[2], &[(2, 90), (11, 4)]).unwrap();
        assert_eq!(news["strange_pid"], u32::MAX);
        assert_eq!(list.news(3, 4.0, &[2], &[(2, 90), (11, 4)]), None, "once");
    }
}
