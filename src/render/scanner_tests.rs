//! The rules of kube-score, Polaris, Kubescape and the restricted Pod Security Standard, held over every combination of
//! the options that shape documents. Where scanners contradict each other, the documents carry an exemption, and that is
//! looked for too.

mod pods;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::document;
use crate::render::context::kubernetes::names;
use crate::render::templates::KUSTOMIZATION;
use crate::stack::kubernetes::RouteApi;
use crate::stack::model::{Persistence, StoreMode, Topology};
use crate::stack::values::{CommandLine, Secret, SecretKey, StoreAddress};

/// Each choice by its number; numbers past the last start again.
fn stack(choice: [usize; 5], more: usize) -> Stack {
    let [scaling, mongodb, redis, way, image] = choice;
    let mut stack = Stack { target: TargetKind::Kubernetes, ..Stack::default() };
    stack.service.env.insert("GREETING".into(), "a: b #c $${X} $(Y)".into());
    if scaling == 1 {
        stack.kubernetes.autoscaling = None;
        stack.service.replicas = [1, 2, 3][more % 3];
    }
    if mongodb == 1 {
        stack.mongodb.mode = StoreMode::External;
        stack.mongodb.uri = Some(Secret::new("mongodb://u:hunter2@h:27018,i/x").into());
    }
    match redis {
        1 => {
            stack.redis.mode = StoreMode::External;
            stack.redis.url = Some(match more % 2 {
                0 => Secret::new("rediss://:hunter2@h:6380").into(),
                _ => StoreAddress::Key(SecretKey { secret: "cache".into(), key: "true".into() }),
            });
        }
        2 => stack.redis.topology = Topology::Sentinel,
        _ => {}
    }
    if way > 0 {
        stack.kubernetes.ingress = Some("shop.example.com".into());
        stack.kubernetes.route.class = Some("public".into());
    }
    if way > 1 {
        stack.kubernetes.route.api = RouteApi::Gateway;
    }
    if way == 3 {
        stack.kubernetes.route.class = None;
        stack.kubernetes.route.gateway = Some("infra/public".into());
    }
    if image > 0 {
        let digest = "1".repeat(64);
        let pin = if image == 2 { format!("@sha256:{digest}") } else { String::new() };
        stack.service.image = format!("registry.example.com:5000/shop:1.2{pin}").parse().unwrap();
        stack.mongodb.image = format!("mongo:8.0{pin}").parse().unwrap();
        stack.redis.image = format!("redis:8-alpine{pin}").parse().unwrap();
        stack.kubernetes.probes.liveness = (image == 2).then(|| "/live".into());
        stack.kubernetes.probes.port = (image == 2).then_some(8081);
        own(&mut stack, more);
    }
    stack.kubernetes.network_policies = !more.is_multiple_of(7);
    let plain = stack.redis.topology == Topology::Single && more.is_multiple_of(2);
    stack.redis.persistence = if plain { Persistence::None } else { Persistence::Aof };
    stack.kubernetes.cpu_limit = ["auto", "none", "500m", "3"][more % 4].parse().unwrap();
    stack.kubernetes.priority_class = ["auto", "none", "high"][more % 3].parse().unwrap();
    stack.kubernetes.storage_class = more.is_multiple_of(5).then(|| "fast".into());
    stack.service.port = [5000, 80, 9090][more % 3];
    stack.kubernetes.route.issuer = more.is_multiple_of(2).then(|| "letsencrypt".into());
    stack.kubernetes.route.from_namespace = more.is_multiple_of(3).then(|| "ingress".parse().unwrap());
    stack
}

