//! How the service ends: no client loses a request.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use appforge_testing::http::Client;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::support::{Service, is_last, starts};

const MANY: (&str, &str) = ("RATE_LIMIT_REQUESTS", "1000000");
const CLIENTS: usize = 16;

async fn until_draining(admin: SocketAddr) {
    let mut admin = Client::connect(admin).await;
    until("it drains", async || admin.get("/readyz").await.starts_with("HTTP/1.1 503")).await;
}

#[tokio::test]
async fn keep_alive_client_is_asked_to_leave_when_the_service_drains() {
    let service = Service::start().await;
    let mut client = Client::connect(service.public).await;
    starts(&client.get("/health").await, 200);
    starts(&Client::connect(service.admin).await.get("/readyz").await, 200);
    service.stop.send(()).unwrap();
    until_draining(service.admin).await;
    let last = client.get("/health").await;
    starts(&last, 200);
    assert!(is_last(&last), "{last}");
    assert_eq!(
        timeout(DEADLINE, client.0.read(&mut [0; 1])).await.unwrap().unwrap(),
        0,
        "closed by the service"
    );
    timeout(DEADLINE, service.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn request_is_answered_when_the_drain_begins_meanwhile() {
    let service = Service::start().await;
    let mut client = Client::connect(service.public).await;
    client.send("GET /health HTTP/1.1\r\nho").await;
    let mut waiting = Client::connect(service.public).await;
    service.stop.send(()).unwrap();
    // Sent to a connection that the kernel has accepted and the service may not have.
    waiting.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until_draining(service.admin).await;
    client.send("st: x\r\n\r\n").await;
    for client in [&mut client, &mut waiting] {
        let answer = client.answer().await;
        starts(&answer, 200);
        assert!(is_last(&answer), "{answer}");
    }
    assert!(TcpStream::connect(service.public).await.is_err(), "no new connections");
    timeout(DEADLINE, service.task).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn client_is_cut_off_when_it_stays_beyond_the_deadline() {
    let service = Service::start_with(&[("SHUTDOWN_TIMEOUT_MS", "200")]).await;
    let mut client = Client::connect(service.public).await;
    starts(&client.get("/health").await, 200);
    service.stop.send(()).unwrap();
    timeout(Duration::from_secs(4), service.task).await.expect("before the idle limit").unwrap().unwrap();
    assert_eq!(client.0.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

/// One keep-alive client: leaves when it is told to, and comes back. Anything but 200 is a failure of the test.
async fn keep_asking(public: SocketAddr, answered: Rc<Cell<usize>>, stop: Rc<Cell<bool>>) {
    let mut client = Client::connect(public).await;
    while !stop.get() {
        let answer = client.get("/health").await;
        starts(&answer, 200);
        answered.set(answered.get() + 1);
        if is_last(&answer) {
            client = Client::connect(public).await;
        }
    }
}

#[tokio::test]
async fn no_request_fails_when_replicas_come_and_go() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let public = socket.local_addr().unwrap();
    let replica = || async {
        let listener = TcpListener::from_std(socket.try_clone().unwrap()).unwrap();
        Service::start_on(listener, &[MANY]).await
    };
    let load = async {
        let (answered, stop) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(false)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| tokio::task::spawn_local(keep_asking(public, answered.clone(), stop.clone())))
            .collect();
        let mut running = replica().await;
        for _ in 0..4 {
            let next = replica().await;
            let before = answered.get();
            until("each client is answered", async || answered.get() > before + 20 * CLIENTS).await;
            running.end().await;
            running = next;
        }
        stop.set(true);
        for client in clients {
            timeout(DEADLINE, client).await.unwrap().unwrap();
        }
        running.end().await;
    };
    LocalSet::new().run_until(load).await;
}
