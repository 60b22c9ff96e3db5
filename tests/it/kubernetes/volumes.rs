//! A changed stack file against volumes that are there: kept, grown, or refused before anything is applied.

use serde_json::{Value, json};

use super::api::Seen;
use super::store::Key;
use super::{Place, STACK};

fn up(more: &str) -> Place {
    let place = Place::new(&format!("{STACK}{more}"));
    place.exits(0, &["up"]);
    place.api.seen();
    place
}

impl Place {
    fn changed(&self, more: &str) {
        self.project.write("appforge.yaml", &format!("{STACK}{more}"));
    }

    fn claim(&self, name: &str) -> Value {
        let claim = self.api.object("persistentvolumeclaims", name).unwrap();
        claim["spec"]["resources"]["requests"]["storage"].clone()
    }

    /// Both commands refuse, say `why` and `hint`, and change nothing.
    #[track_caller]
    fn refuses(&self, why: &str, hint: &str) {
        for arguments in [&["diff"][..], &["up"], &["up", "--dry-run=client"]] {
            let run = self.exits(1, arguments);
            assert!(run.stderr.contains(why), "{arguments:?}: {}", run.stderr);
            assert!(run.stderr.contains(hint), "{arguments:?}: {}", run.stderr);
        }
        assert!(!self.api.seen().iter().any(Seen::is_change));
    }
}

#[test]
fn raised_redis_memory_keeps_the_volume() {
    let place = up("redis: {memory: 1Gi}\n");
    place.changed("redis: {memory: 4Gi}\n");
    let diff = place.exits(5, &["diff"]).stdout;
    assert!(diff.contains("resources.limits.memory: 1Gi -> 4Gi"), "{diff}");
    assert!(!diff.contains("storage"), "{diff}");
    place.exits(0, &["up"]);
    assert_eq!(place.claim("data-shop-redis-0"), "2Gi");
    // A stack that comes back finds the volume that it left.
    place.exits(0, &["down"]);
    place.exits(0, &["up"]);
    assert_eq!(place.claim("data-shop-redis-0"), "2Gi");
    assert_eq!(place.json(&["up"])["changed"], false);
}

#[test]
fn raised_storage_grows_the_claims() {
    let place = up("");
    for (more, claim, size) in [
        ("redis: {storage: 8Gi}\n", "data-shop-redis-0", "8Gi"),
        ("redis: {storage: 8Gi}\nmongodb: {storage: 20Gi}\n", "data-shop-mongodb-0", "20Gi"),
    ] {
        place.changed(more);
        let diff = place.exits(5, &["diff"]).stdout;
        let title = format!("~ change persistentvolumeclaim/{claim}\n    spec.resources.requests.storage: ");
        assert!(diff.contains(&title), "{diff}");
        assert_eq!(diff.matches("\n~").count() + usize::from(diff.starts_with('~')), 1, "{diff}");
        place.exits(0, &["up"]);
        assert_eq!(place.claim(claim), size);
        assert_eq!(place.json(&["up"])["changed"], false);
    }
}

#[test]
fn lowered_storage_is_refused() {
    let place = up("redis: {storage: 8Gi}\nmongodb: {storage: 20Gi}\n");
    place.changed("redis: {storage: 4Gi}\nmongodb: {storage: 20Gi}\n");
    place.refuses(
        "error: `persistentvolumeclaim/data-shop-redis-0` has 8GiB and cannot shrink to 4GiB (`redis.storage`), so nothing was applied\n",
        "hint: keep the volume as it is: set `redis.storage: 8GiB`\n",
    );
    place.changed("redis: {storage: 8Gi}\nmongodb: {storage: 10Gi}\n");
    place.refuses("`persistentvolumeclaim/data-shop-mongodb-0` has 20GiB", "set `mongodb.storage: 20GiB`\n");
}

#[test]
fn storage_of_a_class_that_does_not_expand_is_refused() {
    let place = up("");
    let key = |api: &str, plural: &str, name: &str, namespace: &str| Key {
        api: api.into(),
        plural: plural.into(),
        name: name.into(),
        namespace: namespace.into(),
    };
    let class =
        |able: bool| json!({"metadata": {"name": "local"}, "provisioner": "x", "allowVolumeExpansion": able});
    place.api.store(|store| {
        store.put(&key("storage.k8s.io/v1", "storageclasses", "local", ""), class(false));
        let claim = key("v1", "persistentvolumeclaims", "data-shop-mongodb-0", "shop");
        store.merge(&claim, "kube-scheduler", &json!({"spec": {"storageClassName": "local"}}));
    });
    place.changed("mongodb: {storage: 20Gi}\n");
    place.refuses(
        "error: `persistentvolumeclaim/data-shop-mongodb-0` cannot grow: the storage class `local` does not expand volumes, so nothing was applied\n",
        "patch storageclass local -p '{\"allowVolumeExpansion\":true}'\n",
    );
    place.api.store(|store| {
        store.put(&key("storage.k8s.io/v1", "storageclasses", "local", ""), class(true));
    });
    place.exits(0, &["up"]);
    assert_eq!(place.claim("data-shop-mongodb-0"), "20Gi");
}

#[test]
fn other_shape_of_redis_is_refused() {
    const SENTINEL: &str = "redis: {topology: sentinel}\n";
    const NONE: &str = "redis: {persistence: none}\n";
    for (before, after, was, wants) in [
        ("", NONE, "persistence: aof", "none"),
        (NONE, "", "persistence: none", "aof"),
        ("", SENTINEL, "topology: single", "sentinel"),
        (SENTINEL, "", "topology: sentinel", "single"),
    ] {
        let place = up(before);
        place.changed(after);
        place.refuses(
            &format!("error: `statefulset/shop-redis` runs with `redis.{was}` and cannot become `{wants}` in place, so nothing was applied\n"),
            "kubectl --context test -n shop delete statefulsets.apps shop-redis && appforge up\n",
        );
        let set = Key {
            api: "apps/v1".into(),
            plural: "statefulsets".into(),
            name: "shop-redis".into(),
            namespace: "shop".into(),
        };
        place.api.store(|store| store.delete(&set));
        place.exits(0, &["up"]);
        assert_eq!(place.json(&["up"])["changed"], false);
    }
}
