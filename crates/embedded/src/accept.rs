//! Takes connections for an embedded store. Knows no protocol.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// How long to wait after the listener failed (too many open files) before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// Serves each connection in a task of its own until `shutdown` ends; the tasks go on.
pub(super) async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    tasks: &TaskTracker,
    shutdown: impl Future<Output = ()>,
    mut serve: impl FnMut(TcpStream, SocketAddr) -> F,
) {
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => drop(tasks.spawn(serve(stream, peer))),
            Err(error) => {
                tracing::warn!(%error, "the embedded store cannot accept a connection");
                tokio::select! {
                    () = &mut shutdown => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }
}
