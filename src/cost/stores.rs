//! Who runs the stores, and what their pods leave of the nodes. Pure.

use crate::cost::catalogue::Node;
use crate::stack::model::StoreMode;
use crate::stack::pods::{self, PodRequest};
use crate::stack::values::{ByteSize, MilliCpu};
use crate::stack::{Stack, StoreKind, TargetKind};

/// The stores of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Stores {
    /// Whether each store is external.
    pub(super) external: [(StoreKind, bool); 2],
    pods: Vec<PodRequest>,
}

impl Stores {
    /// The stores of `stack`.
    pub fn of(stack: &Stack) -> Self {
        let external = StoreKind::ALL.map(|kind| (kind, stack.store_mode(kind) == StoreMode::External));
        Self { external, pods: pods::of_stores(stack) }
    }

    /// The nodes that the pods occupy on `target`, each with what is left of it: the first one with room takes the next
    /// pod. On Docker Compose the catalogue's node is without its stores already.
    pub fn nodes(&self, target: TargetKind, node: Node) -> Vec<Node> {
        let mut nodes: Vec<Node> = Vec::new();
        for pod in self.pods.iter().filter(|_| target == TargetKind::Kubernetes) {
            let room = |left: &&mut Node| left.cpu >= pod.cpu && left.memory >= pod.memory;
            match nodes.iter_mut().find(room) {
                Some(left) => *left = without(*left, *pod),
                None => nodes.push(without(node, *pod)),
            }
        }
        nodes
    }
}

/// A node with room for less; a pod that is larger than a node takes all of it, and `lint` says that it does not start.
fn without(node: Node, pod: PodRequest) -> Node {
    Node {
        cpu: MilliCpu(node.cpu.0.saturating_sub(pod.cpu.0)),
        memory: ByteSize(node.memory.0.saturating_sub(pod.memory.0)),
    }
}
