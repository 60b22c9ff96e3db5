//! The stack as it is, in the words of every target, and what only a cluster has: autoscaler, budgets, conditions.

use anyhow::Result;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::render::context::compose::admin_port;
use crate::render::context::kubernetes::names;
use crate::stack::ComponentKind;
use crate::targets::admin;
use crate::targets::kubernetes::client::link::Link;
use crate::targets::kubernetes::client::{Cluster, is_forbidden, list};
use crate::targets::kubernetes::observe::pods::{self, trouble};
use crate::targets::kubernetes::observe::workload;
use crate::targets::kubernetes::scale::autoscaler;
use crate::targets::kubernetes::session::{Kubernetes, Session};
use crate::targets::status::{Budget, ClusterStatus, Component, ComponentState, Condition, Replicas, Status};

/// More of a message does not fit into a table.
const LONGEST: usize = 80;

/// The objects of a stack that its status is read from.
pub(crate) struct Snapshot {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) sets: Vec<StatefulSet>,
    pub(crate) pods: Vec<Pod>,
    pub(crate) autoscalers: Vec<HorizontalPodAutoscaler>,
    pub(crate) budgets: Vec<PodDisruptionBudget>,
    /// None without the right to see them.
    claims: Vec<PersistentVolumeClaim>,
}

impl Snapshot {
    /// Looks, one list a kind.
    pub(crate) async fn take(cluster: &Cluster, stack: &str) -> Result<Self> {
        let (deployments, sets, mut pods, autoscalers, budgets, claims) = futures_util::try_join!(
            list(cluster, stack, "deployments.apps"),
            list(cluster, stack, "statefulsets.apps"),
            list::<Pod>(cluster, stack, "pods"),
            list(cluster, stack, "horizontalpodautoscalers.autoscaling"),
            list(cluster, stack, "poddisruptionbudgets.policy"),
            claims(cluster, stack),
        )?;
        pods.retain(|pod| !pods::is_trial(pod));
        Ok(Self { deployments, sets, pods, autoscalers, budgets, claims })
    }

    /// The pods of a component, those that leave left out.
    pub(crate) fn pods_of(&self, component: ComponentKind) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| {
            pods::label(pod, names::COMPONENT_LABEL) == Some(component.as_str()) && !pods::is_leaving(pod)
        })
    }
}

impl Kubernetes {
    pub(crate) fn status_of(&self, cluster: &Cluster, snapshot: &Snapshot) -> Status {
        let stack = &self.stack;
        let mut components = Component::external_of(stack);
        components.extend(snapshot.pods.iter().filter_map(component));
        components.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let service = names::service(stack);
        let deployment = snapshot
            .deployments
            .iter()
            .find(|deployment| deployment.metadata.name.as_ref() == Some(&service));
        let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
        let replicas = deployment.map(|deployment| Replicas {
            desired: count(deployment.spec.replicas),
            ready: count(deployment.status.as_ref().and_then(|status| status.ready_replicas)),
        });
        Status {
            stack: self.name().to_owned(),
            target: "kubernetes".to_owned(),
            url: deployment.map(|_| self.url()),
            replicas: replicas.unwrap_or_default(),
            components,
            cluster: Some(Box::new(ClusterStatus {
                context: cluster.place.context.clone(),
                namespace: cluster.namespace.clone(),
                autoscaler: snapshot.autoscalers.first().map(autoscaler::read),
                budgets: snapshot.budgets.iter().map(budget).collect(),
                conditions: conditions(snapshot),
            })),
        }
    }

    /// Where the service answers: the public host name, or its name within the cluster.
    pub(crate) fn url(&self) -> String {
        match &self.stack.kubernetes.ingress {
            Some(host) => format!("https://{host}"),
            None => format!(
                "http://{}.{}.svc:{}",
                names::service(&self.stack),
                self.stack.kubernetes.namespace,
                self.stack.service.port
            ),
        }
    }
}

