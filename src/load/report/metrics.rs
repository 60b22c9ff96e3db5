//! The metrics of a run under k6's names, in k6's units, in k6's order.

use serde_json::{Map, Value, json};

use crate::float;
use crate::load::connection::ErrorKind;
use crate::load::generator::Measured;
use crate::load::histogram::Latencies;
use crate::load::scenario::{Model, Scenario};
use crate::load::units::{in_ms, rounded};

pub(super) fn metrics(measured: &Measured, scenario: &Scenario) -> Map<String, Value> {
    let tally = &measured.tally;
    let seconds = measured.period.as_secs_f64().max(1e-9);
    let counter = |count: u64| json!({"count": count, "rate": rounded(float::from_u64(count) / seconds)});
    // As in k6, `passes` counts the samples that are true: for http_req_failed these are the failures.
    let share = |yes: u64, all: u64| {
        let rate =
            if all == 0 { Value::Null } else { json!(rounded(float::from_u64(yes) / float::from_u64(all))) };
        json!({"rate": rate, "passes": yes, "fails": all - yes})
    };
    let (passed, failed) = tally.checks();
    let let_through = tally.requests - tally.limited;
    let mut metrics = Map::new();
    let mut put = |name: &str, value: Value| metrics.insert(name.to_owned(), value);
    put("checks", share(passed, passed + failed));
    put("data_received", counter(tally.received));
    put("data_sent", counter(tally.sent));
    put("dropped_iterations", counter(tally.errors_of(ErrorKind::NeverSent)));
    put("http_req_connecting", trend(&tally.connecting));
    put("http_req_duration", trend(&tally.duration));
    put("http_req_duration{expected_response:true}", trend(&tally.succeeded));
    put("http_req_duration{status:429}", trend(&tally.limited_duration));
    put("http_req_failed", share(tally.failed, let_through));
    put("http_req_limited", share(tally.limited, tally.requests));
    put("http_req_receiving", trend(&tally.receiving));
    put("http_req_tls_handshaking", trend(&tally.tls));
    put("http_req_waiting", trend(&tally.waiting));
    put("http_reqs", counter(tally.requests));
    put("iterations", counter(tally.requests));
    let peak = scenario.model.connections();
    put("vus", json!({"value": peak}));
    put("vus_max", json!({"value": peak}));
    if let Model::Open { rate, .. } = &scenario.model {
        put("arrival_rate_max", json!({"value": rounded(rate.peak())}));
    }
    metrics
}

fn trend(latencies: &Latencies) -> Value {
    let at = |quantile: f64| latencies.quantile(quantile).map(in_ms);
    json!({
        "avg": latencies.mean().map(in_ms),
        "min": latencies.min().map(in_ms),
        "med": at(0.5),
        "max": latencies.max().map(in_ms),
        "p(90)": at(0.9),
        "p(95)": at(0.95),
        "p(99)": at(0.99),
        "p(99.9)": at(0.999),
        "count": latencies.count(),
    })
}
