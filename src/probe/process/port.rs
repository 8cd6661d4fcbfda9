//! The sockets that listen on the server's port.

use crate::probe::tcp_sockets;
use crate::snapshot::{Listener, Unknown, Why};
use procfs::net::{TcpNetEntry, TcpState, UnixState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use url::Url;

/// A listening socket.
pub struct Socket {
    pub listener: Listener,
    /// Inode number, by which `/proc/PID/fd` names the socket.
    pub inode: u64,
    /// How well its address fits the URL's.
    fit: Fit,
}

/// How well a local address fits a URL's host; the kernel prefers the exact address as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Exact,
    Any,
    /// `[::]` for an IPv4 URL: it gets what no IPv4 socket takes (inet_hashtables.c, compute_score).
    AnyOfTheOtherFamily,
    Other,
}

/// The addresses that the URL's host stands for.
pub fn addresses(server: &Url) -> Vec<IpAddr> {
    let Some(host) = server.host_str().map(|host| host.trim_matches(['[', ']'])) else { return Vec::new() };
    match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        Err(_) => (host, 0).to_socket_addrs().map(|all| all.map(|a| a.ip()).collect()).unwrap_or_default(),
    }
}

/// Every socket that listens on `port` in the network namespace of the process (`self` or an id), best fitting first.
///
/// # Errors
/// The kernel's table cannot be read.
pub fn listening(process: &str, port: u16, wanted: &[IpAddr]) -> Result<Vec<Socket>, Unknown> {
    Ok(choose(tcp_sockets::in_state(process, &TcpState::Listen)?.into_iter().map(told), port, wanted))
}

/// Every address on which something listens in the doctor's network namespace, by port, each port once; the address that
/// reaches it from here.
///
/// # Errors
/// The kernel's table cannot be read.
pub fn all_listening() -> Result<Vec<SocketAddr>, Unknown> {
    let listening = tcp_sockets::in_state("self", &TcpState::Listen)?;
    Ok(reached(listening.into_iter().map(|entry| entry.local_address)))
}

/// Of listening addresses one a port: loopback before others, and in the place of "any" the loopback of its family.
fn reached(listening: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let from_here = |address: SocketAddr| match address.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        // `[::]` takes IPv4 connections too, unless it was told not to.
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        ip => SocketAddr::from((ip, address.port())),
    };
    let mut all: Vec<SocketAddr> = listening.map(from_here).collect();
    all.sort_by_key(|address| (address.port(), !address.ip().is_loopback(), address.is_ipv6()));
    all.dedup_by_key(|address| address.port());
    all
}

/// The sockets that are bound to a Unix socket's path in the doctor's network namespace.
pub fn listening_at(path: &Path) -> Result<Vec<Socket>, Unknown> {
    let shown = path.display();
    let same = |bound: &Path| {
        bound == path || bound.canonicalize().ok().is_some_and(|b| path.canonicalize().is_ok_and(|p| p == b))
    };
    let entries = procfs::net::unix()
        .map_err(|error| Unknown::new(Why::Denied, format!("/proc/net/unix: {error}")))?
        .into_iter()
        .filter(|entry| entry.state == UnixState::UNCONNECTED && entry.path.as_deref().is_some_and(same));
    let uid = path.metadata().map_err(|error| Unknown::from_io(&error, shown.to_string()))?.uid();
    let address = format!("unix:{shown}");
    Ok(entries
        .map(|entry| Socket {
            listener: Listener { address: address.clone(), uid: uid.into() },
            inode: entry.inode,
            fit: Fit::Exact,
        })
        .collect())
}

/// Sockets of which the URL's connections would be accepted: those that fit best.
pub fn best(sockets: &[Socket]) -> impl Iterator<Item = &Socket> {
    let fit = sockets.iter().map(|socket| socket.fit).min();
    sockets.iter().filter(move |socket| Some(socket.fit) == fit)
}

/// A socket's address, user and inode.
fn told(entry: TcpNetEntry) -> (SocketAddr, u32, u64) {
    (entry.local_address, entry.uid, entry.inode)
}

