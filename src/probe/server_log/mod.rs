//! The server's log, and what it is known to say there.

mod access;
pub(super) mod digest;
mod errors;
mod literals;
mod moment;
mod sayings;
mod source;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(super) mod watch;

use super::{Context, Probe, Ran};
use crate::regular_file::{self, Ends};
use crate::snapshot::{Exchange, Fact, Facts, Room, Saying, ServerLogFacts, Stage, Unknown, Why};
use jiff::Timestamp;
use moment::Moment;
use sayings::Said;
use source::Log;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(super) use sayings::proves;
pub(super) use text::masked;

/// Reads what is known of the sayings in the server's log, and in its answers where requests were sent.
pub const PROBE: Probe = Probe {
    id: "server_log",
    stage: Stage::Process,
    rooms: &["server_log"],
    needs: &["process"],
    // A log that the user names may be of a server on another machine.
    this_machine: false,
    budget: Duration::from_secs(5),
    run,
};

/// Bytes read of a large log, from its beginning and from its end.
const HEAD_BYTES: u64 = 1 << 20;
const TAIL_BYTES: u64 = 4 << 20;
/// Most sayings kept of each kind; the newest ones.
const EACH_MAX: usize = 5;

fn run(context: &Context, facts: &mut Facts) -> Ran {
    let answers = said_in_answers(facts);
    let read = read(context, facts);
    let ran = match &read {
        Ok(_) => Ran::ok(),
        Err(unknown) => Ran::from(unknown),
    };
    facts.server_log = match read {
        Ok((files, said)) => ServerLogFacts {
            files: Fact::Known(files),
            sayings: Fact::Known(newest(said.now)),
            before_start: Fact::Known(newest(said.before_start)),
            said_in_answers: answers,
        },
        Err(unknown) => ServerLogFacts { said_in_answers: answers, ..ServerLogFacts::all_unknown(&unknown) },
    };
    ran
}

/// What logs say, by the process that said it.
#[derive(Default)]
struct SaidBy {
    /// The server's process as it runs, or one of which nothing tells when it ran.
    now: Vec<Saying>,
    /// One that ran before.
    before_start: Vec<Saying>,
}

fn read(context: &Context, facts: &Facts) -> Result<(Vec<String>, SaidBy), Unknown> {
    let logs = match context.ask.logs.as_slice() {
        [] => source::of_processes(facts)?,
        paths => source::named(paths),
    };
    let started = started(facts);
    let (mut files, mut said) = (Vec::new(), SaidBy::default());
    for log in logs {
        let of_log = of_log(&log, started, context.deadline)?;
        said.now.extend(of_log.now);
        said.before_start.extend(of_log.before_start);
        files.push(log.name);
    }
    Ok((files, said))
}

/// When the first of the server's processes started.
fn started(facts: &Facts) -> Option<Timestamp> {
    let processes = facts.process.processes.known()?;
    processes.iter().filter_map(|process| process.started_at.known()?.parse().ok()).min()
}

/// Everything known that a log says.
fn of_log(log: &Log, started: Option<Timestamp>, deadline: Instant) -> Result<SaidBy, Unknown> {
    let opened = regular_file::open(&log.path);
    let ends = opened.and_then(|file| regular_file::ends(file, HEAD_BYTES, TAIL_BYTES));
    let mut ends = ends.map_err(|error| Unknown::from_io(&error, &log.name))?;
    if let Some(tail) = text::from_utf16(&ends.head, &ends.tail) {
        ends.tail = tail;
        ends.head = text::from_utf16(&ends.head, &ends.head).unwrap_or_default();
    }
    let now = Timestamp::now();
    let mut reading = Reading { log: &log.name, started, now, deadline, in_this_run: false, said: SaidBy::default() };
    reading.part(&ends.head, 0)?;
    if ends.skipped_bytes > 0 {
        let (rest, skipped) = from_whole_line(&ends);
        reading.part(rest, skipped)?;
    }
    Ok(reading.said)
}

/// The end of a file from its first whole line on, and how many bytes before it were not read.
fn from_whole_line(ends: &Ends) -> (&[u8], u64) {
    let cut = ends.tail.iter().position(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    (ends.tail.get(cut..).unwrap_or_default(), ends.skipped_bytes + cut as u64)
}

struct Reading<'a> {
    log: &'a str,
    started: Option<Timestamp>,
    now: Timestamp,
    deadline: Instant,
    /// Whether a line of the process's own time was seen.
    in_this_run: bool,
    said: SaidBy,
}

