//! Panels of what users get and of what replicas use.

use super::facts::{Facts, Feature, le, shown};
use super::panel::{Drawing, Panel, Unit, lines, percentile, query, rate};

/// What users get.
pub(super) fn panels(facts: &Facts) -> Vec<Panel> {
    [now(facts), requests(facts), limiter(facts)].concat()
}

fn now(facts: &Facts) -> Vec<Panel> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    let number = |title, unit, description: &str, expression: String| Panel {
        drawing: Drawing::Number,
        ..lines("Now", title, unit, description, vec![query(expression, "now")])
    };
    let slow = |name: &str, threshold| {
        format!(
            "the share of requests of the last 5 minutes that took longer than {} ({name})",
            shown(threshold)
        )
    };
    let failed = format!("sum(increase(http_requests_total{{{service},status=~\"5..\"}}[30d]))");
    let real = format!("sum(increase(http_requests_total{{{service},status!=\"429\"}}[30d]))");
    vec![
        number(
            "Requests",
            Unit::PerSecond,
            "answered requests a second, refusals included",
            rate("http_requests_total", &service, "stack"),
        ),
        Panel {
            limit: Some(facts.error_rate),
            ..number(
                "Failed",
                Unit::Share,
                "the share of requests of the last 5 minutes that failed (5xx); refusals do not count",
                format!("appforge:http_failed:ratio_rate5m{{{stack}}}"),
            )
        },
        Panel {
            limit: Some(0.05),
            ..number(
                "Slow (p95)",
                Unit::Share,
                &slow("at most 5 %", facts.p95),
                format!("appforge:http_slow_p95:ratio_rate5m{{{stack}}}"),
            )
        },
        Panel {
            limit: Some(0.01),
            ..number(
                "Slow (p99)",
                Unit::Share,
                &slow("at most 1 %", facts.p99),
                format!("appforge:http_slow_p99:ratio_rate5m{{{stack}}}"),
            )
        },
        Panel {
            needs: &[Feature::RateLimit],
            ..number(
                "Refused",
                Unit::PerSecond,
                "requests a second that exceed the rate limit (429)",
                rate("http_requests_total", &format!("{service},status=\"429\""), "stack"),
            )
        },
        number("Replicas", Unit::Count, "replicas that answer", format!("count(up{{{service}}} == 1)")),
        number(
            "Budget left",
            Unit::Share,
            "the share of the failures that the error rate allows in 30 days, and that did not happen",
            format!("1 - ({failed} / {real}) / {}", facts.error_rate),
        ),
        Panel {
            limit: Some(1.0),
            ..number(
                "Alerts",
                Unit::Count,
                "alerts that fire, but for information and the watchdog",
                format!(
                    "count(ALERTS{{{stack},alertstate=\"firing\",severity=~\"critical|warning\"}}) or vector(0)"
                ),
            )
        },
    ]
}

fn requests(facts: &Facts) -> Vec<Panel> {
    let service = facts.of_service();
    let counted = format!("{service},outcome!=\"limited\"");
    let durations = "http_request_duration_seconds";
    vec![
        lines(
            "Requests",
            "By status",
            Unit::PerSecond,
            "answered requests a second, by status",
            vec![query(rate("http_requests_total", &service, "status"), "{{status}}")],
        ),
        lines(
            "Requests",
            "By route",
            Unit::PerSecond,
            "answered requests a second, by route",
            vec![query(rate("http_requests_total", &service, "route"), "{{route}}")],
        ),
        Panel {
            limit: Some(facts.p95.as_secs_f64()),
            ..lines(
                "Requests",
                "Duration",
                Unit::Seconds,
                &format!(
                    "from the head of a request to that of its answer, without refusals; p95 may be {}, p99 {}",
                    shown(facts.p95),
                    shown(facts.p99)
                ),
                vec![
                    query(percentile("0.5", durations, &counted), "p50"),
                    query(percentile("0.95", durations, &counted), "p95"),
                    query(percentile("0.99", durations, &counted), "p99"),
                ],
            )
        },
        lines(
            "Requests",
            "Failed and slow",
            Unit::Share,
            "the ratios that the alerts on budgets watch, over 5 minutes and 1 hour",
            vec![
                query(format!("appforge:http_failed:ratio_rate5m{{{}}}", facts.of_stack()), "failed, 5m"),
                query(format!("appforge:http_failed:ratio_rate1h{{{}}}", facts.of_stack()), "failed, 1h"),
                query(
                    format!("appforge:http_slow_p95:ratio_rate1h{{{}}}", facts.of_stack()),
                    &format!("slower than {} s, 1h", le(facts.p95)),
                ),
            ],
        ),
        lines(
            "Requests",
            "In flight and given up",
            Unit::Count,
            "requests being answered, and requests a second that their client gave up",
            vec![
                query(
                    format!(
                        "sum by (instance) (http_requests_in_flight{{{service},instance=~\"$instance\"}})"
                    ),
                    "in flight, {{instance}}",
                ),
                query(rate("http_requests_aborted_total", &service, "route"), "given up, {{route}}"),
            ],
        ),
    ]
}

