//! Archives: tar, tar.gz and zip, member by member. Nothing is written to disk, so that names of members harm nobody; how
//! much is unpacked is bounded.

use super::form::{Head, Recognized};
use super::input::Stream;
use super::reader::Whole;
use crate::regular_file;
use crate::snapshot::RecordedFile;
use crate::words::{bytes, grouped, plain};
use flate2::read::MultiGzDecoder;
use std::cell::Cell;
use std::io::{Cursor, Error, Read, Result, Seek};
use std::path::Path;
use std::rc::Rc;

/// Most members that are read.
const MEMBERS_MAX: usize = 500;
/// Most bytes that all members unpack to.
const UNPACKED_MAX: u64 = 64 << 30;
/// Bytes that any archive may unpack to, whatever its own size.
const UNPACKED_FREE: u64 = 1 << 30;
/// How many times its own size a larger archive may unpack to. Logs come to 20 or 50 times.
const RATIO_MAX: u64 = 250;
/// Largest zip archive that is read from standard input, bytes: its table stands at its end.
const ZIP_FROM_INPUT_MAX: u64 = 512 << 20;
/// Bytes of a tar archive's header.
const HEADER: usize = 512;

/// What a given file holds.
pub enum Given<'a> {
    /// A file to be examined.
    Stream(Stream<'a>),
    /// Something of which there is only to be told what it is.
    Told(RecordedFile),
}

/// Calls `each` for the file at `path`, or for every member of it if it is an archive. `-` is standard input.
///
/// # Errors
/// The file cannot be opened. What is wrong inside it is told by what `each` is given.
pub fn streams(path: &Path, each: &mut dyn FnMut(Given)) -> Result<()> {
    if path == Path::new("-") {
        return of_source("standard input", Box::new(std::io::stdin().lock()), each);
    }
    let name = path.display().to_string();
    let mut file = regular_file::open(path)?;
    let mut first = Vec::new();
    Read::by_ref(&mut file).take(HEADER as u64).read_to_end(&mut first)?;
    file.rewind()?;
    if is_zip(&first) {
        of_zip(&name, file, each);
        return Ok(());
    }
    of_source(&name, Box::new(file), each)
}

/// The same for bytes that can be read once.
pub fn of_source<'a>(name: &str, mut source: Box<dyn Read + 'a>, each: &mut dyn FnMut(Given)) -> Result<()> {
    let first = begun(&mut source)?;
    if is_zip(&first) {
        let mut whole = first;
        source.take(ZIP_FROM_INPUT_MAX).read_to_end(&mut whole)?;
        of_zip(name, Cursor::new(whole), each);
        return Ok(());
    }
    if is_tar(&first) {
        let packed = Rc::new(Cell::new(u64::MAX));
        of_tar(name, Box::new(Cursor::new(first).chain(source)), &packed, each);
        return Ok(());
    }
    if first.starts_with(b"\x1f\x8b") {
        let packed = Rc::new(Cell::new(0));
        let counted = Counted { source: Cursor::new(first).chain(source), bytes: Rc::clone(&packed) };
        let mut unpacked: Box<dyn Read + 'a> = Box::new(MultiGzDecoder::new(counted));
        let mut inner = Vec::new();
        let failure = Read::by_ref(&mut unpacked).take(HEADER as u64).read_to_end(&mut inner).err();
        let is_tar = is_tar(&inner);
        let source: Box<dyn Read + 'a> = Box::new(Cursor::new(inner).chain(Failing(failure)).chain(unpacked));
        match is_tar {
            true => of_tar(name, source, &packed, each),
            // One packed file: it is bounded alike.
            false => {
                let left = Rc::new(Cell::new(UNPACKED_MAX));
                each(Given::Stream(Stream::new(name.into(), Box::new(Bounded { source, left, packed }))?));
            }
        }
        return Ok(());
    }
    each(Given::Stream(Stream::new(name.into(), Box::new(Cursor::new(first).chain(source)))?));
    Ok(())
}

