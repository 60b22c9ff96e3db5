//! Which namespaces are the stack's own: others are used, and neither rendered nor removed.

use serde_json::json;

use super::store::Key;
use super::{Place, STACK};

#[test]
fn namespace_of_another_user_is_used_and_left_as_it_is() {
    let place = Place::new(STACK);
    let key =
        Key { api: "v1".into(), namespace: String::new(), plural: "namespaces".into(), name: "shop".into() };
    place.api.store(|store| {
        store.put(&key, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}))
    });
    place.exits(0, &["up"]);
    place.exits(0, &["down", "--volumes", "--yes"]);
    assert_eq!(place.api.object("namespaces", "shop").unwrap()["metadata"].get("labels"), None);
}

#[test]
fn namespace_of_the_cluster_is_never_rendered_or_removed_as_ours() {
    for name in ["default", "kube-system"] {
        let stack = STACK.replace("namespace: shop", &format!("namespace: {name}"));
        let place = Place::new(&stack);
        let key = Key {
            api: "v1".into(),
            namespace: String::new(),
            plural: "namespaces".into(),
            name: name.into(),
        };
        // As `kubectl apply -k` of an earlier build's documents left it.
        let labels = json!({"appforge.dev/stack": "shop"});
        place.api.store(|store| {
            store.put(&key, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
        });
        let rendered = place.exits(0, &["render", "--stdout"]).stdout;
        assert!(!rendered.contains("kind: Namespace\n"), "{rendered}");
        place.exits(0, &["up"]);
        place.exits(0, &["down", "--volumes", "--yes"]);
        assert!(place.api.object("namespaces", name).is_some());
    }
}

#[test]
fn namespace_that_another_stack_lives_in_stays() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let other = Key {
        api: "v1".into(),
        namespace: "shop".into(),
        plural: "persistentvolumeclaims".into(),
        name: "theirs".into(),
    };
    place.api.store(|store| {
        store.put(&other, json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "theirs", "namespace": "shop"}}))
    });
    let down = place.exits(0, &["down", "--volumes", "--yes"]);
    assert!(!down.stderr.contains("namespace/shop"), "{}", down.stderr);
    assert!(place.api.object("namespaces", "shop").is_some());
    assert!(place.api.object("persistentvolumeclaims", "theirs").is_some());
}
