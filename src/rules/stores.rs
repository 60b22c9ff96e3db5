//! Redis, MongoDB, and what the service does with them.

use super::facts::{Facts, Feature, minutes};
use super::rule::{Recording, Rule, Runbook, Severity};

const REDIS: &[Feature] = &[Feature::Redis];
const MONGODB: &[Feature] = &[Feature::Mongodb];
const BUNDLED: &[Feature] = &[Feature::Bundled];

/// The share of reads that the cache answers. Redis' own hit rate also counts the look-ups of the rate limit.
pub(super) fn cache_hits(facts: &Facts) -> Recording {
    let service = facts.of_service();
    let reads = |outcome: &str| {
        format!("sum by (stack) (rate(cache_requests_total{{{service},outcome{outcome}}}[5m]))")
    };
    Recording {
        name: "appforge:cache_hits:ratio_rate5m".into(),
        expression: format!("{}\n/ {}", reads("=\"hit\""), reads("=~\"hit|miss\"")),
    }
}

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    [redis(facts), use_of_redis(facts), mongodb(facts), pool(facts), mongodb_server(facts)].concat()
}

fn redis(facts: &Facts) -> Vec<Rule> {
    let stack = facts.of_stack();
    vec![
        Rule {
            id: "AppforgeRedisDown",
            severity: Severity::Critical,
            hold: minutes(1),
            expression: format!("redis_up{{{stack}}} == 0"),
            labels: Vec::new(),
            needs: REDIS,
            condition: "Redis does not answer".into(),
            summary: "Redis of {{ $labels.stack }} does not answer".into(),
            next: "appforge logs redis --since 10m",
            runbook: Runbook {
                means: "Replicas count the rate limit by themselves and answer every read from MongoDB.",
                steps: &[
                    "`appforge status` and `appforge logs redis --since 10m`.",
                    "`appforge up` starts it when it has ended; the data stays.",
                ],
            },
        },
        Rule {
            id: "AppforgeRedisMemory",
            severity: Severity::Warning,
            hold: minutes(15),
            expression: format!(
                "redis_memory_used_bytes{{{stack}}} / (redis_memory_max_bytes{{{stack}}} > 0) > 0.9"
            ),
            labels: Vec::new(),
            needs: REDIS,
            condition: "Redis uses more than 90 % of its memory".into(),
            summary: "Redis of {{ $labels.stack }} uses {{ $value | humanizePercentage }} of its memory".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "At the limit, Redis evicts keys (`redis.eviction`) or refuses writes.",
                steps: &["Raise `redis.memory`, then `appforge up`."],
            },
        },
        Rule {
            id: "AppforgeRedisEvicts",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!("rate(redis_evicted_keys_total{{{stack}}}[5m]) > 0"),
            labels: Vec::new(),
            needs: REDIS,
            condition: "Redis evicts keys".into(),
            summary: "Redis of {{ $labels.stack }} evicts {{ $value | humanize }} keys a second; they may be counts of the rate limit".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Cached answers and counts of the rate limit share the memory; a client whose count was evicted starts over.",
                steps: &["Raise `redis.memory`, then `appforge up`."],
            },
        },
        Rule {
            id: "AppforgeRedisRefusesWrites",
            severity: Severity::Critical,
            hold: minutes(1),
            expression: format!(
                "redis_aof_last_write_status{{{stack}}} == 0\nor redis_aof_last_bgrewrite_status{{{stack}}} == 0\n\
                 or redis_rdb_last_bgsave_status{{{stack}}} == 0"
            ),
            labels: Vec::new(),
            needs: REDIS,
            condition: "Redis cannot write to its disk".into(),
            summary: "Redis of {{ $labels.stack }} cannot write to its disk".into(),
            next: "appforge logs redis --since 10m",
            runbook: Runbook {
                means: "The disk is full or broken. Redis refuses writes, and what it holds is lost with the next restart.",
                steps: &[
                    "`appforge logs redis --since 10m` names the error of the disk.",
                    "Make room, or raise `redis.storage` (kubernetes).",
                ],
            },
        },
        Rule {
            id: "AppforgeRedisConnections",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!(
                "redis_connected_clients{{{stack}}} / redis_max_clients{{{stack}}} > 0.8\n\
                 or increase(redis_rejected_connections_total{{{stack}}}[5m]) > 0"
            ),
            labels: Vec::new(),
            needs: REDIS,
            condition: "Redis runs out of connections".into(),
            summary: "Redis of {{ $labels.stack }} runs out of connections".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Each replica uses one connection; the others belong to your app or to another program.",
                steps: &["`CLIENT LIST` in Redis shows whose they are.", "Close what an app leaves open."],
            },
        },
    ]
}

