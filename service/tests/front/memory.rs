//! What a front costs in memory, as a process of its own.

use std::net::SocketAddr;
use std::process::Stdio;

use appforge_testing::http::Client;
use appforge_testing::port;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::support::{App, Connection};

struct Process {
    public: SocketAddr,
    admin: SocketAddr,
    _child: Child,
}

impl Process {
    async fn start(app: &App) -> Self {
        let [public, admin] = [(); 2].map(|()| SocketAddr::from(([127, 0, 0, 1], port::reserve())));
        let mut command = Command::new(env!("CARGO_BIN_EXE_appforge-service"));
        command.env_clear().env("UPSTREAM_URL", format!("http://{}", app.address));
        command.envs([("BIND", "127.0.0.1"), ("ADMIN_BIND", "127.0.0.1"), ("RATE_LIMIT_ENABLED", "false")]);
        command.env("PORT", public.port().to_string()).env("ADMIN_PORT", admin.port().to_string());
        command.env("REDIS_URL", format!("redis://{}", port::closed()));
        command.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        let front = Self { public, admin, _child: child };
        until("the front listens", async || TcpStream::connect(front.admin).await.is_ok()).await;
        let ready =
            async || Client::connect(front.admin).await.get("/readyz").await.starts_with("HTTP/1.1 200");
        until("the front is ready", ready).await;
        front
    }

    /// In bytes.
    async fn memory(&self) -> u64 {
        let metrics = Client::connect(self.admin).await.get("/metrics").await;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.unwrap().parse().unwrap()
    }
}

/// A part of a large body.
const PART: usize = 64 * 1024;

#[tokio::test]
async fn large_bodies_cost_no_memory() {
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        let Some(head) = seen.head(&mut stream).await else { return };
        let part = vec![b'x'; PART];
        if head.starts_with("GET") {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 104857600\r\n\r\n").await.unwrap();
            while stream.write_all(&part).await.is_ok() {}
        } else {
            let mut left = 104_857_600 - seen.rest().len();
            let mut room = vec![0; PART];
            while left > 0 {
                left -= stream.read(&mut room).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let front = Process::start(&app).await;
    let before = front.memory().await;
    let exchange = async {
        let mut client = TcpStream::connect(front.public).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let (mut room, mut read) = (vec![0; PART], 0);
        loop {
            match client.read(&mut room).await.unwrap() {
                0 => break,
                count => read += count,
            }
        }
        assert!(read > 104_857_600, "{read}");
        let mut client = TcpStream::connect(front.public).await.unwrap();
        let head = b"PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 104857600\r\n\r\n";
        client.write_all(head).await.unwrap();
        for _ in 0..104_857_600 / PART {
            client.write_all(&room).await.unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    timeout(DEADLINE, exchange).await.unwrap();
    let grown = front.memory().await.saturating_sub(before);
    println!("200 MB grew it by {} KB", grown / 1024);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes");
}

#[tokio::test]
async fn idle_tunnels_hold_no_buffers() {
    const TUNNELS: u64 = 200;
    let app = App::raw(|mut stream: TcpStream| async move {
        let mut seen = Connection::default();
        if seen.head(&mut stream).await.is_some() {
            let answer = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let _ = stream.read(&mut [0; 1]).await;
        }
    })
    .await;
    let front = Process::start(&app).await;
    let before = front.memory().await;
    let mut open = Vec::new();
    for _ in 0..TUNNELS {
        let mut client = TcpStream::connect(front.public).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n")
            .await
            .unwrap();
        let head = timeout(DEADLINE, Connection::default().head(&mut client)).await.unwrap().unwrap();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        open.push(client);
    }
    let each = front.memory().await.saturating_sub(before) / TUNNELS;
    println!("a tunnel takes {each} bytes");
    // 2,000 of them, and the front itself, stay below 60 MB.
    assert!(each < 20 * 1024, "{each} bytes");
}
