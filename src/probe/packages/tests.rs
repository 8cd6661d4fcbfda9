use super::*;
use crate::probe::Ask;
use crate::snapshot::ServerProcess;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn install(site: &Path, name: &str, version: &str) {
    let folder = site.join(format!("{}-{version}.dist-info", name.replace('-', "_")));
    write(&folder.join("METADATA"), &format!("Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\nText\n"));
}

fn venv(root: &Path, config: &str) -> PathBuf {
    write(&root.join("pyvenv.cfg"), config);
    fs::create_dir_all(root.join("bin")).unwrap();
    symlink("/usr/bin/python3", root.join("bin/python")).unwrap();
    let site = root.join("lib/python3.11/site-packages");
    fs::create_dir_all(&site).unwrap();
    symlink("lib", root.join("lib64")).unwrap();
    site
}

fn packages(ask: Ask, facts: &mut Facts) -> (PackagesFacts, Ran) {
    let ran = run(&Context { ask, deadline: Instant::now() + PROBE.budget }, facts);
    (facts.packages.clone(), ran)
}

fn nothing() -> Facts {
    Facts::all_unknown(&Unknown::new(Why::NotAsked, "no server was named"))
}

fn of_python(root: &Path, python: &Path) -> PackagesFacts {
    let ask = Ask { root: root.into(), python: Some(python.into()), ..Ask::default() };
    packages(ask, &mut nothing()).0
}

#[test]
fn a_virtual_environment_is_read_without_running_it() {
    let dir = tempfile::tempdir().unwrap();
    let site = venv(dir.path(), "home = /usr/bin\ninclude-system-site-packages = false\nversion = 3.11.2\n");
    install(&site, "onnxruntime", "1.23.2");
    install(&site, "onnxruntime-gpu", "1.22.0");
    install(&site, "onnxruntime-genai", "0.9.0");
    install(&site, "numpy", "2.0.0");
    fs::create_dir_all(site.join("torch-2.5.1.dist-info")).unwrap();
    let info = "package_name = 'onnxruntime'\n__version__ = '1.23.2'\n";
    write(&site.join("onnxruntime/capi/build_and_package_info.py"), info);
    let facts = of_python(Path::new("/"), &dir.path().join("bin/python"));
    assert_eq!(facts.site_packages, Fact::Known(vec![site.display().to_string()]), "lib64 is the same folder");
    assert_eq!(facts.found_by, Fact::Known("--python".into()));
    let names: Vec<_> =
        facts.distributions.known().unwrap().iter().map(|d| (d.name.as_str(), d.version.as_str())).collect();
    let expected =
        [("onnxruntime", "1.23.2"), ("onnxruntime-genai", "0.9.0"), ("onnxruntime-gpu", "1.22.0"), ("torch", "2.5.1")];
    assert_eq!(names, expected, "a name and version without METADATA come from the folder");
    let both = vec!["onnxruntime".to_owned(), "onnxruntime-gpu".to_owned()];
    assert_eq!(facts.onnxruntime_distributions, Fact::Known(both));
    let build = facts.onnxruntime_build.known().unwrap();
    assert_eq!((build.package_name.as_str(), build.version.as_str()), ("onnxruntime", "1.23.2"));
    assert_eq!(build.cuda_version.reason().unwrap().why, Why::Absent);
}

#[test]
fn an_environment_may_include_the_systems_packages() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    venv(&root.join("srv/venv"), "home = /usr/bin\ninclude-system-site-packages = true\n");
    install(&root.join("usr/local/lib/python3.11/dist-packages"), "onnxruntime-gpu", "1.20.1");
    fs::create_dir_all(root.join("usr/lib/python3/dist-packages")).unwrap();
    let facts = of_python(root, Path::new("/srv/venv/bin/python"));
    let outside = |path: &str| root.join(path).display().to_string();
    let expected = [
        "srv/venv/lib/python3.11/site-packages",
        "usr/local/lib/python3.11/dist-packages",
        "usr/lib/python3/dist-packages",
    ];
    assert_eq!(facts.site_packages, Fact::Known(expected.map(outside).into()));
    assert_eq!(facts.onnxruntime_distributions, Fact::Known(vec!["onnxruntime-gpu".into()]));
    assert_eq!(facts.onnxruntime_build.reason().unwrap().why, Why::Absent);
}

