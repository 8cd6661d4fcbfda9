use super::*;

const SOUND: &str = include_str!("../../../checks/hardware/no-nvidia-device.yaml");

fn linted(files: &[(&str, &str)]) -> Linted {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    lint_folder(folder.path(), &Checks::load(None).unwrap()).unwrap()
}

/// The sound check under a name of its own.
fn own(text: &str) -> String {
    text.replace("id: no-nvidia-device", "id: own-device")
}

/// The problems of one check, as `line:column length problem [help]`.
fn problems(text: &str) -> String {
    let problems = linted(&[("hardware/own-device.yaml", &own(text))]).problems;
    let shown = |problem: &Problem| {
        let spot = problem.spot.as_ref().map_or(String::new(), |s| format!("{}:{} {} ", s.line, s.column, s.length));
        format!("{spot}{} [{}]", problem.problem, problem.help)
    };
    problems.iter().map(shown).collect::<Vec<_>>().join("\n")
}

fn with(from: &str, to: &str) -> String {
    assert!(SOUND.contains(from), "the fixture changed: {from}");
    problems(&SOUND.replace(from, to))
}

#[test]
fn the_built_in_checks_are_sound() {
    let checks = Checks::load(None).unwrap();
    assert!(checks.iter().count() >= 10);
    assert_eq!(lint_built_in(&checks), Vec::new());
}

/// The YAML itself too, as a user's would be: keys, places, both readers of YAML.
#[test]
fn the_files_of_the_built_in_checks_are_sound() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks");
    let none = Checks::load(None).unwrap().select(&["no-nvidia-device".into()], &[]).unwrap();
    let linted = lint_folder(&folder, &none).unwrap();
    let problems: Vec<&str> = linted.problems.iter().map(|problem| problem.problem.as_str()).collect();
    // The one beside which they were examined.
    assert_eq!(problems, ["id: the built-in checks/hardware/no-nvidia-device.yaml has it"]);
    assert!(linted.files > 150 && linted.unread.is_empty());
}

#[test]
fn mistakes_are_named() {
    assert_eq!(problems(SOUND), "");
    let misspelt = with("!derived.gpu_visible", "!derived.gpu_visibel");
    assert!(misspelt.contains("no fact is called \"derived.gpu_visibel\" [did you mean gpu_visible?]"), "{misspelt}");
    assert!(with("id: no-nvidia-device", "id: no-device").contains("not the file's name"));
    assert!(with("stage: hardware", "stage: driver").contains("not the folder's name"));
    let stage = with("stage: hardware", "stage: hardwear");
    assert!(stage.contains("2:8 8 stage: \"hardwear\" is none of its values [did you mean hardware?]"), "{stage}");
    assert!(with("!derived.gpu_visible", "nvml.gpus.all(g, g.index > 0)").contains("add size(nvml.gpus) > 0"));
    let deep = "nvml.gpus.exists(a, nvml.gpus.exists(b, nvml.gpus.exists(c, a.index + b.index == c.index)))";
    assert!(with("!derived.gpu_visible", deep).contains("nested 3 deep"));
    let effect = with("[gpu-idle-while-serving", "[gpu-idle-while-servin");
    assert!(effect.contains("gpu-idle-while-servin\" [did you mean gpu-idle-while-serving?]"), "{effect}");
    let key = with("title:", "titel:");
    assert!(key.contains("3:1 5 there is no key \"titel\" [did you mean \"title\"?]"), "{key}");
    assert!(key.contains("the key \"title\" is missing"), "{key}");
    // One advice for one mistake.
    assert_eq!(stage.lines().count(), 1, "{stage}");
    let id = with("id: no-nvidia-device", "id: Own_Device");
    assert!(id.contains("[write id: own-device, the file's name]") && id.lines().count() == 1, "{id}");
    let function = with("!derived.gpu_visible", "!derived.gpu_visible && host.kernel_release.startWith('6')");
    assert!(function.contains(" 9 when: there is no function \"startWith\" [did you mean startsWith?]"), "{function}");
    let element = with("!derived.gpu_visible", "nvml.gpus[0].nam == 'x'");
    assert!(element.contains("\"nvml.gpus[].nam\" [did you mean name?]"), "{element}");
    assert!(with("severity: fail", "severity: fatal").contains("none of its values"));
    assert!(with("severity: fail", "severity: fail\nseverity: warn").contains("second time"));
    assert!(with("severity: fail", "severity: fail\nzzz: [a]").contains("the keys are id, stage"));
    assert!(with("severity: fail", "severity: fail\nwarn_if: 'a.b &&'").contains("no CEL expression"));
}

/// A check, its mistakes marked: each place is that of the wrong word.
#[test]
fn places_are_those_of_the_wrong_words() {
    let text = "\
id: own-device
stage: hardware
title: A title
severity: warn
when: >-
  size(nvml.gpus) > 0
  && nvml.gpus.exists(g, g.memory_totl_bytes > 0)
brief: \"it has {{ nvml.gpu | count('GPU') }} {{ nvml.gpus[0].nam }} {{ nvml.gpus[0].name }}\"
because: >-
  One
  {{ nvml.gpus | frobnicate }}.
evidence: [nvml.gpus, nvml.gpusses]
fix:
  - say: Do.
    rum: it
verify: gpu-doctor run
means: Something.
told_apart: Something.
docs: [example.org/page]
";
    let found = problems(text);
    for expected in [
        "7:28 17 when: no fact is called \"nvml.gpus[].memory_totl_bytes\" [did you mean memory_total_bytes?]",
        "8:24 3 brief: no fact is called \"nvml.gpu\" [did you mean gpus?]",
        "8:62 3 brief: no fact is called \"nvml.gpus[].nam\" [did you mean name?]",
        "because: this is no template",
        "12:28 7 evidence: no fact is called \"nvml.gpusses\" [did you mean gpus?]",
        "15:5 3 there is no key \"rum\" [did you mean \"run\"?]",
        "16:9 14 \"verify\" is a list, and this is none [verify: [one, another]]",
        "19:8 16 docs: this is no link",
    ] {
        assert!(found.contains(expected), "{expected}\nis not in\n{found}");
    }
    assert_eq!(found.lines().count(), 8, "{found}");
}

