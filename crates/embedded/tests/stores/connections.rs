//! `$currentOp`: who is connected, by the name that a driver sends.

use appforge_testing::wait::eventually;
use bson::{Document, doc};

use crate::mongo::{Client, code};
use crate::process::{Kind, Store};

fn ask(client: &mut Client, database: &str, pipeline: &[Document]) -> Document {
    let command = doc! {"aggregate": 1, "pipeline": pipeline, "cursor": {}, "$db": database};
    client.raw(&command.to_vec().unwrap())
}

fn named(client: &mut Client, name: &str) -> usize {
    let list = doc! {"$currentOp": {"allUsers": true, "idleConnections": true}};
    let reply = ask(client, "admin", &[list, doc! {"$match": {"appName": name}}]);
    reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap().len()
}

fn hello(address: std::net::SocketAddr, name: &str) -> Client {
    let mut client = Client::connect(address);
    let metadata = doc! {"application": {"name": name}, "driver": {"name": "d", "version": "1"}};
    assert_eq!(code(&client.run(doc! {"hello": 1, "client": metadata})), 0);
    client
}

#[test]
fn connections_are_counted_by_the_name_of_the_app() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = Client::connect(store.address);
    let mut shop: Vec<Client> = (0..3).map(|_| hello(store.address, "shop")).collect();
    let _other = hello(store.address, "other");
    assert_eq!((named(&mut client, "shop"), named(&mut client, "other")), (3, 1));
    shop.pop();
    eventually("the connection has ended", || named(&mut client, "shop") == 2);
}

#[test]
fn only_the_asking_connection_is_listed_without_idle_ones() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let _idle = hello(store.address, "idle");
    let reply = ask(&mut hello(store.address, "me"), "admin", &[doc! {"$currentOp": {}}]);
    let batch = reply.get_document("cursor").unwrap().get_array("firstBatch").unwrap();
    let names: Vec<&str> =
        batch.iter().map(|one| one.as_document().unwrap().get_str("appName").unwrap()).collect();
    assert_eq!(names, ["me"]);
}

#[test]
fn current_op_is_refused_elsewhere_and_long_names_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::start(Kind::Mongodb, folder.path());
    let mut client = hello(store.address, &"x".repeat(600));
    assert_eq!(code(&ask(&mut client, "d", &[doc! {"$currentOp": {}}])), 73);
    assert_eq!(code(&ask(&mut client, "admin", &[doc! {"$match": {}}])), 238);
    assert_eq!(named(&mut client, &"x".repeat(600)), 0);
}
