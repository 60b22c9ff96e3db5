//! The embedded Redis held against real clients over real sockets.

mod durable;
mod limiter;

use std::net::SocketAddr;
use std::path::Path;

use appforge_embedded::redis::{Eviction, Options, serve};
use appforge_testing::wait::{DEADLINE, until};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, ErrorKind, ServerErrorKind, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The driver gives up after half a second unless told, which a busy machine may need.
fn patient() -> redis::AsyncConnectionConfig {
    let config = redis::AsyncConnectionConfig::new();
    config.set_response_timeout(Some(DEADLINE)).set_connection_timeout(Some(DEADLINE))
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Server {
    async fn start(data: &Path) -> Self {
        Self::start_with(data, 0, Eviction::AllkeysLru).await
    }

    async fn start_with(data: &Path, max_memory: u64, eviction: Eviction) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let options = Options { data: data.to_owned(), max_memory, eviction };
        let task = tokio::spawn(serve(listener, options, async {
            let _ = stopped.await;
        }));
        Self { address, stop, task }
    }

    async fn connect(&self, query: &str) -> MultiplexedConnection {
        let client = redis::Client::open(format!("redis://{}/{query}", self.address)).unwrap();
        timeout(DEADLINE, client.get_multiplexed_async_connection_with_config(&patient()))
            .await
            .unwrap()
            .unwrap()
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }

    /// Sends bytes and reads until the server closes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut reply = Vec::new();
        // The server may close before it has taken everything.
        let _ = timeout(DEADLINE, stream.write_all(bytes)).await.unwrap();
        let _ = timeout(DEADLINE, stream.read_to_end(&mut reply)).await.unwrap();
        String::from_utf8_lossy(&reply).into_owned()
    }
}

async fn run<T: redis::FromRedisValue>(
    connection: &mut MultiplexedConnection,
    line: &str,
) -> redis::RedisResult<T> {
    let mut words = line.split(' ');
    let mut command = redis::cmd(words.next().unwrap());
    for word in words {
        command.arg(word);
    }
    timeout(DEADLINE, command.query_async(connection)).await.unwrap()
}

async fn text(connection: &mut MultiplexedConnection, line: &str) -> Option<String> {
    run(connection, line).await.unwrap()
}

async fn number(connection: &mut MultiplexedConnection, line: &str) -> i64 {
    run(connection, line).await.unwrap()
}

#[tokio::test]
async fn strings_and_counters_answer_as_redis_does_in_both_protocols() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    for query in ["", "?protocol=resp3"] {
        let c = &mut server.connect(query).await;
        assert_eq!(text(c, "FLUSHALL").await.as_deref(), Some("OK"));
        assert_eq!(text(c, "GET a").await, None);
        assert_eq!(text(c, "SET a 1 NX").await.as_deref(), Some("OK"));
        assert_eq!(text(c, "SET a 2 NX").await, None);
        assert_eq!(text(c, "SET a 2 XX GET").await.as_deref(), Some("1"));
        assert_eq!(number(c, "INCRBY a 40").await, 42);
        assert_eq!(number(c, "DECR new").await, -1);
        assert_eq!(text(c, "MSET x 1 y 2").await.as_deref(), Some("OK"));
        let values: Vec<Option<String>> = run(c, "MGET x none y").await.unwrap();
        assert_eq!(values, [Some("1".into()), None, Some("2".into())]);
        assert_eq!(number(c, "DEL x y none").await, 2);
        assert_eq!(text(c, "TYPE a").await.as_deref(), Some("string"));
        assert_eq!(number(c, "DBSIZE").await, 2);
        let (cursor, mut keys): (u64, Vec<String>) = run(c, "SCAN 0 MATCH * COUNT 100").await.unwrap();
        keys.sort();
        assert_eq!((cursor, keys), (0, vec!["a".into(), "new".into()]));
        assert!(text(c, "INFO memory").await.unwrap().contains("used_memory:"));
        let policy: std::collections::HashMap<String, String> =
            run(c, "CONFIG GET maxmemory*").await.unwrap();
        assert_eq!(policy["maxmemory-policy"], "allkeys-lru");
    }
    server.stop().await;
}

