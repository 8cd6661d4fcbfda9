//! The connections, one after the other: opened, held, and closed together at the end.

use super::reading::Sources;
use super::{landing, status};
use crate::probe::Context;
use crate::probe::server_log::watch::Watch;
use crate::probe::service::held::{Held, Holder, Opened};
use crate::snapshot::{Attempt, ConnectionsFacts, Fact, Facts, SpreadReading, Unknown, Why};
use std::time::{Duration, Instant};

/// Paths of WebSockets that are tried where none was named.
const PATHS: &[&str] = &["/asr", "/ws", "/v1/audio/stream", "/stream", "/transcribe"];
/// Longest wait for the answer to an opening: a server may load a model before it answers.
const OPENING: Duration = Duration::from_secs(20);
/// How long a server that has accepted may take to greet or to change its mind.
const GREETING: Duration = Duration::from_millis(700);
/// Longest wait for the memory of a GPU to settle after a connection.
const SETTLING: Duration = Duration::from_secs(3);
/// How long the server's log may take to tell of a connection.
const LOGGING: Duration = Duration::from_millis(30);
/// Longest wait for everything to be given back after the connections were closed, and between two looks.
const RELEASE: Duration = Duration::from_secs(5);
const RELEASE_PAUSE: Duration = Duration::from_millis(200);
/// Refusals in a row after which no more connections are tried.
const REFUSALS: usize = 2;
/// Time that is kept for the release.
const FOR_RELEASE: Duration = Duration::from_secs(8);
/// Longest reason that is told, bytes.
const REASON_MAX: usize = 300;

/// One visit of the server.
pub struct Visit<'a> {
    holder: &'a Holder,
    sources: Sources<'a>,
    log: Result<Watch, Unknown>,
    path: String,
    over_http: bool,
    until: Instant,
    held: Vec<(usize, Held)>,
    attempts: Vec<Attempt>,
    readings: Vec<SpreadReading>,
}

impl<'a> Visit<'a> {
    /// Finds the way in and starts watching.
    ///
    /// # Errors
    /// The server is not reached, or no path takes connections.
    pub async fn begin(
        context: &'a Context,
        holder: &'a Holder,
        facts: &'a Facts,
        until: Instant,
    ) -> Result<Self, Unknown> {
        let not_asked = || Unknown::new(Why::NotAsked, "connections are opened by gpu-doctor balance alone");
        let ask = context.ask.balance.as_ref().ok_or_else(not_asked)?;
        let path = path(context, holder, ask.over_http).await?;
        let forwarded = facts.process.forwarded_by.known().is_some_and(|program| !program.is_empty());
        let is_local = context.ask.target().server_is_local == Some(true) && !forwarded;
        let sources = Sources::open(holder, ask.status_path.as_deref(), &ask.status_fields, facts, is_local).await;
        let log = match is_local || !context.ask.logs.is_empty() {
            true => Watch::begin(&context.ask.logs, facts),
            false => Err(Unknown::new(Why::NotAsked, "the log of a server on another machine was not named")),
        };
        Ok(Self {
            holder,
            sources,
            log,
            path,
            over_http: ask.over_http,
            until,
            held: Vec::new(),
            attempts: Vec::new(),
            readings: Vec::new(),
        })
    }

    /// Makes so many attempts, and releases what it holds.
    ///
    /// # Errors
    /// Not one opening was answered.
    pub async fn run(mut self, tries: u64) -> Result<ConnectionsFacts, Unknown> {
        self.sources.settle(SETTLING).await;
        self.readings.push(self.sources.read(0).await);
        let told_limit = self.sources.told().await.and_then(|told| told.limit_per_gpu.read().copied());
        let stopped_by = self.tries(tries).await;
        let unanswered: Vec<&Unknown> = self.attempts.iter().filter_map(|attempt| attempt.status.reason()).collect();
        if let (Some(first), true) = (unanswered.first(), unanswered.len() == self.attempts.len()) {
            return Err((*first).clone());
        }
        let unknown_path_refused_alike = self.beside_unknown_path().await;
        let full = self.attempts.iter().any(|attempt| !attempt.accepted);
        let released_after_ms = self.release().await;
        let after_release = match full {
            true => self.once_more(tries + 1).await,
            false => Err(Unknown::new(Why::NotAsked, "no connection was refused before")),
        };
        Ok(ConnectionsFacts {
            path: Fact::Known(self.path),
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
        })
    }

