//! Each obstacle between us and a cluster: its exit status, its cause, the next command. Nothing is half applied.

use http::Method;
use serde_json::json;

use super::api::Seen;
use super::store::{Key, Pods};
use super::{Place, STACK};
use crate::support::Project;

const CONFLICT: &str = include_str!("../fixtures/kubernetes/conflict.json");
const IMMUTABLE: &str = include_str!("../fixtures/kubernetes/immutable.json");
const FORBIDDEN: &str = include_str!("../fixtures/kubernetes/forbidden.json");
const UNAUTHORIZED: &str = include_str!("../fixtures/kubernetes/unauthorized.json");
const TERMINATING: &str = include_str!("../fixtures/kubernetes/terminating.json");
const ENDING_NAMESPACE: &str = include_str!("../fixtures/kubernetes/ending-namespace.json");
const PULL_EVENTS: &str = include_str!("../fixtures/kubernetes/image-pull-events.json");
const UNAVAILABLE: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"etcd is not there","reason":"ServiceUnavailable","code":503}"#;

/// What stderr says after the line that names the cluster.
fn after_title(stderr: &str) -> &str {
    stderr.split_once('\n').map(|(_, rest)| rest).unwrap_or_default()
}

#[track_caller]
fn nothing_was_changed(place: &Place) {
    let seen = place.api.seen();
    let changes: Vec<&Seen> = seen.iter().filter(|seen| seen.is_change()).collect();
    assert!(changes.is_empty(), "{changes:#?}");
}

#[test]
fn without_a_kubeconfig_there_is_no_cluster_exit_4() {
    let project = Project::with(STACK);
    let output = project
        .command(&["up"])
        .env("KUBECONFIG", project.path().join("nothing"))
        .env_remove("KUBERNETES_SERVICE_HOST")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: cannot find a kubeconfig\n"), "{text}");
    assert!(text.ends_with("hint: without a cluster: appforge up --target local\n"), "{text}");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_remote_cluster_has_to_be_named_and_a_context_has_to_be_there() {
    let place = Place::new(STACK);
    let remote = place.api.kubeconfig().replace("127.0.0.1", "192.0.2.1").replace("test", "prod");
    place.project.write("kubeconfig", &remote);
    let refused = place.exits(2, &["up"]);
    assert!(
        refused.stderr.starts_with("error: the context `prod` is a remote cluster ("),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("hint: add `--context prod`, or set `kubernetes: {context: prod}`"),
        "{}",
        refused.stderr
    );
    let unknown = place.exits(2, &["up", "--context", "prdo"]);
    assert_eq!(unknown.stderr, "error: the kubeconfig has no context `prdo`\n\nhint: did you mean `prod`?\n");
    let local = Project::with("target: local\n").run(&["status", "--context", "prod"]);
    assert_eq!(local.code, Some(2));
    assert!(local.stderr.contains("`--context` requires the target kubernetes"), "{}", local.stderr);
}

#[test]
fn a_server_that_is_not_there_is_exit_4() {
    let place = Place::new(STACK);
    let gone = place.api.kubeconfig().replace(&place.api.address.to_string(), "127.0.0.1:1");
    place.project.write("kubeconfig", &gone);
    let run = place.exits(4, &["status"]);
    let text = after_title(&run.stderr);
    assert!(
        text.starts_with(
            "error: the cluster of the context `test` cannot be reached at http://127.0.0.1:1\n"
        ),
        "{text}"
    );
    assert!(text.ends_with("hint: kubectl --context test cluster-info\n"), "{text}");
}

#[test]
fn credentials_that_are_not_accepted_are_exit_4_and_never_shown() {
    let place = Place::new(STACK);
    place.api.fail(Method::GET, "", None, 401, UNAUTHORIZED, 99);
    let run = place.exits(4, &["up"]);
    let text = after_title(&run.stderr);
    assert_eq!(
        text,
        "error: the cluster of the context `test` does not accept the credentials of `tester`\ncaused by: Unauthorized\n\n\
         hint: log in again, then try: kubectl --context test auth whoami\n"
    );
    assert!(!run.stderr.contains("secret-token"));
}

#[test]
fn a_forbidden_verb_is_named_with_the_question_to_ask() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.seen();
    place.api.fail(Method::GET, "/secrets", None, 403, FORBIDDEN, 99);
    let run = place.exits(1, &["up"]);
    let text = after_title(&run.stderr);
    assert!(text.starts_with("error: the cluster of the context `test` forbids `list` on `secrets`\ncaused by: secrets is forbidden: "), "{text}");
    assert!(text.ends_with("hint: kubectl --context test auth can-i list secrets -n shop\n"), "{text}");
    nothing_was_changed(&place);
}

