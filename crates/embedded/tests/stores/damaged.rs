//! Files that were damaged: all the data, or a refusal that says what is missing; never silently an older state.

use std::fs;
use std::path::Path;

use appforge_testing::wait::eventually;
use bson::doc;

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};
use crate::resp;

const COMMITS: i32 = 120;

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// One hundred and twenty commits of one document each.
fn commits(folder: &Path) -> Store {
    let store = Store::start(Kind::Mongodb, folder);
    let mut client = Client::connect(store.address);
    for id in 0..COMMITS {
        let document = doc! {"_id": id, "text": format!("{id}").repeat(100)};
        assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [document]})), 0);
    }
    store
}

/// The ids in order; each document must be as it was written.
fn ids(store: &Store) -> Vec<i32> {
    let reply = Client::connect(store.address).run(doc! {"find": "c", "batchSize": 1000});
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let documents = batch.iter().map(|document| document.as_document().unwrap());
    documents
        .map(|document| {
            let id = document.get_i32("_id").unwrap();
            assert_eq!(document.get_str("text").unwrap(), format!("{id}").repeat(100));
            id
        })
        .collect()
}

fn accept(kind: Kind, folder: &Path) {
    let data = folder.join("data");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let accepted = match kind {
        Kind::Mongodb => runtime.block_on(appforge_embedded::mongodb::accept_loss(&data)),
        Kind::Redis => runtime.block_on(appforge_embedded::redis::accept_loss(&data)),
    };
    assert!(accepted.unwrap());
}

/// Damages the file in many places. `crashed`: whether the store had no orderly end, after which a file that lost its end
/// looks whole.
fn never_older_silently(whole: &Path, crashed: bool) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data/mongodb.redb");
    let bytes = fs::read(whole.join("mongodb.redb")).unwrap();
    let (mut intact, mut lost) = (0, 0);
    let mut try_one = |damaged: &[u8], what: &str| {
        copy(whole, &folder.path().join("data"));
        fs::write(&file, damaged).unwrap();
        match Store::try_start(Kind::Mongodb, folder.path()) {
            Ok(store) => {
                assert_eq!(ids(&store), (0..COMMITS).collect::<Vec<_>>(), "{what}");
                intact += 1;
            }
            Err(error) if error.contains("was acknowledged") => {
                lost += 1;
                if lost == 1 {
                    accept(Kind::Mongodb, folder.path());
                    let store = Store::start(Kind::Mongodb, folder.path());
                    let left = ids(&store);
                    assert!(left.len() < COMMITS as usize, "{what}");
                    assert!(left.iter().copied().eq((0..).take(left.len())), "{what}: {left:?}");
                    let more = doc! {"insert": "c", "documents": [{"_id": 1000, "text": "1000".repeat(100)}]};
                    assert_eq!(code(&Client::connect(store.address).run(more)), 0);
                    drop(store);
                    Store::start(Kind::Mongodb, folder.path()).stop();
                }
            }
            Err(error) => {
                assert!(error.contains("mongodb.redb") && error.contains("move it away"), "{what}: {error}");
            }
        }
    };
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for step in 0..25 {
        let at = used * step / 25;
        let mut damaged = bytes.clone();
        damaged[at..(at + 64).min(bytes.len())].iter_mut().for_each(|byte| *byte ^= 0x5a);
        try_one(&damaged, &format!("64 bytes changed at {at} of {used}"));
    }
    // The head says which commit is the last.
    for at in (0..320).step_by(32) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        try_one(&damaged, &format!("a bit changed at {at}"));
    }
    for step in 1..10 {
        let length = bytes.len() * step / 10;
        try_one(&bytes[..length], &format!("cut to {length} of {}", bytes.len()));
    }
    assert!(intact > 0 && (lost > 0 || !crashed), "{intact} were whole, {lost} were refused as older");
}

#[test]
fn mongodb_never_serves_an_older_state_after_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    commits(folder.path()).kill();
    never_older_silently(&folder.path().join("data"), true);
}

#[test]
fn mongodb_never_serves_an_older_state_after_an_orderly_end() {
    let folder = tempfile::tempdir().unwrap();
    commits(folder.path()).stop();
    never_older_silently(&folder.path().join("data"), false);
}