impl Session<'_> {
    /// What runs after a change. Sets over how many replicas the limit is shared while Redis is away; an autoscaler changes
    /// that number later without a notice.
    pub(crate) async fn finish(&self) -> Result<Status> {
        let snapshot = Snapshot::take(&self.cluster, self.name()).await?;
        let ready: Vec<&Pod> =
            snapshot.pods_of(ComponentKind::Service).filter(|pod| pods::is_ready(pod)).collect();
        let count = u32::try_from(ready.len()).unwrap_or(u32::MAX);
        let links = ready.into_iter().map(|pod| {
            let (name, port) = (pods::name(pod).to_owned(), admin_port(self.stack));
            let pod = name.clone();
            let link = async move { Ok(Link::open(&self.cluster, &pod, port).await?.stream) };
            (name, link)
        });
        let links = links.collect();
        admin::share_limit(links, count).await.iter().for_each(|line| (self.say)(line));
        Ok(self.kubernetes.status_of(&self.cluster, &snapshot))
    }
}

fn component(pod: &Pod) -> Option<Component> {
    let kind = ComponentKind::named(pods::label(pod, names::COMPONENT_LABEL)?)?;
    let trouble = trouble(pod);
    let state = match &trouble {
        _ if pods::is_leaving(pod) => ComponentState::Stopping,
        None => ComponentState::Ready,
        Some(trouble) if trouble.permanent || trouble.ended => ComponentState::Crashed,
        Some(_) => ComponentState::Starting,
    };
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.clone()).map(|node| format!("on {node}"));
    let image = spec.and_then(|spec| spec.containers.first()?.image.as_deref());
    let version = image.and_then(|image| image.split('@').next()?.rsplit('/').next()?.split_once(':'));
    let detail = match trouble {
        Some(trouble) if trouble.message.is_empty() => trouble.reason,
        Some(trouble) => {
            format!("{}: {}", trouble.reason, cut(&trouble.message))
        }
        None => node.unwrap_or_default(),
    };
    Some(Component {
        name: pods::name(pod).to_owned(),
        kind,
        state,
        endpoint: pod.status.as_ref().and_then(|status| status.pod_ip.clone()),
        restarts: pods::restarts(pod),
        version: version.map(|(_, tag)| tag.to_owned()),
        detail,
        pid: None,
    })
}

/// The beginning of a message, for a table.
fn cut(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default()),
        None => line.to_owned(),
    }
}

async fn claims(cluster: &Cluster, stack: &str) -> Result<Vec<PersistentVolumeClaim>> {
    match list(cluster, stack, "persistentvolumeclaims").await {
        Err(error) if is_forbidden(&error) => Ok(Vec::new()),
        other => other,
    }
}

fn budget(budget: &PodDisruptionBudget) -> Budget {
    let status = budget.status.clone().unwrap_or_default();
    let count = |number: Option<i32>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
    Budget {
        name: budget.metadata.name.clone().unwrap_or_default(),
        allowed: count(status.disruptions_allowed),
        healthy: count(status.current_healthy),
        wanted: count(status.desired_healthy),
    }
}

/// What workloads say against themselves, each condition of the Deployments, and claims that are being deleted.
fn conditions(snapshot: &Snapshot) -> Vec<Condition> {
    let mut all = Vec::new();
    for deployment in &snapshot.deployments {
        let object = format!("deployment/{}", deployment.metadata.name.as_deref().unwrap_or_default());
        let status = deployment.status.clone().unwrap_or_default();
        for condition in status.conditions.into_iter().flatten() {
            all.push(Condition {
                object: object.clone(),
                name: condition.type_.unwrap_or_default(),
                holds: condition.status.as_deref() == Some("True"),
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            });
        }
    }
    for set in &snapshot.sets {
        let progress = workload::of_set(set);
        all.push(Condition {
            object: format!("statefulset/{}", progress.name),
            name: "Available".to_owned(),
            holds: progress.done,
            reason: format!("{} of {}", progress.ready, progress.wanted),
            message: String::new(),
        });
    }
    for claim in snapshot.claims.iter().filter(|claim| claim.metadata.deletion_timestamp.is_some()) {
        all.push(Condition {
            object: format!("persistentvolumeclaim/{}", claim.metadata.name.as_deref().unwrap_or_default()),
            name: "Available".to_owned(),
            holds: false,
            reason: "Terminating".to_owned(),
            message: "it is being deleted, and its data is lost once its pod ends".to_owned(),
        });
    }
    all
}
