//! Two machines that change one stack: the second waits for the first and says who that is; and what is deleted meanwhile.

use std::io::Read;
use std::process::{Child, Stdio};

use appforge_testing::wait::eventually;
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::store::{Key, Pods};
use super::{Api, Place, STACK, deployment};
use crate::support::Project;

fn lease() -> Key {
    Key {
        api: "coordination.k8s.io/v1".into(),
        namespace: "shop".into(),
        plural: "leases".into(),
        name: "shop-change".into(),
    }
}

impl Place {
    /// Another machine, with a clone of the project.
    fn another(&self) -> Self {
        let another = Self { api: Api::start(), project: Project::with(STACK) };
        another.project.write("kubeconfig", &self.api.kubeconfig());
        another
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.project.command(arguments);
        command.env("KUBECONFIG", self.project.path().join("kubeconfig"));
        command.env_remove("KUBERNETES_SERVICE_HOST");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn hold(&self, holder: &str, seconds: u64) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": "2026-01-31T12:00:00.000000Z"});
        let value = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "shop-change", "namespace": "shop"}, "spec": spec});
        self.api.store(|store| store.put(&lease(), value));
    }

    fn is_held(&self) -> bool {
        self.api.object("leases", "shop-change").is_some()
    }
}

/// How a command ended, and its stderr.
fn end(mut child: Child) -> (Option<i32>, String) {
    let mut text = String::new();
    child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code(), text)
}

#[test]
fn second_machine_waits_and_names_the_first() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    assert!(!place.is_held(), "given back");
    // The first one waits for pods that cannot be made.
    place.api.store(|store| store.pods = Pods::OverQuota);
    let first = place.start(&["restart"]);
    eventually("the first machine holds the lease", || place.is_held());
    let second = place.another().exits(9, &["scale", "4", "--timeout", "1500ms"]);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let holder = format!("@{host} (pid {})", first.id());
    let waits = second.stderr.lines().find(|line| line.starts_with("waiting for `appforge restart` of "));
    assert!(waits.is_some_and(|line| line.ends_with(&holder)), "{}", second.stderr);
    assert!(
        second.stderr.contains("error: another command (`appforge restart` of ")
            && second
                .stderr
                .ends_with("is still running on this stack\n\nhint: wait for it to finish, or end it\n"),
        "{}",
        second.stderr
    );
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    assert_eq!(end(first).0, Some(130));
    assert!(!place.is_held(), "given back");
}

#[test]
fn first_up_holds_the_lease_in_its_new_namespace() {
    let place = Place::new(STACK);
    // The first one cannot list what the cluster has, and tries again until its time is over.
    let unavailable = json!({"kind": "Status", "status": "Failure", "reason": "ServiceUnavailable", "code": 503, "message": "etcd is not there"});
    place.api.fail(Method::GET, "/deployments", None, 503, &unavailable.to_string(), 999);
    let first = place.start(&["up"]);
    eventually("the first machine holds the lease", || place.is_held());
    let seen = place.api.seen();
    let changes: Vec<(&str, &str)> = seen
        .iter()
        .filter(|seen| seen.method != "GET")
        .map(|seen| (seen.method.as_str(), seen.path.rsplit("v1/").next().unwrap()))
        .take_while(|(_, path)| !path.starts_with("namespaces/shop/") || path.ends_with("/leases"))
        .collect();
    let lease = ("POST", "namespaces/shop/leases");
    assert_eq!(
        changes,
        [lease, ("PATCH", "namespaces/shop"), lease],
        "nothing before the lease but its namespace"
    );
    let second = place.another().exits(9, &["up", "--timeout", "1500ms"]);
    assert!(second.stderr.contains("waiting for `appforge up` of "), "{}", second.stderr);
    kill_process(Pid::from_child(&first), Signal::INT).unwrap();
    assert_eq!(end(first).0, Some(130));
    assert!(!place.is_held(), "given back");
}

#[test]
fn dry_run_makes_no_namespace() {
    let place = Place::new(STACK);
    let plan = place.exits(0, &["up", "--dry-run"]);
    assert!(plan.stdout.starts_with("+ create namespace/shop\n"), "{}", plan.stdout);
    assert!(place.api.seen().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn lease_that_is_not_renewed_is_taken_over() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.hold("`appforge up` of ana@laptop (pid 1)", 1);
    let restart = place.exits(0, &["restart"]);
    assert!(
        restart.stderr.contains("waiting for `appforge up` of ana@laptop (pid 1)\n"),
        "{}",
        restart.stderr
    );
    assert!(!place.is_held());
}

#[test]
fn lease_is_given_back_after_a_failure() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| store.pods = Pods::CannotPull);
    place.exits(1, &["restart"]);
    assert!(!place.is_held());
    place.api.store(|store| store.pods = Pods::Ready);
    place.exits(0, &["down"]);
    assert!(!place.is_held());
}

#[test]
fn command_ends_when_another_machine_takes_over() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| store.pods = Pods::OverQuota);
    let first = place.start(&["restart"]);
    eventually("it holds the lease", || place.is_held());
    place.hold("`appforge up` of ana@laptop (pid 1)", 60);
    let (code, text) = end(first);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.ends_with("error: another command (`appforge up` of ana@laptop (pid 1)) has taken over this stack\n\nhint: appforge status\n"),
        "{text}"
    );
    assert!(place.is_held(), "it is not ours to delete");
}

#[test]
fn role_without_leases_is_warned_and_goes_on() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let forbidden =
        json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
    place.api.fail(Method::POST, "/leases", None, 403, &forbidden.to_string(), 1);
    let restart = place.exits(0, &["restart"]);
    assert!(
        restart.stderr.contains("warning: the role of `tester` may not use leases.coordination.k8s.io in the namespace `shop`, so another machine could change the stack at the same time\n"),
        "{}",
        restart.stderr
    );
}

#[test]
fn stack_that_vanishes_under_restart_is_a_failure() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| store.pods = Pods::OverQuota);
    place.api.seen();
    let restart = place.start(&["restart"]);
    let patched =
        || place.api.seen().iter().any(|seen| seen.method == "PATCH" && seen.path.contains("/deployments/"));
    eventually("the pods are being replaced", patched);
    place.api.store(|store| store.delete(&deployment()));
    let (code, text) = end(restart);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.ends_with("error: deployment/shop-app is gone: it was deleted while this command was running\n\nhint: appforge up\n"),
        "{text}"
    );
}