impl Reading<'_> {
    fn part(&mut self, bytes: &[u8], skipped_bytes: u64) -> Result<(), Unknown> {
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index % 1024 == 0 && Instant::now() >= self.deadline {
                return Err(Unknown::new(Why::TimedOut, format!("{}: time ran out at line {}", self.log, index + 1)));
            }
            let line = line.get(..text::LINE_MAX).unwrap_or(line);
            let line = String::from_utf8_lossy(line);
            let line = text::unwrapped(&line);
            let line = text::plain(&line);
            let said = said(&line, self.log, index as u64 + 1, skipped_bytes, self.now);
            match self
                .started
                .filter(|_| !self.in_this_run)
                .and_then(|started| Some(moment::told(&line, self.now)?.is_before(started)))
            {
                // What stands before a line of an older run is of an older run, and so is the line.
                Some(true) => {
                    self.said.before_start.append(&mut self.said.now);
                    self.said.before_start.extend(said);
                    continue;
                }
                // From here on an old time is something that the server talks about.
                Some(false) => self.in_this_run = true,
                _ => {}
            }
            self.said.now.extend(said);
        }
        self.said.now = newest(std::mem::take(&mut self.said.now));
        self.said.before_start = newest(std::mem::take(&mut self.said.before_start));
        Ok(())
    }
}

/// What one line says, as facts.
fn said<'a>(
    line: &'a str,
    file: &'a str,
    line_number: u64,
    skipped_bytes: u64,
    now: Timestamp,
) -> impl Iterator<Item = Saying> + use<'a> {
    let all = sayings::read(line).into_iter();
    all.map(move |said| saying(said, line, file, line_number, skipped_bytes, moment::told(line, now)))
}

fn saying(said: Said, line: &str, file: &str, line_number: u64, skipped_bytes: u64, at: Option<Moment>) -> Saying {
    let timeless = || Unknown::new(Why::Absent, "the line tells no time");
    Saying {
        id: said.id.to_string(),
        file: file.to_string(),
        line_number,
        skipped_bytes,
        at: at.map(|moment| moment.text()).ok_or_else(timeless).into(),
        line: text::told(line, said.at),
        values: said.values.into_iter().map(|(name, value)| (name, text::masked(&value))).collect(),
    }
}

/// What a text says that is no log: what a program printed. The newest few of each kind.
pub(super) fn said_in_text(printed: &str, name: &str) -> Vec<Saying> {
    let mut all = Vec::new();
    for (index, line) in printed.lines().enumerate() {
        let line = text::plain(line);
        all.extend(said(&line, name, index as u64 + 1, 0, Timestamp::now()));
    }
    newest(all)
}

/// The newest few of each kind and file, in the order of the log.
fn newest(sayings: Vec<Saying>) -> Vec<Saying> {
    let mut kept: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut newest: Vec<Saying> = Vec::new();
    for saying in sayings.into_iter().rev() {
        let count = kept.entry((saying.file.clone(), saying.id.clone())).or_default();
        *count += 1;
        if *count <= EACH_MAX {
            newest.push(saying);
        }
    }
    newest.reverse();
    newest
}

/// What the server's answers say. Where no request was sent there is nothing to read.
fn said_in_answers(facts: &Facts) -> Fact<Vec<Saying>> {
    let request = &facts.request;
    let attempts = request.attempts.known().into_iter().flatten();
    let exchanges: Vec<&Exchange> =
        [&request.client, &request.rejected].into_iter().filter_map(Fact::known).chain(attempts).collect();
    if exchanges.is_empty() {
        // Whatever kept the server from answering is told by the room of the requests.
        let detail = request.attempts.reason().map_or("no request was sent", |unknown| &unknown.detail);
        return Fact::unknown(Why::NotAsked, format!("no answer of the server to read: {detail}"));
    }
    let mut all: Vec<Saying> = Vec::new();
    for exchange in exchanges {
        let status = exchange.status.known().map_or("no status".to_string(), u64::to_string);
        let name = format!("answer to {} {} ({status})", exchange.method, exchange.path);
        for saying in said(&exchange.answer, &name, 1, 0, Timestamp::now()) {
            if !all.contains(&saying) {
                all.push(saying);
            }
        }
    }
    Fact::Known(newest(all))
}
