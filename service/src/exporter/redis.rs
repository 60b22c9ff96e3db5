//! Redis, under the names of the exporter that is usual for it (oliver006/redis_exporter), from `INFO`.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::cmd;

use super::sample::Samples;
use crate::redis::connect;

/// Field of `INFO`, metric, help.
type Row = (&'static str, &'static str, &'static str);

const GAUGES: [Row; 16] = [
    ("uptime_in_seconds", "redis_uptime_in_seconds", "Seconds since the start"),
    ("connected_clients", "redis_connected_clients", "Connected clients"),
    ("blocked_clients", "redis_blocked_clients", "Clients that wait for a key"),
    ("maxclients", "redis_max_clients", "Most clients"),
    ("used_memory", "redis_memory_used_bytes", "Memory in use"),
    ("used_memory_rss", "redis_memory_used_rss_bytes", "Memory of the process"),
    ("maxmemory", "redis_memory_max_bytes", "Most memory; 0 means unlimited"),
    ("mem_fragmentation_ratio", "redis_mem_fragmentation_ratio", "Memory of the process by memory in use"),
    ("aof_enabled", "redis_aof_enabled", "Whether writes are appended to a file"),
    ("rdb_changes_since_last_save", "redis_rdb_changes_since_last_save", "Changes since the last snapshot"),
    (
        "rdb_last_save_time",
        "redis_rdb_last_save_timestamp_seconds",
        "When the last snapshot was made, since 1970",
    ),
    ("loading", "redis_loading_dump_file", "Whether the data are being read"),
    ("connected_slaves", "redis_connected_slaves", "Replicas that follow this server"),
    ("master_repl_offset", "redis_master_repl_offset", "Bytes of the replication stream"),
    ("instantaneous_ops_per_sec", "redis_instantaneous_ops_per_sec", "Commands a second"),
    ("slowlog_length", "redis_slowlog_length", "Entries of the slow log"),
];

const COUNTERS: [Row; 11] = [
    ("total_connections_received", "redis_connections_received", "Connections since the start"),
    ("rejected_connections", "redis_rejected_connections", "Connections that were refused at the limit"),
    ("total_commands_processed", "redis_commands_processed", "Commands since the start"),
    ("expired_keys", "redis_expired_keys", "Keys that expired"),
    ("evicted_keys", "redis_evicted_keys", "Keys that were evicted for room"),
    ("keyspace_hits", "redis_keyspace_hits", "Look-ups that found a key"),
    ("keyspace_misses", "redis_keyspace_misses", "Look-ups that found none"),
    ("total_net_input_bytes", "redis_net_input_bytes", "Bytes received"),
    ("total_net_output_bytes", "redis_net_output_bytes", "Bytes sent"),
    ("used_cpu_sys", "redis_cpu_sys_seconds", "Processor time of the system"),
    ("used_cpu_user", "redis_cpu_user_seconds", "Processor time of the program"),
];

/// Fields that are `ok` or not.
const STATUSES: [Row; 3] = [
    ("aof_last_write_status", "redis_aof_last_write_status", "Whether the last write to the file succeeded"),
    (
        "aof_last_bgrewrite_status",
        "redis_aof_last_bgrewrite_status",
        "Whether the last rewrite of the file succeeded",
    ),
    ("rdb_last_bgsave_status", "redis_rdb_last_bgsave_status", "Whether the last snapshot succeeded"),
];

/// What Redis reports within `limit`; `redis_up 0` alone when it does not answer.
pub(super) async fn measure(url: &str, limit: Duration) -> Samples {
    let info = match tokio::time::timeout(limit, info(url, limit)).await {
        Ok(Ok(info)) => info,
        Ok(Err(why)) => {
            tracing::warn!("Redis cannot be measured: {why}");
            return up(false);
        }
        Err(_) => {
            tracing::warn!("Redis cannot be measured: no answer within {limit:?}");
            return up(false);
        }
    };
    let mut samples = up(true);
    samples.extend(samples_of(&info));
    samples
}

fn up(is_up: bool) -> Samples {
    let mut samples = Samples::default();
    samples.gauge("redis_up", "Whether Redis answers the exporter", Some(f64::from(u8::from(is_up))));
    samples
}

/// # Errors
/// Why Redis does not answer, without credentials.
async fn info(url: &str, limit: Duration) -> Result<String, String> {
    let mut connection = connect(url, limit).await?;
    let info = cmd("INFO").query_async::<String>(&mut connection).await;
    info.map_err(|error| format!("`INFO` failed ({:?})", error.kind()))
}

fn samples_of(info: &str) -> Samples {
    let fields: BTreeMap<&str, &str> =
        info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let number = |field: &str| fields.get(field).and_then(|value| value.parse::<f64>().ok());
    let mut samples = Samples::default();
    for (field, name, help) in GAUGES {
        samples.gauge(name, help, number(field));
    }
    for (field, name, help) in COUNTERS {
        samples.counter(name, help, number(field));
    }
    for (field, name, help) in STATUSES {
        let value = fields.get(field).map(|value| f64::from(u8::from(*value == "ok")));
        samples.gauge(name, help, value);
    }
    let link = fields.get("master_link_status").map(|value| f64::from(u8::from(*value == "up")));
    samples.gauge("redis_master_link_up", "Whether this replica reaches its master", link);
    let databases = || fields.iter().filter(|(name, _)| is_database(name));
    // `db0:keys=1,expires=0,avg_ttl=0`
    let of = |key: &'static str| {
        databases().filter_map(move |(name, value)| {
            let value = value.split(',').find_map(|part| part.strip_prefix(key)?.strip_prefix('='))?;
            Some((vec![("db", (*name).to_owned())], value.parse().ok()?))
        })
    };
    samples.gauges("redis_db_keys", "Keys", of("keys"));
    samples.gauges("redis_db_keys_expiring", "Keys that expire", of("expires"));
    let text = |field: &str| fields.get(field).map_or_else(String::new, |value| (*value).to_owned());
    let about = vec![
        ("redis_version", text("redis_version")),
        ("redis_mode", text("redis_mode")),
        ("role", text("role")),
        ("maxmemory_policy", text("maxmemory_policy")),
    ];
    samples.gauges("redis_instance_info", "What runs", [(about, 1.0)]);
    samples
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit()))
}
