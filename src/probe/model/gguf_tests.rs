//! GGUF headers built by hand: every version and byte order, and what is wrong with them.

use super::*;
use proptest::prelude::*;

/// A writer of GGUF in one version and byte order.
struct Writer {
    bytes: Vec<u8>,
    version: u32,
    big_endian: bool,
}

impl Writer {
    fn new(version: u32, big_endian: bool, tensors: u64, entries: u64) -> Self {
        let mut writer = Self { bytes: b"GGUF".to_vec(), version, big_endian };
        writer.u32(version).length(tensors).length(entries);
        writer
    }

    fn put(&mut self, mut little: Vec<u8>) -> &mut Self {
        if self.big_endian {
            little.reverse();
        }
        self.bytes.extend(little);
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.put(value.to_le_bytes().to_vec())
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.put(value.to_le_bytes().to_vec())
    }

    fn length(&mut self, value: u64) -> &mut Self {
        if self.version == 1 { self.u32(value as u32) } else { self.u64(value) }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.length(text.len() as u64);
        self.bytes.extend(text.bytes());
        self
    }

    fn entry(&mut self, key: &str, kind: u32) -> &mut Self {
        self.text(key).u32(kind)
    }

    fn tensor(&mut self, name: &str, shape: &[u64], kind: u32, offset: u64) -> &mut Self {
        self.text(name).u32(shape.len() as u32);
        for size in shape {
            self.length(*size);
        }
        self.u32(kind).u64(offset)
    }

    /// Pads to the alignment and adds `bytes` of data.
    fn data(&mut self, bytes: usize) -> Vec<u8> {
        let start = self.bytes.len().next_multiple_of(32);
        self.bytes.resize(start + bytes, 0);
        self.bytes.clone()
    }
}

fn parsed(bytes: &[u8]) -> Result<Header, Fault> {
    read(&mut Reader::new(bytes, bytes.len() as u64))
}

fn malformed(bytes: &[u8]) -> String {
    match parsed(bytes).unwrap_err() {
        Fault::Malformed { what, .. } | Fault::TooLarge(what) => what,
        other => panic!("{other:?}"),
    }
}

/// Two tensors, and an entry of every kind.
fn whole(version: u32, big_endian: bool) -> Vec<u8> {
    let mut file = Writer::new(version, big_endian, 2, 9);
    file.entry("general.architecture", 8).text("llama");
    file.entry("a.number", 5).u32(-3i32 as u32);
    file.entry("a.float", 6).u32(10_000f32.to_bits());
    file.entry("a.double", 12).u64(0.5f64.to_bits());
    file.entry("a.byte", 0).put(vec![200]);
    file.entry("a.bool", 7).put(vec![1]);
    file.entry("tokenizer.tokens", 9).u32(8).length(2).text("<s>").text("a");
    file.entry("a.nested", 9).u32(9).length(2).u32(4).length(1).u32(7).u32(0).length(0);
    file.entry("general.alignment", 4).u32(32);
    file.tensor("q", &[512, 2], 12, 0);
    file.tensor("norm", &[3], 0, 576).data(576 + 12)
}

