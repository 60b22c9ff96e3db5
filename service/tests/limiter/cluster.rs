//! A Redis Cluster: all keys of a stack have one slot, and the replicas follow its owner.

use appforge_service::redis::{Redis, connect};
use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::wait::until;
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd};
use tokio::time::Duration;

use crate::support::{connection, passed, replicas, run, shared, traffic};

/// The slots of a cluster.
const SLOTS: u16 = 16384;
/// How long a request may take at most while the owner is killed: it waits for one reply that does not come.
const SLOWEST: Duration = Duration::from_millis(500);

/// Nodes of a cluster: so many masters, and as many replicas of them, if it has any.
struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    async fn started(masters: usize, followers: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..masters + followers {
            let bus = port::reserve().to_string();
            let arguments =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "700", "--cluster-port", &bus];
            nodes.push((Server::valkey(&[IN_MEMORY, &arguments].concat()).started(), bus));
        }
        let mut to = Vec::new();
        for (node, _) in &nodes {
            to.push(connection(node).await);
        }
        let width = usize::from(SLOTS).div_ceil(masters);
        for (number, to) in to.iter_mut().enumerate() {
            run(to, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]).await;
            if number < masters {
                let last = ((number + 1) * width).min(SLOTS.into()) - 1;
                run(to, &["CLUSTER", "ADDSLOTSRANGE", &(number * width).to_string(), &last.to_string()])
                    .await;
            }
        }
        for (node, bus) in nodes.iter().skip(1) {
            let seed = to.first_mut().unwrap();
            run(seed, &["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), bus]).await;
        }
        let size = format!("cluster_known_nodes:{}", nodes.len());
        for to in &mut to {
            until("the nodes know each other", async || info(to).await.contains(&size)).await;
        }
        for follower in masters..masters + followers {
            let id: String = cmd("CLUSTER")
                .arg("MYID")
                .query_async(to.get_mut(follower - masters).unwrap())
                .await
                .unwrap();
            let follower = to.get_mut(follower).unwrap();
            until("the follower knows its master", async || {
                cmd("CLUSTER").arg("REPLICATE").arg(&id).exec_async(follower).await.is_ok()
            })
            .await;
        }
        for (number, to) in to.iter_mut().enumerate() {
            until("the cluster is whole", async || info(to).await.contains("cluster_state:ok")).await;
            if number >= masters {
                until("the follower follows", async || {
                    let text: String = cmd("INFO").arg("replication").query_async(to).await.unwrap();
                    text.contains("master_link_status:up")
                })
                .await;
            }
        }
        Self { nodes: nodes.into_iter().map(|(node, _)| node).collect() }
    }

    /// The URL of the cluster, with `seeds` of its nodes.
    fn url(&self, seeds: usize) -> String {
        let hosts: Vec<String> =
            self.nodes.iter().take(seeds).map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", hosts.join(","))
    }

    /// The node that answers at `port`.
    fn node(&mut self, port: u16) -> &mut Server {
        self.nodes.iter_mut().find(|node| node.port == port).unwrap()
    }

    /// Where the keys are whose tag is `appforge`.
    async fn owner(&self) -> u16 {
        let mut connection = connect(&self.url(self.nodes.len()), SLOWEST).await.unwrap();
        let text: String = cmd("INFO").arg("server").query_async(&mut connection).await.unwrap();
        text.lines().find_map(|line| line.strip_prefix("tcp_port:")).unwrap().parse().unwrap()
    }

    async fn slot(&mut self) -> u16 {
        let mut seed = connection(self.nodes.first().unwrap()).await;
        cmd("CLUSTER").arg("KEYSLOT").arg("{appforge}:").query_async(&mut seed).await.unwrap()
    }
}

async fn info(connection: &mut MultiplexedConnection) -> String {
    cmd("CLUSTER").arg("INFO").query_async(connection).await.unwrap()
}

