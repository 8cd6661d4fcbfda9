//! A watch as a full screen: rows of bars for each GPU and for the server. It is drawn to lines, for a terminal of any
//! size, and says all in characters: no colour is needed.

use super::spark::Spark;
use super::summary::duration;
use super::{MIB, figure};
use crate::probe::watch::{Figure, GpuTurn, ServerTurn, Turn};
use crate::snapshot::Why;
use crate::words::{count, grouped, plain};
use std::collections::{BTreeMap, VecDeque};

/// Below this size nothing can be told.
const LEAST_COLUMNS: usize = 40;
const LEAST_ROWS: usize = 6;
/// From so many rows on the server has rows of its own.
const SERVER_ROWS: usize = 16;
/// The newest notes are shown, so many at most.
const NOTES: usize = 3;
/// Columns of a row's name, and of what stands behind its bars.
const NAME: usize = 14;
const VALUE: usize = 26;
/// Columns beside the bars where a GPU has one line, and sorts of bars there.
const BESIDE_BARS: usize = 42;
const BARS: usize = 3;
/// Lines of a GPU that has rows of its own.
const TALL: usize = 4;

/// What is seen of a watch at a moment, with what came before it.
pub struct WatchView {
    what: String,
    interval_s: f64,
    begun_ms: Option<f64>,
    now_ms: f64,
    time: String,
    gpus: BTreeMap<u64, GpuRows>,
    server: Option<ServerRows>,
    notes: VecDeque<String>,
}

/// A screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Its lines, none wider and no more than there is room for.
    pub lines: Vec<String>,
    /// How many GPUs are scrolled past, no more than there are.
    pub scrolled: usize,
}

struct GpuRows {
    utilization: Spark,
    memory: Spark,
    power: Spark,
    last: GpuTurn,
}

#[derive(Default)]
struct ServerRows {
    rate: Spark,
    queue: Spark,
    infer: Spark,
    /// Requests a second in the last interval.
    rate_now: Option<f64>,
    /// Requests so far; nothing as long as its counters were not read twice.
    requests: Option<f64>,
    failed: f64,
    /// When its counters were last read.
    read_ms: Option<f64>,
    last: Option<ServerTurn>,
}

impl WatchView {
    /// Nothing was seen yet. `what` is watched, with so many seconds from one reading to the next.
    pub fn new(what: &str, with_server: bool, interval_s: f64) -> Self {
        Self {
            what: what.to_owned(),
            interval_s,
            begun_ms: None,
            now_ms: 0.0,
            time: String::new(),
            gpus: BTreeMap::new(),
            server: with_server.then(ServerRows::default),
            notes: VecDeque::new(),
        }
    }

    /// Takes what was seen in an interval.
    pub fn take(&mut self, turn: &Turn) {
        self.begun_ms.get_or_insert(turn.at_ms - self.interval_s * 1e3);
        self.now_ms = turn.at_ms;
        self.time.clone_from(&turn.time);
        turn.notes.iter().for_each(|note| self.note(&turn.time, note));
        for gpu in &turn.gpus {
            let rows = self.gpus.entry(gpu.index).or_insert_with(|| GpuRows::new(gpu.clone()));
            let read = |figure: &Figure| figure.as_ref().ok().copied().filter(|_| gpu.lost.is_none());
            rows.utilization.push(read(&gpu.utilization_percent));
            rows.memory.push(read(&gpu.memory_percent()));
            rows.power.push(read(&gpu.power_milliwatts).map(|power| power / 1e3));
            rows.last = gpu.clone();
        }
        if let (Some(rows), Some(server)) = (&mut self.server, &turn.server) {
            rows.take(server, turn.at_ms, self.interval_s);
        }
    }

    /// Takes something that happened; `time` is empty where it was so from the beginning.
    pub fn note(&mut self, time: &str, note: &str) {
        if self.notes.len() == NOTES {
            self.notes.pop_front();
        }
        let gap = if time.is_empty() { "" } else { " " };
        self.notes.push_back(format!("# {time}{gap}{note}"));
    }

    /// The screen of this size, with so many GPUs scrolled past.
    pub fn draw(&self, columns: usize, rows: usize, scroll: usize) -> Frame {
        if columns < LEAST_COLUMNS || rows < LEAST_ROWS {
            let text = format!("too small: {LEAST_COLUMNS} x {LEAST_ROWS} is the least");
            return Frame { lines: vec![fit(&text, columns)], scrolled: scroll };
        }
        let mut lines = vec![self.head(columns)];
        match &self.server {
            Some(server) if rows >= SERVER_ROWS => lines.extend(server.tall(columns)),
            Some(server) => lines.push(server.short()),
            None => {}
        }
        let notes = self.notes.len().min(rows / 5);
        // The head and the server above, the notes and the last line below.
        let room = rows.saturating_sub(lines.len() + notes + 1);
        let (scrolled, hidden) = self.body(&mut lines, columns, room, scroll);
        lines.resize(rows - notes - 1, String::new());
        lines.extend(self.notes.iter().skip(self.notes.len() - notes).cloned());
        lines.push(format!("q: end, with the diagnosis{hidden}"));
        Frame { lines: lines.iter().map(|line| fit(line, columns)).collect(), scrolled }
    }

