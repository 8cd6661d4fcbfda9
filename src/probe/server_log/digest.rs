//! A whole log, read once from its beginning to its end in bounded memory: sayings, answers, failures, times.

use super::access::{self, Answers};
use super::errors::{self, Errors};
use super::moment;
use super::sayings::{self, Said};
use super::{EACH_MAX, text};
use crate::snapshot::Saying;
use aho_corasick::AhoCorasick;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::LazyLock;

pub use super::access::Answered;
pub use super::moment::Moment;

/// Lines that are asked for their time before it is taken that the log tells none.
const TIMELESS_MAX: u64 = 200;

/// The texts for which a line is looked at, and where those of the table end.
static TEXTS: LazyLock<(AhoCorasick, usize)> = LazyLock::new(|| {
    let mut texts = sayings::texts();
    let of_table = texts.len();
    texts.extend(access::TEXTS.iter().chain(errors::TEXTS).map(|text| text.as_bytes().to_vec()));
    (sayings::automaton(&texts), of_table)
});

/// What a log says, as far as it was read.
pub struct Digest {
    name: String,
    now: Timestamp,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    /// Lines whose end has come.
    pub lines: u64,
    /// Lines of which only the beginning was looked at, for their length.
    pub cut_lines: u64,
    /// Lines with bytes that are no text.
    pub binary_lines: u64,
    /// The newest of each kind.
    newest: BTreeMap<&'static str, VecDeque<Line>>,
    /// How often each was said.
    pub said: BTreeMap<&'static str, u64>,
    /// What the access log in it tells.
    pub answers: Answers,
    /// Failures.
    pub errors: Errors,
    /// The first time that a line with an answer or a saying tells.
    pub first: Option<Moment>,
    /// The line of the last answer that told a time.
    timed: Option<(u64, Moment)>,
    clock: Clock,
}

/// A line that says something. Most are forgotten for newer ones, so that only the last are made fit to be told.
struct Line {
    said: Said,
    number: u64,
    text: String,
}

/// By what a log is told from its first lines: how many are of each kind.
#[derive(Debug, Default)]
pub struct Marks {
    /// Of an access log.
    pub answers: u64,
    /// With a known meaning.
    pub sayings: u64,
    /// Telling of a failure.
    pub failures: u64,
    /// With a time near their beginning.
    pub times: u64,
}

impl Marks {
    /// Those of these lines.
    pub fn of<'a>(lines: impl Iterator<Item = &'a str>, now: Timestamp) -> Self {
        let mut marks = Self::default();
        for line in lines {
            let line = text::unwrapped(line);
            let line = text::plain(&line);
            let mut errors = Errors::default();
            errors.note(&line);
            let answer = access::read(&line).is_some();
            marks.answers += u64::from(answer);
            marks.sayings += u64::from(!answer && !sayings::read(&line).is_empty());
            marks.failures += u64::from(!errors.most(1).is_empty());
            marks.times += u64::from(moment::told(&line, now).is_some());
        }
        marks
    }
}

/// The time of the last line that was asked for it. Lines of the same second are not read anew.
#[derive(Default)]
struct Clock {
    place: Range<usize>,
    text: Vec<u8>,
    moment: Option<Moment>,
    timeless: u64,
    timed: bool,
}

impl Digest {
    /// Of a log of this name. Times without a year are not after `now`.
    pub fn new(name: &str, now: Timestamp) -> Self {
        Self {
            name: name.into(),
            now,
            begun: Vec::new(),
            lines: 0,
            cut_lines: 0,
            binary_lines: 0,
            newest: BTreeMap::new(),
            said: BTreeMap::new(),
            answers: Answers::default(),
            errors: Errors::default(),
            first: None,
            timed: None,
            clock: Clock::default(),
        }
    }

