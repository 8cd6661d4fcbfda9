//! Of which form and version a document is.

use super::Fault;
use serde::Deserialize;
use serde_json::Value;

/// A form of document, as this version writes and reads it.
///
/// The name holds the major version, and is the same for all minor ones: who reads such documents compares it for
/// equality. A minor version adds members and values and changes none; `schema_minor` counts them, 0 where it is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its name with the major version, the document's member `schema`.
    pub name: &'static str,
    /// The minor version that this program writes.
    pub minor: u32,
    /// What writes one.
    pub written_by: &'static str,
}

/// A snapshot.
pub const SNAPSHOT: Form =
    Form { name: "gpu-doctor/snapshot/v1", minor: 0, written_by: "\"gpu-doctor collect\" or --save" };
/// A report.
pub const REPORT: Form = Form { name: "gpu-doctor/report/v1", minor: 0, written_by: "--format json" };
/// What differs between two of them.
pub const DIFF: Form = Form { name: "gpu-doctor/diff/v1", minor: 0, written_by: "\"gpu-doctor diff --format json\"" };

/// What a document says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its member `schema`.
    pub schema: Option<String>,
    /// Its member `schema_minor`; 0 if it has none.
    pub minor: u32,
    /// The program that wrote it.
    pub tool: Option<String>,
}

/// Longest name or version that is repeated in a message, characters.
const TOLD_MAX: usize = 60;

/// What a document says of itself. The whole of it is looked through, so that one that is cut is found.
///
/// # Errors
/// It is empty, cut, or no JSON object.
pub fn header(bytes: &[u8]) -> Result<Header, Fault> {
    #[derive(Deserialize)]
    struct Members {
        schema: Option<Value>,
        schema_minor: Option<Value>,
        tool: Option<Value>,
    }
    let bytes = super::without_mark(bytes);
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::Empty);
    }
    // A list would be taken for the members in order.
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(|error| Fault::syntax(&error, bytes))?;
        return Err(Fault::NoObject);
    }
    let members: Members = serde_json::from_slice(bytes).map_err(|error| Fault::syntax(&error, bytes))?;
    let text = |member: Option<Value>| {
        member.as_ref().and_then(Value::as_str).map(|text| text.chars().take(TOLD_MAX).collect::<String>())
    };
    let minor = match members.schema_minor {
        None => 0,
        Some(minor) => minor.as_u64().and_then(|minor| u32::try_from(minor).ok()).ok_or(Fault::Minor)?,
    };
    Ok(Header { schema: text(members.schema), minor, tool: text(members.tool) })
}

impl Form {
    /// The name without its version, and the major version.
    fn parts(name: &str) -> Option<(&str, u32)> {
        let (family, version) = name.rsplit_once("/v")?;
        Some((family, version.parse().ok()?))
    }

    /// Whether a document is of this form, in whatever version.
    pub fn is_of(&self, header: &Header) -> bool {
        let family = |name| Self::parts(name).map(|(family, _)| family);
        header.schema.as_deref().and_then(family).is_some_and(|found| family(self.name) == Some(found))
    }

    /// Whether this version reads a document that says this of itself.
    ///
    /// # Errors
    /// It is of another form, or of another major version.
    pub fn accepts(&self, header: &Header) -> Result<(), Fault> {
        let Some(found) = header.schema.as_deref() else { return Err(Fault::Nameless { expected: *self }) };
        if found == self.name {
            return Ok(());
        }
        if !self.is_of(header) {
            return Err(Fault::Other { found: found.into(), expected: *self });
        }
        let major = |name| Self::parts(name).map(|(_, major)| major);
        let newer = major(found) > major(self.name);
        Err(Fault::Major { found: found.into(), reads: self.name, newer, tool: header.tool.clone() })
    }
}
