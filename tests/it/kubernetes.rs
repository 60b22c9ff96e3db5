//! The Kubernetes target against an API server of each test, by the real command line. Its faults are recorded answers of
//! a real API server (1.36).

mod addresses;
mod api;
mod app;
mod controllers;
mod credentials;
mod drift;
mod errors;
mod fields;
mod forward;
mod jobs;
mod kubeconfig;
mod kubelet;
mod lease;
mod namespaces;
mod ownership;
mod proxy;
mod reasons;
mod references;
mod revisions;
mod store;
mod texts;
mod tunnels;
mod volumes;
mod watches;

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::{Project, Run};
use api::{Api, Seen};
use store::{Key, Pods};

/// The bundled service, whose image is in a registry: nothing has to be loaded into nodes.
const STACK: &str = "target: kubernetes
name: shop
kubernetes: {namespace: shop}
runtime: {image: 'registry.example/shop:1'}
";

/// An app of the user's own, behind a front.
const OWN: &str = "target: kubernetes
name: shop
kubernetes: {namespace: shop}
runtime: {image: 'registry.example/appforge:1'}
service: {image: 'registry.example/shop:1'}
";

/// A project and a cluster.
struct Place {
    api: Api,
    project: Project,
}

impl Place {
    fn new(stack: &str) -> Self {
        let (api, project) = (Api::start(), Project::with(stack));
        project.write("kubeconfig", &api.kubeconfig());
        Self { api, project }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.project.command(arguments);
        command.env("KUBECONFIG", self.project.path().join("kubeconfig"));
        Run::of(command.env_remove("KUBERNETES_SERVICE_HOST"))
    }

    #[track_caller]
    fn exits(&self, code: i32, arguments: &[&str]) -> Run {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {run:#?}");
        run
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let run = self.exits(0, &[arguments, &["-o", "json", "-q"]].concat());
        serde_json::from_str(&run.stdout).unwrap()
    }

    fn replicas(&self) -> Value {
        self.api.object("deployments", "shop-app").unwrap()["spec"]["replicas"].clone()
    }
}

fn deployment() -> Key {
    Key {
        api: "apps/v1".into(),
        namespace: "shop".into(),
        plural: "deployments".into(),
        name: "shop-app".into(),
    }
}

/// The plurals of what was changed, in order, each once.
fn order(seen: &[Seen]) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for request in seen.iter().filter(|seen| seen.is_change()) {
        let plural = Key::parse(&request.path).unwrap().0.plural;
        if order.last() != Some(&plural) {
            order.push(plural);
        }
    }
    order
}

#[test]
fn up_applies_in_order_waits_and_the_second_time_changes_nothing() {
    let place = Place::new(STACK);
    assert_eq!(place.exits(5, &["diff"]).stdout.lines().next(), Some("+ create namespace/shop"));
    assert!(place.api.seen().iter().all(|seen| seen.method == "GET"), "diff changes nothing");
    let first = place.exits(0, &["up", "--timeout", "20s"]);
    let title = format!("context test (http://{}), namespace shop\n", place.api.address);
    assert!(first.stderr.starts_with(&title), "{}", first.stderr);
    assert!(first.stdout.contains("3 of 3 replicas ready"), "{}", first.stdout);
    let seen = place.api.seen();
    assert_eq!(
        order(&seen),
        [
            "namespaces",
            "priorityclasses",
            "serviceaccounts",
            "secrets",
            "configmaps",
            "networkpolicies",
            "services",
            "statefulsets",
            "deployments",
            "horizontalpodautoscalers",
            "poddisruptionbudgets",
        ]
    );
    let second = place.exits(0, &["up", "--timeout", "20s"]);
    assert!(second.stderr.contains("nothing to change: the stack is up to date\n"), "{}", second.stderr);
    let seen = place.api.seen();
    assert!(!seen.iter().any(Seen::is_change), "{:#?}", order(&seen));
    let lists: Vec<&str> = seen
        .iter()
        .filter(|seen| seen.query.contains_key("labelSelector") && !seen.query.contains_key("watch"))
        .map(|seen| seen.path.as_str())
        .collect();
    let services = lists.iter().filter(|path| path.ends_with("/services")).count();
    assert_eq!(services, 1, "one list a kind: {lists:#?}");
    place.exits(0, &["diff"]);
}

