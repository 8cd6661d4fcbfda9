//! What the user expects of the machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the user expects of the machine (`expect:` in the config file). What is not named is not expected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectations {
    /// Number of GPUs, exactly.
    pub gpus: Option<u64>,
    /// Driver version, with a comparison or exactly: `>=550`, `550.54.15`.
    pub driver: Option<String>,
    /// A part of the product name of every GPU, in either case: `H100`.
    pub gpu_name: Option<String>,
    /// Memory of every GPU, gibibytes, at least. An "80 GB" card has a little less than 80.
    pub gpu_memory_gib: Option<f64>,
}

impl Expectations {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A bound on a version: `>=550`, `<560.35`, `550.54.15`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionBound {
    comparison: Comparison,
    parts: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    Above,
    AtMost,
    Below,
    /// The parts that are named agree: `550` fits every 550.x.
    Is,
}

impl VersionBound {
    /// Reads a bound. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        use Comparison::{Above, AtLeast, AtMost, Below, Is};
        let text = text.trim();
        let signs = [(">=", AtLeast), ("<=", AtMost), ("==", Is), (">", Above), ("<", Below), ("=", Is), ("", Is)];
        let bound = signs.into_iter().find_map(|(sign, comparison)| Some((comparison, text.strip_prefix(sign)?)));
        let (comparison, version) = bound.unwrap_or((Is, text));
        let parts = parts(version.trim())
            .ok_or_else(|| format!("\"{text}\" is not a version; write it as >=550 or 550.54.15"))?;
        Ok(Self { comparison, parts })
    }

    /// Whether `version` fits; `None` if it is not a version.
    pub fn fits(&self, version: &str) -> Option<bool> {
        let version = parts(version.trim())?;
        // A part that is not written is 0 in a comparison of order.
        let longest = version.len().max(self.parts.len());
        let padded = |parts: &[u64]| (0..longest).map(|i| parts.get(i).copied().unwrap_or(0)).collect::<Vec<_>>();
        let order = padded(&version).cmp(&padded(&self.parts));
        Some(match self.comparison {
            Comparison::AtLeast => order.is_ge(),
            Comparison::Above => order.is_gt(),
            Comparison::AtMost => order.is_le(),
            Comparison::Below => order.is_lt(),
            Comparison::Is => padded(&version).starts_with(&self.parts),
        })
    }
}

fn parts(version: &str) -> Option<Vec<u64>> {
    let parts: Option<Vec<u64>> = version.split('.').map(|part| part.parse().ok()).collect();
    parts.filter(|parts| parts.len() <= 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_compare_by_number_and_not_by_letter() {
        let fits = |bound: &str, version: &str| VersionBound::parse(bound).unwrap().fits(version);
        assert_eq!(fits(">=550", "550.54.15"), Some(true));
        assert_eq!(fits(">=550", "1000.1"), Some(true));
        assert_eq!(fits(">=550.90", "550.54.15"), Some(false));
        assert_eq!(fits("< 560", "550.54.15"), Some(true));
        assert_eq!(fits("<=550", "550.54.15"), Some(false));
        assert_eq!(fits("550", "550.54.15"), Some(true));
        assert_eq!(fits("550.54", "550.5.4"), Some(false));
        assert_eq!(fits(">550.54.15", "550.54.15"), Some(false));
        assert_eq!(fits(">=550", "unreadable"), None);
        for wrong in ["", ">=", "new", ">=5a", "1.2.3.4.5", "=>550"] {
            assert!(VersionBound::parse(wrong).unwrap_err().contains(">=550"), "{wrong}");
        }
    }
}
