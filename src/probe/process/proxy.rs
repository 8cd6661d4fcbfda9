//! Docker's proxy holds a container's published port on the host; the server listens in the container's namespace.

use super::port::{self, Socket};
use crate::snapshot::{Unknown, Why};
use procfs::process::Process;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

/// Most network namespaces looked into.
const NAMESPACES_MAX: usize = 512;

/// The address to which a `docker-proxy` of these arguments forwards; `None` for other programs.
pub fn forwards_to(arguments: &[String]) -> Option<(IpAddr, u16)> {
    let program = arguments.first()?.rsplit('/').next()?;
    if program != "docker-proxy" {
        return None;
    }
    let value = |name: &str| {
        let position = arguments.iter().position(|argument| argument == name)?;
        arguments.get(position + 1)
    };
    Some((value("-container-ip")?.parse().ok()?, value("-container-port")?.parse().ok()?))
}

/// Sockets that listen on the port in the namespace that has the address.
pub fn listening(address: IpAddr, port: u16, deadline: Instant) -> Result<Vec<Socket>, Unknown> {
    let mut seen: BTreeSet<PathBuf> = namespace("self").into_iter().collect();
    let unreached =
        |why, detail: &str| Unknown::new(why, format!("docker-proxy forwards to {address}:{port}; {detail}"));
    let all = procfs::process::all_processes().map_err(|error| unreached(Why::Denied, &format!("/proc: {error}")))?;
    let mut refused = false;
    for process in all.flatten() {
        if Instant::now() >= deadline || seen.len() > NAMESPACES_MAX {
            return Err(unreached(Why::TimedOut, "time ran out before its namespace was found"));
        }
        let namespace = match namespace(&process.pid.to_string()) {
            Ok(namespace) => namespace,
            Err(error) => {
                refused |= error.kind() == std::io::ErrorKind::PermissionDenied;
                continue;
            }
        };
        if !seen.insert(namespace) || !has_address(process.pid, address) {
            continue;
        }
        match port::listening(&process.pid.to_string(), port, &[address]) {
            Ok(sockets) if sockets.is_empty() => {}
            Ok(sockets) => return Ok(sockets),
            Err(unknown) => refused |= unknown.why == Why::Denied,
        }
    }
    Err(match refused {
        true => unreached(Why::Denied, "not every process's namespace could be read: run as root, or in the container"),
        false => {
            unreached(Why::Absent, "nothing listens there: the server in the container is not up, or on another port")
        }
    })
}

fn namespace(pid: &str) -> std::io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net"))
}

/// Whether the address is one of the process's network namespace.
fn has_address(pid: i32, address: IpAddr) -> bool {
    let Ok(process) = Process::new(pid) else { return false };
    let text = |file: &str| {
        use std::io::Read;
        let mut text = String::new();
        let opened = process.open_relative(file).ok()?;
        opened.take(4 * 1024 * 1024).read_to_string(&mut text).ok().map(|_| text)
    };
    match address {
        // An address is followed by a line that calls it the host's own.
        IpAddr::V4(address) => text("net/fib_trie").is_some_and(|text| {
            let wanted = format!("|-- {address}");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            lines.windows(2).any(|pair| matches!(pair, [a, b] if *a == wanted && b.contains("host LOCAL")))
        }),
        IpAddr::V6(address) => text("net/if_inet6").is_some_and(|text| {
            let wanted: String = address.octets().iter().map(|byte| format!("{byte:02x}")).collect();
            text.lines().any(|line| line.starts_with(&wanted))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_proxy_says_where_it_forwards_to() {
        let of = |line: &str| forwards_to(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 80 -container-ip 172.17.0.2 \
                    -container-port 8000 -use-listen-fd";
        assert_eq!(of(line), Some(("172.17.0.2".parse().unwrap(), 8000)));
        assert_eq!(of("/usr/bin/docker-proxy -container-ip"), None);
        assert_eq!(of("python serve.py -container-ip 172.17.0.2 -container-port 8000"), None);
        assert_eq!(forwards_to(&[]), None);
    }

    #[test]
    fn the_loopback_address_is_this_processs_own() {
        let pid = std::process::id() as i32;
        assert!(has_address(pid, "127.0.0.1".parse().unwrap()));
        assert!(!has_address(pid, "192.0.2.7".parse().unwrap()));
    }

    #[test]
    fn an_address_without_a_namespace_is_told() {
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        let unknown = listening("192.0.2.7".parse().unwrap(), 8000, deadline).err().unwrap();
        assert!(unknown.detail.contains("192.0.2.7:8000"), "{unknown}");
    }
}
