//! The kernel's table of TCP sockets (proc_net_tcp(5)).

use crate::snapshot::{Unknown, Why};
use procfs::net::{TcpNetEntries, TcpNetEntry, TcpState};
use procfs::{FromBufReadSI, current_system_info};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::Path;

/// Of the network namespace that `/proc/PROCESS/net` shows (`self` or a process's id), the sockets in one state, IPv4
/// before IPv6.
///
/// Under load most lines are connections that are already closed, tens of thousands: only lines in that state are parsed.
///
/// # Errors
/// A table cannot be read, or has a line that is none. A kernel without IPv6 has no table of it.
pub fn in_state(process: &str, state: &TcpState) -> Result<Vec<TcpNetEntry>, Unknown> {
    let folder = Path::new("/proc").join(process).join("net");
    let four = table(&folder.join("tcp"), state)?;
    match table(&folder.join("tcp6"), state) {
        Err(unknown) if unknown.why == Why::Absent => Ok(four),
        six => Ok(four.into_iter().chain(six?).collect()),
    }
}

fn table(path: &Path, state: &TcpState) -> Result<Vec<TcpNetEntry>, Unknown> {
    let opened = File::open(path).map_err(|error| Unknown::from_io(&error, path.display()))?;
    entries(BufReader::new(opened), state).map_err(|error| match error {
        // The process has ended.
        procfs::ProcError::Io(error, _) if error.kind() != ErrorKind::InvalidData => {
            Unknown::from_io(&error, path.display())
        }
        error => Unknown::new(Why::Malformed, format!("{}: {error}", path.display())),
    })
}

fn entries(mut table: impl BufRead, state: &TcpState) -> procfs::ProcResult<Vec<TcpNetEntry>> {
    let wanted = format!("{:02X}", state.to_u8());
    let (mut kept, mut line) = (Vec::new(), Vec::new());
    while table.read_until(b'\n', &mut line)? > 0 {
        let fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        // The head stays, as the parser expects one.
        if kept.is_empty() || fields.into_iter().nth(3) == Some(wanted.as_bytes()) {
            kept.extend_from_slice(&line);
        }
        line.clear();
    }
    Ok(TcpNetEntries::from_buf_read(kept.as_slice(), current_system_info())?.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const HEAD: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn line(port: u16, state: u8, inode: u64) -> String {
        let queues = "00000000:00000000 00:00000000 00000000";
        format!(
            "   0: 0100007F:{port:04X} 00000000:0000 {state:02X} {queues}  1000        0 {inode} 1 0 100 0 0 10 0\n"
        )
    }

    #[test]
    fn only_sockets_in_the_state_are_told_and_lines_in_others_may_be_anything() {
        let table = [HEAD, &line(80, 0x0A, 7), &line(81, 6, 0), "   2: torn 06\n", &line(82, 0x0A, 8)].concat();
        let told = entries(table.as_bytes(), &TcpState::Listen).unwrap();
        let told: Vec<_> = told.iter().map(|one| (one.local_address.to_string(), one.uid, one.inode)).collect();
        assert_eq!(told, [("127.0.0.1:80".into(), 1000, 7), ("127.0.0.1:82".into(), 1000, 8)]);
        assert!(entries(HEAD.as_bytes(), &TcpState::Listen).unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_none_is_no_empty_table() {
        let table = format!("{HEAD}   2: here 00000000:0000 0A\n");
        assert!(entries(table.as_bytes(), &TcpState::Listen).is_err());
    }

    #[test]
    fn a_socket_of_this_process_is_in_the_kernels_table() {
        let own = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let told = in_state("self", &TcpState::Listen).unwrap();
        assert!(told.iter().any(|one| one.local_address == held.local_addr().unwrap()));
        assert!(told.iter().all(|one| one.local_address != own && one.state == TcpState::Listen));
        assert_eq!(in_state("0", &TcpState::Listen).unwrap_err().why, Why::Absent);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_table_or_an_error(table in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = entries(table.as_slice(), &TcpState::Established);
        }
    }
}
