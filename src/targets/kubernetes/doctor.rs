//! What `doctor` says of a cluster: whether it can be reached, what we may do there, and what the stack needs of it.

use std::borrow::Cow;

use anyhow::Result;
use futures_util::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{ListParams, PostParams};

use crate::render::Overrides;
use crate::stack::StoreKind;
use crate::targets::change::LOOK;
use crate::targets::finding::{Finding, Verdict};
use crate::targets::kubernetes::apply::documents::known_kind;
use crate::targets::kubernetes::client::{AT_ONCE, Cluster, Doing, Kind, object};
use crate::targets::kubernetes::session::Kubernetes;

/// The oldest version whose API has all that documents say.
const OLDEST: u32 = 30;
/// What `up` cannot do without, besides applying the documents.
const NEEDED: [Right; 2] = [Right::new("list", "", "pods"), Right::new("create", "", "pods/portforward")];
/// What it cannot do without besides, when a store is external: its address is tried from a pod.
const NEEDED_TO_TRY: [Right; 2] = [Right::new("create", "", "pods"), Right::new("delete", "", "pods")];
/// What keeps two machines from changing the stack at once; without it `up` works, with a warning.
const LEASES: [Right; 4] = [
    Right::new("get", LEASE_GROUP, "leases"),
    Right::new("create", LEASE_GROUP, "leases"),
    Right::new("patch", LEASE_GROUP, "leases"),
    Right::new("delete", LEASE_GROUP, "leases"),
];
const LEASE_GROUP: &str = "coordination.k8s.io";
/// What marks the storage class of volumes that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

impl Kubernetes {
    /// The conditions under which this target can work; changes nothing.
    pub(crate) async fn conditions(&self) -> Vec<Finding> {
        let cluster = match self.reach(LOOK).await {
            Ok(cluster) => cluster,
            Err(error) => return vec![Finding::bad("kubeconfig", &error)],
        };
        let place = format!("{} at {}", cluster.place.context, cluster.place.server);
        let mut findings = vec![Finding::good("kubeconfig", place)];
        match version(&cluster).await {
            Ok(finding) => findings.push(finding),
            Err(error) => {
                findings.push(Finding::bad("API server", &error));
                return findings;
            }
        }
        let rights = self.rights(&cluster).await;
        findings.extend(rights.unwrap_or_else(|error| vec![Finding::bad("rights", &error)]));
        findings.extend(self.reference_findings(&cluster).await);
        findings.extend(nodes(&cluster).await);
        if self.stack.kubernetes.autoscaling.is_some() {
            findings.push(metrics(&cluster).await.unwrap_or_else(|error| Finding::bad("metrics", &error)));
        }
        if StoreKind::ALL.into_iter().any(|kind| self.stack.external(kind).is_none()) {
            findings.extend(self.storage(&cluster).await);
        }
        findings
    }

    /// Whether `up` may apply what the documents of this stack need. An apply that creates needs `create` beside `patch`.
    async fn rights(&self, cluster: &Cluster) -> Result<Vec<Finding>> {
        let tries = StoreKind::ALL.into_iter().any(|kind| self.stack.external(kind).is_some());
        let mut needed: Vec<Right> = NEEDED.to_vec();
        needed.extend(NEEDED_TO_TRY.into_iter().filter(|_| tries));
        let mut kinds: Vec<Kind> = object::parse(&self.rendered(Overrides::default())?)?
            .iter()
            .filter_map(known_kind)
            .filter(|kind| kind.name() != "Namespace")
            .chain(Kind::find("v1", "Secret"))
            .chain(self.stack.service.release.as_ref().and_then(|_| Kind::find("batch/v1", "Job")))
            .collect();
        let api: Api<Namespace> = Api::all(cluster.client.clone());
        let doing = Doing::one("get", "namespaces", &cluster.namespace, None);
        // Who may not look at it may use it all the same.
        if matches!(cluster.find(doing, || api.get(&cluster.namespace)).await, Ok(None)) {
            kinds.extend(Kind::find("v1", "Namespace"));
        }
        kinds.sort_by_key(|kind| kind.rank);
        kinds.dedup();
        for kind in &kinds {
            let verbs: &[&str] = match kind.name() {
                // One is read by its name.
                "Namespace" => &["create", "patch"],
                // That of a release is made once, watched, and removed after it failed.
                "Job" => &["list", "watch", "create", "delete"],
                _ => &["list", "create", "patch"],
            };
            needed.extend(verbs.iter().map(|verb| Right::of(verb, kind)));
        }
        let refused = missing(cluster, needed).await?;
        let without_lease = missing(cluster, LEASES.to_vec()).await?;
        let namespace = &cluster.namespace;
        let hint = format!("kubectl --context {} auth can-i --list -n {namespace}", cluster.place.context);
        let mut findings = vec![if refused.is_empty() {
            Finding::good("rights", format!("complete for `up` in the namespace {namespace}"))
        } else {
            let message = format!("not allowed in the namespace {namespace}: {}", refused.join(", "));
            Finding::not_good("rights", Verdict::Bad, message, hint.clone())
        }];
        if !without_lease.is_empty() {
            let message = format!(
                "not allowed: {}; another machine could change the stack at the same time",
                without_lease.join(", ")
            );
            findings.push(Finding::not_good("lease", Verdict::Warning, message, hint));
        }
        Ok(findings)
    }

