//! What others change with kubectl: `diff` names it with its owner, `up` leaves it, `--force-conflicts` takes it back.

use serde_json::{Value, json};

use super::store::Key;
use super::{Place, STACK, deployment};

const FORCE: &str = "--force-conflicts";

/// `kubectl set env deploy/shop-app NAME=VALUE`.
fn set_env(place: &Place, name: &str, value: &str) {
    let env = json!([{"name": name, "value": value}]);
    let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "app", "env": env}]}}}});
    place.api.store(|store| store.merge(&deployment(), "kubectl-set", &patch)).unwrap();
}

fn env(place: &Place, name: &str) -> Option<Value> {
    let object = place.api.object("deployments", "shop-app").unwrap();
    let env = object["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
    env.into_iter().find(|variable| variable["name"] == name).map(|variable| variable["value"].clone())
}

#[test]
fn added_variable_is_drift_until_it_is_taken_back() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    set_env(&place, "NEW", "1");
    let diff = place.exits(5, &["diff"]).stdout;
    let line = "spec.template.spec.containers[app].env[NEW]: added by `kubectl-set`: `appforge up --force-conflicts` removes it\n";
    assert!(diff.contains("~ restart deployment/shop-app\n") && diff.contains(line), "{diff}");
    let up = place.exits(0, &["up"]);
    assert!(
        up.stderr.contains("deployment/shop-app keeps `spec.template.spec.containers[app].env[NEW]`, which `kubectl-set` added; `appforge up --force-conflicts` removes it\n"),
        "{}",
        up.stderr
    );
    assert_eq!(env(&place, "NEW"), Some(json!("1")));
    let forced = place.exits(5, &["diff", FORCE]).stdout;
    assert!(
        forced.contains(".env[NEW]: {\"name\":\"NEW\",\"value\":\"1\"} -> (none), added by `kubectl-set`\n"),
        "{forced}"
    );
    place.exits(0, &["up", FORCE]);
    assert_eq!(env(&place, "NEW"), None);
    assert_eq!(place.exits(0, &["diff"]).stdout, "nothing to change\n");
}

#[test]
fn changed_variable_is_drift_until_it_is_taken_back() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let before = env(&place, "PORT");
    set_env(&place, "PORT", "81");
    let diff = place.exits(5, &["diff"]).stdout;
    assert!(diff.contains("env[PORT].value: 81 -> 5000\n"), "{diff}");
    assert!(
        diff.contains("conflict with \"kubectl-set\": `appforge up --force-conflicts` takes it over\n"),
        "{diff}"
    );
    place.exits(1, &["up"]);
    place.exits(0, &["up", FORCE]);
    assert_eq!(env(&place, "PORT"), before);
    place.exits(0, &["diff"]);
}

#[test]
fn kubectl_rollout_undo_is_drift_with_its_owner() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.file(&STACK.replace("shop:1", "shop:2"));
    place.exits(0, &["up"]);
    let image = json!([{"name": "app", "image": "registry.example/shop:1"}]);
    let patch =
        json!({"spec": {"template": {"spec": {"containers": image, "nodeSelector": {"disk": "ssd"}}}}});
    place.api.store(|store| store.merge(&deployment(), "kubectl-rollout", &patch)).unwrap();
    let diff = place.exits(5, &["diff"]).stdout;
    assert!(diff.contains("image: registry.example/shop:1 -> registry.example/shop:2\n"), "{diff}");
    assert!(diff.contains("conflict with \"kubectl-rollout\""), "{diff}");
    assert!(diff.contains("spec.template.spec.nodeSelector: added by `kubectl-rollout`"), "{diff}");
    place.exits(0, &["up", FORCE]);
    place.exits(0, &["diff"]);
}

#[test]
fn data_added_to_a_secret_is_named_and_not_shown() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let key =
        Key { api: "v1".into(), namespace: "shop".into(), plural: "secrets".into(), name: "shop-app".into() };
    place.api.store(|store| store.merge(&key, "kubectl-edit", &json!({"data": {"extra": "aHVudGVyMjI="}})));
    for arguments in [&["diff"][..], &["diff", FORCE]] {
        let diff = place.exits(5, arguments).stdout;
        assert!(diff.contains("data.extra: ") && diff.contains("added by `kubectl-edit`"), "{diff}");
        assert!(!diff.contains("aHVudGVyMjI"), "{diff}");
    }
}

#[test]
fn notes_of_controllers_and_restarts_are_no_drift() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let restarted = json!({"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}});
    place.api.store(|store| {
        store.merge(&deployment(), "kubectl-rollout", &restarted);
        store.merge(&deployment(), "kubectl-annotate", &json!({"metadata": {"annotations": {"note": "x"}}}));
        store.merge(&deployment(), "kube-controller-manager", &json!({"spec": {"replicas": 7}}));
    });
    assert_eq!(place.exits(0, &["diff"]).stdout, "nothing to change\n");
    assert_eq!(place.json(&["up"])["changed"], false);
}
