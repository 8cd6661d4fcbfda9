//! What a shared library asks of the dynamic linker, read without loading it.

use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest dynamic section that is read, bytes; 16 each entry.
const DYNAMIC_LIMIT_BYTES: u64 = 1 << 20;
/// Longest text, bytes.
const TEXT_LIMIT_BYTES: u64 = 64 << 10;
/// Most libraries that one library may ask for.
const NEEDED_LIMIT: usize = 1024;
/// Largest section of constants in which names are looked for, bytes; CTranslate2's has 1.3 MB.
const CONSTANTS_LIMIT_BYTES: u64 = 16 << 20;
/// Longest name of a library, bytes (NAME_MAX).
const NAME_LIMIT_BYTES: usize = 255;
/// Most names of libraries that are taken from one section.
const NAMES_LIMIT: usize = 256;

/// The parts of a library's dynamic section that decide where others are looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dynamic {
    /// Machine that it was built for, `EM_*`.
    pub machine: u16,
    /// DT_SONAME, the name under which the dynamic linker knows it once it is loaded; empty if it has none.
    pub soname: String,
    /// DT_NEEDED, in order.
    pub needed: Vec<String>,
    /// Folders of DT_RPATH; empty if DT_RUNPATH is there, which disables it.
    pub rpath: Vec<PathBuf>,
    /// Folders of DT_RUNPATH.
    pub runpath: Vec<PathBuf>,
    /// Whether there is a DT_RUNPATH.
    pub has_runpath: bool,
}

/// Machine of a 64-bit little-endian ELF file, from its first bytes; `None` if it is none.
pub fn machine(tree: &Tree, path: &Path) -> Option<u16> {
    let mut head = [0u8; 20];
    tree.open(path).ok()?.read_exact(&mut head).ok()?;
    // ELFCLASS64 and little-endian: the only kind that CUDA knows.
    (head.starts_with(b"\x7fELF\x02\x01")).then(|| u16::from_le_bytes([head[18], head[19]]))
}

/// Reads the dynamic section of the library at `path`. Of a file of 400 MB a few KiB are read.
///
/// # Errors
/// Says what is wrong with the file.
pub fn dynamic(tree: &Tree, path: &Path) -> Result<Dynamic, Unknown> {
    let file = tree.open(path)?;
    // As glibc has it: $ORIGIN is the folder in which the file was found, links not followed (elf/dl-object.c).
    let origin = path.parent().unwrap_or(Path::new("/"));
    parse(&ReadCache::new(file), origin).map_err(|error| malformed(tree, path, &error))
}

/// Names of shared libraries among the constants of a library (section `.rodata`): those that it opens by name.
///
/// # Errors
/// Says what is wrong with the file.
pub fn names_in_constants(tree: &Tree, path: &Path) -> Result<BTreeSet<String>, Unknown> {
    let file = tree.open(path)?;
    constants(&ReadCache::new(file)).map_err(|error| malformed(tree, path, &error))
}

fn malformed(tree: &Tree, path: &Path, error: &str) -> Unknown {
    Unknown::new(Why::Malformed, format!("{} cannot be read as a library: {error}", tree.outside(path).display()))
}

fn constants<'d, R: ReadRef<'d>>(data: R) -> Result<BTreeSet<String>, String> {
    let say = |error: object::read::Error| error.to_string();
    let header = elf::FileHeader64::<Endianness>::parse(data).map_err(say)?;
    let endian = header.endian().map_err(say)?;
    // Counts that do not fit into the header stand elsewhere, and a damaged file may claim any number there.
    if header.e_shnum(endian) == 0 {
        return Err("it has no section of constants".into());
    }
    let sections = header.sections(endian, data).map_err(say)?;
    let Some((_, section)) = sections.section_by_name(endian, b".rodata") else {
        return Err("it has no section of constants".into());
    };
    if section.sh_size(endian) > CONSTANTS_LIMIT_BYTES {
        return Err(format!("its section of constants is larger than {CONSTANTS_LIMIT_BYTES} bytes"));
    }
    Ok(library_names(section.data(endian, data).map_err(say)?))
}

