//! The embedded MongoDB held against the official driver over real sockets.

use std::path::Path;

use appforge_embedded::mongodb::{Options, serve};
use appforge_testing::wait::DEADLINE;
use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::options::{ClientOptions, IndexOptions, ReturnDocument};
use mongodb::{Client, Collection, IndexModel};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

struct Server {
    address: std::net::SocketAddr,
    client: Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(data: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, Options { data: data.to_owned() }, async {
            let _ = stopped.await;
        }));
        let mut options = ClientOptions::parse(format!("mongodb://{address}/")).await.unwrap();
        options.server_selection_timeout = Some(DEADLINE);
        Self { address, client: Client::with_options(options).unwrap(), stop, task }
    }

    fn items(&self) -> Collection<Document> {
        self.client.database("test").collection("items")
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

fn code(error: &mongodb::error::Error) -> Option<i32> {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(command) => Some(command.code),
        ErrorKind::Write(WriteFailure::WriteError(write)) => Some(write.code),
        _ => None,
    }
}

#[tokio::test]
async fn documents_are_written_found_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let items = server.items();
    items.insert_many((0..300).map(|n| doc! {"_id": n, "n": n % 7, "tags": ["a", "b"]})).await.unwrap();
    assert_eq!(items.count_documents(doc! {"n": {"$lt": 2}}).await.unwrap(), 86);
    let page: Vec<Document> = items
        .find(doc! {"_id": {"$gt": 100}})
        .sort(doc! {"_id": -1})
        .skip(1)
        .limit(3)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(page.iter().map(|d| d.get_i32("_id").unwrap()).collect::<Vec<_>>(), [298, 297, 296]);
    let all: Vec<Document> = items.find(doc! {}).batch_size(17).await.unwrap().try_collect().await.unwrap();
    assert_eq!(all.len(), 300, "over many batches");
    let after = items
        .find_one_and_update(doc! {"_id": 5}, doc! {"$inc": {"n": 10}, "$push": {"tags": "c"}})
        .return_document(ReturnDocument::After)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(after, doc! {"_id": 5, "n": 15, "tags": ["a", "b", "c"]});
    let upserted = items.update_one(doc! {"_id": 1000}, doc! {"$set": {"x": 1}}).upsert(true).await.unwrap();
    assert_eq!(upserted.upserted_id, Some(bson::Bson::Int32(1000)));
    assert_eq!(items.delete_many(doc! {"n": {"$gte": 3}}).await.unwrap().deleted_count, 43 * 3 + 42);
    let groups: Vec<Document> = items
        .aggregate([doc! {"$group": {"_id": "$n", "count": {"$sum": 1}}}, doc! {"$sort": {"_id": 1}}])
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(groups[1], doc! {"_id": 0, "count": 43});
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_known_is_refused_with_the_servers_own_codes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let items = server.items();
    items.insert_one(doc! {"_id": 1}).await.unwrap();
    assert_eq!(code(&items.insert_one(doc! {"_id": 1}).await.unwrap_err()), Some(11000));
    let database = server.client.database("test");
    assert_eq!(code(&database.run_command(doc! {"frobnicate": 1}).await.unwrap_err()), Some(59));
    assert_eq!(code(&items.find(doc! {"a": {"$near": 1}}).await.unwrap_err()), Some(2));
    assert_eq!(code(&items.aggregate([doc! {"$lookup": {}}]).await.unwrap_err()), Some(40324));
    let unique = IndexModel::builder()
        .keys(doc! {"name": 1})
        .options(IndexOptions::builder().unique(true).build())
        .build();
    items.create_index(unique).await.unwrap();
    items.insert_one(doc! {"name": "x"}).await.unwrap();
    assert_eq!(code(&items.insert_one(doc! {"name": "x"}).await.unwrap_err()), Some(11000));
    let status = database.run_command(doc! {"serverStatus": 1}).await.unwrap();
    assert!(status.get_document("connections").unwrap().get_i32("current").unwrap() > 0);
    assert_eq!(server.client.list_database_names().await.unwrap(), ["test"]);
    server.stop().await;
}

#[tokio::test]
async fn answered_writes_survive_a_server_that_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let items = server.items();
    let writers = (0..50).map(|n| {
        let items = items.clone();
        async move { items.insert_one(doc! {"_id": n}).await }
    });
    futures_util::future::try_join_all(writers).await.unwrap();
    // Dropped in the midst, without a last flush.
    server.task.abort();
    let _ = server.task.await;
    let server = Server::start(folder.path()).await;
    assert_eq!(server.items().count_documents(doc! {}).await.unwrap(), 50);
    server.items().drop().await.unwrap();
    server.stop().await;
    let server = Server::start(folder.path()).await;
    assert_eq!(server.client.database("test").list_collection_names().await.unwrap(), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn a_busy_data_file_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    server.items().insert_one(doc! {"_id": 1}).await.unwrap();
    let second = Server::start(folder.path()).await;
    let error = timeout(DEADLINE, second.task).await.unwrap().unwrap().unwrap_err();
    assert!(format!("{error:#}").contains("in use by another process"), "{error:#}");
    server.stop().await;
}

#[tokio::test]
#[ignore = "needs python"]
async fn pymongo_works_with_the_embedded_mongodb() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    crate::peers::script("pymongo_client.py", &format!("mongodb://{}/", server.address)).await;
    server.stop().await;
}
