//! What a sampler read: one series for each GPU and counter, and what went wrong meanwhile.

use super::counter::{COUNTERS, Counter};
use crate::snapshot::{Fact, Unknown, Why};
use serde::Deserialize;
use serde_json::Value;

/// Most GPUs and readings of processes that are believed.
const GPUS_MAX: usize = 256;
const LISTS_MAX: usize = 20_000;
/// Readings of a counter that are kept of a long recording, and the newest of them, which all are.
const READINGS_MAX: usize = 8192;
const NEWEST: usize = 512;
/// Clock moves kept.
const MOVES_MAX: usize = 16;

/// Everything from the first sample to the last.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// When each sample was begun, as [`monotonic_ms`](super::sampler::monotonic_ms) tells it, in order.
    pub times: Vec<f64>,
    /// Time between two samples as it was meant, milliseconds.
    pub period_ms: f64,
    /// The GPUs in NVML's order.
    pub gpus: Vec<GpuRecording>,
    /// Processes that are the server's.
    pub server_pids: Vec<u64>,
    /// When the wall clock was set or the machine slept, and by how many milliseconds the clock moved.
    pub clock_moves: Vec<(f64, f64)>,
    /// The fault that ended the sampling, if it did not end because it was told to.
    pub ended_by: Option<Unknown>,
    /// Where two recordings were joined: between them nothing was sampled on purpose.
    pub joint_ms: Option<f64>,
}

/// One GPU.
#[derive(Debug, Clone)]
pub struct GpuRecording {
    /// Index in NVML's order.
    pub index: u64,
    /// `GPU-...` identifier.
    pub uuid: Fact<String>,
    /// When it stopped to answer, and with what.
    pub lost: Option<(f64, Unknown)>,
    /// Processes with a context on it, each time that the list or a figure in it changed, the server's first.
    pub processes: Vec<(f64, Vec<Listed>)>,
    /// A process id that NVML listed and that no Linux kernel gives out.
    pub strange_pid: Option<u64>,
    series: [Vec<(f64, f64)>; COUNTERS],
    /// Readings of a long recording that were not kept, summed up.
    left_out: [LeftOut; COUNTERS],
    /// When a counter was refused last, and why.
    refused: [Option<(f64, Unknown)>; COUNTERS],
}

/// Readings that were not kept one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The smallest; 0 without any.
    pub min: f64,
    /// Their sum.
    pub sum: f64,
    /// The largest; 0 without any.
    pub max: f64,
}

impl LeftOut {
    fn add(&mut self, value: f64) {
        let first = self.count == 0;
        self.min = if first { value } else { self.min.min(value) };
        self.max = if first { value } else { self.max.max(value) };
        self.sum += value;
        self.count += 1;
    }
}

/// A process in NVML's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id in the first namespace of the machine.
    pub pid: u64,
    /// Memory that it holds, bytes, if NVML tells.
    pub bytes: Option<u64>,
    /// Its share of the multiprocessors, percent, if NVML tells.
    pub percent: Option<u64>,
}

impl Recording {
    /// Reads the parts of the child's report. What is not as the child writes it is left out.
    pub fn read(parts: &[Value], period_ms: f64, server_pids: Vec<u64>) -> Self {
        let mut recording = Self { period_ms, server_pids, ..Self::default() };
        for part in parts {
            recording.take(part);
        }
        recording.gpus.sort_by_key(|gpu| gpu.index);
        recording
    }

    /// What was read here, and then in a later recording from a moment on.
    pub fn then(&self, later: &Recording, from_ms: f64) -> Recording {
        let mut all = self.clone();
        let first = self.times.last().copied().unwrap_or(f64::MIN).max(from_ms);
        all.joint_ms = Some(first);
        all.times.extend(later.times.iter().filter(|at_ms| **at_ms >= first));
        all.period_ms = later.period_ms;
        all.server_pids.clone_from(&later.server_pids);
        all.clock_moves.extend(later.clock_moves.iter().take(MOVES_MAX.saturating_sub(self.clock_moves.len())));
        all.ended_by.clone_from(&later.ended_by);
        for gpu in &later.gpus {
            if let Some(known) = all.gpu(gpu.index) {
                known.go_on(gpu, first);
            }
        }
        all
    }

