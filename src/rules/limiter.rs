//! The rate limit: whether it is shared, and whom it refuses.

use std::time::Duration;

use super::facts::{Facts, Feature, minutes};
use super::rule::{Rule, Runbook, Severity};

const NEEDS: &[Feature] = &[Feature::RateLimit];

pub(super) fn rules(facts: &Facts) -> Vec<Rule> {
    [sharing(facts), clients(facts)].concat()
}

fn sharing(facts: &Facts) -> Vec<Rule> {
    let service = facts.of_service();
    vec![
        Rule {
            id: "AppforgeLimitNotShared",
            severity: Severity::Warning,
            hold: minutes(1),
            expression: format!("sum by (stack) (1 - ratelimit_backend_up{{{service}}}) > 0"),
            labels: Vec::new(),
            needs: NEEDS,
            condition: "a replica counts the rate limit by itself".into(),
            summary: "{{ $labels.stack }}: replicas that count the rate limit by themselves: {{ $value }}".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "The replica does not reach Redis, or waits for it longer than 50 ms. Until then each replica allows its share of the limit \
                        (`rate_limit.on_redis_failure`).",
                steps: &[
                    "`appforge status`: is Redis up, and for which replica not?",
                    "`appforge logs redis --since 10m`.",
                    "Slow instead of down: give Redis a CPU for itself.",
                ],
            },
        },
        Rule {
            id: "AppforgeLimitFlaps",
            severity: Severity::Warning,
            hold: Duration::ZERO,
            expression: format!(
                "sum by (stack) (increase(ratelimit_backend_transitions_total{{{service}}}[15m])) > 6"
            ),
            labels: Vec::new(),
            needs: NEEDS,
            condition: "replicas switch between the shared and the local count".into(),
            summary: "{{ $labels.stack }}: the shared count came and went {{ $value | humanize }} times in 15 minutes".into(),
            next: "appforge logs service --since 15m",
            runbook: Runbook {
                means: "Redis answers, but not always within 50 ms: its CPU, its disk or the network is at a limit.",
                steps: &[
                    "Compare the round trip to Redis on the dashboard with its line at 50 ms.",
                    "Give Redis a CPU for itself, and a disk that keeps up with `redis.persistence`.",
                ],
            },
        },
        Rule {
            id: "AppforgeLimitLostCounts",
            severity: Severity::Warning,
            hold: Duration::ZERO,
            expression: format!(
                "sum by (stack) (increase(ratelimit_window_lost_total{{{service}}}[10m]) + increase(ratelimit_counts_regressed_total{{{service}}}[10m])) > 0"
            ),
            labels: Vec::new(),
            needs: NEEDS,
            condition: "Redis lost counts of the rate limit".into(),
            summary: "{{ $labels.stack }}: Redis lost counts of the rate limit".into(),
            next: "appforge logs redis --since 15m",
            runbook: Runbook {
                means: "Keys went while Redis was up: `FLUSHALL`, an eviction, a `DEL`, or a failover that had not replicated them. Replicas restore \
                        what they counted themselves.",
                steps: &[
                    "Does AppforgeRedisEvicts fire? Then raise `redis.memory`.",
                    "Is another program using the same Redis?",
                ],
            },
        },
    ]
}

fn clients(facts: &Facts) -> Vec<Rule> {
    let service = facts.of_service();
    let requests = |more: &str| format!("sum by (stack) (rate(http_requests_total{{{service}{more}}}[10m]))");
    let sources = |more: &str| {
        format!("sum by (stack) (rate(ratelimit_client_ip_source_total{{{service}{more}}}[10m]))")
    };
    let refused = requests(",status=\"429\"");
    vec![
        Rule {
            id: "AppforgeManyRefused",
            severity: Severity::Info,
            hold: minutes(10),
            expression: format!("{refused}\n/ {} > 0.25\nand on (stack) {refused} > 1", requests("")),
            labels: Vec::new(),
            needs: NEEDS,
            condition: "more than 25 % of requests exceed the rate limit".into(),
            summary: "{{ $labels.stack }}: the rate limit refuses {{ $value | humanizePercentage }} of requests".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "A few clients send too much, or the limit is too low for all of them, or all clients share one address because a proxy is \
                        not trusted.",
                steps: &[
                    "`appforge verify --check rate-limit`.",
                    "Behind a load balancer or a CDN: `rate_limit.trusted_proxies`.",
                    "`rate_limit.requests` and `rate_limit.window`.",
                ],
            },
        },
        Rule {
            id: "AppforgeClientAddressesBad",
            severity: Severity::Warning,
            hold: minutes(15),
            expression: format!("{}\n/ {} > 0.01", sources(",source=~\"bad|short\""), sources("")),
            labels: Vec::new(),
            needs: NEEDS,
            condition: "more than 1 % of requests carry no usable client address".into(),
            summary: "{{ $labels.stack }}: {{ $value | humanizePercentage }} of requests carry no usable client address".into(),
            next: "appforge status",
            runbook: Runbook {
                means: "A trusted proxy sends a malformed or incomplete `X-Forwarded-For`; its clients share one budget.",
                steps: &[
                    "Does each proxy append the address of its client to `X-Forwarded-For`?",
                    "Does `rate_limit.trusted_proxies` list proxies only?",
                ],
            },
        },
    ]
}