/// An app of the user's own with more or fewer of its options.
fn own(stack: &mut Stack, more: usize) {
    let service = &mut stack.service;
    let every = |number: usize| more.is_multiple_of(number);
    service.command = every(2).then(|| CommandLine::Text("node 'my server.js' --port ${port}".into()));
    service.env_file = every(3).then(|| ".env".into());
    service.workdir = every(5).then(|| "/srv/app".into());
    service.run_as = [None, Some(1000), Some(10_001)][more % 3];
    service.app_port = every(4).then_some([8080, 3000][more % 2]);
    service.pids = every(7).then_some(64);
    let writable = ["", "/tmp:1Gi", "/", "/var/cache:64Mi"][more % 4];
    service.writable = if writable.is_empty() { Vec::new() } else { vec![writable.parse().unwrap()] };
    let egress = ["internet", "api.stripe.com:443", "10.1.2.3:25", "[fd00::1]:25", "10.1.2.3/8", "fd00::1/8"];
    service.egress = egress.iter().take(more % 7).map(|text| text.parse().unwrap()).collect();
    for (name, value) in [("DATABASE_URL", "${mongodb.uri}&x=$$(PORT)"), ("CACHE", "$${port}${redis.url}/1")]
    {
        service.env.insert(name.into(), value.into());
    }
    service.env.insert("GREETING".into(), "a: b #c $${X} $(Y)".into());
    stack.runtime.image = every(2).then(|| "registry.example.com/appforge:1.2".parse().unwrap());
    if let Some(scaling) = &mut stack.kubernetes.autoscaling {
        scaling.memory = every(2).then_some(crate::stack::values::Percent(80.0));
    }
}

#[test]
fn every_combination_of_options_holds_the_rules() {
    let mut more = 0;
    for choice in (0..2 * 2 * 3 * 4 * 3).map(|n| [n % 2, n / 2 % 2, n / 4 % 3, n / 12 % 4, n / 48]) {
        // Each option that is not among the choices meets each choice sooner or later.
        more += 1;
        let stack = stack(choice, more);
        assert_eq!(crate::stack::validate::validate(&stack), [], "{choice:?}");
        let documents = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap();
        let breaches = Scan::new(&stack, &documents).breaches();
        assert!(breaches.is_empty(), "{choice:?} {more}: {breaches:#?}");
    }
}

#[test]
fn a_planted_breach_is_found() {
    for (path, value) in [
        ("/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem", Value::Bool(false)),
        ("/spec/template/spec/securityContext/runAsUser", 999.into()),
        ("/spec/template/spec/containers/0/livenessProbe/httpGet/path", "/readyz".into()),
        ("/spec/template/spec/containers/0/imagePullPolicy", "Never".into()),
        ("/spec/template/spec/enableServiceLinks", true.into()),
        ("/spec/template/spec/volumes/1", serde_json::json!({"name": "tmp", "hostPath": {"path": "/tmp"}})),
        ("/spec/strategy/rollingUpdate/maxUnavailable", 1.into()),
        ("/spec/selector/matchLabels/app.kubernetes.io~1instance", "other".into()),
    ] {
        let mut stack = Stack::default();
        let patch = crate::stack::model::Patch::Replace { path: path.into(), value };
        stack.patches.insert("kubernetes/deployment.yaml".into(), vec![patch]);
        let documents = render(&stack, TargetKind::Kubernetes, &Overrides::default()).unwrap();
        assert!(!Scan::new(&stack, &documents).breaches().is_empty(), "{path}");
    }
}

/// A rendering under scrutiny.
struct Scan<'a> {
    stack: &'a Stack,
    documents: &'a [Document],
    objects: Vec<Value>,
    breaches: Vec<String>,
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The containers that run all along, sidecars among them.
fn containers(workload: &Value) -> Vec<&Value> {
    let pod = &workload["spec"]["template"]["spec"];
    items(&pod["initContainers"]).chain(items(&pod["containers"])).collect()
}

/// Whether all of `selector` is among `labels`, and there is something.
fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

fn exempt(object: &Value, check: &str) -> bool {
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    annotations.into_iter().any(|(name, value)| {
        text(value).starts_with(&format!("{check}="))
            || *name == format!("polaris.fairwinds.com/{check}-exempt")
    })
}

impl<'a> Scan<'a> {
    fn new(stack: &'a Stack, documents: &'a [Document]) -> Self {
        let yaml = documents.iter().filter(|document| document.path.ends_with(".yaml"));
        let objects = yaml.map(|document| document::parse(&document.text).unwrap().to_json()).collect();
        Self { stack, documents, objects, breaches: Vec::new() }
    }

    fn hold(&mut self, holds: bool, object: &Value, rule: &str) {
        if !holds {
            self.breaches.push(format!("{} {}: {rule}", text(&object["kind"]), name(object)));
        }
    }

