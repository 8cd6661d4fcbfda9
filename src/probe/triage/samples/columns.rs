//! Which column of a table of samples holds what.

use super::super::evidence::Counter;
use super::super::table::header::Table;
use super::super::table::number::{self, Cell};
use super::super::table::time;
use super::super::table::unit::Unit;
use crate::snapshot::RecordedFile;

/// Columns by what they hold.
#[derive(Debug, Default)]
pub struct Columns {
    /// When a sample was taken.
    pub time: Option<usize>,
    /// Which GPU.
    pub index: Option<usize>,
    /// Its identifier.
    pub uuid: Option<usize>,
    /// Its product name.
    pub name: Option<usize>,
    /// The counters.
    pub counters: Vec<CounterColumn>,
    /// What makes milliseconds of times that count from the beginning, which are read as seconds.
    pub relative_factor: f64,
    /// Whether there is no header and the values' units told the columns.
    pub by_values: bool,
    /// The first column that was recognized, by which a header in the middle is told.
    pub first: usize,
    /// The last one, which every row must have.
    pub last_needed: usize,
    assumed: Vec<String>,
}

/// A column with a counter.
#[derive(Debug)]
pub struct CounterColumn {
    /// Its place.
    pub column: usize,
    /// The counter; none for the memory that the card has.
    pub counter: Option<Counter>,
    /// The GPU, where the heading names it: `gpu0_util`.
    pub gpu: Option<u64>,
    /// What leads to the snapshot's unit.
    pub factor: f64,
}

const TIME: &[&str] = &[
    "timestamp",
    "time",
    "datetime",
    "date",
    "ts",
    "t",
    "unixtime",
    "epoch",
    "sampledat",
    "sampletime",
    "elapsed",
    "zeitstempel",
    "zeit",
];
const INDEX: &[&str] =
    &["index", "gpuindex", "gpuid", "gpuidx", "idx", "deviceid", "device", "deviceindex", "gpu", "id"];
const UUID: &[&str] = &["uuid", "gpuuuid"];
const NAME: &[&str] = &["name", "gpuname", "devicename", "productname"];
const UTILIZATION: &[&str] =
    &["util", "utilization", "utilizationgpu", "usage", "load", "utilgpu", "utilisation", "sm", "gpuutil"];
const MEMORY_USED: &[&str] = &[
    "memoryused",
    "memused",
    "memory",
    "mem",
    "vramused",
    "vram",
    "usedmemory",
    "usedmem",
    "memusage",
    "memoryusage",
    "fb",
    "fbmemoryused",
];
const MEMORY_TOTAL: &[&str] = &["memorytotal", "memtotal", "totalmemory", "vramtotal"];
const POWER: &[&str] =
    &["power", "powerdraw", "powerdrawinstant", "powerdrawaverage", "powerusage", "pwr", "powerconsumption"];
const TEMPERATURE: &[&str] = &["temp", "temperature", "temperaturegpu", "gtemp", "tempgpu"];
const SM_CLOCK: &[&str] = &[
    "clockssm",
    "clockscurrentsm",
    "smclock",
    "clocksgr",
    "clocksgraphics",
    "clockscurrentgraphics",
    "clock",
    "graphicsclock",
    "pclk",
    "clocksm",
];
const MEMORY_CLOCK: &[&str] =
    &["clocksmem", "clocksmemory", "clockscurrentmemory", "memclock", "memoryclock", "mclk", "clockmem"];
const P_STATE: &[&str] = &["pstate", "perfstate"];