#[test]
fn every_version_and_byte_order_says_the_same() {
    for (version, big_endian) in [(1, false), (2, false), (3, false), (3, true)] {
        let header = parsed(&whole(version, big_endian)).unwrap();
        assert_eq!((header.version, header.big_endian, header.parts), (version, big_endian, 0));
        assert_eq!((header.sums.tensors, header.sums.elements), (2, 1027));
        assert_eq!(header.sums.bytes_by_type, [("q4_K".into(), 576), ("float32".into(), 12)].into());
        let expected = [
            ("a.bool", "true"),
            ("a.byte", "200"),
            ("a.double", "0.5"),
            ("a.float", "10000"),
            ("a.number", "-3"),
            ("general.alignment", "32"),
            ("general.architecture", "llama"),
        ];
        let entries = header.metadata.into_entries();
        assert!(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{entries:?}");
    }
}

#[test]
fn a_file_cut_short_says_so_at_every_byte() {
    for (version, big_endian) in [(1, false), (3, true)] {
        let bytes = whole(version, big_endian);
        for length in 0..bytes.len() {
            let fault = parsed(&bytes[..length]).unwrap_err();
            assert!(matches!(fault, Fault::CutShort { at, .. } if at == length as u64), "{length}: {fault:?}");
        }
    }
}

#[test]
fn what_llama_cpp_refuses_is_refused_in_words() {
    let one =
        |shape: &[u64], kind: u32, offset: u64| Writer::new(3, false, 1, 0).tensor("w", shape, kind, offset).data(4096);
    assert_eq!(malformed(&one(&[100], 12, 0)), "tensor 'w' of type q4_K has rows of 100, not of whole 256s");
    assert_eq!(malformed(&one(&[4], 0, 4)), "tensor 'w' starts at 4, which is no multiple of 32");
    assert_eq!(malformed(&one(&[4], 0, 32)), "tensor 'w' starts at byte 32 of the data, where 0 is due");
    assert_eq!(malformed(&one(&[1; 9], 0, 0)), "tensor 'w' has 9 dimensions");
    assert!(malformed(&one(&[1 << 32, 1 << 32], 0, 0)).contains("no product below 2^63"));
    assert!(malformed(&one(&[1 << 62], 28, 0)).contains("more bytes than any file"));
    let twice = Writer::new(3, false, 2, 0).tensor("w", &[8], 0, 0).tensor("w", &[8], 0, 32).data(64);
    assert_eq!(malformed(&twice), "a tensor's name 'w' is there twice");
    assert!(malformed(&Writer::new(3, false, 0, 1).entry("k", 13).bytes.clone()).contains("type 13 is not in use"));
    assert!(
        malformed(&Writer::new(3, false, 0, 1).entry("general.alignment", 4).u32(33).bytes.clone()).contains("power")
    );
    for version in [0, 4, 1 << 24, 4 << 24] {
        assert!(malformed(&Writer::new(version, false, 0, 0).bytes).contains("is not known"), "{version}");
    }
    assert!(malformed(b"GGML\x01\0\0\0").contains("does not start with GGUF"));
}

#[test]
fn lengths_without_end_are_refused_at_once() {
    for count in [COUNT_LIMIT + 1, 1 << 63, u64::MAX] {
        assert!(malformed(&Writer::new(3, false, count, 0).bytes).contains("tensors"));
        assert!(malformed(&Writer::new(3, false, 0, count).bytes).contains("entries"));
        let strings = Writer::new(3, false, 0, 1).entry("k", 9).u32(8).u64(count).bytes.clone();
        assert!(malformed(&strings).contains("arrays of more than"));
        let text = Writer::new(3, false, 0, 1).u64(count).bytes.clone();
        assert!(parsed(&text).is_err());
        let numbers = Writer::new(3, false, 0, 1).entry("k", 9).u32(10).u64(count).bytes.clone();
        assert!(parsed(&numbers).is_err());
    }
    let mut deep = Writer::new(3, false, 0, 1);
    deep.entry("k", 9);
    for _ in 0..100_000 {
        deep.u32(9).u64(1);
    }
    assert!(malformed(&deep.bytes).contains("nested more than 4 deep"));
}

#[test]
fn a_type_that_is_not_known_leaves_only_the_bytes_open() {
    let bytes = Writer::new(3, false, 2, 0).tensor("new", &[64], 99, 0).tensor("w", &[8], 0, 64).data(96);
    let sums = parsed(&bytes).unwrap().sums;
    assert_eq!((sums.tensors, sums.elements), (2, 72));
    assert!(sums.without_size.unwrap().contains("'new' has element type 99"));
}

proptest! {
    #[test]
    fn any_bytes_give_a_header_or_a_fault(at in 0usize..1000, noise in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut bytes = whole(3, false);
        for (offset, byte) in noise.into_iter().enumerate() {
            let place = (at + offset) % bytes.len();
            bytes[place] = byte;
        }
        crate::probe::model::fuzzing::gguf(&bytes);
    }
}