/// What a gzip stream unpacks to, within the same bounds.
pub fn unpacked<'a>(source: Box<dyn Read + 'a>) -> Box<dyn Read + 'a> {
    let packed = Rc::new(Cell::new(0));
    let source = MultiGzDecoder::new(Counted { source, bytes: Rc::clone(&packed) });
    Box::new(Bounded { source, left: Rc::new(Cell::new(UNPACKED_MAX)), packed })
}

/// An archive in an archive, which is not unpacked.
pub fn recognize_nested(head: &Head) -> Option<Recognized> {
    let by = match head.bytes {
        bytes if is_zip(bytes) => "the first bytes of a zip archive",
        bytes if is_tar(bytes) => "the header of a tar archive",
        _ => return None,
    };
    let read = |_: &[u8], file: &mut RecordedFile| {
        file.lacks.push("it lies inside another archive and was not looked into: unpack that one first".into());
        Vec::new()
    };
    Some(Recognized { by: by.into(), certain: true, reader: Box::new(Whole::new(read)) })
}

/// The first bytes, as many as a tar header has if there are as many.
fn begun(source: &mut dyn Read) -> Result<Vec<u8>> {
    let mut first = Vec::with_capacity(HEADER);
    source.take(HEADER as u64).read_to_end(&mut first)?;
    Ok(first)
}

fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06")
}

/// Whether it is a tar header: by its checksum, which old ones without a magic word have too.
fn is_tar(first: &[u8]) -> bool {
    let Some(header) = first.get(..HEADER) else { return false };
    let Some(field) = header.get(148..156) else { return false };
    let digits: String =
        field.iter().map(|byte| char::from(*byte)).skip_while(|c| *c == ' ').take_while(char::is_ascii_digit).collect();
    let sum = |(place, byte): (usize, &u8)| u64::from(if (148..156).contains(&place) { b' ' } else { *byte });
    let expected: u64 = header.iter().enumerate().map(sum).sum();
    header.first().is_some_and(|byte| *byte != 0) && u64::from_str_radix(&digits, 8).is_ok_and(|told| told == expected)
}

/// Members of a tar archive. `packed` counts the bytes that it was unpacked from, if it is packed.
fn of_tar<'a>(name: &str, source: Box<dyn Read + 'a>, packed: &Rc<Cell<u64>>, each: &mut dyn FnMut(Given)) {
    let left = Rc::new(Cell::new(UNPACKED_MAX));
    let mut archive = tar::Archive::new(Bounded { source, left, packed: Rc::clone(packed) });
    let mut told = Told::new(name, if packed.get() == u64::MAX { "tar" } else { "tar.gz" });
    match archive.entries() {
        Err(error) => told.broken(&error),
        Ok(entries) => {
            for entry in entries {
                let entry = match entry {
                    Ok(entry) => entry,
                    Err(error) => {
                        told.broken(&error);
                        break;
                    }
                };
                let member = lossy(&entry.path_bytes());
                if entry.header().entry_type().is_dir() || is_of_a_system(&member) {
                    continue;
                }
                if !entry.header().entry_type().is_file() {
                    told.others += 1;
                    continue;
                }
                if !told.takes() {
                    break;
                }
                told.unpacked = told.unpacked.saturating_add(entry.size());
                told.member(&member, Box::new(entry), each);
            }
        }
    }
    each(Given::Told(told.file()));
}

