//! Whether this machine's driver meets what the image requires of it (`NVIDIA_REQUIRE_*`).
//!
//! The grammar is that of the NVIDIA container runtime: alternatives are separated by spaces, the conditions of one by
//! commas. A condition compares `cuda`, `driver` or `arch` with a version, or `brand` with a word.

use super::Basis;
use crate::snapshot::{Fact, Facts, Unknown, Why, room};
use crate::words::count;
use std::cmp::Ordering;

room! {
    /// What the image requires of the driver.
    pub struct ImageRequirement {
        /// Whether this machine's driver meets what the image requires (`NVIDIA_REQUIRE_*`).
        pub image_requirement_met: bool,
        /// What the image requires, the beginning of it: `NVIDIA_REQUIRE_CUDA=cuda>=12.8`.
        pub image_requirement: String,
    }
}

impl ImageRequirement {
    /// Derives them.
    pub fn of(basis: &Basis) -> Self {
        let facts = basis.facts;
        Self { image_requirement_met: met(facts), image_requirement: shown(facts) }
    }
}

/// Longest requirement evaluated, bytes.
const LENGTH_MAX: usize = 16 * 1024;

/// What requirements are held against. `None` is unknown.
#[derive(Debug, Default)]
struct Machine {
    cuda: Option<String>,
    driver: Option<String>,
    /// Compute capability of every GPU.
    arch: Option<Vec<String>>,
}

/// Whether every requirement of the image is met; true if it has none, or is told to be let off (`NVIDIA_DISABLE_REQUIRE`).
fn met(facts: &Facts) -> Fact<bool> {
    let required = match requirements(facts) {
        Ok(required) => required,
        Err(unknown) => return Fact::Unknown(unknown),
    };
    let machine = machine(facts);
    let mut open = None;
    for (name, requirement) in &required {
        match holds(requirement, &machine) {
            Some(true) => {}
            Some(false) => return Fact::Known(false),
            None => open = Some(name),
        }
    }
    match open {
        None => Fact::Known(true),
        Some(name) => {
            let reason = facts.nvml.cuda_version.reason();
            let detail = match reason {
                Some(unknown) => format!("{name}: the CUDA version of the driver is not known: {}", unknown.detail),
                None => format!("{name}: it names what is not known of this machine, a brand for instance"),
            };
            Fact::unknown(reason.map_or(Why::Unsupported, |unknown| unknown.why), detail)
        }
    }
}

/// The requirements, each with its first alternative, for people.
fn shown(facts: &Facts) -> Fact<String> {
    let first = |(name, value): (String, String)| {
        let alternatives: Vec<&str> = value.split_whitespace().collect();
        match alternatives.as_slice() {
            [] | [_] => format!("{name}={value}"),
            [first, others @ ..] => format!("{name}={first} (or {})", count(others.len(), "alternative")),
        }
    };
    let text = |all: Vec<(String, String)>| all.into_iter().map(first).collect::<Vec<_>>().join(", ");
    requirements(facts).map(|all| text(all).chars().take(300).collect()).into()
}

fn requirements(facts: &Facts) -> Result<Vec<(String, String)>, Unknown> {
    let environment = facts.docker.environment.read()?;
    let off = environment.get("NVIDIA_DISABLE_REQUIRE").map(String::as_str);
    if matches!(off, Some("1" | "t" | "T" | "true" | "True" | "TRUE")) {
        return Ok(Vec::new());
    }
    let required = environment.iter().filter(|(name, _)| name.starts_with("NVIDIA_REQUIRE_"));
    Ok(required.map(|(name, value)| (name.clone(), value.clone())).collect())
}

fn machine(facts: &Facts) -> Machine {
    let first = |facts: [&Fact<String>; 2]| facts.iter().find_map(|fact| fact.known().cloned());
    let gpus = facts.nvml.gpus.known().filter(|gpus| !gpus.is_empty());
    Machine {
        cuda: first([&facts.nvml.cuda_version, &facts.cuda.driver_cuda_version]),
        driver: first([&facts.host.driver_version, &facts.nvml.driver_version]),
        arch: gpus.and_then(|gpus| gpus.iter().map(|gpu| gpu.compute_capability.known().cloned()).collect()),
    }
}

/// Whether a requirement holds: any alternative, all conditions of it. `None` if what is unknown decides.
fn holds(requirement: &str, machine: &Machine) -> Option<bool> {
    if requirement.len() > LENGTH_MAX {
        return None;
    }
    let alternatives: Vec<Option<bool>> =
        requirement.split_whitespace().map(|alternative| all(alternative.split(','), machine)).collect();
    match () {
        () if alternatives.is_empty() || alternatives.contains(&Some(true)) => Some(true),
        () if alternatives.contains(&None) => None,
        () => Some(false),
    }
}