fn limiter(facts: &Facts) -> Vec<Panel> {
    let service = facts.of_service();
    let needs: &[Feature] = &[Feature::RateLimit];
    let all = vec![
        lines(
            "Rate limit",
            "Decisions",
            Unit::PerSecond,
            "requests a second, by who decided: Redis, the replica's own table, or its share during an outage",
            vec![query(rate("ratelimit_decisions_total", &service, "outcome"), "{{outcome}}")],
        ),
        lines(
            "Rate limit",
            "Shared or local",
            Unit::Count,
            "replicas that count in Redis; the others count by themselves",
            vec![
                query(format!("sum(ratelimit_backend_up{{{service}}})"), "shared"),
                query(format!("count(ratelimit_backend_up{{{service}}} == 0) or vector(0)"), "local"),
            ],
        ),
        Panel {
            limit: Some(0.05),
            ..lines(
                "Rate limit",
                "Round trip to Redis",
                Unit::Seconds,
                "at 50 ms a replica counts by itself",
                vec![
                    query(percentile("0.5", "ratelimit_redis_rtt_seconds", &service), "p50"),
                    query(percentile("0.99", "ratelimit_redis_rtt_seconds", &service), "p99"),
                ],
            )
        },
        lines(
            "Rate limit",
            "Clients",
            Unit::Count,
            "clients in the table of each replica",
            vec![query(
                format!("sum by (instance) (ratelimit_tracked_keys{{{service},instance=~\"$instance\"}})"),
                "{{instance}}",
            )],
        ),
    ];
    all.into_iter().map(|panel| Panel { needs, ..panel }).collect()
}

/// What replicas and the gateway use.
pub(super) fn processes(facts: &Facts) -> Vec<Panel> {
    let (service, stack) = (facts.of_service(), facts.of_stack());
    let chosen = format!("{service},instance=~\"$instance\"");
    vec![
        lines(
            "Processes",
            "Memory",
            Unit::Bytes,
            "memory of each replica",
            vec![query(
                format!("sum by (instance) (process_resident_memory_bytes{{{chosen}}})"),
                "{{instance}}",
            )],
        ),
        lines(
            "Processes",
            "Processor",
            Unit::Cores,
            "processor time of each replica",
            vec![query(rate("process_cpu_seconds_total", &chosen, "instance"), "{{instance}}")],
        ),
        lines(
            "Processes",
            "Lag of the runtime",
            Unit::Seconds,
            "how late a timer fires (p99): requests wait as long",
            vec![query(percentile("0.99", "runtime_loop_lag_seconds", &chosen), "p99")],
        ),
        lines(
            "Processes",
            "Connections",
            Unit::Count,
            "open public connections of each replica",
            vec![query(format!("sum by (instance) (http_connections{{{chosen}}})"), "{{instance}}")],
        ),
        lines(
            "Processes",
            "Versions",
            Unit::Count,
            "replicas of each version",
            vec![query(format!("count by (version) (appforge_build_info{{{service}}})"), "{{version}}")],
        ),
        Panel {
            needs: &[Feature::Gateway],
            ..lines(
                "Gateway",
                "Requests",
                Unit::PerSecond,
                "requests a second that reach the gateway",
                vec![query(rate("haproxy_frontend_http_requests_total", &stack, "proxy"), "{{proxy}}")],
            )
        },
        Panel {
            needs: &[Feature::Gateway],
            ..lines(
                "Gateway",
                "Replicas in use",
                Unit::Count,
                "replicas that the gateway sends requests to",
                vec![query(
                    format!("sum by (proxy) (haproxy_backend_active_servers{{{stack}}})"),
                    "{{proxy}}",
                )],
            )
        },
    ]
}