    /// Takes in what was read after it, from a moment on. Of a long recording single readings are left out, and counted.
    pub fn add(&mut self, news: &Recording, from_ms: f64) {
        let first = self.times.last().copied().unwrap_or(f64::MIN).max(from_ms);
        self.times.extend(news.times.iter().filter(|at_ms| **at_ms >= first));
        self.clock_moves.extend(news.clock_moves.iter().take(MOVES_MAX.saturating_sub(self.clock_moves.len())));
        for gpu in &news.gpus {
            if let Some(known) = self.gpu(gpu.index) {
                known.go_on(gpu, first);
                known.thin();
            }
        }
        self.gpus.sort_by_key(|gpu| gpu.index);
    }

    /// Takes all readings out; who the GPUs are, what they refuse and which processes they list at this moment stays.
    pub fn take_readings(&mut self, now_ms: f64) -> Recording {
        let left = Recording {
            period_ms: self.period_ms,
            gpus: self.gpus.iter_mut().map(|gpu| gpu.without_readings(now_ms)).collect(),
            server_pids: self.server_pids.clone(),
            ..Recording::default()
        };
        std::mem::replace(self, left)
    }

    fn take(&mut self, part: &Value) {
        let at_ms = part["at_ms"].as_f64();
        match (part["gpus"].as_array(), at_ms) {
            // A time that runs backwards would turn every later figure around.
            (Some(gpus), Some(at_ms)) if self.times.last().is_none_or(|last| *last <= at_ms) => {
                self.times.push(at_ms);
                for gpu in gpus {
                    if let Some(known) = gpu["index"].as_u64().and_then(|index| self.gpu(index)) {
                        known.add(at_ms, gpu);
                    }
                }
            }
            (Some(_), _) => {}
            (None, at_ms) => match (part["clock_moved_ms"].as_f64(), at_ms) {
                (Some(by), Some(at_ms)) if self.clock_moves.len() < MOVES_MAX => self.clock_moves.push((at_ms, by)),
                _ => {
                    if let Some(gpu) = part["gpu"].as_u64().and_then(|index| self.gpu(index)) {
                        gpu.note(part, at_ms.unwrap_or(0.0));
                    }
                }
            },
        }
    }

    fn gpu(&mut self, index: u64) -> Option<&mut GpuRecording> {
        if let Some(position) = self.gpus.iter().position(|gpu| gpu.index == index) {
            return self.gpus.get_mut(position);
        }
        if self.gpus.len() >= GPUS_MAX {
            return None;
        }
        self.gpus.push(GpuRecording::new(index));
        self.gpus.last_mut()
    }
}

impl GpuRecording {
    /// A GPU of which nothing was read yet.
    pub fn new(index: u64) -> Self {
        Self {
            index,
            uuid: Fact::unknown(Why::Absent, "no sample was taken"),
            lost: None,
            processes: Vec::new(),
            strange_pid: None,
            series: Default::default(),
            left_out: Default::default(),
            refused: Default::default(),
        }
    }

    /// Readings of a counter, oldest first: milliseconds of the monotonic clock, and the value.
    pub fn readings(&self, counter: Counter) -> &[(f64, f64)] {
        self.series.get(counter as usize).map_or(&[], Vec::as_slice)
    }

    /// When a counter was refused last, and why.
    pub fn refusal(&self, counter: Counter) -> Option<&(f64, Unknown)> {
        self.refused.get(counter as usize)?.as_ref()
    }

