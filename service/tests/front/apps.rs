//! Apps that come, go, answer late, or answer with errors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{App, Connection, Front, OFF, starts};

/// A new listener at a known address.
async fn listener(address: SocketAddr) -> TcpListener {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(64).unwrap()
}

#[tokio::test]
async fn connections_wait_when_the_app_does_not_accept() {
    let address = port::closed();
    let front = Front::start_sharing(TcpListener::bind("127.0.0.1:0").await.unwrap(), address, &[OFF]).await;
    let mut client = Client::connect(front.public).await;
    client.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until("the front looked", async || front.statusz().await.contains("does not answer")).await;
    starts(&Client::connect(front.admin).await.get("/livez").await, 200);
    assert!(!front.is_ready().await);
    assert!(front.statusz().await.contains(r#""connections":0"#), "it was not accepted");
    let app = App::echo_on(listener(address).await).await;
    starts(&client.answer().await, 200);
    until("the front is ready", async || front.is_ready().await).await;
    assert_eq!(app.heads.lock().unwrap().len(), 1);
    front.end().await;
}

#[tokio::test]
async fn front_whose_app_is_away_leaves_connections_to_the_others() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let shared = || TcpListener::from_std(socket.try_clone().unwrap()).unwrap();
    let (first, second) = (App::echo().await, App::echo().await);
    let (one, two) = (
        Front::start_sharing(shared(), first.address, &[OFF]).await,
        Front::start_sharing(shared(), second.address, &[OFF]).await,
    );
    until("both are ready", async || one.is_ready().await && two.is_ready().await).await;
    first.kill().await;
    until("one has noticed", async || one.statusz().await.contains(r#""accepting":false"#)).await;
    for _ in 0..50 {
        starts(&Client::connect(one.public).await.get("/").await, 200);
    }
    assert_eq!(second.heads.lock().unwrap().len(), 50);
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn client_is_answered_when_no_other_front_shares_the_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = Front::start_on(listener, port::closed(), &[OFF]).await;
    let answer = Client::connect(front.public).await.get("/").await;
    starts(&answer, 503);
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    front.end().await;
}

#[tokio::test]
async fn waiting_request_reaches_a_sibling_that_comes_back() {
    let own = App::echo().await;
    let (away, sibling) = (own.address, port::closed());
    let front = Front::start(away, &[OFF]).await;
    front.point_at(&[away, sibling]).await;
    own.kill().await;
    let client = &mut Client::connect(front.public).await;
    let began = Instant::now();
    let (answer, app) = tokio::join!(client.ask("POST /later", "", "x"), async {
        until("the request waits", async || front.statusz().await.contains(r#""accepting":false"#)).await;
        App::echo_on(listener(sibling).await).await
    });
    starts(&answer, 200);
    assert!(app.head().starts_with("POST /later "));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(4), "before the last attempt: {took:?}");
    front.end().await;
}

#[tokio::test]
async fn connection_ends_when_the_body_of_a_failed_request_is_unread() {
    let app = App::raw(|mut stream: TcpStream| async move {
        Connection::default().head(&mut stream).await;
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nbegin";
    for (status, apps) in [(502, &[app.address][..]), (503, &[])] {
        front.point_at(apps).await;
        let client = &mut Client::connect(front.public).await;
        client.send(head).await;
        let answer = client.answer().await;
        starts(&answer, status);
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    front.end().await;
}

#[tokio::test]
async fn open_connection_is_served_by_a_sibling_when_the_app_has_gone() {
    let (own, sibling) = (App::echo().await, App::echo().await);
    let front = Front::start(own.address, &[OFF]).await;
    front.point_at(&[own.address, sibling.address]).await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/").await, 200);
    assert!(sibling.heads.lock().unwrap().is_empty());
    own.kill().await;
    for _ in 0..5 {
        starts(&client.get("/").await, 200);
        starts(&client.ask("POST /", "", "x").await, 200);
    }
    assert_eq!(sibling.heads.lock().unwrap().len(), 10);
    assert!(front.statusz().await.contains(r#""siblings":1"#));
    front.end().await;
}

#[tokio::test]
async fn request_waits_for_an_app_that_comes_back() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/").await, 200);
    app.kill().await;
    let next = App::echo().await;
    let (answer, ()) = tokio::join!(client.ask("POST /later", "", "x"), async {
        until("the request waits", async || front.statusz().await.contains(r#""accepting":false"#)).await;
        front.point_at(&[next.address]).await;
    });
    starts(&answer, 200);
    assert!(next.head().starts_with("POST /later "));
    until("the front is ready", async || front.is_ready().await).await;
    front.end().await;
}

#[tokio::test]
async fn client_is_told_to_retry_when_no_app_comes_back() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    starts(&client.get("/").await, 200);
    front.point_at(&[]).await;
    let began = Instant::now();
    let answer = client.get("/").await;
    starts(&answer, 503);
    assert!(answer.contains("proxy-status: appforge; error=destination_unavailable\r\n"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("application/problem+json"), "{answer}");
    let took = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert!(!front.is_ready().await, "another app has to be healthy first");
    assert!(front.metrics().await.contains("upstream_unavailable_total 1\n"));
    front.end().await;
}

#[tokio::test]
async fn front_is_unready_when_its_app_refuses_connections() {
    let app = App::echo().await;
    let address = app.address;
    let front = Front::start(address, &[OFF]).await;
    app.kill().await;
    until("the front is unready", async || !front.is_ready().await).await;
    assert!(front.metrics().await.contains("upstream_ready 0\n"));
    let _app = App::echo_on(listener(address).await).await;
    until("the front is ready", async || front.is_ready().await).await;
    front.end().await;
}

/// An app whose health answers with this status.
async fn sick(status: &Arc<AtomicU16>) -> App {
    let status = status.clone();
    App::raw(move |mut stream: TcpStream| {
        let status = status.clone();
        async move {
            let mut seen = Connection::default();
            while let Some(head) = seen.head(&mut stream).await {
                let health =
                    head.starts_with("GET /healthz HTTP/1.1\r\n") && head.contains("host: localhost\r\n");
                let status = if health { status.load(Ordering::SeqCst) } else { 200 };
                let answer = format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn health_gates_the_front_until_its_first_success() {
    let status = Arc::new(AtomicU16::new(503));
    let app = sick(&status).await;
    let health = [OFF, ("UPSTREAM_HEALTH_PATH", "/healthz")];
    let front = Front::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), app.address, &health).await;
    until("the front looked", async || front.statusz().await.contains(r#""last_status":503"#)).await;
    assert!(!front.is_ready().await);
    status.store(302, Ordering::SeqCst);
    until("the front is ready", async || front.is_ready().await).await;
    status.store(500, Ordering::SeqCst);
    until("the error is shown", async || front.statusz().await.contains(r#""last_status":500"#)).await;
    assert!(front.metrics().await.contains("upstream_health_status 500\n"));
    let metrics = async || front.metrics().await.contains("upstream_ready 1\n");
    assert!(metrics().await && front.is_ready().await, "an error removes nothing");
    starts(&Client::connect(front.public).await.get("/").await, 200);
    let statusz = front.statusz().await;
    assert!(
        statusz.contains(r#""upstream":{"url":"http://127.0.0.1:"#) && !statusz.contains("mongodb"),
        "{statusz}"
    );
    front.end().await;
}

#[tokio::test]
async fn app_that_breaks_off_is_a_bad_gateway() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        let Some(head) = seen.head(&mut stream).await else { return };
        let answer = if head.contains("/garbage") {
            "garbage\r\n\r\n"
        } else if head.contains("/lengths") {
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"
        } else if head.contains("/gzip-chunked") {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        } else if head.contains("/gzip") {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nx"
        } else {
            ""
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    for path in ["/garbage", "/lengths", "/gzip-chunked", "/gzip", "/end"] {
        let answer = Client::connect(front.public).await.get(path).await;
        starts(&answer, 502);
        // A length that is coded otherwise can be read, and not be forwarded.
        let error = if path.contains("gzip") { "http_protocol_error" } else { "connection_terminated" };
        assert!(answer.contains(&format!("proxy-status: appforge; error={error}\r\n")), "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    front.end().await;
}

#[tokio::test]
async fn client_sees_that_an_answer_was_cut_off() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        let Some(head) = seen.head(&mut stream).await else { return };
        let answer = if head.contains("/chunked") {
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n3\r\nabc\r\n"
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"
        };
        let _ = stream.write_all(answer.as_bytes()).await;
    })
    .await;
    let front = Front::start(app.address, &[OFF]).await;
    for (path, whole) in [("/chunked", "0\r\n\r\n"), ("/length", "abcabcabc")] {
        let mut client = TcpStream::connect(front.public).await.unwrap();
        client.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = timeout(DEADLINE, client.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("abc") && !answer.contains(whole), "{answer}");
        assert!(!(answer.contains("content-length") && answer.contains("chunked")), "one length: {answer}");
    }
    front.end().await;
}

#[tokio::test]
async fn list_of_apps_is_checked() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let admin = &mut Client::connect(front.admin).await;
    for body in [
        r#"{"upstreams":["nowhere"]}"#,
        r#"{"upstreams":[], "more": 1}"#,
        r#"["127.0.0.1:1"]"#,
        r#"{"upstreams":["127.0.0.1:0"]}"#,
    ] {
        starts(&admin.ask("PUT /upstreams", "content-type: application/json\r\n", body).await, 422);
    }
    starts(&admin.get("/upstreams").await, 405);
    starts(&Client::connect(front.public).await.get("/").await, 200);
    front.end().await;
}

#[tokio::test]
async fn app_that_listens_past_its_front_is_shown() {
    let everywhere = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = everywhere.local_addr().unwrap().port();
    let app = App::echo_on(everywhere).await;
    let front = Front::start(SocketAddr::new([127, 0, 0, 1].into(), port), &[OFF]).await;
    let shown = front.statusz().await;
    assert!(shown.contains(&format!(r#""beyond_loopback":"0.0.0.0:{port}""#)), "{shown}");
    app.kill().await;
    let inside = App::echo().await;
    front.point_at(&[inside.address]).await;
    assert!(!front.statusz().await.contains("beyond_loopback"));
    front.end().await;
}

#[tokio::test]
async fn app_reaches_redis_through_its_front_until_the_front_has_ended() {
    // A server that greets each connection stands in for Redis: the front looks at no byte.
    let redis = App::raw(|mut stream| async move {
        let _ = stream.write_all(b"+OK\r\n").await;
        let _ = stream.read(&mut [0]).await;
    });
    let redis = redis.await;
    let (app, port) = (App::echo().await, port::reserve());
    let forward = port.to_string();
    let url = format!("redis://{}/", redis.address);
    let variables =
        [OFF, ("REDIS_URL", &url), ("REDIS_FORWARD_PORT", &forward), ("SHUTDOWN_TIMEOUT_MS", "1000")];
    let front = Front::start(app.address, &variables).await;
    let greeted = async || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut answer = [0; 5];
        timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().ok()?;
        Some(answer)
    };
    assert_eq!(greeted().await, Some(*b"+OK\r\n"));
    let began = Instant::now();
    let (public, ended) = (front.public, tokio::spawn(front.end()));
    until("the front takes no requests", async || TcpStream::connect(public).await.is_err()).await;
    // All is drained, and the app still works.
    assert_eq!(greeted().await, Some(*b"+OK\r\n"), "{:?}", began.elapsed());
    timeout(DEADLINE, ended).await.unwrap().unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(greeted().await, None);
}
