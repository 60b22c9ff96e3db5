//! What the controllers of the test's cluster make of Deployments and StatefulSets, at once.

use serde_json::{Value, json};

use super::store::{Key, Pods, REVISION, Store};

impl Store {
    /// What the controllers of Deployments and StatefulSets do.
    pub(super) fn control(&mut self, key: &Key) {
        let Some(object) = self.objects.get(key).cloned() else { return };
        if key.plural == "jobs" {
            return self.run_job(key, object);
        }
        let count = object["spec"]["replicas"].as_u64().unwrap_or(0);
        let name = key.name.clone();
        let ready = self.pods == Pods::Ready || key.plural == "statefulsets";
        let able = if ready { count } else { 0 };
        let status = match key.plural.as_str() {
            "statefulsets" => json!({"observedGeneration": 1, "replicas": count, "readyReplicas": able,
                "updatedReplicas": count, "currentRevision": "1", "updateRevision": "1"}),
            "deployments" => json!({"observedGeneration": 1, "replicas": count, "updatedReplicas": count,
                "readyReplicas": able, "availableReplicas": able, "conditions": self.conditions()}),
            _ => return,
        };
        let kind = if key.plural == "deployments" { "ReplicaSet" } else { "StatefulSet" };
        let owner = match kind {
            "ReplicaSet" => self.replica_set(key, &object, count, able),
            _ => name.clone(),
        };
        if let Some(stored) = self.objects.get_mut(key) {
            stored["status"] = status;
        }
        for claim in object["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten() {
            let claim_name = format!("{}-{name}-0", claim["metadata"]["name"].as_str().unwrap());
            let place = Key {
                api: "v1".into(),
                plural: "persistentvolumeclaims".into(),
                name: claim_name.clone(),
                namespace: key.namespace.clone(),
            };
            if self.objects.contains_key(&place) {
                continue;
            }
            let mut made = claim.clone();
            made["metadata"]["name"] = claim_name.into();
            self.made(&place, made);
        }
        let pods = Key {
            api: "v1".into(),
            plural: "pods".into(),
            name: String::new(),
            namespace: key.namespace.clone(),
        };
        let there: Vec<Key> = self
            .objects
            .iter()
            .filter(|(of, pod)| {
                of.plural == "pods" && pod["metadata"]["ownerReferences"][0]["name"] == owner.as_str()
            })
            .map(|(key, _)| key.clone())
            .collect();
        for extra in there.iter().skip(usize::try_from(count).unwrap()) {
            self.delete(extra);
        }
        let made = if self.pods == Pods::OverQuota && kind == "ReplicaSet" { 0 } else { count };
        for index in u64::try_from(there.len()).unwrap()..made {
            let key = Key { name: format!("{name}-{index}"), ..pods.clone() };
            let status = if ready {
                json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
            } else {
                serde_json::from_str(include_str!("../fixtures/kubernetes/image-pull-status.json")).unwrap()
            };
            let pod = json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": key.name, "namespace": key.namespace, "labels": object["spec"]["template"]["metadata"]["labels"],
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": owner, "uid": "1"}]},
                "spec": object["spec"]["template"]["spec"], "status": status,
            });
            self.put(&key, pod);
        }
    }

    /// The ReplicaSet of a Deployment's pod template, made or taken up again, as its newest revision. The pods of others go.
    fn replica_set(&mut self, key: &Key, object: &Value, count: u64, able: u64) -> String {
        let template = &object["spec"]["template"];
        let sets: Vec<(Key, Value)> = self
            .objects
            .iter()
            .filter(|(of, set)| {
                of.plural == "replicasets"
                    && set["metadata"]["ownerReferences"][0]["name"] == key.name.as_str()
            })
            .map(|(key, set)| (key.clone(), set.clone()))
            .collect();
        let number =
            |set: &Value| set["metadata"]["annotations"][REVISION].as_str().unwrap().parse::<u64>().unwrap();
        let newest = sets.iter().map(|(_, set)| number(set)).max().unwrap_or(0);
        let same = sets.iter().find(|(_, set)| set["spec"]["template"] == *template);
        let revision = match same {
            Some((_, set)) if number(set) == newest => newest,
            _ => newest + 1,
        };
        let set = same.map_or_else(|| format!("{}-{revision}", key.name), |(key, _)| key.name.clone());
        for (other, mut value) in sets.iter().filter(|(of, _)| of.name != set).cloned() {
            let pods: Vec<Key> = self
                .objects
                .iter()
                .filter(|(of, pod)| {
                    of.plural == "pods"
                        && pod["metadata"]["ownerReferences"][0]["name"] == other.name.as_str()
                })
                .map(|(key, _)| key.clone())
                .collect();
            for pod in pods {
                self.delete(&pod);
            }
            value["spec"]["replicas"] = 0.into();
            value["status"] = json!({"replicas": 0, "readyReplicas": 0});
            self.objects.insert(other, value);
        }
        if let Some(stored) = self.objects.get_mut(key) {
            stored["metadata"]["annotations"][REVISION] = revision.to_string().into();
        }
        // As the real controller does: those of the Deployment, with the number of the revision.
        let mut annotations = object["metadata"]["annotations"].clone();
        annotations[REVISION] = revision.to_string().into();
        let place = Key { plural: "replicasets".into(), name: set.clone(), ..key.clone() };
        let value = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": set, "namespace": key.namespace, "labels": template["metadata"]["labels"],
                "annotations": annotations,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name, "uid": "1"}]},
            "spec": {"selector": {}, "replicas": count, "template": template},
            "status": {"replicas": count, "readyReplicas": able},
        });
        self.put(&place, value);
        set
    }

    fn conditions(&self) -> Value {
        match self.pods {
            Pods::OverQuota => json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
                "message": "pods \"shop-app-0\" is forbidden: exceeded quota: small"}]),
            _ => json!([{"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]),
        }
    }
}
