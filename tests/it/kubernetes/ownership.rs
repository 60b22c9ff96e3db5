//! Whose a stack on a cluster is, and what an earlier build left there.

use serde::Deserialize;
use serde_json::{Value, json};

use super::store::Key;
use super::{Place, STACK};
use crate::support::Project;

/// Another folder on the same cluster.
fn colleague(place: &Place, stack: &str) -> Project {
    let project = Project::with(stack);
    project.write("kubeconfig", &place.api.kubeconfig());
    project
}

fn run(project: &Project, arguments: &[&str]) -> crate::support::Run {
    let mut command = project.command(arguments);
    command.env("KUBECONFIG", project.path().join("kubeconfig")).env_remove("KUBERNETES_SERVICE_HOST");
    crate::support::Run::of(&mut command)
}

#[test]
fn stack_of_another_id_is_refused_and_every_clone_may_work() {
    let ours = format!("{STACK}id: first3first3\n");
    let place = Place::new(&ours);
    place.exits(0, &["up"]);
    let annotations =
        place.api.object("configmaps", "shop-owner").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(annotations["appforge.dev/id"], "first3first3");
    assert_eq!(annotations["appforge.dev/folder"], place.project.path().display().to_string());
    let deployment = place.api.object("deployments", "shop-app").unwrap();
    assert!(!deployment.to_string().contains("first3first3"), "no rollout with the owner");

    let clone = colleague(&place, &ours);
    for verb in [&["up"][..], &["diff"], &["status"]] {
        let run = run(&clone, verb);
        assert_eq!(run.code, Some(0), "{verb:?}: {run:#?}");
    }
    let now = place.api.object("configmaps", "shop-owner").unwrap()["metadata"]["annotations"].clone();
    assert_eq!(now, annotations, "a clone changes nothing");

    for stack in [format!("{STACK}id: other4other4\n"), STACK.to_owned()] {
        let other = colleague(&place, &stack);
        place.api.seen();
        for verb in [
            &["up"][..],
            &["status"],
            &["down"],
            &["down", "--volumes", "--yes"],
            &["scale", "--replicas", "4"],
            &["restart"],
            &["rollback", "1"],
            &["diff"],
            &["logs"],
        ] {
            let run = run(&other, verb);
            assert_eq!(run.code, Some(1), "{verb:?}: {run:#?}");
            let folder = format!("\n  folder: {}\n", place.project.path().display());
            assert!(run.stderr.contains("belongs to another project\n"), "{verb:?}: {}", run.stderr);
            assert!(run.stderr.contains(&folder) && !run.stderr.contains("--volumes"), "{}", run.stderr);
        }
        let seen = place.api.seen();
        assert!(!seen.iter().any(super::Seen::is_change), "{seen:#?}");
    }
    let before = place.api.object("secrets", "shop-mongodb").unwrap()["data"].clone();
    let other = colleague(&place, &format!("{STACK}id: other4other4\n"));
    let taken = run(&other, &["up", "--take-over"]);
    assert_eq!(taken.code, Some(0), "{taken:#?}");
    assert_eq!(place.api.object("secrets", "shop-mongodb").unwrap()["data"], before, "no password changes");
    place.exits(1, &["status"]);
    let down = run(&other, &["down", "--volumes", "--yes"]);
    assert_eq!(down.code, Some(0), "{down:#?}");
    assert_eq!(place.api.object("configmaps", "shop-owner"), None);
}

#[test]
fn number_that_scale_set_lives_with_the_stack_and_holds_for_every_clone() {
    let ours = format!("{STACK}id: first3first3\n");
    let place = Place::new(&ours);
    place.exits(0, &["up"]);
    place.exits(0, &["scale", "--replicas", "5"]);
    assert!(!place.project.path().join(".appforge/state.json").exists());
    let clone = colleague(&place, &ours);
    let up = run(&clone, &["up", "-o", "json"]);
    assert_eq!(up.code, Some(0), "{up:#?}");
    assert_eq!(serde_json::from_str::<Value>(&up.stdout).unwrap()["changed"], false, "{}", up.stdout);
    assert_eq!(place.replicas(), 5);
    let shown = run(&clone, &["config", "show", "--origin"]).stdout;
    let line = shown.lines().find(|line| line.starts_with("kubernetes.autoscaling.min")).unwrap();
    assert!(line.contains("appforge scale by ") && line.contains('@'), "{line}");
    // A new owner's record leaves the number, and data that stay keep it.
    let taken = run(&clone, &["down"]);
    assert_eq!(taken.code, Some(0), "{taken:#?}");
    place.exits(0, &["up"]);
    assert_eq!(place.replicas(), 5);
    place.exits(0, &["down", "--volumes", "--yes"]);
    place.exits(0, &["up"]);
    assert_eq!(place.replicas(), 3, "the number of the file");
}