fn use_of_redis(facts: &Facts) -> Vec<Rule> {
    let service = facts.of_service();
    vec![
        Rule {
            id: "AppforgeRedisSlow",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!(
                "histogram_quantile(0.99, sum by (stack, le) (rate(ratelimit_redis_rtt_seconds_bucket{{{service}}}[10m]))) > 0.02"
            ),
            labels: Vec::new(),
            needs: &[Feature::RateLimit],
            condition: "Redis takes more than 20 ms (p99) to answer replicas".into(),
            summary: "Redis answers {{ $labels.stack }} within {{ $value | humanizeDuration }} (p99); at 50 ms replicas count by themselves".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Each request waits for Redis. At 50 ms a replica stops waiting and counts the rate limit by itself.",
                steps: &[
                    "Give Redis a CPU for itself, and keep it in the same zone as the replicas.",
                    "`SLOWLOG GET` in Redis shows slow commands of other programs.",
                ],
            },
        },
        Rule {
            id: "AppforgeCacheMisses",
            severity: Severity::Info,
            hold: minutes(30),
            expression: format!(
                "appforge:cache_hits:ratio_rate5m{{{}}} < 0.5\nand on (stack) sum by (stack) (rate(cache_requests_total{{{service}}}[5m])) > 5",
                facts.of_stack()
            ),
            labels: Vec::new(),
            needs: BUNDLED,
            condition: "the cache answers less than 50 % of reads".into(),
            summary: "{{ $labels.stack }}: the cache answers {{ $value | humanizePercentage }} of reads".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Every write empties the cache, so many writes make few hits. Reads cost MongoDB more than they could.",
                steps: &["Compare writes with reads on the dashboard.", "`CACHE_TTL_MS` in `service.env`."],
            },
        },
    ]
}

fn mongodb(facts: &Facts) -> Vec<Rule> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    let bundled = facts.has(Feature::Bundled);
    vec![Rule {
        id: "AppforgeMongodbDown",
        severity: Severity::Critical,
        hold: minutes(1),
        // What replicas see is what users feel; before an app, only the exporter sees MongoDB.
        expression: if bundled {
            format!("max by (stack) (mongodb_client_up{{{service}}}) == 0")
        } else {
            format!("max by (stack) (mongodb_up{{{stack}}}) == 0")
        },
        labels: Vec::new(),
        needs: if bundled { BUNDLED } else { MONGODB },
        condition: "no replica reaches MongoDB".into(),
        summary: "MongoDB of {{ $labels.stack }} does not answer".into(),
        next: "appforge logs mongodb --since 10m",
        runbook: Runbook {
            means: "Reads that are not cached, and all writes, fail.",
            steps: &[
                "`appforge status` and `appforge logs mongodb --since 10m`.",
                "`appforge up` starts it when it has ended; the data stays.",
                "External: the console of its provider, and its list of allowed addresses.",
            ],
        },
    }]
}

fn pool(facts: &Facts) -> Vec<Rule> {
    let service = facts.of_service();
    vec![
        Rule {
            id: "AppforgePoolTimeouts",
            severity: Severity::Critical,
            hold: minutes(1),
            expression: format!(
                "sum by (stack) (increase(mongodb_pool_checkout_failures_total{{{service}}}[5m])) > 0"
            ),
            labels: Vec::new(),
            needs: BUNDLED,
            condition: "operations got no connection to MongoDB".into(),
            summary: "{{ $labels.stack }}: operations got no connection to MongoDB".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Requests failed because the pool was empty for too long, or because no connection could be made.",
                steps: &[
                    "The dashboard shows the reason: `timeout` is a pool that is too small or a MongoDB that is too slow.",
                    "`mongodb.pool.max`, but `appforge cost` shows the limit of the server.",
                ],
            },
        },
        Rule {
            id: "AppforgePoolSaturated",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!(
                "mongodb_pool_in_use_connections{{{service}}} / mongodb_pool_max_connections{{{service}}} > 0.9"
            ),
            labels: Vec::new(),
            needs: BUNDLED,
            condition: "a replica uses more than 90 % of its connections to MongoDB".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }} uses {{ $value | humanizePercentage }} of its connections to MongoDB".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "A little more load, and operations wait for a connection.",
                steps: &[
                    "Is MongoDB slow? The dashboard shows the time of its operations.",
                    "`mongodb.pool.max`, or `appforge scale --replicas N`.",
                ],
            },
        },
        Rule {
            id: "AppforgePoolQueue",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!("avg_over_time(mongodb_pool_wait_queue{{{service}}}[5m]) > 1"),
            labels: Vec::new(),
            needs: BUNDLED,
            condition: "operations wait for a connection to MongoDB".into(),
            summary: "{{ $labels.instance }} of {{ $labels.stack }}: operations that wait for a connection to MongoDB: {{ $value | humanize }}".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "Requests take longer by this wait.",
                steps: &["As for AppforgePoolSaturated."],
            },
        },
    ]
}

