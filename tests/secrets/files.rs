//! Where reports are written: to new files that only their owner reads, never through what lies there.

use crate::setup::doctor::{Said, gpu_doctor};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn saved(to: &Path, flag: &str) -> Said {
    let recorded = crate::setup::cases::fixtures().join("snapshots/a1.json");
    let form = if flag == "--output" { "json=" } else { "" };
    let to = format!("{form}{}", to.display());
    gpu_doctor(&["diagnose", recorded.to_str().unwrap(), flag, &to], &[])
}

#[test]
fn files_are_made_anew_and_what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    std::fs::write(place("precious"), "precious").unwrap();
    symlink(place("precious"), place("link")).unwrap();
    symlink(place("nowhere"), place("dangling")).unwrap();
    std::fs::create_dir(place("folder")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place("fifo")).status().unwrap().success());
    for flag in ["--save", "--output"] {
        for refused in ["link", "dangling", "folder", "fifo", "missing/x"] {
            let said = saved(&place(refused), flag);
            assert_eq!(said.code, 64, "{refused}: {}", said.err);
            assert!(said.err.contains(refused) && said.out.is_empty(), "{refused}: {}", said.err);
        }
        let old = place("old");
        std::fs::write(&old, "old").unwrap();
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
        let said = saved(&old, flag);
        assert!(said.code < 3, "{}", said.err);
        assert_eq!(std::fs::metadata(&old).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(std::fs::read_to_string(&old).unwrap().starts_with("{\n"));
    }
    assert_eq!(std::fs::read_to_string(place("precious")).unwrap(), "precious");
    assert!(!place("nowhere").exists());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn a_wrong_command_line_is_not_repeated_with_its_password() {
    for server in ["http://somebody:Q7SECRET99@h:99999999/", "http://h:x/?token=Q7SECRET99"] {
        let said = gpu_doctor(&["run", "--server", server], &[]);
        assert!(said.code >= 3 && !said.err.is_empty(), "{}", said.err);
        assert!(!said.err.contains("Q7SECRET99"), "{}", said.err);
    }
}
