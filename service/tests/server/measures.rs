//! What `/metrics` shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use appforge_testing::http::Client;
use appforge_testing::wait::{DEADLINE, until};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::hostile;
use crate::support::{Service, starts};

/// The most series that a replica may have.
const MOST_SERIES: usize = 600;

/// The text of the metrics, for a scraper that accepts this.
async fn scrape(service: &Service, accept: &str) -> String {
    Client::connect(service.admin).await.ask("GET /metrics", accept, "").await
}

/// The value of a series; none when it is absent.
fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
}

#[tokio::test]
async fn metrics_cover_requests_connections_and_the_process() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    starts(&client.get("/api/items/none").await, 404);
    let metrics = scrape(&service, "").await;
    for line in [
        r#"http_requests_total{method="GET",route="/api/items/{id}",status="404"} 1"#,
        r#"http_request_duration_seconds_count{route="/api/items/{id}",outcome="ok"} 1"#,
        r#"http_requests_aborted_total{route="/api/items/{id}"} 0"#,
        "http_requests_in_flight 0",
        "http_connections 1",
        "http_connections_accepted_total 1",
        "service_draining 0",
        "redis_client_up 0",
        "mongodb_client_up 0",
        "mongodb_pool_wait_queue 0",
        r#"mongodb_pool_checkout_failures_total{reason="timeout"} 0"#,
        "cache_lookup_seconds_count 0",
        "ratelimit_counts_regressed_total 0",
        "ratelimit_probe_rejected_total 0",
        "runtime_loop_lag_seconds_count ",
        "process_cpu_seconds_total ",
        "process_resident_memory_bytes ",
        "process_start_time_seconds ",
        "process_open_fds ",
        "process_max_fds ",
        "log_lines_lost_total ",
    ] {
        assert!(metrics.contains(&format!("\n{line}")), "{line}: {metrics}");
    }
    let build = format!(
        "appforge_build_info{{version=\"{}\",replica=\"replica-under-test\"}} 1",
        env!("CARGO_PKG_VERSION")
    );
    assert!(metrics.contains(&build), "{metrics}");
}

#[tokio::test]
async fn scraper_gets_the_format_that_it_accepts() {
    let service = Service::start().await;
    let plain = scrape(&service, "").await;
    assert!(plain.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{plain}");
    assert!(!plain.contains("# EOF") && plain.contains("\n# TYPE http_requests_total counter\n"), "{plain}");
    let open = scrape(&service, "accept: application/openmetrics-text;version=1.0.0, */*;q=0.1\r\n").await;
    assert!(open.contains("content-type: application/openmetrics-text; version=1.0.0"), "{open}");
    assert!(open.ends_with("# EOF\n") && open.contains("\n# TYPE http_requests counter\n"), "{open}");
}

#[tokio::test]
async fn refusals_are_kept_apart_from_durations_that_count() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let refused = r#"http_requests_total{method="GET",route="/health",status="429"}"#;
    let before = scrape(&service, "").await;
    assert_eq!(value(&before, refused), Some(0.0), "the first burst has a sample before it: {before}");
    for turn in 0..8 {
        starts(&client.get("/health").await, if turn < 5 { 200 } else { 429 });
    }
    let metrics = scrape(&service, "").await;
    let counted = |outcome: &str| {
        let labels = format!(r#"{{route="/health",outcome="{outcome}"}}"#);
        value(&metrics, &format!("http_request_duration_seconds_count{labels}"))
    };
    assert_eq!((counted("ok"), counted("limited"), counted("failed")), (Some(5.0), Some(3.0), Some(0.0)));
    assert_eq!(value(&metrics, refused), Some(3.0));
}

#[tokio::test]
async fn thresholds_are_bounds_of_durations() {
    let service = Service::start_with(&[("LATENCY_BOUNDS_MS", "300,500")]).await;
    let metrics = scrape(&service, "").await;
    let buckets = |le: &str| {
        let series =
            format!(r#"http_request_duration_seconds_bucket{{route="/health",outcome="ok",le="{le}"}}"#);
        metrics.lines().filter(|line| line.starts_with(&series)).count()
    };
    assert_eq!([buckets("0.3"), buckets("0.5"), buckets("1")], [1, 1, 1], "{metrics}");
}

#[tokio::test]
async fn replica_stays_below_its_most_series() {
    let variables = [("LATENCY_BOUNDS_MS", "300,900"), ("CHECK_PORT", "0"), ("RATE_LIMIT_REQUESTS", "40")];
    let service = Service::start_with(&variables).await;
    for round in 0..2 {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            for path in
                ["/health", "/api/items", "/api/items/0123456789abcdef01234567", "/none", "/openapi.json"]
            {
                let mut client = Client::connect(service.public).await;
                client
                    .send(&format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
                    .await;
                let mut head = String::new();
                timeout(DEADLINE, client.0.read_to_string(&mut head)).await.unwrap().unwrap();
                assert_eq!(round == 1, head.starts_with("HTTP/1.1 429 "), "{method} {path}: {head}");
            }
        }
    }
    let metrics = scrape(&service, "").await;
    let body = metrics.split_once("\r\n\r\n").unwrap().1;
    let series = body.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count();
    assert!((300..MOST_SERIES).contains(&series), "{series}: {body}");
}

#[tokio::test]
async fn wait_for_a_connection_is_counted_until_it_is_given_up() {
    let silent = Arc::new(AtomicBool::new(false));
    let uri = format!("mongodb://{}/", hostile::silent(&silent));
    let service = Service::start_with(&[
        ("MONGODB_URI", &uri),
        ("MONGODB_MAX_POOL_SIZE", "1"),
        ("MONGODB_MIN_POOL_SIZE", "0"),
        ("MONGODB_SOCKET_TIMEOUT_MS", "1000"),
        // So long does a ping wait for its reply, and a second more.
        ("MONGODB_SERVER_SELECTION_TIMEOUT_MS", "20000"),
    ])
    .await;
    let read = async |series: &str| value(&scrape(&service, "").await, series).unwrap();
    until("MongoDB answers", async || read("mongodb_client_up").await == 1.0).await;
    silent.store(true, Ordering::SeqCst);
    until("a ping holds the connection", async || read("mongodb_pool_in_use_connections").await == 1.0).await;
    let ask = async { starts(&Client::connect(service.public).await.get("/api/items").await, 503) };
    let waits = until("one waits", async || read("mongodb_pool_wait_queue").await == 1.0);
    tokio::join!(ask, waits);
    assert_eq!(read("mongodb_pool_wait_queue").await, 0.0);
    assert_eq!(read(r#"mongodb_pool_checkout_failures_total{reason="timeout"}"#).await, 1.0);
    assert_eq!(read(r#"mongodb_operation_seconds_count{operation="find",outcome="failed"}"#).await, 1.0);
}
