//! Stores that are killed: what was answered is there, and nothing needs a repair.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use appforge_testing::wait::eventually;
use bson::doc;
use redb::{Database, TableDefinition};

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};
use crate::resp;

#[test]
fn redis_answer_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (mut total, pipeline) = (0, ["INCR n", "SET last 1 EX 1000", "INCRBY n 2", "DEL gone"]);
    for round in 0..8 {
        let store = Store::start(Kind::Redis, folder.path());
        let mut client = resp::Client::connect(store.address);
        assert_eq!(client.one("INCRBY n 0"), format!(":{total}"), "round {round}");
        for _ in 0..50 {
            let replies = client.all(&pipeline);
            total += 3;
            assert_eq!(replies[2], format!(":{total}"));
        }
        // At once, before anything could be synced.
        store.kill();
    }
}

#[test]
fn redis_answers_to_many_clients_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let store = Store::start(Kind::Redis, folder.path());
        let address = store.address;
        let answered: Vec<AtomicI64> = (0..8).map(|_| AtomicI64::new(0)).collect();
        std::thread::scope(|scope| {
            for (number, answered) in answered.iter().enumerate() {
                scope.spawn(move || {
                    let mut client = resp::Client::connect(address);
                    let line = format!("INCRBY r{round}:{number} 1");
                    while let Ok(replies) = client.try_all(&[line.as_str(); 5]) {
                        answered.store(replies[4][1..].parse().unwrap(), Ordering::SeqCst);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300));
            store.kill();
        });
        let store = Store::start(Kind::Redis, folder.path());
        let mut client = resp::Client::connect(store.address);
        for (number, answered) in answered.iter().enumerate() {
            let answered = answered.load(Ordering::SeqCst);
            let kept: i64 = client.one(&format!("GET r{round}:{number}")).parse().unwrap();
            assert!(answered > 0 && (answered..=answered + 5).contains(&kept), "{kept} of {answered}");
        }
    }
}

#[test]
fn redis_log_is_folded_and_everything_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    client.one("SET early 1");
    let value = "x".repeat(100_000);
    for number in 0..500 {
        assert_eq!(client.one(&format!("SET k{} {value}", number % 100)), "+OK");
    }
    client.all(&["DEL k7", "SET late 1"]);
    let logged = |data: &Path| {
        let files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap());
        let logs = files.filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
        logs.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum::<u64>()
    };
    eventually("the log is folded", || logged(&folder.path().join("data")) <= 33_000_000);
    client.one("SET later 1");
    store.kill();
    let store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    assert_eq!(client.all(&["DBSIZE", "GET early", "GET late", "GET later"]), [":102", "1", "1", "1"]);
    assert_eq!(client.all(&["EXISTS k7", "GET k99"]), [":0", &value]);
    assert!(logged(&folder.path().join("data")) < 1000, "a start folds what there is");
}

#[test]
fn data_of_older_builds_loads() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    {
        let database = Database::create(data.join("redis.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        let keys: TableDefinition<'_, &[u8], (i64, &[u8])> = TableDefinition::new("keys-v1");
        transaction.open_table(keys).unwrap().insert(&b"old"[..], (-1, &b"1"[..])).unwrap();
        transaction.open_table(keys).unwrap().insert(&b"ended"[..], (1, &b"1"[..])).unwrap();
        transaction.commit().unwrap();
        let database = Database::create(data.join("mongodb.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        let documents: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("documents-v1");
        let collections: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("collections-v1");
        let index = doc! {"indexes": [{"v": 2, "key": {"a": 1}, "name": "a", "unique": true}]};
        transaction.open_table(collections).unwrap().insert("d.c", &*index.to_vec().unwrap()).unwrap();
        let (id, document) =
            (doc! {"_id": 1_i64}.to_vec().unwrap(), doc! {"_id": 1, "a": 1}.to_vec().unwrap());
        transaction.open_table(documents).unwrap().insert(("d.c", &*id), &*document).unwrap();
        transaction.commit().unwrap();
    }
    let store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    assert_eq!(client.all(&["GET old", "GET ended", "INCR old"]), ["1", "nil", ":2"]);
    store.kill();
    let store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    assert_eq!(client.all(&["GET old", "FLUSHALL", "SET new 1"]), ["2", "+OK", "+OK"]);
    store.kill();
    let store = Store::start(Kind::Redis, folder.path());
    assert_eq!(resp::Client::connect(store.address).all(&["EXISTS old", "GET new"]), [":0", "1"]);
    drop(store);

    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    assert_eq!(client.count(), 1);
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [{"_id": 2, "a": 1}]})), 11000);
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [{"_id": 2, "a": 2}]})), 0);
    store.kill();
    let store = Store::start(Kind::Mongodb, folder.path());
    assert_eq!(Client::connect(store.address).count(), 2);
}
