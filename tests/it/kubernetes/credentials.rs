//! The Secret that pods mount: one content a revision, the user's own, and those that an earlier build left.

use serde_json::{Value, json};

use super::addresses::{Stores, items_can_be_read, port_of, secret};
use super::store::Key;
use super::{Place, STACK, deployment};

#[test]
fn deployment_of_kubectl_is_the_same_while_the_content_is() {
    let (one, two) = (Stores::start(), Stores::start());
    let place = Place::new(&one.file());
    place.exits(0, &["up"]);
    names_the_stable_secret(&place, false);
    assert_eq!(place.exits(0, &["diff"]).stdout, "nothing to change\n");
    assert_eq!(place.json(&["up"])["changed"], false);
    place.file(&two.file());
    place.exits(0, &["up", "--force-conflicts"]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), two.redis.port());
    assert_eq!(place.mounted()["immutable"], true);
    place.exits(0, &["render", "--out", "out"]);
    place.exits(0, &["render", "--out", "out", "--check"]);
    assert!(place.project.read("out/deployment.yaml").contains("secretName: \"shop-app\"\n"));
}

/// The Deployment as it was before there were copies, with or without the digest that `up` noted.
fn names_the_stable_secret(place: &Place, noted: bool) {
    let copies = place.copies();
    place.api.store(|store| {
        let mut object = store.get(&deployment()).unwrap();
        let template = &mut object["spec"]["template"];
        template["spec"]["volumes"][0]["secret"]["secretName"] = "shop-app".into();
        if !noted {
            template["metadata"].as_object_mut().unwrap().remove("annotations");
        }
        store.replace(&deployment(), "appforge", object);
        for copy in &copies {
            store.delete(&secret(copy));
        }
    });
}

#[test]
fn copy_goes_when_no_revision_names_it() {
    let (one, two) = (Stores::start(), Stores::start());
    let place = Place::new(&one.file());
    place.exits(0, &["up"]);
    place.file(&two.file());
    place.exits(0, &["up"]);
    place.exits(0, &["up"]);
    assert_eq!(place.copies().len(), 2, "a ReplicaSet names the old one");
    let set = Key {
        api: "apps/v1".into(),
        namespace: "shop".into(),
        plural: "replicasets".into(),
        name: "shop-app-1".into(),
    };
    place.api.store(|store| store.delete(&set));
    place.exits(0, &["diff"]);
    place.exits(0, &["up"]);
    assert_eq!(place.copies().len(), 1);
    assert_eq!(port_of(&place.mounted(), "redis_url"), two.redis.port());
    place.exits(0, &["down"]);
    assert_eq!(place.copies(), Vec::<String>::new(), "and the last with the stack");
}

#[test]
fn own_secret_is_watched_by_a_digest_and_never_copied() {
    let patch = "patches: {kubernetes/deployment.yaml: [{op: add, path: /spec/template/spec/containers/0/envFrom, value: [{secretRef: {name: own}}]}]}\n";
    let place = Place::new(&format!("{STACK}{patch}"));
    let put = |value: &str| {
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "data": {"token": value}});
        place.api.store(|store| store.put(&secret("own"), object));
    };
    place.exits(0, &["up"]);
    put("b25l");
    assert!(place.exits(5, &["diff"]).stdout.contains("~ restart deployment/shop-app\n"), "it is there now");
    place.exits(0, &["up"]);
    place.exits(0, &["diff"]);
    put("dHdv");
    let diff = place.exits(5, &["diff"]).stdout;
    assert!(diff.contains("spec.template.metadata.annotations[\"appforge.dev/own-secrets\"]: "), "{diff}");
    place.exits(0, &["up"]);
    place.exits(0, &["diff"]);
    assert_eq!(place.api.names("secrets").iter().filter(|name| name.starts_with("own")).count(), 1);
}

#[test]
fn stack_of_the_first_build_converges_and_can_go_back() {
    let stores = Stores::start();
    let place = Place::new(STACK);
    let objects: Vec<Value> =
        serde_json::from_str(include_str!("../fixtures/kubernetes/first-build.json")).unwrap();
    place.api.store(|store| {
        for entry in &objects {
            let object = &entry["object"];
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let namespaced = !["namespaces", "priorityclasses"].contains(&entry["plural"].as_str().unwrap());
            let key = Key {
                api: text(&object["apiVersion"]),
                namespace: if namespaced { "shop".to_owned() } else { String::new() },
                plural: text(&entry["plural"]),
                name: text(&object["metadata"]["name"]),
            };
            store.apply(&key, &text(&entry["manager"]), object.clone(), false, false).unwrap();
        }
    });
    let data = |name: &str| place.api.object("secrets", name).unwrap()["data"].clone();
    let before = ["shop-app", "shop-mongodb", "shop-redis"].map(data);
    let sets = place.api.names("replicasets").len();
    place.exits(0, &["up"]);
    assert!(place.api.names("replicasets").len() <= sets + 1, "one rollout at most");
    assert_eq!(["shop-app", "shop-mongodb", "shop-redis"].map(data), before, "no password is lost");
    place.exits(0, &["diff"]);
    assert_eq!(place.mounted()["data"], before[0]);
    place.file(&stores.file());
    place.exits(0, &["up"]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), stores.redis.port());
    // The stores of the first revision are gone, so it cannot come back, and nothing breaks.
    place.exits(1, &["rollback", "1"]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), stores.redis.port());
}

#[test]
fn address_that_changes_with_the_new_build_can_be_taken_back() {
    let (one, two) = (Stores::start(), Stores::start());
    let place = Place::new(&one.file());
    place.exits(0, &["up"]);
    names_the_stable_secret(&place, true);
    place.file(&two.file());
    place.exits(0, &["up"]);
    let revisions = place.json(&["history"]);
    let before =
        revisions["revisions"].as_array().unwrap().iter().rev().nth(1).unwrap()["number"].to_string();
    place.exits(0, &["rollback", &before]);
    assert_eq!(port_of(&place.mounted(), "redis_url"), one.redis.port());
    items_can_be_read(&place.mounted());
}
