//! Tensors of a file without a graph, added up.

use crate::snapshot::{Fact, ModelFacts, Unknown, Why};
use std::collections::BTreeMap;

/// Most element types that are told apart; files with a type for each tensor are made to annoy.
const TYPE_LIMIT: usize = 64;

/// Counts and bytes of tensors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TensorSums {
    /// Tensors.
    pub tensors: u64,
    /// Their elements.
    pub elements: u64,
    /// Their bytes by element type.
    pub bytes_by_type: BTreeMap<String, u64>,
    /// What is said of the first tensor whose size is not known.
    pub without_size: Option<String>,
}

impl TensorSums {
    /// Adds a tensor of `elements` elements; `bytes` are `None` where the type's width is not known.
    pub fn add(&mut self, name: &str, element_type: &str, elements: u64, bytes: Option<u64>) {
        self.tensors += 1;
        self.elements = self.elements.saturating_add(elements);
        match bytes {
            Some(bytes) => self.add_bytes(element_type, bytes),
            None if self.without_size.is_none() => {
                let detail = format!("tensor '{name}' has element type {element_type}, whose width is not known here");
                self.without_size = Some(detail);
            }
            None => {}
        }
    }

    /// Adds the tensors of another part of the same model.
    pub fn merge(&mut self, other: TensorSums) {
        self.tensors = self.tensors.saturating_add(other.tensors);
        self.elements = self.elements.saturating_add(other.elements);
        for (element_type, bytes) in other.bytes_by_type {
            self.add_bytes(&element_type, bytes);
        }
        self.without_size = self.without_size.take().or(other.without_size);
    }

    fn add_bytes(&mut self, element_type: &str, bytes: u64) {
        match self.bytes_by_type.get_mut(element_type) {
            Some(sum) => *sum = sum.saturating_add(bytes),
            None => {
                let known = self.bytes_by_type.len() < TYPE_LIMIT;
                let name = if known { element_type } else { "other" };
                let sum = self.bytes_by_type.entry(name.to_string()).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
    }

    /// Sets the facts about tensors.
    pub fn fill(self, facts: &mut ModelFacts) {
        let sizes = match self.without_size {
            None => Ok(()),
            Some(detail) => Err(Unknown::new(Why::Unsupported, detail)),
        };
        let total = self.bytes_by_type.values().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        facts.tensors = Fact::Known(self.tensors);
        facts.parameters = Fact::Known(self.elements);
        facts.parameter_bytes = sizes.clone().map(|()| total).into();
        facts.parameter_bytes_by_type = sizes.map(|()| self.bytes_by_type).into();
    }
}
