//! What is wrong with single GPUs, in a form that checks can read: a list, empty where all is well.

use crate::snapshot::{Fact, Facts, Gpu, GpuWindow, Unknown, Why};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that is wrong with one GPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuTrouble {
    /// Index of the GPU in NVML's order.
    pub gpu: u64,
    /// Its product name, `a GPU` if that is unknown.
    pub name: String,
    /// Its PCI address, empty if unknown.
    pub pci_address: String,
    /// What is wrong, in words that follow "GPU 0 (name): ".
    pub says: String,
    /// Whether it keeps the GPU from working, or costs more than speed.
    pub severe: bool,
}

/// What one look at one GPU found.
pub struct Said {
    /// Whether it keeps the GPU from working.
    pub severe: bool,
    /// In words.
    pub words: String,
}

impl Said {
    /// Something that costs speed.
    pub fn mild(words: impl Into<String>) -> Self {
        Self { severe: false, words: words.into() }
    }

    /// Something that keeps the GPU from working.
    pub fn severe(words: impl Into<String>) -> Self {
        Self { severe: true, words: words.into() }
    }
}

/// The GPUs that NVML lists, each with its counters under load if requests were measured.
pub struct Gpus<'a> {
    facts: &'a Facts,
    listed: Result<&'a [Gpu], Unknown>,
}

impl<'a> Gpus<'a> {
    /// Those of the facts. Where NVML itself is not usable nothing is asked of a GPU: other checks tell about that.
    pub fn of(facts: &'a Facts) -> Self {
        Self { facts, listed: listed(facts) }
    }

    /// Looks at every GPU that answers. One that is lost is another check's matter.
    pub fn each(
        self,
        look: impl Fn(&Gpu, Option<&GpuWindow>) -> Result<Option<Said>, Unknown>,
    ) -> Fact<Vec<GpuTrouble>> {
        let windows = self.facts.execution.gpus.known().map(Vec::as_slice).unwrap_or_default();
        self.all(|gpu| {
            if let Some(code) = gpu.handle_code.known().filter(|code| **code != 0) {
                return Err(Unknown::new(Why::NotAsked, format!("GPU {} does not answer (NVML {code})", gpu.index)));
            }
            look(gpu, windows.iter().find(|window| window.is_of(gpu)))
        })
    }

    /// Looks at every GPU, those that do not answer among them.
    pub fn each_even_unreachable(self, look: impl Fn(&Gpu) -> Result<Option<Said>, Unknown>) -> Fact<Vec<GpuTrouble>> {
        self.all(look)
    }

    fn all(self, look: impl Fn(&Gpu) -> Result<Option<Said>, Unknown>) -> Fact<Vec<GpuTrouble>> {
        let gpus = match self.listed {
            Ok(gpus) => gpus,
            Err(unknown) => return Fact::Unknown(unknown),
        };
        let (mut troubles, mut sound) = (Vec::new(), 0);
        let (mut open, mut silent) = (None, None);
        for gpu in gpus {
            match look(gpu) {
                Ok(Some(said)) => troubles.push(GpuTrouble {
                    gpu: gpu.index,
                    name: gpu.name.known().cloned().unwrap_or_else(|| "name unknown".into()),
                    pci_address: gpu.pci_address.known().cloned().unwrap_or_default(),
                    says: said.words,
                    severe: said.severe,
                }),
                Ok(None) => sound += 1,
                Err(unknown) if cannot_tell(&unknown) => silent = Some(unknown),
                Err(unknown) => open = Some(unknown),
            }
        }
        match (troubles.is_empty(), open, silent) {
            (false, ..) => Fact::Known(troubles),
            (true, Some(open), _) => Fact::Unknown(open),
            // No card here has such a reading: there is nothing to be judged.
            (true, None, Some(silent)) if sound == 0 => Fact::unknown(Why::NotAsked, silent.detail),
            (true, None, _) => Fact::Known(Vec::new()),
        }
    }
}

/// The GPUs that NVML lists, at least one. Where NVML itself is not usable nothing was asked of a GPU.
pub fn listed(facts: &Facts) -> Result<&[Gpu], Unknown> {
    let listed = match facts.nvml.status.read() {
        Ok(status) if status == "ok" => facts.nvml.gpus.read().map(Vec::as_slice),
        Ok(status) => {
            let status = status.replace('_', " ");
            Err(Unknown::new(Why::NotAsked, format!("NVML is not usable ({status}), so no GPU could be asked")))
        }
        // That NVML hangs or crashes as soon as it is loaded is told once, of its probe, not once a check.
        Err(unknown) => Err(Unknown::new(Why::NotAsked, format!("NVML could not be asked: {}", unknown.detail))),
    };
    match listed {
        Ok([]) => Err(Unknown::new(Why::NotAsked, "NVML lists no GPU")),
        other => other,
    }
}

/// The value; `None` where this card, driver, user or snapshot has no such reading; the obstacle where reading it failed.
pub fn tells<T>(fact: &Fact<T>) -> Result<Option<&T>, Unknown> {
    match fact {
        Fact::Known(value) => Ok(Some(value)),
        Fact::Unknown(unknown) if cannot_tell(unknown) => Ok(None),
        Fact::Unknown(unknown) => Err(unknown.clone()),
    }
}

/// Why a fact that does not tell does not.
pub fn answer<T>(fact: &Fact<T>) -> Unknown {
    let told = || Unknown::new(Why::NotAsked, "nothing under load was measured");
    fact.reason().cloned().unwrap_or_else(told)
}

/// Whether a card, a driver, a guest or a user has no such reading, which is no failure of reading it.
fn cannot_tell(unknown: &Unknown) -> bool {
    matches!(unknown.why, Why::Unsupported | Why::NotAsked | Why::Denied)
}
