//! Connections that the server's processes hold to others while requests run: does it wait for somebody?

use super::round;
use crate::probe::process::threads::{process, refusal};
use crate::probe::tcp_sockets;
use crate::snapshot::{OutboundConnection, Unknown, Why};
use procfs::net::TcpState;
use procfs::process::FDTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use url::Url;

/// Time between two readings, and readings at most.
const PERIOD: Duration = Duration::from_millis(100);
const READINGS_MAX: usize = 600;
/// Processes that are looked at, peers that are told, at most.
const PROCESSES_MAX: usize = 16;
const PEERS_MAX: usize = 20;

/// A connection by its socket, and its peer.
type Connections = BTreeMap<u64, SocketAddr>;

/// A thread that reads until it is told to stop.
pub struct Outbound {
    stop: Sender<()>,
    reader: JoinHandle<Vec<OutboundConnection>>,
}

impl Outbound {
    /// Starts to watch the connections of these processes, those of the server's own port aside.
    ///
    /// # Errors
    /// Why they cannot be read: the descriptors of another user's processes.
    pub fn start(pids: &[u64], server: &Url) -> Result<Self, Unknown> {
        if pids.len() > PROCESSES_MAX {
            let detail = format!("the server has {} processes; at most {PROCESSES_MAX} are watched", pids.len());
            return Err(Unknown::new(Why::Unsupported, detail));
        }
        let port = server.port_or_known_default().unwrap_or_default();
        let before = connections(pids, port)?;
        let (stop, stopped) = channel::<()>();
        let pids = pids.to_vec();
        let read = move || {
            let mut readings = Vec::new();
            while readings.len() < READINGS_MAX && stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
                let Ok(now) = connections(&pids, port) else { break };
                readings.push(now);
            }
            told(&before, &readings)
        };
        let reader = std::thread::Builder::new().name("connections".into()).spawn(read);
        let reader = reader.map_err(|error| Unknown::from_io(&error, "a thread that reads connections"))?;
        Ok(Self { stop, reader })
    }

    /// Stops, and tells the peers.
    pub fn finish(self) -> Result<Vec<OutboundConnection>, Unknown> {
        drop(self.stop);
        self.reader
            .join()
            .map_err(|_| Unknown::new(Why::Crashed, "the thread that read the server's connections ended early"))
    }
}

/// Established connections of the processes whose own port is not the server's (proc_net_tcp(5)).
fn connections(pids: &[u64], port: u16) -> Result<Connections, Unknown> {
    let mut found = Connections::new();
    for pid in pids {
        let process = process(*pid)?;
        let fds = process.fd().map_err(|error| refusal(&error, *pid, "fd"))?;
        let sockets: BTreeSet<u64> = fds
            .flatten()
            .filter_map(|fd| match fd.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect();
        let established = tcp_sockets::in_state(&pid.to_string(), &TcpState::Established)?.into_iter();
        let own = established.filter(|entry| entry.local_address.port() != port && sockets.contains(&entry.inode));
        found.extend(own.map(|entry| (entry.inode, entry.remote_address)));
    }
    Ok(found)
}

/// The peers of the readings, those that were there most first.
fn told(before: &Connections, readings: &[Connections]) -> Vec<OutboundConnection> {
    let mut peers: BTreeMap<SocketAddr, (usize, bool)> = BTreeMap::new();
    for reading in readings {
        let there: BTreeSet<&SocketAddr> = reading.values().collect();
        for peer in there {
            peers.entry(*peer).or_default().0 += 1;
        }
        for (socket, peer) in reading {
            peers.entry(*peer).or_default().1 |= !before.contains_key(socket);
        }
    }
    let share = |count: usize| round(count as f64 * 100.0 / readings.len().max(1) as f64);
    let one = |(peer, (count, opened_in_window)): (SocketAddr, (usize, bool))| OutboundConnection {
        peer: peer.to_string(),
        present_percent: share(count),
        opened_in_window,
    };
    let mut told: Vec<OutboundConnection> = peers.into_iter().map(one).collect();
    told.sort_by(|a, b| b.present_percent.total_cmp(&a.present_percent).then_with(|| a.peer.cmp(&b.peer)));
    told.truncate(PEERS_MAX);
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_that_this_process_opens_is_seen_and_a_pools_is_told_apart() {
        let own = [u64::from(std::process::id())];
        let (old, new) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let _pooled = TcpStream::connect(old.local_addr().unwrap()).unwrap();
        let server: Url = "http://127.0.0.1:1/".parse().unwrap();
        let watch = Outbound::start(&own, &server).unwrap();
        let fetched = TcpStream::connect(new.local_addr().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(450));
        drop(fetched);
        let told = watch.finish().unwrap();
        let of = |listener: &TcpListener| {
            let peer = listener.local_addr().unwrap().to_string();
            told.iter().find(|one| one.peer == peer).unwrap_or_else(|| panic!("{peer}: {told:?}"))
        };
        assert!(of(&new).opened_in_window && of(&new).present_percent > 50.0, "{told:?}");
        assert!(!of(&old).opened_in_window, "{told:?}");
    }

    #[test]
    fn processes_of_which_nothing_may_be_read_are_refused() {
        let server: Url = "http://127.0.0.1:1/".parse().unwrap();
        assert!(Outbound::start(&[u64::from(u32::MAX)], &server).is_err());
        assert_eq!(Outbound::start(&[1; 17], &server).err().unwrap().why, Why::Unsupported);
    }
}