impl Columns {
    /// The columns of a table; none if it is no table of GPU samples.
    pub fn of(table: &Table) -> Option<Self> {
        if table.header_line == 0 {
            return Self::by_values(table);
        }
        let mut columns = Self { relative_factor: 1.0, ..Self::default() };
        columns.time = table.column(TIME);
        if let Some(Unit::Time(factor)) = columns.time.and_then(|column| table.columns.get(column)?.unit) {
            columns.relative_factor = factor / 1e3;
        }
        columns.uuid = table.column(UUID);
        columns.name = table.column(NAME);
        for (place, column) in table.columns.iter().enumerate() {
            let (gpu, name) = without_gpu(&column.name);
            let Some(counter) = counter(name, column.unit, gpu.is_some() || column.name.starts_with("gpu")) else {
                continue;
            };
            if columns.counters.iter().any(|other| other.counter == counter && other.gpu == gpu) {
                continue;
            }
            let (factor, said) = factor(table, place, counter);
            columns.assumed.extend(said);
            columns.counters.push(CounterColumn { column: place, counter, gpu, factor });
        }
        let taken = |place: &usize| !columns.counters.iter().any(|counter| counter.column == *place);
        columns.index = INDEX.iter().find_map(|name| {
            let place = table.columns.iter().position(|column| column.name == *name && column.unit.is_none());
            place.filter(taken)
        });
        let has = |wanted: Counter| columns.counters.iter().any(|counter| counter.counter == Some(wanted));
        let of_gpus = table.columns.iter().any(|column| column.name.contains("gpu") || column.name.contains("vram"));
        // Memory, temperature or load alone may be a CPU's.
        (has(Counter::Utilization) && (of_gpus || columns.counters.len() > 1)
            || of_gpus && !columns.counters.is_empty())
        .then(|| columns.bounded())
    }

    /// Without a header: a time, and values with nvidia-smi's units. The first of two shares is that of the GPU, the second
    /// that of its memory; the smaller of two sizes is what is used.
    fn by_values(table: &Table) -> Option<Self> {
        let first = table.sample.first()?;
        let mut columns = Self { relative_factor: 1.0, by_values: true, ..Self::default() };
        let mut sizes = Vec::new();
        for (place, cell) in first.iter().enumerate() {
            let mut push = |counter| {
                if !columns.counters.iter().any(|other| other.counter == Some(counter)) {
                    columns.counters.push(CounterColumn {
                        column: place,
                        counter: Some(counter),
                        gpu: None,
                        factor: 1.0,
                    });
                }
            };
            match number::read(cell.as_bytes(), false) {
                Cell::Number(_, Some(Unit::Percent)) => push(Counter::Utilization),
                Cell::Number(_, Some(Unit::Power(_))) => push(Counter::Power),
                Cell::Number(_, Some(Unit::Frequency(_))) => push(Counter::SmClock),
                Cell::Number(number, Some(unit @ Unit::Memory(_))) => sizes.push((number * unit.factor(), place)),
                _ if cell.starts_with("GPU-") => columns.uuid = Some(place),
                Cell::Invalid if time::read(cell.as_bytes(), table.day_order).is_some() => columns.time = Some(place),
                Cell::Number(number, None) if place < 2 && number < 64.0 && number.fract() == 0.0 => {
                    columns.index = Some(place)
                }
                _ => {}
            }
        }
        sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let [(_, used), .., (_, total)] = sizes[..] {
            let kinds = [(used, Some(Counter::MemoryUsed)), (total, None)];
            columns.counters.extend(kinds.map(|(column, counter)| CounterColumn {
                column,
                counter,
                gpu: None,
                factor: 1.0,
            }));
        }
        let utilization = columns.counters.iter().any(|counter| counter.counter == Some(Counter::Utilization));
        (utilization && (columns.counters.len() > 1 || columns.time.is_some())).then(|| columns.bounded())
    }

