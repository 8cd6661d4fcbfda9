//! The dynamic linker's cache, `/etc/ld.so.cache`, in the format that glibc has written since 2.2.
//!
//! Layout: glibc `sysdeps/generic/dl-cache.h`, `struct cache_file_new` and `struct file_entry_new`.

use crate::probe::tree::Tree;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Header: magic (20), number of libraries (4), size of the texts (4), flags (1), padding (3), extension (4), unused (12).
const HEADER_BYTES: usize = 48;
/// Entry: flags (4), offset of the name (4), offset of the path (4), OS version (4), hardware capabilities (8).
const ENTRY_BYTES: usize = 24;
/// Largest cache that is read, bytes; a desktop's has about 200 KiB.
const FILE_LIMIT_BYTES: u64 = 32 << 20;

/// Paths by library name; a name may have several, for other machines or better processors.
pub type Cache = BTreeMap<String, Vec<PathBuf>>;

/// Reads the cache of a file tree; empty if it cannot be read, as it is for the dynamic linker.
pub fn read(tree: &Tree) -> Cache {
    let mut bytes = Vec::new();
    let read =
        tree.open(Path::new("/etc/ld.so.cache")).ok().map(|file| file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes));
    if matches!(read, Some(Ok(_))) { parse(&bytes) } else { Cache::new() }
}

/// Parses a cache. What is out of bounds is left out.
pub fn parse(bytes: &[u8]) -> Cache {
    // The new format may stand behind the old one, whose size is not stated; offsets count from its own start.
    let Some(start) = bytes.windows(MAGIC.len()).position(|window| window == MAGIC) else { return Cache::new() };
    let cache = bytes.get(start..).unwrap_or_default();
    let count = number(cache, 20).unwrap_or(0) as usize;
    let entries = cache.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(ENTRY_BYTES).take(count);
    let mut found = Cache::new();
    for entry in entries {
        let (Some(name), Some(path)) = (text(cache, number(entry, 4)), text(cache, number(entry, 8))) else { continue };
        found.entry(name).or_default().push(PathBuf::from(path));
    }
    found
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// The NUL-terminated text at an offset, at most as long as a path may be.
fn text(cache: &[u8], offset: Option<u32>) -> Option<String> {
    let rest = cache.get(offset? as usize..)?;
    let rest = rest.get(..rest.len().min(libc::PATH_MAX as usize))?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(rest.get(..end)?).ok().map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cache(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut texts = Vec::new();
        let mut table = Vec::new();
        let base = HEADER_BYTES + entries.len() * ENTRY_BYTES;
        for (name, path) in entries {
            table.extend(0x303u32.to_le_bytes());
            for text in [name, path] {
                table.extend(((base + texts.len()) as u32).to_le_bytes());
                texts.extend(text.bytes().chain([0]));
            }
            table.extend([0; 12]);
        }
        let mut bytes = MAGIC.to_vec();
        bytes.extend((entries.len() as u32).to_le_bytes());
        bytes.extend((texts.len() as u32).to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        [bytes, table, texts].concat()
    }

    #[test]
    fn names_lead_to_paths_in_both_layouts() {
        let new = cache(&[("libz.so.1", "/lib/v3/libz.so.1"), ("libz.so.1", "/lib/libz.so.1"), ("liba.so", "/a")]);
        let behind_the_old = [b"ld.so-1.7.0 and its entries ".to_vec(), new.clone()].concat();
        for bytes in [new, behind_the_old] {
            let found = parse(&bytes);
            assert_eq!(found["libz.so.1"], [Path::new("/lib/v3/libz.so.1"), Path::new("/lib/libz.so.1")]);
            assert_eq!(found["liba.so"], [Path::new("/a")]);
        }
    }

    #[test]
    fn this_machine_s_cache_holds_its_own_c_library() {
        let path = Path::new("/etc/ld.so.cache");
        if path.exists() {
            let found = read(&Tree::new("/"));
            assert!(found.get("libc.so.6").is_some_and(|paths| paths.iter().any(|path| path.is_file())));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400), at in 0usize..200, cut in 0usize..200) {
            let _ = parse(&[MAGIC.to_vec(), bytes.clone()].concat());
            let mut damaged = cache(&[("libz.so.1", "/lib/libz.so.1"), ("liba.so", "/a")]);
            if let (Some(place), Some(byte)) = (damaged.get_mut(at), bytes.first()) {
                *place = *byte;
            }
            damaged.truncate(cut);
            prop_assert!(parse(&damaged).len() <= 2);
        }
    }
}
