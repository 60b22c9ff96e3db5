//! The capacity model: users a day -> requests -> replicas -> nodes, connections, memory, traffic. Pure.
//!
//! | quantity | rule |
//! |---|---|
//! | average req/s | users x requests per user / 86,400 s |
//! | peak req/s | average x peak factor |
//! | in flight | peak x latency (Little's law) |
//! | users at once | peak x seconds between two requests of a user (Little's law again) |
//! | replicas for the load | peak / (capacity of a replica x 70 %), rounded up |
//! | replicas | at least the floor of the stack: `autoscaling.min` or `service.replicas` |
//! | nodes | those with pods of stores, then replicas / replicas that fit the *allocatable* part of a node, and the spare to drain |
//! | connections | (replicas + 1 during a rollout) x (`pool.max` + 2 that monitor), against 80 % of a cluster's limit |
//! | Redis memory | clients in a window x 200 B + users x 16 KiB of cached answers, against 70 % of a plan |
//! | traffic | requests of a month (730 h) x 20 kB |
//!
//! With 50 requests per user, a peak of 5 and 70 % it gives back the setup's own capacity table; a test holds it to that.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::cost::capacity::Capacity;
use crate::cost::catalogue::{Item, Node, SizedBy, Tier};
use crate::cost::stores::Stores;
use crate::stack::values::{ByteSize, MilliCpu};
use crate::stack::{Stack, TargetKind, pods};

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Share of a measured capacity that is planned with; the autoscaler adds replicas at 70 % too.
pub const UTILISATION: Decimal = Decimal::from_parts(70, 0, 0, false, 2);
/// Seconds that a request takes: the p95 of the setup's load test, so in-flight is rather high than low.
pub const LATENCY: Decimal = Decimal::from_parts(32, 0, 0, false, 2);
/// Seconds between two requests of one active user; with it 50-100 req/s are 200-350 users at once, as the setup has it.
pub const PACE: Decimal = Decimal::from_parts(5, 0, 0, false, 0);
/// Connections of each driver that watch the server.
pub const MONITORING: u64 = 2;
/// Share of a cluster's connections that is planned with; shells, backups and load tests need some too.
pub const CONNECTION_SHARE: Decimal = Decimal::from_parts(80, 0, 0, false, 2);
/// Share of a Redis plan that holds data; the rest is buffers, fragmentation and the rewrite of its file.
pub const MEMORY_SHARE: Decimal = Decimal::from_parts(70, 0, 0, false, 2);
/// Bytes of one rate-limit counter in Redis, key and overhead included.
pub const COUNTER_BYTES: u64 = 200;
/// Bytes of cached answers for each user of a day.
pub const CACHED_BYTES: u64 = 16 << 10;
/// Bytes of one answer through the CDN.
pub const ANSWER_BYTES: u64 = 20_000;
/// Hours of a month, as cloud providers count.
pub const MONTH_HOURS: u64 = 730;

/// What the model starts from, besides users and tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Requests of one user a day.
    pub requests_per_user: u32,
    /// Peak over average.
    pub peak_factor: Decimal,
    /// CPU that one replica asks for, with the front of an app.
    pub cpu: MilliCpu,
    /// Memory that one replica asks for.
    pub memory: ByteSize,
    /// Most connections of one replica.
    pub pool_max: u32,
    /// Seconds of the rate-limit window.
    pub window: u64,
    /// Replicas without autoscaling.
    pub replicas: u32,
    /// Fewest and most replicas with autoscaling.
    pub autoscaling: Option<(u32, u32)>,
    /// What one replica carries.
    pub capacity: Capacity,
    /// Who runs the stores, and what their pods ask for.
    pub stores: Stores,
}

impl Inputs {
    /// What a stack says.
    pub fn new(stack: &Stack, capacity: Capacity) -> Self {
        let replica = pods::of_replica(stack);
        Self {
            requests_per_user: stack.cost.requests_per_user,
            peak_factor: stack.cost.peak_factor.0,
            cpu: replica.cpu,
            memory: replica.memory,
            pool_max: stack.mongodb.pool.max,
            window: stack.rate_limit.window.0.as_secs().max(1),
            replicas: stack.service.replicas,
            autoscaling: stack.kubernetes.autoscaling.map(|scaling| (scaling.min, scaling.max)),
            capacity,
            stores: Stores::of(stack),
        }
    }

    /// Requests per second that are planned for one replica.
    pub fn planned_per_replica(&self) -> Decimal {
        self.capacity.per_replica * UTILISATION
    }