    fn kind(&self, kind: &str) -> Vec<Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).cloned().collect()
    }

    fn has(&self, kind: &str, named: &str) -> bool {
        self.kind(kind).iter().any(|object| name(object) == named)
    }

    fn workloads(&self) -> Vec<Value> {
        [self.kind("Deployment"), self.kind("StatefulSet")].concat()
    }

    fn breaches(mut self) -> Vec<String> {
        for object in self.objects.clone() {
            self.object(&object);
        }
        for workload in self.workloads() {
            self.pod(&workload);
            for container in containers(&workload) {
                self.container(&workload, container);
            }
            self.front(&workload);
        }
        self.workload_kinds();
        self.budgets_and_services();
        self.policies();
        self.files();
        self.breaches
    }

    fn object(&mut self, object: &Value) {
        let labels = &object["metadata"]["labels"];
        for label in ["name", "instance", "version", "component", "part-of", "managed-by"] {
            let value = text(&labels[format!("app.kubernetes.io/{label}")]);
            let fits = (1..=63).contains(&value.len())
                && value.starts_with(|c: char| c.is_ascii_alphanumeric())
                && value.ends_with(|c: char| c.is_ascii_alphanumeric());
            self.hold(fits, object, &format!("the label {label}"));
        }
        self.hold(labels[names::OWNER_LABEL] == self.stack.name.as_str(), object, "the owner's label");
        let global = ["Namespace", "PriorityClass"].contains(&text(&object["kind"]));
        let placed = object["metadata"]["namespace"] == self.stack.kubernetes.namespace.as_str();
        self.hold(placed != global, object, "the namespace");
        self.hold(object["kind"] != "Secret", object, "no secret is rendered");
        self.hold(name(object).len() <= 63, object, "the length of the name");
        if object["kind"] == "Namespace" {
            for mode in ["enforce", "audit", "warn"] {
                let level = &labels[format!("pod-security.kubernetes.io/{mode}")];
                let version = text(&labels[format!("pod-security.kubernetes.io/{mode}-version")]);
                self.hold(level == "restricted" && version.starts_with("v1."), object, "pod security");
            }
        }
    }

    fn workload_kinds(&mut self) {
        let autoscaled = self.stack.kubernetes.autoscaling.is_some();
        for deployment in self.kind("Deployment") {
            let rolling = &deployment["spec"]["strategy"]["rollingUpdate"];
            self.hold(rolling["maxUnavailable"] == 0 && rolling["maxSurge"] == 1, &deployment, "strategy");
            let free = deployment["spec"]["replicas"].is_null();
            self.hold(free == autoscaled, &deployment, "replicas or an autoscaler");
            self.hold(free == exempt(&deployment, "deploymentMissingReplicas"), &deployment, "exemption");
        }
        for set in self.kind("StatefulSet") {
            let spec = &set["spec"];
            let labels = &spec["template"]["metadata"]["labels"];
            let headless = self
                .kind("Service")
                .into_iter()
                .find(|service| service["metadata"]["name"] == spec["serviceName"]);
            let found = headless.is_some_and(|service| {
                service["spec"]["clusterIP"] == "None" && selects(&service["spec"]["selector"], labels)
            });
            self.hold(found, &set, "its headless Service");
            self.hold(
                spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain",
                &set,
                "retention",
            );
            for claim in items(&spec["volumeClaimTemplates"]) {
                self.hold(claim["spec"]["accessModes"][0] == "ReadWriteOnce", &set, "access mode");
                self.hold(claim["spec"]["resources"]["requests"]["storage"].is_string(), &set, "storage");
                let version = &claim["metadata"]["labels"]["app.kubernetes.io/version"];
                self.hold(version.is_null(), &set, "a claim's labels never change");
            }
        }
        for autoscaler in self.kind("HorizontalPodAutoscaler") {
            let target = &autoscaler["spec"]["scaleTargetRef"];
            let there =
                self.has(text(&target["kind"]), text(&target["name"])) && target["apiVersion"] == "apps/v1";
            self.hold(there, &autoscaler, "its target");
            let behavior = &autoscaler["spec"]["behavior"];
            self.hold(behavior["scaleDown"]["stabilizationWindowSeconds"].is_u64(), &autoscaler, "behaviour");
        }
    }

    fn budgets_and_services(&mut self) {
        let workloads = self.workloads();
        let chosen = |selector: &Value| {
            workloads
                .iter()
                .find(|workload| selects(selector, &workload["spec"]["template"]["metadata"]["labels"]))
                .cloned()
        };
        for budget in self.kind("PodDisruptionBudget") {
            let spec = &budget["spec"];
            let one = spec["maxUnavailable"] == 1 && spec["minAvailable"].is_null();
            self.hold(one && spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow", &budget, "one at a time");
            self.hold(chosen(&spec["selector"]["matchLabels"]).is_some(), &budget, "selects nothing");
        }
        for service in self.kind("Service") {
            self.hold(service["spec"]["type"] == "ClusterIP", &service, "type");
            let workload = chosen(&service["spec"]["selector"]).unwrap_or_default();
            let ports: Vec<&Value> =
                containers(&workload).into_iter().flat_map(|c| items(&c["ports"])).collect();
            for port in items(&service["spec"]["ports"]) {
                let (target, sidecar) = (&port["targetPort"], self.stack.service.is_own());
                let there =
                    ports.iter().any(|port| port["name"] == *target || port["containerPort"] == *target);
                self.hold(there, &service, "a port that is not there");
                // The name of a sidecar's port is found by newer clusters only.
                let number = workload["kind"] == "Deployment" && sidecar;
                self.hold(target.is_number() == number, &service, "a port by its number");
            }
        }
        for ingress in self.kind("Ingress") {
            let rule = &ingress["spec"]["rules"][0];
            self.hold(ingress["spec"]["tls"][0]["hosts"][0] == rule["host"], &ingress, "TLS");
            let backend = &rule["http"]["paths"][0]["backend"]["service"];
            self.hold(self.has("Service", text(&backend["name"])), &ingress, "its Service");
        }
        for route in self.kind("HTTPRoute") {
            for backend in items(&route["spec"]["rules"][0]["backendRefs"]) {
                self.hold(self.has("Service", text(&backend["name"])), &route, "its Service");
            }
            let parent = &route["spec"]["parentRefs"][0];
            let there =
                self.stack.kubernetes.route.gateway.is_some() || self.has("Gateway", text(&parent["name"]));
            self.hold(there, &route, "its Gateway");
        }
    }

    fn policies(&mut self) {
        let policies = self.kind("NetworkPolicy");
        if !self.stack.kubernetes.network_policies {
            return assert_eq!(policies.len(), 0);
        }
        let workloads = self.workloads();
        let mut named: BTreeMap<String, usize> = BTreeMap::new();
        for policy in &policies {
            let spec = &policy["spec"];
            self.hold(spec["policyTypes"] == serde_json::json!(["Ingress", "Egress"]), policy, "types");
            let selector = &spec["podSelector"]["matchLabels"];
            self.hold(selector.as_object().is_some_and(|labels| labels.len() == 1), policy, "one label");
            let chosen: Vec<&Value> = workloads
                .iter()
                .filter(|w| selects(selector, &w["spec"]["template"]["metadata"]["labels"]))
                .collect();
            self.hold(!chosen.is_empty(), policy, "selects nothing");
            let rules = !spec["ingress"].is_null() && !spec["egress"].is_null();
            let deny = name(policy).ends_with("-default-deny");
            self.hold(rules != deny, policy, "rules");
            for workload in chosen.iter().filter(|_| !deny) {
                *named.entry(name(workload).to_owned()).or_default() += 1;
            }
        }
        for workload in &workloads {
            self.hold(named.get(name(workload)) == Some(&1), workload, "a policy of its own");
        }
    }

    fn files(&mut self) {
        let listed = self.documents.iter().find(|document| document.path == KUSTOMIZATION).unwrap();
        let listed = document::parse(&listed.text).unwrap().to_json();
        let listed: BTreeSet<&str> = items(&listed["resources"]).map(text).collect();
        let there: BTreeSet<&str> = self
            .documents
            .iter()
            .map(|document| document.path.as_str())
            .filter(|path| *path != KUSTOMIZATION)
            .collect();
        assert_eq!(listed, there);
        let mut identities = BTreeSet::new();
        for object in self.objects.clone() {
            let new = identities.insert((text(&object["kind"]).to_owned(), name(&object).to_owned()));
            self.hold(new, &object, "stands twice");
        }
        assert!(self.documents.iter().all(|document| !document.text.contains("hunter2")));
    }
}
