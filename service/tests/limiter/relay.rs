//! A TCP relay that makes a server on this machine a far one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// A relay to `port` that holds each byte for `delay`, either way; for as long as the runtime lives.
pub(crate) async fn relay(port: u16, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { continue };
            near.set_nodelay(true).unwrap();
            far.set_nodelay(true).unwrap();
            let (near_read, near_write) = near.into_split();
            let (far_read, far_write) = far.into_split();
            hold(near_read, far_write, delay);
            hold(far_read, near_write, delay);
        }
    });
    address
}

fn hold(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    delay: Duration,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let held = (Instant::now() + delay, buffer.get(..count).unwrap().to_vec());
            if sender.send(held).is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((until, bytes)) = receiver.recv().await {
            sleep_until(until).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
}
