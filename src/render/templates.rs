//! The templates inside this binary. Data only.

const TEMPLATES: &[(&str, &str)] = &[
    ("compose/.env.example", include_str!("../../templates/compose/.env.example.tera")),
    ("compose/Dockerfile", include_str!("../../templates/compose/Dockerfile.tera")),
    ("compose/docker-compose.yml", include_str!("../../templates/compose/docker-compose.yml.tera")),
    ("compose/haproxy.cfg", include_str!("../../templates/compose/haproxy.cfg.tera")),
    ("compose/mongodb-start.sh", include_str!("../../templates/compose/mongodb-start.sh.tera")),
    ("kubernetes/Kustomization", include_str!("../../templates/kubernetes/Kustomization.tera")),
    ("kubernetes/deployment.yaml", include_str!("../../templates/kubernetes/deployment.yaml.tera")),
    ("kubernetes/gateway.yaml", include_str!("../../templates/kubernetes/gateway.yaml.tera")),
    ("kubernetes/hpa.yaml", include_str!("../../templates/kubernetes/hpa.yaml.tera")),
    ("kubernetes/httproute.yaml", include_str!("../../templates/kubernetes/httproute.yaml.tera")),
    ("kubernetes/ingress.yaml", include_str!("../../templates/kubernetes/ingress.yaml.tera")),
    (
        "kubernetes/mongodb-configmap.yaml",
        include_str!("../../templates/kubernetes/mongodb-configmap.yaml.tera"),
    ),
    (
        "kubernetes/mongodb-statefulset.yaml",
        include_str!("../../templates/kubernetes/mongodb-statefulset.yaml.tera"),
    ),
    ("kubernetes/namespace.yaml", include_str!("../../templates/kubernetes/namespace.yaml.tera")),
    ("kubernetes/networkpolicy.yaml", include_str!("../../templates/kubernetes/networkpolicy.yaml.tera")),
    ("kubernetes/pdb.yaml", include_str!("../../templates/kubernetes/pdb.yaml.tera")),
    ("kubernetes/priorityclass.yaml", include_str!("../../templates/kubernetes/priorityclass.yaml.tera")),
    ("kubernetes/redirect.yaml", include_str!("../../templates/kubernetes/redirect.yaml.tera")),
    ("kubernetes/redis-configmap.yaml", include_str!("../../templates/kubernetes/redis-configmap.yaml.tera")),
    (
        "kubernetes/redis-statefulset.yaml",
        include_str!("../../templates/kubernetes/redis-statefulset.yaml.tera"),
    ),
    ("kubernetes/service.yaml", include_str!("../../templates/kubernetes/service.yaml.tera")),
    ("kubernetes/serviceaccount.yaml", include_str!("../../templates/kubernetes/serviceaccount.yaml.tera")),
    (PROJECT, include_str!("../../templates/project/appforge.yaml.tera")),
];

/// What makes the replica set and the user of a MongoDB, run by its shell: the same on every target.
pub(super) const MONGODB_INIT: &str = include_str!("../../templates/mongodb/init.js");

/// The document that `kubectl apply -k` reads. Without an extension, so that `kubectl apply -f DIR` passes it over.
pub(super) const KUSTOMIZATION: &str = "Kustomization";

/// The stack file that `init` writes: used before there is a project, so no project can replace it.
const PROJECT: &str = "project/appforge.yaml";

/// The names of the templates that a project can replace: the target's folder and the document.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, _)| *name).filter(|name| *name != PROJECT)
}

/// The text of one of them.
pub fn text(name: &str) -> Option<&'static str> {
    TEMPLATES.iter().find(|(known, _)| *known == name && name != PROJECT).map(|(_, text)| *text)
}

/// The templates of one folder.
pub(super) fn under(folder: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES
        .iter()
        .copied()
        .filter(move |(name, _)| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')))
}
