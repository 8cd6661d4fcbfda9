//! `schema`: the JSON Schema of a document, as the types have it.

use super::{Failure, output};
use crate::cli::{Schema, SchemaOf};
use crate::{config, exit, report, snapshot};

/// Prints the schema.
pub fn run(options: Schema) -> Result<u8, Failure> {
    let schema = match options.of {
        SchemaOf::Report => report::json_schema(),
        SchemaOf::Snapshot => snapshot::json_schema(),
        SchemaOf::Diff => report::difference_json_schema(),
        SchemaOf::Config => config::json_schema(),
    };
    output::to_stdout(|out| writeln!(out, "{schema:#}"))?;
    Ok(exit::HEALTHY)
}
