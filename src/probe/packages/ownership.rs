//! Whose files the folder `onnxruntime` holds: several distributions write into it, and the last one wins.

use super::distributions::{self, Found};
use super::record::{self, Row};
use crate::probe::tree::Tree;
use crate::snapshot::{OwnedFile, Unknown, Why};
use ring::digest::{Context as Digest, SHA256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Largest RECORD that is read, bytes.
const RECORD_BYTES: usize = 4 << 20;
/// Largest file that is hashed, bytes: the extension module has 23 MB, the CUDA provider 400 MB.
const HASHED_FILE_BYTES: u64 = 64 << 20;
/// Most that is hashed of all files, bytes.
const HASHED_BYTES: u64 = 256 << 20;
/// Most key files.
const FILES_MAX: usize = 64;
/// Files outside of `capi` that tell a whole package from the remains of one.
const KEY_FILES: &[&str] = &["onnxruntime/__init__.py", "onnxruntime/capi/build_and_package_info.py"];
/// Begin of the extension module's name: what `import onnxruntime` runs.
const EXTENSION: &str = "onnxruntime/capi/onnxruntime_pybind11_state";

/// Files and owner.
pub struct Ownership {
    /// The key files that are listed, sorted by path.
    pub files: Vec<OwnedFile>,
    /// The distribution that wrote the extension module.
    pub owner: Result<String, Unknown>,
}

/// A line of a RECORD: who says that a file is theirs, and what it was like when they wrote it.
struct Claim {
    by: String,
    sha256: Option<[u8; 32]>,
}

/// The folder of `folders` whose `onnxruntime` an import would run: Python prefers a package with `__init__.py` to the
/// bare folders before it.
pub fn home<'a>(tree: &Tree, folders: &'a [PathBuf]) -> Result<Option<&'a PathBuf>, Unknown> {
    for folder in folders {
        for name in ["__init__.py", "__init__.pyc"] {
            if tree.exists(folder.join("onnxruntime").join(name))? {
                return Ok(Some(folder));
            }
        }
    }
    for folder in folders {
        if tree.exists(folder.join("onnxruntime"))? {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

/// Compares the key files of `onnxruntime` with the RECORD of each distribution that provides it, until `deadline`.
pub fn of(tree: &Tree, folders: &[PathBuf], found: &[Found], deadline: Instant) -> Result<Ownership, Unknown> {
    let providers = distributions::providing_onnxruntime(tree, found);
    let named = providers.first().and_then(|first| first.folder.parent());
    let Some(home) = home(tree, folders)?.map(PathBuf::as_path).or(named) else {
        let owner = Err(Unknown::new(Why::NotAsked, "no distribution provides onnxruntime"));
        return Ok(Ownership { files: Vec::new(), owner });
    };
    let mut listed: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for provider in providers.iter().filter(|provider| provider.folder.parent() == Some(home)) {
        for row in recorded(tree, &provider.folder)?.into_iter().filter(|row| is_key(&row.path)) {
            listed.entry(row.path).or_default().push(Claim { by: provider.name.clone(), sha256: row.sha256 });
        }
    }
    let mut left = HASHED_BYTES;
    let files: Vec<OwnedFile> = listed
        .into_iter()
        .take(FILES_MAX)
        .map(|(path, claims)| compared(tree, home, path, claims, &mut left, deadline))
        .collect();
    let owner = owner(&files, &tree.outside(home));
    Ok(Ownership { files, owner })
}

/// The rows of a distribution's RECORD; none where it has no RECORD, as distributions' own packages have it.
fn recorded(tree: &Tree, folder: &Path) -> Result<Vec<Row>, Unknown> {
    match tree.read(folder.join("RECORD"), RECORD_BYTES) {
        Ok(text) => Ok(record::rows(&text)),
        Err(unknown) if unknown.why == Why::Absent => Ok(Vec::new()),
        Err(unknown) => Err(unknown),
    }
}

/// Whether a path is one of those that are compared. Exact names only, so that no path climbs out.
fn is_key(path: &str) -> bool {
    let library = path.strip_prefix("onnxruntime/capi/").filter(|name| !name.contains('/') && name.contains(".so"));
    let library = library.is_some_and(|name| name.starts_with("libonnxruntime") || path.starts_with(EXTENSION));
    library || KEY_FILES.contains(&path)
}

fn compared(
    tree: &Tree,
    home: &Path,
    path: String,
    claims: Vec<Claim>,
    left: &mut u64,
    deadline: Instant,
) -> OwnedFile {
    let file = home.join(&path);
    let mut present = tree.exists(&file);
    if present == Ok(false) && path.ends_with(".py") {
        // A deployment may ship the compiled files only.
        present = tree.exists(file.with_extension("pyc"));
    }
    let written_by = match present {
        Ok(true) => hash(tree, &file, left, deadline)
            .map(|digest| unique(claims.iter().filter(|claim| claim.sha256 == Some(digest)).map(|claim| &claim.by))),
        Ok(false) => Ok(Vec::new()),
        Err(ref unknown) => Err(unknown.clone()),
    };
    let listed_by = unique(claims.iter().map(|claim| &claim.by));
    OwnedFile { path, present: present.into(), listed_by, written_by: written_by.into() }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.cloned().collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The SHA-256 of a file that is not too large, as long as there is time.
fn hash(tree: &Tree, file: &Path, left: &mut u64, deadline: Instant) -> Result<[u8; 32], Unknown> {
    let shown = tree.outside(file).display().to_string();
    let bytes = tree.stat(file)?.len();
    if bytes > HASHED_FILE_BYTES.min(*left) {
        return Err(Unknown::new(Why::Unsupported, format!("{shown}: {bytes} bytes are too many to be hashed")));
    }
    let mut reader = tree.open(file)?.take(bytes.saturating_add(1));
    let mut digest = Digest::new(&SHA256);
    let mut buffer = vec![0u8; 256 << 10];
    loop {
        if Instant::now() >= deadline {
            return Err(Unknown::new(Why::TimedOut, format!("{shown}: no time was left to hash it")));
        }
        match reader.read(&mut buffer).map_err(|error| Unknown::from_io(&error, &shown))? {
            0 => break,
            count => {
                *left = left.saturating_sub(count as u64);
                digest.update(&buffer[..count]);
            }
        }
    }
    let malformed = || Unknown::new(Why::Malformed, format!("{shown}: no SHA-256"));
    digest.finish().as_ref().try_into().map_err(|_| malformed())
}

/// The distribution whose extension module is on disk.
fn owner(files: &[OwnedFile], home: &Path) -> Result<String, Unknown> {
    let home = home.display();
    let extensions: Vec<&OwnedFile> = files.iter().filter(|file| file.path.starts_with(EXTENSION)).collect();
    let Some(extension) = extensions.iter().find(|file| file.present.known() == Some(&true)) else {
        let detail = match extensions.first() {
            Some(listed) => format!("{home}/{} is listed and missing", listed.path),
            None => format!("no RECORD in {home} lists an extension module of onnxruntime"),
        };
        return Err(Unknown::new(Why::Absent, detail));
    };
    match extension.written_by.read()?.as_slice() {
        [owner] => Ok(owner.clone()),
        [] => {
            let detail = format!("{home}/{} is not the file of any distribution that lists it", extension.path);
            Err(Unknown::new(Why::Malformed, detail))
        }
        several => {
            let detail = format!("{home}/{} is the same file in {}", extension.path, several.join(" and "));
            Err(Unknown::new(Why::Unsupported, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use std::fs;
    use std::time::Duration;

    const MODULE: &str = "onnxruntime/capi/onnxruntime_pybind11_state.cpython-311-x86_64-linux-gnu.so";

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Installs as pip does: files, then RECORD with their hashes.
    fn install(root: &Path, name: &str, files: &[(&str, &str)]) {
        let mut record = String::new();
        for (path, text) in files {
            write(root, path, text);
            let digest = URL_SAFE_NO_PAD.encode(ring::digest::digest(&SHA256, text.as_bytes()));
            record.push_str(&format!("{path},sha256={digest},{}\n", text.len()));
        }
        let folder = format!("site/{}-1.0.dist-info", name.replace('-', "_"));
        write(root, &format!("{folder}/METADATA"), &format!("Name: {name}\nVersion: 1.0\n"));
        write(root, &format!("{folder}/RECORD"), &record.replace("site/", ""));
    }

    fn wheel(module: &str) -> [(String, &str); 2] {
        [("site/onnxruntime/__init__.py".into(), "same"), (format!("site/{MODULE}"), module)]
    }

    fn install_wheel(root: &Path, name: &str, module: &str) {
        let files = wheel(module);
        install(root, name, &files.each_ref().map(|(path, text)| (path.as_str(), *text)));
    }

    fn ownership(root: &Path, folders: &[&str]) -> Ownership {
        let tree = Tree::new(root);
        let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        let found = distributions::of(&tree, &folders).unwrap();
        of(&tree, &folders, &found, Instant::now() + Duration::from_secs(5)).unwrap()
    }

    #[test]
    fn the_last_one_installed_owns_the_module_and_shared_files_are_everybodys() {
        let dir = tempfile::tempdir().unwrap();
        install_wheel(dir.path(), "onnxruntime-gpu", "gpu");
        assert_eq!(ownership(dir.path(), &["/site"]).owner.as_deref(), Ok("onnxruntime-gpu"));
        install_wheel(dir.path(), "onnxruntime", "cpu");
        let after = ownership(dir.path(), &["/site"]);
        assert_eq!(after.owner.as_deref(), Ok("onnxruntime"));
        let both = vec!["onnxruntime".to_owned(), "onnxruntime-gpu".to_owned()];
        let [init, module] = after.files.as_slice() else { panic!("{:?}", after.files) };
        assert_eq!((&init.listed_by, init.written_by.known()), (&both, Some(&both)));
        assert_eq!((&module.listed_by, module.written_by.known()), (&both, Some(&both[..1].to_vec())));
    }

    #[test]
    fn what_an_uninstall_took_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        install_wheel(dir.path(), "onnxruntime-gpu", "gpu");
        for path in ["onnxruntime/__init__.py", MODULE] {
            fs::remove_file(dir.path().join("site").join(path)).unwrap();
        }
        let gutted = ownership(dir.path(), &["/site"]);
        assert!(gutted.files.iter().all(|file| file.present.known() == Some(&false)), "{:?}", gutted.files);
        assert_eq!(gutted.owner.unwrap_err().why, Why::Absent);
        write(dir.path(), "site/onnxruntime/__init__.pyc", "");
        let compiled = ownership(dir.path(), &["/site"]);
        let init = compiled.files.iter().find(|file| file.path.ends_with("__init__.py")).unwrap();
        assert_eq!(init.present.known(), Some(&true), "a compiled file will do");
    }

    #[test]
    fn python_prefers_a_whole_package_to_the_remains_before_it() {
        let dir = tempfile::tempdir().unwrap();
        install_wheel(dir.path(), "onnxruntime-gpu", "gpu");
        write(dir.path(), "first/onnxruntime/capi/left.so", "");
        let tree = Tree::new(dir.path());
        let folders = [PathBuf::from("/first"), PathBuf::from("/site")];
        assert_eq!(home(&tree, &folders).unwrap(), Some(&folders[1]));
        assert_eq!(home(&tree, &folders[..1]).unwrap(), Some(&folders[0]));
        assert_eq!(ownership(dir.path(), &["/first", "/site"]).owner.as_deref(), Ok("onnxruntime-gpu"));
    }

    #[test]
    fn a_record_that_climbs_out_or_is_hostile_reads_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "secret.so", "secret");
        let climbing = "onnxruntime/capi/../../../secret.so,,\n../secret.so,,\n/etc/passwd,,\n\
                        onnxruntime/capi/libonnxruntime.so.1/../x.so,,\n";
        write(dir.path(), "site/onnxruntime-1.0.dist-info/RECORD", climbing);
        write(dir.path(), "site/onnxruntime/__init__.py", "");
        assert_eq!(ownership(dir.path(), &["/site"]).files, []);
        let many: String = (0..500).map(|n| format!("onnxruntime/capi/libonnxruntime{n}.so,,\n")).collect();
        write(dir.path(), "site/onnxruntime-1.0.dist-info/RECORD", &many);
        assert_eq!(ownership(dir.path(), &["/site"]).files.len(), FILES_MAX);
        write(dir.path(), "site/onnxruntime-1.0.dist-info/RECORD", &"x,,\n".repeat(2 << 20));
        let tree = Tree::new(dir.path());
        let folders = [PathBuf::from("/site")];
        let found = distributions::of(&tree, &folders).unwrap();
        let refused = of(&tree, &folders, &found, Instant::now()).err().unwrap();
        assert!(refused.why == Why::Malformed && refused.detail.contains("RECORD"), "{refused}");
    }

    #[test]
    fn without_time_or_with_too_large_a_file_the_owner_is_unknown() {
        let dir = tempfile::tempdir().unwrap();
        install_wheel(dir.path(), "onnxruntime", "cpu");
        let tree = Tree::new(dir.path());
        let folders = [PathBuf::from("/site")];
        let found = distributions::of(&tree, &folders).unwrap();
        let late = of(&tree, &folders, &found, Instant::now() - Duration::from_secs(1)).unwrap();
        assert_eq!(late.owner.unwrap_err().why, Why::TimedOut);
        let file = fs::File::create(dir.path().join("site").join(MODULE)).unwrap();
        file.set_len(HASHED_FILE_BYTES + 1).unwrap();
        let refused = ownership(dir.path(), &["/site"]).owner.unwrap_err();
        assert!(refused.detail.contains("too many to be hashed"), "{refused}");
    }

    #[test]
    fn a_package_without_record_or_no_package_at_all_claims_nothing() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "site/other/__init__.py", "");
        let none = ownership(dir.path(), &["/site"]);
        assert_eq!((none.files.len(), none.owner.unwrap_err().why), (0, Why::NotAsked));
        write(dir.path(), "site/onnxruntime-1.0.dist-info/METADATA", "Name: onnxruntime\n");
        write(dir.path(), "site/onnxruntime/__init__.py", "");
        let debian = ownership(dir.path(), &["/site"]);
        assert_eq!((debian.files.len(), debian.owner.unwrap_err().why), (0, Why::Absent));
    }
}
