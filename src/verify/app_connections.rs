//! `mongodb-connections` of an app of the user's own: the server lists as many connections under the app's name as the pools of
//! its processes allow. What the app keeps to itself cannot be asked; what cannot apply is skipped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bson::{Document, doc};
use futures_util::TryStreamExt;
use mongodb::error::ErrorKind;
use mongodb::{Client, options::ClientOptions};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::mongodb::{LIMIT, NEAR, WATCHERS, client, connections};
use super::report::Finding;
use crate::float;
use crate::stack::Stack;
use crate::targets::subject::Subject;

/// How long an app may take to open its first connection, and its pools to keep their minimum ready.
const OPENED: Duration = Duration::from_secs(1);
const FILLED: Duration = Duration::from_secs(5);
/// A pause between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// The server's code for a user who may not see the connections of others.
const UNAUTHORIZED: i32 = 13;

/// The connections of the app by where they come from: the name of the replica on one machine, the address elsewhere.
type Seen = BTreeMap<(String, String), i64>;

/// What the server does not list, and why.
enum Listed {
    Seen(Seen),
    Refused(String),
}

pub(super) async fn check(stack: &Stack, subject: &Subject) -> Result<Finding> {
    let within = async {
        let options = ClientOptions::parse(subject.mongodb_uri.reveal()).await;
        let options = options.context("invalid MongoDB URI")?;
        let band = Band::of(stack, subject, &options)?;
        let client = client(options)?;
        let finding = look(&client, &band).await;
        client.shutdown().immediate(true).await;
        finding
    };
    tokio::time::timeout(LIMIT, within)
        .await
        .with_context(|| format!("MongoDB gave no answer within {}s", LIMIT.as_secs()))?
}

/// What the settings allow. Options of the user's own URI win over those of the stack.
struct Band {
    /// The names that connections of the app have.
    names: Vec<String>,
    replicas: i64,
    processes: i64,
    max: i64,
    min: i64,
}

impl Band {
    fn of(stack: &Stack, subject: &Subject, options: &ClientOptions) -> Result<Self> {
        let pool = stack.mongodb.pool;
        let given = subject.replicas.iter().map(|replica| format!("{}-{}", stack.name, replica.name));
        let names = match &options.app_name {
            Some(name) => vec![name.clone()],
            None => given.chain([stack.name.to_string()]).collect(),
        };
        // A file has no number where something else adds and removes replicas.
        let replicas = match &subject.autoscaler {
            Some(_) => i64::try_from(subject.replicas.len())?,
            None => i64::from(stack.service.replicas),
        };
        Ok(Self {
            names,
            replicas,
            processes: i64::from(stack.service.processes),
            max: i64::from(options.max_pool_size.unwrap_or(pool.max)),
            min: i64::from(options.min_pool_size.unwrap_or(pool.min)),
        })
    }

    fn most(&self) -> i64 {
        self.replicas * self.processes * (self.max + WATCHERS)
    }

    /// Drivers open a pool with the first operation: of each replica that is seen one process has.
    fn least(&self, seen: &Seen) -> i64 {
        i64::try_from(seen.len()).unwrap_or(i64::MAX).saturating_mul(self.min)
    }

    fn holds(&self, seen: &Seen) -> bool {
        (self.least(seen)..=self.most()).contains(&total(seen))
    }
}

async fn look(client: &Client, band: &Band) -> Result<Finding> {
    let began = Instant::now();
    let seen = loop {
        let seen = match list(client, &band.names).await? {
            Listed::Seen(seen) => seen,
            Listed::Refused(why) => return Ok(Finding::skipped(why)),
        };
        let limit = if seen.is_empty() { OPENED } else { FILLED };
        if (!seen.is_empty() && band.holds(&seen)) || began.elapsed() > limit {
            break seen;
        }
        // The server gives no event when a connection is opened.
        tokio::time::sleep(LOOK).await;
    };
    if seen.is_empty() {
        let names = band.names.join("`, `");
        let why = format!(
            "no connection with the appName `{names}`: the app has not used MongoDB yet, or not the address in MONGODB_URI"
        );
        return Ok(Finding::skipped(why));
    }
    let total = total(&seen);
    let (least, most) = (band.least(&seen), band.most());
    let expected = format!("pools of max {} min {}, {least} to {most} connections", band.max, band.min);
    let mut observed = format!("{total} connections of {} of {} replicas", seen.len(), band.replicas);
    // A user who may not ask for it does without the warning.
    if let Ok((current, available)) = connections(client).await {
        let allowed = float::from_i64(current + available);
        let full = float::from_i64(band.replicas * band.processes * band.max);
        if allowed > 0.0 && full > allowed * NEAR {
            observed.push_str(&format!("; full pools would come near the {allowed} that the server allows"));
        }
    }
    let by_origin: Map<String, Value> = seen
        .iter()
        .map(|((name, address), count)| (format!("{name} {address}").trim_end().to_owned(), json!(count)))
        .collect();
    let finding = Finding::of(band.holds(&seen), expected, observed).with("connections", by_origin);
    Ok(finding.with("replicas", band.replicas).with("processes", band.processes))
}

