//! Tries the addresses of stores from where replicas run, before a replica depends on them: by a pod that lives for
//! seconds, with the service's labels, account, node rules and image, and the addresses in a Secret.

use std::time::Duration;

use anyhow::{Context, Result};
use appforge_service::reach::Reached;
use futures_util::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::render::context::kubernetes::names;
use crate::secrets::random;
use crate::stack::values::SecretKey;
use crate::targets::address::{ANSWER, Address, Tried};
use crate::targets::kubernetes::apply::mounted::{self, Mounted};
use crate::targets::kubernetes::apply::references;
use crate::targets::kubernetes::apply::secrets::{Values, service_values};
use crate::targets::kubernetes::client::{Doing, MANAGER, Object, STACK_LABEL, is_there_already, timed_out};
use crate::targets::kubernetes::observe::{Inventory, fatal, pods};
use crate::targets::kubernetes::session::Session;

/// How long the pod may live: to be scheduled, to pull its image, to try. The cluster ends it then, whatever became of us.
const LIFE: Duration = Duration::from_secs(100);
/// How long removing the pod may take after the command's own deadline.
const REMOVAL: Duration = Duration::from_secs(15);
/// The container of the pod.
const CONTAINER: &str = "reach";
/// Where the addresses are mounted.
const MOUNT: &str = "/run/secrets/appforge";
/// A condition that nothing ever sets: the pod has the labels that the Service selects, and must get no requests.
const NEVER: &str = "appforge.dev/takes-requests";
/// What the pod takes over from the pods of the service: all that decides where it runs and what it may reach.
const KEPT: [&str; 16] = [
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostNetwork",
    "imagePullSecrets",
    "nodeSelector",
    "os",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "tolerations",
];

/// What the service of the cluster runs with; empty when its Secret is gone, `None` before the first `up`.
pub(crate) fn running_values(inventory: &Inventory, service: &str) -> Result<Option<Values>> {
    let Some(live) = inventory.named("Deployment", service) else { return Ok(None) };
    let mounted =
        live.at(mounted::TEMPLATE).map(|template| Mounted::of(template, service)).unwrap_or_default();
    Ok(Some(service_values(inventory, &mounted.name(service))?.unwrap_or_default()))
}

impl Session<'_> {
    /// Tries `addresses`, which the Secret `secret` holds, from a pod like those of `template`.
    ///
    /// # Errors
    /// When the cluster forbids the pod, or the command's deadline passes. The pod is removed in any case.
    pub(crate) async fn try_addresses(
        &self,
        template: &Value,
        secret: &str,
        addresses: &[Address],
    ) -> Result<Tried> {
        let (cluster, say) = (&self.cluster, self.say);
        let paths: Vec<&str> = addresses.iter().map(|address| address.path).collect();
        say(&format!("testing {} from the cluster", paths.join(" and ")));
        let random = random()?;
        let digits = random.reveal().get(..8).context("a random name is longer")?;
        let name = format!("{}-reach-{digits}", names::service(self.stack));
        let pod: Pod = serde_json::from_value(pod(&name, template, secret, addresses))?;
        let api = cluster.api::<Pod>();
        let doing = Doing::one("create", "pods", &name, Some(&cluster.namespace));
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let made = cluster.call(doing, || api.create(&parameters, &pod)).await;
        match made {
            // An answer that was lost: the name is random, so the pod is ours.
            Err(error) if !is_there_already(&error) => return Err(error),
            _ => {}
        }
        let tried = self.tried(&name).await;
        let late = cluster.until(cluster.deadline().max(Instant::now() + REMOVAL));
        let doing = Doing::one("delete", "pods", &name, Some(&cluster.namespace));
        let parameters = DeleteParams::default();
        let removed = late.find(doing, || api.delete(&name, &parameters)).await;
        let tried = tried?;
        removed?;
        Ok(tried)
    }

    /// Waits for what the pod says.
    async fn tried(&self, name: &str) -> Result<Tried> {
        let cluster = &self.cluster;
        let labels = format!("{STACK_LABEL}={},{}={}", self.name(), names::REACH_LABEL, names::REACH_STORES);
        let config = watcher::Config::default().labels(&labels);
        let mut events = watcher(cluster.api::<Pod>(), config).default_backoff().boxed();
        let life = Instant::now() + LIFE;
        let mut last = None;
        loop {
            match tokio::time::timeout_at(cluster.deadline().min(life), events.next()).await {
                Ok(Some(Ok(Event::Apply(pod) | Event::InitApply(pod)))) if pods::name(&pod) == name => {
                    if let Some(tried) = outcome(&pod) {
                        return Ok(tried);
                    }
                    last = Some(pod);
                }
                Ok(Some(Ok(Event::Delete(pod)))) if pods::name(&pod) == name => {
                    return Ok(Tried::Not(format!("pod/{name} was removed before it finished")));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => fatal(cluster, error)?,
                Ok(None) | Err(_) if Instant::now() >= life => {
                    let why = last.as_ref().and_then(pods::trouble).map(|trouble| trouble.line());
                    return Ok(Tried::Not(
                        why.unwrap_or_else(|| format!("pod/{name} did not finish in time")),
                    ));
                }
                Ok(None) | Err(_) => {
                    let doing = Doing::one("watch", "pods", name, Some(&cluster.namespace));
                    return Err(timed_out(&doing, &cluster.place).into());
                }
            }
        }
    }
}