    /// Takes the next bytes, in UTF-8 or any encoding that holds ASCII. `answered` is told each request for inference and
    /// when its line was written.
    pub fn feed(&mut self, mut bytes: &[u8], answered: &mut dyn FnMut(&Answered, Option<Moment>)) {
        if !self.begun.is_empty() {
            let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |newline| newline + 1);
            let (rest, next) = bytes.split_at(end);
            self.keep(rest);
            if !rest.ends_with(b"\n") {
                return;
            }
            let mut line = std::mem::take(&mut self.begun);
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            self.block(&line, answered);
            bytes = next;
        }
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |newline| newline + 1);
        let (lines, begun) = bytes.split_at(whole);
        self.block(lines, answered);
        self.keep(begun);
    }

    /// The log has ended; what stands behind the last end of a line is a line too.
    pub fn end(&mut self, answered: &mut dyn FnMut(&Answered, Option<Moment>)) {
        let mut line = std::mem::take(&mut self.begun);
        if !line.is_empty() {
            line.push(b'\n');
            self.block(&line, answered);
        }
    }

    /// The newest sayings of each kind, in the order of the log.
    pub fn sayings(&self) -> Vec<Saying> {
        let lines = self.newest.values().flatten();
        let told = lines.map(|line| {
            let at = moment::told(&line.text, self.now);
            super::saying(line.said.clone(), &line.text, &self.name, line.number, 0, at)
        });
        let mut all: Vec<Saying> = told.collect();
        all.sort_by_key(|saying| saying.line_number);
        all
    }

    /// The last time that a line with an answer or a saying tells.
    pub fn last(&self) -> Option<Moment> {
        let said = self.newest.values().flatten();
        let said = said.filter_map(|line| Some((line.number, moment::told(&line.text, self.now)?)));
        said.chain(self.timed).max_by_key(|(number, _)| *number).map(|(_, moment)| moment)
    }

    /// Keeps the beginning of a line, as much of it as is looked at and a byte more, by which it is seen to be cut.
    fn keep(&mut self, bytes: &[u8]) {
        let room = (text::LINE_MAX + 1).saturating_sub(self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(&bytes[..room]);
    }

    /// Whole lines.
    fn block(&mut self, lines: &[u8], answered: &mut dyn FnMut(&Answered, Option<Moment>)) {
        let (mut counted, mut end) = (0, 0);
        let mut found: Vec<usize> = Vec::new();
        let mut line: &[u8] = &[];
        for one in TEXTS.0.find_overlapping_iter(lines) {
            if one.start() >= end {
                self.line(line, &found, answered);
                found.clear();
                let start = memchr::memrchr(b'\n', &lines[..one.start()]).map_or(0, |newline| newline + 1);
                end = memchr::memchr(b'\n', &lines[start..]).map_or(lines.len(), |length| start + length + 1);
                self.count(&lines[counted..start]);
                counted = start;
                line = &lines[start..end - 1];
            }
            found.push(one.pattern().as_usize());
        }
        self.line(line, &found, answered);
        self.count(&lines[counted..]);
        if memchr::memchr(0, lines).is_some() {
            self.binary_lines += lines.split(|byte| *byte == b'\n').filter(|line| line.contains(&0)).count() as u64;
        }
    }

    fn count(&mut self, lines: &[u8]) {
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', lines) {
            self.lines += 1;
            self.cut_lines += u64::from(newline - from > text::LINE_MAX);
            from = newline + 1;
        }
    }

    /// A line in which these texts were found.
    fn line(&mut self, line: &[u8], found: &[usize], answered: &mut dyn FnMut(&Answered, Option<Moment>)) {
        if found.is_empty() {
            return;
        }
        let raw = String::from_utf8_lossy(line.get(..text::LINE_MAX).unwrap_or(line));
        let unwrapped = text::unwrapped(&raw);
        let is_wrapped = unwrapped.len() != raw.len();
        let line = text::plain(&unwrapped);
        let (_, of_table) = *TEXTS;
        if found.iter().any(|text| *text >= of_table) {
            if let Some(request) = access::read(&line) {
                self.answers.note(&request);
                let at = self.time(&line);
                if request.is_work() {
                    answered(&request, at);
                }
                // What a client wrote into a path is no word of the server.
                return;
            }
            self.errors.note(&line);
        }
        // Inside JSON the texts stand otherwise.
        let said = if is_wrapped { sayings::read(&line) } else { sayings::read_for(&line, found) };
        for said in said {
            if self.first.is_none() {
                self.first = moment::told(&line, self.now);
            }
            *self.said.entry(said.id).or_default() += 1;
            let newest = self.newest.entry(said.id).or_default();
            if newest.len() >= EACH_MAX {
                newest.pop_front();
            }
            newest.push_back(Line { said, number: self.lines + 1, text: line.to_string() });
        }
    }

    /// When a line of the access log was written.
    fn time(&mut self, line: &str) -> Option<Moment> {
        let clock = &mut self.clock;
        let same = clock.timed && line.as_bytes().get(clock.place.clone()) == Some(&clock.text);
        if !same && (clock.timed || clock.timeless < TIMELESS_MAX) {
            let (moment, place) = moment::with_place(line, self.now).unzip();
            clock.moment = moment;
            clock.timed |= moment.is_some();
            clock.timeless += u64::from(moment.is_none());
            if let Some(place) = place {
                clock.text = line.as_bytes().get(place.clone()).unwrap_or_default().to_vec();
                clock.place = place;
            }
        }
        let at = clock.moment;
        self.first = self.first.or(at);
        self.timed = at.map(|at| (self.lines + 1, at)).or(self.timed);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T13:00:00Z".parse().unwrap()
    }

    /// Fed in blocks of this size.
    fn digest(text: &[u8], block: usize) -> (Digest, Vec<(u16, Option<String>)>) {
        let mut digest = Digest::new("server.log", now());
        let mut answers = Vec::new();
        let mut answered =
            |one: &Answered, at: Option<Moment>| answers.push((one.status, at.map(|moment| moment.text())));
        text.chunks(block).for_each(|block| digest.feed(block, &mut answered));
        digest.end(&mut answered);
        (digest, answers)
    }

    #[test]
    fn one_pass_finds_sayings_answers_and_failures() {
        let text = b"INFO 11-23 12:00:00 [x.py:1] Automatically detected platform cpu.\r\n\
            INFO:     127.0.0.1:1 - \"GET /health HTTP/1.1\" 200 OK\n\
            INFO:     127.0.0.1:1 - \"POST /asr?device=cpu HTTP/1.1\" 400 Bad Request\n\
            ERROR:app:Missing required parameter: 'lang'\n\
            {\"log\":\"10.0.0.9 - - [23/Nov/2026:12:30:00 +0000] \\\"POST /asr HTTP/1.1\\\" 200 5\\n\",\"time\":\"2026-11-23T12:30:01Z\"}\n\
            torch.OutOfMemoryError: CUDA out of memory.";
        for block in [1, 7, 64, 4096] {
            let (digest, answers) = digest(text, block);
            let ids: Vec<(String, u64)> = digest.sayings().into_iter().map(|one| (one.id, one.line_number)).collect();
            let expected = [("vllm-platform-cpu", 1), ("required-field-missing", 4), ("cuda-oom", 6)];
            assert_eq!(ids, expected.map(|(id, line)| (id.to_owned(), line)), "{block}");
            assert_eq!(answers, [(400, None), (200, Some("2026-11-23T12:30:01Z".to_owned()))]);
            assert_eq!((digest.answers.work, digest.answers.aside, digest.lines), (2, 1, 6));
            assert_eq!(digest.errors.most(9).len(), 2);
            assert_eq!(digest.first.unwrap().text(), "2026-11-23T12:00:00");
            assert_eq!(digest.sayings()[0].at.known().unwrap(), "2026-11-23T12:00:00");
        }
    }

    #[test]
    fn long_lines_are_cut_and_bytes_that_are_no_text_counted() {
        let mut text = b"Using device: cpu ".to_vec();
        text.extend(std::iter::repeat_n(b'x', 10 << 20));
        text.extend(b" CUDA out of memory\n\0\0Using device: cuda\n");
        let (digest, _) = digest(&text, 64 << 10);
        assert_eq!((digest.lines, digest.cut_lines, digest.binary_lines), (2, 1, 1));
        let said: Vec<_> = digest.said.clone().into_iter().collect();
        assert_eq!(said, [("using-device", 2)]);
    }

    #[test]
    fn of_many_the_newest_are_kept_and_all_are_counted() {
        let text: String = (0..100).map(|n| format!("line {n}\nCUDA out of memory\n")).collect();
        let (digest, _) = digest(text.as_bytes(), 100);
        let lines: Vec<u64> = digest.sayings().iter().map(|saying| saying.line_number).collect();
        assert_eq!((lines, digest.said["cuda-oom"]), (vec![192, 194, 196, 198, 200], 100));
    }

    proptest::proptest! {
        #[test]
        fn blocks_do_not_matter(text in "(CUDA out of memory|\\n|\\PC|ERROR: x|Using device: cpu){0,60}", block in 1usize..50) {
            let (whole, _) = digest(text.as_bytes(), usize::MAX);
            let (parts, _) = digest(text.as_bytes(), block);
            proptest::prop_assert_eq!(&whole.said, &parts.said);
            proptest::prop_assert_eq!(whole.sayings(), parts.sayings());
            proptest::prop_assert_eq!((whole.lines, whole.errors.most(9)), (parts.lines, parts.errors.most(9)));
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..3000)) {
            digest(&bytes, 100);
        }
    }
}
