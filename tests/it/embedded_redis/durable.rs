//! What the embedded Redis keeps over a restart, a crash and a broken file.

use std::path::Path;

use appforge_testing::wait::until;
use tokio::time::timeout;

use super::{DEADLINE, Server, number, patient, run, text};

#[tokio::test]
async fn keys_and_their_ends_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("not/yet/there");
    let server = Server::start(&data).await;
    let c = &mut server.connect("").await;
    text(c, "SET gone 1").await;
    text(c, "SET kept 1 EX 100").await;
    text(c, "SET ended 1 PX 1").await;
    server.stop().await;
    let server = Server::start(&data).await;
    let c = &mut server.connect("").await;
    assert_eq!((text(c, "GET kept").await.as_deref(), text(c, "GET ended").await), (Some("1"), None));
    assert!((90..=100).contains(&number(c, "TTL kept").await));
    number(c, "DEL gone").await;
    server.stop().await;
    let server = Server::start(&data).await;
    let c = &mut server.connect("").await;
    assert_eq!((number(c, "EXISTS gone").await, number(c, "EXISTS kept").await), (0, 1));
    text(c, "FLUSHALL").await;
    text(c, "SET after 1").await;
    server.stop().await;
    let server = Server::start(&data).await;
    let keys: Vec<String> = run(&mut server.connect("").await, "KEYS *").await.unwrap();
    assert_eq!(keys, ["after"]);
    server.stop().await;
}

/// Where the server of another process tells its address; set only for the child of the test below.
const ADDRESS_FILE: &str = "APPFORGE_TEST_REDIS_ADDRESS_FILE";

#[tokio::test]
#[ignore = "the body of the process that another test kills"]
async fn child_process_that_serves_until_killed() {
    let file = std::env::var_os(ADDRESS_FILE).unwrap();
    let file = Path::new(&file);
    let server = Server::start(file.parent().unwrap()).await;
    std::fs::write(file.with_extension("new"), server.address.to_string()).unwrap();
    std::fs::rename(file.with_extension("new"), file).unwrap();
    // The parent kills this process; should the parent be gone, it ends by itself.
    let _ = timeout(DEADLINE * 2, server.task).await;
}

#[tokio::test]
async fn what_was_written_a_moment_ago_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    for round in 1..=3 {
        let _ = std::fs::remove_file(&file);
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "embedded_redis::durable::child_process_that_serves_until_killed"])
            .env(ADDRESS_FILE, &file)
            .stdout(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until("the child serves", async || file.exists()).await;
        let address = std::fs::read_to_string(&file).unwrap();
        let client = redis::Client::open(format!("redis://{address}/")).unwrap();
        let c = &mut timeout(DEADLINE, client.get_multiplexed_async_connection_with_config(&patient()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(number(c, "INCR kept").await, round);
        until("the change is on the disk", async || {
            text(c, "INFO persistence").await.unwrap().contains("rdb_changes_since_last_save:0\r\n")
        })
        .await;
        // Killed in the midst of writes.
        for _ in 0..1000 {
            number(c, "INCR other").await;
        }
        child.start_kill().unwrap();
        timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_broken_or_busy_data_file_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    number(&mut server.connect("").await, "INCR n").await;
    let second = Server::start(folder.path()).await;
    let error = timeout(DEADLINE, second.task).await.unwrap().unwrap().unwrap_err();
    assert!(format!("{error:#}").contains("in use by another process"), "{error:#}");
    server.stop().await;

    let file = folder.path().join("redis.redb");
    let whole = std::fs::read(&file).unwrap();
    for broken in [b"this is no database".repeat(1000), whole[..whole.len() / 2].to_vec(), vec![0; 8192]] {
        std::fs::write(&file, &broken).unwrap();
        let server = Server::start(folder.path()).await;
        let error = timeout(DEADLINE, server.task).await.unwrap().unwrap().unwrap_err();
        assert!(format!("{error:#}").contains("redis.redb"), "{error:#}");
        assert!(format!("{error:#}").contains("move it away"), "{error:#}");
    }
}
