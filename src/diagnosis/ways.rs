//! How to get a fact that is missing: by its path, the kind of obstacle and the obstacle's own words, from `ways.yaml`.

use super::command::{ADDRESS, Command, quoted};
use crate::snapshot::Snapshot;
use serde::Deserialize;
use std::sync::LazyLock;

/// One way, and when it leads there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Way {
    /// Beginnings of paths; without any, all.
    #[serde(default)]
    of: Vec<String>,
    /// Kinds of obstacle; without any, all.
    #[serde(default)]
    why: Vec<String>,
    /// Texts of which one stands in the obstacle's words.
    #[serde(default)]
    says: Vec<String>,
    /// Options that make it pointless, for they were given.
    #[serde(default)]
    unless: Vec<String>,
    /// Options of which one was given.
    #[serde(default)]
    given: Vec<String>,
    /// Whether it is only for a server that is in no container.
    #[serde(default)]
    bare: bool,
    /// Whether it is only for a server that could not be reached.
    #[serde(default)]
    unreached: bool,
    /// Options to leave out.
    #[serde(default)]
    without: Vec<String>,
    /// What to do; empty where nothing helps.
    #[serde(default)]
    get: String,
    /// Why nothing helps.
    #[serde(default)]
    no_way: String,
}

static WAYS: LazyLock<Vec<Way>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("ways.yaml")).expect("ways.yaml is embedded and tested"));

/// How to get the fact at `path`, which could not be known for the reason `why` told by `detail`; empty if no way is known.
/// Commands in it stand between backticks.
pub fn way(path: &str, why: &str, detail: &str, snapshot: &Snapshot) -> String {
    let own = Command::of(&snapshot.target);
    let fits = |way: &&Way| {
        let one_of = |list: &[String], fits: &dyn Fn(&String) -> bool| list.is_empty() || list.iter().any(fits);
        one_of(&way.of, &|start| path.starts_with(start.as_str()))
            && one_of(&way.why, &|kind| kind == why)
            && one_of(&way.says, &|words| detail.contains(words.as_str()))
            && one_of(&way.given, &|flag| own.has(flag))
            && !way.unless.iter().any(|flag| own.has(flag))
            && !(way.bare && snapshot.facts.container.kind.known().map(String::as_str) != Some("none"))
            && !(way.unreached && snapshot.facts.request.reachable.known() != Some(&false))
    };
    let Some(way) = WAYS.iter().find(fits) else { return String::new() };
    debug_assert!(way.get.is_empty() != way.no_way.is_empty());
    let own = way.without.iter().fold(own, |command, flag| command.without(flag));
    filled(&way.get, detail, &own, snapshot)
}

/// The text with its commands: `{again --smoke}` is what was run with an option more.
fn filled(text: &str, detail: &str, own: &Command, snapshot: &Snapshot) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, inside, after)) = rest
        .split_once('{')
        .and_then(|(before, rest)| rest.split_once('}').map(|(inside, after)| (before, inside, after)))
    {
        whole.push_str(before);
        let (name, options) = inside.split_once(' ').unwrap_or((inside, ""));
        let more = Command::parse(shlex::split(options).unwrap_or_default());
        let command = || own.clone().with(more.clone());
        whole.push_str(&match name {
            "again" => command().typed(),
            "run" => command().named("run").typed(),
            "stress" => command().named("stress").typed(),
            "as_root" => command().typed_as(None),
            "as_user" => command().typed_as(uid(detail)),
            "elsewhere" => elsewhere(command()).typed(),
            "other_scheme" => other_scheme(command()).typed(),
            "in_container" => in_container(&command(), snapshot),
            _ => inside.to_owned(),
        });
        rest = after;
    }
    whole.push_str(rest);
    whole
}

/// The user named by `run as uid 1000 or root`; none where several are.
fn uid(detail: &str) -> Option<u32> {
    let (_, rest) = detail.split_once("run as uid ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|_| !rest[digits.len()..].starts_with(','))
}

/// The command with TLS where it had none, and the other way round.
fn other_scheme(command: Command) -> Command {
    let named = command.value("--server").and_then(|text| text.split_once("://"));
    let Some((scheme, rest)) = named else { return command };
    let other = scheme.strip_suffix('s').map_or_else(|| format!("{scheme}s"), str::to_owned);
    let server = Command::parse(vec!["--server".into(), format!("{other}://{rest}")]);
    command.with(server)
}

/// The command for another machine, where a loopback address means another server, or none.
fn elsewhere(command: Command) -> Command {
    let host = command.value("--server").and_then(|text| url::Url::parse(text).ok());
    let loopback = host.is_none_or(|url| match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
        Some(url::Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => true,
    });
    match loopback {
        false => command,
        true => {
            let address = Command::parse(vec!["--server".into(), ADDRESS.into()]);
            command.without("--server").with(address)
        }
    }
}

/// The commands that bring the doctor into the server's container and run it there. Files of the host are not there.
fn in_container(command: &Command, snapshot: &Snapshot) -> String {
    let mut inside = command.bare();
    for flag in ["--server", "--smoke", "--connections"] {
        let value = command.value(flag).map(str::to_owned);
        if command.has(flag) {
            inside = inside.with(Command::parse([Some(flag.to_owned()), value].into_iter().flatten().collect()));
        }
    }
    let facts = &snapshot.facts;
    let in_pod =
        !snapshot.target.kubectl.is_empty() || facts.container.kind.known().is_some_and(|kind| kind == "kubernetes");
    let run = inside.typed().replacen("gpu-doctor", "/tmp/gpu-doctor", 1);
    let own = "\"$(command -v gpu-doctor)\"";
    match in_pod {
        true => format!("kubectl cp {own} POD:/tmp/gpu-doctor`, then `kubectl exec POD -- {run}"),
        false => {
            let name = facts.docker.name.known().map(|name| quoted(name.trim_start_matches('/')));
            let name = name.filter(|name| !name.is_empty()).unwrap_or("CONTAINER".into());
            format!("docker cp {own} {name}:/tmp/gpu-doctor`, then `docker exec {name} {run}")
        }
    }
}

#[cfg(test)]
#[path = "ways_tests.rs"]
mod tests;
