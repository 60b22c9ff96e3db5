//! `redis-ping`: PONG, the eviction policy of the file, and data that outlives a restart.

use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;

use super::report::Finding;
use crate::stack::Stack;
use crate::stack::model::{Persistence, StoreMode};
use crate::targets::subject::Subject;

/// How long Redis may take.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let connect = appforge_service::redis::connect(subject.redis_url.reveal(), LIMIT).await;
    let mut connection = connect.map_err(anyhow::Error::msg).context("cannot connect to Redis")?;
    let pong: String = redis::cmd("PING").query_async(&mut connection).await?;
    let info: String = redis::cmd("INFO").query_async(&mut connection).await?;
    let field =
        |name: &str| info.lines().find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'));
    let policy = match field("maxmemory_policy") {
        Some(policy) => policy.to_owned(),
        None => setting(&mut connection, "maxmemory-policy").await.unwrap_or_else(|| "unknown".into()),
    };
    let persistent = field("aof_enabled") == Some("1");
    let wanted = stack.redis.eviction.as_str();
    // A store of someone else may be set up otherwise for good reasons; its answer is what counts.
    let ours = stack.redis.mode != StoreMode::External;
    let needs_disk = ours && stack.redis.persistence == Persistence::Aof;
    let good = pong == "PONG" && (!ours || policy == wanted) && (!needs_disk || persistent);
    let disk = if persistent { "persistent" } else { "not persistent" };
    let expected = match (ours, needs_disk) {
        (true, true) => format!("PONG, {wanted}, persistent"),
        (true, false) => format!("PONG, {wanted}"),
        (false, _) => "PONG".to_owned(),
    };
    let finding = Finding::of(good, expected, format!("{pong}, {policy}, {disk}"))
        .with("maxmemory_policy", policy.clone());
    let version = field("valkey_version").or(field("redis_version")).unwrap_or("unknown");
    Ok(finding.with("version", version).with("maxmemory", field("maxmemory").unwrap_or("unknown")))
}

/// A setting, where the server tells it.
async fn setting(connection: &mut MultiplexedConnection, name: &str) -> Option<String> {
    let pairs: Vec<String> = redis::cmd("CONFIG").arg("GET").arg(name).query_async(connection).await.ok()?;
    pairs.into_iter().nth(1)
}
