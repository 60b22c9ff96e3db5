//! What stands in the way on a cluster is said with its reason: rights, images, claims, metrics.

use http::Method;
use serde_json::{Value, json};

use super::store::{Key, Pods};
use super::{Place, STACK};

fn key(api: &str, plural: &str, name: &str) -> Key {
    Key { api: api.into(), namespace: "shop".into(), plural: plural.into(), name: name.into() }
}

impl Place {
    fn alter(&self, key: &Key, change: impl FnOnce(&mut Value)) {
        self.api.store(|store| {
            let mut object = store.get(key).unwrap();
            change(&mut object);
            store.put(key, object);
        });
    }
}

#[test]
fn doctor_names_the_rights_that_up_lacks() {
    let place = Place::new(STACK);
    let denied = [("patch", "priorityclasses"), ("create", "namespaces"), ("list", "poddisruptionbudgets")];
    place.api.store(|store| store.denied = denied.to_vec());
    let run = place.run(&["doctor"]);
    let line = "not allowed in the namespace shop: create namespaces, patch priorityclasses.scheduling.k8s.io, list poddisruptionbudgets.policy";
    assert!(run.stdout.contains(line), "{}", run.stdout);
    let forbidden =
        json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
    place.api.fail(Method::PATCH, "/priorityclasses/", Some(true), 403, &forbidden.to_string(), 1);
    let up = place.exits(1, &["up"]);
    assert!(up.stderr.contains("forbids `patch` on `priorityclasses.scheduling.k8s.io/"), "{}", up.stderr);
    // Once the namespace is there, the right to create it is not needed.
    let again = place.run(&["doctor"]).stdout;
    assert!(again.contains("shop: patch priorityclasses.scheduling.k8s.io, list"), "{again}");
}

#[test]
fn doctor_asks_only_for_what_the_documents_need() {
    let place = Place::new(
        &STACK.replace("namespace: shop", "namespace: shop, priority_class: none, autoscaling: null"),
    );
    place.api.store(|store| {
        store.denied =
            vec![("patch", "priorityclasses"), ("create", "horizontalpodautoscalers"), ("patch", "jobs")];
    });
    assert!(place.run(&["doctor"]).stdout.contains("complete for `up` in the namespace shop"));
}

#[test]
fn doctor_warns_without_the_right_to_leases() {
    let place = Place::new(STACK);
    place.api.store(|store| store.denied = vec![("patch", "leases"), ("delete", "leases")]);
    let run = place.run(&["doctor"]);
    let line = "not allowed: patch leases.coordination.k8s.io, delete leases.coordination.k8s.io; another machine could change the stack at the same time";
    assert!(run.stdout.contains(line), "{}", run.stdout);
    assert!(run.stdout.contains("complete for `up`"), "{}", run.stdout);
}

#[test]
fn broken_image_is_said_by_up_status_and_diff() {
    let place = Place::new(STACK);
    place.api.store(|store| store.pods = Pods::CannotPull);
    let up = place.exits(1, &["up", "--timeout", "20s"]);
    assert!(up.stderr.contains("shop-app-0: ImagePullBackOff: "), "{}", up.stderr);
    assert!(place.exits(0, &["status"]).stdout.contains("ImagePullBackOff: "));
    let diff = place.exits(0, &["diff"]);
    assert!(
        diff.stderr.contains("warning: pod/shop-app-0 cannot start: ImagePullBackOff: "),
        "{}",
        diff.stderr
    );
    for reason in ["ErrImagePull", "InvalidImageName"] {
        place.alter(&key("v1", "pods", "shop-app-1"), |pod| {
            pod["status"]["containerStatuses"][0]["state"] =
                json!({"waiting": {"reason": reason, "message": "why"}});
        });
        let diff = place.exits(0, &["diff"]).stderr;
        assert!(diff.contains(&format!("pod/shop-app-1 cannot start: {reason}: why\n")), "{diff}");
        assert!(place.exits(0, &["status"]).stdout.contains(&format!("{reason}: why")));
    }
}

#[test]
fn claim_that_is_being_deleted_is_said_before_anything_is_applied() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.alter(&key("v1", "persistentvolumeclaims", "data-shop-mongodb-0"), |claim| {
        claim["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z".into();
        claim["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
    });
    let said =
        "persistentvolumeclaim/data-shop-mongodb-0 is being deleted: its data is lost once its pod ends";
    place.file(&STACK.replace("shop:1", "shop:2"));
    place.api.seen();
    let up = place.exits(1, &["up"]);
    assert!(up.stderr.contains(&format!("error: {said}; nothing was applied\n")), "{}", up.stderr);
    assert!(
        up.stderr.ends_with("kubectl --context test -n shop delete pod shop-mongodb-0\n"),
        "{}",
        up.stderr
    );
    assert!(!place.api.seen().iter().any(super::Seen::is_change));
    let diff = place.exits(5, &["diff"]);
    assert!(diff.stderr.contains(&format!("warning: {said}\n")), "{}", diff.stderr);
    let status = place.exits(0, &["status"]).stdout;
    assert!(
        status.contains("persistentvolumeclaim/data-shop-mongodb-0: not Available: Terminating: "),
        "{status}"
    );
}

#[test]
fn autoscaler_without_metrics_is_said_with_the_next_command() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.alter(&key("autoscaling/v2", "horizontalpodautoscalers", "shop-app"), |scaler| {
        let condition = |name: &str, status: &str, reason: &str| json!({"type": name, "status": status, "reason": reason, "message": "no metrics returned"});
        scaler["status"] = json!({"currentReplicas": 3, "desiredReplicas": 3, "conditions": [
            condition("AbleToScale", "True", "SucceededGetScale"),
            condition("ScalingActive", "False", "FailedGetResourceMetric"),
        ]});
    });
    let why = "FailedGetResourceMetric: no metrics returned";
    for verb in ["status", "up"] {
        let run = place.exits(0, &[verb]).stdout;
        assert!(
            run.contains(&format!("horizontalpodautoscaler/shop-app: not ScalingActive: {why}\n")),
            "{run}"
        );
        assert!(run.contains("hint: `appforge doctor` checks the metrics of the autoscaler\n"), "{run}");
    }
    let diff = place.exits(0, &["diff"]).stderr;
    assert!(
        diff.contains(&format!(
            "horizontalpodautoscaler/shop-app does not scale: {why}; `appforge doctor` checks the metrics\n"
        )),
        "{diff}"
    );
    let verify = place.exits(6, &["verify", "--check", "autoscaler"]).stdout;
    assert!(verify.contains(why) && verify.contains("`appforge doctor` checks the metrics"), "{verify}");
}
