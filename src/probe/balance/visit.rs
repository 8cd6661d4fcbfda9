//! A visit: the connections one after the other, held, and closed together at the end.

use super::gpus::Gpus;
use super::landing;
use super::reading::Sources;
use super::release::RELEASE_PAUSE;
use crate::probe::server_log::watch::Watch;
use crate::probe::service::held::{Held, Holder, Outgoing};
use crate::probe::service::speech;
use crate::probe::{BalanceAsk, Context};
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Facts, SpreadReading, Unknown, Why};
use futures_util::future::{Either, select};
use regex::Regex;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a server that has accepted may take to greet or to change its mind.
pub(super) const GREETING: Duration = Duration::from_millis(700);
/// Longest wait for the memory of a GPU to settle after a connection.
pub(super) const SETTLING: Duration = Duration::from_secs(3);
/// Longest wait for the first memory after the first words: a model may be loaded only then.
const LOADING: Duration = Duration::from_secs(8);
/// How long the server's log may take to tell of a connection.
const LOGGING: Duration = Duration::from_millis(30);
/// Refusals in a row after which no more connections are tried.
const REFUSALS: usize = 2;
/// Time that is kept for the release.
const FOR_RELEASE: Duration = Duration::from_secs(8);
/// Longest reason that is told, bytes.
const REASON_MAX: usize = 300;
/// Most readings that are kept of the connections; of more connections only every so many.
const READINGS_MAX: u64 = 128;
/// How long an interruption may go unnoticed.
const NOTICE: Duration = Duration::from_millis(20);

/// One visit of the server.
pub struct Visit<'a> {
    pub(super) context: &'a Context,
    pub(super) ask: &'a BalanceAsk,
    pub(super) facts: &'a Facts,
    pub(super) holder: &'a Holder,
    pub(super) sources: Sources<'a>,
    log: Result<Watch, Unknown>,
    pattern: Option<Regex>,
    pub(super) until: Instant,
    /// What is sent to open a connection, once the first one has shown it.
    pub(super) opening: Option<Outgoing>,
    /// Whether speech is said on connections, once the first one has shown what it does.
    pub(super) speaks: Option<bool>,
    /// The connections that are open, by number.
    pub(super) held: Vec<(u64, Held)>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) readings: Vec<SpreadReading>,
    /// The last reading, and whether it is kept already.
    latest: (SpreadReading, bool),
    /// An obstacle on this side.
    pub(super) own_fault: Option<Unknown>,
}

/// Comes to its end when the user wants one.
pub async fn interrupted(wished: &AtomicBool) {
    while !wished.load(Ordering::Relaxed) {
        tokio::time::sleep(NOTICE).await;
    }
}

