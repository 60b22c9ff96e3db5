use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::support::Project;

#[test]
fn an_engine_that_is_not_there_is_exit_4_with_the_way_on() {
    let project = Project::new();
    for (host, message) in [
        (
            "unix:///nowhere/docker.sock",
            "error: cannot find a Docker engine at `unix:///nowhere/docker.sock`\n",
        ),
        ("tcp://127.0.0.1:1", "error: the Docker engine at `tcp://127.0.0.1:1` is not running\n"),
        (
            "ssh://somewhere",
            "error: cannot connect to the Docker engine at `ssh://somewhere`: only unix:// and tcp:// are supported\n",
        ),
    ] {
        let output = project.command(&["image", "build"]).env("DOCKER_HOST", host).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(message), "{text}");
        assert!(text.contains("\nhint: "), "{text}");
        assert_eq!(output.status.code(), Some(4));
    }
}

#[test]
#[ignore = "needs docker"]
fn service_image_is_loaded_once() {
    let project = Project::new();
    let first = project.done(&["image", "build"]);
    let again = project.done(&["image", "build"]);
    assert_eq!(again.stdout, first.stdout, "the same program is the same image");
    assert_eq!(again.stderr, "the engine already has this image\n");
    let run = |arguments: &[&str]| {
        let confined =
            ["run", "--rm", "--read-only", "--cap-drop=ALL", "--network=none", first.stdout.trim()];
        Command::new("docker").args(confined).args(arguments).output().unwrap()
    };
    let output = run(&["--version"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("appforge {}\n", env!("CARGO_PKG_VERSION")));

    project.done(&["image", "save", "--out", "image.tar"]);
    let loaded = Command::new("docker")
        .args(["load", "-i", "image.tar"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&loaded.stdout).contains(first.stdout.trim()),
        "{}",
        String::from_utf8_lossy(&loaded.stderr)
    );
}

/// What `docker` prints.
#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Goes away with the test.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "-fv", &self.0]).output();
    }
}

