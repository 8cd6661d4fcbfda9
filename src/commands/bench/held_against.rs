//! What a benchmark is held against: a table of usual times, an earlier run.

use crate::check::against;
use crate::check::baseline::{self, Row};
use crate::cli::BenchOptions;
use crate::commands::document;
use crate::regular_file;
use crate::report::{Against, Baseline, Bench};
use crate::snapshot::Snapshot;
use anyhow::{Context as _, anyhow, bail};
use std::path::{Path, PathBuf};

/// Most bytes of a file of baselines.
const LIMIT_BYTES: u64 = 1 << 20;

/// Read before anything is sent.
pub struct HeldAgainst {
    rows: Option<Vec<Row>>,
    before: Option<(String, Snapshot)>,
}

impl HeldAgainst {
    /// Reads the files that are named by option or config.
    ///
    /// # Errors
    /// What is wrong with them, or that no row is of the model that was named.
    pub fn read(options: &BenchOptions, by_config: Option<PathBuf>) -> anyhow::Result<Self> {
        let wanted = options.baseline.is_some() || options.baselines.is_some();
        let rows = match options.baselines.clone().or(by_config) {
            _ if !wanted => None,
            Some(path) => Some(rows(&path)?),
            None => Some(baseline::built_in()),
        };
        if let (Some(rows), Some(model)) = (&rows, model(options))
            && baseline::of_model(rows, model).is_none()
        {
            let known: Vec<&str> = rows.iter().map(|row| row.model.as_str()).collect();
            bail!("--baseline {model}: no row is of this model; there are {}", known.join(", "));
        }
        let before = options.against.as_deref().map(earlier).transpose()?;
        Ok(Self { rows, before })
    }

    /// Puts into the report how this run compares.
    pub fn tell(&self, snapshot: &Snapshot, options: &BenchOptions, told: &mut Bench) {
        told.baseline = self.rows.as_ref().map(|rows| {
            let compared = baseline::compare(&snapshot.facts, rows, model(options), options.gpu.as_deref());
            Baseline::of(compared, rows)
        });
        told.against = self.before.as_ref().map(|(file, before)| Against::of(file, before, snapshot));
    }
}

fn model(options: &BenchOptions) -> Option<&str> {
    options.baseline.as_deref().filter(|model| !model.is_empty())
}

fn rows(path: &Path) -> anyhow::Result<Vec<Row>> {
    let text = regular_file::read_text(path, LIMIT_BYTES).with_context(|| format!("--baselines {}", path.display()))?;
    baseline::with_users(&text).map_err(|problem| anyhow!("--baselines {}: {problem}", path.display()))
}

/// An earlier run of one user.
fn earlier(path: &Path) -> anyhow::Result<(String, Snapshot)> {
    let name = path.display().to_string();
    let snapshot = document::snapshot(path).with_context(|| format!("--against {name}"))?;
    match snapshot.facts.load.steps.read() {
        Err(why) => bail!("--against {name}: it holds no benchmark: {}", why.detail),
        Ok(steps) if !steps.iter().any(against::is_of_one_user) => {
            bail!("--against {name}: it holds no load of one user, as a benchmark is")
        }
        Ok(_) => Ok((name, snapshot)),
    }
}
