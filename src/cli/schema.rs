//! `schema`.

use clap::{Args, ValueEnum};

/// `schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Which one.
    #[arg(value_enum)]
    pub of: SchemaOf,
}

/// Of what there is a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// What `--format json` prints.
    Report,
    /// What `collect` and `--save` write.
    Snapshot,
    /// What `diff --format json` prints.
    Diff,
    /// The config file.
    Config,
}
