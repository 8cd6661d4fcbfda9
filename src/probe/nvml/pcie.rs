//! What goes over PCIe: NVML counts for 20 ms at each call, so the GPUs and the directions take turns.

use super::error;
use super::sampler::GpuSample;
use crate::probe::isolation::Reporter;
use crate::snapshot::{Fact, Unknown, Why};
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
    /// GPUs that have no such counter (vGPU, MIG, before Maxwell), and why.
    silent: Vec<(u64, Unknown)>,
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
        for (index, unknown) in &self.silent {
            for sample in samples.iter_mut().filter(|sample| sample.index == *index) {
                sample.pcie_received_bytes_per_second = Some(Fact::Unknown(unknown.clone()));
                sample.pcie_sent_bytes_per_second = Some(Fact::Unknown(unknown.clone()));
            }
        }
        if !self.samples.is_multiple_of(EVERY) {
            return;
        }
        let turn = self.turn(samples);
        let Some((position, received)) = turn else { return };
        let (Some(sample), Some(device)) = (samples.get_mut(position), device(position)) else { return };
        let index = sample.index;
        let place = format!("nvmlDeviceGetPcieThroughput of GPU {index}");
        reporter.stage(&place);
        let counter = if received { PcieUtilCounter::Receive } else { PcieUtilCounter::Send };
        let read = device.pcie_throughput(counter).map_err(|error| error::unknown(error, &place));
        if let Err(unknown) = read.as_ref().map_err(Unknown::clone)
            && unknown.why == Why::Unsupported
        {
            self.silent.push((index, unknown));
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
        let asked = |sample: &GpuSample| !self.silent.iter().any(|(index, _)| *index == sample.index);
        let held = |sample: &GpuSample| sample.server_memory_bytes.known() > Some(&0);
        let some_held = samples.iter().any(held);
        let watched: Vec<usize> = (0..samples.len())
            .filter(|position| samples.get(*position).is_some_and(|one| asked(one) && (held(one) || !some_held)))
            .collect();
        let next = self.next;
        self.next = self.next.wrapping_add(1);
        let position = *watched.get((next / 2).checked_rem(watched.len())?)?;
        Some((position, next.is_multiple_of(2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        turns.silent.push((1, Unknown::new(Why::Unsupported, "test")));
        assert_eq!(of(&mut turns, &second), [None; 4], "nobody else's traffic stands in");
        assert_eq!(of(&mut turns, &[]), [None; 4]);
    }
}