#[test]
fn a_deployment_is_made_with_the_autoscalers_floor_and_passed_on() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let object = place.api.object("deployments", "shop-app").unwrap();
    let owners: BTreeSet<&str> = object["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry.pointer("/fieldsV1/f:spec/f:replicas").is_some())
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!((place.replicas(), owners), (json!(3), BTreeSet::from(["appforge-handover"])));
    // The autoscaler takes over, and the next `up` leaves it alone.
    place.api.store(|store| {
        store.merge(&deployment(), "kube-controller-manager", &json!({"spec": {"replicas": 7}}))
    });
    assert_eq!(place.json(&["up"])["changed"], false);
    assert_eq!(place.replicas(), 7);
}

#[test]
fn scale_moves_the_floor_is_remembered_and_keeps_within_the_most() {
    let place = Place::new(STACK);
    place.exits(4, &["scale", "--replicas", "4"]);
    place.exits(0, &["up"]);
    let scaled = place.exits(0, &["scale", "--replicas", "5"]);
    assert!(
        scaled.stderr.contains("\nautoscaling: at least 5 replicas now, at most 10\n"),
        "{}",
        scaled.stderr
    );
    assert_eq!(place.replicas(), 5);
    assert_eq!(place.json(&["up"])["changed"], false);
    let refused = place.exits(2, &["scale", "--replicas", "12"]);
    let why = "error: 12 replicas exceed the autoscaling maximum of 10\n\nhint: appforge scale --replicas 12 --max 12\n";
    assert!(refused.stderr.ends_with(why), "{}", refused.stderr);
    place.exits(0, &["scale", "--replicas", "12", "--max", "12"]);
    assert_eq!(place.json(&["up"])["changed"], false);
    let scaler = place.api.object("horizontalpodautoscalers", "shop-app").unwrap();
    assert_eq!((&scaler["spec"]["minReplicas"], &scaler["spec"]["maxReplicas"]), (&json!(12), &json!(12)));
}

#[test]
fn a_fixed_number_takes_over_from_the_autoscaler_and_back_without_a_dip() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.store(|store| {
        store.merge(&deployment(), "kube-controller-manager", &json!({"spec": {"replicas": 7}}))
    });
    place.project.write(
        "appforge.yaml",
        &STACK
            .replace("namespace: shop", "namespace: shop, autoscaling: null")
            .replace("shop:1'}", "shop:1'}\nservice: {replicas: 4}"),
    );
    let diff = place.exits(5, &["diff"]);
    assert!(diff.stdout.contains("    spec.replicas: 7 -> 4\n"), "{}", diff.stdout);
    assert!(
        diff.stdout.ends_with("- remove horizontalpodautoscaler/shop-app\n    no longer in the stack\n"),
        "{}",
        diff.stdout
    );
    place.api.seen();
    place.exits(0, &["up"]);
    let changed = order(&place.api.seen());
    assert_eq!(changed, ["horizontalpodautoscalers", "deployments"], "the autoscaler goes first");
    assert_eq!(place.replicas(), 4);
    // Somebody scales: that stays, until the user or the file says otherwise.
    place.api.store(|store| store.merge(&deployment(), "kubectl", &json!({"spec": {"replicas": 6}})));
    let kept = place.exits(0, &["up"]);
    assert!(kept.stderr.contains("deployment/shop-app keeps its 6 replicas, which `kubectl` set; `appforge scale --replicas 4` takes that back\n"), "{}", kept.stderr);
    assert_eq!(place.replicas(), 6);
    place.exits(0, &["scale", "--replicas", "4"]);
    assert_eq!(place.replicas(), 4);
    place.project.write("appforge.yaml", STACK);
    place.exits(0, &["up"]);
    assert_eq!(place.replicas(), 4, "not the server's default of one");
}