    /// Why a counter has no reading.
    pub fn reason(&self, counter: Counter) -> Unknown {
        let lost = self.lost.as_ref().map(|(_, unknown)| unknown.clone());
        let refused = self.refusal(counter).map(|(_, unknown)| unknown.clone()).or(lost);
        refused.unwrap_or_else(|| Unknown::new(Why::Absent, "no sample was taken"))
    }

    /// Adds one reading.
    pub fn push(&mut self, counter: Counter, at_ms: f64, value: f64) {
        if let Some(series) = self.series.get_mut(counter as usize)
            && series.last().is_none_or(|(last, _)| *last <= at_ms)
        {
            series.push((at_ms, value));
        }
    }

    /// Notes that a counter was refused.
    pub fn refuse(&mut self, counter: Counter, at_ms: f64, unknown: Unknown) {
        if let Some(refused) = self.refused.get_mut(counter as usize) {
            *refused = Some((at_ms, unknown));
        }
    }

    /// Readings of a counter that were not kept.
    pub fn left_out(&self, counter: Counter) -> LeftOut {
        self.left_out.get(counter as usize).copied().unwrap_or_default()
    }

    /// Leaves out every second of the older readings where there are too many.
    fn thin(&mut self) {
        for (series, left_out) in self.series.iter_mut().zip(&mut self.left_out) {
            if series.len() < READINGS_MAX {
                continue;
            }
            let newest = series.len() - NEWEST;
            let mut place = 0;
            series.retain(|(_, value)| {
                place += 1;
                let kept = place % 2 == 1 || place > newest;
                if !kept {
                    left_out.add(*value);
                }
                kept
            });
        }
    }

    /// Itself in a recording that begins now.
    fn without_readings(&self, now_ms: f64) -> Self {
        let listed = self.processes.last().map(|(_, list)| (now_ms, list.clone()));
        Self {
            uuid: self.uuid.clone(),
            lost: self.lost.clone(),
            processes: listed.into_iter().collect(),
            strange_pid: self.strange_pid,
            refused: self.refused.clone(),
            ..Self::new(self.index)
        }
    }

    fn go_on(&mut self, later: &GpuRecording, from_ms: f64) {
        if later.uuid.known().is_some() {
            self.uuid.clone_from(&later.uuid);
        }
        self.lost = self.lost.take().or_else(|| later.lost.clone());
        let room = LISTS_MAX.saturating_sub(self.processes.len());
        self.processes.extend(later.processes.iter().filter(|(at_ms, _)| *at_ms >= from_ms).take(room).cloned());
        self.strange_pid = self.strange_pid.or(later.strange_pid);
        for counter in Counter::all() {
            let readings = later.readings(counter).iter().filter(|(at_ms, _)| *at_ms >= from_ms);
            readings.for_each(|(at_ms, value)| self.push(counter, *at_ms, *value));
            if let Some((at_ms, unknown)) = later.refusal(counter) {
                self.refuse(counter, *at_ms, unknown.clone());
            }
            if let Some(left_out) = self.left_out.get_mut(counter as usize).filter(|one| one.count == 0) {
                *left_out = later.left_out(counter);
            }
        }
    }

    /// The readings of one sample.
    fn add(&mut self, at_ms: f64, sample: &Value) {
        for (name, value) in sample.as_object().into_iter().flatten() {
            if let (Some(counter), Some(value)) = (Counter::named(name), value.as_f64()) {
                match counter.sound(value) {
                    Ok(value) => self.push(counter, at_ms, value),
                    Err(unknown) => self.refuse(counter, at_ms, unknown),
                }
            }
        }
    }