/// What became of the pod; `None` while that is open. A sidecar that a mesh put in may outlive the container.
fn outcome(pod: &Pod) -> Option<Tried> {
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    let container = containers.into_iter().find(|container| container.name == CONTAINER);
    let ended = container.and_then(|container| container.state.as_ref()?.terminated.as_ref());
    if let Some(ended) = ended {
        let said = ended.message.as_deref().unwrap_or_default().trim();
        // The last line is the answer: a program that is not ours says something else.
        let answer = said.lines().last().and_then(|line| serde_json::from_str::<Reached>(line).ok());
        return Some(match (ended.exit_code, answer) {
            (0, _) => Tried::Done(Reached::default()),
            (1, Some(reached)) => Tried::Done(reached),
            (code, _) => Tried::Not(format!(
                "its image ended with exit code {code} ({})",
                ended.reason.as_deref().unwrap_or("Error")
            )),
        });
    }
    let trouble = pods::trouble(pod)?;
    let failed = status.phase.as_deref() == Some("Failed");
    (trouble.permanent || failed).then(|| Tried::Not(trouble.line()))
}

/// The pod. It never becomes ready, so that it serves no requests, and ends by itself.
fn pod(name: &str, template: &Value, secret: &str, addresses: &[Address]) -> Value {
    let mut spec = placed(template);
    let service = program(template);
    let mut container = json!({
        "name": CONTAINER,
        "command": ["/appforge", "reach", "--timeout", format!("{}s", ANSWER.as_secs())],
        "env": addresses
            .iter()
            .map(|address| json!({"name": format!("{}_FILE", address.variable), "value": format!("{MOUNT}/{}", address.key)}))
            .collect::<Vec<_>>(),
        "volumeMounts": [{"name": "addresses", "mountPath": MOUNT, "readOnly": true}],
        // What it prints is the answer.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    });
    for part in ["image", "imagePullPolicy", "resources", "securityContext"] {
        if let Some(value) = service.and_then(|service| service.get(part)) {
            container[part] = value.clone();
        }
    }
    let volume = volume(template, secret, addresses);
    let more = json!({
        "activeDeadlineSeconds": LIFE.as_secs(),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "readinessGates": [{"conditionType": NEVER}],
        "containers": [container],
        "volumes": [volume],
    });
    spec.extend(more.as_object().cloned().unwrap_or_default());
    let mut labels = template["metadata"]["labels"].clone();
    labels[names::REACH_LABEL] = names::REACH_STORES.into();
    let annotations = template["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({}));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": spec,
    })
}

/// What decides where a pod like those of `template` runs, and what it may reach.
pub(crate) fn placed(template: &Value) -> Map<String, Value> {
    let mut spec: Map<String, Value> = KEPT
        .iter()
        .filter_map(|part| Some(((*part).to_owned(), template["spec"].get(*part)?.clone())))
        .collect();
    if let Some(node) = template.pointer("/spec/affinity/nodeAffinity") {
        spec.insert("affinity".to_owned(), json!({"nodeAffinity": node}));
    }
    spec
}

/// The container of a pod template that has this program: the front of an app, else the service.
fn program(template: &Value) -> Option<&Value> {
    let named = |list: &str, name: &str| {
        template["spec"][list].as_array()?.iter().find(|container| container["name"] == name)
    };
    named("initContainers", names::FRONT_CONTAINER)
        .or_else(|| named("containers", names::SERVICE_CONTAINER))
        .or_else(|| template["spec"]["containers"].get(0))
}

/// The files of the addresses: from the stack's Secret, or where the replicas have them from.
fn volume(template: &Value, secret: &str, addresses: &[Address]) -> Value {
    let mut sources = Vec::new();
    let mut items = Vec::new();
    for address in addresses {
        match references::mounted(template, address.key) {
            Some(SecretKey { secret, key }) => {
                sources
                    .push(json!({"secret": {"name": secret, "items": [{"key": key, "path": address.key}]}}));
            }
            None => items.push(json!({"key": address.key, "path": address.key})),
        }
    }
    // 0440
    let mode = 288;
    if sources.is_empty() {
        return json!({"name": "addresses", "secret": {"secretName": secret, "defaultMode": mode, "items": items}});
    }
    if !items.is_empty() {
        sources.push(json!({"secret": {"name": secret, "items": items}}));
    }
    json!({"name": "addresses", "projected": {"defaultMode": mode, "sources": sources}})
}

/// The pod template of a workload.
///
/// # Errors
/// When it has none, which no Deployment is without.
pub(crate) fn template_of(deployment: &Object) -> Result<&Value> {
    deployment.at(mounted::TEMPLATE).with_context(|| format!("{} has no pod template", deployment.title()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::StoreKind;

    fn ended(code: i32, message: &str) -> Option<Tried> {
        let state = json!({"terminated": {"exitCode": code, "reason": "Error", "message": message}});
        let container = json!({
            "name": CONTAINER, "image": "a", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        });
        let sidecar = json!({
            "name": "proxy", "image": "a", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}},
        });
        let status = json!({"phase": "Running", "containerStatuses": [sidecar, container]});
        outcome(&serde_json::from_value(json!({"metadata": {"name": "a"}, "status": status})).unwrap())
    }

    #[test]
    fn answer_of_the_pod_counts_and_anything_else_is_no_answer() {
        assert_eq!(ended(0, ""), Some(Tried::Done(Reached::default())));
        let reached = Reached { mongodb: Some("no server answers".into()), redis: None };
        let line = serde_json::to_string(&reached).unwrap();
        assert_eq!(ended(1, &format!("{line}\n")), Some(Tried::Done(reached)));
        for (code, message) in [(1, "panic"), (2, "error: unrecognized subcommand"), (128, "")] {
            assert!(matches!(ended(code, message), Some(Tried::Not(_))), "{code} {message}");
        }
    }

    #[test]
    fn pod_never_takes_requests_and_ends_by_itself() {
        let template = json!({
            "metadata": {"labels": {"app.kubernetes.io/instance": "shop-app"}},
            "spec": {
                "nodeSelector": {"disk": "fast"}, "topologySpreadConstraints": [{}], "volumes": [{"name": "tmp"}],
                "containers": [{"name": "app", "image": "shop:1", "ports": [{}], "readinessProbe": {}, "securityContext": {"privileged": false}}],
            },
        });
        let addresses = [Address::of(StoreKind::Mongodb)];
        let pod = pod("shop-app-reach-1", &template, "shop-app-0", &addresses);
        let spec = &pod["spec"];
        assert_eq!(spec["readinessGates"][0]["conditionType"], NEVER);
        assert_eq!((&spec["activeDeadlineSeconds"], &spec["restartPolicy"]), (&json!(100), &json!("Never")));
        assert_eq!(spec["nodeSelector"]["disk"], "fast");
        let container = &spec["containers"][0];
        assert_eq!((&container["image"], &container["ports"]), (&json!("shop:1"), &Value::Null));
        assert_eq!(container["securityContext"]["privileged"], false);
        assert_eq!(
            container["env"],
            json!([{"name": "MONGODB_URI_FILE", "value": "/run/secrets/appforge/mongodb_uri"}])
        );
        assert_eq!(
            spec["volumes"][0]["secret"]["items"],
            json!([{"key": "mongodb_uri", "path": "mongodb_uri"}])
        );
        assert_eq!(pod["metadata"]["labels"]["app.kubernetes.io/instance"], "shop-app");
        serde_json::from_value::<Pod>(pod).unwrap();
    }
}