#[test]
fn secrets_are_the_clusters_and_never_shown() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    let password =
        |place: &Place| place.api.object("secrets", "shop-mongodb").unwrap()["data"]["root_password"].clone();
    let first = password(&place);
    // A colleague's machine: another folder, the same cluster.
    let colleague = Place { api: Api::start(), project: Project::with(STACK) };
    colleague.project.write("kubeconfig", &place.api.kubeconfig());
    assert_eq!(colleague.json(&["up"])["changed"], false);
    assert_eq!(password(&place), first);
    let external = "mongodb://someone:hunter22@db.example/";
    place.project.write("appforge.yaml", &format!("{STACK}mongodb: {{mode: external, uri: '{external}'}}\n"));
    let diff = place.exits(5, &["diff"]);
    assert!(diff.stdout.contains("    data.mongodb_uri: changed\n"), "{}", diff.stdout);
    assert!(
        diff.stdout.contains("~ restart deployment/shop-app\n"),
        "its pods take the new URI: {}",
        diff.stdout
    );
    assert!(!diff.stdout.contains("hunter22") && !diff.stderr.contains("hunter22"));
}

#[test]
fn down_keeps_data_and_volumes_takes_it_once_it_is_confirmed() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.seen();
    let down = place.exits(0, &["down"]);
    assert!(down.stderr.ends_with("the stack is down; its data is kept\n"), "{}", down.stderr);
    let mut wanted = [
        "priorityclasses",
        "serviceaccounts",
        "secrets",
        "configmaps",
        "networkpolicies",
        "services",
        "statefulsets",
        "deployments",
        "horizontalpodautoscalers",
        "poddisruptionbudgets",
    ];
    wanted.reverse();
    assert_eq!(order(&place.api.seen()), wanted);
    assert_eq!(
        (
            place.api.names("pods").len(),
            place.api.names("secrets").len(),
            place.api.names("namespaces").len()
        ),
        (0, 3, 1)
    );
    place.exits(4, &["status"]);
    let refused = place.exits(2, &["down", "--volumes"]);
    assert!(refused.stderr.contains("data: namespace/shop with all its objects\n"), "{}", refused.stderr);
    assert!(refused.stderr.ends_with("hint: appforge down --volumes --yes\n"), "{}", refused.stderr);
    place.exits(0, &["down", "--volumes", "--yes"]);
    assert_eq!((place.api.names("secrets").len(), place.api.names("namespaces").len()), (0, 0));
}

#[test]
fn restart_rolls_by_the_annotation_of_kubectl_and_the_next_up_leaves_it() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.exits(0, &["restart"]);
    let object = place.api.object("deployments", "shop-app").unwrap();
    let annotations = &object["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "{annotations}");
    assert_eq!(place.json(&["up"])["changed"], false);
}

#[test]
fn the_client_compares_by_reading_alone() {
    let place = Place::new(STACK);
    place.exits(0, &["up"]);
    place.api.seen();
    assert_eq!(place.exits(0, &["up", "--dry-run=client"]).stdout, "nothing to change\n");
    place.project.write("appforge.yaml", &STACK.replace("shop:1", "shop:2"));
    let plan = place.exits(0, &["up", "--dry-run=client"]).stdout;
    assert!(
        plan.contains(
            "spec.template.spec.containers[app].image: registry.example/shop:1 -> registry.example/shop:2"
        ),
        "{plan}"
    );
    assert!(place.api.seen().iter().all(|seen| seen.method == "GET"));
    assert!(place.exits(0, &["up", "--dry-run"]).stdout.contains("shop:2"));
    assert!(place.api.seen().iter().any(|seen| seen.method == Method::PATCH.as_str()));
    assert!(
        place.api.object("deployments", "shop-app").unwrap().to_string().contains("shop:1"),
        "nothing is kept"
    );
    place.api.store(|store| store.pods = Pods::Ready);
}
