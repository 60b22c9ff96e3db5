use http_body_util::{Empty, Full};

use super::*;

const HOST_OF_APP: HeaderValue = HeaderValue::from_static("app:3000");

fn own() -> OwnFields {
    OwnFields::new(&"header:x-api-key".parse().unwrap())
}

fn request(lines: &[(&str, &str)]) -> Request<Empty<bytes::Bytes>> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = Uri::from_static("/path?query");
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

/// What the app sees, a line each, in the order of names.
fn seen(trusted: bool, lines: &[(&str, &str)]) -> Vec<String> {
    let mut request = request(lines);
    let hop = Hop { peer: "::ffff:203.0.113.9".parse().unwrap(), trusted };
    to_app(&mut request, hop, &HOST_OF_APP, &own()).unwrap();
    lines_of(request.headers())
}

fn lines_of(headers: &HeaderMap) -> Vec<String> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

const OURS: [&str; 4] =
    ["host: a", "x-forwarded-for: 203.0.113.9", "x-forwarded-host: a", "x-forwarded-proto: http"];

#[test]
fn fields_of_a_hop_end_with_it() {
    assert_eq!(
        seen(
            false,
            &[
                ("host", "a"),
                ("connection", "keep-alive, X-Hop"),
                ("Connection", "Other"),
                ("x-hop", "1"),
                ("other", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic x"),
                ("te", "gzip"),
                ("transfer-encoding", "chunked"),
                ("upgrade", "websocket"),
                ("http2-settings", "x"),
                ("expect", "100-continue"),
            ]
        ),
        OURS
    );
}

#[test]
fn client_neither_takes_out_nor_writes_fields_of_ours() {
    for lines in [
        &[("connection", "close, X-Forwarded-For, x-forwarded-proto, host")][..],
        &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2")],
        &[("x-forwarded-proto", "https"), ("x-forwarded-host", "evil"), ("x-forwarded-port", "1")],
        &[("forwarded", "for=1.1.1.1"), ("x-real-ip", "1.1.1.1"), ("x-forwarded-prefix", "/admin")],
        &[("x_forwarded_for", "1.1.1.1"), ("x-forwarded_for", "1.1.1.1"), ("x_real-ip", "1.1.1.1")],
        &[(PROBE_HEADER, "v1;client=a"), ("x_appforge-probe", "x")],
        &[("x_api_key", "stolen"), ("x-api_key", "stolen"), ("x.api.key", "stolen")],
        &[("content_length", "5"), ("transfer_encoding", "chunked"), ("x.forwarded.for", "1.1.1.1")],
    ] {
        assert_eq!(seen(false, &[&[("host", "a")][..], lines].concat()), OURS, "{lines:?}");
    }
}

#[test]
fn other_fields_with_signs_pass() {
    let mut expected = vec!["x-api-key: k", "x_other: 1", "x.y: 2"];
    expected.extend(OURS);
    expected.sort_unstable();
    let lines =
        [("host", "a"), ("x-api-key", "k"), ("x_other", "1"), ("x.y", "2"), ("connection", "x-api-key")];
    assert_eq!(seen(false, &lines), expected);
}

#[test]
fn key_with_a_sign_is_imitated_by_none_without() {
    let own = OwnFields::new(&"header:x_api_key".parse().unwrap());
    assert!(!own.stays_here("x_api_key", false) && own.stays_here("x-api-key", false));
    assert!(!OwnFields::default().stays_here("x_api_key", false));
}

#[test]
fn trailers_say_nothing_that_only_a_head_may() {
    let trailers = |names: &[&str]| {
        let mut trailers = HeaderMap::new();
        for name in names {
            trailers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), HTTP);
        }
        trailers
    };
    let mut up = trailers(&[
        "x-sum",
        "x-forwarded-for",
        "forwarded",
        "x_real_ip",
        PROBE_HEADER,
        "x-api-key",
        "x_api_key",
        "connection",
        "expect",
    ]);
    own().filter_trailers(&mut up);
    assert_eq!(lines_of(&up), ["x-sum: http"]);
    let mut down = trailers(&["x-sum", "connection", "keep-alive", "transfer-encoding", "x-forwarded-for"]);
    trailers_to_client(&mut down);
    assert_eq!(lines_of(&down), ["x-forwarded-for: http", "x-sum: http"]);
}

#[test]
fn fields_of_a_trusted_proxy_stay_and_are_added_to() {
    assert_eq!(
        seen(
            true,
            &[
                ("host", "a"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "b"),
                ("x-real-ip", "1.1.1.1"),
                ("connection", "x-forwarded-for, x-other"),
                ("x-other", "1"),
                (PROBE_HEADER, "v1;client=a"),
            ]
        ),
        [
            "host: a",
            "x-forwarded-for: 1.1.1.1, 2.2.2.2, 203.0.113.9",
            "x-forwarded-host: b",
            "x-forwarded-proto: https",
            "x-real-ip: 1.1.1.1",
        ]
    );
    assert_eq!(seen(true, &[("host", "a")]), OURS);
}

