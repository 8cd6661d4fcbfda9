//! The document in which a server tells of its GPUs and of the connections on each: `/gpu-status` and its like.

use crate::probe::StatusFields;
use crate::snapshot::{Fact, ToldGpu, Unknown, Why};
use serde_json::{Map, Value};

/// Paths at which such a document is looked for.
pub const PATHS: &[&str] = &["/gpu-status", "/gpu_status", "/gpus", "/status"];
/// Most GPUs that are believed.
const GPUS_MAX: usize = 256;
/// Highest index of a GPU that is believed.
const INDEX_MAX: u64 = 4096;

/// Usual names, the more telling first.
const GPUS: &[&str] = &["gpus", "devices", "gpu_stats", "gpu"];
const INDEX: &[&str] = &["gpu_id", "index", "id", "gpu", "device_id", "device"];
const CONNECTIONS: &[&str] = &["active_connections", "connections", "active_sessions", "sessions", "active"];
const USED: &[&str] = &[
    "allocated_memory_gb",
    "used_memory_gb",
    "memory_used_gb",
    "allocated_memory_mb",
    "used_memory_mb",
    "memory_used_mb",
    "used_bytes",
    "memory_used_bytes",
];
const FREE: &[&str] = &["free_memory_gb", "memory_free_gb", "free_memory_mb", "memory_free_mb", "free_bytes"];
const UTILIZATION: &[&str] = &["utilization_percent", "gpu_utilization_percent", "utilization", "utilization_gpu"];
const LIMIT: &[&str] = &["max_connections_per_gpu", "connections_per_gpu", "max_per_gpu", "limit_per_gpu"];

/// What the document tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The GPUs, by index.
    pub gpus: Vec<ToldGpu>,
    /// Connections that a GPU takes at most.
    pub limit_per_gpu: Fact<u64>,
}

/// Reads the document.
///
/// # Errors
/// It is no JSON object with a list of GPUs.
pub fn read(body: &[u8], fields: &StatusFields) -> Result<Told, Unknown> {
    let malformed = |detail: String| Unknown::new(Why::Malformed, detail);
    let document: Value = serde_json::from_slice(body).map_err(|error| malformed(format!("it is no JSON: {error}")))?;
    let document = document.as_object().ok_or_else(|| malformed("it is no JSON object".into()))?;
    let (name, list) = member(document, fields.gpus.as_deref(), GPUS)
        .ok_or_else(|| malformed(format!("it has no list of GPUs ({})", tried(fields.gpus.as_deref(), GPUS))))?;
    let members: Vec<(Option<u64>, &Map<String, Value>)> = match list {
        Value::Array(list) => list.iter().filter_map(|one| Some((None, one.as_object()?))).collect(),
        // {"0": {..}, "1": {..}}, {"cuda:0": {..}}
        Value::Object(map) => map.iter().filter_map(|(key, one)| Some((number_in(key), one.as_object()?))).collect(),
        _ => return Err(malformed(format!("its \"{name}\" is no list"))),
    };
    let mut gpus: Vec<ToldGpu> = Vec::new();
    for (position, (key, one)) in members.iter().take(GPUS_MAX).enumerate() {
        let numbered = |text: &str| text.strip_prefix("cuda:").unwrap_or(text).trim().parse().ok();
        let index = match member(one, fields.index.as_deref(), INDEX) {
            Some((_, value)) => whole(value)
                .or_else(|| numbered(value.as_str()?))
                .or(*key)
                .ok_or_else(|| malformed(format!("its \"{name}\" has a GPU whose index is no number")))?,
            None => key.unwrap_or(position as u64),
        };
        if index > INDEX_MAX || gpus.iter().any(|other| other.index == index) {
            return Err(malformed(format!("its \"{name}\" tells of GPU {index} twice, or of no such GPU")));
        }
        gpus.push(ToldGpu {
            index,
            connections: fact(one, fields.connections.as_deref(), CONNECTIONS, |_, value| whole(value)),
            used_bytes: fact(one, fields.used.as_deref(), USED, bytes),
            free_bytes: fact(one, fields.free.as_deref(), FREE, bytes),
            utilization_percent: fact(one, fields.utilization.as_deref(), UTILIZATION, |_, value| {
                value.as_f64().filter(|percent| (0.0..=100.0).contains(percent))
            }),
        });
    }
    if gpus.is_empty() || gpus.iter().all(|gpu| gpu.connections.known().is_none()) {
        let names = tried(fields.connections.as_deref(), CONNECTIONS);
        return Err(malformed(format!("its \"{name}\" tells no GPU's connections ({names})")));
    }
    gpus.sort_by_key(|gpu| gpu.index);
    let first = members.first().map(|(_, one)| *one);
    let limit = [Some(document), first].into_iter().flatten().find_map(|place| {
        let (_, value) = member(place, fields.limit.as_deref(), LIMIT)?;
        whole(value).filter(|limit| *limit > 0)
    });
    let untold =
        || Fact::unknown(Why::Absent, format!("it tells no limit ({})", tried(fields.limit.as_deref(), LIMIT)));
    Ok(Told { gpus, limit_per_gpu: limit.map_or_else(untold, Fact::Known) })
}

