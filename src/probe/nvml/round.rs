//! One turn of the sampler: its moment, the line that it becomes, and what is reported besides.

use super::counter;
use crate::probe::isolation::place::Mark;
use crate::snapshot::Unknown;
use serde_json::{Value, json};
use std::fmt::Write;

/// What all GPUs share while they are read once. Its buffers are kept from turn to turn.
pub struct Round {
    /// When it began, milliseconds of the monotonic clock.
    pub at_ms: f64,
    /// Processes that are the server's.
    pub server_pids: Vec<u64>,
    /// Room for what the driver writes.
    pub buffers: Buffers,
    mark: Mark,
    /// The sample: `{"at_ms":12.345,"gpus":[{"index":0,"power_milliwatts":68000}]}`.
    line: String,
    /// Parts to be reported before it: reasons, processes.
    pub notes: Vec<Value>,
}

/// Room for the driver's lists, in 8-byte words; it grows where the driver wants more.
#[derive(Default)]
pub struct Buffers {
    words: Vec<u64>,
}

/// Most words of a list: some ten thousand rows.
const WORDS_MAX: usize = 1 << 16;

impl Buffers {
    /// Room for `rows` rows of type `T`, zeroed at first: a pointer and the number of rows that fit.
    pub fn rows<T>(&mut self, rows: usize) -> (*mut T, u32) {
        let size = size_of::<T>().max(1);
        let words = (rows * size).div_ceil(8).min(WORDS_MAX);
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        (self.words.as_mut_ptr().cast(), (self.words.len() * 8 / size) as u32)
    }

    /// The first `count` rows, of those that fit.
    ///
    /// # Safety
    /// Any bytes are a valid `T`, whose alignment is 8 at most.
    pub unsafe fn read<T: Copy>(&self, count: u32) -> &[T] {
        let count = (count as usize).min(self.words.len() * 8 / size_of::<T>().max(1));
        // SAFETY: within the vector, which is initialized; the caller promises the rest.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast(), count) }
    }
}

impl Round {
    /// Before the first turn.
    pub fn new(server_pids: Vec<u64>, mark: Mark) -> Self {
        let (buffers, line, notes) = (Buffers::default(), String::new(), Vec::new());
        Self { at_ms: 0.0, server_pids, buffers, mark, line, notes }
    }

    /// Begins a turn.
    pub fn begin(&mut self, at_ms: f64) {
        self.at_ms = at_ms;
        self.line.clear();
        let _ = write!(self.line, "{{\"at_ms\":{at_ms:.3},\"gpus\":[");
    }

    /// Begins a GPU's readings.
    pub fn gpu(&mut self, index: u64) {
        let comma = if self.line.ends_with('}') { "," } else { "" };
        let _ = write!(self.line, "{comma}{{\"index\":{index}");
    }

    /// Adds a reading.
    pub fn value(&mut self, name: &str, value: f64) {
        // Whole numbers are by far the most, and quicker to write.
        let _ = match value.fract() == 0.0 {
            true => write!(self.line, ",\"{name}\":{}", value as u64),
            false => write!(self.line, ",\"{name}\":{value:.2}"),
        };
    }

    /// Ends a GPU's readings.
    pub fn end_gpu(&mut self) {
        self.line.push('}');
    }

    /// Ends the turn: its line.
    pub fn end(&mut self) -> &str {
        self.line.push_str("]}");
        &self.line
    }

    /// Says which call comes next.
    pub fn mark(&self, gpu: u64, call: usize) {
        self.mark.set(counter::place(gpu, call));
    }

    /// Notes why a counter of a GPU is not known.
    pub fn unread(&mut self, gpu: u64, counter: counter::Counter, unknown: &Unknown) {
        let at_ms = self.at_ms;
        self.notes.push(json!({ "gpu": gpu, "at_ms": at_ms, "unread": counter.name(), "unknown": unknown }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_line_of_json() {
        let mut round = Round::new(Vec::new(), Mark::at(None));
        for _ in 0..2 {
            round.begin(1234.5678);
            for index in 0..2 {
                round.gpu(index);
                round.value("power_milliwatts", 68_000.0);
                round.value("sm_activity_percent", 1.256);
                round.end_gpu();
            }
            let told: Value = serde_json::from_str(round.end()).unwrap();
            assert_eq!((&told["at_ms"], &told["gpus"][1]["index"]), (&json!(1234.568), &json!(1)));
            assert_eq!(told["gpus"][0], json!({"index": 0, "power_milliwatts": 68_000, "sm_activity_percent": 1.26}));
        }
    }

    #[test]
    fn rows_fit_and_no_more_of_them_are_read() {
        let mut buffers = Buffers::default();
        let (_, room) = buffers.rows::<[u64; 4]>(10);
        assert_eq!(room, 10);
        // SAFETY: integers.
        unsafe {
            assert_eq!(buffers.read::<[u64; 4]>(3).len(), 3);
            assert_eq!(buffers.read::<[u64; 4]>(u32::MAX).len(), 10);
        }
        assert_eq!(buffers.rows::<[u64; 4]>(usize::MAX / 64).1 as usize, WORDS_MAX / 4);
    }
}
