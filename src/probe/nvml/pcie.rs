//! What goes over PCIe: NVML counts for 20 ms at each call, so the GPUs and the directions take turns.

use super::error;
use super::sampler::GpuSample;
use crate::probe::isolation::Reporter;
use crate::snapshot::Why;
use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::PcieUtilCounter;

/// Only every so many samples are slowed down: at 20 Hz, ten calls a second, a fifth of the time.
const EVERY: usize = 2;
/// NVML answers in KB/s (nvml.h, nvmlDeviceGetPcieThroughput).
const KILOBYTE: u64 = 1000;

/// Whose turn it is.
#[derive(Default)]
pub struct Turns {
    samples: usize,
    next: usize,
    /// GPUs, and whether it is what they receive, without such a counter (vGPU, MIG, before Maxwell).
    silent: Vec<(u64, bool)>,
}

impl Turns {
    /// Reads one direction of one GPU into its sample, if it is time to.
    pub fn read<'d, 'n: 'd>(
        &mut self,
        samples: &mut [GpuSample],
        device: impl Fn(usize) -> Option<&'d Device<'n>>,
        reporter: &mut Reporter,
    ) {
        self.samples += 1;
        if !self.samples.is_multiple_of(EVERY) {
            return;
        }
        let Some((position, received)) = self.turn(samples) else { return };
        let (Some(sample), Some(device)) = (samples.get_mut(position), device(position)) else { return };
        let place = format!("nvmlDeviceGetPcieThroughput of GPU {}", sample.index);
        reporter.stage(&place);
        let counter = if received { PcieUtilCounter::Receive } else { PcieUtilCounter::Send };
        let read = device.pcie_throughput(counter).map_err(|error| error::unknown(error, &place));
        if let Err(unknown) = &read
            && unknown.why == Why::Unsupported
        {
            self.silent.push((sample.index, received));
        }
        let read = Some(read.map(|kilobytes| u64::from(kilobytes).saturating_mul(KILOBYTE)).into());
        match received {
            true => sample.pcie_received_bytes_per_second = read,
            false => sample.pcie_sent_bytes_per_second = read,
        }
    }

    /// Position of the GPU and whether it is asked what it received. GPUs on which the server holds memory are watched
    /// alone, if there are any.
    fn turn(&mut self, samples: &[GpuSample]) -> Option<(usize, bool)> {
        let held = |sample: &GpuSample| sample.server_memory_bytes.known() > Some(&0);
        let some_held = samples.iter().any(held);
        let watched = samples.iter().enumerate().filter(|(_, sample)| held(sample) || !some_held);
        let both =
            watched.flat_map(|(position, sample)| [true, false].map(|received| (position, sample.index, received)));
        let asked = |index: u64, received: bool| !self.silent.contains(&(index, received));
        let asked: Vec<_> = both.filter(|(_, index, received)| asked(*index, *received)).collect();
        let next = self.next.checked_rem(asked.len())?;
        self.next = next + 1;
        asked.get(next).map(|(position, _, received)| (*position, *received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Fact, Unknown};

    fn sample(index: u64, server_bytes: Option<u64>) -> GpuSample {
        let unknown = Unknown::new(Why::Absent, "test");
        GpuSample {
            server_memory_bytes: server_bytes.map_or(Fact::Unknown(unknown.clone()), Fact::Known),
            ..GpuSample::all_unknown(index, &unknown)
        }
    }

    #[test]
    fn both_directions_of_the_servers_gpus_take_turns() {
        let mut turns = Turns::default();
        let of = |turns: &mut Turns, samples: &[GpuSample]| -> Vec<_> { (0..4).map(|_| turns.turn(samples)).collect() };
        let both = [sample(0, None), sample(1, None)];
        assert_eq!(of(&mut turns, &both), [Some((0, true)), Some((0, false)), Some((1, true)), Some((1, false))]);
        let second = [sample(0, Some(0)), sample(1, Some(7))];
        assert!(of(&mut turns, &second).iter().all(|turn| turn.is_some_and(|(position, _)| position == 1)));
        turns.silent.push((1, false));
        assert_eq!(of(&mut turns, &second), [Some((1, true)); 4]);
        turns.silent.push((1, true));
        assert_eq!(of(&mut turns, &second), [None; 4], "nobody else's traffic stands in");
        assert_eq!(of(&mut turns, &[]), [None; 4]);
    }
}
