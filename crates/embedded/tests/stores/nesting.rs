//! Documents of many levels: refused before they are decoded, after updates too; a stored one never stops the start.

use bson::{Bson, Document, doc};
use redb::{Database, ReadableDatabase, TableDefinition};

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};

/// MongoDB's `Overflow`.
const OVERFLOW: i32 = 15;
/// The tables of every build so far.
const DOCUMENTS: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("documents-v1");

/// `{a: {a: ... {}}}` of so many levels, as raw bytes, which nothing here decodes.
pub(crate) fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(levels * 8);
    for level in (1..=levels).rev() {
        let length = i32::try_from(5 + (level - 1) * 8).unwrap();
        bytes.extend(length.to_le_bytes());
        if level > 1 {
            bytes.extend([3, b'a', 0]);
        }
    }
    bytes.extend(vec![0; levels]);
    bytes
}

/// A value of so many levels.
fn value(levels: usize) -> Bson {
    (0..levels).fold(Bson::Int32(1), |inner, _| doc! {"a": inner}.into())
}

/// A dotted path of so many parts.
fn path(parts: usize) -> String {
    vec!["a"; parts].join(".")
}

#[test]
fn insert_is_refused_above_100_levels() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    assert_eq!(code(&client.insert_raw(&nested(100))), 0);
    for levels in [101, 110, 111, 5000, 500_000] {
        assert_eq!(code(&client.insert_raw(&nested(levels))), OVERFLOW, "{levels} levels");
        assert_eq!(client.count(), 1);
    }
    // In the body of the command, and as the whole command.
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [value(101)]})), OVERFLOW);
    assert_eq!(code(&client.raw(&nested(5000))), OVERFLOW);
    drop(store);
    let store = Store::start(Kind::Mongodb, folder.path());
    assert_eq!(Client::connect(store.address).count(), 1);
}

#[test]
fn update_is_refused_when_its_result_is_too_deep() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    let before = doc! {"_id": 1, "list": [], "x": value(60)};
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [&before]})), 0);
    let mut renames = Document::new();
    let mut from = "x".to_owned();
    for step in 0..50 {
        let to = format!("y{step}.{}", path(50));
        renames.insert(from, to);
        from = format!("y{step}");
    }
    let updates = [
        doc! {"$set": {path(1500): 1}},
        doc! {"$set": {path(99): value(50)}},
        doc! {"$set": {path(200_000): 1}},
        doc! {"$inc": {path(101): 1}},
        doc! {"$push": {"list": value(100)}},
        doc! {"$addToSet": {"list": {"$each": [value(100)]}}},
        doc! {"$rename": {"x": path(1500)}},
        doc! {"$rename": renames},
        doc! {"y": value(100)},
    ];
    for update in &updates {
        let shown = update.keys().next().unwrap().clone();
        let command = doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": update}]};
        assert_eq!(code(&client.run(command)), OVERFLOW, "{shown}");
        let upsert = doc! {"update": "c", "updates": [{"q": {"_id": 2, "x": value(60), "list": []}, "u": update, "upsert": true}]};
        assert_eq!(code(&client.run(upsert)), OVERFLOW, "upsert {shown}");
        let modify = doc! {"findAndModify": "c", "query": {"_id": 1}, "update": update};
        assert_eq!(code(&client.run(modify)), OVERFLOW, "findAndModify {shown}");
    }
    let upsert =
        doc! {"update": "c", "updates": [{"q": {path(1500): 1}, "u": {"$set": {"b": 1}}, "upsert": true}]};
    assert_eq!(code(&client.run(upsert)), OVERFLOW);
    // What fits is done.
    let fits =
        doc! {"update": "c", "updates": [{"q": {"_id": 1}, "u": {"$set": {format!("d.{}", path(98)): 1}}}]};
    assert_eq!(code(&client.run(fits)), 0);
    drop(store);
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    let found = client.run(doc! {"find": "c"});
    let batch = found.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    assert_eq!(batch.len(), 1);
    assert_eq!(batch[0].as_document().unwrap().get("x"), before.get("x"));
}

#[test]
fn commands_are_refused_when_they_are_too_deep() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [{"_id": 1, "x": value(98)}]})), 0);
    for levels in [200, 5000] {
        let deep = bson::RawDocumentBuf::from_bytes(nested(levels)).unwrap();
        let commands = [
            bson::rawdoc! {"find": "c", "$db": "d", "filter": deep.clone()},
            bson::rawdoc! {"count": "c", "$db": "d", "query": deep.clone()},
            bson::rawdoc! {"delete": "c", "$db": "d", "deletes": [{"q": deep.clone(), "limit": 0}]},
            bson::rawdoc! {"aggregate": "c", "$db": "d", "pipeline": [{"$match": deep.clone()}], "cursor": {}},
            bson::rawdoc! {"createIndexes": "c", "$db": "d", "indexes": [{"key": {"a": 1}, "name": "a", "x": deep.clone()}]},
        ];
        for command in &commands {
            assert_eq!(code(&client.raw(command.as_bytes())), OVERFLOW, "{levels}");
        }
    }
    // Each stage is shallow; together they make a document deeper and deeper.
    let stages = vec![doc! {"$group": {"_id": {"a": "$_id"}}}; 1000];
    assert_eq!(code(&client.run(doc! {"aggregate": "c", "pipeline": stages, "cursor": {}})), OVERFLOW);
    let wrap =
        doc! {"aggregate": "c", "pipeline": [{"$group": {"_id": 1, "all": {"$push": "$x"}}}], "cursor": {}};
    assert_eq!(code(&client.run(wrap)), 0);
    assert_eq!(client.count(), 1);
}

#[test]
fn stored_document_that_is_too_deep_stops_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let key = |id: i64| doc! {"_id": id}.to_vec().unwrap();
    // As a build without this limit wrote it.
    let mut deep = nested(5000);
    let id = [&[16][..], b"_id\0", &7_i32.to_le_bytes()].concat();
    let length = i32::try_from(deep.len() + id.len()).unwrap().to_le_bytes();
    deep.splice(4..4, id);
    deep[..4].copy_from_slice(&length);
    {
        let database = Database::create(data.join("mongodb.redb")).unwrap();
        let transaction = database.begin_write().unwrap();
        {
            let mut table = transaction.open_table(DOCUMENTS).unwrap();
            table.insert(("d.c", &*key(7)), &*deep).unwrap();
            table.insert(("d.c", &*key(1)), &*doc! {"_id": 1}.to_vec().unwrap()).unwrap();
            table.insert(("d.other", &*nested(3000)), &*nested(3000)).unwrap();
        }
        transaction.commit().unwrap();
    }
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    assert_eq!(client.count(), 1);
    // Its place is taken, and nothing overwrites it.
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [{"_id": 7}]})), 11000);
    assert_eq!(code(&client.run(doc! {"insert": "c", "documents": [{"_id": 8}]})), 0);
    store.stop();
    let database = Database::open(data.join("mongodb.redb")).unwrap();
    let table = database.begin_read().unwrap().open_table(DOCUMENTS).unwrap();
    assert_eq!(table.get(("d.c", &*key(7))).unwrap().unwrap().value(), &*deep);
    assert!(table.get(("d.c", &*key(8))).unwrap().is_some());
}
