//! The rules of the target kubernetes. Pure.

use std::net::IpAddr;

use crate::document::refused;
use crate::stack::kubernetes::{
    CpuLimit, Kubernetes, Probes, Route, RouteApi, SERVICE_NAME, is_object_name, is_service_name,
};
use crate::stack::model::{Stack, TargetKind};
use crate::stack::validate::violations::Violations;
use crate::stack::values::{Name, Percent, Span};

pub(super) fn kubernetes(stack: &Stack, most: u32, violations: &mut Violations) {
    let kubernetes = &stack.kubernetes;
    if stack.target == TargetKind::Kubernetes && !is_service_name(&stack.name) {
        violations.add("name", refused(SERVICE_NAME, stack.name.as_str()));
    }
    autoscaling(kubernetes, most, violations);
    let request = stack.service.resources.cpu;
    if let CpuLimit::Cpu(limit) = kubernetes.cpu_limit
        && limit < request
    {
        let message = format!("must be at least service.resources.cpu, which is {request}, got {limit}");
        violations.add("kubernetes.cpu_limit", message);
    }
    if let Some(host) = &kubernetes.ingress {
        let fits = is_object_name(host) && host.parse::<IpAddr>().is_err();
        violations.expect("kubernetes.ingress", host, fits, "a host name such as `shop.example.com`");
    }
    object_name("kubernetes.storage_class", kubernetes.storage_class.as_deref(), violations);
    for secret in &kubernetes.pull_secrets {
        object_name("kubernetes.pull_secrets", Some(secret), violations);
    }
    route(&kubernetes.route, kubernetes.ingress.is_some(), violations);
    probes(&kubernetes.probes, violations);
    if stack.service.is_own() {
        app(stack, violations);
    }
    shutdown("kubernetes.shutdown.pre_stop", kubernetes.shutdown.pre_stop, 1, violations);
    shutdown("kubernetes.shutdown.grace", kubernetes.shutdown.grace, 2, violations);
}

fn autoscaling(kubernetes: &Kubernetes, most: u32, violations: &mut Violations) {
    let Some(scaling) = kubernetes.autoscaling else { return };
    violations.within("kubernetes.autoscaling.min", scaling.min, 1, most);
    violations.within("kubernetes.autoscaling.max", scaling.max, 1, most);
    if scaling.min > scaling.max {
        let (min, max) = (scaling.min, scaling.max);
        let message = format!("must be at most kubernetes.autoscaling.max, which is {max}, got {min}");
        violations.add("kubernetes.autoscaling.min", message);
    }
    violations.within("kubernetes.autoscaling.cpu", scaling.cpu, Percent(1.0), Percent(100.0));
    if let Some(memory) = scaling.memory {
        violations.within("kubernetes.autoscaling.memory", memory, Percent(1.0), Percent(100.0));
    }
}

fn object_name(path: &str, name: Option<&str>, violations: &mut Violations) {
    if let Some(name) = name {
        violations.expect(
            path,
            name,
            is_object_name(name),
            "a name of lower-case letters, digits, `-` and `.`",
        );
    }
}

fn route(route: &Route, is_public: bool, violations: &mut Violations) {
    object_name("kubernetes.route.class", route.class.as_deref(), violations);
    object_name("kubernetes.route.tls_secret", route.tls_secret.as_deref(), violations);
    object_name("kubernetes.route.issuer", route.issuer.as_deref(), violations);
    if let Some(gateway) = &route.gateway {
        let fits = gateway
            .split_once('/')
            .is_some_and(|(namespace, name)| namespace.parse::<Name>().is_ok() && is_object_name(name));
        violations.expect("kubernetes.route.gateway", gateway, fits, "`NAMESPACE/NAME`");
    }
    let by_gateway = is_public && route.api == RouteApi::Gateway;
    if by_gateway && route.class.is_some() == route.gateway.is_some() {
        let message = "requires either `gateway`, an existing one, or `class`, that of a new one";
        violations.add("kubernetes.route.api", message);
    }
}

fn probes(probes: &Probes, violations: &mut Violations) {
    for (path, probe) in
        [("kubernetes.probes.liveness", &probes.liveness), ("kubernetes.probes.readiness", &probes.readiness)]
    {
        if let Some(probe) = probe {
            let fits = probe.starts_with('/') && probe.chars().all(|c| c.is_ascii_graphic());
            violations.expect(path, probe, fits, "a path such as `/healthz`");
        }
    }
    if probes.liveness.is_some() && probes.liveness == probes.readiness {
        let message = "must differ from the path of `readiness`: a replica that is not ready would be killed";
        violations.add("kubernetes.probes.liveness", message);
    }
    if let Some(port) = probes.port {
        violations.within("kubernetes.probes.port", port, 1, u16::MAX);
    }
}

/// What an app of the user's own cannot have in a pod.
fn app(stack: &Stack, violations: &mut Violations) {
    let Probes { port, liveness, readiness } = &stack.kubernetes.probes;
    if readiness.is_some() {
        let message = "is replaced by `service.health`, which the front asks on every target";
        violations.add("kubernetes.probes.readiness", message);
    }
    if liveness.is_some() && port.is_none() {
        let message = "requires `kubernetes.probes.port`, which the app opens beyond 127.0.0.1: its own port is \
                       reached by its front only";
        violations.add("kubernetes.probes.liveness", message);
    }
    if port.is_some() && liveness.is_none() {
        violations.add("kubernetes.probes.port", "applies only together with `kubernetes.probes.liveness`");
    }
    if stack.target == TargetKind::Kubernetes && stack.service.run_as == Some(0) {
        let message = "must not be 0 on the target kubernetes, whose namespaces refuse pods that run as root";
        violations.add("service.run_as", message);
    }
}

/// Kubernetes takes whole seconds.
fn shutdown(path: &str, span: Span, low: u64, violations: &mut Violations) {
    violations.within(path, span, Span::of_secs(low), Span::of_secs(3600));
    if !span.millis().is_multiple_of(1000) {
        violations.add(path, format!("must be whole seconds, got {span}"));
    }
}
