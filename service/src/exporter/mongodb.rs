//! MongoDB, under the names of the exporter that is usual for it (Percona's, in its compatible mode), from `serverStatus`. The disk, from
//! `dbStats`, has names of this project.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, Database};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::sample::{Labels, Samples};
use crate::mongodb::describe;

/// The database, when neither the settings nor the URI name one.
const DATABASE: &str = "appforge";
/// Most connections of the exporter; one is for the driver's own checks.
const MOST_CONNECTIONS: u32 = 2;
/// The unit of `serverStatus.mem`.
const MEBIBYTE: f64 = 1_048_576.0;

/// Where MongoDB is.
pub(super) struct Mongodb {
    uri: String,
    database: Option<String>,
    client: OnceCell<Client>,
}

impl Mongodb {
    pub(super) fn new(uri: String, database: Option<String>) -> Self {
        Self { uri, database, client: OnceCell::new() }
    }

    /// What MongoDB reports within `limit`; `mongodb_up 0` alone when it does not answer.
    pub(super) async fn measure(&self, limit: Duration) -> Samples {
        let measured = match timeout(limit, self.ask(limit)).await {
            Ok(Ok(samples)) => samples,
            Ok(Err(error)) => {
                tracing::warn!("MongoDB cannot be measured: {}", describe(&error));
                return up(false);
            }
            Err(_) => {
                tracing::warn!("MongoDB cannot be measured: no answer within {limit:?}");
                return up(false);
            }
        };
        let mut samples = up(true);
        samples.extend(measured);
        samples
    }

    async fn ask(&self, limit: Duration) -> mongodb::error::Result<Samples> {
        let client = self.client.get_or_try_init(|| connect(&self.uri, limit)).await?;
        client.database("admin").run_command(doc! {"ping": 1}).await?;
        // A user that may not run these still proves that the server answers.
        let status = client.database("admin").run_command(doc! {"serverStatus": 1}).await;
        let disk = self.database(client).run_command(doc! {"dbStats": 1}).await;
        let mut samples = Samples::default();
        for (command, reply) in [("serverStatus", &status), ("dbStats", &disk)] {
            if let Err(error) = reply {
                tracing::debug!("`{command}` failed: {}", describe(error));
            }
        }
        if let Ok(status) = status {
            samples.extend(of_status(&status));
        }
        if let Ok(disk) = disk {
            samples.extend(of_disk(&disk));
        }
        Ok(samples)
    }

    fn database(&self, client: &Client) -> Database {
        match (&self.database, client.default_database()) {
            (Some(name), _) => client.database(name),
            (None, Some(database)) => database,
            (None, None) => client.database(DATABASE),
        }
    }
}

/// Reading a `mongodb+srv` URI asks the DNS, which may be away: the next scrape tries again.
async fn connect(uri: &str, limit: Duration) -> mongodb::error::Result<Client> {
    let mut options = ClientOptions::parse(uri).await?;
    options.app_name = Some("appforge exporter".to_owned());
    options.max_pool_size = Some(MOST_CONNECTIONS);
    options.min_pool_size = None;
    options.server_selection_timeout = Some(limit);
    options.connect_timeout = Some(limit);
    Client::with_options(options)
}

fn up(is_up: bool) -> Samples {
    let mut samples = Samples::default();
    samples.gauge("mongodb_up", "Whether MongoDB answers the exporter", Some(f64::from(u8::from(is_up))));
    samples
}

/// A number at a path of a document, whatever its type.
fn number(document: &Document, path: &[&str]) -> Option<f64> {
    let (last, folders) = path.split_last()?;
    let mut document = document;
    for folder in folders {
        document = document.get_document(folder).ok()?;
    }
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
    match document.get(last)? {
        Bson::Int32(value) => Some(f64::from(*value)),
        Bson::Int64(value) => Some(*value as f64),
        Bson::Double(value) => Some(*value),
        _ => None,
    }
}

/// A series for each field that the server has, labelled by `label`.
fn fields<'a>(
    status: &'a Document,
    section: &'a [&'a str],
    label: &'static str,
    names: &'a [(&'static str, &'static str)],
) -> impl Iterator<Item = (Labels, f64)> + 'a {
    names.iter().filter_map(move |(field, value)| {
        let path: Vec<&str> = section.iter().copied().chain([*field]).collect();
        Some((vec![(label, (*value).to_owned())], number(status, &path)?))
    })
}

