//! Requests that are refused by their heads or for all that is wrong in them.

use appforge_testing::http::Client;
use appforge_testing::wait::DEADLINE;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::support::{Service, is_last, starts};

const MANY: (&str, &str) = ("RATE_LIMIT_REQUESTS", "1000000");

#[tokio::test]
async fn request_is_refused_when_its_host_is_missing_or_doubled() {
    let service = Service::start_with(&[MANY]).await;
    for address in [service.public, service.admin] {
        let path = if address == service.public { "/health" } else { "/livez" };
        for head in ["HTTP/1.1\r\n", "HTTP/1.1\r\nhost: a\r\nhost: b\r\n", "HTTP/1.1\r\nhost: a b\r\n"] {
            let mut client = Client::connect(address).await;
            client.send(&format!("GET {path} {head}\r\n")).await;
            let refused = client.answer().await;
            starts(&refused, 400);
            assert!(is_last(&refused) && refused.contains("application/problem+json"), "{refused}");
        }
        for head in ["HTTP/1.0\r\n", "HTTP/1.1\r\nhost:\r\n", "HTTP/1.1\r\nHost: [::1]:80\r\n"] {
            let mut client = Client::connect(address).await;
            client.send(&format!("GET {path} {head}\r\n")).await;
            let answer = client.answer().await;
            assert!(answer.contains(" 200 "), "{head}: {answer}");
        }
    }
    service.end().await;
}

#[tokio::test]
async fn body_is_refused_at_once_when_it_is_too_long() {
    let service = Service::start_with(&[MANY]).await;
    for (method, path) in [("POST", "/api/items"), ("PUT", "/api/items/0123456789abcdef01234567")] {
        for length in ["content-length: 10000000000", "content-length: 1048577"] {
            let mut client = Client::connect(service.public).await;
            let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n");
            client.send(&format!("{head}expect: 100-continue\r\n{length}\r\n\r\n")).await;
            let refused = client.answer().await;
            starts(&refused, 413);
            assert!(is_last(&refused), "{refused}");
            assert_eq!(timeout(DEADLINE, client.0.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "closed");
        }
    }
    service.end().await;
}

#[tokio::test]
async fn body_is_refused_when_it_is_not_plain_utf_8() {
    let service = Service::start_with(&[MANY]).await;
    let client = &mut Client::connect(service.public).await;
    for headers in [
        "content-type: application/json\r\ncontent-encoding: gzip\r\n",
        "content-type: application/json; charset=utf-16\r\n",
        "content-type: application/json\r\ncontent-encoding: identity, br\r\n",
    ] {
        starts(&client.ask("POST /api/items", headers, r#"{"name": "x"}"#).await, 415);
    }
    let plain = "content-type: application/json; charset=UTF-8\r\ncontent-encoding: identity\r\n";
    starts(&client.ask("POST /api/items", plain, r#"{"name": ""}"#).await, 422);
    service.end().await;
}

#[tokio::test]
async fn answer_is_short_when_a_body_has_many_faults() {
    let service = Service::start_with(&[MANY]).await;
    let client = &mut Client::connect(service.public).await;
    let keys = |key: &str, count: usize| {
        let pairs: Vec<_> = (0..count).map(|number| format!("\"{key}{number}\":0")).collect();
        format!("{{{}}}", pairs.join(","))
    };
    let long = "\\u0001".repeat(1000);
    for body in [keys("k", 60_000), keys(&long, 100), format!("{{\"tags\": [{}0]}}", "0,".repeat(19))] {
        let answer = client.ask("POST /api/items", "content-type: application/json\r\n", &body).await;
        starts(&answer, 422);
        let (_, answer) = answer.split_once("\r\n\r\n").unwrap();
        assert!(answer.len() <= 8 * 1024, "{}", answer.len());
        let problem: serde_json::Value = serde_json::from_str(answer).unwrap();
        assert_eq!(problem["errors"].as_array().unwrap().len(), 20);
        assert!(problem["detail"].as_str().unwrap().contains("the first 20 of "), "{problem}");
    }
    service.end().await;
}