/// The GPU that a message names: the first number behind a usual name, in its JSON lines.
pub fn gpu_in_message(text: &str) -> Option<u64> {
    text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|message| {
        let message = message.as_object()?;
        ["gpu_id", "gpu", "gpu_index", "device"].iter().find_map(|name| {
            let value = message.get(*name)?;
            whole(value).or_else(|| number_in(value.as_str()?)).filter(|index| *index <= INDEX_MAX)
        })
    })
}

fn tried(named: Option<&str>, usual: &[&str]) -> String {
    named.map_or_else(|| usual.join(", "), str::to_owned)
}

/// A member by the user's name, or the first of the usual ones that is there.
fn member<'a>(
    object: &'a Map<String, Value>,
    named: Option<&'a str>,
    usual: &[&'static str],
) -> Option<(&'a str, &'a Value)> {
    match named {
        // A name with dots leads into members.
        Some(named) => {
            let mut steps = named.split('.').take(8);
            let first = object.get(steps.next()?)?;
            Some((named, steps.try_fold(first, |value, step| value.get(step))?))
        }
        None => usual.iter().find_map(|name| Some((*name, object.get(*name)?))),
    }
}

fn fact<T>(
    object: &Map<String, Value>,
    named: Option<&str>,
    usual: &[&'static str],
    read: impl Fn(&str, &Value) -> Option<T>,
) -> Fact<T> {
    match member(object, named, usual) {
        None => Fact::unknown(Why::Absent, format!("it does not tell it ({})", tried(named, usual))),
        Some((name, value)) => read(name, value)
            .map_or_else(|| Fact::unknown(Why::Malformed, format!("its \"{name}\" is no such number")), Fact::Known),
    }
}

fn whole(value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..9e15).contains(number))?;
    Some(number as u64)
}

/// The number in `cuda:1`, `GPU 1`, `1`.
fn number_in(text: &str) -> Option<u64> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end)?.parse().ok()
}