#[test]
#[ignore = "needs docker"]
fn pushed_image_runs_when_an_engine_pulls_it() {
    // Known before it runs: one that does not start is left behind by the engine.
    let registry = Container(format!("appforge-test-registry-{}", std::process::id()));
    docker(&["run", "-d", "--name", &registry.0, "-p", "127.0.0.1::5000", "appforge-test-registry:1"]);
    let address = docker(&["port", &registry.0, "5000/tcp"]);
    let project = Project::new();
    // The container runs before the registry in it listens.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let name = format!("{address}/team/service");
    let pushed = loop {
        let run = project.run(&["image", "push", &name]);
        if run.code == Some(0) {
            break run;
        }
        assert!(std::time::Instant::now() < deadline, "{run:#?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let pinned = pushed.stdout.trim();
    assert!(pinned.starts_with(&format!("{name}@sha256:")), "{pinned}");
    assert!(!pushed.stderr.contains("already"), "{}", pushed.stderr);
    let again = project.done(&["image", "push", &name]);
    assert_eq!(again.stdout, pushed.stdout);
    assert!(again.stderr.contains("the registry already has this image\n"), "{}", again.stderr);

    docker(&["pull", "--quiet", pinned]);
    let version = docker(&["run", "--rm", "--network=none", pinned, "--version"]);
    docker(&["rmi", pinned]);
    assert_eq!(version, format!("appforge {}", env!("CARGO_PKG_VERSION")));
}

const PASSWORD: &str = "p:~?>\"w";

/// A registry with a token service, as Docker Hub has one. Keeps what it got by method and path.
#[derive(Clone, Default)]
struct Scripted {
    kept: Arc<Mutex<BTreeMap<String, Bytes>>>,
}

impl Scripted {
    async fn start() -> (Self, String) {
        let scripted = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/token", any(Self::token))
            .route("/v2/{*path}", any(Self::repository))
            .layer(DefaultBodyLimit::disable())
            .with_state(scripted.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (scripted, host)
    }

    /// `me` and the password, and a scope that covers pushing.
    async fn token(headers: HeaderMap, request: Request) -> Response {
        use base64::Engine as _;
        let expected = base64::engine::general_purpose::STANDARD.encode(format!("me:{PASSWORD}"));
        let known = headers.get("authorization").is_some_and(|value| *value == format!("Basic {expected}"));
        let query = request.uri().query().unwrap_or_default();
        if known && query == "service=scripted&scope=repository%3Ateam%2Fservice%3Apull%2Cpush" {
            axum::Json(serde_json::json!({"token": "let-me-in"})).into_response()
        } else {
            let denied = serde_json::json!({"errors": [{"code": "DENIED", "message": "who are you?"}]});
            (StatusCode::UNAUTHORIZED, axum::Json(denied)).into_response()
        }
    }

    async fn repository(
        State(scripted): State<Self>,
        Path(path): Path<String>,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        if headers.get("authorization").is_none_or(|value| value != "Bearer let-me-in") {
            let host = headers.get("host").unwrap().to_str().unwrap();
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"scripted\",scope=\"x\"");
            return (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response();
        }
        let mut kept = scripted.kept.lock().unwrap();
        match method {
            Method::POST => (StatusCode::ACCEPTED, [("location", "/v2/team/upload?state=1")]).into_response(),
            Method::PUT => {
                // The digest that an upload was announced with is not seen here: the path is kept without the query.
                kept.insert(path, body);
                StatusCode::CREATED.into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_gets_its_token_with_what_a_credential_helper_knows() {
    let (scripted, host) = Scripted::start().await;
    let project = Project::new();
    project.write("config.json", "{\"credsStore\": \"scripted\"}");
    let push = |secret: &str| {
        let answer = serde_json::json!({"ServerURL": "x", "Username": "me", "Secret": secret});
        project.write("answer.json", &answer.to_string());
        project.write(
            "docker-credential-scripted",
            "#!/bin/sh\n[ $1 = get ] || exit 1\ncat > asked\ncat answer.json\n",
        );
        let helper = project.path().join("docker-credential-scripted");
        std::fs::set_permissions(helper, std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::var("PATH").unwrap();
        project
            .command(&["image", "push", &format!("{host}/team/service:1")])
            .env("DOCKER_CONFIG", project.path())
            .env("PATH", format!("{}:{path}", project.path().display()))
            .output()
            .unwrap()
    };
    let refused = push("wrong-password");
    let text = String::from_utf8(refused.stderr).unwrap();
    let expected = format!(
        "error: the registry `{host}` does not accept the credentials that Docker has for it: \
         who are you? (DENIED)\n\nhint: docker login {host}\n"
    );
    assert!(text.ends_with(&expected), "{text}");
    assert!(!text.contains("wrong-password"), "{text}");
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(project.read("asked"), host);

    let pushed = push(PASSWORD);
    assert_eq!(pushed.status.code(), Some(0), "{}", String::from_utf8_lossy(&pushed.stderr));
    let kept = scripted.kept.lock().unwrap();
    let manifest: serde_json::Value =
        serde_json::from_slice(kept.get("team/service/manifests/1").unwrap()).unwrap();
    let layer = kept.get("team/upload").unwrap();
    assert_eq!(manifest["layers"][0]["size"], layer.len(), "the layer came last, and whole");
}

#[test]
fn a_registry_that_is_not_there_is_exit_4() {
    let project = Project::new();
    let run = project.run(&["image", "push", "127.0.0.1:1/team/service"]);
    assert_eq!(run.code, Some(4), "{run:#?}");
    assert!(run.stderr.contains("error: the registry `127.0.0.1:1` cannot be reached\n"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: `appforge image save` writes a file instead\n"), "{}", run.stderr);
    assert_eq!(project.run(&["image", "push", "service"]).code, Some(2));
}
