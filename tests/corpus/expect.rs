//! What a case expects, what was said of it, and where these differ.

use gpu_doctor::diagnosis::{Diagnosed, Verdict};
use gpu_doctor::snapshot::Stage;
use serde::Deserialize;

/// What kind of case it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One cause.
    Cause,
    /// Two causes at once.
    Pair,
    /// Three or more.
    Triple,
    /// The nearest healthy deployment to a cause.
    Twin,
    /// What misleads: a lying header, a harmless line, a symptom of something else.
    Trap,
    /// The facts do not suffice, and that is what is to be said.
    Unknown,
}

/// `expect.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub kind: Kind,
    /// The stage under which it is counted.
    pub stage: Stage,
    /// The cause to mend first; null if there is none.
    pub first: Option<String>,
    /// Causes that may stand first as well: of two that are independent, either.
    #[serde(default)]
    pub or_first: Vec<String>,
    /// Causes that must be listed, the first among them or not.
    #[serde(default)]
    pub causes: Vec<String>,
    /// Causes that may be listed.
    #[serde(default)]
    pub also_allowed: Vec<String>,
    /// Causes that must not be listed, though they look near. Every cause that is not named above is false anyway.
    #[serde(default)]
    pub not: Vec<String>,
    /// Checks that must be clear or not applicable.
    #[serde(default)]
    pub ruled_out: Vec<String>,
    /// Facts that must be told as missing: a path, or its beginning.
    #[serde(default)]
    pub unknown: Vec<String>,
    pub verdict: Verdict,
    pub exit_code: u8,
    /// How it was recorded, in one line.
    pub recorded: String,
}

/// What the doctor said.
pub struct Said {
    pub causes: Vec<String>,
    pub verdict: Verdict,
    pub unknown: Vec<String>,
    /// Checks that neither hold nor are unknown.
    pub out: Vec<String>,
    pub headline: String,
}

impl Said {
    pub fn of(diagnosed: &Diagnosed) -> Self {
        let out = |verdict: &str| verdict == "clear" || verdict == "not_applicable";
        Self {
            causes: diagnosed.diagnoses.iter().map(|one| one.cause.clone()).collect(),
            verdict: diagnosed.verdict,
            unknown: diagnosed.unknown.iter().map(|missing| missing.path.clone()).collect(),
            out: diagnosed.findings.iter().filter(|one| out(&one.verdict)).map(|one| one.check.clone()).collect(),
            headline: diagnosed.headline.clone(),
        }
    }

    fn exit_code(&self) -> u8 {
        match self.verdict {
            Verdict::Healthy => gpu_doctor::exit::HEALTHY,
            Verdict::Unhealthy => gpu_doctor::exit::UNHEALTHY,
            Verdict::Undecided => gpu_doctor::exit::UNDECIDED,
        }
    }
}

/// How one case went.
#[derive(Default)]
pub struct Outcome {
    /// Whether the first cause is right; none if the case has no cause.
    pub first_right: Option<bool>,
    /// Whether the cause to mend first is listed at all.
    pub listed: bool,
    /// Causes that the case does not have.
    pub false_causes: Vec<String>,
    /// Whether what is missing is told; none if the case does not ask.
    pub honest: Option<bool>,
    /// All that differs, in words.
    pub faults: Vec<String>,
}

impl Expect {
    /// Whether the case may have this cause.
    pub fn may_be_listed(&self, cause: &String) -> bool {
        let named = [&self.causes, &self.also_allowed, &self.or_first];
        (self.first.as_ref() == Some(cause) || named.iter().any(|list| list.contains(cause)))
            && !self.not.contains(cause)
    }

    pub fn held_against(&self, said: &Said) -> Outcome {
        let mut outcome = Outcome::default();
        let mut fault = |words: String| outcome.faults.push(words);
        let first = said.causes.first();
        if let Some(expected) = &self.first {
            let right = first.is_some_and(|first| first == expected || self.or_first.contains(first));
            if !right {
                fault(format!("first {} instead of {expected}", first.map_or("none", String::as_str)));
            }
            outcome.first_right = Some(right);
            outcome.listed = said.causes.contains(expected);
        }
        let mut fault = |words: String| outcome.faults.push(words);
        for cause in self.causes.iter().filter(|cause| !said.causes.contains(cause)) {
            fault(format!("{cause} is not listed"));
        }
        outcome.false_causes = said.causes.iter().filter(|cause| !self.may_be_listed(cause)).cloned().collect();
        for cause in &outcome.false_causes {
            // The first one is told already where another was expected there.
            outcome.faults.push(format!("{cause} is no cause here"));
        }
        let mut fault = |words: String| outcome.faults.push(words);
        for check in self.ruled_out.iter().filter(|check| !said.out.contains(check)) {
            fault(format!("{check} is not ruled out"));
        }
        let untold: Vec<&String> = self
            .unknown
            .iter()
            .filter(|path| !said.unknown.iter().any(|told| told.starts_with(path.as_str())))
            .collect();
        if self.kind == Kind::Unknown || !self.unknown.is_empty() {
            outcome.honest =
                Some(untold.is_empty() && (self.kind != Kind::Unknown || said.verdict != Verdict::Healthy));
        }
        for path in untold {
            fault(format!("{path} is not told as missing"));
        }
        if said.verdict != self.verdict {
            fault(format!("verdict {:?} instead of {:?}", said.verdict, self.verdict));
        }
        if said.exit_code() != self.exit_code {
            fault(format!("exit code {} instead of {}", said.exit_code(), self.exit_code));
        }
        outcome
    }
}
