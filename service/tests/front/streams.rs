//! Bodies, trailers, events and other protocols pass as they come.

use std::time::Duration;

use appforge_testing::wait::DEADLINE;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{App, Connection, Front, OFF};

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap()
}

#[tokio::test]
async fn each_event_arrives_when_the_app_sends_it() {
    let (step, steps) = mpsc::channel::<()>(1);
    let steps = std::sync::Arc::new(tokio::sync::Mutex::new(steps));
    let app = App::raw(move |mut stream: TcpStream| {
        let steps = steps.clone();
        async move {
            Connection::default().head(&mut stream).await.unwrap();
            let head =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while steps.lock().await.recv().await.is_some() {
                stream.write_all(b"9\r\ndata: 1\n\n\r\n").await.unwrap();
            }
            stream.write_all(b"0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    // A look at its health would take a step.
    let front = Front::start(app.address, &[OFF]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    client.write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut seen = Connection::default();
    let head = soon(seen.head(&mut client)).await.unwrap();
    assert!(head.contains("content-type: text/event-stream\r\n"), "{head}");
    for _ in 0..5 {
        step.send(()).await.unwrap();
        let event = soon(seen.upto(&mut client, b"\n\n\r\n")).await.unwrap();
        assert_eq!(event, "9\r\ndata: 1\n\n\r\n");
    }
    drop(step);
    assert_eq!(soon(seen.upto(&mut client, b"0\r\n\r\n")).await.unwrap(), "0\r\n\r\n");
    front.end().await;
}

#[tokio::test]
async fn request_ends_at_the_app_when_its_client_leaves() {
    let (left, mut noted) = mpsc::channel::<&str>(2);
    let app = App::raw(move |mut stream: TcpStream| {
        let left = left.clone();
        async move {
            let mut seen = Connection::default();
            let Some(head) = seen.head(&mut stream).await else { return };
            // One waits for an answer, the other for the next event.
            let kind = if head.contains("/slow") { "slow" } else { "events" };
            left.send("here").await.unwrap();
            if kind == "events" {
                let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                stream.write_all(head).await.unwrap();
            }
            while seen.head(&mut stream).await.is_some() {}
            left.send(kind).await.unwrap();
        }
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    for kind in ["slow", "events"] {
        let mut client = TcpStream::connect(front.public).await.unwrap();
        client.write_all(format!("GET /{kind} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        assert_eq!(soon(noted.recv()).await, Some("here"));
        if kind == "events" {
            soon(Connection::default().head(&mut client)).await.unwrap();
        }
        drop(client);
        assert_eq!(soon(noted.recv()).await, Some(kind));
    }
    front.end().await;
}

#[tokio::test]
async fn body_flows_to_the_app_before_it_is_complete() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        seen.head(&mut stream).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // Both bodies at once: each chunk is answered while the next one is not sent.
        while let Some(chunk) = seen.upto(&mut stream, b"!\r\n").await {
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let mut seen = Connection::default();
    for _ in 0..5 {
        client.write_all(b"6\r\nhello!\r\n").await.unwrap();
        let echo = soon(seen.upto(&mut client, b"hello!\r\n")).await.unwrap();
        assert!(echo.ends_with("6\r\nhello!\r\n"), "{echo}");
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        let head = seen.head(&mut stream).await.unwrap();
        let body = seen.upto(&mut stream, b"\r\n\r\n").await.unwrap();
        assert!(head.contains("te: trailers\r\n") && head.contains("trailer: x-sum\r\n"), "{head}");
        assert_eq!(body, "3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n");
        let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Keeps the connection open.
        let _ = stream.read(&mut [0; 1]).await;
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n";
    client.write_all(format!("{head}3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n").as_bytes()).await.unwrap();
    let mut seen = Connection::default();
    let head = soon(seen.head(&mut client)).await.unwrap();
    assert!(head.contains("trailer: x-sum\r\n") && head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(soon(seen.upto(&mut client, b"\r\n\r\n")).await.unwrap(), "2\r\nok\r\n0\r\nx-sum: 2\r\n\r\n");
}

#[tokio::test]
async fn trailers_forge_no_field_of_ours() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        if seen.head(&mut stream).await.is_none() {
            return;
        }
        let body = seen.upto(&mut stream, b"\r\n\r\n").await.unwrap();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, keep-alive\r\n\r\n\
             {:X}\r\n{body}\r\n0\r\nx-sum: 2\r\nkeep-alive: timeout=9\r\n\r\n",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let variables = [OFF, ("RATE_LIMIT_KEY", "header:x-api-key"), ("TRUSTED_PROXIES", "127.0.0.0/8")];
    let front = Front::start(app.address, &variables).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    let names = [
        "x-forwarded-for",
        "x_forwarded_for",
        "forwarded",
        "x-appforge-probe",
        "x-api-key",
        "connection",
        "x-sum",
    ];
    let head =
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\ntransfer-encoding: chunked\r\n";
    let fields: String = names.iter().map(|name| format!("{name}: 1\r\n")).collect();
    let text = format!("{head}trailer: {}\r\n\r\n0\r\n{fields}\r\n", names.join(", "));
    client.write_all(text.as_bytes()).await.unwrap();
    let mut seen = Connection::default();
    soon(seen.head(&mut client)).await.unwrap();
    let body = soon(seen.upto(&mut client, b"x-sum: 2\r\n\r\n")).await.unwrap();
    assert_eq!(body, "F\r\n0\r\nx-sum: 1\r\n\r\n\r\n0\r\nx-sum: 2\r\n\r\n");
    front.end().await;
}

#[tokio::test]
async fn client_is_asked_for_its_body_once_the_app_is_reached() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.write_all(head).await.unwrap();
    let mut seen = Connection::default();
    assert_eq!(soon(seen.head(&mut client)).await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"hello").await.unwrap();
    let (head, body) = soon(seen.request(&mut client)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && body.ends_with("\r\n\r\nhello"), "{head}{body}");
    assert!(!body.contains("expect"), "{body}");
    front.end().await;
}

#[tokio::test]
async fn large_bodies_pass_whole_both_ways() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        seen.head(&mut stream).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n").await.unwrap();
        stream.write_all(&seen.rest()).await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.ok();
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    client.write_all(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n").await.unwrap();
    let (mut from, mut to) = client.split();
    let part: Vec<u8> = (0..250).cycle().take(50_000).collect();
    let up = async {
        for _ in 0..1000 {
            to.write_all(&part).await.unwrap();
        }
    };
    let down = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(from.read_u8().await.unwrap());
        }
        let mut back = vec![0; part.len()];
        for _ in 0..1000 {
            from.read_exact(&mut back).await.unwrap();
            assert!(back == part);
        }
    };
    soon(async { tokio::join!(up, down) }).await;
}

const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";

/// Switches, then echoes whatever comes.
async fn switching(mut stream: TcpStream) {
    let mut seen = Connection::default();
    let Some(head) = seen.head(&mut stream).await else { return };
    assert!(head.contains("connection: upgrade\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

#[tokio::test]
async fn raw_bytes_pass_after_the_app_has_switched() {
    let app = App::raw(switching).await;
    let front = Front::start(app.address, &[("RATE_LIMIT_REQUESTS", "1")]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    // What the client sends too early waits for the app's 101.
    client.write_all(format!("{HANDSHAKE}early").as_bytes()).await.unwrap();
    let mut seen = Connection::default();
    let head = soon(seen.head(&mut client)).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("ratelimit-remaining: 0\r\n"), "{head}");
    assert_eq!(soon(seen.upto(&mut client, b"early")).await.unwrap(), "early");
    // Many messages, none of them a hit.
    for _ in 0..100 {
        client.write_all(b"\x81\x05hello\xff").await.unwrap();
        let mut back = [0; 8];
        soon(client.read_exact(&mut back)).await.unwrap();
        assert_eq!(&back, b"\x81\x05hello\xff");
    }
    client.shutdown().await.unwrap();
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap(), 0, "the app's end follows the client's");
    let metrics = front.metrics().await;
    assert!(metrics.contains("upstream_tunnels_total 1"), "{metrics}");
    front.end().await;
}

#[tokio::test]
async fn bytes_stay_requests_when_the_app_does_not_switch() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let text = format!("{HANDSHAKE}GET /second HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = crate::support::exchange(front.public, &text).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 2, "{answer}");
    let heads = app.heads.lock().unwrap().clone();
    assert!(heads.len() == 2 && heads[1].starts_with("GET /second "), "{heads:?}");
    front.end().await;
}

#[tokio::test]
async fn app_that_switches_unasked_is_a_bad_gateway() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        while seen.head(&mut stream).await.is_some() {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let answer = crate::support::exchange(front.public, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    crate::support::starts(&answer, 502);
    front.end().await;
}

#[tokio::test]
async fn open_tunnel_outlives_the_drain_and_ends_with_it() {
    let app = App::raw(switching).await;
    let front = Front::start(app.address, &[OFF, ("SHUTDOWN_TIMEOUT_MS", "1500")]).await;
    let mut client = TcpStream::connect(front.public).await.unwrap();
    client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
    let mut seen = Connection::default();
    soon(seen.head(&mut client)).await.unwrap();
    let ended = async {
        let ending = front.end();
        let mut ending = std::pin::pin!(ending);
        tokio::select! {
            () = &mut ending => panic!("the tunnel was cut at once"),
            () = tokio::time::sleep(Duration::from_millis(300)) => {}
        }
        client.write_all(b"still here").await.unwrap();
        assert_eq!(soon(seen.upto(&mut client, b"here")).await.unwrap(), "still here");
        ending.await;
    };
    soon(ended).await;
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap_or(0), 0);
}