#[test]
fn trailers_are_asked_of_the_app() {
    let lines = seen(false, &[("host", "a"), ("te", "gzip;q=1, Trailers"), ("connection", "te")]);
    assert!(lines.contains(&"te: trailers".into()) && lines.contains(&"connection: te".into()), "{lines:?}");
}

#[test]
fn host_is_that_of_the_target_or_of_the_app() {
    let of = |method: Method, target: &'static str, host: &[(&str, &str)]| {
        let mut request = request(host);
        (*request.method_mut(), *request.uri_mut()) = (method, Uri::from_static(target));
        let hop = Hop { peer: "127.0.0.1".parse().unwrap(), trusted: false };
        to_app(&mut request, hop, &HOST_OF_APP, &own()).map_err(|refused| refused.0.as_u16())?;
        Ok((request.uri().to_string(), request.headers()[HOST].to_str().unwrap().to_owned()))
    };
    let is = |path: &str, host: &str| Ok((path.to_owned(), host.to_owned()));
    let a = &[("host", "a")];
    assert_eq!(of(Method::GET, "/x?y", a), is("/x?y", "a"));
    assert_eq!(of(Method::GET, "/x", &[]), is("/x", "app:3000"));
    assert_eq!(of(Method::GET, "http://b:81/x?y", a), is("/x?y", "b:81"));
    assert_eq!(of(Method::GET, "http://b", a), is("/", "b"));
    assert_eq!(of(Method::OPTIONS, "*", a), is("*", "a"));
    for (method, target, status) in [
        (Method::CONNECT, "b:443", 501),
        (Method::GET, "b:80", 400),
        (Method::GET, "*", 400),
        (Method::GET, "ftp://b/", 400),
        (Method::GET, "http://u:p@b/", 400),
        (Method::GET, "http://b:0/", 400),
    ] {
        assert_eq!(of(method, target, a), Err(status), "{target}");
    }
}

#[test]
fn upgrade_needs_both_fields_and_a_protocol_that_leads_past_nothing() {
    let asks = |lines: &[(&str, &str)]| {
        let mut request = request(lines);
        let hop = Hop { peer: "127.0.0.1".parse().unwrap(), trusted: false };
        let asks = to_app(&mut request, hop, &HOST_OF_APP, &own()).unwrap();
        assert_eq!(request.headers().contains_key(UPGRADE), asks, "{lines:?}");
        assert_eq!(request.headers().get(CONNECTION).is_some_and(|it| it == "upgrade"), asks, "{lines:?}");
        asks
    };
    assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]));
    assert!(!asks(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
    assert!(!asks(&[("connection", "upgrade")]));
    for past in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "TLS/1.0"] {
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", past)]), "{past}");
    }
    let mut with_body = Request::new(Full::new(bytes::Bytes::from_static(b"x")));
    with_body.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    with_body.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    let hop = Hop { peer: "127.0.0.1".parse().unwrap(), trusted: false };
    assert_eq!(to_app(&mut with_body, hop, &HOST_OF_APP, &own()), Ok(false));
}

#[test]
fn answer_has_one_length_and_no_fields_of_a_hop() {
    let answer = |status: u16, lines: &[(&str, &str)]| {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        *response.version_mut() = Version::HTTP_10;
        for (name, value) in lines {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            response.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        to_client(&mut response, &Method::GET);
        assert_eq!(response.version(), Version::HTTP_11);
        lines_of(response.headers())
    };
    let hop =
        [("connection", "close, x-hop"), ("x-hop", "1"), ("keep-alive", "timeout=5"), ("upgrade", "h2c")];
    assert_eq!(
        answer(200, &[&hop[..], &[("content-length", "5"), ("trailer", "t")]].concat()),
        ["content-length: 5", "trailer: t"]
    );
    assert!(answer(200, &[("transfer-encoding", "chunked"), ("content-length", "5")]).is_empty());
    assert!(answer(304, &[("content-length", "5")]).is_empty());
    assert_eq!(
        answer(101, &[("connection", "Upgrade"), ("upgrade", "websocket")]),
        ["connection: upgrade", "upgrade: websocket"]
    );
}

#[test]
fn announced_time_is_read_whatever_is_beside_it() {
    let of = |value: &'static str| {
        keep_alive(&HeaderMap::from_iter([(KEEP_ALIVE, HeaderValue::from_static(value))]))
    };
    assert_eq!(
        [of("timeout=5"), of("max=3, Timeout = 72"), of("max=3"), of("timeout=x")],
        [Some(5), Some(72), None, None]
    );
}
