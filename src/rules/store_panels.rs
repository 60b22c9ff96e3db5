//! Panels of the stores.

use super::facts::{Facts, Feature};
use super::panel::{Panel, Unit, lines, percentile, query, rate};

/// What replicas see of the stores, and what those report of themselves.
pub(super) fn panels(facts: &Facts) -> Vec<Panel> {
    [mongodb(facts), redis(facts)].concat()
}

fn mongodb(facts: &Facts) -> Vec<Panel> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    let bundled = |panel| Panel { needs: &[Feature::Bundled], ..panel };
    let server = |panel| Panel { needs: &[Feature::Mongodb], ..panel };
    vec![
        bundled(lines(
            "MongoDB",
            "Pool",
            Unit::Count,
            "connections in use, open, and at most, over all replicas",
            vec![
                query(format!("sum(mongodb_pool_in_use_connections{{{service}}})"), "in use"),
                query(format!("sum(mongodb_pool_open_connections{{{service}}})"), "open"),
                query(format!("sum(mongodb_pool_max_connections{{{service}}})"), "at most"),
            ],
        )),
        bundled(lines(
            "MongoDB",
            "Wait for a connection",
            Unit::Seconds,
            "how long operations wait for a connection (p99)",
            vec![query(percentile("0.99", "mongodb_pool_checkout_seconds", &service), "p99")],
        )),
        bundled(lines(
            "MongoDB",
            "Queue and failures",
            Unit::Count,
            "operations that wait for a connection, and those a second that got none",
            vec![
                query(format!("sum(mongodb_pool_wait_queue{{{service}}})"), "waiting"),
                query(rate("mongodb_pool_checkout_failures_total", &service, "reason"), "failed, {{reason}}"),
            ],
        )),
        bundled(lines(
            "MongoDB",
            "Operations",
            Unit::PerSecond,
            "operations a second",
            vec![query(
                rate("mongodb_operation_seconds_count", &service, "operation, outcome"),
                "{{operation}}, {{outcome}}",
            )],
        )),
        bundled(lines(
            "MongoDB",
            "Duration of operations",
            Unit::Seconds,
            "from an operation to its result (p99), with the wait for a connection",
            vec![query(
                format!(
                    "histogram_quantile(0.99, {})",
                    rate("mongodb_operation_seconds_bucket", &service, "le, operation")
                ),
                "{{operation}}",
            )],
        )),
        server(lines(
            "MongoDB",
            "Connections of the server",
            Unit::Count,
            "connections in use and available",
            vec![query(
                format!("sum by (state) (mongodb_connections{{{stack},state=~\"current|available\"}})"),
                "{{state}}",
            )],
        )),
        server(lines(
            "MongoDB",
            "Operations of the server",
            Unit::PerSecond,
            "operations a second of all clients",
            vec![query(rate("mongodb_op_counters_total", &stack, "type"), "{{type}}")],
        )),
    ]
}

fn redis(facts: &Facts) -> Vec<Panel> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    let server = |panel| Panel { needs: &[Feature::Redis], ..panel };
    let bundled = |panel| Panel { needs: &[Feature::Bundled], ..panel };
    vec![
        bundled(lines(
            "Redis",
            "Cache hit rate",
            Unit::Share,
            "the share of reads that the cache answers; Redis' own hit rate also counts the rate limit's look-ups",
            vec![query(format!("appforge:cache_hits:ratio_rate5m{{{stack}}}"), "hits")],
        )),
        bundled(lines(
            "Redis",
            "Duration of cache look-ups",
            Unit::Seconds,
            "from a look-up to the reply of Redis (p99)",
            vec![query(percentile("0.99", "cache_lookup_seconds", &service), "p99")],
        )),
        server(lines(
            "Redis",
            "Memory",
            Unit::Bytes,
            "memory in use, and the most",
            vec![
                query(format!("redis_memory_used_bytes{{{stack}}}"), "in use"),
                query(format!("redis_memory_max_bytes{{{stack}}}"), "at most"),
            ],
        )),
        server(lines(
            "Redis",
            "Evicted and expired",
            Unit::PerSecond,
            "keys a second that were evicted for room, and that expired",
            vec![
                query(rate("redis_evicted_keys_total", &stack, "stack"), "evicted"),
                query(rate("redis_expired_keys_total", &stack, "stack"), "expired"),
            ],
        )),
        server(lines(
            "Redis",
            "Clients",
            Unit::Count,
            "connected clients",
            vec![query(format!("redis_connected_clients{{{stack}}}"), "connected")],
        )),
        server(lines(
            "Redis",
            "Commands",
            Unit::PerSecond,
            "commands a second",
            vec![query(rate("redis_commands_processed_total", &stack, "stack"), "commands")],
        )),
    ]
}