/// Memory in the unit that the name ends in. `gb` stands for 2^30 bytes: such figures are mostly PyTorch's, divided by
/// 1024 three times, and nothing that is judged by them is finer than the difference.
fn bytes(name: &str, value: &Value) -> Option<u64> {
    let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0)?;
    let last = name.rsplit(['_', '.']).next().unwrap_or_default().to_ascii_lowercase();
    let unit = match last.as_str() {
        "gb" | "gib" => (1u64 << 30) as f64,
        "mb" | "mib" => (1u64 << 20) as f64,
        "kb" | "kib" => 1024.0,
        _ => 1.0,
    };
    let bytes = number * unit;
    (bytes < 1e15).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEED: &str = r#"{"total_gpus": 4, "total_connections": 8, "max_connections_per_gpu": 4, "gpus": [{"gpu_id": 0,
        "active_connections": 2, "allocated_memory_gb": 7.5, "free_memory_gb": 8.25, "utilization_percent": 47.3}]}"#;

    #[test]
    fn the_usual_document_is_read_without_any_help() {
        let told = read(SEED.as_bytes(), &StatusFields::default()).unwrap();
        assert_eq!(told.limit_per_gpu, Fact::Known(4));
        let [gpu] = told.gpus.as_slice() else { panic!("{told:?}") };
        assert_eq!((gpu.index, gpu.connections.known()), (0, Some(&2)));
        assert_eq!(gpu.used_bytes, Fact::Known(15 << 29));
        assert_eq!(gpu.free_bytes, Fact::Known(33 << 28));
        assert_eq!(gpu.utilization_percent, Fact::Known(47.3));
    }

    #[test]
    fn a_gpu_that_is_named_by_a_text_is_no_position() {
        let of = |first: &str| {
            let text = format!(
                r#"{{"gpus": [{{"device": {first}, "active_connections": 1}}, {{"device": "cuda:3", "active_connections": 0}}]}}"#
            );
            read(text.as_bytes(), &StatusFields { index: Some("device".into()), ..StatusFields::default() })
        };
        let told = of(r#""cuda:2""#).unwrap();
        assert_eq!(told.gpus.iter().map(|gpu| gpu.index).collect::<Vec<_>>(), [2, 3]);
        assert!(of(r#""GPU-5f3c""#).unwrap_err().detail.contains("whose index is no number"));
    }

    #[test]
    fn other_names_are_read_by_the_users_mapping() {
        let text =
            r#"{"pool": {"cards": {"cuda:1": {"load": {"now": 3}, "vram_mb": 100}, "cuda:0": {"load": {"now": 0}}}}}"#;
        let name = |text: &str| Some(text.to_owned());
        let fields = StatusFields {
            gpus: name("pool.cards"),
            connections: name("load.now"),
            used: name("vram_mb"),
            ..StatusFields::default()
        };
        let told = read(text.as_bytes(), &fields).unwrap();
        let counted: Vec<_> = told.gpus.iter().map(|gpu| (gpu.index, gpu.connections.known().copied())).collect();
        assert_eq!(counted, [(0, Some(0)), (1, Some(3))]);
        assert_eq!(told.gpus[1].used_bytes, Fact::Known(100 << 20));
        assert!(told.limit_per_gpu.reason().unwrap().detail.contains("max_connections_per_gpu"));
        let unmapped = read(text.as_bytes(), &StatusFields::default()).unwrap_err();
        assert!(unmapped.detail.contains("no list of GPUs (gpus, devices"), "{unmapped}");
    }

    #[test]
    fn what_is_no_such_document_is_said_to_be_none() {
        let fault = |text: &str| read(text.as_bytes(), &StatusFields::default()).unwrap_err().detail;
        assert!(fault("ok\n").starts_with("it is no JSON"));
        assert_eq!(fault("[]"), "it is no JSON object");
        assert!(fault(r#"{"gpus": [{"name": "T4"}]}"#).contains("tells no GPU's connections (active_connections"));
        assert!(fault(r#"{"gpus": [{"id": 1, "connections": 1}, {"id": 1}]}"#).contains("GPU 1 twice"));
        assert!(fault(r#"{"gpus": []}"#).contains("tells no GPU's connections"));
        let odd = read(br#"{"gpus": [{"connections": 1, "free_bytes": -4}]}"#, &StatusFields::default()).unwrap();
        assert_eq!(odd.gpus[0].free_bytes.reason().unwrap().why, Why::Malformed);
    }

    #[test]
    fn a_message_may_name_the_gpu() {
        assert_eq!(gpu_in_message("{\"type\": \"config\"}\n{\"gpu_id\": 2}\n"), Some(2));
        assert_eq!(gpu_in_message("{\"device\": \"cuda:3\"}"), Some(3));
        assert_eq!(gpu_in_message("{\"device\": \"cuda\"}\nGPU 1"), None);
    }

    proptest! {
        #[test]
        fn no_document_breaks_the_reading(
            text in "\\{\"(gpus|devices|x)\":(\\[(\\{\"(gpu_id|id|active_connections|used_bytes|free_memory_gb)\":(-?[0-9]{1,22}(\\.5)?|null|\"cuda:[0-9]{1,30}\"|\\[\\])\\},?){0,4}\\]|\\{\"[0-9é]{1,3}\":\\{\"active\":[0-9]\\}\\}|7)\\}",
        ) {
            let text = text.replace(",]", "]");
            if let Ok(told) = read(text.as_bytes(), &StatusFields::default()) {
                prop_assert!(told.gpus.windows(2).all(|pair| pair[0].index < pair[1].index));
                prop_assert!(told.gpus.iter().any(|gpu| gpu.connections.known().is_some()));
            }
            let _ = gpu_in_message(&text);
        }
    }
}
