//! The page by raw requests: who gets what.

use std::os::unix::fs::PermissionsExt;

use super::{Monitor, ask, number};
use crate::stack::Up;

#[test]
fn page_is_only_for_the_browser_with_the_token() {
    let up = Up::new("");
    up.done(&["up"]);
    let monitor = Monitor::start(&up);
    let (port, token) = (monitor.port, monitor.url.split_once("token=").unwrap().1.to_owned());
    assert!(token.len() >= 32, "128 bits: {token}");
    let file = up.project.path().join(".appforge/secrets/monitor");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let host = format!("host: 127.0.0.1:{port}\r\n");

    let (status, head, _) = ask(&monitor, &format!("GET /?token={token}"), &host);
    assert_eq!(status, 303, "{head}");
    let cookie = format!("set-cookie: appforge-monitor-{port}={token}; Path=/; HttpOnly; SameSite=Strict");
    assert!(head.contains(&cookie) && head.contains("location: /\r\n"), "{head}");
    let own = format!("{host}cookie: appforge-monitor-{port}={token}\r\n");
    let (status, head, body) = ask(&monitor, "GET /", &own);
    assert_eq!(status, 200);
    for header in [
        "content-security-policy: default-src 'none'; script-src 'sha256-",
        "x-frame-options: DENY",
        "cache-control: no-store",
    ] {
        assert!(head.contains(header), "{header} in {head}");
    }
    assert!(body.starts_with("<!doctype html>") && !body.contains(&token));
    let (status, _, body) = ask(&monitor, "GET /data?window=2h&since=0", &own);
    assert_eq!(status, 200);
    assert_eq!(number(&serde_json::from_str(&body).unwrap(), "/step"), 10_000.0);

    for (request, headers, expected) in [
        ("GET /", host.clone(), 403),
        ("GET /data", host.clone(), 403),
        ("GET /?token=0123456789abcdef", host.clone(), 403),
        ("GET /", own.replace("127.0.0.1", "evil.example"), 403),
        ("GET /", String::from("cookie: x\r\n"), 403),
        ("GET /data", own.clone() + "origin: http://evil.example\r\n", 403),
        ("GET /data", own.clone() + "sec-fetch-site: cross-site\r\n", 403),
        ("POST /data", own.clone(), 405),
        ("DELETE /", own.clone(), 405),
        ("GET /data?since=x", own.clone(), 400),
        ("GET /other", own.clone(), 404),
    ] {
        let (status, head, body) = ask(&monitor, request, &headers);
        assert_eq!(status, expected, "{request} {headers}: {head}");
        assert!(!body.contains("service-1") && !body.contains(&token), "{body}");
    }
    assert_eq!(monitor.interrupt(), Some(0));
}

#[test]
fn taken_port_is_an_error_with_a_way_out() {
    let up = Up::new("");
    up.done(&["up"]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let run = up.run(&["monitor", "--port", &port.to_string()]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(
        run.stderr.starts_with(&format!("error: cannot listen on port {port} of 127.0.0.1\n")),
        "{}",
        run.stderr
    );
    assert!(run.stderr.ends_with("hint: appforge monitor --port 0   # any free port\n"), "{}", run.stderr);
}

#[test]
fn connections_beyond_the_limit_do_not_keep_others_out_for_long() {
    let up = Up::new("");
    up.done(&["up"]);
    let monitor = Monitor::start(&up);
    let silent: Vec<_> =
        (0..40).map(|_| std::net::TcpStream::connect(("127.0.0.1", monitor.port)).unwrap()).collect();
    // Those that send nothing are closed after 10 s.
    appforge_testing::wait::eventually("a client that asks is answered", || {
        let text = format!("GET / HTTP/1.1\r\nconnection: close\r\nhost: 127.0.0.1:{}\r\n\r\n", monitor.port);
        appforge_testing::tcp::exchange(("127.0.0.1", monitor.port), text.as_bytes())
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 403"))
    });
    drop(silent);
}
