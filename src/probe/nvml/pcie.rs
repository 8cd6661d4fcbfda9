//! What goes over PCIe: NVML counts for 20 ms at each call, so the GPUs and the directions take turns.

use super::counter::Counter;

/// Time between two calls, milliseconds: a fifth of the time at 20 Hz, less where more samples are wanted.
const SPACING_MS: f64 = 95.0;
const WIDER_MS: f64 = 400.0;
/// From this period on the wider spacing holds, milliseconds.
const SHORT_PERIOD_MS: f64 = 40.0;

/// Whose turn it is.
pub struct Turns {
    spacing_ms: f64,
    due_ms: f64,
    next: usize,
}

/// A GPU as far as its turn depends on it.
pub struct Candidate {
    /// Its position among the GPUs.
    pub position: usize,
    /// Whether the server holds memory on it.
    pub held: bool,
    /// Whether it can be asked what it received, and what it sent; vGPUs, MIG and cards before Maxwell cannot.
    pub asked: [bool; 2],
}

impl Turns {
    /// For samples that follow one another so fast.
    pub fn new(period_ms: f64) -> Self {
        let spacing_ms = if period_ms < SHORT_PERIOD_MS { WIDER_MS } else { SPACING_MS };
        Self { spacing_ms, due_ms: f64::NEG_INFINITY, next: 0 }
    }

    /// Position of the GPU to be asked now and what it is asked, if it is time to. GPUs on which the server holds memory
    /// are watched alone, if there are any.
    pub fn turn(&mut self, at_ms: f64, candidates: impl Iterator<Item = Candidate>) -> Option<(usize, Counter)> {
        if self.due_ms == f64::NEG_INFINITY {
            // Not with the first sample, for which a starting probe waits.
            self.due_ms = at_ms + self.spacing_ms;
        }
        if at_ms < self.due_ms {
            return None;
        }
        self.due_ms = at_ms + self.spacing_ms;
        let candidates: Vec<Candidate> = candidates.collect();
        let some_held = candidates.iter().any(|candidate| candidate.held);
        let watched = candidates.iter().filter(|candidate| candidate.held || !some_held);
        let both = watched.flat_map(|candidate| {
            let pairs = [Counter::PcieReceived, Counter::PcieSent].into_iter().zip(candidate.asked);
            pairs.filter(|(_, asked)| *asked).map(|(counter, _)| (candidate.position, counter))
        });
        let both: Vec<(usize, Counter)> = both.collect();
        let next = self.next.checked_rem(both.len())?;
        self.next = next + 1;
        both.get(next).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Counter::{PcieReceived as Received, PcieSent as Sent};

    #[test]
    fn both_directions_of_the_servers_gpus_take_turns() {
        let mut turns = Turns::new(50.0);
        let mut at_ms = 0.0;
        assert_eq!(turns.turn(at_ms, std::iter::empty()), None, "the first sample is not slowed down");
        let mut four = |of: &[(bool, [bool; 2])]| -> Vec<_> {
            let candidates = || {
                of.iter().enumerate().map(|(position, (held, asked))| Candidate {
                    position,
                    held: *held,
                    asked: *asked,
                })
            };
            let turn = |_| {
                at_ms += 100.0;
                assert_eq!(turns.turn(at_ms - 60.0, candidates()), None, "not yet");
                turns.turn(at_ms, candidates())
            };
            (0..4).map(turn).collect()
        };
        let both = [true, true];
        let two = [(false, both), (false, both)];
        assert_eq!(four(&two), [Some((0, Received)), Some((0, Sent)), Some((1, Received)), Some((1, Sent))]);
        let second = |asked| [(false, both), (true, asked)];
        assert!(four(&second(both)).iter().all(|turn| turn.is_some_and(|(position, _)| position == 1)));
        assert_eq!(four(&second([true, false])), [Some((1, Received)); 4]);
        assert_eq!(four(&second([false, false])), [None; 4], "nobody else's traffic stands in");
        assert_eq!(four(&[]), [None; 4]);
        let mut fast = Turns::new(10.0);
        let asked = |turns: &mut Turns, at_ms| {
            turns.turn(at_ms, std::iter::once(Candidate { position: 0, held: false, asked: both })).is_some()
        };
        let calls = (0..200).filter(|turn| asked(&mut fast, f64::from(*turn) * 10.0)).count();
        assert!((3..=5).contains(&calls), "{calls} calls of 20 ms in two seconds at 100 Hz");
    }
}
