use super::child::User;
use super::*;
use std::path::Path;

fn scene(names: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("dev")).unwrap();
    names.iter().for_each(|name| std::fs::write(dir.path().join("dev").join(name), "").unwrap());
    dir
}

#[test]
fn gpus_come_in_their_order_after_the_nodes_that_all_need() {
    let dir = scene(&["nvidia10", "nvidia2", "nvidia-modeset", "nvidiactl", "nvidia0x", "null"]);
    let expected = ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia2", "/dev/nvidia10"];
    assert_eq!(paths(&Tree::new(dir.path())), expected);
    assert_eq!(paths(&Tree::new(dir.path().join("none"))), expected[..2]);
}

#[test]
fn without_a_server_the_doctor_speaks_for_itself() {
    let at = server::standpoint(Path::new("/mnt/disk"), None);
    assert_eq!((at.root.as_path(), at.for_server), (Path::new("/mnt/disk"), false));
    let nobody = Err(Unknown::new(Why::NotAsked, "no server was named"));
    let room = told(&at, &nobody);
    assert_eq!(room.opened_for, Fact::Known("gpu-doctor".into()));
    assert_eq!(room.opened_as_uid, Fact::Known(server::own_uid().into()));
    assert_eq!(room.server_gids.reason().unwrap().why, Why::NotAsked);
}

#[test]
fn a_server_in_the_same_root_is_stood_in_for() {
    // This process stands for the server: same root, same rights.
    let user = User { uid: server::own_uid(), gid: 4, groups: vec![44, 4] };
    let mut same = Server { pid: std::process::id().into(), user, overrides_permissions: true };
    assert_eq!(same.gids(), [4, 44]);
    let at = server::standpoint(Path::new("/"), Some(&same));
    assert_eq!(at.root, Path::new("/"));
    if server::own_uid() == 0 {
        assert!(at.for_server && at.become_user.is_none());
        same.overrides_permissions = false;
        same.user.uid = 1000;
        let at = server::standpoint(Path::new("/"), Some(&same));
        assert_eq!(at.become_user, Some(same.user.clone()));
        assert!(at.for_server);
        assert_eq!(told(&at, &Ok(same)).opened_as_uid, Fact::Known(1000));
    }
    let gone = Server { pid: u64::MAX, user: User { uid: 1, gid: 1, groups: vec![] }, overrides_permissions: false };
    assert!(!server::standpoint(Path::new("/"), Some(&gone)).for_server, "a process that has ended has no root");
}

#[test]
fn the_rights_of_a_running_server_are_read() {
    let mut command = std::process::Command::new("sleep");
    command.arg("60");
    if server::own_uid() == 0 {
        use std::os::unix::process::CommandExt;
        command.uid(65534).gid(65533);
    }
    let mut sleeper = command.spawn().unwrap();
    let reason = Unknown::new(Why::NotAsked, "test");
    let mut facts = Facts::all_unknown(&reason);
    assert_eq!(server::of(&facts).err(), Some(reason.clone()), "without a server there are no rights");
    let untold = json!({ "unknown": reason });
    let process = json!({
        "pid": sleeper.id(), "role": "listener", "command": untold, "executable": untold, "working_directory": untold,
        "uid": untold, "started_at": untold, "resident_bytes": untold, "reloads": untold,
    });
    facts.process.processes = Fact::Known(vec![serde_json::from_value(process).unwrap()]);
    // The new process takes on its user a moment after it was made.
    std::thread::sleep(Duration::from_millis(100));
    let server = server::of(&facts);
    let at = server::standpoint(Path::new("/"), server.as_ref().ok());
    let _ = sleeper.kill();
    let _ = sleeper.wait();
    let server = server.unwrap();
    assert_eq!(server.pid, u64::from(sleeper.id()));
    if server::own_uid() == 0 {
        assert_eq!((server.user.uid, server.gids(), server.overrides_permissions), (65534, vec![65533], false));
        assert_eq!(at.become_user.as_ref(), Some(&server.user));
    } else {
        assert_eq!(server.user.uid, server::own_uid());
    }
    assert!(at.for_server && at.root == Path::new("/"));
}