fn reason(redis: &Redis) -> String {
    redis.state().1.unwrap_or_default()
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replicas_follow_the_slot_owner_when_it_is_killed() {
    let mut cluster = Cluster::started(3, 3).await;
    let replicas = replicas(&cluster.url(6), 2).await;
    assert_eq!(passed(&replicas, "exact", 150, 10).await, 100);
    assert_eq!(passed(&replicas, "kept", 60, 1).await, 60);
    let old = cluster.owner().await;
    let mut copied = connection(cluster.node(old)).await;
    while cmd("WAIT").arg(1).arg(100).query_async::<u32>(&mut copied).await.unwrap() == 0 {}

    let requests = traffic(&replicas, "during", 4000, 8);
    let kill = async { cluster.node(old).kill() };
    let (requests, ()) = tokio::join!(requests, kill);
    assert_eq!(requests.decisions.len(), 4000);
    assert!(requests.slowest < SLOWEST, "{:?}", requests.slowest);
    assert!((98..=102).contains(&requests.passed), "{}", requests.passed);
    let took = shared(&replicas).await;
    println!("shared again {took:?} after the kill");
    let new = cluster.owner().await;
    assert_ne!(new, old);
    let more = passed(&replicas, "kept", 150, 10).await;
    assert!((38..=42).contains(&more), "{more}");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replicas_follow_a_slot_that_moves() {
    let mut cluster = Cluster::started(3, 0).await;
    let replicas = replicas(&cluster.url(1), 2).await;
    assert_eq!(passed(&replicas, "client", 60, 4).await, 60);
    let (old, slot) = (cluster.owner().await, cluster.slot().await.to_string());
    let new = cluster.nodes.iter().map(|node| node.port).find(|port| *port != old).unwrap();
    let mut from = connection(cluster.node(old)).await;
    let mut to = connection(cluster.node(new)).await;
    let mut ids = Vec::new();
    for node in [&mut from, &mut to] {
        ids.push(cmd("CLUSTER").arg("MYID").query_async::<String>(node).await.unwrap());
    }
    let [source, target] = ids.as_slice() else { unreachable!() };

    // Half-way, absent keys are redirected (`ASK`), and several of which one is gone fail (`TRYAGAIN`).
    run(&mut to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", source]).await;
    run(&mut from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", target]).await;
    assert_eq!(passed(&replicas, "between", 150, 4).await, 100);
    let keys: Vec<String> =
        cmd("CLUSTER").arg("GETKEYSINSLOT").arg(&slot).arg(100).query_async(&mut from).await.unwrap();
    assert!(keys.len() >= 3 && keys.iter().all(|key| key.starts_with("{appforge}:")), "{keys:?}");
    let mut migrate = cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(new).arg("").arg(0).arg(1000).arg("KEYS").arg(&keys);
    let _: Value = migrate.query_async(&mut from).await.unwrap();
    for node in [&mut to, &mut from] {
        run(node, &["CLUSTER", "SETSLOT", &slot, "NODE", target]).await;
    }
    shared(&replicas).await;
    assert_eq!(passed(&replicas, "client", 150, 4).await, 40);
    assert_eq!(cluster.owner().await, new);
    let failures: f64 =
        replicas.iter().map(|replica| replica.metric("redis_client_failures_total{kind=\"slot\"}")).sum();
    assert!(failures > 0.0);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replicas_count_by_themselves_when_no_node_has_the_slot() {
    let mut cluster = Cluster::started(3, 0).await;
    let replicas = replicas(&cluster.url(3), 2).await;
    let owner = cluster.owner().await;
    cluster.node(owner).kill();
    let more = passed(&replicas, "client", 150, 4).await;
    assert!((98..=102).contains(&more), "{more}");
    until("the reason is known", async || replicas.iter().all(|replica| !reason(&replica.redis).is_empty()))
        .await;
    cluster.node(owner).start();
    shared(&replicas).await;
}