#[test]
fn every_file_is_told_of_whatever_is_wrong_with_it() {
    let sound = own(SOUND);
    let text = linted(&[
        ("hardware/own-device.yaml", &sound),
        ("driver/broken.yaml", "id: [a\n"),
        ("driver/list.yaml", "- a\n"),
        ("driver/empty.yaml", ""),
        ("driver/no-nvidia-device.yaml", SOUND),
        ("hardware/twin.yaml", &sound),
        // The cases of a check are none.
        ("hardware/own-device.cases.yaml", "holds: {base: a1}\n"),
    ]);
    assert_eq!((text.files, text.unread.len()), (6, 0));
    let told = |name: &str| {
        let of_file = text.problems.iter().filter(|problem| problem.file.ends_with(name));
        of_file.map(|problem| problem.problem.as_str()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(told("own-device.yaml"), "");
    assert!(told("broken.yaml").contains("no YAML"), "{}", told("broken.yaml"));
    assert!(told("list.yaml").contains("this is no check") && told("empty.yaml").contains("this is no check"));
    assert!(told("driver/no-nvidia-device.yaml").contains("the built-in checks/hardware/no-nvidia-device.yaml has it"));
    assert!(told("twin.yaml").contains("own-device.yaml has it too"), "{}", told("twin.yaml"));
}

#[test]
fn what_cannot_be_read_is_told_beside_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("list.yaml"), "- a\n").unwrap();
    std::fs::write(folder.path().join("huge.yaml"), vec![b'#'; 1 << 20]).unwrap();
    std::fs::write(folder.path().join("latin.yaml"), b"id: \xff").unwrap();
    std::os::unix::fs::symlink("/nowhere", folder.path().join("link.yaml")).unwrap();
    let linted = lint_folder(folder.path(), &Checks::load(None).unwrap()).unwrap();
    assert_eq!((linted.files, linted.problems.len(), linted.unread.len()), (4, 1, 3));
    let unread: Vec<String> = linted.unread.iter().map(|one| format!("{}: {}", one.file, one.problem)).collect();
    let unread = unread.join("\n");
    assert!(unread.contains("larger than") && unread.contains("not UTF-8") && unread.contains("link.yaml"), "{unread}");
}

#[test]
fn files_of_cases_are_looked_at_too() {
    let cases = "holds: {base: a1}\nmore:\n  a twin: {base: a1, verdict: cleer}\n";
    let linted = linted(&[("hardware/own-device.yaml", &own(SOUND)), ("hardware/own-device.cases.yaml", cases)]);
    let [problem] = linted.problems.as_slice() else { panic!("{:?}", linted.problems) };
    let spot = problem.spot.as_ref().map(|spot| (spot.line, spot.column, spot.length));
    assert_eq!((spot, problem.help.as_str()), (Some((3, 31, 5)), "did you mean clear?"));
    assert!(problem.file.ends_with("own-device.cases.yaml"), "{}", problem.file);
}

#[test]
fn a_circle_of_causes_is_named() {
    let found = with("[gpu-idle-while-serving", "[own-device, gpu-idle-while-serving");
    assert!(found.contains("own-device explains own-device"), "{found}");
    let two = |id: &str, other: &str| {
        SOUND
            .replace("no-nvidia-device", id)
            .replace("[gpu-idle-while-serving", &format!("[{other}, gpu-idle-while-serving"))
    };
    let linted =
        linted(&[("hardware/one.yaml", &two("one", "two")), ("hardware/two.yaml", &two("two", "one"))]).problems;
    let found: Vec<&str> = linted.iter().map(|problem| problem.problem.as_str()).collect();
    assert!(found.iter().any(|problem| problem.contains("one explains two explains one")), "{found:?}");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// However a check is mangled: an answer, and every place lies in the file.
    #[test]
    fn any_mangled_check_is_judged(at in 0..SOUND.len(), cut in 0usize..60, put in "[-\"'{}%|>:, a-z\n\t\\PC]{0,8}") {
        let end = (at + cut).min(SOUND.len());
        let text = match (SOUND.get(..at), SOUND.get(end..)) {
            (Some(before), Some(after)) => format!("{before}{put}{after}"),
            _ => put,
        };
        let problems = match Draft::of_text("hardware/no-nvidia-device.yaml", &text) {
            Ok(draft) => examine(vec![draft], None),
            Err(problem) => vec![problem],
        };
        let lines: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        for spot in problems.iter().filter_map(|problem| problem.spot.as_ref()) {
            let width = lines.get(spot.line - 1).copied().unwrap_or_default();
            proptest::prop_assert!(spot.line <= lines.len() + 1 && spot.column <= width + 1, "{spot:?}");
        }
    }
}