fn all<'a>(conditions: impl Iterator<Item = &'a str>, machine: &Machine) -> Option<bool> {
    let held: Vec<Option<bool>> = conditions.filter(|text| !text.is_empty()).map(|text| one(text, machine)).collect();
    match () {
        () if held.contains(&Some(false)) => Some(false),
        () if held.contains(&None) => None,
        () => Some(true),
    }
}

fn one(condition: &str, machine: &Machine) -> Option<bool> {
    let at = condition.find(['=', '!', '<', '>'])?;
    let (name, rest) = condition.split_at(at);
    let operator = ["!=", "<=", ">=", "==", "=", "<", ">"].into_iter().find(|operator| rest.starts_with(operator))?;
    let wanted = version(rest.strip_prefix(operator)?)?;
    let fits = |order: Ordering| match operator {
        "!=" => order.is_ne(),
        "<=" => order.is_le(),
        ">=" => order.is_ge(),
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        _ => order.is_eq(),
    };
    let compare = |own: &String| Some(fits(ordered(&version(own)?, &wanted)));
    match name.trim() {
        "cuda" => compare(machine.cuda.as_ref()?),
        "driver" => compare(machine.driver.as_ref()?),
        // Every GPU must fit.
        "arch" => machine.arch.as_ref()?.iter().map(compare).try_fold(true, |all, fits| Some(all && fits?)),
        // The brand is not among the facts; alternatives that name one are bounded by driver versions.
        _ => None,
    }
}

fn version(text: &str) -> Option<Vec<u64>> {
    text.trim().split('.').map(|part| part.parse().ok()).collect()
}

/// Versions compare by their parts; one that is not written is 0.
fn ordered(a: &[u64], b: &[u64]) -> Ordering {
    let part = |version: &[u64], index: usize| version.get(index).copied().unwrap_or(0);
    let parts = (0..a.len().max(b.len())).map(|index| part(a, index).cmp(&part(b, index)));
    parts.fold(Ordering::Equal, Ordering::then)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As in the image nvidia/cuda:12.4.1-base.
    const CUDA_12_4: &str = "cuda>=12.4 brand=tesla,driver>=470,driver<471 brand=unknown,driver>=470,driver<471 \
        brand=nvidia,driver>=470,driver<471 brand=geforce,driver>=470,driver<471 brand=tesla,driver>=525,driver<526 \
        brand=tesla,driver>=535,driver<536";

    fn of(requirement: &str, cuda: &str, driver: &str) -> Option<bool> {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let arch = Some(vec!["9.0".to_owned(), "8.0".to_owned()]);
        holds(requirement, &Machine { cuda: known(cuda), driver: known(driver), arch })
    }

    #[test]
    fn one_alternative_is_enough_and_all_its_conditions_are_needed() {
        assert_eq!(of(CUDA_12_4, "12.4", "550.54.15"), Some(true));
        assert_eq!(of(CUDA_12_4, "13.0", "580.65.06"), Some(true));
        assert_eq!(of(CUDA_12_4, "12.0", "530.30.02"), Some(false), "no alternative is for 530");
        assert_eq!(of(CUDA_12_4, "12.2", "535.183.01"), None, "it depends on the brand");
        assert_eq!(of(CUDA_12_4, "", "530.30.02"), None);
        assert_eq!(of("cuda>=12.8", "12.10", ""), Some(true), "by numbers, not by letters");
        assert_eq!(of("cuda>=12", "12.0", ""), Some(true));
        assert_eq!(of("driver!=550.54", "12.4", "550.54"), Some(false));
        assert_eq!(of("arch>=8.0", "", ""), Some(true));
        assert_eq!(of("arch>=8.6", "", ""), Some(false), "one GPU is too old");
        assert_eq!(of("", "", ""), Some(true));
    }

    #[test]
    fn what_is_no_condition_is_not_judged() {
        for text in ["cuda", "cuda>=", "cuda>=x", ">=12", "moon=full", "cuda~12"] {
            assert_eq!(of(text, "12.4", "550"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_evaluated(text in "(cuda|driver|brand|arch|[<>=!,. 0-9a-z]){0,40}") {
            let _ = of(&text, "12.4", "550.54.15");
        }

        #[test]
        fn at_least_and_less_than_are_opposites(a in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}", b in "[0-9]{1,3}(\\.[0-9]{1,3}){0,2}") {
            prop_assert_eq!(of(&format!("cuda>={a}"), &b, "").map(|held| !held), of(&format!("cuda<{a}"), &b, ""));
        }
    }
}