    /// Users a day that so many requests per second at the peak come from: the model backwards.
    pub fn users_at_peak(&self, peak: Decimal) -> u64 {
        let users = peak / self.peak_factor * Decimal::from(DAY) / Decimal::from(self.requests_per_user);
        users.to_u64().unwrap_or(u64::MAX)
    }
}

/// What so many users need on a tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Requests per second over the day.
    pub average: Decimal,
    /// Requests per second at the peak.
    pub peak: Decimal,
    /// Requests in flight at the peak.
    pub in_flight: Decimal,
    /// Users active at once at the peak.
    pub concurrent: Decimal,
    /// Replicas that the peak needs.
    pub replicas_for_load: u64,
    /// Replicas that the stack keeps in any case.
    pub replica_floor: u64,
    /// Replicas: the larger of both.
    pub replicas: u64,
    /// Replicas that fit one node; 0 when one replica is larger than a node.
    pub per_node: u64,
    /// Nodes for one replica; 1 unless it is larger than a node.
    pub nodes_per_replica: u64,
    /// Nodes that hold pods of stores.
    pub store_nodes: u64,
    /// Replicas that fit beside them.
    pub beside_stores: u64,
    /// Nodes that the stores and the peak alone keep busy.
    pub nodes_for_load: u64,
    /// Nodes for all replicas, and the spare.
    pub nodes: u64,
    /// Connections to MongoDB during a rollout at the peak.
    pub connections: u64,
    /// Clients with a rate-limit counter at the peak.
    pub clients: u64,
    /// Bytes in Redis.
    pub redis_bytes: u64,
    /// Gigabytes (decimal) a month through the CDN.
    pub traffic_gb: Decimal,
}

/// The need of `users` a day on `tier`.
pub fn need(users: u64, inputs: &Inputs, tier: &Tier) -> Need {
    let requests = Decimal::from(users) * Decimal::from(inputs.requests_per_user);
    let average = requests / Decimal::from(DAY);
    let peak = requests * inputs.peak_factor / Decimal::from(DAY);
    let replicas_for_load = ceil(peak / inputs.planned_per_replica());
    let replica_floor = u64::from(match (tier.target, inputs.autoscaling) {
        (TargetKind::Kubernetes, Some((min, _))) => min,
        _ => inputs.replicas,
    });
    let replicas = replicas_for_load.max(replica_floor);
    let (per_node, nodes_per_replica) = fit(inputs, tier.node);
    let stores = inputs.stores.nodes(tier.target, tier.node);
    let store_nodes = stores.len() as u64;
    let beside_stores: u64 = stores.into_iter().map(|left| fit(inputs, left).0).sum();
    let on_nodes = |replicas: u64| {
        let elsewhere = replicas.saturating_sub(beside_stores);
        store_nodes.saturating_add(match per_node {
            0 => elsewhere.saturating_mul(nodes_per_replica),
            fit => elsewhere.div_ceil(fit),
        })
    };
    let in_window = peak * Decimal::from(inputs.window) / Decimal::from(inputs.requests_per_user);
    let clients = ceil(in_window).min(users);
    let counters = clients.saturating_mul(COUNTER_BYTES);
    let month = Decimal::from(MONTH_HOURS) / Decimal::from(24);
    Need {
        average,
        peak,
        in_flight: peak * LATENCY,
        concurrent: peak * PACE,
        replicas_for_load,
        replica_floor,
        replicas,
        per_node,
        nodes_per_replica,
        store_nodes,
        beside_stores,
        nodes_for_load: on_nodes(replicas_for_load),
        nodes: on_nodes(replicas).saturating_add(tier.spare_nodes),
        connections: (replicas.saturating_add(1)).saturating_mul(u64::from(inputs.pool_max) + MONITORING),
        clients,
        redis_bytes: counters.saturating_add(users.saturating_mul(CACHED_BYTES)),
        traffic_gb: requests * month * Decimal::from(ANSWER_BYTES) / Decimal::from(1_000_000_000),
    }
}

/// Replicas on a node, and nodes for a replica, by the scarcer of CPU and memory.
fn fit(inputs: &Inputs, node: Node) -> (u64, u64) {
    let cpu = (u64::from(node.cpu.0), u64::from(inputs.cpu.0).max(1));
    let memory = (node.memory.0, inputs.memory.0.max(1));
    let fits = (cpu.0 / cpu.1).min(memory.0 / memory.1);
    let spans = cpu.1.div_ceil(cpu.0.max(1)).max(memory.1.div_ceil(memory.0.max(1)));
    (fits, if fits == 0 { spans } else { 1 })
}

