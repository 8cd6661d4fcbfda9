//! A fact is known, or unknown for a stated reason. There is no third state and no default value.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that a probe found out, or the reason why it could not.
///
/// In JSON: `{"known": value}` or `{"unknown": {"why": "denied", "detail": "..."}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// The value as read.
    Known(T),
    /// Why there is no value.
    Unknown(Unknown),
}

/// Why a fact could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unknown {
    /// The kind of obstacle.
    pub why: Why,
    /// The thing, the place and what was seen there, in words.
    pub detail: String,
}

/// The kinds of obstacle between a probe and a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The thing that would tell is not there.
    Absent,
    /// The operating system refused: another user, a container, a capability.
    Denied,
    /// No answer within the budget.
    TimedOut,
    /// This driver, library, model format or machine cannot tell.
    Unsupported,
    /// The foreign code that was asked died.
    Crashed,
    /// What was read is not what it should be: cut short, another format.
    Malformed,
    /// Nothing asked for it: an option was not given, or the stage does not apply.
    NotAsked,
}

impl Unknown {
    /// An obstacle of kind `why`, told by `detail`.
    pub fn new(why: Why, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }

    /// Classifies an I/O error: missing, refused or anything else, naming `place`.
    pub fn from_io(error: &std::io::Error, place: impl std::fmt::Display) -> Self {
        use std::io::ErrorKind as K;
        let why = match error.kind() {
            K::NotFound => Why::Absent,
            K::PermissionDenied => Why::Denied,
            K::TimedOut => Why::TimedOut,
            K::InvalidData | K::UnexpectedEof => Why::Malformed,
            _ => Why::Unsupported,
        };
        Self::new(why, format!("{place}: {error}"))
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Why::Absent => "absent",
            Why::Denied => "denied",
            Why::TimedOut => "timed out",
            Why::Unsupported => "unsupported",
            Why::Crashed => "crashed",
            Why::Malformed => "malformed",
            Why::NotAsked => "not asked",
        })
    }
}

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.why, self.detail)
    }
}

impl<T> Fact<T> {
    /// An unknown of kind `why`, told by `detail`.
    pub fn unknown(why: Why, detail: impl Into<String>) -> Self {
        Fact::Unknown(Unknown::new(why, detail))
    }

    /// The value, if known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown(_) => None,
        }
    }

    /// The value, or the reason as an error, to be passed on with `?`.
    pub fn read(&self) -> Result<&T, Unknown> {
        match self {
            Fact::Known(value) => Ok(value),
            Fact::Unknown(unknown) => Err(unknown.clone()),
        }
    }

    /// The reason, if unknown.
    pub fn reason(&self) -> Option<&Unknown> {
        match self {
            Fact::Known(_) => None,
            Fact::Unknown(unknown) => Some(unknown),
        }
    }

    /// The same fact with its value mapped by `f`.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Fact::Known(value) => Fact::Known(f(value)),
            Fact::Unknown(unknown) => Fact::Unknown(unknown),
        }
    }

    /// A borrowed view of the fact.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Fact::Known(value) => Fact::Known(value),
            Fact::Unknown(unknown) => Fact::Unknown(unknown.clone()),
        }
    }
}

impl<T> From<Result<T, Unknown>> for Fact<T> {
    fn from(result: Result<T, Unknown>) -> Self {
        match result {
            Ok(value) => Fact::Known(value),
            Err(unknown) => Fact::Unknown(unknown),
        }
    }
}

/// What stands for a fact that a snapshot does not have: unknown, like everything that was not read.
impl<T> Default for Fact<T> {
    fn default() -> Self {
        Fact::unknown(Why::NotAsked, "the version that took the snapshot did not know this fact")
    }
}

/// A group of facts that one probe fills: all of them share a fate when the probe does not finish.
pub trait Room {
    /// The room with every fact unknown for the same reason.
    fn all_unknown(unknown: &Unknown) -> Self;
}

/// Declares a room: a struct whose every field is a [`Fact`].
///
/// The doc comment of a field is its documentation, also in `docs/schema/snapshot.v1.json`.
macro_rules! room {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* #[serde(default)]
            pub $field: $crate::snapshot::Fact<$ty>,)*
        }
        impl $crate::snapshot::Room for $name {
            fn all_unknown(unknown: &$crate::snapshot::Unknown) -> Self {
                Self { $($field: $crate::snapshot::Fact::Unknown(unknown.clone()),)* }
            }
        }
    };
}
pub(crate) use room;
