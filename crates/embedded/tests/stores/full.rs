//! A disk without room: what is refused is neither visible nor durable, and a retry does it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use bson::{Document, doc};

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};
use crate::resp;

/// MongoDB's `OutOfDiskSpace`.
const NO_ROOM: i32 = 14031;
const MISCONF: &str = "-MISCONF";

/// Everything that can be seen of the database.
fn seen(client: &mut Client) -> Vec<Document> {
    let batch = |reply: Document| {
        let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap().clone();
        batch.into_iter().map(|document| document.as_document().unwrap().clone())
    };
    let mut all: Vec<Document> = batch(client.run(doc! {"find": "c"})).collect();
    for name in ["c", "fresh"] {
        let reply = client.run(doc! {"listIndexes": name});
        all.extend(if code(&reply) == 0 { batch(reply).collect() } else { Vec::new() });
    }
    all
}

/// How much a file may hold, from nothing to what it needs: each fails at another point of the commit.
fn limits(file: &Path) -> Vec<u64> {
    let length = fs::metadata(file).unwrap().len();
    (0..8).map(|eighth| length * eighth / 8).chain([4096, 4097, 8192, length - 1]).collect()
}

#[test]
fn refused_change_is_neither_visible_nor_durable() {
    let large = "x".repeat(300_000);
    let changes = [
        doc! {"insert": "c", "documents": [{"_id": 3, "text": &large}]},
        doc! {"insert": "c", "documents": [{"_id": 4}, {"_id": 5, "text": &large}, {"_id": 6}]},
        doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {"text": &large}}}]},
        doc! {"update": "c", "updates": [{"q": {"_id": 9}, "u": {"$set": {"text": &large}}, "upsert": true}]},
        doc! {"findAndModify": "c", "query": {"_id": 1}, "update": {"text": &large}},
        doc! {"delete": "c", "deletes": [{"q": {}, "limit": 0}]},
        doc! {"createIndexes": "c", "indexes": [{"key": {"text": 1}, "name": "text", "unique": true}]},
        doc! {"createIndexes": "fresh", "indexes": [{"key": {"x": 1}, "name": "x"}]},
        doc! {"drop": "c"},
    ];
    for change in changes {
        let shown = change.keys().next().unwrap().clone();
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::start(Kind::Mongodb, folder.path());
        let mut client = Client::connect(store.address);
        let documents = [doc! {"_id": 1, "text": "one"}, doc! {"_id": 2, "text": "two"}];
        assert_eq!(code(&client.run(doc! {"insert": "c", "documents": documents})), 0);
        let before = seen(&mut client);
        let mut refused = 0;
        for limit in limits(&folder.path().join("data/mongodb.redb")) {
            store.limit_files(Some(limit));
            let outcome = code(&client.run(change.clone()));
            store.limit_files(None);
            if outcome == 0 {
                // It fitted; there is nothing smaller to try.
                break;
            }
            assert_eq!(outcome, NO_ROOM, "{shown} within {limit}");
            assert_eq!(seen(&mut client), before, "{shown} within {limit}: visible");
            refused += 1;
            if refused % 4 == 1 {
                store.kill();
                store = Store::start(Kind::Mongodb, folder.path());
                client = Client::connect(store.address);
                assert_eq!(seen(&mut client), before, "{shown} within {limit}: durable");
            }
        }
        assert!(refused > 0, "{shown} was never refused");
        if seen(&mut client) == before {
            assert_eq!(code(&client.run(change)), 0, "{shown}: the retry");
        }
        let after = seen(&mut client);
        assert_ne!(after, before, "{shown}");
        store.kill();
        let store = Store::start(Kind::Mongodb, folder.path());
        assert_eq!(seen(&mut Client::connect(store.address)), after, "{shown}: the retry is durable");
    }
}

#[test]
fn concurrent_inserts_are_refused_or_done_and_never_half() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let write = |id: i32| {
        let mut client = Client::connect(store.address);
        let document = doc! {"_id": id, "text": "x".repeat(20_000)};
        code(&client.run(doc! {"insert": "c", "documents": [document]}))
    };
    assert_eq!(write(0), 0);
    let length = fs::metadata(folder.path().join("data/mongodb.redb")).unwrap().len();
    store.limit_files(Some(length + 200_000));
    let outcomes: Vec<(i32, i32)> = std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=100).map(|id| scope.spawn(move || (id, write(id)))).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let done: Vec<i32> = outcomes.iter().filter(|(_, code)| *code == 0).map(|(id, _)| *id).collect();
    assert!(outcomes.iter().any(|(_, code)| *code == NO_ROOM), "none was refused");
    assert!(outcomes.iter().all(|(_, code)| [0, NO_ROOM].contains(code)), "{outcomes:?}");
    let ids = |address| {
        let reply = Client::connect(address).run(doc! {"distinct": "c", "key": "_id"});
        reply.get_array("values").unwrap().iter().map(|id| id.as_i32().unwrap()).collect::<Vec<_>>()
    };
    let expected: Vec<i32> = std::iter::once(0).chain(done).collect();
    assert_eq!(ids(store.address), expected);
    store.kill();
    let store = Store::start(Kind::Mongodb, folder.path());
    assert_eq!(ids(store.address), expected);
}