/// Why a quantity is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// So that one may fail.
    Availability,
    /// The size that the catalogue prices.
    TierSize,
    /// One more for each so many users.
    UsersPerUnit,
    /// Requests per second at the peak.
    RequestRate,
    /// Connections to MongoDB.
    Connections,
    /// Memory of Redis.
    Memory,
    /// Traffic through the CDN.
    Traffic,
}

impl Rule {
    /// Its words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Availability => "availability floor",
            Self::TierSize => "tier size",
            Self::UsersPerUnit => "users per unit",
            Self::RequestRate => "request rate",
            Self::Connections => "connections",
            Self::Memory => "memory",
            Self::Traffic => "traffic",
        }
    }
}

/// What each rule asks of `item`, in the order in which a tie is decided.
pub fn candidates(item: &Item, tier: &Tier, users: u64, need: &Need) -> Vec<(Rule, u64)> {
    let mut rules = Vec::new();
    if item.sized_by == Some(SizedBy::Nodes) {
        rules.push((Rule::Availability, tier.min_nodes));
    }
    rules.push((Rule::TierSize, item.quantity));
    if let Some(per_unit) = item.users_per_unit {
        rules.push((Rule::UsersPerUnit, users.div_ceil(per_unit)));
    }
    match item.sized_by {
        Some(SizedBy::Nodes) => {
            let by_floor = need.replica_floor > need.replicas_for_load;
            rules.push((if by_floor { Rule::Availability } else { Rule::RequestRate }, need.nodes));
        }
        Some(SizedBy::Connections) => {
            rules.push((Rule::Connections, units(need.connections, usable_connections(item, 1))));
        }
        Some(SizedBy::Memory) => rules.push((Rule::Memory, units(need.redis_bytes, usable_memory(item, 1)))),
        Some(SizedBy::Traffic) => rules.push((Rule::Traffic, ceil(need.traffic_gb))),
        None => {}
    }
    rules
}

/// The quantity of `item` and the rule that sets it: the largest, of equals the first.
pub fn quantity(item: &Item, tier: &Tier, users: u64, need: &Need) -> (Rule, u64) {
    let mut binding = (Rule::TierSize, 0);
    for (rule, quantity) in candidates(item, tier, users, need) {
        if quantity > binding.1 {
            binding = (rule, quantity);
        }
    }
    binding
}

/// Why a tier cannot hold `users`, if it cannot. The last tier holds all.
pub fn exceeds(users: u64, tier: &Tier, need: &Need) -> Option<(Option<Rule>, String)> {
    let up_to = tier.up_to?;
    if users > up_to {
        return Some((None, format!("more than {} users a day", crate::cost::money::count(up_to))));
    }
    if let Some(most) = tier.max_nodes.filter(|most| need.nodes > *most) {
        let rule =
            if need.replica_floor > need.replicas_for_load { Rule::Availability } else { Rule::RequestRate };
        let needs =
            format!("{} replicas need {} nodes, and it has at most {most}", need.replicas, need.nodes);
        return Some((Some(rule), needs));
    }
    tier.items.iter().find_map(|item| match quantity(item, tier, users, need) {
        (rule @ (Rule::Connections | Rule::Memory), count) if count > item.quantity => {
            Some((Some(rule), format!("{} runs out of {}", item.name, rule.as_str())))
        }
        _ => None,
    })
}

/// Connections that `units` of an item leave to replicas; 0 when it names no limit.
pub fn usable_connections(item: &Item, units: u64) -> u64 {
    share(item.max_connections.unwrap_or_default(), CONNECTION_SHARE).saturating_mul(units)
}

/// Bytes that `units` of an item leave to data; 0 when it names no size.
pub fn usable_memory(item: &Item, units: u64) -> u64 {
    share(item.memory.map_or(0, |memory| memory.0), MEMORY_SHARE).saturating_mul(units)
}

fn share(whole: u64, share: Decimal) -> u64 {
    (Decimal::from(whole) * share).to_u64().unwrap_or(u64::MAX)
}

fn units(needed: u64, each: u64) -> u64 {
    needed.div_ceil(each.max(1))
}

fn ceil(number: Decimal) -> u64 {
    number.ceil().to_u64().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