fn mongodb_server(facts: &Facts) -> Vec<Rule> {
    let stack = facts.of_stack();
    let connections = |state: &str| format!("mongodb_connections{{{stack},state=\"{state}\"}}");
    let (used, size) = (
        format!("mongodb_filesystem_used_bytes{{{stack}}}"),
        format!("mongodb_filesystem_size_bytes{{{stack}}}"),
    );
    vec![
        Rule {
            id: "AppforgeMongodbConnections",
            severity: Severity::Warning,
            hold: minutes(5),
            expression: format!(
                "{}\n/ ignoring (state) ({} + ignoring (state) {}) > 0.8",
                connections("current"),
                connections("current"),
                connections("available")
            ),
            labels: Vec::new(),
            needs: MONGODB,
            condition: "more than 80 % of MongoDB's connections are in use".into(),
            summary: "MongoDB of {{ $labels.stack }} has {{ $value | humanizePercentage }} of its connections in use".into(),
            next: "appforge verify --check mongodb-connections",
            runbook: Runbook {
                means: "At the limit, MongoDB refuses further connections: replicas that start find none.",
                steps: &[
                    "`appforge verify --check mongodb-connections`: whose are they?",
                    "Lower `mongodb.pool.max`, or use a larger server.",
                ],
            },
        },
        Rule {
            id: "AppforgeMongodbCacheDirty",
            severity: Severity::Warning,
            hold: minutes(10),
            expression: format!(
                "mongodb_mongod_wiredtiger_cache_bytes{{{stack},type=\"dirty\"}}\n\
                 / ignoring (type) mongodb_mongod_wiredtiger_cache_max_bytes{{{stack}}} > 0.2"
            ),
            labels: Vec::new(),
            needs: MONGODB,
            condition: "more than 20 % of MongoDB's cache waits to be written".into(),
            summary: "MongoDB of {{ $labels.stack }} receives writes faster than its disk takes them".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "At 20 % MongoDB makes operations wait until it has written.",
                steps: &["Use a faster disk, or more memory.", "Write less at once."],
            },
        },
        Rule {
            id: "AppforgeMongodbDiskFull",
            severity: Severity::Warning,
            hold: minutes(60),
            expression: format!("{used} / {size} > 0.85\nand predict_linear({used}[6h], 3 * 86400) > {size}"),
            labels: Vec::new(),
            needs: MONGODB,
            condition: "MongoDB's disk is 85 % full and fills up within 3 days".into(),
            summary: "the disk of MongoDB of {{ $labels.stack }} is {{ $value | humanizePercentage }} full and fills up within 3 days".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "A MongoDB without room on its disk ends, and does not start again.",
                steps: &["Raise `mongodb.storage` (kubernetes), or enlarge the disk.", "Remove what is not needed."],
            },
        },
        Rule {
            id: "AppforgeMongodbDiskAlmostFull",
            severity: Severity::Critical,
            hold: minutes(5),
            expression: format!("{used} / {size} > 0.95"),
            labels: Vec::new(),
            needs: MONGODB,
            condition: "MongoDB's disk is 95 % full".into(),
            summary: "the disk of MongoDB of {{ $labels.stack }} is {{ $value | humanizePercentage }} full".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "MongoDB ends when its disk is full, and does not start again.",
                steps: &["As for AppforgeMongodbDiskFull, now."],
            },
        },
    ]
}
