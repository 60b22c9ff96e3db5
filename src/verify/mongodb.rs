//! `mongodb-connections`: the server holds as many connections as the pools of the replicas allow, no more.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::status::PoolStatus;
use bson::doc;
use mongodb::Client;
use mongodb::options::ClientOptions;
use tokio::time::Instant;

use super::client::statusz;
use super::report::Finding;
use crate::document::counted;
use crate::float;
use crate::stack::Stack;
use crate::targets::subject::Subject;

/// Connections of a driver beside its pool: two that watch the server, by replica; our own; a few of the operator's.
pub(super) const WATCHERS: i64 = 2;
const OURS: i64 = 5;
/// How long a pool may take to keep its minimum ready.
const FILLED: Duration = Duration::from_secs(5);
/// A pause between two looks at a pool.
const LOOK: Duration = Duration::from_millis(20);
/// How long the server may take.
pub(super) const LIMIT: Duration = Duration::from_secs(10);
/// Of the connections that the server allows, this share is a warning.
pub(super) const NEAR: f64 = 0.8;

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let pool = stack.mongodb.pool;
    let replicas = i64::try_from(subject.replicas.len())?;
    let most = replicas * (i64::from(pool.max) + WATCHERS) + OURS;
    let least = replicas * i64::from(pool.min);
    let (mut open, mut wrong) = (0, Vec::new());
    for replica in &subject.replicas {
        let told = filled(&replica.admin, pool.min).await?;
        open += i64::from(told.open);
        if (told.max, told.min) != (pool.max, pool.min) {
            wrong.push(format!("{} has max {} min {}", replica.name, told.max, told.min));
        }
        if told.open < pool.min {
            wrong.push(format!("{} keeps only {} of {} ready", replica.name, told.open, pool.min));
        }
    }
    let (current, available) = connections_of(subject).await?;
    let expected = format!("pools of max {} min {}, {least} to {most} connections", pool.max, pool.min);
    let mut observed = format!(
        "{current} connections, {open} of them in the pools of {}",
        counted(subject.replicas.len(), "replica")
    );
    let total = float::from_i64(current + available);
    if total > 0.0 && float::from_i64(replicas * i64::from(pool.max)) > total * NEAR {
        observed.push_str(&format!("; full pools would come near the {total} that the server allows"));
    }
    if !wrong.is_empty() {
        observed.push_str(&format!("; {}", wrong.join(", ")));
    }
    let good = wrong.is_empty() && (least..=most).contains(&current);
    let finding = Finding::of(good, expected, observed).with("current", current).with("available", available);
    Ok(finding.with("pool_open", open).with("replicas", replicas))
}

/// The pool of a replica once it keeps its minimum ready, or as it is when it does not in time: the driver opens these
/// connections in the background.
async fn filled(admin: &str, min: u32) -> Result<PoolStatus> {
    let until = Instant::now() + FILLED;
    loop {
        let pool = statusz(admin).await?.mongodb.context("the replica has no pool: it is a front")?.pool;
        if pool.open >= min || Instant::now() > until {
            return Ok(pool);
        }
        // The pool gives no event to those outside.
        tokio::time::sleep(LOOK).await;
    }
}

async fn connections_of(subject: &Subject) -> Result<(i64, i64)> {
    let ask = async {
        let options = ClientOptions::parse(subject.mongodb_uri.reveal()).await;
        let client = client(options.context("invalid MongoDB URI")?)?;
        let counted = connections(&client).await;
        client.shutdown().immediate(true).await;
        counted
    };
    tokio::time::timeout(LIMIT, ask)
        .await
        .with_context(|| format!("MongoDB gave no answer within {}s", LIMIT.as_secs()))?
}

/// A client with one connection besides those that watch the server, under the name of this check.
pub(super) fn client(mut options: ClientOptions) -> Result<Client> {
    options.server_selection_timeout = Some(LIMIT);
    options.app_name = Some("appforge verify".into());
    (options.max_pool_size, options.min_pool_size) = (Some(1), None);
    Ok(Client::with_options(options)?)
}

/// The connections that the server has, and those that it allows besides.
pub(super) async fn connections(client: &Client) -> Result<(i64, i64)> {
    let status = client.database("admin").run_command(doc! {"serverStatus": 1}).await;
    let status = status.context("MongoDB did not return its status")?;
    let connections = status.get_document("connections").context("the status has no connections")?;
    let number = |key: &str| -> Result<i64> {
        let value = connections.get(key).with_context(|| format!("the status has no `{key}`"))?;
        let whole = value.as_i32().map(i64::from).or(value.as_i64());
        whole
            .or(value.as_f64().and_then(|number| i64::try_from(float::to_u64(number)).ok()))
            .with_context(|| format!("`{key}` is not a number"))
    };
    Ok((number("current")?, number("available")?))
}