    fn head(&self, columns: usize) -> String {
        let watched = self.begun_ms.map_or(0.0, |begun| (self.now_ms - begun) / 1e3);
        let right = format!("  {}, every {} s  {}", duration(watched), self.interval_s, self.time);
        let left = fit(&format!("gpu-doctor watch  {}", self.what), columns.saturating_sub(right.chars().count()));
        let gap = columns.saturating_sub(left.chars().count() + right.chars().count());
        format!("{left}{}{right}", " ".repeat(gap))
    }

    /// The GPUs. Tells how many are scrolled past, and what the last line says of it.
    fn body(&self, lines: &mut Vec<String>, columns: usize, room: usize, scroll: usize) -> (usize, String) {
        let all = self.gpus.len();
        if all == 0 {
            lines.push("no GPU is watched".into());
            return (0, String::new());
        }
        if all * TALL <= room {
            let apart = all * (TALL + 1) <= room;
            for rows in self.gpus.values() {
                lines.extend(apart.then(String::new));
                lines.extend(rows.tall(columns));
            }
            return (0, String::new());
        }
        let shown = room.saturating_sub(1).clamp(1, all);
        let past = scroll.min(all - shown);
        let bars = (columns.saturating_sub(BESIDE_BARS) / BARS).max(3);
        lines.push(format!(
            "GPU  {:<first$}  {:<second$}  {:<third$}  Temp",
            "GPU%",
            "Mem%, MemUsed",
            "Power",
            first = bars + 5,
            second = bars + 14,
            third = bars + 6
        ));
        lines.extend(self.gpus.values().skip(past).take(shown).map(|rows| rows.short(bars)));
        let hidden = match shown == all {
            true => String::new(),
            false => format!("; arrow keys: {} to {} of {}", past + 1, past + shown, count(all, "GPU")),
        };
        (past, hidden)
    }
}

impl GpuRows {
    fn new(last: GpuTurn) -> Self {
        Self { utilization: Spark::default(), memory: Spark::default(), power: Spark::default(), last }
    }

    /// What its figures are, as in a line: utilization, memory in percent and MiB, power, temperature.
    fn figures(&self) -> [String; 5] {
        let gpu = &self.last;
        if gpu.lost.is_some() {
            return ["ERR!", "n/a", "n/a", "n/a", "n/a"].map(str::to_owned);
        }
        [
            figure(&gpu.utilization_percent, |percent| format!("{percent:.0}%")),
            figure(&gpu.memory_percent(), |percent| format!("{percent:.0}%")),
            figure(&gpu.memory_used_bytes, |bytes| format!("{:.0}MB", bytes / MIB)),
            figure(&gpu.power_milliwatts, |power| format!("{:.1}W", power / 1e3)),
            figure(&gpu.temperature_celsius, |celsius| format!("{celsius:.0}°C")),
        ]
    }

    fn tall(&self, columns: usize) -> [String; TALL] {
        let gpu = &self.last;
        let width = bars(columns);
        let [utilization, percent, used, power, temperature] = self.figures();
        let mut title = format!("GPU {}", gpu.index);
        title.extend(gpu.name.iter().map(|name| format!(" {}", plain(name))));
        match &gpu.lost {
            Some(lost) => title.push_str(&format!("  ERR! {}", lost.detail)),
            None => {
                title.push_str(&format!("  {temperature}"));
                let held = gpu.throttle_reasons.iter().flatten().filter(|reason| *reason != "gpu_idle");
                let held: Vec<String> = held.map(|reason| reason.replace('_', " ")).collect();
                if !held.is_empty() {
                    title.push_str(&format!("  clocks held back by {}", held.join(", ")));
                }
            }
        }
        let of = gpu.memory_total_bytes.map_or(String::new(), |total| format!(" of {:.0}MB", total as f64 / MIB));
        let most = self.power.most(width);
        let up_to = most.map_or(String::new(), |most| format!("  at most {most:.1}W"));
        [
            title,
            row("utilization", &self.utilization.draw(width, 100.0), &utilization),
            row("memory", &self.memory.draw(width, 100.0), &format!("{percent}  {used}{of}")),
            row("power", &self.power.draw(width, most.unwrap_or(0.0)), &format!("{power}{up_to}")),
        ]
    }

