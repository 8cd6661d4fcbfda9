//! Completions, asked for in a real shell, and manual pages, read by a real formatter.

use crate::setup::doctor::gpu_doctor;
use crate::setup::{GPU_DOCTOR, left_out};
use std::path::Path;
use std::process::{Command, Stdio};

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}

/// What bash offers for the last of these words.
fn offered(words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(\"$0\" completions bash)\n\
         COMP_WORDS=({}); COMP_CWORD={}; COMPREPLY=()\n\
         spec=$(complete -p gpu-doctor); [[ $spec =~ -F\\ ([^ ]+) ]]\n\
         \"${{BASH_REMATCH[1]}}\" gpu-doctor \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1
    );
    let output = Command::new("bash").args(["--norc", "-c", &script, GPU_DOCTOR]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn bash_completes_commands_options_forms_and_ids() {
    let is_offered = |words: &[&str], wanted: &str| {
        let all = offered(words);
        assert!(all.iter().any(|one| one == wanted), "{wanted} for {words:?}: {all:?}");
    };
    is_offered(&["gpu-doctor", "in"], "init");
    is_offered(&["gpu-doctor", "run", "--wai"], "--waivers");
    is_offered(&["gpu-doctor", "run", "--format", "mark"], "markdown");
    is_offered(&["gpu-doctor", "explain", "ort-cpu"], "ort-cpu-package-only");
    is_offered(&["gpu-doctor", "run", "--only", "runt"], "runtime");
    is_offered(&["gpu-doctor", "diagnose", "--skip", "no-nvidia-dev"], "no-nvidia-device");
    assert!(!offered(&["gpu-doctor", "explain", "x-none"]).iter().any(|one| one.contains("ort-")));
}

#[test]
fn every_shell_can_read_its_own() {
    for (shell, reads) in [("bash", "bash -n"), ("zsh", "zsh -n"), ("fish", "fish -n")] {
        let said = gpu_doctor(&["completions", shell], &[]);
        assert!(said.code == 0 && said.out.contains("gpu-doctor"), "{shell}");
        if !has(shell) {
            left_out::not_allowed(&format!("completions read by {shell}, which is not installed"));
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script"), said.out).unwrap();
        let read =
            Command::new("sh").args(["-c", &format!("{reads} script")]).current_dir(folder.path()).output().unwrap();
        assert!(read.status.success() && read.stderr.is_empty(), "{shell}: {}", String::from_utf8_lossy(&read.stderr));
    }
    for shell in ["powershell", "elvish"] {
        let said = gpu_doctor(&["completions", shell], &[]);
        assert!(said.code == 0 && said.out.contains("ort-cpu-package-only") || said.out.contains("--wait"), "{shell}");
    }
    assert_eq!(gpu_doctor(&["completions", "tcsh"], &[]).code, 64);
}

#[test]
fn a_closed_pipe_is_no_bug() {
    let script = "\"$0\" completions bash | head -c 10 >/dev/null; echo ${PIPESTATUS[0]}";
    let output = Command::new("bash").args(["-c", script, GPU_DOCTOR]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn there_is_a_page_for_each_command_that_a_formatter_reads_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let said = gpu_doctor(&["man", folder.path().to_str().unwrap()], &[]);
    assert_eq!(said.code, 0, "{}", said.err);
    let mut pages: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() >= 17, "{pages:?}");
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        for section in ["NAME", "SYNOPSIS", "EXIT STATUS", "FILES", "ENVIRONMENT", "SEE ALSO"] {
            assert!(
                text.contains(&format!(".SH {section}")) || text.contains(&format!(".SH \"{section}\"")),
                "{section} is not in {page:?}"
            );
        }
        formatted(page);
    }
    let main = gpu_doctor(&["man"], &[]);
    assert_eq!(main.out, std::fs::read_to_string(folder.path().join("gpu-doctor.1")).unwrap());
    assert!(formatted(&folder.path().join("gpu-doctor.1")).contains("gpu-doctor-run"));
    let nowhere = gpu_doctor(&["man", "/nonexistent"], &[]);
    assert!(nowhere.code == 64 && nowhere.err.contains("/nonexistent"), "{}", nowhere.err);
}

/// The page as it is shown; a warning of the formatter is a fault.
fn formatted(page: &Path) -> String {
    if !has("groff") {
        left_out::not_allowed("manual pages read by groff, which is not installed");
        return std::fs::read_to_string(page).unwrap();
    }
    let output = Command::new("groff").args(["-man", "-Tutf8", "-ww"]).arg(page).output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{page:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
