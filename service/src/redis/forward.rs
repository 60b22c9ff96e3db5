//! A port that leads to the current master of Redis, for an app whose client does not ask sentinels. Bytes pass in both directions
//! and are not looked at: the app logs in by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::failure;
use super::source::Source;
use crate::contract::REDIS_KEY_PREFIX;
use crate::pipe::Pipe;

/// Connections at a time. A client that opens more has lost count of them.
const MOST: usize = 1024;
/// For the way to the master, from the moment a client connects.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Between two looks for the master.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks that failed connections asked for.
const AT_LEAST: Duration = Duration::from_millis(100);
/// For a look; each host has its own limits.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// After an attempt to accept failed, for a descriptor to become free.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Forwards until it is dropped, with all of its connections.
#[derive(Debug)]
pub struct Forward {
    room: Arc<Semaphore>,
    most: usize,
    _stop: DropGuard,
}

/// Where the master is, once that is known.
type Place = Option<Arc<str>>;

/// Forwards each connection of `listener` to the server at `url`. Must be called on a tokio runtime.
///
/// When the sentinels name another master, the connections to the old one end; clients connect again.
///
/// # Errors
/// When the URL is malformed; the error does not repeat it.
pub fn forward(url: &str, listener: TcpListener) -> anyhow::Result<Forward> {
    start(url, listener, MOST)
}

fn start(url: &str, listener: TcpListener, most: usize) -> anyhow::Result<Forward> {
    let source = Source::parse(url, REDIS_KEY_PREFIX)?;
    let (place, known) = watch::channel(Place::None);
    let (room, look) = (Arc::new(Semaphore::new(most)), Arc::new(Notify::new()));
    let stop = CancellationToken::new();
    tokio::spawn(stop.clone().run_until_cancelled_owned(follow(source, place, look.clone())));
    tokio::spawn(stop.clone().run_until_cancelled_owned(accept(listener, known, look, room.clone())));
    Ok(Forward { room, most, _stop: stop.drop_guard() })
}

impl Forward {
    /// How many connections are open.
    pub fn open(&self) -> usize {
        self.most.saturating_sub(self.room.available_permits())
    }

    /// Forwards until `app_ends`, when the app begins to end at the latest, and on until no connection is open, for at most `limit`.
    pub async fn outlast(&self, app_ends: Instant, limit: Duration) {
        // Until then the app may connect again at any time.
        sleep_until(app_ends).await;
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        // What is open at the limit ends with the process.
        let _ = timeout(limit, self.room.acquire_many(all)).await;
    }
}

/// Asks again and again where the master is.
async fn follow(source: Source, place: watch::Sender<Place>, look: Arc<Notify>) {
    loop {
        let began = Instant::now();
        let current = place.borrow().clone();
        match timeout(LOOK_LIMIT, source.place(current.as_deref())).await {
            Ok(Ok(master)) if current.as_deref() != Some(master.as_str()) => {
                tracing::info!("connections of the app to Redis go to {master}");
                place.send_replace(Some(master.into()));
            }
            Ok(Ok(_)) => {}
            // The last known master may well work.
            Ok(Err(error)) => tracing::debug!(error = failure::describe(&error), "the master is not known"),
            Err(_) => tracing::debug!("no sentinel answers in time"),
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = look.notified() => sleep(AT_LEAST.saturating_sub(began.elapsed())).await,
        }
    }
}

async fn accept(
    listener: TcpListener,
    known: watch::Receiver<Place>,
    look: Arc<Notify>,
    room: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    let mut full = false;
    loop {
        // Those that have ended; an error of one is its client's.
        while connections.try_join_next().is_some() {}
        let client = match listener.accept().await {
            Ok((client, _)) => client,
            Err(error) => {
                tracing::warn!("cannot accept a connection to Redis: {error}");
                sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            if !full {
                tracing::warn!("too many connections of the app to Redis are open; more are closed at once");
            }
            full = true;
            continue;
        };
        full = false;
        let (known, look) = (known.clone(), look.clone());
        connections.spawn(async move {
            carry(client, known, &look).await;
            drop(permit);
        });
    }
}

/// Carries the bytes of one connection until either side ends, or the master changes.
async fn carry(client: TcpStream, mut known: watch::Receiver<Place>, look: &Notify) {
    let connect = async {
        // The sender lives as long as this task.
        let master = known.wait_for(Option::is_some).await.ok()?.clone()?;
        let server = TcpStream::connect(&*master).await;
        if let Err(error) = &server {
            tracing::debug!("cannot connect to the master at {master}: {error}");
        }
        Some((master, server.ok()?))
    };
    let Ok(Some((master, server))) = timeout(CONNECT_LIMIT, connect).await else {
        look.notify_one();
        return;
    };
    // Requests are small and wait for their answers.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let mut pipe = Pipe::new(client, server);
    tokio::select! {
        // How it ends is the business of the two sides; whether there is another master is worth a look.
        _ = std::future::poll_fn(|cx| pipe.poll(cx)) => look.notify_one(),
        _ = known.wait_for(|now| now.as_ref() != Some(&master)) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use appforge_testing::port;
    use appforge_testing::wait::{DEADLINE, until};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn forward_to(server: SocketAddr, most: usize) -> (Forward, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (start(&format!("redis://{server}"), listener, most).unwrap(), address)
    }

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        address
    }

    async fn works(stream: &mut TcpStream) -> bool {
        let mut answer = [0; 4];
        let exchange = async {
            stream.write_all(b"PING").await?;
            stream.read_exact(&mut answer).await
        };
        timeout(DEADLINE, exchange).await.unwrap().is_ok() && answer == *b"PING"
    }

    #[tokio::test]
    async fn connection_beyond_the_most_is_closed() {
        let (forward, address) = forward_to(echo().await, 2).await;
        let connect = || async move { TcpStream::connect(address).await.unwrap() };
        let (mut first, mut second) = (connect().await, connect().await);
        assert!(works(&mut first).await && works(&mut second).await);
        assert!(!works(&mut connect().await).await);
        assert_eq!(forward.open(), 2);
        drop(first);
        until("there is room again", async || works(&mut connect().await).await).await;
        assert!(works(&mut second).await, "the other one is as it was");
    }

    #[tokio::test]
    async fn client_is_not_kept_waiting_when_the_server_is_gone() {
        let (forward, address) = forward_to(port::closed(), 2).await;
        assert!(!works(&mut TcpStream::connect(address).await.unwrap()).await);
        until("no connection is open", async || forward.open() == 0).await;
    }

    #[tokio::test]
    async fn end_waits_for_open_connections_until_its_limit() {
        let (forward, address) = forward_to(echo().await, 2).await;
        let mut open = TcpStream::connect(address).await.unwrap();
        assert!(works(&mut open).await);
        forward.outlast(Instant::now(), Duration::from_millis(50)).await;
        assert_eq!(forward.open(), 1);
        drop(open);
        timeout(DEADLINE, forward.outlast(Instant::now(), DEADLINE * 2)).await.unwrap();
        assert_eq!(forward.open(), 0);
    }
}
