//! The end of a visit: everything is closed, and it is seen whether it is given back.

use super::landing;
use super::visit::{SETTLING, Visit, millis, unread};
use crate::snapshot::{Attempt, SecondRound, SpreadReading, Unknown, Why};
use std::time::{Duration, Instant};

/// Longest wait for everything to be given back after the connections were closed; after an interruption; and between two
/// looks.
const RELEASE: Duration = Duration::from_secs(5);
const RELEASE_SHORT: Duration = Duration::from_secs(1);
pub(super) const RELEASE_PAUSE: Duration = Duration::from_millis(200);
/// Memory that is still taken, from which on a second round tells what it is, bytes.
const KEPT_BYTES: u64 = 64 << 20;

impl Visit<'_> {
    /// Closes everything that is open, side by side.
    pub(super) async fn close_all(&mut self) {
        let closing = self.held.drain(..).map(|(_, held)| tokio::spawn(held.close())).collect::<Vec<_>>();
        for task in closing {
            let _ = task.await;
        }
    }

    /// Notes which connections the other side has ended while they were held.
    pub(super) fn note_lost(&mut self) {
        let lost: Vec<_> =
            self.held.iter().map(|(number, held)| (*number, held.seen())).filter(|(_, seen)| seen.ended).collect();
        for (number, seen) in lost {
            let Some(position) = self.attempts.iter().position(|attempt| attempt.number == number) else { continue };
            let Some(mut attempt) = self.attempts.get(position).cloned() else { continue };
            self.ended(&mut attempt, &seen);
            attempt.ended_while_held = true;
            if let Some(place) = self.attempts.get_mut(position) {
                *place = attempt;
            }
        }
    }

    /// Closes everything, and waits until the server is as it was: the last reading, and how long after the close it was
    /// taken, milliseconds.
    pub(super) async fn release(&mut self, in_haste: bool) -> (SpreadReading, f64) {
        let started = Instant::now();
        self.close_all().await;
        let start = self.readings.first().cloned().unwrap_or_else(unread);
        let until = self.until.min(started + if in_haste { RELEASE_SHORT } else { RELEASE });
        loop {
            let now = self.sources.read(0).await;
            if landing::is_back_at(&start, &now) || Instant::now() >= until {
                return (now, millis(started.elapsed()));
            }
            tokio::time::sleep(RELEASE_PAUSE).await;
        }
    }

    /// One connection more, once those before it are gone.
    pub(super) async fn once_more(&mut self, number: u64) -> Result<Attempt, Unknown> {
        let Some(opening) = self.opening.clone().filter(|_| Instant::now() < self.until) else {
            return Err(Unknown::new(Why::TimedOut, "the time was over before a connection could be tried again"));
        };
        let (attempt, _) = self.once(&opening, number).await;
        self.close_all().await;
        Ok(attempt)
    }

    /// As many connections again, where memory is still taken.
    ///
    /// # Errors
    /// There is no need for it, or no time.
    pub(super) async fn second_round(&mut self, connections: u64) -> Result<SecondRound, Unknown> {
        let start = self.readings.first().cloned().unwrap_or_else(unread);
        let now = self.sources.read(0).await;
        if connections == 0 || !landing::has_kept(&start, &now, KEPT_BYTES) {
            return Err(Unknown::new(Why::NotAsked, "no memory was kept by the first connections"));
        }
        let Some(opening) = self.opening.clone() else {
            return Err(Unknown::new(Why::NotAsked, "no connection was accepted"));
        };
        for number in 1..=connections {
            if self.until.saturating_duration_since(Instant::now()) < RELEASE * 2 {
                self.close_all().await;
                return Err(Unknown::new(Why::TimedOut, "there was no time for a second round (--timeout)"));
            }
            let (attempt, _) = self.once(&opening, number).await;
            if !attempt.accepted {
                break;
            }
            if self.speaks == Some(true) {
                self.say();
                self.sources.moves(SETTLING).await;
            }
        }
        let accepted = self.held.len() as u64;
        self.sources.settle(SETTLING).await;
        let full = self.sources.read(accepted).await;
        let (closed, closed_after_ms) = self.release(false).await;
        Ok(SecondRound { connections: accepted, full, closed, closed_after_ms })
    }
}
