//! On which GPU a connection came: what was there before it, against what was there after.

use crate::snapshot::{MeasuredGpu, SpreadReading, ToldGpu, Unknown, Why};
use regex::Regex;
use std::sync::LazyLock;

/// Memory that a connection must add to show, bytes. A context of CUDA alone takes more.
const LEAST_BYTES: u64 = 16 << 20;
/// Share of the most that another GPU gained, from which on it is open which of them it was.
const OPEN_SHARE: f64 = 0.5;

/// The GPU that gained memory, and how much.
///
/// # Errors
/// NVML was not read, no GPU gained any, or several did.
pub fn measured(before: &SpreadReading, after: &SpreadReading) -> Result<(u64, u64), Unknown> {
    let (before, after) = (before.measured.read()?, after.measured.read()?);
    let mut gains: Vec<(u64, u64)> = after.iter().filter_map(|gpu| Some((gain(before, gpu)?, gpu.index))).collect();
    gains.sort_unstable_by(|one, other| other.cmp(one));
    let Some((most, index)) = gains.first().copied() else {
        return Err(Unknown::new(Why::Unsupported, "NVML tells no GPU's memory"));
    };
    if most < LEAST_BYTES {
        return Err(Unknown::new(Why::Absent, "no GPU's memory grew by 16 MiB with this connection"));
    }
    if let Some((second, other)) = gains.get(1)
        && *second as f64 >= OPEN_SHARE * most as f64
    {
        let detail = format!("GPU {index} and GPU {other} both gained memory with this connection");
        return Err(Unknown::new(Why::Unsupported, detail));
    }
    Ok((index, most))
}

/// What a GPU gained: of the server's own memory where that is known, else of all.
fn gain(before: &[MeasuredGpu], after: &MeasuredGpu) -> Option<u64> {
    let before = before.iter().find(|gpu| gpu.index == after.index)?;
    let own = before.server_bytes.known().zip(after.server_bytes.known());
    let (before, after) = own.or_else(|| before.used_bytes.known().zip(after.used_bytes.known()))?;
    Some(after.saturating_sub(*before))
}

/// The GPU whose connections grew by the server's own word.
///
/// # Errors
/// It was not read, none grew, or several did.
pub fn claimed(before: &SpreadReading, after: &SpreadReading) -> Result<u64, Unknown> {
    let (before, after) = (before.told.read()?, after.told.read()?);
    let grew = |gpu: &&ToldGpu| {
        let earlier = before.iter().find(|other| other.index == gpu.index).and_then(|gpu| gpu.connections.known());
        gpu.connections.known().zip(earlier).is_some_and(|(now, earlier)| now > earlier)
    };
    let mut grown = after.iter().filter(grew);
    match (grown.next(), grown.next()) {
        (Some(gpu), None) => Ok(gpu.index),
        (None, _) => Err(Unknown::new(Why::Absent, "no GPU's connections grew by the server's own count")),
        (Some(_), Some(_)) => {
            Err(Unknown::new(Why::Unsupported, "the connections of several GPUs grew by the server's own count"))
        }
    }
}

/// The GPU that the server's log names for a new connection: `Allocated GPU 2 to connection 5f3c`, or by the user's own
/// pattern, whose group `gpu` is the number.
pub fn logged(lines: &[String], named: Option<&Regex>) -> Option<u64> {
    static GIVEN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let words = r"(?i)\b(?:alloc|assign|opened|using|placed|connected|on|to)\w*\b[^\n]{0,80}?\b(?:gpu|cuda)[ :#]*(?P<gpu>\d{1,3})\b";
        Regex::new(words).ok()
    });
    static FREED: &[&str] = &["released", "release ", "freed", "closed", "no gpu"];
    let number = |pattern: &Regex, line: &str| pattern.captures(line)?.name("gpu")?.as_str().parse().ok();
    if let Some(pattern) = named {
        return lines.iter().find_map(|line| number(pattern, line));
    }
    let pattern = GIVEN.as_ref()?;
    let given = lines.iter().filter(|line| {
        let line = line.to_lowercase();
        !FREED.iter().any(|word| line.contains(word))
    });
    given.filter_map(|line| number(pattern, line)).next()
}

/// Whether a GPU has more memory in use than in an earlier reading, by so many bytes.
pub fn has_kept(start: &SpreadReading, now: &SpreadReading, bytes: u64) -> bool {
    match (start.measured.known(), now.measured.known()) {
        (Some(start), Some(now)) => now.iter().any(|gpu| gain(start, gpu).is_some_and(|gained| gained >= bytes)),
        _ => false,
    }
}

