//! Real forms of logs, and hostile ones.

use super::*;
use crate::probe::Ask;
use crate::snapshot::{Outcome, Xid};
use std::path::{Path, PathBuf};
use std::time::Instant;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/logs/kernel").join(name)
}

fn collect(ask: Ask) -> KernelLogFacts {
    let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
    run(&Context { ask, deadline: Instant::now() + PROBE.budget }, &mut facts);
    facts.kernel_log
}

fn of_file(path: PathBuf) -> KernelLogFacts {
    collect(Ask { kernel_log: Some(path), ..Ask::default() })
}

fn codes(log: &KernelLogFacts) -> Vec<(u64, &str, u64)> {
    let xids = log.xids.known().unwrap_or_else(|| panic!("{:?}", log.xids));
    xids.iter().map(|xid| (xid.code, xid.pci_address.as_str(), xid.repeats)).collect()
}

fn remedy(xid: &Xid) -> &str {
    xid.remedy.known().unwrap()
}

#[test]
fn of_kern_log_only_the_last_boot_and_only_the_kernel_counts() {
    let log = of_file(fixture("kern.log"));
    assert_eq!(
        codes(&log),
        [(31, "0000:3b:00", 1)],
        "neither the Xid 95 of the boot before nor the 48 of dcgm-exporter"
    );
    let xid = &log.xids.known().unwrap()[0];
    assert_eq!(xid.at, Fact::Known("Nov 22 09:12:44".into()));
    assert_eq!(xid.last_at, Fact::Known("Nov 22 09:12:45".into()));
    assert_eq!((xid.kind.known().unwrap().as_str(), remedy(xid)), ("application", "restart_application"));
    assert!(xid.line.contains("pid=20918"), "{}", xid.line);
    assert_eq!(log.reaches_start, Fact::Known(true));
    let lines = log.lines.known().unwrap();
    let has = |part: &str| lines.iter().any(|line| line.contains(part));
    assert!(has("API mismatch: the client has the version 550.144.03") && has("has the version 550.120."), "{lines:?}");
    assert!(
        has("module verification failed") && has("Killed process 20917 (python)") && has("PCIe Bus Error"),
        "{lines:?}"
    );
    assert!(!has("audit") && !has("dcgm"), "{lines:?}");
    assert!(lines.iter().filter(|line| line.contains("MMU Fault")).count() <= 2, "{lines:?}");
}

#[test]
fn a_gpu_off_the_bus_is_told_with_and_without_a_number() {
    let numbered = of_file(fixture("dmesg-fallen.txt"));
    assert_eq!(codes(&numbered), [(79, "0000:3b:00", 0), (154, "0000:3b:00", 0)]);
    let xids = numbered.xids.known().unwrap();
    assert_eq!((remedy(&xids[0]), remedy(&xids[1])), ("reboot", "reboot"));
    assert_eq!(xids[0].at, Fact::Known("30709.118834".into()));
    assert!(xids[0].line.contains("Xid"), "the line with the number is kept: {}", xids[0].line);
    let bare = of_file(fixture("dmesg-fallen-without-number.txt"));
    assert_eq!(codes(&bare), [(79, "0000:9b:00", 0)], "the address stands two lines before");
    assert_eq!(bare.xids.known().unwrap()[0].at, Fact::Known("Mon Nov 23 06:30:27 2026".into()));
}

#[test]
fn journal_and_old_forms_are_read() {
    let journal = of_file(fixture("journal-gsp.txt"));
    assert_eq!(codes(&journal), [(119, "0000:01:00", 1)]);
    assert_eq!(journal.xids.known().unwrap()[0].last_at, Fact::Known("2026-11-23T02:11:46+0100".into()));
    let old = of_file(fixture("messages-old.txt"));
    assert_eq!(codes(&old), [(13, "0000:03:00", 0), (43, "0000:04:00", 0), (4711, "0000:04:00", 0)]);
    assert_eq!(old.reaches_start, Fact::Known(false));
    assert_eq!(old.xids.known().unwrap()[2].kind, Fact::Known("unlisted".into()));
}

#[test]
fn a_tree_has_its_log_in_var_log() {
    let root = tempfile::tempdir().unwrap();
    let ask = || Ask { root: root.path().into(), ..Ask::default() };
    assert_eq!(collect(ask()).xids.reason().unwrap().why, Why::Absent);
    let folder = root.path().join("var/log");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(fixture("messages-old.txt"), folder.join("messages")).unwrap();
    assert_eq!(codes(&collect(ask())).len(), 3);
    std::fs::copy(fixture("journal-gsp.txt"), folder.join("kern.log")).unwrap();
    let log = collect(ask());
    assert_eq!(codes(&log)[0].0, 119, "kern.log comes first");
    assert!(log.source.known().unwrap().ends_with("var/log/kern.log"));
    std::fs::remove_file(folder.join("kern.log")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("kern.log")).unwrap();
    assert_eq!(codes(&collect(ask())).len(), 3, "a link does not lead out of the tree");
}

