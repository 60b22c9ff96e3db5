//! An app of the user's own on a cluster: its addresses, the file of its variables, its front.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::api::Seen;
use super::{OWN, Place};

fn with_file() -> String {
    OWN.replace("shop:1'}", "shop:1', env_file: .env}")
}

fn pod(place: &Place) -> Value {
    place.api.object("deployments", "shop-app").unwrap()["spec"]["template"]["spec"].clone()
}

fn text(secret: &Value, key: &str) -> String {
    String::from_utf8(BASE64_STANDARD.decode(secret["data"][key].as_str().unwrap()).unwrap()).unwrap()
}

/// The Secret of the variables that the pods see.
fn variables(place: &Place) -> (String, Value) {
    let name = pod(place)["containers"][0]["envFrom"][0]["secretRef"]["name"].as_str().unwrap().to_owned();
    let secret = place.api.object("secrets", &name).unwrap();
    (name, secret)
}

#[test]
fn changed_variable_of_the_file_replaces_the_replicas() {
    let place = Place::new(&with_file());
    let missing = place.exits(3, &["up"]);
    assert!(missing.stderr.contains("error: service.env_file: no file `.env` in "), "{}", missing.stderr);
    assert!(!place.api.seen().iter().any(Seen::is_change));
    place.project.write(".env", "# keys\nexport STRIPE='sk_$1'\nREGION=eu\n");
    place.exits(0, &["up", "--timeout", "20s"]);
    let (first, secret) = variables(&place);
    assert_eq!((text(&secret, "STRIPE"), text(&secret, "REGION")), ("sk_$1".into(), "eu".into()));
    assert_eq!(secret["immutable"], true);
    assert_eq!(place.json(&["up"])["changed"], false);
    place.project.write(".env", "STRIPE='sk_$2'\nREGION=eu\n");
    let diff = place.exits(5, &["diff"]);
    assert!(diff.stdout.contains("shop-app-env-") && !diff.stdout.contains("sk_"), "{}", diff.stdout);
    let second = place.exits(0, &["up", "--timeout", "20s"]);
    assert!(!second.stderr.contains("sk_") && !second.stdout.contains("sk_"));
    let (name, secret) = variables(&place);
    assert_ne!(name, first);
    assert_eq!(text(&secret, "STRIPE"), "sk_$2");
    // An earlier revision comes back with its own variables.
    place.exits(0, &["rollback", "--timeout", "20s"]);
    assert_eq!(variables(&place).0, first);
}

#[test]
fn app_gets_a_user_of_its_own_and_the_pool_in_the_address() {
    let place = Place::new(OWN);
    place.exits(0, &["up", "--timeout", "20s"]);
    let pod = pod(&place);
    let app = &pod["containers"][0];
    let reference = app["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "MONGODB_URI");
    let reference = reference.unwrap()["valueFrom"]["secretKeyRef"].clone();
    let secret = place.api.object("secrets", reference["name"].as_str().unwrap()).unwrap();
    let uri = text(&secret, "mongodb_uri");
    let stores = place.api.object("secrets", "shop-mongodb").unwrap();
    let (own, root) = (text(&stores, "app_password"), text(&stores, "root_password"));
    assert!(uri.starts_with(&format!("mongodb://app:{own}@shop-mongodb-0.")), "{uri}");
    assert!(uri.contains("/appforge?") || uri.contains("/shop?"), "{uri}");
    for option in ["maxPoolSize=50", "appName=shop", "authSource=admin", "replicaSet=rs0"] {
        assert!(uri.contains(option), "{option}: {uri}");
    }
    assert!(!uri.contains(&root));
    // Nothing is new the second time, though the address was made again.
    assert_eq!(place.json(&["up"])["changed"], false);
}

#[test]
fn front_comes_from_the_registry_that_the_file_names() {
    let place = Place::new(OWN);
    place.exits(0, &["up", "--timeout", "20s"]);
    let pod = pod(&place);
    assert_eq!(pod["initContainers"][0]["image"], "registry.example/appforge:1");
    assert_eq!(pod["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(pod["containers"][0]["image"], "registry.example/shop:1");
}

/// The admin listener of a front that reports this of its app.
fn front(upstream: &Value) -> SocketAddr {
    let answer = json!({
        "version": "0.1.0", "replica": "shop-app-0", "pid": 1, "uptime_seconds": 1, "draining": false, "connections": 0,
        "requests_total": 0, "upstream": upstream, "redis": {"status": "up", "mode": "shared"},
        "rate_limit": {"requests": 100, "window_ms": 1, "mode": "shared", "tracked_clients": 0, "replicas": 1},
    });
    let body = answer.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the process of the test.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.extend(byte);
            }
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    address
}

#[test]
fn status_shows_the_app_as_its_front_reports_it() {
    let place = Place::new(OWN);
    place.exits(0, &["up", "--timeout", "20s"]);
    let app = |more: Value| {
        let mut app = json!({"ready": true, "accepting": true, "siblings": 0});
        app.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        front(&app)
    };
    let sick = app(json!({"last_status": 503, "error": "the health of the app answers 503"}));
    let open = app(json!({"last_status": 200, "beyond_loopback": "0.0.0.0:8080"}));
    place.api.store(|store| {
        store.backends.insert("shop-app-0".into(), sick);
        store.backends.insert("shop-app-1".into(), open);
    });
    let status = place.json(&["status"]);
    let detail = |name: &str| {
        let components = status["components"].as_array().unwrap();
        let component = components.iter().find(|component| component["name"] == name).unwrap();
        component["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("shop-app-0").ends_with("the health of the app answers 503"), "{status:#}");
    let past = "the app also listens on 0.0.0.0:8080, past its front and the rate limit; bind HOST";
    assert!(detail("shop-app-1").ends_with(past), "{status:#}");
    assert!(!detail("shop-app-2").contains("the app"), "{status:#}");
}

#[test]
fn app_gets_the_address_at_which_its_front_leads_to_the_master() {
    let place = Place::new(&format!("{OWN}redis: {{topology: sentinel}}\n"));
    let up = place.exits(0, &["up", "--timeout", "20s"]);
    assert!(!up.stderr.contains("redis+sentinel"), "{}", up.stderr);
    let pod = pod(&place);
    let env = |container: &Value, name: &str| {
        container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == name).unwrap().clone()
    };
    assert_eq!(env(&pod["initContainers"][0], "REDIS_FORWARD_PORT")["value"], "6379");
    let reference = env(&pod["containers"][0], "REDIS_URL")["valueFrom"]["secretKeyRef"].clone();
    let secret = place.api.object("secrets", reference["name"].as_str().unwrap()).unwrap();
    let stores = place.api.object("secrets", "shop-redis").unwrap();
    let password = text(&stores, "password");
    let url = text(&secret, reference["key"].as_str().unwrap());
    assert_eq!(url, format!("redis://appforge:{password}@127.0.0.1:6379"));
    assert!(text(&secret, "redis_url").starts_with(&format!("redis+sentinel://appforge:{password}@")));
    let mounted = &pod["volumes"][1]["projected"]["sources"][1]["secret"]["items"][0];
    assert_eq!(*mounted, json!({"key": "app_redis_url", "path": "redis_url"}));
    assert_eq!(place.json(&["up"])["changed"], false);
}
