//! Logs of servers: what they are known to say, the answers that they count, their failures.

use super::evidence::{Clock, Detail, Evidence, Requests, Running};
use super::form::{Head, Recognized};
use super::reader::Reader;
use super::timeline::Timeline;
use crate::probe::server_log::digest::{self, Answered, Digest, Moment};
use crate::probe::server_log::proves;
use crate::snapshot::{Fact, Facts, RecordedFile, ServerLogFacts, Unknown, Why};
use crate::words::{grouped, plain};
use jiff::Timestamp;

/// Slots of time in which requests are counted.
const SLOTS: usize = 8192;
/// Kinds of sayings that are told.
const SAYINGS_TOLD: usize = 12;
/// Failures that are told.
const FAILURES_TOLD: usize = 5;
/// Paths that are told.
const PATHS_TOLD: usize = 5;
/// Lines of the beginning by which a log is told.
const LINES_LOOKED_AT: usize = 400;

/// Text whose lines say what servers say, are of an access log, tell of failures or begin with a time.
pub fn recognize(head: &Head) -> Option<Recognized> {
    let lines: Vec<String> = head.lines().take(LINES_LOOKED_AT).map(lossy).collect();
    let lines: Vec<&String> = lines.iter().filter(|line| !line.trim().is_empty()).collect();
    let binary = head.bytes.iter().filter(|byte| **byte == 0).count();
    if lines.is_empty() || binary * 20 > head.bytes.len() || is_markup(head) {
        return None;
    }
    let marks = digest::Marks::of(lines.iter().map(|line| line.as_str()), Timestamp::now());
    let most = lines.len() as u64;
    let counted =
        |count: u64, what: &str| format!("{} of its first {} lines, which {what}", grouped(count), grouped(most));
    let by = match &marks {
        _ if marks.answers > 0 => counted(marks.answers, "are of an access log"),
        _ if marks.sayings > 0 => counted(marks.sayings, "say what servers are known to say"),
        // A table has times too.
        _ if is_table(&lines) => return None,
        _ if marks.times * 3 >= most => counted(marks.times, "begin with a time"),
        _ if marks.failures > 0 => counted(marks.failures, "tell of failures"),
        _ if head.name.ends_with(".log") => "its name, and that it is text".into(),
        _ => return None,
    };
    let digest = Digest::new(&head.given, Timestamp::now());
    let timeline = Timeline::new(SLOTS);
    let reader = Box::new(Log { digest, clock: None, timeline, timed: 0, name: head.given.clone() });
    Some(Recognized { by, certain: false, reader })
}

fn lossy(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..4096).unwrap_or(line)).into_owned()
}

/// HTML and XML are no logs, whatever they quote; nor is one JSON document.
fn is_markup(head: &Head) -> bool {
    let first = head.lines().find(|line| !line.iter().all(u8::is_ascii_whitespace)).unwrap_or_default();
    let first = first.trim_ascii();
    first.starts_with(b"<!")
        || first.starts_with(b"<?")
        || first.starts_with(b"<html")
        || first == b"{"
        || first == b"["
}

/// Whether nearly all lines have the same number of commas, semicolons or tabs, and several of them.
fn is_table(lines: &[&String]) -> bool {
    [',', ';', '\t'].iter().any(|mark| {
        let columns = |line: &&String| line.matches(*mark).count();
        let first = lines.first().map_or(0, columns);
        first >= 2 && lines.iter().filter(|line| columns(line) == first).count() * 10 >= lines.len() * 9
    })
}

struct Log {
    name: String,
    digest: Digest,
    clock: Option<Clock>,
    timeline: Timeline<Running>,
    /// Requests whose lines tell a time.
    timed: u64,
}

impl Log {
    fn with(&mut self, take: impl FnOnce(&mut Digest, &mut dyn FnMut(&Answered, Option<Moment>))) {
        let Self { digest, clock, timeline, timed, .. } = self;
        take(digest, &mut |_, at| {
            let Some((ms, zoned)) = at.and_then(|moment| moment.unix_ms()) else { return };
            let own = if zoned { Clock::Utc } else { Clock::Local };
            if *clock.get_or_insert(own) != own {
                return;
            }
            let slot = timeline.at(ms);
            slot.count += 1;
            slot.from_ms = Some(slot.from_ms.map_or(ms, |from| from.min(ms)));
            slot.until_ms = if slot.count == 1 { ms } else { slot.until_ms.max(ms) };
            *timed += 1;
        });
    }

