//! What Kubernetes knows of the pod and its node.

use super::fact::room;

room! {
    /// The pod and the node, from `kubectl get pod,node -o json`.
    pub struct KubernetesFacts {
        /// Where it was read.
        pub source: String,
    }
}