#[test]
fn damaged_record_of_scale_is_an_error_that_scale_repairs() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.exits(0, &["scale", "--replicas", "5"]);
    let key = Key {
        api: "v1".to_owned(),
        namespace: "shop".to_owned(),
        plural: "configmaps".to_owned(),
        name: "shop-owner".to_owned(),
    };
    for (text, why) in [
        ("five", "expected whole numbers of replicas"),
        (r#"{"replicas": 5000, "configured": 3}"#, "must be between 1 and 1000, got 5000"),
        (r#"{"replicas": 3, "configured": 3, "max": 4000000000}"#, "got 4000000000"),
    ] {
        let record = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "shop-owner", "annotations": {"appforge.dev/scaled": text}},
        });
        place.api.store(|store| store.apply(&key, "appforge-scale", record, false, false)).unwrap();
        for verb in ["up", "diff", "status"] {
            let refused = place.exits(3, &[verb]);
            assert!(refused.stderr.contains(why), "{verb}: {}", refused.stderr);
            assert!(refused.stderr.contains("appforge scale --replicas"), "{verb}: {}", refused.stderr);
        }
        place.exits(0, &["config", "show"]);
    }
    place.exits(0, &["scale", "--replicas", "4"]);
    assert_eq!(place.json(&["up"])["changed"], false);
}

#[test]
fn stack_of_an_earlier_build_is_adopted_once_with_its_data() {
    let place = Place::new(&format!("{STACK}id: first3first3\n"));
    let put = |value: Value| {
        let api = value["apiVersion"].as_str().unwrap().to_owned();
        let kind = value["kind"].as_str().unwrap().to_lowercase();
        let plural = match kind.strip_suffix('y') {
            Some(stem) => format!("{stem}ies"),
            None if kind.ends_with("class") => format!("{kind}es"),
            None => format!("{kind}s"),
        };
        let global = ["namespaces", "priorityclasses"].contains(&plural.as_str());
        let namespace = if global { String::new() } else { "shop".to_owned() };
        let name = value["metadata"]["name"].as_str().unwrap().to_owned();
        let key = Key { api, namespace, plural, name };
        place.api.store(|store| store.apply(&key, "appforge", value, false, true)).unwrap();
    };
    let text = include_str!("../fixtures/earlier/kubernetes.yaml");
    for part in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(part).unwrap();
        if !value.is_null() {
            put(value);
        }
    }
    let labels = |object: &str| {
        json!({"app.kubernetes.io/instance": object, "appforge.dev/stack": "shop", "app.kubernetes.io/part-of": "shop",
            "app.kubernetes.io/managed-by": "appforge", "app.kubernetes.io/name": "shop"})
    };
    // The base64 of `secret`.
    for (name, keys) in [
        ("shop-app", &["probe_secret", "mongodb_uri", "redis_url"][..]),
        ("shop-mongodb", &["root_password", "keyfile"]),
        ("shop-redis", &["password"]),
    ] {
        let data: serde_json::Map<String, Value> =
            keys.iter().map(|key| ((*key).to_owned(), json!("c2VjcmV0"))).collect();
        put(json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
            "metadata": {"name": name, "namespace": "shop", "labels": labels(name)}}));
    }
    put(json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-shop-mongodb-0", "namespace": "shop", "labels": labels("shop-mongodb")}}));
    let claim = place.api.object("persistentvolumeclaims", "data-shop-mongodb-0");
    let password = place.api.object("secrets", "shop-mongodb").unwrap()["data"].clone();

    place.exits(0, &["status"]);
    place.exits(0, &["up"]);
    assert_eq!(place.json(&["up"])["changed"], false);
    assert_eq!(place.api.object("persistentvolumeclaims", "data-shop-mongodb-0"), claim);
    assert_eq!(place.api.object("secrets", "shop-mongodb").unwrap()["data"], password);
    place.exits(0, &["down"]);
    assert_eq!(place.api.object("persistentvolumeclaims", "data-shop-mongodb-0"), claim);
    place.exits(0, &["up"]);
    assert_eq!(place.api.object("secrets", "shop-mongodb").unwrap()["data"], password);
    let other = colleague(&place, &format!("{STACK}id: other4other4\n"));
    assert_eq!(run(&other, &["status"]).code, Some(1), "it is adopted once");
}