    /// The attempts; why there are fewer than asked for.
    async fn tries(&mut self, tries: u64) -> String {
        let mut refused = 0;
        for number in 1..=tries {
            let left = self.until.saturating_duration_since(Instant::now());
            if left < FOR_RELEASE {
                return format!("the time was over after {} of {tries} connections", number - 1);
            }
            let before = self.readings.last().cloned().unwrap_or_else(unread);
            let (mut attempt, held, said) = self.attempt(number).await;
            if let Some(held) = held {
                self.held.push((self.attempts.len(), held));
            }
            // What is left is shared among the connections that are still to come.
            let share = (left - FOR_RELEASE) / u32::try_from(tries - number + 1).unwrap_or(1).max(1);
            self.sources.settle(SETTLING.min(share.max(Duration::from_millis(100)))).await;
            let open = self.held.iter().filter(|(_, held)| !held.seen().ended).count() as u64;
            let after = self.sources.read(open).await;
            if attempt.accepted {
                self.place(&mut attempt, &before, &after, said);
            }
            refused = if attempt.accepted { 0 } else { refused + 1 };
            self.readings.push(after);
            self.attempts.push(attempt);
            if refused >= REFUSALS && number < tries {
                return format!("{REFUSALS} connections in a row were refused, the last of them number {number}");
            }
        }
        String::new()
    }

    /// Opens one connection. `said` is what the server says of its GPU in a header or in its first messages.
    async fn attempt(&mut self, number: u64) -> (Attempt, Option<Held>, Option<u64>) {
        if let Ok(log) = &mut self.log {
            log.mark();
        }
        let started = Instant::now();
        let limit = OPENING.min(self.until.saturating_duration_since(started));
        let opened = self.holder.open(&self.path, self.over_http, limit).await;
        let mut attempt = untried(number);
        let Opened { status, headers, text, held } = match opened {
            Ok(opened) => opened,
            Err(failure) => {
                attempt.opening_ms = millis(started.elapsed());
                attempt.status = Fact::unknown(failure.why, self.told(&failure.text));
                attempt.reason = self.told(&failure.text);
                return (attempt, None, None);
            }
        };
        attempt.status = Fact::Known(u64::from(status));
        let Some(held) = held else {
            attempt.opening_ms = millis(started.elapsed());
            attempt.reason = self.told(&text);
            return (attempt, None, None);
        };
        held.greeted(GREETING).await;
        attempt.opening_ms = millis(started.elapsed());
        let seen = held.seen();
        let header = headers.iter().find(|(name, _)| matches!(name.as_str(), "x-gpu-id" | "x-gpu" | "x-device"));
        let in_header = header.and_then(|(_, value)| value.trim_start_matches("cuda:").trim().parse().ok());
        let said = in_header.or_else(|| status::gpu_in_message(&seen.text));
        if seen.ended {
            self.ended(&mut attempt, seen.close);
            return (attempt, None, said);
        }
        attempt.accepted = true;
        (attempt, Some(held), said)
    }

