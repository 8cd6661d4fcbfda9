//! Loading a driver library in a child, and what the dynamic linker did about it.

use crate::snapshot::{Fact, Unknown, Why};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Most that is read of `/proc/self/maps`, bytes.
const MAPS_LIMIT_BYTES: u64 = 16 << 20;

/// A library that was not loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct NotLoaded {
    /// `library_missing`: the linker found no file of that name (it passes over those of another machine, and of
    /// another class if it finds a better one). `library_invalid`: a file, but not a usable one.
    pub status: &'static str,
    /// The file that the linker complained about.
    pub path: Fact<String>,
    /// The linker's text.
    pub error: String,
}

impl NotLoaded {
    /// Why nothing else is known of the library `name`.
    pub fn unknown(&self, name: &str) -> Unknown {
        let why = if self.status == "library_missing" { Why::Absent } else { Why::Malformed };
        Unknown::new(
            why,
            format!(
                "dlopen of {name} failed: {}",
                self.error.strip_prefix(&format!("{name}: ")).unwrap_or(&self.error)
            ),
        )
    }
}

/// Loads `name` as the dynamic linker finds it, and tells which file that was.
///
/// `symbol` is a function that the library must export; a library without it is invalid.
/// Runs the library's constructors, so: only in a child.
pub fn load(name: &str, symbol: &str) -> Result<(Library, Fact<String>), NotLoaded> {
    // SAFETY: foreign constructors run here; that is why this happens in a child.
    let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|error| not_loaded(name, &linker_text(&error)))?;
    // SAFETY: the symbol is only used as an address.
    let address = match unsafe { library.get::<unsafe extern "C" fn()>(symbol.as_bytes()) } {
        Ok(function) => *function as usize,
        Err(error) => {
            let path = Fact::unknown(Why::Malformed, format!("{name} does not export {symbol}"));
            return Err(NotLoaded { status: "library_invalid", path, error: linker_text(&error) });
        }
    };
    let path = mapped_file(address);
    Ok((library, path))
}

/// The dynamic linker's own text, which libloading keeps as the source of its error.
pub fn linker_text(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Reads the linker's text: `FILE: what is wrong with it`.
fn not_loaded(name: &str, error: &str) -> NotLoaded {
    let (file, trouble) = error.split_once(": ").unwrap_or(("", error));
    let missing = trouble.contains("cannot open shared object file: No such file");
    let path = match file.starts_with('/') {
        true => Fact::Known(file.to_string()),
        false if missing => Fact::unknown(Why::Absent, format!("the dynamic linker found no {file}")),
        false => Fact::unknown(Why::Unsupported, format!("the dynamic linker does not name the file: {error}")),
    };
    // A missing file of another name is a dependency: the library itself is there, and of no use.
    let status = if missing && file == name { "library_missing" } else { "library_invalid" };
    NotLoaded { status, path, error: error.to_string() }
}

/// The file that is mapped at an address of this process.
fn mapped_file(address: usize) -> Fact<String> {
    use std::io::Read;
    let place = "/proc/self/maps";
    let mut maps = Vec::new();
    let read = std::fs::File::open(place).and_then(|file| file.take(MAPS_LIMIT_BYTES).read_to_end(&mut maps));
    if let Err(error) = read {
        return Fact::Unknown(Unknown::from_io(&error, place));
    }
    match file_at(&String::from_utf8_lossy(&maps), address) {
        Some(path) => Fact::Known(path.to_string()),
        None => Fact::unknown(Why::Absent, format!("{place}: no file is mapped at {address:#x}")),
    }
}

/// The path in the line of `maps` whose range holds the address (proc(5)).
fn file_at(maps: &str, address: usize) -> Option<&str> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let bound = |text| usize::from_str_radix(text, 16).ok();
        let within = bound(start)? <= address && address < bound(end)?;
        within.then(|| rest.find('/').and_then(|at| rest.get(at..)))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_linkers_text_tells_missing_from_invalid() {
        let missing =
            not_loaded("libcuda.so.1", "libcuda.so.1: cannot open shared object file: No such file or directory");
        assert_eq!(missing.status, "library_missing");
        assert_eq!(missing.path.reason().unwrap().why, Why::Absent);
        let empty = not_loaded("libcuda.so.1", "/usr/lib/libcuda.so.1: file too short");
        assert_eq!((empty.status, empty.path), ("library_invalid", Fact::Known("/usr/lib/libcuda.so.1".into())));
        let dependency =
            not_loaded("libcuda.so.1", "libnvrm.so: cannot open shared object file: No such file or directory");
        assert_eq!(dependency.status, "library_invalid");
    }

    #[test]
    fn the_mapped_file_is_found_by_address() {
        let maps = "7f00-7f10 r--p 00000000 08:01 12   /lib/a file.so\n7f10-7f20 rw-p 00000000 00:00 0 \n";
        assert_eq!(file_at(maps, 0x7f0f), Some("/lib/a file.so"));
        assert_eq!(file_at(maps, 0x7f10), None);
        assert_eq!(file_at(maps, 0x1), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,300}", address: usize) {
            let _ = file_at(&text, address);
            let _ = not_loaded("libcuda.so.1", &text);
        }
    }
}