impl<'a> Visit<'a> {
    /// Starts watching.
    ///
    /// # Errors
    /// No connections were asked for.
    pub async fn begin(
        context: &'a Context,
        holder: &'a Holder,
        facts: &'a Facts,
        until: Instant,
    ) -> Result<Self, Unknown> {
        let not_asked = || Unknown::new(Why::NotAsked, "connections are opened by gpu-doctor balance alone");
        let ask = context.ask.balance.as_ref().ok_or_else(not_asked)?;
        let forwarded = facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty());
        let is_local = context.ask.target().server_is_local == Some(true) && !forwarded;
        let gpus = Gpus::watch(facts, is_local, until.saturating_duration_since(Instant::now()));
        let sources = Sources::open(holder, ask.status_path.as_deref(), &ask.status_fields, facts, gpus).await;
        let log = match is_local || !context.ask.logs.is_empty() {
            true => Watch::begin(&context.ask.logs, facts),
            false => Err(Unknown::new(Why::NotAsked, "the log of a server on another machine was not named")),
        };
        // It was verified when it was given.
        let pattern = ask.log_pattern.as_deref().and_then(|pattern| Regex::new(pattern).ok());
        Ok(Self {
            context,
            ask,
            facts,
            holder,
            sources,
            log,
            pattern,
            until,
            opening: None,
            speaks: None,
            held: Vec::new(),
            attempts: Vec::new(),
            readings: Vec::new(),
            latest: (unread(), true),
            own_fault: None,
        })
    }

    /// Makes so many attempts, and releases what it holds.
    ///
    /// # Errors
    /// An obstacle on this side kept it from opening any.
    pub async fn run(mut self, tries: u64) -> Result<ConnectionsFacts, Unknown> {
        self.sources.settle(SETTLING).await;
        self.readings.push(self.sources.read(0).await);
        self.latest = (self.readings.first().cloned().unwrap_or_else(unread), true);
        let told_limit = self.sources.told().await.and_then(|told| told.limit_per_gpu.read().copied());
        let wished = self.ask.interrupted.clone();
        let stopped_by = match select(pin!(self.tries(tries)), pin!(interrupted(&wished))).await {
            Either::Left((words, _)) => Some(words),
            Either::Right(_) => None,
        };
        let stopped_by = stopped_by.unwrap_or_else(|| format!("it was interrupted after {}", self.attempts.len()));
        if let (Some(fault), false) = (&self.own_fault, self.attempts.iter().any(|attempt| attempt.accepted)) {
            return Err(fault.clone());
        }
        if !self.latest.1 {
            self.readings.push(self.latest.0.clone());
        }
        let in_haste = wished.load(Ordering::Relaxed);
        let interruption = || Unknown::new(Why::NotAsked, "it was interrupted before");
        let unknown_path_refused_alike = match in_haste {
            true => Err(interruption()),
            false => self.beside_unknown_path().await,
        };
        self.note_lost();
        let accepted = self.attempts.iter().filter(|attempt| attempt.accepted).count() as u64;
        let full = self.attempts.iter().any(|attempt| !attempt.accepted && !attempt.ended_while_held);
        let (closed, released_after_ms) = self.release(in_haste).await;
        self.readings.push(closed);
        let (after_release, second_round) = match select(
            pin!(async {
                let after = match full && accepted > 0 {
                    true => self.once_more(self.attempts.len() as u64 + 1).await,
                    false => Err(Unknown::new(Why::NotAsked, "no connection was refused after one was accepted")),
                };
                (after, self.second_round(accepted).await)
            }),
            pin!(interrupted(&wished)),
        )
        .await
        {
            Either::Left((both, _)) => both,
            Either::Right(_) => (Err(interruption()), Err(interruption())),
        };
        self.close_all().await;
        let no_way = || Unknown::new(Why::Absent, "no way in was found");
        let opening = self.opening.as_ref();
        Ok(ConnectionsFacts {
            path: opening.map(|opening| opening.url.path().to_owned()).ok_or_else(no_way).into(),
            kind: opening.map(|opening| Holder::kind(opening).to_owned()).ok_or_else(no_way).into(),
            said: Fact::Known(if self.speaks == Some(true) { "the first half second of speech" } else { "" }.into()),
            asked: Fact::Known(tries),
            stopped_by: Fact::Known(stopped_by),
            attempts: Fact::Known(self.attempts),
            readings: Fact::Known(self.readings),
            status_url: match self.sources.status_path() {
                Fact::Unknown(unknown) if unknown.why == Why::NotAsked => Fact::Known(String::new()),
                path => path,
            },
            told_limit_per_gpu: told_limit.into(),
            released_after_ms: Fact::Known(released_after_ms),
            unknown_path_refused_alike: unknown_path_refused_alike.into(),
            after_release: after_release.into(),
            second_round: second_round.into(),
        })
    }

    /// The attempts; why there are fewer than asked for.
    async fn tries(&mut self, tries: u64) -> String {
        let mut refused = 0;
        let stride = tries.div_ceil(READINGS_MAX).max(1);
        for number in 1..=tries {
            let left = self.until.saturating_duration_since(Instant::now());
            if left < FOR_RELEASE {
                return format!("the time was over after {} of {tries} (--timeout)", number - 1);
            }
            let before = self.latest.0.clone();
            if let Ok(log) = &mut self.log {
                log.mark();
            }
            // What is left is shared among the connections that are still to come.
            let share = (left - FOR_RELEASE) / u32::try_from(tries - number + 1).unwrap_or(1).max(1);
            let settling = SETTLING.min(share.max(Duration::from_millis(100)));
            let (mut attempt, said) = match self.opening.clone() {
                Some(opening) => self.once(&opening, number).await,
                None => self.first().await,
            };
            if attempt.accepted && self.speaks == Some(true) {
                self.say();
                self.sources.moves(settling).await;
            }
            self.sources.settle(settling).await;
            let mut after = self.read().await;
            if attempt.accepted && self.speaks.is_none() {
                (attempt, after) = self.first_words(attempt, &before, after).await;
            }
            if attempt.accepted {
                self.place(&mut attempt, &before, &after, said);
            }
            let unanswered = attempt.status.known().is_none();
            refused = if attempt.accepted { 0 } else { refused + 1 };
            let kept = number % stride == 0 || tries <= READINGS_MAX;
            if kept {
                self.readings.push(after.clone());
            }
            self.latest = (after, kept);
            self.attempts.push(attempt);
            let none_yet = self.held.is_empty();
            if number < tries && (refused >= REFUSALS || unanswered && none_yet) {
                let how = if unanswered { "not answered" } else { "refused" };
                return match refused {
                    1 => format!("the first connection was {how}"),
                    _ => format!("{refused} connections in a row were {how}, the last of them number {number}"),
                };
            }
        }
        String::new()
    }

    /// Says the first words on the first connection, if it takes no memory of a GPU without them: a server may load its
    /// model only then. One that ends the connection for them is not spoken to.
    async fn first_words(
        &mut self,
        attempt: Attempt,
        before: &SpreadReading,
        after: SpreadReading,
    ) -> (Attempt, SpreadReading) {
        let (Some(opening), true) = (self.opening.clone(), self.sources.sees_gpus()) else {
            self.speaks = Some(false);
            return (attempt, after);
        };
        let landed = !matches!(landing::measured(before, &after), Err(unknown) if unknown.why == Why::Absent);
        if landed || Holder::kind(&opening) != "WebSocket" {
            self.speaks = Some(false);
            return (attempt, after);
        }
        self.say();
        if self.sources.moves(LOADING).await {
            self.sources.settle(SETTLING).await;
        }
        if self.held.last().is_some_and(|(_, held)| held.seen().ended) {
            self.speaks = Some(false);
            self.held.pop();
            tokio::time::sleep(RELEASE_PAUSE).await;
            let (attempt, _) = self.once(&opening, attempt.number).await;
            return (attempt, self.read().await);
        }
        let after = self.read().await;
        self.speaks = Some(landing::measured(before, &after).is_ok());
        (attempt, after)
    }

    /// Speaks on the last connection.
    pub(super) fn say(&self) {
        if let Some((_, held)) = self.held.last() {
            held.say(&speech(&self.context.ask, &held.seen().text));
        }
    }

    /// All GPUs as they are now.
    async fn read(&self) -> SpreadReading {
        let open = self.held.iter().filter(|(_, held)| !held.seen().ended).count() as u64;
        self.sources.read(open).await
    }

    /// Where an accepted connection came.
    fn place(&mut self, attempt: &mut Attempt, before: &SpreadReading, after: &SpreadReading, said: Option<u64>) {
        match landing::measured(before, after) {
            Ok((gpu, bytes)) => (attempt.measured_gpu, attempt.added_bytes) = (Fact::Known(gpu), Fact::Known(bytes)),
            Err(unknown) => {
                (attempt.measured_gpu, attempt.added_bytes) = (Fact::Unknown(unknown.clone()), Fact::Unknown(unknown));
            }
        }
        attempt.claimed_gpu = said.map_or_else(|| landing::claimed(before, after), Ok).into();
        attempt.logged_gpu = match &mut self.log {
            Err(unknown) => Fact::Unknown(unknown.clone()),
            Ok(log) => {
                let silent = || Fact::unknown(Why::Absent, "the log named no GPU when the connection was opened");
                landing::logged(&log.gained(LOGGING), self.pattern.as_ref()).map_or_else(silent, Fact::Known)
            }
        };
    }

    /// Whether a path that cannot exist is refused as a connection was that was not even accepted.
    async fn beside_unknown_path(&self) -> Result<bool, Unknown> {
        let before_accepting = |attempt: &&Attempt| attempt.status.known().is_some_and(|status| *status >= 300);
        let (Some(refused), Some(opening)) = (self.attempts.iter().find(before_accepting), &self.opening) else {
            return Err(Unknown::new(Why::NotAsked, "no connection was refused before it was accepted"));
        };
        let mut elsewhere = opening.clone();
        elsewhere.url.set_path(&format!("/gpu-doctor-{:x}", std::process::id()));
        let opened = self.holder.open(&elsewhere, GREETING * 3).await;
        let opened = opened.map_err(|failure| Unknown::new(failure.why, failure.text))?;
        let alike = refused.status.known() == Some(&u64::from(opened.status));
        if let Some(held) = opened.held {
            held.close().await;
            return Ok(alike);
        }
        // The first attempt's words may tell of several ways.
        Ok(alike && (refused.number == 1 || refused.reason == self.told(&opened.text)))
    }

    /// A text of the server's, short and without secrets.
    pub(super) fn told(&self, text: &str) -> String {
        let masked = self.holder.masked(text);
        let text = masked.split_whitespace().collect::<Vec<_>>().join(" ");
        text.chars().take(REASON_MAX).collect()
    }
}

/// A reading of which nothing is known.
pub(super) fn unread() -> SpreadReading {
    let unknown = || Unknown::new(Why::Absent, "no reading was taken");
    SpreadReading { open_connections: 0, told: Fact::Unknown(unknown()), measured: Fact::Unknown(unknown()) }
}

pub(super) fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
