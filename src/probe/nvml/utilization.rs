//! Utilization from the driver's own rings of samples, so that no burst between two readings is missed.

use super::error;
use crate::snapshot::{Unknown, Why};
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::Sampling;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessUtilizationSample;
use std::time::{Duration, Instant};

/// A sample of the ring stands for this long; the driver takes one every 1/6 to 1 s.
const HOLD: Duration = Duration::from_secs(1);
/// From this major compute capability on, the per-process call can stay silent under load (Blackwell).
const SILENT_FROM_MAJOR: i32 = 10;

/// Utilization of a whole GPU.
pub struct Ring {
    /// Time stamp of the newest sample, in the driver's microseconds.
    seen: u64,
    /// What the newest samples said, and when they were read.
    newest: Option<(u64, Instant)>,
}

impl Ring {
    /// Passes over what the ring holds from before.
    pub fn begin(device: &Device<'_>) -> Self {
        let stale = device.samples(Sampling::GpuUtilization, None).unwrap_or_default();
        Self { seen: stale.iter().map(|sample| sample.timestamp).max().unwrap_or(0), newest: None }
    }

    /// The highest utilization since the last reading, percent; without a ring, the driver's current value.
    pub fn read(&mut self, device: &Device<'_>) -> Result<u64, NvmlError> {
        let fresh = device.samples(Sampling::GpuUtilization, self.seen).unwrap_or_default();
        if let Some(highest) = fresh.iter().filter_map(|sample| percent(&sample.value)).max() {
            self.seen = fresh.iter().map(|sample| sample.timestamp).fold(self.seen, u64::max);
            self.newest = Some((highest, Instant::now()));
        }
        match self.newest {
            Some((value, read)) if read.elapsed() < HOLD => Ok(value),
            _ => Ok(device.utilization_rates()?.gpu.into()),
        }
    }
}

/// A value of the ring, unless it is no percentage.
fn percent(value: &SampleValue) -> Option<u64> {
    let value = match value {
        SampleValue::U32(value) => u64::from(*value),
        SampleValue::U64(value) => *value,
        SampleValue::I64(value) => u64::try_from(*value).ok()?,
        SampleValue::F64(value) => value.round() as u64,
    };
    (value <= 100).then_some(value)
}

/// Utilization by process.
pub struct ProcessRing {
    seen: u64,
    /// Whether no answer means no work.
    silence_is_idleness: bool,
}

impl ProcessRing {
    /// Passes over what the ring holds from before.
    pub fn begin(device: &Device<'_>) -> Self {
        let stale = device.process_utilization_stats(None).unwrap_or_default();
        let capability = device.cuda_compute_capability();
        let silence_is_idleness = capability.is_ok_and(|version| version.major < SILENT_FROM_MAJOR);
        Self { seen: newest(&stale), silence_is_idleness }
    }

    /// The highest utilization of a server process since the last reading, percent.
    ///
    /// Zero is only said if NVML lists a server process on this GPU (`listed`) and tells nothing of its work.
    pub fn read(&mut self, device: &Device<'_>, index: u64, server_pids: &[u64], listed: bool) -> Result<u64, Unknown> {
        let place = format!("nvmlDeviceGetProcessUtilization of GPU {index}");
        let (rows, silent) = match device.process_utilization_stats(self.seen) {
            Ok(rows) => (rows, false),
            Err(NvmlError::NotFound) => (Vec::new(), true),
            Err(error) => return Err(error::unknown(error, &place)),
        };
        self.seen = self.seen.max(newest(&rows));
        let of_server = |row: &&ProcessUtilizationSample| server_pids.contains(&u64::from(row.pid));
        match sound(&rows).filter(of_server).map(|row| u64::from(row.sm_util)).max() {
            Some(highest) => Ok(highest),
            None if listed && (self.silence_is_idleness || !silent) => Ok(0),
            None => Err(Unknown::new(Why::Absent, format!("{place}: no sample of a process of the server"))),
        }
    }
}

/// The rows that are not junk, which some drivers hand out among the others.
fn sound(rows: &[ProcessUtilizationSample]) -> impl Iterator<Item = &ProcessUtilizationSample> {
    rows.iter().filter(|row| row.sm_util <= 100 && row.mem_util <= 100 && row.timestamp > 0)
}

fn newest(rows: &[ProcessUtilizationSample]) -> u64 {
    sound(rows).map(|row| row.timestamp).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_is_no_percentage() {
        assert_eq!(percent(&SampleValue::U32(97)), Some(97));
        assert_eq!(percent(&SampleValue::U32(2_147_483_632)), None);
        assert_eq!(percent(&SampleValue::I64(-1)), None);
        let row = |sm_util, timestamp| ProcessUtilizationSample {
            pid: 1,
            timestamp,
            sm_util,
            mem_util: 0,
            enc_util: 0,
            dec_util: 0,
        };
        assert_eq!(newest(&[row(50, 7), row(2_147_483_632, 99), row(3, 5)]), 7);
    }
}
