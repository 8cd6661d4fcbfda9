//! A cause that is known, and accepted until a day.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

/// The user's word that a cause is known and accepted for now. It is told all the same, and does not make the exit code 1.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping with id, reason and until")]
pub struct Waiver {
    /// Id of the check, as `checks list` shows it.
    pub id: String,
    /// Why it is accepted, for those who read the report.
    pub reason: String,
    /// The last day on which it is accepted (UTC): `2027-01-31`.
    #[serde(deserialize_with = "day")]
    #[schemars(with = "String")]
    pub until: Date,
    /// The file, and where in it this stands, for messages: `config gpu-doctor.yaml:7:9: waivers[0]`.
    #[serde(skip)]
    pub place: String,
}

impl Waiver {
    /// Whether another waives the same, wherever it stands.
    pub fn says_the_same(&self, other: &Waiver) -> bool {
        (&self.id, &self.reason, &self.until) == (&other.id, &other.reason, &other.until)
    }
}

fn day<'de, D: Deserializer<'de>>(from: D) -> Result<Date, D::Error> {
    let text = String::deserialize(from)?;
    text.parse().map_err(|_| serde::de::Error::custom("expected a day, such as 2027-01-31"))
}
