//! The kinds that a stack is made of: where the API has them, in which order they are applied, which of them are pruned.
//!
//! They are known beforehand, so that a command need not ask the server what it serves.

use kube::core::ApiResource;
use kube::core::GroupVersionKind;

/// One kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Where the API has it.
    pub(crate) resource: ApiResource,
    /// Whether its objects live in a namespace.
    pub(crate) namespaced: bool,
    /// Applied in this order, deleted in the opposite one.
    pub(crate) rank: usize,
    /// Whether objects that the file no longer names are deleted.
    pub(crate) pruned: bool,
}

/// Group/version, kind, plural, namespaced, pruned; in the order of application.
const KINDS: [(&str, &str, &str, &str, bool, bool); 20] = [
    ("", "v1", "Namespace", "namespaces", false, false),
    ("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", false, true),
    ("", "v1", "LimitRange", "limitranges", true, true),
    ("", "v1", "ResourceQuota", "resourcequotas", true, true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true, true),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true, true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true, true),
    // A Secret may be the only copy of what it holds.
    ("", "v1", "Secret", "secrets", true, false),
    ("", "v1", "ConfigMap", "configmaps", true, true),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", true, false),
    // Before the pods that they are about.
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true, true),
    ("", "v1", "Service", "services", true, true),
    ("apps", "v1", "StatefulSet", "statefulsets", true, true),
    ("apps", "v1", "Deployment", "deployments", true, true),
    ("batch", "v1", "Job", "jobs", true, true),
    ("batch", "v1", "CronJob", "cronjobs", true, true),
    ("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", true, true),
    ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", true, true),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", true, true),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes", true, true),
];

impl Kind {
    /// All known kinds, in the order of application.
    pub(crate) fn all() -> Vec<Self> {
        (0..KINDS.len()).map(Self::nth).collect()
    }

    /// A known kind.
    pub(crate) fn find(api_version: &str, kind: &str) -> Option<Self> {
        let position = KINDS.iter().position(|(group, version, name, ..)| {
            let full = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
            full == api_version && *name == kind
        })?;
        Some(Self::nth(position))
    }

    /// A kind that only the server knows; applied after all others and never pruned.
    pub(crate) fn foreign(resource: ApiResource, namespaced: bool) -> Self {
        Self { resource, namespaced, rank: KINDS.len(), pruned: false }
    }

    fn nth(rank: usize) -> Self {
        let (group, version, kind, plural, namespaced, pruned) = KINDS[rank];
        let gvk = GroupVersionKind::gvk(group, version, kind);
        Self { resource: ApiResource::from_gvk_with_plural(&gvk, plural), namespaced, rank, pruned }
    }

    /// The kind's name, such as `Deployment`.
    pub(crate) fn name(&self) -> &str {
        &self.resource.kind
    }

    /// The resource as RBAC and kubectl know it, such as `deployments.apps`.
    pub(crate) fn qualified(&self) -> String {
        match self.resource.group.as_str() {
            "" => self.resource.plural.clone(),
            group => format!("{}.{group}", self.resource.plural),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_with_data_are_not_pruned_and_ranks_follow_needs() {
        let find = |api: &str, kind: &str| Kind::find(api, kind).unwrap();
        for kind in ["Namespace", "Secret", "PersistentVolumeClaim"] {
            assert!(!find("v1", kind).pruned, "{kind}");
        }
        assert!(find("v1", "Secret").rank < find("apps/v1", "StatefulSet").rank);
        assert!(find("v1", "Service").rank < find("apps/v1", "Deployment").rank);
        assert_eq!(find("apps/v1", "Deployment").qualified(), "deployments.apps");
        assert_eq!(Kind::find("apps/v1beta1", "Deployment"), None);
    }
}
