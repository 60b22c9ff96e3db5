//! HTTP as text, so that a test sees the bytes that a client would.

use std::net::{SocketAddr, ToSocketAddrs};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tcp;
use crate::wait::DEADLINE;

/// Sends a request such as `GET /health` over its own connection; the status, the head and the body of the response.
///
/// `headers` are whole lines, each with its end.
#[track_caller]
pub fn exchange(
    address: impl ToSocketAddrs,
    request: &str,
    headers: &str,
    body: &str,
) -> (u16, String, String) {
    let text = request_text(request, &format!("connection: close\r\n{headers}"), body);
    let response = tcp::exchange(address, text.as_bytes()).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
}

fn request_text(request: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("{request} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// A connection that stays open between requests.
pub struct Client(pub TcpStream);

impl Client {
    /// Connects within [`DEADLINE`].
    pub async fn connect(address: SocketAddr) -> Self {
        Self(timeout(DEADLINE, TcpStream::connect(address)).await.unwrap().unwrap())
    }

    /// Sends a request and reads head and body of the response.
    pub async fn ask(&mut self, request: &str, headers: &str, body: &str) -> String {
        self.send(&request_text(request, headers, body)).await;
        self.answer().await
    }

    /// [`Client::ask`] without headers and body.
    pub async fn get(&mut self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "").await
    }

    /// Sends any text.
    pub async fn send(&mut self, text: &str) {
        timeout(DEADLINE, self.0.write_all(text.as_bytes())).await.unwrap().unwrap();
    }

    /// Reads head and body of a response.
    pub async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        loop {
            let mut more = [0; 4096];
            let read = timeout(DEADLINE, self.0.read(&mut more)).await.unwrap().unwrap();
            answer.extend_from_slice(&more[..read]);
            let text = String::from_utf8_lossy(&answer).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                assert!(read > 0, "the connection was closed within a response: {text:?}");
                continue;
            };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if length.is_none_or(|length| body.len() >= length.parse().unwrap()) {
                return text;
            }
        }
    }
}