#[tokio::test]
async fn errors_are_those_of_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let c = &mut server.connect("").await;
    text(c, "SET word hello").await;
    text(c, "SET most 9223372036854775807").await;
    for (line, expected) in [
        ("NOPE a b", "unknown command 'NOPE', with args beginning with: 'a' 'b' "),
        ("GET", "wrong number of arguments for 'get' command"),
        ("INCR word", "value is not an integer or out of range"),
        ("INCR most", "increment or decrement would overflow"),
        ("SET a b EX 0", "invalid expire time in 'set' command"),
        ("SET a b NX XX", "syntax error"),
        ("EXPIRE word 1 NX GT", "NX and XX, GT or LT options at the same time are not compatible"),
        ("SELECT 1", "DB index is out of range"),
        ("EXEC", "EXEC without MULTI"),
    ] {
        let error = run::<Value>(c, line).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ResponseError), "{line}");
        assert_eq!(error.detail(), Some(expected), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_is_described_in_the_ten_fields_that_clients_index() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let c = &mut server.connect("?protocol=resp3").await;
    let described: Vec<Option<Vec<Value>>> = run(c, "COMMAND INFO get nope").await.unwrap();
    assert_eq!(described[0].as_ref().map(Vec::len), Some(10));
    assert_eq!(described[1], None);
    let all: Vec<Vec<Value>> = run(c, "COMMAND").await.unwrap();
    assert_eq!(i64::try_from(all.len()).unwrap(), number(c, "COMMAND COUNT").await);
    server.stop().await;
}

#[tokio::test]
async fn keys_end_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let c = &mut server.connect("").await;
    text(c, "SET soon 1 PX 150").await;
    text(c, "SET late 1 EX 100").await;
    assert!((1..=150).contains(&number(c, "PTTL soon").await));
    assert_eq!(number(c, "TTL late").await, 100);
    assert_eq!(
        (number(c, "TTL none").await, number(c, "PERSIST late").await, number(c, "TTL late").await),
        (-2, 1, -1)
    );
    // A key that does not end ends later than any other: GT never holds, LT always.
    assert_eq!((number(c, "PEXPIRE late 50 GT").await, number(c, "PEXPIRE late 90000 LT").await), (0, 1));
    assert_eq!((number(c, "PEXPIRE late 1 NX").await, number(c, "EXPIRE late 100 GT").await), (0, 1));
    // A counter keeps its end.
    number(c, "INCR soon").await;
    // Nobody reads the key, so it is the sweep that drops it.
    until("the key is dropped", async || number(c, "DBSIZE").await == 1).await;
    assert_eq!(text(c, "GET soon").await, None);
    assert_eq!((number(c, "EXPIRE late -1").await, number(c, "EXISTS late").await), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_transaction_is_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let (a, b) = (&mut server.connect("").await, &mut server.connect("").await);
    let mut pipe = redis::pipe();
    pipe.atomic().incr("n", 5).cmd("PEXPIRE").arg("n").arg(60_000).arg("NX").pttl("n");
    let replies: (i64, i64, i64) = timeout(DEADLINE, pipe.query_async(a)).await.unwrap().unwrap();
    assert_eq!((replies.0, replies.1), (5, 1));
    assert!((59_000..=60_000).contains(&replies.2));

    text(a, "WATCH n").await;
    number(b, "INCR n").await;
    text(a, "MULTI").await;
    text(a, "SET n lost").await;
    assert_eq!(run::<Value>(a, "EXEC").await.unwrap(), Value::Nil);
    assert_eq!(text(b, "GET n").await.as_deref(), Some("6"));

    text(a, "MULTI").await;
    text(a, "SET n lost").await;
    assert!(run::<Value>(a, "NOPE").await.is_err());
    assert_eq!(run::<Value>(a, "EXEC").await.unwrap_err().code(), Some("EXECABORT"));
    assert_eq!(text(b, "GET n").await.as_deref(), Some("6"));
    server.stop().await;
}

