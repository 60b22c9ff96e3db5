//! A MongoDB server that answers with documents of many levels, each of which recursion would follow.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::eventually;
use mongodb::bson::{Document, RawDocumentBuf, rawdoc};

/// Levels of what the driver decodes; in a build without optimisation a level takes most of the stack.
const LEVELS: usize = 10_000;
/// Levels of what the service reads itself, which it does not decode.
const MORE: usize = 1_000_000;

/// `{a: {a: ... {}}}` of so many levels.
fn nested(levels: usize) -> RawDocumentBuf {
    let mut bytes = Vec::with_capacity(levels * 8);
    for level in (1..=levels).rev() {
        bytes.extend(i32::try_from(5 + (level - 1) * 8).unwrap().to_le_bytes());
        if level > 1 {
            bytes.extend([3, b'a', 0]);
        }
    }
    bytes.extend(vec![0; levels]);
    RawDocumentBuf::from_bytes(bytes).unwrap()
}

/// Which reply is spoiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spoiled {
    Hello,
    Ping,
    Find,
    Write,
    Error,
}

/// Serves until the process ends.
fn hostile(spoiled: Spoiled, levels: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let deep = Arc::new(nested(levels));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let deep = deep.clone();
            std::thread::spawn(
                move || while answer(&mut stream.as_ref().unwrap(), spoiled, &deep).is_ok() {},
            );
        }
    });
    address
}

fn answer(stream: &mut &TcpStream, spoiled: Spoiled, deep: &RawDocumentBuf) -> std::io::Result<()> {
    let mut head = [0; 16];
    stream.read_exact(&mut head)?;
    let word = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let mut body = vec![0; usize::try_from(word(0)).unwrap() - 16];
    stream.read_exact(&mut body)?;
    let legacy = word(12) == 2004;
    let skip = if legacy { 4 + body[4..].iter().position(|byte| *byte == 0).unwrap() + 1 + 8 } else { 5 };
    let command = Document::from_reader(&body[skip..]).unwrap();
    let name = command.keys().next().unwrap().to_lowercase();
    let mut reply = match name.as_str() {
        "hello" | "ismaster" => rawdoc! {
            "helloOk": true, "isWritablePrimary": true, "ismaster": true, "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "minWireVersion": 0, "maxWireVersion": 21,
        },
        "find" => {
            let batch = if spoiled == Spoiled::Find { vec![deep.clone(), deep.clone()] } else { Vec::new() };
            let batch: mongodb::bson::RawArrayBuf = batch.into_iter().collect();
            rawdoc! {"cursor": {"id": 0_i64, "ns": "appforge.items", "firstBatch": batch}}
        }
        "insert" | "delete" => rawdoc! {"n": 1},
        "findandmodify" => rawdoc! {"value": {"name": "x"}},
        _ => rawdoc! {},
    };
    let spoils = match spoiled {
        Spoiled::Hello => name == "hello" || name == "ismaster",
        Spoiled::Ping => name == "ping",
        Spoiled::Find => false,
        Spoiled::Write | Spoiled::Error => ["insert", "delete", "findandmodify"].contains(&name.as_str()),
    };
    if spoils {
        reply.append(mongodb::bson::cstr!("deep"), deep.clone());
    }
    reply.append(mongodb::bson::cstr!("ok"), if spoils && spoiled == Spoiled::Error { 0.0 } else { 1.0 });
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

#[tokio::test]
async fn service_survives_when_mongodb_replies_deeply_nested() {
    for spoiled in [Spoiled::Find, Spoiled::Ping, Spoiled::Write, Spoiled::Error, Spoiled::Hello] {
        let uri = format!(
            "mongodb://{}/?directConnection=true",
            hostile(spoiled, if spoiled == Spoiled::Find { MORE } else { LEVELS })
        );
        let address = SocketAddr::from(([127, 0, 0, 1], port::reserve()));
        let mut child = Command::new(env!("CARGO_BIN_EXE_appforge-service"))
            .env_clear()
            .envs([("MONGODB_URI", &*uri), ("REDIS_URL", "redis://127.0.0.1:1"), ("BIND", "127.0.0.1")])
            .envs([
                ("ADMIN_PORT", "0"),
                ("PORT", &*address.port().to_string()),
                ("RATE_LIMIT_ENABLED", "false"),
            ])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the service listens", || TcpStream::connect(address).is_ok());
        let id = "0123456789abcdef01234567";
        let expected = match spoiled {
            Spoiled::Find => ["200", "200", "200", "201", "204"],
            Spoiled::Error => ["200", "200", "404", "503", "503"],
            Spoiled::Hello | Spoiled::Ping | Spoiled::Write => ["200", "200", "404", "201", "204"],
        };
        for round in 0..5 {
            let mut client = Client::connect(address).await;
            let answers = [
                client.get("/health").await,
                client.get("/api/items").await,
                client.get(&format!("/api/items/{id}")).await,
                client.ask("POST /api/items", "content-type: application/json\r\n", r#"{"name": "x"}"#).await,
                client.ask(&format!("DELETE /api/items/{id}"), "", "").await,
            ];
            let statuses = answers.each_ref().map(|answer| &answer[9..12]);
            assert_eq!(statuses, expected, "{spoiled:?}, round {round}");
            assert!(child.try_wait().unwrap().is_none(), "{spoiled:?} ended it");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
