//! Which `libcuda.so.1` the server has, or would get.

use super::elf;
use super::mapped::Mapped;
use super::search::{Hit, Search};
use crate::probe::tree::Tree;
use crate::snapshot::{CudaDriverLibrary, Fact, Unknown, Why};
use std::path::{Path, PathBuf};

/// EM_X86_64 (elf.h), where nothing tells the machine.
const X86_64: u16 = 62;

/// The library that the processes have mapped, else the one that would be found.
pub fn of(mapped: Option<&Mapped>, search: &Search) -> CudaDriverLibrary {
    let all = mapped.map(|mapped| mapped.0.as_slice()).unwrap_or_default();
    let is_driver =
        |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libcuda.so"));
    let mut loaded: Vec<&PathBuf> = all.iter().map(|(_, path)| path).filter(is_driver).collect();
    // Beside a driver's library a stub does nothing.
    loaded.sort_by_key(|path| kind(path, path) == "stub");
    if let Some(path) = loaded.first() {
        return told(path, true, search);
    }
    let machine = ["/bin/sh", "/usr/bin/env"].iter().find_map(|path| elf::machine(&search.tree, Path::new(path)));
    let machine = machine.or_else(|| elf::machine(&Tree::new("/"), Path::new("/proc/self/exe"))).unwrap_or(X86_64);
    // What the toolkit's compiler links with is called libcuda.so; some programs ask for that name.
    let find = |name| search.find(name, &elf::Dynamic::default(), &[], machine);
    match find("libcuda.so.1").or_else(|| find("libcuda.so")) {
        Some(Hit::File(path)) => told(&path, false, search),
        _ => CudaDriverLibrary {
            kind: "none".into(),
            path: String::new(),
            version: Fact::unknown(Why::Absent, "the dynamic linker would find no libcuda.so.1"),
            size_bytes: Fact::unknown(Why::Absent, "the dynamic linker would find no libcuda.so.1"),
            seen_loaded: false,
        },
    }
}

fn told(path: &Path, seen_loaded: bool, search: &Search) -> CudaDriverLibrary {
    let resolved = search.tree.resolve(path).unwrap_or_else(|_| path.to_owned());
    let name = resolved.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let version = name.split_once(".so.").map(|(_, version)| version).filter(|version| is_driver_version(version));
    CudaDriverLibrary {
        kind: kind(path, &resolved).into(),
        path: resolved.display().to_string(),
        version: match version {
            Some(version) => Fact::Known(version.into()),
            None => Fact::unknown(Why::Absent, format!("the name {} carries no driver version", resolved.display())),
        },
        size_bytes: search
            .tree
            .stat(&resolved)
            .map(|metadata| metadata.len())
            .map_err(|unknown: Unknown| unknown)
            .into(),
        seen_loaded,
    }
}

/// The kind, by the folders in the path as it was found and with links followed. A small size tells nothing: WSL's
/// library has 150 kB too.
fn kind(found: &Path, resolved: &Path) -> &'static str {
    let has = |part: &str| [found, resolved].iter().any(|path| path.iter().any(|name| name == part));
    let compat = |path: &Path| path.iter().any(|name| name.to_string_lossy().starts_with("cuda-compat"));
    match () {
        () if has("stubs") => "stub",
        () if has("compat") || compat(found) || compat(resolved) => "compat",
        () if has("wsl") => "wsl",
        () => "driver",
    }
}

/// Driver versions start with three digits: `550.54.15`. The `1` of `libcuda.so.1` is none.
fn is_driver_version(text: &str) -> bool {
    let numbers: Option<Vec<u32>> = text.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.len() >= 2 && numbers.first().is_some_and(|first| *first >= 100))
}
