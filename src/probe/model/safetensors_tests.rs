//! Headers of safetensors built by hand, and what is wrong with them.

use super::*;
use proptest::prelude::*;

/// A file with this header and `data_bytes` bytes behind it.
fn file(header: &str, data_bytes: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data_bytes]].concat()
}

fn parsed(bytes: &[u8]) -> Result<Header, Fault> {
    read(&bytes, bytes.len() as u64)
}

fn fault(header: &str, data_bytes: usize) -> String {
    match parsed(&file(header, data_bytes)).unwrap_err() {
        Fault::Malformed { what, .. } => what,
        other => format!("{other:?}"),
    }
}

const TWO: &str = r#"{"__metadata__":{"format":"pt"},
    "b":{"dtype":"F32","shape":[2,2],"data_offsets":[6,22]},
    "a":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]}}   "#;

#[test]
fn tensors_are_added_up_by_type() {
    let header = parsed(&file(TWO, 22)).unwrap();
    assert_eq!((header.sums.tensors, header.sums.elements), (2, 7));
    assert_eq!(header.sums.bytes_by_type, [("bfloat16".into(), 6), ("float32".into(), 16)].into());
    assert_eq!(header.metadata.get("format"), Some("pt"));
    assert_eq!(header.names, ["a".to_string(), "b".to_string()].into());
}

#[test]
fn packed_scalar_empty_and_new_types_have_their_bytes() {
    let odd = r#"{"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
        "e":{"dtype":"F16","shape":[0,7],"data_offsets":[8,8]},
        "p":{"dtype":"F4","shape":[3,2],"data_offsets":[8,11]},
        "n":{"dtype":"F3_NEW","shape":[8],"data_offsets":[11,14]}}"#;
    let sums = parsed(&file(odd, 14)).unwrap().sums;
    assert_eq!((sums.tensors, sums.elements, sums.without_size), (4, 1 + 6 + 8, None));
    assert_eq!(sums.bytes_by_type["float4e2m1"], 3);
    assert_eq!(sums.bytes_by_type["F3_NEW"], 3);
    assert!(parsed(&file("{}", 0)).unwrap().names.is_empty());
}

#[test]
fn what_the_reference_refuses_is_refused_in_words() {
    let one = |info: &str| format!("{{\"w\":{info}}}");
    let place = |start: u64, end: u64| format!(r#"{{"dtype":"U8","shape":[{}],"data_offsets":[{start},{end}]}}"#, 4);
    assert_eq!(fault(&one(&place(4, 8)), 8), "bytes 0 to 4 of the data belong to no tensor");
    assert_eq!(fault(&one(&place(8, 4)), 8), "tensor 'w' ends at byte 4 of the data, before its start at 8");
    assert!(fault(&one(&place(0, 5)), 5).contains("shape [4] and type U8 cannot have 5 bytes"));
    assert_eq!(fault(&one(&place(0, 4)), 9), "5 bytes behind the last tensor belong to none");
    let both = format!("{{\"v\":{},\"w\":{}}}", place(0, 4), place(2, 6));
    assert_eq!(fault(&both, 6), "tensors 'v' and 'w' overlap");
    let twice = format!("{{\"w\":{},\"w\":{}}}", place(0, 4), place(4, 8));
    assert_eq!(fault(&twice, 8), "there are two tensors named 'w'");
    let huge = r#"{"w":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#;
    assert!(fault(huge, 0).contains("no product below 2^63"));
    for broken in ["", "[]", "{", "{\"w\":1}", "{}x", "{\"__metadata__\":{\"a\":1}}", &one("{\"dtype\":\"U8\"}")] {
        assert!(fault(broken, 0).starts_with("the header does not fit the format: "), "{broken}");
    }
    let negative = r#"{"w":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}}"#;
    assert!(fault(negative, 0).contains("does not fit"), "{}", fault(negative, 0));
    let deep = format!("{{\"w\":{}", "[".repeat(100_000));
    assert!(fault(&deep, 0).contains("does not fit"));
    let not_utf8 = [&3u64.to_le_bytes()[..], b"{\"\xff"].concat();
    assert!(matches!(parsed(&not_utf8), Err(Fault::Malformed { .. })));
}

#[test]
fn a_file_cut_short_says_where_and_what_it_wants() {
    let whole = file(TWO, 22);
    for length in 0..whole.len() {
        match parsed(&whole[..length]) {
            Err(Fault::CutShort { at, wants: Some(wants), .. }) => {
                assert!(at == length as u64 && wants > at && wants <= whole.len() as u64);
            }
            other => panic!("{length}: {other:?}"),
        }
    }
    for length in [HEADER_LIMIT_BYTES + 1, 1 << 63, u64::MAX] {
        let fault = parsed(&length.to_le_bytes()).unwrap_err();
        assert!(matches!(fault, Fault::Malformed { at: 0, .. }), "{fault:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_header_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..250) {
        let _ = parsed(&bytes);
        let mut damaged = file(TWO, 22);
        for (offset, byte) in bytes.into_iter().take(3).enumerate() {
            let place = (at + offset) % damaged.len();
            damaged[place] = byte;
        }
        if let Ok(header) = parsed(&damaged) {
            prop_assert!(header.sums.bytes_by_type.values().sum::<u64>() <= damaged.len() as u64);
        }
    }
}
