//! Fields that cannot be changed in place: which of them differ, and the way around that keeps the data.

use serde_json::Value;

use crate::error::{ExitStatus, Failure};
use crate::targets::kubernetes::client::{Cluster, Object, is_invalid};

/// The fields of a StatefulSet that stay what they were made as.
const STATEFUL_SET: [&str; 4] = ["serviceName", "podManagementPolicy", "selector", "volumeClaimTemplates"];
/// The same of a Deployment.
const DEPLOYMENT: [&str; 1] = ["selector"];

/// The server's refusal of `wanted`, with the immutable fields that differ when that is why.
pub(crate) fn explain(
    error: anyhow::Error,
    wanted: &Object,
    live: &Object,
    cluster: &Cluster,
) -> anyhow::Error {
    let fields: &[&str] = match wanted.kind.name() {
        "StatefulSet" => &STATEFUL_SET,
        "Deployment" => &DEPLOYMENT,
        _ => return error,
    };
    if !is_invalid(&error) {
        return error;
    }
    let mut found = Vec::new();
    for field in fields {
        let path = format!("/spec/{field}");
        if let Some(value) = wanted.at(&path) {
            subset(&format!("spec.{field}"), live.at(&path), value, &mut found);
        }
    }
    if found.is_empty() {
        return error;
    }
    let lines: Vec<String> = found.iter().map(|line| format!("\n  {line}")).collect();
    let kubectl = format!("kubectl --context {} -n {}", cluster.place.context, cluster.namespace);
    let failure = Failure::new(
        ExitStatus::Failed,
        format!("`{}` cannot be changed in place:{}", wanted.title(), lines.concat()),
    );
    failure
        .hint(format!(
            "recreate it and keep its pods and data: {kubectl} delete {} {} --cascade=orphan && appforge up",
            wanted.kind.qualified(),
            wanted.name
        ))
        .hint("nothing was applied; to keep the object as it is, restore the old value in the stack file")
        .into()
}

/// The values of `wanted` that `live` does not have; defaults that only `live` has do not count.
fn subset(path: &str, live: Option<&Value>, wanted: &Value, found: &mut Vec<String>) {
    match (live, wanted) {
        (Some(Value::Object(live)), Value::Object(wanted)) => {
            for (name, value) in wanted {
                subset(&format!("{path}.{name}"), live.get(name), value, found);
            }
        }
        (Some(Value::Array(live)), Value::Array(wanted)) if live.len() == wanted.len() => {
            for (index, value) in wanted.iter().enumerate() {
                subset(&format!("{path}[{index}]"), live.get(index), value, found);
            }
        }
        (Some(live), wanted) if live == wanted => {}
        (live, wanted) => {
            let live = live.map_or_else(|| "(none)".to_owned(), ToString::to_string);
            found.push(format!("{path}: {live} -> {wanted}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn subset_ignores_defaults_of_the_server() {
        let live = json!([{"metadata": {"name": "data"}, "spec": {"volumeMode": "Filesystem", "resources": {"requests": {"storage": "10Gi"}}}}]);
        let wanted =
            json!([{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "20Gi"}}}}]);
        let mut found = Vec::new();
        subset("spec.volumeClaimTemplates", Some(&live), &wanted, &mut found);
        assert_eq!(
            found,
            ["spec.volumeClaimTemplates[0].spec.resources.requests.storage: \"10Gi\" -> \"20Gi\""]
        );
    }
}
