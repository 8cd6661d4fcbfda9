//! What the place of a text in the document says of it.

use super::patterns::About;
use super::token::Kind;
use crate::secret::{header_is_plain, is_in_field, is_in_flag, variable_is_plain};

/// Members of the snapshot's own whose names sound like secrets and are none: a key of a Compose file, names of headers.
const OWN_MEMBERS: &[&str] = &["key", "credentials"];
/// Members that hold what is sent or answered for the field that stands beside them under `name` or `field`.
pub const OF_NAMED: &[&str] = &["value", "Value", "sent", "accepted", "client", "good"];

/// The way to a text: names of members, without list indexes and `known`.
pub type Way<'a> = Vec<&'a str>;

/// Whether the whole value under this name is a secret, by the names around it.
pub fn is_secret(way: &[&str], name: &str) -> bool {
    match way.last() {
        Some(&("environment" | "runtime_variables")) => !variable_is_plain(name),
        Some(&"headers") => !header_is_plain(name),
        // Names of layers and nodes end with `key` too.
        Some(&("device_map" | "blocks" | "operators" | "leaf_calls")) => false,
        _ => !OWN_MEMBERS.contains(&name) && is_in_field(name),
    }
}

/// Whether the field that an object tells of by `name` holds a secret.
pub fn is_secret_field(name: &str) -> bool {
    !OWN_MEMBERS.contains(&name)
        && (is_in_field(name) || name.bytes().any(|b| b.is_ascii_uppercase()) && is_in_flag(name))
}

/// Whether the member is the document's own: nobody's name stands there, and readers know its words.
pub fn is_own(way: &[&str], name: &str) -> bool {
    match name {
        "schema" | "schema_minor" | "tool" | "taken_at" => way.is_empty(),
        "id" | "outcome" => way == ["probes"],
        "why" => way.last() == Some(&"unknown"),
        "unit" => true,
        _ => false,
    }
}

/// Whether names of containers and pods may stand anywhere in the text.
pub fn is_of_containers(way: &[&str]) -> bool {
    ["docker", "kubernetes"].iter().any(|room| way.contains(room))
}

/// Whether the text names an image or a model: its last part is not a container's name, whatever a container is called.
pub fn names_image(way: &[&str]) -> bool {
    way.iter().any(|name| matches!(*name, "image" | "image_id" | "model" | "models" | "served_models" | "model_path"))
}

/// What the text is about.
pub fn about(way: &[&str]) -> About {
    let model = way.iter().any(|name| matches!(*name, "model" | "placement" | "prediction" | "ort" | "operators"));
    About { model, containers: is_of_containers(way) && !names_image(way) }
}

/// What a variable of the environment holds, if it is a name or an address as a whole.
fn of_variable(name: &str) -> Option<Kind> {
    let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end));
    if ends(&["HOSTNAME", "NODE_NAME", "NODENAME", "NODELIST"]) {
        return Some(Kind::Host);
    }
    if matches!(name, "USER" | "LOGNAME" | "USERNAME" | "SUDO_USER") || ends(&["_JOB_USER"]) {
        return Some(Kind::User);
    }
    ends(&["HOST", "ADDR", "ADDRESS", "_IP"]).then_some(Kind::Ip)
}

/// What the whole of a text is, by its place.
pub fn whole(way: &[&str]) -> Option<Kind> {
    let last = way.last()?;
    let below = |room: &str| way.contains(&room);
    match *last {
        "address" | "addresses" | "peer" | "client_names" => Some(Kind::Ip),
        name if below("environment") && of_variable(name).is_some() => of_variable(name),
        "name" if below("kubernetes") && below("nodes") => Some(Kind::Host),
        "node" if below("kubernetes") => Some(Kind::Host),
        "name" if below("kubernetes") && below("pods") && !below("containers") => Some(Kind::Pod),
        "about" if below("kubernetes") => Some(Kind::Pod),
        "name" | "id" if way.ends_with(&["docker", last]) => Some(Kind::Container),
        "id" if way.ends_with(&["container", last]) => Some(Kind::Container),
        _ => None,
    }
}

/// Whether the text names software: what hosts may be called like.
pub fn names_software(way: &[&str]) -> bool {
    let below = |room: &str| way.contains(&room);
    way.last()
        .is_some_and(|last| matches!(*last, "name" | "package" | "package_name" | "module" | "server_kind" | "kind"))
        && !(below("kubernetes") || below("docker"))
        || way.ends_with(&["served_models"])
}

/// Whether the text is a version.
pub fn is_version(way: &[&str]) -> bool {
    way.last().is_some_and(|last| last.contains("version"))
}