    /// The columns that were recognized, in the table's order.
    pub fn recognized(&self) -> Vec<usize> {
        let single = [self.time, self.index, self.uuid, self.name].into_iter().flatten();
        let mut all: Vec<usize> = single.chain(self.counters.iter().map(|counter| counter.column)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// How many cells of a row are wanted.
    pub fn wanted(&self) -> usize {
        self.recognized().last().map_or(0, |last| last + 1)
    }

    /// With the ends of what was recognized.
    fn bounded(mut self) -> Self {
        let recognized = self.recognized();
        self.first = recognized.first().copied().unwrap_or(0);
        self.last_needed = recognized.last().copied().unwrap_or(0);
        self
    }

    /// Says what is lacking and what was assumed.
    pub fn told(&self, table: &Table, file: &mut RecordedFile) {
        file.shows.extend(self.assumed.iter().cloned());
        if !self.counters.iter().any(|counter| counter.counter == Some(Counter::Utilization)) {
            file.lacks.push(format!(
                "there is no column for the utilization of the GPU, only {}; add utilization.gpu to --query-gpu",
                table.titles(&self.recognized())
            ));
        }
        if self.time.is_none() {
            let lacks = "the samples have no time, so that they cannot be held against requests; add timestamp to \
                --query-gpu (nvidia-smi dmon: -o DT)";
            file.lacks.push(lacks.into());
        }
        let power = |counter: &CounterColumn| matches!(counter.counter, Some(Counter::Power | Counter::SmClock));
        if !self.counters.iter().any(power) {
            let lacks = "power and clock are not sampled, which would witness for or against the utilization; add \
                power.draw,clocks.sm to --query-gpu";
            file.lacks.push(lacks.into());
        }
    }
}

/// The GPU that a text names at its end: `0`, `cuda:0`, `GPU 1`.
pub fn index_in(text: &str) -> Option<u64> {
    let digits = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (before, digits) = text.split_at_checked(digits)?;
    let before = before.trim_end_matches([' ', ':', '-', '_']).to_ascii_lowercase();
    matches!(before.as_str(), "" | "gpu" | "cuda" | "device" | "nvidia").then(|| digits.parse().ok())?
}

/// `gpu0util` is the `util` of GPU 0, `gpuutil` of the only one.
fn without_gpu(name: &str) -> (Option<u64>, &str) {
    let Some(rest) = name.strip_prefix("gpu") else { return (None, name) };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    match rest.split_at_checked(digits) {
        Some((index, after)) if digits > 0 => (index.parse().ok(), after),
        _ => (None, rest),
    }
}

/// The counter of this name; `Some(None)` is the memory that the card has.
fn counter(name: &str, unit: Option<Unit>, of_gpu: bool) -> Option<Option<Counter>> {
    let share = matches!(unit, Some(Unit::Percent));
    Some(match name {
        // `GPU%`, `gpu_percent`, `gpu0`.
        "" if of_gpu && (share || unit.is_none()) => return share.then_some(Some(Counter::Utilization)),
        name if UTILIZATION.contains(&name) => Some(Counter::Utilization),
        // A share of the memory is no size.
        name if MEMORY_USED.contains(&name) => return (!share).then_some(Some(Counter::MemoryUsed)),
        name if MEMORY_TOTAL.contains(&name) => None,
        name if POWER.contains(&name) => Some(Counter::Power),
        name if TEMPERATURE.contains(&name) => Some(Counter::Temperature),
        name if SM_CLOCK.contains(&name) => Some(Counter::SmClock),
        name if MEMORY_CLOCK.contains(&name) => Some(Counter::MemoryClock),
        name if P_STATE.contains(&name) => Some(Counter::PState),
        _ => return None,
    })
}

/// What leads from a column's numbers to the snapshot's unit, and what was assumed.
fn factor(table: &Table, place: usize, counter: Option<Counter>) -> (f64, Option<String>) {
    const MIB: f64 = (1u64 << 20) as f64;
    let Some(column) = table.columns.get(place) else { return (1.0, None) };
    if let Some(unit) = column.unit {
        return (unit.factor(), None);
    }
    let most = table.numbers(place).fold(0.0, f64::max);
    let (factor, unit) = match counter {
        Some(Counter::Utilization)
            if most > 0.0 && most <= 1.0 && table.numbers(place).any(|share| share.fract() != 0.0) =>
        {
            (100.0, "a share of 1")
        }
        Some(Counter::MemoryUsed) | None if most > 1e7 => (1.0, "bytes"),
        Some(Counter::MemoryUsed) | None
            if most > 0.0 && most < 200.0 && table.numbers(place).any(|size| size.fract() != 0.0) =>
        {
            (MIB * 1024.0, "GiB")
        }
        Some(Counter::MemoryUsed) | None => (MIB, "MiB"),
        Some(Counter::Power) if most > 5000.0 => (1.0, "milliwatts"),
        Some(Counter::Power) => (1e3, "watts"),
        _ => return (1.0, None),
    };
    // What every script means need not be said.
    let said = !matches!(unit, "MiB" | "watts");
    (factor, said.then(|| format!("{} names no unit; by its values it was read as {unit}", column.title)))
}
