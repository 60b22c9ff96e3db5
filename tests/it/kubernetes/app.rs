//! An app of the user's own on a cluster: its addresses, the file of its variables, its front.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

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