/// Whether a reading shows no more than an earlier one: connections by the server's word, and memory.
pub fn is_back_at(start: &SpreadReading, now: &SpreadReading) -> bool {
    let told = match (start.told.known(), now.told.known()) {
        (Some(start), Some(now)) => now.iter().all(|gpu| {
            let earlier = start.iter().find(|other| other.index == gpu.index).and_then(|gpu| gpu.connections.known());
            gpu.connections.known().zip(earlier).is_none_or(|(now, earlier)| now <= earlier)
        }),
        _ => true,
    };
    let measured = match (start.measured.known(), now.measured.known()) {
        (Some(start), Some(now)) => now.iter().all(|gpu| gain(start, gpu).is_none_or(|gained| gained < LEAST_BYTES)),
        _ => true,
    };
    told && measured
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Fact;

    fn none<T>() -> Fact<T> {
        Fact::unknown(Why::Unsupported, "not told")
    }

    fn reading(connections: &[u64], server: &[u64], used: &[u64]) -> SpreadReading {
        let told = connections.iter().enumerate().map(|(index, connections)| ToldGpu {
            index: index as u64,
            connections: Fact::Known(*connections),
            used_bytes: none(),
            free_bytes: none(),
            utilization_percent: none(),
        });
        let measured = used.iter().enumerate().map(|(index, used)| MeasuredGpu {
            index: index as u64,
            uuid: none(),
            total_bytes: none(),
            used_bytes: Fact::Known(used << 20),
            server_bytes: server.get(index).map_or_else(none, |bytes| Fact::Known(bytes << 20)),
            server_processes: none(),
            server_pids: none(),
            utilization_percent: none(),
        });
        SpreadReading {
            open_connections: connections.iter().sum(),
            told: Fact::Known(told.collect()),
            measured: Fact::Known(measured.collect()),
        }
    }

    #[test]
    fn memory_tells_the_gpu_by_the_servers_own_share_first() {
        let before = reading(&[1, 0], &[3600, 0], &[4000, 9000]);
        // Another program took memory on GPU 0 meanwhile.
        let after = reading(&[1, 1], &[3600, 3600], &[9000, 12600]);
        assert_eq!(measured(&before, &after), Ok((1, 3600 << 20)));
        let blind = reading(&[1, 1], &[], &[4000, 12600]);
        assert_eq!(measured(&before, &blind), Ok((1, 3600 << 20)));
        assert_eq!(measured(&before, &reading(&[1, 1], &[], &[9000, 12600])).unwrap_err().why, Why::Unsupported);
        assert_eq!(measured(&before, &before).unwrap_err().why, Why::Absent);
        let unread = SpreadReading { measured: none(), ..before.clone() };
        assert_eq!(measured(&before, &unread).unwrap_err().detail, "not told");
    }

    #[test]
    fn the_servers_count_tells_the_gpu_if_one_grew() {
        let before = reading(&[1, 0], &[], &[0, 0]);
        assert_eq!(claimed(&before, &reading(&[1, 1], &[], &[0, 0])), Ok(1));
        assert_eq!(claimed(&before, &reading(&[1, 0], &[], &[0, 0])).unwrap_err().why, Why::Absent);
        assert_eq!(claimed(&before, &reading(&[2, 1], &[], &[0, 0])).unwrap_err().why, Why::Unsupported);
    }

    #[test]
    fn the_log_tells_the_gpu_that_was_given_not_the_one_that_was_freed() {
        let told = |line: &str| logged(&[line.to_owned()], None);
        assert_eq!(told("INFO: Allocated GPU 2 to connection abc-123 (Load: 3/4, Memory: 11.2/15.75 GB)"), Some(2));
        assert_eq!(told("INFO: Connection abc-123: WebSocket opened on GPU 3"), Some(3));
        assert_eq!(told("loading the model on cuda:1"), Some(1));
        assert_eq!(told("INFO: Released GPU 2 from connection abc-123 (Remaining: 2 connections)"), None);
        assert_eq!(told("WARNING: No GPU for connection 4"), None);
        assert_eq!(told("INFO: GPU 0: 0/4 connections"), None);
        let own = Regex::new(r"card (?P<gpu>\d+)").unwrap();
        let lines = ["GPU 7 is fine".to_owned(), "slot 3 -> card 2".to_owned()];
        assert_eq!(logged(&lines, Some(&own)), Some(2));
        assert_eq!(logged(&["card none".to_owned()], Some(&own)), None);
    }

    #[test]
    fn back_at_the_start_is_no_more_connections_and_no_more_memory() {
        let start = reading(&[0, 0], &[], &[500, 500]);
        assert!(is_back_at(&start, &reading(&[0, 0], &[], &[510, 400])));
        assert!(!is_back_at(&start, &reading(&[0, 1], &[], &[500, 500])));
        assert!(!is_back_at(&start, &reading(&[0, 0], &[], &[500, 4000])));
    }
}
