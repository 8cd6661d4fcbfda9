//! Utilization from the driver's own ring of samples, so that no burst between two readings is missed.

use super::counter::COUNTERS;
use super::round::Round;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};

/// A sample of the ring stands for this long, milliseconds; the driver takes one every 1/6 to 1 s.
const HOLD_MS: f64 = 1000.0;
/// Samples asked for at once; a ring holds some hundred.
const ROWS: usize = 256;
/// And at most.
const ROWS_MAX: usize = 16_384;
/// A stamp that lies further ahead of the last one is no stamp of this ring, microseconds.
const FURTHEST_US: u64 = 600_000_000;
/// nvml.h, NVML_GPU_UTILIZATION_SAMPLES.
const GPU_UTILIZATION: u32 = 1;

/// nvml.h, nvmlSample_t: the value is a union of 8 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sample {
    microseconds: u64,
    value: u64,
}

/// Utilization of a whole GPU.
pub struct Ring {
    /// Time stamp of the newest sample, in the driver's microseconds.
    seen: u64,
    /// What the newest samples said, and when they were read.
    newest: Option<(f64, f64)>,
    /// Whether the driver keeps a ring for this GPU.
    kept: bool,
    rows: usize,
}

impl Ring {
    /// Passes over what the ring holds from before.
    pub fn begin(nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Self {
        let mut ring = Self { seen: 0, newest: None, kept: true, rows: ROWS };
        ring.pass_over(nvml, device, round);
        ring
    }

    /// Takes all that the ring holds now for old. Also where the wall clock was set, by which the stamps are made.
    pub fn pass_over(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) {
        (self.seen, self.newest) = (0, None);
        // Without an answer there is nothing to pass over.
        let _ = self.fresh(nvml, device, round);
    }

    /// The highest utilization since the last reading, percent; without a ring, the driver's current value.
    pub fn read(&mut self, nvml: &Nvml, device: &Device<'_>, index: u64, round: &mut Round) -> Result<f64, NvmlError> {
        if self.kept {
            match self.fresh(nvml, device, round) {
                Ok(Some(highest)) => self.newest = Some((highest, round.at_ms)),
                Ok(None) | Err(NvmlError::NotFound) => {}
                Err(NvmlError::InsufficientSize(_)) => self.rows = (self.rows * 4).min(ROWS_MAX),
                Err(NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_)) => {
                    self.kept = false;
                }
                Err(error) => return Err(error),
            }
        }
        match self.newest {
            Some((value, read_ms)) if round.at_ms - read_ms < HOLD_MS => Ok(value),
            _ => {
                round.mark(index, COUNTERS);
                Ok(device.utilization_rates()?.gpu.into())
            }
        }
    }

    /// The highest of the samples that are newer than the last one that was seen.
    fn fresh(&mut self, nvml: &Nvml, device: &Device<'_>, round: &mut Round) -> Result<Option<f64>, NvmlError> {
        let call = nvml_sym(nvml.lib().nvmlDeviceGetSamples.as_ref())?;
        let (rows, mut count) = round.buffers.rows::<Sample>(self.rows);
        let mut kind = 0;
        // SAFETY: `rows` has room for `count` samples of nvml.h's layout, the handle is the wrapper's own.
        let samples = unsafe {
            nvml_try(call(device.handle(), GPU_UTILIZATION, self.seen, &mut kind, &mut count, rows.cast()))?;
            round.buffers.read::<Sample>(count)
        };
        let (seen, highest) = newer(samples, self.seen, kind);
        self.seen = seen;
        Ok(highest)
    }
}

/// The newest stamp and the highest value of those samples that are newer than `seen` and sound. Some drivers hand out
/// older ones as well.
fn newer(samples: &[Sample], seen: u64, kind: u32) -> (u64, Option<f64>) {
    let fresh = |stamp: u64| stamp > seen && (seen == 0 || stamp - seen < FURTHEST_US);
    let mut newest = seen;
    let mut highest: Option<f64> = None;
    for sample in samples.iter().filter(|sample| fresh(sample.microseconds)) {
        newest = newest.max(sample.microseconds);
        if let Some(percent) = percent(sample.value, kind) {
            highest = Some(highest.map_or(percent, |other| other.max(percent)));
        }
    }
    (newest, highest)
}

/// A value of the ring by its type (nvml.h, nvmlValueType_t), unless it is no percentage.
fn percent(value: u64, kind: u32) -> Option<f64> {
    let value = match kind {
        0 => f64::from_bits(value),
        1 => f64::from(value as u32),
        2 | 3 => value as f64,
        4 => value.cast_signed() as f64,
        5 => f64::from((value as u32).cast_signed()),
        6 => f64::from(value as u16),
        _ => return None,
    };
    (0.0..=100.0).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_by_their_type_and_junk_is_no_percentage() {
        assert_eq!(percent(97 | 0xdead_beef << 32, 1), Some(97.0), "the rest of the union is not the value's");
        assert_eq!(percent(2_147_483_632, 1), None);
        assert_eq!(percent(u64::MAX, 4), None, "-1");
        assert_eq!(percent(12.5f64.to_bits(), 0), Some(12.5));
        assert_eq!((percent(5, 9), percent(u64::from(u32::MAX), 5)), (None, None));
    }

    #[test]
    fn only_samples_that_are_new_count_and_a_burst_among_them_is_kept() {
        let sample = |microseconds, value| Sample { microseconds, value };
        let samples = [sample(5, 99), sample(11, 0), sample(12, 90), sample(13, 1), sample(u64::MAX, 100)];
        assert_eq!(newer(&samples, 10, 1), (13, Some(90.0)));
        assert_eq!(newer(&samples, 13, 1), (13, None));
        assert_eq!(newer(&[sample(14, u64::MAX)], 13, 1), (14, None));
    }

    proptest! {
        #[test]
        fn whatever_the_driver_writes_is_a_percentage_or_nothing(
            rows in proptest::collection::vec(any::<(u64, u64)>(), 0..64), seen in any::<u64>(), kind in 0u32..9
        ) {
            let samples: Vec<Sample> =
                rows.into_iter().map(|(microseconds, value)| Sample { microseconds, value }).collect();
            let (newest, highest) = newer(&samples, seen, kind);
            prop_assert!(newest >= seen && highest.is_none_or(|value| (0.0..=100.0).contains(&value)));
        }
    }
}