#[test]
fn a_conflict_names_the_other_manager_in_diff_and_up_and_changes_nothing() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.seen();
    place.project.write("appforge.yaml", &STACK.replace("shop:1", "shop:2"));
    place.api.fail(Method::PATCH, "/horizontalpodautoscalers/", Some(true), 409, CONFLICT, 1);
    let shown = place.exits(5, &["diff"]);
    let owner =
        ".spec.maxReplicas conflict with \"kubectl-edit\": `appforge up --force-conflicts` takes it over\n";
    assert!(shown.stdout.contains(owner), "{}", shown.stdout);
    let forced = place.exits(5, &["diff", "--force-conflicts"]);
    assert!(!forced.stdout.contains("kubectl-edit"), "{}", forced.stdout);
    place.api.fail(Method::PATCH, "/horizontalpodautoscalers/", Some(true), 409, CONFLICT, 1);
    place.api.seen();
    let run = place.exits(1, &["up"]);
    assert_eq!(
        after_title(&run.stderr),
        "error: `horizontalpodautoscalers.autoscaling/shop-app` has fields that another field manager owns:\n  \
         .spec.maxReplicas conflict with \"kubectl-edit\"\n\n\
         hint: remove the value from the stack file, or take over the field: appforge up --force-conflicts\n"
    );
    nothing_was_changed(&place);
    place.exits(0, &["up", "--force-conflicts"]);
    let forced = place.api.seen();
    assert!(
        forced.iter().filter(|seen| seen.method == "PATCH").all(|seen| seen.query.contains_key("force")),
        "{forced:#?}"
    );
}

#[test]
fn an_immutable_field_is_told_before_anything_is_applied_with_the_way_around() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.seen();
    place.project.write(
        "appforge.yaml",
        &STACK.replace("shop:1", "shop:2").replace("namespace: shop", "namespace: shop, storage_class: fast"),
    );
    place.api.fail(Method::PATCH, "/statefulsets/shop-mongodb", Some(true), 422, IMMUTABLE, 1);
    let run = place.exits(1, &["up"]);
    let text = after_title(&run.stderr);
    assert!(text.starts_with("error: `statefulset/shop-mongodb` cannot be changed in place:\n  spec.volumeClaimTemplates[0].spec.storageClassName: (none) -> \"fast\"\n"), "{text}");
    assert!(
        text.contains("delete statefulsets.apps shop-mongodb --cascade=orphan && appforge up\n"),
        "{text}"
    );
    nothing_was_changed(&place);
}

#[test]
fn namespace_that_is_being_deleted_is_waited_for() {
    let place = Place::new(STACK);
    let leaving = |times| place.api.fail(Method::GET, "/namespaces/shop", None, 200, ENDING_NAMESPACE, times);
    let waits = "waiting for the deletion of the namespace `shop`\n";
    leaving(6);
    let up = place.exits(0, &["up"]);
    assert!(up.stderr.contains(waits), "{}", up.stderr);
    // `diff` and `down` wait too; for `down` that is all there is to do.
    for (verb, code) in [("diff", 0), ("down", 0)] {
        leaving(6);
        let run = place.exits(code, &[verb]);
        assert!(run.stderr.contains(waits), "{verb}: {}", run.stderr);
    }
    leaving(99);
    let late = place.exits(9, &["up", "--timeout", "2s"]);
    assert!(late.stderr.contains("error: the namespace `shop` is still being deleted\n"), "{}", late.stderr);
    assert!(
        late.stderr.contains("hint: kubectl --context test wait --for=delete namespace/shop"),
        "{}",
        late.stderr
    );
}

#[test]
fn namespace_that_begins_to_be_deleted_during_up_is_said() {
    let place = Place::new(STACK);
    place.api.fail(Method::PATCH, "/serviceaccounts/", None, 403, TERMINATING, 9);
    let run = place.exits(1, &["up"]);
    let text = after_title(&run.stderr);
    assert!(text.starts_with("error: the namespace `shop` is being deleted\n"), "{text}");
}