    fn short(&self, bars: usize) -> String {
        let [utilization, percent, used, power, temperature] = self.figures();
        let memory = format!("{percent} {used}");
        format!(
            "{:>3}  {}{utilization:>5}  {}{memory:>14}  {}{power:>8}{temperature:>6}",
            self.last.index,
            self.utilization.draw(bars, 100.0),
            self.memory.draw(bars, 100.0),
            self.power.draw(bars, self.power.most(bars).unwrap_or(0.0)),
        )
    }
}

impl ServerRows {
    fn take(&mut self, server: &ServerTurn, at_ms: f64, interval_s: f64) {
        let since_s = self.read_ms.map_or(interval_s, |read| (at_ms - read) / 1e3).max(1e-3);
        self.rate_now = server.gained.as_ref().ok().map(|gained| gained / since_s);
        // A page that was gone says at its return what was gained meanwhile; one that began anew, what from then on.
        if server.gained.as_ref().err().is_none_or(|unknown| matches!(unknown.why, Why::NotAsked | Why::Malformed)) {
            self.read_ms = Some(at_ms);
        }
        if let Ok(gained) = server.gained {
            self.requests = Some(self.requests.unwrap_or(0.0) + gained);
        }
        self.failed += server.failed.as_ref().copied().unwrap_or(0.0);
        self.rate.push(self.rate_now);
        self.queue.push(server.queue_ms.as_ref().ok().copied());
        self.infer.push(server.infer_ms.as_ref().ok().copied());
        self.last = Some(server.clone());
    }

    fn tall(&self, columns: usize) -> Vec<String> {
        let width = bars(columns);
        let mut title = match self.requests {
            Some(requests) => format!("server  {} requests", grouped(requests.round() as u64)),
            None => "server  its counters were not read twice yet".to_owned(),
        };
        if self.failed > 0.0 {
            title.push_str(&format!(", {} failed or refused", grouped(self.failed.round() as u64)));
        }
        let now = |of: fn(&ServerTurn) -> &Figure| self.last.as_ref().and_then(|last| of(last).as_ref().ok());
        for (what, value) in [("running", now(|last| &last.running)), ("waiting", now(|last| &last.waiting))] {
            title.extend(value.map(|value| format!(", {value:.0} {what}")));
        }
        let rate = match (self.rate_now, &self.last) {
            (Some(rate), _) => format!("{rate:.1}"),
            (None, Some(_)) => "n/a".into(),
            (None, None) => "-".into(),
        };
        let scaled = |name: &str, spark: &Spark, value: String, unit: &str, decimals: usize| {
            let most = spark.most(width);
            let up_to = most.map_or(String::new(), |most| format!("  at most {most:.decimals$}{unit}"));
            row(name, &spark.draw(width, most.unwrap_or(0.0)), &format!("{value}{up_to}"))
        };
        let ms = |of: fn(&ServerTurn) -> &Figure| {
            self.last.as_ref().map_or("-".to_owned(), |last| figure(of(last), |ms| format!("{ms:.2}ms")))
        };
        vec![
            title,
            scaled("requests/s", &self.rate, rate, "", 1),
            scaled("queue", &self.queue, ms(|last| &last.queue_ms), "ms", 2),
            scaled("inference", &self.infer, ms(|last| &last.infer_ms), "ms", 2),
        ]
    }

    fn short(&self) -> String {
        let Some(last) = &self.last else { return "server".into() };
        let ms = |of: &Figure| figure(of, |ms| format!("{ms:.2}ms"));
        let gained = figure(&last.gained, |gained| format!("{gained:+.0}"));
        format!("server  {gained}  queue {}  inference {}", ms(&last.queue_ms), ms(&last.infer_ms))
    }
}

/// Columns for the bars of a row.
fn bars(columns: usize) -> usize {
    columns.saturating_sub(NAME + 1 + VALUE).max(8)
}

fn row(name: &str, bars: &str, value: &str) -> String {
    format!("  {name:<width$}{bars} {value}", width = NAME - 2)
}

/// A text in so many columns: what is too long is cut, and what may be wider than a column or none is replaced.
fn fit(text: &str, columns: usize) -> String {
    let narrow = |c: char| match c {
        ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{24f}' | '▁'..='█' => c,
        _ if crate::words::unprintable(c) => ' ',
        _ => '?',
    };
    let text = text.trim_end();
    match text.chars().count() > columns {
        true => text.chars().take(columns.saturating_sub(1)).map(narrow).chain(['>']).take(columns).collect(),
        false => text.chars().map(narrow).collect(),
    }
}
