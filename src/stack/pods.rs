//! What the pods of a stack ask of a cluster, for the documents that ask and for the estimates that count it. Pure.

use crate::stack::Stack;
use crate::stack::model::{SENTINEL_SERVERS, StoreMode};
use crate::stack::values::{ByteSize, MilliCpu};

/// CPU that a MongoDB server asks for.
pub(crate) const MONGODB_CPU: MilliCpu = MilliCpu(250);
/// CPU that a Redis server asks for.
pub(crate) const REDIS_CPU: MilliCpu = MilliCpu(100);
/// CPU and memory that a sentinel asks for, beside its Redis server.
pub(crate) const SENTINEL_CPU: MilliCpu = MilliCpu(50);
/// See [`SENTINEL_CPU`].
pub(crate) const SENTINEL_MEMORY: ByteSize = ByteSize(64 << 20);

/// What one replica of the service asks for, the front of an app of the user's own within.
pub(crate) fn of_replica(stack: &Stack) -> PodRequest {
    let (service, front) = (stack.service.resources, stack.runtime.resources);
    let (cpu, memory) = if stack.service.is_own() { (front.cpu.0, front.memory.0) } else { (0, 0) };
    PodRequest {
        cpu: MilliCpu(service.cpu.0.saturating_add(cpu)),
        memory: ByteSize(service.memory.0.saturating_add(memory)),
    }
}

/// What one pod asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodRequest {
    pub(crate) cpu: MilliCpu,
    pub(crate) memory: ByteSize,
}

/// The pods of the stores that a cluster runs for this stack; an external store has none.
pub(crate) fn of_stores(stack: &Stack) -> Vec<PodRequest> {
    let mut pods = Vec::new();
    if stack.mongodb.mode != StoreMode::External {
        pods.push(PodRequest { cpu: MONGODB_CPU, memory: stack.mongodb.memory });
    }
    let redis = PodRequest { cpu: REDIS_CPU, memory: stack.redis.memory };
    if stack.redis.runs_sentinel() {
        let memory = ByteSize(redis.memory.0.saturating_add(SENTINEL_MEMORY.0));
        let pod = PodRequest { cpu: MilliCpu(REDIS_CPU.0 + SENTINEL_CPU.0), memory };
        pods.extend((0..SENTINEL_SERVERS).map(|_| pod));
    } else if stack.redis.mode != StoreMode::External {
        pods.push(redis);
    }
    pods
}
