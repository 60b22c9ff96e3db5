//! Who runs the stores, what their pods leave of the nodes, and what that means for the prices. Pure.

use crate::cost::catalogue::Node;
use crate::cost::estimate::Estimate;
use crate::cost::money::{Currency, Range};
use crate::stack::model::StoreMode;
use crate::stack::pods::{self, StorePod};
use crate::stack::values::{ByteSize, MilliCpu};
use crate::stack::{Stack, TargetKind};

/// The stores of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Stores {
    /// The words of line items, and whether the store is external.
    external: [(&'static str, bool); 2],
    pods: Vec<StorePod>,
}

impl Stores {
    /// The stores of `stack`.
    pub fn of(stack: &Stack) -> Self {
        let external = |mode| mode == StoreMode::External;
        Self {
            external: [("mongodb", external(stack.mongodb.mode)), ("redis", external(stack.redis.mode))],
            pods: pods::of_stores(stack),
        }
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

    /// Where the prices are for a store that another one runs than the stack says.
    pub fn note(&self, found: &Estimate, currency: &Currency) -> Option<String> {
        let lines = |external: bool| {
            let of = self.external.iter().filter(move |(_, is)| *is == external);
            of.filter_map(|(id, _)| found.line(id)).collect::<Vec<_>>()
        };
        if found.tier.target != TargetKind::Kubernetes {
            let included: Vec<&str> = lines(true)
                .into_iter()
                .filter(|line| line.item.included)
                .map(|line| line.item.id.as_str())
                .collect();
            let names = included.join(" and ");
            return (!included.is_empty()).then(|| {
                format!("{names}: the price of an external store (`mode: external`) is not included")
            });
        }
        let priced: Vec<_> = lines(false).into_iter().filter(|line| !line.item.included).collect();
        let ids: Vec<&str> = priced.iter().map(|line| line.item.id.as_str()).collect();
        let names: Vec<&str> = priced.iter().map(|line| line.item.name.as_str()).collect();
        let amount = priced.iter().fold(Range::default(), |sum, line| sum.plus(line.amount));
        let without = currency.range(found.total.minus(amount));
        (!priced.is_empty()).then(|| {
            format!(
                "{} {} on the cluster's own nodes (`mode`); without {}, which {} for `mode: external`, the total is {without}",
                ids.join(" and "),
                if ids.len() == 1 { "runs" } else { "run" },
                names.join(" and "),
                if names.len() == 1 { "is" } else { "are" },
            )
        })
    }
}

/// A node with room for less; a pod that is larger than a node takes all of it, and `lint` says that it does not start.
fn without(node: Node, pod: StorePod) -> Node {
    Node {
        cpu: MilliCpu(node.cpu.0.saturating_sub(pod.cpu.0)),
        memory: ByteSize(node.memory.0.saturating_sub(pod.memory.0)),
    }
}
