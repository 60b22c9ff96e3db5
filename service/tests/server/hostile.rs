//! A MongoDB server that answers with documents of many levels, each of which recursion would follow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::{eventually, until};
use mongodb::bson::{Document, RawArrayBuf, RawBson, RawDocumentBuf, rawdoc};

use crate::nesting::{ARRAY, DOCUMENT, nested};

/// Levels of the spoiled replies, of 40 MB: nearly as many as the 48 MB of a message hold.
const LEVELS: usize = 5_000_000;

/// Which reply is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoiled {
    Hello,
    Ping,
    /// Among the documents that are found, which the service reads without decoding them.
    Found,
    /// Beside them, which nothing decodes.
    Find,
    Write,
    Error,
    /// The reply to a ping never comes.
    Silent,
}

/// A server that answers no ping while `silent` holds.
pub(crate) fn silent(silent: &Arc<AtomicBool>) -> SocketAddr {
    hostile(Spoiled::Silent, &Arc::new(RawDocumentBuf::new()), silent)
}

/// A server whose replies are spoiled for as long as `spoils` holds; it serves until the process ends.
fn hostile(spoiled: Spoiled, deep: &Arc<RawDocumentBuf>, spoils: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (deep, spoils) = (deep.clone(), spoils.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (deep, spoils) = (deep.clone(), spoils.clone());
            std::thread::spawn(move || {
                let spoiled = || Some(spoiled).filter(|_| spoils.load(Ordering::SeqCst));
                while answer(&mut stream.as_ref().unwrap(), spoiled, &deep).is_ok() {}
            });
        }
    });
    address
}

fn answer(
    stream: &mut &TcpStream,
    spoiled: impl Fn() -> Option<Spoiled>,
    deep: &RawDocumentBuf,
) -> std::io::Result<()> {
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let word = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let mut body = vec![0; usize::try_from(word(0)).unwrap() - 16];
    stream.read_exact(&mut body)?;
    let legacy = word(12) == 2004;
    let skip = if legacy { 4 + body[4..].iter().position(|byte| *byte == 0).unwrap() + 1 + 8 } else { 5 };
    let spoiled = spoiled();
    let command = Document::from_reader(&body[skip..]).unwrap();
    let name = command.keys().next().unwrap().to_lowercase();
    let mut reply = match name.as_str() {
        "hello" | "ismaster" => rawdoc! {
            "helloOk": true, "isWritablePrimary": true, "ismaster": true, "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21,
        },
        // Nothing follows: the driver closes the connection, once it gives up.
        "ping" if spoiled == Some(Spoiled::Silent) => return stream.read_exact(&mut head),
        "find" => {
            let batch: RawArrayBuf = match spoiled {
                Some(Spoiled::Found) => [deep.clone()].into_iter().collect(),
                _ => RawArrayBuf::new(),
            };
            rawdoc! {"cursor": {"id": 0_i64, "ns": "appforge.items", "firstBatch": batch}}
        }
        "insert" | "delete" => rawdoc! {"n": 1},
        "findandmodify" => rawdoc! {"value": {"name": "x"}},
        _ => rawdoc! {},
    };
    let spoils = match spoiled {
        None | Some(Spoiled::Found | Spoiled::Silent) => false,
        Some(Spoiled::Hello) => name == "hello" || name == "ismaster",
        Some(Spoiled::Ping) => name == "ping",
        Some(Spoiled::Find) => name == "find",
        Some(Spoiled::Write) => ["insert", "delete", "findandmodify"].contains(&name.as_str()),
        Some(Spoiled::Error) => ["find", "insert", "delete", "findandmodify"].contains(&name.as_str()),
    };
    if spoils {
        reply.append(mongodb::bson::cstr!("deep"), RawBson::Document(deep.clone()));
    }
    reply.append(
        mongodb::bson::cstr!("ok"),
        if spoils && spoiled == Some(Spoiled::Error) { 0.0 } else { 1.0 },
    );
    let (operation, head): (i32, &[u8]) = if legacy {
        (1, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0])
    } else {
        (2013, &[0; 5])
    };
    let length = i32::try_from(16 + head.len() + reply.as_bytes().len()).unwrap();
    let mut message = Vec::new();
    for word in [length, 1, word(4), operation] {
        message.extend(word.to_le_bytes());
    }
    message.extend(head);
    message.extend(reply.as_bytes());
    stream.write_all(&message)
}

/// Ends with the test, however that ends.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The statuses of the answers to one request of each kind.
async fn statuses(address: SocketAddr) -> [String; 5] {
    let id = "0123456789abcdef01234567";
    let mut client = Client::connect(address).await;
    let answers = [
        client.get("/health").await,
        client.get("/api/items").await,
        client.get(&format!("/api/items/{id}")).await,
        client.ask("POST /api/items", "content-type: application/json\r\n", r#"{"name": "x"}"#).await,
        client.ask(&format!("DELETE /api/items/{id}"), "", "").await,
    ];
    answers.map(|answer| answer[9..12].to_owned())
}

#[tokio::test]
async fn service_survives_when_mongodb_replies_deeply_nested() {
    let (documents, arrays) = (Arc::new(nested(DOCUMENT, LEVELS)), Arc::new(nested(ARRAY, LEVELS)));
    let good = ["200", "200", "404", "201", "204"];
    for (spoiled, deep, expected) in [
        (Spoiled::Found, &documents, ["200", "200", "200", "201", "204"]),
        (Spoiled::Find, &arrays, good),
        (Spoiled::Write, &documents, ["200", "200", "404", "503", "503"]),
        (Spoiled::Error, &arrays, ["200", "503", "503", "503", "503"]),
        (Spoiled::Ping, &documents, ["200", "503", "503", "503", "503"]),
        (Spoiled::Hello, &documents, ["200", "503", "503", "503", "503"]),
        (Spoiled::Hello, &arrays, ["200", "503", "503", "503", "503"]),
    ] {
        let spoils = Arc::new(AtomicBool::new(true));
        // No request finds a server whose `hello` is spoiled.
        let patience = if spoiled == Spoiled::Hello { "300" } else { "10000" };
        let uri = format!("mongodb://{}/?directConnection=true", hostile(spoiled, deep, &spoils));
        let address = SocketAddr::from(([127, 0, 0, 1], port::reserve()));
        let child = Command::new(env!("CARGO_BIN_EXE_appforge-service"))
            .env_clear()
            .envs([("MONGODB_URI", &*uri), ("REDIS_URL", "redis://127.0.0.1:1"), ("BIND", "127.0.0.1")])
            .envs([
                ("ADMIN_PORT", "0"),
                ("PORT", &*address.port().to_string()),
                ("RATE_LIMIT_ENABLED", "false"),
                ("MONGODB_SERVER_SELECTION_TIMEOUT_MS", patience),
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut service = Service(child);
        eventually("the service listens", || TcpStream::connect(address).is_ok());
        for round in 0..2 {
            assert_eq!(statuses(address).await, expected, "{spoiled:?}, round {round}");
            assert!(service.0.try_wait().unwrap().is_none(), "{spoiled:?} ended it");
        }
        spoils.store(false, Ordering::SeqCst);
        until("good replies are used again", async || statuses(address).await == good).await;
    }
}
