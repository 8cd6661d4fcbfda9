//! Which daemon the `docker` command of this user talks to.

use crate::probe::json_record::{Record, parse};
use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use std::path::{Path, PathBuf};

/// Largest configuration file read, bytes.
const LIMIT_BYTES: usize = 1 << 20;
/// Most contexts looked at.
const CONTEXTS_MAX: usize = 200;
/// Where Docker's own daemon listens.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// The client's daemon.
#[derive(Debug, PartialEq)]
pub struct Client {
    /// `system`, `rootless`, `desktop`, `remote` or `other`.
    pub daemon: &'static str,
    /// Its address.
    pub endpoint: String,
    /// What chose it.
    pub told_by: String,
}

/// Home of the user who asks; under sudo that of the user who called it.
pub fn home(tree: &Tree) -> Option<PathBuf> {
    let caller = std::env::var("SUDO_USER").ok().filter(|name| !name.is_empty());
    let of_caller = caller.and_then(|name| {
        let users = tree.read("/etc/passwd", LIMIT_BYTES).ok()?;
        let line = users.lines().find(|line| line.split(':').next() == Some(&name))?;
        line.split(':').nth(5).map(PathBuf::from)
    });
    of_caller.or_else(|| std::env::var_os("HOME").map(PathBuf::from)).filter(|home| home.is_absolute())
}

/// The daemon, by `DOCKER_HOST`, `DOCKER_CONTEXT` and `~/.docker/config.json`, in Docker's own order. The variables are
/// the doctor's, so they count for its own file tree only.
pub fn of(tree: &Tree, home: Option<&Path>) -> Result<Client, Unknown> {
    let variable = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.filter(|_| tree.is_whole())
    };
    chosen(tree, home, variable("DOCKER_HOST"), variable("DOCKER_CONTEXT"))
}

fn chosen(tree: &Tree, home: Option<&Path>, host: Option<String>, context: Option<String>) -> Result<Client, Unknown> {
    if let Some(endpoint) = host {
        return Ok(client(endpoint, "DOCKER_HOST".into()));
    }
    let (name, told_by) = match (context, home) {
        (Some(name), _) => (name, "DOCKER_CONTEXT".into()),
        (None, Some(home)) => {
            let path = home.join(".docker/config.json");
            let text = match tree.read(&path, LIMIT_BYTES) {
                Err(unknown) if unknown.why == Why::Absent => "{}".into(),
                other => other?,
            };
            let place = path.display().to_string();
            let value = parse(text.as_bytes()).map_err(|e| Unknown::new(Why::Malformed, format!("{place}: {e}")))?;
            (Record::new(&value, &place)?.text_or_none("currentContext")?, format!("currentContext of {place}"))
        }
        (None, None) => (String::new(), String::new()),
    };
    if name.is_empty() || name == "default" {
        return Ok(client(DEFAULT.into(), "Docker's default".into()));
    }
    let home = home.ok_or_else(|| Unknown::new(Why::Absent, format!("context {name}: no home folder is known")))?;
    let folder = home.join(".docker/contexts/meta");
    let endpoint = tree.list(&folder)?.iter().take(CONTEXTS_MAX).find_map(|entry| {
        let text = tree.read(folder.join(entry).join("meta.json"), LIMIT_BYTES).ok()?;
        let value = parse(text.as_bytes()).ok()?;
        let record = Record::new(&value, "meta.json").ok()?;
        (record.text("Name").ok()? == name).then(|| record.text("Endpoints.docker.Host").ok())?
    });
    match endpoint {
        Some(endpoint) => Ok(client(endpoint, format!("context {name}, {told_by}"))),
        None => Err(Unknown::new(Why::Absent, format!("context {name}: no readable context in {}", folder.display()))),
    }
}

fn client(endpoint: String, told_by: String) -> Client {
    let daemon = match endpoint.strip_prefix("unix://") {
        Some("/var/run/docker.sock" | "/run/docker.sock") => "system",
        Some(path) if path.contains("/.docker/desktop/") || path.contains("/.docker/run/") => "desktop",
        Some(path) if path.starts_with("/run/user/") => "rootless",
        Some(_) => "other",
        None if ["tcp://", "ssh://", "http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) => {
            "remote"
        }
        None => "other",
    };
    // A user and a password may stand in the address of a remote daemon.
    let endpoint = match (endpoint.split_once("://"), endpoint.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, address))) if daemon == "remote" => format!("{scheme}://{address}"),
        _ => endpoint,
    };
    Client { daemon, endpoint, told_by }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn variables_win_over_the_context_and_that_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let tree = Tree::new(dir.path());
        let home = Some(Path::new("/home/u"));
        let of = |host: Option<&str>, context: Option<&str>| {
            chosen(&tree, home, host.map(str::to_owned), context.map(str::to_owned)).map(|c| (c.daemon, c.endpoint))
        };
        assert_eq!(of(None, None).unwrap(), ("system", DEFAULT.to_owned()));
        write(dir.path(), "home/u/.docker/config.json", r#"{"auths": {}, "currentContext": "desktop-linux"}"#);
        assert_eq!(of(None, None).unwrap_err().why, Why::Absent, "the context's record is not there");
        let meta = r#"{"Name":"desktop-linux","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///home/u/.docker/desktop/docker.sock","SkipTLSVerify":false}}}"#;
        write(dir.path(), "home/u/.docker/contexts/meta/fe9c6bd7/meta.json", meta);
        write(dir.path(), "home/u/.docker/contexts/meta/0000/meta.json", "not JSON");
        let desktop = "unix:///home/u/.docker/desktop/docker.sock".to_owned();
        assert_eq!(of(None, None).unwrap(), ("desktop", desktop));
        assert_eq!(of(None, Some("default")).unwrap().0, "system");
        let rootless = "unix:///run/user/1000/docker.sock";
        assert_eq!(of(Some(rootless), Some("desktop-linux")).unwrap(), ("rootless", rootless.to_owned()));
        assert_eq!(of(Some("ssh://me:secret@gpu"), None).unwrap(), ("remote", "ssh://gpu".to_owned()));
        write(dir.path(), "home/u/.docker/config.json", r#"{"currentContext": 7}"#);
        assert_eq!(of(None, None).unwrap_err().why, Why::Malformed);
    }
}