#[test]
fn an_image_that_cannot_be_pulled_ends_the_wait_with_reason_events_and_last_words() {
    let place = Place::new(STACK);
    place.api.store(|store| {
        store.pods = Pods::CannotPull;
        let mut events: serde_json::Value = serde_json::from_str(PULL_EVENTS).unwrap();
        for event in events.as_array_mut().unwrap() {
            event["involvedObject"]["name"] = "shop-app-0".into();
        }
        store.events = events;
    });
    place.api.say("the last words of shop-app-0\n");
    let run = place.exits(1, &["up", "--timeout", "20s"]);
    assert!(
        run.stderr.contains("error: not ready: shop-app (0 of 3)\n  shop-app-0: ImagePullBackOff: "),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("\n    event Failed: Failed to pull image \"registry.example/shop:1\""),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\n    | the last words of shop-app-0\n"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: check the name of the image"), "{}", run.stderr);
    assert!(
        run.stderr.contains("hint: kubectl --context test -n shop describe pod shop-app-0\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_quota_that_is_used_up_is_told_with_the_servers_words() {
    let place = Place::new(STACK);
    place.api.store(|store| store.pods = Pods::OverQuota);
    let run = place.exits(1, &["up", "--timeout", "30s"]);
    assert!(
        run.stderr.contains(
            "\n  shop-app: FailedCreate: pods \"shop-app-0\" is forbidden: exceeded quota: small\n"
        ),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("hint: kubectl --context test -n shop describe quota\n"), "{}", run.stderr);
}

#[test]
fn a_server_that_restarts_is_tried_again_and_one_that_stays_away_ends_with_exit_9() {
    let place = Place::new(STACK);
    place.api.fail(Method::PATCH, "/deployments/", None, 503, UNAVAILABLE, 2);
    place.api.fail(Method::GET, "/pods", None, 503, UNAVAILABLE, 2);
    let up = place.exits(0, &["up", "--timeout", "30s"]);
    let told = up.stderr.matches("the API server is slow or restarting; trying again\n").count();
    assert_eq!(told, 1, "{}", up.stderr);
    place.api.fail(Method::GET, "/deployments", None, 503, UNAVAILABLE, 999);
    let run = place.exits(9, &["up", "--timeout", "1s"]);
    let text = after_title(&run.stderr);
    assert!(
        text.contains("did not answer `list deployments.apps` in time\ncaused by: etcd is not there\n"),
        "{text}"
    );
    assert!(text.contains("hint: run the same command to continue"), "{text}");
}

#[test]
fn what_only_kubernetes_has_is_a_usage_error_elsewhere() {
    let project = Project::with("target: local\n");
    for arguments in
        [&["up", "--force-conflicts"][..], &["scale", "--replicas", "2", "--max", "3"], &["rollback", "1"]]
    {
        let run = project.run(arguments);
        assert_eq!(run.code, Some(2), "{run:#?}");
        assert!(run.stderr.ends_with("hint: add `--target kubernetes`\n"), "{}", run.stderr);
    }
}

#[test]
fn an_autoscaler_that_nobody_measures_for_fails_its_check() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let failed = place.exits(6, &["verify", "--check", "autoscaler"]);
    assert!(failed.stdout.contains("no metrics for cpu; is metrics-server installed?"), "{}", failed.stdout);
    let key = Key {
        api: "autoscaling/v2".into(),
        namespace: "shop".into(),
        plural: "horizontalpodautoscalers".into(),
        name: "shop-app".into(),
    };
    place.api.store(|store| {
        let mut scaler = store.get(&key).unwrap();
        let condition = |name: &str| json!({"type": name, "status": "True", "reason": "ValidMetricFound"});
        let metric = |name: &str| json!({"type": "Resource", "resource": {"name": name, "current": {"averageUtilization": 9}}});
        scaler["status"] = json!({
            "currentReplicas": 3, "desiredReplicas": 3, "currentMetrics": [metric("cpu"), metric("memory")],
            "conditions": [condition("AbleToScale"), condition("ScalingActive")],
        });
        store.put(&key, scaler)
    });
    place.exits(0, &["verify", "--check", "autoscaler"]);
}
