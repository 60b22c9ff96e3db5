use super::*;
use crate::cost::Catalogue;
use crate::stack::model::{StoreMode, Topology};

fn inputs(per_replica: &str) -> Inputs {
    let capacity = Capacity { per_replica: per_replica.parse().unwrap(), measured: None };
    Inputs::new(&Stack::default(), capacity)
}

/// A row of the setup's capacity table: from its requests per second the model must find its users a day.
#[track_caller]
fn row(requests: &str, users: std::ops::RangeInclusive<u64>, at_once: Option<(u32, u32)>) {
    let inputs = inputs(requests);
    let peak = inputs.planned_per_replica();
    let found = inputs.users_at_peak(peak);
    assert!(users.contains(&found), "{requests} req/s: {found} users a day, not within {users:?}");
    if let Some((low, high)) = at_once {
        let found = peak * PACE;
        assert!(found >= low.into() && found <= high.into(), "{requests} req/s: {found} users at once");
    }
}

#[test]
fn the_capacity_table_of_the_setup_is_reproduced_within_its_ranges() {
    // Capacity Analysis: before (2-3 req/s) and after (50-100 req/s), each in the middle of its range.
    row("2.5", 500..=1_000, Some((5, 10)));
    row("60", 10_000..=15_000, Some((200, 350)));
    // Performance Benchmarks: pooling only (10-15 req/s), Redis and pooling (40-50), Kubernetes (150-200).
    row("12.5", 3_000..=3_500, None);
    row("45", 10_000..=15_000, None);
    row("150", 30_000..=50_000, None);
    row("200", 30_000..=50_000, None);
    // Docker Compose with two of the default's replicas: 5,000-10,000 users a day.
    row("40", 5_000..=10_000, None);
}

#[test]
fn ten_thousand_users_are_29_requests_a_second_and_three_replicas() {
    let catalogue = Catalogue::builtin();
    let (_, tier) = catalogue.tier("production").unwrap();
    let need = need(10_000, &inputs("20"), tier);
    assert_eq!(need.average.round_dp(1).to_string(), "5.8");
    assert_eq!(need.peak.round_dp(1).to_string(), "28.9");
    assert_eq!((need.replicas_for_load, need.replicas), (3, 3));
    assert_eq!((need.per_node, need.nodes_for_load, need.nodes), (3, 2, 3));
    assert_eq!(need.connections, 4 * 52);
    assert_eq!(need.traffic_gb.round().to_string(), "304");
    assert_eq!(quantity(&tier.items[0], tier, 10_000, &need), (Rule::Availability, 3));
}

#[test]
fn a_replica_larger_than_a_node_takes_several() {
    let catalogue = Catalogue::builtin();
    let (_, tier) = catalogue.tier("scale").unwrap();
    let mut inputs = inputs("20");
    inputs.cpu = MilliCpu(4000);
    let need = need(30_000, &inputs, tier);
    assert_eq!((need.per_node, need.nodes_per_replica, need.replicas), (0, 3, 7));
    // One more holds the stores.
    assert_eq!(need.nodes, 1 + 7 * 3 + 1);
}

#[test]
fn pods_of_stores_take_room_on_nodes() {
    let catalogue = Catalogue::builtin();
    let nodes = |tier: &str, change: fn(&mut Stack)| {
        let mut stack = Stack::default();
        change(&mut stack);
        let inputs = Inputs::new(&stack, Capacity::default());
        let (_, tier) = catalogue.tier(tier).unwrap();
        let need = need(30_000, &inputs, tier);
        (need.replicas, need.store_nodes, need.beside_stores, need.nodes)
    };
    let external = |stack: &mut Stack| {
        stack.mongodb.mode = StoreMode::External;
        stack.redis.mode = StoreMode::External;
    };
    // Seven replicas, three on a node; beside 350m of stores there is room for two.
    assert_eq!(nodes("scale", |_| ()), (7, 1, 2, 4));
    assert_eq!(nodes("scale", external), (7, 0, 0, 4));
    assert_eq!(nodes("scale", |stack| stack.mongodb.memory = ByteSize(5 << 30)), (7, 2, 3, 5));
    assert_eq!(nodes("scale", |stack| stack.redis.topology = Topology::Sentinel), (7, 2, 4, 4));
    // The catalogue's node of Docker Compose is without its stores already.
    assert_eq!(nodes("development", |_| ()).1, 0);
}

#[test]
fn a_large_pool_makes_connections_bind() {
    let catalogue = Catalogue::builtin();
    let mut inputs = inputs("20");
    inputs.pool_max = 1000;
    let (_, production) = catalogue.tier("production").unwrap();
    let needed = need(10_000, &inputs, production);
    assert_eq!(exceeds(10_000, production, &needed).unwrap().0, Some(Rule::Connections));
    let (_, scale) = catalogue.tier("scale").unwrap();
    assert_eq!(quantity(&scale.items[1], scale, 10_000, &needed), (Rule::Connections, 2));
}