fn total(seen: &Seen) -> i64 {
    seen.values().sum()
}

async fn list(client: &Client, names: &[String]) -> Result<Listed> {
    // A user without the right to see all still sees its own connections, which are those of the app.
    for all_users in [true, false] {
        match list_of(client, names, all_users).await {
            Ok(seen) => return Ok(Listed::Seen(seen)),
            Err(error) => match *error.kind {
                ErrorKind::Command(ref refused) if all_users && refused.code == UNAUTHORIZED => {}
                ErrorKind::Command(ref refused) => {
                    let why = format!("the server does not list its connections ({})", refused.code_name);
                    return Ok(Listed::Refused(why));
                }
                _ => return Err(error).context("MongoDB did not list its connections"),
            },
        }
    }
    Ok(Listed::Refused("the server does not list its connections".to_owned()))
}

async fn list_of(client: &Client, names: &[String], all_users: bool) -> mongodb::error::Result<Seen> {
    let ask = doc! {"allUsers": all_users, "idleConnections": true, "idleSessions": false};
    let pipeline = [
        doc! {"$currentOp": ask},
        doc! {"$match": {"appName": {"$in": names}}},
        doc! {"$project": {"appName": 1, "client": 1, "client_s": 1}},
    ];
    let mut cursor = client.database("admin").aggregate(pipeline).await?;
    let mut seen = Seen::new();
    while let Some(connection) = cursor.try_next().await? {
        let name = connection.get_str("appName").unwrap_or_default().to_owned();
        *seen.entry((name, address(&connection))).or_default() += 1;
    }
    Ok(seen)
}

/// Where a connection comes from, without its port; `client_s` is what the router of a sharded cluster has.
fn address(connection: &Document) -> String {
    let text = connection.get_str("client").or_else(|_| connection.get_str("client_s")).unwrap_or_default();
    text.parse::<SocketAddr>().map_or_else(
        |_| text.rsplit_once(':').map_or(text, |(host, _)| host).to_owned(),
        |address| address.ip().to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(counts: &[i64]) -> Seen {
        let origin = |index: usize| ("shop".to_owned(), format!("10.0.0.{index}"));
        counts.iter().enumerate().map(|(index, count)| (origin(index), *count)).collect()
    }

    #[test]
    fn band_is_that_of_all_processes_and_of_replicas_that_use_mongodb() {
        let names = vec!["shop".to_owned()];
        let mut band = Band { names, replicas: 3, processes: 1, max: 50, min: 10 };
        assert!(band.holds(&seen(&[12, 12])) && band.holds(&seen(&[52, 52, 52])));
        assert!(!band.holds(&seen(&[12, 5])), "a pool keeps its minimum");
        assert!(!band.holds(&seen(&[53, 52, 52])));
        band.processes = 4;
        assert!(band.holds(&seen(&[208, 208, 208])) && !band.holds(&seen(&[209, 208, 208])));
    }

    #[test]
    fn connections_are_grouped_by_their_address_without_the_port() {
        for (document, expected) in [
            (doc! {"client": "10.0.0.7:51000"}, "10.0.0.7"),
            (doc! {"client": "[::1]:51000"}, "::1"),
            (doc! {"client_s": "host:51000"}, "host"),
            (doc! {}, ""),
        ] {
            assert_eq!(address(&document), expected);
        }
    }
}