#[test]
fn mongodb_refuses_an_older_copy_of_its_data() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = commits(folder.path());
    let older = fs::read(data.join("mongodb.redb")).unwrap();
    assert_eq!(
        code(
            &Client::connect(store.address)
                .run(doc! {"delete": "c", "deletes": [{"q": {"_id": 0}, "limit": 1}]})
        ),
        0
    );
    store.stop();
    fs::write(data.join("mongodb.redb"), older).unwrap();
    let error = Store::try_start(Kind::Mongodb, folder.path()).err().unwrap();
    assert!(error.contains("holds commit 120, but commit 121 was acknowledged"), "{error}");
    // Without the data file at all, and with a damaged number.
    fs::rename(data.join("mongodb.redb"), folder.path().join("away")).unwrap();
    let error = Store::try_start(Kind::Mongodb, folder.path()).err().unwrap();
    assert!(error.contains("holds commit 0, but commit 121 was acknowledged"), "{error}");
    accept(Kind::Mongodb, folder.path());
    Store::start(Kind::Mongodb, folder.path()).stop();
    fs::write(data.join("mongodb.commit"), vec![3; 4096]).unwrap();
    let error = Store::try_start(Kind::Mongodb, folder.path()).err().unwrap();
    assert!(error.contains("is damaged"), "{error}");
}

/// Keys that are on the disk, not only in the kernel.
fn synced_keys(folder: &Path) -> Store {
    let store = Store::start(Kind::Redis, folder);
    let mut client = resp::Client::connect(store.address);
    for number in 0..50 {
        assert_eq!(client.one(&format!("SET k{number} {number}")), "+OK");
    }
    eventually("the log is synced", || {
        client.one("INFO persistence").contains("rdb_changes_since_last_save:0\r\n")
    });
    store
}

fn log_of(data: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.extension().is_some_and(|extension| extension == "log")).unwrap()
}

#[test]
fn redis_refuses_a_log_that_lost_what_was_synced() {
    let whole = tempfile::tempdir().unwrap();
    synced_keys(whole.path()).kill();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    copy(&whole.path().join("data"), &data);
    let log = log_of(&data);
    let bytes = fs::read(&log).unwrap();
    for step in 0..20 {
        let at = bytes.len() * step / 20;
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        for (what, damaged) in [("changed", &changed[..]), ("cut", &bytes[..at])] {
            copy(&whole.path().join("data"), &data);
            fs::write(&log, damaged).unwrap();
            let error = Store::try_start(Kind::Redis, folder.path()).err();
            let error = error.unwrap_or_else(|| panic!("{what} at {at} of {} is accepted", bytes.len()));
            assert!(error.contains("but commit 50 was acknowledged"), "{what} at {at}: {error}");
        }
    }
    accept(Kind::Redis, folder.path());
    let store = Store::start(Kind::Redis, folder.path());
    let mut client = resp::Client::connect(store.address);
    let left: i64 = client.one("DBSIZE")[1..].parse().unwrap();
    assert!((40..50).contains(&left), "{left}");
    assert_eq!(client.one("SET more 1"), "+OK");
    store.kill();
    let store = Store::start(Kind::Redis, folder.path());
    assert_eq!(resp::Client::connect(store.address).one("GET more"), "1");
}

#[test]
fn redis_cuts_off_a_record_that_was_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    synced_keys(folder.path()).kill();
    let log = log_of(&folder.path().join("data"));
    let bytes = fs::read(&log).unwrap();
    // As a process that is killed within its write leaves it: the begin of one more record.
    for torn in [1, 10, 19, 20, 25] {
        let begin = &bytes[8..8 + torn];
        fs::write(&log, [&bytes, begin].concat()).unwrap();
        let copied = tempfile::tempdir().unwrap();
        copy(&folder.path().join("data"), &copied.path().join("data"));
        let store = Store::start(Kind::Redis, copied.path());
        assert_eq!(resp::Client::connect(store.address).all(&["DBSIZE", "GET k49"]), [":50", "49"]);
    }
}