/// Of listening sockets, told by address, user and inode, those on the port.
fn choose(sockets: impl Iterator<Item = (SocketAddr, u32, u64)>, port: u16, wanted: &[IpAddr]) -> Vec<Socket> {
    let mut sockets: Vec<Socket> = sockets
        .filter(|(address, ..)| address.port() == port)
        .map(|(address, uid, inode)| Socket {
            listener: Listener { address: address.to_string(), uid: uid.into() },
            inode,
            fit: fit(address, wanted),
        })
        .collect();
    sockets.sort_by_key(|socket| socket.fit);
    sockets
}

fn fit(local: SocketAddr, wanted: &[IpAddr]) -> Fit {
    let local = local.ip().to_canonical();
    if wanted.iter().any(|address| address.to_canonical() == local) {
        return Fit::Exact;
    }
    // `[::]` takes IPv4 connections too, unless the socket says otherwise, which /proc does not tell.
    let same_family = |address: &IpAddr| local.is_ipv6() == address.to_canonical().is_ipv6();
    match local.is_unspecified() {
        true if wanted.is_empty() || wanted.iter().any(same_family) => Fit::Any,
        true if local.is_ipv6() => Fit::AnyOfTheOtherFamily,
        _ => Fit::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(local: &str, inode: u64) -> (SocketAddr, u32, u64) {
        (local.parse().unwrap(), 1000, inode)
    }

    #[test]
    fn a_port_is_told_once_by_the_address_that_reaches_it() {
        let listening = ["0.0.0.0:80", "[::]:80", "10.0.0.5:81", "127.0.0.1:81", "[::1]:82", "[::ffff:10.0.0.6]:83"];
        let told = reached(listening.iter().map(|address| address.parse().unwrap()));
        let told: Vec<String> = told.iter().map(SocketAddr::to_string).collect();
        assert_eq!(told, ["127.0.0.1:80", "127.0.0.1:81", "[::1]:82", "10.0.0.6:83"]);
    }

    #[test]
    fn the_exact_address_beats_the_wildcard_and_other_ports_do_not_count() {
        let entries = vec![
            entry("10.0.0.5:8000", 1),
            entry("0.0.0.0:8000", 2),
            entry("127.0.0.1:8000", 3),
            entry("127.0.0.1:8001", 5),
        ];
        let wanted = ["127.0.0.1".parse().unwrap()];
        let sockets = choose(entries.into_iter(), 8000, &wanted);
        assert_eq!(sockets.iter().map(|s| s.inode).collect::<Vec<_>>(), [3, 2, 1], "all on the port are told");
        assert_eq!(best(&sockets).map(|s| s.inode).collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_unix_socket_is_found_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("asr.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let found = listening_at(&path).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].listener.address, format!("unix:{}", path.display()));
        let own = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let links: Vec<_> = own.filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
        assert!(links.contains(&format!("socket:[{}]", found[0].inode).into()), "{links:?}");
        assert!(listening_at(&folder.path().join("other.sock")).is_err());
    }

    #[test]
    fn a_dual_stack_wildcard_serves_an_ipv4_url() {
        let wanted = ["127.0.0.1".parse().unwrap()];
        let entries = vec![entry("[::1]:80", 1), entry("[::]:80", 2)];
        let sockets = choose(entries.into_iter(), 80, &wanted);
        assert_eq!(best(&sockets).map(|s| s.inode).collect::<Vec<_>>(), [2]);
        let both = choose(vec![entry("[::]:80", 4), entry("0.0.0.0:80", 5)].into_iter(), 80, &wanted);
        assert_eq!(
            best(&both).map(|s| s.inode).collect::<Vec<_>>(),
            [5],
            "an IPv4 socket takes IPv4 connections first"
        );
        let mapped = choose(vec![entry("[::ffff:127.0.0.1]:80", 3)].into_iter(), 80, &wanted);
        assert_eq!(mapped[0].fit, Fit::Exact);
    }
}