/// NUL-terminated texts that are the name of a shared library: `libcublas.so.12`.
fn library_names(bytes: &[u8]) -> BTreeSet<String> {
    let texts = bytes.split(|byte| *byte == 0).filter(|text| text.len() <= NAME_LIMIT_BYTES);
    let names = texts.filter(|text| text.starts_with(b"lib")).filter_map(|text| std::str::from_utf8(text).ok());
    names.filter(|name| is_library_name(name)).take(NAMES_LIMIT).map(str::to_owned).collect()
}

fn is_library_name(name: &str) -> bool {
    let Some((stem, version)) = name.split_once(".so") else { return false };
    let plain = |text: &str, more: &[u8]| text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b));
    plain(stem, b"_-+") && (version.is_empty() || (version.starts_with('.') && plain(version, b".")))
}

fn parse<'d, R: ReadRef<'d>>(data: R, origin: &Path) -> Result<Dynamic, String> {
    let say = |error: object::read::Error| error.to_string();
    let header = elf::FileHeader64::<Endianness>::parse(data).map_err(say)?;
    let endian = header.endian().map_err(say)?;
    if header.e_phnum(endian) == elf::PN_XNUM {
        return Err("it claims to have more than 65534 segments".into());
    }
    let segments = header.program_headers(endian, data).map_err(say)?;
    let dynamic = segments
        .iter()
        .find(|segment| segment.p_type(endian) == elf::PT_DYNAMIC)
        .ok_or("no dynamic section: not a shared library")?;
    if dynamic.p_filesz(endian) > DYNAMIC_LIMIT_BYTES {
        return Err("the dynamic section is larger than 1 MiB".into());
    }
    let entries = dynamic.dynamic(endian, data).map_err(say)?.unwrap_or_default();
    let value = |tag| entries.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
    let texts = value(elf::DT_STRTAB).ok_or("no table of names")?;
    // The table's address, as an offset into the file.
    let base = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| {
            let into = texts.checked_sub(segment.p_vaddr(endian))?;
            (into < segment.p_filesz(endian)).then(|| segment.p_offset(endian).checked_add(into))?
        })
        .ok_or("the table of names is not in the file")?;
    let length = data.len().map_err(|()| "its length cannot be read")?;
    let text = |offset: u64| -> Option<String> {
        let start = base.checked_add(offset)?;
        let end = length.min(start.checked_add(TEXT_LIMIT_BYTES)?);
        let bytes = data.read_bytes_at_until(start..end, 0).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let mut found = Dynamic { machine: header.e_machine(endian).0, ..Dynamic::default() };
    for entry in entries.iter().take_while(|entry| entry.tag(endian) != elf::DT_NULL) {
        let tag = entry.tag(endian);
        if ![elf::DT_NEEDED, elf::DT_RPATH, elf::DT_RUNPATH, elf::DT_SONAME].contains(&tag) {
            continue;
        }
        let text = text(entry.val(endian)).ok_or("a name lies outside the file")?;
        if tag == elf::DT_SONAME {
            found.soname = text;
        } else if tag == elf::DT_RPATH {
            found.rpath = folders(&text, origin);
        } else if tag == elf::DT_RUNPATH {
            found.has_runpath = true;
            found.runpath = folders(&text, origin);
        } else if found.needed.len() < NEEDED_LIMIT {
            found.needed.push(text);
        } else {
            return Err(format!("it needs more than {NEEDED_LIMIT} libraries"));
        }
    }
    if found.has_runpath {
        found.rpath.clear();
    }
    Ok(found)
}

