//! Numbers that name one machine, container or pod: of boards, of systems, of containers.

use super::token::Kind;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

/// What stands beside numbers of boards and machines, small.
pub const OF_MACHINES: &[&str] = &["serial", "board", "machine", "uuid"];
/// What stands beside those of containers and pods.
pub const OF_CONTAINERS: &[&str] =
    &["docker", "container", "libpod", "crio", "kubepods", "cgroup", ".slice", ".scope", "overlay", "sandbox", "/ecs/"];

static SERIAL: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)\b(serial(?:[ _-]?(?:number|num|no))?|board[ _-]?id|machine[ _-]?id|(?:product|system|host)[ _-]?uuid)",
        r"[\x22'\]\\]*\s*[:=]\s*[\x22'\\]*([A-Za-z0-9][A-Za-z0-9._-]{4,})"
    ))
});
static MACHINE: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?i)(?:\b(?:machine|boot)[ _-]?id(?: is|\n)?\s+[\x22']?([0-9a-f]{32})\b",
        r"|\b(?:(?:product|system)_)?uuid(?: is|\s?[:=]|\n)\s*[\x22']?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b)"
    ))
});
static CONTAINER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"(?i)(?:docker|containers?|libpod|libpod-conmon|crio|crio-conmon|cri-containerd|kubepods\S{0,120})[/:=\x22' -]+([0-9a-f]{64}|[0-9a-f]{12})\b",
    )
});
static POD: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)\bkubepods\S{0,60}?[/-]pod([0-9a-f]{8}[_-][0-9a-f]{4}[_-][0-9a-f]{4}[_-][0-9a-f]{4}[_-][0-9a-f]{12})")
});
static LONG: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\b[0-9a-f]{64}\b"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a valid pattern")
}

/// Numbers of boards and machines.
pub fn of_machines(text: &str, found: &mut dyn FnMut(Kind, Range<usize>)) {
    for serial in SERIAL.captures_iter(text) {
        let (Some(name), Some(value)) = (serial.get(1), serial.get(2)) else { continue };
        let name = name.as_str().to_ascii_lowercase();
        let kind = if name.starts_with("serial") || name.starts_with("board") { Kind::Serial } else { Kind::Machine };
        if value.as_str().bytes().filter(u8::is_ascii_digit).count() >= 2 {
            found(kind, value.range());
        }
    }
    for id in MACHINE.captures_iter(text).filter_map(|one| one.iter().skip(1).flatten().next()) {
        found(Kind::Machine, id.range());
    }
}

/// Numbers of containers and pods. Digests of images and models are as long, and have their kind in front: `sha256:`.
pub fn of_containers(text: &str, found: &mut dyn FnMut(Kind, Range<usize>)) {
    let mixed = |id: &str| id.bytes().any(|b| b.is_ascii_digit()) && id.bytes().any(|b| b.is_ascii_alphabetic());
    for id in CONTAINER.captures_iter(text).filter_map(|one| one.get(1)) {
        if id.as_str().bytes().any(|b| b.is_ascii_digit()) {
            found(Kind::Container, id.range());
        }
    }
    for pod in POD.captures_iter(text).filter_map(|one| one.get(1)) {
        found(Kind::Pod, pod.range());
    }
    for id in LONG.find_iter(text) {
        let before = &text[..id.start()];
        let digest = before.ends_with([':', '@', '=']) || before.ends_with("sha256-") || before.ends_with("sha256/");
        if !digest && mixed(id.as_str()) {
            found(Kind::Container, id.range());
        }
    }
}