    /// A connection that the server has ended.
    fn ended(&self, attempt: &mut Attempt, close: Option<(u16, String)>) {
        attempt.accepted = false;
        if let Some((code, reason)) = close {
            attempt.close_code = Fact::Known(u64::from(code));
            attempt.reason = self.told(&reason);
        }
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
                landing::logged(&log.gained(LOGGING)).map_or_else(silent, Fact::Known)
            }
        };
    }

    /// Whether a path that cannot exist is refused as a connection was that was not even accepted.
    async fn beside_unknown_path(&self) -> Result<bool, Unknown> {
        let before_accepting = |attempt: &&Attempt| attempt.status.known().is_some_and(|status| *status >= 300);
        let Some(refused) = self.attempts.iter().find(before_accepting) else {
            return Err(Unknown::new(Why::NotAsked, "no connection was refused before it was accepted"));
        };
        let path = format!("/gpu-doctor-{:x}", std::process::id());
        let opened = self.holder.open(&path, self.over_http, GREETING * 3).await;
        let opened = opened.map_err(|failure| Unknown::new(failure.why, failure.text))?;
        let alike =
            refused.status.known() == Some(&u64::from(opened.status)) && refused.reason == self.told(&opened.text);
        if let Some(held) = opened.held {
            held.close().await;
        }
        Ok(alike)
    }

    /// Closes everything, and waits until the server is as it was; how long that took, milliseconds.
    async fn release(&mut self) -> f64 {
        let lost: Vec<_> =
            self.held.iter().map(|(at, held)| (*at, held.seen())).filter(|(_, seen)| seen.ended).collect();
        for (at, seen) in lost {
            if let Some(mut attempt) = self.attempts.get(at).cloned() {
                self.ended(&mut attempt, seen.close);
                attempt.reason = format!("ended while it was held {}", attempt.reason).trim_end().to_owned();
                if let Some(place) = self.attempts.get_mut(at) {
                    *place = attempt;
                }
            }
        }
        let started = Instant::now();
        let closing = self.held.drain(..).map(|(_, held)| tokio::spawn(held.close())).collect::<Vec<_>>();
        for task in closing {
            let _ = task.await;
        }
        let start = self.readings.first().cloned().unwrap_or_else(unread);
        let until = self.until.min(started + RELEASE);
        loop {
            let now = self.sources.read(0).await;
            if landing::is_back_at(&start, &now) || Instant::now() >= until {
                self.readings.push(now);
                return millis(started.elapsed());
            }
            tokio::time::sleep(RELEASE_PAUSE).await;
        }
    }

    /// One connection more, once those before it are gone.
    async fn once_more(&mut self, number: u64) -> Result<Attempt, Unknown> {
        if Instant::now() >= self.until {
            return Err(Unknown::new(Why::TimedOut, "the time was over before a connection could be tried again"));
        }
        let (attempt, held, _) = self.attempt(number).await;
        if let Some(held) = held {
            held.close().await;
        }
        Ok(attempt)
    }

    /// A text of the server's, short and without secrets.
    fn told(&self, text: &str) -> String {
        let masked = self.holder.masked(text);
        let text = masked.split_whitespace().collect::<Vec<_>>().join(" ");
        text.chars().take(REASON_MAX).collect()
    }
}

/// The path of the connections: the user's, that of a ws:// address, or the first usual one that answers.
async fn path(context: &Context, holder: &Holder, over_http: bool) -> Result<String, Unknown> {
    let server = context.ask.server.as_ref();
    let of_url = server.filter(|url| matches!(url.scheme(), "ws" | "wss")).map(|url| match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    });
    let named = context.ask.operation.clone().or(of_url.filter(|path| path != "/"));
    if let Some(path) = named {
        // Whether it takes any is what the attempts will tell; only that nobody is there ends it at once.
        return Ok(if path.starts_with('/') { path } else { format!("/{path}") });
    }
    if over_http {
        let detail = "which path answers with a stream was not named: --operation /PATH";
        return Err(Unknown::new(Why::NotAsked, detail));
    }
    let mut seen = Vec::new();
    for path in PATHS {
        match holder.open(path, false, OPENING).await {
            Ok(Opened { held: Some(held), .. }) => {
                held.close().await;
                // Its place must be free again.
                tokio::time::sleep(RELEASE_PAUSE).await;
                return Ok((*path).to_owned());
            }
            Ok(opened) => seen.push(format!("{path} {}", opened.status)),
            Err(failure) => return Err(Unknown::new(failure.why, failure.text)),
        }
    }
    let detail = format!("no usual path takes a WebSocket ({}): name it with --operation /PATH", seen.join(", "));
    Err(Unknown::new(Why::Absent, detail))
}

fn untried(number: u64) -> Attempt {
    let refused = || Unknown::new(Why::NotAsked, "the connection was not accepted");
    Attempt {
        number,
        accepted: false,
        status: Fact::unknown(Why::Absent, "no answer came"),
        close_code: Fact::unknown(Why::NotAsked, "it was not closed"),
        reason: String::new(),
        opening_ms: 0.0,
        claimed_gpu: Fact::Unknown(refused()),
        measured_gpu: Fact::Unknown(refused()),
        logged_gpu: Fact::Unknown(refused()),
        added_bytes: Fact::Unknown(refused()),
    }
}

fn unread() -> SpreadReading {
    let unknown = || Unknown::new(Why::Absent, "no reading was taken");
    SpreadReading { open_connections: 0, told: Fact::Unknown(unknown()), measured: Fact::Unknown(unknown()) }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
