//! The stages of a request's life, in the order in which it passes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One stage. A broken stage explains the silence of those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// A GPU on the bus.
    Hardware,
    /// The kernel's driver and its management library.
    Driver,
    /// The container's share of both.
    Container,
    /// The CUDA driver library and the CUDA libraries of the runtime.
    Cuda,
    /// The deployment's packages.
    Packages,
    /// The inference runtime and its execution providers.
    Runtime,
    /// The model and the placement of its nodes and parameters.
    Model,
    /// The server's process.
    Process,
    /// The request and its answer.
    Request,
    /// The work that a request causes.
    Execution,
    /// Many requests at once.
    Load,
    /// What was measured wrong.
    Measurement,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: &'static [Stage] = &[
        Stage::Hardware,
        Stage::Driver,
        Stage::Container,
        Stage::Cuda,
        Stage::Packages,
        Stage::Runtime,
        Stage::Model,
        Stage::Process,
        Stage::Request,
        Stage::Execution,
        Stage::Load,
        Stage::Measurement,
    ];

    /// The stage's name, as users write it.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Hardware => "hardware",
            Stage::Driver => "driver",
            Stage::Container => "container",
            Stage::Cuda => "cuda",
            Stage::Packages => "packages",
            Stage::Runtime => "runtime",
            Stage::Model => "model",
            Stage::Process => "process",
            Stage::Request => "request",
            Stage::Execution => "execution",
            Stage::Load => "load",
            Stage::Measurement => "measurement",
        }
    }

    /// The stage of that name.
    pub fn from_name(name: &str) -> Option<Stage> {
        Stage::ALL.iter().copied().find(|stage| stage.name() == name)
    }

    /// Whether the stage is about this machine, so that it says nothing of a server on another one.
    pub fn is_of_this_machine(self) -> bool {
        !matches!(self, Stage::Model | Stage::Request | Stage::Load)
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
