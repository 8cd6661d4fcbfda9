//! Which container engine a process runs under.

use super::mounts::Mount;
use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use regex::Regex;
use std::sync::LazyLock;

/// What could be seen of a container.
pub struct Signs {
    /// Text of `/proc/PID/cgroup` (cgroups(7)).
    pub cgroup: Result<String, Unknown>,
    /// Marker files found, with the kind that they stand for.
    pub markers: Result<Vec<(&'static str, &'static str)>, Unknown>,
    /// Whether Kubernetes set its variables.
    pub kubernetes_variable: bool,
}

/// Files that engines leave in a container's root, most telling first.
const MARKERS: &[(&str, &str)] =
    &[("/var/run/secrets/kubernetes.io", "kubernetes"), ("/run/.containerenv", "podman"), ("/.dockerenv", "docker")];

/// Looks for markers in the process's root.
pub fn signs(root: &Tree, cgroup: Result<String, Unknown>, kubernetes_variable: bool) -> Signs {
    let mut markers = Vec::new();
    let mut refused = None;
    for (path, kind) in MARKERS {
        match root.exists(path) {
            Ok(true) => markers.push((*path, *kind)),
            Ok(false) => {}
            Err(unknown) => refused = Some(unknown),
        }
    }
    let markers = match refused {
        Some(unknown) if markers.is_empty() => Err(unknown),
        _ => Ok(markers),
    };
    Signs { cgroup, markers, kubernetes_variable }
}

/// The kind, and what told it. `none` is said only where control group and markers could both be read.
pub fn judge(signs: &Signs) -> Result<(&'static str, String), Unknown> {
    let paths = signs.cgroup.as_deref().map(paths).unwrap_or_default();
    if let Some((kind, path)) = paths.iter().find_map(|path| kind_of_path(path).map(|kind| (kind, path))) {
        return Ok((kind, format!("control group {path}")));
    }
    if signs.kubernetes_variable {
        return Ok(("kubernetes", "variable KUBERNETES_SERVICE_HOST".into()));
    }
    if let Some((path, kind)) = signs.markers.as_deref().unwrap_or_default().first() {
        return Ok((kind, format!("file {path}")));
    }
    let cgroup = signs.cgroup.as_ref().map_err(Unknown::clone)?;
    signs.markers.as_ref().map_err(Unknown::clone)?;
    if paths.is_empty() {
        let seen: String = cgroup.chars().take(80).collect();
        return Err(Unknown::new(Why::Malformed, format!("the control group file holds no path: \"{seen}\"")));
    }
    // A path that leaves the visible part of the hierarchy belongs to another control group namespace.
    match paths.iter().find(|path| path.starts_with("/..")) {
        Some(path) => Ok(("unnamed", format!("control group {path}, outside of the doctor's namespace,"))),
        None => Ok(("none", "control groups without a container's name, and no marker file,".into())),
    }
}

/// The third field of every line: `12:devices:/docker/0123`.
fn paths(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).filter(|path| path.starts_with('/')).collect()
}

/// The engine that a control group's path names. `/system.slice/docker.service` is the daemon, not a container.
fn kind_of_path(path: &str) -> Option<&'static str> {
    static KINDS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
        [
            (r"/kubepods", "kubernetes"),
            (r"/libpod[-_]", "podman"),
            (r"/(docker|ecs)/[0-9a-f-]{12,}|docker-[0-9a-f]{12,}", "docker"),
            (r"cri-containerd|/containerd/|nerdctl|/buildkit/|/default/[0-9a-f]{64}", "containerd"),
            (r"/lxc(/|\.payload)", "lxc"),
            (r"/crio-|systemd-nspawn@|/garden/", "unnamed"),
        ]
        .map(|(pattern, kind)| (Regex::new(pattern).expect("a valid pattern"), kind))
        .into()
    });
    KINDS.iter().find(|(pattern, _)| pattern.is_match(path)).map(|(_, kind)| *kind)
}