    /// What the child says besides its samples.
    fn note(&mut self, part: &Value, at_ms: f64) {
        if let Ok(uuid) = Fact::deserialize(&part["uuid"]) {
            self.uuid = uuid;
        }
        if let Ok(unknown) = Unknown::deserialize(&part["unreachable"]) {
            Counter::all().for_each(|counter| self.refuse(counter, at_ms, unknown.clone()));
        }
        if let (Some(counter), Ok(unknown)) =
            (part["unread"].as_str().and_then(Counter::named), Unknown::deserialize(&part["unknown"]))
        {
            self.refuse(counter, at_ms, unknown);
        }
        if let (None, Ok(unknown)) = (&self.lost, Unknown::deserialize(&part["lost"])) {
            self.lost = Some((at_ms, unknown));
        }
        if part["read"].is_object() {
            self.add(at_ms, &part["read"]);
        }
        self.strange_pid = self.strange_pid.or(part["strange_pid"].as_u64());
        if let Some(rows) = part["processes"].as_array().filter(|_| self.processes.len() < LISTS_MAX) {
            let listed =
                |row: &Value| Some(Listed { pid: row[0].as_u64()?, bytes: row[1].as_u64(), percent: row[2].as_u64() });
            self.processes.push((at_ms, rows.iter().filter_map(listed).collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_report_becomes_series_and_reasons() {
        let parts = [
            json!({"gpu": 1, "uuid": {"known": "GPU-b"}}),
            json!({"gpu": 0, "uuid": {"known": "GPU-a"}}),
            json!({"gpu": 0, "at_ms": 10.0, "unread": "sm_activity_percent", "unknown": {"why": "unsupported", "detail": "x"}}),
            json!({"at_ms": 10.0, "gpus": [{"index": 0, "power_milliwatts": 68000}, {"index": 1, "power_milliwatts": 4294967295u64}]}),
            json!({"gpu": 0, "at_ms": 12.0, "read": {"pcie_sent_bytes_per_second": 5}}),
            json!({"gpu": 0, "at_ms": 12.0, "processes": [[77, 4096, null], ["no", 1, 2]]}),
            json!({"at_ms": 9.0, "gpus": [{"index": 0, "power_milliwatts": 1}]}),
            json!({"at_ms": 60.0, "gpus": [{"index": 0, "power_milliwatts": 90000}]}),
            json!({"at_ms": 60.0, "clock_moved_ms": -3600000.0}),
            json!({"gpu": 1, "at_ms": 61.0, "lost": {"why": "absent", "detail": "gone"}}),
        ];
        let recording = Recording::read(&parts, 50.0, vec![77]);
        assert_eq!(recording.times, [10.0, 60.0], "a time that runs backwards is left out");
        let [first, second] = recording.gpus.as_slice() else { panic!("{recording:?}") };
        assert_eq!((&first.uuid, &second.uuid), (&Fact::Known("GPU-a".into()), &Fact::Known("GPU-b".into())));
        assert_eq!(first.readings(Counter::Power), [(10.0, 68e3), (60.0, 9e4)]);
        assert_eq!(first.readings(Counter::PcieSent), [(12.0, 5.0)]);
        assert_eq!(first.reason(Counter::SmActivity).why, Why::Unsupported);
        assert_eq!(first.processes, [(12.0, vec![Listed { pid: 77, bytes: Some(4096), percent: None }])]);
        assert_eq!((second.readings(Counter::Power), second.reason(Counter::Power).why), (&[][..], Why::Malformed));
        assert_eq!(second.reason(Counter::Energy).detail, "gone");
        assert_eq!(recording.clock_moves, [(60.0, -3_600_000.0)]);
    }

    #[test]
    fn a_later_recording_goes_on_from_a_moment() {
        let sample =
            |at_ms: f64, power: u64| json!({"at_ms": at_ms, "gpus": [{"index": 0, "power_milliwatts": power}]});
        let idle = Recording::read(&[sample(10.0, 1000), sample(20.0, 1000)], 50.0, Vec::new());
        let step = [sample(90.0, 9000), sample(100.0, 9000), sample(110.0, 9000)];
        let step = Recording::read(&step, 50.0, vec![7]);
        let both = idle.then(&step, 100.0);
        assert_eq!(both.times, [10.0, 20.0, 100.0, 110.0]);
        let readings = [(10.0, 1e3), (20.0, 1e3), (100.0, 9e3), (110.0, 9e3)];
        assert_eq!(both.gpus[0].readings(Counter::Power), readings);
        assert_eq!(both.server_pids, [7]);
        assert_eq!(Recording::default().then(&step, 0.0).times, step.times);
    }

    #[test]
    fn a_long_recording_keeps_its_sums_and_not_its_readings() {
        let (mut all, mut sum) = (Recording::default(), 0.0);
        for n in 0..100_000_u32 {
            let power = if n == 33_333 { 5e5 } else { f64::from(n % 100) };
            sum += power;
            let mut news = Recording { times: vec![f64::from(n)], ..Recording::default() };
            let mut gpu = GpuRecording::new(3);
            gpu.push(Counter::Power, f64::from(n), power);
            news.gpus.push(gpu);
            all.add(&news, 0.0);
        }
        let (readings, left_out) = (all.gpus[0].readings(Counter::Power), all.gpus[0].left_out(Counter::Power));
        assert!(readings.len() < READINGS_MAX && readings.is_sorted_by_key(|(at_ms, _)| *at_ms), "{}", readings.len());
        assert_eq!(readings.len() as u64 + left_out.count, 100_000);
        let kept: f64 = readings.iter().map(|(_, value)| value).sum();
        assert_eq!(kept + left_out.sum, sum);
        assert_eq!(readings.iter().map(|(_, value)| *value).fold(left_out.max, f64::max), 5e5);
    }

    #[test]
    fn taken_readings_leave_who_the_gpus_are() {
        let parts = [
            json!({"gpu": 0, "uuid": {"known": "GPU-a"}}),
            json!({"gpu": 0, "at_ms": 1.0, "processes": [[77, 4096, null]]}),
            json!({"at_ms": 2.0, "gpus": [{"index": 0, "power_milliwatts": 7}]}),
        ];
        let mut kept = Recording::read(&parts, 50.0, vec![77]);
        let taken = kept.take_readings(90.0);
        assert_eq!((taken.times.as_slice(), kept.times.as_slice()), (&[2.0][..], &[][..]));
        assert_eq!(kept.gpus[0].uuid, Fact::Known("GPU-a".into()));
        assert_eq!(kept.gpus[0].processes, [(90.0, taken.gpus[0].processes[0].1.clone())]);
        assert_eq!((kept.gpus[0].readings(Counter::Power), kept.server_pids.as_slice()), (&[][..], &[77][..]));
        let sample =
            Recording::read(&[json!({"at_ms": 95.0, "gpus": [{"index": 0, "power_milliwatts": 9}]})], 50.0, vec![]);
        kept.add(&sample, 0.0);
        assert_eq!(
            (kept.gpus[0].readings(Counter::Power), &kept.gpus[0].uuid),
            (&[(95.0, 9.0)][..], &Fact::Known("GPU-a".into()))
        );
    }

    proptest! {
        #[test]
        fn no_report_breaks_the_reading(
            texts in proptest::collection::vec(
                "(\\{(\"(gpu|at_ms|gpus|uuid|unread|unknown|processes|read|lost|index|clock_moved_ms|power_milliwatts)\":(-?[0-9]{1,20}|null|\\[\\]|\\{\\}|\"[a-z_]{0,20}\"|\\[\\{\"index\":[0-9]{1,4}\\}\\]),?){0,4}\\})",
                0..20,
            ),
        ) {
            let parts: Vec<Value> = texts
                .iter()
                .filter_map(|text| serde_json::from_str(&text.replace(",}", "}")).ok())
                .collect();
            let recording = Recording::read(&parts, 50.0, Vec::new());
            prop_assert!(recording.times.windows(2).all(|pair| pair[0] <= pair[1]));
            for gpu in &recording.gpus {
                for counter in Counter::all() {
                    prop_assert!(gpu.readings(counter).iter().all(|(_, value)| counter.sound(*value).is_ok()));
                    let _ = gpu.reason(counter);
                }
            }
        }
    }
}
