//! The rules for pods and their containers.

use std::collections::BTreeSet;

use appforge_service::contract::{admin, variable};
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
        self.hold(pinned || exempt(workload, "CKV_K8S_43"), workload, "digest");
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
        let writable = container["name"] == "app" && exempt(workload, "CKV_K8S_22");
        self.hold(context["readOnlyRootFilesystem"] != writable, workload, "readOnlyRootFilesystem");
        let low = container["name"] == "app" && exempt(workload, "CKV_K8S_40");
        let user = context["runAsUser"].as_u64();
        self.hold(user >= Some(if low { 1 } else { 10_000 }), workload, "high id of the container");
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
        // An app of the user's own is watched by its front.
        let watched = self.stack.service.is_own() && container["name"] == "app";
        let starts = ready.is_object() && container["startupProbe"].is_object();
        self.hold(starts != watched, workload, "readiness and startup");
        self.hold(live.is_object() || watched && exempt(workload, "CKV_K8S_8"), workload, "liveness");
        self.hold(ready != live || watched, workload, "the probes differ");
        self.hold(ready["httpGet"]["host"].is_null(), workload, "no host in a probe");
        if workload["kind"] == "Deployment" {
            let wait = if container["name"] == names::FRONT_CONTAINER { "exec" } else { "sleep" };
            self.hold(container["lifecycle"]["preStop"][wait].is_object(), workload, "preStop");
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

    /// What must hold of the front of an app and of the app behind it.
    pub(super) fn front(&mut self, workload: &Value) {
        if workload["kind"] != "Deployment" || !self.stack.service.is_own() {
            return self.hold(
                workload["spec"]["template"]["spec"]["initContainers"].is_null(),
                workload,
                "no init",
            );
        }
        let pod = &workload["spec"]["template"]["spec"];
        let (front, app) = (&pod["initContainers"][0], &pod["containers"][0]);
        self.hold(
            front["name"] == "front" && front["restartPolicy"] == "Always",
            workload,
            "a native sidecar",
        );
        self.hold(
            front["startupProbe"]["httpGet"]["path"] == admin::LIVEZ,
            workload,
            "starts before the app",
        );
        self.hold(front["readinessProbe"]["httpGet"]["path"] == admin::READYZ, workload, "waits for the app");
        self.hold(app["ports"].is_null(), workload, "nothing but the front is reached");
        let named = |name: &str| items(&app["env"]).position(|variable| variable["name"] == name);
        let value = |name: &str| text(&app["env"][named(name).unwrap_or(usize::MAX)]["value"]);
        self.hold(value("HOST") == "127.0.0.1", workload, "the address of the app");
        let upstream = format!("http://127.0.0.1:{}", value("PORT"));
        self.hold(items(&front["args"]).any(|word| *word == upstream.as_str()), workload, "its address");
        let ports: Vec<String> =
            items(&front["ports"]).map(|port| port["containerPort"].to_string()).collect();
        self.hold(!ports.contains(&value("PORT").to_owned()), workload, "the app has another port");
        // What refers to a variable comes after it.
        self.hold(named(variable::MONGODB_URI) < named("DATABASE_URL"), workload, "order");
        self.hold(named(variable::REDIS_URL) < named("CACHE"), workload, "order");
        let seconds = |container: &Value, variable: &str| {
            let found = items(&container["env"]).find(|found| found["name"] == variable);
            found.and_then(|found| text(&found["value"]).parse::<u64>().ok()).unwrap_or_default() / 1000
        };
        let pre_stop = self.stack.kubernetes.shutdown.pre_stop.0.as_secs();
        let wait = app["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
        self.hold(wait == pre_stop + seconds(front, "SHUTDOWN_TIMEOUT_MS"), workload, "the app ends last");
        let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or_default();
        self.hold(wait + 5 < grace, workload, "the app has time to end");
    }
}
