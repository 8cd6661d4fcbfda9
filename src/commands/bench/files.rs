//! The files of a benchmark: a row for each request, written as it goes, and the table with the benchmark's own row.

use crate::cli::{BenchOptions, Output};
use crate::commands::note::say;
use crate::commands::output;
use crate::probe::{LoadRequest, RequestTold};
use crate::report::Bench;
use crate::words::count;
use anyhow::{anyhow, bail};
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// The columns of the table by which GPUs are compared.
const TABLE: &str = "GPU,Avg Inference Time (ms),Requests Per Second\n";
/// The columns of a row for each request.
const REQUESTS: &str = "timestamp,status,latency_ms,inference_time_ms,error\n";
/// Time between two looks at how far it is.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// Hears of requests and does nothing.
pub fn nobody() -> RequestTold {
    RequestTold(Arc::new(|_| {}))
}

/// The files that the user named.
pub struct Files {
    table: Option<Written>,
    requests: Arc<Mutex<Option<Written>>>,
}

impl Files {
    /// Makes them with their headers, so that what cannot be written is known before anything is sent.
    pub fn open(options: &BenchOptions, output: &Output) -> anyhow::Result<Self> {
        let own = [("--csv", &options.csv), ("--requests-csv", &options.requests_csv)];
        let own = own.into_iter().filter_map(|(flag, path)| Some((flag, path.as_deref()?)));
        let named: Vec<(&str, &Path)> = own.chain(output.paths()).collect();
        for (at, (flag, path)) in named.iter().enumerate() {
            if let Some((other, _)) = named.iter().skip(at + 1).find(|(_, other)| output::is_same(path, other)) {
                bail!("{flag} and {other} name the same file");
            }
        }
        let open = |flag, path: &Option<PathBuf>, header| {
            path.as_ref().map(|path| Written::open(flag, path, header)).transpose()
        };
        let table = open("--csv", &options.csv, TABLE)?;
        let requests = match open("--requests-csv", &options.requests_csv, REQUESTS) {
            Ok(requests) => requests,
            Err(problem) => {
                // Nothing was measured: the empty table would only be in the way of the next attempt.
                table.iter().for_each(Written::remove);
                return Err(problem);
            }
        };
        Ok(Self { table, requests: Arc::new(Mutex::new(requests)) })
    }

    /// Writes each request down, and tells a person who watches how far it is.
    pub fn listener(&self) -> RequestTold {
        let requests = self.requests.clone();
        // It is overwritten by the line of the step when that is over.
        let watched = std::io::stderr().is_terminal();
        let shown = Mutex::new((0_u64, Instant::now()));
        RequestTold(Arc::new(move |request| {
            if let Some(file) = requests.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                file.line(&row(request));
            }
            if watched {
                let (all, last) = &mut *shown.lock().unwrap_or_else(PoisonError::into_inner);
                *all += 1;
                if last.elapsed() >= SHOWN_EVERY {
                    *last = Instant::now();
                    let ms = request.took.as_secs_f64() * 1e3;
                    eprint!("\r{:<60}", format!("{}, the last took {ms:.1} ms", count(*all as usize, "request")));
                }
            }
        }))
    }

    /// Writes the benchmark's own row. Told is what was written, one sentence each.
    pub fn end(self, told: Option<&Bench>) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(mut table) = self.table {
            let (line, note) = told.map_or((None, "nothing was measured"), table_row);
            line.iter().for_each(|line| table.line(line));
            said.push(table.said() + if note.is_empty() { "" } else { "; " } + note);
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend(requests.as_ref().map(Written::said));
        said
    }
}

/// The benchmark's row, and what is to be said of it.
fn table_row(told: &Bench) -> (Option<String>, &'static str) {
    let gpu = match told.gpus.as_slice() {
        [] => "unknown".to_owned(),
        names => names.join(" + "),
    };
    let figures = match told.server_ms.as_ref().map(|times| times.mean).filter(|mean| *mean > 0.0) {
        Some(mean) => format!("{mean:.3},{:.4}", 1e3 / mean),
        None => ",".into(),
    };
    let note = match (figures.as_str(), gpu.as_str()) {
        (",", _) => "without figures, since the answers tell no time of the server's own (--server-time names it)",
        (_, "unknown") => "the GPU is not known (--gpu names it)",
        _ => "",
    };
    (Some(format!("{},{figures}\n", cell(&gpu))), note)
}

/// A row of one request.
fn row(request: &LoadRequest) -> String {
    let at = request.begun.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let status = request.status.map(|status| status.to_string()).unwrap_or_default();
    let server_ms = request.server_ms.map(|ms| format!("{ms:.3}")).unwrap_or_default();
    let error = match (request.accepted, request.error, request.status) {
        (true, ..) => String::new(),
        (false, Some(error), _) => error.replace('_', " "),
        (false, None, Some(200..=299)) => "an error inside the answer".into(),
        (false, None, status) => format!("HTTP {}", status.unwrap_or_default()),
    };
    format!("{at:.6},{status},{:.3},{server_ms},{}\n", request.took.as_secs_f64() * 1e3, cell(&error))
}

/// A text as a cell (RFC 4180).
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// A file that is written line by line, and whole after each.
struct Written {
    flag: &'static str,
    path: PathBuf,
    file: File,
    rows: u64,
    /// Its length after the last whole line, bytes.
    length: u64,
    /// Why not everything was written.
    failed: Option<String>,
}

impl Written {
    fn open(flag: &'static str, path: &Path, header: &str) -> anyhow::Result<Self> {
        let refuse = |problem: &dyn std::fmt::Display| anyhow!("{flag} {}: {problem}", path.display());
        match std::fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => return Err(refuse(&"this is a folder; name a file in it")),
            Ok(_) => return Err(refuse(&"this is there already; name another file, or remove it")),
            Err(_) => {}
        }
        let opened = OpenOptions::new().write(true).create_new(true).open(path).map_err(|error| refuse(&error))?;
        let mut written = Self { flag, path: path.to_owned(), file: opened, rows: 0, length: 0, failed: None };
        if let Err(error) = written.append(header) {
            written.remove();
            return Err(refuse(&error));
        }
        Ok(written)
    }

    fn append(&mut self, line: &str) -> std::io::Result<()> {
        let written = self.file.write_all(line.as_bytes());
        match &written {
            Ok(()) => self.length += line.len() as u64,
            // Half a line would be read as a whole one.
            Err(_) => {
                let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            }
        }
        written
    }

    /// Writes a line. What fails is said at once, and the benchmark goes on.
    fn line(&mut self, line: &str) {
        if self.failed.is_some() {
            return;
        }
        match self.append(line) {
            Ok(()) => self.rows += 1,
            Err(error) => {
                say(&format!("{} {}: {error}; no more is written to it", self.flag, self.path.display()));
                self.failed = Some(error.to_string());
            }
        }
    }

    fn said(&self) -> String {
        let failed = self.failed.as_ref().map_or(String::new(), |failed| format!("; then {failed}"));
        format!("{}: {}{failed}", self.path.display(), count(self.rows as usize, "row"))
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
