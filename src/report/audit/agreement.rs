//! How far the predicted placement agrees with the observed one, node by node.

use crate::snapshot::{CUDA_PROVIDER, PlacedNode, PlacementFacts, PredictionFacts};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Differences that are told one by one.
const DIFFERENCES_MAX: usize = 1000;

/// Both placements compared over the nodes that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// Nodes that both placements name.
    pub compared: u64,
    /// Those that both put on the same provider.
    pub same: u64,
    /// Nodes of the observed execution graph that the prediction does not have under this name: fused or renamed ones.
    pub not_predicted: u64,
    /// Those by operator.
    pub not_predicted_operators: BTreeMap<String, u64>,
    /// The nodes on which they differ, the first 1,000.
    pub different: Vec<Difference>,
}

/// A node on which they differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// Provider by prediction.
    pub predicted: String,
    /// Provider as observed.
    pub real: String,
}

/// Compares them; `None` unless both list their nodes and CUDA was a provider of the session.
pub fn of(predicted: &PredictionFacts, real: &PlacementFacts) -> Option<Agreement> {
    let cuda = real.session_providers.known()?.iter().any(|provider| provider == CUDA_PROVIDER);
    let (predicted, real) = (predicted.listed_nodes.known()?, real.listed_nodes.known()?);
    if !cuda || real.is_empty() {
        return None;
    }
    // Names may repeat, in subgraphs for instance: the same number of nodes at the same places is agreement.
    let mut expected: HashMap<(&str, &str), Vec<&str>> = HashMap::new();
    for PlacedNode { name, op, provider, .. } in predicted {
        expected.entry((name, op)).or_default().push(provider);
    }
    let mut agreement = Agreement {
        compared: 0,
        same: 0,
        not_predicted: 0,
        not_predicted_operators: BTreeMap::new(),
        different: Vec::new(),
    };
    for PlacedNode { name, op, provider, .. } in real.iter().filter(|node| !node.op.starts_with("Memcpy")) {
        let Some(providers) = expected.get_mut(&(name.as_str(), op.as_str())).filter(|left| !left.is_empty()) else {
            agreement.not_predicted += 1;
            *agreement.not_predicted_operators.entry(op.clone()).or_default() += 1;
            continue;
        };
        agreement.compared += 1;
        let found = providers.iter().position(|expected| expected == provider);
        let taken = providers.swap_remove(found.unwrap_or_default());
        if found.is_some() {
            agreement.same += 1;
        } else if agreement.different.len() < DIFFERENCES_MAX {
            agreement.different.push(Difference {
                name: name.clone(),
                op: op.clone(),
                predicted: taken.into(),
                real: provider.clone(),
            });
        }
    }
    Some(agreement)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Fact;

    use crate::snapshot::{CPU_PROVIDER as CPU, CUDA_PROVIDER as CUDA};

    fn nodes(nodes: &[(&str, &str, &str)]) -> Fact<Vec<PlacedNode>> {
        let node = |(name, op, provider): &(&str, &str, &str)| PlacedNode {
            name: name.to_string(),
            op: op.to_string(),
            provider: provider.to_string(),
            why: String::new(),
        };
        Fact::Known(nodes.iter().map(node).collect())
    }

    fn compared(predicted: &[(&str, &str, &str)], real: &[(&str, &str, &str)]) -> Option<Agreement> {
        let predicted = PredictionFacts { listed_nodes: nodes(predicted), ..Default::default() };
        let providers = Fact::Known(vec![CUDA.to_string(), CPU.to_string()]);
        of(
            &predicted,
            &PlacementFacts { listed_nodes: nodes(real), session_providers: providers, ..Default::default() },
        )
    }

    #[test]
    fn nodes_are_compared_by_name_and_operator() {
        let agreement = compared(
            &[("a", "Conv", CUDA), ("b", "Det", CPU), ("", "Add", CUDA), ("", "Add", CPU), ("c", "Shape", CPU)],
            &[
                ("a", "Conv", CUDA),
                ("b", "Det", CUDA),
                ("", "Add", CPU),
                ("", "Add", CUDA),
                ("fused c", "FusedShape", CUDA),
                ("Memcpy", "MemcpyToHost", CUDA),
            ],
        )
        .unwrap();
        assert_eq!((agreement.compared, agreement.same, agreement.not_predicted), (4, 3, 1));
        assert_eq!(agreement.not_predicted_operators, BTreeMap::from([("FusedShape".to_string(), 1)]));
        assert_eq!(agreement.different[0].name, "b");
        assert_eq!((agreement.different[0].predicted.as_str(), agreement.different[0].real.as_str()), (CPU, CUDA));
    }

    #[test]
    fn a_session_without_cuda_says_nothing_about_the_prediction() {
        let predicted = PredictionFacts { listed_nodes: nodes(&[("a", "Conv", CUDA)]), ..Default::default() };
        let real = PlacementFacts {
            listed_nodes: nodes(&[("a", "Conv", CPU)]),
            session_providers: Fact::Known(vec![CPU.to_string()]),
            ..Default::default()
        };
        assert_eq!(of(&predicted, &real), None);
        assert_eq!(compared(&[("a", "Conv", CUDA)], &[]), None);
    }
}
