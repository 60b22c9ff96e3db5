//! Connections to the app are kept, and a client does not notice when the app ends them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use appforge_testing::http::Client;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::support::{App, Connection, Front, OFF, exchange, starts};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn connection_to_the_app_is_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    let app = App::raw(move |mut stream: TcpStream| {
        let counted = counted.clone();
        async move {
            let mut seen = Connection::default();
            let mut requests = 0;
            while seen.request(&mut stream).await.is_some() {
                requests += 1;
                // Looks at its health bring no request.
                counted.fetch_add(usize::from(requests == 1), Ordering::SeqCst);
                let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
                let none = b"HTTP/1.1 204 No Content\r\n\r\n";
                let answer = [OK, &chunked[..], &none[..]].into_iter().cycle().nth(requests).unwrap();
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    for _ in 0..20 {
        let answer = exchange(front.public, "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    front.end().await;
}

/// An app that answers one request a connection and ends at the next one, after these bytes; and the requests that it got.
async fn forgetful(last_words: &'static [u8]) -> (App, Arc<Mutex<Vec<String>>>) {
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = heads.clone();
    let app = App::raw(move |mut stream: TcpStream| {
        let noted = noted.clone();
        async move {
            let mut seen = Connection::default();
            for answer in [OK, last_words] {
                let Some((head, _)) = seen.request(&mut stream).await else { return };
                noted.lock().unwrap().push(head.split(' ').take(2).collect::<Vec<_>>().join(" "));
                let _ = stream.write_all(answer).await;
            }
        }
    });
    (app.await, heads)
}

#[tokio::test]
async fn request_is_sent_once_more_when_a_kept_connection_ends_before_an_answer() {
    let (app, heads) = forgetful(b"").await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    for path in ["/1", "/2", "/3"] {
        starts(&client.get(path).await, 200);
    }
    assert_eq!(*heads.lock().unwrap(), ["GET /1", "GET /2", "GET /2", "GET /3", "GET /3"]);
    assert!(front.metrics().await.contains("upstream_resent_total 2\n"));
    front.end().await;
}

#[tokio::test]
async fn request_is_not_sent_twice_when_it_may_have_done_something() {
    let (app, heads) = forgetful(b"").await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/1").await, 200);
    starts(&client.ask("POST /2", "", "").await, 502);
    starts(&client.get("/3").await, 200);
    starts(&client.ask("PUT /4", "", "x").await, 502);
    assert_eq!(*heads.lock().unwrap(), ["GET /1", "POST /2", "GET /3", "PUT /4"]);
    front.end().await;
}

#[tokio::test]
async fn request_is_not_sent_twice_when_an_answer_had_begun() {
    let (app, heads) = forgetful(b"HTTP/1.1 2").await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/1").await, 200);
    starts(&client.get("/2").await, 502);
    assert_eq!(*heads.lock().unwrap(), ["GET /1", "GET /2"]);
    front.end().await;
}

/// An app that closes a connection which was idle for so long.
async fn impatient(idle: Duration, announced: &'static str) -> App {
    App::raw(move |mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        while let Ok(Some(_)) = timeout(idle, seen.request(&mut stream)).await {
            let answer = format!("HTTP/1.1 200 OK\r\n{announced}content-length: 2\r\n\r\nok");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    })
    .await
}

/// Clients that pause for up to so long between their requests; none of which may fail.
async fn load(front: &Front, longest: Duration, lasts: Duration) {
    let until = Instant::now() + lasts;
    let clients = (0..40_u32).map(|client| async move {
        let mut connection = Client::connect(front.public).await;
        for request in 0_u32.. {
            if Instant::now() > until {
                break;
            }
            let method = if (client + request).is_multiple_of(2) { "GET" } else { "POST" };
            starts(&connection.ask(&format!("{method} /"), "", "x").await, 200);
            sleep(longest * ((client * 7 + request * 13) % 40) / 40).await;
        }
    });
    timeout(DEADLINE, futures_util::future::join_all(clients)).await.unwrap();
}

#[tokio::test]
async fn no_request_fails_when_the_app_closes_idle_connections() {
    let app = impatient(Duration::from_secs(2), "").await;
    let front = Front::start(app.address, &[OFF]).await;
    load(&front, Duration::from_millis(2500), Duration::from_secs(5)).await;
    front.end().await;
}

#[tokio::test]
async fn no_request_fails_when_the_app_announces_a_short_time() {
    let app =
        impatient(Duration::from_millis(400), "connection: keep-alive\r\nkeep-alive: timeout=1\r\n").await;
    let front = Front::start(app.address, &[OFF]).await;
    load(&front, Duration::from_millis(500), Duration::from_secs(2)).await;
    front.end().await;
}

#[tokio::test]
async fn only_what_was_under_way_fails_when_an_app_is_killed() {
    let slow = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        while let Some((head, _)) = seen.request(&mut stream).await {
            if head.contains("/slow") {
                std::future::pending::<()>().await;
            }
            stream.write_all(OK).await.unwrap();
        }
    })
    .await;
    let sibling = App::echo().await;
    let front = Front::start(slow.address, &[OFF]).await;
    front.point_at(&[slow.address, sibling.address]).await;
    let mut waiting = Client::connect(front.public).await;
    waiting.send("POST /slow HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/").await, 200);
    slow.kill().await;
    starts(&waiting.answer().await, 502);
    for _ in 0..20 {
        starts(&client.ask("POST /", "", "x").await, 200);
    }
    starts(&waiting.get("/").await, 200);
    front.end().await;
}

#[tokio::test]
async fn request_that_its_client_gave_up_is_counted_as_aborted() {
    let app = App::raw(|mut stream: TcpStream| async move {
        // It answers nothing until its client leaves.
        let mut seen = Connection::default();
        while seen.request(&mut stream).await.is_some() {}
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let in_flight = async |count: &str| {
        let line = format!("\nhttp_requests_in_flight {count}\n");
        front.metrics().await.contains(&line)
    };
    let mut client = Client::connect(front.public).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until("the request is there", async || in_flight("1").await).await;
    drop(client);
    until("the request is given up", async || in_flight("0").await).await;
    let metrics = front.metrics().await;
    assert!(metrics.contains("\nhttp_requests_aborted_total{route=\"app\"} 1\n"), "{metrics}");
    assert!(
        metrics.contains("http_requests_total{method=\"GET\",route=\"app\",status=\"502\"} 0\n"),
        "{metrics}"
    );
    assert!(
        !metrics.contains("route=\"/health\""),
        "a front has no series of the bundled service: {metrics}"
    );
    front.end().await;
}
