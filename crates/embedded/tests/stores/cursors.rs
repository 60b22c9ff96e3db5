//! Cursors: no copies, bounded, gone with their connection.

use appforge_testing::wait::eventually;
use bson::{Document, doc};

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};

fn cursor(reply: &Document) -> (i64, usize) {
    let cursor = reply.get_document("cursor").unwrap();
    let batch = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch")).unwrap();
    (cursor.get_i64("id").unwrap(), batch.len())
}

/// 20 documents of 1 MB.
fn fill(client: &mut Client) {
    for id in 0..20 {
        let document = doc! {"_id": id, "n": 20 - id, "text": "x".repeat(1024 * 1024)};
        assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [document]})), 0);
    }
}

#[test]
fn two_hundred_cursors_over_20_mb_take_no_200_mb() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    fill(&mut client);
    let queries = [
        doc! {"find": "c", "batchSize": 1},
        doc! {"find": "c", "batchSize": 1, "sort": {"n": 1}},
        doc! {"aggregate": "c", "pipeline": [{"$match": {"n": {"$gt": 0}}}], "cursor": {"batchSize": 1}},
    ];
    let mut open = Vec::new();
    for number in 0..200 {
        let reply = client.run(queries[number % queries.len()].clone());
        assert_eq!(code(&reply), 0);
        let (id, count) = cursor(&reply);
        assert!(id > 0 && count == 1);
        open.push(id);
    }
    for id in open {
        let (left, count) = cursor(&client.run(doc! {"getMore": id, "collection": "c", "batchSize": 2}));
        assert_eq!((left, count), (id, 2));
    }
    let peak = store.peak_kb();
    assert!(peak < 200 * 1024, "{peak} kB");
}

#[test]
fn cursor_ends_with_its_connection_and_when_killed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    let documents: Vec<Document> = (0..10).map(|id| doc! {"_id": id}).collect();
    client.run(doc! {"insert": "c", "documents": documents});
    let find = doc! {"find": "c", "batchSize": 1};
    let more = |id: i64| doc! {"getMore": id, "collection": "c", "batchSize": 1};
    let mut other = Client::connect(store.address);
    let (gone, _) = cursor(&other.run(find.clone()));
    let (moved, _) = cursor(&other.run(find.clone()));
    assert_eq!(code(&client.run(more(moved))), 0, "any connection may read on");
    drop(other);
    eventually("the cursor ends", || code(&client.run(more(gone))) == 43);
    assert_eq!(code(&client.run(more(moved))), 0, "it belongs to the connection that used it last");
    let killed = client.run(doc! {"killCursors": "c", "cursors": [moved]});
    assert_eq!(killed.get_array("cursorsKilled").unwrap().len(), 1);
    assert_eq!(code(&client.run(more(moved))), 43);
}

#[test]
fn surplus_cursor_is_refused_until_one_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    client.run(doc! {"insert": "c", "documents": [{"_id": 1}, {"_id": 2}]});
    let find = doc! {"find": "c", "batchSize": 1};
    let open: Vec<i64> = (0..500).map(|_| cursor(&client.run(find.clone())).0).collect();
    assert_eq!(code(&client.run(find.clone())), 146);
    client.run(doc! {"killCursors": "c", "cursors": [open[250]]});
    assert_eq!(code(&client.run(find.clone())), 0);
    drop(client);
    let mut client = Client::connect(store.address);
    eventually("the cursors end", || code(&client.run(find.clone())) == 0);
}