/// The folders of a search path in a library. Relative ones depend on the server's working directory and are left out.
fn folders(path: &str, origin: &Path) -> Vec<PathBuf> {
    let origin = origin.to_string_lossy();
    path.split(':')
        .map(|folder| folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
        .filter(|folder| folder.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole() -> Tree {
        Tree::new("/")
    }

    #[test]
    fn this_program_needs_the_c_library() {
        let own = std::env::current_exe().unwrap();
        let found = dynamic(&whole(), &own).unwrap();
        assert!(found.needed.iter().any(|name| name == "libc.so.6"), "{found:?}");
        assert_eq!(machine(&whole(), &own), Some(found.machine));
    }

    #[test]
    fn what_is_no_library_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.so");
        std::fs::write(&text, "not a library, but long enough to be looked at as one, which it is not").unwrap();
        assert_eq!(machine(&whole(), &text), None);
        let unknown = dynamic(&whole(), &text).unwrap_err();
        assert!(unknown.why == Why::Malformed && unknown.detail.contains("text.so"), "{unknown}");
        assert!(dynamic(&whole(), folder.path()).unwrap_err().detail.contains("not a regular file"));
        assert!(names_in_constants(&whole(), &text).is_err());
    }

    #[test]
    fn the_origin_is_put_in_and_relative_folders_are_left_out() {
        let found = folders("$ORIGIN/../lib:${ORIGIN}:relative::/opt/cuda/lib64", Path::new("/a/b"));
        assert_eq!(found, [Path::new("/a/b/../lib"), Path::new("/a/b"), Path::new("/opt/cuda/lib64")]);
    }

    #[test]
    fn only_whole_texts_are_names() {
        let bytes =
            b"\0libcublas.so.12\0libcudnn_ops.so\0cannot open libz.so.1\0libx\0lib/a.so\0libz.so.1 (no)\0\xfflib.so\0";
        assert_eq!(library_names(bytes), BTreeSet::from(["libcublas.so.12".into(), "libcudnn_ops.so".into()]));
    }

    /// A small library from the C compiler, with a name among its constants.
    fn small() -> &'static [u8] {
        static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        BYTES.get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let (code, library) = (folder.path().join("code.c"), folder.path().join("libsmall.so"));
            std::fs::write(&code, r#"const char *const names[] = {"libcublas.so.12"};"#).unwrap();
            let flags = ["-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libsmall.so.1", "-Wl,-rpath,$ORIGIN/lib", "-o"];
            let made = std::process::Command::new("cc").args(flags).arg(&library).arg(&code).status().expect("cc runs");
            assert!(made.success());
            std::fs::read(library).unwrap()
        })
    }

    #[test]
    fn a_small_library_is_read_and_its_damages_are_told() {
        let found = parse(small(), Path::new("/a")).unwrap();
        assert_eq!((found.soname.as_str(), found.runpath), ("libsmall.so.1", vec![PathBuf::from("/a/lib")]));
        assert!(constants(small()).unwrap().contains("libcublas.so.12"));
        let with = |at: usize, bytes: &[u8]| {
            let mut damaged = small().to_vec();
            damaged[at..at + bytes.len()].copy_from_slice(bytes);
            damaged
        };
        // Offsets into the header: elf.h, Elf64_Ehdr.
        let of_32_bit = with(4, &[1]);
        assert!(parse(of_32_bit.as_slice(), Path::new("/")).is_err());
        let countless_segments = with(56, &[0xff, 0xff]);
        assert!(parse(countless_segments.as_slice(), Path::new("/")).unwrap_err().contains("65534 segments"));
        let countless_sections = with(60, &[0, 0]);
        assert!(constants(countless_sections.as_slice()).unwrap_err().contains("no section of constants"));
        let segments_beyond_the_end = with(32, &[0xff; 8]);
        assert!(parse(segments_beyond_the_end.as_slice(), Path::new("/")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn any_damage_is_survived(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..9), cut in any::<prop::sample::Index>()) {
            let mut damaged = small().to_vec();
            let at = at.index(damaged.len());
            for (place, byte) in damaged.iter_mut().skip(at).zip(&bytes) {
                *place = *byte;
            }
            let _ = (parse(damaged.as_slice(), Path::new("/")), constants(damaged.as_slice()));
            damaged.truncate(cut.index(damaged.len()));
            let _ = (parse(damaged.as_slice(), Path::new("/")), constants(damaged.as_slice()));
        }
        #[test]
        fn any_constants_give_names_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            for name in library_names(&bytes) {
                prop_assert!(name.starts_with("lib") && name.contains(".so") && !name.contains('/'), "{name}");
            }
        }
    }
}