#[test]
fn refused_redis_write_is_neither_visible_nor_durable() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    client.all(&["SET a 1", "SET b 2 EX 1000", "INCR n"]);
    let look = ["GET a", "GET b", "GET n", "DBSIZE", "EXISTS fresh"];
    let before = client.all(&look);
    for round in 0..3 {
        store.limit_files(Some(20));
        for write in [
            "SET a 9",
            "SET fresh 1",
            "INCR n",
            "DEL a b",
            "EXPIRE a 5",
            "PERSIST b",
            "FLUSHALL",
            "APPEND a 9",
        ] {
            assert!(client.one(write).starts_with(MISCONF), "{write}");
            assert_eq!(client.all(&look), before, "{write}: visible");
        }
        // Replies that say nothing of keys stay what they are; a read before the first write too.
        let replies =
            client.all(&["GET a", "PING", "SET a 9", "GET a", "PING", "MULTI", "INCR n", "EXEC", "PING"]);
        let kinds: Vec<&str> = replies.iter().map(|reply| reply.split(' ').next().unwrap()).collect();
        let undone = ["1", "+PONG", MISCONF, MISCONF, "+PONG", "+OK", "+QUEUED", MISCONF, "+PONG"];
        // Once the sync of each second has failed too, a write is refused before it is made, and a read sees what was there.
        let not_made = ["1", "+PONG", MISCONF, "1", "+PONG", "+OK", "+QUEUED", "*1", "+PONG"];
        assert!(kinds == undone || kinds == not_made, "{kinds:?}");
        assert_eq!(client.all(&look), before);
        assert!(client.one("INFO persistence").contains("aof_last_write_status:err"));
        if round == 1 {
            store.kill();
            store = Store::start(Kind::Redis, folder.path());
            client = resp::Client::connect(store.address);
            assert_eq!(client.all(&look), before, "durable");
        }
        store.limit_files(None);
    }
    assert_eq!(client.all(&["INCR n", "SET fresh 1"]), [":2", "+OK"], "the retry");
    store.kill();
    let store = Store::start(Kind::Redis, folder.path());
    assert_eq!(resp::Client::connect(store.address).all(&["GET n", "GET fresh"]), ["2", "1"]);
}

/// A store whose data lies on a file system of 4 MiB, with a file of 1 MiB to make room with.
struct Small {
    store: Store,
    data: PathBuf,
    folder: tempfile::TempDir,
}

impl Small {
    fn start(kind: Kind) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        let mount = format!("mount -t tmpfs -o size=4m tmpfs {} && exec \"$@\"", data.display());
        let before = ["unshare", "--map-root-user", "--mount", "/bin/sh", "-c", &mount, "sh"];
        let store = Store::run(kind, folder.path(), &before)
            .expect("this test mounts a small file system in a namespace of its own (`unshare -rm`)");
        let data = PathBuf::from(format!("/proc/{}/root{}", store.pid_number(), data.display()));
        fs::write(data.join("ballast"), vec![1; 1024 * 1024]).unwrap();
        Self { store, data, folder }
    }

    fn make_room(&self) {
        fs::remove_file(self.data.join("ballast")).unwrap();
    }

    /// The same data as a crash would leave it, on a disk with room.
    fn killed(self, kind: Kind) -> (Store, tempfile::TempDir) {
        let copy = tempfile::tempdir().unwrap();
        fs::create_dir(copy.path().join("data")).unwrap();
        for entry in fs::read_dir(&self.data).unwrap() {
            let entry = entry.unwrap();
            let mut to = File::create(copy.path().join("data").join(entry.file_name())).unwrap();
            std::io::copy(&mut File::open(entry.path()).unwrap(), &mut to).unwrap();
        }
        self.store.kill();
        drop(self.folder);
        (Store::start(kind, copy.path()), copy)
    }
}

#[test]
fn mongodb_on_a_full_disk_refuses_and_then_goes_on() {
    let small = Small::start(Kind::Mongodb);
    let mut client = Client::connect(small.store.address);
    let insert = |id: i32| doc! {"insert": "c", "documents": [{"_id": id, "text": "x".repeat(100_000)}]};
    let mut id = 0;
    while code(&client.run(insert(id))) == 0 {
        id += 1;
        assert!(id < 100, "the disk does not fill");
    }
    assert!(id > 0);
    for _ in 0..3 {
        assert_eq!(code(&client.run(insert(id))), NO_ROOM);
        assert_eq!(client.count(), id);
    }
    small.make_room();
    assert_eq!(code(&client.run(insert(id))), 0, "the retry");
    let (store, _folder) = small.killed(Kind::Mongodb);
    assert_eq!(Client::connect(store.address).count(), id + 1);
}

#[test]
fn redis_on_a_full_disk_refuses_and_then_goes_on() {
    let small = Small::start(Kind::Redis);
    let mut client = resp::Client::connect(small.store.address);
    let value = "x".repeat(100_000);
    let mut number = 0;
    while client.one(&format!("SET k{number} {value}")) == "+OK" {
        number += 1;
        assert!(number < 100, "the disk does not fill");
    }
    assert!(client.one(&format!("SET k{number} {value}")).starts_with(MISCONF));
    assert_eq!(client.all(&[&format!("EXISTS k{number}"), "DBSIZE"]), [":0", &format!(":{number}")]);
    small.make_room();
    assert_eq!(client.one(&format!("SET k{number} {value}")), "+OK", "the retry");
    let (store, _folder) = small.killed(Kind::Redis);
    let mut client = resp::Client::connect(store.address);
    assert_eq!(client.all(&["DBSIZE", &format!("GET k{number}")]), [format!(":{}", number + 1), value]);
}
