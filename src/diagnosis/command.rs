//! The doctor's own command lines: what was run, and the same with more.

use crate::snapshot::Target;

/// What stands for the address of a server that is not known.
pub const ADDRESS: &str = "http://HOST:PORT";

/// Options without a value.
const SWITCHES: &[&str] = &[
    "--smoke",
    "--contract",
    "--http2",
    "--verbose",
    "--quiet",
    "--ascii",
    "--include-identifiers",
    "--i-own-this-server",
    "--tui",
    "--over-http",
];
/// Commands that examine as `run` does and do more, each with the options that `run` does not take.
const FURTHER: &[(&str, &[&str])] = &[
    (
        "stress",
        &[
            "--users",
            "--duration",
            "--rate",
            "--think-time",
            "--max-requests",
            "--holds",
            "--csv",
            "--i-own-this-server",
        ],
    ),
    (
        "bench",
        &[
            "--duration",
            "--count",
            "--wait",
            "--warm-up",
            "--answer-timeout",
            "--server-time",
            "--server-time-header",
            "--csv",
            "--requests-csv",
            "--gpu",
            "--baseline",
            "--baselines",
            "--against",
            "--i-own-this-server",
        ],
    ),
    ("balance", &["--connections", "--status-path", "--over-http", "--i-own-this-server"]),
    ("watch", &["--interval", "--count", "--metrics", "--csv", "--jsonl", "--tui"]),
];
/// Those of them that send nothing: what they could not know, `run` finds out.
const ONLOOKERS: &[&str] = &["watch"];
/// Options that may stand several times.
const REPEATED: &[&str] = &["--log", "--kubectl", "--import", "--field"];
/// Options of which at most one may stand.
const EITHER: &[&str] = &["--bearer-env", "--bearer-file", "--basic-env"];
/// What stands for a value that is not known; `FILE` for any other option.
const PLACEHOLDERS: &[(&str, &str)] = &[
    ("--server", ADDRESS),
    ("--python", "EXE"),
    ("--onnxruntime", "LIB"),
    ("--loader", "MODULE:CALLABLE"),
    ("--forward", "MODULE:CALLABLE"),
    ("--import", "MODULE"),
];
/// How a snapshot of `demo` names its client, also where it does not tell its command.
const DEMO_CLIENT: &str = "the demo's client";

/// An option and its value, if it takes one.
#[derive(Debug, Clone, PartialEq)]
struct Given {
    flag: String,
    value: Option<String>,
}

/// A command line of `gpu-doctor run`, or of a command that does the same and more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Command {
    /// The command's name, where it is not `run`.
    name: Option<String>,
    options: Vec<Given>,
}

/// Options of such a command; nothing for any other.
fn own_options(name: &str) -> Option<&'static [&'static str]> {
    FURTHER.iter().find(|(command, _)| *command == name).map(|(_, options)| *options)
}

impl Command {
    /// What was run to get the facts of this target; for files and the demo, what to run instead.
    pub fn of(target: &Target) -> Self {
        match target.command.split_first() {
            Some((name, options)) if name == "run" => Self::parse(options.to_vec()),
            Some((name, options)) if own_options(name).is_some() => {
                let typed = Self { name: Some(name.clone()), ..Self::parse(options.to_vec()) };
                if ONLOOKERS.contains(&name.as_str()) { typed.named("run") } else { typed }
            }
            _ => Self::of_settings(target),
        }
    }

    /// The same from the settings alone, where the command itself was not recorded or was no `run`.
    fn of_settings(target: &Target) -> Self {
        let demo = is_demo(target);
        let mut command = Self::default();
        let mut add = |flag: &str, value: Option<&str>| {
            command.options.extend(value.map(|value| Given { flag: flag.into(), value: Some(value.into()) }));
        };
        add("--root", Some(target.root.as_str()).filter(|root| !root.is_empty() && *root != "/"));
        add("--server", if demo { Some(ADDRESS) } else { target.server.as_deref() });
        // A client that is written in the config file has that file for its origin.
        match target.client_request.as_deref() {
            Some(_) if demo => add("--client-request", Some("FILE")),
            Some(origin) if [".yaml", ".yml"].iter().any(|end| origin.ends_with(end)) => {
                add("--config", Some(origin));
            }
            origin => add("--client-request", origin),
        }
        add("--model", target.model.as_deref());
        add("--onnxruntime", target.onnxruntime.as_deref());
        add("--python", target.python.as_deref());
        target.logs.iter().for_each(|log| add("--log", Some(log)));
        add("--kernel-log", target.kernel_log.as_deref());
        add("--docker-inspect", target.docker_inspect.as_deref());
        target.kubectl.iter().for_each(|file| add("--kubectl", Some(file)));
        add("--nvidia-smi", target.nvidia_smi.as_deref());
        target.imports.iter().for_each(|module| add("--import", Some(module)));
        add("--loader", target.loader.as_deref());
        add("--forward", target.forward.as_deref());
        if target.smoke {
            command.options.push(Given { flag: "--smoke".into(), value: None });
        }
        command
    }

