//! Texts in a compiled library, read section by section without loading it.

use crate::probe::tree::Tree;
use crate::snapshot::{Unknown, Why};
use object::read::elf::{FileHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, elf};
use std::path::Path;

/// Largest section that is read, bytes.
const SECTION_BYTES: u64 = 64 << 20;

/// The bytes of a section of the library at `path`; of the rest only the headers are read.
pub fn section(tree: &Tree, path: &Path, name: &str) -> Result<Vec<u8>, Unknown> {
    let file = tree.open(path)?;
    let shown = tree.outside(path).display().to_string();
    in_data(&ReadCache::new(file), name).map_err(|problem| Unknown::new(Why::Malformed, format!("{shown}: {problem}")))
}

fn in_data<'d, R: ReadRef<'d>>(data: R, name: &str) -> Result<Vec<u8>, String> {
    let say = |error: object::read::Error| error.to_string();
    let header = elf::FileHeader64::<Endianness>::parse(data).map_err(say)?;
    let endian = header.endian().map_err(say)?;
    let sections = header.sections(endian, data).map_err(say)?;
    let (_, section) =
        sections.section_by_name(endian, name.as_bytes()).ok_or_else(|| format!("it has no section {name}"))?;
    let bytes: u64 = section.sh_size(endian);
    if bytes > SECTION_BYTES {
        return Err(format!("its section {name} of {bytes} bytes is too large"));
    }
    Ok(section.data(endian, data).map_err(say)?.to_vec())
}

/// The first text in a section that begins so.
pub fn text_starting_with(section: &[u8], begin: &str) -> Option<String> {
    let texts = section.split(|byte| *byte == 0);
    let text = texts.into_iter().find(|text| text.starts_with(begin.as_bytes()))?;
    // Of what is not meant as a name a short piece is enough.
    Some(text.iter().take(100).map(|byte| char::from(*byte)).take_while(|c| c.is_ascii_graphic()).collect())
}

/// The first CUDA library among the names that a library needs, with CUDA's major version.
pub fn cuda_major(linked: &[u8]) -> Option<(String, String)> {
    ["libcudart.so.", "libcublas.so.", "libcublasLt.so."].iter().find_map(|begin| {
        let soname = text_starting_with(linked, begin)?;
        let major = soname.strip_prefix(begin)?.split('.').next()?.to_owned();
        let digital = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
        digital.then_some((soname, major))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_very_program_has_its_sections_read() {
        let own = std::env::current_exe().unwrap();
        let linked = section(&Tree::new("/"), &own, ".dynstr").unwrap();
        assert_eq!(text_starting_with(&linked, "libc.so.").as_deref(), Some("libc.so.6"));
        assert_eq!(cuda_major(&linked), None);
        let none = section(&Tree::new("/"), &own, ".nowhere").unwrap_err();
        assert!(none.detail.contains("no section .nowhere"), "{none}");
    }

    #[test]
    fn what_is_no_library_is_malformed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.so"), "a text").unwrap();
        let refused = section(&Tree::new(dir.path()), Path::new("a.so"), ".rodata").unwrap_err();
        assert_eq!(refused.why, Why::Malformed);
        assert!(refused.detail.contains("a.so"), "{refused}");
    }

    #[test]
    fn the_first_cuda_library_tells_the_major_version() {
        let linked = b"\0libm.so.6\0libcublas.so.12\0libcudart.so.11.0\0";
        assert_eq!(cuda_major(linked), Some(("libcudart.so.11.0".into(), "11".into())));
        assert_eq!(cuda_major(b"libcudart.so.x\0libcuda.so.1"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_behind_an_elf_header_are_survived(mut bytes in prop::collection::vec(any::<u8>(), 64..400), offset in 0u64..500, entries in any::<u16>()) {
            bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
            bytes[40..48].copy_from_slice(&offset.to_le_bytes());
            bytes[58..60].copy_from_slice(&64u16.to_le_bytes());
            bytes[60..62].copy_from_slice(&entries.to_le_bytes());
            let _ = in_data(bytes.as_slice(), ".rodata");
            let _ = cuda_major(&bytes);
        }
    }
}
