//! What a value is, and sets of that: an element type of `TensorProto.DataType`, alone, in sequences or in optionals.

use crate::probe::model::{Container, TypedName};

/// A tensor of an element type, a sequence or an optional of them; 0 is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Kind(u8);

/// Element types by their number in `TensorProto.DataType`, as kernels name them.
const NAMES: [&str; 27] = [
    "",
    "float",
    "uint8",
    "int8",
    "uint16",
    "int16",
    "int32",
    "int64",
    "string",
    "bool",
    "float16",
    "double",
    "uint32",
    "uint64",
    "complex64",
    "complex128",
    "bfloat16",
    "float8e4m3fn",
    "float8e4m3fnuz",
    "float8e5m2",
    "float8e5m2fnuz",
    "uint4",
    "int4",
    "float4e2m1",
    "float8e8m0",
    "uint2",
    "int2",
];
const CODES: u8 = 32;

impl Kind {
    /// Nothing known.
    pub const UNKNOWN: Self = Self(0);
    /// float32.
    pub const FLOAT: Self = Self(1);
    /// int64.
    pub const INT64: Self = Self(7);
    /// float16.
    pub const FLOAT16: Self = Self(10);
    /// bool.
    pub const BOOL: Self = Self(9);

    /// A tensor of the element type with that number.
    pub fn tensor(code: u64) -> Self {
        Self(u8::try_from(code).ok().filter(|code| usize::from(*code) < NAMES.len()).unwrap_or(0))
    }

    /// What a model states.
    pub fn stated(typed: &TypedName) -> Self {
        let element = Self::tensor(typed.element_type);
        match typed.container {
            _ if element == Self::UNKNOWN => element,
            Container::Unknown => Self::UNKNOWN,
            Container::Tensor => element,
            Container::Sequence => Self(element.0 + CODES),
            Container::Optional => Self(element.0 + 2 * CODES),
            Container::OptionalSequence => Self(element.0 + 3 * CODES),
        }
    }

    /// The type that a table names: `float`, `seq(tensor(float))`, `optional(seq(tensor(float)))`.
    pub fn named(text: &str) -> Self {
        let element = text.trim_end_matches(')').rsplit('(').next().unwrap_or(text);
        let Some(code) = NAMES.iter().skip(1).position(|name| *name == element) else { return Self::UNKNOWN };
        let container = match (text.starts_with("optional("), text.contains("seq(")) {
            (false, false) => 0,
            (false, true) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        Self(code as u8 + 1 + container * CODES)
    }

    /// The number in `TensorProto.DataType` of a tensor's elements; `None` unless it is a tensor.
    pub fn code(self) -> Option<u64> {
        (self.0 > 0 && self.0 < CODES).then_some(self.0.into())
    }

    /// The tensors in a sequence or in an optional.
    pub fn inner(self) -> Self {
        match self.0 / CODES {
            1 | 2 => Self(self.0 % CODES),
            3 => Self(self.0 % CODES + CODES),
            _ => Self::UNKNOWN,
        }
    }

    /// A sequence of such tensors.
    pub fn sequence(self) -> Self {
        if self.code().is_some() { Self(self.0 + CODES) } else { Self::UNKNOWN }
    }

    /// Such a value or nothing.
    pub fn optional(self) -> Self {
        match self.0 / CODES {
            0 | 1 if self.0 > 0 => Self(self.0 + 2 * CODES),
            _ => Self::UNKNOWN,
        }
    }

    /// Width of an element, bits; 0 for texts and for what is no tensor.
    pub fn bits(self) -> u64 {
        match self.code() {
            Some(1 | 6 | 12) => 32,
            Some(7 | 11 | 13 | 14) => 64,
            Some(15) => 128,
            Some(4 | 5 | 10 | 16) => 16,
            Some(21..=23) => 4,
            Some(25 | 26) => 2,
            Some(2 | 3 | 9 | 17..=20 | 24) => 8,
            _ => 0,
        }
    }

    /// Whether elements are whole numbers or truth values.
    pub fn is_whole(self) -> bool {
        matches!(self.code(), Some(2..=7 | 9 | 12 | 13 | 21 | 22 | 25 | 26))
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match NAMES.get(usize::from(self.0 % CODES)).copied().unwrap_or_default() {
            "" => "an unknown type",
            "float" => "float32",
            "double" => "float64",
            name => name,
        };
        match self.0 / CODES {
            0 => f.write_str(name),
            1 => write!(f, "sequences of {name}"),
            2 => write!(f, "optional {name}"),
            _ => write!(f, "optional sequences of {name}"),
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u128);

impl Kinds {
    /// Whether the kind is in it. Nothing known rules nothing out.
    pub fn allow(self, kind: Kind) -> bool {
        kind == Kind::UNKNOWN || self.0 >> kind.0 & 1 == 1
    }

    /// The kinds in it.
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        (1..128u8).filter(move |bit| self.0 >> bit & 1 == 1).map(Kind)
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        Self(kinds.into_iter().filter(|kind| *kind != Kind::UNKNOWN).fold(0, |set, kind| set | 1 << kind.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for code in 1..=26 {
            let kind = Kind::tensor(code);
            assert_eq!(kind.code(), Some(code));
            assert_eq!(Kind::named(NAMES[code as usize]), kind);
            assert!((kind.bits() > 0) == (code != 8), "{kind}");
        }
        assert_eq!(Kind::tensor(99), Kind::UNKNOWN);
        let sequence = Kind::named("seq(tensor(float))");
        assert_eq!((sequence, sequence.inner(), sequence.code()), (Kind::FLOAT.sequence(), Kind::FLOAT, None));
        assert_eq!(Kind::named("optional(seq(tensor(float)))"), sequence.optional());
        assert_eq!(sequence.optional().inner(), sequence);
        assert_eq!(Kind::named("map(int64,float)"), Kind::UNKNOWN);
    }

    #[test]
    fn a_set_allows_what_is_in_it_and_what_is_not_known() {
        let set: Kinds = [Kind::FLOAT, Kind::named("seq(tensor(int64))")].into_iter().collect();
        assert!(set.allow(Kind::FLOAT) && set.allow(Kind::UNKNOWN) && set.allow(Kind::INT64.sequence()));
        assert!(!set.allow(Kind::INT64) && !set.allow(Kind::named("float16")));
        assert_eq!(set.iter().map(|kind| kind.to_string()).collect::<Vec<_>>(), ["float32", "sequences of int64"]);
    }
}