    /// Takes arguments apart.
    pub fn parse(arguments: Vec<String>) -> Self {
        let mut options: Vec<Given> = Vec::new();
        for argument in arguments {
            match options.last_mut() {
                _ if argument.starts_with("--") => {
                    let (flag, value) = match argument.split_once('=') {
                        Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                        None => (argument, None),
                    };
                    options.push(Given { flag, value });
                }
                Some(last) if last.value.is_none() && !SWITCHES.contains(&last.flag.as_str()) => {
                    last.value = Some(argument);
                }
                // A word that belongs to no option.
                _ => {}
            }
        }
        Self { name: None, options }
    }

    /// The same for another command, without the options that it does not take.
    pub fn named(mut self, name: &str) -> Self {
        let taken = own_options(name);
        let of_others = |flag: &str| FURTHER.iter().any(|(_, options)| options.contains(&flag));
        let is_taken = |flag: &str| taken.is_some_and(|options| options.contains(&flag));
        self.options.retain(|one| is_taken(&one.flag) || !of_others(&one.flag));
        self.name = taken.map(|_| name.to_owned());
        self
    }

    /// The same command without any option.
    pub fn bare(&self) -> Self {
        Self { name: self.name.clone(), options: Vec::new() }
    }

    /// Whether an option stands in it.
    pub fn has(&self, flag: &str) -> bool {
        self.options.iter().any(|one| one.flag == flag)
    }

    /// The value of an option.
    pub fn value(&self, flag: &str) -> Option<&str> {
        self.options.iter().find(|one| one.flag == flag)?.value.as_deref()
    }

    /// The same without an option.
    pub fn without(mut self, flag: &str) -> Self {
        self.options.retain(|one| one.flag != flag);
        self
    }

    /// The same with further options, which win over its own. A placeholder wins over nothing.
    pub fn with(mut self, further: Command) -> Self {
        for mut one in further.options {
            let flag = one.flag.as_str();
            // The demo's client is no file.
            if one.value.as_deref() == Some(DEMO_CLIENT) {
                one.value = Some("FILE".into());
            }
            if one.value.as_deref() == Some("unknown") {
                let of_flag = PLACEHOLDERS.iter().find(|(name, _)| *name == flag);
                one.value = Some(of_flag.map_or("FILE", |(_, placeholder)| placeholder).into());
            }
            if EITHER.contains(&flag) {
                match is_placeholder(&one) && self.options.iter().any(|own| EITHER.contains(&own.flag.as_str())) {
                    true => continue,
                    false => self.options.retain(|own| own.flag == flag || !EITHER.contains(&own.flag.as_str())),
                }
            }
            let own = self.options.iter_mut().find(|own| match REPEATED.contains(&flag) {
                false => own.flag == flag,
                true => own.flag == flag && (same(own, &one) || (is_placeholder(&one) && flag != "--field")),
            });
            match own {
                Some(own) if !is_placeholder(&one) && !same(own, &one) => *own = one,
                Some(_) => {}
                // Which checks to use stands in front, where it is seen.
                None if matches!(flag, "--only" | "--skip") => self.options.insert(0, one),
                None => self.options.push(one),
            }
        }
        self
    }

    /// As it is typed.
    pub fn typed(&self) -> String {
        let mut words = vec![format!("gpu-doctor {}", self.name.as_deref().unwrap_or("run"))];
        for one in &self.options {
            match &one.value {
                None => words.push(one.flag.clone()),
                // What looks like an option itself must hang on its own.
                Some(value) if value.starts_with('-') => words.push(format!("{}={}", one.flag, quoted(value))),
                Some(value) => words.extend([one.flag.clone(), quoted(value)]),
            }
        }
        words.join(" ")
    }

    /// The same, started as another user; as root without one.
    pub fn typed_as(&self, uid: Option<u32>) -> String {
        let user = uid.filter(|uid| *uid > 0).map_or(String::new(), |uid| format!(" -u '#{uid}'"));
        // sudo starts programs without the caller's variables, the token's among them.
        let variables: Vec<&str> = ["--bearer-env", "--basic-env"].iter().filter_map(|flag| self.value(flag)).collect();
        let keep = match variables.is_empty() {
            true => String::new(),
            false => format!(" --preserve-env={}", quoted(&variables.join(","))),
        };
        format!("sudo{user}{keep} {}", self.typed())
    }
}

/// Whether the facts were taken from the server of `gpu-doctor demo`, which has ended since.
pub fn is_demo(target: &Target) -> bool {
    target.command.first().is_some_and(|name| name == "demo")
        || target.command.is_empty() && target.client_request.as_deref() == Some(DEMO_CLIENT)
}

/// A word of a command line, for a shell.
pub fn quoted(word: &str) -> String {
    // A NUL cannot stand in a command line at all.
    let word = word.replace('\0', "");
    let harmless = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(harmless) {
        return word;
    }
    shlex::try_quote(&word).map_or(word.clone(), |quoted| quoted.into_owned())
}

fn same(one: &Given, other: &Given) -> bool {
    let place = |given: &Given| given.value.as_ref().map(|value| value.trim_end_matches('/').to_owned());
    match one.flag.as_str() {
        "--server" => place(one) == place(other),
        _ => one.value == other.value,
    }
}

/// Whether the value only says what is to be written there: `FILE`, `http://HOST:PORT`.
fn is_placeholder(given: &Given) -> bool {
    given.value.as_deref().is_some_and(|value| {
        let value = value.strip_prefix("http://").unwrap_or(value);
        !value.is_empty() && value.chars().all(|c| c.is_ascii_uppercase() || matches!(c, ':' | '_' | '=' | '@'))
    })
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