#[tokio::test]
async fn concurrent_counters_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let mut tasks = Vec::new();
    for _ in 0..20 {
        let mut connection = server.connect("?protocol=resp3").await;
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                number(&mut connection, "INCR n").await;
            }
        }));
    }
    for task in tasks {
        timeout(DEADLINE, task).await.unwrap().unwrap();
    }
    assert_eq!(text(&mut server.connect("").await, "GET n").await.as_deref(), Some("1000"));
    server.stop().await;
}

#[tokio::test]
async fn a_long_pipeline_with_large_replies_is_answered_whole() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let mut c = server.connect("").await;
    let _: () = c.set("large", vec![b'x'; 300_000]).await.unwrap();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all("GET large\r\n".repeat(50).as_bytes()).await.unwrap();
    stream.write_all(&b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".repeat(10_000)).await.unwrap();
    stream.write_all(b"QUIT\r\n").await.unwrap();
    let mut reply = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut reply)).await.unwrap().unwrap();
    assert!(reply.ends_with(b":10000\r\n+OK\r\n"));
    assert_eq!(reply.iter().filter(|byte| **byte == b'x').count(), 50 * 300_000);
    server.stop().await;
}

#[tokio::test]
async fn malformed_input_closes_its_connection_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let c = &mut server.connect("").await;
    let nested = b"*1\r\n".repeat(200_000);
    let endless = vec![b'a'; 200_000];
    let cases: [(&[u8], &str); 7] = [
        (b"\x16\x03\x01\x02\x00\x01", "expected '*'"),
        (b"*1\r\n$99999999999999\r\n", "invalid bulk length"),
        (b"*99999999999999\r\n", "invalid multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n:1\r\n", "expected '$', got ':'"),
        (&nested, "expected '$', got '*'"),
        (&endless, "too big inline request"),
        (b"POST / HTTP/1.1\r\n\r\nFLUSHALL\r\n", "not an HTTP server"),
    ];
    for (bytes, expected) in cases {
        let reply = server.raw(bytes).await;
        // With much left unread the system may drop the reply together with the connection.
        assert!(reply.contains(expected) || bytes.len() > 100_000, "{reply}");
    }
    assert_eq!(text(c, "PING").await.as_deref(), Some("PONG"));
    server.stop().await;
}

#[tokio::test]
async fn memory_stays_below_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), 100_000, Eviction::AllkeysLru).await;
    let mut c = server.connect("").await;
    let mut pipe = redis::pipe();
    for key in 0..500 {
        pipe.set(key, vec![b'x'; 1000]).ignore();
    }
    let _: () = timeout(DEADLINE, pipe.query_async(&mut c)).await.unwrap().unwrap();
    assert!((50..100).contains(&number(&mut c, "DBSIZE").await));
    server.stop().await;

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_with(folder.path(), 1000, Eviction::Noeviction).await;
    let mut c = server.connect("").await;
    let _: () = c.set("large", vec![b'x'; 1000]).await.unwrap();
    assert_eq!(run::<Value>(&mut c, "SET b 1").await.unwrap_err().code(), Some("OOM"));
    assert_eq!(number(&mut c, "DEL large").await, 1);
    server.stop().await;
}

#[tokio::test]
#[ignore = "needs redis-cli"]
async fn redis_cli_works_with_the_embedded_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let port = server.address.port().to_string();
    for (protocol, args, expected) in [
        ("-2", vec!["SET", "a b", "1", "EX", "100"], "OK"),
        ("-3", vec!["INCR", "a b"], "2"),
        ("-2", vec!["MULTI"], "OK"),
        ("-3", vec!["CONFIG", "GET", "save"], "save"),
        ("-2", vec!["--scan"], "a b"),
    ] {
        let command = tokio::process::Command::new("redis-cli")
            .args([protocol, "-h", "127.0.0.1", "-p", &port])
            .args(&args)
            .kill_on_drop(true)
            .output();
        let output = timeout(DEADLINE, command).await.unwrap().unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.trim().starts_with(expected), "{args:?}: {output}");
    }
    server.stop().await;
}

#[tokio::test]
#[ignore = "needs python"]
async fn redis_py_works_with_the_embedded_redis() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    crate::peers::script("redis_client.py", &server.address.port().to_string()).await;
    server.stop().await;
}
