//! The Compose target by its verbs, with the bundled service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use appforge::stack::{Layer, resolve};
use futures_util::StreamExt;

use super::{Stack, ask, load, send};
use crate::compose::target::Compose;
use crate::support::Project;

/// The whole road by the verbs, with the bundled service: packed, loaded, limited exactly behind the gateway.
#[test]
#[ignore = "needs docker"]
fn bundled_service_keeps_an_exact_limit_over_its_life() {
    let stack = Stack::new("verbs");
    let project = Project::with(&stack.text("image: bundled"));
    let up = project.done(&["up", "-o", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&up.stdout).unwrap();
    assert_eq!(answer["status"]["replicas"], serde_json::json!({"desired": 1, "ready": 1}));
    assert_eq!(answer["status"]["url"], format!("http://127.0.0.1:{}", stack.port));

    let secret = project.read(".appforge/compose/secrets/probe_secret");
    for replicas in ["1", "5", "3"] {
        project.done(&["scale", "--replicas", replicas]);
        let client = format!("client-{replicas}");
        let expires =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 600;
        let probe = appforge_service::probe::sign(secret.trim().as_bytes(), &client, expires);
        let headers = format!("X-Appforge-Probe: {probe}\r\nX-Forwarded-For: 6.6.6.6\r\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers: Vec<String> = runtime.block_on(async {
            let ask = |_| async { ask(stack.port, "/health", &headers).await.unwrap() };
            futures_util::stream::iter(0..150).map(ask).buffer_unordered(30).collect().await
        });
        let with = |status: &str| answers.iter().filter(|answer| answer.starts_with(status)).count();
        assert_eq!((with("HTTP/1.1 200 "), with("HTTP/1.1 429 ")), (100, 50), "{replicas} replicas");
    }

    let checks = ["--check", "mongodb-connections", "--check", "redis-ping", "--check", "replicas"];
    let verified = project.done(&[&["verify", "--drill", "redis-down"][..], &checks].concat());
    assert!(verified.stdout.ends_with("all 4 checks passed\n"), "{}", verified.stdout);
    let item = "{\"name\":\"kept\"}";
    let create = format!(
        "POST /api/items HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{item}",
        item.len()
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let created = runtime.block_on(send(stack.port, &create)).unwrap();
    assert!(created.starts_with("HTTP/1.1 201 "), "{created}");
    runtime.block_on(mongodb_lets_nobody_in_without_the_password(&stack, &project));

    assert_eq!(project.done(&["diff"]).stdout, "nothing to change\n");
    let again = project.done(&["up"]);
    assert!(again.stderr.contains("nothing to change"), "`up` keeps what `scale` set: {}", again.stderr);
    assert!(again.stdout.contains("3 of 3 replicas ready"), "{}", again.stdout);
    assert!(project.done(&["logs", "service"]).stdout.contains("Redis rate limiter connected"));
    let seen = project.done(&["monitor", "--once", "-o", "json"]).stdout;
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["history"]["kept_by"], "monitor");
    let answers = seen["rows"].as_array().unwrap().iter().filter(|row| row["current"]["rate"].is_f64());
    assert_eq!(answers.count(), 3, "{seen:#}");
    let ended = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let guard = runtime.enter();
    let load = load(stack.port, ended.clone());
    project.done(&["restart"]);
    ended.store(true, Ordering::Relaxed);
    drop(guard);
    let (_, bad) = runtime.block_on(load).unwrap();
    let failed: Vec<_> = bad.iter().filter(|answer| !answer.starts_with("HTTP/1.1 429 ")).collect();
    assert!(failed.is_empty(), "{failed:?}");

    assert_eq!(
        project.run(&["down", "--volumes"]).code,
        Some(2),
        "data is removed only when that was confirmed"
    );
    project.done(&["down"]);
    assert_eq!(project.run(&["status"]).code, Some(4));
    project.done(&["up", "--replicas", "1"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let expires = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 600;
    let probe = appforge_service::probe::sign(secret.trim().as_bytes(), "reader", expires);
    let header = format!("X-Appforge-Probe: {probe}\r\n");
    let list = runtime.block_on(ask(stack.port, "/api/items", &header)).unwrap();
    assert!(list.contains("\"name\":\"kept\""), "MongoDB and its password outlive `down`: {list}");
    project.done(&["down", "--volumes", "--yes"]);
}

/// The password that was made for this stack opens MongoDB, and nothing else does.
async fn mongodb_lets_nobody_in_without_the_password(stack: &Stack, project: &Project) {
    let layer = Layer::File { name: "appforge.yaml".into(), text: stack.text("image: bundled") };
    let compose =
        Compose::new(&project.path().join(".appforge"), &resolve(&[layer]).unwrap().stack, BTreeMap::new());
    let uri = compose.subject(3).await.unwrap().mongodb_uri.reveal().to_owned();
    let password = project.read(".appforge/compose/secrets/mongodb_password");
    let count = async |uri: &str| {
        let client = mongodb::Client::with_uri_str(uri).await.unwrap();
        let items = client.database("appforge").collection::<bson::Document>("items");
        items.count_documents(bson::doc! {}).await
    };
    assert_eq!(count(&uri).await.unwrap(), 1);
    let wrong = count(&uri.replace(password.trim(), "guessed")).await.unwrap_err();
    assert!(matches!(*wrong.kind, mongodb::error::ErrorKind::Authentication { .. }), "{wrong}");
    let user = format!("appforge:{}@", password.trim());
    let anonymous = count(&uri.replace(&user, "").replace("authSource=admin&", "")).await.unwrap_err();
    let code = match *anonymous.kind {
        mongodb::error::ErrorKind::Command(ref error) => error.code,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(code, 13, "Unauthorized");
}
