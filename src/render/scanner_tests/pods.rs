//! The rules for pods and their containers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Scan, exempt, items, name, selects, text};
use crate::render::context::kubernetes::names;

impl Scan<'_> {
    pub(super) fn pod(&mut self, workload: &Value) {
        let template = &workload["spec"]["template"];
        let pod = &template["spec"];
        let context = &pod["securityContext"];
        let high = |value: &Value| value.as_u64().is_some_and(|id| id >= 10_000);
        self.hold(context["runAsNonRoot"] == true, workload, "runAsNonRoot");
        self.hold(high(&context["runAsUser"]) && high(&context["runAsGroup"]), workload, "high ids");
        self.hold(context["fsGroup"] == context["runAsGroup"], workload, "fsGroup");
        self.hold(context["fsGroupChangePolicy"] == "OnRootMismatch", workload, "fsGroupChangePolicy");
        self.hold(context["seccompProfile"]["type"] == "RuntimeDefault", workload, "seccomp");
        self.hold(pod["automountServiceAccountToken"] == false, workload, "token");
        self.hold(pod["enableServiceLinks"] == false, workload, "service links");
        let account = text(&pod["serviceAccountName"]);
        self.hold(account == name(workload) && self.has("ServiceAccount", account), workload, "account");
        for forbidden in ["hostNetwork", "hostPID", "hostIPC", "hostAliases"] {
            self.hold(pod[forbidden].is_null(), workload, forbidden);
        }
        let kinds = ["name", "configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"];
        for volume in items(&pod["volumes"]) {
            let known = volume.as_object().unwrap().keys().all(|key| kinds.contains(&key.as_str()));
            self.hold(known, workload, "kinds of volumes");
            self.hold(
                volume["emptyDir"].is_null() || volume["emptyDir"]["sizeLimit"].is_string(),
                workload,
                "size",
            );
        }
        let class = text(&pod["priorityClassName"]);
        let wanted = self.stack.kubernetes.priority_class.to_string();
        let fits = match wanted.as_str() {
            "none" => class.is_empty(),
            "auto" => self.has("PriorityClass", class),
            named => class == named,
        };
        self.hold(fits, workload, "priority class");
        self.hold(pod["terminationGracePeriodSeconds"].as_u64() > Some(1), workload, "grace period");
        let labels = &template["metadata"]["labels"];
        let selector = &workload["spec"]["selector"]["matchLabels"];
        self.hold(selects(selector, labels), workload, "selector");
        self.hold(selector["app.kubernetes.io/version"].is_null(), workload, "no version in the selector");
        self.hold(labels[names::INSTANCE_LABEL] == name(workload), workload, "instance");
        let spread: Vec<&Value> = items(&pod["topologySpreadConstraints"]).collect();
        self.hold(!spread.is_empty(), workload, "spread");
        for constraint in spread {
            let fits = constraint["maxSkew"].as_u64() >= Some(1)
                && selects(&constraint["labelSelector"]["matchLabels"], labels);
            self.hold(fits, workload, "spread");
        }
        let several = workload["kind"] == "Deployment" || workload["spec"]["replicas"].as_u64() > Some(1);
        if several {
            let affinity =
                &pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"][0];
            let apart = &affinity["podAffinityTerm"]["labelSelector"]["matchLabels"];
            self.hold(apart.is_object() && selects(apart, labels), workload, "anti-affinity");
        }
    }

    pub(super) fn container(&mut self, workload: &Value, container: &Value) {
        let image = text(&container["image"]);
        let tagged =
            image.rsplit('/').next().is_some_and(|last| last.contains(':')) && !image.ends_with(":latest");
        self.hold(tagged, workload, "image tag");
        let pinned = image.contains("@sha256:");
        self.hold(pinned != exempt(workload, "CKV_K8S_43"), workload, "digest");
        let pulled = container["imagePullPolicy"] == "Always";
        let unpulled = container["imagePullPolicy"] == "IfNotPresent" && exempt(workload, "CKV_K8S_15");
        self.hold(pulled || unpulled, workload, "pull policy");
        let (requests, limits) = (&container["resources"]["requests"], &container["resources"]["limits"]);
        for resource in ["cpu", "memory", "ephemeral-storage"] {
            self.hold(requests[resource].is_string(), workload, "requests");
            let free = resource == "cpu" && exempt(workload, "CKV_K8S_11");
            self.hold(limits[resource].is_string() != free, workload, "limits");
        }
        self.hold(
            requests["memory"] == limits["memory"],
            workload,
            "memory is asked for as far as it is used",
        );
        let context = &container["securityContext"];
        self.hold(context["allowPrivilegeEscalation"] == false, workload, "allowPrivilegeEscalation");
        self.hold(context["privileged"] == false, workload, "privileged");
        self.hold(context["readOnlyRootFilesystem"] == true, workload, "readOnlyRootFilesystem");
        self.hold(context["runAsUser"].as_u64() >= Some(10_000), workload, "high id of the container");
        let capabilities = &context["capabilities"];
        self.hold(
            capabilities["drop"][0] == "ALL" && capabilities["add"].is_null(),
            workload,
            "capabilities",
        );
        let handler = |probe: &str| {
            let mut handler = container[probe].clone();
            let timing = ["periodSeconds", "timeoutSeconds", "failureThreshold"];
            timing
                .iter()
                .for_each(|key| drop(handler.as_object_mut().and_then(|map| map.shift_remove(*key))));
            handler
        };
        let (ready, live) = (handler("readinessProbe"), handler("livenessProbe"));
        self.hold(
            ready.is_object() && container["startupProbe"].is_object(),
            workload,
            "readiness and startup",
        );
        self.hold(live.is_object() != exempt(workload, "CKV_K8S_8"), workload, "liveness");
        self.hold(ready != live, workload, "the probes differ");
        self.hold(ready["httpGet"]["host"].is_null(), workload, "no host in a probe");
        if workload["kind"] == "Deployment" {
            self.hold(container["lifecycle"]["preStop"]["sleep"].is_object(), workload, "preStop");
        }
        let mut seen = BTreeSet::new();
        for variable in items(&container["env"]) {
            let name = text(&variable["name"]);
            self.hold(seen.insert(name.to_owned()), workload, "a variable twice");
            let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| name.contains(word));
            let fine = !secret || name.ends_with("_FILE") && exempt(workload, "sensitiveContainerEnvVar");
            self.hold(fine, workload, "a secret in a variable");
        }
        let pod = &workload["spec"]["template"]["spec"];
        for mount in items(&container["volumeMounts"]) {
            let claims = items(&workload["spec"]["volumeClaimTemplates"]).map(name);
            let mut known = items(&pod["volumes"]).map(|volume| text(&volume["name"])).chain(claims);
            self.hold(
                known.any(|volume| volume == text(&mount["name"])),
                workload,
                "a mount without a volume",
            );
        }
    }
}
