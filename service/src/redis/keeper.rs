//! The task that makes the connection, asks each second whether it still stands, and makes the next one.
//! It alone turns the link to `Up`; anybody may turn it to `Down`.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{AsyncConnectionConfig, RedisError};
use tokio::time::{sleep, timeout};

use super::failure::{self, FailureKind};
use super::roster::Roster;
use super::source::Source;
use super::{Connection, Link, Session, Shared};

/// For a connection with its name look-up, TLS and credentials.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Between two attempts, give or take a tenth. It does not grow: the limit is to be shared again soon after Redis is back.
const RETRY_EVERY: Duration = Duration::from_millis(200);
/// Between two looks at a connection that stands.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks that were asked for: each key that Redis evicts asks for one.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// For the reply to such a look. Longer than a request waits: an idle replica need not fail over to itself.
const BEAT_LIMIT: Duration = Duration::from_millis(250);
/// How long the epoch outlives the last replica.
const EPOCH_TTL_MS: u64 = 24 * 60 * 60 * 1000;
/// Batches waiting to be written, at most. A call waits for a short time at most, so few ever do.
const QUEUE: usize = 1024;

/// Connects, attends to the connection, and connects again, until told to stop.
pub(super) async fn keep(shared: Arc<Shared>, source: Source) {
    let stop = shared.stop.clone();
    let mut roster = Roster::new(&shared.key_prefix, random());
    stop.run_until_cancelled(forever(&shared, &source, &mut roster)).await;
    shared.metrics.up.set(0);
    let last = match &*shared.link.borrow() {
        Link::Up(session) => Some(session.connection.with_budget(BEAT_LIMIT)),
        Link::Starting | Link::Down(_) => None,
    };
    if let Some(mut connection) = last {
        // It goes by itself soon; who cannot say good-bye need not.
        let _ = roster.leave(&mut connection).await;
    }
    shared.link.send_replace(Link::Down("the service is stopping".into()));
}

async fn forever(shared: &Shared, source: &Source, roster: &mut Roster) {
    for id in 1.. {
        match timeout(CONNECT_LIMIT, connect(source, &shared.key_prefix, id)).await {
            Ok(Ok(session)) => {
                shared.metrics.connects.inc();
                shared.metrics.up.set(1);
                shared.link.send_replace(Link::Up(session.clone()));
                attend(shared, session, roster).await;
            }
            Ok(Err(error)) => refused(shared, FailureKind::of(&error), failure::describe(&error)),
            Err(_) => refused(shared, FailureKind::Timeout, "no connection in time".into()),
        }
        sleep(jittered(RETRY_EVERY)).await;
    }
}

/// Notes that an attempt failed. Who watches the link is woken only when the reason is new.
fn refused(shared: &Shared, kind: FailureKind, why: String) {
    tracing::debug!(error = why, "no connection to Redis");
    shared.metrics.failures.get_or_create(&kind.label()).inc();
    shared.link.send_if_modified(|link| {
        let new = !matches!(link, Link::Down(last) if *last == why);
        if new {
            *link = Link::Down(why);
        }
        new
    });
}

/// A connection over which a write was answered.
async fn connect(source: &Source, prefix: &str, id: u64) -> Result<Session, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_LIMIT))
        .set_response_timeout(None)
        .set_pipeline_buffer_size(QUEUE);
    let client = source.client().await?;
    let connection = Connection::new(client.get_multiplexed_async_connection_with_config(&config).await?);
    let epoch = epoch(&connection, prefix).await?;
    Ok(Session { id, epoch: epoch.into(), connection, since: Instant::now() })
}

/// Looks at the connection each second until it is lost, by its own finding or another's.
async fn attend(shared: &Shared, mut session: Session, roster: &mut Roster) {
    let mut link = shared.link.subscribe();
    loop {
        match roster.beat(&mut session.connection.with_budget(BEAT_LIMIT)).await {
            Ok(count) => {
                shared.replicas.send_if_modified(|known| std::mem::replace(known, count) != count);
            }
            // Whether the connection is alive is checked below.
            Err(error) => tracing::debug!(error = failure::describe(&error), "the replicas were not counted"),
        }
        let mut beat = pin!(sleep(jittered(BEAT_EVERY)));
        let mut waits = true;
        // A requested check is not a beat: after a loss, the others need one to take their places again.
        while waits {
            waits = tokio::select! {
                // An error means that the sender is gone; it is in `shared`.
                _ = link.wait_for(|link| !link.is_session(session.id)) => return,
                () = beat.as_mut() => false,
                () = asked(shared) => true,
            };
            look(shared, &mut session).await;
        }
    }
}

/// Asks whether the connection stands and Redis holds the data that it held.
async fn look(shared: &Shared, session: &mut Session) {
    match epoch(&session.connection, &shared.key_prefix).await {
        Ok(epoch) if *epoch == *session.epoch => {}
        Ok(epoch) => {
            tracing::warn!("Redis has lost its data");
            session.epoch = epoch.into();
            shared.link.send_if_modified(|link| {
                let current = link.is_session(session.id);
                if current {
                    *link = Link::Up(session.clone());
                }
                current
            });
        }
        Err(error) => shared.lost(session.id, FailureKind::of(&error), failure::describe(&error)),
    }
}

async fn asked(shared: &Shared) {
    sleep(LOOK_EVERY).await;
    shared.look.notified().await;
}

/// Proves that Redis takes writes, and reads the name of the data that it holds: a random value that the first replica
/// leaves there. Another value than before means that the keys are gone.
///
/// A value of another type under its key is not of this stack and is removed: else no replica would count in Redis.
async fn epoch(connection: &Connection, prefix: &str) -> Result<Vec<u8>, RedisError> {
    let mut connection = connection.with_budget(BEAT_LIMIT);
    let key = format!("{prefix}epoch");
    let mut pipe = redis::pipe();
    pipe.cmd("SET").arg(&key).arg(random()).arg("PX").arg(EPOCH_TTL_MS).arg("NX").ignore();
    // `XX`, as `LT` for the limiter, is known from Redis 7 on: an older server is refused here, not on a request.
    pipe.cmd("PEXPIRE").arg(&key).arg(EPOCH_TTL_MS).arg("XX").ignore();
    pipe.cmd("GET").arg(&key);
    let read = pipe.query_async::<(Vec<u8>,)>(&mut connection).await;
    let (epoch,) = match read {
        Err(error) if FailureKind::of(&error) == FailureKind::Value => {
            redis::cmd("DEL").arg(&key).exec_async(&mut connection).await?;
            pipe.query_async(&mut connection).await?
        }
        read => read?,
    };
    Ok(epoch)
}

/// 64 random bits in hexadecimal. Should the system have none, the clock will do.
pub(crate) fn random() -> String {
    let number = getrandom::u64().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |now| now.subsec_nanos().into())
    });
    format!("{number:016x}")
}

/// `base` give or take a tenth, so that replicas do not all come back in the same instant.
fn jittered(base: Duration) -> Duration {
    let fraction = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
    base.mul_f64(0.9 + 0.2 * fraction)
}