#[test]
fn the_systems_interpreter_is_followed_to_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(&root.join("usr/bin/python3.12"), "");
    symlink("python3.12", root.join("usr/bin/python3")).unwrap();
    for version in ["3.11", "3.12"] {
        fs::create_dir_all(root.join(format!("usr/local/lib/python{version}/dist-packages"))).unwrap();
    }
    let facts = of_python(root, Path::new("/usr/bin/python3"));
    let expected = root.join("usr/local/lib/python3.12/dist-packages").display().to_string();
    assert_eq!(facts.site_packages, Fact::Known(vec![expected]));
    assert_eq!(facts.distributions, Fact::Known(Vec::new()));
    let missing = of_python(root, Path::new("/usr/bin/python4"));
    assert_eq!(missing.site_packages.reason().unwrap().why, Why::Absent);
}

fn process(command: &str) -> ServerProcess {
    ServerProcess {
        command: Fact::Known(command.into()),
        executable: Fact::Known("/usr/bin/python3.11".into()),
        working_directory: Fact::Known("/".into()),
        ..ServerProcess::all_unknown(std::process::id().into(), &Unknown::new(Why::Absent, "test"))
    }
}

#[test]
fn the_server_shows_its_packages_by_what_it_maps_or_how_it_was_called() {
    let dir = tempfile::tempdir().unwrap();
    let site = venv(dir.path(), "home = /usr/bin\n");
    install(&site, "ctranslate2", "4.5.0");
    let shown = Fact::Known(vec![site.display().to_string()]);
    let mut facts = nothing();
    facts.process.processes = Fact::Known(vec![process("/usr/bin/python3 app.py")]);
    let library = site.join("ctranslate2.libs/libctranslate2-bc15bf3f.so.4.5.0").display().to_string();
    facts.process.gpu_libraries = Fact::Known(BTreeMap::from([("ctranslate2".into(), library)]));
    let (found, ran) = packages(Ask::default(), &mut facts);
    assert_eq!((found.site_packages, ran), (shown.clone(), Ran::ok()));
    assert!(found.found_by.known().unwrap().contains("map"));

    facts.process.gpu_libraries = Fact::Known(BTreeMap::new());
    let prefix = dir.path().display().to_string();
    facts.process.environment = Fact::Known(BTreeMap::from([("VIRTUAL_ENV".into(), prefix.clone())]));
    assert_eq!(packages(Ask::default(), &mut facts).0.site_packages, shown);

    facts.process.environment = Fact::Known(BTreeMap::new());
    facts.process.processes = Fact::Known(vec![process(&format!("{prefix}/bin/python {prefix}/bin/uvicorn app:app"))]);
    let (found, _) = packages(Ask::default(), &mut facts);
    assert_eq!(found.site_packages, shown);
    assert!(found.found_by.known().unwrap().starts_with("the command line"));
}

#[test]
fn another_program_is_not_taken_for_python() {
    let facts = of_python(Path::new("/"), Path::new("/bin/ls"));
    let unknown = facts.site_packages.reason().unwrap();
    assert!(unknown.why == Why::Malformed && unknown.detail.contains("/bin/ls is no Python"), "{unknown}");
}

#[test]
fn without_python_and_process_nothing_is_claimed() {
    let (found, ran) = packages(Ask::default(), &mut nothing());
    assert_eq!(found.distributions.reason().unwrap().why, Why::NotAsked);
    assert_eq!(ran.outcome, crate::snapshot::Outcome::Skipped);
}
