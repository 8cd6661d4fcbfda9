//! The recipes of `docs/recipes`, done: files are parsed by what reads them, their commands run, and what they come to is
//! held against what the page says.

mod rehearsal;
#[path = "../setup/scripted_server.rs"]
mod scripted_server;
#[path = "../setup/mod.rs"]
mod setup;

use clap::Parser;
use gpu_doctor::cli::Cli;
use rehearsal::{Rehearsal, Verdict, folder, text};
use serde_yaml::Value;
use std::process::Command;

/// The value at these keys; numbers are places in a list.
fn at<'a>(value: &'a Value, keys: &[&str]) -> &'a Value {
    keys.iter().fold(value, |value, key| match key.parse::<usize>() {
        Ok(place) => &value[place],
        Err(_) => &value[*key],
    })
}

fn yaml(file: &str) -> Value {
    serde_yaml::from_str(&text(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn the_action_of_github() {
    let action = yaml("github/action.yml");
    assert_eq!(at(&action, &["runs", "using"]), "composite");
    let step = at(&action, &["runs", "steps", "0"]);
    assert_eq!(at(step, &["shell"]), "bash");
    let script = at(step, &["run"]).as_str().unwrap();
    // What the action passes on is what it takes.
    for (variable, input) in at(step, &["env"]).as_mapping().unwrap() {
        let input = input.as_str().unwrap().trim_start_matches("${{ inputs.").trim_end_matches(" }}").to_owned();
        assert!(at(&action, &["inputs", &input, "default"]).is_string(), "{variable:?}: {input}");
    }
    for verdict in Verdict::ALL {
        let stage = Rehearsal::new(verdict);
        let (summary, output) = (stage.file("summary"), stage.file("output"));
        let variables = [
            ("CONFIG", "gpu-doctor.yaml"),
            ("WAIT", "1s"),
            ("GITHUB_STEP_SUMMARY", &summary),
            ("GITHUB_OUTPUT", &output),
        ];
        // As the runner starts a step of bash.
        let done = stage.run(&["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], &variables);
        assert_eq!(done.code, verdict.code(), "{}", done.said);
        assert_eq!(std::fs::read_to_string(&output).unwrap(), format!("exit-code={}\n", verdict.code()));
        assert!(!std::fs::read_to_string(&summary).unwrap().is_empty());
        assert!(stage.wrote("doctor.xml") && stage.wrote("doctor.html"));
    }
    let stage = Rehearsal::new(Verdict::Healthy);
    let (summary, output) = (stage.file("summary"), stage.file("output"));
    let variables =
        [("CONFIG", "nowhere.yaml"), ("WAIT", "1s"), ("GITHUB_STEP_SUMMARY", &summary), ("GITHUB_OUTPUT", &output)];
    let done = stage.run(&["bash", "-eo", "pipefail", "-c", script], &variables);
    assert_eq!(
        (done.code, std::fs::read_to_string(&output).unwrap().as_str()),
        (64, "exit-code=64\n"),
        "{}",
        done.said
    );
    let workflow = yaml("github/workflow.yml");
    let given = at(&workflow, &["jobs", "serve", "steps", "2", "with"]).as_mapping().unwrap();
    assert!(given.keys().all(|input| action["inputs"].get(input).is_some()));
}

#[test]
fn the_job_of_gitlab() {
    let job = yaml("gitlab/gitlab-ci.yml")["gpu-doctor"].clone();
    let lines: Vec<&str> =
        at(&job, &["script"]).as_sequence().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    for verdict in Verdict::ALL {
        let stage = Rehearsal::new(verdict);
        // GitLab's runner joins the lines and stops at the first that fails.
        let done = stage.run(&["sh", "-e", "-c", &lines.join("\n")], &[]);
        assert_eq!(done.code, verdict.code(), "{}", done.said);
        assert!(stage.wrote(at(&job, &["artifacts", "reports", "junit"]).as_str().unwrap()));
        assert!(stage.wrote(at(&job, &["artifacts", "paths", "0"]).as_str().unwrap()));
    }
    assert_eq!(at(&job, &["allow_failure", "exit_codes", "0"]), &Value::from(Verdict::Undecided.code()));
}

#[test]
fn the_pipeline_of_jenkins() {
    let file = text("jenkins/Jenkinsfile");
    assert_eq!(file.matches('{').count(), file.matches('}').count());
    let (_, rest) = file.split_once("sh(returnStatus: true, script: '").unwrap();
    let command = rest.split_once("')").unwrap().0;
    let stage = Rehearsal::new(Verdict::Unhealthy);
    assert_eq!(stage.run(&["sh", "-xe", "-c", command], &[]).code, 1);
    for named in ["testResults: 'doctor.xml'", "artifacts: 'doctor.html'"] {
        assert!(file.contains(named) && stage.wrote(named.split('\'').nth(1).unwrap()));
    }
}

#[test]
fn the_health_check_of_docker() {
    let file = text("docker/Dockerfile").replace("\\\n", " ");
    let line = file.lines().find(|line| line.starts_with("HEALTHCHECK")).unwrap();
    let command = line.split_once(" CMD ").unwrap().1.trim();
    // `init` writes it for its owner alone, and the server may be another user.
    assert!(file.contains("COPY --chmod=0644 gpu-doctor.yaml /etc/gpu-doctor.yaml"));
    assert!(file.contains("COPY --chmod=0755 gpu-doctor /usr/local/bin/gpu-doctor"));
    for (verdict, code) in [(Verdict::Healthy, 0), (Verdict::Unhealthy, 1), (Verdict::Undecided, 0)] {
        let stage = Rehearsal::new(verdict);
        let done = stage.run(&["/bin/sh", "-c", &stage.placed(command)], &[]);
        assert_eq!(done.code, code, "{verdict:?}: {}", done.said);
    }
    let stage = Rehearsal::new(Verdict::Healthy);
    for command in [command.to_owned(), stage.placed(command).replace("gpu-doctor run", "no-such-doctor run")] {
        let done = stage.run(&["/bin/sh", "-c", &command], &[]);
        assert_eq!(done.code, 0, "the doctor's own errors say nothing of the server: {}", done.said);
        assert!(done.said.contains("no-such-doctor") || done.said.contains("No such file"), "{}", done.said);
    }
}

/// The command of a unit's line, as systemd hands it to the kernel.
fn unit_command(unit: &str, key: &str) -> Vec<String> {
    let file = text(unit);
    let line = file.lines().find_map(|line| line.strip_prefix(&format!("{key}="))).unwrap();
    shlex::split(line.trim_start_matches('-')).unwrap().into_iter().map(|word| word.replace("$$", "$")).collect()
}

#[test]
fn the_units_of_systemd() {
    // Before the start: this machine has no GPU, which is a failure, and the server is not started.
    let before = unit_command("systemd/asr.service", "ExecStartPre");
    let stage = Rehearsal::new(Verdict::Healthy);
    let placed: Vec<String> = before.iter().map(|word| stage.placed(word)).collect();
    let done = stage.run(&placed.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let plain = stage.run(&["gpu-doctor", "run", "--only", "hardware,driver,container,cuda", "--format", "short"], &[]);
    assert_eq!(done.code, i32::from(plain.code == 1), "{}", done.said);
    for verdict in Verdict::ALL {
        let stage = Rehearsal::new(verdict);
        let after: Vec<String> =
            unit_command("systemd/asr.service", "ExecStartPost").iter().map(|word| stage.placed(word)).collect();
        let after: Vec<&str> = after.iter().map(|word| if word == "--wait=60s" { "--wait=1s" } else { word }).collect();
        assert_eq!(stage.run(&after, &[]).code, verdict.code());
        let timed: Vec<String> =
            unit_command("systemd/gpu-doctor.service", "ExecStart").iter().map(|word| stage.placed(word)).collect();
        let timed: Vec<&str> = timed.iter().map(String::as_str).collect();
        let done = stage.run(&timed, &[]);
        assert_eq!(done.code, verdict.code(), "{}", done.said);
        assert!(stage.wrote("gpu_doctor.prom"));
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(stage.file("gpu_doctor.prom")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "the exporter is another user");
        // With a config that is wrong the good metrics stay.
        std::fs::write(stage.file("gpu-doctor.yaml"), "sever: x\n").unwrap();
        let before = std::fs::read(stage.file("gpu_doctor.prom")).unwrap();
        assert_eq!(stage.run(&timed, &[]).code, 64);
        assert_eq!(std::fs::read(stage.file("gpu_doctor.prom")).unwrap(), before);
    }
    let unit = text("systemd/gpu-doctor.service");
    assert!(unit.contains("UMask=0022"), "the right to read is not taken away again");
    // A start that ExecStartPre refuses is not tried for ever, nor without a pause.
    for line in ["RestartSec=30", "StartLimitIntervalSec=10min", "StartLimitBurst=3"] {
        assert!(text("systemd/asr.service").lines().any(|one| one == line), "{line}");
    }
    let gone: Vec<String> =
        before.iter().map(|word| word.replace("/usr/local/bin/gpu-doctor", "/nowhere/gpu-doctor")).collect();
    assert_eq!(stage.run(&gone.iter().map(String::as_str).collect::<Vec<_>>(), &[]).code, 1, "a gate stays closed");
    assert!(text("systemd/gpu-doctor.service").contains("SuccessExitStatus=1 2"));
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return setup::left_out::not_allowed("units verified by systemd-analyze, which is not installed");
    }
    let place = tempfile::tempdir().unwrap();
    let names = ["asr.service", "gpu-doctor.service", "gpu-doctor.timer"];
    let files: Vec<String> = names
        .iter()
        .map(|name| {
            let unit = text(&format!("systemd/{name}"));
            // What the unit runs need not be installed where it is verified.
            let unit = unit.replace("/usr/local/bin/gpu-doctor", setup::GPU_DOCTOR);
            let unit = unit.replace("/opt/asr/venv/bin/uvicorn", "/bin/true").replace("=/opt/asr", "=/tmp");
            let file = place.path().join(name);
            std::fs::write(&file, unit).unwrap();
            file.display().to_string()
        })
        .collect();
    let verified = Command::new("systemd-analyze").args(["--man=no", "verify"]).args(&files).output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    // Complaints about other units of this machine are not the recipe's.
    let own: Vec<&str> = said.lines().filter(|line| names.iter().any(|name| line.contains(name))).collect();
    assert!(own.is_empty(), "{said}");
}

#[test]
fn the_pod_and_the_plugin_of_kubernetes() {
    let pod = yaml("kubernetes/pod.yaml");
    let words = |value: &Value| -> Vec<String> {
        value.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let probe = words(at(&pod, &["spec", "containers", "0", "readinessProbe", "exec", "command"]));
    for (verdict, code) in [(Verdict::Healthy, 0), (Verdict::Unhealthy, 1)] {
        let stage = Rehearsal::new(verdict);
        let placed: Vec<String> = probe.iter().map(|word| stage.placed(word)).collect();
        let done = stage.run(&placed.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        assert_eq!(done.code, code, "{}", done.said);
    }
    let stage = Rehearsal::new(Verdict::Healthy);
    let done = stage.run(&probe.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert_eq!(done.code, 0, "no config there, which says nothing of the server: {}", done.said);
    let first = words(at(&pod, &["spec", "initContainers", "0", "command"]));
    let gone: Vec<String> = first.iter().map(|word| word.replace("gpu-doctor run", "no-such-doctor run")).collect();
    assert_eq!(stage.run(&gone.iter().map(String::as_str).collect::<Vec<_>>(), &[]).code, 1, "a gate stays closed");
    let done = stage.run(&first.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    assert!(matches!(done.code, 0 | 1) && !done.said.contains("error:"), "{}", done.said);

    let plugin: serde_json::Value = serde_json::from_str(&text("kubernetes/gpu-doctor.json")).unwrap();
    let rule = &plugin["rules"][0];
    assert_eq!(rule["condition"], plugin["conditions"][0]["type"]);
    let arguments: Vec<&str> = rule["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    let longest = plugin["pluginConfig"]["max_output_length"].as_u64().unwrap();
    for verdict in Verdict::ALL {
        let stage = Rehearsal::new(verdict);
        let all: Vec<String> =
            [rule["path"].as_str().unwrap()].iter().chain(&arguments).map(|w| stage.placed(w)).collect();
        let done = stage.run(&all.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
        // The plugin's own codes: 0 well, 1 a problem, 2 unknown.
        assert_eq!(done.code, verdict.code(), "{}", done.said);
        let line = done.out.lines().next().unwrap();
        assert!(done.out.lines().count() == 1 && !line.is_empty(), "{}", done.out);
        assert!(longest == 80, "what --format npd writes at most");
    }
}

#[test]
fn the_script_after_a_deployment() {
    for verdict in Verdict::ALL {
        let stage = Rehearsal::new(verdict);
        let script = text("deploy/smoke.sh").replace("--wait=5m", "--wait=1s");
        let done = stage.run(&["sh", "-c", &script, "smoke.sh", "gpu-doctor.yaml"], &[]);
        assert_eq!(done.code, verdict.code(), "{}", done.said);
        let again = stage.run(&["gpu-doctor", "diagnose", "after-deployment.json", "--only", verdict.stage()], &[]);
        assert_eq!(again.code, verdict.code(), "{}", again.said);
    }
}

#[test]
fn the_plugin_of_nagios() {
    let plugin = folder().join("nagios/check_gpu_doctor").display().to_string();
    for (verdict, code) in [(Verdict::Healthy, 0), (Verdict::Unhealthy, 2), (Verdict::Undecided, 3)] {
        let stage = Rehearsal::new(verdict);
        let done = stage.run(&[&plugin, "gpu-doctor.yaml"], &[]);
        assert_eq!(done.code, code, "{}", done.said);
        assert_eq!(done.out.lines().count(), 1, "{}", done.out);
    }
    let stage = Rehearsal::new(Verdict::Healthy);
    let done = stage.run(&[&plugin, "nowhere.yaml"], &[]);
    assert!(done.code == 3 && done.out.starts_with("UNKNOWN"), "{} {}", done.code, done.out);
    let there = text("nagios/nrpe.cfg");
    let (name, command) = there.trim().strip_prefix("command[").unwrap().split_once("]=").unwrap();
    assert_eq!(shlex::split(command).unwrap().len(), 2, "the plugin and its config");
    let here = text("nagios/gpu-doctor.cfg");
    assert!(here.contains(&format!("check_nrpe -H $HOSTADDRESS$ -t 60 -c {name}\n")), "{here}");
    // NRPE ends a command after 60 s.
    assert!(text("nagios/check_gpu_doctor").contains("--timeout 50s"));
}

#[test]
fn every_page_is_listed_names_its_files_and_holds_commands_that_can_be_typed() {
    let index = text("README.md");
    let mut pages = vec!["README.md".to_owned()];
    for entry in std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let name = entry.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(index.contains(&format!("]({name}/README.md)")), "{name}");
        let page = text(&format!("{name}/README.md"));
        for file in std::fs::read_dir(&entry).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()) {
            assert!(file == "README.md" || index.contains(&format!("`{file}`")), "{name}/{file} is not in the index");
            assert!(
                file == "README.md" || page.contains(&file) || name == "gitlab",
                "{name}/{file} is not on its page"
            );
        }
        pages.push(format!("{name}/README.md"));
    }
    let mut commands = 0;
    for page in pages {
        // What the doctor's own errors come to is said on each.
        assert!(["127", "its own errors"].iter().any(|said| text(&page).contains(said)), "{page}");
        let text = text(&page);
        for block in text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            for line in block.lines().filter(|line| line.starts_with("gpu-doctor")) {
                if let Err(problem) = Cli::try_parse_from(shlex::split(line).unwrap()) {
                    panic!("{page}: {line}: {problem}");
                }
                commands += 1;
            }
        }
        for block in text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            if let Err((place, problem)) = gpu_doctor::config::Config::parse(block) {
                panic!("{page}{place}: {problem}");
            }
            commands += 1;
        }
    }
    assert!(commands >= 3, "{commands}");
}
