//! Utilization by process.

use super::counter::COUNTERS;
use super::round::Round;
use super::running::HIGHEST_PID;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};

/// Rows asked for at first, and at most.
const ROWS: usize = 128;
const ROWS_MAX: usize = 4096;
/// From this major compute capability on, the older call can stay silent under load (Blackwell).
const SILENT_FROM_MAJOR: i32 = 10;
/// On older GPUs the newer call is tried this often while the older one is silent, milliseconds.
const TRY_AGAIN_MS: f64 = 500.0;

/// nvml.h, nvmlProcessUtilizationSample_t.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sample {
    pid: u32,
    microseconds: u64,
    sm_percent: u32,
    memory_percent: u32,
    encoder_percent: u32,
    decoder_percent: u32,
}

/// nvml.h, nvmlProcessUtilizationInfo_v1_t.
#[repr(C)]
#[derive(Clone, Copy)]
struct Info {
    microseconds: u64,
    pid: u32,
    sm_percent: u32,
    memory_percent: u32,
    encoder_percent: u32,
    decoder_percent: u32,
    jpeg_percent: u32,
    optical_flow_percent: u32,
}

/// nvml.h, nvmlProcessesUtilizationInfo_v1_t.
#[repr(C)]
struct Infos {
    version: u32,
    count: u32,
    seen: u64,
    rows: *mut Info,
}

/// Number of the structure's version and its size (nvml.h, NVML_STRUCT_VERSION).
const INFOS_VERSION: u32 = 1 << 24 | size_of::<Infos>() as u32;

/// What a process did: stamp in microseconds, id, share of the multiprocessors.
type Row = (u64, u32, u32);

/// The calls that tell processes' utilization, and what they told.
pub struct Shares {
    seen: u64,
    rows: usize,
    /// Whether the GPU is of a kind on which the older call can stay silent under load.
    may_stay_silent: bool,
    /// Whether the newer call has told what the older one did not.
    newer_tells: bool,
    /// Whether the newer call is there at all.
    newer_there: bool,
    next_try_ms: f64,
    /// What was told last: id and percent.
    pub percents: Vec<(u64, u64)>,
}

/// What the driver said of one process or another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Said {
    /// The highest share of a server process, percent.
    Share(u64),
    /// Nothing of the server, though it is listed; this GPU would tell if it worked.
    Idle,
    /// Nothing that can be told from work that is not told.
    Nothing,
}

impl Shares {
    /// Passes over what the driver holds from before.
    pub fn begin(nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Self {
        let mut shares = Self {
            seen: 0,
            rows: ROWS,
            may_stay_silent: device.cuda_compute_capability().is_ok_and(|version| version.major >= SILENT_FROM_MAJOR),
            newer_tells: false,
            newer_there: nvml.lib().nvmlDeviceGetProcessesUtilizationInfo.is_ok(),
            next_try_ms: 0.0,
            percents: Vec::new(),
        };
        shares.pass_over(nvml, device, round);
        shares
    }

    /// Takes all that the driver holds now for old.
    pub fn pass_over(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) {
        self.seen = 0;
        // Without an answer there is nothing to pass over.
        let older = self.older(nvml, device, round);
        let newer = if self.newer_there { self.newer(nvml, device, round) } else { Ok(Vec::new()) };
        let rows = [older, newer].into_iter().flatten().flatten();
        self.seen = rows.map(|(stamp, ..)| stamp).max().unwrap_or(0);
    }

    /// The highest share of a server process since the last reading. `listed`: NVML lists one on this GPU.
    pub fn read(
        &mut self,
        nvml: &Nvml,
        device: &Device<'_>,
        index: u64,
        round: &mut Round,
        listed: bool,
    ) -> Result<Said, NvmlError> {
        let mut answer = if self.newer_tells { Ok(Vec::new()) } else { self.older(nvml, device, round) };
        let silent = |answer: &Result<Vec<Row>, NvmlError>| match answer {
            Ok(rows) => rows.is_empty(),
            Err(NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_)) => true,
            Err(_) => false,
        };
        let due = self.newer_tells || self.may_stay_silent || round.at_ms >= self.next_try_ms;
        if self.newer_there && silent(&answer) && due {
            self.next_try_ms = round.at_ms + TRY_AGAIN_MS;
            round.mark(index, COUNTERS + 1);
            match self.newer(nvml, device, round) {
                Ok(rows) => {
                    self.newer_tells |= !rows.is_empty();
                    if self.newer_tells || answer.is_ok() {
                        answer = Ok(rows);
                    }
                }
                Err(NvmlError::NotSupported | NvmlError::FunctionNotFound) => self.newer_there = false,
                Err(error) => answer = answer.and(Err(error)),
            }
        }
        let rows = match answer {
            Err(NvmlError::InsufficientSize(_)) => return Ok(Said::Nothing),
            answer => answer?,
        };
        self.seen = rows.iter().map(|(stamp, ..)| *stamp).fold(self.seen, u64::max);
        self.percents = highest_by_process(&rows);
        let of_server = self.percents.iter().filter(|(pid, _)| round.server_pids.contains(pid));
        Ok(match of_server.map(|(_, percent)| *percent).max() {
            Some(percent) => Said::Share(percent),
            // Rows of others, or a driver that is known to tell: the server would stand among them.
            None if listed && (!rows.is_empty() || self.newer_tells || !self.may_stay_silent) => Said::Idle,
            None => Said::Nothing,
        })
    }

