use proptest::prelude::*;
use serde_json::Value;

use super::tests::hostile;
use super::*;
use crate::document;

fn kubernetes(stack: &Stack, overrides: &Overrides) -> Vec<Document> {
    render(stack, TargetKind::Kubernetes, overrides).unwrap()
}

#[track_caller]
fn parsed(documents: &[Document], path: &str) -> Value {
    let document =
        documents.iter().find(|document| document.path == path).unwrap_or_else(|| panic!("{path}"));
    document::parse(&document.text).unwrap().to_json()
}

fn container(document: &Value) -> &Value {
    &document["spec"]["template"]["spec"]["containers"][0]
}

/// What the kubelet makes of a variable's value: `$$` is `$`, and `$(NAME)` another variable's value.
fn expanded(text: &str) -> String {
    assert!(!text.replace("$$", "").contains('$'), "{text:?} would be expanded");
    text.replace("$$", "$")
}

fn variable(deployment: &Value, name: &str) -> String {
    let variables = container(deployment)["env"].as_array().unwrap();
    let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
    expanded(variable["value"].as_str().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_hostile_value_is_rendered_as_itself_or_refused_with_its_path(value in hostile(), database in hostile()) {
        let mut stack = Stack::default();
        stack.service.env.insert("HOSTILE".into(), value.clone());
        stack.mongodb.database = database.clone();
        match render(&stack, TargetKind::Kubernetes, &Overrides::default()) {
            Ok(documents) => {
                let deployment = parsed(&documents, "deployment.yaml");
                prop_assert_eq!(variable(&deployment, "HOSTILE"), value.clone());
                prop_assert_eq!(variable(&deployment, "MONGODB_DATABASE"), database);
                let document = documents.iter().find(|document| document.path == "deployment.yaml").unwrap();
                let other: Value = serde_yaml::from_str(&document.text).unwrap();
                prop_assert_eq!(variable(&other, "HOSTILE"), value);
            }
            Err(error) => {
                prop_assert!(value.contains('\0') || database.contains('\0'));
                let message = error.to_string();
                prop_assert!(message.starts_with("service.env.HOSTILE: ") || message.starts_with("mongodb.database: "), "{}", message);
            }
        }
    }
}

#[test]
fn the_settings_of_the_brief_are_rendered() {
    let documents = kubernetes(&Stack::default(), &Overrides::default());
    let deployment = parsed(&documents, "deployment.yaml");
    assert_eq!(deployment["metadata"]["name"], "appforge-app");
    assert_eq!(deployment["metadata"]["namespace"], "appforge");
    assert_eq!(variable(&deployment, "MONGODB_MAX_POOL_SIZE"), "50");
    let autoscaler = parsed(&documents, "hpa.yaml");
    assert_eq!(
        (&autoscaler["spec"]["minReplicas"], &autoscaler["spec"]["maxReplicas"]),
        (&3.into(), &10.into())
    );
    let target = |at: usize| &autoscaler["spec"]["metrics"][at]["resource"];
    assert_eq!((&target(0)["name"], &target(0)["target"]["averageUtilization"]), (&"cpu".into(), &70.into()));
    assert_eq!(
        (&target(1)["name"], &target(1)["target"]["averageUtilization"]),
        (&"memory".into(), &80.into())
    );
    let redis = parsed(&documents, "redis-configmap.yaml");
    let config = redis["data"]["redis.conf"].as_str().unwrap();
    for line in ["maxmemory 1431306240", "maxmemory-policy \"allkeys-lru\"", "appendonly yes"] {
        assert!(config.contains(line), "{config}");
    }
    assert_eq!(
        container(&parsed(&documents, "redis-statefulset.yaml"))["resources"]["limits"]["memory"],
        "2Gi"
    );
}

#[test]
fn what_the_target_knows_takes_the_place_of_what_the_file_says() {
    let overrides = Overrides { image: Some("appforge-service:0123456789ab".into()), ..Overrides::default() };
    let deployment = parsed(&kubernetes(&Stack::default(), &overrides), "deployment.yaml");
    assert_eq!(container(&deployment)["image"], "appforge-service:0123456789ab");
    assert_eq!(container(&deployment)["imagePullPolicy"], "IfNotPresent");
    let mut stack = Stack::default();
    stack.runtime.image = Some("registry.example.com/appforge:1".parse().unwrap());
    let deployment = parsed(&kubernetes(&stack, &overrides), "deployment.yaml");
    assert_eq!(container(&deployment)["image"], "registry.example.com/appforge:1");
    assert_eq!(container(&deployment)["imagePullPolicy"], "Always");
}

#[test]
fn a_change_of_a_stores_settings_restarts_that_store_only() {
    let pods = |stack: &Stack| {
        let documents = kubernetes(stack, &Overrides::default());
        ["deployment.yaml", "mongodb-statefulset.yaml", "redis-statefulset.yaml"]
            .map(|path| parsed(&documents, path)["spec"]["template"].clone())
    };
    let before = pods(&Stack::default());
    let mut stack = Stack::default();
    stack.redis.eviction = crate::stack::model::Eviction::Noeviction;
    let after = pods(&stack);
    assert_eq!((&before[0], &before[1]), (&after[0], &after[1]));
    assert_ne!(before[2], after[2]);
}

#[test]
fn the_number_of_replicas_changes_no_pod() {
    let template = |replicas| {
        let mut stack = Stack::default();
        stack.kubernetes.autoscaling = None;
        stack.service.replicas = replicas;
        let deployment = parsed(&kubernetes(&stack, &Overrides::default()), "deployment.yaml");
        assert_eq!(deployment["spec"]["replicas"], replicas);
        deployment["spec"]["template"].clone()
    };
    assert_eq!(template(1), template(5));
}

#[test]
fn every_pod_may_pull_from_a_private_registry() {
    let mut stack = Stack::default();
    stack.kubernetes.pull_secrets = vec!["registry".into()];
    let documents = kubernetes(&stack, &Overrides::default());
    for path in ["deployment.yaml", "mongodb-statefulset.yaml", "redis-statefulset.yaml"] {
        let pod = &parsed(&documents, path)["spec"]["template"]["spec"];
        assert_eq!(pod["imagePullSecrets"], serde_json::json!([{"name": "registry"}]), "{path}");
    }
}

#[test]
fn an_embedded_store_is_refused() {
    let mut stack = Stack::default();
    stack.redis.mode = crate::stack::model::StoreMode::Embedded;
    let error = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap_err();
    assert_eq!(error.to_string(), "redis.mode: `embedded` runs on the target local only");
    assert_eq!(crate::error::status_of(&error), ExitStatus::Config);
}

#[test]
fn a_port_that_needs_privileges_is_the_services_only() {
    let mut stack = Stack::default();
    stack.service.port = 443;
    let documents = kubernetes(&stack, &Overrides::default());
    assert_eq!(parsed(&documents, "service.yaml")["spec"]["ports"][0]["port"], 443);
    assert_eq!(variable(&parsed(&documents, "deployment.yaml"), "PORT"), "8080");
}