/// The container's id: the last one in its control group's path, or that of the folder from which its engine mounts
/// `/etc/hostname` and the like (`/var/lib/docker/containers/<id>/hostname`).
pub fn id(memberships: &Result<String, Unknown>, mounts: &Result<Vec<Mount>, Unknown>) -> Result<String, Unknown> {
    static ID: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?:^|[^0-9a-f])([0-9a-f]{64})(?:[^0-9a-f]|$)").expect("a valid pattern"));
    let last = |text: &str| ID.captures_iter(text).last().and_then(|found| Some(found.get(1)?.as_str().to_owned()));
    let text = memberships.as_ref().map_err(Unknown::clone)?;
    if let Some(id) = paths(text).iter().find_map(|path| last(path)) {
        return Ok(id);
    }
    let mounted = mounts.as_ref().map_err(Unknown::clone)?;
    let engines = mounted.iter().map(|mount| mount.root.to_string_lossy()).filter(|root| root.contains("containers/"));
    let found = engines.take(1000).find_map(|root| last(&root));
    found.ok_or_else(|| Unknown::new(Why::Absent, "neither the control group nor a mount names a container"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(cgroup: &str, markers: &[(&'static str, &'static str)]) -> Option<&'static str> {
        let signs = Signs { cgroup: Ok(cgroup.into()), markers: Ok(markers.to_vec()), kubernetes_variable: false };
        judge(&signs).ok().map(|(kind, _)| kind)
    }

    #[test]
    fn control_groups_name_the_engine() {
        let id = "3601745b3bd54d9780436faa5f0e4f72bb46231663bb99a6bb892764917832c2";
        let cases = [
            (format!("0::/system.slice/docker-{id}.scope"), "docker"),
            (format!("12:devices:/docker/{id}\n0::/"), "docker"),
            (format!("0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{id}.scope"), "kubernetes"),
            (format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{id}.scope"), "podman"),
            (format!("0::/system.slice/containerd.service/nerdctl-{id}"), "containerd"),
            ("0::/lxc.payload.gpu/system.slice/x.service".into(), "lxc"),
            ("0::/user.slice/user-1000.slice/session-1.scope".into(), "none"),
            ("0::/system.slice/docker.service".into(), "none"),
            ("0::/system.slice/containerd.service".into(), "none"),
            ("0::/../../x".into(), "unnamed"),
        ];
        for (text, expected) in cases {
            assert_eq!(of(&text, &[]), Some(expected), "{text}");
        }
        assert_eq!(of("0::/", &[("/.dockerenv", "docker")]), Some("docker"), "a namespace hides the path");
        assert_eq!(of("", &[]), None);
    }

    #[test]
    fn the_id_is_the_innermost() {
        let (outer, inner) = ("a".repeat(64), "b".repeat(64));
        let cgroup = |text: String| id(&Ok(text), &Ok(vec![]));
        assert_eq!(cgroup(format!("0::/system.slice/docker-{outer}.scope")), Ok(outer.clone()));
        assert_eq!(cgroup(format!("0::/docker/{outer}/docker/{inner}")), Ok(inner.clone()), "Docker in Docker");
        assert_eq!(cgroup(format!("0::/x/{outer}0")).unwrap_err().why, Why::Absent, "no id has 65 digits");
        let mounts = super::super::mounts::parse(&format!(
            "9 8 8:1 /var/lib/docker/containers/{inner}/hostname /etc/hostname rw - ext4 /dev/sda rw\n"
        ));
        assert_eq!(id(&Ok("0::/\n".into()), &mounts), Ok(inner), "its namespace hides the control group");
        let mounts = super::super::mounts::parse(&format!("9 8 8:1 /x/overlay2/{outer} /data rw - ext4 /dev/sda rw\n"));
        assert_eq!(id(&Ok("0::/\n".into()), &mounts).unwrap_err().why, Why::Absent);
    }

    #[test]
    fn none_needs_both_sources() {
        let denied = || Unknown::new(Why::Denied, "test");
        let signs = Signs { cgroup: Ok("0::/".into()), markers: Err(denied()), kubernetes_variable: false };
        assert_eq!(judge(&signs).unwrap_err().why, Why::Denied);
        let signs = Signs { cgroup: Err(denied()), markers: Ok(vec![]), kubernetes_variable: false };
        assert_eq!(judge(&signs).unwrap_err().why, Why::Denied);
        let signs = Signs { cgroup: Ok("0::/".into()), markers: Ok(vec![]), kubernetes_variable: true };
        assert_eq!(judge(&signs).unwrap().0, "kubernetes");
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "(.|\n){0,200}") {
            let kind = of(&text, &[]);
            prop_assert!(kind.is_none() || text.contains('/'));
        }
    }
}
