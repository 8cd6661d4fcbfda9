//! Elements and values of nvidia-smi's document.

use crate::snapshot::{Unknown, Why};
use roxmltree::Node;

/// The element at a path of names: `pci/link_widths/current_link_width`.
pub fn element<'a, 'input>(node: Node<'a, 'input>, path: &str) -> Option<Node<'a, 'input>> {
    path.split('/').try_fold(node, |node, name| node.children().find(|child| child.has_tag_name(name)))
}

/// The text at a path; what nvidia-smi writes for "no value" is its reason.
pub fn text_of(node: Node<'_, '_>, path: &str, place: &str) -> Result<String, Unknown> {
    let Some(found) = element(node, path) else {
        return Err(Unknown::new(Why::Unsupported, format!("{place}: this nvidia-smi does not tell <{path}>")));
    };
    let text: String = found.text().unwrap_or_default().trim().chars().take(512).collect();
    match reason(&text) {
        Some(why) => Err(Unknown::new(why, format!("{place}: <{path}> is \"{text}\""))),
        None => Ok(text),
    }
}

/// The first of several paths that holds a value: names changed between versions of nvidia-smi.
pub fn first_text(node: Node<'_, '_>, paths: &[&str], place: &str) -> Result<String, Unknown> {
    let mut obstacle = None;
    for path in paths {
        match text_of(node, path, place) {
            Ok(text) => return Ok(text),
            // What stands there without a value says more than what does not stand there.
            Err(unknown) => {
                if obstacle.is_none() || element(node, path).is_some() {
                    obstacle = Some(unknown);
                }
            }
        }
    }
    Err(obstacle.unwrap_or_else(|| Unknown::new(Why::Absent, format!("{place}: nothing was looked for"))))
}

/// Why a text is no value; `None` if it is one.
fn reason(text: &str) -> Option<Why> {
    let bare = text.trim_matches(['[', ']']).to_ascii_lowercase();
    match bare.as_str() {
        "" => Some(Why::Absent),
        "n/a" | "not supported" | "not available" | "unsupported" => Some(Why::Unsupported),
        "unknown error" | "error" => Some(Why::Unsupported),
        "insufficient permissions" => Some(Why::Denied),
        "gpu requires reset" => Some(Why::Unsupported),
        "gpu is lost" | "gpu is lost." | "not found" => Some(Why::Absent),
        "timeout" => Some(Why::TimedOut),
        _ => None,
    }
}

/// The NVML code that a text stands for, if it speaks of the whole GPU.
pub fn whole_gpu_code(text: &str) -> Option<i64> {
    let bare = text.trim().trim_matches(['[', ']', '.']).to_ascii_lowercase();
    match bare.as_str() {
        "gpu is lost" => Some(15),
        "gpu requires reset" => Some(16),
        _ => None,
    }
}

/// A number and its unit: `81559 MiB` of `MiB`, `16x` of `x`. A bare number is of every unit.
pub fn number(text: &str, unit: &str, path: &str, place: &str) -> Result<f64, Unknown> {
    let bare = text.strip_suffix(unit).unwrap_or(text).trim();
    bare.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .ok_or_else(|| Unknown::new(Why::Malformed, format!("{place}: <{path}> is \"{text}\", not a number of {unit}")))
}

/// A count that is not negative, of the unit, times `scale`.
pub fn whole(text: &str, unit: &str, scale: f64, path: &str, place: &str) -> Result<u64, Unknown> {
    let value = number(text, unit, path, place)? * scale;
    if !(0.0..=1e18).contains(&value) {
        return Err(Unknown::new(Why::Malformed, format!("{place}: <{path}> is \"{text}\", which cannot be")));
    }
    Ok(value.round() as u64)
}

/// `Yes` and `Enabled`, or `No` and `Disabled`.
pub fn truth(text: &str, path: &str, place: &str) -> Result<bool, Unknown> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "enabled" | "active" => Ok(true),
        "no" | "disabled" | "not active" => Ok(false),
        _ => Err(Unknown::new(Why::Malformed, format!("{place}: <{path}> is \"{text}\", neither yes nor no"))),
    }
}
