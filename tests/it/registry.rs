//! Registries that send credentials and uploads where they must not go, over real TLS through a proxy that knows the names.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::net::{Proxy, runtime, tls, with_tls};
use crate::support::{Project, Run};

const PASSWORD: &str = "hunter2";
/// `me:hunter2` in Base64.
const BASIC: &str = "Basic bWU6aHVudGVyMg==";

/// What a server was asked: by which name, and with which credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Asked {
    line: String,
    authorization: Option<String>,
}

/// One that stands for all: by name it is registry, token service and store. Some answers are the test's.
#[derive(Clone, Default)]
struct Server {
    /// By method and host, and a part of the path: the status and the `Location`, or the realm of a 401.
    tricks: Vec<(Method, &'static str, u16, String)>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    async fn start(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router =
            Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }
}

async fn answer(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    _: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    let host = uri.host().map(str::to_owned).or_else(|| text("host")).unwrap();
    let line = format!("{method} {host}{}", uri.path());
    let authorization = text("authorization");
    server.asked.lock().unwrap().push(Asked { line: line.clone(), authorization: authorization.clone() });
    let trick = server.tricks.iter().find(|(with, part, ..)| *with == method && line.contains(part));
    if let Some((_, _, status, value)) = trick {
        let challenge = format!("Bearer realm=\"{value}\",service=\"s\"");
        let headers = [("location", value.as_str()), ("www-authenticate", challenge.as_str())];
        return (StatusCode::from_u16(*status).unwrap(), headers).into_response();
    }
    if uri.path() == "/token" {
        return if authorization.as_deref() == Some(BASIC) {
            axum::Json(serde_json::json!({"token": "let-me-in"})).into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        };
    }
    if host == "registry.test" && authorization.as_deref() != Some("Bearer let-me-in") {
        let challenge = "Bearer realm=\"https://auth.test/token\",service=\"s\"";
        return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
    }
    match method {
        Method::POST => (StatusCode::ACCEPTED, [("location", "/v2/up?state=1")]).into_response(),
        Method::PUT => StatusCode::CREATED.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A push to `registry.test` (or `name`), and what was asked with TLS and without.
struct Push {
    run: Run,
    secured: Vec<Asked>,
    plain: Vec<Asked>,
}

fn push(name: &str, trusted: bool, tricks: Vec<(Method, &'static str, u16, String)>) -> Push {
    let runtime = runtime();
    let (secured, plain) = (Server { tricks, ..Server::default() }, Server::default());
    let (with, without) = runtime.block_on(async {
        let with = with_tls(secured.start().await, "server").await;
        (with, plain.start().await)
    });
    let names = ["registry.test", "auth.test", "cdn.test", "other.test"];
    let proxy = names.iter().fold(Proxy::default(), |proxy, name| {
        proxy.with(&format!("{name}:443"), with).with(&format!("{name}:80"), without)
    });
    let proxy = format!("http://{}", runtime.block_on(proxy.start()));
    let project = Project::new();
    let auths = BTreeMap::from([(name, serde_json::json!({"auth": BASIC.trim_start_matches("Basic ")}))]);
    project.write("config.json", &serde_json::json!({"auths": auths}).to_string());
    let mut command = project.command(&["image", "push", &format!("{name}/team/service:1")]);
    command.env("DOCKER_CONFIG", project.path()).env_remove("NO_PROXY").env_remove("no_proxy");
    command.env("HTTPS_PROXY", &proxy).env("HTTP_PROXY", &proxy);
    command.env_remove("SSL_CERT_FILE");
    if trusted {
        command.env("SSL_CERT_FILE", tls("authority.pem"));
    }
    let run = Run::of(&mut command);
    let asked = |server: &Server| server.asked.lock().unwrap().clone();
    Push { run, secured: asked(&secured), plain: asked(&plain) }
}

#[test]
fn credentials_stay_when_a_registry_leads_to_plain_http() {
    for (method, part, status, place) in [
        (
            Method::POST,
            "registry.test/v2/team/service/blobs/uploads/",
            202,
            "http://registry.test/v2/up?state=s3cret",
        ),
        (
            Method::POST,
            "registry.test/v2/team/service/blobs/uploads/",
            202,
            "HTTP://cdn.test/up?state=s3cret",
        ),
        (Method::HEAD, "registry.test/v2/team/service/blobs/", 307, "http://registry.test/blob?state=s3cret"),
        (Method::HEAD, "registry.test/v2/team/service/manifests/1", 302, "http://127.0.0.1:1/?state=s3cret"),
        (Method::PUT, "registry.test/v2/team/service/manifests/1", 308, "http://registry.test/?state=s3cret"),
        (
            Method::HEAD,
            "registry.test/v2/team/service/manifests/1",
            401,
            "http://auth.test/token?state=s3cret",
        ),
    ] {
        let push = push("registry.test", true, vec![(method.clone(), part, status, place.to_owned())]);
        let run = &push.run;
        assert_eq!(run.code, Some(1), "{method} {place}: {run:#?}");
        let said = "a weaker connection than its own; nothing was sent there\n";
        assert!(run.stderr.contains(said), "{method} {place}: {}", run.stderr);
        assert!(!run.stderr.contains("s3cret") && !run.stderr.contains(PASSWORD), "{}", run.stderr);
        assert!(!run.stderr.contains("--plain-http"), "{}", run.stderr);
        assert_eq!(push.plain, [], "{method} {place}");
        assert!(!push.secured.is_empty(), "{method} {place}");
    }
}

#[test]
fn credentials_go_to_their_own_host_when_uploads_go_elsewhere() {
    let uploads = "registry.test/v2/team/service/blobs/uploads/";
    for (tricks, elsewhere) in [
        (vec![(Method::POST, uploads, 202, "id-1?state=1".to_owned())], false),
        (vec![(Method::POST, uploads, 202, "https://cdn.test/up?signature=1".to_owned())], true),
        (
            vec![
                (Method::POST, uploads, 202, "https://registry.test:443/v2/up?state=1".to_owned()),
                (Method::PUT, "registry.test/v2/up", 307, "https://cdn.test/up?signature=1".to_owned()),
            ],
            true,
        ),
        // A host that asks for credentials of its own gets none.
        (
            vec![
                (
                    Method::HEAD,
                    "registry.test/v2/team/service/manifests/1",
                    307,
                    "https://cdn.test/x".to_owned(),
                ),
                (Method::HEAD, "cdn.test/x", 401, "https://auth.test/token".to_owned()),
            ],
            true,
        ),
    ] {
        // The tricks come before the question who asks, but for the first request, which is refused.
        let push = push("registry.test", true, tricks.clone());
        assert_eq!(push.run.code, Some(0), "{tricks:?}: {:#?}", push.run);
        let cdn: Vec<&Asked> =
            push.secured.iter().filter(|asked| asked.line.contains(" cdn.test/")).collect();
        assert_eq!(!cdn.is_empty(), elsewhere, "{:#?}", push.secured);
        assert!(cdn.iter().all(|asked| asked.authorization.is_none()), "{cdn:?}");
        for asked in &push.secured {
            let basic = asked.authorization.as_deref() == Some(BASIC);
            assert!(!basic || asked.line == "GET auth.test/token", "{asked:?}");
        }
        assert_eq!(push.plain, []);
    }
}

#[test]
fn bad_certificate_is_never_answered_with_plain_http() {
    // Not trusted; and trusted, but of another host.
    for (name, trusted) in [("registry.test", false), ("other.test", true)] {
        let push = push(name, trusted, Vec::new());
        let run = &push.run;
        assert_eq!(run.code, Some(4), "{run:#?}");
        let said =
            format!("error: the registry `{name}` has a certificate that this machine does not trust\n");
        assert!(run.stderr.contains(&said) && run.stderr.contains("SSL_CERT_FILE"), "{}", run.stderr);
        assert!(!run.stderr.contains("plain"), "{}", run.stderr);
        assert_eq!((push.secured, push.plain), (Vec::new(), Vec::new()));
    }
}
