//! The report on a terminal: widths, colours, ASCII, what can be copied, what the first screen holds. Over every recorded
//! snapshot and every case of the corpus.

#[allow(dead_code)]
#[path = "../setup/cases.rs"]
mod cases;
#[allow(dead_code)]
#[path = "../corpus/expect.rs"]
mod expect;
mod hostile;
#[allow(dead_code)]
#[path = "../corpus/load.rs"]
mod load;
mod modes;
mod on_terminal;
mod wording;

use gpu_doctor::check::Checks;
use gpu_doctor::cli::ReportFormat;
use gpu_doctor::diagnosis::{Standing, diagnose};
use gpu_doctor::report::{Report, Style};
use gpu_doctor::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use unicode_width::UnicodeWidthStr;

const WIDTHS: [usize; 4] = [60, 80, 100, 120];

/// A judged snapshot.
struct Told {
    name: String,
    snapshot: Snapshot,
    report: Report,
}

/// All of them.
static TOLD: LazyLock<Vec<Told>> = LazyLock::new(|| {
    let checks = Checks::load(None).unwrap();
    let recorded = std::fs::read_dir(cases::fixtures().join("snapshots")).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        (path.extension()? == "json").then(|| (name, serde_json::from_str::<Snapshot>(&text).unwrap()))
    });
    let constructed = load::all().into_iter().map(|case| (case.name, case.snapshot));
    let mut all: Vec<(String, Snapshot)> = recorded.chain(constructed).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    let told = all.into_iter().map(|(name, snapshot)| {
        let report = Report::new(&snapshot, diagnose(&checks, &snapshot).unwrap());
        Told { name, snapshot, report }
    });
    told.collect()
});

fn told(name: &str) -> &'static Told {
    TOLD.iter().find(|told| told.name == name).unwrap_or_else(|| panic!("no snapshot is called {name}"))
}