/// Members of a zip archive.
fn of_zip(name: &str, source: impl Read + Seek, each: &mut dyn FnMut(Given)) {
    let mut told = Told::new(name, "zip");
    let mut archive = match zip::ZipArchive::new(source) {
        Ok(archive) => archive,
        Err(error) => {
            told.broken(&error.into());
            return each(Given::Told(told.file()));
        }
    };
    let left = Rc::new(Cell::new(UNPACKED_MAX));
    for index in 0..archive.len() {
        let raw = archive.by_index_raw(index).map(|raw| (lossy(raw.name_raw()), raw.encrypted(), raw.is_file()));
        let (member, encrypted, is_file) = match raw {
            Ok(raw) => raw,
            Err(error) => {
                told.broken(&error.into());
                continue;
            }
        };
        if member.ends_with('/') || is_of_a_system(&member) {
            continue;
        }
        if !is_file {
            told.others += 1;
            continue;
        }
        if encrypted {
            told.fault(format!("{} is encrypted and was not read: unpack it with its password", plain(&member)));
            continue;
        }
        if !told.takes() {
            break;
        }
        match archive.by_index(index) {
            Ok(entry) => {
                told.unpacked = told.unpacked.saturating_add(entry.size());
                let packed = Rc::new(Cell::new(entry.compressed_size()));
                let bounded = Bounded { source: entry, left: Rc::clone(&left), packed };
                told.member(&member, Box::new(bounded), each);
            }
            Err(error) => told.fault(format!("{} cannot be unpacked: {error}", plain(&member))),
        }
    }
    each(Given::Told(told.file()));
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// What archivers of systems add: resource forks of macOS, thumbnails.
fn is_of_a_system(member: &str) -> bool {
    let own = member.rsplit('/').next().unwrap_or_default();
    member.starts_with("__MACOSX/") || own.starts_with("._") || own == ".DS_Store"
}

/// What is told of the archive itself.
struct Told {
    name: String,
    form: &'static str,
    members: usize,
    unpacked: u64,
    /// Links, devices and the like.
    others: usize,
    is_full: bool,
    faults: Vec<String>,
}

impl Told {
    fn new(name: &str, form: &'static str) -> Self {
        Self { name: name.into(), form, members: 0, unpacked: 0, others: 0, is_full: false, faults: Vec::new() }
    }

    /// Whether there is room for one more member.
    fn takes(&mut self) -> bool {
        self.is_full |= self.members >= MEMBERS_MAX;
        !self.is_full
    }

    fn member<'m>(&mut self, member: &str, source: Box<dyn Read + 'm>, each: &mut dyn FnMut(Given)) {
        self.members += 1;
        match Stream::new(format!("{}/{}", self.name, plain(member)), source) {
            Ok(stream) => each(Given::Stream(stream)),
            Err(error) => self.fault(format!("{} cannot be unpacked: {error}", plain(member))),
        }
    }

    fn broken(&mut self, error: &Error) {
        self.fault(format!("it cannot be read on: {error}"));
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < 20 {
            self.faults.push(fault);
        }
    }

    fn file(self) -> RecordedFile {
        let (members, unpacked) = (grouped(self.members as u64), bytes(self.unpacked as f64));
        let mut faults = self.faults;
        if self.is_full {
            faults.push(format!("it has more than {MEMBERS_MAX} members; the others were not read"));
        }
        let mut shows = vec![format!("{members} files, {unpacked} unpacked; each is told of by itself")];
        if self.others > 0 {
            shows.push(format!("{} links and the like, which were not followed", grouped(self.others as u64)));
        }
        RecordedFile {
            name: self.name,
            kind: "archive".into(),
            recognized_by: format!("its beginning, as of {}", self.form),
            size_bytes: self.unpacked,
            records: self.members as u64,
            shows,
            lacks: Vec::new(),
            faults,
        }
    }
}

/// Fails once, with the error that it holds.
struct Failing(Option<Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts what is read.
struct Counted<R> {
    source: R,
    bytes: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes.set(self.bytes.get().saturating_add(count as u64));
        Ok(count)
    }
}

/// Ends with an error where more is unpacked than any honest archive holds.
struct Bounded<R> {
    source: R,
    /// Bytes that may still be unpacked, of all members together.
    left: Rc<Cell<u64>>,
    /// Bytes that they are unpacked from, so far.
    packed: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = self.source.read(buffer)?;
        let left = self.left.get().checked_sub(count as u64);
        let unpacked = UNPACKED_MAX - left.unwrap_or(0);
        let too_much = unpacked > UNPACKED_FREE && unpacked / RATIO_MAX > self.packed.get();
        match left.filter(|_| !too_much) {
            Some(left) => {
                self.left.set(left);
                Ok(count)
            }
            None => Err(Error::other(format!(
                "it unpacks to more than {}, {RATIO_MAX} times its size, and was not read further",
                bytes(unpacked as f64)
            ))),
        }
    }
}
