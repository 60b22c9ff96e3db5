//! Heads that two servers could read differently, and what of a head the app sees.

use appforge_testing::http::Client;

use crate::support::{App, Front, OFF, exchange, starts};

/// How many answers a text holds.
fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").filter(|_| true).count()
}

#[tokio::test]
async fn request_whose_end_is_in_doubt_is_refused() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let smuggled = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    for head in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\nCONTENT-LENGTH: 0\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\n",
        "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nfolded: x\r\n y\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nbad name: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nname: x\ry\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a:+80\r\n\r\n",
        "GET http://a:0/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n",
    ] {
        let answer = exchange(front.public, &format!("{head}{smuggled}")).await;
        starts(&answer, 400);
        assert_eq!(answers(&answer), 1, "a second answer: {head:?}: {answer}");
    }
    assert!(app.heads.lock().unwrap().is_empty(), "{:?}", app.heads.lock().unwrap());
    front.end().await;
}

#[tokio::test]
async fn coded_body_is_not_forwarded_without_its_coding() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    for codings in
        ["transfer-encoding: gzip, chunked", "transfer-encoding: gzip\r\ntransfer-encoding: chunked"]
    {
        let text = format!("POST / HTTP/1.1\r\nhost: a\r\n{codings}\r\n\r\n1\r\nx\r\n0\r\n\r\n");
        let answer = exchange(front.public, &text).await;
        starts(&answer, 501);
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    assert!(app.heads.lock().unwrap().is_empty());
    front.end().await;
}

#[tokio::test]
async fn bare_line_end_in_trailers_hides_no_request() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let begin = "POST /begin HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    let both =
        "POST /bad HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for hidden in ["x: 1\n\nGET /hidden HTTP/1.1\r\nhost: a\r\n\r\n", "x: 1\n\r\n\r\n", "\nx: 1\r\n\r\n"] {
        let answer = exchange(front.public, &format!("{begin}{hidden}{both}")).await;
        assert!(!answer.contains("/bad"), "{hidden:?}: {answer}");
        assert!(answer.contains("HTTP/1.1 400 "), "{hidden:?}: {answer}");
    }
    let heads = app.heads.lock().unwrap().clone();
    assert!(!heads.iter().any(|head| head.contains("/bad") || head.contains("/hidden")), "{heads:?}");
    front.end().await;
}

#[tokio::test]
async fn doubtful_request_is_refused_behind_others() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let both =
        "POST /bad HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for before in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let answer = exchange(front.public, &format!("{before}{both}")).await;
        starts(&answer, 200);
        assert!(answer.contains("HTTP/1.1 400 Bad Request"), "{answer}");
    }
    assert!(!app.heads.lock().unwrap().iter().any(|head| head.contains("/bad")));
    front.end().await;
}

#[tokio::test]
async fn body_that_looks_like_a_request_stays_a_body() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let inner = "GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let length = inner.len();
    let client = &mut Client::connect(front.public).await;
    for text in [
        format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{inner}"),
        format!("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n{inner}"),
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{length:x};x=y\r\n{inner}\r\n0\r\n\r\n"
        ),
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n{inner}\r\n0\r\n\r\n"
        ),
    ] {
        client.send(&text).await;
        starts(&client.answer().await, 200);
    }
    let heads = app.heads.lock().unwrap().clone();
    assert_eq!(heads.len(), 4, "{heads:?}");
    assert!(!heads.iter().any(|head| head.contains("/smuggled")), "{heads:?}");
    front.end().await;
}

#[tokio::test]
async fn app_sees_who_asked_and_nothing_of_the_hop() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    let headers = "Connection: close, X-Forwarded-For, x-other\r\nx-other: 1\r\nx-forwarded-for: 6.6.6.6\r\n\
                   x_forwarded_for: 6.6.6.6\r\nx-appforge-probe: v1;client=a;exp=1;sig=00\r\nte: trailers\r\n\
                   upgrade: h2c\r\nhttp2-settings: x\r\nexpect: 100-continue\r\nCookie: a=b\r\n";
    starts(&client.ask("GET /a?b=c", headers, "").await, 200);
    let mut lines: Vec<String> =
        app.head().lines().map(str::to_owned).filter(|line| !line.is_empty()).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "GET /a?b=c HTTP/1.1",
            "connection: te",
            "content-length: 0",
            "cookie: a=b",
            "host: x",
            "te: trailers",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: x",
            "x-forwarded-proto: http",
        ]
    );
    front.end().await;
}

#[tokio::test]
async fn target_with_a_host_wins_over_the_field() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF]).await;
    let client = &mut Client::connect(front.public).await;
    client.send("GET http://real.example:80/x HTTP/1.1\r\nhost: other.example\r\n\r\n").await;
    starts(&client.answer().await, 200);
    let head = app.head();
    assert!(head.starts_with("GET /x HTTP/1.1\r\n") && head.contains("host: real.example:80\r\n"), "{head}");
    assert!(!head.contains("other.example"), "{head}");
    client.send("CONNECT other.example:443 HTTP/1.1\r\nhost: other.example\r\n\r\n").await;
    starts(&client.answer().await, 501);
    let answer = exchange(front.public, "GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains(&format!("host: {}", app.address)), "{answer}");
    front.end().await;
}

#[tokio::test]
async fn forwarded_fields_count_when_their_proxy_is_trusted() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[OFF, ("TRUSTED_PROXIES", "127.0.0.0/8")]).await;
    let client = &mut Client::connect(front.public).await;
    let headers =
        "x-forwarded-for: 203.0.113.9\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.example\r\n";
    starts(&client.ask("GET /", headers, "").await, 200);
    let head = app.head();
    for line in [
        "x-forwarded-for: 203.0.113.9, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: shop.example",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "{line}: {head}");
    }
    front.end().await;
}

#[tokio::test]
async fn refused_client_is_answered_before_its_body_is_read() {
    let app = App::echo().await;
    let front = Front::start(app.address, &[("RATE_LIMIT_REQUESTS", "2")]).await;
    let client = &mut Client::connect(front.public).await;
    for _ in 0..2 {
        let passed = client.get("/").await;
        starts(&passed, 200);
        assert!(passed.contains("ratelimit-limit: 2\r\n"), "{passed}");
    }
    let limited = client.get("/").await;
    starts(&limited, 429);
    assert!(!limited.contains("connection: close"), "{limited}");
    let head = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1000000\r\n\r\n";
    let answer = exchange(front.public, head).await;
    starts(&answer, 429);
    assert!(answer.contains("connection: close\r\n") && answer.contains("retry-after: "), "{answer}");
    assert_eq!(app.heads.lock().unwrap().len(), 2);
    front.end().await;
}