fn written(report: &Report, snapshot: &Snapshot, format: ReportFormat, style: &Style) -> String {
    // Of all tests of this program alike; a style without colours has none all the same.
    colored::control::set_override(true);
    let mut out = Vec::new();
    report.write(snapshot, format, style, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

impl Told {
    fn text(&self, style: &Style) -> String {
        written(&self.report, &self.snapshot, ReportFormat::Text, style)
    }

    fn short(&self, style: &Style) -> String {
        written(&self.report, &self.snapshot, ReportFormat::Short, style)
    }
}

/// Lines that stand for themselves, to be copied.
fn commands(report: &Report) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |command: &str| all.extend(command.lines().map(|line| line.trim().to_owned()));
    for diagnosis in &report.diagnoses {
        diagnosis.fix.iter().for_each(|step| add(&step.run));
        diagnosis.verify.iter().for_each(|command| add(command));
        add(&format!("gpu-doctor explain {}", diagnosis.cause));
    }
    for missing in &report.unknown {
        missing.get.split('`').skip(1).step_by(2).for_each(|command| add(command.trim()));
    }
    if let Some(exchanges) = &report.exchanges {
        exchanges.mended_curl.iter().for_each(|curl| add(curl));
        exchanges.mended_code.iter().for_each(|change| add(&change.new));
    }
    for change in report.load.iter().flat_map(|load| &load.judged.config_changes) {
        change.lines.iter().for_each(|line| add(line));
    }
    all
}

/// Lines that are too long without a reason.
fn too_long(text: &str, width: usize, commands: &BTreeSet<String>) -> Vec<String> {
    // What was given to be copied came through untouched; in ASCII with its letters escaped.
    let is_whole = |line: &str| !line.trim().contains(' ') || commands.contains(line.trim());
    text.lines().filter(|line| line.width() > width && !is_whole(line)).map(str::to_owned).collect()
}

fn styles() -> impl Iterator<Item = Style> {
    WIDTHS.into_iter().flat_map(|width| {
        let of = move |verbose, ascii| Style { width, verbose, ascii, ..Style::default() };
        [of(false, false), of(true, false), of(false, true), of(true, true)]
    })
}

#[test]
fn every_line_keeps_to_the_width_and_to_ascii_and_steers_no_terminal() {
    for told in TOLD.iter() {
        let commands = commands(&told.report);
        for style in styles() {
            let text = told.text(&style);
            let (name, long) = (&told.name, too_long(&text, style.width, &commands));
            assert!(long.is_empty(), "{name}, {style:?}: {long:#?}");
            let steers = |c: char| c != '\n' && c.is_control();
            assert!(!text.contains(steers), "{name}: {text:?}");
            assert!(!style.ascii || text.is_ascii() && told.short(&style).is_ascii(), "{name}: {text}");
            let spaced = text.lines().find(|line| line.trim_end() != *line);
            assert_eq!(spaced, None, "{name}: spaces at the end of a line");
            assert!(!text.contains("\n\n\n") && !text.starts_with('\n'), "{name}: {text}");
        }
    }
}

#[test]
fn every_command_of_the_report_stands_whole_on_a_line_of_its_own() {
    for told in TOLD.iter() {
        for style in styles().filter(|style| !style.ascii) {
            let text = told.text(&style);
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for diagnosis in &told.report.diagnoses {
                let fixes = diagnosis.fix.iter().map(|step| step.run.trim()).filter(|run| !run.is_empty());
                for command in fixes.chain(diagnosis.verify.iter().map(|command| command.trim())) {
                    let stands = match command.contains('\n') {
                        false => lines.contains(&command),
                        true => text.contains(&format!("\n{command}\n")),
                    };
                    assert!(stands, "{}, {}: {command}\n{text}", told.name, style.width);
                }
            }
        }
    }
}

#[test]
fn every_cause_is_told_with_what_it_explains_its_fix_and_where_to_read_more() {
    for told in TOLD.iter() {
        for style in styles() {
            let text = told.text(&style);
            for (number, diagnosis) in told.report.diagnoses.iter().enumerate() {
                let title = text.lines().find(|line| line.starts_with(&format!("{}. ", number + 1)));
                assert!(title.is_some_and(|title| title.contains(&diagnosis.cause)), "{}: {text}", told.name);
                assert!(text.contains(&format!("gpu-doctor explain {}", diagnosis.cause)), "{}: {text}", told.name);
                assert!(diagnosis.explains.iter().all(|id| text.contains(id)), "{}: {text}", told.name);
            }
        }
    }
}

#[test]
fn nothing_depends_on_colours() {
    let coloured = Style { colour: true, ..Style::default() };
    for told in TOLD.iter() {
        for verbose in [false, true] {
            let text = told.text(&Style { verbose, ..coloured });
            assert!(text.contains("\u{1b}["), "{}: {text}", told.name);
            let stripped: String = text
                .split("\u{1b}[")
                .enumerate()
                .map(|(place, part)| if place == 0 { part } else { part.split_once('m').unwrap().1 })
                .collect();
            assert_eq!(stripped, told.text(&Style { verbose, ..Style::default() }), "{}", told.name);
        }
    }
}

/// Each stage has its line in the order of the chain, the first that failed is marked in words and by a mark, and of a
/// blocked one it is said by which.
#[test]
fn the_chain_tells_its_first_break_and_what_blocks_what() {
    let (mut broken, mut blocked) = (0, 0);
    for told in TOLD.iter() {
        let text = told.text(&Style::default());
        let marked: Vec<&str> = text.lines().filter(|line| line.contains("FIRST BREAK")).collect();
        let first = told.report.stages.iter().find(|link| link.standing == Standing::Fail);
        match first {
            None => assert!(marked.is_empty(), "{}: {text}", told.name),
            Some(link) => {
                let start = format!("> FAIL     {}", link.stage);
                assert!(marked.len() == 1 && marked[0].starts_with(&start), "{}: {text}", told.name);
                broken += 1;
            }
        }
        for link in &told.report.stages {
            assert_eq!(link.blocked_by.is_some(), link.standing == Standing::Blocked, "{}: {link:?}", told.name);
            let Some(by) = link.blocked_by else { continue };
            let line = text.lines().find(|line| line.starts_with(&format!("  blocked  {} ", link.stage)));
            assert!(line.is_some_and(|line| line.contains(&format!(" by {by}"))), "{}: {text}", told.name);
            let place = |stage| told.report.stages.iter().position(|link| link.stage == stage);
            assert!(place(by) < place(link.stage), "{}: {link:?}", told.name);
            blocked += 1;
        }
    }
    assert!(broken > 50 && blocked > 50, "{broken} {blocked}");
}

/// A screen of 24 lines shows the sentence, the chain and where the first fix begins.
#[test]
fn the_first_screen_holds_where_the_first_fix_begins() {
    for (width, least_percent) in [(80, 88), (100, 96), (120, 98)] {
        let (mut seen, mut of, mut late) = (0, 0, Vec::new());
        for told in TOLD.iter().filter(|told| !told.report.diagnoses.is_empty()) {
            let text = told.text(&Style { width, ..Style::default() });
            let fix = text.lines().position(|line| matches!(line.trim(), "fix" | "to find out why"));
            of += 1;
            match fix {
                // What is to be done is the line after.
                Some(line) if line + 2 <= 24 => seen += 1,
                line => late.push(format!("{} ({})", told.name, line.unwrap_or_default() + 2)),
            }
        }
        println!("{width} columns: {seen} of {of}; late: {}", late.join(", "));
        assert!(100 * seen >= least_percent * of, "{width} columns: {seen} of {of}; late: {late:?}");
    }
}

/// `GPU_DOCTOR_PRINT=name` (or `all`) prints reports, to be read.
#[test]
fn reports_are_printed_on_demand() {
    let Ok(wanted) = std::env::var("GPU_DOCTOR_PRINT") else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let verbose = std::env::var("GPU_DOCTOR_VERBOSE").is_ok();
    let style = Style { width: number("COLUMNS").unwrap_or(100), verbose, ..Style::default() };
    for told in TOLD.iter().filter(|told| wanted == "all" || told.name == wanted) {
        println!("=== {}\n{}--- short\n{}", told.name, told.text(&style), told.short(&style));
    }
}