    fn requests(&mut self) -> Option<Requests> {
        let answers = &self.digest.answers;
        if answers.work == 0 {
            return None;
        }
        let ok = |status: &u16| (100..400).contains(status);
        // Times of some lines only would make the run look shorter than it was.
        let timed = self.timed == answers.work;
        Some(Requests {
            file: self.name.clone(),
            writer: "access_log",
            // A client's own record of its requests says more, and they are the same requests.
            detail: Detail::Series,
            count: answers.work,
            ok: Some(answers.by_status.iter().filter(|(status, _)| ok(status)).map(|(_, count)| count).sum()),
            by_status: answers.by_status.iter().map(|(status, count)| (status.to_string(), *count)).collect(),
            errors: Default::default(),
            times_us: None,
            percentiles_ms: None,
            busy_ms: None,
            server_us: None,
            clock: self.clock.filter(|_| timed).unwrap_or(Clock::None),
            timeline: timed.then(|| std::mem::replace(&mut self.timeline, Timeline::new(2))),
            span_ms: None,
        })
    }

    fn tell(&self, file: &mut RecordedFile) {
        let Self { digest, .. } = self;
        file.records = digest.lines;
        if let (Some(first), Some(last)) = (digest.first, digest.last()) {
            file.shows.push(format!("its lines of interest were written from {} to {}", first.text(), last.text()));
        }
        let answers = &digest.answers;
        if answers.work > 0 {
            let statuses: Vec<String> =
                answers.by_status.iter().map(|(status, count)| format!("{} x {status}", grouped(*count))).collect();
            file.shows.push(format!("{} answers to requests: {}", grouped(answers.work), statuses.join(", ")));
            let mut paths: Vec<_> = answers.by_path.iter().collect();
            paths.sort_by_key(|(path, (all, _))| (std::cmp::Reverse(*all), path.as_str()));
            for (path, (all, refused)) in paths.into_iter().take(PATHS_TOLD) {
                let (path, all, refused) = (plain(path), grouped(*all), grouped(*refused));
                file.shows.push(format!("{path}: {all} answers, {refused} of them with a status of 400 or more"));
            }
        }
        if answers.aside > 0 {
            let aside = grouped(answers.aside);
            file.shows.push(format!("{aside} answers to GET and the like are left aside: health, metrics, documents"));
        }
        let newest = digest.sayings();
        let mut kinds: Vec<_> = digest.said.iter().collect();
        kinds.sort_by_key(|(id, _)| newest.iter().find(|one| one.id == **id).map(|one| one.line_number));
        for (id, count) in kinds.iter().take(SAYINGS_TOLD) {
            let Some(last) = newest.iter().rev().find(|saying| saying.id == ***id) else { continue };
            let times = if **count == 1 { String::new() } else { format!(", {} times", grouped(**count)) };
            let (line, said) = (grouped(last.line_number), plain(&last.line));
            file.shows.push(format!("line {line}{times}: {} (\"{said}\")", proves(id)));
        }
        let more = kinds.len().saturating_sub(SAYINGS_TOLD);
        if more > 0 {
            file.shows.push(format!("{more} more kinds of lines with a known meaning"));
        }
        for (text, count) in digest.errors.most(FAILURES_TOLD) {
            file.shows.push(format!("{} x failure: {}", grouped(*count), plain(text)));
        }
        let counted =
            |count: u64| if count == 1 { "1 line is".into() } else { format!("{} lines are", grouped(count)) };
        if digest.cut_lines > 0 {
            file.faults.push(format!("{} longer than 16 KiB; only the beginning was read", counted(digest.cut_lines)));
        }
        if digest.binary_lines > 0 {
            file.faults.push(format!("{} not text: they hold zero bytes", counted(digest.binary_lines)));
        }
        if answers.work > 0 && self.timed < answers.work {
            file.lacks.push(
                "the time of each answer, to hold GPU samples against it: have the server write one, such as \
                 uvicorn --log-config, gunicorn --access-logformat '%(t)s \"%(r)s\" %(s)s %(M)s'"
                    .into(),
            );
        }
        if answers.work == 0 && digest.said.is_empty() {
            file.lacks.push(
                "lines of the server's start, where it says which device it takes: give the log from its beginning, \
                 standard error included (docker logs NAME 2>&1; journalctl -u UNIT)"
                    .into(),
            );
        }
    }
}

impl Reader for Log {
    fn feed(&mut self, bytes: &[u8]) {
        self.with(|digest, answered| digest.feed(bytes, answered));
    }

    fn end(mut self: Box<Self>, file: &mut RecordedFile) -> Vec<Evidence> {
        self.with(|digest, answered| digest.end(answered));
        self.tell(file);
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, super::NOT_IN_FILES));
        facts.server_log = ServerLogFacts {
            files: Fact::Known(vec![self.name.clone()]),
            sayings: Fact::Known(self.digest.sayings()),
            ..facts.server_log
        };
        let requests = self.requests().map(|requests| Evidence::Requests(Box::new(requests)));
        let log = Evidence::Rooms { rooms: vec!["server_log"], facts: Box::new(facts) };
        requests.into_iter().chain([log]).collect()
    }
}
