//! Port-forwards of the test's API server: the WebSocket protocol `v4.channel.k8s.io`, to a server of the test.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::api::{Body, reply};

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// Takes the connection over; without a server behind it, the pod refuses.
pub(super) fn open(
    upgrade: OnUpgrade,
    headers: &HeaderMap,
    query: &BTreeMap<String, String>,
    backend: Option<SocketAddr>,
) -> Response<Body> {
    let port: u16 = query["ports"].parse().unwrap();
    tokio::spawn(async move {
        if let Ok(upgraded) = upgrade.await {
            carry(upgraded, port, backend).await;
        }
    });
    Response::builder()
        .status(101)
        .header("upgrade", "websocket")
        .header("connection", "Upgrade")
        .header("sec-websocket-accept", derive_accept_key(headers["sec-websocket-key"].as_bytes()))
        .header("sec-websocket-protocol", "v4.channel.k8s.io")
        .body(Full::new(Bytes::new()).boxed())
        .unwrap()
}

fn frame(channel: u8, bytes: &[u8]) -> Message {
    Message::binary([&[channel], bytes].concat())
}

async fn carry(upgraded: hyper::upgrade::Upgraded, port: u16, backend: Option<SocketAddr>) {
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
    for channel in [DATA, ERROR] {
        if socket.send(frame(channel, &port.to_le_bytes())).await.is_err() {
            return;
        }
    }
    let stream = match backend {
        Some(address) => TcpStream::connect(address).await.ok(),
        None => None,
    };
    let Some(mut stream) = stream else {
        let why = format!("failed to connect to localhost:{port} inside namespace: connection refused");
        let _ = socket.send(frame(ERROR, why.as_bytes())).await;
        let _ = socket.close(None).await;
        // What arrives meanwhile is read, or the system would answer it with a reset that drops the reason on its way.
        while let Some(Ok(_)) = socket.next().await {}
        return;
    };
    let mut buffer = vec![0; 8192];
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(count) if count > 0 => {
                    if socket.send(frame(DATA, &buffer[..count])).await.is_err() {
                        return;
                    }
                }
                _ => {
                    let _ = socket.close(None).await;
                    return;
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) if bytes.first() == Some(&DATA) => {
                    if stream.write_all(&bytes[1..]).await.is_err() {
                        let _ = socket.close(None).await;
                        return;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// A listener that takes every request: the admin listeners of the replicas.
pub(super) async fn admin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_| async {
                Ok::<_, std::convert::Infallible>(reply(200, &serde_json::json!({})))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}