fn of_status(status: &Document) -> Samples {
    let mut samples = Samples::default();
    samples.gauge("mongodb_instance_uptime_seconds", "Seconds since the start", number(status, &["uptime"]));
    let states = [("current", "current"), ("available", "available"), ("active", "active")];
    samples.gauges("mongodb_connections", "Connections", fields(status, &["connections"], "state", &states));
    let created = number(status, &["connections", "totalCreated"]);
    samples.counter("mongodb_connections_metrics_created", "Connections since the start", created);
    let kinds = ["insert", "query", "update", "delete", "getmore", "command"].map(|kind| (kind, kind));
    samples.counters("mongodb_op_counters", "Operations", fields(status, &["opcounters"], "type", &kinds));
    let asserts = ["regular", "warning", "msg", "user", "rollovers"].map(|kind| (kind, kind));
    samples.counters("mongodb_asserts", "Assertions", fields(status, &["asserts"], "type", &asserts));
    let bytes = [("bytesIn", "in_bytes"), ("bytesOut", "out_bytes")];
    samples.counters("mongodb_network_bytes", "Bytes", fields(status, &["network"], "state", &bytes));
    let requests = number(status, &["network", "numRequests"]);
    samples.counter("mongodb_network_metrics_num_requests", "Requests", requests);
    for (field, name, help) in [
        ("resident", "mongodb_memory_resident_bytes", "Memory of the process"),
        ("virtual", "mongodb_memory_virtual_bytes", "Addressed memory"),
    ] {
        samples.gauge(name, help, number(status, &["mem", field]).map(|mebibytes| mebibytes * MEBIBYTE));
    }
    let cache: &[&str] = &["wiredTiger", "cache"];
    let parts = [("bytes currently in the cache", "total"), ("tracked dirty bytes in the cache", "dirty")];
    samples.gauges(
        "mongodb_mongod_wiredtiger_cache_bytes",
        "Bytes in the cache",
        fields(status, cache, "type", &parts),
    );
    let most = number(status, &["wiredTiger", "cache", "maximum bytes configured"]);
    samples.gauge("mongodb_mongod_wiredtiger_cache_max_bytes", "Most bytes in the cache", most);
    if let Ok(version) = status.get_str("version") {
        let about = vec![("mongodb", version.to_owned())];
        samples.gauges("mongodb_version_info", "What runs", [(about, 1.0)]);
    }
    samples
}

fn of_disk(stats: &Document) -> Samples {
    let mut samples = Samples::default();
    for (field, name, help) in [
        ("fsUsedSize", "mongodb_filesystem_used_bytes", "Bytes in use on the disk"),
        ("fsTotalSize", "mongodb_filesystem_size_bytes", "Bytes of the disk"),
        ("dataSize", "mongodb_database_data_bytes", "Bytes of the documents"),
        ("storageSize", "mongodb_database_storage_bytes", "Bytes of the collections on the disk"),
        ("indexSize", "mongodb_database_index_bytes", "Bytes of the indexes"),
    ] {
        samples.gauge(name, help, number(stats, &[field]));
    }
    samples
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::Exposition;

    fn text(samples: Samples) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(samples));
        Exposition::Prometheus.encode(&registry)
    }

    #[test]
    fn fields_that_a_server_lacks_have_no_series() {
        let status = doc! {
            "connections": {"current": 7_i32, "available": 800_i64}, "opcounters": {"query": 5_i64},
            "wiredTiger": {"cache": {"maximum bytes configured": 1e9, "tracked dirty bytes in the cache": 12_i64}},
            "mem": {"resident": 2_i32},
        };
        let text = text(of_status(&status));
        for line in [
            "mongodb_connections{state=\"current\"} 7",
            "mongodb_connections{state=\"available\"} 800",
            "mongodb_op_counters_total{type=\"query\"} 5",
            "mongodb_mongod_wiredtiger_cache_bytes{type=\"dirty\"} 12",
            "mongodb_mongod_wiredtiger_cache_max_bytes 1000000000",
            "mongodb_memory_resident_bytes 2097152",
        ] {
            assert!(text.contains(&format!("\n{line}")), "{line}: {text}");
        }
        assert!(!text.contains("asserts") && !text.contains("active") && !text.contains("insert"), "{text}");
    }

    #[test]
    fn disk_is_left_out_when_the_server_does_not_report_it() {
        assert_eq!(of_disk(&doc! {"ok": 1.0}), Samples::default());
        let text = text(of_disk(&doc! {"fsUsedSize": 3e9, "fsTotalSize": 1e10}));
        assert!(text.contains("mongodb_filesystem_used_bytes 3000000000"), "{text}");
    }
}
