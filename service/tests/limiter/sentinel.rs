//! A Redis whose master goes: the replicas follow Sentinel to the next one.

use appforge_service::redis as service_redis;
use appforge_service::status::LimitMode;
use appforge_testing::peer::{IN_MEMORY, Server};
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, until};
use redis::aio::MultiplexedConnection;
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Replica, limit, passed, shared};

/// The login of servers and sentinels alike.
const LOGIN: &str = "appforge:0123456789abcdef";

/// A server that asks for a password, and sentinels too.
fn server(arguments: &[&str], more: &[&str]) -> Server {
    let users =
        ["user default on >0123456789abcdef ~* &* +@all", "user appforge on >0123456789abcdef ~* &* +@all"];
    Server::valkey(arguments).configured(&[&users, more].concat()).started()
}

async fn login(server: &Server) -> MultiplexedConnection {
    let url = format!("redis://{LOGIN}@127.0.0.1:{}", server.port);
    redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
}

/// A master, its replica, and three sentinels that watch them and have found each other.
struct Watched {
    master: Server,
    next: Server,
    url: String,
    _sentinels: Vec<Server>,
}

async fn watched() -> Watched {
    let master = server(IN_MEMORY, &["repl-diskless-sync-delay 0"]);
    let port = master.port.to_string();
    let replica = [IN_MEMORY, &["--replicaof", "127.0.0.1", &port]].concat();
    let next = server(&replica, &["masterauth 0123456789abcdef"]);
    let mut sentinels = Vec::new();
    for _ in 0..3 {
        let lines = [
            &format!("sentinel monitor main 127.0.0.1 {port} 2"),
            "sentinel auth-pass main 0123456789abcdef",
            "sentinel sentinel-pass 0123456789abcdef",
            "sentinel down-after-milliseconds main 500",
            "sentinel failover-timeout main 2000",
        ];
        sentinels.push(server(&["--sentinel"], &lines));
    }
    let hosts: Vec<String> = sentinels.iter().map(|it| format!("127.0.0.1:{}", it.port)).collect();
    let url = format!("redis+sentinel://{LOGIN}@{}/main", hosts.join(","));
    // The sentinels know each other and the next master, which has what the old one counted.
    let mut told = login(sentinels.first().unwrap()).await;
    for (question, count) in [("sentinels", 2), ("replicas", 1)] {
        until(question, async || {
            let known: Vec<redis::Value> =
                redis::cmd("SENTINEL").arg(question).arg("main").query_async(&mut told).await.unwrap();
            known.len() == count
        })
        .await;
    }
    Watched { master, next, url, _sentinels: sentinels }
}

/// Waits until the next master has all that the master has.
async fn copied(master: &Server) {
    let mut copied = login(master).await;
    while redis::cmd("WAIT").arg(1).arg(100).query_async::<u32>(&mut copied).await.unwrap() == 0 {}
}

async fn is_master(server: &Server) -> bool {
    let mut observer = login(server).await;
    let role: (String, u64, Vec<redis::Value>) = redis::cmd("ROLE").query_async(&mut observer).await.unwrap();
    role.0 == "master"
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn replicas_follow_sentinel_when_the_master_is_killed() {
    let Watched { mut master, next, url, _sentinels } = watched().await;
    let replicas: Vec<Replica> = (0..2).map(|_| Replica::start(&url, &limit(2))).collect();
    shared(&replicas).await;
    assert_eq!(passed(&replicas, "client", 60, 1).await, 60);
    copied(&master).await;
    master.kill();
    let missed = async || replicas.iter().any(|replica| replica.mode() == LimitMode::Memory);
    until("the master is missed", missed).await;
    let took = shared(&replicas).await;
    println!("shared again {took:?} after the master was missed");
    let more = passed(&replicas, "client", 150, 10).await;
    assert!((38..=42).contains(&more), "{more}");
    assert!(is_master(&next).await);
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn forward_leads_to_the_next_master_when_one_freezes() {
    let Watched { master, next, url, _sentinels } = watched().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _forward = service_redis::forward(&url, listener).unwrap();
    // A client that has never heard of sentinels.
    let client = redis::Client::open(format!("redis://{LOGIN}@{address}")).unwrap();
    let set = async |value: &str| {
        let mut connection = client.get_multiplexed_async_connection().await?;
        redis::cmd("SET").arg("key").arg(value).exec_async(&mut connection).await
    };
    set("before").await.unwrap();
    copied(&master).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 64];
    assert!(timeout(DEADLINE, idle.read(&mut answer)).await.unwrap().unwrap() > 0);

    // Frozen, it closes nothing by itself.
    master.signal(Signal::STOP);
    let ended = timeout(DEADLINE, idle.read(&mut answer)).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    until("the next master takes writes", async || set("after").await.is_ok()).await;
    assert!(is_master(&next).await);
    let value: String = redis::cmd("GET").arg("key").query_async(&mut login(&next).await).await.unwrap();
    assert_eq!(value, "after");
}

#[tokio::test]
#[ignore = "needs valkey"]
async fn sentinel_without_password_leads_to_a_database_with_one() {
    let master = server(IN_MEMORY, &[]);
    let monitor = format!("sentinel monitor main 127.0.0.1 {} 1", master.port);
    let lines = [&monitor, "sentinel auth-pass main 0123456789abcdef"];
    let sentinel = Server::valkey(&["--sentinel"]).configured(&lines).started();
    let gone = port::reserve();
    let url = format!("redis+sentinel://{LOGIN}@127.0.0.1:{gone},127.0.0.1:{}/main/3", sentinel.port);
    let replicas: Vec<Replica> = (0..2).map(|_| Replica::start(&url, &limit(2))).collect();
    shared(&replicas).await;
    assert_eq!(passed(&replicas, "client", 150, 4).await, 100);
    let mut observer = login(&master).await;
    let keyspace: String = redis::cmd("INFO").arg("keyspace").query_async(&mut observer).await.unwrap();
    assert!(keyspace.contains("db3:") && !keyspace.contains("db0:"), "{keyspace}");
}