#[test]
fn a_log_that_nobody_named_and_few_may_read_is_no_failure() {
    let root = tempfile::tempdir().unwrap();
    let outcome = |ask: Ask| {
        let mut facts = Facts::all_unknown(&Unknown::new(Why::NotAsked, "test"));
        run(&Context { ask, deadline: Instant::now() + PROBE.budget }, &mut facts).outcome
    };
    assert_eq!(outcome(Ask { root: root.path().into(), ..Ask::default() }), Outcome::Skipped);
    let named = Ask { kernel_log: Some(root.path().join("none")), ..Ask::default() };
    assert_eq!(outcome(named), Outcome::Failed, "one that was named is to be read");
}

#[test]
fn what_is_no_log_is_an_error_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let reason = |path: &Path| of_file(path.into()).xids.reason().unwrap().clone();
    assert_eq!(reason(&path).why, Why::Absent);
    std::fs::write(&path, b"\x1f\x8b\x08\x00").unwrap();
    assert!(reason(&path).detail.contains("unpack it first"));
    let fifo = folder.path().join("fifo");
    let name = std::ffi::CString::new(fifo.display().to_string()).unwrap();
    // SAFETY: a valid C string; mkfifo makes a file and nothing else.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let started = Instant::now();
    for irregular in [fifo.as_path(), folder.path(), Path::new("/dev/zero")] {
        assert!(reason(irregular).detail.contains("not a regular file"), "{}", irregular.display());
    }
    assert!(started.elapsed().as_millis() < 500);
}

#[test]
fn of_a_huge_file_the_end_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(1 << 36).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"\n[    1.5] NVRM: Xid (PCI:0000:01:00): 48, DBE\n").unwrap();
    let started = Instant::now();
    assert_eq!(codes(&of_file(path)), [(48, "0000:01:00", 0)]);
    assert!(started.elapsed().as_secs() < 4, "{:?}", started.elapsed());
}

#[test]
fn a_flood_is_counted_and_hides_nothing() {
    let flood: String =
        (0..20_000).map(|n| format!("[{n}.5] NVRM: Xid (PCI:0000:01:00): 13, pid={n}, ESR 0x{n:x}\n")).collect();
    let reports = reports::read(&format!("{flood}[9.9] NVRM: Xid (PCI:0000:02:00): 79, GPU has fallen off the bus.\n"));
    let found: Vec<_> = reports.xids.iter().map(|xid| (xid.code, xid.repeats)).collect();
    assert_eq!(found, [(13, 19_999), (79, 0)]);
    assert!(reports.lines.len() < 10, "{}", reports.lines.len());
    let many: String = (0..500).map(|n| format!("NVRM: Xid (PCI:0000:01:00): {n}, x\n")).collect();
    assert_eq!(reports::read(&many).xids.len(), 200);
}

#[test]
fn a_recovered_gpu_needs_nothing_any_more() {
    let text = "NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)\n\
                NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)";
    let reports = reports::read(text);
    assert_eq!((reports.xids.len(), remedy(&reports.xids[0])), (1, "none"));
    assert_eq!(reports.xids[0].at.reason().unwrap().why, Why::Absent);
}

#[test]
fn the_ring_buffer_counts_before_a_file_unless_it_lost_its_beginning() {
    let start = "[    0.0] Linux version 6\n";
    let named = |name: &str, text: &str| Ok((name.to_string(), reports::read(text)));
    let chosen = |ring, file: &str| choose(ring, || named("file", file)).unwrap().0;
    let xid = "[    5.5] NVRM: Xid (PCI:0000:01:00): 48, DBE\n";
    assert_eq!(chosen(named("ring", &format!("{start}{xid}")), start), "ring");
    assert_eq!(chosen(named("ring", xid), &format!("{start}[1.1] NVRM: loading\n{xid}")), "file");
    assert_eq!(
        chosen(named("ring", xid), &format!("{start}[1.1] NVRM: loading\n")),
        "ring",
        "a file of another machine"
    );
    let denied = || Err(Unknown::new(Why::Denied, "ring"));
    assert_eq!(chosen(denied(), xid), "file");
    let neither = choose(denied(), || Err(Unknown::new(Why::Absent, "file"))).err().unwrap();
    assert_eq!((neither.why, neither.detail.as_str()), (Why::Denied, "ring"));
}

#[test]
fn this_machines_ring_is_read_or_refused_with_a_remedy() {
    match source::ring_buffer() {
        Ok(source) => assert!(source.text.contains('['), "{:?}", source.text.get(..80)),
        Err(unknown) => assert!(unknown.detail.contains("--kernel-log FILE"), "{unknown}"),
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_within_the_limits(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4000)) {
        let reports = reports::read(&String::from_utf8_lossy(&bytes));
        proptest::prop_assert!(reports.lines.len() <= 200 && reports.xids.len() <= 200);
    }

    #[test]
    fn near_reports_do_not_break_the_reading(
        lines in proptest::collection::vec("(\\[ {0,4}[0-9.]{1,9}\\] )?NVRM: (Xid \\((PCI:)?[0-9a-f:. ]{0,14}\\): ?[0-9]{0,9}|The NVIDIA GPU [0-9a-f:.]{0,12}|[a-z ]{0,9}fallen off the bus)\\PC{0,20}", 0..60),
    ) {
        let reports = reports::read(&lines.join("\n"));
        for xid in &reports.xids {
            proptest::prop_assert!(xid.meaning.known().is_some() && !xid.pci_address.is_empty());
        }
    }
}