    fn older(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Result<Vec<Row>, NvmlError> {
        let call = nvml_sym(nvml.lib().nvmlDeviceGetProcessUtilization.as_ref())?;
        let (rows, mut count) = round.buffers.rows::<Sample>(self.rows);
        // SAFETY: `rows` has room for `count` samples of nvml.h's layout, the handle is the wrapper's own.
        let answer = unsafe { nvml_try(call(device.handle(), rows.cast(), &mut count, self.seen)) };
        if !self.answered(answer, count)? {
            return Ok(Vec::new());
        }
        // SAFETY: integers.
        let rows = unsafe { round.buffers.read::<Sample>(count) };
        Ok(self.sound(rows.iter().map(|row| (row.microseconds, row.pid, row.sm_percent))))
    }

    /// Of drivers since 550.
    fn newer(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Result<Vec<Row>, NvmlError> {
        let call = nvml_sym(nvml.lib().nvmlDeviceGetProcessesUtilizationInfo.as_ref())?;
        let (rows, count) = round.buffers.rows::<Info>(self.rows);
        let mut infos = Infos { version: INFOS_VERSION, count, seen: self.seen, rows };
        // SAFETY: the structure is nvml.h's, its rows have room for `count` of them, the handle is the wrapper's own.
        let answer = unsafe { nvml_try(call(device.handle(), (&raw mut infos).cast())) };
        if !self.answered(answer, infos.count)? {
            return Ok(Vec::new());
        }
        // SAFETY: integers.
        let rows = unsafe { round.buffers.read::<Info>(infos.count) };
        Ok(self.sound(rows.iter().map(|row| (row.microseconds, row.pid, row.sm_percent))))
    }

    /// Whether there are rows. Where there was too little room for them, there is more next time.
    fn answered(&mut self, answer: Result<(), NvmlError>, count: u32) -> Result<bool, NvmlError> {
        match answer {
            Ok(()) => Ok(true),
            Err(NvmlError::NotFound) => Ok(false),
            Err(error @ NvmlError::InsufficientSize(_)) => {
                self.rows = (count as usize).saturating_add(ROWS).min(ROWS_MAX);
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The rows that are new and no junk, which some drivers hand out among the others.
    fn sound(&self, rows: impl Iterator<Item = Row>) -> Vec<Row> {
        let sound =
            |(stamp, pid, percent): &Row| *stamp > self.seen && (1..=HIGHEST_PID).contains(pid) && *percent <= 100;
        rows.filter(sound).collect()
    }
}

fn highest_by_process(rows: &[Row]) -> Vec<(u64, u64)> {
    let mut highest: Vec<(u64, u64)> = Vec::new();
    for (_, pid, percent) in rows {
        let (pid, percent) = (u64::from(*pid), u64::from(*percent));
        match highest.iter_mut().find(|(other, _)| *other == pid) {
            Some((_, most)) => *most = percent.max(*most),
            None => highest.push((pid, percent)),
        }
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_rows_are_passed_over() {
        let shares = Shares {
            seen: 6,
            rows: ROWS,
            may_stay_silent: false,
            newer_tells: false,
            newer_there: true,
            next_try_ms: 0.0,
            percents: Vec::new(),
        };
        let rows = [(7, 1, 50), (9, 2, 2_147_483_632), (5, 1, 3), (9, 0, 3), (9, u32::MAX, 3), (8, 1, 60), (8, 3, 0)];
        let sound = shares.sound(rows.into_iter());
        assert_eq!(sound, [(7, 1, 50), (8, 1, 60), (8, 3, 0)]);
        assert_eq!(highest_by_process(&sound), [(1, 60), (3, 0)]);
    }

    #[test]
    fn structures_are_as_nvml_h_has_them() {
        assert_eq!((size_of::<Sample>(), size_of::<Info>(), size_of::<Infos>()), (32, 40, 24));
        assert_eq!(INFOS_VERSION, 0x0100_0018);
    }
}