    /// Volumes of the stores need a class that makes them. Reports nothing without the right to look.
    async fn storage(&self, cluster: &Cluster) -> Option<Finding> {
        let api: Api<StorageClass> = Api::all(cluster.client.clone());
        let doing = Doing::all("list", "storageclasses.storage.k8s.io", None);
        let all = ListParams::default();
        let classes = cluster.call(doing, || api.list(&all)).await.ok()?;
        let name = |class: &StorageClass| class.metadata.name.clone().unwrap_or_default();
        let names: Vec<String> = classes.items.iter().map(name).collect();
        let default = classes.items.iter().find(|class| {
            let annotations = class.metadata.annotations.as_ref();
            annotations.is_some_and(|all| all.get(DEFAULT_CLASS).is_some_and(|value| value == "true"))
        });
        Some(match (self.stack.kubernetes.storage_class.clone(), default) {
            (Some(wanted), _) if names.contains(&wanted) => Finding::good("storage class", wanted),
            (Some(wanted), _) => Finding::not_good(
                "storage class",
                Verdict::Bad,
                format!("cannot find `{wanted}`"),
                format!("set `kubernetes.storage_class` to one of: {}", names.join(", ")),
            ),
            (None, Some(default)) => {
                Finding::good("storage class", format!("{}, the default", name(default)))
            }
            (None, None) => Finding::not_good(
                "storage class",
                Verdict::Bad,
                "no default, so the stores get no volumes",
                "set `kubernetes.storage_class`, or use external stores: `mode: external`",
            ),
        })
    }
}

async fn version(cluster: &Cluster) -> Result<Finding> {
    let info =
        cluster.call(Doing::all("get", "version", None), || cluster.client.apiserver_version()).await?;
    let minor: u32 = info.minor.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0);
    Ok(if minor >= OLDEST || info.major != "1" {
        Finding::good("API server", info.git_version)
    } else {
        Finding::not_good(
            "API server",
            Verdict::Bad,
            format!("{} is older than 1.{OLDEST}", info.git_version),
            format!("upgrade the cluster to 1.{OLDEST} or later"),
        )
    })
}

/// A verb on a resource.
#[derive(Clone, Debug)]
struct Right {
    verb: &'static str,
    group: Cow<'static, str>,
    /// With its subresource, after a slash.
    resource: Cow<'static, str>,
    namespaced: bool,
}

impl Right {
    const fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group: Cow::Borrowed(group), resource: Cow::Borrowed(resource), namespaced: true }
    }

    fn of(verb: &'static str, kind: &Kind) -> Self {
        let (group, resource) = (kind.resource.group.clone(), kind.resource.plural.clone());
        Self { verb, group: group.into(), resource: resource.into(), namespaced: kind.namespaced }
    }

    /// As errors name it, such as `patch deployments.apps`.
    fn text(&self) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        format!("{} {}{group}", self.verb, self.resource)
    }
}

/// Those that the user does not have.
async fn missing(cluster: &Cluster, rights: Vec<Right>) -> Result<Vec<String>> {
    let asked = rights.into_iter().map(|right| may(cluster, right));
    let answers: Vec<Result<Option<String>>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut missing = Vec::new();
    for answer in answers {
        missing.extend(answer?);
    }
    Ok(missing)
}

/// What is not allowed.
async fn may(cluster: &Cluster, right: Right) -> Result<Option<String>> {
    let (resource, sub) = match right.resource.split_once('/') {
        Some((resource, sub)) => (resource, Some(sub)),
        None => (right.resource.as_ref(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: right.namespaced.then(|| cluster.namespace.clone()),
                verb: Some(right.verb.to_owned()),
                group: Some(right.group.to_string()),
                resource: Some(resource.to_owned()),
                subresource: sub.map(str::to_owned),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let doing = Doing::all("create", "selfsubjectaccessreviews.authorization.k8s.io", None);
    let parameters = PostParams::default();
    let answer = cluster.call(doing, || api.create(&parameters, &review)).await?;
    let allowed = answer.status.is_some_and(|status| status.allowed);
    Ok((!allowed).then(|| right.text()))
}

/// An autoscaler requires metrics.
async fn metrics(cluster: &Cluster) -> Result<Finding> {
    let doing = Doing::all("get", "metrics.k8s.io", None);
    let group =
        cluster.find(doing, || cluster.client.list_api_group_resources("metrics.k8s.io/v1beta1")).await?;
    Ok(match group {
        Some(_) => Finding::good("metrics", "metrics.k8s.io is served"),
        None => Finding::not_good(
            "metrics",
            Verdict::Warning,
            "no metrics for CPU and memory, so the autoscaler stays at its minimum",
            "install metrics-server, or set `kubernetes.autoscaling: null` for a fixed number of replicas",
        ),
    })
}

/// Whether nodes take pods. Reports nothing without the right to look.
async fn nodes(cluster: &Cluster) -> Option<Finding> {
    let api: Api<Node> = Api::all(cluster.client.clone());
    let doing = Doing::all("list", "nodes", None);
    let all = ListParams::default();
    let nodes = cluster.call(doing, || api.list(&all)).await.ok()?.items;
    let ready = |node: &&Node| {
        let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let open = node.spec.as_ref().is_none_or(|spec| spec.unschedulable != Some(true));
        open && conditions
            .into_iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    let count = nodes.iter().filter(ready).count();
    let observed = format!("{count} of {} accept pods", nodes.len());
    Some(match count {
        0 => Finding::not_good(
            "nodes",
            Verdict::Bad,
            observed,
            format!("kubectl --context {} get nodes", cluster.place.context),
        ),
        _ => Finding::good("nodes", observed),
    })
}
