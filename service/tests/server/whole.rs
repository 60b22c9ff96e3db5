//! What must work with both stores away.

use appforge_service::probe;
use appforge_testing::http::Client;
use tokio::io::AsyncWriteExt;

use crate::support::{SECRET, Service, starts};

#[tokio::test]
async fn service_answers_and_limits_when_both_stores_are_away() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let health = client.get("/health").await;
    starts(&health, 200);
    assert!(health.contains(r#""status":"degraded""#) && health.contains("replica-under-test"), "{health}");
    assert!(
        health.contains("ratelimit-limit: 5\r\n") && health.contains("ratelimit-remaining: 4\r\n"),
        "{health}"
    );
    let items = client.get("/api/items").await;
    starts(&items, 503);
    assert!(items.contains("application/problem+json"), "{items}");
    let refused = client.ask("POST /api/items", "content-type: text/plain\r\n", "x").await;
    starts(&refused, 415);
    starts(&client.get("/nothing").await, 404);
    starts(&client.ask("PUT /health", "", "").await, 405);
    let limited = client.ask("GET /health", "x-forwarded-for: 1.2.3.4\r\n", "").await;
    starts(&limited, 429);
    assert!(limited.contains("retry-after: ") && limited.contains("cache-control: no-store"), "{limited}");
}

#[tokio::test]
async fn client_is_another_one_when_its_header_is_signed() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for _ in 0..5 {
        starts(&client.get("/openapi.json").await, 200);
    }
    let forged = probe::sign(b"another secret of enough bytes", "a", now + 60);
    starts(&client.ask("GET /health", &format!("x-appforge-probe: {forged}\r\n"), "").await, 429);
    let signed = probe::sign(SECRET.as_bytes(), "a", now + 60);
    starts(&client.ask("GET /health", &format!("x-appforge-probe: {signed}\r\n"), "").await, 200);
    let admin = &mut Client::connect(service.admin).await;
    for _ in 0..20 {
        starts(&admin.get("/livez").await, 200);
        starts(&admin.get("/readyz").await, 200);
    }
    let metrics = admin.get("/metrics").await;
    assert!(metrics.contains("ratelimit_probe_rejected_total 1"), "{metrics}");
    assert!(
        metrics.contains(r#"http_requests_total{method="GET",route="/health",status="429"} 1"#),
        "{metrics}"
    );
    let status = admin.get("/statusz").await;
    assert!(status.contains(r#""mode":"memory""#), "{status}");
    starts(&admin.ask("PUT /replicas", "content-type: application/json\r\n", r#"{"replicas":3}"#).await, 204);
    assert!(admin.get("/statusz").await.contains(r#""replicas":3"#));
}

#[tokio::test]
async fn forwarded_client_counts_when_its_proxy_is_trusted() {
    let service = Service::start_with(&[("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let proxy = &mut Client::connect(service.public).await;
    for spoofed in 0..5 {
        let header = format!("x-forwarded-for: 6.6.6.{spoofed}, 203.0.113.9\r\n");
        starts(&proxy.ask("GET /health", &header, "").await, 200);
    }
    starts(&proxy.ask("GET /health", "x-forwarded-for: 7.7.7.7, 203.0.113.9\r\n", "").await, 429);
    starts(&proxy.ask("GET /health", "x-forwarded-for: 203.0.113.10\r\n", "").await, 200);
    let metrics = Client::connect(service.admin).await.get("/metrics").await;
    assert!(metrics.contains(r#"ratelimit_client_ip_source_total{source="xff"} 7"#), "{metrics}");
}

#[tokio::test]
async fn no_client_is_limited_when_the_limit_is_off() {
    let service = Service::start_with(&[("RATE_LIMIT_ENABLED", "false")]).await;
    let client = &mut Client::connect(service.public).await;
    for _ in 0..20 {
        let health = client.get("/health").await;
        starts(&health, 200);
        assert!(!health.contains("ratelimit") && health.contains(r#""mode":"off""#), "{health}");
    }
    let admin = &mut Client::connect(service.admin).await;
    assert!(admin.get("/statusz").await.contains(r#""mode":"off""#));
    starts(&admin.ask("PUT /replicas", "content-type: application/json\r\n", r#"{"replicas":3}"#).await, 204);
    service.end().await;
}

#[tokio::test]
async fn response_arrives_when_the_body_is_too_large() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    let body = "x".repeat(8 * 1024 * 1024);
    let refused = client.ask("POST /api/items", "content-type: application/json\r\n", &body).await;
    starts(&refused, 413);
    assert!(refused.contains("application/problem+json"), "{refused}");
}

#[tokio::test]
async fn client_gets_its_response_when_it_closed_its_side() {
    let service = Service::start().await;
    let mut client = Client::connect(service.public).await;
    // It takes half a second to find that MongoDB is away; the client's end has come by then.
    client.send("GET /api/items HTTP/1.1\r\nhost: x\r\n\r\n").await;
    client.0.shutdown().await.unwrap();
    starts(&client.answer().await, 503);
    service.end().await;
}

#[tokio::test]
async fn answer_says_how_long_a_cache_may_keep_it() {
    let service = Service::start().await;
    let client = &mut Client::connect(service.public).await;
    for (path, kept) in
        [("/openapi.json", "public, max-age=3600"), ("/health", "no-store"), ("/api/items", "no-store")]
    {
        let answer = client.get(path).await;
        assert!(answer.contains(&format!("cache-control: {kept}\r\n")), "{path}: {answer}");
    }
    service.end().await;
}
